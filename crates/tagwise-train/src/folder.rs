//! The folder that a run leaves behind.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tagwise::file::{self, PARTIAL, write_atomically};
use tagwise::form::{Form, Stated};
use tagwise::head::{FittedHead, HeadPotentials};
use tagwise_nn::{NamedTensor, read_safetensors, write_safetensors};

use crate::record;
use crate::trained::{self, NetworkDescription};
use crate::{Engine, EpochRecord, Error, Experiment, Result, Summary};

const WEIGHTS: &str = "weights.safetensors";
const HEAD: &str = "head.safetensors";
const BEST: &str = "weights-best.safetensors";
pub(crate) const RECORDS: &str = "metrics.jsonl";
const LOCK: &str = ".lock";
const LINK: &str = ".partial-link";
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A folder with the files of one run; every file in it is complete at any moment.
///
/// | file | what it holds |
/// |---|---|
/// | `config.toml` | the experiment, every field written out |
/// | `network.json` | what new images must be for the network, a [`NetworkDescription`] |
/// | `metrics.jsonl` | one [`EpochRecord`] a line |
/// | `metrics.csv` | the [figures](EpochRecord::figures) of the same, one line an epoch |
/// | `checkpoint.safetensors` | all that is needed to go on after the last epoch |
/// | `checkpoint-previous.safetensors` | the same after the epoch before |
/// | `weights-best.safetensors` | with `evaluation.select = "best-validation"`: the best epoch so far |
/// | `weights.safetensors` | the trained network |
/// | `head.safetensors` | with the set likelihood: the last layer with its potentials, as a head |
/// | `features-train.safetensors` | features, targets and classifier of the training set |
/// | `features-validation.safetensors` | the same of the validation set, on which decoders are tuned |
/// | `features-test.safetensors` | the same of the test set |
/// | `summary.json` | the final tables |
/// | `report.html`, `report.json` | the same with pictures, drawn and as data |
/// | `frames.jsonl` | the pictures of the epochs, where the program keeps them |
/// | `tensorboard/` | event files, where they are asked for |
///
/// While a run trains, `.lock` is locked for its process, and for that alone: whoever dies lets go.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held as long as a clone of the folder lives.
    lock: Option<Arc<File>>,
}

