//! One step: conjugate gradients inside the trust region.

use std::ops::ControlFlow;

use super::Curvature;
use crate::kernel::{add_scaled, dot, scale_and_subtract, weighted_square};

/// Curvatures below this part of the diagonal's are rounding of 0, as along a symmetry.
const FLAT: f64 = 1e-13;

/// The parts of a rejected step that are tried next.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 0.5;

/// How one step of conjugate gradients ended; the step itself is in the workspace.
pub(super) struct Step {
    /// Decrease of the quadratic model.
    pub predicted: f64,
    /// Length in the metric of the diagonal.
    pub length: f64,
    pub at_border: bool,
    pub products: usize,
    pub is_interrupted: bool,
}

/// Where conjugate gradients stop.
pub(super) struct Limits {
    pub radius: f64,
    /// The part of the initial residual that is small enough.
    pub forcing: f64,
    pub max_products: usize,
}

pub(super) struct Workspace {
    pub gradient: Vec<f64>,
    pub trial: Vec<f64>,
    pub trial_gradient: Vec<f64>,
    /// The diagonal that preconditions and measures lengths.
    scale: Vec<f64>,
    /// 1/scale
    inverse_scale: Vec<f64>,
    pub step: Vec<f64>,
    residual: Vec<f64>,
    direction: Vec<f64>,
    pub product: Vec<f64>,
    pub free: Vec<bool>,
    pub is_bounded: bool,
}

impl Workspace {
    pub fn new(n: usize) -> Self {
        let zeros = || vec![0.0; n];
        Self {
            gradient: zeros(),
            trial: zeros(),
            trial_gradient: zeros(),
            scale: vec![1.0; n],
            inverse_scale: vec![1.0; n],
            step: zeros(),
            residual: zeros(),
            direction: zeros(),
            product: zeros(),
            free: vec![true; n],
            is_bounded: false,
        }
    }

    /// Takes the diagonal at the point that the objective was evaluated at last.
    pub fn take_scale<F: Curvature>(&mut self, objective: &mut F) {
        objective.diagonal(&mut self.scale);
        for (inverse, scale) in self.inverse_scale.iter_mut().zip(&self.scale) {
            *inverse = scale.recip();
        }
    }

    /// √(Σ scaleᵢ xᵢ²)
    pub fn scaled_norm(&self, x: &[f64]) -> f64 {
        weighted_square(x, &self.scale).sqrt()
    }

    /// Where variable i would go by the diagonal alone.
    pub fn diagonal_newton(&self, x: &[f64], i: usize) -> f64 {
        x[i] - self.gradient[i] * self.inverse_scale[i]
    }

    /// The length of the point or of the diagonal Newton step, whichever is larger.
    pub fn first_radius(&self, x: &[f64]) -> f64 {
        let newton = weighted_square(&self.gradient, &self.inverse_scale);
        self.scaled_norm(x).max(newton.sqrt())
    }

    /// Shortens the step after a trial that changed the value by `change`, to the minimum of the
    /// parabola through both values and the slope; `None` when the model promises nothing there.
    pub fn shorten(&mut self, step: &Step, change: f64) -> Option<Step> {
        let slope = dot(&self.gradient, &self.step);
        let curvature = -2.0 * (step.predicted + slope);
        let bottom = -0.5 * slope / (change - slope);
        let part = if bottom.is_finite() {
            bottom.clamp(SHORTEST, LONGEST)
        } else {
            SHORTEST
        };
        let predicted = -part * (slope + 0.5 * part * curvature);
        (predicted > 0.0).then(|| {
            self.step.iter_mut().for_each(|x| *x *= part);
            Step {
                predicted,
                length: part * step.length,
                at_border: true,
                products: 0,
                is_interrupted: false,
            }
        })
    }

    fn hold(free: &[bool], is_bounded: bool, vector: &mut [f64]) {
        if is_bounded {
            for (value, free) in vector.iter_mut().zip(free) {
                if !free {
                    *value = 0.0;
                }
            }
        }
    }

    /// residualᵀ·scale⁻¹·residual
    fn preconditioned_square(&self) -> f64 {
        weighted_square(&self.residual, &self.inverse_scale)
    }

    /// direction ← conjugate·direction − scale⁻¹·residual
    fn turn(&mut self, conjugate: f64) {
        let (direction, residual) = (&mut self.direction, &self.residual);
        scale_and_subtract(direction, conjugate, &self.inverse_scale, residual);
    }

    /// Conjugate gradients on H·step = −gradient inside the region, from step = 0.
    pub fn truncated_newton<F: Curvature>(
        &mut self,
        objective: &mut F,
        limits: &Limits,
        mut progress: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Step {
        let radius = limits.radius;
        self.step.fill(0.0);
        self.residual.copy_from_slice(&self.gradient);
        Self::hold(&self.free, self.is_bounded, &mut self.residual);
        self.direction.fill(0.0);
        self.turn(0.0);
        let mut residual_square = self.preconditioned_square();
        let goal = limits.forcing * limits.forcing * residual_square;
        // Squared length of the step, its product with the direction, squared length of that.
        let (mut length2, mut along, mut direction2) = (0.0f64, 0.0f64, residual_square);
        let mut at_border = false;
        let mut products = 0;
        let mut is_interrupted = false;
        while products < limits.max_products && residual_square > goal && !is_interrupted {
            objective.hessian_times(&self.direction, &mut self.product);
            Self::hold(&self.free, self.is_bounded, &mut self.product);
            products += 1;
            is_interrupted = progress(products).is_break();
            let curvature = dot(&self.direction, &self.product);
            if curvature.abs() <= FLAT * direction2 && products > 1 {
                break;
            }
            let newton = residual_square / curvature;
            let reached2 = length2 + newton * (2.0 * along + newton * direction2);
            at_border = curvature <= 0.0 || reached2.is_nan() || reached2 >= radius * radius;
            let factor = if at_border {
                let room = (radius * radius - length2).max(0.0);
                room / (along + (along * along + direction2 * room).sqrt())
            } else {
                newton
            };
            add_scaled(&mut self.step, factor, &self.direction);
            add_scaled(&mut self.residual, factor, &self.product);
            length2 += factor * (2.0 * along + factor * direction2);
            if at_border {
                break;
            }
            let before = residual_square;
            residual_square = self.preconditioned_square();
            let conjugate = residual_square / before;
            along = conjugate * (along + factor * direction2);
            direction2 = residual_square + conjugate * conjugate * direction2;
            self.turn(conjugate);
        }
        // The residual is gradient + H·step on the free variables.
        let predicted = -0.5 * (dot(&self.step, &self.gradient) + dot(&self.step, &self.residual));
        Step {
            predicted,
            length: length2.max(0.0).sqrt(),
            at_border,
            products,
            is_interrupted,
        }
    }
}
