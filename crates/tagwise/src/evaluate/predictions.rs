//! Decoded label sets as the files of a decoder hold them.

use std::path::Path;

use crate::names::{LabelNames, csv_cells};
use crate::{Error, LabelSet, Result, Targets};

/// Label sets in CSV: the columns `sample`, in order from 0, and `labels` (names) or `label_ids`
/// (numbers); `probability` and `abstained` where there are such columns; others are passed over.
///
/// ```
/// use tagwise::evaluate::Predictions;
/// use tagwise::names::LabelNames;
///
/// let predictions = Predictions::parse("sample,label_ids,score\n0,0;2,0.9\n1,,0.1\n")?;
/// assert!(!predictions.has_names());
/// let targets = predictions.targets(&LabelNames::default(), 3)?;
/// assert_eq!(targets.set(0).labels(), [0, 2]);
/// assert!(targets.set(1).is_empty());
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    has_names: bool,
    /// The labels of each sample, as they are written.
    cells: Vec<String>,
    /// The line of each sample, from 1.
    lines: Vec<usize>,
    probabilities: Vec<f64>,
    /// Samples whose answer is marked.
    abstained: Vec<usize>,
}

impl Predictions {
    /// Reads a CSV file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] as for
    /// [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::file::read(path)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::Malformed("expected text in UTF-8, found other bytes".into()));
        text.and_then(|text| Self::parse(&text))
            .map_err(|error| error.in_file(path))
    }

    /// Whether a line is the header of such a file, its columns separated by commas or tabs.
    pub fn is_header(line: &str) -> bool {
        names_in(&cells(line)).is_some()
    }

    /// Reads the text of a CSV file. A byte-order mark and empty lines are passed over.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another header, [`Error::Line`] for samples that are not in order.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        let lines = (1..).zip(text.lines());
        let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
        let (_, header) = lines.next().unwrap_or_default();
        let Some(has_names) = names_in(&cells(header)) else {
            return Err(Error::Malformed(format!(
                "expected a header that starts with sample,labels or sample,label_ids, as \
                 tagwise decode writes, found {header:?}"
            )));
        };
        let header = cells(header);
        let column = |name: &str| header.iter().position(|cell| cell.trim() == name);
        let (probability, abstained) = (column("probability"), column("abstained"));
        let mut found = Self {
            has_names,
            cells: Vec::new(),
            lines: Vec::new(),
            probabilities: Vec::new(),
            abstained: Vec::new(),
        };
        for (row, (line, text)) in lines.enumerate() {
            let cells = cells(text);
            let cell = |column: usize| cells.get(column).map_or("", String::as_str);
            let sample = cell(0);
            if sample != row.to_string() {
                let message = format!("expected sample {row}, found {sample:?}");
                return Err(at_line(line, message));
            }
            found.cells.push(cell(1).into());
            found.lines.push(line);
            if let Some(column) = probability {
                let probability = read_probability(cell(column), line)?;
                found.probabilities.push(probability);
            }
            if abstained.is_some_and(|column| cell(column) == "true") {
                found.abstained.push(row);
            }
        }
        Ok(found)
    }

    /// The probability of each answer; none where the file does not say.
    pub fn probabilities(&self) -> Option<&[f64]> {
        let has_some = self.probabilities.len() == self.cells.len() && !self.cells.is_empty();
        has_some.then_some(&self.probabilities)
    }

    /// The samples whose answer is marked as less probable than was asked for.
    pub fn abstained(&self) -> &[usize] {
        &self.abstained
    }

    /// Whether labels are names, which [`targets`](Self::targets) must know.
    pub fn has_names(&self) -> bool {
        self.has_names
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The label sets, of K classes.
    ///
    /// # Errors
    /// [`Error::Missing`] when labels are names and these are not known; [`Error::Line`] for a
    /// label that is none, [`Error::LabelOutOfRange`] for one that is not below K.
    pub fn targets(&self, names: &LabelNames, num_classes: usize) -> Result<Targets> {
        if self.has_names && !names.is_known() {
            return Err(Error::Missing {
                what: "what labels are called",
                purpose: "reading label sets of names",
            });
        }
        let numbers = LabelNames::default();
        let names = if self.has_names { names } else { &numbers };
        let sets = self.cells.iter().zip(&self.lines).map(|(cell, &line)| {
            let set = names.set(cell);
            set.map_err(|error| at_line(line, error.to_string()))
        });
        let sets: Vec<LabelSet> = sets.collect::<Result<_>>()?;
        Targets::new(num_classes, sets)
    }
}

/// The cells of a line with commas or tabs between them.
fn cells(line: &str) -> Vec<String> {
    match line.contains('\t') && !line.contains(',') {
        true => line.split('\t').map(str::to_string).collect(),
        false => csv_cells(line),
    }
}

/// Whether labels are names by this header; none where it is another.
fn names_in(header: &[String]) -> Option<bool> {
    let columns = [0, 1].map(|column| header.get(column).map_or("", |cell| cell.trim()));
    match columns {
        ["sample", "labels"] => Some(true),
        ["sample", "label_ids"] => Some(false),
        _ => None,
    }
}

fn read_probability(cell: &str, line: usize) -> Result<f64> {
    match cell.parse::<f64>() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err(at_line(
            line,
            format!("expected a probability from 0 to 1, found {cell:?}"),
        )),
    }
}

fn at_line(line: usize, message: String) -> Error {
    Error::Line {
        path: None,
        line,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_no_predictions_are_refused() {
        let parse = |text: &str| Predictions::parse(text).unwrap_err();
        insta::assert_snapshot!(parse(""), @r#"expected a header that starts with sample,labels or sample,label_ids, as tagwise decode writes, found """#);
        insta::assert_snapshot!(parse("sample,labels\n1,sea\n"), @r#"line 2: expected sample 0, found "1""#);
        let named = Predictions::parse("\u{feff}sample,labels\n0,sea\n\n").unwrap();
        insta::assert_snapshot!(named.targets(&LabelNames::default(), 2).unwrap_err(), @"reading label sets of names needs what labels are called, found none");
        let names = LabelNames::new(Some(vec!["sky".into(), "land".into()]));
        insta::assert_snapshot!(named.targets(&names, 2).unwrap_err(), @r#"line 2: expected one of the 2 label names (sky, land), found "sea""#);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(
            Predictions::read(&path),
            Err(Error::Format { .. })
        ));
    }
}
