//! Features of samples, dense or sparse.

use std::ops::Range;

use super::sparse::{Compressed, SparseRows};
use crate::features::{CsrView, DenseView, FeaturesView};
use crate::statistics::Statistics;
use crate::{Error, Result, Targets};

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

impl DenseRows {
    pub(super) fn view(&self) -> Result<DenseView<'_>> {
        DenseView::new(&self.values, self.dim)
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
            Self::Sparse(sparse) => Self::Sparse(sparse.select(samples)),
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
}
