//! Statistics of features: summed batch by batch, merged, saved.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;
use tagwise::statistics::{ScatterKind, StatisticsFile};
use tagwise::{Error, LabelSet, Targets};

use crate::analysis::Analysis;
use crate::arrays::{self, Rows};
use crate::error::{Failure, Outcome};
use crate::features::{Features, blocks, check_rows};
use crate::label_sets::LabelSets;
use crate::work::{self, Watch};

/// Counts, means and scatter of features, which merge.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Statistics {
    /// Updates from several threads wait for each other.
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    file: StatisticsFile,
    /// Whether an update was stopped halfway, so that nobody knows what the sums are of.
    is_broken: bool,
}

impl Statistics {
    fn new_of(file: StatisticsFile) -> Self {
        let is_broken = false;
        Self {
            state: Mutex::new(State { file, is_broken }),
        }
    }

    /// Works with the state, on the package's threads.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut State, &Watch) -> Outcome<T> + Send,
    ) -> PyResult<T> {
        let mut state = self
            .state
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        work::run(py, move |watch| {
            state.check()?;
            work(state, watch)
        })
    }
}

impl State {
    fn check(&self) -> Outcome<()> {
        match self.is_broken {
            false => Ok(()),
            true => Err(Failure::Value(
                "expected statistics of whole updates, found some whose last update was stopped; \
                 make them anew or load saved ones"
                    .into(),
            )),
        }
    }

    fn num_classes(&self) -> usize {
        self.file.statistics.num_classes()
    }
}

#[pymethods]
impl Statistics {
    #[new]
    fn new(num_classes: usize, dim: usize, scatter: &str) -> PyResult<Self> {
        let kind = match scatter {
            "full" => ScatterKind::Full,
            "trace" => ScatterKind::Trace,
            other => {
                let message = format!("expected `scatter` 'full' or 'trace', found {other:?}");
                return Err(Failure::Value(message).into());
            }
        };
        work::at_once(|| {
            // As for label sets and saved statistics.
            Targets::unlabelled(0, num_classes)?;
            check_dim(dim, kind)?;
            Ok(Self::new_of(StatisticsFile {
                statistics: tagwise::statistics::Statistics::with_scatter(num_classes, dim, kind),
                classifier: None,
            }))
        })
    }

    fn update(
        &self,
        py: Python<'_>,
        features: &Bound<'_, PyAny>,
        targets: &LabelSets,
    ) -> PyResult<()> {
        let features = Features::of(features)?;
        let view = features.view()?;
        let targets = &targets.targets;
        self.with(py, |state, watch| {
            check_rows(&view, targets)?;
            // Nothing is added of samples that cannot be added whole.
            for rows in blocks(&view) {
                watch.check()?;
                let first = rows.start;
                let block = view.rows(rows)?;
                block.check_finite().map_err(|error| error.at_row(first))?;
            }
            let statistics = &mut state.file.statistics;
            if view.num_rows() <= blocks(&view).next().map_or(0, |block| block.len()) {
                return Ok(statistics.update_view(view, targets)?);
            }
            for rows in blocks(&view) {
                watch
                    .check()
                    .inspect_err(|_| state.is_broken = rows.start > 0)?;
                let block = view.rows(rows.clone())?;
                statistics.update_view(block, &targets.select(rows))?;
            }
            Ok(())
        })
    }

    fn merge(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        // A copy, so that no two threads wait for each other and a part can be merged with itself.
        let other = other.with(py, |state, _| Ok(state.file.clone()))?;
        self.with(py, |state, _| {
            let classifier = &mut state.file.classifier;
            let theirs = other.classifier.as_ref();
            match (&*classifier, theirs) {
                (Some(ours), Some(theirs)) if ours != theirs => {
                    return Err(Error::Undefined(
                        "the parts come with different classifiers, so they are not parts of one \
                         network's features"
                            .into(),
                    )
                    .into());
                }
                _ => {}
            }
            state.file.statistics.merge(&other.statistics)?;
            state.file.classifier = state.file.classifier.take().or(other.classifier);
            Ok(())
        })
    }

