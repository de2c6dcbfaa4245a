//! Direct convolution, 1×1 and 3×3, stride 1 and 2: forward and data gradient.
//!
//! Both are one operation: every output pixel is a sum, over a few *taps*, of an input pixel at a
//! fixed distance times that tap's weight matrix. Inputs carry a border of zeros one pixel wide,
//! so no tap needs a test for the edge. The data gradient runs the same loops over the gradient
//! of the output with transposed weights; at stride 2 once for each parity of (row, column).
//!
//! A tile of output pixels × output channels stays in registers while all taps and a slab of input
//! channels are added to it; the slab of weights stays in the first-level cache. Where the machine
//! has registers that are tiles, [`DirectJob`] takes the same sums.
//!
//! Inputs and weights are read in *lanes* of 32 bits: one f32 of a channel, or the bf16 numbers of
//! a pair of channels.

use super::output::{Output, Write};
use super::register_tiles::{Job, Jobs, Pixel, Tap};
use super::shape::ConvShape;
use super::simd::{Simd, TileWork, Work, launch_bf16, launch_product, launch_tiles};
use super::tiles::{self, DirectJob, Tiles};
use super::{Kernels, padded_channels};
use crate::Precision;
use crate::cpu::activations::ViewMut;
use crate::cpu::bf16::Bf16;
use crate::cpu::buffer::ThreadBuffers;

/// Bytes of packed weights that a tile loop walks over repeatedly: two thirds of the smallest
/// first-level cache among the machines we know (32 KiB).
const SLAB_BYTES: usize = 20 * 1024;
/// Output pixels for which one block of weights is used before the next is taken: their inputs
/// and outputs stay in the second-level cache.
const PIXELS_PER_BLOCK: usize = 512;

/// The pixels and taps of one pass of the loops over an image.
#[derive(Debug)]
struct Pass {
    pixels: Vec<Pixel>,
    /// Where the results of each pixel belong in the output image.
    places: Vec<u32>,
    taps: Vec<Tap>,
}

impl Pass {
    /// A pass over pixels that write where their results belong, or, `staged`, for a block of
    /// channels at a time one after the other.
    fn new(mut pixels: Vec<Pixel>, taps: Vec<Tap>, staged: Option<usize>) -> Self {
        let places = pixels.iter().map(|pixel| pixel.output).collect();
        if let Some(block) = staged {
            for (index, pixel) in pixels.iter_mut().enumerate() {
                pixel.output = offset(index % PIXELS_PER_BLOCK * block);
            }
        }
        Self {
            pixels,
            places,
            taps,
        }
    }
}

/// A convolution ready to run: tables of offsets, checked once.
#[derive(Debug)]
pub(crate) struct Plan {
    precision: Precision,
    /// The precision of the results. Those in bf16 are rounded from sums that are complete, which
    /// are staged in f32 until then.
    output: Precision,
    /// Whether the products are taken by tiles.
    tiled: bool,
    passes: Vec<Pass>,
    /// Lanes of the channels summed over.
    channels: usize,
    /// Channels per block of packed weights.
    block: usize,
    num_blocks: usize,
    input_len: usize,
    output_len: usize,
    weights_len: usize,
}

impl Plan {
    /// The forward convolution, for inputs in this precision: bordered input image → output image
    /// without border.
    pub(crate) fn forward(shape: &ConvShape, kernels: Kernels, precision: Precision) -> Self {
        let (pitch, out_pitch) = (shape.in_pitch / precision.per_lane(), shape.out_pitch());
        let channels = shape.in_channels.div_ceil(precision.per_lane());
        let row = shape.in_width + 2;
        let base = 1 - shape.padding();
        let block = kernels.channel_block(out_pitch);
        let output = kernels.precision();
        let pixels = (0..shape.out_height())
            .flat_map(|y| (0..shape.out_width()).map(move |x| (y, x)))
            .map(|(y, x)| Pixel {
                input: offset(((y * shape.stride + base) * row + x * shape.stride + base) * pitch),
                output: offset((y * shape.out_width() + x) * out_pitch),
            })
            .collect();
        let taps = (0..shape.taps())
            .map(|tap| Tap {
                input: offset((tap / shape.kernel * row + tap % shape.kernel) * pitch),
                weights: offset(tap * channels * block),
            })
            .collect();
        Self {
            precision,
            output,
            tiled: kernels.with_precision(precision).have_tiles(),
            passes: vec![Pass::new(pixels, taps, staged(output, block))],
            channels,
            block,
            num_blocks: out_pitch / block,
            input_len: shape.in_image_len() / precision.per_lane(),
            output_len: shape.out_image_len(),
            weights_len: shape.taps() * channels * out_pitch,
        }
        .checked()
    }

