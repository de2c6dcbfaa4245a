//! Matrix products that give the same bits whatever the number of threads: the result is cut into
//! blocks whose size does not depend on the threads, and each block is one thread's.

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

use crate::product::multiply;

/// Columns of a wide result and rows of a tall one that one thread works on.
const COLUMN_BLOCK: usize = 512;
const ROW_BLOCK: usize = 128;
/// Below this many multiplications one thread does it all.
const PARALLEL_FLOPS: usize = 1 << 20;

/// Products of at most this many multiplications are cut into pieces of at most so many: faer has
/// kernels for those that start at once, while its large ones first read the sizes of the caches
/// from the system, a millisecond that small problems would wait for.
pub(super) const TINY: usize = 1 << 17;
const PIECE: usize = 4096;

/// out ← Σ a·b over pairs of a narrow a `[m, r]` and a wide b `[r, n]`; out is `[m, n]`.
pub(super) fn wide(mut out: MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) {
    let one = |mut block: MatMut<'_, f64>, start: usize| {
        let mut accumulate = Accum::Replace;
        for (a, b) in pairs {
            let b = b.subcols(start, block.ncols());
            multiply(block.as_mut(), accumulate, *a, b, 1.0);
            accumulate = Accum::Add;
        }
    };
    let products = products(&out, pairs);
    let columns = match products {
        0..TINY => piece(out.ncols(), products),
        TINY..PARALLEL_FLOPS => out.ncols(),
        _ => {
            out.par_col_chunks_mut(COLUMN_BLOCK)
                .enumerate()
                .for_each(|(number, block)| one(block, number * COLUMN_BLOCK));
            return;
        }
    };
    for first in (0..out.ncols()).step_by(columns.max(1)) {
        let count = columns.max(1).min(out.ncols() - first);
        one(out.as_mut().subcols_mut(first, count), first);
    }
}

/// out ← Σ a·bᵀ over pairs of wide matrices a `[m, n]` and b `[r, n]`; out is `[m, r]`.
pub(super) fn tall(out: MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) {
    let one = |mut block: MatMut<'_, f64>, start: usize, columns: usize| {
        let mut accumulate = Accum::Replace;
        for (a, b) in pairs {
            let a = a.subrows(start, block.nrows());
            let firsts = (0..a.ncols()).step_by(columns.max(1));
            for first in firsts {
                let count = columns.max(1).min(a.ncols() - first);
                let (a, b) = (a.subcols(first, count), b.subcols(first, count));
                multiply(block.as_mut(), accumulate, a, b.transpose(), 1.0);
                accumulate = Accum::Add;
            }
        }
    };
    let inner = pairs.first().map_or(0, |(a, _)| a.ncols());
    match products(&out, pairs) {
        products @ 0..TINY => one(out, 0, piece(inner, products)),
        TINY..PARALLEL_FLOPS => one(out, 0, inner),
        _ => out
            .par_row_chunks_mut(ROW_BLOCK)
            .enumerate()
            .for_each(|(number, block)| one(block, number * ROW_BLOCK, inner)),
    }
}

/// Multiplications in all pairs.
fn products(out: &MatMut<'_, f64>, pairs: &[(MatRef<'_, f64>, MatRef<'_, f64>)]) -> usize {
    let inner = pairs.first().map_or(0, |(a, b)| a.ncols().max(b.nrows()));
    out.nrows() * out.ncols() * inner * pairs.len()
}

/// How many of `len` slices of a product of this size make a piece.
fn piece(len: usize, products: usize) -> usize {
    len * PIECE / products.max(PIECE)
}

/// A·Aᵀ over its largest entry, and that entry (1 where all are 0): small enough entries would make an
/// eigenvalue iteration lose accuracy to underflow.
pub(super) fn unit_gram(a: MatRef<'_, f64>) -> (Mat<f64>, f64) {
    let gram = gram(a);
    let scale = match gram.norm_max() {
        0.0 => 1.0,
        largest => largest,
    };
    (gram * faer::Scale(1.0 / scale), scale)
}

/// A·Aᵀ, of whose large ones only the blocks up to the diagonal are multiplied.
fn gram(a: MatRef<'_, f64>) -> Mat<f64> {
    let size = a.nrows();
    let mut out = Mat::zeros(size, size);
    if products(&out.as_mut(), &[(a, a)]) < PARALLEL_FLOPS {
        tall(out.as_mut(), &[(a, a)]);
        return out;
    }
    let blocks = out.as_mut().par_row_chunks_mut(ROW_BLOCK).enumerate();
    blocks.for_each(|(number, block)| {
        let (start, rows) = (number * ROW_BLOCK, block.nrows());
        let block = block.subcols_mut(0, start + rows);
        let (a, b) = (a.subrows(start, rows), a.subrows(0, start + rows));
        multiply(block, Accum::Replace, a, b.transpose(), 1.0);
    });
    for j in 0..size {
        for i in 0..j {
            out[(i, j)] = out[(j, i)];
        }
    }
    out
}
