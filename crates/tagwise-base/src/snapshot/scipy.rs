//! Sparse matrices as `scipy.sparse.save_npz` writes them: `format`, `shape`, `data`, and with it
//! `indices` and `indptr` (csr, csc, bsr), `row` and `col` (coo) or `offsets` (dia).

use std::path::Path;

use super::array::Stored;
use super::mapped::Bytes;
use super::member::Member;
use super::npy;
use crate::label::{LabelSet, Targets};
use crate::{Error, Result};

/// A sparse matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseMatrix {
    /// Number of columns.
    pub num_columns: usize,
    /// Where each row starts, and where the last one ends: one number more than there are rows.
    pub starts: Vec<usize>,
    /// The column of each value, rising within a row.
    pub columns: Vec<u32>,
    /// The values.
    pub values: Vec<f64>,
}

impl SparseMatrix {
    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Columns and values of one row.
    ///
    /// # Panics
    /// When `row` is not below [`num_rows`](Self::num_rows).
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Rows of 0 and 1 as label sets.
    ///
    /// # Errors
    /// [`Error::TargetNotBinary`] for any other value.
    pub fn to_targets(&self) -> Result<Targets> {
        let mut sets = Vec::with_capacity(self.num_rows());
        for row in 0..self.num_rows() {
            let (columns, values) = self.row(row);
            let bad = values
                .iter()
                .position(|&value| value != 0.0 && value != 1.0);
            if let Some(place) = bad {
                return Err(Error::TargetNotBinary {
                    row,
                    column: columns[place] as usize,
                    value: values[place],
                });
            }
            let on = columns
                .iter()
                .zip(values)
                .filter(|(_, value)| **value == 1.0);
            sets.push(LabelSet::new(on.map(|(&column, _)| column)));
        }
        Targets::new(self.num_columns, sets)
    }
}

/// Whether these are the members of a sparse matrix.
pub(super) fn is_sparse(members: &[Member]) -> bool {
    let has = |name: &str| members.iter().any(|member| member.name() == name);
    has("format") && has("shape") && has("data")
}

/// Whether a file is an archive of `scipy.sparse.save_npz`, by the names of its members.
///
/// # Errors
/// [`Error::Format`] when it is no archive of arrays, [`Error::Io`] when it cannot be read.
pub fn is_sparse_file(path: &Path) -> Result<bool> {
    let members = npy::archive(&Bytes::map(path)?);
    let members = members.map_err(|message| Error::Format {
        path: path.to_path_buf(),
        message,
    })?;
    Ok(is_sparse(&members))
}

/// Reads an archive of `scipy.sparse.save_npz`; none when it is another archive.
///
/// # Errors
/// [`Error::Format`] with one sentence when the arrays do not fit together, [`Error::Io`] when the
/// file cannot be read.
pub fn read_sparse(path: &Path) -> Result<Option<SparseMatrix>> {
    let with_path = |message: String| Error::Format {
        path: path.to_path_buf(),
        message,
    };
    let members = npy::archive(&Bytes::map(path)?).map_err(with_path)?;
    match is_sparse(&members) {
        true => matrix(members).map(Some).map_err(with_path),
        false => Ok(None),
    }
}

/// Entries of a matrix in any order.
struct Entries {
    rows: Vec<u64>,
    columns: Vec<u64>,
    values: Vec<f64>,
}

/// Puts the members together.
pub(super) fn matrix(members: Vec<Member>) -> Result<SparseMatrix, String> {
    let mut parts = Parts(members);
    let format = parts.format()?;
    let shape = parts.indices("shape")?;
    let &[num_rows, num_columns] = shape.as_slice() else {
        return Err(format!("expected `shape` of two numbers, found {shape:?}"));
    };
    let data = parts.numbers("data")?;
    let entries = match format.as_str() {
        "csr" => parts.compressed(num_rows, data.array().to_f64(), Order::Rows)?,
        "csc" => parts.compressed(num_columns, data.array().to_f64(), Order::Columns)?,
        "coo" => parts.coordinates(data.array().to_f64())?,
        "bsr" => parts.blocks(num_rows, num_columns, &data)?,
        other => {
            return Err(format!(
                "expected a sparse matrix of format csr, csc, coo or bsr, found {other}; convert it in Python with matrix.tocsr()"
            ));
        }
    };
    sorted(num_rows, num_columns, entries)
}

#[derive(Clone, Copy)]
enum Order {
    Rows,
    Columns,
}

struct Parts(Vec<Member>);

impl Parts {
    fn member(&mut self, name: &str) -> Result<Member, String> {
        let position = self.0.iter().position(|member| member.name() == name);
        let position = position.ok_or_else(|| {
            format!("expected an array `{name}` in a SciPy sparse matrix, found none")
        })?;
        Ok(self.0.swap_remove(position))
    }

