//! Predictions as a table with a column of 0 and 1 for each class.

use csv::{ReaderBuilder, StringRecord, Trim};
use tagwise_base::label::ClassNames;
use tagwise_base::{Error, LabelSet, Result, Targets};

use super::Labels;
use crate::table::csv::{Lines, first_line, separator};
use crate::table::flag;

/// Columns that number the rows.
const INDEX_NAMES: [&str; 5] = ["", "sample", "index", "id", "Unnamed: 0"];

/// Reads the table; without a line of names the columns are the classes in their order.
pub(super) fn read(truth: &Labels, text: &str, notes: &mut Vec<String>) -> Result<Targets> {
    let records = records(text)?;
    let num_classes = truth.targets.num_classes();
    let Some((_, first)) = records.first() else {
        return Err(Error::Malformed(
            "expected predictions, found an empty file".into(),
        ));
    };
    let names_columns = names_columns(first, records.len(), truth.targets.len());
    let (header, rows) = match names_columns {
        true => (Some(first), &records[1..]),
        false => (None, &records[..]),
    };
    let has_index = header
        .is_some_and(|header| header.len() == num_classes + 1 && INDEX_NAMES.contains(&&header[0]));
    let skipped = usize::from(has_index);
    if first.len() != num_classes + skipped {
        return Err(Error::Malformed(format!(
            "expected the columns sample and labels or label_ids, or a column of 0 and 1 for each \
             of the {num_classes} classes; found {} columns",
            first.len()
        )));
    }
    let mut sets = Vec::with_capacity(rows.len());
    for (line, record) in rows {
        let set = row(record, first.len(), skipped);
        sets.push(set.map_err(|message| Error::Line {
            path: None,
            line: *line,
            message,
        })?);
    }
    let targets = Targets::new(num_classes, sets)?;
    match header {
        Some(header) => named(header.iter().skip(skipped), truth, targets, notes),
        None => {
            notes.push("without names, the columns are the classes in their order".into());
            Ok(targets)
        }
    }
}

/// Every line that is not empty, with its number.
fn records(text: &str) -> Result<Vec<(usize, StringRecord)>> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator(first_line(text)))
        .has_headers(false)
        .trim(Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = Lines::new(text);
    let mut records = Vec::new();
    let mut record = StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|error| Error::Malformed(error.to_string()))?
    {
        let line = lines.start_of(&record);
        // A line of blanks is one empty cell.
        if record.iter().any(|cell| !cell.is_empty()) {
            records.push((line, record.clone()));
        }
    }
    Ok(records)
}

/// Whether the first line names the columns: its cells are not 0 and 1, or there is a line more
/// than samples and they count the columns.
fn names_columns(first: &StringRecord, num_lines: usize, num_samples: usize) -> bool {
    let is_data = first.iter().all(|cell| flag(cell).is_some());
    let counts = || {
        first
            .iter()
            .enumerate()
            .all(|(column, cell)| cell == column.to_string())
    };
    !is_data || (num_lines == num_samples + 1 && counts())
}

fn row(record: &StringRecord, expected: usize, skipped: usize) -> Result<LabelSet, String> {
    if record.len() != expected {
        return Err(format!("expected {expected} cells, found {}", record.len()));
    }
    let on =
        record
            .iter()
            .enumerate()
            .skip(skipped)
            .map(|(column, cell)| {
                flag(cell).ok_or_else(|| {
            let column = column + 1;
            format!("expected 0 or 1 in column {column}, found {cell:?}; scores need a threshold")
        })
            });
    let on: Vec<bool> = on.collect::<Result<_, String>>()?;
    Ok(LabelSet::from_multi_hot(&on))
}

/// The label sets with their classes in the order of the truth.
fn named<'a>(
    header: impl Iterator<Item = &'a str>,
    truth: &Labels,
    targets: Targets,
    notes: &mut Vec<String>,
) -> Result<Targets> {
    let num_classes = targets.num_classes();
    let columns: Vec<String> = header.map(str::to_string).collect();
    let numbers: Vec<String> = (0..num_classes).map(|class| class.to_string()).collect();
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let known = match &truth.names {
        Some(names) if sorted(names) == sorted(&columns) => names,
        _ if sorted(&numbers) == sorted(&columns) => &numbers,
        Some(names) => {
            let unknown = columns.iter().find(|column| !names.contains(column));
            return Err(Error::Malformed(format!(
                "expected a column for each class of the truth, found {:?}, which is none, or one \
                 twice",
                unknown.unwrap_or(&columns[0])
            )));
        }
        None => {
            notes.push(
                "the truth has no names of classes; the columns are its classes in their order"
                    .into(),
            );
            return Ok(targets);
        }
    };
    Ok(ClassNames::settle(num_classes, Some(&columns), Some(known))?.apply(targets))
}
