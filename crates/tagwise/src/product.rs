//! Matrix products on one thread at the rate of the machine, whatever way their factors lie.
//!
//! faer's kernels for AVX2 and AVX-512 read the right factor where it lies, one column after the other.
//! Where the numbers of a column are not neighbours, as in A·Aᵀ of a column-major A, every one of them comes
//! from another cache line, and lines at such distances fall into few sets of the first-level cache: a half
//! to a third of the rate. So such factors are packed here, a piece of the inner dimension at a time.
//!
//! Those kernels also leave the upper halves of vector registers in use, and then every change between the
//! instructions of this build and those of the C library's newer functions costs some hundred cycles (an
//! exponential took 100 ns in place of 8 on Zen 3). So products go through here, and end clean.

use std::cell::RefCell;

use faer::linalg::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// Rows of the right factor that are packed at a time, and columns: 256 KiB, half of a small second-level
/// cache.
const DEPTH: usize = 256;
const COLUMNS: usize = 128;
/// Rows that are read side by side while columns are written: a cache line of each column.
const SIDE_BY_SIDE: usize = 8;
/// A packed number must be used this often to be worth its copy, and a product have so many terms.
const LEAST_ROWS: usize = 24;
const LEAST_TERMS: usize = 1 << 17;

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

/// Lends the room of this thread, which `work` must not ask for again.
pub(crate) fn with_packed<R>(work: impl FnOnce(&mut Packed) -> R) -> R {
    PACKED.with_borrow_mut(work)
}

/// Ends the use of wide vector registers by code that does not do so itself.
pub(crate) fn leave_vectors() {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        simd.avx._mm256_zeroupper();
    }
}

/// faer's product, dst ← alpha·lhs·rhs, or that added to dst.
///
/// It is compiled here, once: faer's own is compiled again for all kinds of arguments.
#[inline(never)]
pub(crate) fn matmul(
    dst: MatMut<'_, f64>,
    accumulate: Accum,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
    alpha: f64,
    par: Par,
) {
    matmul::matmul(dst, accumulate, lhs, rhs, alpha, par);
    leave_vectors();
}

/// lhs·rhs, on all threads where it is large.
pub(crate) fn product(lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(lhs.nrows(), rhs.ncols());
    let par = faer::get_global_parallelism();
    matmul(out.as_mut(), Accum::Replace, lhs, rhs, 1.0, par);
    out
}

/// dst ← alpha·lhs·rhs, or that added to dst, on this thread.
pub(crate) fn multiply(
    dst: MatMut<'_, f64>,
    accumulate: Accum,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
    alpha: f64,
) {
    // faer transposes the whole product where the result is stored by rows.
    let (mut dst, lhs, rhs) = if dst.row_stride() != 1 && dst.col_stride() == 1 {
        (dst.transpose_mut(), rhs.transpose(), lhs.transpose())
    } else {
        (dst, lhs, rhs)
    };
    let terms = dst.nrows().saturating_mul(dst.ncols()) * rhs.nrows();
    if rhs.row_stride() == 1 || dst.nrows() < LEAST_ROWS || terms < LEAST_TERMS {
        return matmul(dst, accumulate, lhs, rhs, alpha, Par::Seq);
    }
    with_packed(|packed| {
        for first in (0..rhs.ncols()).step_by(COLUMNS) {
            let columns = COLUMNS.min(rhs.ncols() - first);
            let mut dst = dst.as_mut().subcols_mut(first, columns);
            let rhs = rhs.subcols(first, columns);
            let mut accumulate = accumulate;
            for_each_piece(rhs.nrows(), |start, depth| {
                let piece = packed.pack(rhs.subrows(start, depth));
                let lhs = lhs.subcols(start, depth);
                matmul(dst.as_mut(), accumulate, lhs, piece, alpha, Par::Seq);
                accumulate = Accum::Add;
            });
        }
    });
}

/// Adds the lower triangle of A·Aᵀ to that of `gram`, on this thread.
pub(crate) fn add_gram(mut gram: MatMut<'_, f64>, a: MatRef<'_, f64>) {
    let terms = a.nrows().saturating_mul(a.nrows()) * a.ncols();
    if a.col_stride() == 1 || a.nrows() < LEAST_ROWS || terms < LEAST_TERMS {
        return add_lower(gram, a, a.transpose(), Par::Seq);
    }
    with_packed(|packed| {
        for_each_piece(a.ncols(), |start, depth| {
            let a = a.subcols(start, depth);
            add_lower(gram.as_mut(), a, packed.pack(a.transpose()), Par::Seq);
        });
    });
}

/// Adds the lower triangle of a product that is symmetric.
pub(crate) fn add_lower(
    dst: MatMut<'_, f64>,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
    par: Par,
) {
    use BlockStructure::{Rectangular, TriangularLower};
    triangular::matmul(
        dst,
        TriangularLower,
        Accum::Add,
        lhs,
        Rectangular,
        rhs,
        Rectangular,
        1.0,
        par,
    );
    leave_vectors();
}

