//! Weight gradient in the transformed domain: dW = Gᵀ[Σ over tiles of (Bᵀ d B)ᵀ(A dz Aᵀ)]G.

use rayon::prelude::*;

use super::transform::{self, INPUTS, PRODUCTS, Pixels, Tile, Transformed};
use super::{Range, Tiling, serves};
use crate::buffer::View;
use crate::kernel::convolution::ConvShape;
use crate::kernel::output::Write;
use crate::kernel::simd::{Pairs, Simd, Work, launch};
use crate::kernel::weight_gradient::{Job, Stretch};
use crate::kernel::{Kernels, Precision};

/// Tiles that a register tile sums over before its sums go back to memory.
const TILES_PER_GROUP: usize = 64;
/// Bytes of transformed tiles that are kept at a time, where a group takes less.
const TRANSFORMED_BYTES: usize = 6 << 20;

/// The weight gradient of one layer.
///
/// Groups of tiles are transformed in parallel, then the 36 sums of products (for each block of
/// output channels) are taken in parallel, every sum in the order of the tiles. In bf16 a lane holds
/// the numbers of two tiles.
#[derive(Debug)]
pub(crate) struct WinogradGradient {
    precision: Precision,
    tiling: Tiling,
    in_channels: usize,
    in_pitch: usize,
    out_pitch: usize,
    block: usize,
}

impl WinogradGradient {
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels) -> Self {
        assert!(serves(shape), "a 3×3 convolution with stride 1");
        Self {
            precision: kernels.precision(),
            tiling: Tiling {
                height: shape.in_height,
                width: shape.in_width,
            },
            in_channels: shape.in_channels,
            in_pitch: shape.in_pitch,
            out_pitch: shape.out_pitch(),
            block: kernels.channel_block(shape.out_pitch()),
        }
    }

    fn num_blocks(&self) -> usize {
        self.out_pitch / self.block
    }

    /// Distance of the 36 matrices of inputs and of gradients in a group.
    fn steps(&self) -> (usize, usize) {
        let rows = TILES_PER_GROUP / self.precision.per_lane();
        (
            super::product_step(rows * self.in_pitch),
            super::product_step(rows * self.out_pitch),
        )
    }

    fn group_len(&self) -> usize {
        let (inputs, gradients) = self.steps();
        PRODUCTS * (inputs + gradients)
    }

    fn groups(&self, batch: usize) -> usize {
        let fitting = TRANSFORMED_BYTES / (self.group_len() * size_of::<f32>());
        let needed = (batch * self.tiling.count()).div_ceil(TILES_PER_GROUP);
        fitting.clamp(2, 32).min(needed)
    }

    fn sums_len(&self) -> usize {
        self.num_blocks() * PRODUCTS * self.in_channels * self.block
    }

    /// Numbers of scratch memory that [`WinogradGradient::run`] needs.
    pub(crate) fn scratch_len(&self, batch: usize) -> usize {
        self.sums_len() + self.groups(batch) * self.group_len()
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
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
        assert_eq!([input.precision(), dz.precision()], [self.precision; 2]);
        assert!(input.len() >= batch * self.tiling.bordered_len(self.in_pitch));
        assert!(dz.len() >= batch * self.tiling.bordered_len(self.out_pitch));
        assert_eq!(gradient.len(), 9 * self.in_channels * self.out_pitch);
        let (sums, groups) = scratch.split_at_mut(self.sums_len());
        let groups = &mut groups[..self.groups(batch) * self.group_len()];
        let tiles = batch * self.tiling.count();
        let per_round = self.groups(batch) * TILES_PER_GROUP;
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
        self.transform_sums(kernels, sums, gradient);
    }

    fn transform_tiles(
        &self,
        kernels: Kernels,
        round: Range,
        input: View<'_>,
        dz: View<'_>,
        groups: &mut [f32],
    ) {
        let (input_step, _) = self.steps();
        groups
            .par_chunks_exact_mut(self.group_len())
            .with_max_len(1)
            .enumerate()
            .for_each(|(index, group)| {
                let first = round.end.min(round.start + index * TILES_PER_GROUP);
                let (inputs, gradients) = group.split_at_mut(PRODUCTS * input_step);
                let work = Group {
                    plan: self,
                    tiles: first..round.end.min(first + TILES_PER_GROUP),
                    x: input,
                    dz,
                    inputs,
                    gradients,
                };
                // SAFETY: `run` checked that input and dz hold every image of the batch with its
                // border; the two parts of the group have their lengths.
                unsafe { launch(kernels, work) }
            });
    }

    fn add_products(
        &self,
        kernels: Kernels,
        tiles: usize,
        groups: &[f32],
        sums: &mut [f32],
        write: Write,
    ) {
        sums.par_chunks_exact_mut(self.in_channels * self.block)
            .with_max_len(1)
            .enumerate()
            .for_each(|(index, sums)| {
                if write == Write::Replace {
                    sums.fill(0.0);
                }
                let work = Products {
                    plan: self,
                    tiles,
                    block: index / PRODUCTS,
                    product: index % PRODUCTS,
                    groups,
                    sums,
                };
                // SAFETY: the groups hold `tiles` transformed tiles, `sums` is one matrix.
                unsafe { launch(kernels, work) }
            });
    }

    fn transform_sums(&self, kernels: Kernels, sums: &[f32], gradient: &mut [f32]) {
        let matrix = self.in_channels * self.block;
        gradient
            .par_chunks_exact_mut(9 * matrix)
            .zip(sums.par_chunks_exact(PRODUCTS * matrix))
            .with_max_len(1)
            .for_each(|(gradient, sums)| {
                let work = Sums {
                    matrix,
                    sums,
                    gradient,
                };
                // SAFETY: both slices are whole stacks of matrices.
                unsafe { launch(kernels, work) }
            });
    }

    /// Where a tile of the batch is.
    fn place(&self, tile: usize) -> Place {
        let (image, y, x) = self.tiling.place(tile);
        let (inputs, start) = self.tiling.inputs(y, x, self.in_pitch);
        let start = image * self.tiling.bordered_len(self.in_pitch) + start;
        let row_step = (self.tiling.width + 2) * self.out_pitch;
        let (rows, columns) = self.tiling.inside(y, x);
        let gradients = Tile {
            row_step,
            column_step: self.out_pitch,
            rows,
            columns,
        };
        let first = image * self.tiling.bordered_len(self.out_pitch);
        let first = first + (y + 1) * row_step + (x + 1) * self.out_pitch;
        Place {
            inputs: (inputs, start),
            gradients: (gradients, first),
        }
    }
}

