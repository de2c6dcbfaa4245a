//! The report of a finished run, in its folder and on stdout.

use anyhow::Context;
use tagwise_report::build::{RunResults, run, run_text};
use tagwise_report::render;
use tagwise_train::{Finished, Summary};

/// Tables are laid out for this width, on a terminal and in a file.
const WIDTH: usize = 100;

/// Writes `report.html` and, for comparisons of several runs, the same as `report.json`.
pub fn write(finished: &Finished) -> anyhow::Result<()> {
    let results = RunResults::new(finished, finished.data.class_names());
    let report = run(&results).context("the report cannot be drawn")?;
    let html = render(&report).context("the report cannot be drawn")?;
    finished.folder.write("report.html", html.as_bytes())?;
    finished
        .folder
        .write("report.json", &serde_json::to_vec(&report)?)?;
    Ok(())
}

/// The final tables, and where the report is.
pub fn text(summary: &Summary) -> String {
    format!(
        "{}report: {}\n",
        run_text(summary, WIDTH),
        summary.folder.join("report.html").display()
    )
}
