//! Weight gradient in the transformed domain: dW = Gᵀ[Σ over tiles of (Bᵀ d B)ᵀ(A dz Aᵀ)]G.

mod group;
mod tiled;

use group::{Group, PairedGroup, SingleGroup, Squares};

use super::transform::{self, PRODUCTS};
use super::{Range, Tiling, serves};
use crate::Precision;
use crate::cpu::activations::View;
use crate::cpu::buffer::ThreadBuffers;
use crate::cpu::kernel::output::Write;
use crate::cpu::kernel::shape::ConvShape;
use crate::cpu::kernel::simd::{
    Simd, TileWork, Work, launch, launch_bf16, launch_product, launch_tiles,
};
use crate::cpu::kernel::tiles::{SIDE, Tiles};
use crate::cpu::kernel::weight_gradient::{Job, add_parts};
use crate::cpu::kernel::{Kernels, odd_lines};
use crate::cpu::parallel;

/// Tiles that a register tile sums over before its sums go back to memory.
const TILES_PER_GROUP: usize = 64;
/// Bytes of sums that a task keeps for itself, and the lanes of tiles in a group that then leaves
/// room for them in the second-level cache.
const OWN_SUMS_BYTES: usize = 600 << 10;
const ROWS_BESIDE_SUMS: usize = 32;
/// The same for tiles of AMX, whose products take less time than their sums' way to memory.
const TILED_ROWS_BESIDE_SUMS: usize = 64;
/// Parts of a batch with sums of their own.
const PARTS: usize = 16;
/// Bytes of transformed tiles that are kept at a time, where a group takes less.
const TRANSFORMED_BYTES: usize = 6 << 20;

/// The weight gradient of one layer.
///
/// Where channels are few, parts of the batch are summed in parallel, each in a cache of its own,
/// and the parts added in order. Where the sums are too many for that, groups of tiles are
/// transformed in parallel, then the 36 sums of products (for each block of output channels) are
/// taken in parallel, every sum in the order of the tiles. Where factors are in bf16 a lane holds the
/// numbers of two tiles.
#[derive(Debug)]
pub(crate) struct WinogradGradient {
    /// Of the images.
    precision: Precision,
    /// Of what the products multiply.
    factors: Precision,
    tiling: Tiling,
    in_channels: usize,
    in_pitch: usize,
    out_pitch: usize,
    block: usize,
    tiles_per_group: usize,
    /// One if the whole batch is summed at once.
    parts: usize,
    /// Whether the products are taken by tiles of AMX.
    tiled: bool,
    /// Distances of the rows of a group's matrices, of inputs and of gradients.
    row_steps: [usize; 2],
    /// Where these rows start.
    places: [Vec<usize>; 2],
}

