//! What the jackknife keeps of each block of samples.

use std::collections::BTreeMap;

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

use super::super::samples::symmetric;
use super::super::variability::TagSpan;
use super::super::{Group, Labelled};
use super::NUM_BLOCKS;
use crate::product::{add_gram, multiply};
use crate::{LabelSet, kernel};

/// Samples that one task projects at once.
const TASK_ROWS: usize = 128;

/// Sums over the samples of each label set in each block, around the mean of the whole set.
///
/// The samples of a label set go to the blocks in turn, one set after the other from where the last
/// one ended, so that every block is a small image of the whole, whatever the order of the file.
pub(in super::super) struct BlockLook<'a> {
    group: Group<'a>,
    position: BTreeMap<&'a LabelSet, usize>,
    pub(super) span: TagSpan,
    /// Where the places of each label set begin.
    first_slot: Vec<usize>,
    /// The place of the sums of a label set in the part of each block that has samples of it.
    places: Vec<usize>,
    /// The block of the first sample of each label set.
    first_block: Vec<usize>,
    num_seen: Vec<usize>,
    /// Those of each multiplicity, in order, for one block after the other.
    parts: Vec<Part>,
    multiplicities: Vec<usize>,
}

/// The samples of one multiplicity in one block.
struct Part {
    scatter: Mat<f64>,   // [r, r], lower triangle
    residuals: Vec<f64>, // [sets, d], sums
    squares: Vec<f64>,   // [sets], sums
    /// Row in the block of the stream, position of the label set, its place here.
    rows: Vec<(usize, usize, usize)>,
}

impl<'a> BlockLook<'a> {
    pub(in super::super) fn new(labelled: &'a Labelled<'a>, span: TagSpan) -> Self {
        let group = labelled.all();
        let multiplicities: Vec<usize> = labelled.groups().keys().copied().collect();
        let num_parts = NUM_BLOCKS * multiplicities.len();
        let mut num_sets = vec![0; num_parts];
        let (mut first_slot, mut first_block) = (Vec::new(), Vec::new());
        let mut places = Vec::new();
        let mut num_samples = 0;
        for (set, &count) in group.sets.iter().zip(group.counts) {
            let count = count as usize;
            let first = num_samples % NUM_BLOCKS;
            first_block.push(first);
            first_slot.push(places.len());
            for slot in 0..count.min(NUM_BLOCKS) {
                let num_sets = &mut num_sets[part_of(&multiplicities, set, first + slot)];
                places.push(*num_sets);
                *num_sets += 1;
            }
            num_samples += count;
        }
        let rank = span.directions.ncols();
        let part = |num_sets: usize| Part {
            scatter: Mat::zeros(rank, rank),
            residuals: vec![0.0; num_sets * labelled.dim],
            squares: vec![0.0; num_sets],
            rows: Vec::new(),
        };
        Self {
            position: group.sets.iter().copied().zip(0..).collect(),
            group,
            span,
            num_seen: vec![0; first_block.len()],
            first_slot,
            places,
            first_block,
            parts: num_sets.into_iter().map(part).collect(),
            multiplicities,
        }
    }

