//! A run as TensorBoard's event files: its curves, histograms and pictures where TensorBoard and
//! whatever reads its files show them.
//!
//! Scalars are the loss, learning rate and speed of every step, and every figure of every epoch.
//! After each measured epoch follow histograms of the feature norms, by number of labels, the maps of
//! cosines and the plane of three classes. All have the number of steps as their position, epoch 0
//! position 0.

mod event;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tagwise::Error;
use tagwise_train::{EpochRecord, Event, Run};

use crate::{EpochPictures, HeatMap};

pub use event::{Histogram, Value};
pub use record::EventFile;

/// Readers see what steps wrote after this long.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// Writes what a run reports into an event file.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use tagwise_nn::Device;
/// use tagwise_report::tensorboard::RunEvents;
/// use tagwise_train::{Experiment, Run};
///
/// let few = ["training.epochs=1", "data.train.per_multiplicity=[5, 1]"];
/// let experiment = Experiment::from_toml("", &few)?;
/// let data = experiment.data_sets()?;
/// let mut run = Run::start(experiment, data, Device::cpu()?)?;
/// let folder = tempfile::tempdir()?;
/// let mut events = RunEvents::begin(folder.path(), &run, None)?;
/// run.train(|event| match events.observe(event) {
///     Ok(()) => ControlFlow::Continue(()),
///     Err(_) => ControlFlow::Break(()),
/// })?;
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunEvents {
    file: EventFile,
    class_names: Vec<String>,
    steps_per_epoch: usize,
    flushed: Instant,
}

impl RunEvents {
    /// Begins an event file in this folder, which is made if it is not there. Of a run that starts, the
    /// record of epoch 0 is written, with its pictures where they are given.
    ///
    /// The file of a run that goes on says where it does, and readers forget what an earlier process
    /// wrote after that.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be written.
    pub fn begin(folder: &Path, run: &Run, first: Option<&EpochPictures>) -> tagwise::Result<Self> {
        let (path, is_first) = new_path(folder)?;
        let batch_size = run.experiment().training.batch_size;
        let mut events = Self {
            file: EventFile::create(&path)?,
            class_names: run.data().class_names().to_vec(),
            steps_per_epoch: run.data().train.len().div_ceil(batch_size),
            flushed: Instant::now(),
        };
        events.file.append(event::version(now()))?;
        let step = events.step_after(run.records().len().saturating_sub(1));
        match run.records() {
            [record] if is_first => {
                events.file.append(event::session_start(now(), step))?;
                events.epoch(record)?;
            }
            // Readers forget this step and later ones; the numbers of the last epoch stand before it.
            _ => events.file.append(event::session_start(now(), step + 1))?,
        }
        if let Some(pictures) = first {
            events.pictures(pictures)?;
        }
        events.file.flush()?;
        Ok(events)
    }

    /// Writes one event.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn observe(&mut self, event: &Event<'_>) -> tagwise::Result<()> {
        match event {
            Event::Step(step) => {
                let position = self.step_after(step.epoch - 1) + step.step as i64;
                self.scalars(
                    position,
                    &[
                        ("step/loss".into(), step.loss),
                        ("step/learning_rate".into(), step.learning_rate),
                        ("step/images_per_second".into(), step.images_per_second),
                    ],
                )?;
                if self.flushed.elapsed() >= FLUSH_EVERY {
                    self.flush()?;
                }
                Ok(())
            }
            Event::Measuring => Ok(()),
            Event::Measured(measurement) => {
                let pictures = EpochPictures::of(measurement, &self.class_names);
                self.pictures(&pictures)
            }
            Event::Epoch { record, .. } => {
                self.epoch(record)?;
                self.flush()
            }
        }
    }

    fn flush(&mut self) -> tagwise::Result<()> {
        self.flushed = Instant::now();
        self.file.flush()
    }

    /// Steps done after so many epochs.
    fn step_after(&self, epoch: usize) -> i64 {
        (epoch * self.steps_per_epoch) as i64
    }

    fn scalars(&mut self, step: i64, scalars: &[(String, f64)]) -> tagwise::Result<()> {
        let values = scalars.iter();
        let values = values.map(|(tag, value)| (tag.clone(), Value::Scalar(*value)));
        self.file.append(event::summary(now(), step, values))
    }

    fn epoch(&mut self, record: &EpochRecord) -> tagwise::Result<()> {
        let scalars: Vec<(String, f64)> = [("epoch/epoch".to_string(), record.epoch as f64)]
            .into_iter()
            .chain(record.figures().into_iter().map(|(name, value)| {
                let group = match name.starts_with("nc") {
                    true => "collapse",
                    false => "epoch",
                };
                (format!("{group}/{name}"), value)
            }))
            .collect();
        self.scalars(self.step_after(record.epoch), &scalars)
    }

    /// Histograms and pictures of an epoch.
    pub fn pictures(&mut self, pictures: &EpochPictures) -> tagwise::Result<()> {
        let norms = pictures.feature_norms.iter();
        let mut values: Vec<(String, Value)> = norms
            .map(|(multiplicity, norms)| {
                let tag = format!("feature_norms/m{multiplicity}");
                (tag, Value::Histogram(Histogram::of(norms)))
            })
            .collect();
        for map in pictures.geometry.iter().flat_map(|geometry| &geometry.maps) {
            // All on the scale of −1 to 1, so that the pictures of epochs compare.
            if let Ok(picture) = map.picture(Some(1.0)) {
                values.push((format!("cosines/{}", tag(map)), Value::Image(picture)));
            }
        }
        if let Some(Ok(picture)) = pictures.plane.as_ref().map(|plane| plane.picture()) {
            values.push(("plane/features".into(), Value::Image(picture)));
        }
        let step = self.step_after(pictures.epoch);
        self.file.append(event::summary(now(), step, values))
    }
}

/// A map's title as a tag.
fn tag(map: &HeatMap) -> String {
    let words = map.title.to_lowercase();
    let letters = words.chars().filter(|letter| *letter != ',');
    letters
        .map(|letter| if letter == ' ' { '_' } else { letter })
        .collect()
}

/// A name that no other process takes, and whether it is the first event file of the folder; readers
/// go through them in the order of their seconds.
fn new_path(folder: &Path) -> tagwise::Result<(PathBuf, bool)> {
    let with_path = |source| Error::Io {
        path: folder.to_path_buf(),
        source,
    };
    fs::create_dir_all(folder).map_err(with_path)?;
    let is_first = fs::read_dir(folder).map_err(with_path)?.next().is_none();
    let (seconds, process) = (now() as u64, std::process::id());
    let mut number = 0;
    loop {
        let name = format!("events.out.tfevents.{seconds:010}.tagwise.{process}.{number}");
        let path = folder.join(name);
        if !path.exists() {
            return Ok((path, is_first));
        }
        number += 1;
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
