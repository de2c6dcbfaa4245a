//! Weight gradient of a convolution: dW[tap] = Σ over pixels of input(pixel + tap)ᵀ · dz(pixel).
//!
//! The work is cut into (part of the batch, block of output channels, tap). Each piece owns one
//! contiguous stretch of the packed gradient, keeps 64 or more pixels of dz in the first-level
//! cache and adds a tile of input channels × output channels in registers at a time. The parts of
//! the batch are fixed by the layer's shape, never by the number of threads, and are added in
//! order.

use rayon::prelude::*;

use super::convolution::ConvShape;
#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Portable, Simd};
use super::{KernelSet, Kernels};

/// Pieces to cut a layer into so that many cores find work.
const WANTED_PIECES: usize = 32;
/// Pixels of dz that one tile sums over before its sums go back to memory.
const PIXELS_PER_RUN: usize = 64;

/// The weight gradient of one layer: its shape and how the work is cut.
#[derive(Debug)]
pub(crate) struct WeightGradient {
    shape: ConvShape,
    block: usize,
    num_blocks: usize,
    parts: usize,
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
        Self {
            shape: *shape,
            block,
            num_blocks,
            parts: WANTED_PIECES.div_ceil(num_blocks * shape.taps()),
        }
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
        input: &[f32],
        dz: &[f32],
        scratch: &mut [f32],
        gradient: &mut [f32],
    ) {
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
                self.run_piece(kernels, images, piece, input, dz, sums);
            });
        if parts > 1 {
            let scratch = &scratch[..parts * packed_len];
            add_parts(scratch, gradient);
        }
    }

    fn run_piece(
        &self,
        kernels: Kernels,
        images: std::ops::Range<usize>,
        piece: usize,
        input: &[f32],
        dz: &[f32],
        sums: &mut [f32],
    ) {
        // SAFETY: `run` checked that input and dz hold every image of the batch with its border,
        // so each row and tap below stays inside; `Kernels` exists only for present features.
        unsafe {
            match kernels.set() {
                #[cfg(target_arch = "x86_64")]
                KernelSet::Avx2 => self.piece_avx2(images, piece, input, dz, sums),
                #[cfg(target_arch = "x86_64")]
                KernelSet::Avx512 => self.piece_avx512(images, piece, input, dz, sums),
                _ => self.piece::<Portable>(images, piece, input, dz, sums),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn piece_avx2(
        &self,
        images: std::ops::Range<usize>,
        piece: usize,
        x: &[f32],
        dz: &[f32],
        sums: &mut [f32],
    ) {
        // SAFETY: the caller keeps `piece`'s contract; the features are enabled here.
        unsafe { self.piece::<Avx2>(images, piece, x, dz, sums) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn piece_avx512(
        &self,
        images: std::ops::Range<usize>,
        piece: usize,
        x: &[f32],
        dz: &[f32],
        sums: &mut [f32],
    ) {
        // SAFETY: the caller keeps `piece`'s contract; the features are enabled here.
        unsafe { self.piece::<Avx512>(images, piece, x, dz, sums) }
    }

    /// # Safety
    /// `x` and `dz` hold all `images` with borders; `sums` is one piece; `S` is available.
    #[inline(always)]
    unsafe fn piece<S: Simd>(
        &self,
        images: std::ops::Range<usize>,
        piece: usize,
        x: &[f32],
        dz: &[f32],
        sums: &mut [f32],
    ) {
        let shape = &self.shape;
        let (height, width) = (shape.out_height(), shape.out_width());
        let (x_row, dz_row) = (
            (shape.in_width + 2) * shape.in_pitch,
            (width + 2) * shape.out_pitch(),
        );
        let (block, tap) = (piece / shape.taps(), piece % shape.taps());
        let base = usize::from(shape.kernel == 1);
        let x_first =
            (tap / shape.kernel + base) * x_row + (tap % shape.kernel + base) * shape.in_pitch;
        let dz_first = dz_row + shape.out_pitch() + block * self.block;
        let (x_step, dz_step) = (shape.stride * shape.in_pitch, shape.out_pitch());
        let job = Job {
            x_step,
            dz_step,
            channels: shape.in_channels,
            x: x.as_ptr(),
            dz: dz.as_ptr(),
            sums: sums.as_mut_ptr(),
        };
        let vectors = self.block / S::LANES;
        let mut run = [Stretch::default(); PIXELS_PER_RUN];
        let (mut stretches, mut pixels) = (0, 0);
        for row in images.start * height..images.end * height {
            let (image, y) = (row / height, row % height);
            let x_start = image * shape.in_image_len() + x_first + y * shape.stride * x_row;
            let dz_start = image * shape.out_bordered_len() + dz_first + y * dz_row;
            let mut column = 0;
            while column < width {
                let len = (width - column).min(PIXELS_PER_RUN - pixels);
                run[stretches] = Stretch {
                    input: x_start + column * x_step,
                    gradient: dz_start + column * dz_step,
                    pixels: len,
                };
                (stretches, pixels, column) = (stretches + 1, pixels + len, column + len);
                if pixels == PIXELS_PER_RUN {
                    // SAFETY: the stretches address pixels inside the images that the caller
                    // vouches for.
                    unsafe { job.add::<S>(vectors, &run[..stretches]) }
                    (stretches, pixels) = (0, 0);
                }
            }
        }
        // SAFETY: as above.
        unsafe { job.add::<S>(vectors, &run[..stretches]) }
    }
}

/// gradient = Σ over parts, in order.
fn add_parts(parts: &[f32], gradient: &mut [f32]) {
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
