//! Weight gradient of a convolution: dW[tap] = Σ over pixels of input(pixel + tap)ᵀ · dz(pixel).
//!
//! The work is cut into (part of the batch, block of output channels, tap). Each piece owns one
//! contiguous stretch of the packed gradient, keeps 64 or more pixels of dz in the first-level
//! cache and adds a tile of input channels × output channels in registers at a time. The parts of
//! the batch are fixed by the layer's shape, never by the number of threads, and are added in
//! order.

mod pairs;

use rayon::prelude::*;

use super::convolution::ConvShape;
use super::simd::{Simd, Work, launch};
use super::{Kernels, Precision, padded_channels};
use crate::buffer::{ThreadBuffers, View};

/// Pieces to cut a layer into so that many cores find work.
const WANTED_PIECES: usize = 32;
/// More parts of the batch are summed on their own while their sums take few bytes: all taps and
/// blocks then read the images of one part, which a cache holds.
const PARTS_BYTES: usize = 5 << 20;
const MOST_PARTS: usize = 16;
/// Pixels of dz that one tile sums over before its sums go back to memory; more for tiles of AMX,
/// whose products take less time than their sums' way to memory.
const PIXELS_PER_RUN: usize = 64;
const PIXELS_PER_TILED_RUN: usize = 256;

/// The weight gradient of one layer: its shape and how the work is cut.
#[derive(Debug)]
pub(crate) struct WeightGradient {
    precision: Precision,
    shape: ConvShape,
    block: usize,
    num_blocks: usize,
    parts: usize,
    /// Whether the products are taken by tiles.
    tiled: bool,
    /// Pixels whose products are summed at a time.
    pixels: usize,
}

/// A stretch of a row of output pixels: where its inputs and its gradients start, from the batch's
/// start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    pub input: usize,
    pub gradient: usize,
    pub pixels: usize,
}

impl WeightGradient {
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels) -> Self {
        let block = kernels.channel_block(shape.out_pitch());
        let num_blocks = shape.out_pitch() / block;
        let wanted = WANTED_PIECES.div_ceil(num_blocks * shape.taps());
        let fitting = PARTS_BYTES / (shape.packed_len() * size_of::<f32>());
        let tiled = kernels.have_tiles();
        Self {
            precision: kernels.precision(),
            shape: *shape,
            block,
            num_blocks,
            parts: wanted.max(fitting.min(MOST_PARTS)),
            tiled,
            pixels: if tiled {
                PIXELS_PER_TILED_RUN
            } else {
                PIXELS_PER_RUN
            },
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
        assert!(
            input.precision() == Precision::F32 || self.shape.in_pitch >= self.paired_channels()
        );
        assert!(input.len() >= batch * self.shape.in_image_len());
        assert!(dz.len() >= batch * self.shape.out_bordered_len());
        let packed_len = self.shape.packed_len();
        assert_eq!(gradient.len(), packed_len);
        let pieces = self.num_blocks * self.shape.taps();
        let piece_len = packed_len / pieces;
        let parts = self.parts;
        let target = if parts > 1 {
            &mut scratch[..parts * packed_len]
        } else {
            &mut *gradient
        };
        target
            .par_chunks_exact_mut(piece_len)
            .with_max_len(1)
            .enumerate()
            .for_each(|(index, sums)| {
                let (part, piece) = (index / pieces, index % pieces);
                let images = part * batch / parts..(part + 1) * batch / parts;
                sums.fill(0.0);
                threads.with(self.thread_len(), |pairs| {
                    let work = Piece {
                        plan: self,
                        images,
                        piece,
                        x: input,
                        dz,
                        pairs,
                        sums,
                    };
                    // SAFETY: input and dz hold every image of the batch with its border, so each
                    // row and tap stays inside.
                    unsafe { launch(kernels, work) }
                });
            });
        if parts > 1 {
            let scratch = &scratch[..parts * packed_len];
            add_parts(scratch, gradient);
        }
    }

    /// Numbers of scratch memory for every thread: a run of pixels in pairs.
    pub(crate) fn thread_len(&self) -> usize {
        match self.precision {
            Precision::F32 => 0,
            Precision::Bf16 => self.rows() * (self.paired_channels() + self.block),
        }
    }

    /// Pairs of pixels in a run.
    fn rows(&self) -> usize {
        self.pixels / 2
    }

    fn paired_channels(&self) -> usize {
        padded_channels(self.shape.in_channels)
    }
}

/// One tap and one block of output channels, over some images.
struct Piece<'a> {
    plan: &'a WeightGradient,
    images: std::ops::Range<usize>,
    piece: usize,
    x: View<'a>,
    dz: View<'a>,
    pairs: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Work for Piece<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let shape = &self.plan.shape;
        let (height, width) = (shape.out_height(), shape.out_width());
        let (x_row, dz_row) = (
            (shape.in_width + 2) * shape.in_pitch,
            (width + 2) * shape.out_pitch(),
        );
        let (block, tap) = (self.piece / shape.taps(), self.piece % shape.taps());
        let base = usize::from(shape.kernel == 1);
        let x_first =
            (tap / shape.kernel + base) * x_row + (tap % shape.kernel + base) * shape.in_pitch;
        let dz_first = dz_row + shape.out_pitch() + block * self.plan.block;
        let (x_step, dz_step) = self.plan.steps();
        let mut run = [Stretch::default(); PIXELS_PER_TILED_RUN];
        let (mut stretches, mut pixels) = (0, 0);
        for row in self.images.start * height..self.images.end * height {
            let (image, y) = (row / height, row % height);
            let x_start = image * shape.in_image_len() + x_first + y * shape.stride * x_row;
            let dz_start = image * shape.out_bordered_len() + dz_first + y * dz_row;
            let mut column = 0;
            while column < width {
                let len = (width - column).min(self.plan.pixels - pixels);
                run[stretches] = Stretch {
                    input: x_start + column * x_step,
                    gradient: dz_start + column * dz_step,
                    pixels: len,
                };
                (stretches, pixels, column) = (stretches + 1, pixels + len, column + len);
                if pixels == self.plan.pixels {
                    // SAFETY: the stretches address pixels inside the images that the caller
                    // vouches for.
                    unsafe { self.add::<S>(&run[..stretches]) }
                    (stretches, pixels) = (0, 0);
                }
            }
        }
        // SAFETY: as above.
        unsafe { self.add::<S>(&run[..stretches]) }
    }
}

