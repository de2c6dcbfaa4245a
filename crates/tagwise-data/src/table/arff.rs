//! Attribute-relation files (ARFF) with the labels among the attributes, read as Weka reads them.
//!
//! Numbers become one feature. A nominal attribute of two values becomes one feature of 0 and 1,
//! one of more values a feature of 0 and 1 for each (`name=value`). Rows may be dense or sparse
//! (`{3 1, 17 0.5}`), where what is left out is 0 or the first nominal value: with `{1,0}` a label
//! that is left out is on.
//!
//! Commas, blanks and tabs separate alike, so that values with blanks need quotes; one comma may
//! end a row; `%` outside quotes starts a comment. Weights (`{5}` behind a row) are read and noted,
//! not used. What Weka refuses is refused: values that are not declared or declared twice, quotes
//! that stay open, numbers of attributes that do not exist. Beyond Weka, an empty cell between two
//! commas is refused, which Weka passes over, and attributes of one name are read where no name
//! has to tell them apart.

mod columns;
mod header;
mod labels;
mod rows;
mod token;

use std::path::Path;

use rayon::prelude::*;
use tagwise_base::Targets;
use tagwise_base::words::counted;

use super::{Table, Unlabelled, input};
use crate::{Error, Result};
use columns::Columns;
use header::{Attribute, Header};
use rows::Builder;

/// Which attributes are labels.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Those that an XML file of Mulan names, in its order.
    MulanXml(&'a Path),
    /// As MEKA has it: the relation's name says `-C n`, the first n attributes, or the last n
    /// for `-C -n`.
    Meka,
    /// Those with these names.
    Named(&'a [&'a str]),
    /// No attribute: all rows are unlabelled.
    None,
}

/// Lines read by one task.
const PART_LEN: usize = 256;

/// Reads a table; the attributes named in `left_out` (identifiers such as genbase's `protein`)
/// become neither feature nor label.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed, for labels that are no attributes, for labels
/// that are missing (`?`) and for attributes of text or dates; [`Error::Io`] when a file cannot be
/// read.
pub fn read(path: &Path, labels: Labels<'_>, left_out: &[&str]) -> Result<Table> {
    read_with(path, labels, left_out, Unlabelled::Refuse)
}

/// As [`read`], with a word on rows whose labels are missing (`?`).
///
/// # Errors
/// As [`read`]; missing labels are an error only for [`Unlabelled::Refuse`].
pub fn read_with(
    path: &Path,
    labels: Labels<'_>,
    left_out: &[&str],
    unlabelled: Unlabelled,
) -> Result<Table> {
    let input::Text { text, mut notes } = input::read(path)?;
    let (header, start) = header::parse(&text).map_err(|error| error.at(path))?;
    let label_attributes = labels::find(path, &header, labels, unlabelled)?;
    let columns = Columns::new(path, &header.attributes, &label_attributes, left_out)?;
    let behind_data = std::iter::once((start.num_lines, start.first_row));
    let lines = text.lines().enumerate().skip(start.num_lines);
    let lines = behind_data.chain(lines.map(|(index, line)| (index + 1, line)));
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !is_blank(line)).collect();
    let new = || Builder::new(&header.attributes, &columns, unlabelled);
    let parts: Vec<Result<Builder<'_>, LineError>> = lines
        .par_chunks(PART_LEN)
        .map(|lines| {
            let mut part = new();
            for &(line, text) in lines {
                part.push(text).map_err(|what| LineError::new(line, what))?;
            }
            Ok(part)
        })
        .collect();
    let mut rows = new();
    for part in parts {
        rows.append(part.map_err(|error| error.at(path))?);
    }
    notes.extend(about(&header, &columns, &rows));
    let label_names = label_attributes
        .iter()
        .map(|&a| header.attributes[a].name.clone());
    let mut table = Table {
        label_names: Some(label_names.collect()),
        targets: Targets::new(label_attributes.len(), std::mem::take(&mut rows.sets))?,
        unlabelled: std::mem::take(&mut rows.unlabelled),
        features: rows.into_features(),
        feature_names: Some(columns.names),
        notes,
    };
    if label_attributes.is_empty() {
        table.unlabelled = (0..table.targets.len()).collect();
    }
    Ok(table)
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('%')
}

/// What a reader of the table may want to know.
fn about(header: &Header, columns: &Columns, rows: &Builder<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.num_weighted > 0 {
        notes.push(format!(
            "{} of {} {} a weight other than 1, which is not used",
            rows.num_weighted,
            counted(rows.sets.len(), "row"),
            if rows.num_weighted == 1 {
                "has"
            } else {
                "have"
            }
        ));
    }
    if header.num_weighted > 0 {
        notes.push(format!(
            "weights of attributes are not used ({} found)",
            header.num_weighted
        ));
    }
    let mut names: Vec<&str> = columns.names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    notes.extend(twice.map(|pair| format!("several features are called {:?}", pair[0])));
    notes
}

/// What is wrong with a line.
struct LineError {
    line: usize,
    what: String,
}

impl LineError {
    fn new(line: usize, what: String) -> Self {
        Self { line, what }
    }

    fn at(self, path: &Path) -> Error {
        Error::format(path, format!("line {}: {}", self.line, self.what))
    }
}

#[cfg(test)]
mod tests;
