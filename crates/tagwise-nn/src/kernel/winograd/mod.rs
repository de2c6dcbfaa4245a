//! Convolution 3×3 with stride 1 by Winograd's minimal filtering F(4×4, 3×3): a quarter of the
//! multiplications of the direct sum.
//!
//! Every 4×4 tile of results is computed from a 6×6 tile of inputs: inputs and weights are
//! transformed to 36 numbers each, multiplied as 36 independent matrix products over channels, and
//! the products transformed back (Lavin and Gray 2016). Sums are in f32; with the points of
//! [`transform`] the rounding error is about three times that of the direct sum, measured on
//! rectified noise with 64 channels.

mod gradient;
mod transform;

use rayon::prelude::*;

pub(crate) use gradient::WinogradGradient;

use super::convolution::{ConvShape, Job, Pixel, Tap, Write};
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Portable, Simd};
use super::{KernelSet, Kernels, padded_channels};
use crate::buffer::ThreadBuffers;
use transform::{INPUTS, PRODUCTS, RESULTS, Tile};

/// Channels whose products are summed before the sums go back to memory: with one block of
/// outputs their weights stay in the first-level cache.
const SLAB: usize = 64;
/// Tiles that are transformed at a time, a multiple of the pixels in a register tile: few, so that
/// they stay in the second-level cache; more where the weights of all products are too many for
/// any cache and are read again for every run.
const TILES_PER_RUN: usize = 36;
const TILES_PER_WIDE_RUN: usize = 66;
const WIDE: usize = 512;
/// Tiles that one task should have at least, so that a matrix of weights read from far away is
/// used often.
const TILES_PER_TASK: usize = 64;
/// Smallest numbers of channels and side of an image for which the transforms pay.
const LEAST_CHANNELS: usize = 16;
const LEAST_SIDE: usize = 3;

/// Whether a layer's three convolutions are computed by this module.
pub(crate) fn serves(shape: &ConvShape) -> bool {
    let least = shape.in_channels.min(shape.out_channels);
    let side = shape.in_height.min(shape.in_width);
    (shape.kernel, shape.stride) == (3, 1) && least >= LEAST_CHANNELS && side >= LEAST_SIDE
}

/// Which tiles an image has.
#[derive(Clone, Copy, Debug)]
struct Tiling {
    height: usize,
    width: usize,
}

impl Tiling {
    fn columns(self) -> usize {
        self.width.div_ceil(RESULTS)
    }
    fn count(self) -> usize {
        self.height.div_ceil(RESULTS) * self.columns()
    }
    /// Image, first row and first column of results of a tile of a batch.
    fn place(self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.count(), tile % self.count());
        let (y, x) = (tile / self.columns(), tile % self.columns());
        (image, y * RESULTS, x * RESULTS)
    }
    /// Rows and columns of results that a tile at (y, x) has inside the image.
    fn inside(self, y: usize, x: usize) -> (usize, usize) {
        (RESULTS.min(self.height - y), RESULTS.min(self.width - x))
    }
    /// Numbers of a bordered image.
    fn bordered_len(self, pitch: usize) -> usize {
        (self.height + 2) * (self.width + 2) * pitch
    }
    /// The inputs of the results at (y, x), and where they start in a bordered image.
    fn inputs(self, y: usize, x: usize, pitch: usize) -> (Tile, usize) {
        let row_step = (self.width + 2) * pitch;
        let tile = Tile {
            row_step,
            column_step: pitch,
            rows: INPUTS.min(self.height + 2 - y),
            columns: INPUTS.min(self.width + 2 - x),
        };
        (tile, y * row_step + x * pitch)
    }
}

/// Distance in memory of the 36 transformed numbers of `len` others each: an odd number of cache
/// lines, so that they do not fall into one set of the cache.
fn product_step(len: usize) -> usize {
    const LINE: usize = 16;
    (len.div_ceil(LINE) | 1) * LINE
}

