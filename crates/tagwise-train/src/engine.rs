//! What a training loop asks of whatever computes a network.

mod cpu;
mod potentials;

use std::fmt;

use tagwise::LabelSet;
use tagwise::head::HeadPotentials;
use tagwise::loss::Loss;
use tagwise_nn::{NamedTensor, NetworkSpec};

use crate::{Extracted, Reduction, Result};

pub use cpu::CpuEngine;
pub use potentials::LearnedPotentials;

pub(crate) use potentials::PREFIX;

/// A network with its optimiser, wherever they live: the training loop hands over images and label
/// sets and gets losses back, so that activations, logits and gradients never leave the engine.
///
/// Only the loss of a step is a number of the host's. Everything else comes out when it is asked
/// for: features and logits while a data set is measured, tensors when a checkpoint is written.
pub trait Engine: fmt::Debug + Send {
    /// What the network was built from.
    fn spec(&self) -> &NetworkSpec;

    /// Feature dimension d.
    fn feature_dim(&self) -> usize;

    /// Where it computes and how, for people: `cpu, avx2 kernels, f32`.
    fn device(&self) -> String;

    /// One step of the optimiser along the gradient of the objective, and the batch's mean loss
    /// before it, without the feature decay.
    ///
    /// A loss that is not finite is returned and no weight moves.
    ///
    /// # Errors
    /// When the batch does not have the network's shapes.
    fn step(&mut self, batch: Batch<'_>, objective: &Objective, learning_rate: f64) -> Result<f64>;

    /// Appends features and logits of these images, with the network in evaluation mode.
    ///
    /// # Shapes
    /// `images` is `[B, height, width, channels]`.
    ///
    /// # Errors
    /// When the images do not have the network's shape.
    fn extract(&mut self, images: &[f32], extracted: &mut Extracted) -> Result<()>;

    /// Weights and bias of the last layer.
    ///
    /// # Shapes
    /// `[K, d]`, row-major, and `[K]`.
    ///
    /// # Errors
    /// When they cannot be read from the device.
    fn classifier(&self) -> Result<(Vec<f32>, Vec<f32>)>;

    /// What the set likelihood learns beside the last layer; `None` of an engine without such
    /// potentials.
    ///
    /// # Errors
    /// When they cannot be read from the device.
    fn potentials(&self) -> Result<Option<HeadPotentials>> {
        Ok(None)
    }

    /// All tensors of the network, under torchvision's names, and those of the potentials, whose
    /// names begin with `potentials.`.
    ///
    /// # Errors
    /// When they cannot be read from the device.
    fn state(&self) -> Result<Vec<NamedTensor>>;

    /// Takes over all tensors of a network of the same shape; potentials stay as they are where there
    /// are none among the tensors. Nothing changes on an error.
    ///
    /// # Errors
    /// When the tensors are not exactly this network's.
    fn load_state(&mut self, tensors: &[NamedTensor]) -> Result<()>;

    /// The optimiser's velocities, by parameter name.
    ///
    /// # Errors
    /// When they cannot be read from the device.
    fn optimiser_state(&self) -> Result<Vec<NamedTensor>>;

    /// Takes over the velocities of a checkpoint; nothing changes on an error.
    ///
    /// # Errors
    /// When the tensors are not exactly this network's parameters.
    fn load_optimiser_state(&mut self, tensors: &[NamedTensor]) -> Result<()>;
}

/// The images of one step with their label sets.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// `[B, height, width, channels]`, normalised.
    pub images: &'a [f32],
    /// B label sets.
    pub targets: &'a [&'a LabelSet],
}

/// What a step lowers: the mean loss of the logits, and the decay of the features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The loss on the logits, averaged over the batch.
    pub loss: Loss,
    /// λ_h of the term λ_h‖h‖² of every sample.
    pub feature_decay: f64,
    /// How these terms become one number of the batch.
    pub feature_decay_reduction: Reduction,
}

impl Objective {
    /// The factor that makes features the gradient of their decay: 2λ_h, divided by B for the
    /// mean.
    ///
    /// ```
    /// use tagwise::loss::Loss;
    /// use tagwise_train::{Objective, Reduction};
    ///
    /// let objective = Objective {
    ///     loss: Loss::default(),
    ///     feature_decay: 0.5,
    ///     feature_decay_reduction: Reduction::Mean,
    /// };
    /// assert_eq!(objective.feature_gradient_factor(4), 0.25);
    /// ```
    #[must_use]
    pub fn feature_gradient_factor(&self, batch_size: usize) -> f64 {
        2.0 * self.feature_decay
            / match self.feature_decay_reduction {
                Reduction::Mean => batch_size as f64,
                Reduction::Sum => 1.0,
            }
    }
}
