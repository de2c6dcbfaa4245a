//! Sparse text formats: `labels feature:value feature:value …`, one row a line.
//!
//! LIBSVM's own files number features from 1, scikit-learn's `dump_svmlight_file` from 0 unless
//! told otherwise; [`Indexing`] says how the two are told apart. `qid:…` tokens are passed over,
//! `#` starts a comment.

mod row;

use std::path::Path;

use tagwise_base::label::counted_from_one;
use tagwise_base::{LabelSet, Targets};

use super::{Features, SparseRows, Table, input};
use crate::{Error, Result};
use row::RowReader;

/// How many features and labels a table has where its file does not say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of features d; the largest that occurs when absent.
    pub num_features: Option<usize>,
    /// Number of classes K; one more than the largest label when absent.
    pub num_classes: Option<usize>,
}

/// From where a LIBSVM file numbers its features; labels are numbered from 0 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// From 0 when a feature 0 occurs or scikit-learn's comment says "zero-based", else from 1.
    ///
    /// A file numbered from 0 that happens to have no feature 0 looks as if numbered from 1, with
    /// every feature moved by one: say [`ZeroBased`](Self::ZeroBased) where that may be.
    #[default]
    Detect,
    /// From 0.
    ZeroBased,
    /// From 1.
    OneBased,
}

/// Features and labels may not be numbered higher: a slip of the pen should not fill the memory.
const MAX_NUMBER: usize = 1 << 28;

/// What a file of any length may have of features and labels. More than one for each of its bytes
/// is a slip of the pen, as most of them could not occur.
const MAX_OF_SHORT_FILES: usize = 1 << 22;

/// Reads a file of the Extreme Classification Repository: a line `N d K`, then rows whose labels
/// and features are numbered from 0. A row without labels starts with a space.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed, [`Error::Io`] when the file cannot be read.
pub fn read_xmc(path: &Path) -> Result<Table> {
    xmc(path, &input::read(path)?)
}

/// Reads a multi-label LIBSVM file: no header, features numbered from 1 or from 0, labels from 0.
/// Rows without labels start with a space or with their first feature. Blank lines are passed
/// over.
///
/// # Errors
/// As [`read_xmc`].
pub fn read_libsvm(path: &Path, size: Size, indexing: Indexing) -> Result<Table> {
    libsvm(path, &input::read(path)?, size, indexing)
}

/// Reads a file of either format: the Extreme Classification Repository's starts with a line of
/// three numbers, a LIBSVM file with a row or a comment. `size` and `indexing` concern the latter.
///
/// # Errors
/// As [`read_xmc`].
pub fn read(path: &Path, size: Size, indexing: Indexing) -> Result<Table> {
    let text = input::read(path)?;
    let first = text.text.lines().find(|line| !line.trim().is_empty());
    let first = first.unwrap_or("");
    let is_row = first
        .split_ascii_whitespace()
        .any(|word| word.contains(':'));
    if xmc_header(first).is_none() && (is_row || first.starts_with('#')) {
        let mut table = libsvm(path, &text, size, indexing)?;
        table.notes.push(
            "read as LIBSVM, as it does not start with the numbers of rows, features and labels"
                .into(),
        );
        return Ok(table);
    }
    xmc(path, &text)
}

/// Numbers of rows, features and labels.
fn xmc_header(line: &str) -> Option<[usize; 3]> {
    let words = line.split_ascii_whitespace();
    let sizes: Vec<usize> = words.map_while(|word| word.parse().ok()).collect();
    sizes.try_into().ok()
}

fn xmc(path: &Path, text: &input::Text) -> Result<Table> {
    let at_line = |line: usize, what: String| Error::format(path, format!("line {line}: {what}"));
    let header = text.text.lines().next().unwrap_or("");
    let Some([num_rows, num_features, num_classes]) = xmc_header(header) else {
        return Err(at_line(
            1,
            format!(
                "expected the numbers of rows, features and labels, found {:?}",
                shortened(header)
            ),
        ));
    };
    let num_bytes = text.text.len();
    for (what, number) in [("features", num_features), ("labels", num_classes)] {
        check_number(what, number, num_bytes).map_err(|what| at_line(1, what))?;
    }
    let mut rows = SparseRows::new(num_features);
    let mut sets = Vec::new();
    let mut reader = RowReader::default();
    for (index, line) in text.text.lines().enumerate().skip(1) {
        if line.trim().is_empty() && sets.len() == num_rows {
            continue;
        }
        let labels = reader
            .read(line, 0..num_features, num_classes)
            .map_err(|what| at_line(index + 1, what))?;
        rows.push(&reader.features);
        sets.push(labels);
    }
    if sets.len() != num_rows {
        return Err(Error::format(
            path,
            format!(
                "expected {num_rows} rows as line 1 says, found {}; the file is cut off or line 1 is wrong",
                sets.len()
            ),
        ));
    }
    table(rows, sets, num_classes, text.notes.clone())
}

/// Whether so many features or labels can be meant in a text of this length.
fn check_number(what: &str, number: usize, num_bytes: usize) -> Result<(), String> {
    let max = num_bytes.clamp(MAX_OF_SHORT_FILES, MAX_NUMBER);
    match number <= max {
        true => Ok(()),
        false => Err(format!(
            "expected at most {max} {what} in a file of {num_bytes} bytes, found {number}"
        )),
    }
}

