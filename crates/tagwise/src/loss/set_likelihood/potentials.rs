//! The potentials that samples share, and the loss with them.

use std::sync::Arc;

use super::marginals::{Marginals, MarginalsGroup};
use super::seen::{SeenSets, check_multiplicity};
use super::{SetDistribution, SetLikelihood};
use crate::loss::{check_labels, check_size};
use crate::{Error, LabelSet, Result};

/// The potentials c of multiplicities and θ of seen label sets that all samples share.
///
/// The outputs of a sample are its logits z `[K]`, or `[K + M + 1]` with M + 1 numbers behind them
/// that are added to c: potentials that depend on the sample.
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::loss::set_likelihood::SetPotentials;
///
/// // Two labels, up to two of them, all sets alike: each has probability ¼.
/// let potentials = SetPotentials::new(2, vec![0.0; 3])?;
/// let slopes = potentials.value_and_slopes(&[0.0, 0.0], &LabelSet::new([0]))?;
/// assert!((slopes.value - 4f64.ln()).abs() < 1e-12);
/// assert_eq!(slopes.outputs, [-0.5, 0.5]); // P(k ∈ S) − 1[k ∈ S]
/// assert_eq!(slopes.multiplicities, [0.25, -0.5, 0.25]);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SetPotentials {
    num_classes: usize,
    multiplicities: Vec<f64>,
    seen: Arc<SeenSets>,
    set_potentials: Vec<f64>,
}

/// The precision of outputs.
pub trait Output: Copy + Into<f64> {
    /// The nearest number of this precision.
    fn narrow(value: f64) -> Self;
}

impl Output for f32 {
    fn narrow(value: f64) -> Self {
        value as Self
    }
}

impl Output for f64 {
    fn narrow(value: f64) -> Self {
        value
    }
}

/// A value of the loss with its slopes.
#[derive(Clone, Debug, PartialEq)]
pub struct PotentialSlopes {
    /// −log p(S).
    pub value: f64,
    /// In the outputs, `[K]` or `[K + M + 1]`; empty for a batch, whose slopes are written elsewhere.
    pub outputs: Vec<f64>,
    /// In c, `[M + 1]`.
    pub multiplicities: Vec<f64>,
    /// In θ, one for each seen set.
    pub seen_sets: Vec<f64>,
}

impl SetPotentials {
    /// Potentials c_0, …, c_M of multiplicities, none of label sets.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no potential, or one of more labels than there are;
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn new(num_classes: usize, multiplicities: Vec<f64>) -> Result<Self> {
        if multiplicities.is_empty() || multiplicities.len() > num_classes + 1 {
            return Err(Error::OutOfRange {
                name: "the number of potentials of multiplicities",
                requirement: "from 1 to K + 1",
                found: format!("{} with {num_classes} classes", multiplicities.len()),
            });
        }
        check_finite(&multiplicities, "potentials of multiplicities")?;
        Ok(Self {
            num_classes,
            multiplicities,
            seen: Arc::default(),
            set_potentials: Vec::new(),
        })
    }

