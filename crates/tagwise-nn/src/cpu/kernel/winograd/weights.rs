//! The weights of a convolution, transformed.

use super::transform::{self, INPUTS};
use super::{Direction, Range, Winograd};
use crate::Precision;
use crate::cpu::kernel::Kernels;
use crate::cpu::kernel::simd::{Simd, Work, launch, launch_bf16};
use crate::cpu::parallel;

impl Winograd {
    /// Transforms packed weights `[outputs/block][tap][channel][block]`; the data gradient takes
    /// transposed ones and turns their taps around.
    pub(crate) fn transform_weights(
        &self,
        kernels: Kernels,
        packed: &[f32],
        transformed: &mut [f32],
    ) {
        let taps_len = 9 * self.channels * self.block;
        assert_eq!(packed.len(), self.num_blocks() * taps_len);
        let transformed = &mut transformed[..self.weights_len()];
        parallel::for_each_chunk(transformed, self.slab_len(), |index, slab| {
            let block = index / self.num_slabs();
            let first = index % self.num_slabs() * self.slab();
            let slab = SlabOfWeights {
                pass: self,
                lanes: first..self.lanes().min(first + self.slab()),
                taps: &packed[block * taps_len..][..taps_len],
                slab,
            };
            // SAFETY: `taps` holds nine matrices of `channels` rows, `slab` 36 of its lanes.
            unsafe {
                match self.factors {
                    Precision::F32 => launch(kernels, InNumbers(slab)),
                    Precision::Bf16 => launch_bf16(kernels, InPairs(slab)),
                }
            }
        });
    }
}

/// One slab of one block of transformed weights.
struct SlabOfWeights<'a> {
    pass: &'a Winograd,
    lanes: Range,
    taps: &'a [f32],
    slab: &'a mut [f32],
}

impl SlabOfWeights<'_> {
    /// The transformed weights of a channel and the outputs from `first` on; zeros for the channel
    /// that completes the last pair.
    ///
    /// # Safety
    /// `S` is available.
    #[inline(always)]
    unsafe fn channel<S: Simd>(
        &self,
        channel: usize,
        first: usize,
    ) -> transform::Transformed<S::Vector> {
        let pass = self.pass;
        if channel >= pass.channels {
            // SAFETY: passed on from the caller.
            return unsafe { [[S::zero(); INPUTS]; INPUTS] };
        }
        let mut from = [self.taps.as_ptr(); 9];
        for (tap, from) in from.iter_mut().enumerate() {
            let tap = match pass.direction {
                Direction::Forward => tap,
                Direction::DataGradient => 8 - tap,
            };
            let offset = (tap * pass.channels + channel) * pass.block + first;
            *from = from.wrapping_add(offset);
        }
        // SAFETY: each tap's matrix has `channels` rows of `block` numbers.
        unsafe { transform::weights::<S>(from) }
    }
}

impl SlabOfWeights<'_> {
    /// Calls `store` with every lane, the outputs of a register of it and where they belong, and
    /// the distance of the 36 matrices.
    #[inline(always)]
    fn for_each_register<S: Simd>(mut self, store: impl Fn(&Self, usize, usize, *mut f32, usize)) {
        let block = self.pass.block;
        let step = self.pass.slab() * block;
        for (row, lane) in std::mem::take(&mut self.lanes).enumerate() {
            for first in (0..block).step_by(S::LANES) {
                let to = self.slab.as_mut_ptr().wrapping_add(row * block + first);
                store(&self, lane, first, to, step);
            }
        }
    }
}

/// A slab whose lanes hold one channel each.
struct InNumbers<'a>(SlabOfWeights<'a>);

impl Work for InNumbers<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        self.0
            .for_each_register::<S>(|slab, lane, first, to, step| {
                // SAFETY: lane and first lie inside each of the slab's matrices.
                unsafe { transform::store::<S, _>(slab.channel::<S>(lane, first), to, step) }
            });
    }
}

/// A slab whose lanes hold a pair of channels each.
struct InPairs<'a>(SlabOfWeights<'a>);

impl Work for InPairs<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        self.0
            .for_each_register::<S>(|slab, lane, first, to, step| {
                // SAFETY: lane and first lie inside each of the slab's matrices.
                unsafe {
                    let even = slab.channel::<S>(2 * lane, first);
                    let odd = slab.channel::<S>(2 * lane + 1, first);
                    transform::store_pairs::<S>(even, odd, to, step);
                }
            });
    }
}
