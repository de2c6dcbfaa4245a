use std::ops::{ControlFlow, Range};

use super::{Minimum, Stop, max_abs};
use crate::kernel::dot;

mod step;

use step::{Limits, Step, Workspace};

/// An objective with products of its Hessian, for [`TrustRegion`].
pub trait Curvature {
    /// The value at `x`; writes the gradient and keeps what the other two methods need.
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// Writes the product of a vector and the Hessian at the last point that was evaluated.
    fn hessian_times(&mut self, vector: &[f64], product: &mut [f64]);

    /// Writes a positive diagonal close to that of the Hessian at the last point evaluated.
    fn diagonal(&mut self, diagonal: &mut [f64]);
}

/// Newton's method with a trust region and conjugate gradients (Steihaug's truncation).
///
/// Directions of negative curvature are followed to the border of the region, so saddles are left;
/// near a minimiser with a regular Hessian each step removes a fixed part of the gradient. A
/// rejected step is tried again at a part of its length first. Some of the variables can be kept
/// non-negative by projection.
///
/// Source: Steihaug 1983 (SIAM J. Numer. Anal. 20:626); Conn, Gould and Toint, Trust-Region
/// Methods (2000), algorithms 6.1.1 and 7.5.1; for rejected steps Nocedal and Yuan 1998 (Advances in
/// Nonlinear Programming, 153); for the bounds Bertsekas 1982 (SIAM J. Control Optim. 20:221).
#[derive(Clone, Debug, PartialEq)]
pub struct TrustRegion {
    /// Largest number of steps.
    pub max_iterations: usize,
    /// Largest number of products with the Hessian in one step.
    pub max_products: usize,
    /// Stop when no entry of the (projected) gradient is larger than this.
    pub gradient_tolerance: f64,
    /// Variables that must stay at or above 0; empty for none.
    pub non_negative: Range<usize>,
}

impl Default for TrustRegion {
    fn default() -> Self {
        Self {
            max_iterations: 500,
            max_products: 500,
            gradient_tolerance: 1e-10,
            non_negative: 0..0,
        }
    }
}

/// Ratios of actual to predicted decrease that accept a step, shrink and widen the region.
const ACCEPT: f64 = 1e-4;
const SHRINK: f64 = 0.25;
const WIDEN: f64 = 0.75;
/// Conjugate gradients stop at this part of the initial residual, or at the second of what is still
/// missing to the gradient asked for, if that is more, but never above the third.
const FORCING: f64 = 0.2;
const ENOUGH: f64 = 0.5;
const LOOSE_FORCING: f64 = 0.3;
/// How often a rejected step is tried again at a part of its length, which costs no product with
/// the Hessian, before conjugate gradients run in a smaller region (Nocedal and Yuan 1998).
const MAX_SHORTENED: usize = 2;
/// The same once values are equal up to rounding and only the gradient shows progress.
const POLISH: f64 = 1e-6;
/// Changes of the value below this part of it are rounding.
const VALUE_ROUNDING: f64 = 4e-15;
/// A region this small, relative to the point, cannot change it.
const SMALLEST_RADIUS: f64 = 1e-15;

