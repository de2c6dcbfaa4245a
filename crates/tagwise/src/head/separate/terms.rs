//! The terms that a label adds to a separable loss, for many labels at once.

use super::real::Real;
use crate::loss::Loss;

/// A loss that is a sum over labels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Terms<T> {
    BinaryCrossEntropy,
    /// Focal and asymmetric loss.
    Focused(Focus<T>),
}

/// The parameters shared by focal and asymmetric loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Focus<T> {
    gamma_positive: T,
    gamma_negative: T,
    margin: T,
}

/// The term of one label and its slope in the logit.
pub(super) trait Term<T> {
    fn term(&self, logit: T, is_in_set: bool) -> (T, T);
}

impl<T: Real> Terms<T> {
    /// Unless the loss is no sum over labels.
    pub(super) fn new(loss: Loss) -> Option<Self> {
        let focused = |gamma_positive, gamma_negative, margin| {
            Some(Self::Focused(Focus {
                gamma_positive: T::of(gamma_positive),
                gamma_negative: T::of(gamma_negative),
                margin: T::of(margin),
            }))
        };
        match loss {
            Loss::BinaryCrossEntropy {} => Some(Self::BinaryCrossEntropy),
            Loss::Focal { gamma } => focused(gamma, gamma, 0.0),
            Loss::Asymmetric {
                gamma_positive,
                gamma_negative,
                margin,
            } => focused(gamma_positive, gamma_negative, margin),
            Loss::PickAllLabels(_) | Loss::Zlpr {} | Loss::SetLikelihood(_) => None,
        }
    }
}

/// log(1 + e^{−z}) in the set and log(1 + e^{z}) outside, from one exponential.
pub(super) struct BinaryCrossEntropy;

impl<T: Real> Term<T> for BinaryCrossEntropy {
    #[inline(always)]
    fn term(&self, logit: T, is_in_set: bool) -> (T, T) {
        let zero = T::default();
        let wrong = if is_in_set { -logit } else { logit };
        let small = (-wrong.abs()).exp_of_negative();
        let value = wrong.max(zero) + small.ln_1p_of_unit();
        let top = if wrong >= zero { T::ONE } else { small };
        let slope = top / (T::ONE + small);
        (value, if is_in_set { -slope } else { slope })
    }
}

impl<T: Real> Term<T> for Focus<T> {
    /// In the set −(1−p)^γ log p with slope (1−p)^γ (γ p log p − (1−p)); outside, with
    /// q = max(p − margin, 0), −q^γ log(1−q) with slope q^γ (1−p) p · (1/(1−q) − γ log(1−q)/q).
    #[inline(always)]
    fn term(&self, logit: T, is_in_set: bool) -> (T, T) {
        let zero = T::default();
        let small = (-logit.abs()).exp_of_negative();
        let log_sum = small.ln_1p_of_unit();
        let (log_p, log_miss) = (logit.min(zero) - log_sum, (-logit).min(zero) - log_sum);
        let scale = T::ONE / (T::ONE + small);
        let is_likely = logit >= zero;
        let p = if is_likely { scale } else { small * scale };
        let miss = if is_likely { small * scale } else { scale };

        let focus = (self.gamma_positive * log_miss).exp_of_negative();
        let positive = (
            -focus * log_p,
            focus * (self.gamma_positive * p * log_p - miss),
        );

        let q = (p - self.margin).max(T::TINY);
        let has_margin = self.margin > zero;
        // Without a margin 1 − q = σ(−z), which underflows long before its logarithm does.
        let log_q = if has_margin { q.ln() } else { log_p };
        let log_rest = if has_margin { q.ln_1m() } else { log_miss };
        let steepness = if has_margin {
            p * miss / (T::ONE - q)
        } else {
            p
        };
        let focus = (self.gamma_negative * log_q).exp_of_negative();
        let slope = focus * (steepness - self.gamma_negative * p * miss * log_rest / q);
        let is_free = p <= self.margin;
        let negative = (
            if is_free { zero } else { -focus * log_rest },
            if is_free { zero } else { slope },
        );
        if is_in_set { positive } else { negative }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;

    fn losses() -> [Loss; 6] {
        let asymmetric = |gamma_positive, gamma_negative, margin| Loss::Asymmetric {
            gamma_positive,
            gamma_negative,
            margin,
        };
        [
            Loss::BinaryCrossEntropy {},
            Loss::Focal { gamma: 2.0 },
            Loss::Focal { gamma: 0.0 },
            Loss::Focal { gamma: 0.7 },
            asymmetric(0.0, 4.0, 0.05),
            asymmetric(1.0, 2.5, 0.0),
        ]
    }

    fn term<T: Real>(terms: Terms<T>, logit: f64, is_in_set: bool) -> (f64, f64) {
        let (value, slope) = match terms {
            Terms::BinaryCrossEntropy => BinaryCrossEntropy.term(T::of(logit), is_in_set),
            Terms::Focused(focus) => focus.term(T::of(logit), is_in_set),
        };
        (value.wide(), slope.wide())
    }

    /// Terms in T against their definition in f64, at logits that T holds exactly.
    fn check<T: Real>(relative: f64, smallest: f64) {
        let fine = (-4000..=4000).map(|i| f64::from(i) / 64.0);
        let coarse = [1e2, 1e3, 1e4].into_iter().flat_map(|z| [z, -z]);
        for logit in fine.chain(coarse) {
            for loss in losses() {
                for is_in_set in [true, false] {
                    let set = LabelSet::new(is_in_set.then_some(0));
                    let mut exact_slope = [0.0];
                    let exact = loss.of_sample(&[logit], &set, &mut exact_slope);
                    let (value, slope) = term(Terms::<T>::new(loss).unwrap(), logit, is_in_set);
                    for (found, exact) in [(value, exact), (slope, exact_slope[0])] {
                        let allowed = relative * exact.abs() + smallest;
                        let error = (found - exact).abs();
                        assert!(
                            error <= allowed,
                            "{loss:?} at {logit}, {is_in_set}: {found} for {exact}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn terms_are_those_of_the_loss() {
        // Exponents of up to four magnify the rounding of logarithms of up to 60.
        check::<f32>(4.0 * 60.0 * 1.2e-7, 1e-7);
        check::<f64>(4.0 * 60.0 * 4.4e-16, 1e-15);
    }

    #[test]
    fn losses_that_are_no_sums_over_labels_have_no_terms() {
        assert!(Terms::<f32>::new(Loss::default()).is_none());
        assert!(Terms::<f32>::new(Loss::Zlpr {}).is_none());
    }
}
