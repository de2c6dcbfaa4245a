//! Predicted against true label sets.

use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray2;
use numpy::prelude::*;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use serde::Serialize;
use tagwise::Targets;
use tagwise::evaluate::{self as measures, ConfusionCounts, Evaluation};
use tagwise::names::LabelNames;

use crate::analysis::check_names;
use crate::arrays::rows;
use crate::error::{Failure, Outcome};
use crate::json;
use crate::label_sets::LabelSets;
use crate::work::{self, Watch, at_once};

/// What the command's `--json` prints.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    evaluation: Evaluation,
    labels: Vec<LabelMeasures>,
}

/// How well one label was found.
#[derive(Serialize)]
struct LabelMeasures {
    label: String,
    positives: usize,
    predicted: usize,
    precision: f64,
    recall: f64,
    f1: f64,
}

/// All measures, as the JSON of the command.
#[pyfunction]
pub(crate) fn evaluate(
    py: Python<'_>,
    predicted: &LabelSets,
    truth: &LabelSets,
    logits: Option<PyReadonlyArray2<'_, f64>>,
    class_names: Option<Vec<String>>,
) -> PyResult<String> {
    let columns = logits.as_ref().map(|logits| logits.shape()[1]);
    let logits = logits.as_ref().map(|l| rows(l, "logits")).transpose()?;
    let (predicted, truth) = (&predicted.targets, &truth.targets);
    work::run(py, |watch| {
        check_logits(columns, truth)?;
        let evaluation = match logits {
            Some(logits) => {
                Evaluation::with_logits_while(predicted, logits, truth, &|| watch.flow())?
            }
            None => Evaluation::new(predicted, truth)?,
        };
        let counts = measures::label_counts(predicted, truth)?;
        answer(evaluation, &counts, class_names)
    })
}

fn check_logits(columns: Option<usize>, truth: &Targets) -> Outcome<()> {
    match columns {
        Some(columns) if columns != truth.num_classes() => Err(Failure::Value(format!(
            "expected {} columns of logits, one for each class, found {columns}",
            truth.num_classes()
        ))),
        _ => Ok(()),
    }
}

fn answer(
    evaluation: Evaluation,
    counts: &[ConfusionCounts],
    class_names: Option<Vec<String>>,
) -> Outcome<String> {
    check_names(class_names.as_deref(), counts.len())?;
    let names = LabelNames::new(class_names);
    let labels = (0..).zip(counts).map(|(label, counts)| LabelMeasures {
        label: names.name(label),
        positives: counts.positives,
        predicted: counts.predicted,
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
    });
    json::write(&Answer {
        evaluation,
        labels: labels.collect(),
    })
}

/// What an evaluation is counted from, batch by batch.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct EvaluationCounts {
    counts: Mutex<measures::EvaluationCounts>,
}

impl EvaluationCounts {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut measures::EvaluationCounts, &Watch) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        let mut counts = self
            .counts
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        let counts = &mut *counts;
        work::run(py, move |watch| work(counts, watch))
    }
}

#[pymethods]
impl EvaluationCounts {
    #[new]
    fn new(num_classes: usize) -> PyResult<Self> {
        at_once(|| {
            Targets::unlabelled(0, num_classes)?;
            Ok(Self {
                counts: Mutex::new(measures::EvaluationCounts::new(num_classes)),
            })
        })
    }

    fn update(
        &self,
        py: Python<'_>,
        predicted: &LabelSets,
        truth: &LabelSets,
        logits: Option<PyReadonlyArray2<'_, f64>>,
    ) -> PyResult<()> {
        let columns = logits.as_ref().map(|logits| logits.shape()[1]);
        let logits = logits.as_ref().map(|l| rows(l, "logits")).transpose()?;
        let (predicted, truth) = (&predicted.targets, &truth.targets);
        self.with(py, |counts, watch| {
            check_logits(columns, truth)?;
            let go_on = &|| watch.flow();
            match logits {
                Some(logits) => {
                    counts.update_with_logits_while(predicted, logits, truth, go_on)?;
                }
                None => counts.update(predicted, truth)?,
            }
            Ok(())
        })
    }

    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        // A copy, so that no two threads wait for each other.
        let other = other.with(py, |counts, _| Ok(counts.clone()))?;
        self.with(py, |counts, _| Ok(counts.merge(&other)?))
    }

    /// As `evaluate`.
    fn finish(&self, py: Python<'_>, class_names: Option<Vec<String>>) -> PyResult<String> {
        self.with(py, |counts, _| {
            answer(counts.finish()?, counts.labels(), class_names)
        })
    }

    fn num_classes(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |counts, _| Ok(counts.num_classes()))
    }

    fn num_samples(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |counts, _| Ok(counts.num_samples()))
    }

    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |counts, _| json::write(counts))
    }

    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        at_once(|| {
            Ok(Self {
                counts: Mutex::new(json::read("evaluation counts", text)?),
            })
        })
    }
}
