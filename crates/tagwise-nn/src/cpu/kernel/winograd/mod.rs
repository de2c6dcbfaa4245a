//! Convolution 3×3 with stride 1 by Winograd's minimal filtering F(4×4, 3×3): a quarter of the
//! multiplications of the direct sum.
//!
//! Every 4×4 tile of results is computed from a 6×6 tile of inputs: inputs and weights are
//! transformed to 36 numbers each, multiplied as 36 independent matrix products over channels, and
//! the products transformed back (Lavin and Gray 2016). Sums are in f32; with the points of
//! [`transform`] the rounding error is about three times that of F(2×2, 3×3), measured on
//! rectified noise with 64 channels. In bf16 the factors of the products are rounded to bf16, in
//! pairs of channels, and the error is about 1 % of the results' standard deviation; where no
//! instruction multiplies pairs, images alone are in bf16 and the factors stay in f32.
//!
//! Transformed numbers are counted in *lanes* of 32 bits: one f32 or a pair of bf16.

mod gradient;
mod tiled;
mod tiling;
mod transform;
mod weights;

pub(crate) use gradient::WinogradGradient;

use super::output::{Output, Write};
use super::register_tiles::{Job, Jobs, Pixel, Tap};
use super::shape::ConvShape;
use super::simd::{Number, Simd, TileWork, Work, launch_product, launch_tiles};
use super::tiles::Tiles;
use super::{Kernels, odd_lines, padded_channels};
use crate::Precision;
use crate::cpu::activations::{View, ViewMut};
use crate::cpu::bf16::Bf16;
use crate::cpu::buffer::ThreadBuffers;
use tiling::Tiling;
use transform::{INPUTS, PRODUCTS, RESULTS};

/// Lanes of channels whose products are summed before the sums go back to memory: with one block of
/// outputs their weights stay in the first-level cache.
const SLAB: usize = 64;
/// Tiles that are transformed at a time, a multiple of the pixels in a register tile: few, so that
/// they stay in the second-level cache; more where the weights of all products are too many for
/// any cache and are read again for every run.
const TILES_PER_RUN: usize = 36;
const TILES_PER_WIDE_RUN: usize = 66;
/// The same where the products are taken by tiles of AMX: whole pairs of rows of those.
const TILES_PER_TILED_RUN: usize = 32;
const TILES_PER_WIDE_TILED_RUN: usize = 64;
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
    // Images may have many channels, but are not padded.
    let is_padded = shape.in_pitch == padded_channels(shape.in_channels);
    let is_wide = least >= LEAST_CHANNELS && side >= LEAST_SIDE;
    (shape.kernel, shape.stride) == (3, 1) && is_wide && is_padded
}

/// One convolution, forward or data gradient, ready to run.
#[derive(Debug)]
pub(crate) struct Winograd {
    /// Of the images.
    precision: Precision,
    /// Of what the products multiply.
    factors: Precision,
    direction: Direction,
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
    /// Whether the products are taken by tiles of AMX.
    tiled: bool,
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
        let (precision, factors) = (kernels.precision(), kernels.factors());
        let tiled = kernels.have_tiles();
        let tiles = match (channels < WIDE, tiled) {
            (true, false) => TILES_PER_RUN,
            (false, false) => TILES_PER_WIDE_RUN,
            (true, true) => TILES_PER_TILED_RUN,
            (false, true) => TILES_PER_WIDE_TILED_RUN,
        };
        let pixels = (0..tiles)
            .map(|tile| Pixel {
                input: (tile * in_pitch / factors.per_lane()) as u32,
                output: (tile * block) as u32,
            })
            .collect();
        Self {
            precision,
            factors,
            direction,
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
            tiled,
        }
    }

    fn num_blocks(&self) -> usize {
        self.out_pitch / self.block
    }

    /// Lanes of the channels summed over.
    fn lanes(&self) -> usize {
        self.channels.div_ceil(self.factors.per_lane())
    }

    /// Lanes per slab of transformed weights; all of them where sums stay in tiles meanwhile.
    fn slab(&self) -> usize {
        if self.tiled {
            self.lanes()
        } else {
            SLAB.min(self.lanes())
        }
    }

    fn num_slabs(&self) -> usize {
        self.lanes().div_ceil(self.slab())
    }

    /// Lanes of one slab of the transformed weights `[block][slab][36][lane][outputs]`.
    fn slab_len(&self) -> usize {
        PRODUCTS * self.slab() * self.block
    }

    /// Lanes of the transformed weights.
    pub(crate) fn weights_len(&self) -> usize {
        self.num_blocks() * self.num_slabs() * self.slab_len()
    }

    /// Lanes of one transformed tile.
    fn tile_lanes(&self) -> usize {
        self.in_pitch / self.factors.per_lane()
    }

    fn input_step(&self) -> usize {
        odd_lines(self.tiles * self.tile_lanes())
    }

    fn output_step(&self) -> usize {
        odd_lines(self.tiles * self.block)
    }

    /// Numbers of scratch memory for every thread.
    pub(crate) fn thread_len(&self) -> usize {
        PRODUCTS * (self.input_step() + self.output_step())
    }

    /// Images of a batch that one task writes. Neither the results nor their rounding depend on it.
    pub(crate) fn images_per_task(&self, batch: usize) -> usize {
        TILES_PER_TASK
            .div_ceil(self.tiling.count())
            .min(batch.div_ceil(rayon::current_num_threads()))
            .max(1)
    }

    /// Runs the convolution over a batch.
    ///
    /// # Shapes
    /// `input` is bordered, `[B, h+2, w+2, in_pitch]`; `output` is `[B, h, w, out_pitch]`.
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        batch: usize,
        input: View<'_>,
        transformed: &[f32],
        threads: &ThreadBuffers,
        output: Output<'_>,
    ) {
        assert_eq!([input.precision(), output.precision()], [self.precision; 2]);
        assert!(input.len() >= batch * self.tiling.bordered_len(self.in_pitch));
        assert!(transformed.len() >= self.weights_len());
        let output_len = self.tiling.height * self.tiling.width * self.out_pitch;
        let images = self.images_per_task(batch);
        let write = output.write;
        output.for_each_group(batch, output_len, images, &|first_image, output| {
            threads.with(self.thread_len(), |scratch| {
                let images = output.len() / output_len;
                let task = Task {
                    pass: self,
                    kernels,
                    first_image,
                    tiles: images * self.tiling.count(),
                    transformed,
                    scratch,
                    write,
                };
                // SAFETY: input and output hold these images, the weights were measured.
                unsafe { task.run(input, output) }
            });
        });
    }
}

