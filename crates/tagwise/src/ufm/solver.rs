use std::ops::ControlFlow;
use std::time::Instant;

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::dual::DualPoint;
use super::objective::{Factor, Objective, flat, view};
use super::product::wide;
use super::reduced::Reduced;
use super::set_dual::SetDual;
use super::{Bias, Certificate, ClassifierKind, FeatureKind, UfmPoint, UfmProblem};
use crate::Result;
use crate::etf::simplex_etf_mat;
use crate::minimize::{Curvature, Minimum, Stop, TrustRegion};

mod escape;
mod factors;
mod start;

use escape::{Spectrum, curvature, descent_directions};
use factors::{Factors, is_on_axes};
use start::{fixed_start, spread_start, tagwise_start};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SolverSettings {
    /// Stop when the gap is at most this part of the value.
    pub relative_gap: f64,
    /// Largest number of Newton steps.
    pub max_iterations: usize,
    /// Further starts when d < K and the first answer is not certified: such problems have local
    /// minima. The best answer is kept.
    pub restarts: usize,
}

impl Default for SolverSettings {
    fn default() -> Self {
        Self {
            relative_gap: Certificate::RELATIVE_GAP,
            max_iterations: 2000,
            restarts: 20,
        }
    }
}

/// The state of a running solve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Newton steps begun.
    pub iterations: usize,
    /// Products with the Hessian so far.
    pub hessian_products: usize,
    /// The objective.
    pub value: f64,
    /// The largest entry of the gradient.
    pub gradient_norm: f64,
    /// Columns of the classifier in use.
    pub rank: usize,
    /// The gap at the last certificate, as a part of the value.
    pub relative_gap: f64,
}

/// A solved problem.
#[derive(Clone, Debug)]
pub struct UfmSolution {
    /// The answer, with columns beyond the rank equal to 0.
    pub point: UfmPoint,
    /// How far it is from the global optimum at most.
    pub certificate: Certificate,
    /// Rank of the logits without bias.
    pub rank: usize,
    /// Newton steps.
    pub iterations: usize,
    /// Products with the Hessian.
    pub hessian_products: usize,
    /// How often a saddle was left along the leading singular vectors of Q.
    pub escapes: usize,
    /// Wall-clock time of the solve.
    pub seconds: f64,
}

/// Solves the unconstrained feature model for any label distribution.
///
/// The factors W and G grow from rank 0: at a stationary point of the current rank every singular
/// pair (u, v) of Q with σ > 2√(λ_W λ_H) is a direction u vᵀ of descent, and all of them are added.
/// Between that, a trust-region Newton method works with exact products of the Hessian. When no
/// such pair is left the point is a global optimum (for d ≥ K), and the [`Certificate`] says so.
/// Time goes with K·L·rank, whatever the number of samples.
///
/// Non-negative features are found by projection from the tag-wise geometry; the point is
/// stationary, and the bound is that of free features. A fixed classifier gives a convex problem.
///
/// `progress` sees every product with the Hessian and every Newton step, and ends the solve by
/// returning [`ControlFlow::Break`]; the solution then carries the gap that was reached.
///
/// # Errors
/// [`crate::Error::Undefined`] when the label sets do not fit into memory.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise::LabelSet;
/// use tagwise::ufm::{LabelCounts, SolverSettings, UfmProblem, UfmSettings, Verdict, solve};
///
/// let imbalanced = [16.0, 8.0, 4.0, 2.0, 1.0];
/// let sets = (0u32..).zip(imbalanced).map(|(k, n)| (LabelSet::new([k]), n));
/// let problem = UfmProblem::new(LabelCounts::of_sets(5, sets)?, UfmSettings::default())?;
/// let solution = solve(&problem, &SolverSettings::default(), |_| ControlFlow::Continue(()))?;
/// assert_eq!(solution.certificate.verdict, Verdict::Certified);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn solve(
    problem: &UfmProblem,
    settings: &SolverSettings,
    progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<UfmSolution> {
    let begin = Instant::now();
    let reduced = Reduced::new(problem)?;
    let start = match (problem.classifier(), problem.features()) {
        (ClassifierKind::Learned, FeatureKind::Free) => Factors::zero(problem, &reduced),
        (ClassifierKind::Learned, FeatureKind::NonNegative) => tagwise_start(problem, &reduced),
        (ClassifierKind::FixedEtf, _) => fixed_start(problem, &reduced)?,
    };
    Solver::new(problem, &reduced, settings, progress, begin).run(start)
}

