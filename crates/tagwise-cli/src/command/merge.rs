//! `tagwise merge`: statistics of the whole from statistics of its parts.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;
use tagwise::statistics::StatisticsFile;
use tagwise::words::counted;

use crate::output;
use crate::outputs::Files;

/// Merge statistics of parts of the same features, in any order
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Statistics made by `tagwise stats`
    #[arg(required = true)]
    parts: Vec<PathBuf>,

    /// The file to write, by convention NAME.ncs
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise merge part-1.ncs part-2.ncs --out all.ncs
  tagwise analyze all.ncs";

/// Reads the parts one after the other and writes their sum.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading(&arguments.parts)
        .writing("--out", Some(&arguments.out))
        .check()?;
    let mut parts = arguments.parts.iter();
    let first = parts
        .next()
        .context("expected at least one file to merge")?;
    let mut whole = StatisticsFile::read(first)?;
    for path in parts {
        let part = StatisticsFile::read(path)?;
        whole.merge(&part).with_context(|| {
            format!("{} does not merge with {}", path.display(), first.display())
        })?;
    }
    whole
        .write(&arguments.out)
        .context("the statistics cannot be saved")?;
    let statistics = &whole.statistics;
    let value = json!({
        "num_samples": statistics.num_samples(),
        "num_files": arguments.parts.len(),
        "num_label_sets": statistics.label_sets().len(),
        "num_classes": statistics.num_classes(),
        "dim": statistics.dim(),
        "file": arguments.out,
    });
    let line = format!(
        "{} of {}, {}: {}",
        counted(statistics.num_samples() as usize, "sample"),
        counted(arguments.parts.len(), "file"),
        counted(statistics.label_sets().len(), "label set"),
        arguments.out.display()
    );
    output::outcome(arguments.json, &value, &line)
}
