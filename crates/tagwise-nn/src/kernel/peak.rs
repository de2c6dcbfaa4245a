//! The most multiplications and additions per second that this machine does in registers.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Portable, Simd};
use super::{KernelSet, Kernels};

/// Independent sums: enough to hide the latency of two units, and room in 16 registers.
const SUMS: usize = 12;
/// Rounds of one thread, some hundredths of a second.
const ROUNDS: usize = 1 << 22;
const TRIES: usize = 3;

/// Operations per second of all threads together (a multiplication and an addition are two), the
/// best of a few tries.
pub(crate) fn multiply_add_rate(kernels: Kernels) -> f64 {
    let threads = rayon::current_num_threads();
    let mut best = 0.0f64;
    for _ in 0..TRIES {
        let start = Instant::now();
        let operations: usize = (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| run(kernels))
            .sum();
        best = best.max(operations as f64 / start.elapsed().as_secs_f64());
    }
    best
}

fn run(kernels: Kernels) -> usize {
    // SAFETY: `Kernels` is made only after the features were detected.
    unsafe {
        match kernels.set() {
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 => run_avx2(),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512 => run_avx512(),
            _ => chains::<Portable>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2() -> usize {
    // SAFETY: the features are enabled here.
    unsafe { chains::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn run_avx512() -> usize {
    // SAFETY: the features are enabled here.
    unsafe { chains::<Avx512>() }
}

/// # Safety
/// The CPU has the features of `S`.
#[inline(always)]
unsafe fn chains<S: Simd>() -> usize {
    // SAFETY: passed on from the caller.
    unsafe {
        let (factor, term) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
        let mut sums = [S::splat(black_box(1.0)); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = S::multiply_add(*sum, factor, term);
            }
        }
        black_box(sums);
    }
    2 * ROUNDS * SUMS * S::LANES
}
