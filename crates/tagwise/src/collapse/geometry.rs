//! NC2 and NC3: simplex ETF geometry of the classifier and of the class means, and self-duality.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::decompose::ThinSvd;
use super::{TagVectors, angle_degrees};
use crate::etf::{simplex_etf_error, simplex_gram_error};
use crate::matrix::as_faer;
use crate::product::product;
use crate::snapshot::LinearClassifier;

/// NC2, ‖AAᵀ/‖AAᵀ‖_F − (I − 11ᵀ/K)/√(K−1)‖_F: distance of the rows of A from a simplex ETF.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc2 {
    /// A = W, the classifier.
    pub classifier: Option<f64>,
    /// A = class means minus their plain average, so that every class counts alike: as
    /// [`centred_means`](Self::centred_means) where all classes have as many samples. A simplex ETF
    /// has 0 whatever the samples of its classes; absent from reports of versions that did not
    /// measure it.
    #[serde(default)]
    pub class_means: Option<f64>,
    /// As published, A = class means minus the global mean μ_G, which moves towards frequent classes.
    pub centred_means: Option<f64>,
    /// A = class means as they are. Non-negative features reach the orthogonal geometry at best,
    /// 0.3204 for K = 10.
    pub raw_means: Option<f64>,
    /// ‖AAᵀ/‖AAᵀ‖_F − I/√K‖_F for A = class means as they are: distance from an orthogonal frame,
    /// the optimum of non-negative features; `None` where a mean has a negative entry.
    #[serde(default)]
    pub orthogonal_means: Option<f64>,
}

/// The parts that NC2 sums up, and kernels that stay meaningful when no simplex ETF fits
/// (K > d + 1), for one family of K vectors a_k with directions â_k.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Frame {
    /// Equinormness: standard deviation of ‖a_k‖ over its mean; 0 when all norms are equal.
    pub norm_variation: f64,
    /// Equiangularity: standard deviation of cos∠(a_i, a_j) over pairs i ≠ j; 0 when all angles
    /// are equal.
    pub cosine_deviation: f64,
    /// Maximal angle: mean over pairs of |cos∠(a_i, a_j) + 1/(K−1)| (Papyan, Han, Donoho 2020).
    pub etf_cosine_gap: f64,
    /// The smallest angle between two vectors, in degrees.
    pub smallest_angle_degrees: f64,
    /// Mean over pairs of log 1/‖â_i − â_j‖, the logarithmic energy; a simplex ETF has the least,
    /// −½ log(2K/(K−1)). Infinite energy (two equal directions) is `None`.
    pub log_energy: Option<f64>,
    /// Standard deviation over pairs of log 1/‖â_i − â_j‖: hyperspherical uniformity, the
    /// generalised NC2 of Wu and Papyan 2024 (arXiv 2405.17767) for large K.
    pub log_kernel_deviation: Option<f64>,
    /// Mean over pairs of 1/‖â_i − â_j‖, the Riesz energy.
    pub riesz_energy: Option<f64>,
}

/// [`Frame`] of the classifier and of the centred class means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Frames {
    /// Rows of W.
    pub classifier: Option<Frame>,
    /// Class means minus μ_G.
    pub centred_means: Option<Frame>,
}

/// Self-duality beside NC3: the classifier against the centred class means, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Duality {
    /// Mean over classes of ∠(w_k, h̄_k − μ_G), in degrees.
    pub angle_degrees: f64,
    /// ‖W/‖W‖_F − H̄/‖H̄‖_F‖_F² (Papyan, Han, Donoho 2020), between 0 and 4.
    pub distance: f64,
}

/// What this file measures.
pub(super) struct Geometry {
    pub(super) nc2: Nc2,
    pub(super) nc3: Option<f64>,
    pub(super) nc3_class_means: Option<f64>,
    pub(super) frames: Frames,
    pub(super) duality: Option<Duality>,
}

pub(super) fn measure(
    tags: &TagVectors,
    classifier: Option<&LinearClassifier>,
    notes: &mut Vec<String>,
) -> Geometry {
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
                simplex_etf_error(as_faer(&c.weight)),
            )
        }),
        class_means: nc2_of_means(tags).ok(),
        centred_means: keep(
            "NC2 of the centred class means",
            simplex_etf_error(centred.as_ref()),
        ),
        raw_means: keep("NC2 of the class means", simplex_etf_error(raw.as_ref())),
        orthogonal_means: orthogonal_error(raw.as_ref()),
    };
    let published = |c: &LinearClassifier| nc3_of(&centred, &classes, c);
    let nc3_class_means = classifier.and_then(|classifier| nc3(tags, classifier).ok());
    let nc3 = classifier.and_then(|classifier| keep("NC3", published(classifier)));
    Geometry {
        nc2,
        nc3,
        nc3_class_means,
        frames: Frames {
            classifier: classifier.and_then(|c| frame(as_faer(&c.weight))),
            centred_means: frame(centred.as_ref()),
        },
        duality: classifier.and_then(|c| {
            duality(
                rows(as_faer(&c.weight), &classes).as_ref(),
                centred.as_ref(),
            )
        }),
    }
}

/// NC2 of the class means minus their plain average.
pub(super) fn nc2_of_means(tags: &TagVectors) -> crate::Result<f64> {
    simplex_etf_error(tags.centred_alike(&tags.observed_classes()).as_ref())
}

/// NC3 of the classifier and the class means minus their plain average.
pub(super) fn nc3(tags: &TagVectors, classifier: &LinearClassifier) -> crate::Result<f64> {
    let classes = tags.observed_classes();
    nc3_of(&tags.centred_alike(&classes), &classes, classifier)
}

