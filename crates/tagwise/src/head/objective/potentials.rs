//! Potentials of a set likelihood while they are learned.

use crate::loss::set_likelihood::{
    Marginals, MultiplicityPotentials, SeenSetPotentials, SetLikelihood, SetPotentials,
};
use crate::{Error, LabelSet, Result, Targets};

/// Keeps the potential of a multiplicity that no sample has finite: its probability ends near
/// 2·decay·|c|, far below any that a sample could show.
const MULTIPLICITY_DECAY: f64 = 1e-6;

/// Keeps logarithms of shares that no sample has finite.
const SMALLEST_SHARE: f64 = 1e-4;

/// The standard deviation of θ that the default decay stands for.
const DEFAULT_DEVIATION: f64 = 1.0;

/// λ_θ that makes the penalty of N samples that of a normal distribution with this deviation.
pub(crate) fn seen_set_decay(deviation: f64, num_samples: usize) -> f64 {
    0.5 / (num_samples as f64 * deviation * deviation)
}

/// Which potentials are learned, and how parameters become them: θ_T = φ_T·scale_T, so that the
/// gradients of rare sets are as large as those of frequent ones.
pub(crate) struct LearnedPotentials {
    kind: MultiplicityPotentials,
    /// All seen sets, with potentials 0.
    model: SetPotentials,
    scales: Vec<f64>,
    seen_set_decay: f64,
    /// How often each multiplicity occurs, by the weights of the samples.
    multiplicity_shares: Vec<f64>,
}

impl LearnedPotentials {
    pub(crate) fn new(
        likelihood: SetLikelihood,
        targets: &Targets,
        set_weights: &[f64],
        decay: Option<f64>,
    ) -> Result<Self> {
        let needed = targets.max_multiplicity();
        let most = likelihood.max_multiplicity.unwrap_or(needed);
        if most < needed {
            return Err(Error::OutOfRange {
                name: "the largest multiplicity",
                requirement: "at least that of the samples",
                found: format!("{most} with sets of {needed} labels"),
            });
        }
        let counts = targets.counts();
        let shares = counts.iter().zip(set_weights).map(|(&n, w)| n as f64 * w);
        let shares: Vec<f64> = shares.collect();
        let mut multiplicity_shares = vec![0.0; most + 1];
        for (set, share) in targets.distinct().iter().zip(&shares) {
            multiplicity_shares[set.multiplicity()] += share;
        }
        let decay = decay.unwrap_or_else(|| seen_set_decay(DEFAULT_DEVIATION, targets.len()));
        let model = SetPotentials::new(targets.num_classes(), vec![0.0; most + 1])?;
        let (model, scales) = match likelihood.seen_sets {
            SeenSetPotentials::None => (model, Vec::new()),
            SeenSetPotentials::Learned => {
                let sets = targets.distinct().iter().map(|set| (set.clone(), 0.0));
                let curvature = |share: &f64| share * (1.0 - share) + 2.0 * decay;
                let scales = shares.iter().map(|share| 1.0 / curvature(share).sqrt());
                (model.with_seen_sets(sets.collect())?, scales.collect())
            }
        };
        Ok(Self {
            kind: likelihood.multiplicities,
            model,
            scales,
            seen_set_decay: decay,
            multiplicity_shares,
        })
    }

    /// Outputs beside the logits.
    pub(crate) fn num_outputs(&self) -> usize {
        match self.kind {
            MultiplicityPotentials::Linear => self.multiplicity_shares.len(),
            MultiplicityPotentials::None | MultiplicityPotentials::Constant => 0,
        }
    }

    fn num_constants(&self) -> usize {
        match self.kind {
            MultiplicityPotentials::Constant => self.multiplicity_shares.len(),
            MultiplicityPotentials::None | MultiplicityPotentials::Linear => 0,
        }
    }

    /// Potentials that all samples share: c where it is constant, and φ.
    pub(crate) fn num_shared(&self) -> usize {
        self.num_constants() + self.scales.len()
    }

    /// The potentials of these parameters.
    pub(crate) fn at(&self, shared: &[f64]) -> SetPotentials {
        let (constants, scaled) = shared.split_at(self.num_constants());
        let zeros = vec![0.0; self.multiplicity_shares.len()];
        let multiplicities = match constants.is_empty() {
            true => &zeros[..],
            false => constants,
        };
        let sets = scaled
            .iter()
            .zip(&self.scales)
            .map(|(phi, scale)| phi * scale);
        let mut model = self.model.clone();
        model.set(multiplicities, sets);
        model
    }

    /// −log p(S) of one sample, of which `marginals` tells; its slopes times the weight go to
    /// `slopes`, those in the shared parameters are added to `shared`.
    pub(crate) fn of_sample(
        &self,
        model: &SetPotentials,
        (set, weight): (&LabelSet, f64),
        (outputs, slopes, shared): (&[f64], &mut [f64], &mut [f64]),
        marginals: &Marginals,
    ) -> f64 {
        let (constants, sets) = shared.split_at_mut(self.num_constants());
        marginals.slopes(model, set, weight, slopes, (constants, sets));
        -marginals.log_probability(model, outputs, set)
    }

    /// Turns slopes in θ into those in φ and adds the decay of all potentials, whose value it
    /// returns; `bias` holds those of the outputs.
    pub(crate) fn finish(
        &self,
        model: &SetPotentials,
        (shared, shared_slopes): (&[f64], &mut [f64]),
        (bias, bias_slopes): (&[f64], &mut [f64]),
    ) -> f64 {
        let num_constants = self.num_constants();
        let num_classes = model.num_classes();
        let mut value = 0.0;
        let mut decay = |values: &[f64], slopes: &mut [f64], decay: f64| {
            for (slope, x) in slopes.iter_mut().zip(values) {
                *slope += 2.0 * decay * x;
                value += decay * x * x;
            }
        };
        let (constants, _) = shared.split_at(num_constants);
        let (constant_slopes, set_slopes) = shared_slopes.split_at_mut(num_constants);
        decay(constants, constant_slopes, MULTIPLICITY_DECAY);
        decay(
            &bias[num_classes..],
            &mut bias_slopes[num_classes..],
            MULTIPLICITY_DECAY,
        );
        decay(model.set_potentials(), set_slopes, self.seen_set_decay);
        for (slope, scale) in set_slopes.iter_mut().zip(&self.scales) {
            *slope *= scale;
        }
        value
    }

    /// The potentials that give each multiplicity its share where labels are independent with these
    /// logits.
    pub(crate) fn start(&self, logits: &[f64]) -> Vec<f64> {
        let mut marginals = Marginals::default();
        let model = SetPotentials::new(logits.len(), vec![0.0; self.multiplicity_shares.len()]);
        let Ok(model) = model else {
            return vec![0.0; self.multiplicity_shares.len()];
        };
        marginals.run(&model, logits);
        let pairs = self
            .multiplicity_shares
            .iter()
            .zip(marginals.multiplicities());
        pairs
            .map(|(share, independent)| {
                share.max(SMALLEST_SHARE).ln() - independent.max(f64::MIN_POSITIVE).ln()
            })
            .collect()
    }

    /// A rough curvature of each multiplicity's potential.
    pub(crate) fn multiplicity_curvatures(&self) -> impl Iterator<Item = f64> + '_ {
        let shares = self.multiplicity_shares.iter();
        shares.map(|share| share.max(SMALLEST_SHARE) * (1.0 - share).max(SMALLEST_SHARE))
    }

    pub(crate) fn has_constants(&self) -> bool {
        self.num_constants() > 0
    }
}
