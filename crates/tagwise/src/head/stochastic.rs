//! Stochastic gradient descent with variance reduction.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::objective::{Objective, Point, sum_rows};
use super::{FitProgress, Stochastic};
use crate::kernel::add_scaled;
use crate::minimize::{Minimum, Stop};
use crate::split::shuffled;

/// Entries of W that one task moves.
const CHUNK_LEN: usize = 1 << 14;

/// W `[d, K]` followed by b `[K]`, the slope of every sample's loss at the last visit, and their
/// mean gradient.
struct State {
    parameters: Vec<f64>,
    /// N·w_i·∂L/∂logits, `[N, K]`.
    table: Vec<f64>,
    /// The mean of table_i ⊗ (x_i, 1), `[d + 1, K]`.
    mean_gradient: Vec<f64>,
}

/// Minimises the objective by the method of Defazio, Bach and Lacoste-Julien 2014 (arXiv
/// 1407.0202) on mini-batches: a batch moves the parameters along the change of its samples'
/// gradients since their last visit plus the mean of all last gradients. The variance of that
/// direction vanishes at the minimum, so that a constant step converges. The step is that of
/// Gazagnadou, Gower and Salmon 2019 (arXiv 1902.00071) for the curvature measured, halved after
/// every pass that does not lower the objective, which is then taken back.
pub(super) fn minimize(
    objective: &Objective<'_>,
    settings: &Stochastic,
    parameters: &mut [f64],
    max_passes: usize,
    gradient_tolerance: f64,
    mut progress: impl FnMut(&FitProgress) -> ControlFlow<()>,
) -> Minimum {
    let num_samples = objective.targets().len();
    let batch_len = settings.batch_size.clamp(1, num_samples);
    let mut step = step_size(objective, batch_len);
    let mut buffers = objective.residuals();
    let mut gradient = vec![0.0; parameters.len()];
    let value = objective.value_and_gradient(parameters, &mut gradient, &mut buffers);
    let mut minimum = Minimum {
        value,
        gradient_norm: largest(&gradient),
        iterations: 0,
        evaluations: 1,
        hessian_products: 0,
        stop: Stop::IterationLimit,
    };
    let mut state = State::new(objective, parameters);
    loop {
        if minimum.gradient_norm <= gradient_tolerance {
            minimum.stop = Stop::Converged;
            return minimum;
        }
        if minimum.iterations == max_passes || step == 0.0 {
            return minimum;
        }
        let pass = minimum.iterations as u64;
        let order = shuffled(num_samples, settings.seed ^ pass.rotate_left(32));
        for batch in order.chunks(batch_len) {
            state.advance(objective, batch, step);
        }
        minimum.iterations += 1;
        minimum.evaluations += 1;
        let found = objective.own_parameters(&state.parameters);
        let value = objective.value_and_gradient(&found, &mut gradient, &mut buffers);
        if value <= minimum.value {
            minimum.value = value;
            minimum.gradient_norm = largest(&gradient);
            parameters.copy_from_slice(&found);
        } else {
            step *= 0.5;
            state = State::new(objective, parameters);
        }
        let seen = FitProgress {
            weight_decay: objective.weight_decay,
            iterations: minimum.iterations,
            objective: minimum.value,
            gradient_norm: minimum.gradient_norm,
        };
        if progress(&seen).is_break() {
            minimum.stop = Stop::Interrupted;
            return minimum;
        }
    }
}

impl State {
    /// Every sample visited once at the parameters.
    fn new(objective: &Objective<'_>, parameters: &[f64]) -> Self {
        let num_classes = objective.num_classes();
        let num_samples = objective.targets().len();
        let (weights, bias) = objective.weights_and_bias(parameters);
        let parameters = [weights.clone(), bias.clone()].concat();
        let (mut folded, mut folded_bias) = (weights, bias);
        objective.scale.fold_into(&mut folded, &mut folded_bias);
        let mut table = vec![0.0; num_samples * num_classes];
        let point = Point {
            weights: &folded,
            bias: &folded_bias,
            potentials: None,
        };
        objective.loss_and_slopes(&point, &mut table, &mut []);
        let mut mean_gradient = vec![0.0; parameters.len()];
        let (of_weights, of_bias) = mean_gradient.split_at_mut(folded.len());
        sum_rows(&table, of_bias);
        objective
            .source
            .transpose_times(&table, num_classes, of_weights);
        objective.scale.pull_back(of_weights, of_bias);
        table
            .iter_mut()
            .for_each(|slope| *slope *= num_samples as f64);
        Self {
            parameters,
            table,
            mean_gradient,
        }
    }

