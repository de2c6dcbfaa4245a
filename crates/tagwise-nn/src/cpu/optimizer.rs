//! Stochastic gradient descent with momentum and weight decay.

use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::cpu::buffer::Buffer;
use crate::cpu::kernel::sgd::{self, Update};
use crate::weights::{NamedTensor, expect_same};
use crate::{Error, Result};

/// Momentum and weight decay, the paper's by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Share of the last step that the next one keeps, without dampening.
    pub momentum: f32,
    /// λ of the term λ·w in the gradient of every trainable parameter.
    pub weight_decay: f32,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            weight_decay: 5e-4,
        }
    }
}

/// SGD as PyTorch's: v ← momentum·v + (g + weight_decay·w), w ← w − learning_rate·v.
///
/// Every trainable parameter decays, norms and biases included; a frozen classifier is none of
/// them.
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    velocity: Vec<Buffer>,
}

impl Sgd {
    /// An optimiser at rest for this network.
    #[must_use]
    pub fn new(config: SgdConfig, network: &Network) -> Self {
        let velocity = network
            .parameters()
            .map(|parameter| Buffer::zeros(parameter.value().len()))
            .collect();
        Self { config, velocity }
    }

    /// One step along the gradients of the network's last backward pass.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when the optimiser was made for another network.
    pub fn step(&mut self, network: &mut Network, learning_rate: f32) -> Result<()> {
        self.expect_network(network)?;
        let kernels = network.device().kernels();
        let update = Update {
            learning_rate,
            momentum: self.config.momentum,
            weight_decay: self.config.weight_decay,
        };
        for (parameter, velocity) in network.parameters_mut().zip(&mut self.velocity) {
            let (value, gradient) = parameter.value_and_gradient();
            sgd::step(kernels, update, gradient, velocity.as_mut_slice(), value);
        }
        Ok(())
    }

    /// The velocities by parameter name, in PyTorch's layout: what a checkpoint needs.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when the optimiser was made for another network.
    pub fn state(&self, network: &Network) -> Result<Vec<NamedTensor>> {
        self.expect_network(network)?;
        Ok(network
            .parameters()
            .zip(&self.velocity)
            .map(|(parameter, velocity)| parameter.named(velocity.as_slice()))
            .collect())
    }

    /// Takes over the velocities of a checkpoint; nothing changes on an error.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`] or [`Error::TensorShape`] when the
    /// tensors are not exactly this network's parameters.
    pub fn load_state(&mut self, network: &Network, tensors: &[NamedTensor]) -> Result<()> {
        self.expect_network(network)?;
        let expected: Vec<_> = network
            .parameters()
            .map(|parameter| (parameter.name.as_str(), parameter.layout.shape()))
            .collect();
        let tensors: Vec<&NamedTensor> = tensors.iter().collect();
        expect_same(&expected, &tensors)?;
        for (parameter, velocity) in network.parameters().zip(&mut self.velocity) {
            let tensor = tensors.iter().find(|tensor| tensor.name == parameter.name);
            if let Some(tensor) = tensor {
                parameter.layout.pack(&tensor.data, velocity.as_mut_slice());
            }
        }
        Ok(())
    }

    fn expect_network(&self, network: &Network) -> Result<()> {
        let expected: usize = self.velocity.iter().map(Buffer::len).sum();
        let found: usize = network
            .parameters()
            .map(|parameter| parameter.value().len())
            .sum();
        if expected == found {
            return Ok(());
        }
        Err(Error::LengthMismatch {
            what: "parameters in the optimiser's network",
            expected,
            found,
        })
    }
}
