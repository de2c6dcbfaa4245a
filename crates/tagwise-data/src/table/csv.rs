//! Tables with a line of column names, between commas, semicolons, tabs or bars.
//!
//! Labels are columns of 0 and 1 (also `true`/`false`, `yes`/`no`), one for each class, or a single
//! column of lists: names or class numbers with `;` between them, empty for no label. All other
//! columns are features and hold numbers. The separator is the one that occurs most often in the
//! first line.

mod columns;
mod labels;

use std::borrow::Cow;
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::{Features, Table, TableOptions, Unlabelled, input};
use crate::{Error, Result};
use columns::{Columns, Role};
use labels::Found;

/// Reads a table with its labels in the columns that `options` names, or, where it names none, in
/// the one column called `labels`, `label`, `tags`, `classes`, `class`, `targets`, `target` or, where
/// there is no `x`, `y`.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed and for columns that do not exist,
/// [`Error::Io`] when the file cannot be read.
pub fn read(path: &Path, options: &TableOptions) -> Result<Table> {
    let input::Text { text, notes } = input::read(path)?;
    let mut table = parse(&text, options).map_err(|message| Error::format(path, message))?;
    table.notes.splice(0..0, notes);
    Ok(table)
}

fn parse(text: &str, options: &TableOptions) -> Result<Table, String> {
    let (separator, text) = &separated(text);
    let mut reader = ReaderBuilder::new()
        .delimiter(*separator)
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut notes = Vec::new();
    let header = reader.headers().map_err(|error| error.to_string())?;
    let columns = Columns::new(header, options, &mut notes)?;
    let mut rows = Rows::new(&columns, options.unlabelled, *separator);
    let mut record = StringRecord::new();
    let mut lines = Lines::new(text);
    while reader
        .read_record(&mut record)
        .map_err(|error| error.to_string())?
    {
        let line = lines.start_of(&record);
        rows.push(&record)
            .map_err(|what| format!("line {line}: {what}"))?;
    }
    rows.into_table(options, notes)
}

/// The separator of a table, and its text: spreadsheets may put a line `sep=;` on top, which becomes
/// an empty one, so that lines keep their numbers.
fn separated(text: &str) -> (u8, Cow<'_, str>) {
    if let Some(rest) = text.strip_prefix("sep=")
        && let Some(&separator @ (b',' | b';' | b'\t' | b'|')) = rest.as_bytes().first()
        && (rest.len() == 1 || rest[1..].starts_with(['\r', '\n']))
    {
        return (separator, Cow::Owned(rest[1..].to_string()));
    }
    (separator(first_line(text)), Cow::Borrowed(text))
}

/// The first line with anything on it.
pub(crate) fn first_line(text: &str) -> &str {
    let mut lines = text.lines();
    lines.find(|line| !line.trim().is_empty()).unwrap_or("")
}

/// The lines on which records start. The reader stands before the second byte of a line end and
/// before empty lines, and would name the lines of those.
pub(crate) struct Lines<'a> {
    text: &'a str,
    line: usize,
    counted: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            line: 1,
            counted: 0,
        }
    }

    /// The line of a record behind all that were asked for, from 1.
    pub(crate) fn start_of(&mut self, record: &StringRecord) -> usize {
        let stands_at = record.position().map_or(0, |place| place.byte() as usize);
        let rest = self.text.get(stands_at..).unwrap_or("");
        let start = self.text.len() - rest.trim_start_matches(['\r', '\n']).len();
        let passed = self.text.get(self.counted..start).unwrap_or("");
        self.line += passed.matches('\n').count();
        self.counted = start;
        self.line
    }
}

/// The separator that occurs most often outside quotes.
pub(crate) fn separator(line: &str) -> u8 {
    let mut counts = [(b',', 0), (b'\t', 0), (b';', 0), (b'|', 0)];
    let mut is_quoted = false;
    for byte in line.bytes() {
        is_quoted ^= byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(byte == *separator && !is_quoted);
        }
    }
    // The first of the largest: a comma where there is none at all.
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts[0].0
}

/// Takes row after row.
struct Rows<'a> {
    columns: &'a Columns,
    missing: Unlabelled,
    separator: u8,
    values: Vec<f64>,
    labels: Found,
    unlabelled: Vec<usize>,
    num_rows: usize,
    /// For each column whether it has counted the rows so far, and from where.
    counts_from: Vec<Option<f64>>,
}

