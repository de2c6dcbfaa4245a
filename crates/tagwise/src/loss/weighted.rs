//! Losses in which labels count differently.

use super::pick_all_labels::argmax;
use super::set_likelihood::SetLikelihood;
use super::{Focus, Loss, PickAllLabels, check_row, check_size, zlpr};
use crate::{LabelSet, Result};

impl Loss {
    /// The loss of one sample in which what label k costs by being in the set counts c_k-fold.
    ///
    /// Pick-all-labels: Σ_{k∈S} −c_k·log p_k, or the same divided by m. Binary cross-entropy, focal
    /// and asymmetric loss: the terms of the labels in the set times c_k, as PyTorch's
    /// `pos_weight` has it. ZLPR: log(1 + Σ_{k∉S} e^{z_k}) + log(1 + Σ_{k∈S} c_k·e^{−z_k}). Set
    /// likelihood: the sample counts as the mean of c_k over its labels.
    ///
    /// # Shapes
    /// `logits`, `class_weights` (positive) and `gradient` are `[K]`.
    ///
    /// # Errors
    /// As [`value_and_gradient`](Self::value_and_gradient).
    ///
    /// ```
    /// use tagwise::LabelSet;
    /// use tagwise::loss::Loss;
    ///
    /// let mut gradient = [0.0; 2];
    /// let set = LabelSet::new([1]);
    /// let loss = Loss::BinaryCrossEntropy {};
    /// let value = loss.weighted_value_and_gradient(&[0.0; 2], &set, &[1.0, 3.0], &mut gradient)?;
    /// assert!((value - 4.0 * 2f64.ln()).abs() < 1e-12); // 1 + 3 terms
    /// assert_eq!(gradient, [0.5, -1.5]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn weighted_value_and_gradient(
        &self,
        logits: &[f64],
        targets: &LabelSet,
        class_weights: &[f64],
        gradient: &mut [f64],
    ) -> Result<f64> {
        check_row(logits, targets, gradient)?;
        check_size("class weights", logits.len(), class_weights.len())?;
        Ok(self.weighted_of_sample(logits, targets, class_weights, gradient))
    }

    /// [`weighted_value_and_gradient`](Self::weighted_value_and_gradient) for rows whose lengths
    /// and labels fit.
    pub(crate) fn weighted_of_sample(
        &self,
        logits: &[f64],
        targets: &LabelSet,
        class_weights: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let focus = |gamma_positive| Focus {
            gamma_positive,
            gamma_negative: 0.0,
            margin: 0.0,
        };
        match *self {
            Self::PickAllLabels(loss) => {
                return pick_all_labels(loss, logits, targets, class_weights, gradient);
            }
            Self::Zlpr {} => {
                let mut shifted = logits.to_vec();
                for label in targets.indices() {
                    shifted[label] -= class_weights[label].ln();
                }
                return zlpr(&shifted, targets, gradient);
            }
            Self::SetLikelihood(loss) => {
                return set_likelihood(loss, logits, targets, class_weights, gradient);
            }
            Self::BinaryCrossEntropy {} | Self::Focal { .. } | Self::Asymmetric { .. } => {}
        }
        let focus = match *self {
            Self::Focal { gamma } => focus(gamma),
            Self::Asymmetric { gamma_positive, .. } => focus(gamma_positive),
            _ => focus(0.0),
        };
        let mut value = self.of_sample(logits, targets, gradient);
        for label in targets.indices() {
            let (term, slope) = focus.positive(logits[label]);
            value += (class_weights[label] - 1.0) * term;
            gradient[label] = class_weights[label] * slope;
        }
        value
    }
}

/// −log p(S) times the mean of c_k over S; an empty set counts once.
fn set_likelihood(
    loss: SetLikelihood,
    logits: &[f64],
    targets: &LabelSet,
    class_weights: &[f64],
    gradient: &mut [f64],
) -> f64 {
    let weight = mean_weight(targets, class_weights);
    let value = loss.of_sample(logits, targets, gradient);
    gradient.iter_mut().for_each(|slope| *slope *= weight);
    weight * value
}

