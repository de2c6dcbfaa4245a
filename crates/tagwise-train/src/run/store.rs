//! What a run must not forget: in its folder, or in memory.

use tagwise::head::FittedHead;
use tagwise::snapshot::Snapshot;
use tagwise_nn::NamedTensor;

use crate::checkpoint::Checkpoint;
use crate::engine::PREFIX;
use crate::{Engine, EpochRecord, Experiment, Result, RunFolder, Summary};

/// Where a run keeps what it leaves behind.
#[derive(Debug)]
pub(super) enum Store {
    /// Nothing is written; the weights of the best epoch so far are here when they are asked for.
    Memory { best: Option<Vec<NamedTensor>> },
    /// Every file is complete at any moment.
    Folder(RunFolder),
}

impl Store {
    pub(super) fn memory() -> Self {
        Self::Memory { best: None }
    }

    pub(super) fn folder(&self) -> Option<&RunFolder> {
        match self {
            Self::Memory { .. } => None,
            Self::Folder(folder) => Some(folder),
        }
    }

    pub(super) fn into_folder(self) -> Option<RunFolder> {
        match self {
            Self::Memory { .. } => None,
            Self::Folder(folder) => Some(folder),
        }
    }

    /// Keeps everything in a folder from now on.
    pub(super) fn move_to(&mut self, folder: RunFolder) -> Result<()> {
        if let Self::Memory { best: Some(best) } = self {
            folder.write_best(best)?;
        }
        *self = Self::Folder(folder);
        Ok(())
    }

    /// Keeps the records, and the state after the last of them.
    pub(super) fn save(
        &self,
        experiment: &Experiment,
        records: &[EpochRecord],
        engine: &dyn Engine,
    ) -> Result<()> {
        let Self::Folder(folder) = self else {
            return Ok(());
        };
        folder.write_records(records)?;
        Checkpoint::of(experiment, records, engine)?.write(folder)
    }

    /// Keeps the weights as those of the best epoch so far.
    pub(super) fn keep_best(&mut self, engine: &dyn Engine) -> Result<()> {
        let state = engine.state()?;
        match self {
            Self::Memory { best } => *best = Some(state),
            Self::Folder(folder) => folder.write_best(&state)?,
        }
        Ok(())
    }

    /// Puts the weights of the best epoch into the network.
    pub(super) fn load_best(&self, engine: &mut dyn Engine) -> Result<()> {
        match self {
            Self::Memory { best: Some(best) } => engine.load_state(best),
            Self::Memory { best: None } => Ok(()),
            Self::Folder(folder) => folder.load_best(engine),
        }
    }

    pub(super) fn write_weights(&self, engine: &dyn Engine) -> Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Folder(folder) => {
                let mut weights = engine.state()?;
                weights.retain(|tensor| !tensor.name.starts_with(PREFIX));
                folder.write_weights(&weights)
            }
        }
    }

    pub(super) fn write_head(&self, head: &FittedHead) -> Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Folder(folder) => folder.write_head(head),
        }
    }

    pub(super) fn write_features(&self, name: &str, features: &Snapshot) -> Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Folder(folder) => Ok(features.write(&folder.file(name))?),
        }
    }

    pub(super) fn write_summary(&self, summary: &Summary) -> Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Folder(folder) => folder.write_summary(summary),
        }
    }
}
