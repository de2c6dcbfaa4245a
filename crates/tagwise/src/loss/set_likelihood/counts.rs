//! Elementary symmetric polynomials, as the chances of how many independent labels are on.
//!
//! With q_k = σ(z_k − t) the polynomial e_j of u_k = e^{z_k} is Π(1 + u_k·e^{−t})·e^{jt}·P_j, P_j
//! being the chance that j of the labels are on. Chances never exceed 1, are sums of products of
//! positive numbers, and the shift t keeps those that matter away from 0; where it cannot, the same
//! sums are made of numbers of any size.

use super::mass::{Scalar, Wide};
use super::sweep::Sweep;
use crate::kernel::vectorized;

/// Chances that sum to less have lost digits to the end of the range of f64.
pub(super) const SMALLEST_SUM: f64 = 1e-250;

/// log Σ_j e^{c_j}·e_j(u), with the probabilities of the sets that it sums over.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// P(k ∈ S) of every label, `[K]`.
    pub(super) inclusion: Vec<f64>,
    /// P(|S| = j) for j = 0, …, M.
    pub(super) multiplicities: Vec<f64>,
    pub(super) log_partition: f64,
    narrow: Sweep<f64>,
    wide: Sweep<Wide>,
    pub(super) log_weights: Vec<f64>,
    pub(super) shift: f64,
}

impl Counts {
    /// Takes the logits `[K]` and the potentials c `[M + 1]`, M ≤ K.
    pub(super) fn run(&mut self, logits: &[f64], potentials: &[f64]) {
        self.resize(logits.len(), potentials.len());
        let shift = shift(logits, potentials.len() - 1);
        self.shift = shift;
        let offset = log_weights(potentials, shift, &mut self.log_weights);
        let (inclusion, multiplicities) = (&mut self.inclusion, &mut self.multiplicities);
        let (narrow, weights) = (&mut self.narrow, &self.log_weights);
        let mut log_sum = vectorized(
            #[inline(always)]
            || {
                let sum = narrow.run(logits, shift, weights, inclusion, multiplicities);
                match sum > SMALLEST_SUM {
                    true => sum.ln(),
                    false => f64::NAN,
                }
            },
        );
        let is_finite = logits.iter().chain(potentials).all(|x| x.is_finite());
        if log_sum.is_nan() && is_finite {
            let wide = &mut self.wide;
            log_sum = wide
                .run(logits, shift, weights, inclusion, multiplicities)
                .ln();
        }
        self.log_partition = soft_plus_sum(logits, shift) + offset + log_sum;
    }

    pub(super) fn resize(&mut self, num_classes: usize, num_multiplicities: usize) {
        self.inclusion.resize(num_classes, 0.0);
        self.multiplicities.resize(num_multiplicities, 0.0);
    }

    /// Calls `visit` for every label k with P(k ∈ S, |S| = s) for s = 1, …, M, after
    /// [`run`](Self::run) on the same logits.
    pub(super) fn joint(&mut self, logits: &[f64], visit: &mut dyn FnMut(usize, &[f64])) {
        let shift = self.shift;
        let (narrow, weights) = (&mut self.narrow, &self.log_weights);
        let sum = vectorized(
            #[inline(always)]
            || narrow.sum(logits, shift, weights),
        );
        match sum > SMALLEST_SUM {
            true => narrow.joint(sum, visit),
            false => {
                let sum = self.wide.sum(logits, shift, weights);
                self.wide.joint(sum, visit);
            }
        }
    }
}

/// Steps towards a shift of all logits.
pub(super) const STEPS: usize = 60;

/// Chances fall by less than the range of f64 for as many times more labels.
pub(super) const ENOUGH: f64 = 1.5;

/// A shift of all logits under which no more labels are expected to be on than may be.
pub(super) fn shift(logits: &[f64], max_multiplicity: usize) -> f64 {
    // All labels on is a set like any other; half a label is as near to none.
    let most = (max_multiplicity as f64).max(0.5);
    let mut shift = 0.0;
    if most + 1.0 > logits.len() as f64 {
        return shift;
    }
    for _ in 0..STEPS {
        let expected = vectorized(
            #[inline(always)]
            || {
                let on = |&z: &f64| {
                    let z = z - shift;
                    let small = crate::kernel::exp_of_negative(-z.abs());
                    (if z >= 0.0 { 1.0 } else { small }) / (1.0 + small)
                };
                logits.iter().map(on).sum::<f64>()
            },
        );
        if expected.is_nan() || expected <= ENOUGH * most {
            break;
        }
        // Exact for labels that are seldom on, too short a step for others.
        shift += (expected / most)
            .ln()
            .max(0.5 * step_of_large(logits, shift, max_multiplicity));
    }
    shift
}

/// How far the (M + 1)-th largest logit lies above the shift: logits of many hundreds would take
/// as many steps otherwise.
pub(super) fn step_of_large(logits: &[f64], shift: f64, max_multiplicity: usize) -> f64 {
    let mut sorted = logits.to_vec();
    let (_, next, _) = sorted.select_nth_unstable_by(max_multiplicity, |a, b| b.total_cmp(a));
    *next - shift
}

/// c_j + j·shift less their largest, which is returned.
pub(super) fn log_weights(potentials: &[f64], shift: f64, weights: &mut Vec<f64>) -> f64 {
    weights.clear();
    let shifted = potentials.iter().enumerate();
    weights.extend(shifted.map(|(j, c)| c + j as f64 * shift));
    let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    weights.iter_mut().for_each(|weight| *weight -= largest);
    largest
}

/// Σ log(1 + e^{z − shift}), with one logarithm for many logits: factors between 1 and 2 multiply
/// without overflow.
fn soft_plus_sum(logits: &[f64], shift: f64) -> f64 {
    const FACTORS: usize = 512;
    vectorized(
        #[inline(always)]
        || {
            let mut sum = 0.0;
            for logits in logits.chunks(FACTORS) {
                let mut product = 1.0;
                for logit in logits {
                    let z = logit - shift;
                    sum += z.max(0.0);
                    product *= 1.0 + crate::kernel::exp_of_negative(-z.abs());
                }
                sum += product.ln();
            }
            sum
        },
    )
}
