//! Dense decompositions whose bits do not depend on the number of threads: faer's own shorthands
//! split their work by the size of the thread pool.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Mat, MatRef, Par};

use super::positive::cholesky;
use crate::product::{add_lower, leave_vectors, product};
use crate::{Error, Result};

/// Into how many parts a parallel decomposition is cut, whatever the number of threads.
const PARTS: usize = 8;

/// Decompositions smaller than this are not worth cutting.
const SMALL: usize = 256;

/// How a decomposition of this size is cut: by its size alone, so that the bits are the same on
/// every number of threads.
pub(super) fn parts(size: usize) -> Par {
    if size < SMALL {
        Par::Seq
    } else {
        Par::rayon(PARTS)
    }
}

/// A = U diag(s) Vᵀ with min(m, n) columns, largest singular value first.
pub(super) struct ThinSvd {
    pub(super) left: Mat<f64>,
    pub(super) values: Vec<f64>,
    pub(super) right: Mat<f64>,
}

impl ThinSvd {
    pub(super) fn new(matrix: MatRef<'_, f64>) -> Result<Self> {
        let (rows, columns) = matrix.shape();
        let size = rows.min(columns);
        let par = parts(size);
        let (mut left, mut right) = (Mat::zeros(rows, size), Mat::zeros(columns, size));
        let mut values = Diag::zeros(size);
        let thin = ComputeSvdVectors::Thin;
        let scratch = svd_scratch::<f64>(rows, columns, thin, thin, par, Default::default());
        let done = svd(
            matrix,
            values.as_mut(),
            Some(left.as_mut()),
            Some(right.as_mut()),
            par,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Default::default(),
        );
        leave_vectors();
        done.map_err(|error| {
            Error::Undefined(format!(
                "the singular values of the means did not converge ({error:?})"
            ))
        })?;
        Ok(Self {
            left,
            values: values.column_vector().iter().copied().collect(),
            right,
        })
    }
}

/// The left singular vectors and the singular values of a matrix, largest first.
pub(super) fn left_singular(matrix: MatRef<'_, f64>) -> Result<(Mat<f64>, Vec<f64>)> {
    let (rows, columns) = matrix.shape();
    if columns > 2 * rows {
        // A = Rᵀ Qᵀ has the left singular vectors of Rᵀ.
        let triangle = triangle_of_qr(matrix.transpose().to_owned());
        return left_singular(triangle.transpose());
    }
    let svd = ThinSvd::new(matrix)?;
    Ok((svd.left, svd.values))
}

/// Adds the lower triangle of A Aᵀ.
pub(super) fn add_lower_gram(gram: &mut Mat<f64>, matrix: MatRef<'_, f64>) {
    let par = parts(matrix.nrows());
    add_lower(gram.as_mut(), matrix, matrix.transpose(), par);
}

/// R with A = Q R for a tall A.
pub(super) fn triangle_of_qr(mut matrix: Mat<f64>) -> Mat<f64> {
    let (rows, columns) = matrix.shape();
    let par = parts(columns);
    let block = recommended_block_size::<f64>(rows, columns);
    let mut coefficients = Mat::zeros(block, columns.min(rows));
    let scratch = qr_in_place_scratch::<f64>(rows, columns, block, par, Default::default());
    qr_in_place(
        matrix.as_mut(),
        coefficients.as_mut(),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    leave_vectors();
    Mat::from_fn(columns.min(rows), columns, |row, column| {
        if row <= column {
            matrix[(row, column)]
        } else {
            0.0
        }
    })
}

/// The solution of smallest norm of min ‖A X − B‖, by the singular values of A above
/// max(rows, columns)·ε times the largest.
///
/// # Shapes
/// A is `[m, n]`, B is `[m, p]`, X is `[n, p]`.
pub(super) fn least_squares(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<Mat<f64>> {
    let svd = ThinSvd::new(a)?;
    let rank = rank(&svd.values, a);
    let mut coefficients = svd.left.transpose() * b; // [min(m, n), p]
    for (row, &value) in svd.values.iter().enumerate() {
        let factor = if row < rank { value.recip() } else { 0.0 };
        for column in 0..coefficients.ncols() {
            coefficients[(row, column)] *= factor;
        }
    }
    Ok(svd.right * coefficients)
}

/// Solves A X = B with least norm for several positive semidefinite matrices A of one range, such
/// as Σ_m c_m² A_m for any positive c_m: the range is found once, and each solution then costs one
/// Cholesky decomposition.
pub(super) struct NormalEquations {
    /// An orthonormal basis of the range, `[n, r]`; absent when the matrix is regular.
    range: Option<Mat<f64>>,
}

impl NormalEquations {
    pub(super) fn of_range(a: MatRef<'_, f64>) -> Result<Self> {
        let svd = ThinSvd::new(a)?;
        let rank = rank(&svd.values, a);
        let basis = || svd.left.subcols(0, rank).to_owned();
        Ok(Self {
            range: (rank < a.nrows()).then(basis),
        })
    }

    /// # Shapes
    /// A is `[n, n]`, B and X are `[n, p]`.
    pub(super) fn solve(&self, a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let projected = match &self.range {
            None => a.to_owned(),
            Some(basis) => product(product(basis.transpose(), a).as_ref(), basis.as_ref()),
        };
        let Some(lower) = cholesky(projected) else {
            return least_squares(a, b);
        };
        let mut x = match &self.range {
            None => b.to_owned(),
            Some(basis) => product(basis.transpose(), b),
        };
        solve_lower_triangular_in_place(lower.as_ref(), x.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(lower.transpose(), x.as_mut(), Par::Seq);
        Ok(match &self.range {
            None => x,
            Some(basis) => basis * x,
        })
    }
}

/// How many of the singular values of `a`, largest first, are above max(rows, columns)·ε times the
/// largest.
fn rank(values: &[f64], a: MatRef<'_, f64>) -> usize {
    let largest = values.first().copied().unwrap_or(0.0);
    let tolerance = largest * f64::EPSILON * a.nrows().max(a.ncols()) as f64;
    values.iter().filter(|&&value| value > tolerance).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_equations_of_any_rank_have_the_solution_of_least_norm() {
        for rank in [2usize, 4] {
            let factor = Mat::from_fn(4, rank, |i, j| {
                (1.0 + i as f64 * 1.3 + j as f64 * 2.9).sin()
            });
            let square = &factor * factor.transpose();
            let b = &square * Mat::from_fn(4, 2, |i, j| i as f64 - 2.0 * j as f64);
            let solver = NormalEquations::of_range(square.as_ref()).unwrap();
            for scale in [1.0, 3.0] {
                let a = &square * faer::Scale(scale);
                let found = solver.solve(a.as_ref(), b.as_ref()).unwrap();
                let expected = least_squares(a.as_ref(), b.as_ref()).unwrap();
                // The condition numbers of the two matrices are near 1e2.
                assert!((&found - &expected).norm_max() < 1e-11, "rank {rank}");
            }
        }
    }
}
