use faer::Mat;

use super::UfmProblem;
use crate::{Error, Result};

/// A candidate answer: a classifier, one feature per distinct label set, and a bias.
#[derive(Clone, Debug)]
pub struct UfmPoint {
    /// W, `[K, d]`.
    pub weight: Mat<f64>,
    /// The feature h_S of each label set that has one, `[d, L]`, in the order of
    /// [`UfmProblem::sets`].
    pub set_features: Mat<f64>,
    /// b, length K; zeros for a problem without bias.
    pub bias: Vec<f64>,
    /// c_0, …, c_M of a set likelihood; empty with pick-all-labels.
    pub potentials: Vec<f64>,
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
            (
                "potentials of multiplicities",
                problem.num_potentials(),
                self.potentials.len(),
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
        check_all_finite("the bias", &self.bias)?;
        check_all_finite("the potentials of multiplicities", &self.potentials)
    }
}

fn check_all_finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NotFinite {
            what,
            row,
            column: 0,
            value: values[row],
        }),
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
