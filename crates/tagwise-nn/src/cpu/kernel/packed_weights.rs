//! The orders in which the weights of a convolution lie in memory.

use super::shape::ConvShape;
use super::simd::{Simd, Work, launch_bf16};
use super::{Kernels, padded_channels};
use crate::cpu::parallel;

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
    parallel::for_each_chunk(transposed, outs * to_block, |chunk, matrix| {
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
    parallel::for_each_chunk(&mut pairs[..matrices * paired], paired, |matrix, pairs| {
        let work = PairRows {
            block,
            weights: &weights[matrix * rows * block..][..rows * block],
            pairs,
        };
        // SAFETY: the blocks are whole registers of every kernel set.
        unsafe { launch_bf16(kernels, work) }
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
