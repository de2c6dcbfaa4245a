//! `tagwise evaluate`: decoded label sets against the truth.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::evaluate::{Evaluation, Predictions, label_counts};
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
    let predicted = read_predictions(&arguments.predictions, &names, truth.num_classes())?;
    anyhow::ensure!(
        predicted.len() == truth.len(),
        "expected {} samples like {}, found {} in {}",
        truth.len(),
        arguments.truth.display(),
        predicted.len(),
        arguments.predictions.display()
    );
    let evaluation = match &head {
        Some(head) => Evaluation::with_logits(&predicted, &head.logits(&samples.features)?, truth)?,
        None => Evaluation::new(&predicted, truth)?,
    };
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

fn read_predictions(
    path: &Path,
    names: &LabelNames,
    num_classes: usize,
) -> anyhow::Result<Targets> {
    let predictions = Predictions::read(path)?;
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
