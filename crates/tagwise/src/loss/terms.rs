//! The terms that losses are sums of. Lengths are those of one row, and labels lie below K: callers
//! have checked it.

use crate::LabelSet;

/// Σ_{k∉S} log(1 + e^{z_k}) + Σ_{k∈S} log(1 + e^{−z_k}) with slopes σ(z_k) and −σ(−z_k), from one
/// exponential per label.
pub(super) fn binary_cross_entropy(
    logits: &[f64],
    targets: &LabelSet,
    gradient: &mut [f64],
) -> f64 {
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
    value
}

/// The parameters shared by focal and asymmetric loss.
pub(super) struct Focus {
    pub(super) gamma_positive: f64,
    pub(super) gamma_negative: f64,
    pub(super) margin: f64,
}

impl Focus {
    pub(super) fn sum(&self, logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
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
        value
    }

    /// −(1−p)^γ log p and its slope (1−p)^γ (γ p log p − (1−p)).
    pub(super) fn positive(&self, logit: f64) -> (f64, f64) {
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

pub(super) fn zlpr(logits: &[f64], targets: &LabelSet, gradient: &mut [f64]) -> f64 {
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
