//! `tagwise analyze`: how collapsed anyone's features are.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tagwise::collapse::{AnalysisOptions, Compatibility, Directions, Intervals};
use tagwise::statistics::StatisticsFile;
use tagwise_report::Page;
use tagwise_report::build::{self, Analysis, AnalysisFigures};
use tagwise_report::plane::{plane_of_classes, plane_of_stream};

use super::samples::FormatArguments;
use super::stats;
use super::values::whole;
use crate::failure::{Interrupted, Usage};
use crate::outputs::Files;
use crate::terminal::columns;
use crate::{interrupt, output};

/// Tables in a file or a pipe are laid out for this width.
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

    /// How many of the samples farthest from the mean of their label set, and of the likely label
    /// errors, to list
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole)]
    worst: usize,

    /// The directions in which NC1 is measured: `tag-span` is far cheaper for many label sets and
    /// large d, and leaves out only NC1 in all directions
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Range::All)]
    directions: Range,

    /// Compare class means and classifier with the optimum for these label counts, which `tagwise
    /// ufm` certifies; done anyway where classes times label sets are at most 30,000
    #[arg(long)]
    against_ufm: bool,

    /// Compute the numbers of a published program too
    #[arg(long, value_enum, value_name = "PROGRAM")]
    compat: Option<Program>,

    /// Measure 95 % intervals: where they cost less than half of the analysis, always, or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Cheap, default_missing_value = "always", num_args = 0..=1, require_equals = true)]
    intervals: When,

    /// Leave out samples whose features hold NaN or infinity, and count them
    #[arg(long)]
    skip_non_finite: bool,

    /// The three classes whose plane the report of one file draws, by name or number; those with the
    /// most samples when absent
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', num_args = 1.., requires = "report")]
    plane: Vec<String>,

    #[command(flatten)]
    format: FormatArguments,

    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Write the pictures and tables to one page (.html), its first picture (.svg), its numbers (.csv) or
    /// its data (.json)
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

/// When intervals are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// Where they cost less than half of the time
    Cheap,
    /// Always, as far as memory allows
    Always,
    /// Never
    Never,
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
    Files::reading(&arguments.files)
        .and_reading(&arguments.format.files())
        .writing("--report", arguments.report.as_deref())
        .check()?;
    let page = arguments.report.as_ref().map(Page::at).transpose();
    let page = page.map_err(|error| Usage(error.to_string()))?;
    let stop = interrupt::catch()?;
    let measured = arguments
        .files
        .iter()
        .map(|path| measure(path, arguments, stop))
        .collect::<anyhow::Result<Vec<Analysis>>>()?;
    if let Some(page) = page {
        write(&page, &measured)?;
    }
    if arguments.json {
        let files = measured.iter().map(Analysis::figures).collect();
        return output::answer(&Json { files });
    }
    output::text(&match measured.as_slice() {
        [one] => build::analysis_text(one, columns(WIDTH)),
        several => build::analyses_text(several, columns(WIDTH)),
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

fn measure(path: &Path, arguments: &Arguments, stop: &AtomicBool) -> anyhow::Result<Analysis> {
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
        intervals: match arguments.intervals {
            When::Cheap => Intervals::WhereCheap,
            When::Always => Intervals::Always,
            When::Never => Intervals::Never,
        },
    };
    let mut go_on = |_, _| match stop.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let measured = Analysis::measure_with(path, &file, file.classifier(), options, &mut go_on);
    let mut measured = measured.map_err(|error| match error {
        tagwise::Error::Interrupted => Interrupted(format!("{}: stopped", path.display())).into(),
        other => stats::advised(other).context(path.display().to_string()),
    })?;
    if let Some(names) = file.class_names() {
        measured.class_names = names.to_vec();
    }
    compare_with_optimum(&mut measured, arguments)?;
    // The comparison of several files has no room for their planes.
    if arguments.report.is_some() && arguments.files.len() == 1 {
        measured.plane = match arguments.plane.as_slice() {
            [] => plane_of_stream(&file, &measured.class_names)?,
            chosen => {
                let classes = plane_classes(chosen, &measured.class_names)?;
                Some(plane_of_classes(&file, classes, &measured.class_names)?)
            }
        };
    }
    measured
        .report
        .renumber_samples(|sample| file.row_of(sample));
    Ok(measured)
}

/// Three different classes by their names or numbers.
fn plane_classes(chosen: &[String], names: &[String]) -> anyhow::Result<[u32; 3]> {
    let class = |text: &String| {
        let by_name = names.iter().position(|name| name == text);
        let by_number = || {
            text.parse()
                .ok()
                .filter(|&class: &usize| class < names.len())
        };
        let class = by_name.or_else(by_number).ok_or_else(|| {
            let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 8 { ", …" } else { "" };
            Usage(format!(
                "expected a class for --plane, one of {shown}{more}, found {text:?}"
            ))
        })?;
        Ok(class as u32)
    };
    let classes = chosen
        .iter()
        .map(class)
        .collect::<Result<Vec<u32>, Usage>>()?;
    match classes[..] {
        [a, b, c] if a != b && a != c && b != c => Ok([a, b, c]),
        _ => Err(Usage(format!(
            "expected three different classes for --plane, found {}",
            chosen.join(", ")
        ))
        .into()),
    }
}

fn measure_statistics(path: &Path, arguments: &Arguments) -> anyhow::Result<Analysis> {
    anyhow::ensure!(
        arguments.compat.is_none(),
        "{}: the numbers of a published program need the samples; give the features, not their statistics",
        path.display()
    );
    let state = StatisticsFile::read(path)?;
    let mut measured = Analysis::of_statistics(path, state.statistics, state.classifier.as_ref())
        .with_context(|| path.display().to_string())?;
    compare_with_optimum(&mut measured, arguments)?;
    Ok(measured)
}

/// Where it was asked for, or takes no time to speak of.
fn compare_with_optimum(measured: &mut Analysis, arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.against_ufm {
        let compared = measured.compare_with_optimum();
        return compared.with_context(|| measured.path.display().to_string());
    }
    measured.compare_where_cheap();
    Ok(())
}