impl TrustRegion {
    /// Moves `x` to a point where the gradient vanishes and no negative curvature is met.
    ///
    /// `progress` sees the state after every product with the Hessian and every step, and ends the
    /// run by returning [`ControlFlow::Break`]; `x` is then the last point accepted.
    ///
    /// # Shapes
    /// `x` has length n; memory is 9·n numbers besides what the objective keeps.
    pub fn minimize<F>(
        &self,
        x: &mut [f64],
        objective: &mut F,
        mut progress: impl FnMut(&Minimum) -> ControlFlow<()>,
    ) -> Minimum
    where
        F: Curvature,
    {
        let n = x.len();
        self.project(x);
        let mut work = Workspace::new(n);
        let value = objective.value_and_gradient(x, &mut work.gradient);
        let mut minimum = Minimum {
            value,
            gradient_norm: self.projected_norm(x, &work.gradient),
            iterations: 0,
            evaluations: 1,
            hessian_products: 0,
            stop: Stop::Converged,
        };
        if !value.is_finite() || !minimum.gradient_norm.is_finite() {
            minimum.stop = Stop::NotFinite;
            return minimum;
        }
        let mut radius: Option<f64> = None;
        let mut is_polishing = false;
        let mut shorter: Option<Step> = None;
        let mut shortened = 0;
        work.take_scale(objective);
        loop {
            if minimum.gradient_norm <= self.gradient_tolerance {
                minimum.stop = Stop::Converged;
                return minimum;
            }
            if minimum.iterations == self.max_iterations {
                minimum.stop = Stop::IterationLimit;
                return minimum;
            }
            minimum.iterations += 1;
            self.mark_free(x, &mut work);
            let forcing = if is_polishing {
                POLISH
            } else {
                let enough = ENOUGH * self.gradient_tolerance / minimum.gradient_norm;
                enough.clamp(FORCING, LOOSE_FORCING)
            };
            let radius_now = *radius.get_or_insert_with(|| work.first_radius(x));
            let step = match shorter.take() {
                Some(step) => step,
                None => {
                    let limits = Limits {
                        radius: radius_now,
                        forcing,
                        max_products: self.max_products,
                    };
                    shortened = 0;
                    work.truncated_newton(objective, &limits, |products| {
                        progress(&Minimum {
                            hessian_products: minimum.hessian_products + products,
                            ..minimum
                        })
                    })
                }
            };
            minimum.hessian_products += step.products;
            if step.is_interrupted {
                minimum.stop = Stop::Interrupted;
                return minimum;
            }
            let (predicted, length) = self.trial(x, objective, &mut work, &step, &mut minimum);
            let trial_value = objective.value_and_gradient(&work.trial, &mut work.trial_gradient);
            minimum.evaluations += 1;
            let trial_norm = self.projected_norm(&work.trial, &work.trial_gradient);
            let rounding = VALUE_ROUNDING * minimum.value.abs();
            let actual = minimum.value - trial_value;
            // Below rounding the values say nothing; a smaller gradient is then the progress.
            let is_blind = predicted.abs() <= rounding && actual.abs() <= rounding;
            let ratio = if is_blind {
                f64::from(u8::from(trial_norm < minimum.gradient_norm))
            } else {
                actual / predicted
            };
            let accepted = ratio > ACCEPT && trial_norm.is_finite() && predicted > 0.0;
            if accepted {
                std::mem::swap(&mut work.gradient, &mut work.trial_gradient);
                x.copy_from_slice(&work.trial);
                minimum.value = trial_value;
                minimum.gradient_norm = trial_norm;
                work.take_scale(objective);
                if ratio > WIDEN && step.at_border {
                    radius = Some(2.0 * radius_now);
                }
                if progress(&minimum).is_break() {
                    minimum.stop = Stop::Interrupted;
                    return minimum;
                }
            } else if is_blind && is_polishing {
                minimum.stop = Stop::Precision;
                return minimum;
            }
            is_polishing = is_blind;
            if is_blind {
                radius = Some(radius_now);
            } else if !accepted || ratio < SHRINK {
                let smaller = 0.25 * radius_now.min(length);
                if smaller <= SMALLEST_RADIUS * work.scaled_norm(x).max(f64::MIN_POSITIVE)
                    || smaller == 0.0
                {
                    minimum.stop = Stop::Precision;
                    return minimum;
                }
                radius = Some(smaller);
            }
            if !accepted {
                if shortened < MAX_SHORTENED && !is_blind && !self.is_bounded() {
                    shorter = work.shorten(&step, -actual);
                    shortened += 1;
                }
                match &shorter {
                    Some(shorter) => radius = Some(shorter.length),
                    None => {
                        objective.value_and_gradient(x, &mut work.gradient);
                        minimum.evaluations += 1;
                    }
                }
            }
        }
    }

    fn is_bounded(&self) -> bool {
        !self.non_negative.is_empty()
    }

    fn project(&self, x: &mut [f64]) {
        for x in &mut x[self.non_negative.clone()] {
            *x = x.max(0.0);
        }
    }

    /// The largest entry of the gradient, without entries that push a variable below its bound.
    fn projected_norm(&self, x: &[f64], gradient: &[f64]) -> f64 {
        let bounded = self.non_negative.clone();
        let inside = x[bounded.clone()]
            .iter()
            .zip(&gradient[bounded.clone()])
            .map(|(x, g)| if *g > 0.0 { g.min(*x) } else { g.abs() })
            .fold(0.0, f64::max);
        let before = max_abs(&gradient[..bounded.start]);
        let after = max_abs(&gradient[bounded.end..]);
        let norm = inside.max(before).max(after);
        if before.is_nan() || after.is_nan() || gradient[bounded].iter().any(|g| g.is_nan()) {
            f64::NAN
        } else {
            norm
        }
    }

    /// Frees every variable but those held at 0 by a positive gradient.
    fn mark_free(&self, x: &[f64], work: &mut Workspace) {
        work.is_bounded = self.is_bounded();
        if !self.is_bounded() {
            return;
        }
        work.free.fill(true);
        for i in self.non_negative.clone() {
            let reach = work.diagonal_newton(x, i);
            work.free[i] =
                !(work.gradient[i] > 0.0 && (x[i] == 0.0 || reach <= 0.0 && x[i] < NEAR_BOUND));
        }
    }

    /// Writes the trial point; returns the decrease that the quadratic model predicts for it and
    /// the length of the step.
    fn trial<F: Curvature>(
        &self,
        x: &[f64],
        objective: &mut F,
        work: &mut Workspace,
        step: &Step,
        minimum: &mut Minimum,
    ) -> (f64, f64) {
        for i in 0..x.len() {
            work.trial[i] = x[i] + work.step[i];
        }
        if !self.is_bounded() {
            return (step.predicted, step.length);
        }
        for i in self.non_negative.clone() {
            if !work.free[i] {
                work.trial[i] = 0.0;
            }
        }
        self.project(&mut work.trial);
        for i in 0..x.len() {
            work.step[i] = work.trial[i] - x[i];
        }
        objective.hessian_times(&work.step, &mut work.product);
        minimum.hessian_products += 1;
        let predicted = -dot(&work.gradient, &work.step) - 0.5 * dot(&work.step, &work.product);
        // The border was set for the unprojected step.
        (predicted, work.scaled_norm(&work.step))
    }
}

/// Bounded variables below this may be set to 0 together with the step that would take them there.
const NEAR_BOUND: f64 = 1e-8;

#[cfg(test)]
mod tests;