/// Tiles to transform: x into `inputs`, dz into `gradients`.
struct Group<'a> {
    plan: &'a WinogradGradient,
    tiles: Range,
    x: View<'a>,
    dz: View<'a>,
    inputs: &'a mut [f32],
    gradients: &'a mut [f32],
}

impl Work for Group<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: passed on from the caller; both views have the plan's precision.
        unsafe {
            match (self.x, self.dz) {
                (View::F32(x), View::F32(dz)) => {
                    let tiles = self.tiles.clone();
                    for (row, tile) in tiles.enumerate() {
                        self.transform_tile::<S, _>(row, tile, x.as_ptr(), dz.as_ptr());
                    }
                }
                (View::Bf16(x), View::Bf16(dz)) => {
                    let tiles = self.tiles.clone();
                    for (row, tile) in tiles.step_by(2).enumerate() {
                        self.transform_pair::<S, _>(row, tile, x.as_ptr(), dz.as_ptr());
                    }
                }
                _ => unreachable!("`run` compared the precisions"),
            }
        }
    }
}

impl Group<'_> {
    /// # Safety
    /// x and dz hold the image of the tile, the group has a row for it; `S` is available.
    #[inline(always)]
    unsafe fn transform_tile<S: Simd, P: Pixels>(&mut self, row: usize, tile: usize, x: P, dz: P) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        let at = plan.place(tile);
        for channel in (0..plan.in_pitch).step_by(S::LANES) {
            // SAFETY: passed on from the caller.
            unsafe {
                let numbers = at.input::<S, P>(x, channel);
                let to = self.inputs.as_mut_ptr().add(row * plan.in_pitch + channel);
                transform::store::<S>(numbers, to, input_step);
            }
        }
        for channel in (0..plan.out_pitch).step_by(S::LANES) {
            // SAFETY: passed on from the caller.
            unsafe {
                let numbers = at.gradient::<S, P>(dz, channel);
                let to = row * plan.out_pitch + channel;
                transform::store::<S>(numbers, self.gradients.as_mut_ptr().add(to), gradient_step);
            }
        }
    }

    /// This tile and the next, or zeros after the last one.
    ///
    /// # Safety
    /// As [`Group::transform_tile`].
    #[inline(always)]
    unsafe fn transform_pair<S: Simd, P: Pixels>(&mut self, row: usize, tile: usize, x: P, dz: P) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        let first = plan.place(tile);
        let second = (tile + 1 < self.tiles.end).then(|| plan.place(tile + 1));
        for channel in (0..plan.in_pitch).step_by(S::LANES) {
            // SAFETY: passed on from the caller.
            unsafe {
                let even = first.input::<S, P>(x, channel);
                let odd = match second {
                    Some(place) => place.input::<S, P>(x, channel),
                    None => [[S::zero(); INPUTS]; INPUTS],
                };
                let to = self.inputs.as_mut_ptr().add(row * plan.in_pitch + channel);
                transform::store_pairs::<S>(even, odd, to, input_step);
            }
        }
        for channel in (0..plan.out_pitch).step_by(S::LANES) {
            // SAFETY: passed on from the caller.
            unsafe {
                let even = first.gradient::<S, P>(dz, channel);
                let odd = match second {
                    Some(place) => place.gradient::<S, P>(dz, channel),
                    None => [[S::zero(); INPUTS]; INPUTS],
                };
                let to = row * plan.out_pitch + channel;
                let to = self.gradients.as_mut_ptr().add(to);
                transform::store_pairs::<S>(even, odd, to, gradient_step);
            }
        }
    }
}

