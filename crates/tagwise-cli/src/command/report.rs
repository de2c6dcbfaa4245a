//! `tagwise report`: draws runs again, one alone or several compared.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::json;
use tagwise_report::{Page, Report, build};

use crate::failure::Usage;
use crate::output;
use crate::outputs::Files;
use crate::terminal::columns;

/// Draw the report of a run again, or compare several runs on one page
///
/// One run: its report.html is written anew, also for a run that is still going or was
/// interrupted. Several runs: curves over each other, key figures side by side with the best
/// emphasised, the parameters saved, the settings that differ, and means over seeds.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folders of runs, or report.json files
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The page to write (.html, or its data as .json); report.html beside a single run,
    /// comparison.html here for several
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print the key figures as one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise report runs/digits-001
  tagwise report runs/digits-001 runs/digits-002 --out comparison.html";

/// Writes the page and prints its tables.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading(&arguments.runs)
        .writing("--out", arguments.out.as_deref())
        .check()?;
    let out = arguments.out.as_ref().map(Page::at).transpose();
    let out = out.map_err(|error| Usage(error.to_string()))?;
    let mut reports = Vec::with_capacity(arguments.runs.len());
    for run in &arguments.runs {
        reports.push(load(run)?);
    }
    let side_by_side = || build::comparison(&reports, &names(&arguments.runs));
    let (report, beside) = match &reports[..] {
        [only] => (only.clone(), page_beside(&arguments.runs[0])),
        _ => (side_by_side()?, "comparison.html".into()),
    };
    let page = match out {
        Some(page) => page,
        None => Page::at(beside)?,
    };
    page.write(&report).context("the report cannot be drawn")?;
    if arguments.json {
        let mut figures = build::figures(&side_by_side()?.tables);
        figures.insert("report".into(), json!(page.path().display().to_string()));
        return output::answer(&figures);
    }
    let tables = match report.tables.is_empty() {
        true => tagwise_report::compare(&reports)?.tables,
        false => report.tables,
    };
    let mut text = String::new();
    for table in &tables {
        text.push_str(&table.to_text(columns(usize::MAX)));
        text.push('\n');
    }
    output::text(&format!("{text}report: {}", page.path().display()))
}

/// The name of each run's folder, which tells runs of one experiment apart.
fn names(runs: &[PathBuf]) -> Vec<Option<String>> {
    let folder = |run: &PathBuf| match run.is_dir() {
        true => name_of(run),
        false => name_of(run.parent()?),
    };
    runs.iter().map(folder).collect()
}

/// What a run left of its report.
fn load(run: &Path) -> anyhow::Result<Report> {
    if !run.exists() {
        bail!(
            "{}: expected the folder of a run or a report.json file, found nothing there",
            run.display()
        );
    }
    Ok(match run.is_dir() {
        true => build::run_in_folder(run)?,
        false => build::read_report(run)?,
    })
}

/// The last part of the folder's full path.
fn name_of(folder: &Path) -> Option<String> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let full = folder.canonicalize().ok()?;
    Some(full.file_name()?.to_string_lossy().into_owned())
}

fn page_beside(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join("report.html")
    } else {
        run.with_extension("html")
    }
}
