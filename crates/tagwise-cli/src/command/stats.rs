//! `tagwise stats`: the mergeable statistics of one file of features.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;
use tagwise::snapshot::NonFinite;
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};

use tagwise::words::counted;
use tagwise_data::samples::SampleFile;

use super::run_part::RunPart;
use super::samples::{FormatArguments, say};
use crate::failure::advise;
use crate::output;
use crate::outputs::Files;
use crate::terminal::tell;

/// Reduce a file of features to its statistics, in one pass; parts can be merged
///
/// The result holds counts, means and within-scatter per label set: what every collapse metric
/// needs except those about single samples.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features: .safetensors, .npz, .parquet, a folder of .npy or .parquet files, a pattern such as
    /// 'part-*.parquet' in quotes, .arff, .csv, .txt, .svm, or the folder of a run, whose training
    /// samples are meant
    features: PathBuf,

    /// The file to write, by convention NAME.ncs
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// What is kept of the scatter: full takes 8·d² bytes per multiplicity, trace leaves out NC1
    #[arg(long, value_enum, default_value_t = Scatter::Full)]
    scatter: Scatter,

    /// Leave out samples whose features hold NaN or infinity, and count them
    #[arg(long)]
    skip_non_finite: bool,

    #[command(flatten)]
    format: FormatArguments,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise stats part-1.npz --out part-1.ncs
  tagwise stats 'parts/*.parquet' --scatter trace --out all.ncs";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scatter {
    Full,
    Trace,
}

/// Reads the features once and writes the statistics.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading([&arguments.features])
        .and_reading(&arguments.format.files())
        .writing("--out", Some(&arguments.out))
        .check()?;
    let kind = match arguments.scatter {
        Scatter::Full => ScatterKind::Full,
        Scatter::Trace => ScatterKind::Trace,
    };
    let file = open(
        &arguments.features,
        arguments.skip_non_finite,
        &arguments.format,
    )?;
    let statistics = Statistics::of(&file, kind).map_err(advised)?;
    let summary = format!(
        "{}, {} over {}, d = {}: {}",
        counted(statistics.num_samples() as usize, "sample"),
        counted(statistics.label_sets().len(), "label set"),
        counted(statistics.num_classes(), "class"),
        statistics.dim(),
        arguments.out.display()
    );
    let state = StatisticsFile {
        statistics,
        classifier: file.classifier().cloned(),
    };
    state
        .write(&arguments.out)
        .context("the statistics cannot be saved")?;
    let statistics = &state.statistics;
    let value = json!({
        "num_samples": statistics.num_samples(),
        "num_label_sets": statistics.label_sets().len(),
        "num_classes": statistics.num_classes(),
        "dim": statistics.dim(),
        "num_skipped": file.skipped().len(),
        "file": arguments.out,
    });
    output::outcome(arguments.json, &value, &summary)
}

/// The error with the option that leaves out rows that are not finite.
pub fn advised(error: tagwise::Error) -> anyhow::Error {
    match error {
        error @ tagwise::Error::NonFiniteRows { .. } => {
            advise(&error.into(), "--skip-non-finite does that")
        }
        other => other.into(),
    }
}

/// Opens features and says on stderr how many rows were left out.
pub fn open(
    path: &Path,
    skip_non_finite: bool,
    format: &FormatArguments,
) -> anyhow::Result<SampleFile> {
    let path = &*RunPart::Training.of(path)?;
    let rule = match skip_non_finite {
        true => NonFinite::Skip,
        false => NonFinite::Refuse,
    };
    let file = SampleFile::open(path, &format.options()?, rule)?;
    say(path, file.notes());
    if !file.skipped().is_empty() {
        tell!(
            "{}: left out {} with NaN or infinity, first in row {}",
            path.display(),
            counted(file.skipped().len(), "sample"),
            file.skipped()[0]
        );
    }
    Ok(file)
}
