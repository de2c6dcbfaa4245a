//! Decoders: from features or logits to label sets.

use std::path::PathBuf;

use numpy::prelude::*;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::{Deserialize, Serialize};
use tagwise::Targets;
use tagwise::decode::{
    Decoded, DecoderInputs, DecoderKind, DecoderSettings, EmptyMatch, EmptySet, FittedDecoder,
    Link, LogitDecoder, NearestSettings, RuleKind, Scales, SetRule, SetSettings, Space,
};
use tagwise::evaluate::Criterion;
use tagwise::head::{self, LabelledFeatures};
use tagwise::names::LabelNames;

use crate::analysis::check_names;
use crate::arrays::rows;
use crate::error::{Failure, Outcome};
use crate::features::{Features, check_rows};
use crate::head::Head;
use crate::json;
use crate::label_sets::LabelSets;
use crate::work::{self, at_once};

/// How a decoder is made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Making {
    /// `auto`, `onn`, `most-probable` or a rule.
    decoder: String,
    nearest: NearestSettings,
    /// Whether the empty set is an answer as suits the training samples.
    suits_empty_set: bool,
    scales: ScalesFrom,
    space: Space,
    link: Option<Link>,
    criterion: Criterion,
    sets: OfSets,
}

/// How a head of the set likelihood is decoded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfSets {
    num_listed: usize,
    abstain_below: f64,
    empty_match: EmptyMatch,
}

/// Where scales come from.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScalesFrom {
    Named(String),
    Given(Vec<f64>),
}

impl Making {
    fn settings(
        mut self,
        has_potentials: bool,
        training: Option<&Targets>,
    ) -> Outcome<DecoderSettings> {
        if let (true, Some(training)) = (self.suits_empty_set, training) {
            self.nearest.empty_set = EmptySet::suiting(training);
        }
        let of_sets = |rule| {
            DecoderKind::SetLikelihood(SetSettings {
                rule,
                num_listed: self.sets.num_listed,
                abstain_below: self.sets.abstain_below,
            })
        };
        Ok(DecoderSettings {
            kind: match self.decoder.as_str() {
                "auto" => DecoderKind::Auto {
                    max_nodes: self.nearest.max_nodes,
                },
                "onn" => DecoderKind::Nearest(self.nearest),
                "most-probable" if has_potentials => of_sets(SetRule::MostProbable),
                "most-probable" => {
                    return Err(Failure::Value(
                        "expected `head` of the set likelihood, which gives label sets a \
                         probability, for the decoder most-probable; fit one with \
                         loss='set-likelihood'"
                            .into(),
                    ));
                }
                "expected-f1" if has_potentials => of_sets(SetRule::ExpectedF1 {
                    empty_match: self.sets.empty_match,
                }),
                rule => DecoderKind::Rule(rule_of(rule)?),
            },
            scales: match self.scales {
                ScalesFrom::Given(scales) => Scales::Given(scales),
                ScalesFrom::Named(name) if name == "measured" => Scales::Measured,
                ScalesFrom::Named(name) if name == "ufm" => Scales::Ufm,
                ScalesFrom::Named(name) => {
                    return Err(Failure::Value(format!(
                        "expected `scales` 'measured', 'ufm' or numbers, found {name:?}"
                    )));
                }
            },
            space: self.space,
            link: self.link,
            criterion: self.criterion,
        })
    }
}

fn rule_of(word: &str) -> Outcome<RuleKind> {
    json::choice("decoder", word).map_err(|_| {
        Failure::Value(format!(
            "expected `decoder` to be auto, onn, threshold, label-thresholds, top-k, proportional, \
             largest-gap, predicted-multiplicity, expected-f1 or most-probable, found {word:?}"
        ))
    })
}

/// A decoder with all that it needs.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Decoder {
    decoder: FittedDecoder,
}

/// Label sets with margins, scores and the samples whose answer is not proven; then, of a
/// distribution over label sets, the probabilities of the answers, the most probable sets of each
/// sample and the samples whose answer is not probable enough.
type Answers<'py> = (
    LabelSets,
    Option<Bound<'py, PyArray1<f64>>>,
    Option<Bound<'py, PyArray1<f64>>>,
    Bound<'py, PyArray1<i64>>,
    Option<Bound<'py, PyArray1<f64>>>,
    Vec<Vec<(Vec<u32>, f64)>>,
    Bound<'py, PyArray1<i64>>,
);

