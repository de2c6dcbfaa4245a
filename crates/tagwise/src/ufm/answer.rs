//! The optimum as a reader wants it: by the closed form where there is one, by the solver otherwise.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;

use super::{
    Certificate, ClosedForm, GeometryReport, MultiplicityConstants, MultiplicityGeometry, Progress,
    SolverSettings, UfmPoint, UfmProblem, solve,
};
use crate::Result;
use crate::loss::Loss;

/// Classes times label sets up to which the geometry of a closed form is written out and measured.
const LARGEST_GEOMETRY: f64 = 2e6;

/// The optimal geometry for given labels: value, certificate, what it looks like, and how it was
/// found.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise::ufm::{
///     LabelCounts, SolverSettings, UfmAnswer, UfmMethod, UfmProblem, UfmSettings,
/// };
///
/// let labels = LabelCounts::balanced(5, [(1, 2.0), (2, 1.0), (3, 1.0)])?;
/// let problem = UfmProblem::new(labels, UfmSettings::default())?;
/// let answer = UfmAnswer::find(&problem, &SolverSettings::default(), |_| ControlFlow::Continue(()))?;
/// assert_eq!(answer.method, UfmMethod::ClosedForm);
/// assert!((answer.certificate.value - 1.795429834063).abs() < 1e-11);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UfmAnswer {
    /// How the answer was found.
    pub method: UfmMethod,
    /// Value, lower bound and verdict.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// The loss.
    pub loss: Loss,
    /// Number of classes K.
    pub num_classes: usize,
    /// Feature dimension d.
    pub dim: usize,
    /// Number of samples N.
    pub num_samples: f64,
    /// Samples without a label.
    pub num_unlabelled: f64,
    /// Number of distinct label sets L that have a feature.
    pub num_label_sets: f64,
    /// Decay of the classifier.
    pub lambda_w: f64,
    /// Decay of the features.
    pub lambda_h: f64,
    /// ‖w_k‖, length K.
    pub row_norms: Vec<f64>,
    /// The potentials c_0, …, c_M of a set likelihood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub potentials: Vec<f64>,
    /// C_m by multiplicity: exact for balanced data, the best fit otherwise.
    pub constants: BTreeMap<usize, f64>,
    /// Soft mass on the true labels by multiplicity; p(S) with a set likelihood.
    pub label_mass: BTreeMap<usize, f64>,
    /// Mean ‖h_S‖ by multiplicity.
    pub feature_norms: BTreeMap<usize, f64>,
    /// Rank of the logits without bias.
    pub rank: usize,
    /// Newton steps.
    pub iterations: usize,
    /// Products with the Hessian.
    pub hessian_products: usize,
    /// Saddles that were left.
    pub escapes: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Everything about the geometry; absent when there are too many label sets to write out.
    pub geometry: Option<GeometryReport>,
    /// The course of the solver, where the value changed.
    #[serde(skip)]
    pub course: Vec<Progress>,
    /// Whether the observer stopped the solver before it was done.
    #[serde(skip)]
    pub is_interrupted: bool,
    #[serde(skip)]
    point: Option<UfmPoint>,
}

/// How an optimum was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UfmMethod {
    /// By the formulas for data balanced within multiplicities.
    ClosedForm,
    /// By the solver.
    Solver,
}

