//! What a solver needs of the loss of one sample beside its slopes: products with its Hessian, by the
//! derivatives of the sums in [`counts`](super::counts), and a value that is exact where it is small.

use super::counts::{SMALLEST_SUM, log_weights, shift};
use super::mass::Scalar;
use crate::kernel::{dot_inline, vectorized};

/// The derivative of the probabilities along a direction, in memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct ShareChange {
    on: Vec<f64>,
    off: Vec<f64>,
    log_weights: Vec<f64>,
    weights: Vec<f64>,
    /// Chances for the first k labels, k = 0, …, K; a row starts with a 0 for j = −1.
    rows: Vec<f64>,
    row_changes: Vec<f64>,
    adjoint: Vec<f64>,
    adjoint_change: Vec<f64>,
}

/// A point or a direction: logits `[K]` and potentials of multiplicities `[M + 1]`.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    pub(crate) logits: &'a [f64],
    pub(crate) potentials: &'a [f64],
}

impl ShareChange {
    /// Writes the derivatives of P(k ∈ S) `[K]` and P(|S| = j) `[M + 1]` along `change`, which are
    /// products with the Hessian of log Z. No seen sets have potentials here.
    ///
    /// Where chances leave the range of f64 those of independent labels are written: a Newton
    /// method is then slower, and its values and gradients are still exact.
    pub(crate) fn run(
        &mut self,
        at: Outputs<'_>,
        change: Outputs<'_>,
        inclusion: &mut [f64],
        multiplicities: &mut [f64],
    ) {
        let shift = self.prepare(at);
        vectorized(
            #[inline(always)]
            || {
                f64::odds(at.logits, shift, &mut self.on, &mut self.off);
                self.forward(change.logits);
                self.backward(change, inclusion, multiplicities);
            },
        );
    }

    /// −log p(S) with the digits of 1 − p(S) where that is small: a difference of log Z and the score
    /// has those of log Z alone.
    ///
    /// 1 − p(S) is a sum over labels, of the chance that the labels before agree with S and this one
    /// does not. Absent where 1 − p(S) is not small, or chances leave the range of f64.
    pub(crate) fn small_loss(&mut self, at: Outputs<'_>, labels: &[u32]) -> Option<f64> {
        const SMALL: f64 = 0.5;
        let shift = self.prepare(at);
        f64::odds(at.logits, shift, &mut self.on, &mut self.off);
        self.adjoint.clear();
        self.adjoint.extend_from_slice(&self.weights);
        self.adjoint.push(0.0);
        // The chance that the labels before agree, and how many of them are on.
        let mut agreeing = Vec::with_capacity(self.on.len());
        let (mut chance, mut count, mut own) = (1.0, 0, labels.iter().peekable());
        for label in 0..self.on.len() {
            let is_on = own.next_if(|&&own| own as usize == label).is_some();
            agreeing.push((chance, count, is_on));
            chance *= if is_on {
                self.on[label]
            } else {
                self.off[label]
            };
            count += usize::from(is_on);
        }
        let mut others = 0.0;
        for (label, &(chance, count, is_on)) in agreeing.iter().enumerate().rev() {
            let (on, off) = (self.on[label], self.off[label]);
            let other = match is_on {
                true => off * self.adjoint[count],
                false => on * self.adjoint.get(count + 1).copied().unwrap_or(0.0),
            };
            others += chance * other;
            for j in 0..self.weights.len() {
                self.adjoint[j] = off * self.adjoint[j] + on * self.adjoint[j + 1];
            }
        }
        let total = self.adjoint[0];
        let others = others / total;
        (total > SMALLEST_SUM && others < SMALL).then(|| -(-others).ln_1p())
    }

    /// Weights w_j, and room for the chances of labels.
    fn prepare(&mut self, at: Outputs<'_>) -> f64 {
        let shift = shift(at.logits, at.potentials.len() - 1);
        log_weights(at.potentials, shift, &mut self.log_weights);
        self.weights.clear();
        let weights = self.log_weights.iter().map(|weight| weight.exp());
        self.weights.extend(weights);
        self.on.resize(at.logits.len(), 0.0);
        self.off.resize(at.logits.len(), 0.0);
        shift
    }

    /// P ← off·P + on·P₋ with its derivative: on and off change by ±on·off·change.
    #[inline(always)]
    fn forward(&mut self, change: &[f64]) {
        let width = self.weights.len() + 1;
        let len = (self.on.len() + 1) * width;
        self.rows.resize(len, 0.0);
        self.row_changes.resize(len, 0.0);
        self.rows[..width].fill(0.0);
        self.rows[1] = 1.0;
        self.row_changes[..width].fill(0.0);
        for (label, &change) in change.iter().enumerate() {
            let (on, off) = (self.on[label], self.off[label]);
            let slope = on * off * change;
            let (row, next) = self.rows[label * width..][..2 * width].split_at_mut(width);
            let changes = &mut self.row_changes[label * width..][..2 * width];
            let (row_change, next_change) = changes.split_at_mut(width);
            next[0] = 0.0;
            next_change[0] = 0.0;
            for j in 1..width {
                next[j] = off * row[j] + on * row[j - 1];
                next_change[j] =
                    off * row_change[j] + on * row_change[j - 1] + slope * (row[j - 1] - row[j]);
            }
        }
    }

