//! The pick-all-labels loss and the multi-label losses it is compared with, on logits.
//!
//! Every loss is a sum over the labels of one sample, computed from logits through log-softmax or
//! log-sigmoid, with its exact gradient. Logits that are NaN give NaN; finite logits never do.

mod weighted;

use serde::{Deserialize, Serialize};

use crate::{Error, LabelSet, Result};

/// How the m terms of a sample's pick-all-labels loss are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Their sum: the loss of the paper (PAL), for which a sample counts m-fold.
    #[default]
    Sum,
    /// Their mean: PAL-N, cross-entropy against the targets 1/m, for which a sample counts once.
    Mean,
}

/// The pick-all-labels cross-entropy of one sample, Σ_{k∈S} −log p_k with p = softmax(z), or the
/// same divided by m = |S|.
///
/// Its gradient is m·p − 1_S (divided by m likewise). The loss of an empty label set is 0 with
/// gradient 0: there is no label to pick.
///
/// Source: Li et al. 2024 (arXiv 2310.15903), equation 2; the mean is what the authors' public
/// code trains on synthetic data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PickAllLabels {
    /// Sum (PAL) or mean (PAL-N) over the labels of the sample.
    #[serde(default)]
    pub weighting: Weighting,
}

/// A multi-label loss of one sample with logits z and label set S.
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::loss::{Loss, PickAllLabels};
///
/// let loss = Loss::PickAllLabels(PickAllLabels::default());
/// let mut gradient = [0.0; 3];
/// let value = loss.value_and_gradient(&[0.0; 3], &LabelSet::new([0, 2]), &mut gradient);
/// assert!((value - 2.0 * 3f64.ln()).abs() < 1e-12);
/// assert!((gradient[0] + 1.0 / 3.0).abs() < 1e-12); // 2/3 − 1
/// assert!((gradient[1] - 2.0 / 3.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// Pick-all-labels cross-entropy, see [`PickAllLabels`].
    PickAllLabels(PickAllLabels),

    /// Binary cross-entropy summed over the classes:
    /// Σ_{k∈S} −log σ(z_k) + Σ_{k∉S} −log σ(−z_k).
    BinaryCrossEntropy {},

    /// Focal loss summed over the classes: each term of the binary cross-entropy times
    /// (1 − p_t)^gamma, with p_t the probability given to what is true.
    ///
    /// Source: Lin et al. 2017 (arXiv 1708.02002), equation 4.
    Focal {
        /// Exponent γ ≥ 0; 0 gives binary cross-entropy.
        #[serde(default = "defaults::gamma")]
        gamma: f64,
    },

    /// Asymmetric loss summed over the classes, with p = σ(z) and p₋ = max(p − margin, 0):
    /// Σ_{k∈S} −(1 − p_k)^γ₊ log p_k + Σ_{k∉S} −p₋^γ₋ log(1 − p₋).
    ///
    /// The gradient is that of the whole expression, focusing weights included.
    ///
    /// Source: Ridnik et al. 2021 (arXiv 2009.14119), equations 4 to 6.
    Asymmetric {
        /// Focusing exponent of the labels in the set, γ₊ ≥ 0.
        #[serde(default = "defaults::gamma_positive")]
        gamma_positive: f64,
        /// Focusing exponent of the labels outside the set, γ₋ ≥ 0.
        #[serde(default = "defaults::gamma_negative")]
        gamma_negative: f64,
        /// Probability below which a label outside the set costs nothing, 0 ≤ margin < 1.
        #[serde(default = "defaults::margin")]
        margin: f64,
    },

    /// Zero-bounded log-sum-exp and pairwise rank-based loss:
    /// log(1 + Σ_{k∉S} e^{z_k}) + log(1 + Σ_{k∈S} e^{−z_k}).
    ///
    /// Source: Su et al. 2022 (arXiv 2208.02955), equation 6.
    Zlpr {},
}

/// The values that the losses' authors recommend.
mod defaults {
    pub(super) fn gamma() -> f64 {
        2.0
    }
    pub(super) fn gamma_positive() -> f64 {
        0.0
    }
    pub(super) fn gamma_negative() -> f64 {
        4.0
    }
    pub(super) fn margin() -> f64 {
        0.05
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::PickAllLabels(PickAllLabels::default())
    }
}

