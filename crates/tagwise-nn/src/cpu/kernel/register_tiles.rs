//! The inner loop of all sums over channels but the weight gradient: a tile of pixels × output
//! channels stays in registers while the products of its inputs and of some weights are added.

use super::output::Write;
use super::simd::{Simd, Work, prefetch};
use crate::cpu::buffer::LINE;

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

/// A block of pixels × one block of output channels × a slab of input channels.
pub(super) struct Job<'a> {
    pub pixels: &'a [Pixel],
    pub taps: &'a [Tap],
    pub channels: usize,
    /// Output channels of the block.
    pub block: usize,
    pub input: *const f32,
    pub weights: *const f32,
    pub output: *mut f32,
    pub write: Write,
}

/// Jobs that differ by the same steps: what a set is entered for once, since a job of one matrix
/// can be as short as the way to it.
pub(super) struct Jobs<'a> {
    pub first: Job<'a>,
    pub count: usize,
    /// Numbers from one job's input, weights and output to the next one's.
    pub steps: [usize; 3],
}

impl<'a> From<Job<'a>> for Jobs<'a> {
    fn from(job: Job<'a>) -> Self {
        Self {
            first: job,
            count: 1,
            steps: [0; 3],
        }
    }
}

/// All offsets must stay inside the allocations that the pointers come from.
impl Work for Jobs<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: passed on from the caller. Registers: pixels × vectors of sums, `vectors` of
        // weights and a broadcast must fit into 16 (AVX2, portable) or 32 (AVX-512).
        unsafe {
            if S::LANES == 16 {
                match self.first.block / S::LANES {
                    4 => self.tiles::<S, 6, 4>(),
                    3 => self.tiles::<S, 8, 3>(),
                    2 => self.tiles::<S, 8, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            } else {
                match self.first.block / S::LANES {
                    2 => self.tiles::<S, 6, 2>(),
                    _ => self.tiles::<S, 8, 1>(),
                }
            }
        }
    }
}

impl Jobs<'_> {
    /// # Safety
    /// As its `run`; `S` is available.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const PIXELS: usize, const VECTORS: usize>(self) {
        let (mut job, [input, weights, output]) = (self.first, self.steps);
        for _ in 0..self.count {
            // SAFETY: passed on from the caller.
            unsafe { job.tiles::<S, PIXELS, VECTORS>() }
            job.input = job.input.wrapping_add(input);
            job.weights = job.weights.wrapping_add(weights);
            job.output = job.output.wrapping_add(output);
        }
    }
}

impl Job<'_> {
    /// # Safety
    /// As [`Jobs`]' `run`; `S` is available.
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
                7 if PIXELS > 7 => self.tile::<S, 7, VECTORS>(rest),
                6 if PIXELS > 6 => self.tile::<S, 6, VECTORS>(rest),
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
                for step in 0..S::STEPS {
                    let mut weights = self.weights.add(tap.weights as usize);
                    for i in 0..self.channels {
                        let mut row = [S::zero(); VECTORS];
                        for v in 0..VECTORS {
                            row[v] = S::factor(S::load(weights.add(v * S::LANES)), step);
                        }
                        for p in 0..PIXELS {
                            let x = S::splat(*from[p].add(tap.input as usize + i));
                            let x = S::factor(x, step);
                            for v in 0..VECTORS {
                                sums[p][v] = S::multiply_add(x, row[v], sums[p][v]);
                            }
                        }
                        weights = weights.add(VECTORS * S::LANES);
                    }
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