/// One convolution, forward or data gradient, ready to run.
#[derive(Debug)]
pub(crate) struct Winograd {
    tiling: Tiling,
    /// Channels summed over.
    channels: usize,
    in_pitch: usize,
    out_pitch: usize,
    /// Channels per block of packed weights.
    block: usize,
    /// Tiles that are transformed at a time.
    tiles: usize,
    /// Where the tiles of a run lie in one of the 36 matrices.
    pixels: Vec<Pixel>,
}

/// Which of a layer's two convolutions over images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    /// From the bordered gradient of the output to the gradient of the input.
    DataGradient,
}

impl Winograd {
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels, direction: Direction) -> Self {
        assert!(serves(shape), "a 3×3 convolution with stride 1");
        let (channels, in_pitch, out_pitch) = match direction {
            Direction::Forward => (shape.in_channels, shape.in_pitch, shape.out_pitch()),
            Direction::DataGradient => (
                shape.out_channels,
                shape.out_pitch(),
                padded_channels(shape.in_channels),
            ),
        };
        assert_eq!(in_pitch, padded_channels(channels));
        let block = kernels.channel_block(out_pitch);
        let tiles = if channels < WIDE {
            TILES_PER_RUN
        } else {
            TILES_PER_WIDE_RUN
        };
        let pixels = (0..tiles)
            .map(|tile| Pixel {
                input: (tile * in_pitch) as u32,
                output: (tile * block) as u32,
            })
            .collect();
        Self {
            tiling: Tiling {
                height: shape.in_height,
                width: shape.in_width,
            },
            channels,
            in_pitch,
            out_pitch,
            block,
            tiles,
            pixels,
        }
    }

    fn num_blocks(&self) -> usize {
        self.out_pitch / self.block
    }

    /// Channels per slab of transformed weights.
    fn slab(&self) -> usize {
        SLAB.min(self.channels)
    }

    /// Numbers of one slab of the transformed weights `[block][slab][36][channel][outputs]`.
    fn slab_len(&self) -> usize {
        PRODUCTS * self.slab() * self.block
    }

    /// Numbers of the transformed weights.
    pub(crate) fn weights_len(&self) -> usize {
        self.num_blocks() * self.channels.div_ceil(self.slab()) * self.slab_len()
    }

    fn input_step(&self) -> usize {
        product_step(self.tiles * self.in_pitch)
    }

    fn output_step(&self) -> usize {
        product_step(self.tiles * self.block)
    }

    /// Numbers of scratch memory for every thread.
    pub(crate) fn thread_len(&self) -> usize {
        PRODUCTS * (self.input_step() + self.output_step())
    }

    /// Transforms packed weights `[outputs/block][tap][channel][block]`; the data gradient takes
    /// transposed ones and turns their taps around.
    pub(crate) fn transform_weights(
        &self,
        kernels: Kernels,
        direction: Direction,
        packed: &[f32],
        transformed: &mut [f32],
    ) {
        let taps_len = 9 * self.channels * self.block;
        assert_eq!(packed.len(), self.num_blocks() * taps_len);
        let slabs = self.channels.div_ceil(self.slab());
        transformed[..self.weights_len()]
            .par_chunks_exact_mut(self.slab_len())
            .with_max_len(1)
            .enumerate()
            .for_each(|(index, slab)| {
                let (block, first) = (index / slabs, index % slabs * self.slab());
                let taps = &packed[block * taps_len..][..taps_len];
                let channels = first..self.channels.min(first + self.slab());
                // SAFETY: `taps` holds nine matrices of `channels` rows and `slab` 36 of them;
                // `Kernels` exists only for present features.
                unsafe {
                    match kernels.set() {
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx2 => self.slab_avx2(direction, channels, taps, slab),
                        #[cfg(target_arch = "x86_64")]
                        KernelSet::Avx512 => self.slab_avx512(direction, channels, taps, slab),
                        _ => self.transform_slab::<Portable>(direction, channels, taps, slab),
                    }
                }
            });
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn slab_avx2(&self, d: Direction, c: Range, taps: &[f32], slab: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.transform_slab::<Avx2>(d, c, taps, slab) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn slab_avx512(&self, d: Direction, c: Range, taps: &[f32], slab: &mut [f32]) {
        // SAFETY: the caller keeps the contract; the features are enabled here.
        unsafe { self.transform_slab::<Avx512>(d, c, taps, slab) }
    }

    /// # Safety
    /// The slices have the lengths of one block's taps and of a slab; `S` is available.
    #[inline(always)]
    unsafe fn transform_slab<S: Simd>(
        &self,
        direction: Direction,
        channels: Range,
        taps: &[f32],
        slab: &mut [f32],
    ) {
        let step = self.slab() * self.block;
        for (i, channel) in channels.enumerate() {
            for first in (0..self.block).step_by(S::LANES) {
                let mut from = [taps.as_ptr(); 9];
                for (tap, from) in from.iter_mut().enumerate() {
                    let tap = match direction {
                        Direction::Forward => tap,
                        Direction::DataGradient => 8 - tap,
                    };
                    let offset = (tap * self.channels + channel) * self.block + first;
                    *from = from.wrapping_add(offset);
                }
                // SAFETY: each tap's matrix has `channels` rows of `block` numbers.
                unsafe {
                    let to = slab.as_mut_ptr().add(i * self.block + first);
                    transform::weights::<S>(from, to, step);
                }
            }
        }
    }

    /// Runs the convolution over a batch.
    ///
    /// # Shapes
    /// `input` is bordered, `[B, h+2, w+2, in_pitch]`; `output` is `[B, h, w, out_pitch]`.
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        batch: usize,
        input: &[f32],
        transformed: &[f32],
        threads: &ThreadBuffers,
        (output, write): (&mut [f32], Write),
    ) {
        let input_len = self.tiling.bordered_len(self.in_pitch);
        let output_len = self.tiling.height * self.tiling.width * self.out_pitch;
        assert!(input.len() >= batch * input_len && transformed.len() >= self.weights_len());
        // Neither the result nor its rounding depends on how images are grouped.
        let images = TILES_PER_TASK
            .div_ceil(self.tiling.count())
            .min(batch.div_ceil(rayon::current_num_threads()))
            .max(1);
        output[..batch * output_len]
            .par_chunks_mut(images * output_len)
            .zip(input[..batch * input_len].par_chunks(images * input_len))
            .with_max_len(1)
            .for_each(|(output, input)| {
                threads.with(self.thread_len(), |scratch| {
                    let task = Task {
                        pass: self,
                        input,
                        transformed,
                        images: output.len() / output_len,
                    };
                    // SAFETY: the slices hold whole images of this pass, the weights were
                    // measured above, and `Kernels` exists only for present features.
                    unsafe {
                        match kernels.set() {
                            #[cfg(target_arch = "x86_64")]
                            KernelSet::Avx2 => task.run_avx2(scratch, output, write),
                            #[cfg(target_arch = "x86_64")]
                            KernelSet::Avx512 => task.run_avx512(scratch, output, write),
                            _ => task.run::<Portable>(scratch, output, write),
                        }
                    }
                });
            });
    }
}

