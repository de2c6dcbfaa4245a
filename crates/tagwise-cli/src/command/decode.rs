//! `tagwise decode`: features to label sets.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use tagwise::Error;
use tagwise::decode::{AnswerFormat, Answers, EmptySet, FittedDecoder, NearestSettings, Scales};
use tagwise::evaluate::SetMeasures;
use tagwise::words::counted;

use super::samples::TableArguments;
use super::values::whole;
use crate::failure::Interrupted;
use crate::outputs::Files;
use crate::terminal::tell;
use crate::{interrupt, output};

mod inputs;
mod options;

use inputs::{Inputs, New};
use options::{
    CriterionName, DistanceName, EmptyMatchName, LinkName, Means, Name, PriorName, SpaceName,
    empty_set, probability, scales,
};

/// Decode features to label sets
///
/// One-nearest-neighbour decoding takes its prototypes from the training samples given by
/// --prototypes. The other decoders work on the logits of a classifier (--head, or the one stored
/// with the samples) and are tuned on --validation, or on the part of the training samples
/// that `tagwise fit` held out, or else on a fifth of them, where a classifier that was fitted to
/// them looks better than it is. `auto` compares all decoders on the same samples and says which
/// one it took and why. A head of the set likelihood has a distribution over label sets: its most
/// probable set and the set of largest expected F1 are exact and need no tuning, nor other samples.
///
/// What tuning found is shown on stderr and is part of the JSON. --save keeps the decoder with all
/// that it needs, and --decoder-file decodes with it, without the training samples: new samples in
/// arrays need no labels then, and are read as they are decoded.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features to decode, with or without labels: .safetensors, .npz, .parquet, a folder of .npy
    /// files, a sparse matrix of SciPy (.npz), .arff, .csv, .tsv, .txt of the Extreme Classification
    /// Repository, .svm or .libsvm, tables also packed (.gz, .bz2, .zst); of a run its test samples
    #[arg(long, value_name = "SAMPLES")]
    features: PathBuf,

    /// Training samples with targets, in any of these forms; of a run its training samples
    #[arg(long, value_name = "SAMPLES")]
    prototypes: Option<PathBuf>,

    /// Samples with targets for tuning, unseen by the classifier; of a run its validation samples
    #[arg(long, value_name = "SAMPLES")]
    validation: Option<PathBuf>,

    #[command(flatten)]
    tables: TableArguments,

    /// A classifier, as `tagwise fit` writes it
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    /// How to decode; when absent, most-probable with a head of the set likelihood and onn otherwise
    #[arg(long, value_enum)]
    decoder: Option<Name>,

    /// List this many of the most probable label sets with their probabilities (set likelihood)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole)]
    list: usize,

    /// Mark answers that are less probable than this as abstained (set likelihood)
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = probability)]
    abstain_below: f64,

    /// What F1 counts where neither the truth nor the answer has a label (expected-f1 of the set
    /// likelihood)
    #[arg(long, value_enum, default_value = "1")]
    empty_match: EmptyMatchName,

    /// By which distance a prototype is near (onn)
    #[arg(long, value_enum, default_value = "cosine")]
    distance: DistanceName,

    /// Prototypes from class means alone, or also from the means of label sets (onn)
    #[arg(long, value_enum, default_value = "tag-averages")]
    means: Means,

    /// The scales c_1, c_2, … of the sums of class means for 1, 2, … labels: measured on the training
    /// samples; ufm, what the unconstrained feature model predicts for their label sets; or numbers
    /// separated by commas (onn, unless by cosine to tag averages)
    #[arg(long, value_name = "HOW", default_value = "measured", value_parser = scales)]
    scales: Scales,

    /// How likely label sets are beforehand (onn)
    #[arg(long, value_enum, default_value = "none")]
    prior: PriorName,

    /// What distances are measured between (onn, auto)
    #[arg(long, value_enum, default_value = "features")]
    space: SpaceName,

    /// When a sample has no label: never; measured, when the mean of unlabelled training samples is
    /// nearest; or a score, when no other set reaches it; measured when absent and at least one
    /// training sample in twenty has none, never otherwise (onn)
    #[arg(long, value_name = "WHEN", value_parser = empty_set)]
    empty_set: Option<EmptySet>,

    /// Largest number of labels of an answer; that of the training samples when absent (onn)
    #[arg(long, value_name = "M", value_parser = whole)]
    max_multiplicity: Option<usize>,

    /// Partial label sets to visit for one sample before the answer is given unproven (onn)
    #[arg(long, value_name = "COUNT", default_value_t = NearestSettings::default().max_nodes)]
    max_nodes: u64,

    /// What the logits mean: one probability shared by all labels, or one for each; when absent,
    /// what the loss of the head says, softmax for other classifiers
    #[arg(long, value_enum)]
    link: Option<LinkName>,

    /// What tuning maximises
    #[arg(long, value_enum, default_value = "subset-accuracy")]
    criterion: CriterionName,

    /// Keep the decoder in a safetensors file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Decode with a decoder that --save kept
    #[arg(long, value_name = "FILE", conflicts_with_all = MAKES_A_DECODER)]
    decoder_file: Option<PathBuf>,

    /// Where to write the answers: .json, .parquet, or CSV under any other name; CSV on stdout when
    /// absent
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of CSV
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise decode --features test.safetensors --prototypes train.safetensors
  tagwise decode --features bibtex-test.arff --prototypes bibtex-train.arff --labels bibtex.xml \\
    --head head.safetensors --decoder expected-f1 --out answers.csv
  tagwise decode --features test.safetensors --prototypes train.safetensors --save decoder.safetensors
  tagwise decode --features new.safetensors --decoder-file decoder.safetensors
  tagwise decode --features yeast-test.arff --labels yeast.xml --head sets.safetensors --list 3";

