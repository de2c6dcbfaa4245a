//! Matrix products that give the same bits whatever the number of threads: the result is cut into
//! blocks whose size does not depend on the threads, and each block is one thread's.

use std::sync::OnceLock;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of a wide result and rows of a tall one that one thread works on.
const COLUMN_BLOCK: usize = 512;
const ROW_BLOCK: usize = 64;
/// Below this many multiplications one thread does it all.
const PARALLEL_FLOPS: usize = 1 << 20;

/// out ← Σ a·b over pairs of a narrow a `[m, r]` and a wide b `[r, n]`; out is `[m, n]`.
pub(super) fn wide(mut out: MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) {
    let one = |mut block: MatMut<'_, f64>, start: usize| {
        let mut accumulate = Accum::Replace;
        for (a, b) in pairs {
            let b = b.subcols(start, block.ncols());
            matmul(block.as_mut(), accumulate, *a, b, 1.0, Par::Seq);
            accumulate = Accum::Add;
        }
    };
    if is_small(&out, pairs) {
        one(out.as_mut(), 0);
        return;
    }
    out.par_col_chunks_mut(COLUMN_BLOCK)
        .enumerate()
        .for_each(|(number, block)| one(block, number * COLUMN_BLOCK));
}

/// out ← Σ a·bᵀ over pairs of wide matrices a `[m, n]` and b `[r, n]`; out is `[m, r]`.
pub(super) fn tall(mut out: MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) {
    let one = |mut block: MatMut<'_, f64>, start: usize| {
        let mut accumulate = Accum::Replace;
        for (a, b) in pairs {
            let a = a.subrows(start, block.nrows());
            matmul(block.as_mut(), accumulate, a, b.transpose(), 1.0, Par::Seq);
            accumulate = Accum::Add;
        }
    };
    if is_small(&out, pairs) {
        one(out.as_mut(), 0);
        return;
    }
    out.par_row_chunks_mut(ROW_BLOCK)
        .enumerate()
        .for_each(|(number, block)| one(block, number * ROW_BLOCK));
}

fn is_small(out: &MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) -> bool {
    let inner = pairs.first().map_or(0, |(a, b)| a.ncols().max(b.nrows()));
    out.nrows() * out.ncols() * inner * pairs.len() < PARALLEL_FLOPS
}

/// A·Aᵀ.
pub(super) fn gram(a: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), a.nrows());
    tall(out.as_mut(), &[(a, a)]);
    out
}

/// Runs decompositions on one thread, where their bits do not depend on the number of threads.
pub(super) fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let build = || rayon::ThreadPoolBuilder::new().num_threads(1).build().ok();
    match POOL.get_or_init(build) {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
