//! The unconstrained feature model (UFM): which geometry is optimal for given labels, with proof.
//!
//! A network that can map every sample to any feature solves
//!
//! min over W, H, b of (1/N) Σᵢ α_m L(W hᵢ + b, Sᵢ) + λ_W‖W‖² + λ_H‖H‖² + λ_b‖b‖²
//!
//! with the pick-all-labels loss or the set likelihood L. The answer depends on the labels only through the number of
//! samples n_S of each distinct label set S, and is the geometry that training tends to.
//!
//! - [`LabelCounts`] and [`UfmProblem`] state the question.
//! - [`ClosedForm`] answers it at once for data balanced within multiplicities.
//! - [`solve`] answers it for any label distribution.
//! - [`UfmAnswer`] takes the one that serves, with everything that a reader wants to know.
//! - [`Certificate`] bounds how far any given answer is from the global optimum.
//! - [`GeometryReport`] says what the answer looks like.

mod answer;
mod certificate;
mod closed_form;
mod decompose;
mod dual;
mod labels;
mod objective;
mod point;
mod problem;
mod product;
mod reduced;
mod report;
mod set_columns;
mod set_dual;
mod solver;

pub use answer::{UfmAnswer, UfmMethod};
pub use certificate::{Bound, Certificate, Verdict};
pub use closed_form::{ClosedForm, MultiplicityConstants};
pub use labels::LabelCounts;
pub use point::UfmPoint;
pub use problem::{Bias, FeatureKind, UfmProblem, UfmSettings};
pub use report::{CommonDirection, GeometryReport, MultiplicityGeometry, SetSynthesis, Spread};
pub(crate) use solver::descend_from;
pub use solver::{Progress, SolverSettings, UfmSolution, solve, solve_from};
pub use tagwise_base::ClassifierKind;
