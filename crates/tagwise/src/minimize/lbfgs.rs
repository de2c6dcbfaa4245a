use std::ops::ControlFlow;

use super::line_search::{LineSearch, Sample, Verdict};
use super::{Minimum, Stop, max_abs};
use crate::kernel::{add_scaled, dot};

/// Limited-memory BFGS with a line search for the strong Wolfe conditions.
///
/// ```
/// use tagwise::minimize::{Lbfgs, Stop};
///
/// let mut x = [-1.2, 1.0]; // Rosenbrock's valley
/// let minimum = Lbfgs::default().minimize(&mut x, |x, gradient| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     gradient[0] = -2.0 * a - 400.0 * x[0] * b;
///     gradient[1] = 200.0 * b;
///     a * a + 100.0 * b * b
/// });
/// assert_eq!(minimum.stop, Stop::Converged);
/// assert!((x[0] - 1.0).abs() < 1e-7 && (x[1] - 1.0).abs() < 1e-7);
/// ```
///
/// Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4, 3.5 and 3.6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lbfgs {
    /// Pairs of steps and gradient changes that are kept.
    pub memory: usize,
    /// Largest number of steps.
    pub max_iterations: usize,
    /// Stop when no entry of the gradient is larger than this.
    pub gradient_tolerance: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            memory: 12,
            max_iterations: 1000,
            gradient_tolerance: 1e-8,
        }
    }
}

/// Changes of the value below this part of it are rounding.
const VALUE_ROUNDING: f64 = 1e-15;