impl Loss {
    /// Whether its parameters lie where the loss is defined.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a focusing exponent that is negative or not finite, and for a
    /// margin outside 0 ≤ margin < 1.
    ///
    /// ```
    /// use tagwise::loss::Loss;
    ///
    /// assert!(Loss::Focal { gamma: 2.0 }.validate().is_ok());
    /// assert!(Loss::Focal { gamma: -1.0 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        let exponent = |name, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(Error::OutOfRange {
                name,
                requirement: "to be a finite number of at least 0",
                found: value.to_string(),
            }),
        };
        match *self {
            Self::PickAllLabels(_) | Self::BinaryCrossEntropy {} | Self::Zlpr {} => Ok(()),
            Self::Focal { gamma } => exponent("loss.gamma", gamma),
            Self::Asymmetric {
                gamma_positive,
                gamma_negative,
                margin,
            } => {
                exponent("loss.gamma_positive", gamma_positive)?;
                exponent("loss.gamma_negative", gamma_negative)?;
                match (0.0..1.0).contains(&margin) {
                    true => Ok(()),
                    false => Err(Error::OutOfRange {
                        name: "loss.margin",
                        requirement: "to be at least 0 and below 1",
                        found: margin.to_string(),
                    }),
                }
            }
        }
    }

    /// The loss of one sample; its gradient with respect to the logits overwrites `gradient`.
    ///
    /// # Shapes
    /// `logits` and `gradient` are `[K]`.
    ///
    /// # Panics
    /// When the lengths differ or a label is not below K.
    pub fn value_and_gradient(
        &self,
        logits: &[f64],
        targets: &LabelSet,
        gradient: &mut [f64],
    ) -> f64 {
        assert_eq!(
            logits.len(),
            gradient.len(),
            "one gradient entry for each logit"
        );
        match *self {
            Self::PickAllLabels(loss) => loss.value_and_gradient(logits, targets, gradient),
            Self::BinaryCrossEntropy {} => binary_cross_entropy(logits, targets, gradient),
            Self::Focal { gamma } => Focus {
                gamma_positive: gamma,
                gamma_negative: gamma,
                margin: 0.0,
            }
            .sum(logits, targets, gradient),
            Self::Asymmetric {
                gamma_positive,
                gamma_negative,
                margin,
            } => Focus {
                gamma_positive,
                gamma_negative,
                margin,
            }
            .sum(logits, targets, gradient),
            Self::Zlpr {} => zlpr(logits, targets, gradient),
        }
    }

    /// The mean loss of a batch; its gradient with respect to the logits overwrites `gradient`.
    ///
    /// The mean is over the B samples, so the gradient of a sample is its own divided by B. The
    /// arithmetic is in f64. An empty batch has loss 0.
    ///
    /// # Shapes
    /// `logits` and `gradient` are row-major `[B, K]`; `targets` yields B label sets.
    ///
    /// # Panics
    /// When these shapes do not fit together or a label is not below K.
    ///
    /// ```
    /// use tagwise::LabelSet;
    /// use tagwise::loss::Loss;
    ///
    /// let targets = [LabelSet::new([0]), LabelSet::new([0, 1])];
    /// let mut gradient = [0f32; 4];
    /// let mean = Loss::default().batch_mean(&[0.0; 4], targets.iter(), &mut gradient);
    /// assert!((mean - 1.5 * 2f64.ln()).abs() < 1e-12);
    /// assert_eq!(gradient, [-0.25, 0.25, 0.0, 0.0]);
    /// ```
    pub fn batch_mean<'a>(
        &self,
        logits: &[f32],
        targets: impl ExactSizeIterator<Item = &'a LabelSet>,
        gradient: &mut [f32],
    ) -> f64 {
        assert_eq!(
            logits.len(),
            gradient.len(),
            "one gradient entry for each logit"
        );
        let batch_size = targets.len();
        if batch_size == 0 {
            assert!(
                logits.is_empty(),
                "logits of a batch need one label set a row"
            );
            return 0.0;
        }
        assert!(
            logits.len().is_multiple_of(batch_size) && !logits.is_empty(),
            "logits of a batch need one label set a row"
        );
        let num_classes = logits.len() / batch_size;
        let scale = 1.0 / batch_size as f64;
        let mut wide_logits = vec![0.0; num_classes];
        let mut wide_gradient = vec![0.0; num_classes];
        let mut total = 0.0;
        let rows = logits
            .chunks_exact(num_classes)
            .zip(gradient.chunks_exact_mut(num_classes));
        for ((logits, gradient), set) in rows.zip(targets) {
            for (wide, &logit) in wide_logits.iter_mut().zip(logits) {
                *wide = f64::from(logit);
            }
            total += self.value_and_gradient(&wide_logits, set, &mut wide_gradient);
            for (narrow, wide) in gradient.iter_mut().zip(&wide_gradient) {
                *narrow = (wide * scale) as f32;
            }
        }
        total * scale
    }
}

