//! Sparse features, by rows and by columns.

use std::ops::Range;

use crate::{Error, Result};

/// A sparse matrix, kept by rows and by columns.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    pub(super) rows: Compressed,
    pub(super) columns: Compressed,
}

/// Lists of (index, value), one list after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compressed {
    pub(super) starts: Vec<usize>,
    pub(super) indices: Vec<u32>,
    pub(super) values: Vec<f64>,
}

impl Compressed {
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn list(&self, index: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[index]..self.starts[index + 1];
        let indices = self.indices[range.clone()].iter();
        indices
            .map(|&i| i as usize)
            .zip(self.values[range].iter().copied())
    }

    #[inline(always)]
    fn indices_of(&self, index: usize) -> (&[u32], Range<usize>) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.indices[range.clone()], range)
    }

    /// Adds Σ value·row(index) over each of some lists to a row of `out` `[lists, width]`, for
    /// `rows` of the same width.
    ///
    /// Goes tile by tile of columns: the sums of a tile stay in registers while a list is read, and
    /// the tile of `rows` in the cache while all lists are.
    #[inline(always)]
    pub(super) fn combine(&self, lists: Range<usize>, rows: &[f64], width: usize, out: &mut [f64]) {
        let mut column = 0;
        while column < width {
            column += match width - column {
                32.. => self.combine_tile::<32>(lists.clone(), rows, width, column, out),
                16.. => self.combine_tile::<16>(lists.clone(), rows, width, column, out),
                8.. => self.combine_tile::<8>(lists.clone(), rows, width, column, out),
                4.. => self.combine_tile::<4>(lists.clone(), rows, width, column, out),
                _ => self.combine_tile::<1>(lists.clone(), rows, width, column, out),
            };
        }
    }

    /// The columns from `column` on, `TILE` of them.
    #[inline(always)]
    fn combine_tile<const TILE: usize>(
        &self,
        lists: Range<usize>,
        rows: &[f64],
        width: usize,
        column: usize,
        out: &mut [f64],
    ) -> usize {
        for (list, out) in lists.zip(out.chunks_exact_mut(width)) {
            let range = self.starts[list]..self.starts[list + 1];
            let (indices, values) = (&self.indices[range.clone()], &self.values[range]);
            let out = &mut out[column..column + TILE];
            let mut sums = [0.0; TILE];
            for (&index, &value) in indices.iter().zip(values) {
                let row = &rows[index as usize * width + column..][..TILE];
                for lane in 0..TILE {
                    sums[lane] += value * row[lane];
                }
            }
            for lane in 0..TILE {
                out[lane] += sums[lane];
            }
        }
        TILE
    }

    pub(super) fn transposed(&self, num_lists: usize) -> Self {
        let mut starts = vec![0; num_lists + 1];
        for &index in &self.indices {
            starts[index as usize + 1] += 1;
        }
        for list in 0..num_lists {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut indices = vec![0; self.indices.len()];
        let mut values = vec![0.0; self.values.len()];
        for list in 0..self.len() {
            for (index, value) in self.list(list) {
                indices[next[index]] = list as u32;
                values[next[index]] = value;
                next[index] += 1;
            }
        }
        Self {
            starts,
            indices,
            values,
        }
    }
}

impl SparseRows {
    /// Takes, for each sample, the columns that are not zero with their values, in any order.
    /// Entries of the same column add up.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a column that is not below `dim`, [`Error::NotFinite`] for NaN
    /// and infinity.
    ///
    /// ```
    /// use tagwise::head::{Features, SparseRows};
    ///
    /// let rows = [vec![(2, 0.5), (0, 1.0)], vec![]];
    /// let features = Features::Sparse(SparseRows::new(3, rows)?);
    /// assert_eq!((features.num_samples(), features.dim()), (2, 3));
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn new(
        dim: usize,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = (u32, f64)>>,
    ) -> Result<Self> {
        let mut compressed = Compressed {
            starts: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
        };
        for (row, entries) in rows.into_iter().enumerate() {
            for (column, value) in entries {
                if column as usize >= dim {
                    return Err(Error::OutOfRange {
                        name: "a column of sparse features",
                        requirement: "below the feature dimension",
                        found: format!("{column} in row {row} with {dim} dimensions"),
                    });
                }
                if !value.is_finite() {
                    return Err(Error::NotFinite {
                        what: "features",
                        row,
                        column: column as usize,
                        value,
                    });
                }
                compressed.indices.push(column);
                compressed.values.push(value);
            }
            compressed.starts.push(compressed.indices.len());
        }
        Ok(Self {
            columns: compressed.transposed(dim),
            rows: compressed,
        })
    }
}

impl SparseRows {
    /// Feature dimension d.
    pub(super) fn dim(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// The columns of a row, and where their values are in [`row_values`](Self::row_values).
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> (&[u32], Range<usize>) {
        self.rows.indices_of(row)
    }

    /// The rows of a column, and where their values are in [`column_values`](Self::column_values).
    #[inline(always)]
    pub(super) fn column(&self, column: usize) -> (&[u32], Range<usize>) {
        self.columns.indices_of(column)
    }

    /// The values of a column.
    pub(super) fn column_list(&self, column: usize) -> &[f64] {
        &self.columns.values[self.column(column).1]
    }

    /// All values, row by row.
    pub(super) fn row_values(&self) -> &[f64] {
        &self.rows.values
    }

    /// All values, column by column.
    pub(super) fn column_values(&self) -> &[f64] {
        &self.columns.values
    }

    /// These rows, in this order.
    pub(super) fn select(&self, samples: &[usize]) -> Self {
        let mut rows = Compressed {
            starts: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
        };
        for &sample in samples {
            let range = self.rows.starts[sample]..self.rows.starts[sample + 1];
            rows.indices
                .extend_from_slice(&self.rows.indices[range.clone()]);
            rows.values.extend_from_slice(&self.rows.values[range]);
            rows.starts.push(rows.indices.len());
        }
        Self {
            columns: rows.transposed(self.columns.len()),
            rows,
        }
    }
}