impl Lbfgs {
    /// Moves `x` to a minimiser of `objective`, which returns the value and writes the gradient.
    ///
    /// # Shapes
    /// `x` and the gradient have the same length n; memory is (2·`memory` + 5)·n numbers.
    pub fn minimize(
        &self,
        x: &mut [f64],
        objective: impl FnMut(&[f64], &mut [f64]) -> f64,
    ) -> Minimum {
        self.minimize_with(x, None, objective, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize`](Self::minimize), with the diagonal of a rough inverse Hessian to start from
    /// and a look at every step.
    ///
    /// With 1/curvature of each variable the first direction is a Newton step on the diagonal, and
    /// variables of very different curvature converge together. `progress` sees the state after
    /// every step and ends the run by returning [`ControlFlow::Break`]; `x` is then the last point.
    ///
    /// # Shapes
    /// `inverse_curvatures` has the length of `x`, and is positive.
    pub fn minimize_with(
        &self,
        x: &mut [f64],
        inverse_curvatures: Option<&[f64]>,
        mut objective: impl FnMut(&[f64], &mut [f64]) -> f64,
        mut progress: impl FnMut(&Minimum) -> ControlFlow<()>,
    ) -> Minimum {
        let n = x.len();
        let mut gradient = vec![0.0; n];
        let value = objective(x, &mut gradient);
        let mut minimum = Minimum {
            value,
            gradient_norm: max_abs(&gradient),
            iterations: 0,
            evaluations: 1,
            hessian_products: 0,
            stop: Stop::Converged,
        };
        if !value.is_finite() || !minimum.gradient_norm.is_finite() {
            minimum.stop = Stop::NotFinite;
            return minimum;
        }
        let mut pairs = Pairs::new(self.memory.max(1), n);
        let mut direction = vec![0.0; n];
        let mut trial = Trial {
            point: vec![0.0; n],
            gradient: vec![0.0; n],
            evaluations: 0,
        };
        loop {
            minimum.gradient_norm = max_abs(&gradient);
            if minimum.gradient_norm <= self.gradient_tolerance {
                minimum.stop = Stop::Converged;
                break;
            }
            if minimum.iterations == self.max_iterations {
                minimum.stop = Stop::IterationLimit;
                break;
            }
            pairs.descent_direction(&gradient, inverse_curvatures, &mut direction);
            let mut slope = dot(&direction, &gradient);
            if slope >= 0.0 || !slope.is_finite() {
                pairs.clear();
                pairs.descent_direction(&gradient, inverse_curvatures, &mut direction);
                slope = dot(&direction, &gradient);
            }
            let first_step = if pairs.is_empty() && inverse_curvatures.is_none() {
                1.0 / (-slope).sqrt().max(1.0)
            } else {
                1.0
            };
            let search = LineSearch::new(minimum.value, slope, VALUE_ROUNDING);
            let found = trial.search(x, &direction, search, first_step, &mut objective);
            minimum.evaluations += std::mem::take(&mut trial.evaluations);
            let Some(found) = found else {
                if pairs.is_empty() {
                    minimum.stop = Stop::Precision;
                    break;
                }
                pairs.clear();
                continue;
            };
            pairs.push(&direction, found.step, &gradient, &trial.gradient);
            x.copy_from_slice(&trial.point);
            gradient.copy_from_slice(&trial.gradient);
            minimum.value = found.value;
            minimum.iterations += 1;
            minimum.gradient_norm = max_abs(&gradient);
            if progress(&minimum).is_break() {
                minimum.stop = Stop::Interrupted;
                break;
            }
        }
        minimum
    }
}

/// The last steps s and gradient changes y, as a ring.
struct Pairs {
    steps: Vec<Vec<f64>>,
    changes: Vec<Vec<f64>>,
    /// 1/(sᵀy) of each pair.
    inverse_curvatures: Vec<f64>,
    weights: Vec<f64>,
    newest: usize,
    len: usize,
}

impl Pairs {
    fn new(memory: usize, n: usize) -> Self {
        Self {
            steps: vec![vec![0.0; n]; memory],
            changes: vec![vec![0.0; n]; memory],
            inverse_curvatures: vec![0.0; memory],
            weights: vec![0.0; memory],
            newest: 0,
            len: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps a pair if its curvature is positive beyond rounding.
    fn push(&mut self, direction: &[f64], step: f64, before: &[f64], after: &[f64]) {
        let slot = (self.newest + 1) % self.steps.len();
        for (s, d) in self.steps[slot].iter_mut().zip(direction) {
            *s = step * d;
        }
        for ((y, a), b) in self.changes[slot].iter_mut().zip(after).zip(before) {
            *y = a - b;
        }
        let curvature = dot(&self.steps[slot], &self.changes[slot]);
        let change_norm = dot(&self.changes[slot], &self.changes[slot]);
        if curvature > 1e-14 * change_norm && curvature.is_normal() {
            self.inverse_curvatures[slot] = 1.0 / curvature;
            self.newest = slot;
            self.len = (self.len + 1).min(self.steps.len());
        }
    }

    /// direction ← −H·gradient by the two-loop recursion, H the current inverse Hessian.
    fn descent_direction(
        &mut self,
        gradient: &[f64],
        inverse_curvatures: Option<&[f64]>,
        direction: &mut [f64],
    ) {
        for (d, g) in direction.iter_mut().zip(gradient) {
            *d = -g;
        }
        let memory = self.steps.len();
        let slots = (0..self.len).map(|age| (self.newest + memory - age) % memory);
        for slot in slots.clone() {
            let weight = self.inverse_curvatures[slot] * dot(&self.steps[slot], direction);
            self.weights[slot] = weight;
            add_scaled(direction, -weight, &self.changes[slot]);
        }
        if let Some(inverse) = inverse_curvatures {
            let pairs = direction.iter_mut().zip(inverse);
            pairs.for_each(|(d, inverse)| *d *= inverse);
        }
        if !self.is_empty() {
            let newest = &self.changes[self.newest];
            let norm = match inverse_curvatures {
                None => dot(newest, newest),
                Some(inverse) => {
                    let squares = newest
                        .iter()
                        .zip(inverse)
                        .map(|(y, inverse)| y * y * inverse);
                    squares.sum()
                }
            };
            let scale = 1.0 / (self.inverse_curvatures[self.newest] * norm);
            direction.iter_mut().for_each(|d| *d *= scale);
        }
        for slot in slots.rev() {
            let back = self.inverse_curvatures[slot] * dot(&self.changes[slot], direction);
            add_scaled(direction, self.weights[slot] - back, &self.steps[slot]);
        }
    }
}

/// Where the objective was evaluated last.
struct Trial {
    point: Vec<f64>,
    gradient: Vec<f64>,
    evaluations: usize,
}

impl Trial {
    /// Goes along the direction to a step that meets the strong Wolfe conditions and stays there.
    fn search(
        &mut self,
        x: &[f64],
        direction: &[f64],
        mut search: LineSearch,
        first_step: f64,
        objective: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
    ) -> Option<Sample> {
        let mut step = first_step;
        loop {
            for ((t, x), d) in self.point.iter_mut().zip(x).zip(direction) {
                *t = x + step * d;
            }
            self.evaluations += 1;
            let value = objective(&self.point, &mut self.gradient);
            let slope = dot(&self.gradient, direction);
            let sample = Sample { step, value, slope };
            step = match search.judge(sample) {
                Verdict::Accept => return Some(sample),
                Verdict::Try(step) => step,
                Verdict::Fail => return None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient tolerance is 1e-8 and the curvatures below are at least 0.1.
    const NEAR: f64 = 1e-6;

    #[test]
    fn an_ill_conditioned_quadratic_is_solved() {
        let n = 50;
        let curvature = |i: usize| 10f64.powf(-1.0 + 3.0 * i as f64 / (n - 1) as f64);
        let mut x = vec![1.0; n];
        let minimum = Lbfgs::default().minimize(&mut x, |x, gradient| {
            let mut value = 0.0;
            for i in 0..x.len() {
                let offset = x[i] - i as f64;
                gradient[i] = curvature(i) * offset;
                value += 0.5 * curvature(i) * offset * offset;
            }
            value
        });
        assert_eq!(minimum.stop, Stop::Converged);
        for (i, x) in x.iter().enumerate() {
            assert!((x - i as f64).abs() < NEAR, "x[{i}] = {x}");
        }
    }

    #[test]
    fn a_convex_fit_with_infinite_trial_values_is_solved() {
        // −log x + x has its minimum at 1 and is not defined for x ≤ 0.
        let mut x = [20.0];
        let minimum = Lbfgs::default().minimize(&mut x, |x, gradient| {
            gradient[0] = 1.0 - 1.0 / x[0];
            x[0] - x[0].ln()
        });
        assert_eq!(minimum.stop, Stop::Converged);
        assert!((x[0] - 1.0).abs() < NEAR);
    }

    #[test]
    fn a_start_that_is_not_finite_is_reported() {
        let mut x = [f64::NAN];
        let minimum = Lbfgs::default().minimize(&mut x, |x, gradient| {
            gradient[0] = x[0];
            x[0] * x[0]
        });
        assert_eq!(minimum.stop, Stop::NotFinite);
    }

    #[test]
    fn the_iteration_limit_is_kept() {
        let mut x = [-1.2, 1.0];
        let limited = Lbfgs {
            max_iterations: 3,
            ..Lbfgs::default()
        };
        let minimum = limited.minimize(&mut x, |x, gradient| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient[0] = -2.0 * a - 400.0 * x[0] * b;
            gradient[1] = 200.0 * b;
            a * a + 100.0 * b * b
        });
        assert_eq!(minimum.stop, Stop::IterationLimit);
        assert_eq!(minimum.iterations, 3);
        assert!(minimum.value < 24.2, "the starting value is 24.2");
    }
}
