//! A small dense matrix.

use std::fmt;
use std::ops::{Index, IndexMut};

use crate::{Error, Result};

/// Numbers in f64, row after row: what a classifier and an ETF are made of.
///
/// ```
/// use tagwise_base::matrix::Matrix;
///
/// let mut matrix = Matrix::from_fn(2, 3, |row, column| (3 * row + column) as f64); // [2, 3]
/// matrix[(0, 1)] = 7.0;
/// assert_eq!(matrix.row(0), [0.0, 7.0, 2.0]);
/// assert_eq!(matrix.as_slice(), [0.0, 7.0, 2.0, 3.0, 4.0, 5.0]);
/// ```
#[derive(Clone, PartialEq)]
pub struct Matrix {
    num_rows: usize,
    num_columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of zeros, `[rows, columns]`.
    pub fn zeros(num_rows: usize, num_columns: usize) -> Self {
        Self::from_fn(num_rows, num_columns, |_, _| 0.0)
    }

    /// The matrix whose entry at each row and column is the value of the function there.
    pub fn from_fn(
        num_rows: usize,
        num_columns: usize,
        mut value: impl FnMut(usize, usize) -> f64,
    ) -> Self {
        let mut values = Vec::with_capacity(num_rows * num_columns);
        for row in 0..num_rows {
            values.extend((0..num_columns).map(|column| value(row, column)));
        }
        Self {
            num_rows,
            num_columns,
            values,
        }
    }

    /// A matrix from its rows one after the other.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the values are not `num_rows` rows of `num_columns`.
    ///
    /// ```
    /// use tagwise_base::matrix::Matrix;
    ///
    /// assert_eq!(Matrix::from_rows(2, 1, vec![1.0, 2.0])?[(1, 0)], 2.0);
    /// assert!(Matrix::from_rows(2, 2, vec![1.0, 2.0]).is_err());
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn from_rows(num_rows: usize, num_columns: usize, values: Vec<f64>) -> Result<Self> {
        if num_rows.checked_mul(num_columns) != Some(values.len()) {
            return Err(Error::SizeMismatch {
                what: "numbers in a matrix (rows times columns)",
                expected: num_rows.saturating_mul(num_columns),
                found: values.len(),
            });
        }
        Ok(Self {
            num_rows,
            num_columns,
            values,
        })
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.num_rows
    }

    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.num_columns
    }

    /// One row.
    ///
    /// # Panics
    /// When `row` is not below [`nrows`](Self::nrows), as indexing a slice does.
    pub fn row(&self, row: usize) -> &[f64] {
        assert!(row < self.num_rows, "row {row} of {}", self.num_rows);
        &self.values[row * self.num_columns..][..self.num_columns]
    }

    /// The rows one after the other.
    pub fn as_slice(&self) -> &[f64] {
        &self.values
    }

    fn place(&self, (row, column): (usize, usize)) -> usize {
        assert!(
            row < self.num_rows && column < self.num_columns,
            "entry ({row}, {column}) of a {} by {} matrix",
            self.num_rows,
            self.num_columns
        );
        row * self.num_columns + column
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, place: (usize, usize)) -> &f64 {
        &self.values[self.place(place)]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, place: (usize, usize)) -> &mut f64 {
        let place = self.place(place);
        &mut self.values[place]
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries((0..self.num_rows).map(|row| self.row(row)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_matrix_has_rows_without_numbers() {
        let matrix = Matrix::zeros(2, 0);
        assert_eq!((matrix.nrows(), matrix.ncols()), (2, 0));
        assert!(matrix.row(1).is_empty());
        assert_eq!(format!("{matrix:?}"), "[[], []]");
    }

    #[test]
    #[should_panic(expected = "entry (0, 2) of a 2 by 2 matrix")]
    fn a_column_beyond_the_last_is_not_the_next_row() {
        let _ = Matrix::zeros(2, 2)[(0, 2)];
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert!(Matrix::from_rows(usize::MAX, 3, vec![0.0; 3]).is_err());
    }
}