impl PickAllLabels {
    /// The weight α of a sample of this multiplicity: 1 for the sum, 1/m for the mean, 0 for an
    /// empty set.
    pub fn sample_weight(self, multiplicity: usize) -> f64 {
        match (self.weighting, multiplicity) {
            (_, 0) => 0.0,
            (Weighting::Sum, _) => 1.0,
            (Weighting::Mean, m) => 1.0 / m as f64,
        }
    }

    fn value_and_gradient(self, logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
        let multiplicity = targets.multiplicity();
        if multiplicity == 0 {
            gradient.fill(0.0);
            return 0.0;
        }
        let weight = self.sample_weight(multiplicity);
        let top = argmax(logits);
        let mut rest = 0.0; // Σ exp(z − max) without the largest term: keeps tiny losses exact
        for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
            *g = (logit - logits[top]).exp();
            if k != top {
                rest += *g;
            }
        }
        let scale = weight * multiplicity as f64 / (1.0 + rest);
        gradient.iter_mut().for_each(|g| *g *= scale);
        let log_partition = rest.ln_1p();
        let mut value = 0.0;
        for label in targets.indices() {
            value += (logits[top] - logits[label]) + log_partition;
            gradient[label] -= weight;
        }
        weight * value
    }
}

/// Position of the first largest entry; 0 when there is none or all are NaN.
fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// Σ_{k∉S} log(1 + e^{z_k}) + Σ_{k∈S} log(1 + e^{−z_k}) with slopes σ(z_k) and −σ(−z_k), from one
/// exponential per label.
fn binary_cross_entropy(logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
    let mut labels = targets.indices().peekable();
    let mut value = 0.0;
    for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
        let sign = if labels.next_if_eq(&k).is_some() {
            -1.0
        } else {
            1.0
        };
        let wrong = sign * logit; // the term is log(1 + e^wrong)
        let small = (-wrong.abs()).exp();
        value += wrong.max(0.0) + small.ln_1p();
        *g = sign * if wrong >= 0.0 { 1.0 } else { small } / (1.0 + small);
    }
    assert!(labels.next().is_none(), "labels lie below K");
    value
}

/// The parameters shared by focal and asymmetric loss.
struct Focus {
    gamma_positive: f64,
    gamma_negative: f64,
    margin: f64,
}

impl Focus {
    fn sum(&self, logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
        let mut labels = targets.indices().peekable();
        let mut value = 0.0;
        for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
            let (term, slope) = if labels.next_if_eq(&k).is_some() {
                self.positive(logit)
            } else {
                self.negative(logit)
            };
            value += term;
            *g = slope;
        }
        assert!(labels.next().is_none(), "labels lie below K");
        value
    }

    /// −(1−p)^γ log p and its slope (1−p)^γ (γ p log p − (1−p)).
    fn positive(&self, logit: f64) -> (f64, f64) {
        let (p, miss) = (sigmoid(logit), sigmoid(-logit));
        let log_p = log_sigmoid(logit);
        let focus = power(miss, self.gamma_positive);
        (
            -focus * log_p,
            focus * (self.gamma_positive * p * log_p - miss),
        )
    }

    /// −q^γ log(1−q) with q = max(p − margin, 0) and its slope
    /// q^γ (1−p) p · (1/(1−q) − γ log(1−q)/q).
    fn negative(&self, logit: f64) -> (f64, f64) {
        let (p, miss) = (sigmoid(logit), sigmoid(-logit));
        let q = p - self.margin;
        if q <= 0.0 {
            return (0.0, 0.0);
        }
        let focus = power(q, self.gamma_negative);
        // Without a margin 1 − q = σ(−z), which underflows long before its logarithm does.
        let (log_rest, steepness) = if self.margin == 0.0 {
            (log_sigmoid(-logit), p)
        } else {
            ((-q).ln_1p(), p * miss / (1.0 - q))
        };
        let slope = focus * (steepness - self.gamma_negative * p * miss * log_rest / q);
        (-focus * log_rest, slope)
    }
}

