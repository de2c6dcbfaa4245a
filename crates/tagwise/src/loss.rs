//! The pick-all-labels loss and the multi-label losses it is compared with, on logits.
//!
//! Every loss is a sum over the labels of one sample, computed from logits through log-softmax or
//! log-sigmoid, with its exact gradient. Logits that are NaN give NaN; finite logits never do.
//! [`LOSSES`] lists them with their names, parameters and what their logits mean.

mod pick_all_labels;
pub mod set_likelihood;
mod table;
mod terms;
mod weighted;

use serde::{Deserialize, Serialize};

pub use pick_all_labels::{PickAllLabels, Weighting};
pub use table::{LOSSES, Link, LossInfo};

use set_likelihood::SetLikelihood;
use table::defaults;
pub(crate) use terms::sigmoid;
use terms::{Focus, binary_cross_entropy, zlpr};
pub(crate) use weighted::mean_weight;

use crate::{Error, LabelSet, Result, Targets};

/// A multi-label loss of one sample with logits z and label set S.
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::loss::{Loss, PickAllLabels};
///
/// let loss = Loss::PickAllLabels(PickAllLabels::default());
/// let mut gradient = [0.0; 3];
/// let value = loss.value_and_gradient(&[0.0; 3], &LabelSet::new([0, 2]), &mut gradient)?;
/// assert!((value - 2.0 * 3f64.ln()).abs() < 1e-12);
/// assert!((gradient[0] + 1.0 / 3.0).abs() < 1e-12); // 2/3 − 1
/// assert!((gradient[1] - 2.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
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

    /// −log p(S) under a distribution over label sets, see [`set_likelihood`]. What learns its
    /// potentials, a head or a network, keeps them; on bare logits they are 0.
    SetLikelihood(SetLikelihood),
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
            Self::PickAllLabels(_)
            | Self::BinaryCrossEntropy {}
            | Self::Zlpr {}
            | Self::SetLikelihood(_) => Ok(()),
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
    /// # Errors
    /// [`Error::SizeMismatch`] when the lengths differ, [`Error::LabelOutOfRange`] for a label that
    /// is not below K.
    pub fn value_and_gradient(
        &self,
        logits: &[f64],
        targets: &LabelSet,
        gradient: &mut [f64],
    ) -> Result<f64> {
        check_row(logits, targets, gradient)?;
        Ok(self.of_sample(logits, targets, gradient))
    }

    /// [`value_and_gradient`](Self::value_and_gradient) for rows whose lengths and labels fit:
    /// whoever calls it has checked that for the whole batch.
    pub(crate) fn of_sample(
        &self,
        logits: &[f64],
        targets: &LabelSet,
        gradient: &mut [f64],
    ) -> f64 {
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
            Self::SetLikelihood(loss) => loss.of_sample(logits, targets, gradient),
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
    /// # Errors
    /// [`Error::SizeMismatch`] when these shapes do not fit together, [`Error::LabelOutOfRange`]
    /// for a label that is not below K.
    ///
    /// ```
    /// use tagwise::LabelSet;
    /// use tagwise::loss::Loss;
    ///
    /// let targets = [LabelSet::new([0]), LabelSet::new([0, 1])];
    /// let mut gradient = [0f32; 4];
    /// let mean = Loss::default().batch_mean(&[0.0; 4], targets.iter(), &mut gradient)?;
    /// assert!((mean - 1.5 * 2f64.ln()).abs() < 1e-12);
    /// assert_eq!(gradient, [-0.25, 0.25, 0.0, 0.0]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn batch_mean<'a>(
        &self,
        logits: &[f32],
        targets: impl ExactSizeIterator<Item = &'a LabelSet> + Clone,
        gradient: &mut [f32],
    ) -> Result<f64> {
        let num_classes = check_batch(logits.len(), targets.clone(), gradient.len())?;
        if num_classes == 0 {
            return Ok(0.0);
        }
        let scale = 1.0 / targets.len() as f64;
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
            total += self.of_sample(&wide_logits, set, &mut wide_gradient);
            for (narrow, wide) in gradient.iter_mut().zip(&wide_gradient) {
                *narrow = (wide * scale) as f32;
            }
        }
        Ok(total * scale)
    }

    /// The mean loss over all samples, in f64; 0 without a sample.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there are N·K logits.
    ///
    /// ```
    /// use tagwise::loss::Loss;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [LabelSet::new([0]), LabelSet::new([1])])?;
    /// let mean = Loss::default().mean(&[0.0; 4], &targets)?;
    /// assert!((mean - 2f64.ln()).abs() < 1e-12);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn mean(&self, logits: &[f64], targets: &Targets) -> Result<f64> {
        let num_classes = targets.num_classes();
        check_size("logits", targets.len() * num_classes, logits.len())?;
        let mut gradient = vec![0.0; num_classes];
        let rows = logits.chunks(num_classes.max(1)).zip(targets.iter());
        let total: f64 = rows
            .map(|(row, set)| self.of_sample(row, set, &mut gradient))
            .sum();
        Ok(total / targets.len().max(1) as f64)
    }
}

fn check_size(what: &'static str, expected: usize, found: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::SizeMismatch {
            what,
            expected,
            found,
        }),
    }
}

fn check_labels(set: &LabelSet, sample: usize, num_classes: usize) -> Result<()> {
    match set.labels().last() {
        Some(&label) if label as usize >= num_classes => Err(Error::LabelOutOfRange {
            sample,
            label,
            num_classes,
        }),
        _ => Ok(()),
    }
}

fn check_row(logits: &[f64], targets: &LabelSet, gradient: &[f64]) -> Result<()> {
    check_size("entries of the gradient", logits.len(), gradient.len())?;
    check_labels(targets, 0, logits.len())
}

/// The number of classes K of a batch whose shapes fit; 0 for an empty one.
fn check_batch<'a>(
    num_logits: usize,
    targets: impl ExactSizeIterator<Item = &'a LabelSet>,
    num_slopes: usize,
) -> Result<usize> {
    check_size("entries of the gradient", num_logits, num_slopes)?;
    let batch_size = targets.len();
    let Some(num_classes) = num_logits.checked_div(batch_size) else {
        return check_size("logits", 0, num_logits).map(|()| 0);
    };
    check_size(
        "logits, as many for each label set",
        batch_size * num_classes.max(1),
        num_logits,
    )?;
    for (sample, set) in targets.enumerate() {
        check_labels(set, sample, num_classes)?;
    }
    Ok(num_classes)
}

#[cfg(test)]
mod tests;
