use serde::{Deserialize, Serialize};

use super::certificate::{Bound, Certificate};
use super::{ClassifierKind, FeatureKind, UfmPoint, UfmProblem};
use crate::etf::simplex_etf_mat;
use crate::{Error, Result};

mod sets;

/// What the optimum looks like for all label sets of one multiplicity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiplicityConstants {
    /// The number of labels m.
    pub multiplicity: usize,
    /// The number of samples with m labels, N_m.
    pub num_samples: f64,
    /// C_m: the feature of a label set is C_m times the sum of the classifier rows of its labels,
    /// h_S = C_m Σ_{k∈S} w_k. With non-negative features this holds for centred features.
    pub scale: f64,
    /// t_m: the logit of a label in the set minus that of one outside.
    pub margin: f64,
    /// The entry of h_S along the direction that all classifier rows share, with a set likelihood.
    pub common_feature: f64,
    /// ‖h_S‖.
    pub feature_norm: f64,
    /// Σ_{k∈S} p_k, the soft mass on the true labels; with a set likelihood p(S).
    pub label_mass: f64,
}

/// The global optimum for data balanced within multiplicities, without iteration over label sets.
///
/// The classifier is a simplex ETF with rows of norm w and every feature a scaled tag-wise sum.
/// With β = w²K/(K−1), the margins t_m and w solve
///
/// t_m (m e^{t_m} + K − m) = β α_m m(K−m)/(2 λ_H N q_m) and Σ_m N_m q_m (t_m/β)² = (K−1) λ_W/λ_H,
///
/// where q_m = m(K−m)/K for free features and q_m = m for non-negative ones; a fixed classifier
/// has w = 1 and only the first equation. Both are monotone, so the root is unique. When
/// Σ_m N_m q_m t_m'(0)² ≤ (K−1) λ_W/λ_H the decay is too strong and W = H = 0.
///
/// For non-negative features and a learned classifier the solution is stationary and no better
/// point is known, but the certificate bounds it only from below by the optimum of free features.
///
/// With the set likelihood the classifier is W = w'·simplex ETF + v·1eᵀ and
/// h_S = C_m Σ_{k∈S} (w_k − v·e) + d_m·e, where e is a direction of its own: the multiplicity is said
/// along it. v is 0 where the decay is too strong for it. A convex problem of 2 numbers for each
/// multiplicity is left, whose equations need no closed form to be solved to rounding.
///
/// ```
/// use tagwise::ufm::{ClosedForm, LabelCounts, UfmProblem, UfmSettings};
///
/// let labels = LabelCounts::balanced(3, [(1, 2.0), (2, 2.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// let optimum = ClosedForm::of(&problem)?;
/// assert!((optimum.classifier_norm - 1.684499).abs() < 1e-6);
/// assert!((optimum.constants[1].scale - 0.933162).abs() < 1e-6); // C_2
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: the geometry is theorem 1 of Li et al. 2024 (arXiv 2310.15903); the equations follow
/// from inserting it into the stationarity conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedForm {
    /// w, the norm of every classifier row; 0 when the decay is too strong.
    pub classifier_norm: f64,
    /// v, the norm of the mean of the rows; 0 with pick-all-labels.
    pub common_norm: f64,
    /// The entry of the bias, the same for every class.
    pub bias: f64,
    /// c_0, …, c_M of a set likelihood; empty with pick-all-labels.
    pub potentials: Vec<f64>,
    /// The constants of each multiplicity m with 0 < m ≤ K that occurs, and of m = 0 with the set
    /// likelihood. Sets of all K labels have feature 0 with pick-all-labels.
    pub constants: Vec<MultiplicityConstants>,
    /// Value, lower bound and verdict, from the same formulas.
    pub certificate: Certificate,
}

impl ClosedForm {
    /// Solves for the optimum.
    ///
    /// # Errors
    /// [`Error::Undefined`] when the data are not balanced within multiplicities or the dimension
    /// is too small for the geometry (d ≥ K − 1 for free, d ≥ K for non-negative features and for
    /// rows with a mean), and for a set likelihood with non-negative features and a learned
    /// classifier.
    pub fn of(problem: &UfmProblem) -> Result<Self> {
        check_applies(problem)?;
        if problem.potentials().is_some() {
            return Self::of_sets(problem);
        }
        let terms = terms(problem);
        let ratio = match problem.classifier() {
            ClassifierKind::Learned => learned_ratio(problem, &terms),
            ClassifierKind::FixedEtf => fixed_ratio(problem),
        };
        let margins: Vec<f64> = terms.iter().map(|term| term.margin(ratio)).collect();
        let mut solution = Self {
            classifier_norm: (ratio * (1.0 - 1.0 / problem.num_classes() as f64)).sqrt(),
            common_norm: 0.0,
            bias: 0.0,
            potentials: Vec::new(),
            constants: constants(problem, &terms, &margins, ratio),
            certificate: certificate(problem, &terms, &margins, ratio),
        };
        if solution.certificate.bound == Bound::Relaxation {
            let free = Self::of(&with_free_features(problem))?;
            let lower = free.certificate.dual_value;
            solution.certificate = solution.certificate.with_dual_value(lower);
        }
        Ok(solution)
    }