/// Samples that the library keeps, in f64.
struct Samples {
    features: head::Features,
    targets: Targets,
}

impl Samples {
    fn new(view: tagwise::features::FeaturesView<'_>, targets: &Targets) -> Outcome<Self> {
        check_rows(&view, targets)?;
        Ok(Self {
            features: head::Features::of_view(view)?,
            targets: targets.clone(),
        })
    }

    fn labelled(&self) -> Outcome<LabelledFeatures<'_>> {
        Ok(LabelledFeatures::new(&self.features, &self.targets)?)
    }
}

#[pymethods]
impl Decoder {
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "Python's side names them")]
    fn fit(
        py: Python<'_>,
        features: Option<&Bound<'_, PyAny>>,
        targets: Option<&LabelSets>,
        validation_features: Option<&Bound<'_, PyAny>>,
        validation_targets: Option<&LabelSets>,
        head: Option<&Head>,
        making: &str,
        class_names: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let has_potentials = head.is_some_and(|head| head.head.potentials.is_some());
        let making: Making = json::read("decoder", making)?;
        let settings = making.settings(has_potentials, targets.map(|sets| &sets.targets))?;
        let training = features.map(Features::of).transpose()?;
        let validation = validation_features.map(Features::of).transpose()?;
        let training = training.as_ref().map(Features::view).transpose()?;
        let validation = validation.as_ref().map(Features::view).transpose()?;
        let training = training.zip(targets.map(|sets| &sets.targets));
        let validation = validation.zip(validation_targets.map(|sets| &sets.targets));
        let head = head.map(|head| &head.head);
        let decoder = work::run(py, |watch| {
            let samples = |given: Option<(_, &Targets)>| {
                given
                    .map(|(view, targets)| Samples::new(view, targets))
                    .transpose()
            };
            let (training, validation) = (samples(training)?, samples(validation)?);
            let inputs = DecoderInputs {
                training: training.as_ref().map(Samples::labelled).transpose()?,
                validation: validation.as_ref().map(Samples::labelled).transpose()?,
                head,
            };
            check_sizes(&inputs)?;
            let decoder = FittedDecoder::fit(&inputs, &settings, |_| watch.flow())?;
            check_names(class_names.as_deref(), decoder.num_classes())?;
            match class_names {
                Some(names) => Ok(decoder.with_names(LabelNames::new(Some(names)))?),
                None => Ok(decoder),
            }
        })?;
        Ok(Self { decoder })
    }

    fn decode<'py>(&self, py: Python<'py>, features: &Bound<'py, PyAny>) -> PyResult<Answers<'py>> {
        let features = Features::of(features)?;
        let view = features.view()?;
        let decoded = work::run(py, |watch| {
            Ok(self.decoder.decode_view(view, |_| watch.flow())?)
        })?;
        Ok(answers(py, decoded))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = work::run(py, |_| Ok(self.decoder.to_bytes()?))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        work::run(py, |_| {
            let decoder = FittedDecoder::from_bytes(data)?;
            Ok(Self { decoder })
        })
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        work::run(py, |_| Ok(self.decoder.write(&path)?))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        work::run(py, |_| {
            let decoder = FittedDecoder::read(&path)?;
            Ok(Self { decoder })
        })
    }

    #[getter]
    fn num_classes(&self) -> usize {
        self.decoder.num_classes()
    }

    #[getter]
    fn dim(&self) -> usize {
        self.decoder.dim()
    }

    #[getter]
    fn class_names(&self) -> Option<Vec<String>> {
        self.decoder.names().as_slice().map(<[String]>::to_vec)
    }

    /// What it is called.
    #[getter]
    fn name(&self) -> String {
        self.decoder.spec().to_string()
    }

    /// Which decoder it is, what fitting found and what it was tuned for, as JSON.
    fn about(&self) -> PyResult<String> {
        #[derive(Serialize)]
        struct About<'a> {
            settings: &'a tagwise::decode::DecoderSpec,
            space: Space,
            values: tagwise::decode::TunedValues,
            found: String,
            tuning: Option<&'a tagwise::decode::Tuning>,
            reason: Option<String>,
        }
        at_once(|| {
            let (decoder, values) = (&self.decoder, self.decoder.values());
            let tuning = decoder.tuning();
            json::write(&About {
                settings: decoder.spec(),
                space: decoder.space(),
                found: values.to_string(),
                values,
                tuning,
                reason: tuning.and_then(|tuning| tuning.reason(decoder.spec())),
            })
        })
    }
}

