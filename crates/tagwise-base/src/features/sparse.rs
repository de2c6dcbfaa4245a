//! Compressed sparse rows.

use std::ops::Range;

use super::slice::{FeatureSlice, Wide, on_numbers};
use super::{check_output, check_range, not_finite};
use crate::{Error, Result};

/// Where each row of a sparse matrix begins, N + 1 numbers: `indptr` in SciPy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowStarts<'a> {
    /// The machine's own counts.
    Usize(&'a [usize]),
    /// Unsigned, 64 bits.
    U64(&'a [u64]),
    /// Signed, 64 bits.
    I64(&'a [i64]),
    /// Signed, 32 bits.
    I32(&'a [i32]),
}

impl<'a> RowStarts<'a> {
    fn len(self) -> usize {
        match self {
            Self::Usize(starts) => starts.len(),
            Self::U64(starts) => starts.len(),
            Self::I64(starts) => starts.len(),
            Self::I32(starts) => starts.len(),
        }
    }

    /// The number at this place; negative and too large ones become one that fits nowhere.
    fn get(self, place: usize) -> usize {
        match self {
            Self::Usize(starts) => starts[place],
            Self::U64(starts) => usize::try_from(starts[place]).unwrap_or(usize::MAX),
            Self::I64(starts) => usize::try_from(starts[place]).unwrap_or(usize::MAX),
            Self::I32(starts) => usize::try_from(starts[place]).unwrap_or(usize::MAX),
        }
    }

    fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::Usize(starts) => Self::Usize(&starts[range]),
            Self::U64(starts) => Self::U64(&starts[range]),
            Self::I64(starts) => Self::I64(&starts[range]),
            Self::I32(starts) => Self::I32(&starts[range]),
        }
    }
}

macro_rules! from_starts {
    ($($number:ty: $variant:ident),*) => {$(
        impl<'a> From<&'a [$number]> for RowStarts<'a> {
            fn from(starts: &'a [$number]) -> Self {
                Self::$variant(starts)
            }
        }

        impl<'a> From<&'a Vec<$number>> for RowStarts<'a> {
            fn from(starts: &'a Vec<$number>) -> Self {
                Self::$variant(starts)
            }
        }

        impl<'a, const N: usize> From<&'a [$number; N]> for RowStarts<'a> {
            fn from(starts: &'a [$number; N]) -> Self {
                Self::$variant(starts)
            }
        }
    )*};
}

from_starts!(usize: Usize, u64: U64, i64: I64, i32: I32);

/// Rows of which only some columns are kept: those of row r are
/// `columns[starts[r] .. starts[r + 1]]`, in any order; values of the same column add up, and
/// every other column is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CsrView<'a> {
    starts: RowStarts<'a>,
    columns: &'a [u32],
    values: FeatureSlice<'a>,
    dim: usize,
}

impl<'a> CsrView<'a> {
    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when there are not as many values as columns,
    /// [`Error::OutOfRange`] for starts that do not rise from 0 to the number of columns, and for a
    /// column that is not below `dim`.
    ///
    /// ```
    /// use tagwise_base::features::CsrView;
    ///
    /// let view = CsrView::new(&[0i64, 2, 2], &[4, 0], &[0.5f64, 1.0], 5)?; // [2, 5]
    /// assert_eq!(view.num_rows(), 2);
    /// assert_eq!(view.row(0).0, [4, 0]);
    /// assert!(CsrView::new(&[0i64, 2, 1], &[4, 0], &[0.5f64, 1.0], 5).is_err());
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn new(
        starts: impl Into<RowStarts<'a>>,
        columns: &'a [u32],
        values: impl Into<FeatureSlice<'a>>,
        dim: usize,
    ) -> Result<Self> {
        let (starts, values) = (starts.into(), values.into());
        if values.len() != columns.len() {
            return Err(Error::SizeMismatch {
                what: "values of sparse features, one for each column index",
                expected: columns.len(),
                found: values.len(),
            });
        }
        check_starts(starts, columns.len())?;
        let view = Self {
            starts,
            columns,
            values,
            dim,
        };
        match columns.iter().position(|&column| column as usize >= dim) {
            Some(place) => Err(Error::OutOfRange {
                name: "a column of sparse features",
                requirement: "below the feature dimension",
                found: format!(
                    "{} in row {} with {dim} dimensions",
                    columns[place],
                    view.row_of(place)
                ),
            }),
            None => Ok(view),
        }
    }

    /// Number of samples N.
    pub fn num_rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many numbers are kept in these rows.
    pub fn num_kept(&self) -> usize {
        let range = self.places(0..self.num_rows());
        range.len()
    }

    /// The columns that a row keeps, and their values.
    ///
    /// # Panics
    /// When `row` is not below N, as indexing a slice does.
    pub fn row(&self, row: usize) -> (&'a [u32], FeatureSlice<'a>) {
        let places = self.places(row..row + 1);
        (&self.columns[places.clone()], self.values.part(places))
    }

    /// Consecutive rows.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self> {
        check_range(&rows, self.num_rows())?;
        Ok(Self {
            starts: self.starts.part(rows.start..rows.end + 1),
            ..*self
        })
    }

    /// Writes rows in f64, zeros included, `[rows, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row or `out` has another length.
    pub fn copy_rows_into(&self, rows: Range<usize>, out: &mut [f64]) -> Result<()> {
        check_range(&rows, self.num_rows())?;
        check_output(&rows, self.dim, out.len())?;
        out.fill(0.0);
        if self.dim == 0 {
            return Ok(());
        }
        for (row, out) in rows.zip(out.chunks_exact_mut(self.dim)) {
            let (columns, values) = self.row(row);
            on_numbers!(values, values => for (&column, &value) in columns.iter().zip(values) {
                out[column as usize] += value.wide();
            });
        }
        Ok(())
    }

    /// Refuses NaN and infinity.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the row and column of the first one.
    pub fn check_finite(&self) -> Result<()> {
        let places = self.places(0..self.num_rows());
        let found = self.values.part(places.clone()).first_not_finite();
        found.map_or(Ok(()), |position| {
            let place = places.start + position;
            let column = self.columns[place] as usize;
            Err(not_finite(
                self.row_of(place),
                column,
                self.values.get(place),
            ))
        })
    }

    /// Rows with NaN or infinity, in order.
    pub fn rows_not_finite(&self) -> Vec<usize> {
        let is_bad = |&row: &usize| self.row(row).1.first_not_finite().is_some();
        (0..self.num_rows()).filter(is_bad).collect()
    }

    fn places(&self, rows: Range<usize>) -> Range<usize> {
        self.starts.get(rows.start)..self.starts.get(rows.end)
    }

    /// The row that keeps the number at this place.
    fn row_of(&self, place: usize) -> usize {
        let ends = (1..self.starts.len()).map(|row| self.starts.get(row));
        ends.take_while(|&end| end <= place).count()
    }
}

/// Whether the starts rise from 0 to the number of columns kept.
fn check_starts(starts: RowStarts<'_>, num_kept: usize) -> Result<()> {
    let length = starts.len();
    let rises = (1..length).all(|row| starts.get(row - 1) <= starts.get(row));
    if length > 0 && starts.get(0) == 0 && starts.get(length - 1) == num_kept && rises {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "the starts of the rows of sparse features",
        requirement: "that rise from 0 to the number of column indices",
        found: match length {
            0 => "none".into(),
            _ if rises => format!(
                "{} to {} for {num_kept} column indices",
                starts.get(0),
                starts.get(length - 1)
            ),
            _ => "some that fall".into(),
        },
    })
}
