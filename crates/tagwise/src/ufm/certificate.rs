use faer::prelude::ReborrowMut;
use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::dual::DualPoint;
use super::product::wide;
use super::reduced::Reduced;
use super::set_dual::SetDual;
use super::{Bias, ClassifierKind, FeatureKind, LabelCounts, UfmPoint, UfmProblem};
use crate::etf::simplex_etf_mat;
use crate::product::product;
use crate::{Error, Result, Targets};

/// What a lower bound means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The dual of the convex form, for a learned classifier and free features. For d ≥ K the
    /// bound is attained at the global optimum; for smaller d it still holds and is attained if
    /// the optimum for d = K happens to have rank at most d.
    ConvexDual,
    /// The dual for a fixed classifier, whose problem is convex: attained at the optimum for
    /// every d.
    FixedClassifierDual,
    /// The bound for free features, which also holds for non-negative ones but is not attained:
    /// a gap remains at the optimum.
    Relaxation,
}

impl Bound {
    pub(super) fn of(problem: &UfmProblem) -> Self {
        match (problem.classifier(), problem.features()) {
            (ClassifierKind::FixedEtf, _) => Self::FixedClassifierDual,
            (ClassifierKind::Learned, FeatureKind::Free) => Self::ConvexDual,
            (ClassifierKind::Learned, FeatureKind::NonNegative) => Self::Relaxation,
        }
    }
}

/// Whether a point is proved to be a global optimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The gap is at most [`Certificate::RELATIVE_GAP`] of the value: a global optimum.
    Certified,
    /// The gap is larger; the point may or may not be a global optimum.
    NotCertified,
}

/// A rigorous bound on how far a point is from the global optimum, whoever found it.
///
/// With p the softmax at the point, Q the gradient of the loss by the logits scaled by √n_S, and
/// θ = min(1, 2√(λ_W λ_H)/σ_max(Q)), the probabilities p' = θp + (1−θ)1_S/m are feasible for the
/// dual problem, whose value
///
/// −Σ_S (n_S/N) α_S m Σ_k p'_k ln p'_k − ‖s‖²/(4λ_b), s = Σ_S (n_S/N) α_S (m p' − 1_S),
///
/// is at most the global optimum (without bias the last term is absent; for a bias without decay
/// p is first moved so that s = 0). A stationary point has gap 0 iff σ_max(Q) ≤ 2√(λ_W λ_H).
///
/// For the set likelihood y_S are the slopes P(k ∈ S') − 1_S of its loss ℓ_S, followed by those of
/// learned potentials p(j) − 1[|S| = j]. The conjugate ℓ* is convex and ℓ*(0) = −inf ℓ = 0, so that
/// θy is worth at least θ·(ℓ − ⟨y, z⟩); the entropy of the mixture of p and the set S itself makes
/// that θ·(ℓ − ⟨y, z⟩) − θq·ln θ − (1−θq)·ln(1−θq) − θpℓ with p = e^{−ℓ} and q = 1 − p, and
/// ‖s‖²/(4λ_b) + ‖s_c‖²/(4λ_c) is subtracted as above.
///
/// ```
/// use tagwise::ufm::{Certificate, ClosedForm, LabelCounts, UfmProblem, UfmSettings, Verdict};
///
/// let labels = LabelCounts::balanced(4, [(1, 3.0), (2, 2.0), (3, 1.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// let mut point = ClosedForm::of(&problem)?.point(&problem)?;
/// assert_eq!(Certificate::of(&problem, &point)?.verdict, Verdict::Certified);
/// point.weight[(0, 0)] += 1e-3;
/// assert_eq!(Certificate::of(&problem, &point)?.verdict, Verdict::NotCertified);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: weak duality for the convex form min over Z of loss(Z) + 2√(λ_W λ_H)‖Z diag(√n)‖_*.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The objective at the point.
    pub value: f64,
    /// A lower bound of the objective at every point.
    pub dual_value: f64,
    /// value − dual_value, 0 where rounding makes it negative.
    pub gap: f64,
    /// gap/|value|.
    pub relative_gap: f64,
    /// σ_max(Q)/(2√(λ_W λ_H)): above 1 a direction leads further down. Absent for a fixed
    /// classifier.
    pub sigma_ratio: Option<f64>,
    /// What the lower bound means.
    pub bound: Bound,
    /// Whether the gap proves global optimality.
    pub verdict: Verdict,
}

impl Certificate {
    /// The part of the value below which a gap proves optimality.
    pub const RELATIVE_GAP: f64 = 1e-9;

    pub(super) fn new(value: f64, dual_value: f64, sigma_ratio: Option<f64>, bound: Bound) -> Self {
        let gap = (value - dual_value).max(0.0);
        let relative_gap = gap / value.abs().max(f64::MIN_POSITIVE);
        Self {
            value,
            dual_value,
            gap,
            relative_gap,
            sigma_ratio,
            bound,
            verdict: if relative_gap <= Self::RELATIVE_GAP {
                Verdict::Certified
            } else {
                Verdict::NotCertified
            },
        }
    }

