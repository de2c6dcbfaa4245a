//! The lower bound: probabilities as a feasible point of the dual problem.

use faer::prelude::ReborrowMut;
use faer::{Mat, MatRef};

use super::decompose::eigenvalues;
use super::product::{unit_gram, wide};
use super::reduced::Reduced;
use super::{Bias, ClassifierKind, FeatureKind, UfmProblem};

/// Probabilities `[K, L]` as a point of the dual problem.
pub(super) struct DualPoint<'a> {
    reduced: &'a Reduced,
    probabilities: Mat<f64>,
}

impl<'a> DualPoint<'a> {
    pub fn new(reduced: &'a Reduced, probabilities: Mat<f64>) -> Self {
        Self {
            reduced,
            probabilities,
        }
    }

    /// The dual value and σ_max(Q)/(2√(λ_W λ_H)) for a learned classifier; `largest` is σ_max(Q) of the
    /// probabilities as they were given, where it is known.
    pub fn bound(
        &mut self,
        problem: &UfmProblem,
        weight: &Mat<f64>,
        largest: Option<f64>,
    ) -> (f64, Option<f64>) {
        let is_balanced = problem.bias() == Bias::Free;
        if is_balanced {
            self.balance();
        }
        match problem.classifier() {
            ClassifierKind::FixedEtf => (self.fixed_dual_value(problem, weight), None),
            ClassifierKind::Learned => {
                let threshold = 2.0 * (problem.lambda_w() * problem.lambda_h()).sqrt();
                let known = largest.filter(|_| !is_balanced);
                let largest = known.unwrap_or_else(|| self.largest_singular_value());
                let ratio = largest / threshold;
                (
                    self.dual_value(problem, (1.0 / ratio).min(1.0)),
                    Some(ratio),
                )
            }
        }
    }

    /// s = Σ_S (n_S/N) α_S (m p − 1_S), `[K]`, for p' = shrink·p + (1−shrink)·1_S/m.
    fn imbalance(&self, shrink: f64) -> Vec<f64> {
        let reduced = self.reduced;
        let mut sum = vec![0.0; reduced.num_classes];
        for set in 0..reduced.num_sets {
            let weight = shrink * reduced.weights[set];
            let scale = weight * reduced.multiplicities[set];
            for (s, p) in sum.iter_mut().zip(self.probabilities.col(set).iter()) {
                *s += scale * p;
            }
            for &k in reduced.labels(set) {
                sum[k as usize] -= weight;
            }
        }
        sum
    }

    /// Moves probability from classes with s > 0 to classes with s < 0 until s = 0, as a bias
    /// without decay demands; every column stays a distribution.
    fn balance(&mut self) {
        let reduced = self.reduced;
        let imbalance = self.imbalance(1.0);
        let missing: f64 = imbalance.iter().map(|s| (-s).max(0.0)).sum();
        if missing == 0.0 {
            return;
        }
        let mut mass = vec![0.0; reduced.num_classes];
        for set in 0..reduced.num_sets {
            let scale = reduced.weights[set] * reduced.multiplicities[set];
            for (mass, p) in mass.iter_mut().zip(self.probabilities.col(set).iter()) {
                *mass += scale * p;
            }
        }
        for mut column in self.probabilities.col_iter_mut() {
            let mut freed = 0.0;
            for ((p, s), mass) in column.rb_mut().iter_mut().zip(&imbalance).zip(&mass) {
                if *s > 0.0 {
                    let part = *p * (s / mass).min(1.0);
                    *p -= part;
                    freed += part;
                }
            }
            for (p, s) in column.iter_mut().zip(&imbalance) {
                if *s < 0.0 {
                    *p += freed * (-s / missing);
                }
            }
        }
    }

