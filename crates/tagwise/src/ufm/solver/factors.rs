//! The two factors of the logits, as the solver moves them and as points.

use faer::Mat;

use super::super::decompose::{thin_qr, thin_svd};
use super::super::product::{tall, wide};
use super::super::reduced::Reduced;
use super::super::{ClassifierKind, FeatureKind, UfmPoint, UfmProblem};
use crate::Result;
use crate::etf::simplex_etf_mat;
use crate::product::product;

/// W·ω, [√n_S h_S]/ω, b and c, with ω⁴ = λ_W/λ_H so that both factors decay with √(λ_W λ_H).
#[derive(Clone)]
pub(super) struct Factors {
    pub weight: Mat<f64>,
    pub features: Mat<f64>,
    pub bias: Vec<f64>,
    /// c of a set likelihood; empty with pick-all-labels.
    pub potentials: Vec<f64>,
}

/// ω, 1 for a fixed classifier.
fn balance(problem: &UfmProblem) -> f64 {
    match problem.classifier() {
        ClassifierKind::Learned => (problem.lambda_w() / problem.lambda_h()).sqrt().sqrt(),
        ClassifierKind::FixedEtf => 1.0,
    }
}

/// Whether a fixed ETF can be replaced by the one on K axes: in d ≥ K it is that one, and free
/// features of K − 1 dimensions are a rotation of its features.
pub(super) fn is_on_axes(problem: &UfmProblem) -> bool {
    problem.classifier() == ClassifierKind::FixedEtf
        && (problem.features() == FeatureKind::Free || problem.dim() >= problem.num_classes())
}

/// √(K/(K−1))
fn axes_scale(num_classes: usize) -> f64 {
    (num_classes as f64 / (num_classes as f64 - 1.0)).sqrt()
}

impl Factors {
    pub fn zero(problem: &UfmProblem, reduced: &Reduced) -> Self {
        Self {
            weight: Mat::zeros(reduced.num_classes, 0),
            features: Mat::zeros(0, reduced.num_sets),
            bias: vec![0.0; reduced.num_classes],
            potentials: vec![0.0; problem.num_potentials()],
        }
    }

    pub fn of_point(problem: &UfmProblem, reduced: &Reduced, point: &UfmPoint) -> Self {
        if is_on_axes(problem) {
            return Self::on_axes(problem, reduced, point);
        }
        let omega = balance(problem);
        let (dim, num_sets) = (problem.dim(), reduced.num_sets);
        Self {
            weight: &point.weight * faer::Scale(omega),
            features: Mat::from_fn(dim, num_sets, |i, set| {
                point.set_features[(i, set)] * reduced.roots[set] / omega
            }),
            bias: point.bias.clone(),
            potentials: point.potentials.clone(),
        }
    }

    /// The features on K axes that give the same logits with the ETF on these axes.
    fn on_axes(problem: &UfmProblem, reduced: &Reduced, point: &UfmPoint) -> Self {
        let num_classes = reduced.num_classes;
        let scale = axes_scale(num_classes);
        let features = match problem.features() {
            FeatureKind::Free => {
                product(point.weight.as_ref(), point.set_features.as_ref())
                    * faer::Scale(1.0 / scale)
            }
            FeatureKind::NonNegative => point.set_features.subrows(0, num_classes).to_owned(),
        };
        Self {
            weight: Mat::zeros(num_classes, num_classes),
            features: Mat::from_fn(num_classes, reduced.num_sets, |i, set| {
                features[(i, set)] * reduced.roots[set]
            }),
            bias: point.bias.clone(),
            potentials: point.potentials.clone(),
        }
    }

