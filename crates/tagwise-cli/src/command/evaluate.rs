//! `tagwise evaluate`: decoded label sets against the truth.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::evaluate::{Calibration, Evaluation, Predictions, SetMeasures, label_counts};
use tagwise::head::LabelledFeatures;
use tagwise::names::LabelNames;
use tagwise::{Error, Targets};
use tagwise_report::{Cell, Column, Table};

use super::head::StoredHead;
use super::samples::{Expected, TableArguments};
use crate::output;

/// Compare decoded label sets with the true ones, by scikit-learn's definitions
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Label sets as `tagwise decode` writes them: CSV with the columns sample and labels (names),
    /// or sample and label_ids (numbers)
    #[arg(value_name = "CSV")]
    predictions: PathBuf,

    /// Samples with the true targets: .safetensors, .npz, a folder of .npy files, .arff, .txt of
    /// the Extreme Classification Repository, .svm or .libsvm
    #[arg(long, value_name = "SAMPLES")]
    truth: PathBuf,

    #[command(flatten)]
    tables: TableArguments,

    /// A classifier for the measures of ranking; the one stored with the samples when absent
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    /// Also list precision, recall and F1 of each label
    #[arg(long)]
    per_label: bool,

    /// Print one JSON object, which always has the measures of each label
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<Answered>,
    labels: Vec<LabelMeasures>,
}

/// How good the answers are that were given.
#[derive(Debug, Serialize)]
struct Answered {
    num_answered: usize,
    subset_accuracy: Option<f64>,
    f1_samples: Option<f64>,
}

/// How well one label was found.
#[derive(Debug, Serialize)]
struct LabelMeasures {
    label: String,
    positives: usize,
    predicted: usize,
    precision: f64,
    recall: f64,
    f1: f64,
}

/// Evaluates and prints the measures.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stored = arguments
        .head
        .as_deref()
        .map(StoredHead::read)
        .transpose()?;
    let expected = stored
        .as_ref()
        .map_or(Expected::default(), StoredHead::size);
    let samples = arguments.tables.read(&arguments.truth, expected)?;
    let head = stored.or_else(|| StoredHead::of_samples(&samples, &arguments.truth));
    if let Some(head) = &head {
        head.check(&samples, &arguments.truth)?;
    }
    let own_names = head.as_ref().and_then(StoredHead::label_names);
    let own_names = own_names.map(<[String]>::to_vec);
    let names = LabelNames::new(samples.label_names.clone().or(own_names));
    let truth = &samples.targets;
    let predictions = Predictions::read(&arguments.predictions)?;
    let path = &arguments.predictions;
    let predicted = label_sets(&predictions, path, &names, truth.num_classes())?;
    anyhow::ensure!(
        predicted.len() == truth.len(),
        "expected {} samples like {}, found {} in {}",
        truth.len(),
        arguments.truth.display(),
        predicted.len(),
        arguments.predictions.display()
    );
    let mut evaluation = match &head {
        Some(head) => Evaluation::with_logits(&predicted, &head.logits(&samples.features)?, truth)?,
        None => Evaluation::new(&predicted, truth)?,
    };
    if let Some(head) = &head {
        let labelled = LabelledFeatures::new(&samples.features, truth)?;
        evaluation.log_loss = head.log_loss(labelled)?;
    }
    if let Some(probabilities) = predictions.probabilities() {
        evaluation.calibration = Some(Calibration::new(&predicted, probabilities, truth)?);
    }
    let answered = answered(&predictions, &predicted, truth)?;
    let answer = Answer {
        evaluation,
        answered,
        labels: of_labels(&predicted, truth, &names)?,
    };
    if arguments.json {
        return output::json(&answer);
    }
    let mut text = table(&answer.evaluation)?;
    if let Some(answered) = &answer.answered {
        let number = |value: Option<f64>| value.map_or("none".into(), |v| format!("{v:.4}"));
        text.push_str(&format!(
            "{:<32} {}\n{:<32} {}\n{:<32} {}\n",
            "answered",
            answered.num_answered,
            "answered.subset_accuracy",
            number(answered.subset_accuracy),
            "answered.f1_samples",
            number(answered.f1_samples),
        ));
    }
    if let Some(calibration) = &answer.evaluation.calibration {
        text.push('\n');
        text.push_str(&reliability_table(calibration));
    }
    if arguments.per_label {
        text.push('\n');
        text.push_str(&label_table(&answer.labels));
    }
    output::text(&text)
}