type Range = std::ops::Range<usize>;

/// Some whole images of a batch.
struct Task<'a> {
    pass: &'a Winograd,
    input: &'a [f32],
    transformed: &'a [f32],
    images: usize,
}

impl Task<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, scratch: &mut [f32], output: &mut [f32], write: Write) {
        // SAFETY: the caller keeps `run`'s contract; the features are enabled here.
        unsafe { self.run::<Avx2>(scratch, output, write) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn run_avx512(&self, scratch: &mut [f32], output: &mut [f32], write: Write) {
        // SAFETY: the caller keeps `run`'s contract; the features are enabled here.
        unsafe { self.run::<Avx512>(scratch, output, write) }
    }

    /// # Safety
    /// Input and output hold `images` images, `scratch` a thread's memory; `S` is available.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, scratch: &mut [f32], output: &mut [f32], write: Write) {
        let pass = self.pass;
        let (inputs, products) = scratch.split_at_mut(PRODUCTS * pass.input_step());
        let tiles = self.images * pass.tiling.count();
        for first in (0..tiles).step_by(pass.tiles) {
            let run = first..tiles.min(first + pass.tiles);
            // SAFETY: passed on from the caller.
            unsafe {
                self.transform_inputs::<S>(run.clone(), inputs);
                for block in 0..pass.num_blocks() {
                    self.multiply::<S>(run.len(), block, inputs, products);
                    self.transform_products::<S>(run.clone(), block, products, output, write);
                }
            }
        }
    }

