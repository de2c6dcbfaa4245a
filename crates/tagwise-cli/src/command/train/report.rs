//! The report of a finished run, in its folder and on stdout.

use anyhow::Context;
use tagwise_report::build::{RunResults, run, run_text};
use tagwise_report::render;
use tagwise_train::{Finished, Summary};

use crate::terminal::columns;

/// Tables in a file or a pipe are laid out for this width.
const WIDTH: usize = 100;

/// Writes `report.html` and, for comparisons of several runs, the same as `report.json`.
pub fn write(finished: &Finished) -> anyhow::Result<()> {
    let results = RunResults::new(finished, finished.data.class_names());
    let report = run(&results).context("the report cannot be drawn")?;
    let html = render(&report).context("the report cannot be drawn")?;
    if let Some(folder) = &finished.folder {
        folder.write("report.html", html.as_bytes())?;
        folder.write("report.json", report.to_json()?.as_bytes())?;
    }
    Ok(())
}

/// The final tables, and where the report is.
pub fn text(summary: &Summary) -> String {
    let report = summary.folder.as_ref().map_or_else(String::new, |folder| {
        format!("report: {}\n", folder.join("report.html").display())
    });
    run_text(summary, columns(WIDTH)) + &report
}
