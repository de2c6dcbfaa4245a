//! A report as a file, in the format that the name of the file asks for.

use std::io::Write;
use std::path::{Path, PathBuf};

use tagwise::file::write_atomically;

use crate::{Error, Report, Result, render, standalone_svg};

/// A file for a report, whose ending says what to write.
///
/// ```
/// use tagwise_report::{Page, Report};
///
/// let folder = std::env::temp_dir();
/// let page = Page::at(folder.join("empty-report.html"))?;
/// page.write(&Report::default())?;
/// assert!(std::fs::read_to_string(page.path())?.starts_with("<!doctype html>"));
/// std::fs::remove_file(page.path())?;
/// assert!(Page::at("report.pdf").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    path: PathBuf,
    format: PageFormat,
}

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFormat {
    /// The whole page: `.html`.
    Html,
    /// The data of the page, which [`Report`] reads again: `.json`.
    Json,
    /// The one picture that says most: `.svg`.
    Svg,
    /// Every number of the page, one a line: `.csv`.
    Csv,
}

impl Page {
    /// A file whose ending is one of `.html`, `.json`, `.svg` and `.csv`; nothing is written yet.
    ///
    /// # Errors
    /// [`Error::PageFormat`] for any other name.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let format = match ending {
            Some("html") => PageFormat::Html,
            Some("json") => PageFormat::Json,
            Some("svg") => PageFormat::Svg,
            Some("csv") => PageFormat::Csv,
            _ => return Err(Error::PageFormat(path)),
        };
        Ok(Self { path, format })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is written.
    pub fn format(&self) -> PageFormat {
        self.format
    }

    /// The content of the file.
    ///
    /// # Errors
    /// As [`render`]; [`Error::NoPicture`] when one picture is asked for and the report has none.
    pub fn content(&self, report: &Report) -> Result<String> {
        match self.format {
            PageFormat::Html => render(report),
            PageFormat::Json => report.to_json(),
            PageFormat::Svg => picture(report),
            PageFormat::Csv => Ok(report.csv()),
        }
    }

    /// Writes the report; the file is complete at any moment.
    ///
    /// # Errors
    /// As [`content`](Self::content), and when the file cannot be written.
    pub fn write(&self, report: &Report) -> Result<()> {
        let content = self.content(report)?;
        Ok(write_atomically(&self.path, |file| {
            file.write_all(content.as_bytes())
        })?)
    }
}

/// The plane of three classes, else the first heat map, else the first chart.
fn picture(report: &Report) -> Result<String> {
    let map = report.geometry.iter().flat_map(|geometry| &geometry.maps);
    let (title, svg) = match (&report.plane, map.clone().next(), report.curves.first()) {
        (Some(plane), _, _) => (&plane.title, plane.svg()),
        (None, Some(map), _) => (&map.title, map.svg(None)?),
        (None, None, Some(chart)) => (&chart.title, chart.svg()),
        (None, None, None) => return Err(Error::NoPicture),
    };
    Ok(standalone_svg(title, &svg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Chart};

    #[test]
    fn the_ending_decides_what_is_written() {
        let report = Report {
            title: "run".into(),
            curves: vec![Chart::new(
                "Loss",
                Axis::linear("epoch"),
                Axis::linear("loss"),
            )],
            ..Report::default()
        };
        let content = |name: &str| Page::at(name).unwrap().content(&report).unwrap();
        assert!(content("a.html").starts_with("<!doctype html>"));
        assert!(content("a.svg").starts_with("<svg xmlns=") && content("a.svg").contains("Loss"));
        assert_eq!(content("a.csv"), "figure,series,x,value\n");
        let read = Report::from_json(content("a.json").as_bytes()).unwrap();
        assert_eq!(read, report);
    }

    #[test]
    fn other_endings_are_refused_in_one_sentence() {
        for name in ["page.pdf", "page", "html", "page.html.gz"] {
            let refused = Page::at(name).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("{name}: expected a name that ends in .html, .svg, .csv or .json")
            );
        }
    }

    #[test]
    fn a_report_without_a_picture_says_so() {
        let page = Page::at("a.svg").unwrap();
        assert_eq!(
            page.content(&Report::default()).unwrap_err().to_string(),
            "expected a report with a picture to write as .svg, found only numbers; write it as .html"
        );
    }
}
