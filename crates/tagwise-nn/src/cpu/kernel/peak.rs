//! The most multiplications and additions per second that this machine does in registers, those
//! that are tiles among them.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Kernels;
use super::simd::{Simd, TileWork, Work, launch_product, launch_tiles};
use super::tiles::{Product, Rows, SIDE, Step, TILE, Tiles};
use crate::Precision;
use crate::cpu::parallel;

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
        let operations = AtomicUsize::new(0);
        parallel::for_each(threads, &|_| {
            // SAFETY: the work touches no memory but its own.
            unsafe {
                if kernels.have_tiles() {
                    launch_tiles(kernels, TileProducts(&operations));
                } else {
                    let precision = kernels.precision();
                    launch_product(
                        kernels,
                        precision,
                        Chains {
                            precision,
                            operations: &operations,
                        },
                    );
                }
            }
        });
        let operations = operations.into_inner();
        best = best.max(operations as f64 / start.elapsed().as_secs_f64());
    }
    best
}

/// Chains of multiply-adds in registers.
struct Chains<'a> {
    precision: Precision,
    operations: &'a AtomicUsize,
}

impl Work for Chains<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let operations = 2 * ROUNDS * SUMS * S::LANES * self.precision.per_lane();
        self.operations.fetch_add(operations, Ordering::Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { chains::<S>() }
    }
}

/// Products of tiles in the first-level cache.
struct TileProducts<'a>(&'a AtomicUsize);

impl TileWork for TileProducts<'_> {
    #[inline(always)]
    unsafe fn run<T: Tiles>(self) {
        // SAFETY: passed on from the caller.
        let tiles = unsafe { T::configure(SIDE) };
        self.0.fetch_add(multiply_tiles(&tiles), Ordering::Relaxed);
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
            for step in 0..S::STEPS {
                let (factor, term) = (S::factor(factor, step), S::factor(term, step));
                for sum in &mut sums {
                    // The sum is the last operand, as in every kernel.
                    *sum = S::multiply_add(factor, term, *sum);
                }
            }
        }
        black_box(sums);
    }
}
