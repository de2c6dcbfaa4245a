//! A column of one file or of several, decoded block by block.

use std::path::PathBuf;

use parquet::file::reader::FileReader;

use super::column::Column;
use super::lists::{ColumnValue, Lists};
use super::{damaged, open};
use crate::features::FeatureRows;
use crate::label::{LabelLists, TargetsBuilder, number_of_classes};
use crate::tensors::Element;
use crate::{Error, LabelSet, Result, Targets};

/// Numbers in a block of rows that is shown at once: 16 MiB of f32.
const BLOCK_NUMBERS: usize = 1 << 22;

/// Numbers decoded at once, with their levels.
const BATCH_NUMBERS: usize = 1 << 17;

/// A column of one file.
#[derive(Clone, Debug)]
pub(in super::super) struct TableFile {
    pub(super) path: PathBuf,
    pub(super) column: Column,
    pub(super) num_rows: usize,
}

/// Rows of equal length, `[N, d]`, that stay in their files.
#[derive(Clone, Debug)]
pub(in super::super) struct TableColumn {
    files: Vec<TableFile>,
    num_rows: usize,
    width: usize,
}

impl TableColumn {
    /// Learns the length of the rows from the first one. Row groups with another count of numbers
    /// than rows of that length are read once, to name the row.
    pub(super) fn new(files: Vec<TableFile>) -> Result<Self> {
        let mut table = Self {
            num_rows: files.iter().map(|file| file.num_rows).sum(),
            width: 0,
            files,
        };
        let mut width = None;
        for file in &table.files {
            if width.is_none() {
                for_each_batch::<f64>(file, 1, &mut |_, lists| {
                    width = lists.lengths().first().copied();
                    Ok(Go::Stop)
                })?;
            }
        }
        table.width = width.unwrap_or(0);
        for file in &table.files {
            if !table.counts_fit(file)? {
                table.visit_file::<f64>(file, &mut |_, _| Ok(()))?;
            }
        }
        Ok(table)
    }

    /// Whether the footer of a file counts as many numbers as its rows have, and no null.
    fn counts_fit(&self, file: &TableFile) -> Result<bool> {
        let reader = open(&file.path)?;
        let mut groups = reader.metadata().row_groups().iter();
        Ok(groups.all(|group| {
            let chunk = group.column(file.column.index);
            let nulls = chunk
                .statistics()
                .and_then(|counts| counts.null_count_opt());
            let expected = i64::try_from(self.width)
                .ok()
                .and_then(|width| width.checked_mul(group.num_rows()));
            expected == Some(chunk.num_values()) && nulls.unwrap_or(0) == 0
        }))
    }

    pub(in super::super) fn name(&self) -> &str {
        self.files.first().map_or("", |file| &file.column.name)
    }

    pub(in super::super) fn element(&self) -> Element {
        let first = self.files.first();
        first.map_or(Element::F32, |file| file.column.element())
    }

    pub(in super::super) fn shape(&self) -> [usize; 2] {
        [self.num_rows, self.width]
    }

    /// Shows all rows in order, f64 as it is and everything else as f32, with the number of the
    /// first row of each block.
    pub(in super::super) fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.element() {
            Element::F64 => {
                self.blocks::<f64>(&mut |first, rows| visit(first, FeatureRows::F64(rows)))
            }
            _ => self.blocks::<f32>(&mut |first, rows| visit(first, FeatureRows::F32(rows))),
        }
    }

    /// Blocks that are full but the last, across row groups and files.
    fn blocks<N: ColumnValue>(
        &self,
        visit: &mut dyn FnMut(usize, &[N]) -> Result<()>,
    ) -> Result<()> {
        let full = (BLOCK_NUMBERS / self.width.max(1)).max(1) * self.width;
        // Batches may end beyond a full block.
        let room = self
            .num_rows
            .saturating_mul(self.width)
            .min(full + BATCH_NUMBERS);
        let mut block: Vec<N> = Vec::with_capacity(room);
        let mut shown = 0;
        for file in &self.files {
            self.visit_file::<N>(file, &mut |_, lists| {
                lists.append_to(&mut block);
                if block.len() >= full {
                    visit(shown, &block)?;
                    shown += block.len() / self.width.max(1);
                    block.clear();
                }
                Ok(())
            })?;
        }
        match block.is_empty() {
            true => Ok(()),
            false => visit(shown, &block),
        }
    }

    /// Every batch of a file, its rows known to have the right length.
    fn visit_file<N: ColumnValue>(
        &self,
        file: &TableFile,
        visit: &mut dyn FnMut(usize, &dyn Lists<N>) -> Result<()>,
    ) -> Result<()> {
        let max_rows = (BATCH_NUMBERS / self.width.max(1)).max(1);
        for_each_batch::<N>(file, max_rows, &mut |first, lists| {
            let mut lengths = lists.lengths().iter();
            if let Some(row) = lengths.position(|&length| length != self.width) {
                return Err(wrong(
                    file,
                    format!(
                        "expected {} numbers in every row of `{}`, as in the first, found {} in row {}",
                        self.width,
                        file.column.name,
                        lists.lengths()[row],
                        first + row
                    ),
                ));
            }
            visit(first, lists)?;
            Ok(Go::On)
        })
    }

    /// Decodes every row once: nothing else in the files vouches for the number of rows.
    pub(in super::super) fn check_rows(&self) -> Result<()> {
        let mut files = self.files.iter();
        files.try_for_each(|file| self.visit_file::<f64>(file, &mut |_, _| Ok(())))
    }

    /// The label sets of rows of one class number.
    pub(in super::super) fn class_targets(&self, stated: Option<usize>) -> Result<Targets> {
        let mut classes = Vec::new();
        let targets = self.sets(|name, values, row| {
            let class = class_number(name, values[0], row)?;
            classes.push(class);
            Ok(LabelSet::new([class]))
        })?;
        targets.finish(Some(number_of_classes(&classes, stated)?))
    }

    /// The label sets of multi-hot rows `[N, K]`.
    pub(in super::super) fn multi_hot_targets(&self) -> Result<Targets> {
        self.sets(multi_hot)?.finish(Some(self.width))
    }

    /// The label sets of all rows; `set` is given the name of the column, a row and its number.
    fn sets(
        &self,
        mut set: impl FnMut(&str, &[f64], usize) -> Result<LabelSet, String>,
    ) -> Result<TargetsBuilder> {
        let mut builder = TargetsBuilder::new();
        let mut numbers = Vec::new();
        for file in &self.files {
            self.visit_file::<f64>(file, &mut |first, lists| {
                numbers.clear();
                lists.append_to(&mut numbers);
                for (row, values) in numbers.chunks_exact(self.width.max(1)).enumerate() {
                    let set = set(&file.column.name, values, first + row);
                    builder.push(set.map_err(|message| wrong(file, message))?);
                }
                Ok(())
            })?;
        }
        Ok(builder)
    }
}