    /// One step along a batch.
    fn advance(&mut self, objective: &Objective<'_>, batch: &[usize], step: f64) {
        let num_classes = objective.num_classes();
        let num_samples = objective.targets().len() as f64;
        let weights_len = self.parameters.len() - num_classes;
        let (weights, bias) = self.parameters.split_at(weights_len);
        let (mut folded, mut bias) = (weights.to_vec(), bias.to_vec());
        objective.scale.fold_into(&mut folded, &mut bias);
        let mut slopes = vec![0.0; batch.len() * num_classes];
        let mut logits = slopes.clone();
        objective
            .source
            .logits_of(batch, &folded, &bias, &mut logits);
        for ((&sample, logits), slopes) in batch
            .iter()
            .zip(logits.chunks_exact(num_classes))
            .zip(slopes.chunks_exact_mut(num_classes))
        {
            let set_id = objective.targets().set_ids()[sample] as usize;
            objective.losses.of_sample(set_id, logits, slopes);
            let old = &mut self.table[sample * num_classes..][..num_classes];
            for (slope, old) in slopes.iter_mut().zip(old) {
                let new = num_samples * *slope;
                *slope = new - *old; // the change since the last visit
                *old = new;
            }
        }
        let mut change = vec![0.0; self.parameters.len()];
        let (of_weights, of_bias) = change.split_at_mut(weights_len);
        sum_rows(&slopes, of_bias);
        objective
            .source
            .transpose_times_of(batch, &slopes, num_classes, of_weights);
        objective.scale.pull_back(of_weights, of_bias);
        self.step(objective, &change, batch.len() as f64, step);
        let share = 1.0 / num_samples;
        let chunks = self.mean_gradient.par_chunks_mut(CHUNK_LEN);
        chunks
            .zip(change.par_chunks(CHUNK_LEN))
            .for_each(|(mean, change)| add_scaled(mean, share, change));
    }

    /// parameters ← parameters − step·(change/batch + mean gradient + decay), within the matrices
    /// that the kind of head allows.
    fn step(&mut self, objective: &Objective<'_>, change: &[f64], batch_len: f64, step: f64) {
        let num_classes = objective.num_classes();
        let weights_len = self.parameters.len() - num_classes;
        let chunk_len = (CHUNK_LEN / num_classes).max(1) * num_classes;
        let decay = 2.0 * objective.weight_decay;
        let mean_gradient = &self.mean_gradient;
        let chunks = self.parameters.par_chunks_mut(chunk_len).enumerate();
        chunks.for_each(|(chunk, parameters)| {
            for (row, parameters) in parameters.chunks_exact_mut(num_classes).enumerate() {
                let first = chunk * chunk_len + row * num_classes;
                let range = first..first + num_classes;
                let slopes = change[range.clone()].iter().zip(&mean_gradient[range]);
                let slopes = slopes.map(|(change, mean)| change / batch_len + mean);
                if first == weights_len {
                    for (bias, slope) in parameters.iter_mut().zip(slopes) {
                        *bias -= step * slope;
                    }
                    continue;
                }
                // E·Eᵀ = K/(K−1)·(I − 11ᵀ/K) takes a step of P = W·E to one of W.
                let (shift, factor) = match objective.frame {
                    None => (0.0, 1.0),
                    Some(_) => {
                        let k = num_classes as f64;
                        (slopes.clone().sum::<f64>() / k, k / (k - 1.0))
                    }
                };
                for (weight, slope) in parameters.iter_mut().zip(slopes) {
                    *weight -= step * (factor * (slope - shift) + decay * *weight);
                }
            }
        });
    }
}

fn largest(values: &[f64]) -> f64 {
    let larger = |largest: f64, value: &f64| value.abs().max(largest);
    values.iter().fold(0.0, larger)
}

/// The step for batches of b of n samples: 1/4 of the inverse of
/// max(L_b + 2λ, (n−b)/(b(n−1))·L_max + 2λn/(4b)), L_b the expected smoothness between the
/// curvature L of the mean loss (b = n) and the largest L_max of one sample (b = 1).
fn step_size(objective: &Objective<'_>, batch_len: usize) -> f64 {
    let (n, b) = (objective.targets().len() as f64, batch_len as f64);
    let (mean, largest) = objective.curvatures();
    let few = (n - b) / (b * (n - 1.0).max(1.0));
    let many = n * (b - 1.0) / (b * (n - 1.0).max(1.0));
    let decay = 2.0 * objective.weight_decay;
    let expected = many * mean + few * largest + decay;
    0.25 / expected.max(few * largest + decay * n / (4.0 * b))
}
