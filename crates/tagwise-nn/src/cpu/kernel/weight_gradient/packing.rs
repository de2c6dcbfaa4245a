//! How runs of pixels are packed to rows without gaps.

use super::WeightGradient;
use crate::cpu::bf16::Bf16;
use crate::cpu::kernel::padded_channels;
use crate::cpu::kernel::simd::{Simd, Work};
use crate::cpu::kernel::tiles::place_in_squares;

impl WeightGradient {
    /// Where a channel of a packed row of inputs is.
    #[inline(always)]
    pub(super) fn x_place(&self, row: usize, channel: usize) -> usize {
        if self.tiled {
            place_in_squares(self.rows(), row, channel)
        } else {
            row * self.x_step + channel
        }
    }
}

/// Inputs to be packed in pairs of pixels, which are padded to whole registers.
pub(super) struct PairsOfInputs<'a> {
    pub plan: &'a WeightGradient,
    pub places: &'a [usize],
    pub shift: usize,
    pub x: &'a [Bf16],
    pub rows: &'a mut [f32],
}

impl Work for PairsOfInputs<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let channels = padded_channels(self.plan.shape.in_channels);
        for (row, pair) in self.places.chunks(2).enumerate() {
            let (first, last) = (pair[0] + self.shift, pair[pair.len() - 1] + self.shift);
            for c in (0..channels).step_by(S::LANES) {
                // SAFETY: passed on from the caller.
                unsafe {
                    let first = S::load_bf16(self.x.as_ptr().add(first + c));
                    let last = S::load_bf16(self.x.as_ptr().add(last + c));
                    let to = self.rows.as_mut_ptr().add(self.plan.x_place(row, c));
                    S::store(to, S::pair(first, last));
                }
            }
        }
    }
}

/// Gradients to be packed in pairs of pixels, an odd last one with zeros.
pub(super) struct PairsOfGradients<'a> {
    pub places: &'a [usize],
    /// The first of the channels, and how many.
    pub block: usize,
    pub len: usize,
    pub dz: &'a [Bf16],
    pub rows: &'a mut [f32],
}

impl Work for PairsOfGradients<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (block, dz) = (self.block, self.dz.as_ptr());
        let rows = self.rows.chunks_exact_mut(self.len);
        for (pair, row) in self.places.chunks(2).zip(rows) {
            for c in (0..self.len).step_by(S::LANES) {
                // SAFETY: passed on from the caller; a block is whole registers.
                unsafe {
                    let first = S::load_bf16(dz.add(pair[0] + block + c));
                    let second = match pair.get(1) {
                        Some(place) => S::load_bf16(dz.add(place + block + c)),
                        None => S::zero(),
                    };
                    S::store(row.as_mut_ptr().add(c), S::pair(first, second));
                }
            }
        }
    }
}

/// Inputs in f32 that are perhaps not padded, to be packed for the taps of a row.
pub(super) struct Images<'a> {
    pub plan: &'a WeightGradient,
    pub places: &'a [usize],
    pub first_tap: usize,
    pub x: &'a [f32],
    pub rows: &'a mut [f32],
}

impl Images<'_> {
    /// Calls `registers` with the places of whole registers of the first and the last pixel of
    /// every row, and of the row, and `number` with those of single numbers where registers would
    /// leave the images or the row is not one stretch.
    #[inline(always)]
    fn for_each<S: Simd>(
        self,
        pixels_of_row: usize,
        registers: impl Fn(*const f32, *const f32, *mut f32),
        number: impl Fn(f32, f32) -> f32,
    ) {
        let (plan, x) = (self.plan, self.x);
        let shape = &plan.shape;
        // Taps side by side have their inputs side by side.
        let (lines, len) = match plan.taps_per_row {
            1 => (1, shape.in_channels),
            _ => (shape.kernel, shape.kernel * shape.in_channels),
        };
        for (row, pixels) in self.places.chunks(pixels_of_row).enumerate() {
            for line in 0..lines {
                let shift = plan.shift(self.first_tap + line * shape.kernel);
                let (first, last) = (pixels[0] + shift, pixels[pixels.len() - 1] + shift);
                let end = first.max(last) + len.next_multiple_of(S::LANES);
                if end > x.len() || plan.tiled {
                    for i in 0..len {
                        let place = plan.x_place(row, line * len + i);
                        self.rows[place] = number(x[first + i], x[last + i]);
                    }
                    continue;
                }
                // What is written after a line is written again with the next, or lies between rows.
                for i in (0..len).step_by(S::LANES) {
                    let place = plan.x_place(row, line * len + i);
                    let to = self.rows.as_mut_ptr().wrapping_add(place);
                    let from = [first, last].map(|first| x.as_ptr().wrapping_add(first + i));
                    registers(from[0], from[1], to);
                }
            }
        }
    }
}

/// Images whose rows hold a pixel each.
pub(super) struct InNumbers<'a>(pub Images<'a>);

impl Work for InNumbers<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let store = |first: *const f32, _: *const f32, to: *mut f32| {
            // SAFETY: whole registers lie inside x, and a row and what follows it in the scratch
            // memory have room for them.
            unsafe { S::store(to, S::load(first)) }
        };
        self.0.for_each::<S>(1, store, |first, _| first);
    }
}

/// Images whose rows hold a pair of pixels each, rounded.
pub(super) struct InPairs<'a>(pub Images<'a>);

impl Work for InPairs<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let store = |first: *const f32, last: *const f32, to: *mut f32| {
            // SAFETY: as for single pixels.
            unsafe { S::store_pairs(to, S::load(first), S::load(last)) }
        };
        let round = |first, last| Bf16::pair([first, last].map(Bf16::round));
        self.0.for_each::<S>(2, store, round);
    }
}