/// What a decoder that is read from a file is not made of.
const MAKES_A_DECODER: [&str; 17] = [
    "prototypes",
    "validation",
    "head",
    "decoder",
    "list",
    "abstain_below",
    "empty_match",
    "distance",
    "means",
    "scales",
    "prior",
    "space",
    "empty_set",
    "max_multiplicity",
    "max_nodes",
    "link",
    "criterion",
];

/// Decodes and prints or writes the answers.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let read = [
        &arguments.prototypes,
        &arguments.validation,
        &arguments.head,
        &arguments.decoder_file,
    ];
    Files::reading([&arguments.features])
        .and_reading(read.into_iter().flatten())
        .and_reading(&arguments.tables.files())
        .writing("--out", arguments.out.as_deref())
        .writing("--save", arguments.save.as_deref())
        .check()?;
    let format = arguments.out.as_deref().map(AnswerFormat::of).transpose()?;
    let (decoder, new) = match &arguments.decoder_file {
        Some(path) => inputs::saved(arguments, path)?,
        None => fitted(arguments)?,
    };
    if let Some(path) = &arguments.save {
        decoder.write(path)?;
    }
    let decoded = new.decode(&decoder, until_interrupted()?);
    let answers = Answers::new(&decoder, decoded.map_err(stopped)?);
    say_unproven(&answers);
    if !answers.decoded().abstained.is_empty() {
        tell!(
            "{} of {} {} marked as abstained",
            answers.decoded().abstained.len(),
            counted(answers.decoded().targets.len(), "answer"),
            if answers.decoded().abstained.len() == 1 {
                "is"
            } else {
                "are"
            }
        );
    }
    match (&arguments.out, format) {
        (Some(path), Some(format)) => {
            answers.write(format, path)?;
            output::text(&format!("{}\n", decoder.spec()))
        }
        _ if arguments.json => output::json(&answers),
        _ => output::data(&answers.csv()),
    }
}

/// The decoder that the arguments ask for, with the samples to decode.
fn fitted(arguments: &Arguments) -> anyhow::Result<(FittedDecoder, New)> {
    let inputs = Inputs::read(arguments)?;
    let settings = arguments.settings(inputs.has_potentials(), inputs.training_targets());
    inputs.check(&settings)?;
    let decoder = FittedDecoder::fit(&inputs.borrowed()?, &settings, until_interrupted()?);
    let decoder = decoder.map_err(stopped)?.with_names(inputs.names.clone())?;
    if let Some(tuning) = decoder.tuning() {
        if tuning.warning.is_some() {
            tell!(
                "tuned on {}; if the classifier was fitted to them, it looks better there than it \
                 is: give --validation, or a head of tagwise fit with the samples it was fitted to",
                tuning.samples
            );
        }
        if let Some(reason) = tuning.reason(decoder.spec()) {
            tell!("auto: {reason}");
            tell!("auto: {}", beside(&decoder, &inputs)?);
        }
    }
    tell!("tuned: {}", decoder.values());
    Ok((decoder, New::Samples(inputs.samples)))
}

/// What the choice by one measure means for the others.
fn beside(decoder: &FittedDecoder, inputs: &Inputs) -> anyhow::Result<String> {
    let Some(validation) = inputs.validation() else {
        return Ok("other measures were not looked at; --criterion chooses by one of them".into());
    };
    let decoded = decoder.decode(&validation.features, until_interrupted()?);
    let found = decoded.map_err(stopped)?.targets;
    let measures = SetMeasures::new(&found, &validation.targets)?;
    Ok(format!(
        "it has exact match {:.4}, Jaccard {:.4}, micro F1 {:.4}, macro F1 {:.4} and Hamming loss {:.4} on \
         these samples, which tuned it too; --criterion chooses by another measure",
        measures.subset_accuracy,
        measures.jaccard_samples,
        measures.f1_micro,
        measures.f1_macro,
        measures.hamming_loss
    ))
}

fn say_unproven(answers: &Answers<'_>) {
    let decoded = answers.decoded();
    if !decoded.unproven.is_empty() {
        tell!(
            "{} of {} {} not proven to be the nearest; raise --max-nodes",
            decoded.unproven.len(),
            counted(decoded.targets.len(), "answer"),
            if decoded.unproven.len() == 1 {
                "is"
            } else {
                "are"
            }
        );
    }
}

/// Goes on until Ctrl-C.
fn until_interrupted<P>() -> anyhow::Result<impl FnMut(&P) -> ControlFlow<()>> {
    let stop = interrupt::catch()?;
    Ok(move |_: &P| match stop.load(Ordering::SeqCst) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

fn stopped(error: Error) -> anyhow::Error {
    match error {
        Error::Interrupted => Interrupted("stopped; no answers were written".into()).into(),
        other => other.into(),
    }
}
