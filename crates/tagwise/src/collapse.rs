//! How collapsed features are: NC1, NC2, NC3 and NC_m from [`Statistics`].
//!
//! Notation: h̄_S is the mean feature of label set S, h̄_k that of class k alone, μ_G the mean of
//! all single-label features, W the classifier. The metrics are those of Li, Li, Wang, Qu 2024
//! (arXiv 2310.15903), measured per multiplicity as well as on single labels.

mod agreement;
mod analysis;
mod between;
mod breakdown;
mod chance;
mod compatibility;
mod compressed;
mod decompose;
mod estimate;
mod finding;
mod geometry;
mod headline;
mod intervals;
mod label_errors;
mod labelled;
mod optimum;
mod positive;
mod samples;
mod synthesis;
mod tags;
mod variability;
mod verdict;
mod worst;

use std::collections::BTreeMap;

use faer::MatRef;
use serde::{Deserialize, Serialize};

pub use self::analysis::{AnalysisOptions, Compatibility, Directions, Nc1Path};
pub use self::breakdown::{ClassRow, SetRow};
pub use self::compatibility::NcMlab;
pub use self::estimate::Nc1Estimate;
pub use self::geometry::{Duality, Frame, Frames, Nc2, cosine_matrix};
pub use self::headline::{CollapseFamily, CollapseMetric, Goal, Headline};
pub use self::intervals::{Interval, Intervals, MetricInterval};
pub use self::label_errors::{LabelErrors, LikelyError};
pub use self::optimum::{CHEAP_OPTIMUM, OptimumGap, optimal_cosines};
pub use self::samples::Nc4;
pub use self::synthesis::{NcM, Synthesis};
pub use self::tags::{TagSource, TagVectors};
pub use self::variability::Nc1;
pub use self::verdict::{CollapseVerdict, Evidence, Thresholds, Untold};
pub use self::worst::WorstSample;

use self::labelled::{Group, Labelled};
use self::samples::Seen;
use crate::kernel::{self, dot};
use crate::snapshot::LinearClassifier;
use crate::statistics::{ScatterKind, Statistics};
use crate::{Error, Result};
use tagwise_base::words::counted_as;

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
    /// Where the NC1 values come from.
    pub nc1_path: Nc1Path,
    /// NC2 of the classifier and of the class means.
    pub nc2: Nc2,
    /// As published, NC3, ‖WH̄/‖WH̄‖_F − (I − 11ᵀ/K)/√(K−1)‖_F with H̄ the class means minus μ_G:
    /// how far the classifier is from self-duality.
    pub nc3: Option<f64>,
    /// NC3 with H̄ the class means minus their plain average, as [`Nc2::class_means`] has it.
    #[serde(default)]
    pub nc3_class_means: Option<f64>,
    /// Equinormness, equiangularity and kernels of the classifier and of the centred means.
    pub frames: Frames,
    /// Self-duality row by row.
    pub duality: Option<Duality>,
    /// Effective rank of the centred class means: exp of the entropy of their normalised singular
    /// values (Roy and Vetterli 2007); K − 1 for a simplex ETF.
    pub effective_rank: Option<f64>,
    /// NC_m for each multiplicity from 2.
    pub nc_m: BTreeMap<usize, NcM>,
    /// NC4: agreement of the classifier with the nearest class mean. Needs the samples and a
    /// classifier, see [`analyze`](Self::analyze).
    pub nc4: Option<Nc4>,
    /// The samples farthest from the mean of their label set, worst first. Needs the samples.
    pub worst_samples: Vec<WorstSample>,
    /// Labels that are likely wrong, with their probability. Needs the samples and a classifier;
    /// `None` too where fewer than two label sets repeat, and where N·L·d exceeds 4·10¹⁰.
    #[serde(default)]
    pub label_errors: Option<LabelErrors>,
    /// Intervals of the headline metrics, where they were measured; see [`Intervals`].
    #[serde(default)]
    pub intervals: Vec<MetricInterval>,
    /// The numbers that the paper's public code computes, when asked for.
    pub nc_mlab: Option<NcMlab>,
    /// One row per class.
    pub classes: Vec<ClassRow>,
    /// One row per label set with at least one label, by multiplicity.
    pub label_sets: Vec<SetRow>,
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
    /// labelled sample, and for features so small that their squares vanish.
    pub fn measure(statistics: &Statistics, classifier: Option<&LinearClassifier>) -> Result<Self> {
        let labelled = measurable(statistics, classifier)?;
        let tags = TagVectors::estimate_from(statistics.num_classes(), &labelled)?;
        Self::assemble(statistics, classifier, &labelled, &tags, Seen::default())
    }

    /// As [`measure`](Self::measure), with the tag vectors of these statistics.
    pub(crate) fn measure_with(
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
        tags: &TagVectors,
    ) -> Result<Self> {
        let labelled = measurable(statistics, classifier)?;
        Self::assemble(statistics, classifier, &labelled, tags, Seen::default())
    }

    /// The report, with what a second look at the samples found.
    fn assemble(
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
        labelled: &Labelled<'_>,
        tags: &TagVectors,
        seen: Seen,
    ) -> Result<Self> {
        let num_unlabelled = num_unlabelled(statistics);
        let mut notes = Vec::new();
        if num_unlabelled > 0 {
            notes.push(format!(
                "{} without a label {} part in no metric",
                counted_as(num_unlabelled as usize, num_unlabelled, "sample"),
                if num_unlabelled == 1 { "takes" } else { "take" }
            ));
        }
        notes.extend(tags.notes());
        let (variability, nc1_path) = match &seen.compressed {
            Some(compressed) => (compressed.variability(labelled, tags)?, compressed.path()),
            None => (
                variability::of_statistics(statistics, labelled, tags)?,
                match statistics.scatter_kind() {
                    ScatterKind::Full => Nc1Path::Scatter,
                    ScatterKind::Trace => Nc1Path::TraceOnly,
                },
            ),
        };
        notes.extend(variability.notes());
        let geometry = geometry::measure(tags, classifier, &mut notes);
        let centred = tags.centred(&tags.observed_classes());
        Ok(Self {
            num_samples: statistics.num_samples(),
            num_unlabelled,
            num_classes: statistics.num_classes(),
            dim: statistics.dim(),
            num_label_sets: statistics.label_sets().len(),
            nc1: variability.per_multiplicity,
            nc1_pooled: variability.pooled,
            nc1_path,
            nc2: geometry.nc2,
            nc3: geometry.nc3,
            nc3_class_means: geometry.nc3_class_means,
            frames: geometry.frames,
            duality: geometry.duality,
            effective_rank: geometry::effective_rank(centred.as_ref())?,
            nc_m: synthesis::measure(labelled, tags, &mut notes)?,
            classes: breakdown::classes(statistics, tags, classifier),
            label_sets: breakdown::label_sets(labelled, tags),
            tag_sources: tags.sources().to_vec(),
            nc4: seen.nc4,
            worst_samples: seen.worst,
            label_errors: seen.label_errors,
            intervals: Vec::new(),
            nc_mlab: None,
            notes,
        })
    }

    /// The largest multiplicity M that was observed.
    pub fn max_multiplicity(&self) -> usize {
        self.nc1.keys().next_back().copied().unwrap_or(0)
    }
}

