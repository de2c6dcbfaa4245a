//! Cholesky decomposition and inverse of large positive definite matrices, in stripes of columns
//! that are each one sequential task: the bits do not depend on the number of threads, and no
//! thread waits for another within a stripe.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatMut, Par};
use rayon::prelude::*;

use crate::product::{leave_vectors, multiply};

/// Columns of a stripe.
const STRIPE: usize = 128;

/// The lower Cholesky factor of a symmetric matrix given by its lower triangle; `None` when it is
/// not positive definite. What is above the diagonal has no meaning.
pub(super) fn cholesky(mut matrix: Mat<f64>) -> Option<Mat<f64>> {
    let size = matrix.nrows();
    for first in (0..size).step_by(STRIPE) {
        let end = (first + STRIPE).min(size);
        let (left, right) = matrix.as_mut().split_at_col_mut(end);
        let (corner, below) = left.subcols_mut(first, end - first).split_at_row_mut(end);
        let mut corner = corner.subrows_mut(first, end - first);
        factor_small(corner.as_mut())?;
        let corner = corner.as_ref();
        let mut below = below; // [size − end, width]
        below.as_mut().par_row_chunks_mut(STRIPE).for_each(|rows| {
            solve_lower_triangular_in_place(corner, rows.transpose_mut(), Par::Seq);
        });
        let below = below.as_ref();
        let trailing = right.subrows_mut(end, size - end);
        trailing
            .par_col_chunks_mut(STRIPE)
            .enumerate()
            .for_each(|(number, stripe)| {
                let (start, width) = (number * STRIPE, stripe.ncols());
                let rest = below.nrows() - start;
                let right = below.subrows(start, width);
                multiply(
                    stripe.subrows_mut(start, rest),
                    Accum::Add,
                    below.subrows(start, rest),
                    right.transpose(),
                    -1.0,
                );
            });
    }
    Some(matrix)
}

fn factor_small(matrix: MatMut<'_, f64>) -> Option<()> {
    let scratch = cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, Default::default());
    let done = cholesky_in_place(
        matrix,
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    leave_vectors();
    done.ok().map(|_| ())
}

/// The lower triangle of (L Lᵀ)⁻¹ for a lower Cholesky factor L; zeros or more above it.
pub(super) fn inverse_of_cholesky(factor: &Mat<f64>) -> Mat<f64> {
    let size = factor.nrows();
    let mut root = Mat::<f64>::zeros(size, size); // L⁻¹
    root.par_col_chunks_mut(STRIPE)
        .enumerate()
        .for_each(|(number, stripe)| {
            let first = number * STRIPE;
            let mut below = stripe.subrows_mut(first, size - first);
            for j in 0..below.ncols() {
                below[(j, j)] = 1.0;
            }
            let corner = factor.submatrix(first, first, size - first, size - first);
            solve_lower_triangular_in_place(corner, below, Par::Seq);
            leave_vectors();
        });
    let mut inverse = Mat::<f64>::zeros(size, size);
    inverse
        .par_col_chunks_mut(STRIPE)
        .enumerate()
        .for_each(|(number, stripe)| {
            use triangular::BlockStructure::{Rectangular, TriangularUpper};
            let (first, width) = (number * STRIPE, stripe.ncols());
            let corner = root.submatrix(first, first, size - first, size - first);
            triangular::matmul(
                stripe.subrows_mut(first, size - first),
                Rectangular,
                Accum::Replace,
                corner.transpose(),
                TriangularUpper,
                corner.subcols(0, width),
                Rectangular,
                1.0,
                Par::Seq,
            );
            leave_vectors();
        });
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition numbers below are near 1e2.
    const ROUNDING: f64 = 1e-12;

    fn definite(size: usize) -> Mat<f64> {
        let wave = Mat::from_fn(size, size, |i, j| {
            (1.7 * i as f64 + 0.3 * (j * j % 101) as f64).sin() / (size as f64).sqrt()
        });
        &wave * wave.transpose() + Mat::<f64>::identity(size, size) * faer::Scale(0.5)
    }

    #[test]
    fn factors_and_inverses_of_every_number_of_stripes_are_right() {
        for size in [1, 5, STRIPE, STRIPE + 1, 3 * STRIPE - 7] {
            let matrix = definite(size);
            let factor = cholesky(matrix.clone()).unwrap();
            let inverse = inverse_of_cholesky(&factor);
            let lower = |m: &Mat<f64>, i: usize, j: usize| if i >= j { m[(i, j)] } else { 0.0 };
            let factor = Mat::from_fn(size, size, |i, j| lower(&factor, i, j));
            assert!((&factor * factor.transpose() - &matrix).norm_max() < ROUNDING);
            let inverse = Mat::from_fn(size, size, |i, j| lower(&inverse, i.max(j), i.min(j)));
            let one = Mat::<f64>::identity(size, size);
            assert!((&inverse * &matrix - one).norm_max() < ROUNDING, "{size}");
        }
    }

    #[test]
    fn a_matrix_with_a_negative_direction_has_no_factor() {
        let mut matrix = definite(STRIPE + 9);
        matrix[(STRIPE + 5, STRIPE + 5)] = -1.0;
        assert!(cholesky(matrix).is_none());
    }
}
