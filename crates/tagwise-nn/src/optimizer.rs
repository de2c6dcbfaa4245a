//! Stochastic gradient descent with momentum and weight decay.

use serde::{Deserialize, Serialize};

use crate::buffer::Buffer;
use crate::kernel::sgd::{self, Update};
use crate::network::Network;
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
    pub fn new(config: SgdConfig, network: &mut Network) -> Self {
        let mut velocity = Vec::new();
        network.visit_parameters(&mut |parameter| {
            velocity.push(Buffer::zeros(parameter.value().len()));
        });
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
        let mut velocities = self.velocity.iter_mut();
        network.visit_parameters(&mut |parameter| {
            if let Some(velocity) = velocities.next() {
                let (value, gradient) = parameter.value_and_gradient();
                sgd::step(kernels, update, gradient, velocity.as_mut_slice(), value);
            }
        });
        Ok(())
    }

    /// The velocities by parameter name, in PyTorch's layout: what a checkpoint needs.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when the optimiser was made for another network.
    pub fn state(&self, network: &mut Network) -> Result<Vec<NamedTensor>> {
        self.expect_network(network)?;
        let mut velocities = self.velocity.iter();
        let mut tensors = Vec::new();
        network.visit_parameters(&mut |parameter| {
            if let Some(velocity) = velocities.next() {
                tensors.push(NamedTensor {
                    name: parameter.name.clone(),
                    shape: parameter.layout.shape(),
                    data: parameter.layout.unpack(velocity.as_slice()),
                });
            }
        });
        Ok(tensors)
    }

    /// Takes over the velocities of a checkpoint; nothing changes on an error.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`] or [`Error::TensorShape`] when the
    /// tensors are not exactly this network's parameters.
    pub fn load_state(&mut self, network: &mut Network, tensors: &[NamedTensor]) -> Result<()> {
        self.expect_network(network)?;
        let mut expected = Vec::new();
        network.visit_parameters(&mut |parameter| {
            expected.push((parameter.name.clone(), parameter.layout.shape()));
        });
        let tensors: Vec<&NamedTensor> = tensors.iter().collect();
        expect_same(&expected, &tensors)?;
        let mut velocities = self.velocity.iter_mut();
        network.visit_parameters(&mut |parameter| {
            let tensor = tensors.iter().find(|tensor| tensor.name == parameter.name);
            if let (Some(velocity), Some(tensor)) = (velocities.next(), tensor) {
                parameter.layout.pack(&tensor.data, velocity.as_mut_slice());
            }
        });
        Ok(())
    }

    fn expect_network(&self, network: &mut Network) -> Result<()> {
        let (mut expected, mut found) = (0, 0);
        network.visit_parameters(&mut |parameter| found += parameter.value().len());
        expected += self.velocity.iter().map(Buffer::len).sum::<usize>();
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