    /// The data gradient, for gradients in the kernels' precision: bordered gradient of the output
    /// → gradient of the input without border.
    pub(crate) fn data_gradient(shape: &ConvShape, kernels: Kernels) -> Self {
        let precision = kernels.precision();
        let in_pitch = padded_channels(shape.in_channels);
        let block = kernels.channel_block(in_pitch);
        let channels = shape.out_channels.div_ceil(precision.per_lane());
        let lanes = Lanes {
            channels,
            pitch: shape.out_pitch() / precision.per_lane(),
        };
        let passes = (0..shape.stride)
            .flat_map(|y| (0..shape.stride).map(move |x| (y, x)))
            .map(|parity| {
                let (pixels, taps) = gradient_pass(shape, lanes, parity, in_pitch, block);
                Pass::new(pixels, taps, staged(precision, block))
            })
            .filter(|pass| !pass.pixels.is_empty())
            .collect();
        Self {
            precision,
            output: precision,
            tiled: kernels.have_tiles(),
            passes,
            channels,
            block,
            num_blocks: in_pitch / block,
            input_len: shape.out_bordered_len() / precision.per_lane(),
            output_len: shape.in_height * shape.in_width * in_pitch,
            weights_len: shape.taps() * channels * in_pitch,
        }
        .checked()
    }

    /// The precision of what is summed.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Lanes of the weights.
    pub(crate) fn weights_len(&self) -> usize {
        self.weights_len
    }

    /// Numbers of scratch memory for every thread.
    pub(crate) fn thread_len(&self) -> usize {
        let tiled = if self.tiled { DirectJob::SCRATCH } else { 0 };
        tiled + self.staged_len()
    }

    /// Sums that are staged at a time.
    fn staged_len(&self) -> usize {
        staged(self.output, self.block).map_or(0, |block| PIXELS_PER_BLOCK * block)
    }

    /// Channels whose products are summed before the sums go back to memory.
    fn slab(&self, taps: usize) -> usize {
        if self.tiled {
            tiles::MOST_STEPS / taps * tiles::depth(self.channels)
        } else {
            (SLAB_BYTES / (taps * self.block * size_of::<f32>())).max(4)
        }
    }

    /// Verifies that no offset leaves its image, which the unchecked inner loops rely on.
    fn checked(self) -> Self {
        for pass in &self.passes {
            let last_input = pass.pixels.iter().map(|p| p.input).max().unwrap_or(0) as usize;
            let last_output = pass.places.iter().copied().max().unwrap_or(0) as usize;
            assert!(last_output + self.num_blocks * self.block <= self.output_len);
            for tap in &pass.taps {
                assert!(last_input + tap.input as usize + self.channels <= self.input_len);
                let last_block = (self.num_blocks - 1) * (self.weights_len / self.num_blocks);
                let end = last_block + tap.weights as usize + self.channels * self.block;
                assert!(end <= self.weights_len);
            }
        }
        self
    }

