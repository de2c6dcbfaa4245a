//! What the jackknife keeps of each block of samples.

use std::collections::BTreeMap;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::super::samples::symmetric;
use super::super::variability::TagSpan;
use super::super::{Group, Labelled};
use super::NUM_BLOCKS;
use crate::product::add_gram;
use crate::{LabelSet, kernel};

/// Samples that one task projects at once.
const TASK_ROWS: usize = 128;

/// Dimensions that one task sums.
const STRIPE: usize = 128;

/// Sums over the samples of each label set in each block, around the mean of the whole set.
///
/// The samples of a label set go to the blocks in turn, one set after the other from where the last
/// one ended, so that every block is a small image of the whole, whatever the order of the file.
pub(in super::super) struct BlockLook<'a> {
    group: Group<'a>,
    position: BTreeMap<&'a LabelSet, usize>,
    pub(super) span: TagSpan,
    /// Where the sums of each label set begin, and one more.
    first_slot: Vec<usize>,
    /// The block of the first sample of each label set.
    first_block: Vec<usize>,
    num_seen: Vec<usize>,
    stripes: Vec<Stripe>,
    parts: Vec<Part>,
}

/// Some columns of the sums.
struct Stripe {
    first: usize,
    width: usize,
    residuals: Vec<f64>, // [slots, width]
    squares: Vec<f64>,   // [slots]
}

/// The samples of one multiplicity in one block.
struct Part {
    multiplicity: usize,
    scatter: Mat<f64>, // [r, r], lower triangle
    /// Row in the block of the stream and position of the label set.
    rows: Vec<(usize, usize)>,
}

impl<'a> BlockLook<'a> {
    pub(in super::super) fn new(labelled: &'a Labelled<'a>, span: TagSpan) -> Self {
        let group = labelled.all();
        let (mut first_slot, mut first_block) = (vec![0], Vec::new());
        let mut num_samples = 0;
        for &count in group.counts {
            let count = count as usize;
            first_block.push(num_samples % NUM_BLOCKS);
            num_samples += count;
            first_slot.push(first_slot[first_slot.len() - 1] + count.min(NUM_BLOCKS));
        }
        let (dim, num_slots) = (labelled.dim, first_slot[first_slot.len() - 1]);
        let rank = span.directions.ncols();
        let part = |multiplicity: usize| Part {
            multiplicity,
            scatter: Mat::zeros(rank, rank),
            rows: Vec::new(),
        };
        let multiplicities: Vec<usize> = labelled.groups().keys().copied().collect();
        Self {
            position: group.sets.iter().copied().zip(0..).collect(),
            group,
            span,
            num_seen: vec![0; first_block.len()],
            first_slot,
            first_block,
            stripes: (0..dim)
                .step_by(STRIPE)
                .map(|first| {
                    let width = STRIPE.min(dim - first);
                    Stripe {
                        first,
                        width,
                        residuals: vec![0.0; num_slots * width],
                        squares: vec![0.0; num_slots],
                    }
                })
                .collect(),
            parts: (0..NUM_BLOCKS)
                .flat_map(|_| multiplicities.iter().map(|&m| part(m)))
                .collect(),
        }
    }

