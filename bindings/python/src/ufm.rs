//! The unconstrained feature model.

use std::path::PathBuf;
use std::sync::OnceLock;

use faer::Mat;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use serde::Deserialize;
use tagwise::ufm::{LabelCounts, SolverSettings, UfmAnswer, UfmPoint, UfmProblem, UfmSettings};
use tagwise::{LabelSet, Targets};
use tagwise_report::{Report, build};

use crate::analysis::check_names;
use crate::arrays::{Rows, list};
use crate::error::{Failure, Outcome};
use crate::label_sets::LabelSets;
use crate::page::Page;
use crate::work::at_once;
use crate::{json, work};

/// Tables are laid out for this width.
const WIDTH: usize = 100;

/// Which problem is to be solved: how often label sets occur, and the settings.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    num_classes: usize,
    labels: Labels,
    settings: UfmSettings,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Labels {
    /// Samples of each label set.
    Sets(Vec<(LabelSet, f64)>),
    /// Samples of each label set, by multiplicity.
    Balanced(Vec<(usize, f64)>),
    /// Samples of each multiplicity, spread over its label sets.
    Totals(Vec<(usize, f64)>),
}

/// How it is solved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solver {
    method: String,
    gap: f64,
    max_steps: usize,
}

impl Question {
    fn problem(self) -> Outcome<UfmProblem> {
        let labels = match self.labels {
            Labels::Sets(sets) => LabelCounts::of_sets(self.num_classes, sets)?,
            Labels::Balanced(counts) => LabelCounts::balanced(self.num_classes, counts)?,
            Labels::Totals(totals) => LabelCounts::balanced_totals(self.num_classes, totals)?,
        };
        Ok(UfmProblem::new(labels, self.settings)?)
    }
}

/// A solved problem: its figures, and its point and page, which are made when they are asked for.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct UfmSolution {
    problem: UfmProblem,
    figures: String,
    text: String,
    /// Absent where the solution was put together again.
    answer: Option<(UfmAnswer, Vec<String>)>,
    report: OnceLock<Result<Report, String>>,
    point: OnceLock<Result<UfmPoint, String>>,
}

#[pymethods]
impl UfmSolution {
    #[staticmethod]
    fn solve(
        py: Python<'_>,
        question: &str,
        solver: &str,
        class_names: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let question: Question = json::read("ufm", question)?;
        let solver: Solver = json::read("ufm", solver)?;
        check_gap(solver.gap)?;
        work::run(py, |watch| {
            let problem = question.problem()?;
            check_names(class_names.as_deref(), problem.num_classes())?;
            let settings = SolverSettings {
                relative_gap: solver.gap,
                max_iterations: solver.max_steps,
                ..SolverSettings::default()
            };
            let answer = match solver.method.as_str() {
                "auto" => UfmAnswer::find(&problem, &settings, |_| watch.flow())?,
                "solver" => UfmAnswer::solve(&problem, &settings, |_| watch.flow())?,
                other => {
                    return Err(Failure::Value(format!(
                        "expected `method` 'auto' or 'solver', found {other:?}"
                    )));
                }
            };
            if answer.is_interrupted {
                return Err(tagwise::Error::Interrupted.into());
            }
            Self::of(problem, answer, class_names)
        })
    }

