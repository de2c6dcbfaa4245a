//! The optimum: by the closed form where there is one, by the solver otherwise.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use tagwise::ufm::{
    Certificate, ClosedForm, GeometryReport, Progress, UfmPoint, UfmProblem, solve,
};

use super::{Arguments, solver_settings};
use crate::interrupt;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// How the answer was found.
    pub method: Method,
    #[serde(flatten)]
    pub certificate: Certificate,
    pub num_classes: usize,
    pub dim: usize,
    pub num_samples: f64,
    pub num_unlabelled: f64,
    pub num_label_sets: f64,
    pub lambda_w: f64,
    pub lambda_h: f64,
    pub row_norms: Vec<f64>,
    /// C_m by multiplicity: exact for balanced data, the best fit otherwise.
    pub constants: BTreeMap<usize, f64>,
    /// Soft mass on the true labels by multiplicity.
    pub label_mass: BTreeMap<usize, f64>,
    /// Mean ‖h_S‖ by multiplicity.
    pub feature_norms: BTreeMap<usize, f64>,
    pub rank: usize,
    pub iterations: usize,
    pub hessian_products: usize,
    pub escapes: usize,
    pub seconds: f64,
    /// Everything about the geometry; absent when there are too many label sets to write out.
    pub geometry: Option<GeometryReport>,
    /// The course of the solver, for the picture.
    #[serde(skip)]
    pub course: Vec<Progress>,
    #[serde(skip)]
    pub is_interrupted: bool,
    #[serde(skip)]
    point: Option<UfmPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    ClosedForm,
    Solver,
}

/// Classes times label sets up to which the geometry of a closed form is written out and measured.
const LARGEST_GEOMETRY: f64 = 2e6;
/// Progress is shown no more often than this.
const SHOW_EVERY: Duration = Duration::from_secs(2);

impl Answer {
    pub fn find(problem: &UfmProblem, arguments: &Arguments) -> anyhow::Result<Self> {
        let begin = Instant::now();
        match (arguments.method, ClosedForm::of(problem)) {
            (super::Method::Auto, Ok(optimum)) => Self::of_closed_form(problem, &optimum, begin),
            _ => Self::solve(problem, arguments),
        }
    }

    /// The answer as a point; a closed form is written out on demand.
    pub fn point(&self, problem: &UfmProblem) -> anyhow::Result<UfmPoint> {
        match &self.point {
            Some(point) => Ok(point.clone()),
            None => Ok(ClosedForm::of(problem)?.point(problem)?),
        }
    }

    fn of_closed_form(
        problem: &UfmProblem,
        optimum: &ClosedForm,
        begin: Instant,
    ) -> anyhow::Result<Self> {
        let seconds = begin.elapsed().as_secs_f64();
        let labels = problem.labels();
        let size = labels.num_sets() * problem.num_classes() as f64;
        let point = match size <= LARGEST_GEOMETRY {
            true => Some(optimum.point(problem)?),
            false => None,
        };
        let geometry = match &point {
            Some(point) => Some(GeometryReport::of(problem, point)?),
            None => None,
        };
        let by_multiplicity = |value: &dyn Fn(&tagwise::ufm::MultiplicityConstants) -> f64| {
            let constants = optimum.constants.iter();
            constants.map(|c| (c.multiplicity, value(c))).collect()
        };
        let is_zero = optimum.classifier_norm == 0.0;
        Ok(Self {
            method: Method::ClosedForm,
            certificate: optimum.certificate,
            row_norms: vec![optimum.classifier_norm; problem.num_classes()],
            constants: by_multiplicity(&|c| c.scale),
            label_mass: by_multiplicity(&|c| c.label_mass),
            feature_norms: by_multiplicity(&|c| c.feature_norm),
            rank: if is_zero {
                0
            } else {
                problem.num_classes() - 1
            },
            iterations: 0,
            hessian_products: 0,
            escapes: 0,
            seconds,
            geometry,
            course: Vec::new(),
            is_interrupted: false,
            point,
            ..Self::about(problem, optimum.certificate)
        })
    }

    fn solve(problem: &UfmProblem, arguments: &Arguments) -> anyhow::Result<Self> {
        let stop = interrupt::catch()?;
        let mut course = Vec::new();
        let mut is_interrupted = false;
        let mut shown = Instant::now();
        let solution = solve(problem, &solver_settings(arguments), |progress| {
            if course
                .last()
                .is_none_or(|last: &Progress| last.value != progress.value)
            {
                course.push(*progress);
            }
            if !arguments.quiet && shown.elapsed() >= SHOW_EVERY {
                shown = Instant::now();
                eprintln!("{}", progress_line(progress));
            }
            is_interrupted = stop.load(Ordering::SeqCst);
            match is_interrupted {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let geometry = GeometryReport::of(problem, &solution.point)?;
        let by_multiplicity =
            |value: &dyn Fn(&tagwise::ufm::MultiplicityGeometry) -> Option<f64>| {
                let all = geometry.multiplicities.iter();
                all.filter_map(|(&m, g)| Some((m, value(g)?))).collect()
            };
        Ok(Self {
            method: Method::Solver,
            row_norms: geometry.row_norms.clone(),
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

    /// The part that only the problem and the certificate determine.
    fn about(problem: &UfmProblem, certificate: Certificate) -> Self {
        let labels = problem.labels();
        Self {
            method: Method::Solver,
            certificate,
            num_classes: problem.num_classes(),
            dim: problem.dim(),
            num_samples: labels.num_samples(),
            num_unlabelled: labels.num_empty(),
            num_label_sets: labels.num_sets(),
            lambda_w: problem.lambda_w(),
            lambda_h: problem.lambda_h(),
            row_norms: Vec::new(),
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

fn progress_line(progress: &Progress) -> String {
    let gap = if progress.relative_gap.is_finite() {
        format!("{:.1e}", progress.relative_gap)
    } else {
        "not known yet".into()
    };
    format!(
        "step {}, product {}: value {:.9}, rank {}, gradient {:.1e}, relative gap {gap}",
        progress.iterations,
        progress.hessian_products,
        progress.value,
        progress.rank,
        progress.gradient_norm
    )
}
