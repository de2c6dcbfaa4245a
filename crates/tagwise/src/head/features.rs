//! Features of samples, dense or sparse.

use std::ops::Range;

use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::features::{CsrView, DenseView, FeaturesView};
use crate::kernel::vectorized;
use crate::statistics::Statistics;
use crate::{Error, Result, Targets};

/// Rows of samples handled by one task.
pub(super) const BLOCK_LEN: usize = 256;

/// Columns of features handled by one task.
const COLUMN_BLOCK_LEN: usize = 128;

/// Features `[N, d]`, dense or sparse.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Row-major numbers, N·d of them.
    Dense(DenseRows),
    /// Only the numbers that are not zero.
    Sparse(SparseRows),
}

/// A dense row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseRows {
    values: Vec<f64>,
    dim: usize,
}

impl DenseRows {
    /// Takes row-major values `[N, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the length is not a whole number of rows,
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn new(values: Vec<f64>, dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(Error::SizeMismatch {
                what: "columns of features",
                expected: dim,
                found: values.len().checked_rem(dim).unwrap_or(0),
            });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(position) => Err(Error::NotFinite {
                what: "features",
                row: position / dim,
                column: position % dim,
                value: values[position],
            }),
            None => Ok(Self { values, dim }),
        }
    }
}

/// A sparse matrix, kept by rows and by columns.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    rows: Compressed,
    columns: Compressed,
}

/// Lists of (index, value), one list after the other.
#[derive(Clone, Debug, PartialEq)]
struct Compressed {
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl Compressed {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn list(&self, index: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
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
    fn combine(&self, lists: Range<usize>, rows: &[f64], width: usize, out: &mut [f64]) {
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

    fn transposed(&self, num_lists: usize) -> Self {
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

    /// All values, row by row.
    pub(super) fn row_values(&self) -> &[f64] {
        &self.rows.values
    }

    /// All values, column by column.
    pub(super) fn column_values(&self) -> &[f64] {
        &self.columns.values
    }
}

/// Share of zeros from which features are kept sparse.
const SPARSE_FROM: f64 = 0.8;

impl Features {
    /// Takes row-major values `[N, d]`, kept sparse when more than four in five are zero.
    ///
    /// # Errors
    /// As [`DenseRows::new`].
    pub fn from_dense(values: Vec<f64>, dim: usize) -> Result<Self> {
        let dense = DenseRows::new(values, dim)?;
        let num_zeros = dense.values.iter().filter(|value| **value == 0.0).count();
        if num_zeros as f64 <= SPARSE_FROM * dense.values.len() as f64 {
            return Ok(Self::Dense(dense));
        }
        let rows = dense.values.chunks_exact(dim).map(|row| {
            let entries = (0u32..).zip(row.iter().copied());
            entries.filter(|(_, value)| *value != 0.0)
        });
        Ok(Self::Sparse(SparseRows::new(dim, rows)?))
    }

    /// Copies a view in f64, sparse where it is.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn of_view(view: FeaturesView<'_>) -> Result<Self> {
        match view {
            FeaturesView::Dense(view) => {
                let mut values = vec![0.0; view.num_rows() * view.dim()];
                view.copy_rows_into(0..view.num_rows(), &mut values)?;
                DenseRows::new(values, view.dim()).map(Self::Dense)
            }
            FeaturesView::Sparse(view) => {
                let rows = (0..view.num_rows()).map(|row| {
                    let (columns, values) = view.row(row);
                    let values = (0..values.len()).map(move |place| values.get(place));
                    columns.iter().copied().zip(values)
                });
                SparseRows::new(view.dim(), rows).map(Self::Sparse)
            }
        }
    }

    /// Number of samples N.
    pub fn num_samples(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.values.len() / dense.dim,
            Self::Sparse(sparse) => sparse.rows.len(),
        }
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.dim,
            Self::Sparse(sparse) => sparse.columns.len(),
        }
    }

    /// These samples, in this order.
    ///
    /// # Panics
    /// When a sample is not below N.
    pub fn select(&self, samples: &[usize]) -> Self {
        match self {
            Self::Dense(dense) => Self::Dense(DenseRows {
                values: samples
                    .iter()
                    .flat_map(|&i| &dense.values[i * dense.dim..][..dense.dim])
                    .copied()
                    .collect(),
                dim: dense.dim,
            }),
            Self::Sparse(sparse) => {
                let mut rows = Compressed {
                    starts: vec![0],
                    indices: Vec::new(),
                    values: Vec::new(),
                };
                for &sample in samples {
                    let range = sparse.rows.starts[sample]..sparse.rows.starts[sample + 1];
                    rows.indices
                        .extend_from_slice(&sparse.rows.indices[range.clone()]);
                    rows.values.extend_from_slice(&sparse.rows.values[range]);
                    rows.starts.push(rows.indices.len());
                }
                Self::Sparse(SparseRows {
                    columns: rows.transposed(sparse.columns.len()),
                    rows,
                })
            }
        }
    }

    /// The row-major values `[N, d]`, zeros included.
    pub fn to_dense(&self) -> Vec<f64> {
        self.rows_to_dense(0..self.num_samples())
    }

    /// The row-major values of some samples, zeros included.
    ///
    /// # Shapes
    /// `[rows, d]`.
    ///
    /// # Panics
    /// When the range does not lie within the N samples.
    pub fn rows_to_dense(&self, samples: Range<usize>) -> Vec<f64> {
        match self {
            Self::Dense(dense) => {
                dense.values[samples.start * dense.dim..samples.end * dense.dim].to_vec()
            }
            Self::Sparse(sparse) => {
                let dim = self.dim();
                let mut values = vec![0.0; samples.len() * dim];
                for (row, values) in samples.zip(values.chunks_exact_mut(dim.max(1))) {
                    for (column, value) in sparse.rows.list(row) {
                        values[column] += value;
                    }
                }
                values
            }
        }
    }

    /// The features as everything else takes them, borrowed.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for features without a column.
    pub fn view(&self) -> Result<FeaturesView<'_>> {
        match self {
            Self::Dense(dense) => Ok(DenseView::new(&dense.values, dense.dim)?.into()),
            Self::Sparse(sparse) => {
                let Compressed {
                    starts,
                    indices,
                    values,
                } = &sparse.rows;
                Ok(CsrView::new(starts, indices, values, sparse.dim())?.into())
            }
        }
    }

