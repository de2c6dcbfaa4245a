//! `tagwise evaluate`: decoded label sets against the truth.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::Targets;
use tagwise::evaluate::{Calibration, Evaluation, SetLogLoss, SetMeasures, label_counts};
use tagwise::head::LabelledFeatures;
use tagwise::names::LabelNames;
use tagwise::words::counted;
use tagwise_data::Error;
use tagwise_data::samples::{Labels, PredictedLabels};
use tagwise_report::{Cell, Column, Table};

use super::head::StoredHead;
use super::run_part::RunPart;
use super::samples::{Like, TableArguments, say};
use crate::output;

/// Compare decoded label sets with the true ones, by scikit-learn's definitions
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Label sets as `tagwise decode` writes them (CSV with the columns sample and labels or
    /// label_ids, .json, .parquet), CSV with a column of 0 and 1 for each class, .jsonl with a set in
    /// each line, or an array (.npz, .npy, .safetensors)
    #[arg(value_name = "PREDICTIONS")]
    predictions: PathBuf,

    /// The true labels, with or without features: .safetensors, .npz, .npy, a folder of .npy files,
    /// .parquet, .arff, .csv, .txt, .svm or .libsvm
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

const EXAMPLES: &str = "Examples:
  tagwise evaluate answers.csv --truth test.safetensors
  tagwise evaluate y_pred.npy --truth y_test.npy --per-label
  tagwise evaluate answers.json --truth test.arff --labels labels.xml --head head.safetensors";

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
    let truth = Truth::read(arguments, stored)?;
    let labels = &truth.labels;
    let path = &arguments.predictions;
    let predictions = read_predictions(labels, path)?;
    say(path, &predictions.notes);
    let predicted = &predictions.targets;
    anyhow::ensure!(
        predicted.len() == labels.targets.len(),
        "expected {} like {}, found {} in {}",
        counted(labels.targets.len(), "sample"),
        arguments.truth.display(),
        predicted.len(),
        arguments.predictions.display()
    );
    let mut evaluation = match &truth.logits {
        Some(logits) => Evaluation::with_logits(predicted, logits, &labels.targets)?,
        None => Evaluation::new(predicted, &labels.targets)?,
    };
    evaluation.log_loss = truth.log_loss;
    if let Some(probabilities) = &predictions.probabilities {
        let calibration = Calibration::new(predicted, probabilities, &labels.targets)?;
        evaluation.calibration = Some(calibration);
    }
    let names = LabelNames::new(labels.names.clone());
    let answer = Answer {
        evaluation,
        answered: answered(&predictions, &labels.targets)?,
        labels: of_labels(predicted, &labels.targets, &names)?,
    };
    if arguments.json {
        return output::answer(&answer);
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
fn answered(predictions: &PredictedLabels, truth: &Targets) -> anyhow::Result<Option<Answered>> {
    let abstained = &predictions.abstained;
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
            Some(SetMeasures::new(&of(&predictions.targets), &of(truth))?)
        }
    };
    Ok(Some(Answered {
        num_answered: rows.len(),
        subset_accuracy: measures.map(|measures| measures.subset_accuracy),
        f1_samples: measures.map(|measures| measures.f1_samples),
    }))
}

/// The true labels, and what a classifier says of them where there is one.
struct Truth {
    labels: Labels,
    logits: Option<Vec<f64>>,
    log_loss: Option<SetLogLoss>,
}

impl Truth {
    /// Labels are enough; features are read for a head, given or beside them.
    fn read(arguments: &Arguments, stored: Option<StoredHead>) -> anyhow::Result<Self> {
        let (path, tables) = (&*RunPart::Test.of(&arguments.truth)?, &arguments.tables);
        let expected = stored.as_ref().map_or(Like::default(), StoredHead::like);
        if stored.is_none() {
            let labels = tables.read_labels(path, expected)?;
            if !labels.has_classifier {
                say(path, &labels.notes);
                return Ok(Self {
                    labels,
                    logits: None,
                    log_loss: None,
                });
            }
        }
        let samples = tables.read(path, expected)?;
        let head = stored.or_else(|| StoredHead::of_samples(&samples, path));
        let mut names = samples.label_names.clone();
        let (mut logits, mut log_loss) = (None, None);
        if let Some(head) = &head {
            head.check(&samples, path)?;
            names = names.or_else(|| head.label_names().map(<[String]>::to_vec));
            logits = Some(head.logits(&samples.features)?);
            let labelled = LabelledFeatures::new(&samples.features, &samples.targets)?;
            log_loss = head.log_loss(labelled)?;
        }
        let labels = Labels {
            targets: samples.targets,
            names,
            has_classifier: logits.is_some(),
            notes: samples.notes,
        };
        Ok(Self {
            labels,
            logits,
            log_loss,
        })
    }
}

fn read_predictions(truth: &Labels, path: &Path) -> anyhow::Result<PredictedLabels> {
    truth.read_predictions(path).map_err(|error| match error {
        Error::Mathematics(tagwise::Error::Missing { .. }) => anyhow::anyhow!(
            "{}: expected a truth or --head that knows what its labels are called, as the labels \
             are names here; give --class-names, the table with its --labels, or a head fitted to it",
            path.display()
        ),
        error => error.into(),
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
