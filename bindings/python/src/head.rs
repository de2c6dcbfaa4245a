//! Linear heads.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;
use tagwise::features::FeaturesView;
use tagwise::head::{
    self, FittedHead, HeadSettings, LabelledFeatures, LogitMap, WeightDecay, WeightDecaySearch,
};
use tagwise::predict::inclusion;

use crate::analysis::check_names;
use crate::arrays::{self, Rows};
use crate::error::{Failure, Outcome};
use crate::features::{Features, check_rows};
use crate::json;
use crate::label_sets::LabelSets;
use crate::work::{self, Watch};

/// Rows whose logits are made together.
const BLOCK_LEN: usize = 4096;

/// How a head is fitted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fit {
    settings: HeadSettings,
    /// Present when the weight decay is to be chosen.
    held_out: Option<HeldOut>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldOut {
    share: f64,
    seed: u64,
    /// What is not compared on the held-out samples, because the settings say it.
    given: Vec<Given>,
}

/// A setting that is compared on held-out samples unless it is given.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Given {
    Scaling,
    Multiplicities,
    SeenSets,
}

impl HeldOut {
    fn search(&self) -> WeightDecaySearch {
        let mut search = WeightDecaySearch::default();
        for given in &self.given {
            match given {
                Given::Scaling => search.scalings.clear(),
                Given::Multiplicities => search.multiplicities.clear(),
                Given::SeenSets => search.seen_set_deviations.clear(),
            }
        }
        search
    }
}

/// A fitted head with what it is.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Head {
    pub(crate) head: FittedHead,
}

#[pymethods]
impl Head {
    #[staticmethod]
    fn of_classifier(
        weight: PyReadonlyArray2<'_, f64>,
        bias: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<Self> {
        work::at_once(|| {
            let classifier = arrays::classifier(Some(&weight), bias.as_ref())?;
            let Some(classifier) = classifier else {
                return Err(Failure::Value(
                    "expected `weight` [K, d], found none".into(),
                ));
            };
            classifier.check(classifier.num_classes(), classifier.dim())?;
            if classifier.num_classes() == 0 || classifier.dim() == 0 {
                return Err(Failure::Value(format!(
                    "expected `weight` [K, d] with classes and features, found [{}, {}]",
                    classifier.num_classes(),
                    classifier.dim()
                )));
            }
            Ok(Self {
                head: FittedHead::of_classifier(classifier),
            })
        })
    }

    #[staticmethod]
    fn fit(
        py: Python<'_>,
        features: &Bound<'_, PyAny>,
        targets: &LabelSets,
        fit: &str,
        class_names: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let features = Features::of(features)?;
        let view = features.view()?;
        let targets = &targets.targets;
        let fit: Fit = json::read("fit", fit)?;
        fit.settings.loss.validate().map_err(Failure::from)?;
        work::run(py, |watch| {
            check_rows(&view, targets)?;
            check_names(class_names.as_deref(), targets.num_classes())?;
            let features = head::Features::of_view(view)?;
            let samples = LabelledFeatures::new(&features, targets)?;
            let decay = match fit.held_out {
                None => WeightDecay::Given,
                Some(held_out) => WeightDecay::Searched {
                    share: held_out.share,
                    seed: held_out.seed,
                    search: held_out.search(),
                },
            };
            let mut head = FittedHead::fit(samples, &fit.settings, &decay, |_| watch.flow())?;
            head.description.label_names = class_names;
            Ok(Self { head })
        })
    }

    fn logits<'py>(
        &self,
        py: Python<'py>,
        features: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let features = Features::of(features)?;
        let view = features.view()?;
        let logits = work::run(py, |watch| {
            let map = LogitMap::new(&self.head.classifier);
            self.of_rows(view, watch, |block| {
                Ok(map.logits(block, 0..block.num_samples())?)
            })
        })?;
        logits.into_array(py)
    }

    /// Whether it was fitted with the set likelihood, and so has a distribution over label sets.
    #[getter]
    fn has_potentials(&self) -> bool {
        self.head.potentials.is_some()
    }

    /// The probability of every label under that distribution.
    fn inclusion<'py>(
        &self,
        py: Python<'py>,
        features: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let features = Features::of(features)?;
        let view = features.view()?;
        let inclusion = work::run(py, |watch| {
            let Some(potentials) = &self.head.potentials else {
                return Err(Failure::Value(
                    "expected a head of the set likelihood, found another".into(),
                ));
            };
            self.of_rows(view, watch, |block| {
                Ok(inclusion(potentials, &self.head.classifier, block)?)
            })
        })?;
        inclusion.into_array(py)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::run(py, |_| Ok(self.head.to_bytes()?))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        work::run(py, |_| {
            let head = FittedHead::from_bytes(data)?;
            Ok(Self { head })
        })
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        work::run(py, |_| Ok(self.head.write(&path)?))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        work::run(py, |_| {
            let head = FittedHead::read(&path)?;
            Ok(Self { head })
        })
    }

    fn weight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        arrays::matrix(py, &self.head.classifier.weight)
    }

    fn bias<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        self.head.classifier.bias.clone().into_pyarray(py)
    }

    /// The description of the command's `--json`, as JSON.
    fn description(&self) -> PyResult<String> {
        work::at_once(|| json::write(&self.head.description))
    }

    /// What the logits mean, as far as the loss says.
    fn link(&self) -> PyResult<String> {
        work::at_once(|| json::write(&self.head.link()))
    }

    #[getter]
    fn class_names(&self) -> Option<Vec<String>> {
        self.head.description.label_names.clone()
    }
}

impl Head {
    /// K numbers for each row of features, made block by block.
    fn of_rows(
        &self,
        view: FeaturesView<'_>,
        watch: &Watch,
        of_block: impl Fn(&head::Features) -> Outcome<Vec<f64>>,
    ) -> Outcome<Rows> {
        let (num_rows, dim) = (view.num_rows(), self.head.classifier.dim());
        let num_classes = self.head.classifier.num_classes();
        if view.dim() != dim {
            return Err(Failure::Tagwise(tagwise::Error::SizeMismatch {
                what: "columns of features",
                expected: dim,
                found: view.dim(),
            }));
        }
        let mut values = Vec::with_capacity(num_rows * num_classes);
        for first in (0..num_rows).step_by(BLOCK_LEN) {
            watch.check()?;
            let rows = first..num_rows.min(first + BLOCK_LEN);
            let block =
                head::Features::of_view(view.rows(rows)?).map_err(|error| error.at_row(first))?;
            values.extend(of_block(&block)?);
        }
        Ok(Rows::new(num_rows, num_classes, values))
    }
}
