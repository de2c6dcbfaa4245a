//! The runs that are shown, as their folders are now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use tagwise_train::{NetworkDescription, RunFolder};

use crate::frames::{self, FRAMES, Frame};
use crate::page::body;
use crate::{Error, Report, Result, build};

/// What a list of runs says about each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// The folder, by which a browser asks for the run.
    run: String,
    name: String,
    state: State,
    epoch: usize,
    epochs: usize,
    /// Another one whenever anything of the run has changed.
    stamp: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Interrupted,
    Finished,
}

/// Folders of runs and folders of such folders.
#[derive(Debug)]
pub(super) struct Runs {
    paths: Vec<PathBuf>,
    /// The drawn report of each run, with the stamp of what it was drawn from.
    drawn: Mutex<BTreeMap<PathBuf, (String, Report)>>,
}

impl Runs {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            drawn: Mutex::default(),
        }
    }

    /// The folders of all runs that are there now.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for path in &self.paths {
            if is_run(path) {
                folders.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let mut runs: Vec<PathBuf> = entries
                .map(|entry| entry.path())
                .filter(|path| is_run(path))
                .collect();
            runs.sort();
            folders.extend(runs);
        }
        folders.dedup();
        folders
    }

    /// A line for each run.
    pub fn lines(&self) -> Vec<Line> {
        let folders = self.folders();
        let lines = folders.iter().filter_map(|folder| line(folder));
        lines.collect()
    }

    /// The folder of a run that is shown; no other path leads anywhere.
    pub fn folder(&self, run: &str) -> Option<PathBuf> {
        let mut folders = self.folders().into_iter();
        folders.find(|folder| folder.to_string_lossy() == run)
    }

    /// The report of a run as it is now.
    pub fn report(&self, folder: &Path) -> Result<Report> {
        let stamp = stamp(folder);
        let drawn = || self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((drawn_from, report)) = drawn().get(folder)
            && *drawn_from == stamp
        {
            return Ok(report.clone());
        }
        let report = build::run_in_folder(folder)?;
        drawn().insert(folder.to_path_buf(), (stamp, report.clone()));
        Ok(report)
    }

    /// The body of the page of one run, or of several side by side.
    pub fn page(&self, folders: &[PathBuf]) -> Result<String> {
        let reports: Result<Vec<Report>> =
            folders.iter().map(|folder| self.report(folder)).collect();
        match reports?.as_slice() {
            [only] => body(only),
            several => {
                let names = folders.iter().map(|folder| Some(name(folder)));
                body(&build::comparison(several, &names.collect::<Vec<_>>())?)
            }
        }
    }

    /// The epochs of a run that have pictures.
    pub fn epochs(&self, folder: &Path) -> Result<Vec<usize>> {
        let mut epochs = Vec::new();
        frames::read(folder, |epoch| {
            epochs.retain(|&other| other < epoch);
            epochs.push(epoch);
            false
        })?;
        Ok(epochs)
    }

    /// The pictures of one epoch, with the names of the classes.
    pub fn frame(&self, folder: &Path, epoch: usize) -> Result<Option<(Frame, Vec<String>)>> {
        let mut found = frames::read(folder, |other| other == 0 || other == epoch)?;
        let Some(frame) = found.pop().filter(|frame| frame.epoch == epoch) else {
            return Ok(None);
        };
        let frame = match found.first() {
            Some(first) => frame.beside_prediction(first),
            None => frame,
        };
        let failed = |error| Error::Run(Box::new(error));
        let run = RunFolder::open(folder).map_err(failed)?;
        let network = NetworkDescription::of_run(&run).map_err(failed)?;
        Ok(Some((frame, network.class_names)))
    }
}

fn is_run(path: &Path) -> bool {
    path.join("config.toml").is_file()
}

fn name(folder: &Path) -> String {
    let full = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    full.file_name().map_or_else(
        || full.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// What can be said of a run in a moment; `None` when its folder has just gone.
fn line(folder: &Path) -> Option<Line> {
    let run = RunFolder::open(folder).ok()?;
    let epochs = run.experiment().ok()?.training.epochs;
    let done = run.num_records().saturating_sub(1);
    let state = match () {
        () if folder.join("report.json").is_file() => State::Finished,
        () if run.is_locked() => State::Running,
        () => State::Interrupted,
    };
    Some(Line {
        run: folder.to_string_lossy().into_owned(),
        name: name(folder),
        state,
        epoch: done,
        epochs,
        stamp: stamp(folder),
    })
}

/// Sizes and times of the files that pages are drawn from.
fn stamp(folder: &Path) -> String {
    let files = ["metrics.jsonl", "report.json", FRAMES].map(|name| {
        let Ok(file) = std::fs::metadata(folder.join(name)) else {
            return String::new();
        };
        let modified = file.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        format!(
            "{:x}.{:x}",
            file.len(),
            since.map_or(0, |since| since.as_nanos())
        )
    });
    files.join("-")
}