    /// The same point with another lower bound, if that is higher.
    pub(super) fn with_dual_value(self, dual_value: f64) -> Self {
        let best = self.dual_value.max(dual_value);
        Self::new(self.value, best, self.sigma_ratio, self.bound)
    }

    /// Certifies one feature per label set.
    ///
    /// # Shapes
    /// As in [`UfmPoint`].
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] and [`Error::NotFinite`] for a point that does not fit the problem;
    /// [`Error::OutOfRange`] for a negative feature, a bias, a classifier or potentials that the
    /// problem excludes.
    pub fn of(problem: &UfmProblem, point: &UfmPoint) -> Result<Self> {
        let reduced = Reduced::new(problem)?;
        point.check(problem, reduced.num_sets)?;
        check_allowed(problem, point)?;
        let (loss, (dual_value, sigma_ratio)) = match problem.potentials() {
            None => {
                let (loss, mut dual) = softmax_of(problem, &reduced, point);
                (loss, dual.bound(problem, &point.weight, None))
            }
            Some(_) => {
                let dual = SetDual::new(problem, &reduced, point);
                (dual.loss(), dual.bound(problem, &point.weight))
            }
        };
        let mut value = loss + problem.lambda_h() * weighted_square(&reduced, point);
        value += parameter_decay(problem, point);
        Ok(Self::new(
            value,
            dual_value,
            sigma_ratio,
            Bound::of(problem),
        ))
    }

    /// Certifies one feature per sample, such as a trained network's.
    ///
    /// The value is that of all N features; the bound comes from the mean of each label set.
    ///
    /// # Shapes
    /// `features` is row-major `[N, d]`; `weight`, `bias` and `potentials` as in [`UfmPoint`].
    ///
    /// # Errors
    /// As [`of`](Self::of), and [`Error::Undefined`] when the targets are not those of the problem.
    pub fn of_samples(
        problem: &UfmProblem,
        weight: &Mat<f64>,
        features: &[f64],
        bias: &[f64],
        potentials: &[f64],
        targets: &Targets,
    ) -> Result<Self> {
        if LabelCounts::of_targets(targets)? != listed(problem.labels())? {
            return Err(Error::Undefined(
                "expected the targets whose label sets the problem counts, found others".into(),
            ));
        }
        let dim = problem.dim();
        if features.len() != targets.len() * dim {
            return Err(Error::SizeMismatch {
                what: "feature values (samples times dimensions)",
                expected: targets.len() * dim,
                found: features.len(),
            });
        }
        let means = set_means(problem, features, targets);
        let point = UfmPoint {
            weight: weight.clone(),
            set_features: means,
            bias: bias.to_vec(),
            potentials: potentials.to_vec(),
        };
        let of_means = Self::of(problem, &point)?;
        let mut value = parameter_decay(problem, &point);
        value += sample_terms(problem, &point, features, targets)?;
        Ok(Self::new(
            value,
            of_means.dual_value,
            of_means.sigma_ratio,
            of_means.bound,
        ))
    }
}

/// The same counts with every set written out, in the form that targets give.
fn listed(labels: &LabelCounts) -> Result<LabelCounts> {
    let mut sets = labels.sets()?;
    sets.push((crate::LabelSet::default(), labels.num_empty()));
    LabelCounts::of_sets(labels.num_classes(), sets)
}

fn set_means(problem: &UfmProblem, features: &[f64], targets: &Targets) -> Mat<f64> {
    let (counts, dim) = (targets.counts(), problem.dim());
    // Sets are ordered by multiplicity, so that an empty one comes first.
    let has_empty = targets.distinct().first().is_some_and(|set| set.is_empty());
    let skipped = usize::from(has_empty && !problem.counts_empty_set());
    let mut means = Mat::zeros(dim, counts.len() - skipped);
    for (row, &id) in features.chunks_exact(dim).zip(targets.set_ids()) {
        if id as usize >= skipped {
            for (j, value) in row.iter().enumerate() {
                means[(j, id as usize - skipped)] += value / counts[id as usize] as f64;
            }
        }
    }
    means
}

fn sample_terms(
    problem: &UfmProblem,
    point: &UfmPoint,
    features: &[f64],
    targets: &Targets,
) -> Result<f64> {
    let dim = problem.dim();
    let samples = problem.labels().num_samples();
    let (mut losses, mut squares) = (0.0, 0.0);
    let sets = problem.potentials().cloned().map(|mut model| {
        model.set(&point.potentials, std::iter::empty());
        model
    });
    for (sample, (row, set)) in features.chunks_exact(dim).zip(targets.iter()).enumerate() {
        for (column, &value) in row.iter().enumerate() {
            if !value.is_finite() {
                return Err(Error::NotFinite {
                    what: "the features",
                    row: sample,
                    column,
                    value,
                });
            }
            if value < 0.0 && problem.features() == FeatureKind::NonNegative {
                return Err(negative_feature(value, column, sample));
            }
            squares += value * value;
        }
        if set.is_empty() && sets.is_none() {
            continue;
        }
        let h = MatRef::from_column_major_slice(row, dim, 1);
        let mut logits = &point.weight * h;
        for (k, b) in point.bias.iter().enumerate() {
            logits[(k, 0)] += b;
        }
        if let Some(model) = &sets {
            let logits: Vec<f64> = logits.col(0).iter().copied().collect();
            losses -= model.distribution(&logits)?.log_probability(set);
            continue;
        }
        let largest = logits
            .col(0)
            .iter()
            .fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = logits.col(0).iter().map(|z| (z - largest).exp()).sum();
        let own: f64 = set.indices().map(|k| logits[(k, 0)] - largest).sum();
        let m = set.multiplicity();
        losses += problem.sample_weight(m) * (m as f64 * sum.ln() - own);
    }
    Ok(losses / samples + problem.lambda_h() * squares)
}

