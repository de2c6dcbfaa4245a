//! Features where they lie, as a fit reads them: in any precision, dense with a stride or sparse.

use faer::{Accum, MatMut, MatRef};
use rayon::prelude::*;

use super::Features;
use super::sparse::SparseRows;
use crate::Result;
use crate::features::{DenseView, FeatureRows, FeatureSlice};
use crate::kernel::vectorized;

/// Rows of samples handled by one task.
pub(super) const BLOCK_LEN: usize = 256;

/// Columns of features handled by one task.
const COLUMN_BLOCK_LEN: usize = 128;

/// Features that a fit reads again and again; only blocks of them are ever copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    Dense(DenseSource<'a>),
    Sparse(&'a SparseRows),
}

/// Some rows of a dense view.
#[derive(Clone, Copy, Debug)]
pub(super) struct DenseSource<'a> {
    view: DenseView<'a>,
    /// Which rows, in this order; all of them when absent.
    rows: Option<&'a [usize]>,
}

impl<'a> DenseSource<'a> {
    fn num_samples(&self) -> usize {
        self.rows.map_or(self.view.num_rows(), <[usize]>::len)
    }

    /// Rows of the view.
    fn chosen(&self, samples: &[usize]) -> Vec<usize> {
        match self.rows {
            None => samples.to_vec(),
            Some(rows) => samples.iter().map(|&sample| rows[sample]).collect(),
        }
    }

    /// All rows where they lie, if they are f64 without gaps.
    fn direct(&self) -> Option<&'a [f64]> {
        match (self.rows, self.view.as_contiguous()) {
            (None, Some(FeatureRows::F64(values))) => Some(values),
            _ => None,
        }
    }

    fn row(&self, sample: usize) -> FeatureSlice<'a> {
        self.view.row(self.rows.map_or(sample, |rows| rows[sample]))
    }

    /// Columns from `column` on of rows from `first` on, as many as `out` `[rows, columns]` holds.
    fn copy(&self, first: usize, column: usize, num_columns: usize, out: &mut [f64]) {
        for (offset, out) in out.chunks_exact_mut(num_columns).enumerate() {
            part(self.row(first + offset), column, num_columns).write_f64(out);
        }
    }
}

fn part(row: FeatureSlice<'_>, first: usize, len: usize) -> FeatureSlice<'_> {
    let range = first..first + len;
    match row {
        FeatureSlice::F16(values) => FeatureSlice::F16(&values[range]),
        FeatureSlice::BF16(values) => FeatureSlice::BF16(&values[range]),
        FeatureSlice::F32(values) => FeatureSlice::F32(&values[range]),
        FeatureSlice::F64(values) => FeatureSlice::F64(&values[range]),
    }
}

/// What is known of a column: mean, mean square, variance and the largest absolute value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColumnMoments {
    pub(super) mean: f64,
    pub(super) mean_square: f64,
    pub(super) variance: f64,
    pub(super) largest: f64,
}

