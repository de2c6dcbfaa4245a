//! What a run tells its observers, and how it ends.

use std::time::Duration;

use tagwise::statistics::Statistics;
use tagwise::{LinearClassifier, Targets};

use crate::EpochRecord;

/// What a run reports while it trains.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The optimiser made a step.
    Step(Step),
    /// The weights rest and are about to be measured.
    Measuring,
    /// The weights were measured, and still rest.
    Measured(Measurement<'a>),
    /// An epoch is done, and its files are written if the run has a folder.
    Epoch {
        /// What was measured.
        record: &'a EpochRecord,
        /// Epochs of the whole run.
        epochs: usize,
    },
}

/// One step of the optimiser.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss of the step's batch before the step.
    pub loss: f64,
    /// Mean loss of the epoch so far.
    pub mean_loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed of the epoch so far.
    pub images_per_second: f64,
    /// Estimate of the time to the end of the run.
    pub remaining: Duration,
}

/// What was measured, with what it was measured on.
#[derive(Clone, Copy, Debug)]
pub struct Measurement<'a> {
    /// Epochs done; 0 for the initial network.
    pub epoch: usize,
    /// Features of the training set, row-major `[N, d]`.
    pub features: &'a [f32],
    /// The label set of each of its samples.
    pub targets: &'a Targets,
    /// Statistics of the features.
    pub statistics: &'a Statistics,
    /// The classifier.
    pub classifier: &'a LinearClassifier,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// An observer asked to stop; the files of the last epoch stand.
    Stopped {
        /// The last epoch that is done; 0 for the initial network.
        last_epoch: usize,
    },
}
