//! Features and labels in Parquet: columns of lists or of single values, one row per sample.
//!
//! Opening reads the footers and the label sets; features are decoded block by block whenever
//! somebody looks at them, so tables may be larger than memory.

mod column;
mod lists;
mod table;

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};

use self::column::{Column, Content};
use self::table::TableFile;
pub(super) use self::table::{TableColumn, TextColumn};
use super::array::Stored;
use super::mapped::Part;
use super::member::Member;
use crate::tensors::Element;
use crate::{Error, Result};

/// The key of the file's metadata that may state the number of classes.
const NUM_CLASSES: &str = "num_classes";

/// The columns of one file, or of several whose rows follow each other.
pub(super) fn members(paths: &[PathBuf]) -> Result<Vec<Member>> {
    let footers = paths.iter().map(|path| Footer::read(path));
    let footers = footers.collect::<Result<Vec<_>>>()?;
    let Some(first) = footers.first() else {
        return Ok(Vec::new());
    };
    if let Some(position) = footers.iter().position(|footer| !footer.fits(first)) {
        return Err(Error::Format {
            path: paths[position].clone(),
            message: format!(
                "expected the columns, their types and the number of classes of {}",
                paths[0].display()
            ),
        });
    }
    let mut members = Vec::new();
    for (place, column) in first.columns.iter().enumerate() {
        let files = paths.iter().zip(&footers).map(|(path, footer)| TableFile {
            path: path.clone(),
            column: footer.columns[place].clone(),
            num_rows: footer.num_rows,
        });
        members.push(member(column, files.collect())?);
    }
    if let Some(num_classes) = first.num_classes {
        members.push(Member::Numbers(Stored {
            name: NUM_CLASSES.to_string(),
            element: Element::U64,
            shape: vec![1],
            column_major: false,
            part: Part::owned(num_classes.to_le_bytes().to_vec()),
        }));
    }
    Ok(members)
}

/// One column of all files.
fn member(column: &Column, files: Vec<TableFile>) -> Result<Member> {
    let name = column.name.clone();
    let several = files.len() > 1;
    let read = match (&column.content, name.as_str()) {
        (Content::Other(why), _) => {
            return Ok(Member::Unreadable {
                name,
                why: why.clone(),
            });
        }
        (Content::Text, _) => Ok(Member::TextColumn(TextColumn::new(files))),
        (Content::Numbers(_), "labels" | "label_ids") if column.is_list => {
            table::label_sets(&files).map(|sets| Member::Sets {
                name: name.clone(),
                sets,
            })
        }
        (Content::Numbers(_), _) => TableColumn::new(files).map(Member::Column),
    };
    match read {
        // It may be a column that nobody asks for.
        Err(Error::Format { message, path }) => Ok(Member::Unreadable {
            name,
            why: match path.file_name().filter(|_| several) {
                Some(file) => format!("{}: {message}", file.display()),
                None => message,
            },
        }),
        read => read,
    }
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

/// What the end of a file says about all of it.
struct Footer {
    /// In the order of their names.
    columns: Vec<Column>,
    num_rows: usize,
    num_classes: Option<u64>,
}

impl Footer {
    fn read(path: &Path) -> Result<Self> {
        let reader = open(path)?;
        Self::of(&reader).map_err(|message| Error::Format {
            path: path.to_path_buf(),
            message,
        })
    }

    fn of(reader: &SerializedFileReader<File>) -> Result<Self, String> {
        let metadata = reader.metadata().file_metadata();
        let stated = metadata
            .key_value_metadata()
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == NUM_CLASSES))
            .and_then(|pair| pair.value.as_deref());
        let num_classes = stated.map(|text| {
            text.parse().map_err(|_| {
                format!(
                    "expected a whole number as `{NUM_CLASSES}` in the metadata, found {text:?}"
                )
            })
        });
        let leaves = metadata.schema_descr().columns().iter().enumerate();
        let columns = leaves.map(|(index, leaf)| Column::new(index, leaf));
        let mut columns: Vec<Column> = columns.collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let mut num_rows = 0usize;
        for group in reader.metadata().row_groups() {
            let rows = usize::try_from(group.num_rows()).ok();
            let sum = rows.and_then(|rows| num_rows.checked_add(rows));
            num_rows = sum.ok_or("expected counts of rows, found one below 0")?;
        }
        Ok(Self {
            columns,
            num_rows,
            num_classes: num_classes.transpose()?,
        })
    }

    fn fits(&self, other: &Self) -> bool {
        self.num_classes == other.num_classes
            && self.columns.len() == other.columns.len()
            && self
                .columns
                .iter()
                .zip(&other.columns)
                .all(|(a, b)| a.fits(b))
    }
}

/// Opens a file and reads its footer.
fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.to_path_buf(),
        source,
    })?;
    SerializedFileReader::new(file).map_err(|error| Error::Format {
        path: path.to_path_buf(),
        message: damaged(&error),
    })
}

fn damaged(error: &parquet::errors::ParquetError) -> String {
    format!("expected a Parquet file, found something else or only a part of one ({error})")
}
