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

use rayon::prelude::*;

use super::output::{Output, Write};
use super::simd::{LINE, Pairs, Simd, Work, launch, prefetch};
use super::tiles::{self, DirectJob, Tiles};
use super::{Kernels, Precision, padded_channels};
use crate::bf16::Bf16;
use crate::buffer::{ThreadBuffers, ViewMut};

/// Bytes of packed weights that a tile loop walks over repeatedly: two thirds of the smallest
/// first-level cache among the machines we know (32 KiB).
const SLAB_BYTES: usize = 20 * 1024;
/// Output pixels for which one block of weights is used before the next is taken: their inputs
/// and outputs stay in the second-level cache.
const PIXELS_PER_BLOCK: usize = 512;

/// The geometry of one convolution with "same" padding (1 for 3×3, 0 for 1×1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub in_channels: usize,
    pub out_channels: usize,
    /// Side of the kernel: 1 or 3.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    pub in_height: usize,
    pub in_width: usize,
    /// Channels stored per input pixel.
    pub in_pitch: usize,
}

impl ConvShape {
    pub(crate) fn out_height(&self) -> usize {
        self.in_height.div_ceil(self.stride)
    }
    pub(crate) fn out_width(&self) -> usize {
        self.in_width.div_ceil(self.stride)
    }
    /// Channels stored per output pixel.
    pub(crate) fn out_pitch(&self) -> usize {
        padded_channels(self.out_channels)
    }
    pub(crate) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
    /// Numbers of one input image with its border.
    pub(crate) fn in_image_len(&self) -> usize {
        (self.in_height + 2) * (self.in_width + 2) * self.in_pitch
    }
    /// Numbers of one output image without border.
    pub(crate) fn out_image_len(&self) -> usize {
        self.out_height() * self.out_width() * self.out_pitch()
    }
    /// Numbers of one output image with its border.
    pub(crate) fn out_bordered_len(&self) -> usize {
        (self.out_height() + 2) * (self.out_width() + 2) * self.out_pitch()
    }
    /// Numbers of the packed weights.
    pub(crate) fn packed_len(&self) -> usize {
        self.taps() * self.in_channels * self.out_pitch()
    }
    /// Numbers of the transposed packed weights.
    pub(crate) fn transposed_len(&self) -> usize {
        self.taps() * self.out_channels * padded_channels(self.in_channels)
    }
    fn padding(&self) -> usize {
        usize::from(self.kernel == 3)
    }
}

/// Where one output pixel reads and writes, relative to its image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub input: u32,
    pub output: u32,
}

/// One summand of the convolution: a shift of the input and its weight matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub input: u32,
    pub weights: u32,
}

impl Tap {
    /// No shift and the first matrix: a plain matrix product.
    pub(super) const HERE: Self = Self {
        input: 0,
        weights: 0,
    };
}

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
        output.for_each_group(batch, self.output_len, 1, |image, output| {
            let input = &input[image * self.input_len..][..self.input_len];
            assert_eq!(output.len(), self.output_len);
            threads.with(self.thread_len(), |scratch| {
                let (staged, scratch) = scratch.split_at_mut(self.staged_len());
                let image = Image {
                    plan: self,
                    input,
                    weights,
                    staged,
                    scratch,
                    output,
                    write,
                };
                // SAFETY: `checked` proved that every offset of this plan stays inside slices of
                // these lengths.
                unsafe { launch(kernels, image) }
            });
        });
    }
}

/// One image of a batch.
struct Image<'a> {
    plan: &'a Plan,
    input: &'a [f32],
    weights: &'a [f32],
    /// Sums of some pixels and one block of channels, where results are rounded.
    staged: &'a mut [f32],
    scratch: &'a mut [f32],
    output: ViewMut<'a>,
    write: Write,
}

impl Work for Image<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.plan.precision {
                Precision::F32 => self.run_passes::<S, S>(None),
                Precision::Bf16 => {
                    let tiles = S::Tiles::configure(tiles::depth(self.plan.channels));
                    self.run_passes::<S, Pairs<S>>(tiles.as_ref());
                }
            }
        }
    }
}