/// base^exponent with 0^0 = 1, skipping the power function for the exponents people use.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 0.0 {
        1.0
    } else if exponent.fract() == 0.0 && exponent <= 16.0 {
        base.powi(exponent as i32)
    } else {
        base.powf(exponent)
    }
}

pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// log σ(z) = −log(1 + e^{−z}) without overflow or cancellation.
fn log_sigmoid(z: f64) -> f64 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

fn zlpr(logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
    // The two sums run over signed logits: z outside the set, −z inside; each has the extra term
    // e^0, so the largest exponent to subtract is at least 0.
    let mut labels = targets.indices().peekable();
    let (mut largest_in, mut largest_out) = (0f64, 0f64);
    for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
        *g = if labels.next_if_eq(&k).is_some() {
            largest_in = largest_in.max(-logit);
            -1.0
        } else {
            largest_out = largest_out.max(logit);
            1.0
        };
    }
    assert!(labels.next().is_none(), "labels lie below K");
    let (mut sum_in, mut sum_out) = (0.0, 0.0);
    for (&logit, g) in logits.iter().zip(gradient.iter_mut()) {
        if *g < 0.0 {
            let term = (-logit - largest_in).exp();
            sum_in += term;
            *g = -term;
        } else {
            let term = (logit - largest_out).exp();
            sum_out += term;
            *g = term;
        }
    }
    let one_in = (-largest_in).exp();
    let one_out = (-largest_out).exp();
    for g in gradient.iter_mut() {
        *g /= if g.is_sign_negative() {
            one_in + sum_in
        } else {
            one_out + sum_out
        };
    }
    log_of_sum(largest_in, one_in, sum_in) + log_of_sum(largest_out, one_out, sum_out)
}