    /// Looks at the next samples. `rows` is `[n, d]`; `set_ids` index `distinct`.
    pub(in super::super) fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) {
        self.deal(distinct, set_ids);
        let group = self.group;
        let directions = self.span.directions.as_ref();
        self.parts.par_iter_mut().for_each(|part| {
            part.add(rows, &group, directions);
            part.rows.clear();
        });
    }

    /// Gives each labelled row of a block of the stream its part.
    fn deal(&mut self, distinct: &[LabelSet], set_ids: &[u32]) {
        let mut positions = vec![None; distinct.len()];
        for &id in set_ids {
            let id = id as usize;
            positions[id] = positions[id].or_else(|| self.position.get(&distinct[id]).copied());
        }
        for (row, &id) in set_ids.iter().enumerate() {
            let Some(set) = positions[id as usize] else {
                continue;
            };
            let slot = self.num_seen[set] % NUM_BLOCKS;
            self.num_seen[set] += 1;
            let part = self.part_of(set, self.first_block[set] + slot);
            let place = self.places[self.first_slot[set] + slot];
            self.parts[part].rows.push((row, set, place));
        }
    }

    /// Where the samples of a label set in a block are.
    fn part_of(&self, set: usize, block: usize) -> usize {
        part_of(&self.multiplicities, self.group.sets[set], block)
    }

    /// The sum of a label set's residuals in a block, and of their squares; `None` when no sample
    /// of it is there.
    pub(super) fn sums(&self, set: usize, block: usize) -> Option<Sums> {
        let slot = (block + NUM_BLOCKS - self.first_block[set]) % NUM_BLOCKS;
        let count = self.group.counts[set] as usize;
        let in_block = count / NUM_BLOCKS + usize::from(slot < count % NUM_BLOCKS);
        if in_block == 0 {
            return None;
        }
        let part = &self.parts[self.part_of(set, block)];
        let place = self.places[self.first_slot[set] + slot];
        let dim = self.group.means.nrows();
        Some(Sums {
            count: in_block as f64,
            residual: part.residuals[place * dim..(place + 1) * dim].to_vec(),
            squares: part.squares[place],
        })
    }

    /// The scatter of one multiplicity outside a block, around the means of the whole sets, in the
    /// tag span.
    pub(super) fn scatter_without(&self, multiplicity: usize, block: usize) -> Mat<f64> {
        let num_multiplicities = self.multiplicities.len();
        let rank = self.span.directions.ncols();
        let mut scatter = Mat::zeros(rank, rank);
        for (number, part) in self.parts.iter().enumerate() {
            let (own_block, place) = (number / num_multiplicities, number % num_multiplicities);
            if self.multiplicities[place] == multiplicity && own_block != block {
                scatter += &part.scatter;
            }
        }
        symmetric(&scatter)
    }
}

/// Where the samples of a label set in a block, counted on beyond the last, are.
fn part_of(multiplicities: &[usize], set: &LabelSet, block: usize) -> usize {
    let place = multiplicities.partition_point(|&m| m < set.multiplicity());
    block % NUM_BLOCKS * multiplicities.len() + place
}

/// What a block holds of a label set.
pub(super) struct Sums {
    pub(super) count: f64,
    pub(super) residual: Vec<f64>,
    pub(super) squares: f64,
}

impl Part {
    fn add<T: Copy + Into<f64>>(
        &mut self,
        rows: &[T],
        group: &Group<'_>,
        directions: MatRef<'_, f64>,
    ) {
        let (dim, rank) = directions.shape();
        let size = TASK_ROWS.min(self.rows.len());
        let mut residuals = vec![0.0; size * dim];
        let mut projected = vec![0.0; size * rank];
        for batch in self.rows.chunks(TASK_ROWS) {
            for (&(row, set, place), out) in
                batch.iter().zip(residuals.chunks_exact_mut(dim.max(1)))
            {
                let values = &rows[row * dim..(row + 1) * dim];
                self.squares[place] += kernel::subtract(values, group.mean(set), out);
                let sums = &mut self.residuals[place * dim..(place + 1) * dim];
                kernel::add_scaled(sums, 1.0, out);
            }
            if rank == 0 {
                continue;
            }
            let projected = &mut projected[..batch.len() * rank];
            let residuals = &residuals[..batch.len() * dim];
            multiply(
                MatMut::from_column_major_slice_mut(projected, rank, batch.len()),
                Accum::Replace,
                directions.transpose(),
                MatRef::from_column_major_slice(residuals, dim, batch.len()),
                1.0,
            );
            let projected = MatRef::from_column_major_slice(&*projected, rank, batch.len());
            add_gram(self.scatter.as_mut(), projected);
        }
    }
}