fn nc3_of(
    centred: &Mat<f64>,
    classes: &[usize],
    classifier: &LinearClassifier,
) -> crate::Result<f64> {
    let product = rows(as_faer(&classifier.weight), classes) * centred.transpose(); // [K, K]
    simplex_gram_error(
        product.as_ref(),
        "the product of the classifier and the centred class means is zero",
    )
}

/// Distance of non-negative rows from an orthogonal frame of equal norms; `None` for others and for
/// fewer than two.
fn orthogonal_error(rows: MatRef<'_, f64>) -> Option<f64> {
    let num_classes = rows.nrows();
    let is_non_negative = (0..rows.ncols()).all(|j| rows.col(j).iter().all(|&x| x >= 0.0));
    if num_classes < 2 || !is_non_negative {
        return None;
    }
    let gram = product(rows, rows.transpose());
    let norm = gram.norm_l2();
    let ideal = (num_classes as f64).sqrt().recip();
    let difference = Mat::from_fn(num_classes, num_classes, |i, j| {
        gram[(i, j)] / norm - if i == j { ideal } else { 0.0 }
    });
    (norm > 0.0).then(|| difference.norm_l2())
}

/// These rows of a matrix.
fn rows(matrix: MatRef<'_, f64>, which: &[usize]) -> Mat<f64> {
    Mat::from_fn(which.len(), matrix.ncols(), |row, column| {
        matrix[(which[row], column)]
    })
}

/// `None` with fewer than two vectors or with a zero vector.
fn frame(vectors: MatRef<'_, f64>) -> Option<Frame> {
    let num_vectors = vectors.nrows();
    let norms: Vec<f64> = (0..num_vectors).map(|i| vectors.row(i).norm_l2()).collect();
    if num_vectors < 2 || norms.contains(&0.0) {
        return None;
    }
    let units = Mat::from_fn(vectors.ncols(), num_vectors, |row, column| {
        vectors[(column, row)] / norms[column]
    });
    let etf_cosine = -1.0 / (num_vectors as f64 - 1.0);
    let (mut cosines, mut distances) = (Vec::new(), Vec::new());
    for i in 0..num_vectors {
        for j in 0..i {
            let squares = (units.col(i) - units.col(j)).squared_norm_l2();
            cosines.push(1.0 - squares / 2.0);
            distances.push(squares.sqrt());
        }
    }
    let (norm_mean, norm_deviation) = mean_and_deviation(&norms);
    let gaps: Vec<f64> = cosines.iter().map(|c| (c - etf_cosine).abs()).collect();
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let apart = nearest > 0.0;
    let logs: Vec<f64> = distances.iter().map(|distance| -distance.ln()).collect();
    let inverses: Vec<f64> = distances.iter().map(|distance| distance.recip()).collect();
    Some(Frame {
        norm_variation: norm_deviation / norm_mean,
        cosine_deviation: mean_and_deviation(&cosines).1,
        etf_cosine_gap: mean_and_deviation(&gaps).0,
        smallest_angle_degrees: 2.0 * (nearest / 2.0).min(1.0).asin().to_degrees(),
        log_energy: apart.then(|| mean_and_deviation(&logs).0),
        log_kernel_deviation: apart.then(|| mean_and_deviation(&logs).1),
        riesz_energy: apart.then(|| mean_and_deviation(&inverses).0),
    })
}

/// Mean and population standard deviation.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// `None` when a row of either is zero.
fn duality(weight: MatRef<'_, f64>, centred: MatRef<'_, f64>) -> Option<Duality> {
    let num_classes = weight.nrows();
    let (weight, centred) = (
        weight.transpose().to_owned(),
        centred.transpose().to_owned(),
    );
    let angles = (0..num_classes)
        .map(|k| {
            angle_degrees(
                super::column(weight.as_ref(), k),
                super::column(centred.as_ref(), k),
            )
        })
        .collect::<Option<Vec<f64>>>()?;
    let (weight_norm, centred_norm) = (weight.norm_l2(), centred.norm_l2());
    let difference =
        weight * faer::Scale(weight_norm.recip()) - centred * faer::Scale(centred_norm.recip());
    (num_classes > 0).then(|| Duality {
        angle_degrees: angles.iter().sum::<f64>() / num_classes as f64,
        distance: difference.squared_norm_l2(),
    })
}

/// exp of the entropy of the normalised singular values: how many directions the rows use
/// (Roy and Vetterli 2007). `None` when all are zero.
pub(super) fn effective_rank(matrix: MatRef<'_, f64>) -> crate::Result<Option<f64>> {
    let singular = ThinSvd::new(matrix)?.values;
    let total: f64 = singular.iter().sum();
    Ok((total > 0.0).then(|| {
        let entropy: f64 = singular
            .iter()
            .map(|&value| value / total)
            .filter(|&share| share > 0.0)
            .map(|share| -share * share.ln())
            .sum();
        entropy.exp()
    }))
}

/// Cosines between all pairs of rows; 0 where a row is zero.
///
/// # Shapes
/// `rows` is `[K, d]`, the result `[K, K]`.
///
/// ```
/// let etf = tagwise::etf::simplex_etf(5, 8)?;
/// let cosines = tagwise::collapse::cosine_matrix(tagwise::matrix::as_faer(&etf));
/// assert!((cosines[(0, 3)] + 0.25).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn cosine_matrix(rows: MatRef<'_, f64>) -> Mat<f64> {
    let gram = product(rows, rows.transpose());
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
