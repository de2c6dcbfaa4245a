//! Minimisers for the smooth objectives of this crate.
//!
//! [`Lbfgs`] needs values and gradients and suits convex fits, such as linear heads.
//! [`TrustRegion`] also needs products with the Hessian; it leaves saddles along directions of
//! negative curvature and can keep variables non-negative.
//!
//! Both work on a flat slice of variables, allocate only at the start and never return a point
//! that is worse than the one they were given.

mod lbfgs;
mod line_search;
mod trust_region;

pub use lbfgs::Lbfgs;
pub(crate) use line_search::{LineSearch, Sample, Verdict};
pub use trust_region::{Curvature, TrustRegion};

/// How a minimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The gradient is as small as was asked for.
    Converged,
    /// No step lowers the value any more: the limit of 64-bit arithmetic.
    Precision,
    /// The limit of iterations came first.
    IterationLimit,
    /// The caller ended it.
    Interrupted,
    /// The objective or its gradient is NaN or infinite at the starting point.
    NotFinite,
}

/// What a minimisation found; the point itself is in the caller's slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum {
    /// The objective at the final point.
    pub value: f64,
    /// The largest absolute entry of the gradient at the final point; with bounds, of the part
    /// that points into the feasible set.
    pub gradient_norm: f64,
    /// Steps tried.
    pub iterations: usize,
    /// Evaluations of the objective and its gradient.
    pub evaluations: usize,
    /// Products with the Hessian; 0 for [`Lbfgs`].
    pub hessian_products: usize,
    /// Why it ended.
    pub stop: Stop,
}

/// The largest absolute value, or NaN if there is one: as integers, the bits of absolute values
/// have the order of the values, and those of NaN come last.
fn max_abs(values: &[f64]) -> f64 {
    crate::kernel::vectorized(
        #[inline(always)]
        || {
            let bits = values.iter().map(|value| value.abs().to_bits());
            f64::from_bits(bits.fold(0, u64::max))
        },
    )
}
