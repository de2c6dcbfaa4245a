//! Simplex equiangular tight frames (ETFs): the geometry that classifiers and class means reach.

use crate::matrix::Matrix;
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
/// let etf = tagwise_base::etf::simplex_etf(4, 3)?; // a regular tetrahedron
/// let cosine: f64 = (0..3).map(|j| etf[(0, j)] * etf[(3, j)]).sum();
/// assert!((cosine + 1.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tagwise_base::Error>(())
/// ```
///
/// Source: Li et al. 2024 (arXiv 2310.15903), definition of the simplex ETF.
pub fn simplex_etf(num_classes: usize, dim: usize) -> Result<Matrix> {
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
        return Ok(Matrix::from_fn(num_classes, dim, |i, j| {
            if j >= num_classes {
                0.0
            } else {
                scale * (f64::from(u8::from(i == j)) - 1.0 / k)
            }
        }));
    }
    Ok(Matrix::from_fn(num_classes, dim, |i, j| {
        scale * helmert(i, j)
    }))
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
                let cosine = -1.0 / (num_classes as f64 - 1.0);
                for i in 0..num_classes {
                    for j in 0..num_classes {
                        let pairs = etf.row(i).iter().zip(etf.row(j));
                        let product: f64 = pairs.map(|(a, b)| a * b).sum();
                        let expected = if i == j { 1.0 } else { cosine };
                        assert!((product - expected).abs() < ROUNDING);
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
    fn too_few_dimensions_or_classes_are_refused() {
        assert_eq!(
            simplex_etf(10, 8).unwrap_err().to_string(),
            "no simplex ETF of 10 classes exists in 8 dimensions; use at least 9"
        );
        assert!(simplex_etf(1, 4).is_err());
        assert!(simplex_etf(0, 4).is_err());
    }
}
