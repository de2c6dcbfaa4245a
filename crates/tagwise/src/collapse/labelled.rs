//! The label sets of a data set with their statistics, whole or in other coordinates.

use std::collections::BTreeMap;

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

use crate::product::multiply;
use crate::statistics::Statistics;
use crate::{LabelSet, kernel};

/// The label sets with at least one label, by multiplicity, and their statistics.
pub(super) struct Labelled<'a> {
    pub(super) dim: usize,
    pub(super) sets: Vec<&'a LabelSet>,
    pub(super) counts: Vec<f64>,
    pub(super) square_sums: Vec<f64>,
    pub(super) means: Vec<f64>, // [sets, d]
    /// The largest entry of the means as measured, which bounds their rounding in any coordinates.
    pub(super) largest: f64,
}

impl<'a> Labelled<'a> {
    pub(super) fn new(statistics: &'a Statistics) -> Self {
        let numbers = statistics
            .set_counts()
            .into_iter()
            .zip(statistics.set_square_sums());
        let labelled = statistics
            .label_sets()
            .zip(numbers)
            .filter(|(set, _)| !set.is_empty());
        let (sets, (counts, square_sums)): (_, (Vec<f64>, _)) = labelled
            .map(|(set, (count, square_sum))| (set, (count as f64, square_sum)))
            .unzip();
        let means = statistics.set_mean_rows(|set| !set.is_empty());
        let largest = means
            .par_chunks(1 << 16)
            .map(|means| {
                means
                    .iter()
                    .fold(0.0f64, |largest, mean| largest.max(mean.abs()))
            })
            .reduce(|| 0.0, f64::max);
        Self {
            dim: statistics.dim(),
            sets,
            counts,
            square_sums,
            means,
            largest,
        }
    }

    /// Adds a label set, which must come after all others.
    pub(super) fn push(&mut self, set: &'a LabelSet, count: f64, square_sum: f64, mean: &[f64]) {
        self.sets.push(set);
        self.counts.push(count);
        self.square_sums.push(square_sum);
        self.means.extend_from_slice(mean);
    }

    pub(super) fn all(&self) -> Group<'_> {
        self.group(0..self.sets.len())
    }

    /// The label sets of each multiplicity.
    pub(super) fn groups(&self) -> BTreeMap<usize, Group<'_>> {
        let mut groups = BTreeMap::new();
        let mut first = 0;
        for run in self
            .sets
            .chunk_by(|a, b| a.multiplicity() == b.multiplicity())
        {
            let range = first..first + run.len();
            first = range.end;
            groups.insert(run[0].multiplicity(), self.group(range));
        }
        groups
    }

    pub(super) fn group(&self, range: std::ops::Range<usize>) -> Group<'_> {
        Group {
            sets: &self.sets[range.clone()],
            counts: &self.counts[range.clone()],
            square_sums: &self.square_sums[range.clone()],
            means: MatRef::from_column_major_slice(
                &self.means[range.start * self.dim..range.end * self.dim],
                self.dim,
                range.len(),
            ),
            largest: self.largest,
        }
    }

    /// The same in the coordinates Vᵀ(h − origin) for orthonormal columns V `[d, r]`.
    pub(super) fn in_coordinates(&self, basis: MatRef<'_, f64>, origin: &[f64]) -> Self {
        let rank = basis.ncols();
        let mut means = vec![0.0; self.sets.len() * rank];
        means
            .par_chunks_mut((COORDINATE_SETS * rank).max(1))
            .zip(self.means.par_chunks(COORDINATE_SETS * self.dim))
            .for_each(|(out, means)| {
                let count = means.len() / self.dim;
                let centred = Mat::from_fn(self.dim, count, |row, set| {
                    means[set * self.dim + row] - origin[row]
                });
                multiply(
                    MatMut::from_column_major_slice_mut(out, rank, count),
                    Accum::Replace,
                    basis.transpose(),
                    centred.as_ref(),
                    1.0,
                );
            });
        Self {
            dim: rank,
            sets: self.sets.clone(),
            counts: self.counts.clone(),
            square_sums: self.square_sums.clone(),
            means,
            largest: self.largest,
        }
    }
}

/// Label sets that one task turns into other coordinates.
const COORDINATE_SETS: usize = 64;

/// Dimensions that one task sums over all label sets.
const SUM_WIDTH: usize = 256;

/// The label sets of one multiplicity, or of all, with their statistics.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub(super) sets: &'a [&'a LabelSet],
    pub(super) counts: &'a [f64],
    pub(super) square_sums: &'a [f64],
    pub(super) means: MatRef<'a, f64>, // [d, sets]
    pub(super) largest: f64,
}

impl<'a> Group<'a> {
    pub(super) fn num_samples(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The share n_S/N of each set.
    pub(super) fn weights(&self) -> Vec<f64> {
        let total = self.num_samples();
        self.counts.iter().map(|count| count / total).collect()
    }

    /// The mean of the samples.
    pub(super) fn centre(&self) -> Vec<f64> {
        self.weighted_sum(&self.weights())
    }

    /// Σ_S weight_S·h̄_S, each thread for its own dimensions.
    pub(super) fn weighted_sum(&self, weights: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.means.nrows()];
        sum.par_chunks_mut(SUM_WIDTH)
            .enumerate()
            .for_each(|(number, sum)| {
                let first = number * SUM_WIDTH;
                for (position, &weight) in weights.iter().enumerate() {
                    let mean = &self.mean(position)[first..first + sum.len()];
                    kernel::add_scaled(sum, weight, mean);
                }
            });
        sum
    }

    /// The mean of one set, contiguous.
    pub(super) fn mean(&self, position: usize) -> &'a [f64] {
        super::column(self.means, position)
    }
}

/// Places of label sets in a list of them.
pub(super) struct Places<'a>(BTreeMap<&'a LabelSet, usize>);

impl<'a> Places<'a> {
    pub(super) fn new(sets: impl IntoIterator<Item = &'a LabelSet>) -> Self {
        Self(sets.into_iter().zip(0..).collect())
    }

    /// The samples whose label set is in the list, as (row, label set, its place). `set_ids` index
    /// `distinct`.
    pub(super) fn of_samples<'b>(
        &self,
        distinct: &'b [LabelSet],
        set_ids: &'b [u32],
    ) -> impl Iterator<Item = (usize, &'b LabelSet, usize)> {
        let places: Vec<Option<usize>> = distinct
            .iter()
            .map(|set| self.0.get(set).copied())
            .collect();
        set_ids.iter().enumerate().filter_map(move |(row, &id)| {
            places[id as usize].map(|place| (row, &distinct[id as usize], place))
        })
    }
}
