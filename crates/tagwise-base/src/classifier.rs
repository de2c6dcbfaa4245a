//! The linear layer on top of the features.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::matrix::Matrix;
use crate::{Error, Result};

/// How the weight of a classifier comes about; its bias is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassifierKind {
    /// Learned with the features.
    #[default]
    Learned,
    /// Fixed at the unit rows of a simplex ETF ([`crate::etf::simplex_etf`]), which needs at least
    /// K − 1 feature dimensions; no weight decay touches it.
    FixedEtf,
}

impl fmt::Display for ClassifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learned => "learned",
            Self::FixedEtf => "fixed-ETF",
        })
    }
}

/// The linear layer on top of the features: logits z = W h + b.
///
/// ```
/// use tagwise_base::LinearClassifier;
///
/// let classifier = LinearClassifier::from_rows(&[1.0, 2.0, 3.0, 4.0], &[0.5, -0.5], 2)?;
/// assert_eq!((classifier.num_classes(), classifier.dim()), (2, 2));
/// assert_eq!(classifier.weight.row(1), [3.0, 4.0]);
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinearClassifier {
    /// W, `[K, d]`.
    pub weight: Matrix,
    /// b, length K; zeros for a classifier without bias.
    pub bias: Vec<f64>,
}

impl LinearClassifier {
    /// A classifier from a row-major weight.
    ///
    /// # Shapes
    /// `weight` is `[K, d]` with K the length of `bias`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the weight is not K rows of d.
    pub fn from_rows<T: Copy + Into<f64>>(weight: &[T], bias: &[T], dim: usize) -> Result<Self> {
        if bias.len().checked_mul(dim) != Some(weight.len()) {
            return Err(Error::SizeMismatch {
                what: "numbers in the weight of the classifier",
                expected: bias.len().saturating_mul(dim),
                found: weight.len(),
            });
        }
        let weight = weight.iter().map(|&value| value.into()).collect();
        Ok(Self {
            weight: Matrix::from_rows(bias.len(), dim, weight)?,
            bias: bias.iter().map(|&value| value.into()).collect(),
        })
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.weight.nrows()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.weight.ncols()
    }

    /// Whether the classifier fits K classes and d dimensions, and is finite.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] or [`Error::NotFinite`] with what does not fit.
    pub fn check(&self, num_classes: usize, dim: usize) -> Result<()> {
        for (what, expected, found) in [
            (
                "rows in the weight of the classifier",
                num_classes,
                self.weight.nrows(),
            ),
            (
                "columns in the weight of the classifier",
                dim,
                self.weight.ncols(),
            ),
            (
                "numbers in the bias of the classifier",
                num_classes,
                self.bias.len(),
            ),
        ] {
            if expected != found {
                return Err(Error::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        self.check_finite()
    }

    fn check_finite(&self) -> Result<()> {
        let bad = |values: &[f64]| values.iter().position(|value| !value.is_finite());
        if let Some(position) = bad(self.weight.as_slice()) {
            let (row, column) = (position / self.dim(), position % self.dim());
            return Err(Error::NotFinite {
                what: "the weight of the classifier",
                row,
                column,
                value: self.weight[(row, column)],
            });
        }
        match bad(&self.bias) {
            Some(row) => Err(Error::NotFinite {
                what: "the bias of the classifier",
                row,
                column: 0,
                value: self.bias[row],
            }),
            None => Ok(()),
        }
    }
}
