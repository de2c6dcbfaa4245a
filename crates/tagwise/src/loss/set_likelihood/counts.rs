//! Elementary symmetric polynomials, as the chances of how many independent labels are on.
//!
//! With q_k = σ(z_k − t) the polynomial e_j of u_k = e^{z_k} is Π(1 + u_k·e^{−t})·e^{jt}·P_j, P_j
//! being the chance that j of the labels are on. Chances never exceed 1, are sums of products of
//! positive numbers, and the shift t keeps those that matter away from 0; where it cannot, the same
//! sums are made of numbers of any size.

use super::mass::{Mass, Wide};
use crate::kernel::vectorized;

/// Rows of chances kept at once, in numbers; beyond it every √K-th row is kept and the others are
/// made again.
const KEPT_NUMBERS: usize = 1 << 20;

/// Chances that sum to less have lost digits to the end of the range of f64.
const SMALLEST_SUM: f64 = 1e-250;

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
    log_weights: Vec<f64>,
}

impl Counts {
    /// Takes the logits `[K]` and the potentials c `[M + 1]`, M ≤ K.
    pub(super) fn run(&mut self, logits: &[f64], potentials: &[f64]) {
        self.inclusion.resize(logits.len(), 0.0);
        self.multiplicities.resize(potentials.len(), 0.0);
        let shift = shift(logits, potentials.len() - 1);
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

    /// Calls `visit` for every label k with P(k ∈ S, |S| = s) for s = 1, …, M, after
    /// [`run`](Self::run) on the same logits.
    pub(super) fn joint(&mut self, logits: &[f64], visit: &mut dyn FnMut(usize, &[f64])) {
        let shift = shift(logits, self.multiplicities.len() - 1);
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

/// A shift of all logits under which no more labels are expected to be on than may be.
fn shift(logits: &[f64], max_multiplicity: usize) -> f64 {
    const STEPS: usize = 60;
    /// Chances fall by less than the range of f64 for as many times more labels.
    const ENOUGH: f64 = 1.5;
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
fn step_of_large(logits: &[f64], shift: f64, max_multiplicity: usize) -> f64 {
    let mut sorted = logits.to_vec();
    let (_, next, _) = sorted.select_nth_unstable_by(max_multiplicity, |a, b| b.total_cmp(a));
    *next - shift
}

/// c_j + j·shift less their largest, which is returned.
fn log_weights(potentials: &[f64], shift: f64, weights: &mut Vec<f64>) -> f64 {
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

/// The sums in one kind of numbers.
#[derive(Debug)]
struct Sweep<T> {
    on: Vec<T>,
    off: Vec<T>,
    weights: Vec<T>,
    /// Chances for the first k labels, for some k in a row; a row starts with a 0 for j = −1.
    rows: Vec<T>,
    /// The first row of every block.
    starts: Vec<T>,
    adjoint: Vec<T>,
}

impl<T> Default for Sweep<T> {
    fn default() -> Self {
        Self {
            on: Vec::new(),
            off: Vec::new(),
            weights: Vec::new(),
            rows: Vec::new(),
            starts: Vec::new(),
            adjoint: Vec::new(),
        }
    }
}

impl<T: Mass> Sweep<T> {
    #[inline(always)]
    fn prepare(&mut self, logits: &[f64], shift: f64, log_weights: &[f64]) {
        self.on.resize(logits.len(), T::ZERO);
        self.off.resize(logits.len(), T::ZERO);
        T::odds(logits, shift, &mut self.on, &mut self.off);
        self.weights.clear();
        self.weights
            .extend(log_weights.iter().map(|&w| T::of_log(w)));
    }

    /// Numbers of a row: j = −1, 0, …, M.
    #[inline(always)]
    fn width(&self) -> usize {
        self.weights.len() + 1
    }

    /// Labels of a block, whose rows are kept together.
    #[inline(always)]
    fn block_len(&self) -> usize {
        let num_labels = self.on.len();
        match (num_labels + 1) * self.width() <= KEPT_NUMBERS {
            true => num_labels.max(1),
            false => num_labels.isqrt().max(1),
        }
    }

    /// Fills the rows of a block, from the row in front of it.
    #[inline(always)]
    fn fill(&mut self, block: std::ops::Range<usize>) {
        let width = self.width();
        for (place, label) in block.enumerate() {
            let (done, rest) = self.rows.split_at_mut((place + 1) * width);
            next_row(
                &done[place * width..],
                &mut rest[..width],
                self.on[label],
                self.off[label],
            );
        }
    }

    /// All blocks in turn: the rows of the last one stay, and the first row of each.
    #[inline(always)]
    fn forward(&mut self) {
        let (width, block_len, num_labels) = (self.width(), self.block_len(), self.on.len());
        self.rows.resize((block_len + 1) * width, T::ZERO);
        self.rows[..width].fill(T::ZERO);
        self.rows[1] = T::ONE;
        self.starts.clear();
        for start in (0..num_labels).step_by(block_len) {
            let len = block_len.min(num_labels - start);
            self.starts.extend_from_slice(&self.rows[..width]);
            self.fill(start..start + len);
            if start + len < num_labels {
                self.rows.copy_within(len * width..(len + 1) * width, 0);
            }
        }
    }

    /// Where the chances for all labels are.
    #[inline(always)]
    fn last_row(&self) -> std::ops::Range<usize> {
        let (width, num_labels) = (self.width(), self.on.len());
        let len = match num_labels {
            0 => 0,
            _ => (num_labels - 1) % self.block_len() + 1,
        };
        len * width + 1..(len + 1) * width
    }

    /// Σ_j w_j·P_j.
    #[inline(always)]
    fn total(&self) -> T {
        let chances = self.rows[self.last_row()].iter();
        let terms = chances.zip(&self.weights);
        terms.fold(T::ZERO, |sum, (&p, &w)| sum.plus(p.times(w)))
    }

    #[inline(always)]
    fn sum(&mut self, logits: &[f64], shift: f64, log_weights: &[f64]) -> T {
        self.prepare(logits, shift, log_weights);
        self.forward();
        self.total()
    }

    #[inline(always)]
    fn run(
        &mut self,
        logits: &[f64],
        shift: f64,
        log_weights: &[f64],
        inclusion: &mut [f64],
        multiplicities: &mut [f64],
    ) -> T {
        let total = self.sum(logits, shift, log_weights);
        let chances = self.rows[self.last_row()].iter().zip(&self.weights);
        for (share, (&p, &w)) in multiplicities.iter_mut().zip(chances) {
            *share = p.times(w).share_of(total);
        }
        self.backward(total, inclusion);
        total
    }

    /// P(k ∈ S) = q_k·Σ_j A_j·P_{j−1}/Σ_j w_j·P_j, with P the chances for the labels before k and A
    /// what those after it add to w.
    #[inline(always)]
    fn backward(&mut self, total: T, inclusion: &mut [f64]) {
        let (width, block_len, num_labels) = (self.width(), self.block_len(), self.on.len());
        self.adjoint.clear();
        self.adjoint.extend_from_slice(&self.weights);
        self.adjoint.push(T::ZERO); // j = M + 1
        for start in (0..num_labels).step_by(block_len).rev() {
            let end = (start + block_len).min(num_labels);
            if end < num_labels {
                let first = start / block_len * width;
                self.rows[..width].copy_from_slice(&self.starts[first..first + width]);
                self.fill(start..end);
            }
            for label in (start..end).rev() {
                let row = &self.rows[(label - start) * width..][..width - 1]; // P_{j−1}
                let (on, off) = (self.on[label], self.off[label]);
                let mut with = T::ZERO;
                for (&p, &a) in row.iter().zip(&self.adjoint) {
                    with = with.plus(p.times(a));
                }
                inclusion[label] = with.times(on).share_of(total);
                for j in 0..width - 1 {
                    let after = self.adjoint[j + 1].times(on);
                    self.adjoint[j] = self.adjoint[j].times(off).plus(after);
                }
            }
        }
    }

    /// P(k ∈ S, |S| = s) = q_k·w_s·P^{∖k}_{s−1}/Σ_j w_j·P_j, with P^{∖k} the chances for all labels
    /// but k: made by halves, so that they too are sums of positive numbers.
    fn joint(&mut self, total: T, visit: &mut dyn FnMut(usize, &[f64])) {
        let mut none = vec![T::ZERO; self.width()];
        none[1] = T::ONE;
        let mut shares = vec![0.0; self.weights.len() - 1];
        self.without_each(0..self.on.len(), &none, total, &mut shares, visit);
    }

    fn without_each(
        &self,
        labels: std::ops::Range<usize>,
        others: &[T],
        total: T,
        shares: &mut [f64],
        visit: &mut dyn FnMut(usize, &[f64]),
    ) {
        if labels.is_empty() {
            return;
        }
        if labels.len() == 1 {
            let label = labels.start;
            let chances = others[1..].iter().zip(&self.weights[1..]);
            for (share, (&p, &w)) in shares.iter_mut().zip(chances) {
                *share = p.times(w).times(self.on[label]).share_of(total);
            }
            visit(label, shares);
            return;
        }
        let middle = labels.start + labels.len() / 2;
        let (left, right) = (labels.start..middle, middle..labels.end);
        for (half, other) in [(left.clone(), right.clone()), (right, left)] {
            let mut chances = others.to_vec();
            let mut next = others.to_vec();
            for label in other {
                next_row(&chances, &mut next, self.on[label], self.off[label]);
                std::mem::swap(&mut chances, &mut next);
            }
            self.without_each(half, &chances, total, shares, visit);
        }
    }
}

/// The chances with one more label: P_j ← (1 − q)·P_j + q·P_{j−1}.
#[inline(always)]
fn next_row<T: Mass>(row: &[T], next: &mut [T], on: T, off: T) {
    next[0] = T::ZERO;
    let (below, same) = (&row[..row.len() - 1], &row[1..]);
    for ((next, &below), &same) in next[1..].iter_mut().zip(below).zip(same) {
        *next = same.times(off).plus(below.times(on));
    }
}
