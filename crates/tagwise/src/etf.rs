//! Simplex equiangular tight frames (ETFs): the geometry that classifiers and class means reach.

use faer::{Mat, MatRef};

use crate::{Error, Result};

/// A simplex ETF of K unit vectors in d ≥ K − 1 dimensions, one per row.
///
/// For d ≥ K the rows are √(K/(K−1))·(I − 11ᵀ/K)·P with P the first K rows of the identity of
/// size d. For d = K − 1 they are the same vectors in an orthonormal basis (Helmert's) of the
/// space orthogonal to the all-ones vector. Any other simplex ETF is a rotation of this one.
///
/// # Shapes
/// Returns `[K, d]`.
///
/// # Errors
/// [`Error::OutOfRange`] for fewer than 2 classes, [`Error::NoSimplexEtf`] for d < K − 1.
///
/// ```
/// let etf = tagwise::etf::simplex_etf(4, 3)?; // a regular tetrahedron
/// let cosine: f64 = (0..3).map(|j| etf[(0, j)] * etf[(3, j)]).sum();
/// assert!((cosine + 1.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: Li et al. 2024 (arXiv 2310.15903), definition of the simplex ETF.
pub fn simplex_etf(num_classes: usize, dim: usize) -> Result<Mat<f64>> {
    if num_classes < 2 {
        return Err(Error::OutOfRange {
            name: "the number of classes",
            requirement: "of at least 2 for a simplex ETF",
            found: num_classes.to_string(),
        });
    }
    if dim + 1 < num_classes {
        return Err(Error::NoSimplexEtf { num_classes, dim });
    }
    let k = num_classes as f64;
    let scale = (k / (k - 1.0)).sqrt();
    if dim >= num_classes {
        return Ok(Mat::from_fn(num_classes, dim, |i, j| {
            if j >= num_classes {
                0.0
            } else {
                scale * (f64::from(u8::from(i == j)) - 1.0 / k)
            }
        }));
    }
    Ok(Mat::from_fn(num_classes, dim, |i, j| scale * helmert(i, j)))
}

/// Entry i of the j-th vector of Helmert's orthonormal basis of the space orthogonal to 1:
/// (1, …, 1, −(j+1), 0, …, 0)/√((j+1)(j+2)) with j + 1 leading ones.
fn helmert(i: usize, j: usize) -> f64 {
    let leading = (j + 1) as f64;
    let norm = (leading * (leading + 1.0)).sqrt();
    match i.cmp(&(j + 1)) {
        std::cmp::Ordering::Less => 1.0 / norm,
        std::cmp::Ordering::Equal => -leading / norm,
        std::cmp::Ordering::Greater => 0.0,
    }
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
///
/// let identity = faer::Mat::<f64>::identity(10, 10); // orthogonal, not centred
/// assert!((simplex_etf_error(identity.as_ref())? - 0.3204).abs() < 1e-4);
/// assert!(simplex_etf_error(simplex_etf(10, 12)?.as_ref())? < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: Li et al. 2024 (arXiv 2310.15903), metric NC2.
pub fn simplex_etf_error(rows: MatRef<'_, f64>) -> Result<f64> {
    simplex_gram_error(
        (rows * rows.transpose()).as_ref(),
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

    /// Rounding of K-term sums of numbers of size one.
    const ROUNDING: f64 = 1e-13;

    #[test]
    fn simplex_etf_has_unit_rows_equal_angles_and_zero_sum() {
        for num_classes in [2, 3, 5, 10, 80] {
            for dim in [num_classes - 1, num_classes, num_classes + 3] {
                let etf = simplex_etf(num_classes, dim).unwrap();
                let gram = &etf * etf.transpose();
                let cosine = -1.0 / (num_classes as f64 - 1.0);
                for i in 0..num_classes {
                    for j in 0..num_classes {
                        let expected = if i == j { 1.0 } else { cosine };
                        assert!((gram[(i, j)] - expected).abs() < ROUNDING);
                    }
                }
                for j in 0..dim {
                    let sum: f64 = (0..num_classes).map(|i| etf[(i, j)]).sum();
                    assert!(sum.abs() < ROUNDING * num_classes as f64);
                }
            }
        }
    }

    #[test]
    fn simplex_etf_has_zero_error_at_any_scale() {
        let etf = simplex_etf(7, 9).unwrap();
        assert!(simplex_etf_error(etf.as_ref()).unwrap() < 1e-12);
        assert!(simplex_etf_error((&etf * faer::Scale(1e-7)).as_ref()).unwrap() < 1e-12);
    }

    #[test]
    fn too_few_dimensions_or_classes_are_refused() {
        assert_eq!(
            simplex_etf(10, 8).unwrap_err().to_string(),
            "no simplex ETF of 10 classes exists in 8 dimensions; use at least 9"
        );
        assert!(simplex_etf(1, 4).is_err());
        assert!(simplex_etf(0, 4).is_err());
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