/// As [`solve`], from a given point: even from a saddle the solver goes on to the optimum.
///
/// # Errors
/// As [`solve`], and those of [`Certificate::of`] for a point that does not fit the problem.
pub fn solve_from(
    problem: &UfmProblem,
    start: &UfmPoint,
    settings: &SolverSettings,
    progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<UfmSolution> {
    run_from(problem, start, settings, progress, false)
}

/// The local optimum where a descent from a given point ends: for d < K there are many, and
/// [`solve_from`] would look for a better one elsewhere.
///
/// # Errors
/// As [`solve_from`].
pub(crate) fn descend_from(
    problem: &UfmProblem,
    start: &UfmPoint,
    settings: &SolverSettings,
    progress: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<UfmSolution> {
    run_from(problem, start, settings, progress, true)
}

fn run_from(
    problem: &UfmProblem,
    start: &UfmPoint,
    settings: &SolverSettings,
    progress: impl FnMut(&Progress) -> ControlFlow<()>,
    stays: bool,
) -> Result<UfmSolution> {
    let begin = Instant::now();
    Certificate::of(problem, start)?;
    let reduced = Reduced::new(problem)?;
    let start = Factors::of_point(problem, &reduced, start);
    let mut solver = Solver::new(problem, &reduced, settings, progress, begin);
    solver.stays = stays;
    solver.run(start)
}

/// The gradient tolerance of the first round and what a round without new columns multiplies it
/// by, as parts of 2√(λ_W λ_H) times the largest entry of the factors.
const FIRST_TOLERANCE: f64 = 1e-2;
const TIGHTEN: f64 = 1e-2;
const LAST_TOLERANCE: f64 = 1e-15;
/// The largest such factor, and the part of the gradient of the wanted gap that a round aims at.
const LOOSEST: f64 = 0.3;
const MARGIN: f64 = 0.7;

struct Solver<'a, P> {
    problem: &'a UfmProblem,
    reduced: &'a Reduced,
    settings: &'a SolverSettings,
    progress: P,
    begin: Instant,
    iterations: usize,
    hessian_products: usize,
    escapes: usize,
    relative_gap: f64,
    /// The highest lower bound of any point so far.
    dual_value: f64,
    is_interrupted: bool,
    /// Whether the optimum next to the start is wanted and no better one.
    stays: bool,
}

impl<'a, P: FnMut(&Progress) -> ControlFlow<()>> Solver<'a, P> {
    fn new(
        problem: &'a UfmProblem,
        reduced: &'a Reduced,
        settings: &'a SolverSettings,
        progress: P,
        begin: Instant,
    ) -> Self {
        Self {
            problem,
            reduced,
            settings,
            progress,
            begin,
            iterations: 0,
            hessian_products: 0,
            escapes: 0,
            relative_gap: f64::INFINITY,
            dual_value: f64::NEG_INFINITY,
            is_interrupted: false,
            stays: false,
        }
    }

    fn run(mut self, start: Factors) -> Result<UfmSolution> {
        let is_free = self.problem.features() == FeatureKind::Free;
        let is_learned = self.problem.classifier() == ClassifierKind::Learned;
        let mut factors = self.descend(start)?;
        let has_others = self.problem.dim() < self.reduced.num_classes && !self.stays;
        if is_learned && has_others {
            if is_free && !self.is_done() {
                let other = self.through_all_dimensions()?;
                if self.value(&other) < self.value(&factors) {
                    factors = other;
                }
            }
            for restart in 0..self.settings.restarts {
                if self.is_done() {
                    break;
                }
                let other = self.descend(spread_start(&factors, self.problem, restart))?;
                if self.value(&other) < self.value(&factors) {
                    factors = other;
                }
            }
        }
        let point = factors.point(self.problem, self.reduced)?;
        let certificate = Certificate::of(self.problem, &point)?;
        let mut certificate = certificate.with_dual_value(self.dual_value);
        if self.problem.classifier() == ClassifierKind::Learned && !is_free && !self.is_interrupted
        {
            let free = self.problem.clone().with_features(FeatureKind::Free);
            // As a trait object, or the type of the closure would nest without end.
            let progress: &mut dyn FnMut(&Progress) -> ControlFlow<()> = &mut self.progress;
            let relaxed = solve(&free, self.settings, progress)?;
            certificate = certificate.with_dual_value(relaxed.certificate.dual_value);
        }
        Ok(UfmSolution {
            // What `grow` leaves has columns of the rank already.
            rank: match (self.problem.classifier(), self.problem.features()) {
                (ClassifierKind::Learned, FeatureKind::Free) => factors.rank(),
                _ => factors.logit_rank(self.problem)?,
            },
            point,
            certificate,
            iterations: self.iterations,
            hessian_products: self.hessian_products,
            escapes: self.escapes,
            seconds: self.begin.elapsed().as_secs_f64(),
        })
    }

    fn is_done(&self) -> bool {
        self.is_interrupted
            || self.iterations >= self.settings.max_iterations
            || self.relative_gap <= self.settings.relative_gap
    }

    fn descend(&mut self, start: Factors) -> Result<Factors> {
        match (self.problem.classifier(), self.problem.features()) {
            (ClassifierKind::Learned, FeatureKind::Free) => {
                let limit = self.problem.dim().min(self.reduced.num_classes);
                self.grow(start, limit)
            }
            _ => self.tighten(start),
        }
    }

    /// The answer for d < K that begins at the d leading directions of the answer for d = K, which
    /// is a global optimum and whose bound holds for every d.
    fn through_all_dimensions(&mut self) -> Result<Factors> {
        let zero = Factors::zero(self.problem, self.reduced);
        let all = self.grow(zero, self.reduced.num_classes)?;
        self.relative_gap = f64::INFINITY;
        self.descend(all.leading(self.problem.dim()))
    }

    /// Minimises at the current rank, adds the directions of descent that Q shows up to a rank of
    /// `limit`, and repeats.
    fn grow(&mut self, start: Factors, limit: usize) -> Result<Factors> {
        let threshold = 2.0 * (self.problem.lambda_w() * self.problem.lambda_h()).sqrt();
        let mut factors = start;
        let mut tolerance = FIRST_TOLERANCE;
        loop {
            let (found, minimum) = self.minimise(factors, tolerance);
            let norm = minimum.gradient_norm / self.gradient_scale(&found);
            factors = found.compressed()?;
            let mut objective = self.objective(factors.rank());
            let x = self.variables(&factors);
            let mut gradient = vec![0.0; x.len()];
            let value = objective.value_and_gradient(&x, &mut gradient);
            let spectrum = Spectrum::of(objective.pull())?;
            let dual_value = self.dual_value_of(&objective, &factors, &spectrum);
            self.dual_value = self.dual_value.max(dual_value);
            self.relative_gap = (value - dual_value) / value.abs().max(f64::MIN_POSITIVE);
            if self.is_done() {
                return Ok(factors);
            }
            let room = limit.saturating_sub(factors.rank());
            let growth = room.min(factors.rank().max(MIN_GROWTH));
            let added = descent_directions(&spectrum, &factors, threshold, growth);
            if added.ncols() > 0 {
                factors = self.add(&mut objective, factors, value, &added, threshold);
                self.escapes += 1;
            } else if tolerance <= LAST_TOLERANCE
                || minimum.stop == Stop::Precision && tolerance < 1e-8
            {
                return Ok(factors);
            } else {
                // Near the optimum the gap is proportional to the gradient.
                let missing = MARGIN * self.settings.relative_gap / self.relative_gap;
                tolerance = tolerance.min(norm) * missing.clamp(TIGHTEN, LOOSEST);
            }
        }
    }

    /// The lower bound that the factors give, at which the objective was evaluated last.
    fn dual_value_of(
        &self,
        objective: &Objective<'_>,
        factors: &Factors,
        spectrum: &Spectrum,
    ) -> f64 {
        if self.problem.potentials().is_some() {
            // Of any rank: beyond d the bound holds all the same.
            let roots = &self.reduced.roots;
            let features = &factors.features;
            let point = UfmPoint {
                weight: factors.weight.clone(),
                set_features: Mat::from_fn(features.nrows(), features.ncols(), |j, set| {
                    features[(j, set)] / roots[set]
                }),
                bias: factors.bias.clone(),
                potentials: factors.potentials.clone(),
            };
            let dual = SetDual::new(self.problem, self.reduced, &point);
            return dual.bound(self.problem, &point.weight).0;
        }
        let mut dual = DualPoint::new(self.reduced, objective.probabilities().to_owned());
        let largest = Some(spectrum.largest());
        dual.bound(self.problem, &factors.weight, largest).0
    }

    /// Minimises with ever smaller tolerance, for problems whose rank is fixed.
    fn tighten(&mut self, start: Factors) -> Result<Factors> {
        let mut factors = start;
        let mut tolerance = FIRST_TOLERANCE;
        loop {
            let (found, minimum) = self.minimise(factors, tolerance);
            factors = found;
            let point = factors.point(self.problem, self.reduced)?;
            self.relative_gap = Certificate::of(self.problem, &point)?.relative_gap;
            let is_exhausted =
                minimum.stop == Stop::Precision || tolerance <= LAST_NON_NEGATIVE_TOLERANCE;
            if self.is_done() || is_exhausted && tolerance < 1e-6 {
                return Ok(factors);
            }
            tolerance *= TIGHTEN;
        }
    }

    fn objective(&self, rank: usize) -> Objective<'a> {
        let factor = match self.problem.classifier() {
            ClassifierKind::Learned => Factor::Learned,
            ClassifierKind::FixedEtf if is_on_axes(self.problem) => Factor::FixedAxes,
            ClassifierKind::FixedEtf => {
                let etf = simplex_etf_mat(self.reduced.num_classes, self.problem.dim());
                Factor::Fixed(etf.expect("the problem was checked to have room for an ETF"))
            }
        };
        Objective::new(self.reduced, self.problem, rank, factor)
    }

    fn variables(&self, factors: &Factors) -> Vec<f64> {
        let mut x = match self.problem.classifier() {
            ClassifierKind::Learned => flat(&factors.weight),
            ClassifierKind::FixedEtf => Vec::new(),
        };
        x.extend(flat(&factors.features));
        if self.problem.bias() != Bias::None {
            x.extend_from_slice(&factors.bias);
        }
        if self.problem.lambda_c().is_some() {
            x.extend_from_slice(&factors.potentials);
        }
        x
    }

    fn minimise(&mut self, factors: Factors, tolerance: f64) -> (Factors, Minimum) {
        let rank = factors.rank();
        let mut objective = self.objective(rank);
        let mut x = self.variables(&factors);
        let non_negative = match self.problem.features() {
            FeatureKind::Free => 0..0,
            FeatureKind::NonNegative => objective.feature_range(),
        };
        let method = TrustRegion {
            max_iterations: self.settings.max_iterations - self.iterations,
            max_products: MAX_PRODUCTS,
            gradient_tolerance: tolerance * self.gradient_scale(&factors),
            non_negative,
        };
        let (iterations, products) = (self.iterations, self.hessian_products);
        let relative_gap = self.relative_gap;
        let report = |minimum: &Minimum| {
            (self.progress)(&Progress {
                iterations: iterations + minimum.iterations,
                hessian_products: products + minimum.hessian_products,
                value: minimum.value,
                gradient_norm: minimum.gradient_norm,
                rank,
                relative_gap,
            })
        };
        let minimum = method.minimize(&mut x, &mut objective, report);
        self.iterations += minimum.iterations;
        self.hessian_products += minimum.hessian_products;
        self.is_interrupted |= minimum.stop == Stop::Interrupted;
        let num_classes = self.reduced.num_classes;
        let weight = match self.problem.classifier() {
            ClassifierKind::Learned if rank > 0 => {
                view(&x[objective.weight_range()], num_classes).to_owned()
            }
            _ => factors.weight,
        };
        let features = if rank > 0 {
            view(&x[objective.feature_range()], rank).to_owned()
        } else {
            factors.features
        };
        let bias = match self.problem.bias() {
            Bias::None => factors.bias,
            _ => x[objective.bias_range()].to_vec(),
        };
        let potentials = match self.problem.lambda_c() {
            None => factors.potentials,
            Some(_) => x[objective.potential_range()].to_vec(),
        };
        let found = Factors {
            weight,
            features,
            bias,
            potentials,
        };
        (found, minimum)
    }

    /// The size of the two terms that cancel in the gradient at a stationary point.
    fn gradient_scale(&self, factors: &Factors) -> f64 {
        let (decay, entry) = match self.problem.classifier() {
            ClassifierKind::Learned => {
                let decay = (self.problem.lambda_w() * self.problem.lambda_h()).sqrt();
                (
                    decay,
                    factors.weight.norm_max().max(factors.features.norm_max()),
                )
            }
            ClassifierKind::FixedEtf => (self.problem.lambda_h(), factors.features.norm_max()),
        };
        if entry > 0.0 {
            2.0 * decay * entry
        } else {
            // Only the bias moves; its gradient is a mean over samples of numbers near 1.
            1e-2
        }
    }

    /// Adds columns u_j and rows −(uᵀ_jQ) with the step along −Σ(σ_j − threshold) u_j v_jᵀ that
    /// minimises the quadratic model, halved until the value falls.
    fn add(
        &mut self,
        objective: &mut Objective<'_>,
        factors: Factors,
        here: f64,
        added: &Mat<f64>,
        threshold: f64,
    ) -> Factors {
        let rank = factors.rank();
        let total = rank + added.ncols();
        let mut along = Mat::zeros(added.ncols(), self.reduced.num_sets); // rows σ_j v_jᵀ
        wide(along.as_mut(), &[(added.transpose(), objective.pull())]);
        let sigma: Vec<f64> = along.row_iter().map(|row| row.norm_l2()).collect();
        let excess: f64 = sigma.iter().map(|s| (s - threshold).powi(2)).sum();
        let mut step = excess / curvature(objective, added, &along, &sigma, threshold);
        loop {
            let amounts: Vec<f64> = sigma
                .iter()
                .map(|s| (step * (s - threshold)).max(0.0).sqrt())
                .collect();
            let grown = Factors {
                weight: Mat::from_fn(self.reduced.num_classes, total, |k, j| {
                    if j < rank {
                        factors.weight[(k, j)]
                    } else {
                        amounts[j - rank] * added[(k, j - rank)]
                    }
                }),
                features: Mat::from_fn(total, self.reduced.num_sets, |j, set| {
                    if j < rank {
                        factors.features[(j, set)]
                    } else {
                        -amounts[j - rank] * along[(j - rank, set)] / sigma[j - rank]
                    }
                }),
                bias: factors.bias.clone(),
                potentials: factors.potentials.clone(),
            };
            if self.value(&grown) < here || step < f64::MIN_POSITIVE {
                return grown;
            }
            step *= 0.25;
        }
    }

    fn value(&self, factors: &Factors) -> f64 {
        let mut objective = self.objective(factors.rank());
        let x = self.variables(factors);
        let mut gradient = vec![0.0; x.len()];
        objective.value_and_gradient(&x, &mut gradient)
    }
}

/// Columns added at least in a round, if there are so many directions of descent.
const MIN_GROWTH: usize = 16;
/// Products with the Hessian in one Newton step.
const MAX_PRODUCTS: usize = 300;
/// Projection makes the gradient of bounded problems less smooth than this resolves.
const LAST_NON_NEGATIVE_TOLERANCE: f64 = 1e-13;
