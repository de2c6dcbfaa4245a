use faer::Mat;

use super::UfmProblem;
use crate::{Error, Result};

/// A candidate answer: a classifier, one feature per distinct label set, and a bias.
#[derive(Clone, Debug)]
pub struct UfmPoint {
    /// W, `[K, d]`.
    pub weight: Mat<f64>,
    /// The feature h_S of each non-empty label set, `[d, L]`, in the order of
    /// [`LabelCounts::sets`](super::LabelCounts::sets).
    pub set_features: Mat<f64>,
    /// b, length K; zeros for a problem without bias.
    pub bias: Vec<f64>,
}

impl UfmPoint {
    /// Checks sizes and numbers against a problem with `num_sets` label sets.
    pub(super) fn check(&self, problem: &UfmProblem, num_sets: usize) -> Result<()> {
        let sizes = [
            (
                "rows of the classifier",
                problem.num_classes(),
                self.weight.nrows(),
            ),
            (
                "columns of the classifier",
                problem.dim(),
                self.weight.ncols(),
            ),
            (
                "rows of the label-set features",
                problem.dim(),
                self.set_features.nrows(),
            ),
            (
                "columns of the label-set features",
                num_sets,
                self.set_features.ncols(),
            ),
            (
                "numbers in the bias",
                problem.num_classes(),
                self.bias.len(),
            ),
        ];
        for (what, expected, found) in sizes {
            if expected != found {
                return Err(Error::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        check_finite("the classifier", &self.weight)?;
        check_finite("the label-set features", &self.set_features)?;
        match self.bias.iter().position(|b| !b.is_finite()) {
            None => Ok(()),
            Some(row) => Err(Error::NotFinite {
                what: "the bias",
                row,
                column: 0,
                value: self.bias[row],
            }),
        }
    }
}

fn check_finite(what: &'static str, matrix: &Mat<f64>) -> Result<()> {
    for column in 0..matrix.ncols() {
        for row in 0..matrix.nrows() {
            let value = matrix[(row, column)];
            if !value.is_finite() {
                return Err(Error::NotFinite {
                    what,
                    row,
                    column,
                    value,
                });
            }
        }
    }
    Ok(())
}
