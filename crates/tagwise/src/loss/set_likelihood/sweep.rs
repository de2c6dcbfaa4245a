//! The sums over labels, in any kind of numbers.

use super::mass::{Mass, Scalar};

/// The sums in one kind of numbers: what is on and off, and the weights, are filled in before they run.
#[derive(Debug)]
pub(super) struct Sweep<T> {
    /// The chance of every label to be on, `[K]`, and to be off.
    pub(super) on: Vec<T>,
    pub(super) off: Vec<T>,
    /// w_j, `[M + 1]`.
    pub(super) weights: Vec<T>,
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
    /// Numbers of a row: j = −1, 0, …, M.
    #[inline(always)]
    fn width(&self) -> usize {
        self.weights.len() + 1
    }

    /// Labels of a block, whose rows are kept together.
    #[inline(always)]
    fn block_len(&self) -> usize {
        let num_labels = self.on.len();
        match (num_labels + 1) * self.width() <= T::KEPT {
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
    pub(super) fn forward(&mut self) {
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
    pub(super) fn total(&self) -> T {
        let chances = self.rows[self.last_row()].iter();
        let terms = chances.zip(&self.weights);
        terms.fold(T::ZERO, |sum, (&p, &w)| sum.plus_product(p, w))
    }

    /// w_j·P_j for j = 0, …, M: the parts of the total.
    #[inline(always)]
    pub(super) fn parts(&self) -> impl Iterator<Item = T> {
        let chances = self.rows[self.last_row()].iter().zip(&self.weights);
        chances.map(|(&p, &w)| p.times(w))
    }

    /// Calls `write` for every label with the part of the total in which it is on,
    /// q_k·Σ_j A_j·P_{j−1}, with P the chances for the labels before k and A what those after it add
    /// to w; after [`forward`](Self::forward).
    #[inline(always)]
    pub(super) fn backward(&mut self, mut write: impl FnMut(usize, T)) {
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
                for j in 0..width - 1 {
                    let same = self.adjoint[j];
                    with = with.plus_product(row[j], same);
                    let after = self.adjoint[j + 1].times(on);
                    self.adjoint[j] = after.plus_product(same, off);
                }
                write(label, with.times(on));
            }
        }
    }
}

impl<T: Scalar> Sweep<T> {
    /// Σ_j w_j·P_j for these logits.
    #[inline(always)]
    pub(super) fn sum(&mut self, logits: &[f64], shift: f64, log_weights: &[f64]) -> T {
        self.on.resize(logits.len(), T::ZERO);
        self.off.resize(logits.len(), T::ZERO);
        T::odds(logits, shift, &mut self.on, &mut self.off);
        self.weights.clear();
        let weights = log_weights.iter().map(|&w| T::of_log(w));
        self.weights.extend(weights);
        self.forward();
        self.total()
    }

    /// The same, with the shares of labels and multiplicities.
    #[inline(always)]
    pub(super) fn run(
        &mut self,
        logits: &[f64],
        shift: f64,
        log_weights: &[f64],
        inclusion: &mut [f64],
        multiplicities: &mut [f64],
    ) -> T {
        let total = self.sum(logits, shift, log_weights);
        for (share, part) in multiplicities.iter_mut().zip(self.parts()) {
            *share = part.share_of(total);
        }
        self.backward(
            #[inline(always)]
            |label, part| inclusion[label] = part.share_of(total),
        );
        total
    }

    /// P(k ∈ S, |S| = s) = q_k·w_s·P^{∖k}_{s−1}/Σ_j w_j·P_j, with P^{∖k} the chances for all labels
    /// but k: made by halves, so that they too are sums of positive numbers.
    pub(super) fn joint(&mut self, total: T, visit: &mut dyn FnMut(usize, &[f64])) {
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
        *next = below.times(on).plus_product(same, off);
    }
}
