//! Everything that is measured in features.

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use tagwise::LinearClassifier;
use tagwise::collapse::{AnalysisOptions, Compatibility, Directions};
use tagwise::statistics::Statistics;
use tagwise_report::build;
use tagwise_report::plane::plane_of_stream;

use crate::error::{Failure, Outcome};
use crate::features::{Features, WatchedSamples, check_rows};
use crate::label_sets::LabelSets;
use crate::page::Page;
use crate::{arrays, json, work};

/// Tables are laid out for this width.
const WIDTH: usize = 110;

/// An analysis, of which figures, tables and a page are made.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Analysis {
    analysis: build::Analysis,
}

impl Analysis {
    /// What statistics alone tell.
    pub(crate) fn of_statistics(
        name: &str,
        statistics: Statistics,
        classifier: Option<&LinearClassifier>,
        class_names: Option<Vec<String>>,
    ) -> Outcome<Self> {
        check_names(class_names.as_deref(), statistics.num_classes())?;
        let analysis = build::Analysis::of_statistics(name, statistics, classifier)?;
        Ok(Self::named(analysis, class_names))
    }

    fn named(mut analysis: build::Analysis, class_names: Option<Vec<String>>) -> Self {
        if let Some(names) = class_names {
            analysis.class_names = names;
        }
        Self { analysis }
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
    name: &str,
) -> PyResult<Analysis> {
    let features = Features::of(features)?;
    let view = features.view()?;
    let classifier = arrays::classifier(weight.as_ref(), bias.as_ref())?;
    let options = AnalysisOptions {
        num_worst,
        directions: self::directions(directions)?,
        compatibility: self::compatibility(compatibility)?,
        ..AnalysisOptions::default()
    };
    let targets = &targets.targets;
    work::run(py, |watch| {
        check_rows(&view, targets)?;
        check_names(class_names.as_deref(), targets.num_classes())?;
        let samples = WatchedSamples {
            features: view,
            targets,
            watch,
        };
        let analysis = build::Analysis::measure(name, &samples, classifier.as_ref(), options)?;
        let mut analysis = Analysis::named(analysis, class_names);
        let names = &analysis.analysis.class_names;
        analysis.analysis.plane = plane_of_stream(&samples, names)?;
        Ok(analysis)
    })
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
