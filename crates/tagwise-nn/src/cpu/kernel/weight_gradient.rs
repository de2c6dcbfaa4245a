//! Weight gradient of a convolution: dW[tap] = Σ over pixels of input(pixel + tap)ᵀ · dz(pixel).
//!
//! The work is cut into (part of the batch, block of output channels, tap), or all taps together
//! where they are small. Each piece owns one contiguous stretch of the packed gradient, packs a run
//! of pixels, of which the first-level cache holds dz, and adds a tile of input channels × output
//! channels in registers at a time. The parts of the batch are fixed by the layer's shape, never by
//! the number of threads, and are added in order.

mod packing;
mod rows;

use super::shape::ConvShape;
use super::simd::{Simd, Work};
use super::{CHANNEL_MULTIPLE, Kernels, odd_lines, padded_channels};
use crate::Precision;
use crate::cpu::activations::View;
use crate::cpu::buffer::ThreadBuffers;
use crate::cpu::parallel;
use rows::Ahead;

/// Pieces to cut a layer into so that many cores find work.
const WANTED_PIECES: usize = 32;
/// More parts of the batch are summed on their own while their sums take few bytes: all taps and
/// blocks then read the images of one part, which a cache holds.
const PARTS_BYTES: usize = 5 << 20;
const MOST_PARTS: usize = 16;
/// Most input channels for which one piece takes all taps, so that dz is packed once for them.
const CHANNELS_OF_ALL_TAPS: usize = 128;
/// Rows of pixels, or in bf16 of pairs of pixels, that one tile sums over before its sums go back to
/// memory; more for tiles of AMX, whose products take less time than their sums' way to memory.
const ROWS_PER_RUN: usize = 64;
const ROWS_PER_TILED_RUN: usize = 128;
/// Inputs of pixels so far apart fall into few sets of the first-level cache. They are packed for blocks
/// of few output channels, for each of which they are read again.
const FAR_APART: usize = 256;
const FEW_OUTPUTS: usize = 16;
/// Pixels of the longest run: two in each row.
const MOST_PIXELS: usize = 2 * ROWS_PER_TILED_RUN;

/// The weight gradient of one layer: its shape and how the work is cut.
#[derive(Debug)]
pub(crate) struct WeightGradient {
    precision: Precision,
    shape: ConvShape,
    block: usize,
    num_blocks: usize,
    taps_per_piece: usize,
    /// Taps whose inputs lie side by side in a row: all of an image's few channels.
    taps_per_row: usize,
    /// Whether rows of inputs in f32 are summed where they are.
    in_place: bool,
    parts: usize,
    /// Whether the products are taken by tiles.
    tiled: bool,
    /// Lanes of a packed row of inputs.
    x_step: usize,
    /// Where the rows of a packed run start, in x and in dz: as many as are summed at a time.
    packed: [Vec<usize>; 2],
}

