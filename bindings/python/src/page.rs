//! Pages: what was measured or solved, ready to be drawn.

use std::path::PathBuf;

use pyo3::prelude::*;
use tagwise_report::{Report, render};

use crate::work::at_once;
use crate::{json, work};

/// A page as data.
#[pyclass(frozen, module = "tagwise._core")]
pub(crate) struct Page {
    pub(crate) report: Report,
}

#[pymethods]
impl Page {
    /// What `to_json` gave.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        at_once(|| {
            Ok(Self {
                report: json::read("page", text)?,
            })
        })
    }

    fn to_json(&self) -> PyResult<String> {
        at_once(|| json::write(&self.report))
    }

    /// The whole page, one file that needs no other.
    fn to_html(&self, py: Python<'_>) -> PyResult<String> {
        work::run(py, |_| Ok(render(&self.report)?))
    }

    /// Writes the page as .html, its data as .json, its numbers as .csv or its first picture as .svg.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        work::run(py, |_| {
            let page = tagwise_report::Page::at(path)?;
            Ok(page.write(&self.report)?)
        })
    }
}
