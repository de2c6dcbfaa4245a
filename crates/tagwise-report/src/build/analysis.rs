//! An analysis of features: what was measured in a file, alone or beside others.

mod page;
mod tables;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::GoOn;
use tagwise::collapse::{AnalysisOptions, CHEAP_OPTIMUM, CollapseReport, Headline, OptimumGap};
use tagwise::snapshot::{LinearClassifier, SampleStream};
use tagwise::statistics::Statistics;
use tagwise::ufm::UfmSettings;

pub use page::{analyses, analysis};
pub use tables::{analyses_text, analysis_text, collapse_tables};

use crate::Scatter;

/// A set of features, such as a file, and everything that was measured in it.
///
/// ```
/// use tagwise::collapse::AnalysisOptions;
/// use tagwise::snapshot::{FeatureValues, Snapshot};
/// use tagwise::{LabelSet, Targets};
/// use tagwise_report::build::{Analysis, analysis, analysis_text};
///
/// let targets = Targets::new(2, [[0], [0], [1], [1]].map(LabelSet::new))?;
/// let features = FeatureValues::F64(vec![3.0, 4.0, -5.0, -3.0]); // [4, 1]
/// let snapshot = Snapshot::new(features, 1, targets, None)?;
/// let measured = Analysis::measure("layer 4", &snapshot, None, AnalysisOptions::default())?;
/// let text = analysis_text(&measured, 110);
/// assert!(text.starts_with("layer 4: 4 samples, 2 classes, 2 label sets of up to 1 label, d = 1"));
/// assert_eq!(analysis(&measured)?.title, "layer 4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The file, or what else the features are called.
    pub path: PathBuf,
    /// The metrics.
    pub report: CollapseReport,
    /// The statistics that they come from.
    pub statistics: Statistics,
    /// The classifier on top of the features.
    pub classifier: Option<LinearClassifier>,
    /// How far class means and classifier are from the optimum for the label counts, when asked for.
    pub optimum: Option<OptimumGap>,
    /// The features of three classes in their plane; only a page of one file has room for it.
    pub plane: Option<Scatter>,
    /// Names of the classes; their numbers unless set otherwise.
    pub class_names: Vec<String>,
}

/// An analysis as JSON: the file, the finding in one sentence, its headline metrics with their verdicts, and the whole report.
#[derive(Clone, Debug, Serialize)]
pub struct AnalysisFigures<'a> {
    file: String,
    finding: String,
    headlines: Vec<Headline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimum: Option<&'a OptimumGap>,
    #[serde(flatten)]
    report: &'a CollapseReport,
}

impl Analysis {
    /// Measures everything in a stream of samples.
    ///
    /// # Errors
    /// As [`CollapseReport::analyze`].
    pub fn measure(
        path: impl AsRef<Path>,
        stream: &impl SampleStream,
        classifier: Option<&LinearClassifier>,
        options: AnalysisOptions,
    ) -> tagwise::Result<Self> {
        Self::measure_with(path, stream, classifier, options, &mut |_, _| {
            ControlFlow::Continue(())
        })
    }

    /// As [`measure`](Self::measure), with a word after each block of samples.
    ///
    /// # Errors
    /// As [`CollapseReport::analyze_with_statistics`].
    pub fn measure_with(
        path: impl AsRef<Path>,
        stream: &impl SampleStream,
        classifier: Option<&LinearClassifier>,
        options: AnalysisOptions,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> tagwise::Result<Self> {
        let (report, statistics) =
            CollapseReport::analyze_with_statistics(stream, classifier, options, progress)?;
        Ok(Self::new(path, report, statistics, classifier))
    }

    /// Measures what statistics alone tell: all but NC4 and the worst samples.
    ///
    /// # Errors
    /// As [`CollapseReport::measure`].
    pub fn of_statistics(
        path: impl AsRef<Path>,
        statistics: Statistics,
        classifier: Option<&LinearClassifier>,
    ) -> tagwise::Result<Self> {
        let report = CollapseReport::measure(&statistics, classifier)?;
        Ok(Self::new(path, report, statistics, classifier))
    }

    fn new(
        path: impl AsRef<Path>,
        report: CollapseReport,
        statistics: Statistics,
        classifier: Option<&LinearClassifier>,
    ) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            class_names: (0..report.num_classes).map(|k| k.to_string()).collect(),
            report,
            statistics,
            classifier: classifier.cloned(),
            optimum: None,
            plane: None,
        }
    }

    /// Compares class means and classifier with the optimum of the unconstrained feature model for
    /// the label counts of these features, with its usual settings.
    ///
    /// # Errors
    /// As [`OptimumGap::measure`].
    pub fn compare_with_optimum(&mut self) -> tagwise::Result<()> {
        self.compare_with_optimum_while(&|| ControlFlow::Continue(()))
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`OptimumGap::measure_while`].
    pub fn compare_with_optimum_while(&mut self, go_on: GoOn<'_>) -> tagwise::Result<()> {
        let (statistics, classifier) = (&self.statistics, self.classifier.as_ref());
        let settings = UfmSettings::default();
        self.optimum = Some(OptimumGap::measure_while(
            statistics, classifier, settings, go_on,
        )?);
        Ok(())
    }

    /// As [`compare_with_optimum`](Self::compare_with_optimum), where that takes no time to speak of:
    /// K·L is at most [`CHEAP_OPTIMUM`]. Labels that have no optimum, such as those of one class, are
    /// no fault of the features.
    pub fn compare_where_cheap(&mut self) {
        if self.report.num_classes * self.report.num_label_sets <= CHEAP_OPTIMUM {
            let _ = self.compare_with_optimum();
        }
    }

    /// What was found, in one sentence, and how far that is from the optimum in another.
    pub(super) fn finding(&self) -> String {
        let finding = self.report.finding();
        match self.optimum.as_ref().and_then(OptimumGap::sentence) {
            Some(optimum) => format!("{finding} {optimum}"),
            None => finding,
        }
    }

    /// What there is to tell as numbers.
    pub fn figures(&self) -> AnalysisFigures<'_> {
        AnalysisFigures {
            file: self.path.display().to_string(),
            finding: self.report.finding(),
            headlines: self.report.headlines(),
            optimum: self.optimum.as_ref(),
            report: &self.report,
        }
    }
}
