//! The whole report of a stream of samples, by the cheapest exact path.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::compatibility::NcMlab;
use super::compressed::Compressed;
use super::intervals::{self, BlockLook, Intervals};
use super::samples::{SecondLook, Seen};
use super::variability::TagSpan;
use super::{CollapseMetric, CollapseReport, Labelled, LinearClassifier, TagVectors, measurable};
use crate::snapshot::{FeatureRows, SampleStream};
use crate::statistics::{ScatterKind, Statistics};
use crate::{Error, LabelSet, Result, Targets};

/// What a product of the second pass costs beside one of the first, which needs no second set of
/// residuals.
const SECOND_READ: f64 = 1.2;

/// Where NC1 values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nc1Path {
    /// The d×d within-scatter of one pass.
    Scatter,
    /// A second pass that projects residuals on the range of Σ_B: the same value, cheaper while
    /// label sets are fewer than dimensions.
    Projection,
    /// A second pass that projects residuals on the tag span alone, as asked for.
    TagSpan,
    /// Not known: only the trace of the scatter was kept and the samples were not seen again.
    TraceOnly,
}

/// What [`CollapseReport::analyze`] does beyond the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalysisOptions {
    /// How many of the worst samples, and of the likely label errors, to list.
    pub num_worst: usize,
    /// The directions in which NC1 is measured.
    pub directions: Directions,
    /// Whether the numbers of the paper's public code are computed too.
    pub compatibility: Compatibility,
    /// When the headline metrics get intervals.
    pub intervals: Intervals,
}

/// The directions in which NC1 is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directions {
    /// All of the range of Σ_B: N·d² products or N·d·L, whichever is less.
    #[default]
    All,
    /// Those in which the class vectors differ, at most K − 1: N·d·K products and no d×d matrix,
    /// however many label sets there are. [`Nc1::value`](super::Nc1::value) is left out, everything
    /// else is the same.
    TagSpan,
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
            directions: Directions::All,
            compatibility: Compatibility::None,
            intervals: Intervals::WhereCheap,
        }
    }
}

impl CollapseReport {
    /// As [`measure`](Self::measure), with intervals from the samples that the statistics were made
    /// of: `rows` `[N, d]` with their label sets.
    ///
    /// # Errors
    /// As [`measure`](Self::measure); [`Error::SizeMismatch`] for other sizes.
    pub fn measure_samples<T: Copy + Into<f64> + Sync>(
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
        rows: &[T],
        targets: &Targets,
        intervals: Intervals,
    ) -> Result<Self> {
        let expected = targets.len() * statistics.dim();
        if rows.len() != expected {
            return Err(Error::SizeMismatch {
                what: "numbers of features",
                expected,
                found: rows.len(),
            });
        }
        let labelled = measurable(statistics, classifier)?;
        let tags = TagVectors::estimate_from(statistics.num_classes(), &labelled)?;
        let mut report = Self::assemble(statistics, classifier, &labelled, &tags, Seen::default())?;
        let work = work(&labelled, statistics.scatter_kind(), None);
        if !intervals::wanted(intervals, &labelled, &tags, work) {
            return Ok(report);
        }
        let mut blocks = BlockLook::new(&labelled, TagSpan::of_tags(&tags)?);
        blocks.update(rows, targets.distinct(), targets.set_ids());
        report.add_intervals(&blocks, &labelled, classifier)?;
        Ok(report)
    }

    fn add_intervals(
        &mut self,
        blocks: &BlockLook<'_>,
        labelled: &Labelled<'_>,
        classifier: Option<&LinearClassifier>,
    ) -> Result<()> {
        let metrics = CollapseMetric::of_report(self).into_iter();
        let values: Vec<(CollapseMetric, f64)> = metrics
            .filter_map(|metric| Some((metric, metric.value(self)?)))
            .collect();
        self.intervals =
            intervals::measure(blocks, labelled, self.num_classes, classifier, &values)?;
        Ok(())
    }

