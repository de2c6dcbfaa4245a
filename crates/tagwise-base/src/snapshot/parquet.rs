//! Features and labels in Parquet: columns of lists, one row per sample.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::{LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, FixedLenByteArray};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::array::Stored;
use super::mapped::Part;
use crate::tensors::Element;
use crate::{Error, Result};

/// The key of the file's metadata that may state the number of classes.
const NUM_CLASSES: &str = "num_classes";

/// Reads one file, or several whose rows follow each other, into memory.
pub(super) fn load(paths: &[PathBuf]) -> Result<Vec<Stored>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut num_classes: Option<u64> = None;
    for (position, path) in paths.iter().enumerate() {
        let with_path = |message: String| Error::Format {
            path: path.clone(),
            message,
        };
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let part = Contents::read(file).map_err(with_path)?;
        if position == 0 {
            (columns, num_classes) = (part.columns, part.num_classes);
            continue;
        }
        let agree = part.num_classes == num_classes
            && part.columns.len() == columns.len()
            && columns.iter().zip(&part.columns).all(|(a, b)| a.fits(b));
        if !agree {
            return Err(with_path(format!(
                "expected the columns, their types and the number of classes of {}",
                paths[0].display()
            )));
        }
        for (whole, part) in columns.iter_mut().zip(part.columns) {
            whole.append(part);
        }
    }
    let with_path = |message: String| Error::Format {
        path: paths.first().cloned().unwrap_or_default(),
        message,
    };
    let mut arrays = Vec::new();
    for column in columns {
        match column.name.as_str() {
            "labels" => arrays.extend(column.into_ragged()),
            _ => arrays.push(column.into_matrix().map_err(with_path)?),
        }
    }
    if let Some(num_classes) = num_classes {
        let bytes = num_classes.to_le_bytes().to_vec();
        arrays.push(stored(NUM_CLASSES, Element::U64, vec![1], bytes));
    }
    Ok(arrays)
}

/// The files that a pattern with `*`, `?` or `[...]` names, in the order of their names.
pub(super) fn files_like(pattern: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |message: String| Error::Format {
        path: pattern.to_path_buf(),
        message,
    };
    let text = pattern
        .to_str()
        .ok_or_else(|| wrong("expected a pattern in UTF-8".into()))?;
    let matches = glob::glob(text).map_err(|error| {
        wrong(format!(
            "expected a pattern of file names, found an error in it ({error})"
        ))
    })?;
    let paths: Vec<PathBuf> = matches.filter_map(std::result::Result::ok).collect();
    if paths.is_empty() {
        return Err(wrong("no file has a name like this".into()));
    }
    Ok(paths)
}

/// What one file holds.
struct Contents {
    columns: Vec<Column>,
    num_classes: Option<u64>,
}

impl Contents {
    fn read(file: File) -> Result<Self, String> {
        let damaged = |error: parquet::errors::ParquetError| {
            format!("expected a Parquet file, found something else or only a part of one ({error})")
        };
        let reader = SerializedFileReader::new(file).map_err(damaged)?;
        let metadata = reader.metadata().file_metadata();
        let stated = metadata
            .key_value_metadata()
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == NUM_CLASSES))
            .and_then(|pair| pair.value.as_deref());
        let num_classes = match stated {
            Some(text) => Some(text.parse().map_err(|_| {
                format!(
                    "expected a whole number as `{NUM_CLASSES}` in the metadata, found {text:?}"
                )
            })?),
            None => None,
        };
        let leaves = metadata.schema_descr().columns();
        let mut columns = leaves
            .iter()
            .map(|leaf| Column::new(leaf))
            .collect::<Result<Vec<_>, _>>()?;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(damaged)?;
            let num_rows = group.metadata().num_rows() as usize;
            for (index, column) in columns.iter_mut().enumerate() {
                let values = group.get_column_reader(index).map_err(damaged)?;
                column.read(values, &leaves[index], num_rows)?;
            }
        }
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            columns,
            num_classes,
        })
    }
}

/// A column of lists: all values one after the other, and where each row begins.
struct Column {
    name: String,
    element: Element,
    bytes: Vec<u8>,
    offsets: Vec<u64>,
}

