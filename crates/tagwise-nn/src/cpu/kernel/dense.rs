//! The linear classifier: logits = features · Wᵀ + b, and its gradients.

use super::{Kernels, for_each_kernel_set};
use crate::cpu::parallel;

for_each_kernel_set! {
    fn logits_of_one(features: &[f32], weight: &[f32], bias: &[f32], logits: &mut [f32]) {
        const LANES: usize = 16;
        for ((logit, row), bias) in logits
            .iter_mut()
            .zip(weight.chunks_exact(features.len()))
            .zip(bias)
        {
            let mut sums = [0.0f32; LANES];
            let (row_groups, feature_groups) =
                (row.chunks_exact(LANES), features.chunks_exact(LANES));
            let rest: f32 = row_groups
                .remainder()
                .iter()
                .zip(feature_groups.remainder())
                .map(|(w, h)| w * h)
                .sum();
            for (w, h) in row_groups.zip(feature_groups) {
                for lane in 0..LANES {
                    sums[lane] += w[lane] * h[lane];
                }
            }
            *logit = sums.iter().sum::<f32>() + rest + bias;
        }
    }
}

for_each_kernel_set! {
    /// sum += factor · row
    fn add_scaled(factor: f32, row: &[f32], sum: &mut [f32]) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += factor * value;
        }
    }
}

/// # Shapes
/// `features` `[B, d]`, `weight` `[K, d]`, `bias` `[K]`, `logits` `[B, K]`.
pub(crate) fn forward(
    kernels: Kernels,
    dim: usize,
    features: &[f32],
    weight: &[f32],
    bias: &[f32],
    logits: &mut [f32],
) {
    parallel::for_each_chunk(logits, bias.len(), |sample, logits| {
        let features = &features[sample * dim..][..dim];
        logits_of_one(kernels, features, weight, bias, logits);
    });
}

/// dW[k] = Σ_b dlogits[b, k]·features[b], in batch order.
pub(crate) fn weight_gradient(
    kernels: Kernels,
    dim: usize,
    num_classes: usize,
    features: &[f32],
    grad_logits: &[f32],
    gradient: &mut [f32],
) {
    parallel::for_each_chunk(gradient, dim, |class, row| {
        row.fill(0.0);
        let samples = features.chunks_exact(dim);
        for (features, grad) in samples.zip(grad_logits.chunks_exact(num_classes)) {
            add_scaled(kernels, grad[class], features, row);
        }
    });
}

/// db = Σ_b dlogits[b], in batch order.
pub(crate) fn bias_gradient(grad_logits: &[f32], gradient: &mut [f32]) {
    gradient.fill(0.0);
    for sample in grad_logits.chunks_exact(gradient.len()) {
        for (sum, value) in gradient.iter_mut().zip(sample) {
            *sum += value;
        }
    }
}

/// dfeatures[b] = Σ_k dlogits[b, k]·W[k], added to what `gradient` holds.
pub(crate) fn feature_gradient(
    kernels: Kernels,
    dim: usize,
    num_classes: usize,
    weight: &[f32],
    grad_logits: &[f32],
    gradient: &mut [f32],
) {
    parallel::for_each_chunk(gradient, dim, |sample, gradient| {
        let grad = &grad_logits[sample * num_classes..][..num_classes];
        for (row, factor) in weight.chunks_exact(dim).zip(grad) {
            add_scaled(kernels, *factor, row, gradient);
        }
    });
}
