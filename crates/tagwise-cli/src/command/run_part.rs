//! The folder of a run in the place of a file of samples.

use std::borrow::Cow;
use std::path::Path;

use tagwise_train::RunFolder;

use crate::terminal::tell;

/// Which of a run's samples are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPart {
    /// What the network learned from.
    Training,
    /// What decoders are tuned on.
    Validation,
    /// What is held back to judge.
    Test,
}

impl RunPart {
    fn file_name(self) -> &'static str {
        match self {
            Self::Training => "features-train.safetensors",
            Self::Validation => "features-validation.safetensors",
            Self::Test => "features-test.safetensors",
        }
    }

    /// The file of this part where `path` is the folder of a run, and `path` itself otherwise. Says
    /// on stderr which file was taken.
    ///
    /// # Errors
    /// For a run that has no such file yet.
    pub fn of(self, path: &Path) -> anyhow::Result<Cow<'_, Path>> {
        // A folder of arrays may have a configuration of its own, but no records of epochs.
        let is_run = path.is_dir() && path.join("metrics.jsonl").is_file();
        let Some(run) = RunFolder::open(path).ok().filter(|_| is_run) else {
            return Ok(path.into());
        };
        let file = run.file(self.file_name());
        let folder = path.display();
        anyhow::ensure!(
            file.is_file(),
            "{folder}: expected a finished run, found no {}; go on with: tagwise train --resume \
             {folder}",
            self.file_name()
        );
        tell!("{folder}: the run's {}", self.file_name());
        Ok(file.into())
    }
}
