//! The numbers of one optimisation step.

use std::f64::consts::PI;

use tagwise_nn::SgdConfig;

use crate::TrainingSettings;

impl TrainingSettings {
    /// The learning rate of a step: from the first to its final share along a half cosine,
    /// η_T + (η_0 − η_T)(1 + cos(π·step/num_steps))/2.
    ///
    /// At the start of each epoch it equals PyTorch's `CosineAnnealingLR`, which moves once an
    /// epoch.
    ///
    /// ```
    /// let training = tagwise_train::TrainingSettings { learning_rate: 0.1, ..Default::default() };
    /// assert_eq!(training.learning_rate_at(0, 100), 0.1);
    /// assert!((training.learning_rate_at(50, 100) - 0.05005).abs() < 1e-12);
    /// assert!((training.learning_rate_at(100, 100) - 1e-4).abs() < 1e-12);
    /// ```
    pub fn learning_rate_at(&self, step: usize, num_steps: usize) -> f64 {
        let last = self.learning_rate * self.final_learning_rate_ratio;
        let progress = step as f64 / num_steps.max(1) as f64;
        last + (self.learning_rate - last) * 0.5 * (1.0 + (PI * progress).cos())
    }

    pub(crate) fn sgd(&self) -> SgdConfig {
        SgdConfig {
            momentum: self.momentum as f32,
            weight_decay: self.weight_decay as f32,
        }
    }
}