    /// Runs the convolution over a batch; images are independent and run in parallel.
    ///
    /// # Shapes
    /// `input` is `[B, input_len]`, `output` is `[B, output_len]`.
    pub(crate) fn run(
        &self,
        kernels: Kernels,
        batch: usize,
        input: &[f32],
        weights: &[f32],
        threads: &ThreadBuffers,
        output: Output<'_>,
    ) {
        assert!(input.len() >= batch * self.input_len);
        assert_eq!(weights.len(), self.weights_len);
        assert_eq!(output.precision(), self.output);
        let write = output.write;
        output.for_each_group(batch, self.output_len, 1, &|image, output| {
            let input = &input[image * self.input_len..][..self.input_len];
            assert_eq!(output.len(), self.output_len);
            threads.with(self.thread_len(), |scratch| {
                let (staged, scratch) = scratch.split_at_mut(self.staged_len());
                let mut image = Image {
                    plan: self,
                    kernels,
                    input,
                    weights,
                    staged,
                    output,
                    write,
                };
                // SAFETY: `checked` proved that every offset of this plan stays inside slices of
                // these lengths.
                unsafe {
                    if self.tiled {
                        launch_tiles(kernels, TiledImage { image, scratch });
                    } else {
                        let precision = self.precision;
                        image.run_passes(&mut |job| {
                            launch_product(kernels, precision, Jobs::from(job))
                        });
                    }
                }
            });
        });
    }
}

/// One image of a batch.
struct Image<'a> {
    plan: &'a Plan,
    kernels: Kernels,
    input: &'a [f32],
    weights: &'a [f32],
    /// Sums of some pixels and one block of channels, where results are rounded.
    staged: &'a mut [f32],
    output: ViewMut<'a>,
    write: Write,
}

/// One image whose products are taken by tiles.
struct TiledImage<'a> {
    image: Image<'a>,
    scratch: &'a mut [f32],
}

impl TileWork for TiledImage<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(mut self) {
        let depth = tiles::depth(self.image.plan.channels);
        // SAFETY: passed on from the caller.
        unsafe {
            let tiles = T::configure(depth);
            self.image
                .run_passes(&mut |job| DirectJob { job, depth }.run(&tiles, self.scratch));
        }
    }
}

impl Image<'_> {
    /// Hands the products to `multiply`.
    ///
    /// # Safety
    /// The slices have the plan's lengths.
    unsafe fn run_passes(&mut self, multiply: &mut dyn FnMut(Job<'_>)) {
        for pass in &self.plan.passes {
            if pass.taps.is_empty() {
                self.replace_by_zeros(pass);
            } else {
                // SAFETY: passed on from the caller.
                unsafe { self.run_pass(pass, multiply) }
            }
        }
    }

    fn replace_by_zeros(&mut self, pass: &Pass) {
        if self.write == Write::Replace {
            let len = self.plan.num_blocks * self.plan.block;
            for place in &pass.places {
                let pixel = *place as usize..*place as usize + len;
                match &mut self.output {
                    ViewMut::F32(output) => output[pixel].fill(0.0),
                    ViewMut::Bf16(output) => output[pixel].fill(Bf16::default()),
                }
            }
        }
    }

    /// # Safety
    /// As [`Image::run_passes`].
    unsafe fn run_pass(&mut self, pass: &Pass, multiply: &mut dyn FnMut(Job<'_>)) {
        let plan = self.plan;
        let chunks = pass.pixels.chunks(PIXELS_PER_BLOCK);
        for (pixels, places) in chunks.zip(pass.places.chunks(PIXELS_PER_BLOCK)) {
            for block in 0..plan.num_blocks {
                let first = block * plan.block;
                // SAFETY: the offsets are those that `checked` summed up.
                unsafe {
                    let (sums, write) = match self.output.reborrow() {
                        ViewMut::F32(output) => (output.as_mut_ptr().add(first), self.write),
                        ViewMut::Bf16(_) => (self.staged.as_mut_ptr(), Write::Replace),
                    };
                    self.add_up(pixels, &pass.taps, block, (sums, write), multiply);
                    if let ViewMut::Bf16(output) = self.output.reborrow() {
                        let work = Rounding {
                            places,
                            sums: self.staged,
                            block: plan.block,
                            output: output.as_mut_ptr().add(first),
                            write: self.write,
                        };
                        launch_bf16(self.kernels, work);
                    }
                }
            }
        }
    }

    /// The sums of some pixels and one block of output channels.
    ///
    /// # Safety
    /// As [`Image::run_passes`]; `sums` is where the pixels' offsets count from.
    unsafe fn add_up(
        &self,
        pixels: &[Pixel],
        taps: &[Tap],
        block: usize,
        (sums, write): (*mut f32, Write),
        multiply: &mut dyn FnMut(Job<'_>),
    ) {
        let plan = self.plan;
        let block_len = plan.weights_len / plan.num_blocks;
        let slab = plan.slab(taps.len());
        for first in (0..plan.channels).step_by(slab) {
            // SAFETY: the offsets added here are those that `checked` summed up.
            let job = unsafe {
                let weights = self.weights.as_ptr();
                Job {
                    pixels,
                    taps,
                    channels: slab.min(plan.channels - first),
                    block: plan.block,
                    input: self.input.as_ptr().add(first),
                    weights: weights.add(block * block_len + first * plan.block),
                    output: sums,
                    write: if first > 0 { Write::Add } else { write },
                }
            };
            multiply(job);
        }
    }
}

/// Staged sums of a block of channels, to be rounded to their places.
struct Rounding<'a> {
    places: &'a [u32],
    sums: &'a [f32],
    block: usize,
    /// Where the places count from.
    output: *mut Bf16,
    write: Write,
}

impl Work for Rounding<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (place, sums) in self.places.iter().zip(self.sums.chunks_exact(self.block)) {
            for channel in (0..self.block).step_by(S::LANES) {
                // SAFETY: passed on from the caller; a block is whole registers.
                unsafe {
                    let to = self.output.add(*place as usize + channel);
                    let sum = S::load(sums.as_ptr().add(channel));
                    let value = match self.write {
                        Write::Replace => sum,
                        Write::Add => S::add(S::load_bf16(to), sum),
                    };
                    S::store_bf16(to, value);
                }
            }
        }
    }
}

