//! What a head of the set likelihood has beside its classifier.

use tagwise_base::tensors::{TensorWriter, Tensors};

use super::objective::Objective;
use super::{Features, LabelledFeatures, LogitMap};
use crate::loss::set_likelihood::{Marginals, Output, SetPotentials};
use crate::matrix::Matrix;
use crate::{Error, LabelSet, LinearClassifier, Result};

/// Rows whose outputs are made at once.
const BLOCK_LEN: usize = 1024;

/// The potentials of a head that was fitted with the set likelihood.
///
/// The outputs of a sample are its logits and, where the potentials of multiplicities are linear in
/// the features, V x behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadPotentials {
    /// c and θ, the same for all samples.
    pub shared: SetPotentials,
    /// V `[M + 1, d]` where c is linear in the features; what `shared` holds is then its bias.
    pub weight: Option<Matrix>,
}

impl HeadPotentials {
    /// The classifier and the potentials of these parameters, for features as given.
    pub(super) fn of(
        objective: &Objective<'_>,
        parameters: &[f64],
    ) -> Result<(LinearClassifier, Option<Self>)> {
        let (mut weights, mut bias) = objective.weights_and_bias(parameters);
        objective.scale.fold_into(&mut weights, &mut bias);
        let (num_classes, dim) = (objective.num_classes(), objective.source.dim());
        let num_outputs = bias.len();
        let rows = |outputs: std::ops::Range<usize>| -> Vec<f64> {
            let entries = outputs.flat_map(|k| weights.iter().skip(k).step_by(num_outputs));
            entries.copied().collect()
        };
        let classifier =
            LinearClassifier::from_rows(&rows(0..num_classes), &bias[..num_classes], dim)?;
        let Some(mut shared) = objective.potentials(parameters) else {
            return Ok((classifier, None));
        };
        let linear = &bias[num_classes..];
        let weight = match linear.is_empty() {
            true => None,
            false => {
                let set_potentials = shared.set_potentials().to_vec();
                shared.set(linear, set_potentials.into_iter());
                Some(Matrix::from_rows(
                    num_outputs - num_classes,
                    dim,
                    rows(num_classes..num_outputs),
                )?)
            }
        };
        Ok((classifier, Some(Self { shared, weight })))
    }

    /// The linear map from features to outputs.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for a classifier of other sizes.
    pub fn outputs_of(&self, classifier: &LinearClassifier) -> Result<LinearClassifier> {
        self.check(classifier)?;
        let Some(weight) = &self.weight else {
            return Ok(classifier.clone());
        };
        let mut bias = classifier.bias.clone();
        bias.resize(bias.len() + weight.nrows(), 0.0);
        let rows = [classifier.weight.as_slice(), weight.as_slice()].concat();
        LinearClassifier::from_rows(&rows, &bias, classifier.dim())
    }

