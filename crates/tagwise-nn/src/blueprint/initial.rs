//! Initial weights, as torchvision draws them (the distributions, not the same numbers).

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Blueprint, TensorRole, TensorSpec};
use crate::weights::NamedTensor;
use crate::{Error, Result};

impl Blueprint {
    /// Random weights: Kaiming normal convolutions (mode `fan_out`), norms of weight 1 and bias 0,
    /// a uniform classifier in ±1/√d or a simplex ETF with zero bias. The same seed gives the same
    /// numbers on every engine.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no simplex ETF of K classes exists in d dimensions.
    pub fn initial_state(&self, seed: u64) -> Result<Vec<NamedTensor>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.tensors()
            .into_iter()
            .map(|tensor| {
                Ok(NamedTensor {
                    data: self.initial(&tensor, &mut rng)?,
                    name: tensor.name,
                    shape: tensor.shape,
                })
            })
            .collect()
    }

    fn initial(&self, tensor: &TensorSpec, rng: &mut impl Rng) -> Result<Vec<f32>> {
        let len = tensor.num_elements();
        let dim = self.feature_dim();
        Ok(match tensor.role {
            TensorRole::ConvolutionWeight => {
                let fan_out = len / tensor.shape[1];
                kaiming_normal(len, fan_out, rng)
            }
            TensorRole::ClassifierWeight => linear_uniform(len, dim, rng),
            TensorRole::ClassifierBias if self.classifier.is_learned() => {
                linear_uniform(len, dim, rng)
            }
            TensorRole::FixedClassifierWeight => simplex_etf(self.num_classes(), dim)?,
            TensorRole::NormWeight | TensorRole::RunningVariance => vec![1.0; len],
            TensorRole::ConvolutionBias
            | TensorRole::NormBias
            | TensorRole::RunningMean
            | TensorRole::ClassifierBias => vec![0.0; len],
        })
    }
}

/// The unit rows of a simplex ETF, row-major `[K, d]`.
fn simplex_etf(num_classes: usize, dim: usize) -> Result<Vec<f32>> {
    let etf = tagwise_base::etf::simplex_etf(num_classes, dim)
        .map_err(|error| Error::InvalidSpec(error.to_string()))?;
    Ok((0..num_classes)
        .flat_map(|i| (0..dim).map(move |j| (i, j)))
        .map(|position| etf[position] as f32)
        .collect())
}

/// Normal numbers of deviation √(2/fan_out): Kaiming's initialisation for ReLU, mode `fan_out`.
fn kaiming_normal(len: usize, fan_out: usize, rng: &mut impl Rng) -> Vec<f32> {
    let deviation = (2.0 / fan_out as f64).sqrt();
    (0..len)
        .map(|_| (deviation * standard_normal(rng)) as f32)
        .collect()
}

/// Uniform numbers in ±1/√fan_in: PyTorch's `Linear` layer, weights and bias alike.
fn linear_uniform(len: usize, fan_in: usize, rng: &mut impl Rng) -> Vec<f32> {
    let bound = 1.0 / (fan_in as f64).sqrt();
    (0..len)
        .map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32)
        .collect()
}

/// Box and Muller's transform of two uniform numbers.
fn standard_normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    radius * angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four standard errors of the mean and of the deviation of 20,000 draws.
    const SAMPLING: f64 = 4.0 / 141.0;

    #[test]
    fn kaiming_weights_have_the_deviation_of_their_fan_out() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let weights = kaiming_normal(20_000, 8, &mut rng);
        let n = weights.len() as f64;
        let mean: f64 = weights.iter().map(|w| f64::from(*w)).sum::<f64>() / n;
        let square: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / n;
        assert!((mean / 0.5).abs() < SAMPLING);
        assert!((square.sqrt() / 0.5 - 1.0).abs() < SAMPLING);
    }

    #[test]
    fn linear_weights_fill_their_interval() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let weights = linear_uniform(1000, 16, &mut rng);
        let largest = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        assert!(largest <= 0.25 && largest > 0.24);
    }
}
