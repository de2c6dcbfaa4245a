//! `tagwise predict`: label sets of new samples, with how sure each label is.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tagwise::decode::{
    AnswerFormat, DecoderInputs, DecoderKind, DecoderSettings, FittedDecoder, NearestSettings,
    SetSettings,
};
use tagwise::head::{Features, FittedHead, LabelledFeatures};
use tagwise::loss::Link;
use tagwise::names::LabelNames;
use tagwise::predict::{Confidence, Predicted, inclusion, untuned_decoder};
use tagwise::words::counted;
use tagwise::{Targets, head};
use tagwise_data::table::TableOptions;

use super::head::{StoredHead, check_names};
use super::run_part::RunPart;
use super::samples::{Expected, Samples, TableArguments};
use crate::output;
use crate::outputs::Files;

mod images;

/// Predict label sets of new images or features, with the confidence of each label
///
/// A confidence is the probability that the head gives to the label: one that all labels share for
/// pick-all-labels losses (two sure labels have 0.5 each), or one for each. Heads of the set
/// likelihood, and runs trained with it, answer with their most probable set. Other runs decode by one
/// nearest neighbour to their training samples, as their reports do. A head alone takes labels of
/// probability 1/2 or, for shared probabilities, those above the largest gap; a decoder that was
/// tuned for it (--decoder-file) is better.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder of a run, a head that `tagwise fit` wrote, or any safetensors file with weight
    /// [K, d] and bias [K]
    model: PathBuf,

    /// Images (PNG, JPEG, or folders of them) for a run, or one file of features: .safetensors,
    /// .npz, .parquet, a folder of .npy files, .arff, .csv, .tsv, .txt, .svm, tables also packed; or a
    /// run, whose test samples are meant. Labels are not needed
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Decode with a decoder that `tagwise decode --save` kept
    #[arg(long, value_name = "FILE")]
    decoder_file: Option<PathBuf>,

    #[command(flatten)]
    tables: TableArguments,

    /// Where to write the predictions: .json, .parquet, or CSV under any other name; CSV on stdout
    /// when absent
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of CSV
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise predict runs/digits-001 photo.png scans/
  tagwise predict head.safetensors new.csv --out predictions.json
  tagwise predict head.safetensors new.npz --decoder-file decoder.safetensors";

/// New samples as the model sees them.
struct New {
    features: Features,
    logits: Vec<f64>,
    files: Option<Vec<String>>,
}

/// Predicts and prints or writes the label sets.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading(&arguments.inputs)
        .and_reading([&arguments.model])
        .and_reading(&arguments.decoder_file)
        .and_reading(&arguments.tables.files())
        .writing("--out", arguments.out.as_deref())
        .check()?;
    let format = arguments.out.as_deref().map(AnswerFormat::of).transpose()?;
    let (head, new) = match images::of(arguments)? {
        Some(found) => found,
        None => features(arguments)?,
    };
    let link = head.link().unwrap_or_default();
    let targets = decode(arguments, &head, link, &new)?;
    let names = LabelNames::new(head.description.label_names.clone());
    let mut predicted = match &head.potentials {
        None => Predicted::new(targets, &new.logits, link, names)?,
        Some(potentials) => {
            let inclusion = inclusion(potentials, &head.classifier, &new.features)?;
            Predicted::of_probabilities(targets, &inclusion, Confidence::Inclusion, names)?
        }
    };
    if let Some(files) = new.files {
        predicted = predicted.with_files(files)?;
    }
    match (&arguments.out, format) {
        (Some(path), Some(format)) => {
            predicted.write(format, path)?;
            output::text(&format!(
                "{}: {}",
                counted(predicted.targets().len(), "prediction"),
                path.display()
            ))
        }
        _ if arguments.json => output::json(&predicted),
        _ => output::data(&predicted.csv()),
    }
}

/// Features in a file, with their logits.
fn features(arguments: &Arguments) -> anyhow::Result<(FittedHead, New)> {
    let [path] = arguments.inputs.as_slice() else {
        anyhow::bail!(
            "expected one file of features, or images, found {}, the first of which is {}",
            counted(arguments.inputs.len(), "file"),
            arguments.inputs[0].display()
        );
    };
    let stored = match arguments.model.is_dir() {
        true => images::head_of_run(&arguments.model)?,
        false => StoredHead::read(&arguments.model)?,
    };
    let path = &*RunPart::Test.of(path)?;
    let samples = arguments.tables.read_new(path, stored.like())?;
    stored.check(&samples, path)?;
    let logits = stored.logits(&samples.features)?;
    let mut head = stored.head;
    let names = &mut head.description.label_names;
    *names = names.take().or(samples.label_names);
    let new = New {
        features: samples.features,
        logits,
        files: None,
    };
    Ok((head, new))
}

fn decode(
    arguments: &Arguments,
    head: &FittedHead,
    link: Link,
    new: &New,
) -> anyhow::Result<Targets> {
    let go_on = |_: &_| ControlFlow::Continue(());
    if let Some(path) = &arguments.decoder_file {
        let decoder = FittedDecoder::read(path)?;
        let source = format!("the decoder in {}", path.display());
        let expected = Expected {
            num_classes: Some(decoder.num_classes()),
            dim: Some(decoder.dim()),
        };
        let found = Expected {
            num_classes: Some(head.classifier.num_classes()),
            dim: Some(head.classifier.dim()),
        };
        found.check(&arguments.model, expected, &source)?;
        let names = head.description.label_names.as_deref();
        check_names(decoder.names().as_slice(), names, &source, &arguments.model)?;
        return Ok(decoder.decode(&new.features, go_on)?.targets);
    }
    if head.potentials.is_some() {
        let kind = DecoderKind::SetLikelihood(SetSettings::default());
        let decoder = fitted(&DecoderInputs::default(), head, kind)?;
        return Ok(decoder.decode(&new.features, go_on)?.targets);
    }
    if arguments.model.is_dir() {
        let decoder = nearest(arguments, head)?;
        return Ok(decoder.decode(&new.features, go_on)?.targets);
    }
    let num_classes = head.classifier.num_classes();
    Ok(untuned_decoder(link, num_classes).decode(&new.logits, num_classes)?)
}

/// The decoder that comes first in the report of a run.
fn nearest(arguments: &Arguments, head: &FittedHead) -> anyhow::Result<FittedDecoder> {
    let path = RunPart::Training.of(&arguments.model)?;
    let training = Samples::read(&path, &TableOptions::default())?;
    let inputs = DecoderInputs {
        training: Some(LabelledFeatures::new(
            &training.features,
            &training.targets,
        )?),
        ..DecoderInputs::default()
    };
    fitted(
        &inputs,
        head,
        DecoderKind::Nearest(NearestSettings::default()),
    )
}

fn fitted(
    inputs: &DecoderInputs<'_>,
    head: &FittedHead,
    kind: DecoderKind,
) -> anyhow::Result<FittedDecoder> {
    let inputs = DecoderInputs {
        head: Some(head),
        ..*inputs
    };
    let settings = DecoderSettings {
        kind,
        ..DecoderSettings::default()
    };
    Ok(FittedDecoder::fit(&inputs, &settings, |_| {
        ControlFlow::Continue(())
    })?)
}

/// The logits of features.
fn logits(head: &FittedHead, features: &Features) -> anyhow::Result<Vec<f64>> {
    Ok(head::logits(&head.classifier, features)?)
}
