//! What is written down after an epoch.

use serde::{Deserialize, Serialize};
use tagwise::collapse::CollapseReport;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epochs done; 0 is the initial network.
    pub epoch: usize,
    /// Seconds of the epoch, measurement included.
    pub seconds: f64,
    /// Images learned from in a second, measurement not included; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Learning rate of the last step; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Mean loss of the epoch's batches while the weights moved; absent for epoch 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// What was measured after the epoch; absent between two measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// Everything measured with the weights at rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Mean loss of the training set in evaluation mode.
    pub train_loss: f64,
    /// Collapse of the training set's features.
    pub collapse: CollapseReport,
    /// Quality on the validation set.
    pub validation: Validation,
}

/// Quality on the validation set with the cheapest decoder.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Validation {
    /// Mean loss.
    pub loss: f64,
    /// Mean softmax mass on the true labels, Σ_{k∈S} p_k; `None` without a labelled sample.
    pub label_mass: Option<f64>,
    /// Share of samples whose set the one-nearest-neighbour decoder finds exactly; `None` while
    /// the class means allow no decoder, as when all of them are zero.
    pub subset_accuracy: Option<f64>,
}
