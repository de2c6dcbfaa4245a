//! Values and gradients of as many labels as a register holds.

use rayon::prelude::*;

use super::real::Real;
use super::terms::{BinaryCrossEntropy, Term, Terms};
use super::vectors::{Lanes, Sums, add, widen};
use crate::head::sparse::SparseRows;
use crate::kernel::vectorized;

/// Samples and features handled by one task. Sums are split here, never by threads.
const ROW_BLOCK_LEN: usize = 512;
const COLUMN_BLOCK_LEN: usize = 256;

/// Samples whose terms are added up before they go to f64.
const CHUNK_LEN: usize = 32;

/// The data of a separable objective in T.
pub(super) struct Sweep<'a, T> {
    features: &'a SparseRows,
    /// The scaled values of the features, row by row and column by column.
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
        (features, factors): (&'a SparseRows, &[f64]),
        terms: Terms<T>,
        sample_weights: impl Iterator<Item = f64>,
        weight_decay: f64,
    ) -> Self {
        let factor = |column: usize| factors[column];
        let by_rows = (0..features.num_rows()).flat_map(|row| {
            let (columns, range) = features.row(row);
            let values = columns.iter().zip(&features.row_values()[range]);
            values.map(move |(&column, value)| T::of(value * factor(column as usize)))
        });
        let by_columns = (0..features.dim()).flat_map(|column| {
            let (_, range) = features.column(column);
            let values = features.column_values()[range].iter();
            values.map(move |value| T::of(value * factor(column)))
        });
        Self {
            features,
            row_values: by_rows.collect(),
            column_values: by_columns.collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;
    use crate::loss::Loss;

    /// More rows and columns than a task handles, some of them empty.
    const NUM_ROWS: u32 = 700;
    const DIM: u32 = 300;

    fn features() -> SparseRows {
        let rows = (0..NUM_ROWS).map(|i| {
            (0..DIM)
                .filter(move |j| (i * 13 + j * 29) % 41 < i % 5 && j % 11 != 6)
                .map(move |j| (j, f64::from((i * 7 + j * 3) % 16) / 8.0 - 0.9))
        });
        SparseRows::new(DIM as usize, rows).unwrap()
    }

    fn is_in_set(row: usize, lane: usize) -> bool {
        (row * 5 + lane * 3) % 7 < 2
    }

    fn number(i: usize) -> f64 {
        ((i * 37 + 11) % 64) as f64 / 32.0 - 1.0
    }

    fn lanes<T: Real, const L: usize>(len: usize, shift: usize) -> Vec<Lanes<T, L>> {
        let row = |i: usize| std::array::from_fn(|lane| T::of(number(i * L + lane + shift)));
        (0..len).map(|i| Lanes(row(i))).collect()
    }

    /// Values and gradients against plain loops over dense rows in f64.
    fn check<T: Real, const L: usize>(loss: Loss, rounding: f64) {
        const WEIGHT_DECAY: f64 = 0.01;
        let features = features();
        let (n, dim) = (NUM_ROWS as usize, DIM as usize);
        let weight = |row: usize| (1 + row % 3) as f64 / 1000.0;
        let terms = Terms::new(loss).unwrap();
        let sweep = Sweep::<T>::new(
            (&features, &[1.0; DIM as usize]),
            terms,
            (0..n).map(weight),
            WEIGHT_DECAY,
        );
        let class_weights: [f64; L] = std::array::from_fn(|lane| 0.5 + lane as f64 / 8.0);
        let positives = (0..n).map(|row| {
            let bits = (0..L).filter(|&lane| is_in_set(row, lane));
            bits.fold(0, |all, lane| all | 1 << lane)
        });
        let truth = Truth {
            positives: positives.collect(),
            class_weights: class_weights.map(T::of),
        };
        let (point, direction) = (lanes::<T, L>(dim + 1, 0), lanes::<T, L>(dim + 1, 5));
        let mut slopes = vec![Lanes::default(); n];
        let mut gradient = vec![Lanes::default(); dim + 1];
        let seen = sweep.evaluate(&point, &direction, &truth, &mut slopes, &mut gradient);
        let rows = super::super::super::Features::Sparse(features.clone()).to_dense();
        for lane in 0..L {
            let at = |i: usize| point[i].0[lane].wide();
            let mut exact = vec![0.0; dim + 1];
            let mut value = 0.0;
            for (i, row) in rows.chunks(dim).enumerate() {
                let logit: f64 = at(dim) + (0..dim).map(|j| row[j] * at(j)).sum::<f64>();
                let set = LabelSet::new(is_in_set(i, lane).then_some(0));
                let mut slope = [0.0];
                let own = &class_weights[lane..=lane];
                let loss = loss.weighted_of_sample(&[logit], &set, own, &mut slope);
                value += weight(i) * loss;
                let with_bias = row.iter().chain([&1.0]);
                for (sum, x) in exact.iter_mut().zip(with_bias) {
                    *sum += weight(i) * slope[0] * x;
                }
            }
            for j in 0..dim {
                exact[j] += 2.0 * WEIGHT_DECAY * at(j);
                value += WEIGHT_DECAY * at(j) * at(j);
            }
            let largest = exact.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let along = |j: usize| direction[j].0[lane].wide();
            let slope: f64 = (0..=dim).map(|j| exact[j] * along(j)).sum();
            assert!((seen.values[lane] - value).abs() < rounding * value);
            assert!((seen.largest[lane] - largest).abs() < rounding * largest);
            assert!((seen.slopes[lane] - slope).abs() < rounding * 10.0);
            for j in 0..=dim {
                let difference = gradient[j].0[lane].wide() - exact[j];
                assert!(
                    difference.abs() < rounding * largest,
                    "{loss:?}, {lane}, {j}"
                );
            }
        }
    }

    #[test]
    fn values_and_gradients_are_those_of_plain_loops() {
        // Logits of size 10 are rounded to 1e-6 in f32, and losses follow them.
        for loss in [
            Loss::BinaryCrossEntropy {},
            Loss::Focal { gamma: 2.0 },
            Loss::Asymmetric {
                gamma_positive: 0.5,
                gamma_negative: 4.0,
                margin: 0.05,
            },
        ] {
            check::<f32, 16>(loss, 1e-5);
            check::<f64, 8>(loss, 1e-12);
            check::<f64, 1>(loss, 1e-12);
        }
    }
}