impl<'a> Source<'a> {
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch) for features without a column.
    pub(super) fn of(features: &'a Features) -> Result<Self> {
        Ok(match features {
            Features::Dense(dense) => Self::Dense(DenseSource {
                view: dense.view()?,
                rows: None,
            }),
            Features::Sparse(sparse) => Self::Sparse(sparse),
        })
    }

    /// Rows of a view, which is finite.
    pub(super) fn of_dense(view: DenseView<'a>, rows: Option<&'a [usize]>) -> Self {
        Self::Dense(DenseSource { view, rows })
    }

    pub(super) fn num_samples(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.num_samples(),
            Self::Sparse(sparse) => sparse.rows.len(),
        }
    }

    pub(super) fn dim(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.view.dim(),
            Self::Sparse(sparse) => sparse.dim(),
        }
    }

    /// The moments of each column; the variance around the mean, in a second pass.
    pub(super) fn column_moments(&self) -> Vec<ColumnMoments> {
        let dim = self.dim();
        let mut moments = vec![ColumnMoments::default(); dim];
        moments
            .par_chunks_mut(COLUMN_BLOCK_LEN)
            .enumerate()
            .for_each(|(block, moments)| {
                let first = block * COLUMN_BLOCK_LEN;
                match self {
                    Self::Dense(dense) => dense.moments(first, moments),
                    Self::Sparse(sparse) => {
                        let n = self.num_samples() as f64;
                        for (column, moments) in (first..).zip(moments) {
                            *moments = moments_of(sparse.column_list(column), n);
                        }
                    }
                }
            });
        moments
    }

    /// ‖x_i‖² of each sample, with every column turned into x·factor − shift.
    pub(super) fn row_squares(&self, affine: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
        let dim = self.dim();
        let at_zero: f64 = (0..dim).map(|column| affine(column, 0.0).powi(2)).sum();
        (0..self.num_samples())
            .into_par_iter()
            .map(|sample| match self {
                Self::Dense(dense) => {
                    let row = dense.row(sample);
                    (0..dim).map(|j| affine(j, row.get(j)).powi(2)).sum()
                }
                Self::Sparse(sparse) => {
                    let change =
                        |(j, x): (usize, f64)| affine(j, x).powi(2) - affine(j, 0.0).powi(2);
                    let change: f64 = sparse.rows.list(sample).map(change).sum();
                    (at_zero + change).max(0.0)
                }
            })
            .collect()
    }

    /// X·W + b for the rows from `first` on, as many as `logits` `[rows, K]` holds. `weights` is
    /// `[d, K]`; `scratch` keeps its memory.
    pub(super) fn logits(
        &self,
        first: usize,
        weights: &[f64],
        bias: &[f64],
        logits: &mut [f64],
        scratch: &mut Vec<f64>,
    ) {
        let num_classes = bias.len();
        for row in logits.chunks_exact_mut(num_classes) {
            row.copy_from_slice(bias);
        }
        let num_rows = logits.len() / num_classes;
        match self {
            Self::Dense(dense) => {
                let dim = dense.view.dim();
                let values = match dense.direct() {
                    Some(values) => &values[first * dim..][..num_rows * dim],
                    None => {
                        scratch.resize(num_rows * dim, 0.0);
                        dense.copy(first, 0, dim, scratch);
                        &scratch[..]
                    }
                };
                crate::product::multiply(
                    MatMut::from_row_major_slice_mut(logits, num_rows, num_classes),
                    Accum::Add,
                    MatRef::from_row_major_slice(values, num_rows, dim),
                    MatRef::from_row_major_slice(weights, dim, num_classes),
                    1.0,
                );
            }
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
        gradient
            .par_chunks_mut(COLUMN_BLOCK_LEN * num_classes)
            .enumerate()
            .for_each_init(Vec::new, |scratch, (block, gradient)| {
                let first = block * COLUMN_BLOCK_LEN;
                match self {
                    Self::Dense(dense) => {
                        dense.transpose_times(first, residuals, num_classes, gradient, scratch);
                    }
                    Self::Sparse(sparse) => {
                        gradient.fill(0.0);
                        let lists = first..first + gradient.len() / num_classes;
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

    /// X·W + b for these rows, `[rows, K]`.
    pub(super) fn logits_of(
        &self,
        samples: &[usize],
        weights: &[f64],
        bias: &[f64],
        logits: &mut [f64],
    ) {
        match self {
            Self::Dense(dense) => {
                let rows = dense.chosen(samples);
                let part = Source::of_dense(dense.view, Some(&rows));
                part.logits(0, weights, bias, logits, &mut Vec::new());
            }
            Self::Sparse(sparse) => {
                let rows = samples.iter().zip(logits.chunks_exact_mut(bias.len()));
                for (&sample, logits) in rows {
                    logits.copy_from_slice(bias);
                    for (column, value) in sparse.rows.list(sample) {
                        let weights = &weights[column * bias.len()..][..bias.len()];
                        crate::kernel::add_scaled(logits, value, weights);
                    }
                }
            }
        }
    }

    /// XᵀR for these rows alone, with their residuals `[rows, K]`.
    pub(super) fn transpose_times_of(
        &self,
        samples: &[usize],
        residuals: &[f64],
        num_classes: usize,
        gradient: &mut [f64],
    ) {
        match self {
            Self::Dense(dense) => {
                let rows = dense.chosen(samples);
                Source::of_dense(dense.view, Some(&rows)).transpose_times(
                    residuals,
                    num_classes,
                    gradient,
                );
            }
            Self::Sparse(sparse) => {
                gradient.fill(0.0);
                for (&sample, residuals) in samples.iter().zip(residuals.chunks_exact(num_classes))
                {
                    for (column, value) in sparse.rows.list(sample) {
                        let slopes = &mut gradient[column * num_classes..][..num_classes];
                        crate::kernel::add_scaled(slopes, value, residuals);
                    }
                }
            }
        }
    }
}

impl DenseSource<'_> {
    fn moments(&self, first: usize, moments: &mut [ColumnMoments]) {
        let n = self.num_samples() as f64;
        let mut row = vec![0.0; moments.len()];
        for sample in 0..self.num_samples() {
            self.copy(sample, first, moments.len(), &mut row);
            for (moments, x) in moments.iter_mut().zip(&row) {
                moments.mean += x / n;
                moments.mean_square += x * x / n;
                moments.largest = moments.largest.max(x.abs());
            }
        }
        for sample in 0..self.num_samples() {
            self.copy(sample, first, moments.len(), &mut row);
            for (moments, x) in moments.iter_mut().zip(&row) {
                moments.variance += (x - moments.mean).powi(2) / n;
            }
        }
    }

    fn transpose_times(
        &self,
        first: usize,
        residuals: &[f64],
        num_classes: usize,
        gradient: &mut [f64],
        scratch: &mut Vec<f64>,
    ) {
        let (num_samples, dim) = (self.num_samples(), self.view.dim());
        let num_columns = gradient.len() / num_classes;
        if let Some(values) = self.direct() {
            return crate::product::multiply(
                MatMut::from_row_major_slice_mut(gradient, num_columns, num_classes),
                Accum::Replace,
                MatRef::from_row_major_slice(values, num_samples, dim)
                    .subcols(first, num_columns)
                    .transpose(),
                MatRef::from_row_major_slice(residuals, num_samples, num_classes),
                1.0,
            );
        }
        gradient.fill(0.0);
        for start in (0..num_samples).step_by(BLOCK_LEN) {
            let len = BLOCK_LEN.min(num_samples - start);
            scratch.resize(len * num_columns, 0.0);
            self.copy(start, first, num_columns, scratch);
            crate::product::multiply(
                MatMut::from_row_major_slice_mut(gradient, num_columns, num_classes),
                Accum::Add,
                MatRef::from_row_major_slice(scratch, len, num_columns).transpose(),
                MatRef::from_row_major_slice(
                    &residuals[start * num_classes..][..len * num_classes],
                    len,
                    num_classes,
                ),
                1.0,
            );
        }
    }
}

/// Of a column whose other entries, up to n, are 0.
fn moments_of(values: &[f64], n: f64) -> ColumnMoments {
    let (mut sum, mut squares, mut largest) = (0.0, 0.0, 0f64);
    for x in values {
        sum += x;
        squares += x * x;
        largest = largest.max(x.abs());
    }
    let (mean, count) = (sum / n, values.len() as f64);
    let around: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    ColumnMoments {
        mean,
        mean_square: squares / n,
        variance: (around + (n - count).max(0.0) * mean * mean) / n,
        largest,
    }
}