impl WeightGradient {
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels) -> Self {
        let block = kernels.channel_block(shape.out_pitch());
        let num_blocks = shape.out_pitch() / block;
        let taps_per_piece = match shape.in_channels {
            ..=CHANNELS_OF_ALL_TAPS => shape.taps(),
            _ => 1,
        };
        let wanted = WANTED_PIECES.div_ceil(num_blocks * shape.taps() / taps_per_piece);
        let fitting = PARTS_BYTES / (shape.packed_len() * size_of::<f32>());
        let tiled = kernels.have_tiles();
        let taps_per_row = match has_whole_registers(shape) {
            true => 1,
            false => taps_per_piece,
        };
        // Several taps are packed by whole registers, the last of which reaches beyond them.
        let beyond = usize::from(taps_per_row > 1) * CHANNEL_MULTIPLE;
        let pitch = padded_channels(taps_per_row * shape.in_channels) + beyond;
        let (rows, x_step) = match tiled {
            true => (ROWS_PER_TILED_RUN, pitch),
            false => (ROWS_PER_RUN, odd_lines(pitch)),
        };
        let packed = [x_step, block].map(|step| (0..rows).map(|row| row * step).collect());
        Self {
            precision: kernels.precision(),
            shape: *shape,
            block,
            num_blocks,
            taps_per_piece,
            taps_per_row,
            in_place: has_whole_registers(shape)
                && (block > FEW_OUTPUTS || shape.stride * shape.in_pitch < FAR_APART),
            parts: wanted.max(fitting.min(MOST_PARTS)),
            tiled,
            x_step,
            packed,
        }
    }

    /// Distance of two pixels in the input and in the gradient.
    fn steps(&self) -> (usize, usize) {
        (
            self.shape.stride * self.shape.in_pitch,
            self.shape.out_pitch(),
        )
    }

    /// Numbers of scratch memory that [`WeightGradient::run`] needs.
    pub(crate) fn scratch_len(&self) -> usize {
        if self.parts > 1 {
            self.parts * self.shape.packed_len()
        } else {
            0
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
        (input, dz): (View<'_>, View<'_>),
        scratch: &mut [f32],
        threads: &ThreadBuffers,
        gradient: &mut [f32],
    ) {
        assert_eq!(dz.precision(), self.precision);
        assert!(input.precision() == Precision::F32 || self.precision == Precision::Bf16);
        assert!(input.precision() == Precision::F32 || has_whole_registers(&self.shape));
        assert!(input.len() >= batch * self.shape.in_image_len());
        assert!(dz.len() >= batch * self.shape.out_bordered_len());
        let packed_len = self.shape.packed_len();
        assert_eq!(gradient.len(), packed_len);
        let pieces = self.num_blocks * self.shape.taps() / self.taps_per_piece;
        let piece_len = packed_len / pieces;
        let parts = self.parts;
        let target = if parts > 1 {
            &mut scratch[..parts * packed_len]
        } else {
            &mut *gradient
        };
        parallel::for_each_chunk(target, piece_len, |index, sums| {
            let (part, piece) = (index / pieces, index % pieces);
            let images = part * batch / parts..(part + 1) * batch / parts;
            sums.fill(0.0);
            threads.with(self.thread_len(), |rows| {
                let mut piece = Piece {
                    plan: self,
                    kernels,
                    piece,
                    x: input,
                    dz,
                    rows,
                    sums,
                };
                // SAFETY: input and dz hold every image of the batch with its border, so each row
                // and tap stays inside.
                unsafe { piece.add_images(images) }
            });
        });
        if parts > 1 {
            let scratch = &scratch[..parts * packed_len];
            add_parts(scratch, gradient);
        }
    }

    /// Rows of pixels or pairs whose products are summed at a time.
    fn rows(&self) -> usize {
        self.packed[0].len()
    }

    /// Numbers of scratch memory for every thread: the packed rows of a run.
    pub(crate) fn thread_len(&self) -> usize {
        self.rows() * (self.x_step + self.block)
    }

    /// Pixels of a run.
    fn pixels(&self) -> usize {
        self.rows() * self.precision.per_lane()
    }

    /// Input channels of a row, those of several taps one after the other.
    fn row_channels(&self) -> usize {
        self.taps_per_row * self.shape.in_channels
    }
}

/// Whether the pixels of the input are padded to whole registers, as all but images are.
fn has_whole_registers(shape: &ConvShape) -> bool {
    shape.in_pitch.is_multiple_of(CHANNEL_MULTIPLE)
}

/// One tap, or all, and one block of output channels, over some images.
struct Piece<'a> {
    plan: &'a WeightGradient,
    kernels: Kernels,
    piece: usize,
    x: View<'a>,
    dz: View<'a>,
    /// The run in hand as the products take it, x before dz.
    rows: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Piece<'_> {
    /// # Safety
    /// x and dz hold the images.
    unsafe fn add_images(&mut self, images: std::ops::Range<usize>) {
        let (height, width) = (self.plan.shape.out_height(), self.plan.shape.out_width());
        let (x_step, dz_step) = self.plan.steps();
        let (mut first, mut second) = (Run::empty(), Run::empty());
        let (mut run, mut next) = (&mut first, &mut second);
        for row in images.start * height..images.end * height {
            let (x, dz) = self.plan.start_of_row(row / height, row % height);
            for column in 0..width {
                next.push(x + column * x_step, dz + column * dz_step);
                if next.len == self.plan.pixels() {
                    // SAFETY: the places are those of pixels inside the images that the caller
                    // vouches for.
                    unsafe { self.add(run.places(), next.places()) }
                    std::mem::swap(&mut run, &mut next);
                    next.len = 0;
                }
            }
        }
        // SAFETY: as above.
        unsafe {
            self.add(run.places(), next.places());
            self.add(next.places(), Places { x: &[], dz: &[] });
        }
    }
}

/// Pixels whose products are summed at a time: where the inputs of the first tap start and where the
/// gradients.
struct Run {
    x: [usize; MOST_PIXELS],
    dz: [usize; MOST_PIXELS],
    len: usize,
}

/// The same, as many as there are.
#[derive(Clone, Copy)]
struct Places<'a> {
    x: &'a [usize],
    dz: &'a [usize],
}

impl Run {
    fn empty() -> Self {
        Self {
            x: [0; MOST_PIXELS],
            dz: [0; MOST_PIXELS],
            len: 0,
        }
    }

    #[inline(always)]
    fn push(&mut self, x: usize, dz: usize) {
        (self.x[self.len], self.dz[self.len]) = (x, dz);
        self.len += 1;
    }

    fn places(&self) -> Places<'_> {
        Places {
            x: &self.x[..self.len],
            dz: &self.dz[..self.len],
        }
    }
}

impl WeightGradient {
    /// Where the inputs and the gradients of a row of output pixels start.
    fn start_of_row(&self, image: usize, y: usize) -> (usize, usize) {
        let shape = &self.shape;
        let base = usize::from(shape.kernel == 1);
        let x_row = (shape.in_width + 2) * shape.in_pitch;
        let dz_row = (shape.out_width() + 2) * shape.out_pitch();
        (
            image * shape.in_image_len()
                + (y * shape.stride + base) * x_row
                + base * shape.in_pitch,
            image * shape.out_bordered_len() + (y + 1) * dz_row + shape.out_pitch(),
        )
    }

