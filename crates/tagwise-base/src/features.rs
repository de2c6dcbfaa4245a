//! One borrowed view of features, whoever holds them: dense rows of f16, bf16, f32 or f64 with a
//! stride, or compressed sparse rows.
//!
//! Sizes are checked once, by the constructors; everything past them is total.

mod dense;
mod slice;
mod sparse;

use std::ops::Range;

pub use self::dense::DenseView;
pub use self::slice::{FeatureRows, FeatureSlice};
pub use self::sparse::{CsrView, RowStarts};
use crate::{Error, Result};

/// Numbers in a block that is widened or gathered: 16 MiB of f32.
const BLOCK_NUMBERS: usize = 1 << 22;

/// Features `[N, d]` that somebody else keeps.
///
/// ```
/// use tagwise_base::features::{CsrView, DenseView, FeaturesView};
///
/// let dense = FeaturesView::from(DenseView::new(&[1.0f32, 0.0, 0.0, 2.0], 2)?); // [2, 2]
/// let sparse = CsrView::new(&[0usize, 1, 2], &[0, 1], &[1.0f32, 2.0], 2)?;
/// let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
/// dense.copy_rows_into(0..2, &mut a)?;
/// FeaturesView::from(sparse).copy_rows_into(0..2, &mut b)?;
/// assert_eq!((a, b), ([1.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 2.0]));
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeaturesView<'a> {
    /// Every number is there.
    Dense(DenseView<'a>),
    /// Only the numbers that are not zero.
    Sparse(CsrView<'a>),
}

impl<'a> From<DenseView<'a>> for FeaturesView<'a> {
    fn from(view: DenseView<'a>) -> Self {
        Self::Dense(view)
    }
}

impl<'a> From<CsrView<'a>> for FeaturesView<'a> {
    fn from(view: CsrView<'a>) -> Self {
        Self::Sparse(view)
    }
}

impl<'a> FeaturesView<'a> {
    /// Number of samples N.
    pub fn num_rows(&self) -> usize {
        match self {
            Self::Dense(view) => view.num_rows(),
            Self::Sparse(view) => view.num_rows(),
        }
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        match self {
            Self::Dense(view) => view.dim(),
            Self::Sparse(view) => view.dim(),
        }
    }

    /// Consecutive rows.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row.
    pub fn rows(&self, rows: Range<usize>) -> Result<Self> {
        Ok(match self {
            Self::Dense(view) => Self::Dense(view.rows(rows)?),
            Self::Sparse(view) => Self::Sparse(view.rows(rows)?),
        })
    }

    /// Writes rows in f64, zeros included.
    ///
    /// # Shapes
    /// `out` is `[rows, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the range ends beyond the last row or `out` has another length.
    pub fn copy_rows_into(&self, rows: Range<usize>, out: &mut [f64]) -> Result<()> {
        match self {
            Self::Dense(view) => view.copy_rows_into(rows, out),
            Self::Sparse(view) => view.copy_rows_into(rows, out),
        }
    }

    /// Refuses NaN and infinity.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the row and column of the first one.
    pub fn check_finite(&self) -> Result<()> {
        match self {
            Self::Dense(view) => view.check_finite(),
            Self::Sparse(view) => view.check_finite(),
        }
    }

    /// The rows without NaN and infinity are left out of this list of rows.
    pub fn rows_not_finite(&self) -> Vec<usize> {
        match self {
            Self::Dense(view) => view.rows_not_finite(),
            Self::Sparse(view) => view.rows_not_finite(),
        }
    }

    /// Shows all rows in order as contiguous f32 or f64, with the number of the first: as they are
    /// where they lie so, else in blocks of 2²² numbers that are widened (half precision to f32,
    /// which is exact), gathered (rows with a stride) or filled with zeros (sparse rows, f64).
    ///
    /// # Errors
    /// Whatever `visit` reports.
    pub fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        if let Self::Dense(view) = self
            && let Some(rows) = view.as_contiguous()
        {
            return if rows.is_empty() {
                Ok(())
            } else {
                visit(0, rows)
            };
        }
        let block_rows = (BLOCK_NUMBERS / self.dim().max(1)).max(1);
        for first in (0..self.num_rows()).step_by(block_rows) {
            let rows = first..self.num_rows().min(first + block_rows);
            match self {
                Self::Dense(view) => view.rows(rows)?.show_gathered(first, visit)?,
                Self::Sparse(view) => {
                    let mut block = vec![0.0; rows.len() * view.dim()];
                    view.copy_rows_into(rows, &mut block)?;
                    visit(first, FeatureRows::F64(&block))?;
                }
            }
        }
        Ok(())
    }
}

/// A range of rows that ends at the last row or before.
fn check_range(rows: &Range<usize>, num_rows: usize) -> Result<()> {
    if rows.start <= rows.end && rows.end <= num_rows {
        return Ok(());
    }
    Err(Error::SizeMismatch {
        what: "rows of features at least",
        expected: rows.end.max(rows.start),
        found: num_rows,
    })
}

fn check_output(rows: &Range<usize>, dim: usize, found: usize) -> Result<()> {
    let expected = rows.len().saturating_mul(dim);
    if found == expected {
        return Ok(());
    }
    Err(Error::SizeMismatch {
        what: "numbers of room for the rows (rows times feature dimension)",
        expected,
        found,
    })
}

fn not_finite(row: usize, column: usize, value: f64) -> Error {
    Error::NotFinite {
        what: "the features",
        row,
        column,
        value,
    }
}