/// Calls `work` with the start and the length of every piece of an inner dimension.
pub(crate) fn for_each_piece(len: usize, mut work: impl FnMut(usize, usize)) {
    for start in (0..len).step_by(DEPTH) {
        work(start, DEPTH.min(len - start));
    }
}

/// Room for a piece of a right factor whose columns are neighbours in memory.
#[derive(Default)]
pub(crate) struct Packed(Vec<f64>);

impl Packed {
    /// The piece, one column after the other.
    pub(crate) fn pack(&mut self, piece: MatRef<'_, f64>) -> MatRef<'_, f64> {
        let (rows, columns) = piece.shape();
        if self.0.len() < rows * columns {
            self.0.resize(rows * columns, 0.0);
        }
        let packed = &mut self.0[..rows * columns];
        if let Some(by_rows) = piece.try_as_row_major() {
            let row = |index: usize| by_rows.row(index).transpose();
            let slices = |first: usize| {
                std::array::from_fn::<&[f64], SIDE_BY_SIDE, _>(|offset| {
                    let row = row(first + offset).try_as_col_major();
                    row.expect("a row of a row-major matrix").as_slice()
                })
            };
            let whole = rows - rows % SIDE_BY_SIDE;
            for first in (0..whole).step_by(SIDE_BY_SIDE) {
                let from = slices(first);
                for (j, column) in packed.chunks_exact_mut(rows).enumerate() {
                    let out: &mut [f64; SIDE_BY_SIDE] = (&mut column[first..first + SIDE_BY_SIDE])
                        .try_into()
                        .expect("as long as there are rows");
                    *out = std::array::from_fn(|offset| from[offset][j]);
                }
            }
            for index in whole..rows {
                for (j, column) in packed.chunks_exact_mut(rows).enumerate() {
                    column[index] = piece[(index, j)];
                }
            }
        } else {
            for (j, column) in packed.chunks_exact_mut(rows.max(1)).enumerate() {
                for (i, out) in column.iter_mut().enumerate() {
                    *out = piece[(i, j)];
                }
            }
        }
        MatRef::from_column_major_slice(packed, rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;
    use proptest::prelude::*;

    fn noise(rows: usize, columns: usize, seed: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| {
            ((i * 7919 + j * 104_729 + seed * 31) % 2003) as f64 / 2003.0 - 0.5
        })
    }

    /// Sums term by term.
    fn expected(lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) -> Mat<f64> {
        Mat::from_fn(lhs.nrows(), rhs.ncols(), |i, j| {
            (0..lhs.ncols()).map(|k| lhs[(i, k)] * rhs[(k, j)]).sum()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn products_of_factors_in_any_layout_are_right(
            rows in 0usize..70, columns in 0usize..300, inner in 0usize..600,
            layouts in prop::array::uniform3(any::<bool>()), adds in any::<bool>(),
        ) {
            // A factor by columns, or the transpose of one.
            let (left, right) = (noise(rows, inner, 1), noise(inner, columns, 2));
            let (left_by_rows, right_by_rows) = (left.transpose().to_owned(), right.transpose().to_owned());
            let lhs = if layouts[0] { left.as_ref() } else { left_by_rows.transpose() };
            let rhs = if layouts[1] { right.as_ref() } else { right_by_rows.transpose() };
            let start = noise(rows, columns, 3);
            let mut by_columns = start.clone();
            let mut by_rows = start.transpose().to_owned();
            let dst = if layouts[2] { by_columns.as_mut() } else { by_rows.transpose_mut() };
            let accumulate = if adds { Accum::Add } else { Accum::Replace };
            multiply(dst, accumulate, lhs, rhs, -0.5);
            let found = if layouts[2] { by_columns.as_ref() } else { by_rows.transpose() };
            let mut wanted = expected(lhs, rhs) * faer::Scale(-0.5);
            if adds && inner > 0 {
                wanted += &start;
            }
            if inner > 0 {
                prop_assert!((found - wanted).norm_max() < 1e-12);
            }
        }

        #[test]
        fn grams_of_any_layout_are_right(rows in 1usize..90, columns in 1usize..600, by_columns in any::<bool>()) {
            let (a, transposed) = (noise(rows, columns, 4), noise(columns, rows, 4));
            let a = if by_columns { a.as_ref() } else { transposed.transpose() };
            let mut gram = noise(rows, rows, 5);
            let wanted = expected(a, a.transpose()) + &gram;
            add_gram(gram.as_mut(), a);
            for j in 0..rows {
                for i in j..rows {
                    prop_assert!((gram[(i, j)] - wanted[(i, j)]).abs() < 1e-12);
                }
            }
        }
    }
}