/// The mean of c_k over the labels of a set, 1 for an empty one.
pub(crate) fn mean_weight(set: &LabelSet, class_weights: &[f64]) -> f64 {
    let total: f64 = set.indices().map(|label| class_weights[label]).sum();
    match set.multiplicity() {
        0 => 1.0,
        m => total / m as f64,
    }
}

/// α·Σ_{k∈S} −c_k·log p_k with slopes α·(p·Σ_{k∈S} c_k − c·1_S).
fn pick_all_labels(
    loss: PickAllLabels,
    logits: &[f64],
    targets: &LabelSet,
    class_weights: &[f64],
    gradient: &mut [f64],
) -> f64 {
    let weight = loss.sample_weight(targets.multiplicity());
    let top = argmax(logits);
    let mut rest = 0.0;
    for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
        *g = (logit - logits[top]).exp();
        if k != top {
            rest += *g;
        }
    }
    let total: f64 = targets.indices().map(|label| class_weights[label]).sum();
    let scale = weight * total / (1.0 + rest);
    gradient.iter_mut().for_each(|g| *g *= scale);
    let log_partition = rest.ln_1p();
    let mut value = 0.0;
    for label in targets.indices() {
        value += class_weights[label] * ((logits[top] - logits[label]) + log_partition);
        gradient[label] -= weight * class_weights[label];
    }
    weight * value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Weighting;

    /// Central differences with h = 1e-5: h² times a third derivative of size 10, plus 1e-16/h.
    const DIFFERENCE: f64 = 1e-8;

    fn losses() -> [Loss; 7] {
        [
            Loss::default(),
            Loss::PickAllLabels(PickAllLabels {
                weighting: Weighting::Mean,
            }),
            Loss::BinaryCrossEntropy {},
            Loss::Focal { gamma: 2.0 },
            Loss::Asymmetric {
                gamma_positive: 1.0,
                gamma_negative: 4.0,
                margin: 0.05,
            },
            Loss::Zlpr {},
            Loss::SetLikelihood(SetLikelihood {
                max_multiplicity: Some(3),
                ..SetLikelihood::default()
            }),
        ]
    }

    #[test]
    fn weights_of_one_change_nothing() {
        let logits = [0.3, -1.2, 2.0, 0.1];
        for loss in losses() {
            for set in [vec![], vec![2], vec![0, 1, 3]].map(LabelSet::new) {
                let (mut plain, mut weighted) = ([0.0; 4], [0.0; 4]);
                let a = loss.of_sample(&logits, &set, &mut plain);
                let b = loss.weighted_of_sample(&logits, &set, &[1.0; 4], &mut weighted);
                assert!((a - b).abs() < 1e-14, "{loss:?}");
                for (a, b) in plain.iter().zip(&weighted) {
                    assert!((a - b).abs() < 1e-14, "{loss:?}");
                }
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_weighted_losses() {
        const STEP: f64 = 1e-5;
        let mut logits = [0.3, -1.2, 2.0, 0.1];
        let weights = [2.0, 0.5, 3.0, 1.5];
        let mut scratch = [0.0; 4];
        for loss in losses() {
            for set in [vec![], vec![2], vec![0, 1, 3]].map(LabelSet::new) {
                let mut gradient = [0.0; 4];
                loss.weighted_of_sample(&logits, &set, &weights, &mut gradient);
                for k in 0..4 {
                    let mut value_at = |shift: f64| {
                        logits[k] += shift;
                        let value = loss.weighted_of_sample(&logits, &set, &weights, &mut scratch);
                        logits[k] -= shift;
                        value
                    };
                    let slope = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
                    assert!((slope - gradient[k]).abs() < DIFFERENCE, "{loss:?} {set:?}");
                }
            }
        }
    }

    #[test]
    fn a_weight_counts_a_label_as_often() {
        let logits = [0.3, -1.2, 2.0];
        let (mut once, mut twice) = ([0.0; 3], [0.0; 3]);
        let (both, first) = (LabelSet::new([0, 1]), LabelSet::new([0]));
        let loss = Loss::default();
        let sum =
            loss.of_sample(&logits, &both, &mut once) + loss.of_sample(&logits, &first, &mut once);
        let weights = [2.0, 1.0, 1.0];
        let weighted = loss.weighted_of_sample(&logits, &both, &weights, &mut twice);
        assert!((sum - weighted).abs() < 1e-12);
    }
}