impl WinogradGradient {
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels) -> Self {
        assert!(serves(shape), "a 3×3 convolution with stride 1");
        let (precision, factors) = (kernels.precision(), kernels.factors());
        let sums_len = PRODUCTS * shape.in_channels * shape.out_pitch();
        let tiled = kernels.have_tiles();
        let rows = match tiled {
            true => TILED_ROWS_BESIDE_SUMS,
            false => ROWS_BESIDE_SUMS,
        };
        let (tiles_per_group, parts) = if sums_len * size_of::<f32>() <= OWN_SUMS_BYTES {
            (rows * factors.per_lane(), PARTS)
        } else {
            (TILES_PER_GROUP, 1)
        };
        let row_steps = [shape.in_pitch, shape.out_pitch()].map(|pitch| match tiled {
            true => pitch,
            false => row_step(pitch),
        });
        Self {
            precision,
            factors,
            tiling: Tiling {
                height: shape.in_height,
                width: shape.in_width,
            },
            in_channels: shape.in_channels,
            in_pitch: shape.in_pitch,
            out_pitch: shape.out_pitch(),
            block: kernels.channel_block(shape.out_pitch()),
            tiles_per_group,
            parts,
            tiled,
            row_steps,
            places: row_steps.map(|step| (0..tiles_per_group).map(|row| row * step).collect()),
        }
    }

    fn num_blocks(&self) -> usize {
        self.out_pitch / self.block
    }

    /// Rows of the matrices of a group: a lane holds one number or a pair.
    fn rows(&self) -> usize {
        self.tiles_per_group / self.factors.per_lane()
    }

    /// Rows of so many tiles, filled up to whole steps of tiles of AMX.
    fn filled_rows(&self, tiles: usize) -> usize {
        let rows = tiles.div_ceil(self.factors.per_lane());
        match self.tiled {
            true => rows.next_multiple_of(SIDE),
            false => rows,
        }
    }

    /// Distance of the 36 matrices of inputs and of gradients in a group.
    fn steps(&self) -> (usize, usize) {
        (
            odd_lines(self.rows() * self.row_steps[0]),
            odd_lines(self.rows() * self.row_steps[1]),
        )
    }

    fn group_len(&self) -> usize {
        let (inputs, gradients) = self.steps();
        PRODUCTS * (inputs + gradients)
    }

    /// Groups that are kept at a time by all threads together.
    fn groups(&self, batch: usize) -> usize {
        let fitting = TRANSFORMED_BYTES / (self.group_len() * size_of::<f32>());
        let needed = (batch * self.tiling.count()).div_ceil(self.tiles_per_group);
        fitting.clamp(2, 32).min(needed)
    }

    fn sums_len(&self) -> usize {
        self.num_blocks() * PRODUCTS * self.in_channels * self.block
    }

    /// Numbers of scratch memory that [`WinogradGradient::run`] needs.
    pub(crate) fn scratch_len(&self, batch: usize) -> usize {
        match self.parts {
            1 => self.sums_len() + self.groups(batch) * self.group_len(),
            parts => (1 + parts) * self.sums_len(),
        }
    }

    /// Numbers of scratch memory for every thread.
    pub(crate) fn thread_len(&self) -> usize {
        match self.parts {
            1 => 0,
            _ => self.group_len(),
        }
    }

    /// Replaces `gradient` by the weight gradient of a batch.
    ///
    /// # Shapes
    /// `input` is the bordered input `[B, h+2, w+2, in_pitch]`, `dz` the bordered gradient of the
    /// output, `gradient` the packed weights' layout.
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        batch: usize,
        input: View<'_>,
        dz: View<'_>,
        (scratch, threads): (&mut [f32], &ThreadBuffers),
        gradient: &mut [f32],
    ) {
        assert_eq!([input.precision(), dz.precision()], [self.precision; 2]);
        assert!(input.len() >= batch * self.tiling.bordered_len(self.in_pitch));
        assert!(dz.len() >= batch * self.tiling.bordered_len(self.out_pitch));
        assert_eq!(gradient.len(), 9 * self.in_channels * self.out_pitch);
        let (sums, rest) = scratch.split_at_mut(self.sums_len());
        if self.parts > 1 {
            let parts = &mut rest[..self.parts * self.sums_len()];
            self.sum_parts(kernels, batch, (input, dz), threads, parts);
            add_parts(parts, sums);
        } else {
            let groups = &mut rest[..self.groups(batch) * self.group_len()];
            self.sum_rounds(kernels, batch, (input, dz), groups, sums);
        }
        self.transform_sums(kernels, sums, gradient);
    }

    /// Sums of every part of the batch, `[parts, sums_len]`.
    fn sum_parts(
        &self,
        kernels: Kernels,
        batch: usize,
        (input, dz): (View<'_>, View<'_>),
        threads: &ThreadBuffers,
        parts: &mut [f32],
    ) {
        let tiles = batch * self.tiling.count();
        parallel::for_each_chunk(parts, self.sums_len(), |part, sums| {
            sums.fill(0.0);
            let tiles = part * tiles / self.parts..(part + 1) * tiles / self.parts;
            threads.with(self.group_len(), |group| {
                for first in tiles.clone().step_by(self.tiles_per_group) {
                    let run = first..tiles.end.min(first + self.tiles_per_group);
                    self.transform_group(kernels, run.clone(), input, dz, group);
                    let matrices = sums.chunks_exact_mut(self.in_channels * self.block);
                    for (index, sums) in matrices.enumerate() {
                        self.add_product(kernels, run.len(), index, group, sums);
                    }
                }
            });
        });
    }

    /// Sums of the whole batch, a round of groups at a time.
    fn sum_rounds(
        &self,
        kernels: Kernels,
        batch: usize,
        (input, dz): (View<'_>, View<'_>),
        groups: &mut [f32],
        sums: &mut [f32],
    ) {
        let tiles = batch * self.tiling.count();
        let per_round = self.groups(batch) * self.tiles_per_group;
        for first in (0..tiles).step_by(per_round) {
            let round = first..tiles.min(first + per_round);
            self.transform_tiles(kernels, round.clone(), input, dz, groups);
            let write = if first == 0 {
                Write::Replace
            } else {
                Write::Add
            };
            self.add_products(kernels, round.len(), groups, sums, write);
        }
    }

    fn transform_tiles(
        &self,
        kernels: Kernels,
        round: Range,
        input: View<'_>,
        dz: View<'_>,
        groups: &mut [f32],
    ) {
        parallel::for_each_chunk(groups, self.group_len(), |index, group| {
            let first = round.end.min(round.start + index * self.tiles_per_group);
            let tiles = first..round.end.min(first + self.tiles_per_group);
            self.transform_group(kernels, tiles, input, dz, group);
        });
    }

    fn transform_group(
        &self,
        kernels: Kernels,
        tiles: Range,
        x: View<'_>,
        dz: View<'_>,
        group: &mut [f32],
    ) {
        let (input_step, _) = self.steps();
        let (inputs, gradients) = group.split_at_mut(PRODUCTS * input_step);
        let num_tiles = tiles.len();
        let group = Group {
            plan: self,
            tiles,
            inputs: &mut *inputs,
            gradients,
        };
        // SAFETY: `run` checked that x and dz hold every image of the batch with its border; the
        // two parts of the group have their lengths.
        unsafe {
            match (x, dz) {
                (View::F32(x), View::F32(dz)) => launch(kernels, SingleGroup { group, x, dz }),
                (View::Bf16(x), View::Bf16(dz)) if self.factors == Precision::F32 => {
                    launch_bf16(kernels, SingleGroup { group, x, dz });
                }
                (View::Bf16(x), View::Bf16(dz)) => {
                    launch_bf16(kernels, PairedGroup { group, x, dz });
                    if self.tiled {
                        let squares = Squares {
                            plan: self,
                            tiles: num_tiles,
                            inputs,
                        };
                        launch_tiles(kernels, squares);
                    }
                }
                _ => unreachable!("`run` compared the precisions"),
            }
        }
    }

    fn add_products(
        &self,
        kernels: Kernels,
        tiles: usize,
        groups: &[f32],
        sums: &mut [f32],
        write: Write,
    ) {
        parallel::for_each_chunk(sums, self.in_channels * self.block, |index, sums| {
            if write == Write::Replace {
                sums.fill(0.0);
            }
            self.add_product(kernels, tiles, index, groups, sums);
        });
    }

    /// Adds the products of so many tiles to one matrix of sums.
    fn add_product(
        &self,
        kernels: Kernels,
        tiles: usize,
        index: usize,
        groups: &[f32],
        sums: &mut [f32],
    ) {
        let products = Products {
            plan: self,
            tiles,
            block: index / PRODUCTS,
            product: index % PRODUCTS,
            groups,
            sums,
        };
        // SAFETY: the groups hold `tiles` transformed tiles, `sums` is one matrix.
        unsafe {
            match self.tiled {
                true => launch_tiles(kernels, products),
                false => products.add(kernels),
            }
        }
    }

    fn transform_sums(&self, kernels: Kernels, sums: &[f32], gradient: &mut [f32]) {
        let matrix = self.in_channels * self.block;
        parallel::for_each_chunk(gradient, 9 * matrix, |block, gradient| {
            let work = Sums {
                matrix,
                sums: &sums[block * PRODUCTS * matrix..][..PRODUCTS * matrix],
                gradient,
            };
            // SAFETY: both slices are whole stacks of matrices.
            unsafe { launch(kernels, work) }
        });
    }
}