    /// Gives the samples that the report lists the numbers that they have elsewhere, such as their rows in
    /// a file of which some were left out.
    ///
    /// ```
    /// use tagwise::collapse::{AnalysisOptions, CollapseReport};
    /// use tagwise::snapshot::{FeatureValues, Snapshot};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [[0], [0], [1], [1]].map(LabelSet::new))?;
    /// let features = FeatureValues::F64(vec![3.0, 4.0, -5.0, -3.0]); // [4, 1]
    /// let snapshot = Snapshot::new(features, 1, targets, None)?;
    /// let mut report = CollapseReport::analyze(&snapshot, None, AnalysisOptions::default())?;
    /// report.renumber_samples(|sample| sample + 10);
    /// assert_eq!(report.worst_samples[0].sample, 12);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn renumber_samples(&mut self, number: impl Fn(usize) -> usize) {
        for worst in &mut self.worst_samples {
            worst.sample = number(worst.sample);
        }
        let errors = self.label_errors.iter_mut();
        for error in errors.flat_map(|errors| &mut errors.samples) {
            error.sample = number(error.sample);
        }
    }

    /// Measures everything, NC4 and the worst samples included, in two passes over the samples.
    ///
    /// NC1 takes the cheaper of two exact paths, reported in
    /// [`nc1_path`](CollapseReport::nc1_path): the scatter in the first pass, or projections in
    /// the second. With M multiplicities and L label sets, memory is 24·L·d bytes for means,
    /// 4·(M + 6)·d² for scatters (none with projections), 32 MiB of residuals, one block of samples
    /// where they are not mapped, and 4 bytes per sample for the label sets.
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
        let go_on = &mut |_, _| ControlFlow::Continue(());
        let (report, _) = Self::analyze_with_statistics(stream, classifier, options, go_on)?;
        Ok(report)
    }

    /// As [`analyze`](Self::analyze), hands out the statistics of the first pass, and says after
    /// each block how many samples were seen in which of two passes, from 1: `progress` may stop it.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze), and [`Error::Interrupted`] when `progress` breaks.
    pub fn analyze_with_statistics(
        stream: &impl SampleStream,
        classifier: Option<&LinearClassifier>,
        options: AnalysisOptions,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(Self, Statistics)> {
        let kind = match options.directions {
            Directions::All => cheaper_scatter(stream),
            Directions::TagSpan => ScatterKind::Trace,
        };
        let statistics = Statistics::of_with(stream, kind, &mut |seen| progress(1, seen))?;
        let labelled = measurable(&statistics, classifier)?;
        let tags = TagVectors::estimate_from(statistics.num_classes(), &labelled)?;
        let compressed = match kind {
            ScatterKind::Trace => Some(Compressed::new(&labelled, &tags, options.directions)?),
            ScatterKind::Full => None,
        };
        let work = work(&labelled, kind, compressed.as_ref());
        let blocks = intervals::wanted(options.intervals, &labelled, &tags, work)
            .then(|| TagSpan::of_tags(&tags).map(|span| BlockLook::new(&labelled, span)))
            .transpose()?;
        let wants_samples = options.num_worst > 0 || classifier.is_some();
        let mut looks = Looks {
            samples: (compressed.is_some() || wants_samples)
                .then(|| SecondLook::new(&labelled, classifier, compressed, options.num_worst)),
            blocks,
        };
        if looks.are_wanted() {
            look_again(stream, &mut looks, &mut |seen| progress(2, seen))?;
        }
        let seen = looks.samples;
        let seen = seen.map_or_else(Seen::default, |look| look.finish(classifier));
        let mut report = Self::assemble(&statistics, classifier, &labelled, &tags, seen)?;
        if let Some(blocks) = looks.blocks {
            report.add_intervals(&blocks, &labelled, classifier)?;
        }
        if options.compatibility == Compatibility::NcMlab {
            report.nc_mlab = Some(NcMlab::measure(stream, &statistics, classifier)?);
        }
        drop(labelled);
        Ok((report, statistics))
    }
}

/// What wants to see the samples again.
struct Looks<'a> {
    samples: Option<SecondLook<'a>>,
    blocks: Option<BlockLook<'a>>,
}

impl Looks<'_> {
    fn are_wanted(&self) -> bool {
        self.samples.is_some() || self.blocks.is_some()
    }

    fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) {
        if let Some(samples) = &mut self.samples {
            samples.update(rows, distinct, set_ids);
        }
        if let Some(blocks) = &mut self.blocks {
            blocks.update(rows, distinct, set_ids);
        }
    }
}

/// The second pass over the samples, for all that want one.
fn look_again(
    stream: &impl SampleStream,
    looks: &mut Looks<'_>,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<()> {
    let targets = stream.targets();
    stream.for_each_block(&mut |first, rows| {
        let end = first + rows.num_rows(stream.dim());
        let (distinct, set_ids) = (targets.distinct(), &targets.set_ids()[first..end]);
        match rows {
            FeatureRows::F32(rows) => looks.update(rows, distinct, set_ids),
            FeatureRows::F64(rows) => looks.update(rows, distinct, set_ids),
        }
        match progress(end) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    })
}

/// Multiply-adds of the passes over the samples, roughly.
fn work(labelled: &Labelled<'_>, kind: ScatterKind, compressed: Option<&Compressed>) -> f64 {
    let samples: f64 = labelled.counts.iter().sum();
    let dim = labelled.dim as f64;
    let products = match (kind, compressed) {
        (ScatterKind::Trace, Some(compressed)) => {
            let rank = compressed.basis.ncols() as f64;
            SECOND_READ * (dim * rank + rank * rank / 2.0)
        }
        _ => dim * dim / 2.0,
    };
    samples * (4.0 * dim + products)
}

/// Compares the work of the scatter with that of projections, from the label sets alone.
fn cheaper_scatter(stream: &impl SampleStream) -> ScatterKind {
    let labelled = stream
        .targets()
        .distinct()
        .iter()
        .filter(|set| !set.is_empty());
    let rank = labelled.count().saturating_sub(1);
    let dim = stream.dim();
    // Per sample: d·r products for the projection and r² for its scatter, against d² for the
    // whole scatter; both scatters are symmetric and need half.
    let projection = (dim * rank + rank * rank / 2) as f64;
    if SECOND_READ * projection < (dim * dim) as f64 / 2.0 {
        ScatterKind::Trace
    } else {
        ScatterKind::Full
    }
}
