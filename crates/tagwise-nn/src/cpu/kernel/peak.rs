//! The most multiplications and additions per second that this machine does in registers, those
//! that are tiles among them.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::Kernels;
use super::simd::{Pairs, Simd, Work, launch};
use super::tiles::{Product, Rows, SIDE, Step, TILE, Tiles};
use crate::Precision;

/// Independent sums: enough to hide the latency of two units, and room in 16 registers.
const SUMS: usize = 12;
/// Rounds of one thread, some hundredths of a second.
const ROUNDS: usize = 1 << 22;
/// The same of products of tiles, and the steps of each.
const PRODUCTS: usize = 1 << 14;
const STEPS: usize = 64;
const TRIES: usize = 3;

/// Operations per second of all threads together (a multiplication and an addition are two) in
/// the precision of the kernels, the best of a few tries.
pub(crate) fn multiply_add_rate(kernels: Kernels) -> f64 {
    let threads = rayon::current_num_threads();
    let mut best = 0.0f64;
    for _ in 0..TRIES {
        let start = Instant::now();
        let operations: usize = (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| {
                let mut operations = 0;
                let work = Chains {
                    precision: kernels.precision(),
                    operations: &mut operations,
                };
                // SAFETY: the work touches no memory but its own.
                unsafe { launch(kernels, work) }
                operations
            })
            .sum();
        best = best.max(operations as f64 / start.elapsed().as_secs_f64());
    }
    best
}

struct Chains<'a> {
    precision: Precision,
    operations: &'a mut usize,
}

impl Work for Chains<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        *self.operations = 2 * ROUNDS * SUMS * S::LANES * self.precision.per_lane();
        // SAFETY: passed on from the caller.
        unsafe {
            match self.precision {
                Precision::F32 => chains::<S>(),
                Precision::Bf16 => match S::Tiles::configure(SIDE) {
                    Some(tiles) => *self.operations = multiply_tiles(&tiles),
                    None => chains::<Pairs<S>>(),
                },
            }
        }
    }
}

/// Takes products of two by two tiles, whose factors stay in the first-level cache; returns their
/// operations.
fn multiply_tiles(tiles: &impl Tiles) -> usize {
    let factors = black_box([1e-3f32; 2 * TILE]);
    let mut sums = [0.0f32; 4 * TILE];
    let steps = [Step::default(); STEPS];
    let left = factors.as_ptr();
    let (first, second) = sums.split_at_mut(2 * TILE);
    let product = Product {
        left: [left, left.wrapping_add(TILE)].map(|first| Rows { first, step: SIDE }),
        right: Rows {
            first: left,
            step: 2 * SIDE,
        },
        sums: [first, second].map(|sums| Rows {
            first: sums.as_mut_ptr(),
            step: 2 * SIDE,
        }),
        steps: steps.as_ptr(),
        num_steps: STEPS,
        adds: 0,
    };
    for _ in 0..PRODUCTS {
        // SAFETY: the factors have two tiles of rows, or one of 32 columns; the sums have four.
        unsafe { tiles.multiply::<2, 2>(&product) }
    }
    black_box(sums);
    2 * PRODUCTS * STEPS * 4 * TILE * SIDE * Precision::Bf16.per_lane()
}

/// # Safety
/// The CPU has the features of `S`.
#[inline(always)]
unsafe fn chains<S: Simd>() {
    // SAFETY: passed on from the caller.
    unsafe {
        let (factor, term) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
        let mut sums = [S::splat(black_box(1.0)); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                // The sum is the last operand, as in every kernel.
                *sum = S::multiply_add(factor, term, *sum);
            }
        }
        black_box(sums);
    }
}
