//! The losses, on arrays.

use numpy::prelude::*;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};
use tagwise::loss::{LOSSES, Link, Loss};
use tagwise::{Error, Targets};

use crate::arrays::{Rows, list, rows};
use crate::error::{Failure, Outcome};
use crate::label_sets::LabelSets;
use crate::work::{Watch, at_once};
use crate::{json, work};

/// Samples between two looks at the watch.
const BLOCK_LEN: usize = 1024;

#[derive(Serialize)]
struct Line {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    link: Link,
    is_separable: bool,
    parameters: Map<String, Value>,
}

/// The table of losses, as JSON.
#[pyfunction]
pub(crate) fn losses() -> PyResult<String> {
    at_once(|| {
        let line = |info: &tagwise::loss::LossInfo| -> Outcome<Line> {
            Ok(Line {
                name: info.name,
                title: info.title,
                about: info.about,
                link: info.link,
                is_separable: info.is_separable,
                parameters: parameters(&info.loss)?,
            })
        };
        let lines = LOSSES.iter().map(line);
        json::write(&lines.collect::<Outcome<Vec<Line>>>()?)
    })
}

/// A loss by its short name with some parameters of its own, as the JSON that settings hold.
#[pyfunction]
pub(crate) fn loss_settings(name: &str, parameters: &str) -> PyResult<String> {
    at_once(|| json::write(&named(name, &json::read("loss", parameters)?)?))
}

/// The parameters of a loss, without its name.
fn parameters(loss: &Loss) -> Outcome<Map<String, Value>> {
    let mut fields = match serde_json::to_value(loss)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.remove("name");
    if let Loss::SetLikelihood(own) = loss {
        // Absent where the samples say it.
        fields.insert("max_multiplicity".into(), own.max_multiplicity.into());
    }
    Ok(fields)
}

fn named(name: &str, given: &Map<String, Value>) -> Outcome<Loss> {
    let loss = Loss::named(name).ok_or_else(|| {
        let names = LOSSES.map(|line| line.name).join(", ");
        Failure::Value(format!(
            "expected `loss` to be one of {names}, found {name:?}"
        ))
    })?;
    let known = parameters(&loss)?;
    if let Some(unknown) = given.keys().find(|key| !known.contains_key(*key)) {
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "no parameters".to_string(),
            known => format!("the parameters {}", known.join(", ")),
        };
        return Err(Failure::Value(format!(
            "expected {known} of the loss {name}, found {unknown}"
        )));
    }
    let with = |parameters: &Map<String, Value>| -> Outcome<Value> {
        let mut value = serde_json::to_value(loss)?;
        if let Some(fields) = value.as_object_mut() {
            fields.extend(parameters.clone());
        }
        Ok(value)
    };
    for (key, value) in given {
        // One by one: a loss does not say which of its parameters it refuses.
        let alone = with(&Map::from_iter([(key.clone(), value.clone())]))?;
        serde_json::from_value::<Loss>(alone)
            .map_err(|error| json::refused(key, &error.to_string()))?;
    }
    let loss: Loss = serde_json::from_value(with(given)?)?;
    loss.validate()?;
    Ok(loss)
}

/// The loss of each sample and its gradient with respect to the logits.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "two arrays")]
pub(crate) fn loss_and_gradient<'py>(
    py: Python<'py>,
    logits: PyReadonlyArray2<'py, f64>,
    targets: &LabelSets,
    loss: &str,
    class_weight: Option<PyReadonlyArray1<'py, f64>>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>)> {
    let (num_samples, num_classes) = (logits.shape()[0], logits.shape()[1]);
    let loss: Loss = json::read("loss", loss)?;
    let logits = rows(&logits, "logits")?;
    let class_weight = class_weight.as_ref();
    let class_weight = class_weight.map(|w| list(w, "class_weight")).transpose()?;
    let targets = &targets.targets;
    let (values, gradient) = work::run(py, |watch| {
        check_size("rows of logits", targets.len(), num_samples)?;
        check_size("columns of logits", targets.num_classes(), num_classes)?;
        if let Some(weights) = class_weight {
            check_weights(weights, num_classes)?;
        }
        of_rows(&loss, logits, targets, class_weight, watch)
    })?;
    let gradient = Rows::new(num_samples, num_classes, gradient).into_array(py)?;
    Ok((values.into_pyarray(py), gradient))
}

fn of_rows(
    loss: &Loss,
    logits: &[f64],
    targets: &Targets,
    class_weight: Option<&[f64]>,
    watch: &Watch,
) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let num_classes = targets.num_classes().max(1);
    let mut values = vec![0.0; targets.len()];
    let mut gradient = vec![0.0; logits.len()];
    values
        .par_chunks_mut(BLOCK_LEN)
        .zip(gradient.par_chunks_mut(BLOCK_LEN * num_classes))
        .enumerate()
        .try_for_each(|(block, (values, gradient))| {
            watch.check()?;
            for (row, (value, gradient)) in values
                .iter_mut()
                .zip(gradient.chunks_exact_mut(num_classes))
                .enumerate()
            {
                let sample = block * BLOCK_LEN + row;
                let logits = &logits[sample * num_classes..][..num_classes];
                let set = targets.set(sample);
                *value = match class_weight {
                    None => loss.value_and_gradient(logits, set, gradient)?,
                    Some(weights) => {
                        loss.weighted_value_and_gradient(logits, set, weights, gradient)?
                    }
                };
            }
            Ok::<(), Error>(())
        })?;
    Ok((values, gradient))
}

fn check_size(what: &'static str, expected: usize, found: usize) -> Outcome<()> {
    match expected == found {
        true => Ok(()),
        false => Err(Failure::Tagwise(Error::SizeMismatch {
            what,
            expected,
            found,
        })),
    }
}

fn check_weights(weights: &[f64], num_classes: usize) -> Outcome<()> {
    check_size(
        "numbers in `class_weight`, one for each class",
        num_classes,
        weights.len(),
    )?;
    match weights
        .iter()
        .find(|weight| !(**weight > 0.0 && weight.is_finite()))
    {
        None => Ok(()),
        Some(weight) => Err(Failure::Value(format!(
            "expected `class_weight` greater than 0 and finite, found {weight}"
        ))),
    }
}
