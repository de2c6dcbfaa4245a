//! Values and gradients of as many labels as a register holds.

use rayon::prelude::*;

use super::real::Real;
use super::terms::{BinaryCrossEntropy, Term, Terms};
use super::vectors::{Lanes, Sums, add, widen};
use crate::head::features::SparseRows;
use crate::kernel::vectorized;

/// Samples and features handled by one task. Sums are split here, never by threads.
const ROW_BLOCK_LEN: usize = 512;
const COLUMN_BLOCK_LEN: usize = 256;

/// Samples whose terms are added up before they go to f64.
const CHUNK_LEN: usize = 32;

/// The data of a separable objective in T.
pub(super) struct Sweep<'a, T> {
    features: &'a SparseRows,
    /// The values of the features, row by row and column by column.
    row_values: Vec<T>,
    column_values: Vec<T>,
    /// The weight of each sample, with sum 1.
    sample_weights: Vec<T>,
    terms: Terms<T>,
    weight_decay: f64,
}

/// Which samples have the label of each lane, a bit for a lane, and how much that counts.
pub(super) struct Truth<T, const L: usize> {
    pub(super) positives: Vec<u16>,
    pub(super) class_weights: [T; L],
}

/// What an evaluation finds for each lane, besides the gradient.
#[derive(Clone, Copy)]
pub(super) struct Seen<const L: usize> {
    pub(super) values: Sums<L>,
    /// The largest entries of the gradients.
    pub(super) largest: Sums<L>,
    /// The gradients along the directions.
    pub(super) slopes: Sums<L>,
}

impl<'a, T: Real> Sweep<'a, T> {
    pub(super) fn new(
        features: &'a SparseRows,
        terms: Terms<T>,
        sample_weights: impl Iterator<Item = f64>,
        weight_decay: f64,
    ) -> Self {
        let narrow = |values: &[f64]| values.iter().map(|&value| T::of(value)).collect();
        Self {
            features,
            row_values: narrow(features.row_values()),
            column_values: narrow(features.column_values()),
            sample_weights: sample_weights.map(T::of).collect(),
            terms,
            weight_decay,
        }
    }

    pub(super) fn num_samples(&self) -> usize {
        self.sample_weights.len()
    }

    pub(super) fn dim(&self) -> usize {
        self.features.dim()
    }

    /// The objectives at a point, weights `[d]` followed by the bias, with their gradients there.
    pub(super) fn evaluate<const L: usize>(
        &self,
        point: &[Lanes<T, L>],
        direction: &[Lanes<T, L>],
        truth: &Truth<T, L>,
        slopes: &mut [Lanes<T, L>],
        gradient: &mut [Lanes<T, L>],
    ) -> Seen<L> {
        let (losses, bias_slopes) = match &self.terms {
            Terms::BinaryCrossEntropy => self.losses(&BinaryCrossEntropy, point, truth, slopes),
            Terms::Focused(focus) => self.losses(focus, point, truth, slopes),
        };
        let (bias_gradient, of_weights) = gradient.split_last_mut().expect("a bias");
        let blocks: Vec<(Sums<L>, Seen<L>)> = of_weights
            .par_chunks_mut(COLUMN_BLOCK_LEN)
            .enumerate()
            .map(|(block, gradient)| {
                let first = block * COLUMN_BLOCK_LEN;
                vectorized(
                    #[inline(always)]
                    || self.gradient_block(first, point, direction, slopes, gradient),
                )
            })
            .collect();
        let along = direction.last().expect("a bias");
        let mut seen = Seen {
            values: losses,
            largest: bias_slopes.map(f64::abs),
            slopes: [0.0; L],
        };
        for lane in 0..L {
            bias_gradient.0[lane] = T::of(bias_slopes[lane]);
            seen.slopes[lane] = bias_slopes[lane] * along.0[lane].wide();
        }
        for (squares, block) in &blocks {
            for lane in 0..L {
                seen.values[lane] += self.weight_decay * squares[lane];
                seen.largest[lane] = seen.largest[lane].max(block.largest[lane]);
                seen.slopes[lane] += block.slopes[lane];
            }
        }
        seen
    }

    /// The weighted losses and the sums of their slopes; the slopes of each sample go to `slopes`.
    fn losses<const L: usize>(
        &self,
        term: &(impl Term<T> + Sync),
        point: &[Lanes<T, L>],
        truth: &Truth<T, L>,
        slopes: &mut [Lanes<T, L>],
    ) -> (Sums<L>, Sums<L>) {
        let blocks: Vec<(Sums<L>, Sums<L>)> = slopes
            .par_chunks_mut(ROW_BLOCK_LEN)
            .enumerate()
            .map(|(block, slopes)| {
                let first = block * ROW_BLOCK_LEN;
                vectorized(
                    #[inline(always)]
                    || self.loss_block(term, first, point, truth, slopes),
                )
            })
            .collect();
        let mut total = ([0.0; L], [0.0; L]);
        for (losses, sums) in &blocks {
            add(&mut total.0, losses);
            add(&mut total.1, sums);
        }
        total
    }