/// The distance of rows of so many channels: a column of many long rows would fall into a few sets of
/// the first-level cache.
fn row_step(pitch: usize) -> usize {
    const LONG: usize = 256;
    if pitch < LONG {
        pitch
    } else {
        odd_lines(pitch)
    }
}

/// One of the 36 sums of products, for one block of output channels.
struct Products<'a> {
    plan: &'a WinogradGradient,
    tiles: usize,
    block: usize,
    product: usize,
    groups: &'a [f32],
    sums: &'a mut [f32],
}

impl TileWork for Products<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(mut self) {
        // SAFETY: passed on from the caller; a plan for tiles has whole steps.
        unsafe { self.add_tiled(&T::configure(SIDE)) }
    }
}

impl Products<'_> {
    /// Adds the products with registers.
    ///
    /// # Safety
    /// The groups hold the tiles, the sums are one matrix.
    unsafe fn add(self, kernels: Kernels) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        for (group, first) in (0..self.tiles).step_by(plan.tiles_per_group).enumerate() {
            let start = group * plan.group_len();
            let gradients = start + PRODUCTS * input_step + self.product * gradient_step;
            let tiles = plan.tiles_per_group.min(self.tiles - first);
            let rows = tiles.div_ceil(plan.factors.per_lane());
            // SAFETY: the rows are a run of tiles of one matrix of the group.
            unsafe {
                let groups = self.groups.as_ptr();
                let job = Job {
                    x_rows: &plan.places[0][..rows],
                    dz_rows: &plan.places[1][..rows],
                    channels: plan.in_channels,
                    block: plan.block,
                    x: groups.add(start + self.product * input_step),
                    dz: groups.add(gradients + self.block * plan.block),
                    sums: self.sums.as_mut_ptr(),
                    ahead: None,
                };
                launch_product(kernels, plan.factors, job);
            }
        }
    }
}

/// All sums of one block of output channels, to become its weight gradient.
struct Sums<'a> {
    matrix: usize,
    sums: &'a [f32],
    gradient: &'a mut [f32],
}

impl Work for Sums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for first in (0..self.matrix).step_by(S::LANES) {
            let mut taps = [self.gradient.as_mut_ptr(); 9];
            for (tap, to) in taps.iter_mut().enumerate() {
                *to = to.wrapping_add(tap * self.matrix + first);
            }
            // SAFETY: a register at `first` lies inside every matrix.
            unsafe {
                let from = self.sums.as_ptr().add(first);
                transform::weight_gradient::<S>(from, self.matrix, taps);
            }
        }
    }
}
