//! Dense decompositions whose bits do not depend on the number of threads: faer's own shorthands
//! split their work by the size of the thread pool.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Accum, Mat, MatRef, Par};

use crate::{Error, Result};

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
        let (mut left, mut right) = (Mat::zeros(rows, size), Mat::zeros(columns, size));
        let mut values = Diag::zeros(size);
        let thin = ComputeSvdVectors::Thin;
        let scratch = svd_scratch::<f64>(rows, columns, thin, thin, Par::Seq, Default::default());
        svd(
            matrix,
            values.as_mut(),
            Some(left.as_mut()),
            Some(right.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Default::default(),
        )
        .map_err(|error| {
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

/// The lower Cholesky factor of a symmetric matrix given by its lower triangle; `None` when it is
/// not positive definite.
pub(super) fn cholesky(mut matrix: Mat<f64>) -> Option<Mat<f64>> {
    let scratch = cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, Default::default());
    cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    Some(matrix)
}

/// The lower triangle of A Aᵀ.
pub(super) fn lower_gram(matrix: MatRef<'_, f64>) -> Mat<f64> {
    let mut gram = Mat::zeros(matrix.nrows(), matrix.nrows());
    triangular::matmul(
        gram.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        matrix,
        BlockStructure::Rectangular,
        matrix.transpose(),
        BlockStructure::Rectangular,
        1.0,
        faer::get_global_parallelism(),
    );
    gram
}

/// The solution of smallest norm of min ‖A X − B‖, by the singular values of A above
/// max(rows, columns)·ε times the largest.
///
/// # Shapes
/// A is `[m, n]`, B is `[m, p]`, X is `[n, p]`.
pub(super) fn least_squares(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<Mat<f64>> {
    let svd = ThinSvd::new(a)?;
    let largest = svd.values.first().copied().unwrap_or(0.0);
    let tolerance = largest * f64::EPSILON * a.nrows().max(a.ncols()) as f64;
    let mut coefficients = svd.left.transpose() * b; // [rank, p]
    for (row, &value) in svd.values.iter().enumerate() {
        let factor = if value > tolerance {
            value.recip()
        } else {
            0.0
        };
        for column in 0..coefficients.ncols() {
            coefficients[(row, column)] *= factor;
        }
    }
    Ok(svd.right * coefficients)
}