impl Column {
    fn new(leaf: &ColumnDescriptor) -> Result<Self, String> {
        let name = leaf.path().parts()[0].clone();
        let element = match (leaf.physical_type(), leaf.logical_type_ref()) {
            (Type::FLOAT, _) => Element::F32,
            (Type::DOUBLE, _) => Element::F64,
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)) => Element::F16,
            (Type::INT32, _) => Element::I32,
            (Type::INT64, _) => Element::I64,
            (Type::BOOLEAN, _) => Element::Bool,
            (other, _) => {
                return Err(format!(
                    "expected `{name}` of lists of numbers, found {other}; keep only the columns `features` and `labels` or `targets`"
                ));
            }
        };
        if leaf.max_rep_level() != 1 {
            return Err(format!(
                "expected `{name}` to hold one list of numbers per row; keep only the columns `features` and `labels` or `targets`"
            ));
        }
        Ok(Self {
            name,
            element,
            bytes: Vec::new(),
            offsets: vec![0],
        })
    }

    fn num_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn fits(&self, other: &Self) -> bool {
        self.name == other.name && self.element == other.element
    }

    fn append(&mut self, other: Self) {
        let before = self.offsets[self.offsets.len() - 1];
        self.bytes.extend(other.bytes);
        self.offsets
            .extend(other.offsets[1..].iter().map(|offset| before + offset));
    }

    fn read(
        &mut self,
        reader: ColumnReader,
        leaf: &ColumnDescriptor,
        num_rows: usize,
    ) -> Result<(), String> {
        match reader {
            ColumnReader::FloatColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v| v.to_le_bytes())
            }
            ColumnReader::DoubleColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v| v.to_le_bytes())
            }
            ColumnReader::Int32ColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v| v.to_le_bytes())
            }
            ColumnReader::Int64ColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v| v.to_le_bytes())
            }
            ColumnReader::BoolColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v| [u8::from(*v)])
            }
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                self.append_values(r, leaf, num_rows, |v: &FixedLenByteArray| {
                    let bytes = v.data();
                    [bytes[0], bytes[1]]
                })
            }
            _ => Err(format!("expected `{}` of lists of numbers", self.name)),
        }
    }

    fn append_values<T: DataType, const SIZE: usize>(
        &mut self,
        mut reader: ColumnReaderImpl<T>,
        leaf: &ColumnDescriptor,
        num_rows: usize,
        bytes: impl Fn(&T::T) -> [u8; SIZE],
    ) -> Result<(), String> {
        let (mut values, mut present, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = 0;
        while rows < num_rows {
            let (read, _, _) = reader
                .read_records(
                    num_rows - rows,
                    Some(&mut present),
                    Some(&mut repeated),
                    &mut values,
                )
                .map_err(|error| format!("`{}` cannot be decoded ({error})", self.name))?;
            if read == 0 {
                break;
            }
            rows += read;
        }
        // A value is present at the deepest definition level, an empty list one above the level of
        // the list's elements; everything between and below is a null.
        let whole = leaf.max_def_level();
        let empty = whole - i16::from(leaf.self_type().is_optional()) - 1;
        for (&present, &repeated) in present.iter().zip(&repeated) {
            if repeated == 0 {
                self.offsets.push(self.offsets[self.offsets.len() - 1]);
            }
            if present == whole {
                *self
                    .offsets
                    .last_mut()
                    .expect("the first level begins a row") += 1;
            } else if present != empty {
                return Err(format!(
                    "expected numbers in `{}`, found null in row {}",
                    self.name,
                    self.num_rows() - 1
                ));
            }
        }
        self.bytes.extend(values.iter().flat_map(bytes));
        Ok(())
    }

    /// Rows of equal length, `[N, d]`.
    fn into_matrix(self) -> Result<Stored, String> {
        let length = |row: usize| self.offsets[row + 1] - self.offsets[row];
        let num_rows = self.num_rows();
        let width = if num_rows == 0 { 0 } else { length(0) };
        if let Some(row) = (0..num_rows).find(|&row| length(row) != width) {
            return Err(format!(
                "expected {width} numbers in every row of `{}`, as in the first, found {} in row {row}",
                self.name,
                length(row)
            ));
        }
        let shape = vec![num_rows, width as usize];
        Ok(stored(&self.name, self.element, shape, self.bytes))
    }

    /// Class indices, sample after sample, and where each sample begins.
    fn into_ragged(self) -> [Stored; 2] {
        let count = self.bytes.len() / self.element.size();
        let offsets = self.offsets.iter().flat_map(|offset| offset.to_le_bytes());
        let num_offsets = vec![self.offsets.len()];
        [
            stored("offsets", Element::U64, num_offsets, offsets.collect()),
            stored("labels", self.element, vec![count], self.bytes),
        ]
    }
}

fn stored(name: &str, element: Element, shape: Vec<usize>, bytes: Vec<u8>) -> Stored {
    Stored {
        name: name.to_string(),
        element,
        shape,
        column_major: false,
        part: Part::owned(bytes),
    }
}