impl UfmAnswer {
    /// The answer by the closed form where there is one, by the solver otherwise.
    ///
    /// `observe` sees every step of the solver and can end it; the answer is then the best point so
    /// far, and says so.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn find(
        problem: &UfmProblem,
        settings: &SolverSettings,
        observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let begin = Instant::now();
        match ClosedForm::of(problem) {
            Ok(optimum) => Self::of_closed_form(problem, &optimum, begin),
            Err(_) => Self::solve(problem, settings, observe),
        }
    }

    /// The answer by the solver, also where there is a closed form.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when there are too many logits to write out.
    pub fn solve(
        problem: &UfmProblem,
        settings: &SolverSettings,
        mut observe: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let mut course = Vec::new();
        let mut is_interrupted = false;
        let solution = solve(problem, settings, |progress| {
            let last: Option<&Progress> = course.last();
            if last.is_none_or(|last| last.value != progress.value) {
                course.push(*progress);
            }
            let flow = observe(progress);
            is_interrupted = flow.is_break();
            flow
        })?;
        let geometry = GeometryReport::of(problem, &solution.point)?;
        let by_multiplicity = |value: &dyn Fn(&MultiplicityGeometry) -> Option<f64>| {
            let all = geometry.multiplicities.iter();
            all.filter_map(|(&m, g)| Some((m, value(g)?))).collect()
        };
        Ok(Self {
            method: UfmMethod::Solver,
            row_norms: geometry.row_norms.clone(),
            potentials: solution.point.potentials.clone(),
            constants: by_multiplicity(&|g| g.scale),
            label_mass: by_multiplicity(&|g| Some(g.label_mass)),
            feature_norms: by_multiplicity(&|g| Some(g.feature_norm.mean)),
            rank: solution.rank,
            iterations: solution.iterations,
            hessian_products: solution.hessian_products,
            escapes: solution.escapes,
            seconds: solution.seconds,
            geometry: Some(geometry),
            course,
            is_interrupted,
            point: Some(solution.point),
            ..Self::about(problem, solution.certificate)
        })
    }

    /// The answer as a point; a closed form is written out on demand.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when there are too many label sets to write
    /// out.
    pub fn point(&self, problem: &UfmProblem) -> Result<UfmPoint> {
        match &self.point {
            Some(point) => Ok(point.clone()),
            None => ClosedForm::of(problem)?.point(problem),
        }
    }

    fn of_closed_form(problem: &UfmProblem, optimum: &ClosedForm, begin: Instant) -> Result<Self> {
        let seconds = begin.elapsed().as_secs_f64();
        let size = problem.num_sets() * problem.num_classes() as f64;
        let point = match size <= LARGEST_GEOMETRY {
            true => Some(optimum.point(problem)?),
            false => None,
        };
        let geometry = match &point {
            Some(point) => Some(GeometryReport::of(problem, point)?),
            None => None,
        };
        let by_multiplicity = |value: &dyn Fn(&MultiplicityConstants) -> f64| {
            let constants = optimum.constants.iter();
            constants.map(|c| (c.multiplicity, value(c))).collect()
        };
        Ok(Self {
            row_norms: vec![optimum.classifier_norm; problem.num_classes()],
            potentials: optimum.potentials.clone(),
            constants: by_multiplicity(&|c| c.scale),
            label_mass: by_multiplicity(&|c| c.label_mass),
            feature_norms: by_multiplicity(&|c| c.feature_norm),
            rank: optimum.rank(problem.num_classes()),
            seconds,
            geometry,
            point,
            ..Self::about(problem, optimum.certificate)
        })
    }

    /// The part that only the problem and the certificate determine.
    fn about(problem: &UfmProblem, certificate: Certificate) -> Self {
        let labels = problem.labels();
        Self {
            method: UfmMethod::ClosedForm,
            certificate,
            num_classes: problem.num_classes(),
            dim: problem.dim(),
            num_samples: labels.num_samples(),
            num_unlabelled: labels.num_empty(),
            loss: problem.loss(),
            num_label_sets: problem.num_sets(),
            lambda_w: problem.lambda_w(),
            lambda_h: problem.lambda_h(),
            row_norms: Vec::new(),
            potentials: Vec::new(),
            constants: BTreeMap::new(),
            label_mass: BTreeMap::new(),
            feature_norms: BTreeMap::new(),
            rank: 0,
            iterations: 0,
            hessian_products: 0,
            escapes: 0,
            seconds: 0.0,
            geometry: None,
            course: Vec::new(),
            is_interrupted: false,
            point: None,
        }
    }
}