    /// C_m by multiplicity; `None` for a multiplicity that does not occur.
    pub fn scale(&self, multiplicity: usize) -> Option<f64> {
        self.of_multiplicity(multiplicity)
            .map(|constants| constants.scale)
    }

    /// Rank of the logits without bias.
    pub(super) fn rank(&self, num_classes: usize) -> usize {
        let centred = if self.classifier_norm > self.common_norm {
            num_classes - 1
        } else {
            0
        };
        centred + usize::from(self.common_norm > 0.0)
    }

    fn of_multiplicity(&self, multiplicity: usize) -> Option<&MultiplicityConstants> {
        let mut constants = self.constants.iter();
        constants.find(|constants| constants.multiplicity == multiplicity)
    }

    /// Writes the optimum out: W = w·simplex ETF and one feature per label set.
    ///
    /// # Errors
    /// [`Error::Undefined`] when there are more label sets than fit into memory.
    pub fn point(&self, problem: &UfmProblem) -> Result<UfmPoint> {
        let (num_classes, dim) = (problem.num_classes(), problem.dim());
        let etf = simplex_etf_mat(num_classes, dim)?; // [K, d]
        let centred = (self.classifier_norm.powi(2) - self.common_norm.powi(2)).max(0.0);
        let weight = &etf * faer::Scale(centred.sqrt());
        // On the first K axes, where the ETF has no mean.
        let axis = 1.0 / (num_classes as f64).sqrt();
        let common = |j: usize| if j < num_classes { axis } else { 0.0 };
        let sets = problem.sets()?;
        let mut set_features = faer::Mat::zeros(dim, sets.len()); // [d, L]
        for (column, (set, _)) in sets.iter().enumerate() {
            let own = self.of_multiplicity(set.multiplicity());
            let (scale, along) = own.map_or((0.0, 0.0), |own| (own.scale, own.common_feature));
            if along != 0.0 {
                for j in 0..dim {
                    set_features[(j, column)] += along * common(j);
                }
            }
            for class in set.indices() {
                match problem.features() {
                    FeatureKind::Free => {
                        for j in 0..dim {
                            set_features[(j, column)] += scale * weight[(class, j)];
                        }
                    }
                    // The feature whose centred form is the tag-wise sum: one axis per class.
                    FeatureKind::NonNegative => {
                        let axis = (num_classes as f64 / (num_classes as f64 - 1.0)).sqrt();
                        set_features[(class, column)] = scale * self.classifier_norm * axis;
                    }
                }
            }
        }
        let weight = match self.common_norm > 0.0 {
            false => weight,
            true => faer::Mat::from_fn(num_classes, dim, |k, j| {
                weight[(k, j)] + self.common_norm * common(j)
            }),
        };
        Ok(UfmPoint {
            weight,
            set_features,
            bias: vec![self.bias; num_classes],
            potentials: self.potentials.clone(),
        })
    }
}

fn check_applies(problem: &UfmProblem) -> Result<()> {
    if !problem.labels().is_balanced() {
        return Err(Error::Undefined(
            "the closed form needs every label set of a multiplicity equally often, found counts \
             that differ; use the solver"
                .into(),
        ));
    }
    let needed = match problem.features() {
        FeatureKind::Free => problem.num_classes() - 1,
        FeatureKind::NonNegative => problem.num_classes(),
    };
    if problem.dim() < needed {
        return Err(too_few_dimensions(problem, needed));
    }
    Ok(())
}

fn too_few_dimensions(problem: &UfmProblem, needed: usize) -> Error {
    Error::Undefined(format!(
        "the closed form needs at least {needed} feature dimensions for {} classes, found {}; \
         use the solver",
        problem.num_classes(),
        problem.dim()
    ))
}

fn with_free_features(problem: &UfmProblem) -> UfmProblem {
    problem.clone().with_features(FeatureKind::Free)
}