/// Lanes of the channels of a gradient: those summed over, and all that a pixel has.
#[derive(Clone, Copy)]
struct Lanes {
    channels: usize,
    pitch: usize,
}

/// A pass over the input pixels of one parity: those that the same taps reach.
fn gradient_pass(
    shape: &ConvShape,
    lanes: Lanes,
    (parity_y, parity_x): (usize, usize),
    in_pitch: usize,
    block: usize,
) -> (Vec<Pixel>, Vec<Tap>) {
    let (stride, pitch) = (shape.stride, lanes.pitch);
    let row = shape.out_width() + 2;
    let pixels = (parity_y..shape.in_height)
        .step_by(stride)
        .flat_map(|y| {
            (parity_x..shape.in_width)
                .step_by(stride)
                .map(move |x| (y, x))
        })
        .map(|(y, x)| Pixel {
            input: offset((y / stride * row + x / stride) * pitch),
            output: offset((y * shape.in_width + x) * in_pitch),
        })
        .collect();
    // Output row that kernel row k feeds into input row `parity`: (parity + padding − k)/stride,
    // plus one for the border.
    let reach = |parity: usize, k: usize| {
        let numerator = parity + shape.padding() + stride * shape.kernel - k;
        numerator
            .is_multiple_of(stride)
            .then(|| numerator / stride + 1 - shape.kernel)
    };
    let taps = (0..shape.taps())
        .filter_map(|tap| {
            let y = reach(parity_y, tap / shape.kernel)?;
            let x = reach(parity_x, tap % shape.kernel)?;
            Some(Tap {
                input: offset((y * row + x) * pitch),
                weights: offset(tap * lanes.channels * block),
            })
        })
        .collect();
    (pixels, taps)
}

/// The channels of a block whose sums are staged, if results in this precision are.
fn staged(output: Precision, block: usize) -> Option<usize> {
    match output {
        Precision::F32 => None,
        Precision::Bf16 => Some(block),
    }
}

/// Offsets are stored in 32 bits: an image of 2³² numbers would need 16 GiB.
fn offset(value: usize) -> u32 {
    u32::try_from(value).expect("an image or a weight tensor has fewer than 2^32 numbers")
}