    /// The inverse of [`on_axes`](Self::on_axes) for the ETF of the problem's dimension.
    fn point_off_axes(&self, problem: &UfmProblem, reduced: &Reduced) -> Result<UfmPoint> {
        let (num_classes, dim) = (reduced.num_classes, problem.dim());
        let weight = simplex_etf_mat(num_classes, dim)?;
        let unscaled = |i: usize, set: usize| self.features[(i, set)] / reduced.roots[set];
        let features = Mat::from_fn(num_classes, reduced.num_sets, unscaled);
        let set_features = if dim >= num_classes {
            Mat::from_fn(dim, reduced.num_sets, |i, set| {
                if i < num_classes {
                    features[(i, set)]
                } else {
                    0.0
                }
            })
        } else {
            // The columns of the ETF are an orthogonal basis of the space without means.
            let mut out = Mat::zeros(dim, reduced.num_sets);
            wide(out.as_mut(), &[(weight.transpose(), features.as_ref())]);
            out * faer::Scale(1.0 / axes_scale(num_classes))
        };
        Ok(UfmPoint {
            weight,
            set_features,
            bias: self.bias.clone(),
            potentials: self.potentials.clone(),
        })
    }

    pub fn rank(&self) -> usize {
        self.weight.ncols()
    }

    pub fn logit_rank(mut self, problem: &UfmProblem) -> Result<usize> {
        if is_on_axes(problem) {
            let num_classes = problem.num_classes();
            self.weight = simplex_etf_mat(num_classes, num_classes)?;
        }
        Ok(self.compressed()?.rank())
    }

    /// The point with d columns.
    pub fn point(&self, problem: &UfmProblem, reduced: &Reduced) -> Result<UfmPoint> {
        if is_on_axes(problem) {
            return self.point_off_axes(problem, reduced);
        }
        let omega = balance(problem);
        let (dim, rank) = (problem.dim(), self.rank());
        Ok(UfmPoint {
            weight: Mat::from_fn(reduced.num_classes, dim, |k, j| {
                if j < rank {
                    self.weight[(k, j)] / omega
                } else {
                    0.0
                }
            }),
            set_features: Mat::from_fn(dim, reduced.num_sets, |j, set| {
                if j < rank {
                    self.features[(j, set)] * omega / reduced.roots[set]
                } else {
                    0.0
                }
            }),
            bias: self.bias.clone(),
            potentials: self.potentials.clone(),
        })
    }

    /// The same product with balanced factors UΣ^½ and Σ^½Vᵀ, without columns that rounding made.
    pub fn compressed(&self) -> Result<Self> {
        if self.rank() == 0 {
            return Ok(self.clone());
        }
        let (left, left_core) = thin_qr(self.weight.as_ref());
        let (right, right_core) = thin_qr(self.features.transpose());
        let mut core = Mat::zeros(left.ncols(), right.ncols());
        tall(core.as_mut(), &[(left_core.as_ref(), right_core.as_ref())]);
        let (left_vectors, sigma, right_vectors) = thin_svd(core.as_ref())?;
        let largest = sigma.first().copied().unwrap_or(0.0);
        let kept = sigma
            .iter()
            .filter(|&&s| s > NEGLIGIBLE * largest && s > 0.0)
            .count();
        let product = |basis: &Mat<f64>, vectors: &Mat<f64>| {
            let mut out = Mat::zeros(kept, basis.nrows());
            let vectors = vectors.subcols(0, kept);
            wide(out.as_mut(), &[(vectors.transpose(), basis.transpose())]);
            out
        };
        let left = product(&left, &left_vectors); // [kept, K]
        let right = product(&right, &right_vectors); // [kept, L]
        Ok(Self {
            weight: Mat::from_fn(left.ncols(), kept, |i, j| left[(j, i)] * sigma[j].sqrt()),
            features: Mat::from_fn(kept, right.ncols(), |j, i| right[(j, i)] * sigma[j].sqrt()),
            bias: self.bias.clone(),
            potentials: self.potentials.clone(),
        })
    }

    /// The first columns of factors that are [`compressed`](Self::compressed).
    pub fn leading(&self, rank: usize) -> Self {
        let rank = rank.min(self.rank());
        Self {
            weight: self.weight.subcols(0, rank).to_owned(),
            features: self.features.subrows(0, rank).to_owned(),
            bias: self.bias.clone(),
            potentials: self.potentials.clone(),
        }
    }
}

/// Singular values of the logits below this part of the largest are dropped; if one of them
/// mattered, its direction comes back as a direction of descent.
const NEGLIGIBLE: f64 = 1e-9;
