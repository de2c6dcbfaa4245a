//! `tagwise evaluate`: decoded label sets against the truth.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tagwise::evaluate::Evaluation;
use tagwise::head::{Features, logits, read_classifier};
use tagwise::{LabelSet, Targets};

use super::samples::Samples;
use crate::output;

/// Compare decoded label sets with the true ones, by scikit-learn's definitions
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Label sets as `tagwise decode` writes them: CSV with the columns sample and labels
    #[arg(value_name = "CSV")]
    predictions: PathBuf,

    /// Samples with the true targets: .safetensors, .npz or a folder of .npy files
    #[arg(long, value_name = "SAMPLES")]
    truth: PathBuf,

    /// A classifier for the measures of ranking; the one stored with the samples when absent
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Evaluates and prints the measures.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let samples = Samples::read(&arguments.truth)?;
    let truth = &samples.targets;
    let predicted = read_predictions(&arguments.predictions, truth.num_classes())?;
    let classifier = match &arguments.head {
        Some(path) => Some(read_classifier(path)?),
        None => samples.classifier.clone(),
    };
    let evaluation = match classifier {
        Some(classifier) => {
            let features = Features::from_dense(samples.features, samples.dim)?;
            let logits = logits(&classifier, &features)?;
            Evaluation::with_logits(&predicted, &logits, truth)?
        }
        None => Evaluation::new(&predicted, truth)?,
    };
    if arguments.json {
        output::json(&evaluation)
    } else {
        output::text(&table(&evaluation)?)
    }
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

/// Reads the columns `sample` and `labels`, samples in order from 0.
fn read_predictions(path: &Path, num_classes: usize) -> anyhow::Result<Targets> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    if !header.starts_with("sample,labels") {
        anyhow::bail!(
            "{}: expected a header that starts with sample,labels, found {header:?}",
            path.display()
        );
    }
    let sets = lines.enumerate().map(|(row, line)| {
        let place = || format!("{}, line {}", path.display(), row + 2);
        let mut cells = line.split(',');
        let sample = cells.next().unwrap_or_default();
        if sample != row.to_string() {
            anyhow::bail!("{}: expected sample {row}, found {sample:?}", place());
        }
        let labels = cells.next().unwrap_or_default().split_whitespace();
        let labels: Result<Vec<u32>, _> = labels.map(str::parse).collect();
        let labels = labels.with_context(|| {
            format!(
                "{}: expected labels as numbers separated by spaces",
                place()
            )
        })?;
        Ok(LabelSet::new(labels))
    });
    let sets: Vec<LabelSet> = sets.collect::<anyhow::Result<_>>()?;
    Targets::new(num_classes, sets).with_context(|| path.display().to_string())
}
