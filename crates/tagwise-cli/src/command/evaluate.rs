//! `tagwise evaluate`: decoded label sets against the truth.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::Targets;
use tagwise::evaluate::{Evaluation, label_counts};
use tagwise::names::LabelNames;
use tagwise_data::Error;
use tagwise_data::samples::Labels;
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
    /// label_ids, .json, .parquet), CSV with a column of 0 and 1 for each class, or an array (.npz,
    /// .npy, .safetensors)
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
    labels: Vec<LabelMeasures>,
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
    let predicted = read_predictions(labels, &arguments.predictions)?;
    say(&arguments.predictions, &predicted.notes);
    let predicted = predicted.targets;
    anyhow::ensure!(
        predicted.len() == labels.targets.len(),
        "expected {} samples like {}, found {} in {}",
        labels.targets.len(),
        arguments.truth.display(),
        predicted.len(),
        arguments.predictions.display()
    );
    let evaluation = match &truth.logits {
        Some(logits) => Evaluation::with_logits(&predicted, logits, &labels.targets)?,
        None => Evaluation::new(&predicted, &labels.targets)?,
    };
    let names = LabelNames::new(labels.names.clone());
    let truth = &labels.targets;
    let answer = Answer {
        evaluation,
        labels: of_labels(&predicted, truth, &names)?,
    };
    if arguments.json {
        return output::json(&answer);
    }
    let mut text = table(&answer.evaluation)?;
    if arguments.per_label {
        text.push('\n');
        text.push_str(&label_table(&answer.labels));
    }
    output::text(&text)
}

/// The true labels, and the logits of a classifier where there is one.
struct Truth {
    labels: Labels,
    logits: Option<Vec<f64>>,
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
                });
            }
        }
        let samples = tables.read(path, expected)?;
        let head = stored.or_else(|| StoredHead::of_samples(&samples, path));
        let mut names = samples.label_names.clone();
        let mut logits = None;
        if let Some(head) = &head {
            head.check(&samples, path)?;
            names = names.or_else(|| head.label_names().map(<[String]>::to_vec));
            logits = Some(head.logits(&samples.features)?);
        }
        let labels = Labels {
            targets: samples.targets,
            names,
            has_classifier: logits.is_some(),
            notes: samples.notes,
        };
        Ok(Self { labels, logits })
    }
}

fn read_predictions(truth: &Labels, path: &Path) -> anyhow::Result<Labels> {
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
    let mut lines = String::new();
    for (name, value) in [&value, &ranking]
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