impl Piece<'_> {
    /// Adds a run of pixels, at most as many as the plan says.
    ///
    /// # Safety
    /// The stretches address pixels inside x and dz; `S` is available.
    #[inline(always)]
    unsafe fn add<S: Simd>(&mut self, run: &[Stretch]) {
        // SAFETY: passed on from the caller.
        unsafe {
            match (self.x, self.dz) {
                (View::F32(x), View::F32(dz)) => {
                    let (x_step, dz_step) = self.plan.steps();
                    let job = Job {
                        x_step,
                        dz_step,
                        channels: self.plan.shape.in_channels,
                        x: x.as_ptr(),
                        dz: dz.as_ptr(),
                        sums: self.sums.as_mut_ptr(),
                    };
                    job.add::<S>(self.plan.block / S::LANES, run);
                }
                (_, View::Bf16(dz)) => self.add_pairs::<S>(run, dz),
                (View::Bf16(_), View::F32(_)) => unreachable!("`run` compared the precisions"),
            }
        }
    }
}

/// gradient = Σ over parts, in order.
pub(super) fn add_parts(parts: &[f32], gradient: &mut [f32]) {
    const CHUNK: usize = 4096;
    let len = gradient.len();
    gradient
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(index, chunk)| {
            let first = index * CHUNK;
            chunk.copy_from_slice(&parts[first..first + chunk.len()]);
            for part in parts[len..].chunks_exact(len) {
                for (sum, value) in chunk.iter_mut().zip(&part[first..]) {
                    *sum += value;
                }
            }
        });
}

/// All input channels × one block of output channels over a run of pixels.
pub(super) struct Job {
    pub x_step: usize,
    pub dz_step: usize,
    pub channels: usize,
    pub x: *const f32,
    pub dz: *const f32,
    pub sums: *mut f32,
}

impl Job {
    /// # Safety
    /// All stretches stay inside the allocations that the pointers come from; `S` is available.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd>(&self, vectors: usize, run: &[Stretch]) {
        // SAFETY: passed on from the caller.
        unsafe {
            if S::LANES == 16 {
                match vectors {
                    4 => self.tiles::<S, 6, 4>(run),
                    3 => self.tiles::<S, 8, 3>(run),
                    2 => self.tiles::<S, 8, 2>(run),
                    _ => self.tiles::<S, 8, 1>(run),
                }
            } else {
                match vectors {
                    2 => self.tiles::<S, 6, 2>(run),
                    _ => self.tiles::<S, 8, 1>(run),
                }
            }
        }
    }

    /// # Safety
    /// As [`Job::add`].
    #[inline(always)]
    unsafe fn tiles<S: Simd, const INPUTS: usize, const VECTORS: usize>(&self, run: &[Stretch]) {
        let mut first = 0;
        // SAFETY: passed on from the caller; each arm covers channels that exist.
        unsafe {
            while first + INPUTS <= self.channels {
                self.tile::<S, INPUTS, VECTORS>(first, run);
                first += INPUTS;
            }
            match self.channels - first {
                7 => self.tile::<S, 7, VECTORS>(first, run),
                6 => self.tile::<S, 6, VECTORS>(first, run),
                5 => self.tile::<S, 5, VECTORS>(first, run),
                4 => self.tile::<S, 4, VECTORS>(first, run),
                3 => self.tile::<S, 3, VECTORS>(first, run),
                2 => self.tile::<S, 2, VECTORS>(first, run),
                1 => self.tile::<S, 1, VECTORS>(first, run),
                _ => {}
            }
        }
    }

    /// # Safety
    /// As [`Job::add`]; channels `first..first + INPUTS` exist.
    #[inline(always)]
    unsafe fn tile<S: Simd, const INPUTS: usize, const VECTORS: usize>(
        &self,
        first: usize,
        run: &[Stretch],
    ) {
        // SAFETY: every pointer is inside the caller's slices.
        unsafe {
            let target = self.sums.add(first * VECTORS * S::LANES);
            let mut sums = [[S::zero(); VECTORS]; INPUTS];
            for i in 0..INPUTS {
                for v in 0..VECTORS {
                    sums[i][v] = S::load(target.add((i * VECTORS + v) * S::LANES));
                }
            }
            for stretch in run {
                let mut x = self.x.add(stretch.input + first);
                let mut dz = self.dz.add(stretch.gradient);
                for _ in 0..stretch.pixels {
                    let mut gradient = [S::zero(); VECTORS];
                    for v in 0..VECTORS {
                        gradient[v] = S::load(dz.add(v * S::LANES));
                    }
                    for i in 0..INPUTS {
                        let value = S::splat(*x.add(i));
                        for v in 0..VECTORS {
                            sums[i][v] = S::multiply_add(value, gradient[v], sums[i][v]);
                        }
                    }
                    // Wrapping: after the last pixel of a buffer the step may point past its end.
                    x = x.wrapping_add(self.x_step);
                    dz = dz.wrapping_add(self.dz_step);
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
