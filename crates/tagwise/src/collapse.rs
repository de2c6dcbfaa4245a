//! How collapsed features are: NC1, NC2, NC3 and NC_m from [`Statistics`].
//!
//! Notation: h̄_S is the mean feature of label set S, h̄_k that of class k alone, μ_G the mean of
//! all single-label features, W the classifier. The metrics are those of Li, Li, Wang, Qu 2024
//! (arXiv 2310.15903), measured per multiplicity as well as on single labels.

mod geometry;
mod synthesis;
mod tags;
mod variability;

use std::collections::BTreeMap;

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

pub use self::geometry::{Nc2, cosine_matrix};
pub use self::synthesis::{NcM, Synthesis};
pub use self::tags::{TagSource, TagVectors};
pub use self::variability::Nc1;

use crate::snapshot::LinearClassifier;
use crate::statistics::Statistics;
use crate::{Error, Result};

/// Every collapse metric of one set of features.
///
/// A metric that the data cannot answer is `None`, and [`notes`](Self::notes) says why.
///
/// ```
/// use tagwise::collapse::CollapseReport;
/// use tagwise::etf::simplex_etf;
/// use tagwise::statistics::Statistics;
/// use tagwise::{LabelSet, Targets};
///
/// let etf = simplex_etf(3, 3)?;
/// let mut features: Vec<f64> = (0..9).map(|i| etf[(i / 3, i % 3)]).collect();
/// features.extend((0..3).map(|j| 0.8 * (etf[(0, j)] + etf[(1, j)]))); // a tag-wise average
/// let targets = Targets::new(3, [vec![0], vec![1], vec![2], vec![0, 1]].map(LabelSet::new))?;
/// let mut statistics = Statistics::new(3, 3);
/// statistics.update(&features, &targets)?;
///
/// let report = CollapseReport::measure(&statistics, None)?;
/// assert_eq!(report.nc1[&1].value, Some(0.0));
/// assert!(report.nc2.centred_means.unwrap() < 1e-12);
/// assert!(report.nc_m[&2].uniform.angle_degrees < 1e-6);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CollapseReport {
    /// Number of samples N.
    pub num_samples: u64,
    /// Samples with an empty label set; they take part in no metric.
    pub num_unlabelled: u64,
    /// Number of classes K.
    pub num_classes: usize,
    /// Feature dimension d.
    pub dim: usize,
    /// Number of distinct label sets L.
    pub num_label_sets: usize,
    /// NC1 for each multiplicity: classes are the label sets with that many labels.
    pub nc1: BTreeMap<usize, Nc1>,
    /// NC1 over all label sets of every multiplicity from 1.
    pub nc1_pooled: Nc1,
    /// NC2 of the classifier and of the class means.
    pub nc2: Nc2,
    /// NC3, ‖WH̄/‖WH̄‖_F − (I − 11ᵀ/K)/√(K−1)‖_F with H̄ the centred class means: how far the
    /// classifier is from self-duality.
    pub nc3: Option<f64>,
    /// NC_m for each multiplicity from 2.
    pub nc_m: BTreeMap<usize, NcM>,
    /// Where the vector of each class comes from, length K.
    pub tag_sources: Vec<TagSource>,
    /// What a reader must know to read the numbers: estimated classes, metrics left out and why.
    pub notes: Vec<String>,
}