/// Whether training samples, validation samples and head are of one kind.
fn check_sizes(inputs: &DecoderInputs<'_>) -> Outcome<()> {
    let of_samples =
        |samples: LabelledFeatures<'_>| (samples.targets().num_classes(), samples.features().dim());
    let of_head = inputs
        .head
        .map(|head| (head.classifier.num_classes(), head.classifier.dim()));
    let sizes = [
        ("the training samples", inputs.training.map(of_samples)),
        ("the validation samples", inputs.validation.map(of_samples)),
        ("the head", of_head),
    ];
    let mut known = sizes
        .iter()
        .filter_map(|(what, size)| Some((what, (*size)?)));
    let Some((first, expected)) = known.next() else {
        return Ok(());
    };
    match known.find(|(_, size)| *size != expected) {
        None => Ok(()),
        Some((what, found)) => Err(Failure::Value(format!(
            "expected {what} to have {} classes and {} features like {first}, found {} and {}",
            expected.0, expected.1, found.0, found.1
        ))),
    }
}

fn answers(py: Python<'_>, decoded: Decoded) -> Answers<'_> {
    let numbers = |values: Vec<f64>, num_samples: usize| {
        (values.len() == num_samples && num_samples > 0).then(|| values.into_pyarray(py))
    };
    let num_samples = decoded.targets.len();
    let rows = |rows: Vec<usize>| {
        let rows: Vec<i64> = rows.into_iter().map(|row| row as i64).collect();
        rows.into_pyarray(py)
    };
    let listed = decoded.listed.into_iter().map(|sets| {
        let sets = sets.into_iter();
        sets.map(|set| (set.labels.labels().to_vec(), set.probability))
            .collect()
    });
    (
        LabelSets {
            targets: decoded.targets,
        },
        numbers(decoded.margins, num_samples),
        numbers(decoded.scores, num_samples),
        rows(decoded.unproven),
        numbers(decoded.probabilities, num_samples),
        listed.collect(),
        rows(decoded.abstained),
    )
}

/// A rule on logits alone.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct LogitRule {
    kept: Kept,
}

/// What is kept of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    num_classes: usize,
    decoder: LogitDecoder,
    class_names: Option<Vec<String>>,
}

#[pymethods]
impl LogitRule {
    #[staticmethod]
    fn fit(
        py: Python<'_>,
        logits: PyReadonlyArray2<'_, f64>,
        targets: &LabelSets,
        rule: &str,
        link: &str,
        criterion: &str,
        class_names: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let kind: RuleKind = json::choice("rule", rule)?;
        let link: Link = json::choice("link", link)?;
        let criterion: Criterion = json::choice("criterion", criterion)?;
        let num_columns = logits.shape()[1];
        let logits = rows(&logits, "logits")?;
        let truth = &targets.targets;
        let kept = work::run(py, |watch| {
            let num_classes = truth.num_classes();
            let go_on = &|| watch.flow();
            check_columns(num_classes, num_columns)?;
            check_names(class_names.as_deref(), num_classes)?;
            Ok(Kept {
                num_classes,
                decoder: LogitDecoder::fit_while(kind, link, logits, truth, criterion, go_on)?,
                class_names,
            })
        })?;
        Ok(Self { kept })
    }

    fn decode(&self, py: Python<'_>, logits: PyReadonlyArray2<'_, f64>) -> PyResult<LabelSets> {
        let num_columns = logits.shape()[1];
        let logits = rows(&logits, "logits")?;
        let targets = work::run(py, |watch| {
            check_columns(self.kept.num_classes, num_columns)?;
            let go_on = &|| watch.flow();
            Ok(self.kept.decoder.decode_while(logits, num_columns, go_on)?)
        })?;
        Ok(LabelSets { targets })
    }

    #[getter]
    fn num_classes(&self) -> usize {
        self.kept.num_classes
    }

    #[getter]
    fn class_names(&self) -> Option<Vec<String>> {
        self.kept.class_names.clone()
    }

    fn to_json(&self) -> PyResult<String> {
        at_once(|| json::write(&self.kept))
    }

    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        at_once(|| {
            let kept = json::read("a rule on logits", text)?;
            Ok(Self { kept })
        })
    }
}

fn check_columns(expected: usize, found: usize) -> Outcome<()> {
    match expected == found {
        true => Ok(()),
        false => Err(Failure::Value(format!(
            "expected {expected} columns of logits, one for each class, found {found}"
        ))),
    }
}
