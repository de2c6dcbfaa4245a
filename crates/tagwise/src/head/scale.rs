//! Features scaled while a head is fitted.

use super::{Features, Scaling};

/// x ↦ (x − shift)·factor for each column.
pub(super) struct Scale {
    shifts: Vec<f64>,
    factors: Vec<f64>,
}

impl Scale {
    pub(super) fn new(features: &Features, scaling: Scaling) -> Option<Self> {
        if scaling == Scaling::None {
            return None;
        }
        let moments = features.column_moments();
        let is_dense = matches!(features, Features::Dense(_));
        let shift = |mean: f64| if is_dense { mean } else { 0.0 };
        /// A column whose spread is rounding is constant.
        const CONSTANT: f64 = 1e-12;
        let factors = moments.iter().map(|&(mean, square)| {
            let spread = (square - shift(mean) * shift(mean)).max(0.0).sqrt();
            if spread > CONSTANT * square.sqrt() {
                1.0 / spread
            } else {
                0.0
            }
        });
        Some(Self {
            factors: factors.collect(),
            shifts: moments.iter().map(|&(mean, _)| shift(mean)).collect(),
        })
    }

    pub(super) fn apply(&self, features: &Features) -> Features {
        features.rescaled(&self.shifts, &self.factors)
    }

    /// Turns weights `[d, K]` and bias for scaled features into those for the features as given.
    pub(super) fn fold_into(&self, weights: &mut [f64], bias: &mut [f64]) {
        let num_classes = bias.len();
        for (row, (shift, factor)) in weights
            .chunks_exact_mut(num_classes)
            .zip(self.shifts.iter().zip(&self.factors))
        {
            for (weight, bias) in row.iter_mut().zip(bias.iter_mut()) {
                *weight *= factor;
                *bias -= *weight * shift;
            }
        }
    }
}