impl<'a> Rows<'a> {
    fn new(columns: &'a Columns, missing: Unlabelled, separator: u8) -> Self {
        Self {
            columns,
            missing,
            separator,
            values: Vec::new(),
            labels: columns.labels(),
            unlabelled: Vec::new(),
            num_rows: 0,
            counts_from: vec![None; columns.roles.len()],
        }
    }

    fn push(&mut self, record: &StringRecord) -> Result<(), String> {
        let expected = self.columns.roles.len();
        if record.len() != expected {
            return Err(format!(
                "expected {expected} cells as there are column names, found {}",
                record.len()
            ));
        }
        let mut lacks_labels = self.columns.num_labels() == 0;
        for (column, (cell, role)) in record.iter().zip(&self.columns.roles).enumerate() {
            match role {
                Role::LeftOut => {}
                Role::Index => self.check_index(cell)?,
                Role::Feature => {
                    let value = self.number(column, cell)?;
                    self.count(column, value);
                    self.values.push(value);
                }
                Role::Label(_) | Role::List if is_missing(cell, *role) => {
                    self.refuse_missing(column, cell)?;
                    self.labels.put_list("")?;
                    lacks_labels = true;
                }
                Role::Label(label) => self.labels.put_flag(*label, cell).map_err(|what| {
                    format!(
                        "{what} in the label column {:?}",
                        self.columns.names[column]
                    )
                })?,
                Role::List => self.labels.put_list(cell)?,
            }
        }
        self.labels.end_row();
        if lacks_labels {
            self.unlabelled.push(self.num_rows);
        }
        self.num_rows += 1;
        Ok(())
    }

    fn number(&self, column: usize, cell: &str) -> Result<f64, String> {
        let number = match cell.to_ascii_lowercase().as_str() {
            "true" => Some(1.0),
            "false" => Some(0.0),
            _ => cell.parse().ok().filter(|value: &f64| value.is_finite()),
        };
        number.ok_or_else(|| {
            let remedy = match () {
                () if is_missing(cell, Role::Feature) => {
                    "fill it in or leave the column out (option leave-out)"
                }
                () if self.separator != b',' && cell.contains(',') => "write decimals with a point",
                () => "leave the column out (option leave-out) if it is no feature",
            };
            let name = &self.columns.names[column];
            format!("expected a finite number in column {name:?}, found {cell:?}; {remedy}")
        })
    }

    fn refuse_missing(&self, column: usize, cell: &str) -> Result<(), String> {
        match self.missing {
            Unlabelled::Keep => Ok(()),
            Unlabelled::Refuse => Err(format!(
                "expected labels in column {:?}, found {cell:?} (missing); rows without labels \
                 can be decoded, not learned from or judged",
                self.columns.names[column]
            )),
        }
    }

    /// A nameless first column is the index that pandas writes, if it counts the rows.
    fn check_index(&self, cell: &str) -> Result<(), String> {
        match cell.parse::<usize>() {
            Ok(number) if number == self.num_rows => Ok(()),
            _ => Err(format!(
                "expected the first column, which has no name, to count the rows from 0, found \
                 {cell:?}; give it a name"
            )),
        }
    }

    fn count(&mut self, column: usize, value: f64) {
        let start = match self.num_rows {
            0 => Some(value).filter(|&value| value == 0.0 || value == 1.0),
            row => self.counts_from[column].filter(|&start| value == start + row as f64),
        };
        self.counts_from[column] = start;
    }

    fn into_table(self, options: &TableOptions, mut notes: Vec<String>) -> Result<Table, String> {
        if self.num_rows == 0 {
            return Err("expected rows behind the column names, found none".into());
        }
        // Two rows count by chance.
        if self.num_rows > 2 {
            let counting = (0..)
                .zip(&self.counts_from)
                .filter(|(_, from)| from.is_some());
            notes.extend(counting.map(|(column, _): (usize, _)| {
                format!(
                    "column {:?} counts the rows; leave it out (option leave-out) if it is no feature",
                    self.columns.names[column]
                )
            }));
        }
        let (targets, label_names) = self.labels.finish(options, &mut notes)?;
        let feature_names = self.columns.feature_names();
        Ok(Table {
            features: Features::Dense {
                num_features: feature_names.len(),
                values: self.values,
            },
            feature_names: Some(feature_names),
            targets,
            unlabelled: self.unlabelled,
            label_names,
            notes,
        })
    }
}

/// Whether a cell says that its value is unknown; a list may be empty.
fn is_missing(cell: &str, role: Role) -> bool {
    let named = ["?", "na", "n/a", "nan", "null"];
    (cell.is_empty() && role != Role::List)
        || named.iter().any(|name| cell.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
