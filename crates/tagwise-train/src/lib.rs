//! From the description of an experiment to a run: data, training loop, records, checkpoints.
//!
//! An [`Experiment`] says everything that decides the outcome. [`Run`] trains it epoch by epoch
//! in a [`RunFolder`], measures neural collapse on the training set and quality on the validation
//! set, and ends in a [`Summary`] with the test set decoded in several ways.

mod checkpoint;
mod data;
mod decoders;
mod error;
mod experiment;
mod extract;
mod folder;
mod memory;
mod record;
mod run;
mod schedule;
mod summary;

pub use data::DataSets;
pub use error::{Error, Result};
pub use experiment::{Data, Evaluation, Experiment, Network, Reduction, Select, Training};
pub use extract::Extracted;
pub use folder::{RunFolder, provenance};
pub use memory::RunMemory;
pub use record::{EpochRecord, Measured, Validation};
pub use run::{Ended, Finished, Progress, Run};
pub use summary::{
    DataSummary, DecoderResult, FirstAndLast, Knows, NetworkSummary, ParameterCount, Summary,
};
pub use tagwise_data::Source;