    /// # Safety
    /// As [`Task::run`].
    #[inline(always)]
    unsafe fn transform_inputs<S: Simd>(&self, run: Range, inputs: &mut [f32]) {
        let pass = self.pass;
        let (pitch, step) = (pass.in_pitch, pass.input_step());
        for (i, tile) in run.enumerate() {
            let (image, y, x) = pass.tiling.place(tile);
            let (tile, start) = pass.tiling.inputs(y, x, pitch);
            let start = image * pass.tiling.bordered_len(pitch) + start;
            for channel in (0..pitch).step_by(S::LANES) {
                // SAFETY: the tile lies inside its image, and i is below the tiles of a run.
                unsafe {
                    let from = self.input.as_ptr().add(start + channel);
                    let to = inputs.as_mut_ptr().add(i * pitch + channel);
                    transform::input::<S>(tile, from, to, step);
                }
            }
        }
    }

    /// The 36 matrix products of a run of tiles with one block of outputs.
    ///
    /// # Safety
    /// As [`Task::run`].
    #[inline(always)]
    unsafe fn multiply<S: Simd>(
        &self,
        tiles: usize,
        block: usize,
        inputs: &[f32],
        products: &mut [f32],
    ) {
        let pass = self.pass;
        let slabs = pass.channels.div_ceil(pass.slab());
        let matrix = pass.slab() * pass.block;
        for slab in 0..slabs {
            let first = slab * pass.slab();
            for product in 0..PRODUCTS {
                let weights = ((block * slabs + slab) * PRODUCTS + product) * matrix;
                // SAFETY: the offsets are those of matrices inside the three buffers.
                unsafe {
                    let job = Job {
                        pixels: &pass.pixels[..tiles],
                        taps: &[Tap::HERE],
                        channels: pass.slab().min(pass.channels - first),
                        input: inputs.as_ptr().add(product * pass.input_step() + first),
                        weights: self.transformed.as_ptr().add(weights),
                        output: products.as_mut_ptr().add(product * pass.output_step()),
                        write: if slab > 0 { Write::Add } else { Write::Replace },
                    };
                    job.run::<S>(pass.block / S::LANES);
                }
            }
        }
    }

    /// # Safety
    /// As [`Task::run`].
    #[inline(always)]
    unsafe fn transform_products<S: Simd>(
        &self,
        run: Range,
        block: usize,
        products: &[f32],
        output: &mut [f32],
        write: Write,
    ) {
        let pass = self.pass;
        let Tiling { height, width } = pass.tiling;
        let (pitch, step) = (pass.out_pitch, pass.output_step());
        for (i, tile) in run.enumerate() {
            let (image, y, x) = pass.tiling.place(tile);
            let (rows, columns) = pass.tiling.inside(y, x);
            let start = ((image * height + y) * width + x) * pitch + block * pass.block;
            for channel in (0..pass.block).step_by(S::LANES) {
                // SAFETY: rows and columns of the tile lie inside its image.
                unsafe {
                    let from = products.as_ptr().add(i * pass.block + channel);
                    let results = transform::result::<S>(from, step);
                    let to = output.as_mut_ptr().add(start + channel);
                    for (y, row) in results.iter().enumerate().take(rows) {
                        for (x, result) in row.iter().enumerate().take(columns) {
                            let to = to.add((y * width + x) * pitch);
                            let value = match write {
                                Write::Replace => *result,
                                Write::Add => S::add(S::load(to), *result),
                            };
                            S::store(to, value);
                        }
                    }
                }
            }
        }
    }
}