fn negative_feature(value: f64, row: usize, column: usize) -> Error {
    Error::OutOfRange {
        name: "every feature",
        requirement: "to be non-negative",
        found: format!("{value} in dimension {row} of column {column}"),
    }
}

/// A fixed classifier may be rotated, but must be a simplex ETF of unit rows to this accuracy.
const FIXED_ETF_TOLERANCE: f64 = 1e-9;

fn check_allowed(problem: &UfmProblem, point: &UfmPoint) -> Result<()> {
    if problem.bias() == Bias::None && point.bias.iter().any(|b| *b != 0.0) {
        return Err(Error::OutOfRange {
            name: "every bias",
            requirement: "to be 0 in a problem without bias",
            found: "a bias that is not 0".into(),
        });
    }
    if problem.lambda_c().is_none() && point.potentials.iter().any(|c| *c != 0.0) {
        return Err(Error::OutOfRange {
            name: "every potential of multiplicities",
            requirement: "to be 0 in a problem that learns none",
            found: "one that is not 0".into(),
        });
    }
    if problem.features() == FeatureKind::NonNegative {
        for (column, values) in point.set_features.col_iter().enumerate() {
            for (row, &value) in values.iter().enumerate() {
                if value < 0.0 {
                    return Err(negative_feature(value, row, column));
                }
            }
        }
    }
    if problem.classifier() == ClassifierKind::FixedEtf {
        let ideal = simplex_etf_mat(problem.num_classes(), problem.dim())?;
        let difference = product(point.weight.as_ref(), point.weight.transpose())
            - product(ideal.as_ref(), ideal.transpose());
        let error = difference.norm_max();
        if error > FIXED_ETF_TOLERANCE {
            return Err(Error::OutOfRange {
                name: "the fixed classifier",
                requirement: "to be a simplex ETF with unit rows",
                found: format!("products of rows that are off by {error:.2e}"),
            });
        }
    }
    Ok(())
}

fn weighted_square(reduced: &Reduced, point: &UfmPoint) -> f64 {
    let columns = point.set_features.col_iter().zip(&reduced.roots);
    columns
        .map(|(h, root)| root * root * h.squared_norm_l2())
        .sum()
}

fn parameter_decay(problem: &UfmProblem, point: &UfmPoint) -> f64 {
    let weight = match problem.classifier() {
        ClassifierKind::Learned => problem.lambda_w() * point.weight.squared_norm_l2(),
        ClassifierKind::FixedEtf => 0.0,
    };
    let bias = match problem.bias() {
        Bias::Decayed(decay) => decay * point.bias.iter().map(|b| b * b).sum::<f64>(),
        Bias::None | Bias::Free => 0.0,
    };
    let potentials = problem.lambda_c().unwrap_or(0.0);
    weight + bias + potentials * point.potentials.iter().map(|c| c * c).sum::<f64>()
}

/// The loss of a point and its probabilities, computed apart from the solver.
fn softmax_of<'a>(
    problem: &UfmProblem,
    reduced: &'a Reduced,
    point: &UfmPoint,
) -> (f64, DualPoint<'a>) {
    let mut probabilities = Mat::zeros(problem.num_classes(), reduced.num_sets);
    let factors = (point.weight.as_ref(), point.set_features.as_ref());
    wide(probabilities.as_mut(), &[factors]);
    let mut loss = 0.0;
    for set in 0..reduced.num_sets {
        let mut logits = probabilities.col_mut(set);
        let (mut top, mut largest) = (0, f64::NEG_INFINITY);
        for (k, (z, b)) in logits.rb_mut().iter_mut().zip(&point.bias).enumerate() {
            *z += b;
            if *z > largest {
                (top, largest) = (k, *z);
            }
        }
        let labels = reduced.labels(set);
        let own: f64 = labels.iter().map(|&k| logits[k as usize] - largest).sum();
        let mut others = 0.0;
        for (k, z) in logits.rb_mut().iter_mut().enumerate() {
            *z = (*z - largest).exp();
            others += if k == top { 0.0 } else { *z };
        }
        logits.iter_mut().for_each(|p| *p /= 1.0 + others);
        let m = reduced.multiplicities[set];
        loss += reduced.weights[set] * (m * others.ln_1p() - own);
    }
    (loss, DualPoint::new(reduced, probabilities))
}
