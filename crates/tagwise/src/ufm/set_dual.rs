//! The lower bound for the set likelihood: the slopes of its losses as a feasible point of the dual
//! problem.

use faer::Mat;

use super::dual::largest_singular_value;
use super::product::wide;
use super::reduced::Reduced;
use super::{ClassifierKind, FeatureKind, UfmPoint, UfmProblem};
use crate::loss::set_likelihood::{Marginals, Outputs, ShareChange};

/// What one label set, or all of one kind, adds to the dual value.
pub(super) struct DualTerm {
    /// n_S/N
    pub weight: f64,
    /// ℓ = −log p(S)
    pub loss: f64,
    /// ⟨y, z⟩ of the slopes y of ℓ and all that it is a function of.
    pub product: f64,
}

impl DualTerm {
    /// The least that θy is worth, −ℓ*(θy).
    fn worth(&self, shrink: f64) -> f64 {
        let others = -(-self.loss).exp_m1(); // 1 − p(S)
        let own = 1.0 - shrink * others;
        let mixed = match shrink < 1.0 && own > 0.0 {
            true => {
                shrink * others * shrink.ln()
                    + own * (-shrink * others).ln_1p()
                    + shrink * (1.0 - others) * self.loss
            }
            false => 0.0,
        };
        shrink * (self.loss - self.product) - if shrink > 0.0 { mixed } else { 0.0 }
    }
}

/// The dual value for the largest feasible θ or a smaller one that is better, `penalty` being
/// ‖s‖²/(4λ_b) + ‖s_c‖²/(4λ_c) at θ = 1.
pub(super) fn best_worth(terms: &[DualTerm], penalty: f64, largest: f64) -> f64 {
    let value = |shrink: f64| {
        let worth: f64 = terms.iter().map(|t| t.weight * t.worth(shrink)).sum();
        worth - shrink * shrink * penalty
    };
    let linear: f64 = terms.iter().map(|t| t.weight * (t.loss - t.product)).sum();
    let other = (linear / (2.0 * penalty)).clamp(0.0, largest);
    match other.is_nan() {
        true => value(largest),
        false => value(largest).max(value(other)),
    }
}

/// The slopes of all label sets at a point.
pub(super) struct SetDual<'a> {
    reduced: &'a Reduced,
    /// (n_S/N)·y_S/√n_S by the logits, `[K, L]`
    pull: Mat<f64>,
    terms: Vec<DualTerm>,
    /// s_c = Σ (n_S/N)·y_S by the potentials, `[M + 1]`
    imbalance: Vec<f64>,
}

impl<'a> SetDual<'a> {
    /// For a point that fits a problem with the set likelihood; computed apart from the solver.
    pub fn new(problem: &UfmProblem, reduced: &'a Reduced, point: &UfmPoint) -> Self {
        let mut model = problem.potentials().expect("a set likelihood").clone();
        model.set(&point.potentials, std::iter::empty());
        let mut pull = Mat::zeros(reduced.num_classes, reduced.num_sets);
        let factors = (point.weight.as_ref(), point.set_features.as_ref());
        wide(pull.as_mut(), &[factors]);
        let mut terms = Vec::with_capacity(reduced.num_sets);
        let mut imbalance = vec![0.0; point.potentials.len()];
        let (mut marginals, mut exact) = (Marginals::default(), ShareChange::default());
        let mut logits = vec![0.0; reduced.num_classes];
        for set in 0..reduced.num_sets {
            let column = pull.col(set);
            for ((z, x), b) in logits.iter_mut().zip(column.iter()).zip(&point.bias) {
                *z = x + b;
            }
            marginals.run(&model, &logits);
            let (labels, weight) = (reduced.labels(set), reduced.weights[set]);
            let own: f64 = labels.iter().map(|&k| logits[k as usize]).sum();
            let score = own + point.potentials[labels.len()];
            let at = Outputs {
                logits: &logits,
                potentials: &point.potentials,
            };
            let small = exact.small_loss(at, labels);
            let loss = small.unwrap_or_else(|| (marginals.log_partition - score).max(0.0));
            let mut product = 0.0;
            let mut slopes = marginals.inclusion().to_vec();
            labels.iter().for_each(|&k| slopes[k as usize] -= 1.0);
            let scale = weight / reduced.roots[set];
            for (k, (slope, z)) in slopes.iter().zip(&logits).enumerate() {
                product += slope * z;
                pull[(k, set)] = scale * slope;
            }
            let shares = marginals.multiplicities().iter().enumerate();
            for ((j, share), c) in shares.zip(&point.potentials) {
                let slope = share - f64::from(u8::from(j == labels.len()));
                product += slope * c;
                imbalance[j] += weight * slope;
            }
            terms.push(DualTerm {
                weight,
                loss,
                product,
            });
        }
        Self {
            reduced,
            pull,
            terms,
            imbalance,
        }
    }

    /// The mean loss over all samples.
    pub fn loss(&self) -> f64 {
        self.terms.iter().map(|term| term.weight * term.loss).sum()
    }

    /// The dual value and σ_max(Q)/(2√(λ_W λ_H)) for a learned classifier.
    pub fn bound(&self, problem: &UfmProblem, weight: &Mat<f64>) -> (f64, Option<f64>) {
        let penalty = self.penalty(problem);
        match problem.classifier() {
            ClassifierKind::FixedEtf => {
                let penalty = penalty + self.towards(problem, weight);
                (best_worth(&self.terms, penalty, 1.0), None)
            }
            ClassifierKind::Learned => {
                let threshold = 2.0 * (problem.lambda_w() * problem.lambda_h()).sqrt();
                let ratio = largest_singular_value(self.pull.as_ref()) / threshold;
                let shrink = (1.0 / ratio).min(1.0);
                (best_worth(&self.terms, penalty, shrink), Some(ratio))
            }
        }
    }

    /// ‖s‖²/(4λ_b) + ‖s_c‖²/(4λ_c), without the terms of what is not learned.
    fn penalty(&self, problem: &UfmProblem) -> f64 {
        let over = |squares: f64, decay: Option<f64>| decay.map_or(0.0, |d| squares / (4.0 * d));
        let mut sums = vec![0.0; self.reduced.num_classes];
        for (column, root) in self.pull.col_iter().zip(&self.reduced.roots) {
            for (sum, slope) in sums.iter_mut().zip(column.iter()) {
                *sum += root * slope;
            }
        }
        let square = |values: &[f64]| values.iter().map(|s| s * s).sum::<f64>();
        over(square(&sums), problem.bias().decay())
            + over(square(&self.imbalance), problem.lambda_c())
    }

    /// Σ_S ‖Wᵀu_S‖²/(4 λ_H n_S), with only the positive part of −Wᵀu_S for non-negative features.
    fn towards(&self, problem: &UfmProblem, weight: &Mat<f64>) -> f64 {
        let mut towards = Mat::zeros(weight.ncols(), self.pull.ncols()); // [d, L]
        let factors = (weight.transpose(), self.pull.as_ref());
        wide(towards.as_mut(), &[factors]);
        let mut squares = 0.0;
        for column in towards.col_iter() {
            for &t in column.iter() {
                let kept = match problem.features() {
                    FeatureKind::Free => t,
                    FeatureKind::NonNegative => t.min(0.0),
                };
                squares += kept * kept;
            }
        }
        squares / (4.0 * problem.lambda_h())
    }
}
