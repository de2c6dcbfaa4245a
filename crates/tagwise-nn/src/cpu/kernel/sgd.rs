//! The parameter update of stochastic gradient descent with momentum.

use super::{Kernels, for_each_kernel_set};
use crate::cpu::parallel;

/// Learning rate, momentum and weight decay of one update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    pub learning_rate: f32,
    pub momentum: f32,
    pub weight_decay: f32,
}

const CHUNK: usize = 1 << 14;

for_each_kernel_set! {
    fn step_chunk(update: Update, gradient: &[f32], velocity: &mut [f32], value: &mut [f32]) {
        let Update { learning_rate, momentum, weight_decay } = update;
        for ((w, v), g) in value.iter_mut().zip(velocity).zip(gradient) {
            let total = g + weight_decay * *w;
            *v = momentum * *v + total;
            *w -= learning_rate * *v;
        }
    }
}

/// v ← momentum·v + (g + weight_decay·w); w ← w − learning_rate·v.
pub(crate) fn step(
    kernels: Kernels,
    update: Update,
    gradient: &[f32],
    velocity: &mut [f32],
    value: &mut [f32],
) {
    let (values, velocities) = ((value, CHUNK), (velocity, CHUNK));
    parallel::for_each_two_chunks(values, velocities, |chunk, value, velocity| {
        let gradient = &gradient[chunk * CHUNK..][..value.len()];
        step_chunk(kernels, update, gradient, velocity, value);
    });
}