/// log(e^{largest}·(one + sum)) where `one` = e^{−largest}: exact also when `sum` is tiny.
fn log_of_sum(largest: f64, one: f64, sum: f64) -> f64 {
    if largest == 0.0 {
        sum.ln_1p()
    } else {
        largest + (one + sum).ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Loss; 8] = [
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Sum,
        }),
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Mean,
        }),
        Loss::BinaryCrossEntropy {},
        Loss::Focal { gamma: 2.0 },
        Loss::Focal { gamma: 0.5 },
        Loss::Asymmetric {
            gamma_positive: 1.0,
            gamma_negative: 4.0,
            margin: 0.05,
        },
        Loss::Asymmetric {
            gamma_positive: 0.0,
            gamma_negative: 3.0,
            margin: 0.0,
        },
        Loss::Zlpr {},
    ];

    /// Rounding of sums of a dozen terms of the size of the largest.
    const ROUNDING: f64 = 1e-12;

    /// Central differences with h = 1e-5: h² times a third derivative of size 1, plus 1e-16/h.
    const DIFFERENCE: f64 = 1e-8;

    fn logits_and_set() -> impl Strategy<Value = (Vec<f64>, LabelSet)> {
        (2usize..10).prop_flat_map(|k| {
            (
                prop::collection::vec(-4.0..4.0f64, k),
                prop::collection::vec(any::<bool>(), k)
                    .prop_map(|hot| LabelSet::from_multi_hot(&hot)),
            )
        })
    }

    fn value(loss: Loss, logits: &[f64], set: &LabelSet) -> f64 {
        loss.value_and_gradient(logits, set, &mut vec![0.0; logits.len()])
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        loss: Loss,
        logits: Vec<f64>,
        labels: LabelSet,
        value: f64,
        gradient: Vec<f64>,
    }

    #[test]
    fn losses_and_gradients_agree_with_pytorch() {
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../../../tests/golden/loss.json")).unwrap();
        assert!(golden.len() > 200);
        for case in golden {
            let mut gradient = vec![f64::NAN; case.logits.len()];
            let value = case
                .loss
                .value_and_gradient(&case.logits, &case.labels, &mut gradient);
            let scale = 1.0 + case.value.abs();
            assert!(
                (value - case.value).abs() < ROUNDING * scale,
                "{:?} of {:?} at {}: {value}, expected {}",
                case.loss,
                case.logits,
                case.labels,
                case.value
            );
            for (found, expected) in gradient.iter().zip(&case.gradient) {
                assert!(
                    (found - expected).abs() < ROUNDING * scale,
                    "{:?} of {:?} at {}: {gradient:?}, expected {:?}",
                    case.loss,
                    case.logits,
                    case.labels,
                    case.gradient
                );
            }
        }
    }

    #[test]
    fn no_finite_logit_gives_a_number_that_is_not_finite() {
        let logits = [1e4, -1e4, 800.0, -800.0, 0.0, 40.0];
        for loss in ALL {
            for bits in 0..64u32 {
                let set: LabelSet = (0..6).filter(|k| bits >> k & 1 == 1).collect();
                let mut gradient = [f64::NAN; 6];
                let value = loss.value_and_gradient(&logits, &set, &mut gradient);
                assert!(value.is_finite() && value >= 0.0, "{loss:?} {set}: {value}");
                assert!(
                    gradient.iter().all(|g| g.is_finite()),
                    "{loss:?} {set}: {gradient:?}"
                );
            }
        }
    }

    #[test]
    fn an_empty_label_set_costs_nothing_under_pick_all_labels() {
        for weighting in [Weighting::Sum, Weighting::Mean] {
            let loss = Loss::PickAllLabels(PickAllLabels { weighting });
            let mut gradient = [1.0; 3];
            let value =
                loss.value_and_gradient(&[3.0, -1.0, 2.0], &LabelSet::default(), &mut gradient);
            assert_eq!((value, gradient), (0.0, [0.0; 3]));
        }
    }

    #[test]
    fn all_labels_at_once_are_best_at_equal_logits() {
        let all = LabelSet::new(0..4);
        let loss = Loss::default();
        let mut gradient = [1.0; 4];
        let equal = loss.value_and_gradient(&[0.7; 4], &all, &mut gradient);
        assert!((equal - 4.0 * 4f64.ln()).abs() < ROUNDING);
        assert!(gradient.iter().all(|g| g.abs() < ROUNDING));
        assert!(value(loss, &[0.7, 0.7, 0.7, 0.8], &all) > equal);
    }

    #[test]
    fn a_loss_far_below_machine_precision_keeps_its_digits() {
        let value = value(Loss::default(), &[50.0, 0.0], &LabelSet::new([0]));
        assert!((value / (-50f64).exp() - 1.0).abs() < ROUNDING);
    }

    #[test]
    fn a_batch_is_the_mean_of_its_samples() {
        let logits: [f32; 6] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75];
        let sets = [LabelSet::new([0, 2]), LabelSet::new([1])];
        for loss in ALL {
            let mut gradient = [0f32; 6];
            let mean = loss.batch_mean(&logits, sets.iter(), &mut gradient);
            let mut expected = 0.0;
            for (row, set) in sets.iter().enumerate() {
                let wide: Vec<f64> = logits[3 * row..][..3].iter().map(|&z| z.into()).collect();
                let mut wide_gradient = [0.0; 3];
                expected += loss.value_and_gradient(&wide, set, &mut wide_gradient) / 2.0;
                for (found, wide) in gradient[3 * row..][..3].iter().zip(wide_gradient) {
                    assert_eq!(*found, (wide / 2.0) as f32);
                }
            }
            assert!((mean - expected).abs() < ROUNDING);
        }
        assert_eq!(
            Loss::Zlpr {}.batch_mean(&[], [].into_iter(), &mut []),
            0.0,
            "an empty batch"
        );
    }

    #[test]
    fn losses_are_written_and_read_by_name() {
        let json = serde_json::to_string(&ALL).unwrap();
        assert_eq!(serde_json::from_str::<[Loss; 8]>(&json).unwrap(), ALL);
        let read = |text| serde_json::from_str::<Loss>(text);
        assert_eq!(
            read(r#"{"name": "focal"}"#).unwrap(),
            Loss::Focal { gamma: 2.0 }
        );
        assert!(read(r#"{"name": "focal", "alpha": 0.25}"#).is_err());
        assert!(read(r#"{"name": "hinge"}"#).is_err());
    }

    proptest! {
        #[test]
        fn gradients_are_the_slopes_of_the_values((logits, set) in logits_and_set()) {
            const STEP: f64 = 1e-5;
            for loss in ALL {
                let mut gradient = vec![0.0; logits.len()];
                loss.value_and_gradient(&logits, &set, &mut gradient);
                for k in 0..logits.len() {
                    // The asymmetric loss has a kink where σ(z) equals its margin.
                    if matches!(loss, Loss::Asymmetric { margin, .. } if (sigmoid(logits[k]) - margin).abs() < STEP) {
                        continue;
                    }
                    let mut shifted = logits.clone();
                    shifted[k] = logits[k] + STEP;
                    let above = value(loss, &shifted, &set);
                    shifted[k] = logits[k] - STEP;
                    let below = value(loss, &shifted, &set);
                    let slope = (above - below) / (2.0 * STEP);
                    prop_assert!((slope - gradient[k]).abs() < DIFFERENCE, "{loss:?}: {slope} vs {}", gradient[k]);
                }
            }
        }

        #[test]
        fn pick_all_labels_ignores_a_shift_of_all_logits((logits, set) in logits_and_set(), shift in -100.0..100.0f64) {
            let shifted: Vec<f64> = logits.iter().map(|z| z + shift).collect();
            let difference = value(ALL[0], &logits, &set) - value(ALL[0], &shifted, &set);
            prop_assert!(difference.abs() < 1e-10); // rounding of logits of size 100
        }

        #[test]
        fn asymmetric_and_focal_loss_contain_binary_cross_entropy((logits, set) in logits_and_set()) {
            let plain = value(Loss::BinaryCrossEntropy {}, &logits, &set);
            let focal = value(Loss::Focal { gamma: 0.0 }, &logits, &set);
            let asymmetric = Loss::Asymmetric { gamma_positive: 0.0, gamma_negative: 0.0, margin: 0.0 };
            prop_assert!((plain - focal).abs() < ROUNDING);
            prop_assert!((plain - value(asymmetric, &logits, &set)).abs() < ROUNDING);
        }

        /// For any c > 0 and 0 < m < K the loss is at least linear in the logits, with equality
        /// when both groups are constant and log((K−m)c/m) apart.
        #[test]
        fn pick_all_labels_has_a_linear_lower_bound_that_is_tight((logits, set) in logits_and_set(), c in 0.01..100.0f64) {
            let (k, m) = (logits.len() as f64, set.multiplicity() as f64);
            prop_assume!(m > 0.0 && m < k);
            let bound = |z: &[f64]| {
                let in_set: f64 = set.indices().map(|l| z[l]).sum();
                let slope = m / ((1.0 + c) * (k - m));
                let offset = m * c / (1.0 + c) * (m.ln() + ((1.0 + c) / c).ln())
                    + m / (1.0 + c) * ((k - m) * (1.0 + c)).ln();
                slope * (z.iter().sum::<f64>() - k / m * in_set) + offset
            };
            prop_assert!(value(ALL[0], &logits, &set) >= bound(&logits) - ROUNDING * 100.0);

            let gap = ((k - m) * c / m).ln();
            let tight: Vec<f64> = (0u32..).take(logits.len())
                .map(|l| if set.contains(l) { 0.3 + gap } else { 0.3 })
                .collect();
            prop_assert!((value(ALL[0], &tight, &set) - bound(&tight)).abs() < ROUNDING * 100.0);
        }
    }
}