/// One multiplicity m in the equations.
struct Term {
    multiplicity: f64,
    /// K − m
    outside: f64,
    /// N_m
    num_samples: f64,
    /// α_m
    weight: f64,
    /// α_m m(K−m)/(2 λ_H N q_m)
    pull: f64,
    /// q_m: ‖h_S‖² = q_m t_m²/β
    spread: f64,
}

impl Term {
    /// The root t of t (m e^t + K − m) = ratio·pull, by Newton's method on the logarithms, which
    /// are convex and increasing in ln t.
    fn margin(&self, ratio: f64) -> f64 {
        let target = ratio * self.pull;
        if target <= 0.0 {
            return 0.0;
        }
        let all = self.multiplicity + self.outside;
        let above = (target / all).min((target / self.multiplicity).ln().max(1.0));
        let mut log_margin = above.ln();
        for _ in 0..MAX_NEWTON {
            let margin = log_margin.exp();
            let tail = self.outside * (-margin).exp();
            let residual = log_margin + margin + (self.multiplicity + tail).ln() - target.ln();
            let mass = self.multiplicity / (self.multiplicity + tail);
            let step = residual / (1.0 + margin * mass);
            log_margin -= step;
            if step.abs() <= f64::EPSILON * log_margin.abs().max(1.0) {
                break;
            }
        }
        log_margin.exp()
    }

    fn mass(&self, margin: f64) -> f64 {
        self.multiplicity / (self.multiplicity + self.outside * (-margin).exp())
    }

    /// The probability of one label outside the set, 1/(m e^t + K − m).
    fn outside_probability(&self, margin: f64) -> f64 {
        (-margin).exp() / (self.multiplicity + self.outside * (-margin).exp())
    }
}

/// Newton's method converges in fewer than 10 steps; the rest is for rounding.
const MAX_NEWTON: usize = 100;

fn terms(problem: &UfmProblem) -> Vec<Term> {
    let classes = problem.num_classes() as f64;
    let decay = 2.0 * problem.lambda_h() * problem.labels().num_samples();
    let totals = problem.labels().totals().iter().filter(|(m, _)| **m > 0);
    totals
        .map(|(&m, &num_samples)| {
            let (multiplicity, outside) = (m as f64, classes - m as f64);
            let spread = match problem.features() {
                FeatureKind::Free => multiplicity * outside / classes,
                FeatureKind::NonNegative => multiplicity,
            };
            let weight = problem.sample_weight(m);
            let pull = if outside == 0.0 {
                0.0
            } else {
                weight * multiplicity * outside / (decay * spread)
            };
            Term {
                multiplicity,
                outside,
                num_samples,
                weight,
                pull,
                spread,
            }
        })
        .collect()
}

fn fixed_ratio(problem: &UfmProblem) -> f64 {
    let classes = problem.num_classes() as f64;
    classes / (classes - 1.0)
}

/// β = w²K/(K−1) of a learned classifier, 0 when the decay is too strong.
fn learned_ratio(problem: &UfmProblem, terms: &[Term]) -> f64 {
    let classes = problem.num_classes() as f64;
    let samples = problem.labels().num_samples();
    let target = (classes - 1.0) * problem.lambda_w() / (problem.lambda_h() * samples);
    let energy = |slope: &dyn Fn(&Term) -> f64| -> f64 {
        let energies = terms
            .iter()
            .map(|term| term.num_samples / samples * term.spread * slope(term).powi(2));
        energies.sum()
    };
    if energy(&|term| term.pull / classes) <= target {
        return 0.0;
    }
    // ln energy − ln target, decreasing in ln β, and its derivative.
    let residual = |log_ratio: f64| {
        let ratio = log_ratio.exp();
        let (mut sum, mut derivative) = (0.0, 0.0);
        for term in terms {
            let margin = term.margin(ratio);
            let share = term.num_samples / samples * term.spread * (margin / ratio).powi(2);
            let growth = margin * term.mass(margin);
            sum += share;
            derivative -= 2.0 * share * growth / (1.0 + growth);
        }
        ((sum / target).ln(), derivative / sum)
    };
    decreasing_root(residual).exp()
}