    /// What the getters below gave, put together again.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "Python's side names them")]
    fn restore(
        question: &str,
        figures: String,
        text: String,
        page: Option<&str>,
        weight: Option<PyReadonlyArray2<'_, f64>>,
        means: Option<PyReadonlyArray2<'_, f64>>,
        bias: Option<PyReadonlyArray1<'_, f64>>,
        potentials: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<Self> {
        at_once(|| {
            let problem = json::read::<Question>("ufm", question)?.problem()?;
            let point = match (&weight, &means, &bias) {
                (Some(weight), Some(means), Some(bias)) => Ok(UfmPoint {
                    weight: columns(weight),
                    set_features: columns(means).transpose().to_owned(),
                    bias: list(bias, "bias")?.to_vec(),
                    potentials: match &potentials {
                        Some(potentials) => list(potentials, "potentials")?.to_vec(),
                        None => Vec::new(),
                    },
                }),
                _ => Err(NO_POINT.to_string()),
            };
            let report = match page {
                Some(page) => Ok(json::read("page", page)?),
                None => Err(NO_POINT.to_string()),
            };
            Ok(Self {
                problem,
                figures,
                text,
                answer: None,
                report: report.into(),
                point: point.into(),
            })
        })
    }

    /// The figures of the command's `--json`, as JSON.
    #[getter]
    fn figures(&self) -> &str {
        &self.figures
    }

    /// The tables that the command prints.
    #[getter]
    fn text(&self) -> &str {
        &self.text
    }

    fn page(&self, py: Python<'_>) -> PyResult<Page> {
        let report = work::run(py, |_| {
            let report = self.report.get_or_init(|| self.make_report());
            report.clone().map_err(Failure::Value)
        })?;
        Ok(Page { report })
    }

    fn weight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        work::run(py, |_| Ok(Rows::of(self.point()?.weight.as_ref())))?.into_array(py)
    }

    fn means<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        work::run(py, |_| Ok(Rows::of(self.point()?.set_features.transpose())))?.into_array(py)
    }

    fn bias<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        Ok(work::run(py, |_| Ok(self.point()?.bias.clone()))?.into_pyarray(py))
    }

    fn potentials<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        Ok(work::run(py, |_| Ok(self.point()?.potentials.clone()))?.into_pyarray(py))
    }

    fn label_sets(&self, py: Python<'_>) -> PyResult<LabelSets> {
        let targets = work::run(py, |_| {
            let sets = self.problem.sets()?;
            let sets = sets.into_iter().map(|(set, _)| set);
            Ok(Targets::new(self.problem.num_classes(), sets)?)
        })?;
        Ok(LabelSets { targets })
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let counts = work::run(py, |_| {
            let sets = self.problem.sets()?;
            Ok(sets
                .into_iter()
                .map(|(_, count)| count)
                .collect::<Vec<f64>>())
        })?;
        Ok(counts.into_pyarray(py))
    }

    /// Writes features, targets and classifier.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        work::run(py, |_| {
            let point = self.point()?;
            Ok(point.snapshot(&self.problem)?.write(&path)?)
        })
    }
}

const NO_POINT: &str = "there are too many label sets to write the point out";

impl UfmSolution {
    fn of(
        problem: UfmProblem,
        answer: UfmAnswer,
        class_names: Option<Vec<String>>,
    ) -> Outcome<Self> {
        let numbers = || {
            (0..problem.num_classes())
                .map(|class| class.to_string())
                .collect()
        };
        let names = class_names.unwrap_or_else(numbers);
        Ok(Self {
            figures: json::write(&answer)?,
            text: build::ufm_text(&problem, &answer, WIDTH),
            answer: Some((answer, names)),
            report: OnceLock::new(),
            point: OnceLock::new(),
            problem,
        })
    }

    fn point(&self) -> Outcome<&UfmPoint> {
        let point = self.point.get_or_init(|| self.make_point());
        point
            .as_ref()
            .map_err(|sentence| Failure::Value(sentence.clone()))
    }

    fn make_point(&self) -> Result<UfmPoint, String> {
        let (answer, _) = self.answer.as_ref().ok_or(NO_POINT)?;
        // Before a classifier of that size is made for nothing.
        self.problem.sets().map_err(|error| error.to_string())?;
        answer
            .point(&self.problem)
            .map_err(|error| error.to_string())
    }

    fn make_report(&self) -> Result<Report, String> {
        let (answer, names) = self.answer.as_ref().ok_or(NO_POINT)?;
        self.problem.sets().map_err(|error| error.to_string())?;
        build::ufm(&self.problem, answer, names).map_err(|error| error.to_string())
    }
}

fn check_gap(gap: f64) -> Outcome<()> {
    match (0.0..1.0).contains(&gap) {
        true => Ok(()),
        false => Err(Failure::Value(format!(
            "expected `gap` from 0 to below 1, found {gap}"
        ))),
    }
}

fn columns(array: &PyReadonlyArray2<'_, f64>) -> Mat<f64> {
    let array = array.as_array();
    Mat::from_fn(array.nrows(), array.ncols(), |row, column| {
        array[(row, column)]
    })
}
