//! Multi-label tables: features of any origin with the label set of each row.
//!
//! Read from ARFF with Mulan's or MEKA's conventions ([`arff`]), from the Extreme Classification
//! Repository's and LIBSVM's text formats ([`text`]) and from CSV ([`csv`]); [`read()`] takes them
//! all, packed or not ([`input`]).

pub mod arff;
pub mod csv;
pub mod input;
mod options;
pub mod text;

pub use options::{Kind, TableOptions, read};
use tagwise_base::Targets;

/// N rows of d features with their label sets and the names of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The features, `[N, d]`.
    pub features: Features,
    /// Names of the d features; none where they are only numbered.
    pub feature_names: Option<Vec<String>>,
    /// The label set of each row; of the rows in `unlabelled` those labels that are known.
    pub targets: Targets,
    /// Rows whose labels are unknown, at least in part, in order. Empty unless
    /// [`Unlabelled::Keep`] was asked for.
    pub unlabelled: Vec<usize>,
    /// Names of the K labels; none where they are only numbered, from 0.
    pub label_names: Option<Vec<String>>,
    /// What the reader decided or passed over, each a sentence for the one who gave the file.
    pub notes: Vec<String>,
}

/// What happens to rows whose labels are unknown, such as `?` in an ARFF file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlabelled {
    /// They are an error: nothing can be learned from them or judged by them.
    #[default]
    Refuse,
    /// They are read and listed in [`Table::unlabelled`], for decoding.
    Keep,
}

/// What a word or number says about a label: on, off, or nothing.
pub(crate) fn flag(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text.parse::<f64>() {
        Ok(1.0) => Some(true),
        Ok(0.0 | -1.0) => Some(false),
        Ok(_) => None,
        Err(_) if is_one_of(&["yes", "true", "y", "t"]) => Some(true),
        Err(_) if is_one_of(&["no", "false", "n", "f"]) => Some(false),
        Err(_) => None,
    }
}

/// A matrix of features as its file gives it: every number, or only those that are not zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Row by row, `[N, d]`.
    Dense {
        /// Number of features d.
        num_features: usize,
        /// N·d numbers.
        values: Vec<f64>,
    },
    /// Compressed sparse rows.
    Sparse(SparseRows),
}

/// Compressed sparse rows: row i holds `values[starts[i]..starts[i + 1]]` in the columns at the
/// same places.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    /// Number of features d.
    pub num_features: usize,
    /// Where each row starts, and where the last one ends: N + 1 numbers.
    pub starts: Vec<usize>,
    /// The column of each value, increasing within a row.
    pub columns: Vec<u32>,
    /// The values.
    pub values: Vec<f64>,
}

impl SparseRows {
    pub(crate) fn new(num_features: usize) -> Self {
        Self {
            num_features,
            starts: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Number of rows N.
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

    /// Adds a row of increasing columns; zeros are left out.
    pub(crate) fn push(&mut self, row: &[(u32, f64)]) {
        for &(column, value) in row.iter().filter(|(_, value)| *value != 0.0) {
            self.columns.push(column);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    /// Adds rows of the same number of features.
    fn append(&mut self, more: &Self) {
        let start = self.columns.len();
        self.columns.extend_from_slice(&more.columns);
        self.values.extend_from_slice(&more.values);
        let ends = more.starts[1..].iter().map(|end| start + end);
        self.starts.extend(ends);
    }
}

impl Features {
    /// Number of rows N.
    pub fn num_rows(&self) -> usize {
        match self {
            Self::Dense {
                num_features,
                values,
            } => values.len().checked_div(*num_features).unwrap_or(0),
            Self::Sparse(rows) => rows.num_rows(),
        }
    }

    /// Number of features d.
    pub fn num_features(&self) -> usize {
        match self {
            Self::Dense { num_features, .. } => *num_features,
            Self::Sparse(rows) => rows.num_features,
        }
    }

    /// Number of values that are not zero.
    pub fn num_nonzero(&self) -> usize {
        match self {
            Self::Dense { values, .. } => values.iter().filter(|&&value| value != 0.0).count(),
            Self::Sparse(rows) => rows.values.len(),
        }
    }

    /// Every number, row by row, `[N, d]`: 8·N·d bytes.
    pub fn to_dense(&self) -> Vec<f64> {
        match self {
            Self::Dense { values, .. } => values.clone(),
            Self::Sparse(rows) => {
                let mut dense = vec![0.0; rows.num_rows() * rows.num_features];
                for row in 0..rows.num_rows() {
                    let start = row * rows.num_features;
                    let (columns, values) = rows.row(row);
                    for (&column, &value) in columns.iter().zip(values) {
                        dense[start + column as usize] = value;
                    }
                }
                dense
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_dense_say_the_same() {
        let mut rows = SparseRows::new(3);
        rows.push(&[(0, 2.0), (1, 0.0), (2, -1.0)]);
        rows.push(&[]);
        let sparse = Features::Sparse(rows);
        let dense = Features::Dense {
            num_features: 3,
            values: vec![2.0, 0.0, -1.0, 0.0, 0.0, 0.0],
        };
        assert_eq!(sparse.to_dense(), dense.to_dense());
        for features in [&sparse, &dense] {
            assert_eq!(
                (
                    features.num_rows(),
                    features.num_features(),
                    features.num_nonzero()
                ),
                (2, 3, 2)
            );
        }
    }
}
