//! Simplex equiangular tight frames (ETFs): the geometry that classifiers and class means reach.

use faer::{Mat, MatRef};
pub use tagwise_base::etf::simplex_etf;

use crate::matrix::as_faer;
use crate::product::product;
use crate::{Error, Result};

/// [`simplex_etf`] for products, `[K, d]`.
pub(crate) fn simplex_etf_mat(num_classes: usize, dim: usize) -> Result<Mat<f64>> {
    Ok(as_faer(&simplex_etf(num_classes, dim)?).to_owned())
}

/// How far the rows of a matrix are from a simplex ETF, whatever its scale and rotation:
/// ‖AAᵀ/‖AAᵀ‖_F − (I − 11ᵀ/K)/√(K−1)‖_F, the NC2 metric.
///
/// The value is 0 for a simplex ETF and at most 2.
///
/// # Shapes
/// `rows` is `[K, d]`.
///
/// # Errors
/// [`Error::OutOfRange`] for fewer than 2 rows; [`Error::Undefined`] when all rows are zero or a
/// number is not finite.
///
/// ```
/// use tagwise::etf::{simplex_etf, simplex_etf_error};
/// use tagwise::matrix::as_faer;
///
/// let identity = faer::Mat::<f64>::identity(10, 10); // orthogonal, not centred
/// assert!((simplex_etf_error(identity.as_ref())? - 0.3204).abs() < 1e-4);
/// assert!(simplex_etf_error(as_faer(&simplex_etf(10, 12)?))? < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: Li et al. 2024 (arXiv 2310.15903), metric NC2.
pub fn simplex_etf_error(rows: MatRef<'_, f64>) -> Result<f64> {
    simplex_gram_error(
        product(rows, rows.transpose()).as_ref(),
        "the matrix has only zero rows",
    )
}

/// ‖M/‖M‖_F − (I − 11ᵀ/K)/√(K−1)‖_F for a K×K matrix M: NC2 when M is a Gram matrix, NC3 when M
/// is the product of the classifier and the centred class means.
///
/// # Errors
/// As [`simplex_etf_error`]; `if_zero` says what a zero matrix means to the caller.
pub fn simplex_gram_error(gram: MatRef<'_, f64>, if_zero: &str) -> Result<f64> {
    let num_classes = gram.nrows();
    if num_classes < 2 {
        return Err(Error::OutOfRange {
            name: "the number of classes",
            requirement: "of at least 2 to compare with a simplex ETF",
            found: num_classes.to_string(),
        });
    }
    if gram.ncols() != num_classes {
        return Err(Error::SizeMismatch {
            what: "columns of a Gram matrix",
            expected: num_classes,
            found: gram.ncols(),
        });
    }
    let norm = gram.norm_l2();
    if !norm.is_finite() {
        return Err(Error::Undefined(
            "the distance to a simplex ETF needs finite numbers, found NaN or infinity".into(),
        ));
    }
    if norm == 0.0 {
        return Err(Error::Undefined(format!(
            "the distance to a simplex ETF is not defined: {if_zero}"
        )));
    }
    let k = num_classes as f64;
    let ideal_norm = (k - 1.0).sqrt();
    let mut squares = 0.0;
    for j in 0..num_classes {
        for i in 0..num_classes {
            let ideal = (f64::from(u8::from(i == j)) - 1.0 / k) / ideal_norm;
            let difference = gram[(i, j)] / norm - ideal;
            squares += difference * difference;
        }
    }
    Ok(squares.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simplex_etf_has_zero_error_at_any_scale() {
        let etf = simplex_etf_mat(7, 9).unwrap();
        assert!(simplex_etf_error(etf.as_ref()).unwrap() < 1e-12);
        assert!(simplex_etf_error((&etf * faer::Scale(1e-7)).as_ref()).unwrap() < 1e-12);
    }

    #[test]
    fn degenerate_matrices_have_no_distance() {
        assert!(simplex_etf_error(Mat::<f64>::zeros(4, 4).as_ref()).is_err());
        assert!(simplex_etf_error(Mat::<f64>::zeros(1, 4).as_ref()).is_err());
        let mut nan = Mat::<f64>::identity(3, 3);
        nan[(1, 2)] = f64::NAN;
        assert!(simplex_etf_error(nan.as_ref()).is_err());
    }
}
