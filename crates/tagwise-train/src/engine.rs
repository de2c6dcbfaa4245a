//! What a training loop asks of whatever computes a network.

mod cpu;
mod potentials;
mod torch;

use std::fmt;
use std::ops::ControlFlow;

use tagwise::LabelSet;
use tagwise::head::HeadPotentials;
use tagwise::loss::Loss;
use tagwise_nn::{NamedTensor, NetworkSpec};

use crate::{DataSets, Extracted, Reduction, Result, Split};

pub use cpu::CpuEngine;
pub use potentials::LearnedPotentials;
pub use torch::{TorchEngine, TorchMode, TorchSettings};

pub(crate) use potentials::PREFIX;

/// A network with its optimiser, wherever they live: the training loop says in which order the samples
/// of an epoch come and gets losses back, so that images, activations, logits and gradients may stay
/// where the engine is.
///
/// Losses come when the engine has them, one by one or many at a time, so that a device need not wait
/// for the host between steps. Everything else comes out when it is asked for: features and logits
/// while a data set is measured, tensors when a checkpoint is written.
pub trait Engine: fmt::Debug + Send {
    /// What the network was built from.
    fn spec(&self) -> &NetworkSpec;

    /// Feature dimension d.
    fn feature_dim(&self) -> usize;

    /// Where it computes and how, for people: `cpu, avx2 kernels, f32`.
    fn device(&self) -> String;

    /// Bytes that it takes on a device with memory of its own, if it computes on one.
    fn device_memory(&self) -> Option<u64> {
        None
    }

    /// Makes the steps of an epoch, each along the gradient of the objective of its batch, and tells
    /// `report` the mean losses of the batches before their steps, without the feature decay, in
    /// order. When `report` breaks the engine returns; it may have made steps that were not reported.
    ///
    /// After a loss that is not finite the weights may be no numbers: the run ends there.
    ///
    /// # Errors
    /// When the images do not have the network's shape.
    fn learn(
        &mut self,
        epoch: Epoch<'_>,
        report: &mut dyn FnMut(&[f64]) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Appends features and logits of all images of a split, with the network in evaluation mode, and
    /// tells `progress` the number of images after every few.
    ///
    /// # Errors
    /// When the images do not have the network's shape; [`Error::Interrupted`](crate::Error::Interrupted)
    /// when `progress` breaks.
    fn extract(
        &mut self,
        pass: Pass<'_>,
        extracted: &mut Extracted,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<()>;

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

/// The steps of one epoch over the training set.
#[derive(Clone, Copy, Debug)]
pub struct Epoch<'a> {
    /// The data sets of the run, the same in every epoch.
    pub data: &'a DataSets,
    /// The samples of the training set in the order in which they are visited.
    pub order: &'a [usize],
    /// Samples in a step; the last step has what is left.
    pub batch_size: usize,
    /// One for each step.
    pub learning_rates: &'a [f64],
    /// What every step lowers.
    pub objective: &'a Objective,
}

impl<'a> Epoch<'a> {
    /// The samples of every step with its learning rate.
    pub fn steps(&self) -> impl Iterator<Item = (&'a [usize], f64)> {
        let rates = self.learning_rates.iter().copied();
        self.order.chunks(self.batch_size).zip(rates)
    }
}

/// A data set of the run, in the batches in which it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The data sets of the run, the same at every call.
    pub data: &'a DataSets,
    /// Which of them.
    pub split: Split,
    /// Images in a batch.
    pub batch_size: usize,
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