type Range = std::ops::Range<usize>;

/// Some whole images of a batch.
struct Task<'a> {
    pass: &'a Winograd,
    kernels: Kernels,
    first_image: usize,
    /// Tiles of the images.
    tiles: usize,
    transformed: &'a [f32],
    scratch: &'a mut [f32],
    write: Write,
}

/// A batch's bordered input and a task's output.
#[derive(Clone, Copy)]
struct Images<E> {
    input: *const E,
    output: *mut E,
}

/// A task whose products are taken by tiles of AMX.
struct TiledTask<'a> {
    task: Task<'a>,
    images: Images<Bf16>,
}

impl TileWork for TiledTask<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(mut self) {
        // SAFETY: passed on from the caller.
        unsafe {
            let amx = T::configure(tiled::depth(self.task.pass));
            self.task.run_all(self.images, &mut |task, tiles, block| {
                task.multiply_tiled(&amx, tiles, block);
            });
        }
    }
}

impl Task<'_> {
    /// # Safety
    /// Input and output hold the task's images.
    unsafe fn run(mut self, input: View<'_>, mut output: ViewMut<'_>) {
        // SAFETY: passed on from the caller.
        unsafe {
            match (input, output.reborrow()) {
                (View::F32(input), ViewMut::F32(output)) => {
                    let images = Images {
                        input: input.as_ptr(),
                        output: output.as_mut_ptr(),
                    };
                    self.run_all(images, &mut |task, tiles, block| {
                        task.multiply(tiles, block)
                    });
                }
                (View::Bf16(input), ViewMut::Bf16(output)) => {
                    let images = Images {
                        input: input.as_ptr(),
                        output: output.as_mut_ptr(),
                    };
                    if self.pass.tiled {
                        launch_tiles(self.kernels, TiledTask { task: self, images });
                    } else {
                        self.run_all(images, &mut |task, tiles, block| {
                            task.multiply(tiles, block)
                        });
                    }
                }
                _ => unreachable!("`run` compared the precisions"),
            }
        }
    }

    /// Transforms; `multiply` takes the products of so many tiles with a block of outputs.
    ///
    /// # Safety
    /// As [`Task::run`].
    unsafe fn run_all<E: Number>(
        &mut self,
        images: Images<E>,
        multiply: &mut dyn FnMut(&mut Self, usize, usize),
    ) {
        let pass = self.pass;
        for first in (0..self.tiles).step_by(pass.tiles) {
            let run = first..self.tiles.min(first + pass.tiles);
            // SAFETY: passed on from the caller; the scratch memory holds a run.
            unsafe {
                match pass.factors {
                    Precision::F32 => self.transform::<E, f32>(images, run.clone()),
                    Precision::Bf16 => self.transform::<E, Bf16>(images, run.clone()),
                }
            }
            for block in 0..pass.num_blocks() {
                multiply(self, run.len(), block);
                let results = Results {
                    pass,
                    run: run.clone(),
                    block,
                    products: &self.scratch[PRODUCTS * pass.input_step()..],
                    output: images.output,
                    write: self.write,
                };
                // SAFETY: as above.
                unsafe { E::launch(self.kernels, results) }
            }
        }
    }

    /// Transforms the inputs of a run of tiles to factors `F`.
    ///
    /// # Safety
    /// As [`Task::run`].
    unsafe fn transform<E: Number, F: Number>(&mut self, images: Images<E>, run: Range) {
        let inputs = Inputs {
            pass: self.pass,
            run,
            input: images.input,
            first_image: self.first_image * self.pass.tiling.bordered_len(self.pass.in_pitch),
            numbers: self.scratch.as_mut_ptr().cast::<F>(),
        };
        // SAFETY: passed on from the caller; the scratch memory holds a run.
        unsafe { E::launch(self.kernels, inputs) }
    }

    /// The 36 matrix products of a run of tiles with one block of outputs.
    ///
    /// # Safety
    /// As [`Task::run`].
    unsafe fn multiply(&mut self, tiles: usize, block: usize) {
        let pass = self.pass;
        let matrix = pass.slab() * pass.block;
        let (inputs, products) = self.scratch.split_at_mut(PRODUCTS * pass.input_step());
        for slab in 0..pass.num_slabs() {
            let first = slab * pass.slab();
            let weights = (block * pass.num_slabs() + slab) * PRODUCTS * matrix;
            // SAFETY: the offsets are those of matrices inside the three buffers.
            unsafe {
                let jobs = Jobs {
                    first: Job {
                        pixels: &pass.pixels[..tiles],
                        taps: &[Tap::HERE],
                        channels: pass.slab().min(pass.lanes() - first),
                        block: pass.block,
                        input: inputs.as_ptr().add(first),
                        weights: self.transformed.as_ptr().add(weights),
                        output: products.as_mut_ptr(),
                        write: if slab > 0 { Write::Add } else { Write::Replace },
                    },
                    count: PRODUCTS,
                    steps: [pass.input_step(), matrix, pass.output_step()],
                };
                launch_product(self.kernels, pass.factors, jobs);
            }
        }
    }
}

