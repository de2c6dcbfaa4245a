//! `tagwise report`: draws runs again, one alone or several compared.

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value, json};
use tagwise::file::{read, write_atomically};
use tagwise_report::{Report, Table, compare, render};
use tagwise_train::RunFolder;

use super::epochs;
use crate::output;

/// Draw the report of a run again, or compare several runs on one page
///
/// One run: its report.html is written anew, also for a run that is still going or was
/// interrupted. Several runs: curves over each other, key figures side by side with the best
/// emphasised, the parameters saved, the settings that differ, and means over seeds.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folders of runs, or report.json files
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The page to write; report.html beside a single run, comparison.html here for several
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print the key figures as one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
}

/// Writes the page and prints its tables.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut reports = Vec::with_capacity(arguments.runs.len());
    for run in &arguments.runs {
        reports.push(load(run)?);
    }
    let (report, page) = match &reports[..] {
        [only] => (only.clone(), page_beside(&arguments.runs[0])),
        _ => (
            comparison(&arguments.runs, &reports)?,
            "comparison.html".into(),
        ),
    };
    let page = arguments.out.clone().unwrap_or(page);
    let html = render(&report).context("the report cannot be drawn")?;
    write_atomically(&page, |file| file.write_all(html.as_bytes()))?;
    if arguments.json {
        let comparison = comparison(&arguments.runs, &reports)?;
        return output::json(&figures(&page, &comparison.tables));
    }
    let tables = if report.tables.is_empty() {
        compare(&reports)?.tables
    } else {
        report.tables
    };
    let mut text = String::new();
    for table in &tables {
        text.push_str(&table.to_text(width()));
        text.push('\n');
    }
    output::text(&format!("{text}report: {}", page.display()))
}

/// The runs side by side, each under the name of its folder, which tells them apart.
fn comparison(runs: &[PathBuf], reports: &[Report]) -> anyhow::Result<Report> {
    let mut named = reports.to_vec();
    for (report, run) in named.iter_mut().zip(runs) {
        let folder = if run.is_dir() {
            Some(&**run)
        } else {
            run.parent()
        };
        if let Some(name) = folder.and_then(name_of) {
            report.title = name;
        }
    }
    Ok(compare(&named)?)
}

/// What a run left of its report.
fn load(run: &Path) -> anyhow::Result<Report> {
    if !run.exists() {
        bail!(
            "{}: expected the folder of a run or a report.json file, found nothing there",
            run.display()
        );
    }
    let saved = if run.is_dir() {
        run.join("report.json")
    } else {
        run.to_path_buf()
    };
    if run.is_dir() && !saved.exists() {
        return partial(run);
    }
    serde_json::from_slice(&read(&saved)?).with_context(|| {
        format!(
            "{}: expected a report that tagwise has written",
            saved.display()
        )
    })
}

/// The report of a run that is going on or was interrupted: what its epochs show.
fn partial(folder: &Path) -> anyhow::Result<Report> {
    let run = RunFolder::open(folder).map_err(|error| match error {
        tagwise_train::Error::NoRun { .. } => anyhow!(
            "{}: expected the folder of a run, with report.json or with config.toml and \
             metrics.jsonl, found neither",
            folder.display()
        ),
        other => other.into(),
    })?;
    let experiment = run.experiment()?;
    let records = run.records()?;
    let done = records.last().map_or(0, |record| record.epoch);
    Ok(Report {
        title: format!(
            "{}, seed {}",
            experiment.data.source.title(),
            experiment.seed
        ),
        subtitle: format!("The run in {}", folder.display()),
        summary: format!(
            "This run is not finished: {done} of {} epochs are done.",
            experiment.training.epochs
        ),
        cards: epochs::cards(&records),
        curves: epochs::curves(&records, &experiment.loss),
        configuration: epochs::settings(&experiment.to_toml())?,
        provenance: format!("tagwise {}", env!("CARGO_PKG_VERSION")),
        ..Report::default()
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

/// The tables of a comparison as lists of objects, keyed by the title of the table.
fn figures(page: &Path, tables: &[Table]) -> Value {
    let mut object = Map::new();
    object.insert("report".into(), json!(page.display().to_string()));
    for table in tables {
        let rows = table.rows.iter().map(|row| {
            let cells = table.columns.iter().zip(row);
            let pairs = cells.map(|(column, cell)| (column.name.clone(), json!(cell)));
            Value::Object(pairs.collect())
        });
        let key = table.title.to_lowercase().replace(' ', "_");
        object.insert(key, rows.collect());
    }
    Value::Object(object)
}

/// Columns of the terminal; no limit in a file or a pipe, where lines may be as long as they are.
fn width() -> usize {
    if !stdout().is_terminal() {
        return usize::MAX;
    }
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}
