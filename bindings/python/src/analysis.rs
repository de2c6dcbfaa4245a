//! Everything that is measured in features.

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use tagwise::collapse::{AnalysisOptions, Compatibility, Directions, Intervals};
use tagwise::features::FeaturesView;
use tagwise::statistics::Statistics;
use tagwise::{LinearClassifier, Targets};
use tagwise_report::build;
use tagwise_report::plane::plane_of_stream;

use crate::error::{Failure, Outcome};
use crate::features::{Features, WatchedSamples, check_rows};
use crate::label_sets::LabelSets;
use crate::page::Page;
use crate::work::Watch;
use crate::{arrays, json, work};

/// Tables are laid out for this width.
const WIDTH: usize = 110;

/// An analysis, of which figures, tables and a page are made.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Analysis {
    analysis: build::Analysis,
    /// Rows that were left out.
    skipped: Vec<usize>,
}

impl Analysis {
    /// What statistics alone tell.
    pub(crate) fn of_statistics(
        name: &str,
        statistics: Statistics,
        classifier: Option<&LinearClassifier>,
        class_names: Option<Vec<String>>,
        against_ufm: Option<bool>,
        watch: &Watch,
    ) -> Outcome<Self> {
        check_names(class_names.as_deref(), statistics.num_classes())?;
        let analysis = build::Analysis::of_statistics(name, statistics, classifier)?;
        Self::of(analysis, class_names, against_ufm, watch)
    }

    /// Names the classes and compares with the optimum: when it is asked for, or where nobody said
    /// and it takes no time to speak of.
    fn of(
        mut analysis: build::Analysis,
        class_names: Option<Vec<String>>,
        against_ufm: Option<bool>,
        watch: &Watch,
    ) -> Outcome<Self> {
        if let Some(names) = class_names {
            analysis.class_names = names;
        }
        match against_ufm {
            Some(true) => analysis.compare_with_optimum_while(&|| watch.flow())?,
            Some(false) => {}
            None => analysis.compare_where_cheap(),
        }
        Ok(Self {
            analysis,
            skipped: Vec::new(),
        })
    }
}

#[pymethods]
impl Analysis {
    /// The figures of the command's `--json`, as JSON.
    fn figures(&self, py: Python<'_>) -> PyResult<String> {
        work::run(py, |_| json::write(&self.analysis.figures()))
    }

    /// The tables that the command prints.
    fn text(&self, py: Python<'_>) -> PyResult<String> {
        work::run(py, |_| Ok(build::analysis_text(&self.analysis, WIDTH)))
    }

    /// Rows that were left out, because a number of theirs was not finite.
    fn skipped(&self) -> Vec<usize> {
        self.skipped.clone()
    }

    /// The page.
    fn page(&self, py: Python<'_>) -> PyResult<Page> {
        let report = work::run(py, |_| Ok(build::analysis(&self.analysis)?))?;
        Ok(Page { report })
    }
}

/// Measures everything in features.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python's side names them")]
pub(crate) fn analyze(
    py: Python<'_>,
    features: &Bound<'_, PyAny>,
    targets: &LabelSets,
    weight: Option<PyReadonlyArray2<'_, f64>>,
    bias: Option<PyReadonlyArray1<'_, f64>>,
    class_names: Option<Vec<String>>,
    num_worst: usize,
    directions: &str,
    compatibility: Option<&str>,
    intervals: &str,
    against_ufm: Option<bool>,
    skip_non_finite: bool,
    name: &str,
) -> PyResult<Analysis> {
    let features = Features::of(features)?;
    let view = features.view()?;
    let classifier = arrays::classifier(weight.as_ref(), bias.as_ref())?;
    let options = AnalysisOptions {
        num_worst,
        directions: self::directions(directions)?,
        compatibility: self::compatibility(compatibility)?,
        intervals: self::intervals(intervals)?,
    };
    let targets = &targets.targets;
    work::run(py, |watch| {
        check_rows(&view, targets)?;
        check_names(class_names.as_deref(), targets.num_classes())?;
        let skipped = match skip_non_finite {
            true => view.rows_not_finite(),
            false => Vec::new(),
        };
        let kept = without(targets, &skipped);
        let samples = WatchedSamples {
            features: view,
            targets: kept.as_ref().unwrap_or(targets),
            skipped: &skipped,
            watch,
        };
        let classifier = classifier.as_ref();
        let go_on = &mut |_, _| watch.flow();
        let measured = build::Analysis::measure_with(name, &samples, classifier, options, go_on);
        let mut measured = Analysis::of(
            measured.map_err(|error| advised(error, &view))?,
            class_names,
            against_ufm,
            watch,
        )?;
        let analysis = &mut measured.analysis;
        analysis.plane = plane_of_stream(&samples, &analysis.class_names)?;
        let row_of = |sample| samples.row_of(sample);
        analysis.report.renumber_samples(row_of);
        measured.skipped = skipped;
        Ok(measured)
    })
}

/// The label sets without those of skipped rows, where there are such.
fn without(targets: &Targets, skipped: &[usize]) -> Option<Targets> {
    let mut ahead = skipped.iter().peekable();
    let kept = (0..targets.len()).filter(|row| ahead.next_if_eq(&row).is_none());
    (!skipped.is_empty()).then(|| targets.select(kept))
}

/// The error, with all rows that are not finite and the argument that leaves them out.
fn advised(error: tagwise::Error, features: &FeaturesView<'_>) -> Failure {
    let tagwise::Error::NotFinite { .. } = error else {
        return error.into();
    };
    let rows = features.rows_not_finite();
    let Some(&first) = rows.first() else {
        return error.into(); // of the classifier
    };
    let error = tagwise::Error::NonFiniteRows {
        path: None,
        count: rows.len(),
        num_rows: features.num_rows(),
        first,
    };
    Failure::Value(format!("{error}; skip_non_finite=True does that"))
}

fn intervals(word: &str) -> Outcome<Intervals> {
    match word {
        "cheap" => Ok(Intervals::WhereCheap),
        "always" => Ok(Intervals::Always),
        "never" => Ok(Intervals::Never),
        other => Err(Failure::Value(format!(
            "expected `intervals` 'cheap', 'always' or 'never', found {other:?}"
        ))),
    }
}

fn directions(word: &str) -> Outcome<Directions> {
    match word {
        "all" => Ok(Directions::All),
        "tag-span" => Ok(Directions::TagSpan),
        other => Err(Failure::Value(format!(
            "expected `directions` 'all' or 'tag-span', found {other:?}"
        ))),
    }
}

fn compatibility(word: Option<&str>) -> Outcome<Compatibility> {
    match word {
        None => Ok(Compatibility::None),
        Some("nc-mlab") => Ok(Compatibility::NcMlab),
        Some(other) => Err(Failure::Value(format!(
            "expected `compat` None or 'nc-mlab', found {other:?}"
        ))),
    }
}

/// Whether there is a name for each class.
pub(crate) fn check_names(names: Option<&[String]>, num_classes: usize) -> Outcome<()> {
    match names {
        Some(names) if names.len() != num_classes => Err(Failure::Value(format!(
            "expected {num_classes} class names, one for each class, found {}",
            names.len()
        ))),
        _ => Ok(()),
    }
}