impl RunFolder {
    /// Makes a new folder, with its parents, or takes one that a run left before it had anything to
    /// keep, and locks it for this process.
    ///
    /// # Errors
    /// [`Error::RunFolderExists`] for a folder with files; [`Error::RunFolderBusy`];
    /// [`Error::RunFolder`] when the system refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let with_path = |source| Error::RunFolder {
            path: path.to_path_buf(),
            source,
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(with_path)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !Self::is_free(path) {
                    return Err(Error::RunFolderExists(path.to_path_buf()));
                }
            }
            made => made.map_err(with_path)?,
        }
        Self::at(path).locked()
    }

    /// Whether nothing is in the way of a new run here: no such path, or a folder that is empty but
    /// for what a process left that was ended at once.
    #[must_use]
    pub fn is_free(path: &Path) -> bool {
        match fs::read_dir(path) {
            Err(_) => path.symlink_metadata().is_err(), // nothing is there
            Ok(mut entries) => entries.all(|entry| {
                let name = entry.map(|entry| entry.file_name());
                name.is_ok_and(|name| name == LOCK || is_partial(&name))
            }),
        }
    }

    fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            lock: None,
        }
    }

    /// Locks the folder for this process and removes what an earlier one left half-written. On a
    /// file system without locks nothing is locked.
    ///
    /// # Errors
    /// [`Error::RunFolderBusy`] while another process holds the lock, [`Error::Io`].
    pub(crate) fn locked(mut self) -> Result<Self> {
        if self.lock.is_none() {
            let path = self.file(LOCK);
            let file = File::create(&path).map_err(|source| Error::Io { path, source })?;
            let mut tries = LOCK_TRIES;
            loop {
                match file.try_lock() {
                    // Whoever asks whether it is locked holds it for a moment.
                    Err(TryLockError::WouldBlock) if tries > 0 => {
                        tries -= 1;
                        std::thread::sleep(LOCK_PAUSE);
                    }
                    Err(TryLockError::WouldBlock) => return Err(Error::RunFolderBusy(self.path)),
                    Ok(()) | Err(TryLockError::Error(_)) => break,
                }
            }
            self.lock = Some(Arc::new(file));
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if is_partial(&entry.file_name()) {
                let _ = fs::remove_file(entry.path()); // it is in nobody's way
            }
        }
        Ok(self)
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
    /// [`Error::NoRun`] when it lacks the file that a run cannot be without.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Self::at(path);
        let missing = "config.toml";
        match folder.file(missing).is_file() {
            true => Ok(folder),
            false => Err(Error::NoRun {
                folder: path.to_path_buf(),
                missing,
            }),
        }
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
    /// [`Error::NoRun`] before there are any; [`Error::Io`], or [`Error::Checkpoint`] for a line
    /// that is no record.
    pub fn records(&self) -> Result<Vec<EpochRecord>> {
        let path = self.file(RECORDS);
        self.record_lines()?
            .lines()
            .enumerate()
            .map(|(index, line)| {
                parse(line).map_err(|message| Error::Checkpoint {
                    path: path.clone(),
                    message: format!("line {} {message}", index + 1),
                })
            })
            .collect()
    }

    /// How many records there are, without reading what they hold.
    pub fn num_records(&self) -> usize {
        let lines = fs::read(self.file(RECORDS)).unwrap_or_default();
        lines.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Whether a process trains here now; not known on a file system without locks.
    pub fn is_locked(&self) -> bool {
        let held = File::open(self.file(LOCK)).map(|file| file.try_lock_shared());
        matches!(held, Ok(Err(TryLockError::WouldBlock)))
    }

    /// The records as they are written, one a line.
    pub(crate) fn record_lines(&self) -> Result<String> {
        let path = self.file(RECORDS);
        fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NoRun {
                folder: self.path.clone(),
                missing: RECORDS,
            },
            _ => Error::Io { path, source },
        })
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
        self.write(RECORDS, &lines(records))?;
        self.write("metrics.csv", record::csv(records).as_bytes())
    }

    pub(crate) fn write_summary(&self, summary: &Summary) -> Result<()> {
        self.write("summary.json", &json(&Form::Summary.versioned(summary)))
    }

    pub(crate) fn write_head(&self, head: &FittedHead) -> Result<()> {
        self.write(HEAD, &head.to_bytes()?)
    }

    /// What the run learned beside its last layer; `None` unless it was trained with the set
    /// likelihood and finished.
    ///
    /// # Errors
    /// From the mathematics, for a file that is no head.
    pub fn potentials(&self) -> Result<Option<HeadPotentials>> {
        let path = self.file(HEAD);
        match path.is_file() {
            true => Ok(FittedHead::read(&path)?.potentials),
            false => Ok(None),
        }
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
    /// A hard link, and a copy where there are none, made under a third name: at no moment is one
    /// of the two names without a whole file.
    pub(crate) fn keep_previous(&self, name: &str, previous: &str) -> Result<()> {
        let (name, previous) = (self.file(name), self.file(previous));
        if !name.exists() {
            return Ok(());
        }
        let with_path = |source| Error::Io {
            path: previous.clone(),
            source,
        };
        let link = self.file(LINK);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(with_path(error)),
            _ => {}
        }
        if fs::hard_link(&name, &link).is_err() {
            let whole = file::read(&name)?;
            return Ok(write_atomically(&previous, |file| file.write_all(&whole))?);
        }
        fs::rename(&link, &previous).map_err(with_path)?;
        // Renaming one name of a file to another name of it does nothing.
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(with_path(error)),
            _ => Ok(()),
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

/// Records as `metrics.jsonl` holds them.
pub(crate) fn lines(records: &[EpochRecord]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        lines.extend(json(&Form::Epoch.versioned(record)));
        lines.push(b'\n');
    }
    lines
}

/// The record in a line, of this version or an earlier one.
fn parse(line: &str) -> Result<EpochRecord, String> {
    let no_record = |error| format!("is no epoch record: {error}");
    let stated: Stated = serde_json::from_str(line).map_err(no_record)?;
    let version = Form::Epoch.check(stated.version);
    version.map_err(|error| format!("is of a newer program: {error}"))?;
    serde_json::from_str(line).map_err(no_record)
}

/// Whether a file of this name was to become another and never did.
fn is_partial(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PARTIAL.as_bytes())
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