    fn numbers(&mut self, name: &str) -> Result<Stored, String> {
        Ok(self.member(name)?.into_numbers()?.into_row_major())
    }

    fn indices(&mut self, name: &str) -> Result<Vec<u64>, String> {
        self.numbers(name)?.array().to_indices()
    }

    /// `format` is a lone text, of bytes or of letters.
    fn format(&mut self) -> Result<String, String> {
        match self.member("format")? {
            Member::Text(text) => Ok(text.texts()?.first().cloned().unwrap_or_default()),
            Member::Unreadable { why, .. } => Err(why),
            _ => Err("expected `format` to hold text, found numbers".into()),
        }
    }

    /// `indptr`, checked against `num_major` rows (or columns) and `num_entries`.
    fn starts(&mut self, num_major: u64, num_entries: usize) -> Result<Vec<u64>, String> {
        let starts = self.indices("indptr")?;
        let is_whole = starts.len() as u64 == num_major.saturating_add(1)
            && starts.first() == Some(&0)
            && starts.last() == Some(&(num_entries as u64))
            && starts.is_sorted();
        match is_whole {
            true => Ok(starts),
            false => Err(format!(
                "expected `indptr` to rise from 0 to {num_entries} in {num_major} steps, as `shape` and `indices` say"
            )),
        }
    }

    fn compressed(
        &mut self,
        num_major: u64,
        values: Vec<f64>,
        order: Order,
    ) -> Result<Entries, String> {
        let minor = self.indices("indices")?;
        same_length("indices", minor.len(), values.len())?;
        let starts = self.starts(num_major, values.len())?;
        let mut major = Vec::with_capacity(values.len());
        for (number, bounds) in (0..).zip(starts.windows(2)) {
            major.extend((bounds[0]..bounds[1]).map(|_| number));
        }
        let (rows, columns) = match order {
            Order::Rows => (major, minor),
            Order::Columns => (minor, major),
        };
        Ok(Entries {
            rows,
            columns,
            values,
        })
    }

    fn coordinates(&mut self, values: Vec<f64>) -> Result<Entries, String> {
        // A sparse array of SciPy's newer kind has `coords` [2, n] instead of `row` and `col`.
        let (rows, columns) = match self.0.iter().any(|member| member.name() == "coords") {
            true => {
                let mut rows = self.indices("coords")?;
                let columns = rows.split_off(rows.len() / 2);
                (rows, columns)
            }
            false => (self.indices("row")?, self.indices("col")?),
        };
        same_length("row", rows.len(), values.len())?;
        same_length("col", columns.len(), values.len())?;
        Ok(Entries {
            rows,
            columns,
            values,
        })
    }

    /// Dense blocks `[n, R, C]` in a compressed matrix of blocks.
    fn blocks(
        &mut self,
        num_rows: u64,
        num_columns: u64,
        data: &Stored,
    ) -> Result<Entries, String> {
        let &[num_blocks, height, width] = data.shape.as_slice() else {
            return Err(format!(
                "expected `data` of shape [n, R, C] in a matrix of blocks, found shape {:?}",
                data.shape
            ));
        };
        let (tall, wide) = (height as u64, width as u64);
        if tall == 0
            || wide == 0
            || !num_rows.is_multiple_of(tall)
            || !num_columns.is_multiple_of(wide)
        {
            return Err(format!(
                "expected blocks that fill {num_rows} rows and {num_columns} columns, found blocks of {tall} × {wide}"
            ));
        }
        let corners = self.compressed(num_rows / tall, vec![0.0; num_blocks], Order::Rows)?;
        let mut entries = Entries {
            rows: Vec::new(),
            columns: Vec::new(),
            values: data.array().to_f64(),
        };
        for (&row, &column) in corners.rows.iter().zip(&corners.columns) {
            if column >= num_columns / wide {
                return Err(outside(column, num_columns / wide, "block column"));
            }
            for cell in 0..tall * wide {
                entries.rows.push(row * tall + cell / wide);
                entries.columns.push(column * wide + cell % wide);
            }
        }
        Ok(entries)
    }
}

fn same_length(name: &str, found: usize, expected: usize) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "expected {expected} numbers in `{name}` as in `data`, found {found}"
        )),
    }
}

fn outside(found: u64, number: u64, what: &str) -> String {
    format!("expected every {what} below {number} as `shape` says, found {found}")
}

/// How many rows any matrix may state, whatever its number of entries: each costs memory.
const MAX_ROWS_OF_FEW: u64 = 1 << 22;

