//! From results to pages: what the program, Python and a live page show of a run, an analysis, a
//! solved unconstrained feature model and a comparison.
//!
//! Each builder makes a [`Report`](crate::Report), plain data that [`render`](crate::render) draws
//! and [`Page`](crate::Page) writes; the `_text` functions make of the same tables what a terminal
//! shows. Nothing here reads a file or knows a command.

mod analysis;
mod classes;
mod comparison;
#[cfg(feature = "train")]
mod epochs;
#[cfg(feature = "train")]
mod run;
mod ufm;

use tagwise::collapse::CollapseReport;

pub use analysis::{
    Analysis, AnalysisFigures, analyses, analyses_text, analysis, analysis_text, collapse_tables,
};
#[cfg(feature = "train")]
pub use classes::class_plane;
pub use classes::{class_geometry, predicted_geometry};
pub use comparison::{comparison, figures};
#[cfg(feature = "train")]
pub use run::{RunResults, read_report, run, run_in_folder, run_tables, run_text, unfinished_run};
pub use ufm::{ufm, ufm_text};

/// The version that drew a page.
fn provenance() -> String {
    format!("tagwise {}", env!("CARGO_PKG_VERSION"))
}

/// The notes of a measurement as sentences.
fn notes(report: &CollapseReport) -> Vec<String> {
    report.notes.iter().map(|note| sentence(note)).collect()
}

/// A note with a capital letter and a full stop.
fn sentence(note: &str) -> String {
    let mut letters = note.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let note: String = first.chain(letters).collect();
    match note.ends_with(['.', '!', '?']) {
        true => note,
        false => note + ".",
    }
}

/// Rows of a matrix as vectors.
fn rows(matrix: faer::MatRef<'_, f64>) -> Vec<Vec<f64>> {
    (0..matrix.nrows())
        .map(|row| {
            (0..matrix.ncols())
                .map(|column| matrix[(row, column)])
                .collect()
        })
        .collect()
}