fn libsvm(path: &Path, text: &input::Text, size: Size, indexing: Indexing) -> Result<Table> {
    let at_line = |line: usize, what: String| Error::format(path, format!("line {line}: {what}"));
    let mut notes = text.notes.clone();
    let mut base = Base::new(indexing);
    let mut rows = SparseRows::new(0);
    let mut sets = Vec::new();
    let mut reader = RowReader::default();
    let mut num_blank = 0;
    for (index, line) in text.text.lines().enumerate() {
        let (line, comment) = match line.split_once('#') {
            Some((line, comment)) => (line, Some(comment)),
            None => (line, None),
        };
        if line.trim().is_empty() {
            base.listen(comment.unwrap_or(""), index + 1);
            // scikit-learn writes a row of nothing as a line of one blank.
            num_blank += usize::from(comment.is_none() && !line.is_empty());
            continue;
        }
        let allowed = base.allowed(size.num_features.unwrap_or(MAX_NUMBER));
        let labels = reader
            .read(line, allowed, size.num_classes.unwrap_or(MAX_NUMBER))
            .map_err(|what| at_line(index + 1, what))?;
        base.see(&reader.features, index + 1);
        rows.push(&reader.features);
        sets.push(labels);
    }
    let first = base.decide(&mut notes);
    let num_features = base
        .shift(first, &mut rows, size.num_features)
        .map_err(|what| Error::format(path, what))?;
    let largest = sets.iter().filter_map(|set| set.labels().last()).max();
    let num_classes = largest.map_or(0, |&label| label as usize + 1);
    for (what, number, given) in [
        ("features", num_features, size.num_features),
        ("labels", num_classes, size.num_classes),
    ] {
        if given.is_none() {
            check_number(what, number, text.text.len())
                .map_err(|what| Error::format(path, what))?;
        }
    }
    rows.num_features = num_features;
    if num_blank > 0 {
        notes.push(format!(
            "blank lines are passed over ({num_blank} found); rows without labels and features \
             cannot be told from them"
        ));
    }
    let mut table = table(rows, sets, size.num_classes.unwrap_or(num_classes), notes)?;
    if size.num_classes.is_none() {
        let from_one = counted_from_one(&table.targets);
        table.notes.extend(from_one.map(str::to_string));
    }
    Ok(table)
}

/// From where the features of a file are numbered, as far as it is known.
struct Base {
    indexing: Indexing,
    /// The line that decided, if `indexing` was not given.
    comment_line: Option<usize>,
    /// The first line with a feature 0.
    zero_line: Option<usize>,
    /// The largest number of a feature, whether its value is 0 or not.
    largest: Option<u32>,
}

impl Base {
    fn new(indexing: Indexing) -> Self {
        Self {
            indexing,
            comment_line: None,
            zero_line: None,
            largest: None,
        }
    }

    /// Takes note of the features of a row, in rising order.
    fn see(&mut self, features: &[(u32, f64)], line: usize) {
        if let Some(&(0, _)) = features.first() {
            self.zero_line.get_or_insert(line);
        }
        self.largest = self.largest.max(features.last().map(|&(number, _)| number));
    }

    /// scikit-learn's files may say "# Column indices are zero-based".
    fn listen(&mut self, comment: &str, line: usize) {
        if self.indexing != Indexing::Detect || self.zero_line.is_some() {
            return;
        }
        let Some((_, said)) = comment.split_once("Column indices are ") else {
            return;
        };
        self.indexing = match said.trim() {
            "zero-based" => Indexing::ZeroBased,
            "one-based" => Indexing::OneBased,
            _ => return,
        };
        self.comment_line = Some(line);
    }

    /// The numbers that features may have.
    fn allowed(&self, num_features: usize) -> std::ops::Range<usize> {
        match self.indexing {
            Indexing::Detect => 0..num_features.saturating_add(1),
            Indexing::ZeroBased => 0..num_features,
            Indexing::OneBased => 1..num_features.saturating_add(1),
        }
    }

    /// The number of the first feature; says why where the file decides for 0.
    fn decide(&self, notes: &mut Vec<String>) -> u32 {
        let reason = match (self.indexing, self.comment_line, self.zero_line) {
            (Indexing::OneBased, _, _) | (Indexing::Detect, _, None) => return 1,
            (Indexing::ZeroBased, None, _) => return 0,
            (Indexing::ZeroBased, Some(line), _) => format!("as line {line} says"),
            (Indexing::Detect, _, Some(line)) => format!("as a feature 0 in line {line} shows"),
        };
        notes.push(format!("features are numbered from 0, {reason}"));
        0
    }

    /// Numbers the columns from 0; returns the number of features.
    fn shift(
        &self,
        first: u32,
        rows: &mut SparseRows,
        num_features: Option<usize>,
    ) -> Result<usize, String> {
        for column in &mut rows.columns {
            *column -= first;
        }
        let found = self
            .largest
            .map_or(0, |largest| (largest + 1 - first) as usize);
        match num_features {
            // Both 0 and d occur, which only shows at the end.
            Some(expected) if found > expected => Err(format!(
                "expected features from 0 to {}, found {}; a feature 0 says that they are numbered \
                 from 0",
                expected.saturating_sub(1),
                found - 1
            )),
            given => Ok(given.unwrap_or(found)),
        }
    }
}

fn table(
    rows: SparseRows,
    sets: Vec<LabelSet>,
    num_classes: usize,
    notes: Vec<String>,
) -> Result<Table> {
    Ok(Table {
        feature_names: None,
        label_names: None,
        targets: Targets::new(num_classes, sets)?,
        unlabelled: Vec::new(),
        features: Features::Sparse(rows),
        notes,
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