/// Likewise for columns, which hashed features have many of.
const MAX_COLUMNS_OF_FEW: u64 = 1 << 24;

/// Sorts entries by row and column; those of one place add up, zeros go.
fn sorted(num_rows: u64, num_columns: u64, entries: Entries) -> Result<SparseMatrix, String> {
    for (what, number, of_few) in [
        ("rows", num_rows, MAX_ROWS_OF_FEW),
        ("columns", num_columns, MAX_COLUMNS_OF_FEW),
    ] {
        let max = of_few.max(4 * entries.values.len() as u64);
        if number > max || u32::try_from(number).is_err() {
            return Err(format!(
                "expected at most {max} {what} in a matrix of {} entries, found {number}",
                entries.values.len()
            ));
        }
    }
    let Entries {
        rows,
        columns,
        values,
    } = entries;
    let past = |numbers: &[u64], number: u64| numbers.iter().copied().find(|&n| n >= number);
    if let Some(row) = past(&rows, num_rows) {
        return Err(outside(row, num_rows, "row"));
    }
    if let Some(column) = past(&columns, num_columns) {
        return Err(outside(column, num_columns, "column"));
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&entry| (rows[entry], columns[entry]));
    let mut matrix = SparseMatrix {
        num_columns: num_columns as usize,
        starts: vec![0],
        columns: Vec::with_capacity(values.len()),
        values: Vec::with_capacity(values.len()),
    };
    let mut entries = order.into_iter().peekable();
    for row in 0..num_rows {
        while let Some(entry) = entries.next_if(|&entry| rows[entry] == row) {
            let column = columns[entry];
            let mut value = values[entry];
            while let Some(same) =
                entries.next_if(|&next| rows[next] == row && columns[next] == column)
            {
                value += values[same];
            }
            if value != 0.0 {
                matrix.columns.push(column as u32);
                matrix.values.push(value);
            }
        }
        matrix.starts.push(matrix.columns.len());
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::super::mapped::Part;
    use super::super::member::{Letters, TextArray};
    use super::*;
    use crate::tensors::Element;

    fn numbers(name: &str, values: &[i64]) -> Member {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Member::Numbers(Stored {
            name: name.into(),
            element: Element::I64,
            shape: vec![values.len()],
            column_major: false,
            part: Part::owned(bytes.collect()),
        })
    }

    fn refusal(
        format: &str,
        shape: [i64; 2],
        indices: &[i64],
        indptr: &[i64],
        data: &[i64],
    ) -> String {
        let format = Member::Text(TextArray {
            name: "format".into(),
            shape: Vec::new(),
            letters: Letters::Bytes,
            width: format.len(),
            part: Part::owned(format.as_bytes().to_vec()),
        });
        let members = vec![
            format,
            numbers("shape", &shape),
            numbers("indices", indices),
            numbers("indptr", indptr),
            numbers("data", data),
        ];
        assert!(is_sparse(&members));
        matrix(members).unwrap_err()
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused_without_memory() {
        let refusals = [
            refusal("csr", [2, 3], &[0, 3], &[0, 1, 2], &[1, 1]),
            refusal("csr", [2, 3], &[0], &[0, 1, 2], &[1, 1]),
            refusal("csr", [2, 3], &[0, 1], &[0, 2, 1], &[1, 1]),
            refusal("csr", [2, 3], &[0, 1], &[0, 2], &[1, 1]),
            refusal("csr", [2, 3], &[0, -1], &[0, 1, 2], &[1, 1]),
            refusal("csr", [1 << 52, 3], &[0], &[0, 1], &[1]),
            refusal("csr", [1, 1 << 52], &[0], &[0, 1], &[1]),
            refusal("csc", [1 << 40, 1], &[0], &[0, 1], &[1]),
            refusal("coo", [1, 1], &[0], &[0, 1], &[1]),
            refusal("bsr", [2, 2], &[0], &[0, 1], &[1]),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @"
        expected every column below 3 as `shape` says, found 3
        expected 2 numbers in `indices` as in `data`, found 1
        expected `indptr` to rise from 0 to 2 in 2 steps, as `shape` and `indices` say
        expected `indptr` to rise from 0 to 2 in 2 steps, as `shape` and `indices` say
        expected `indices` of whole numbers from 0, found -1 at position 1
        expected `indptr` to rise from 0 to 1 in 4503599627370496 steps, as `shape` and `indices` say
        expected at most 16777216 columns in a matrix of 1 entries, found 4503599627370496
        expected at most 4194304 rows in a matrix of 1 entries, found 1099511627776
        expected an array `row` in a SciPy sparse matrix, found none
        expected `data` of shape [n, R, C] in a matrix of blocks, found shape [1]
        ");
    }
}
