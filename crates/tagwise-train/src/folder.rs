//! The folder that a run leaves behind.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tagwise::file::write_atomically;
use tagwise_nn::{NamedTensor, read_safetensors, write_safetensors};

use crate::trained::{self, NetworkDescription};
use crate::{Engine, EpochRecord, Error, Experiment, Result, Summary};

const WEIGHTS: &str = "weights.safetensors";
const BEST: &str = "weights-best.safetensors";

/// A folder with the files of one run; every file in it is complete at any moment.
///
/// | file | what it holds |
/// |---|---|
/// | `config.toml` | the experiment, every field written out |
/// | `network.json` | what new images must be for the network, a [`NetworkDescription`] |
/// | `metrics.jsonl` | one [`EpochRecord`] a line |
/// | `checkpoint.safetensors` | all that is needed to go on after the last epoch |
/// | `checkpoint-previous.safetensors` | the same after the epoch before |
/// | `weights-best.safetensors` | with `evaluation.select = "best-validation"`: the best epoch so far |
/// | `weights.safetensors` | the trained network |
/// | `features-train.safetensors` | features, targets and classifier of the training set |
/// | `features-validation.safetensors` | the same of the validation set, on which decoders are tuned |
/// | `features-test.safetensors` | the same of the test set |
/// | `summary.json` | the final tables |
/// | `report.html` | the same with pictures |
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder, with its parents.
    ///
    /// # Errors
    /// [`Error::RunFolderExists`]; [`Error::RunFolder`] when the system refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let with_path = |source| Error::RunFolder {
            path: path.to_path_buf(),
            source,
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(with_path)?;
        }
        fs::create_dir(path).map_err(|source| {
            if source.kind() == std::io::ErrorKind::AlreadyExists {
                Error::RunFolderExists(path.to_path_buf())
            } else {
                with_path(source)
            }
        })?;
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    /// Makes the first of `runs/NAME-001`, `runs/NAME-002`, … that does not exist.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_numbered(parent: &Path, name: &str) -> Result<Self> {
        let mut number = 1;
        loop {
            match Self::create(&parent.join(format!("{name}-{number:03}"))) {
                Err(Error::RunFolderExists(_)) => number += 1,
                other => return other,
            }
        }
    }

    /// The folder of an earlier run.
    ///
    /// # Errors
    /// [`Error::NoRun`] when it lacks the files that a run cannot be without.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self {
            path: path.to_path_buf(),
        };
        for missing in ["config.toml", "metrics.jsonl"] {
            if !folder.file(missing).is_file() {
                return Err(Error::NoRun {
                    folder: path.to_path_buf(),
                    missing,
                });
            }
        }
        Ok(folder)
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The experiment that the folder was made for.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Configuration`].
    pub fn experiment(&self) -> Result<Experiment> {
        let path = self.file("config.toml");
        let text = fs::read_to_string(&path).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        Experiment::from_toml(&text, &[])
            .map_err(|error| Error::Configuration(format!("{}: {error}", path.display())))
    }

    /// The records of all epochs measured so far.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Checkpoint`] for a line that is no record.
    pub fn records(&self) -> Result<Vec<EpochRecord>> {
        let path = self.file("metrics.jsonl");
        let text = fs::read_to_string(&path).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        text.lines()
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|error| Error::Checkpoint {
                    path: path.clone(),
                    message: format!("line {} is no epoch record: {error}", index + 1),
                })
            })
            .collect()
    }

    pub(crate) fn write_experiment(&self, experiment: &Experiment, device: &str) -> Result<()> {
        let mut text = String::new();
        for (name, value) in provenance(device) {
            let _ = writeln!(text, "# {name}: {value}");
        }
        text.push_str(&experiment.to_toml());
        self.write("config.toml", text.as_bytes())
    }

    pub(crate) fn write_network(&self, description: &NetworkDescription) -> Result<()> {
        self.write(trained::FILE, &trained::to_json(description))
    }

    pub(crate) fn write_records(&self, records: &[EpochRecord]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            lines.extend(json(record));
            lines.push(b'\n');
        }
        self.write("metrics.jsonl", &lines)
    }

    pub(crate) fn write_summary(&self, summary: &Summary) -> Result<()> {
        self.write("summary.json", &json(summary))
    }

    /// Keeps the weights of the best epoch so far.
    pub(crate) fn write_best(&self, weights: &[NamedTensor]) -> Result<()> {
        Ok(write_safetensors(&self.file(BEST), weights)?)
    }

    /// Keeps the weights that the test set judges.
    pub(crate) fn write_weights(&self, weights: &[NamedTensor]) -> Result<()> {
        Ok(write_safetensors(&self.file(WEIGHTS), weights)?)
    }

    /// Puts the weights of the best epoch into the network.
    ///
    /// # Errors
    /// [`Error::Engine`] when the file is gone or damaged.
    pub(crate) fn load_best(&self, engine: &mut dyn Engine) -> Result<()> {
        let path = self.file(BEST);
        let weights = read_safetensors(&path)?;
        engine
            .load_state(&weights)
            .map_err(|error| error.about_weights(&path))
    }

    /// Keeps a second name for a file that is about to be replaced.
    ///
    /// A hard link, so that at no moment neither name has a whole file.
    pub(crate) fn keep_previous(&self, name: &str, previous: &str) -> Result<()> {
        let (name, previous) = (self.file(name), self.file(previous));
        if !name.exists() {
            return Ok(());
        }
        let with_path = |source| Error::Io {
            path: previous.clone(),
            source,
        };
        match fs::remove_file(&previous) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(with_path(error)),
            _ => fs::hard_link(&name, &previous)
                .or_else(|_| fs::copy(&name, &previous).map(|_| ()))
                .map_err(with_path),
        }
    }

    /// Writes one file of the folder, completely or not at all.
    ///
    /// # Errors
    /// [`Error::Mathematics`] with the path and the system's reason.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<()> {
        write_atomically(&self.file(name), |file| file.write_all(contents))?;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .unwrap_or_else(|error| unreachable!("records have string keys and plain values: {error}"))
}

/// What a reader of a run needs to know besides its configuration: names and values, `device`
/// being the engine's ([`Engine::device`]).
pub fn provenance(device: &str) -> [(&'static str, String); 4] {
    [
        ("tagwise", env!("CARGO_PKG_VERSION").into()),
        ("git revision", env!("TAGWISE_GIT_REVISION").into()),
        ("device", device.to_owned()),
        ("threads", rayon::current_num_threads().to_string()),
    ]
}