impl Image<'_> {
    /// Multiplies with the registers of `M` or with tiles.
    ///
    /// # Safety
    /// The slices have the plan's lengths; `S` is available and its tiles are configured.
    #[inline(always)]
    unsafe fn run_passes<S: Simd, M: Simd>(&mut self, tiles: Option<&S::Tiles>) {
        for pass in &self.plan.passes {
            if pass.taps.is_empty() {
                self.replace_by_zeros(pass);
            } else {
                // SAFETY: passed on from the caller.
                unsafe { self.run_pass::<S, M>(pass, tiles) }
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
    #[inline(always)]
    unsafe fn run_pass<S: Simd, M: Simd>(&mut self, pass: &Pass, tiles: Option<&S::Tiles>) {
        let plan = self.plan;
        let chunks = pass.pixels.chunks(PIXELS_PER_BLOCK);
        for (pixels, places) in chunks.zip(pass.places.chunks(PIXELS_PER_BLOCK)) {
            for block in 0..plan.num_blocks {
                let first = block * plan.block;
                // SAFETY: the offsets are those that `checked` summed up.
                unsafe {
                    match self.output.reborrow() {
                        ViewMut::F32(output) => {
                            let sums = output.as_mut_ptr().add(first);
                            let (taps, write) = (&pass.taps, self.write);
                            self.add_up::<S, M>(pixels, taps, tiles, block, (sums, write));
                        }
                        ViewMut::Bf16(output) => {
                            let output = output.as_mut_ptr().add(first);
                            let sums = self.staged.as_mut_ptr();
                            let (taps, write) = (&pass.taps, Write::Replace);
                            self.add_up::<S, M>(pixels, taps, tiles, block, (sums, write));
                            self.round::<S>(places, output);
                        }
                    }
                }
            }
        }
    }

    /// The sums of some pixels and one block of output channels.
    ///
    /// # Safety
    /// As [`Image::run_passes`]; `sums` is where the pixels' offsets count from.
    #[inline(always)]
    unsafe fn add_up<S: Simd, M: Simd>(
        &mut self,
        pixels: &[Pixel],
        taps: &[Tap],
        tiles: Option<&S::Tiles>,
        block: usize,
        (sums, write): (*mut f32, Write),
    ) {
        let plan = self.plan;
        let block_len = plan.weights_len / plan.num_blocks;
        let slab = plan.slab(taps.len());
        for first in (0..plan.channels).step_by(slab) {
            // SAFETY: the offsets added here are those that `checked` summed up.
            unsafe {
                let weights = self.weights.as_ptr();
                let job = Job {
                    pixels,
                    taps,
                    channels: slab.min(plan.channels - first),
                    input: self.input.as_ptr().add(first),
                    weights: weights.add(block * block_len + first * plan.block),
                    output: sums,
                    write: if first > 0 { Write::Add } else { write },
                };
                if let Some(tiles) = tiles {
                    let job = DirectJob {
                        job,
                        columns: plan.block,
                        depth: tiles::depth(plan.channels),
                    };
                    job.run(tiles, self.scratch);
                } else {
                    job.run::<M>(plan.block / M::LANES);
                }
            }
        }
    }

    /// Rounds the staged sums of a block of channels to its places.
    ///
    /// # Safety
    /// As [`Image::run_passes`]; `output` is where the places count from.
    #[inline(always)]
    unsafe fn round<S: Simd>(&self, places: &[u32], output: *mut Bf16) {
        let block = self.plan.block;
        for (place, sums) in places.iter().zip(self.staged.chunks_exact(block)) {
            for channel in (0..block).step_by(S::LANES) {
                // SAFETY: passed on from the caller; a block is whole registers.
                unsafe {
                    let to = output.add(*place as usize + channel);
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

/// A block of pixels × one block of output channels × a slab of input channels.
pub(super) struct Job<'a> {
    pub pixels: &'a [Pixel],
    pub taps: &'a [Tap],
    pub channels: usize,
    pub input: *const f32,
    pub weights: *const f32,
    pub output: *mut f32,
    pub write: Write,
}

impl Job<'_> {
    /// # Safety
    /// All offsets stay inside the allocations that the pointers come from; `S` is available.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, vectors: usize) {
        // SAFETY: passed on from the caller. Registers: pixels × vectors of sums, `vectors` of
        // weights and a broadcast must fit into 16 (AVX2, portable) or 32 (AVX-512).
        unsafe {
            if S::LANES == 16 {
                match vectors {
                    4 => self.tiles::<S, 6, 4>(),
                    3 => self.tiles::<S, 8, 3>(),
                    2 => self.tiles::<S, 8, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            } else {
                match vectors {
                    2 => self.tiles::<S, 6, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            }
        }
    }

    /// # Safety
    /// As [`Job::run`].
    #[inline(always)]
    unsafe fn tiles<S: Simd, const PIXELS: usize, const VECTORS: usize>(&self) {
        let mut full = self.pixels.chunks_exact(PIXELS);
        for (index, pixels) in full.by_ref().enumerate() {
            self.ask_for(index * PIXELS + PIXELS, PIXELS);
            // SAFETY: passed on from the caller; `pixels` has PIXELS entries.
            unsafe { self.tile::<S, PIXELS, VECTORS>(pixels) }
        }
        let rest = full.remainder();
        // SAFETY: as above; each arm's count is the length of `rest`.
        unsafe {
            match rest.len() {
                7 => self.tile::<S, 7, VECTORS>(rest),
                6 => self.tile::<S, 6, VECTORS>(rest),
                5 => self.tile::<S, 5, VECTORS>(rest),
                4 => self.tile::<S, 4, VECTORS>(rest),
                3 => self.tile::<S, 3, VECTORS>(rest),
                2 => self.tile::<S, 2, VECTORS>(rest),
                1 => self.tile::<S, 1, VECTORS>(rest),
                _ => {}
            }
        }
    }

    /// Asks for the inputs of some pixels, if there is one tap: those of several overlap.
    #[inline(always)]
    fn ask_for(&self, first: usize, count: usize) {
        if let [tap] = self.taps {
            for pixel in self.pixels.iter().skip(first).take(count) {
                for channel in (0..self.channels).step_by(LINE / size_of::<f32>()) {
                    let offset = pixel.input as usize + tap.input as usize + channel;
                    prefetch(self.input.wrapping_add(offset));
                }
            }
        }
    }

    /// # Safety
    /// As [`Job::run`]; `pixels` has at least PIXELS entries.
    #[inline(always)]
    unsafe fn tile<S: Simd, const PIXELS: usize, const VECTORS: usize>(&self, pixels: &[Pixel]) {
        // SAFETY: every pointer is an input, weight or output address inside the caller's slices.
        unsafe {
            let mut sums = [[S::zero(); VECTORS]; PIXELS];
            let mut from = [self.input; PIXELS];
            for p in 0..PIXELS {
                from[p] = self.input.add(pixels[p].input as usize);
                if self.write == Write::Add {
                    let to = self.output.add(pixels[p].output as usize);
                    for v in 0..VECTORS {
                        sums[p][v] = S::load(to.add(v * S::LANES));
                    }
                }
            }
            for tap in self.taps {
                let mut weights = self.weights.add(tap.weights as usize);
                for i in 0..self.channels {
                    let mut row = [S::zero(); VECTORS];
                    for v in 0..VECTORS {
                        row[v] = S::load(weights.add(v * S::LANES));
                    }
                    for p in 0..PIXELS {
                        let x = S::splat(*from[p].add(tap.input as usize + i));
                        for v in 0..VECTORS {
                            sums[p][v] = S::multiply_add(x, row[v], sums[p][v]);
                        }
                    }
                    weights = weights.add(VECTORS * S::LANES);
                }
            }
            for p in 0..PIXELS {
                let to = self.output.add(pixels[p].output as usize);
                for v in 0..VECTORS {
                    S::store(to.add(v * S::LANES), sums[p][v]);
                }
            }
        }
    }
}

/// Position of weight (out, in, tap) in the packed array
/// `[out/block][tap][in][block]`.
pub(crate) fn packed_index(
    shape: &ConvShape,
    block: usize,
    out: usize,
    input: usize,
    tap: usize,
) -> usize {
    ((out / block * shape.taps() + tap) * shape.in_channels + input) * block + out % block
}

/// Packed weights for the data gradient: `[in/block][tap][out][block]` from
/// `[out/block][tap][in][block]`.
pub(crate) fn transpose_weights(
    shape: &ConvShape,
    kernels: Kernels,
    packed: &[f32],
    transposed: &mut [f32],
) {
    let block = kernels.channel_block(shape.out_pitch());
    let to_block = kernels.channel_block(padded_channels(shape.in_channels));
    let (taps, outs) = (shape.taps(), shape.out_channels);
    transposed
        .par_chunks_exact_mut(outs * to_block)
        .enumerate()
        .for_each(|(chunk, matrix)| {
            let (first_in, tap) = (chunk / taps * to_block, chunk % taps);
            let ins = to_block.min(shape.in_channels.saturating_sub(first_in));
            if ins < to_block {
                matrix.fill(0.0); // other layers used this memory before
            }
            for first_out in (0..outs).step_by(block) {
                let columns = block.min(outs - first_out);
                let from = packed_index(shape, block, first_out, first_in, tap);
                for i in 0..ins {
                    let row = &packed[from + i * block..][..columns];
                    for (o, value) in row.iter().enumerate() {
                        matrix[(first_out + o) * to_block + i] = *value;
                    }
                }
            }
        });
}

/// Rounds weights `[matrix][row][block]` to bf16 and joins every two rows of a matrix to one of
/// pairs; an odd last row is joined with zeros.
pub(crate) fn pair_rows(
    kernels: Kernels,
    (rows, block): (usize, usize),
    weights: &[f32],
    pairs: &mut [f32],
) {
    let paired = rows.div_ceil(2) * block;
    let matrices = weights.len() / (rows * block);
    pairs[..matrices * paired]
        .par_chunks_exact_mut(paired)
        .zip(weights.par_chunks_exact(rows * block))
        .for_each(|(pairs, weights)| {
            let work = PairRows {
                block,
                weights,
                pairs,
            };
            // SAFETY: the blocks are whole registers of every kernel set.
            unsafe { launch(kernels, work) }
        });
}

/// One matrix of [`pair_rows`].
struct PairRows<'a> {
    block: usize,
    weights: &'a [f32],
    pairs: &'a mut [f32],
}

impl Work for PairRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let rows = self.weights.chunks(2 * self.block);
        for (pairs, rows) in self.pairs.chunks_exact_mut(self.block).zip(rows) {
            let (first, second) = rows.split_at(self.block);
            for column in (0..self.block).step_by(S::LANES) {
                // SAFETY: a register at `column` lies inside a row, of which the second may lack.
                unsafe {
                    let even = S::load(first.as_ptr().add(column));
                    let odd = if second.is_empty() {
                        S::zero()
                    } else {
                        S::load(second.as_ptr().add(column))
                    };
                    S::store_pairs(pairs.as_mut_ptr().add(column), even, odd);
                }
            }
        }
    }
}