fn num_unlabelled(statistics: &Statistics) -> u64 {
    statistics
        .label_sets()
        .zip(statistics.set_counts())
        .find(|(set, _)| set.is_empty())
        .map_or(0, |(_, count)| count)
}

/// Whether there is anything to measure and the classifier fits.
/// The label sets of statistics that can be measured, with a classifier that fits them.
fn measurable<'a>(
    statistics: &'a Statistics,
    classifier: Option<&LinearClassifier>,
) -> Result<Labelled<'a>> {
    check(statistics, classifier)?;
    let labelled = Labelled::new(statistics);
    check_scale(&labelled)?;
    Ok(labelled)
}

fn check(statistics: &Statistics, classifier: Option<&LinearClassifier>) -> Result<()> {
    if statistics.num_samples() == num_unlabelled(statistics) {
        return Err(Error::Undefined(
            "collapse is measured on labelled samples, and there is none".into(),
        ));
    }
    match classifier {
        Some(classifier) => classifier.check(statistics.num_classes(), statistics.dim()),
        None => Ok(()),
    }
}

/// Features whose squares vanish would all seem to equal their means.
fn check_scale(labelled: &Labelled<'_>) -> Result<()> {
    if labelled.largest > 0.0 && labelled.largest < SMALLEST {
        return Err(Error::Undefined(format!(
            "the means of the features are at most {:.0e}, and squares of such numbers vanish in double precision; multiply the features by a constant, which changes no metric",
            labelled.largest
        )));
    }
    Ok(())
}

/// Squares of a hundred-millionth of smaller numbers are zero in double precision.
const SMALLEST: f64 = 1e-140;

/// A column of a matrix as a slice; columns of an owned matrix are contiguous.
fn column(matrix: MatRef<'_, f64>, position: usize) -> &[f64] {
    matrix
        .col(position)
        .try_as_col_major()
        .expect("columns of a column-major matrix are contiguous")
        .as_slice()
}

/// The angle between two vectors in degrees, accurate from 0 to 180 (Kahan's half-angle form);
/// `None` when one is zero.
fn angle_degrees(a: &[f64], b: &[f64]) -> Option<f64> {
    let (norm_a, norm_b) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    if norm_a == 0.0 || norm_b == 0.0 {
        return None;
    }
    let (difference, sum) = kernel::half_angle(a, norm_a.recip(), b, norm_b.recip());
    Some(2.0 * difference.sqrt().atan2(sum.sqrt()).to_degrees())
}