/// Texts, single or in lists, that stay in their files.
#[derive(Clone, Debug)]
pub(in super::super) struct TextColumn {
    files: Vec<TableFile>,
}

impl TextColumn {
    pub(super) fn new(files: Vec<TableFile>) -> Self {
        Self { files }
    }

    pub(in super::super) fn name(&self) -> &str {
        self.files.first().map_or("", |file| &file.column.name)
    }

    /// The labels of all rows; several in one text have `;` between them.
    pub(in super::super) fn labels(&self) -> Result<LabelLists> {
        let mut lists = LabelLists::default();
        let mut texts: Vec<String> = Vec::new();
        for file in &self.files {
            for_each_batch::<String>(file, BATCH_NUMBERS / 8, &mut |_, rows| {
                texts.clear();
                rows.append_to(&mut texts);
                if !file.column.is_list {
                    texts.iter().try_for_each(|text| lists.push(text))?;
                    return Ok(Go::On);
                }
                let mut rest = texts.iter().map(String::as_str);
                for &length in rows.lengths() {
                    lists.push_names(rest.by_ref().take(length));
                }
                Ok(Go::On)
            })?;
        }
        Ok(lists)
    }
}

/// Label sets from lists of class numbers.
pub(super) fn label_sets(files: &[TableFile]) -> Result<TargetsBuilder> {
    let mut builder = TargetsBuilder::new();
    let mut numbers = Vec::new();
    for file in files {
        for_each_batch::<f64>(file, BATCH_NUMBERS / 8, &mut |first, lists| {
            numbers.clear();
            lists.append_to(&mut numbers);
            let mut rest = numbers.as_slice();
            for (row, &length) in lists.lengths().iter().enumerate() {
                let (own, others) = rest.split_at(length.min(rest.len()));
                rest = others;
                let labels = own
                    .iter()
                    .map(|&value| class_number(&file.column.name, value, first + row));
                let labels = labels.collect::<Result<Vec<u32>, _>>();
                builder.push(LabelSet::new(
                    labels.map_err(|message| wrong(file, message))?,
                ));
            }
            Ok(Go::On)
        })?;
    }
    Ok(builder)
}

fn class_number(name: &str, value: f64, row: usize) -> Result<u32, String> {
    if value >= 0.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0 {
        return Ok(value as u32);
    }
    Err(format!(
        "expected `{name}` of whole numbers from 0, found {value} in row {row}"
    ))
}

fn multi_hot(name: &str, values: &[f64], row: usize) -> Result<LabelSet, String> {
    let wrong = values
        .iter()
        .position(|&value| value != 0.0 && value != 1.0);
    if let Some(column) = wrong {
        return Err(format!(
            "expected `{name}` of 0 and 1, found {} at row {row}, column {column}",
            values[column]
        ));
    }
    let on = (0u32..).zip(values).filter(|(_, value)| **value == 1.0);
    Ok(on.map(|(label, _)| label).collect())
}

/// Whether more is wanted.
enum Go {
    On,
    Stop,
}

/// Decodes a file from its first row to its last, a batch at a time, with the number of the batch's
/// first row in the file.
fn for_each_batch<N: ColumnValue>(
    file: &TableFile,
    max_rows: usize,
    visit: &mut dyn FnMut(usize, &dyn Lists<N>) -> Result<Go>,
) -> Result<()> {
    let reader = open(&file.path)?;
    let mut first = 0;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index);
        let group = group.map_err(|error| wrong(file, damaged(&error)))?;
        let expected = group.metadata().num_rows() as usize; // the footer was checked
        let column = group.get_column_reader(file.column.index);
        let column = column.map_err(|error| wrong(file, damaged(&error)))?;
        let lists = N::lists(column, &file.column, first);
        let mut lists = lists.ok_or_else(|| {
            let name = &file.column.name;
            wrong(
                file,
                format!("expected `{name}` of numbers, found a column of another kind"),
            )
        })?;
        let mut found = 0;
        while found < expected {
            let rows = lists.read(max_rows.min(expected - found));
            let rows = rows.map_err(|message| wrong(file, message))?;
            if rows == 0 {
                break;
            }
            if let Go::Stop = visit(first + found, lists.as_ref())? {
                return Ok(());
            }
            found += rows;
        }
        if found != expected {
            let name = &file.column.name;
            return Err(wrong(
                file,
                format!("expected {expected} rows of `{name}` in row group {index}, found {found}"),
            ));
        }
        first += found;
    }
    Ok(())
}

fn wrong(file: &TableFile, message: String) -> Error {
    Error::Format {
        path: file.path.clone(),
        message,
    }
}