    /// Looks at the next samples. `rows` is `[n, d]`; `set_ids` index `distinct`.
    pub(in super::super) fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) {
        let steps = self.deal(distinct, set_ids);
        let group = self.group;
        let dim = group.means.nrows();
        self.stripes.par_iter_mut().for_each(|stripe| {
            stripe.add(rows, dim, &group, &steps);
        });
        let directions = self.span.directions.as_ref();
        self.parts.par_iter_mut().for_each(|part| {
            part.add(rows, &group, directions);
            part.rows.clear();
        });
    }

    /// Gives each labelled row of a block of the stream its block: (row, set, slot).
    fn deal(&mut self, distinct: &[LabelSet], set_ids: &[u32]) -> Vec<(usize, usize, usize)> {
        let num_multiplicities = self.parts.len() / NUM_BLOCKS;
        let place: BTreeMap<usize, usize> = (0..num_multiplicities)
            .map(|place| (self.parts[place].multiplicity, place))
            .collect();
        let mut positions = vec![None; distinct.len()];
        for &id in set_ids {
            let id = id as usize;
            positions[id] = positions[id].or_else(|| self.position.get(&distinct[id]).copied());
        }
        let mut steps = Vec::with_capacity(set_ids.len());
        for (row, &id) in set_ids.iter().enumerate() {
            let Some(set) = positions[id as usize] else {
                continue;
            };
            let slot = self.num_seen[set] % NUM_BLOCKS;
            self.num_seen[set] += 1;
            let block = (self.first_block[set] + slot) % NUM_BLOCKS;
            let place = place[&distinct[id as usize].multiplicity()];
            self.parts[block * num_multiplicities + place]
                .rows
                .push((row, set));
            steps.push((row, set, self.first_slot[set] + slot));
        }
        steps
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
        let slot = self.first_slot[set] + slot;
        let mut residual = Vec::with_capacity(self.group.means.nrows());
        let mut squares = 0.0;
        for stripe in &self.stripes {
            residual.extend(&stripe.residuals[slot * stripe.width..(slot + 1) * stripe.width]);
            squares += stripe.squares[slot];
        }
        Some(Sums {
            count: in_block as f64,
            residual,
            squares,
        })
    }

    /// The scatter of one multiplicity outside a block, around the means of the whole sets, in the
    /// tag span.
    pub(super) fn scatter_without(&self, multiplicity: usize, block: usize) -> Mat<f64> {
        let num_multiplicities = self.parts.len() / NUM_BLOCKS;
        let rank = self.span.directions.ncols();
        let mut scatter = Mat::zeros(rank, rank);
        for (number, part) in self.parts.iter().enumerate() {
            if part.multiplicity == multiplicity && number / num_multiplicities != block {
                scatter += &part.scatter;
            }
        }
        symmetric(&scatter)
    }
}

/// What a block holds of a label set.
pub(super) struct Sums {
    pub(super) count: f64,
    pub(super) residual: Vec<f64>,
    pub(super) squares: f64,
}

impl Stripe {
    fn add<T: Copy + Into<f64>>(
        &mut self,
        rows: &[T],
        dim: usize,
        group: &Group<'_>,
        steps: &[(usize, usize, usize)],
    ) {
        let columns = self.first..self.first + self.width;
        for &(row, set, slot) in steps {
            let values = &rows[row * dim..(row + 1) * dim][columns.clone()];
            let mean = &group.mean(set)[columns.clone()];
            let sums = &mut self.residuals[slot * self.width..(slot + 1) * self.width];
            let mut squares = 0.0;
            for ((sum, &value), mean) in sums.iter_mut().zip(values).zip(mean) {
                let residual = value.into() - mean;
                *sum += residual;
                squares += residual * residual;
            }
            self.squares[slot] += squares;
        }
    }
}

impl Part {
    fn add<T: Copy + Into<f64>>(
        &mut self,
        rows: &[T],
        group: &Group<'_>,
        directions: MatRef<'_, f64>,
    ) {
        let (dim, rank) = directions.shape();
        if rank == 0 {
            return;
        }
        let size = TASK_ROWS.min(self.rows.len());
        let mut residuals = vec![0.0; size * dim];
        let mut projected = vec![0.0; size * rank];
        for batch in self.rows.chunks(TASK_ROWS) {
            for (&(row, set), out) in batch.iter().zip(residuals.chunks_exact_mut(dim)) {
                kernel::subtract(&rows[row * dim..(row + 1) * dim], group.mean(set), out);
            }
            let projected = &mut projected[..batch.len() * rank];
            let residuals = &residuals[..batch.len() * dim];
            matmul(
                MatMut::from_column_major_slice_mut(projected, rank, batch.len()),
                Accum::Replace,
                directions.transpose(),
                MatRef::from_column_major_slice(residuals, dim, batch.len()),
                1.0,
                Par::Seq,
            );
            let projected = MatRef::from_column_major_slice(&*projected, rank, batch.len());
            add_gram(self.scatter.as_mut(), projected);
        }
    }
}