impl CollapseReport {
    /// Measures everything that the statistics and the classifier tell.
    ///
    /// # Shapes
    /// The classifier's weight is `[K, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the classifier does not fit; [`Error::Undefined`] without a
    /// labelled sample.
    pub fn measure(statistics: &Statistics, classifier: Option<&LinearClassifier>) -> Result<Self> {
        let num_unlabelled = statistics
            .label_sets()
            .zip(statistics.set_counts())
            .find(|(set, _)| set.is_empty())
            .map_or(0, |(_, count)| count);
        if statistics.num_samples() == num_unlabelled {
            return Err(Error::Undefined(
                "collapse is measured on labelled samples, and there is none".into(),
            ));
        }
        if let Some(classifier) = classifier {
            classifier.check(statistics.num_classes(), statistics.dim())?;
        }
        let mut notes = Vec::new();
        if num_unlabelled > 0 {
            notes.push(format!(
                "{num_unlabelled} samples carry no label and take part in no metric"
            ));
        }
        let tags = TagVectors::estimate(statistics)?;
        notes.extend(tags.notes());
        let (nc1, nc1_pooled) = variability::measure(statistics, &mut notes)?;
        let (nc2, nc3) = geometry::measure(&tags, classifier, &mut notes);
        let nc_m = synthesis::measure(statistics, &tags, &mut notes)?;
        Ok(Self {
            num_samples: statistics.num_samples(),
            num_unlabelled,
            num_classes: statistics.num_classes(),
            dim: statistics.dim(),
            num_label_sets: statistics.label_sets().len(),
            nc1,
            nc1_pooled,
            nc2,
            nc3,
            nc_m,
            tag_sources: tags.sources().to_vec(),
            notes,
        })
    }

    /// The largest multiplicity M that was observed.
    pub fn max_multiplicity(&self) -> usize {
        self.nc1.keys().next_back().copied().unwrap_or(0)
    }
}

/// The label sets of one multiplicity, or of all, with their statistics.
struct Group<'a> {
    sets: Vec<&'a crate::LabelSet>,
    counts: Vec<f64>,
    square_sums: Vec<f64>,
    means: Mat<f64>, // [d, sets]
}

impl<'a> Group<'a> {
    fn new(statistics: &'a Statistics, belongs: impl Fn(usize) -> bool) -> Self {
        let mut group = Self {
            sets: Vec::new(),
            counts: Vec::new(),
            square_sums: Vec::new(),
            means: statistics.set_mean_columns(|set| belongs(set.multiplicity())),
        };
        let sets = statistics.label_sets();
        let numbers = statistics
            .set_counts()
            .into_iter()
            .zip(statistics.set_square_sums());
        for (set, (count, square_sum)) in sets.zip(numbers) {
            if belongs(set.multiplicity()) {
                group.sets.push(set);
                group.counts.push(count as f64);
                group.square_sums.push(square_sum);
            }
        }
        group
    }

    fn num_samples(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The mean of one set, contiguous.
    fn mean(&self, position: usize) -> &[f64] {
        column(&self.means, position)
    }
}

/// A column of a matrix as a slice; columns of an owned matrix are contiguous.
fn column(matrix: &Mat<f64>, position: usize) -> &[f64] {
    matrix
        .col(position)
        .try_as_col_major()
        .expect("columns of an owned matrix are contiguous")
        .as_slice()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The angle between two vectors in degrees, accurate from 0 to 180 (Kahan's half-angle form);
/// `None` when one is zero.
fn angle_degrees(a: &[f64], b: &[f64]) -> Option<f64> {
    let (norm_a, norm_b) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    if norm_a == 0.0 || norm_b == 0.0 {
        return None;
    }
    let (mut difference, mut sum) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a / norm_a, b / norm_b);
        difference += (a - b) * (a - b);
        sum += (a + b) * (a + b);
    }
    Some(2.0 * difference.sqrt().atan2(sum.sqrt()).to_degrees())
}

/// The solution of smallest norm of min ‖A X − B‖, by the singular values of A above
/// max(rows, columns)·ε times the largest.
///
/// # Shapes
/// A is `[m, n]`, B is `[m, p]`, X is `[n, p]`.
fn least_squares(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<Mat<f64>> {
    let svd = a.thin_svd().map_err(|error| {
        Error::Undefined(format!(
            "the singular values of a least-squares problem did not converge ({error:?})"
        ))
    })?;
    let singular = svd.S().column_vector();
    let largest = singular.iter().copied().fold(0.0, f64::max);
    let tolerance = largest * f64::EPSILON * a.nrows().max(a.ncols()) as f64;
    let mut coefficients = svd.U().transpose() * b; // [rank, p]
    for (row, &value) in singular.iter().enumerate() {
        let factor = if value > tolerance {
            value.recip()
        } else {
            0.0
        };
        for column in 0..coefficients.ncols() {
            coefficients[(row, column)] *= factor;
        }
    }
    Ok(svd.V() * coefficients)
}