    /// The outputs of samples whose logits are known: the logits, with V h behind them where the
    /// potentials of multiplicities are linear.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`, `features` `[N, d]`; the outputs are `[N, K]` or
    /// `[N, K + M + 1]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the sizes do not fit the potentials or one another.
    pub fn outputs<T: Output>(&self, logits: &[T], features: &[T]) -> Result<Vec<T>> {
        let num_classes = self.shared.num_classes();
        let Some(weight) = &self.weight else {
            return Ok(logits.to_vec());
        };
        let (num_samples, dim) = (logits.len() / num_classes.max(1), weight.ncols());
        for (what, expected, found) in [
            ("logits", num_samples * num_classes, logits.len()),
            ("features", num_samples * dim, features.len()),
        ] {
            if expected != found {
                return Err(Error::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        let mut outputs = Vec::with_capacity(num_samples * (num_classes + weight.nrows()));
        for sample in 0..num_samples {
            let features = &features[sample * dim..(sample + 1) * dim];
            outputs.extend_from_slice(&logits[sample * num_classes..(sample + 1) * num_classes]);
            outputs.extend(weight.as_slice().chunks_exact(dim.max(1)).map(|row| {
                let terms = row.iter().zip(features);
                T::narrow(terms.map(|(v, &h)| v * h.into()).sum())
            }));
        }
        Ok(outputs)
    }

    /// Refuses a classifier of other sizes.
    pub(crate) fn check(&self, classifier: &LinearClassifier) -> Result<()> {
        let mismatch = |what, expected, found| Error::SizeMismatch {
            what,
            expected,
            found,
        };
        let expected = self.shared.num_classes();
        if classifier.num_classes() != expected {
            return Err(mismatch("classes", expected, classifier.num_classes()));
        }
        let Some(weight) = &self.weight else {
            return Ok(());
        };
        if weight.ncols() != classifier.dim() {
            return Err(mismatch("features", classifier.dim(), weight.ncols()));
        }
        let expected = self.shared.max_multiplicity() + 1;
        match weight.nrows() == expected {
            true => Ok(()),
            false => Err(mismatch(
                "rows of potentials of multiplicities",
                expected,
                weight.nrows(),
            )),
        }
    }

    /// log p(S) of these label sets, sample by sample; −∞ for sets of more labels than any may have.
    ///
    /// # Errors
    /// As [`outputs_of`](Self::outputs_of) and [`LogitMap::logits`].
    pub fn log_probabilities(
        &self,
        classifier: &LinearClassifier,
        samples: LabelledFeatures<'_>,
    ) -> Result<Vec<f64>> {
        let sets: Vec<&LabelSet> = samples.targets().iter().collect();
        let mut found = Vec::with_capacity(sets.len());
        self.for_each(
            classifier,
            samples.features(),
            |sample, outputs, marginals| {
                found.push(marginals.log_probability(&self.shared, outputs, sets[sample]));
            },
        )?;
        Ok(found)
    }

    /// The mean of −log p(S).
    ///
    /// # Errors
    /// As [`log_probabilities`](Self::log_probabilities).
    pub fn mean_loss(
        &self,
        classifier: &LinearClassifier,
        samples: LabelledFeatures<'_>,
    ) -> Result<f64> {
        let found = self.log_probabilities(classifier, samples)?;
        Ok(-found.iter().sum::<f64>() / found.len().max(1) as f64)
    }

    /// Visits every sample with its outputs and its distribution.
    fn for_each(
        &self,
        classifier: &LinearClassifier,
        features: &Features,
        mut visit: impl FnMut(usize, &[f64], &Marginals),
    ) -> Result<()> {
        let map = LogitMap::new(&self.outputs_of(classifier)?);
        let mut marginals = Marginals::default();
        for start in (0..features.num_samples()).step_by(BLOCK_LEN) {
            let rows = start..(start + BLOCK_LEN).min(features.num_samples());
            let outputs = map.logits(features, rows)?;
            for (offset, outputs) in outputs.chunks_exact(map.num_classes()).enumerate() {
                marginals.run(&self.shared, outputs);
                visit(start + offset, outputs, &marginals);
            }
        }
        Ok(())
    }
}

const MULTIPLICITIES: &str = "potentials.multiplicities";
const WEIGHT: &str = "potentials.weight";
const LABELS: &str = "potentials.sets.labels";
const OFFSETS: &str = "potentials.sets.offsets";
const VALUES: &str = "potentials.sets.values";

impl HeadPotentials {
    /// Adds the arrays, under names that start with `prefix`: `potentials.multiplicities` `[M + 1]`,
    /// `potentials.weight` `[M + 1, d]` where there is one, and `potentials.sets.labels`,
    /// `.offsets` and `.values` of the seen sets.
    pub(crate) fn push<'a>(&'a self, writer: &mut TensorWriter<'a>, prefix: &str) -> Result<()> {
        let multiplicities = self.shared.multiplicities();
        let name = |name: &str| format!("{prefix}{name}");
        writer.add(
            name(MULTIPLICITIES),
            &[multiplicities.len()],
            multiplicities,
        )?;
        if let Some(weight) = &self.weight {
            let shape = [weight.nrows(), weight.ncols()];
            writer.add(name(WEIGHT), &shape, weight.as_slice())?;
        }
        let sets = self.shared.seen_sets();
        let labels: Vec<u32> = sets.iter().flat_map(|set| set.labels()).copied().collect();
        let ends = sets.iter().scan(0, |end, set| {
            *end += set.multiplicity() as u64;
            Some(*end)
        });
        let offsets: Vec<u64> = std::iter::once(0).chain(ends).collect();
        let values = self.shared.set_potentials();
        writer.add_owned(name(LABELS), &[labels.len()], labels)?;
        writer.add_owned(name(OFFSETS), &[offsets.len()], offsets)?;
        writer.add(name(VALUES), &[values.len()], values)
    }

    /// Reads what [`push`](Self::push) added, if it did, for this classifier.
    pub(crate) fn read(
        tensors: &Tensors<'_>,
        prefix: &str,
        classifier: &LinearClassifier,
    ) -> Result<Option<Self>> {
        let name = |name: &str| format!("{prefix}{name}");
        let Some(multiplicities) = tensors.get(&name(MULTIPLICITIES)) else {
            return Ok(None);
        };
        let multiplicities = multiplicities.finite_of(&[multiplicities.len()])?;
        let shape = [multiplicities.len(), classifier.dim()];
        let weight = match tensors.get(&name(WEIGHT)) {
            None => None,
            Some(weight) => {
                weight.expect_shape(&shape)?;
                Some(Matrix::from_rows(
                    shape[0],
                    shape[1],
                    weight.finite_of(&shape)?,
                )?)
            }
        };
        let labels: Vec<u32> = tensors.require(&name(LABELS))?.to_vec()?;
        let offsets: Vec<u64> = tensors.require(&name(OFFSETS))?.to_vec()?;
        let rises = offsets.is_sorted() && offsets.first() == Some(&0);
        if !rises || offsets.last() != Some(&(labels.len() as u64)) {
            return Err(Error::Malformed(format!(
                "expected `{}` to rise from 0 to {}, found others",
                name(OFFSETS),
                labels.len()
            )));
        }
        let values = tensors
            .require(&name(VALUES))?
            .finite_of(&[offsets.len() - 1])?;
        let sets = offsets.windows(2).map(|pair| {
            let labels = &labels[pair[0] as usize..pair[1] as usize];
            LabelSet::new(labels.iter().copied())
        });
        let shared = SetPotentials::new(classifier.num_classes(), multiplicities)
            .and_then(|shared| shared.with_seen_sets(sets.zip(values).collect()))
            .map_err(|error| Error::Malformed(error.to_string()))?;
        Ok(Some(Self { shared, weight }))
    }
}
