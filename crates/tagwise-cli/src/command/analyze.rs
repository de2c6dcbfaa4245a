//! `tagwise analyze`: how collapsed anyone's features are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tagwise::collapse::{AnalysisOptions, CollapseReport, Compatibility, Directions};
use tagwise::snapshot::LinearClassifier;
use tagwise::statistics::{Statistics, StatisticsFile};
use tagwise_report::Scatter;

use super::stats;
use crate::output;

mod page;
mod plane;
mod tables;

/// Measure the collapse of last-layer features, or of their saved statistics
///
/// Several files (epochs of one run, layers of one network) are compared side by side.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Features (.safetensors, .npz, .parquet, a folder of .npy or .parquet files, a pattern such as
    /// 'part-*.parquet' in quotes) or statistics (.ncs)
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

    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Write the pictures and tables to one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

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

/// One file and what was measured in it.
struct Measured {
    path: PathBuf,
    report: CollapseReport,
    statistics: Statistics,
    classifier: Option<LinearClassifier>,
    plane: Option<Scatter>,
}

#[derive(Serialize)]
struct Named<'a> {
    file: String,
    #[serde(flatten)]
    report: &'a CollapseReport,
}

#[derive(Serialize)]
struct Json<'a> {
    files: Vec<Named<'a>>,
}

/// Measures each file, then prints and writes what was asked for.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let measured = arguments
        .files
        .iter()
        .map(|path| measure(path, arguments))
        .collect::<anyhow::Result<Vec<Measured>>>()?;
    if let Some(path) = &arguments.report {
        page::write(&measured, path)?;
    }
    if arguments.json {
        let files = measured
            .iter()
            .map(|measured| Named {
                file: measured.path.display().to_string(),
                report: &measured.report,
            })
            .collect();
        return output::json(&Json { files });
    }
    output::text(&match measured.as_slice() {
        [one] => tables::one(one),
        several => tables::several(several),
    })
}

fn measure(path: &Path, arguments: &Arguments) -> anyhow::Result<Measured> {
    if path.extension().is_some_and(|extension| extension == "ncs") {
        return measure_statistics(path, arguments);
    }
    let file = stats::open(path, arguments.skip_non_finite)?;
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
    let (mut report, statistics) =
        CollapseReport::analyze_with_statistics(&file, file.classifier(), options)
            .with_context(|| path.display().to_string())?;
    // The comparison of several files has no room for their planes.
    let plane = match (&arguments.report, arguments.files.len()) {
        (Some(_), 1) => plane::draw(&file, &class_names(report.num_classes))?,
        _ => None,
    };
    for worst in &mut report.worst_samples {
        worst.sample = file.row_of(worst.sample);
    }
    Ok(Measured {
        path: path.to_path_buf(),
        report,
        statistics,
        classifier: file.classifier().cloned(),
        plane,
    })
}

fn measure_statistics(path: &Path, arguments: &Arguments) -> anyhow::Result<Measured> {
    anyhow::ensure!(
        arguments.compat.is_none(),
        "{}: the numbers of a published program need the samples; give the features, not their statistics",
        path.display()
    );
    let state = StatisticsFile::read(path)?;
    let report = CollapseReport::measure(&state.statistics, state.classifier.as_ref())
        .with_context(|| path.display().to_string())?;
    Ok(Measured {
        path: path.to_path_buf(),
        report,
        statistics: state.statistics,
        classifier: state.classifier,
        plane: None,
    })
}

/// Classes are named by their number.
fn class_names(num_classes: usize) -> Vec<String> {
    (0..num_classes).map(|class| class.to_string()).collect()
}