    /// The same with potentials θ of some label sets, in any order.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for a label that is not below K, [`Error::OutOfRange`] for a set
    /// of more than M labels or one given twice, [`Error::NotFinite`] for NaN and infinity.
    pub fn with_seen_sets(mut self, mut sets: Vec<(LabelSet, f64)>) -> Result<Self> {
        sets.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = sets.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::OutOfRange {
                name: "the potentials of label sets",
                requirement: "of distinct sets",
                found: format!("{} twice", pair[0].0),
            });
        }
        let (sets, potentials): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
        check_finite(&potentials, "potentials of label sets")?;
        self.seen = Arc::new(SeenSets::new(
            sets,
            self.num_classes,
            self.max_multiplicity(),
        )?);
        self.set_potentials = potentials;
        Ok(self)
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The largest multiplicity M.
    pub fn max_multiplicity(&self) -> usize {
        self.multiplicities.len() - 1
    }

    /// c_0, …, c_M.
    pub fn multiplicities(&self) -> &[f64] {
        &self.multiplicities
    }

    /// The seen label sets, in order.
    pub fn seen_sets(&self) -> &[LabelSet] {
        self.seen.sets()
    }

    /// θ of each seen label set.
    pub fn set_potentials(&self) -> &[f64] {
        &self.set_potentials
    }

    pub(crate) fn num_seen_sets(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn seen(&self) -> &SeenSets {
        &self.seen
    }

    /// Writes the potentials that a step of a minimiser found, c `[M + 1]` and one θ for each seen set.
    ///
    /// # Panics
    /// If there are other than M + 1 potentials of multiplicities.
    pub fn set(&mut self, multiplicities: &[f64], sets: impl Iterator<Item = f64>) {
        self.multiplicities.copy_from_slice(multiplicities);
        for (own, new) in self.set_potentials.iter_mut().zip(sets) {
            *own = new;
        }
    }

    /// Refuses outputs that are not `[K]` or `[K + M + 1]`, or not finite.
    pub(crate) fn check_outputs(&self, outputs: &[f64]) -> Result<()> {
        let with_multiplicities = self.num_classes + self.multiplicities.len();
        if outputs.len() != with_multiplicities {
            check_size("logits", self.num_classes, outputs.len())?;
        }
        check_finite(outputs, "logits")
    }

    /// −log p(S) with its slopes in the outputs and in the shared potentials.
    ///
    /// Slopes are P(k ∈ S') − 1[k ∈ S] in z_k, p(j) − 1[|S| = j] in c_j and p(T) − 1[S = T] in θ_T.
    /// For logits as large as ±500 all are within 1e-12 of their values. A sample takes O(K·M) steps
    /// and one for each label of the seen sets.
    ///
    /// # Shapes
    /// `outputs` is `[K]` or `[K + M + 1]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] and [`Error::NotFinite`] for other outputs,
    /// [`Error::LabelOutOfRange`] for a label that is not below K, [`Error::OutOfRange`] for a set
    /// of more than M labels, whose probability is 0.
    pub fn value_and_slopes(&self, outputs: &[f64], targets: &LabelSet) -> Result<PotentialSlopes> {
        self.check_outputs(outputs)?;
        check_labels(targets, 0, self.num_classes)?;
        check_multiplicity(targets, self.max_multiplicity())?;
        let mut marginals = Marginals::default();
        marginals.run(self, outputs);
        let mut slopes = PotentialSlopes {
            value: -marginals.log_probability(self, outputs, targets),
            outputs: vec![0.0; outputs.len()],
            multiplicities: vec![0.0; self.multiplicities.len()],
            seen_sets: vec![0.0; self.num_seen_sets()],
        };
        let shared = (&mut slopes.multiplicities[..], &mut slopes.seen_sets[..]);
        marginals.slopes(self, targets, 1.0, &mut slopes.outputs, shared);
        Ok(slopes)
    }

    /// The mean of −log p(S) over a batch, in f64 whatever the outputs are; its slopes in the outputs
    /// overwrite `gradient`, those in the shared potentials are returned.
    ///
    /// # Shapes
    /// `outputs` and `gradient` are row-major `[B, K]` or `[B, K + M + 1]`; `targets` yields B label
    /// sets. An empty batch has the mean 0.
    ///
    /// # Errors
    /// As [`value_and_slopes`](Self::value_and_slopes), for any of the samples.
    ///
    /// ```
    /// use tagwise::LabelSet;
    /// use tagwise::loss::set_likelihood::SetPotentials;
    ///
    /// let potentials = SetPotentials::new(2, vec![0.0; 3])?;
    /// let sets = [LabelSet::new([0]), LabelSet::new([0, 1])];
    /// let mut gradient = [0f32; 4];
    /// let slopes = potentials.batch_mean(&[0f32; 4], sets.iter(), &mut gradient)?;
    /// assert!((slopes.value - 4f64.ln()).abs() < 1e-12);
    /// assert_eq!(gradient, [-0.25, 0.25, -0.25, -0.25]);
    /// assert_eq!(slopes.multiplicities, [0.25, 0.0, -0.25]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn batch_mean<'a, T: Output>(
        &self,
        outputs: &[T],
        targets: impl ExactSizeIterator<Item = &'a LabelSet>,
        gradient: &mut [T],
    ) -> Result<PotentialSlopes> {
        check_size("entries of the gradient", outputs.len(), gradient.len())?;
        let batch_size = targets.len();
        let mut slopes = PotentialSlopes {
            value: 0.0,
            outputs: Vec::new(),
            multiplicities: vec![0.0; self.multiplicities.len()],
            seen_sets: vec![0.0; self.num_seen_sets()],
        };
        let Some(width) = outputs.len().checked_div(batch_size) else {
            return check_size("logits", 0, outputs.len()).map(|()| slopes);
        };
        let expected = "logits, as many for each label set";
        check_size(expected, batch_size * width.max(1), outputs.len())?;
        let weight = 1.0 / batch_size as f64;
        let mut group = MarginalsGroup::default();
        let (mut wide, mut row) = (Vec::new(), vec![0.0; width]);
        let mut targets = targets.enumerate();
        let groups = outputs.chunks(width * MarginalsGroup::LEN);
        for (outputs, gradient) in groups.zip(gradient.chunks_mut(width * MarginalsGroup::LEN)) {
            wide.clear();
            wide.extend(outputs.iter().map(|&output| -> f64 { output.into() }));
            let first = targets.len();
            for (place, row) in wide.chunks(width).enumerate() {
                self.check_outputs(row)
                    .map_err(|error| error.at_row(batch_size - first + place))?;
            }
            let each = group.run(self, &wide, width);
            let rows = wide.chunks(width).zip(gradient.chunks_mut(width));
            let own = each.iter().zip(rows).zip(&mut targets);
            for ((marginals, (wide, gradient)), (sample, set)) in own {
                check_labels(set, sample, self.num_classes)?;
                check_multiplicity(set, self.max_multiplicity())?;
                slopes.value -= weight * marginals.log_probability(self, wide, set);
                let shared = (&mut slopes.multiplicities[..], &mut slopes.seen_sets[..]);
                marginals.slopes(self, set, weight, &mut row, shared);
                for (narrow, &slope) in gradient.iter_mut().zip(&row) {
                    *narrow = T::narrow(slope);
                }
            }
        }
        Ok(slopes)
    }

    /// The distribution over label sets of a sample with these outputs.
    ///
    /// # Shapes
    /// `outputs` is `[K]` or `[K + M + 1]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] and [`Error::NotFinite`] for other outputs.
    pub fn distribution<'a>(&'a self, outputs: &'a [f64]) -> Result<SetDistribution<'a>> {
        self.check_outputs(outputs)?;
        Ok(SetDistribution::new(self, outputs))
    }
}

impl SetLikelihood {
    /// The loss on bare logits, with all potentials 0: −log of the probability of S among all sets
    /// of at most M labels. With M = K it is binary cross-entropy.
    pub(crate) fn of_sample(self, logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
        let most = self
            .max_multiplicity
            .unwrap_or(logits.len())
            .min(logits.len());
        let potentials = SetPotentials {
            num_classes: logits.len(),
            multiplicities: vec![0.0; most + 1],
            seen: Arc::default(),
            set_potentials: Vec::new(),
        };
        let mut marginals = Marginals::default();
        marginals.run(&potentials, logits);
        let shared = (&mut [][..], &mut [][..]);
        marginals.slopes(&potentials, targets, 1.0, gradient, shared);
        -marginals.log_probability(&potentials, logits, targets)
    }
}

fn check_finite(values: &[f64], what: &'static str) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(column) => Err(Error::NotFinite {
            what,
            row: 0,
            column,
            value: values[column],
        }),
    }
}