/// The root of a decreasing function given with its derivative: bracketing, then Newton's method
/// with bisection where it would leave the bracket.
fn decreasing_root(function: impl Fn(f64) -> (f64, f64)) -> f64 {
    const FARTHEST: f64 = 690.0; // e^±690 is still a normal number
    let (mut low, mut high) = (-1.0f64, 1.0f64);
    while low > -FARTHEST && function(low).0 <= 0.0 {
        low *= 2.0;
    }
    while high < FARTHEST && function(high).0 >= 0.0 {
        high *= 2.0;
    }
    let (mut low, mut high) = (low.max(-FARTHEST), high.min(FARTHEST));
    let mut x = 0.5 * (low + high);
    for _ in 0..2 * MAX_NEWTON {
        let (value, slope) = function(x);
        if value > 0.0 {
            low = x;
        } else {
            high = x;
        }
        let newton = x - value / slope;
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        if (next - x).abs() <= f64::EPSILON * x.abs().max(1.0) {
            return next;
        }
        x = next;
    }
    x
}

fn constants(
    problem: &UfmProblem,
    terms: &[Term],
    margins: &[f64],
    ratio: f64,
) -> Vec<MultiplicityConstants> {
    let classes = problem.num_classes() as f64;
    terms
        .iter()
        .zip(margins)
        .map(|(term, &margin)| {
            // At β = 0 the scale t/β is 0·∞; W = H = 0 leaves it free and 0 is reported.
            let is_zero = ratio == 0.0 || term.outside == 0.0;
            MultiplicityConstants {
                multiplicity: term.multiplicity as usize,
                num_samples: term.num_samples,
                scale: if is_zero { 0.0 } else { margin / ratio },
                margin,
                common_feature: 0.0,
                feature_norm: if is_zero {
                    0.0
                } else {
                    margin * (term.spread / ratio).sqrt()
                },
                label_mass: if term.outside == 0.0 {
                    1.0
                } else if is_zero {
                    term.multiplicity / classes
                } else {
                    term.mass(margin)
                },
            }
        })
        .collect()
}

/// The value and the dual value from the symmetric probabilities.
///
/// With q the probability of a label outside S, ‖m p − 1_S‖² = m(K−m)K q², and QQᵀ is a multiple
/// of the centring matrix, so that σ_max² is its trace over K − 1.
fn certificate(problem: &UfmProblem, terms: &[Term], margins: &[f64], ratio: f64) -> Certificate {
    let classes = problem.num_classes() as f64;
    let samples = problem.labels().num_samples();
    let (lambda_w, lambda_h) = (problem.lambda_w(), problem.lambda_h());
    let threshold = 2.0 * (lambda_w * lambda_h).sqrt();
    let mut value = match problem.classifier() {
        ClassifierKind::Learned => lambda_w * ratio * (classes - 1.0),
        ClassifierKind::FixedEtf => 0.0,
    };
    let mut sigma2 = 0.0;
    for (term, &margin) in terms.iter().zip(margins) {
        let (m, outside) = (term.multiplicity, term.outside);
        let loss = m * (m + outside * (-margin).exp()).ln();
        value += term.num_samples / samples * term.weight * loss;
        if margin > 0.0 {
            value += lambda_h * term.num_samples * term.spread * margin * margin / ratio;
        }
        let push = term.weight * term.outside_probability(margin) / samples;
        sigma2 += term.num_samples * m * outside * classes / (classes - 1.0) * push * push;
    }
    let sigma_ratio = sigma2.sqrt() / threshold;
    let shrink = match problem.classifier() {
        ClassifierKind::Learned => (1.0 / sigma_ratio).min(1.0),
        ClassifierKind::FixedEtf => 1.0,
    };
    let mut dual_value = 0.0;
    for (term, &margin) in terms.iter().zip(margins) {
        let (m, outside) = (term.multiplicity, term.outside);
        let p_out = shrink * term.outside_probability(margin);
        let p_in = (1.0 - outside * p_out) / m;
        let entropy = -m * entropy_term(p_in) - outside * entropy_term(p_out);
        dual_value += term.num_samples / samples * term.weight * m * entropy;
        if problem.classifier() == ClassifierKind::FixedEtf {
            let push = term.weight * p_out / samples;
            let squares = match problem.features() {
                FeatureKind::Free => m * outside * classes,
                FeatureKind::NonNegative => m * outside * outside,
            };
            let pulled2 = classes / (classes - 1.0) * squares * push * push;
            dual_value -= term.num_samples * pulled2 / (4.0 * lambda_h);
        }
    }
    let bound = Bound::of(problem);
    let sigma_ratio = match problem.classifier() {
        ClassifierKind::Learned => Some(sigma_ratio),
        ClassifierKind::FixedEtf => None,
    };
    Certificate::new(value, dual_value, sigma_ratio, bound)
}

/// p ln p, 0 at p = 0.
fn entropy_term(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}
