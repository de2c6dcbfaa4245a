//! The whole report of a stream of samples, by the cheapest exact path.

use serde::{Deserialize, Serialize};

use super::compatibility::NcMlab;
use super::samples::{Nc1Need, SecondLook};
use super::{CollapseReport, LinearClassifier};
use crate::Result;
use crate::snapshot::{FeatureRows, SampleStream};
use crate::statistics::{ScatterKind, Statistics};

/// The cost of one column of the scatter, in columns of a projection: half the matrix is computed,
/// in tiles.
const SCATTER_COLUMN: f64 = 0.6;

/// Where NC1 values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nc1Path {
    /// The d×d within-scatter of one pass.
    Scatter,
    /// A second pass that projects residuals on the range of Σ_B: the same value, cheaper while
    /// label sets are fewer than dimensions.
    Projection,
    /// Not known: only the trace of the scatter was kept and the samples were not seen again.
    TraceOnly,
}

/// What [`CollapseReport::analyze`] does beyond the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalysisOptions {
    /// How many of the worst samples to list.
    pub num_worst: usize,
    /// Whether the numbers of the paper's public code are computed too.
    pub compatibility: Compatibility,
}

/// A published program whose numbers are reproduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// None.
    #[default]
    None,
    /// The code that accompanies the paper, see [`NcMlab`].
    NcMlab,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self {
            num_worst: 10,
            compatibility: Compatibility::None,
        }
    }
}

impl CollapseReport {
    /// Measures everything, NC4 and the worst samples included, in two passes over the samples.
    ///
    /// NC1 takes the cheaper of two exact paths, reported in
    /// [`nc1_path`](CollapseReport::nc1_path): the scatter in the first pass, or projections in
    /// the second. Memory is that of [`Statistics`], one block of samples and 4 bytes per sample
    /// for the label sets.
    ///
    /// # Shapes
    /// The classifier's weight is `[K, d]`.
    ///
    /// # Errors
    /// As [`measure`](Self::measure), and whatever reading the samples reports.
    ///
    /// ```
    /// use tagwise::collapse::{AnalysisOptions, CollapseReport};
    /// use tagwise::snapshot::{FeatureValues, Snapshot};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [[0], [0], [1], [1]].map(LabelSet::new))?;
    /// let features = FeatureValues::F64(vec![3.0, 4.0, -5.0, -3.0]); // [4, 1]
    /// let snapshot = Snapshot::new(features, 1, targets, None)?;
    /// let report = CollapseReport::analyze(&snapshot, None, AnalysisOptions::default())?;
    /// // Σ_W = (4·0.5² + …)/4 = 0.625, Σ_B = 3.75², K = 2
    /// assert!((report.nc1[&1].value.unwrap() - 0.625 / 14.0625 / 2.0).abs() < 1e-12);
    /// assert_eq!(report.worst_samples[0].sample, 2);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn analyze(
        stream: &impl SampleStream,
        classifier: Option<&LinearClassifier>,
        options: AnalysisOptions,
    ) -> Result<Self> {
        let (report, _) = Self::analyze_with_statistics(stream, classifier, options)?;
        Ok(report)
    }

    /// As [`analyze`](Self::analyze), and hands out the statistics of the first pass.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze).
    pub fn analyze_with_statistics(
        stream: &impl SampleStream,
        classifier: Option<&LinearClassifier>,
        options: AnalysisOptions,
    ) -> Result<(Self, Statistics)> {
        let kind = cheaper_scatter(stream);
        let statistics = statistics_of(stream, kind)?;
        let (mut report, mut variability) = Self::from_statistics(&statistics, classifier)?;
        let need = match kind {
            ScatterKind::Trace => Nc1Need::Projection,
            ScatterKind::Full => Nc1Need::Nothing,
        };
        let wants_samples = options.num_worst > 0 || classifier.is_some();
        if need == Nc1Need::Projection || wants_samples {
            let mut look = SecondLook::new(
                &statistics,
                &variability,
                classifier,
                need,
                options.num_worst,
            );
            let targets = stream.targets();
            stream.for_each_block(&mut |first, rows| {
                let count = num_rows(rows, stream.dim());
                let set_ids = &targets.set_ids()[first..first + count];
                match rows {
                    FeatureRows::F32(rows) => look.update(rows, targets.distinct(), set_ids),
                    FeatureRows::F64(rows) => look.update(rows, targets.distinct(), set_ids),
                }
                Ok(())
            })?;
            (report.nc4, report.worst_samples) = look.finish(need, &mut variability);
        }
        if need == Nc1Need::Projection {
            report.nc1 = variability.per_multiplicity;
            report.nc1_pooled = variability.pooled;
            report.nc1_path = Nc1Path::Projection;
        }
        if options.compatibility == Compatibility::NcMlab {
            report.nc_mlab = Some(NcMlab::measure(stream, &statistics, classifier)?);
        }
        Ok((report, statistics))
    }
}

/// The statistics of a whole stream.
///
/// # Errors
/// Whatever reading the samples reports, and [`crate::Error::NotFinite`].
pub fn statistics_of(stream: &impl SampleStream, kind: ScatterKind) -> Result<Statistics> {
    let targets = stream.targets();
    let mut statistics = Statistics::with_scatter(targets.num_classes(), stream.dim(), kind);
    stream.for_each_block(&mut |first, rows| {
        let count = num_rows(rows, stream.dim());
        let set_ids = &targets.set_ids()[first..first + count];
        match rows {
            FeatureRows::F32(rows) => statistics.update_sets(rows, targets.distinct(), set_ids),
            FeatureRows::F64(rows) => statistics.update_sets(rows, targets.distinct(), set_ids),
        }
        .map_err(|error| error.at_row(first))
    })?;
    Ok(statistics)
}

pub(super) fn num_rows(rows: FeatureRows<'_>, dim: usize) -> usize {
    match rows {
        FeatureRows::F32(rows) => rows.len() / dim.max(1),
        FeatureRows::F64(rows) => rows.len() / dim.max(1),
    }
}

/// Compares the work of the scatter with that of projections, from the label sets alone.
fn cheaper_scatter(stream: &impl SampleStream) -> ScatterKind {
    let (targets, dim) = (stream.targets(), stream.dim());
    let mut groups: std::collections::BTreeMap<usize, (usize, usize)> = Default::default();
    for (set, count) in targets.distinct().iter().zip(targets.counts()) {
        if !set.is_empty() {
            let (sets, samples) = groups.entry(set.multiplicity()).or_default();
            *sets += 1;
            *samples += count;
        }
    }
    let rank = |sets: usize| sets.saturating_sub(1).min(dim);
    let pooled = rank(groups.values().map(|(sets, _)| sets).sum());
    let projection: f64 = groups
        .values()
        .map(|&(sets, samples)| (samples * (rank(sets) + pooled)) as f64)
        .sum();
    let samples: usize = groups.values().map(|(_, samples)| samples).sum();
    if projection < SCATTER_COLUMN * (samples * dim) as f64 {
        ScatterKind::Trace
    } else {
        ScatterKind::Full
    }
}