    fn collapse(
        &self,
        py: Python<'_>,
        weight: Option<PyReadonlyArray2<'_, f64>>,
        bias: Option<PyReadonlyArray1<'_, f64>>,
        class_names: Option<Vec<String>>,
        against_ufm: Option<bool>,
        name: &str,
    ) -> PyResult<Analysis> {
        let given = arrays::classifier(weight.as_ref(), bias.as_ref())?;
        self.with(py, |state, watch| {
            let statistics = state.file.statistics.clone();
            let classifier = given.as_ref().or(state.file.classifier.as_ref());
            Analysis::of_statistics(
                name,
                statistics,
                classifier,
                class_names,
                against_ufm,
                watch,
            )
        })
    }

    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        self.with(py, |state, _| Ok(Self::new_of(state.file.clone())))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.with(py, |state, _| Ok(state.file.to_bytes()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        work::run(py, |_| Ok(Self::new_of(StatisticsFile::from_bytes(data)?)))
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.with(py, |state, _| Ok(state.file.write(&path)?))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        work::run(py, |_| Ok(Self::new_of(StatisticsFile::read(&path)?)))
    }

    fn set_classifier(
        &self,
        py: Python<'_>,
        weight: Option<PyReadonlyArray2<'_, f64>>,
        bias: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<()> {
        let classifier = arrays::classifier(weight.as_ref(), bias.as_ref())?;
        self.with(py, |state, _| {
            let statistics = &state.file.statistics;
            if let Some(classifier) = &classifier {
                classifier.check(statistics.num_classes(), statistics.dim())?;
            }
            state.file.classifier = classifier;
            Ok(())
        })
    }

    fn weight<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f64>>>> {
        let weight = self.with(py, |state, _| {
            Ok(state.file.classifier.as_ref().map(|c| c.weight.clone()))
        })?;
        weight.map(|weight| arrays::matrix(py, &weight)).transpose()
    }

    fn bias<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray1<f64>>>> {
        let bias = self.with(py, |state, _| {
            Ok(state.file.classifier.as_ref().map(|c| c.bias.clone()))
        })?;
        Ok(bias.map(|bias| bias.into_pyarray(py)))
    }

    fn num_classes(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |state, _| Ok(state.num_classes()))
    }

    fn dim(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |state, _| Ok(state.file.statistics.dim()))
    }

    fn scatter(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |state, _| {
            Ok(match state.file.statistics.scatter_kind() {
                ScatterKind::Full => "full",
                ScatterKind::Trace => "trace",
            })
        })
    }

    fn num_samples(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |state, _| Ok(state.file.statistics.num_samples()))
    }

    fn label_sets(&self, py: Python<'_>) -> PyResult<LabelSets> {
        let targets = self.with(py, |state, _| {
            let sets: Vec<LabelSet> = state.file.statistics.label_sets().cloned().collect();
            Ok(Targets::new(state.num_classes(), sets)?)
        })?;
        Ok(LabelSets { targets })
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let counts = self.with(py, |state, _| Ok(state.file.statistics.set_counts()))?;
        let counts: Vec<i64> = counts.iter().map(|&count| count as i64).collect();
        Ok(counts.into_pyarray(py))
    }

    fn means<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let means = self.with(py, |state, _| {
            Ok(Rows::of(state.file.statistics.set_means().as_ref()))
        })?;
        means.into_array(py)
    }

    fn class_means<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let means = self.with(py, |state, _| {
            Ok(Rows::of(state.file.statistics.class_means()?.as_ref()))
        })?;
        means.into_array(py)
    }

    fn within_scatter<'py>(
        &self,
        py: Python<'py>,
        multiplicity: usize,
    ) -> PyResult<Option<Bound<'py, PyArray2<f64>>>> {
        let scatter = self.with(py, |state, _| {
            let scatter = state.file.statistics.within_scatter(multiplicity);
            Ok(scatter.map(|scatter| Rows::of(scatter.as_ref())))
        })?;
        scatter.map(|scatter| scatter.into_array(py)).transpose()
    }
}

/// Refuses dimensions that no network has and that would fill the memory.
fn check_dim(dim: usize, kind: ScatterKind) -> Outcome<()> {
    let largest = match kind {
        ScatterKind::Full => 1 << 16,
        ScatterKind::Trace => tagwise::statistics::MAX_DIM,
    };
    match (1..=largest).contains(&dim) {
        true => Ok(()),
        false => Err(Failure::Value(format!(
            "expected `dim` from 1 to {largest} for this scatter, found {dim}"
        ))),
    }
}