    /// The mergeable statistics of these features, block by block: sparse features are never dense
    /// as a whole.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there is a label set for each sample.
    ///
    /// ```
    /// use tagwise::head::{Features, SparseRows};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let features = Features::Sparse(SparseRows::new(3, [vec![(2, 0.5)], vec![(0, 1.0)]])?);
    /// let targets = Targets::new(2, [LabelSet::new([0]), LabelSet::new([0])])?;
    /// let statistics = features.statistics(&targets)?;
    /// assert_eq!(statistics.global_mean().unwrap(), [0.5, 0.0, 0.25]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn statistics(&self, targets: &Targets) -> Result<Statistics> {
        super::LabelledFeatures::new(self, targets)?;
        let mut statistics = Statistics::new(targets.num_classes(), self.dim());
        statistics.update_view(self.view()?, targets)?;
        Ok(statistics)
    }

    /// Mean and mean square of each column.
    pub(super) fn column_moments(&self) -> Vec<(f64, f64)> {
        let n = self.num_samples() as f64;
        (0..self.dim())
            .into_par_iter()
            .map(|column| {
                let (mut sum, mut squares) = (0.0, 0.0);
                let mut add = |value: f64| {
                    sum += value;
                    squares += value * value;
                };
                match self {
                    Self::Dense(dense) => {
                        let values = dense.values.iter().skip(column).step_by(dense.dim);
                        values.for_each(|&value| add(value));
                    }
                    Self::Sparse(sparse) => {
                        sparse
                            .columns
                            .list(column)
                            .for_each(|(_, value)| add(value));
                    }
                }
                (sum / n, squares / n)
            })
            .collect()
    }

    /// ‖x_i‖² of each sample.
    pub(super) fn row_squares(&self) -> Vec<f64> {
        let square = |values: &[f64]| values.iter().map(|x| x * x).sum();
        match self {
            Self::Dense(dense) => dense.values.chunks_exact(dense.dim).map(square).collect(),
            Self::Sparse(sparse) => {
                let starts = sparse.rows.starts.windows(2);
                starts
                    .map(|pair| square(&sparse.rows.values[pair[0]..pair[1]]))
                    .collect()
            }
        }
    }

    /// The same features with column j turned into (x_j − shift_j)·factor_j; sparse features have
    /// no shift.
    pub(super) fn rescaled(&self, shifts: &[f64], factors: &[f64]) -> Self {
        match self {
            Self::Dense(dense) => {
                let mut values = dense.values.clone();
                values.par_chunks_mut(dense.dim).for_each(|row| {
                    for ((x, shift), factor) in row.iter_mut().zip(shifts).zip(factors) {
                        *x = (*x - shift) * factor;
                    }
                });
                Self::Dense(DenseRows {
                    values,
                    dim: dense.dim,
                })
            }
            Self::Sparse(sparse) => {
                let (mut rows, mut columns) = (sparse.rows.clone(), sparse.columns.clone());
                for (value, &column) in rows.values.iter_mut().zip(&rows.indices) {
                    *value *= factors[column as usize];
                }
                for (range, factor) in columns.starts.windows(2).zip(factors) {
                    let values = &mut columns.values[range[0]..range[1]];
                    values.iter_mut().for_each(|value| *value *= factor);
                }
                Self::Sparse(SparseRows { rows, columns })
            }
        }
    }

    /// X·W + b for the rows from `first` on, as many as `logits` `[rows, K]` holds. `weights` is
    /// `[d, K]`.
    pub(super) fn logits(&self, first: usize, weights: &[f64], bias: &[f64], logits: &mut [f64]) {
        let num_classes = bias.len();
        for row in logits.chunks_exact_mut(num_classes) {
            row.copy_from_slice(bias);
        }
        let num_rows = logits.len() / num_classes;
        match self {
            Self::Dense(dense) => faer::linalg::matmul::matmul(
                MatMut::from_row_major_slice_mut(logits, num_rows, num_classes),
                Accum::Add,
                MatRef::from_row_major_slice(
                    &dense.values[first * dense.dim..][..num_rows * dense.dim],
                    num_rows,
                    dense.dim,
                ),
                MatRef::from_row_major_slice(weights, dense.dim, num_classes),
                1.0,
                Par::Seq,
            ),
            Self::Sparse(sparse) => vectorized(
                #[inline(always)]
                || {
                    let lists = first..first + num_rows;
                    sparse.rows.combine(lists, weights, num_classes, logits);
                },
            ),
        }
    }

    /// XᵀR into `gradient` `[d, K]`, for residuals R `[N, K]`. Each task owns some columns of X,
    /// so that the sums do not depend on the number of threads.
    pub(super) fn transpose_times(
        &self,
        residuals: &[f64],
        num_classes: usize,
        gradient: &mut [f64],
    ) {
        let num_samples = self.num_samples();
        gradient
            .par_chunks_mut(COLUMN_BLOCK_LEN * num_classes)
            .enumerate()
            .for_each(|(block, gradient)| {
                let first = block * COLUMN_BLOCK_LEN;
                let num_columns = gradient.len() / num_classes;
                match self {
                    Self::Dense(dense) => faer::linalg::matmul::matmul(
                        MatMut::from_row_major_slice_mut(gradient, num_columns, num_classes),
                        Accum::Replace,
                        MatRef::from_row_major_slice(&dense.values, num_samples, dense.dim)
                            .subcols(first, num_columns)
                            .transpose(),
                        MatRef::from_row_major_slice(residuals, num_samples, num_classes),
                        1.0,
                        Par::Seq,
                    ),
                    Self::Sparse(sparse) => {
                        gradient.fill(0.0);
                        let lists = first..first + num_columns;
                        vectorized(
                            #[inline(always)]
                            || {
                                sparse
                                    .columns
                                    .combine(lists, residuals, num_classes, gradient)
                            },
                        );
                    }
                }
            });
    }
}
