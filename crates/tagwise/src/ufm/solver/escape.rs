//! The way out of a saddle: singular vectors of the gradient that the classifier does not span.

use faer::{Mat, MatRef};

use super::super::decompose::{eigenvectors, thin_qr};
use super::super::objective::Objective;
use super::super::product::{unit_gram, wide};
use super::Factors;
use crate::Result;

/// A singular vector of Q is new when at least this part of its square lies outside the classifier's column space.
const NEW_PART: f64 = 0.5;

/// The left singular vectors of Q, `[K, K]`, and the squares of their singular values over `scale`,
/// the smallest first.
pub(super) struct Spectrum {
    vectors: Mat<f64>,
    values: Vec<f64>,
    scale: f64,
}

impl Spectrum {
    pub(super) fn of(pull: MatRef<'_, f64>) -> Result<Self> {
        let (gram, scale) = unit_gram(pull);
        let (values, vectors) = eigenvectors(gram.as_ref())?;
        Ok(Self {
            vectors,
            values,
            scale,
        })
    }

    /// σ_max(Q).
    pub(super) fn largest(&self) -> f64 {
        let largest = self.values.last().copied().unwrap_or(0.0);
        (largest.max(0.0) * self.scale).sqrt()
    }
}

/// The left singular vectors of Q with σ above the threshold that the classifier does not span,
/// the largest first, `[K, new]`.
pub(super) fn descent_directions(
    spectrum: &Spectrum,
    factors: &Factors,
    threshold: f64,
    at_most: usize,
) -> Mat<f64> {
    let Spectrum {
        vectors,
        values,
        scale,
    } = spectrum;
    let num_classes = vectors.nrows();
    let least = (1.0 + 4.0 * f64::EPSILON * num_classes as f64) * threshold * threshold / scale;
    let basis = match factors.rank() {
        0 => Mat::zeros(num_classes, 0),
        _ => thin_qr(factors.weight.as_ref()).0,
    };
    let mut new = Vec::new();
    for j in (0..num_classes).rev() {
        if new.len() == at_most || values[j] <= least {
            break;
        }
        let vector = vectors.col(j);
        let inside: f64 = basis
            .col_iter()
            .map(|column| {
                let products = column.iter().zip(vector.iter()).map(|(a, b)| a * b);
                products.sum::<f64>().powi(2)
            })
            .sum();
        if 1.0 - inside >= NEW_PART {
            new.push(j);
        }
    }
    Mat::from_fn(num_classes, new.len(), |k, j| vectors[(k, new[j])])
}

/// ⟨D, H D⟩ for the change of logits D = −Σ(σ_j − threshold) u_j v_jᵀ, H the Hessian of the loss.
pub(super) fn curvature(
    objective: &mut Objective<'_>,
    added: &Mat<f64>,
    along: &Mat<f64>,
    sigma: &[f64],
    threshold: f64,
) -> f64 {
    let scaled = Mat::from_fn(added.nrows(), added.ncols(), |k, j| {
        added[(k, j)] * (sigma[j] - threshold) / sigma[j]
    });
    let mut change = Mat::zeros(added.nrows(), along.ncols()); // [K, L]
    wide(change.as_mut(), &[(scaled.as_ref(), along.as_ref())]);
    objective.curvature(change.as_ref()).max(f64::MIN_POSITIVE)
}