/// Tiles of inputs `E` to transform to factors `F`.
struct Inputs<'a, E, F> {
    pass: &'a Winograd,
    run: Range,
    input: *const E,
    /// Where the task's first image starts.
    first_image: usize,
    /// Where the transformed numbers go.
    numbers: *mut F,
}

impl<E: Number, F: Number> Work for Inputs<'_, E, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let pass = self.pass;
        let (pitch, step) = (pass.in_pitch, pass.input_step() * pass.factors.per_lane());
        let mut here = pass.tiling.inputs_of(self.run.start, pitch);
        for (i, index) in self.run.enumerate() {
            let following = pass.tiling.inputs_of(index + 1, pitch);
            let ((tile, start), (next, next_start)) = (here, following);
            here = following;
            let next_from = self.input.wrapping_add(self.first_image + next_start);
            let start = self.first_image + start;
            for channel in (0..pitch).step_by(S::LANES) {
                next.prefetch(INPUTS - RESULTS, next_from, channel);
                // SAFETY: the tile lies inside its image, and i is below the tiles of a run.
                unsafe {
                    let tile = transform::input::<S, E>(tile, self.input.add(start + channel));
                    let to = self.numbers.add(i * pitch + channel);
                    transform::store::<S, F>(tile, to, step);
                }
            }
        }
    }
}

/// Sums of products of a run of tiles, to become one block of their results.
struct Results<'a, E> {
    pass: &'a Winograd,
    run: Range,
    block: usize,
    products: &'a [f32],
    /// Where the task's first image starts.
    output: *mut E,
    write: Write,
}

impl<E: Number> Work for Results<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let pass = self.pass;
        let Tiling { height, width } = pass.tiling;
        let (pitch, step) = (pass.out_pitch, pass.output_step());
        for (i, tile) in self.run.enumerate() {
            let (image, y, x) = pass.tiling.place(tile);
            let (rows, columns) = pass.tiling.inside(y, x);
            let start = ((image * height + y) * width + x) * pitch + self.block * pass.block;
            for channel in (0..pass.block).step_by(S::LANES) {
                // SAFETY: rows and columns of the tile lie inside its image.
                unsafe {
                    let from = self.products.as_ptr().add(i * pass.block + channel);
                    let results = transform::result::<S>(from, step);
                    let to = self.output.add(start + channel);
                    for (y, row) in results.iter().enumerate().take(rows) {
                        for (x, result) in row.iter().enumerate().take(columns) {
                            let to = to.add((y * width + x) * pitch);
                            let value = match self.write {
                                Write::Replace => *result,
                                Write::Add => S::add(E::load::<S>(to), *result),
                            };
                            E::store::<S>(to, value);
                        }
                    }
                }
            }
        }
    }
}
