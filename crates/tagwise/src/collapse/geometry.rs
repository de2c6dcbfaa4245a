//! NC2 and NC3: simplex ETF geometry of the classifier and of the class means, and self-duality.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::TagVectors;
use crate::etf::{simplex_etf_error, simplex_gram_error};
use crate::snapshot::LinearClassifier;

/// NC2, ‖AAᵀ/‖AAᵀ‖_F − (I − 11ᵀ/K)/√(K−1)‖_F: distance of the rows of A from a simplex ETF.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc2 {
    /// A = W, the classifier.
    pub classifier: Option<f64>,
    /// A = class means minus the global mean μ_G.
    pub centred_means: Option<f64>,
    /// A = class means as they are. Non-negative features reach the orthogonal geometry at best,
    /// 0.3204 for K = 10.
    pub raw_means: Option<f64>,
}

pub(super) fn measure(
    tags: &TagVectors,
    classifier: Option<&LinearClassifier>,
    notes: &mut Vec<String>,
) -> (Nc2, Option<f64>) {
    let classes = tags.observed_classes();
    let mut keep = |what: &str, value: crate::Result<f64>| match value {
        Ok(value) => Some(value),
        Err(error) => {
            notes.push(format!("{what} is left out: {error}"));
            None
        }
    };
    let raw = rows(tags.vectors(), &classes); // [observed, d]
    let centred = tags.centred(&classes); // [observed, d]
    let nc2 = Nc2 {
        classifier: classifier.and_then(|c| {
            keep(
                "NC2 of the classifier",
                simplex_etf_error(c.weight.as_ref()),
            )
        }),
        centred_means: keep(
            "NC2 of the centred class means",
            simplex_etf_error(centred.as_ref()),
        ),
        raw_means: keep("NC2 of the class means", simplex_etf_error(raw.as_ref())),
    };
    let nc3 = classifier.and_then(|c| {
        let product = rows(c.weight.as_ref(), &classes) * centred.transpose(); // [K, K]
        keep(
            "NC3",
            simplex_gram_error(
                product.as_ref(),
                "the product of the classifier and the centred class means is zero",
            ),
        )
    });
    (nc2, nc3)
}

/// These rows of a matrix.
fn rows(matrix: MatRef<'_, f64>, which: &[usize]) -> Mat<f64> {
    Mat::from_fn(which.len(), matrix.ncols(), |row, column| {
        matrix[(which[row], column)]
    })
}

/// Cosines between all pairs of rows; 0 where a row is zero.
///
/// # Shapes
/// `rows` is `[K, d]`, the result `[K, K]`.
///
/// ```
/// let etf = tagwise::etf::simplex_etf(5, 8)?;
/// let cosines = tagwise::collapse::cosine_matrix(etf.as_ref());
/// assert!((cosines[(0, 3)] + 0.25).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn cosine_matrix(rows: MatRef<'_, f64>) -> Mat<f64> {
    let gram = rows * rows.transpose();
    Mat::from_fn(rows.nrows(), rows.nrows(), |i, j| {
        let scale = (gram[(i, i)] * gram[(j, j)]).sqrt();
        if scale == 0.0 {
            0.0
        } else if i == j {
            1.0
        } else {
            (gram[(i, j)] / scale).clamp(-1.0, 1.0)
        }
    })
}