/// Where the inputs and the gradients of one tile are.
#[derive(Clone, Copy)]
struct Place {
    inputs: (Tile, usize),
    gradients: (Tile, usize),
}

impl Place {
    /// # Safety
    /// `x` points at the batch's bordered images; `S` is available.
    #[inline(always)]
    unsafe fn input<S: Simd, P: Pixels>(self, x: P, channel: usize) -> Transformed<S::Vector> {
        let (tile, start) = self.inputs;
        // SAFETY: passed on from the caller; the tile lies inside its image.
        unsafe { transform::input::<S, P>(tile, x.at(start + channel)) }
    }

    /// # Safety
    /// `dz` points at the batch's bordered gradients; `S` is available.
    #[inline(always)]
    unsafe fn gradient<S: Simd, P: Pixels>(self, dz: P, channel: usize) -> Transformed<S::Vector> {
        let (tile, start) = self.gradients;
        // SAFETY: passed on from the caller; the tile lies inside its image.
        unsafe { transform::gradient::<S, P>(tile, dz.at(start + channel)) }
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

impl Work for Products<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let plan = self.plan;
        let (input_step, gradient_step) = plan.steps();
        let job = Job {
            x_step: plan.in_pitch,
            dz_step: plan.out_pitch,
            channels: plan.in_channels,
            x: self.groups.as_ptr(),
            dz: self.groups.as_ptr(),
            sums: self.sums.as_mut_ptr(),
        };
        let vectors = plan.block / S::LANES;
        for (group, first) in (0..self.tiles).step_by(TILES_PER_GROUP).enumerate() {
            let start = group * plan.group_len();
            let gradients = start + PRODUCTS * input_step + self.product * gradient_step;
            let tiles = TILES_PER_GROUP.min(self.tiles - first);
            let stretch = Stretch {
                input: start + self.product * input_step,
                gradient: gradients + self.block * plan.block,
                pixels: tiles.div_ceil(plan.precision.per_lane()),
            };
            // SAFETY: the stretch is a run of tiles of one matrix of the group.
            unsafe {
                match plan.precision {
                    Precision::F32 => job.add::<S>(vectors, &[stretch]),
                    Precision::Bf16 => job.add::<Pairs<S>>(vectors, &[stretch]),
                }
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
