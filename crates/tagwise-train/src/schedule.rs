//! The numbers of one optimisation step.

use std::f64::consts::PI;

use tagwise_nn::SgdConfig;

use crate::{Reduction, Training};

impl Training {
    /// The learning rate of a step: from the first to its final share along a half cosine,
    /// η_T + (η_0 − η_T)(1 + cos(π·step/num_steps))/2.
    ///
    /// At the start of each epoch it equals PyTorch's `CosineAnnealingLR`, which moves once an
    /// epoch.
    ///
    /// ```
    /// let training = tagwise_train::Training { learning_rate: 0.1, ..Default::default() };
    /// assert_eq!(training.learning_rate_at(0, 100), 0.1);
    /// assert!((training.learning_rate_at(50, 100) - 0.05005).abs() < 1e-12);
    /// assert!((training.learning_rate_at(100, 100) - 1e-4).abs() < 1e-12);
    /// ```
    pub fn learning_rate_at(&self, step: usize, num_steps: usize) -> f64 {
        let last = self.learning_rate * self.final_learning_rate_ratio;
        let progress = step as f64 / num_steps.max(1) as f64;
        last + (self.learning_rate - last) * 0.5 * (1.0 + (PI * progress).cos())
    }

    /// The gradient 2λ_h·h of the feature decay, divided by B for the mean.
    pub(crate) fn feature_decay_gradient(
        &self,
        features: &[f32],
        batch_size: usize,
        gradient: &mut Vec<f32>,
    ) {
        let factor = 2.0 * self.feature_decay
            / match self.feature_decay_reduction {
                Reduction::Mean => batch_size as f64,
                Reduction::Sum => 1.0,
            };
        gradient.clear();
        gradient.extend(features.iter().map(|&h| (factor * f64::from(h)) as f32));
    }

    pub(crate) fn sgd(&self) -> SgdConfig {
        SgdConfig {
            momentum: self.momentum as f32,
            weight_decay: self.weight_decay as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_decay_gradient_matches_central_differences() {
        let features = [0.5f32, -1.0, 2.0, 0.25];
        let batch_size = 2;
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let training = Training {
                feature_decay: 0.3,
                feature_decay_reduction: reduction,
                ..Training::default()
            };
            let penalty = |features: &[f64]| {
                let sum: f64 = features.iter().map(|h| h * h).sum();
                match reduction {
                    Reduction::Mean => training.feature_decay * sum / batch_size as f64,
                    Reduction::Sum => training.feature_decay * sum,
                }
            };
            let mut gradient = Vec::new();
            training.feature_decay_gradient(&features, batch_size, &mut gradient);
            for i in 0..features.len() {
                let moved = |step: f64| {
                    let mut moved = features.map(f64::from);
                    moved[i] += step;
                    penalty(&moved)
                };
                let difference = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                assert!((difference - f64::from(gradient[i])).abs() < 1e-6);
            }
        }
    }
}