/// The measures of the answers that are not marked as abstained, when some are.
fn answered(
    predictions: &Predictions,
    predicted: &Targets,
    truth: &Targets,
) -> anyhow::Result<Option<Answered>> {
    let abstained = predictions.abstained();
    let rows: Vec<usize> = (0..truth.len())
        .filter(|row| abstained.binary_search(row).is_err())
        .collect();
    if abstained.is_empty() {
        return Ok(None);
    }
    let measures = match rows.is_empty() {
        true => None,
        false => {
            let of = |targets: &Targets| targets.select(rows.iter().copied());
            Some(SetMeasures::new(&of(predicted), &of(truth))?)
        }
    };
    Ok(Some(Answered {
        num_answered: rows.len(),
        subset_accuracy: measures.map(|measures| measures.subset_accuracy),
        f1_samples: measures.map(|measures| measures.f1_samples),
    }))
}

fn label_sets(
    predictions: &Predictions,
    path: &Path,
    names: &LabelNames,
    num_classes: usize,
) -> anyhow::Result<Targets> {
    anyhow::ensure!(
        !predictions.has_names() || names.is_known(),
        "{}: expected a truth or --head that knows what its labels are called, as the labels \
         are names here; give the table and its --labels, or a head fitted to it",
        path.display()
    );
    let targets = predictions.targets(names, num_classes);
    targets.map_err(|error| match error {
        error @ Error::LabelOutOfRange { .. } => {
            anyhow::Error::from(error).context(path.display().to_string())
        }
        other => other.in_file(path).into(),
    })
}

fn of_labels(
    predicted: &Targets,
    truth: &Targets,
    names: &LabelNames,
) -> anyhow::Result<Vec<LabelMeasures>> {
    let counts = label_counts(predicted, truth)?;
    let measures = (0..).zip(&counts).map(|(label, counts)| LabelMeasures {
        label: names.name(label),
        positives: counts.positives,
        predicted: counts.predicted,
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
    });
    Ok(measures.collect())
}

/// One line for each measure.
fn table(evaluation: &Evaluation) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(evaluation)?;
    let ranking = value["ranking"].take();
    let calibration = value["calibration"].take();
    let mut lines = String::new();
    for (name, value) in [&value, &ranking, &calibration]
        .iter()
        .filter_map(|v| v.as_object())
        .flatten()
    {
        match value.as_f64() {
            Some(number) if value.is_f64() => lines.push_str(&format!("{name:<32} {number:.4}\n")),
            Some(_) => lines.push_str(&format!("{name:<32} {value}\n")),
            None => {}
        }
    }
    Ok(lines)
}

/// How often answers are exactly right, by their probability.
fn reliability_table(calibration: &Calibration) -> String {
    const WIDTH: usize = 100;
    let names = ["probability", "answers", "mean", "exactly right"];
    let mut table = Table::new("Reliability", names.map(Column::new));
    for bin in calibration
        .reliability
        .iter()
        .filter(|bin| bin.num_samples > 0)
    {
        table.push([
            format!("{:.1} to {:.1}", bin.from, bin.to).as_str().into(),
            Cell::Count(bin.num_samples as u64),
            bin.mean_probability.into(),
            bin.subset_accuracy.into(),
        ]);
    }
    table.to_text(WIDTH)
}

/// One line for each label.
fn label_table(labels: &[LabelMeasures]) -> String {
    const WIDTH: usize = 100;
    let names = ["label", "samples", "predicted", "precision", "recall", "F1"];
    let mut table = Table::new("Labels", names.map(Column::new));
    for label in labels {
        table.push([
            label.label.as_str().into(),
            Cell::Count(label.positives as u64),
            Cell::Count(label.predicted as u64),
            label.precision.into(),
            label.recall.into(),
            label.f1.into(),
        ]);
    }
    table.to_text(WIDTH)
}
