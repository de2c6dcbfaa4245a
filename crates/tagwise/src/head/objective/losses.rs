//! The weighted losses of samples, with their slopes in the outputs.

use super::super::{HeadSettings, weights};
use super::potentials::LearnedPotentials;
use crate::loss::set_likelihood::{MarginalsGroup, SetPotentials};
use crate::loss::{Link, Loss, mean_weight};
use crate::{Result, Targets};

/// What the outputs of samples cost.
pub(crate) struct Losses<'a> {
    pub(crate) targets: &'a Targets,
    pub(crate) loss: Loss,
    /// The weight of each label set's samples, summing to 1 over all samples.
    set_weights: Vec<f64>,
    /// Unless all classes weigh alike.
    class_weights: Option<Vec<f64>>,
    /// Of the set likelihood.
    pub(crate) potentials: Option<LearnedPotentials>,
}

impl<'a> Losses<'a> {
    pub(crate) fn new(targets: &'a Targets, settings: &HeadSettings) -> Result<Self> {
        let set_weights = weights::of_sets(targets, settings)?;
        let potentials = match settings.loss {
            Loss::SetLikelihood(likelihood) => Some(LearnedPotentials::new(
                likelihood,
                targets,
                &set_weights,
                settings.seen_set_decay,
            )?),
            _ => None,
        };
        Ok(Self {
            targets,
            loss: settings.loss,
            set_weights,
            class_weights: weights::of_classes(targets, settings)?,
            potentials,
        })
    }

    /// Numbers that a sample's loss depends on: K logits, and M + 1 potentials where they are
    /// linear in the features.
    pub(crate) fn num_outputs(&self) -> usize {
        let more = self
            .potentials
            .as_ref()
            .map_or(0, LearnedPotentials::num_outputs);
        self.targets.num_classes() + more
    }

    /// Potentials that all samples share.
    pub(crate) fn num_shared(&self) -> usize {
        let shared = self.potentials.as_ref();
        shared.map_or(0, LearnedPotentials::num_shared)
    }

    /// How much a label counts where a sample has it.
    pub(crate) fn class_weight(&self, label: usize) -> f64 {
        let weights = self.class_weights.as_ref();
        weights.map_or(1.0, |weights| weights[label])
    }

    /// The weight of each sample, with sum 1.
    pub(crate) fn sample_weights(&self) -> impl Iterator<Item = f64> {
        let set_ids = self.targets.set_ids().iter();
        set_ids.map(|&id| self.set_weights[id as usize])
    }

    /// How often each label occurs, by the weights of the samples: 1 when all have it.
    pub(crate) fn label_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.targets.num_classes()];
        let counts = self.targets.counts();
        let sets = self.targets.distinct().iter().zip(counts);
        for ((set, count), weight) in sets.zip(&self.set_weights) {
            for label in set.indices() {
                shares[label] += weight * count as f64;
            }
        }
        shares
    }

    /// The share of each label, kept away from 0 and 1, where logits are infinite.
    pub(crate) fn probabilities(&self) -> Vec<f64> {
        const SMALLEST_SHARE: f64 = 1e-6;
        let shares = self.label_shares();
        let total: f64 = shares.iter().sum();
        let of_softmax = self.loss.info().link == Link::Softmax;
        let probability = |share: &f64| {
            let probability = if of_softmax { share / total } else { *share };
            probability.clamp(SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        };
        shares.iter().map(probability).collect()
    }

    /// The weighted losses of the samples from `first` on, row by row of outputs; slopes go to
    /// `slopes`, those in shared potentials are added to `shared`.
    pub(crate) fn of_rows(
        &self,
        first: usize,
        outputs: &[f64],
        slopes: &mut [f64],
        (model, shared): (Option<&SetPotentials>, &mut [f64]),
        group: &mut MarginalsGroup,
    ) -> f64 {
        let width = self.num_outputs();
        let mut set_ids = self.targets.set_ids()[first..]
            .iter()
            .map(|&id| id as usize);
        let mut total = 0.0;
        if let (Some(potentials), Some(model)) = (&self.potentials, model) {
            let groups = outputs.chunks(width * MarginalsGroup::LEN);
            for (outputs, slopes) in groups.zip(slopes.chunks_mut(width * MarginalsGroup::LEN)) {
                let each = group.run(model, outputs, width).iter();
                let rows = outputs
                    .chunks_exact(width)
                    .zip(slopes.chunks_exact_mut(width));
                for ((marginals, (outputs, slopes)), set_id) in each.zip(rows).zip(&mut set_ids) {
                    let set = &self.targets.distinct()[set_id];
                    let weights = self.class_weights.as_ref();
                    let weight = self.set_weights[set_id]
                        * weights.map_or(1.0, |weights| mean_weight(set, weights));
                    let own = (outputs, slopes, &mut *shared);
                    total += weight * potentials.of_sample(model, (set, weight), own, marginals);
                }
            }
            return total;
        }
        let rows = outputs
            .chunks_exact(width)
            .zip(slopes.chunks_exact_mut(width));
        for ((outputs, slopes), set_id) in rows.zip(set_ids) {
            total += self.of_sample(set_id, outputs, slopes);
        }
        total
    }

    /// The weighted loss of one sample with this label set; its slopes go to `slopes` `[K]`. Not of
    /// the set likelihood.
    pub(crate) fn of_sample(&self, set_id: usize, logits: &[f64], slopes: &mut [f64]) -> f64 {
        let weight = self.set_weights[set_id];
        let set = &self.targets.distinct()[set_id];
        let loss = match &self.class_weights {
            None => self.loss.of_sample(logits, set, slopes),
            Some(weights) => self.loss.weighted_of_sample(logits, set, weights, slopes),
        };
        slopes.iter_mut().for_each(|slope| *slope *= weight);
        weight * loss
    }

    /// A bound of the curvature of a sample's weighted loss in its logits.
    pub(crate) fn curvature_of(&self, set_id: usize) -> f64 {
        let set = &self.targets.distinct()[set_id];
        let of_class = |label: usize| self.class_weight(label);
        let largest = set.indices().map(of_class).fold(1.0, f64::max);
        let bound = match self.loss {
            // ½ bounds the Hessian of a log-sum-exp, ¼ that of log(1 + e^z).
            Loss::PickAllLabels(loss) => {
                let total: f64 = set.indices().map(of_class).sum();
                0.5 * loss.sample_weight(set.multiplicity()) * total
            }
            Loss::Zlpr {} => 0.5,
            Loss::BinaryCrossEntropy {} => 0.25 * largest,
            // Focusing steepens the slope by at most its exponent.
            Loss::Focal { gamma } => 0.25 * (1.0 + 2.0 * gamma) * largest,
            Loss::Asymmetric {
                gamma_positive,
                gamma_negative,
                ..
            } => 0.25 * (1.0 + 2.0 * gamma_positive.max(gamma_negative)) * largest,
            // The variance of the number of labels of a set, of at most K.
            Loss::SetLikelihood(_) => 0.25 * self.targets.num_classes() as f64 * largest,
        };
        self.set_weights[set_id] * bound
    }
}
