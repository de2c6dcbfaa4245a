//! `tagwise analyze`: how collapsed anyone's features are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tagwise::collapse::{AnalysisOptions, Compatibility, Directions};
use tagwise::statistics::StatisticsFile;
use tagwise_report::Page;
use tagwise_report::build::{self, Analysis, AnalysisFigures};
use tagwise_report::plane::plane_of_stream;

use super::samples::FormatArguments;
use super::stats;
use crate::failure::Usage;
use crate::output;

/// Tables are laid out for this width, on a terminal and in a file.
const WIDTH: usize = 110;

/// Measure the collapse of last-layer features, or of their saved statistics
///
/// Several files (epochs of one run, layers of one network) are compared side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features (.safetensors, .npz, .parquet, a folder of .npy or .parquet files, a pattern such as
    /// 'part-*.parquet' in quotes, .arff, .csv, .txt, .svm), statistics (.ncs), or the folder of a
    /// run, whose training samples are meant
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// How many of the samples farthest from the mean of their label set to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    worst: usize,

    /// The directions in which NC1 is measured: `tag-span` is far cheaper for many label sets and
    /// large d, and leaves out only NC1 in all directions
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Range::All)]
    directions: Range,

    /// Compute the numbers of a published program too
    #[arg(long, value_enum, value_name = "PROGRAM")]
    compat: Option<Program>,

    /// Leave out samples whose features hold NaN or infinity, and count them
    #[arg(long)]
    skip_non_finite: bool,

    #[command(flatten)]
    format: FormatArguments,

    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Write the pictures and tables to one page (.html), its data (.json) or its first picture (.svg)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  tagwise analyze features.npz --report features.html
  tagwise analyze runs/digits-001
  tagwise analyze epoch-01.npz epoch-20.npz --class-names cat,dog,bird";

/// What NC1 is measured in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Range {
    /// All directions in which label sets differ
    All,
    /// The K − 1 directions in which classes differ
    TagSpan,
}

/// Programs whose numbers are reproduced.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Program {
    /// The code published with the paper
    NcMlab,
}

#[derive(Serialize)]
struct Json<'a> {
    files: Vec<AnalysisFigures<'a>>,
}

/// Measures each file, then prints and writes what was asked for.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let page = arguments.report.as_ref().map(Page::at).transpose();
    let page = page.map_err(|error| Usage(error.to_string()))?;
    let measured = arguments
        .files
        .iter()
        .map(|path| measure(path, arguments))
        .collect::<anyhow::Result<Vec<Analysis>>>()?;
    if let Some(page) = page {
        write(&page, &measured)?;
    }
    if arguments.json {
        let files = measured.iter().map(Analysis::figures).collect();
        return output::json(&Json { files });
    }
    output::text(&match measured.as_slice() {
        [one] => build::analysis_text(one, WIDTH),
        several => build::analyses_text(several, WIDTH),
    })
}

/// Writes the report of one file, or the comparison of several.
fn write(page: &Page, measured: &[Analysis]) -> anyhow::Result<()> {
    let report = match measured {
        [one] => build::analysis(one)?,
        several => build::analyses(several),
    };
    page.write(&report).context("the report cannot be written")
}

fn measure(path: &Path, arguments: &Arguments) -> anyhow::Result<Analysis> {
    if path.extension().is_some_and(|extension| extension == "ncs") {
        return measure_statistics(path, arguments);
    }
    let file = stats::open(path, arguments.skip_non_finite, &arguments.format)?;
    let options = AnalysisOptions {
        num_worst: arguments.worst,
        directions: match arguments.directions {
            Range::All => Directions::All,
            Range::TagSpan => Directions::TagSpan,
        },
        compatibility: match arguments.compat {
            Some(Program::NcMlab) => Compatibility::NcMlab,
            None => Compatibility::None,
        },
    };
    let mut measured = Analysis::measure(path, &file, file.classifier(), options)
        .map_err(stats::advised)
        .with_context(|| path.display().to_string())?;
    if let Some(names) = file.class_names() {
        measured.class_names = names.to_vec();
    }
    // The comparison of several files has no room for their planes.
    if arguments.report.is_some() && arguments.files.len() == 1 {
        measured.plane = plane_of_stream(&file, &measured.class_names)?;
    }
    for worst in &mut measured.report.worst_samples {
        worst.sample = file.row_of(worst.sample);
    }
    Ok(measured)
}

fn measure_statistics(path: &Path, arguments: &Arguments) -> anyhow::Result<Analysis> {
    anyhow::ensure!(
        arguments.compat.is_none(),
        "{}: the numbers of a published program need the samples; give the features, not their statistics",
        path.display()
    );
    let state = StatisticsFile::read(path)?;
    Analysis::of_statistics(path, state.statistics, state.classifier.as_ref())
        .with_context(|| path.display().to_string())
}