    /// Column S of Q times √n_S, that is (n_S/N) α_S (m p − 1_S), divided by `divisor`.
    fn pull(&self, set: usize, divisor: f64, out: &mut [f64]) {
        let weight = self.reduced.weights[set] / divisor;
        let scale = weight * self.reduced.multiplicities[set];
        for (q, p) in out.iter_mut().zip(self.probabilities.col(set).iter()) {
            *q = scale * p;
        }
        for &k in self.reduced.labels(set) {
            out[k as usize] -= weight;
        }
    }

    fn largest_singular_value(&self) -> f64 {
        let (num_classes, num_sets) = (self.reduced.num_classes, self.reduced.num_sets);
        let mut pull = Mat::zeros(num_classes, num_sets);
        let mut column = vec![0.0; num_classes];
        for set in 0..num_sets {
            self.pull(set, self.reduced.roots[set], &mut column);
            for (q, value) in pull.col_mut(set).iter_mut().zip(&column) {
                *q = *value;
            }
        }
        largest_singular_value(pull.as_ref())
    }

    fn entropy(&self, shrink: f64) -> f64 {
        let reduced = self.reduced;
        let mut sum = 0.0;
        for set in 0..reduced.num_sets {
            let m = reduced.multiplicities[set];
            let probabilities = self.probabilities.col(set);
            let mut entropy = 0.0;
            for p in probabilities.iter() {
                entropy += negative_entropy(shrink * p);
            }
            for &k in reduced.labels(set) {
                let p = shrink * probabilities[k as usize];
                entropy += negative_entropy(p + (1.0 - shrink) / m) - negative_entropy(p);
            }
            sum -= reduced.weights[set] * m * entropy;
        }
        sum
    }

    fn bias_term(&self, problem: &UfmProblem, shrink: f64) -> f64 {
        match problem.bias() {
            Bias::Decayed(decay) => {
                let squares: f64 = self.imbalance(shrink).iter().map(|s| s * s).sum();
                squares / (4.0 * decay)
            }
            Bias::None | Bias::Free => 0.0,
        }
    }

    fn dual_value(&self, problem: &UfmProblem, shrink: f64) -> f64 {
        self.entropy(shrink) - self.bias_term(problem, shrink)
    }

    /// For a fixed classifier minus Σ_S ‖Wᵀu_S‖²/(4 λ_H n_S), with only the positive part of
    /// −Wᵀu_S for non-negative features.
    fn fixed_dual_value(&self, problem: &UfmProblem, weight: &Mat<f64>) -> f64 {
        let mut pulls = Mat::zeros(self.reduced.num_classes, self.reduced.num_sets);
        let mut column = vec![0.0; self.reduced.num_classes];
        for set in 0..self.reduced.num_sets {
            self.pull(set, self.reduced.roots[set], &mut column);
            for (q, value) in pulls.col_mut(set).iter_mut().zip(&column) {
                *q = -*value;
            }
        }
        let mut towards = Mat::zeros(weight.ncols(), pulls.ncols()); // [d, L]
        wide(towards.as_mut(), &[(weight.transpose(), pulls.as_ref())]);
        let mut squares = 0.0;
        for column in towards.col_iter() {
            for &t in column.iter() {
                let t = match problem.features() {
                    FeatureKind::Free => t,
                    FeatureKind::NonNegative => t.max(0.0),
                };
                squares += t * t;
            }
        }
        self.dual_value(problem, 1.0) - squares / (4.0 * problem.lambda_h())
    }
}

/// σ_max of a matrix, from the eigenvalues of its smaller Gram matrix.
pub(super) fn largest_singular_value(matrix: MatRef<'_, f64>) -> f64 {
    let (gram, scale) = match matrix.nrows() <= matrix.ncols() {
        true => unit_gram(matrix),
        false => unit_gram(matrix.transpose()),
    };
    let eigenvalues = eigenvalues(gram.as_ref()).unwrap_or_else(|_| vec![gram.norm_l2()]); // ‖·‖_F bounds the largest eigenvalue
    let largest = eigenvalues.last().copied().unwrap_or(0.0);
    (largest.max(0.0) * scale).sqrt()
}

/// p ln p, 0 at p = 0.
fn negative_entropy(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}
