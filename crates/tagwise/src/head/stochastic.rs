//! Stochastic gradient descent with variance reduction.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::objective::{MULTIPLICITY_DECAY, Objective, sum_rows};
use super::source::BLOCK_LEN;
use super::{FitProgress, Stochastic};
use crate::kernel::add_scaled;
use crate::loss::set_likelihood::Marginals;
use crate::minimize::{Minimum, Stop};
use crate::split::shuffled;
use crate::{Error, Result};

/// Entries of W that one task moves.
const CHUNK_LEN: usize = 1 << 14;

/// Numbers that the slopes of all samples may take: 2 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// W `[d, O]` followed by b `[O]` and the P parameters that all samples share, the slopes of every
/// sample's loss at the last visit, and their mean gradient.
struct State {
    parameters: Vec<f64>,
    /// N·w_i·∂L/∂outputs and ∂L/∂shared, `[N, O + P]`.
    table: Vec<f64>,
    /// The mean of table_i ⊗ (x_i, 1), `[d + 1, O]`, and of the slopes in what is shared, `[P]`.
    mean_gradient: Vec<f64>,
}

/// Refuses what the table of slopes has no room for.
pub(super) fn check_size(objective: &Objective<'_>) -> Result<()> {
    let width = objective.num_outputs() + objective.losses.num_shared();
    let numbers = objective.targets().len().saturating_mul(width);
    match numbers <= MOST_NUMBERS {
        true => Ok(()),
        false => Err(Error::Undefined(format!(
            "stochastic descent keeps {width} slopes for each of {} samples, more than 2 GiB; \
             choose L-BFGS{}",
            objective.targets().len(),
            match objective.losses.num_shared() > 0 {
                true => ", or no potentials of label sets",
                false => "",
            }
        ))),
    }
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
    fn new(objective: &Objective<'_>, own_parameters: &[f64]) -> Self {
        let (weights, bias) = objective.weights_and_bias(own_parameters);
        let num_shared = objective.losses.num_shared();
        let shared = &own_parameters[own_parameters.len() - num_shared..];
        let parameters = [&weights[..], &bias, shared].concat();
        let mut state = Self {
            mean_gradient: vec![0.0; parameters.len()],
            table: vec![0.0; objective.targets().len() * (bias.len() + num_shared)],
            parameters,
        };
        let samples: Vec<usize> = (0..objective.targets().len()).collect();
        for batch in samples.chunks(BLOCK_LEN) {
            let change = state.visit(objective, batch);
            state.remember(objective, &change);
        }
        state
    }

    /// One step along a batch.
    fn advance(&mut self, objective: &Objective<'_>, batch: &[usize], step: f64) {
        let change = self.visit(objective, batch);
        self.step(objective, &change, batch.len() as f64, step);
        self.remember(objective, &change);
    }

    /// Looks at samples again and returns the change of the sum of their gradients since the last
    /// visit.
    fn visit(&mut self, objective: &Objective<'_>, batch: &[usize]) -> Vec<f64> {
        let outputs_len = objective.num_outputs();
        let num_shared = objective.losses.num_shared();
        let num_samples = objective.targets().len() as f64;
        let weights_len = objective.source.dim() * outputs_len;
        let (weights, rest) = self.parameters.split_at(weights_len);
        let (bias, shared) = rest.split_at(outputs_len);
        let potentials = objective.losses.potentials.as_ref();
        let model = potentials.map(|potentials| potentials.at(shared));
        let (mut folded, mut bias) = (weights.to_vec(), bias.to_vec());
        objective.scale.fold_into(&mut folded, &mut bias);
        let mut slopes = vec![0.0; batch.len() * outputs_len];
        let mut outputs = slopes.clone();
        objective
            .source
            .logits_of(batch, &folded, &bias, &mut outputs);
        let mut change = vec![0.0; self.parameters.len()];
        let (of_weights, of_rest) = change.split_at_mut(weights_len);
        let (of_bias, of_shared) = of_rest.split_at_mut(outputs_len);
        let mut own_shared = vec![0.0; num_shared];
        let mut marginals = Marginals::default();
        let rows = batch.iter().zip(outputs.chunks_exact(outputs_len));
        for ((&sample, outputs), slopes) in rows.zip(slopes.chunks_exact_mut(outputs_len)) {
            let set_id = objective.targets().set_ids()[sample] as usize;
            own_shared.fill(0.0);
            let shared = (model.as_ref(), &mut own_shared[..]);
            objective
                .losses
                .of_row(set_id, outputs, slopes, shared, &mut marginals);
            if let Some(potentials) = potentials {
                potentials.scale_slopes(&mut own_shared);
            }
            let width = outputs_len + num_shared;
            let old = &mut self.table[sample * width..][..width];
            let (old, old_shared) = old.split_at_mut(outputs_len);
            for (slope, old) in slopes.iter_mut().zip(old) {
                let new = num_samples * *slope;
                *slope = new - *old; // the change since the last visit
                *old = new;
            }
            for ((slope, old), sum) in own_shared.iter().zip(old_shared).zip(&mut *of_shared) {
                let new = num_samples * slope;
                *sum += new - *old;
                *old = new;
            }
        }
        sum_rows(&slopes, of_bias);
        objective
            .source
            .transpose_times_of(batch, &slopes, outputs_len, of_weights);
        objective.scale.pull_back(of_weights, of_bias);
        change
    }

    /// The mean gradient after a change of the sum.
    fn remember(&mut self, objective: &Objective<'_>, change: &[f64]) {
        let share = 1.0 / objective.targets().len() as f64;
        let chunks = self.mean_gradient.par_chunks_mut(CHUNK_LEN);
        chunks
            .zip(change.par_chunks(CHUNK_LEN))
            .for_each(|(mean, change)| add_scaled(mean, share, change));
    }

    /// parameters ← parameters − step·(change/batch + mean gradient + decay), within the matrices
    /// that the kind of head allows.
    fn step(&mut self, objective: &Objective<'_>, change: &[f64], batch_len: f64, step: f64) {
        let (outputs_len, k) = (objective.num_outputs(), objective.num_classes());
        let weights_len = objective.source.dim() * outputs_len;
        let decay = 2.0 * objective.weight_decay;
        let slope = |change: f64, mean: f64| change / batch_len + mean;
        let (weights, rest) = self.parameters.split_at_mut(weights_len);
        let (of_weights, of_rest) = change.split_at(weights_len);
        let (mean_of_weights, mean_of_rest) = self.mean_gradient.split_at(weights_len);
        let chunk_len = (CHUNK_LEN / outputs_len).max(1) * outputs_len;
        let chunks = weights.par_chunks_mut(chunk_len);
        let slopes = of_weights
            .par_chunks(chunk_len)
            .zip(mean_of_weights.par_chunks(chunk_len));
        chunks.zip(slopes).for_each(|(weights, (change, mean))| {
            let slopes = change
                .chunks_exact(outputs_len)
                .zip(mean.chunks_exact(outputs_len));
            for (weights, (change, mean)) in weights.chunks_exact_mut(outputs_len).zip(slopes) {
                let slopes = change.iter().zip(mean).map(|(&c, &m)| slope(c, m));
                // E·Eᵀ = K/(K−1)·(I − 11ᵀ/K) takes a step of P = W·E to one of W.
                let (shift, factor) = match objective.frame {
                    None => (0.0, 1.0),
                    Some(_) => {
                        let count = k as f64;
                        let sum: f64 = slopes.clone().take(k).sum();
                        (sum / count, count / (count - 1.0))
                    }
                };
                for (output, (weight, slope)) in weights.iter_mut().zip(slopes).enumerate() {
                    let slope = match output < k {
                        true => factor * (slope - shift),
                        false => slope,
                    };
                    *weight -= step * (slope + decay * *weight);
                }
            }
        });
        let of_linear = std::iter::repeat_n(2.0 * MULTIPLICITY_DECAY, outputs_len - k);
        let of_bias = std::iter::repeat_n(0.0, k).chain(of_linear);
        let potentials = objective.losses.potentials.as_ref();
        let of_shared = potentials.map_or(Vec::new(), |potentials| potentials.shared_decays());
        let decays = of_bias.chain(of_shared);
        let slopes = of_rest.iter().zip(mean_of_rest).zip(decays);
        for (parameter, ((&change, &mean), decay)) in rest.iter_mut().zip(slopes) {
            *parameter -= step * (slope(change, mean) + decay * *parameter);
        }
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
