//! From the plain matrices of classifiers and ETFs to those of linear algebra and back.

use faer::{Mat, MatRef};
pub use tagwise_base::matrix::Matrix;

/// The matrix as `faer` sees it, without a copy.
///
/// ```
/// use tagwise::matrix::{Matrix, as_faer};
///
/// let matrix = Matrix::from_fn(2, 2, |i, j| (2 * i + j) as f64);
/// let square = as_faer(&matrix) * as_faer(&matrix);
/// assert_eq!(square[(1, 0)], 6.0); // 2·0 + 3·2
/// ```
pub fn as_faer(matrix: &Matrix) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(matrix.as_slice(), matrix.nrows(), matrix.ncols())
}

/// A copy in row-major order.
pub(crate) fn from_faer(matrix: &Mat<f64>) -> Matrix {
    Matrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}