    #[inline(always)]
    fn loss_block<const L: usize>(
        &self,
        term: &impl Term<T>,
        first: usize,
        point: &[Lanes<T, L>],
        truth: &Truth<T, L>,
        slopes: &mut [Lanes<T, L>],
    ) -> (Sums<L>, Sums<L>) {
        let (bias, weights) = point.split_last().expect("a bias");
        let mut total = ([0.0; L], [0.0; L]);
        for (chunk, slopes) in slopes.chunks_mut(CHUNK_LEN).enumerate() {
            let first = first + chunk * CHUNK_LEN;
            let mut losses = [T::default(); L];
            let mut sums = [T::default(); L];
            for (offset, slopes) in slopes.iter_mut().enumerate() {
                let row = first + offset;
                let (columns, range) = self.features.row(row);
                let logits = combination(columns, &self.row_values[range], weights, bias.0);
                let weight = self.sample_weights[row];
                let positives = truth.positives[row];
                for lane in 0..L {
                    let is_in_set = positives >> lane & 1 == 1;
                    let (loss, slope) = term.term(logits[lane], is_in_set);
                    let factor = if is_in_set {
                        weight * truth.class_weights[lane]
                    } else {
                        weight
                    };
                    losses[lane] += factor * loss;
                    slopes.0[lane] = factor * slope;
                    sums[lane] += factor * slope;
                }
            }
            add(&mut total.0, &widen(&losses));
            add(&mut total.1, &widen(&sums));
        }
        total
    }

    /// The gradients in some weights, with the squares of the weights.
    #[inline(always)]
    fn gradient_block<const L: usize>(
        &self,
        first: usize,
        point: &[Lanes<T, L>],
        direction: &[Lanes<T, L>],
        slopes: &[Lanes<T, L>],
        gradient: &mut [Lanes<T, L>],
    ) -> (Sums<L>, Seen<L>) {
        let double = T::of(2.0 * self.weight_decay);
        let mut largest = [T::default(); L];
        let mut total = ([0.0; L], [0.0; L]);
        for (chunk, gradient) in gradient.chunks_mut(CHUNK_LEN).enumerate() {
            let first = first + chunk * CHUNK_LEN;
            let mut squares = [T::default(); L];
            let mut along = [T::default(); L];
            for (offset, gradient) in gradient.iter_mut().enumerate() {
                let column = first + offset;
                let (rows, range) = self.features.column(column);
                let zero = [T::default(); L];
                let sums = combination(rows, &self.column_values[range], slopes, zero);
                let weights = &point[column].0;
                for lane in 0..L {
                    let slope = sums[lane] + double * weights[lane];
                    gradient.0[lane] = slope;
                    largest[lane] = largest[lane].max(slope.abs());
                    squares[lane] += weights[lane] * weights[lane];
                    along[lane] += slope * direction[column].0[lane];
                }
            }
            add(&mut total.0, &widen(&squares));
            add(&mut total.1, &widen(&along));
        }
        let seen = Seen {
            values: [0.0; L],
            largest: widen(&largest),
            slopes: total.1,
        };
        (total.0, seen)
    }
}

/// start + Σ value·row(index), in two sums that do not wait for each other.
#[inline(always)]
fn combination<T: Real, const L: usize>(
    indices: &[u32],
    values: &[T],
    rows: &[Lanes<T, L>],
    start: [T; L],
) -> [T; L] {
    let (mut even, mut odd) = (start, [T::default(); L]);
    let (index_pairs, last_index) = indices.as_chunks::<2>();
    let (value_pairs, last_value) = values.as_chunks::<2>();
    for (indices, values) in index_pairs.iter().zip(value_pairs) {
        let first = &rows[indices[0] as usize].0;
        let second = &rows[indices[1] as usize].0;
        for lane in 0..L {
            even[lane] += values[0] * first[lane];
            odd[lane] += values[1] * second[lane];
        }
    }
    for (&index, &value) in last_index.iter().zip(last_value) {
        let row = &rows[index as usize].0;
        for lane in 0..L {
            even[lane] += value * row[lane];
        }
    }
    for lane in 0..L {
        even[lane] += odd[lane];
    }
    even
}