    #[inline(always)]
    fn backward(&mut self, change: Outputs<'_>, inclusion: &mut [f64], multiplicities: &mut [f64]) {
        let (width, num_labels) = (self.weights.len() + 1, self.on.len());
        let last = num_labels * width + 1..(num_labels + 1) * width;
        let (chances, changes) = (&self.rows[last.clone()], &self.row_changes[last]);
        let potential = |j: usize| change.potentials.get(j).copied().unwrap_or(0.0);
        let (mut total, mut total_change) = (0.0, 0.0);
        for (j, &weight) in self.weights.iter().enumerate() {
            total += weight * chances[j];
            total_change += weight * (changes[j] + potential(j) * chances[j]);
        }
        if total <= SMALLEST_SUM {
            multiplicities.fill(0.0);
            for (label, share) in inclusion.iter_mut().enumerate() {
                *share = self.on[label] * self.off[label] * change.logits[label];
            }
            return;
        }
        let rate = total_change / total;
        for (j, share) in multiplicities.iter_mut().enumerate() {
            let own = changes[j] + (potential(j) - rate) * chances[j];
            *share = self.weights[j] * own / total;
        }
        self.adjoint.clear();
        self.adjoint.extend_from_slice(&self.weights);
        self.adjoint.push(0.0);
        self.adjoint_change.clear();
        let moved = self.weights.iter().enumerate();
        self.adjoint_change
            .extend(moved.map(|(j, w)| w * potential(j)));
        self.adjoint_change.push(0.0);
        for label in (0..num_labels).rev() {
            let row = &self.rows[label * width..][..width - 1];
            let row_change = &self.row_changes[label * width..][..width - 1];
            let (on, off) = (self.on[label], self.off[label]);
            let slope = on * off * change.logits[label];
            let with = dot_inline(row, &self.adjoint[..width - 1]);
            let with_change = dot_inline(row_change, &self.adjoint[..width - 1])
                + dot_inline(row, &self.adjoint_change[..width - 1]);
            inclusion[label] = (on * (with_change - rate * with) + slope * with) / total;
            for j in 0..width - 1 {
                let (same, above) = (self.adjoint[j], self.adjoint[j + 1]);
                self.adjoint[j] = off * same + on * above;
                self.adjoint_change[j] = off * self.adjoint_change[j]
                    + on * self.adjoint_change[j + 1]
                    + slope * (above - same);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Marginals;
    use super::super::SetPotentials;
    use super::*;

    /// Central differences with step 1e-5 of functions with third derivatives near 1.
    const DIFFERENCE: f64 = 1e-9;
    const STEP: f64 = 1e-5;

    fn shares(logits: &[f64], potentials: &[f64]) -> Vec<f64> {
        let model = SetPotentials::new(logits.len(), potentials.to_vec()).unwrap();
        let mut marginals = Marginals::default();
        marginals.run(&model, logits);
        [marginals.inclusion(), marginals.multiplicities()].concat()
    }

    #[test]
    fn small_losses_keep_their_digits() {
        // Two labels far on, two far off: p(S) = 1/(1 + δ) with δ from the nearest other sets.
        let at = |size: f64| [size, -size, size, -size];
        let potentials = [0.3, -0.2, 0.1, 0.4, 0.0];
        for size in [2.0, 10.0, 20.0, 60.0] {
            let logits = at(size);
            let outputs = Outputs {
                logits: &logits,
                potentials: &potentials,
            };
            let found = ShareChange::default().small_loss(outputs, &[0, 2]).unwrap();
            let odds: f64 = (0..16u32)
                .filter(|&set| set != 0b0101)
                .map(|set| {
                    let score = |set: u32| -> f64 {
                        let on = (0..4).filter(|k| set >> k & 1 == 1);
                        on.map(|k| logits[k]).sum::<f64>() + potentials[set.count_ones() as usize]
                    };
                    (score(set) - score(0b0101)).exp()
                })
                .sum();
            let expected = odds.ln_1p();
            assert!(
                (found - expected).abs() < 1e-14 * expected,
                "{size}: {found} {expected}"
            );
        }
        let flat = Outputs {
            logits: &[0.0; 4],
            potentials: &potentials,
        };
        assert_eq!(ShareChange::default().small_loss(flat, &[0]), None);
    }

    #[test]
    fn changes_are_the_slopes_of_probabilities() {
        for (num_classes, most) in [(1, 1), (2, 0), (4, 2), (6, 6), (9, 3)] {
            let wave = |n: usize, phase: f64| -> Vec<f64> {
                (0..n)
                    .map(|i| 2.0 * (phase + 1.7 * i as f64).sin())
                    .collect()
            };
            let (z, c) = (wave(num_classes, 0.4), wave(most + 1, 1.0));
            let (v, e) = (wave(num_classes, 2.2), wave(most + 1, 0.1));
            let moved = |step: f64| {
                let along = |x: &[f64], v: &[f64]| -> Vec<f64> {
                    x.iter().zip(v).map(|(x, v)| x + step * v).collect()
                };
                shares(&along(&z, &v), &along(&c, &e))
            };
            let (up, down) = (moved(STEP), moved(-STEP));
            let (mut inclusion, mut multiplicities) = (vec![0.0; num_classes], vec![0.0; most + 1]);
            let at = Outputs {
                logits: &z,
                potentials: &c,
            };
            let change = Outputs {
                logits: &v,
                potentials: &e,
            };
            ShareChange::default().run(at, change, &mut inclusion, &mut multiplicities);
            for (i, found) in inclusion.iter().chain(&multiplicities).enumerate() {
                let slope = (up[i] - down[i]) / (2.0 * STEP);
                assert!((found - slope).abs() < DIFFERENCE, "{found} {slope}");
            }
        }
    }
}
