//! One column of logits at a time.

use super::super::reduced::Reduced;
use crate::kernel::{exp_of_negative, max_inline, sum_inline};

/// From the logits of a set in `z` to its column of Q there and its probabilities; returns its
/// loss. Logits of −∞ behind the classes have probability 0. For use within
/// [`vectorized`](crate::kernel::vectorized).
#[inline(always)]
pub(super) fn softmax_column(reduced: &Reduced, set: usize, z: &mut [f64], p: &mut [f64]) -> f64 {
    let labels = reduced.labels(set);
    let (weight, m) = (reduced.weights[set], reduced.multiplicities[set]);
    let largest = max_inline(z);
    let top = z.iter().position(|&z| z == largest).unwrap_or(0);
    for (p, z) in p.iter_mut().zip(z.iter()) {
        *p = exp_of_negative(z - largest);
    }
    // Without the largest term, which is 1, small losses keep their digits.
    p[top] = 0.0;
    let others = sum_inline(p);
    p[top] = 1.0;
    let own: f64 = labels.iter().map(|&k| z[k as usize] - largest).sum();
    let normal = 1.0 / (1.0 + others);
    let slope = weight / reduced.roots[set];
    for (q, p) in z.iter_mut().zip(p.iter_mut()) {
        *p *= normal;
        *q = slope * m * *p;
    }
    for &k in labels {
        z[k as usize] -= slope;
    }
    weight * (m * others.ln_1p() - own)
}
