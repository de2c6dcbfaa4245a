//! Network, optimiser and measurements of an experiment.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tagwise_nn::{Architecture, ClassifierKind, Precision};

/// The network: an architecture, the dimension of its features and its classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSettings {
    /// Which architecture.
    pub architecture: Architecture,
    /// Dimension d of the features; the architecture's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_dim: Option<usize>,
    /// Learned, or a simplex ETF that stays as it is.
    pub classifier: ClassifierKind,
    /// Weights to start from, a safetensors file with torchvision's names; random when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            architecture: Architecture::Small,
            feature_dim: None,
            classifier: ClassifierKind::Learned,
            weights: None,
        }
    }
}

/// Stochastic gradient descent with momentum and a cosine schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingSettings {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// The learning rate falls to this share of the first along a half cosine.
    pub final_learning_rate_ratio: f64,
    /// Momentum, without dampening.
    pub momentum: f64,
    /// Weight decay λ: the gradient of every trainable parameter θ gets λθ.
    pub weight_decay: f64,
    /// Feature decay λ_h: the loss gets λ_h‖h‖², reduced over the batch as the next field says.
    ///
    /// It sets how long features are, hence how sure the softmax can be. With a fixed ETF a
    /// smaller value lets the probabilities of the labels approach 1; the larger default gives
    /// deeper collapse and better label sets from nearest neighbours.
    pub feature_decay: f64,
    /// Mean per sample, or the sum over the batch as in the authors' public code.
    pub feature_decay_reduction: Reduction,
    /// How activations and the weights that multiply them are stored: f32, or bf16 for half the
    /// memory and, where the processor has instructions for it, more speed.
    pub precision: Precision,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 64,
            learning_rate: 0.1,
            final_learning_rate_ratio: 1e-3,
            momentum: 0.9,
            weight_decay: 5e-4,
            feature_decay: 0.05,
            feature_decay_reduction: Reduction::Mean,
            precision: Precision::F32,
        }
    }
}

/// How a penalty of every sample becomes one number of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Divided by the number of samples in the batch.
    #[default]
    Mean,
    /// Added up: the weight of a sample grows with the batch size.
    Sum,
}

/// What is measured and when, and which weights the test set judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Collapse and validation are measured after every so many epochs, and after the last.
    pub every: usize,
    /// Images in a batch when nothing is learned.
    pub batch_size: usize,
    /// The epoch whose weights decode the test set.
    pub select: Select,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self {
            every: 1,
            batch_size: 256,
            select: Select::default(),
        }
    }
}

/// The epoch whose weights decode the test set and are written; the test set has no say in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The last, where collapse is deepest.
    #[default]
    Last,
    /// The measured one with the most exact matches on the validation set; of equals the one
    /// with the smallest validation loss, then the first.
    BestValidation,
}