    /// How far the inputs of a tap are from those of the first.
    fn shift(&self, tap: usize) -> usize {
        let shape = &self.shape;
        let (y, x) = (tap / shape.kernel, tap % shape.kernel);
        (y * (shape.in_width + 2) + x) * shape.in_pitch
    }
}

/// gradient = Σ over parts, in order.
pub(super) fn add_parts(parts: &[f32], gradient: &mut [f32]) {
    const CHUNK: usize = 4096;
    let len = gradient.len();
    parallel::for_each_chunk(gradient, CHUNK, |index, chunk| {
        let first = index * CHUNK;
        chunk.copy_from_slice(&parts[first..first + chunk.len()]);
        for part in parts[len..].chunks_exact(len) {
            for (sum, value) in chunk.iter_mut().zip(&part[first..]) {
                *sum += value;
            }
        }
    });
}

/// All input channels × one block of output channels over rows of x and dz.
pub(super) struct Job<'a> {
    /// Where the rows start in x.
    pub x_rows: &'a [usize],
    /// Where as many rows start in dz.
    pub dz_rows: &'a [usize],
    pub channels: usize,
    /// Output channels of the block.
    pub block: usize,
    pub x: *const f32,
    pub dz: *const f32,
    pub sums: *mut f32,
    /// What is asked for meanwhile.
    pub ahead: Option<&'a Ahead<'a>>,
}

/// The rows and the sums must lie in the allocations that the pointers come from.
impl Work for Job<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: passed on from the caller.
        unsafe {
            if S::LANES == 16 {
                match self.block / S::LANES {
                    4 => self.tiles::<S, 6, 4>(),
                    3 => self.tiles::<S, 8, 3>(),
                    2 => self.tiles::<S, 8, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            } else {
                match self.block / S::LANES {
                    2 => self.tiles::<S, 6, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            }
        }
    }
}

impl Job<'_> {
    /// Asks for what comes after these channels.
    #[inline(always)]
    fn ask_for(&self, channels: std::ops::Range<usize>) {
        if let Some(ahead) = self.ahead {
            ahead.prefetch(channels);
        }
    }

    /// # Safety
    /// As [`Job::run`]; `S` is available.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const INPUTS: usize, const VECTORS: usize>(&self) {
        let mut first = 0;
        // SAFETY: passed on from the caller; each arm covers channels that exist.
        unsafe {
            while first + INPUTS <= self.channels {
                self.ask_for(first..first + INPUTS);
                self.tile::<S, INPUTS, VECTORS>(first);
                first += INPUTS;
            }
            if first < self.channels {
                self.ask_for(first..self.channels);
            }
            match self.channels - first {
                7 if INPUTS > 7 => self.tile::<S, 7, VECTORS>(first),
                6 if INPUTS > 6 => self.tile::<S, 6, VECTORS>(first),
                5 => self.tile::<S, 5, VECTORS>(first),
                4 => self.tile::<S, 4, VECTORS>(first),
                3 => self.tile::<S, 3, VECTORS>(first),
                2 => self.tile::<S, 2, VECTORS>(first),
                1 => self.tile::<S, 1, VECTORS>(first),
                _ => {}
            }
        }
    }

    /// # Safety
    /// As [`Job::run`]; channels `first..first + INPUTS` exist.
    #[inline(always)]
    unsafe fn tile<S: Simd, const INPUTS: usize, const VECTORS: usize>(&self, first: usize) {
        // SAFETY: every pointer is inside the caller's slices.
        unsafe {
            let target = self.sums.add(first * VECTORS * S::LANES);
            let mut sums = [[S::zero(); VECTORS]; INPUTS];
            for i in 0..INPUTS {
                for v in 0..VECTORS {
                    sums[i][v] = S::load(target.add((i * VECTORS + v) * S::LANES));
                }
            }
            for step in 0..S::STEPS {
                for (x, dz) in self.x_rows.iter().zip(self.dz_rows) {
                    let x = self.x.add(x + first);
                    let dz = self.dz.add(*dz);
                    let mut gradient = [S::zero(); VECTORS];
                    for v in 0..VECTORS {
                        gradient[v] = S::factor(S::load(dz.add(v * S::LANES)), step);
                    }
                    for i in 0..INPUTS {
                        let value = S::factor(S::splat(*x.add(i)), step);
                        for v in 0..VECTORS {
                            sums[i][v] = S::multiply_add(value, gradient[v], sums[i][v]);
                        }
                    }
                }
            }
            for i in 0..INPUTS {
                for v in 0..VECTORS {
                    S::store(target.add((i * VECTORS + v) * S::LANES), sums[i][v]);
                }
            }
        }
    }
}
