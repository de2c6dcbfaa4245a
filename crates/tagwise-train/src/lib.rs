//! From the description of an experiment to a run: data, training loop, records, checkpoints.
//!
//! An [`Experiment`] says everything that decides the outcome but the images, which it composes
//! ([`Experiment::data_sets`]) or which are the caller's own [`DataSets`]. [`Run`] trains it epoch
//! by epoch on an [`Engine`], measures neural collapse on the training set and quality on the
//! validation set, and ends in a [`Summary`] with the test set decoded in several ways. Observers
//! see every step and epoch as [`Event`]s and may stop it; a [`RunFolder`] is optional.

mod checkpoint;
mod data;
mod decoders;
mod engine;
mod error;
mod experiment;
mod extract;
mod folder;
mod memory;
mod record;
mod run;
mod schedule;
mod summary;
mod trained;

pub use checkpoint::Checkpoint;
pub use data::{DataSets, Split};
pub use engine::{
    Batch, CpuEngine, Engine, Epoch, LearnedPotentials, Objective, Pass, TorchEngine, TorchMode,
    TorchSettings,
};
pub use error::{Error, Result};
pub use experiment::{
    Data, EvaluationSettings, Experiment, NetworkSettings, Reduction, Select, TrainingSettings,
    experiment_reference,
};
pub use extract::Extracted;
pub use folder::{RunFolder, provenance};
pub use memory::RunMemory;
pub use record::{EpochRecord, Measured, Validation};
pub use run::{Ended, Event, Finished, Measurement, Run, Step};
pub use summary::{
    DataSummary, DecoderResult, FirstAndLast, Knows, NetworkSummary, ParameterCount, Summary,
};
pub use tagwise_data::Source;
pub use trained::{NetworkDescription, TrainedNetwork};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
