//! Dense rows, one stride apart.

use std::ops::Range;

use rayon::prelude::*;

use super::slice::{FeatureRows, FeatureSlice, Wide, on_numbers, widen};
use super::{check_output, check_range, not_finite};
use crate::{Error, Result};

/// Dense rows of features: row r begins at number r·stride.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseView<'a> {
    values: FeatureSlice<'a>,
    num_rows: usize,
    dim: usize,
    row_stride: usize,
}

impl<'a> DenseView<'a> {
    /// Row-major values `[N, d]` without gaps.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when they are not whole rows of at least one number.
    ///
    /// ```
    /// use tagwise_base::features::DenseView;
    ///
    /// assert_eq!(DenseView::new(&[0.0f64; 6], 3)?.num_rows(), 2);
    /// assert!(DenseView::new(&[0.0f64; 6], 4).is_err());
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn new(values: impl Into<FeatureSlice<'a>>, dim: usize) -> Result<Self> {
        let values = values.into();
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(Error::SizeMismatch {
                what: "numbers in each row of features",
                expected: dim,
                found: values.len().checked_rem(dim).unwrap_or(0),
            });
        }
        Ok(Self {
            values,
            num_rows: values.len() / dim,
            dim,
            row_stride: dim,
        })
    }

    /// Rows that begin `row_stride` numbers apart, such as some columns of a wider matrix.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no column or a stride below d, [`Error::SizeMismatch`] when the
    /// last row ends beyond the values.
    ///
    /// ```
    /// use tagwise_base::features::{DenseView, FeaturesView};
    ///
    /// let wide = [1.0f32, 2.0, 9.0, 3.0, 4.0, 9.0]; // [2, 3], of which two columns
    /// let view = FeaturesView::from(DenseView::with_stride(&wide, 2, 2, 3)?);
    /// let mut row = [0.0; 2];
    /// view.copy_rows_into(1..2, &mut row)?;
    /// assert_eq!(row, [3.0, 4.0]);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn with_stride(
        values: impl Into<FeatureSlice<'a>>,
        num_rows: usize,
        dim: usize,
        row_stride: usize,
    ) -> Result<Self> {
        let values = values.into();
        if dim == 0 || row_stride < dim {
            return Err(Error::OutOfRange {
                name: "the stride between rows of features",
                requirement: "of at least the feature dimension, which is at least 1",
                found: format!("{row_stride} with {dim} dimensions"),
            });
        }
        let needed = match num_rows.checked_sub(1) {
            None => Some(0),
            Some(last) => last
                .checked_mul(row_stride)
                .and_then(|begin| begin.checked_add(dim)),
        };
        if needed.is_none_or(|needed| needed > values.len()) {
            return Err(Error::SizeMismatch {
                what: "numbers in the features at least",
                expected: needed.unwrap_or(usize::MAX),
                found: values.len(),
            });
        }
        Ok(Self {
            values,
            num_rows,
            dim,
            row_stride,
        })
    }

    /// Number of samples N.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Numbers from the begin of a row to the begin of the next.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// One row.
    ///
    /// # Panics
    /// When `row` is not below N, as indexing a slice does.
    pub fn row(&self, row: usize) -> FeatureSlice<'a> {
        assert!(row < self.num_rows, "row {row} of {}", self.num_rows);
        let begin = row * self.row_stride;
        self.values.part(begin..begin + self.dim)
    }

    /// Consecutive rows.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self> {
        check_range(&rows, self.num_rows)?;
        let begin = (rows.start * self.row_stride).min(self.values.len());
        let end = match rows.len() {
            0 => begin,
            count => begin + (count - 1) * self.row_stride + self.dim,
        };
        Ok(Self {
            values: self.values.part(begin..end),
            num_rows: rows.len(),
            ..*self
        })
    }

    /// Writes rows in f64, `[rows, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row or `out` has another length.
    pub fn copy_rows_into(&self, rows: Range<usize>, out: &mut [f64]) -> Result<()> {
        check_range(&rows, self.num_rows)?;
        check_output(&rows, self.dim, out.len())?;
        for (row, out) in rows.zip(out.chunks_exact_mut(self.dim)) {
            self.row(row).write_f64(out);
        }
        Ok(())
    }

    /// Refuses NaN and infinity.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the row and column of the first one.
    pub fn check_finite(&self) -> Result<()> {
        let found = match self.row_stride == self.dim {
            true => {
                // Numbers behind the last row are nobody's.
                let rows = self.values.part(0..self.num_rows * self.dim);
                let position = rows.first_not_finite();
                position.map(|position| (position / self.dim, position % self.dim))
            }
            false => {
                (0..self.num_rows).find_map(|row| Some((row, self.row(row).first_not_finite()?)))
            }
        };
        found.map_or(Ok(()), |(row, column)| {
            Err(not_finite(row, column, self.row(row).get(column)))
        })
    }

    /// Rows with NaN or infinity, in order.
    pub fn rows_not_finite(&self) -> Vec<usize> {
        let is_bad = |&row: &usize| {
            on_numbers!(self.row(row), values => values
            .iter()
            .any(|&value| !value.wide().is_finite()))
        };
        (0..self.num_rows).into_par_iter().filter(is_bad).collect()
    }

    /// All rows where they lie, if they are f32 or f64 without gaps.
    pub fn as_contiguous(&self) -> Option<FeatureRows<'a>> {
        let whole = self.row_stride == self.dim || self.num_rows <= 1;
        let values = whole.then(|| self.values.part(0..self.num_rows * self.dim))?;
        match values {
            FeatureSlice::F32(values) => Some(FeatureRows::F32(values)),
            FeatureSlice::F64(values) => Some(FeatureRows::F64(values)),
            _ => None,
        }
    }

    /// Shows all rows as contiguous f32 or f64.
    pub(super) fn show_gathered(
        &self,
        first: usize,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match self.values {
            FeatureSlice::F16(values) => {
                visit(first, FeatureRows::F32(&widen(&self.gathered(values))))
            }
            FeatureSlice::BF16(values) => {
                visit(first, FeatureRows::F32(&widen(&self.gathered(values))))
            }
            FeatureSlice::F32(values) => visit(first, FeatureRows::F32(&self.gathered(values))),
            FeatureSlice::F64(values) => visit(first, FeatureRows::F64(&self.gathered(values))),
        }
    }

    fn gathered<'b, T: Copy>(&self, values: &'b [T]) -> std::borrow::Cow<'b, [T]> {
        if self.row_stride == self.dim {
            return values.into();
        }
        let rows = (0..self.num_rows).map(|row| &values[row * self.row_stride..][..self.dim]);
        rows.flatten().copied().collect::<Vec<T>>().into()
    }
}
