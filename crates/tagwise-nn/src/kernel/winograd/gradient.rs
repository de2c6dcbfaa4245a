//! Weight gradient in the transformed domain: dW = Gᵀ[Σ over tiles of (Bᵀ d B)ᵀ(A dz Aᵀ)]G.

use rayon::prelude::*;

use super::transform::{self, PRODUCTS, RESULTS, Tile};
use super::{Range, Tiling, serves};
use crate::kernel::convolution::{ConvShape, Write};
#[cfg(target_arch = "x86_64")]
use crate::kernel::simd::{Avx2, Avx512};
use crate::kernel::simd::{Portable, Simd};
use crate::kernel::weight_gradient::{Job, Stretch};
use crate::kernel::{KernelSet, Kernels};

/// Tiles that a register tile sums over before its sums go back to memory.
const TILES_PER_GROUP: usize = 64;
/// Bytes of transformed tiles that are kept at a time, where a group takes less.
const TRANSFORMED_BYTES: usize = 6 << 20;

/// The weight gradient of one layer.
///
/// Groups of tiles are transformed in parallel, then the 36 sums of products (for each block of
/// output channels) are taken in parallel, every sum in the order of the tiles.
#[derive(Debug)]
pub(crate) struct WinogradGradient {
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
        (
            super::product_step(TILES_PER_GROUP * self.in_pitch),
            super::product_step(TILES_PER_GROUP * self.out_pitch),
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
        input: &[f32],
        dz: &[f32],
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
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
        input: &[f32],
        dz: &[f32],
        groups: &mut [f32],
    ) {
        groups
            .par_chunks_exact_mut(self.group_len())
            .with_max_len(1)
            .enumerate()
            .for_each(|(index, group)| {
                let first = round.end.min(round.start + index * TILES_PER_GROUP);
                let tiles = first..round.end.min(first + TILES_PER_GROUP);
                // SAFETY: `run` checked that input and dz hold every image of the batch with its
                // border; `Kernels` exists only for present features.
                unsafe {
                    match kernels.set() {
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx2 => self.group_avx2(tiles, input, dz, group),
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx512 => self.group_avx512(tiles, input, dz, group),
                        _ => self.transform_group::<Portable>(tiles, input, dz, group),
                    }
                }
            });
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn group_avx2(&self, tiles: Range, x: &[f32], dz: &[f32], group: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.transform_group::<Avx2>(tiles, x, dz, group) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn group_avx512(&self, tiles: Range, x: &[f32], dz: &[f32], group: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.transform_group::<Avx512>(tiles, x, dz, group) }
    }

    /// # Safety
    /// `x` and `dz` hold all images of the tiles, `group` has its length; `S` is available.
    #[inline(always)]
    unsafe fn transform_group<S: Simd>(
        &self,
        tiles: Range,
        x: &[f32],
        dz: &[f32],
        group: &mut [f32],
    ) {
        let (input_step, gradient_step) = self.steps();
        let (inputs, gradients) = group.split_at_mut(PRODUCTS * input_step);
        for (i, tile) in tiles.enumerate() {
            let (image, row, column) = self.tiling.place(tile);
            let (tile, start) = self.tiling.inputs(row, column, self.in_pitch);
            let start = image * self.tiling.bordered_len(self.in_pitch) + start;
            for channel in (0..self.in_pitch).step_by(S::LANES) {
                // SAFETY: the tile lies inside its image, and i is below TILES_PER_GROUP.
                unsafe {
                    let from = x.as_ptr().add(start + channel);
                    let to = inputs.as_mut_ptr().add(i * self.in_pitch + channel);
                    transform::input::<S>(tile, from, to, input_step);
                }
            }
            let (tile, start) = self.gradients(row, column);
            let start = image * self.tiling.bordered_len(self.out_pitch) + start;
            for channel in (0..self.out_pitch).step_by(S::LANES) {
                // SAFETY: as above.
                unsafe {
                    let from = dz.as_ptr().add(start + channel);
                    let to = gradients.as_mut_ptr().add(i * self.out_pitch + channel);
                    transform::gradient::<S>(tile, from, to, gradient_step);
                }
            }
        }
    }

    /// The gradients of the results at (y, x), and where they start in a bordered image.
    fn gradients(&self, y: usize, x: usize) -> (Tile, usize) {
        let row_step = (self.tiling.width + 2) * self.out_pitch;
        let (rows, columns) = self.tiling.inside(y, x);
        debug_assert!(rows <= RESULTS && columns <= RESULTS);
        let tile = Tile {
            row_step,
            column_step: self.out_pitch,
            rows,
            columns,
        };
        (tile, (y + 1) * row_step + (x + 1) * self.out_pitch)
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
                let (block, product) = (index / PRODUCTS, index % PRODUCTS);
                if write == Write::Replace {
                    sums.fill(0.0);
                }
                // SAFETY: the groups hold `tiles` transformed tiles, `sums` is one matrix;
                // `Kernels` exists only for present features.
                unsafe {
                    match kernels.set() {
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx2 => self.add_avx2(tiles, block, product, groups, sums),
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx512 => self.add_avx512(tiles, block, product, groups, sums),
                        _ => self.add::<Portable>(tiles, block, product, groups, sums),
                    }
                }
            });
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add_avx2(&self, t: usize, b: usize, p: usize, groups: &[f32], sums: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.add::<Avx2>(t, b, p, groups, sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn add_avx512(&self, t: usize, b: usize, p: usize, groups: &[f32], sums: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.add::<Avx512>(t, b, p, groups, sums) }
    }

    /// # Safety
    /// `groups` holds `tiles` transformed tiles, `sums` has its length; `S` is available.
    #[inline(always)]
    unsafe fn add<S: Simd>(
        &self,
        tiles: usize,
        block: usize,
        product: usize,
        groups: &[f32],
        sums: &mut [f32],
    ) {
        let (input_step, gradient_step) = self.steps();
        let job = Job {
            x_step: self.in_pitch,
            dz_step: self.out_pitch,
            channels: self.in_channels,
            x: groups.as_ptr(),
            dz: groups.as_ptr(),
            sums: sums.as_mut_ptr(),
        };
        for (group, first) in (0..tiles).step_by(TILES_PER_GROUP).enumerate() {
            let start = group * self.group_len();
            let stretch = Stretch {
                input: start + product * input_step,
                gradient: start
                    + PRODUCTS * input_step
                    + product * gradient_step
                    + block * self.block,
                pixels: TILES_PER_GROUP.min(tiles - first),
            };
            // SAFETY: the stretch is a run of tiles of one matrix of the group.
            unsafe { job.add::<S>(self.block / S::LANES, &[stretch]) }
        }
    }

    fn transform_sums(&self, kernels: Kernels, sums: &[f32], gradient: &mut [f32]) {
        let matrix = self.in_channels * self.block;
        gradient
            .par_chunks_exact_mut(9 * matrix)
            .zip(sums.par_chunks_exact(PRODUCTS * matrix))
            .with_max_len(1)
            .for_each(|(gradient, sums)| {
                // SAFETY: both slices are whole stacks of matrices; `Kernels` exists only for
                // present features.
                unsafe {
                    match kernels.set() {
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx2 => sums_avx2(matrix, sums, gradient),
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx512 => sums_avx512(matrix, sums, gradient),
                        _ => block_sums::<Portable>(matrix, sums, gradient),
                    }
                }
            });
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums_avx2(matrix: usize, sums: &[f32], gradient: &mut [f32]) {
    // SAFETY: the caller keeps the contract; the features are enabled here.
    unsafe { block_sums::<Avx2>(matrix, sums, gradient) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn sums_avx512(matrix: usize, sums: &[f32], gradient: &mut [f32]) {
    // SAFETY: the caller keeps the contract; the features are enabled here.
    unsafe { block_sums::<Avx512>(matrix, sums, gradient) }
}

/// # Safety
/// `sums` holds 36 and `gradient` nine matrices of this many numbers; `S` is available.
#[inline(always)]
unsafe fn block_sums<S: Simd>(matrix: usize, sums: &[f32], gradient: &mut [f32]) {
    for first in (0..matrix).step_by(S::LANES) {
        let mut taps = [gradient.as_mut_ptr(); 9];
        for (tap, to) in taps.iter_mut().enumerate() {
            *to = to.wrapping_add(tap * matrix + first);
        }
        // SAFETY: a register at `first` lies inside every matrix.
        unsafe { transform::weight_gradient::<S>(sums.as_ptr().add(first), matrix, taps) }
    }
}
