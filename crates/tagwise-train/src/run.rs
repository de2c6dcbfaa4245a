//! The training loop.

mod finish;
mod parts;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::CollapseReport;
use tagwise::evaluate::{SetMeasures, label_mass};
use tagwise::statistics::Statistics;
use tagwise_nn::{Device, Network, Sgd};

use crate::checkpoint::Checkpoint;
use crate::decoders::Decoders;
use crate::extract::{self, Extracted};
use crate::memory::gigabytes;
use crate::record::{EpochRecord, Measured, Validation};
use crate::{DataSets, Error, Experiment, Result, RunFolder, RunMemory, Select};
use parts::Parts;

pub use finish::Finished;

/// A network in training, with its data and its folder.
#[derive(Debug)]
pub struct Run {
    experiment: Experiment,
    device: Device,
    folder: RunFolder,
    data: DataSets,
    network: Network,
    optimiser: Sgd,
    memory: RunMemory,
    records: Vec<EpochRecord>,
}

/// What a run reports while it trains.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A step is done.
    Batch {
        /// Epoch, from 1.
        epoch: usize,
        /// Epochs of the whole run.
        epochs: usize,
        /// Steps done in this epoch.
        batch: usize,
        /// Steps of an epoch.
        batches: usize,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Speed of the epoch so far.
        images_per_second: f64,
        /// Estimate of the time to the end of the run.
        remaining: Duration,
    },
    /// The weights rest and are measured.
    Measuring,
    /// An epoch is done and its files are written.
    Epoch {
        /// What was written.
        record: &'a EpochRecord,
        /// Epochs of the whole run.
        epochs: usize,
    },
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; the files of the last epoch stand.
    Stopped {
        /// The last epoch that is done; 0 for the initial network.
        last_epoch: usize,
    },
}

impl Run {
    /// Composes the data, builds the network, measures it and only then makes the folder, so
    /// that what cannot be trained leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an experiment that cannot be meant; for data, memory and
    /// weights that are not there; afterwards for files that cannot be written.
    pub fn start(
        experiment: Experiment,
        device: Device,
        make_folder: impl FnOnce(&Experiment) -> Result<RunFolder>,
    ) -> Result<Self> {
        experiment.validate()?;
        let device = device.with_precision(experiment.training.precision);
        let mut parts = Parts::build(&experiment, device)?;
        parts.load_weights(&experiment)?;
        let begin = Instant::now();
        let measured = measure(&mut parts.network, &parts.data, &experiment)?;
        let folder = make_folder(&experiment)?;
        folder.write_experiment(&experiment, device)?;
        let mut run = Self::assemble(experiment, device, folder, parts);
        run.records.push(EpochRecord {
            epoch: 0,
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second: None,
            learning_rate: None,
            loss: None,
            measured: Some(measured),
        });
        run.save()?;
        Ok(run)
    }

    /// Goes on where an interrupted run left off, bit for bit as if it had not been interrupted.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::Checkpoint`] or [`Error::Configuration`] for a folder whose
    /// files are not a run's.
    pub fn resume(folder: RunFolder, device: Device) -> Result<Self> {
        let experiment = folder.experiment()?;
        let device = device.with_precision(experiment.training.precision);
        let parts = Parts::build(&experiment, device)?;
        let mut run = Self::assemble(experiment, device, folder, parts);
        let epoch = Checkpoint::load(
            &run.folder,
            &run.experiment,
            &mut run.network,
            &mut run.optimiser,
        )?;
        run.records = run.folder.records()?;
        run.records.retain(|record| record.epoch <= epoch);
        if run.records.len() != epoch + 1 {
            return Err(Error::Checkpoint {
                path: run.folder.file("metrics.jsonl"),
                message: format!(
                    "expected records of epochs 0 to {epoch}, found {}; start the run anew",
                    run.records.len()
                ),
            });
        }
        Ok(run)
    }

    fn assemble(experiment: Experiment, device: Device, folder: RunFolder, parts: Parts) -> Self {
        Self {
            experiment,
            device,
            folder,
            data: parts.data,
            network: parts.network,
            optimiser: parts.optimiser,
            memory: parts.memory,
            records: Vec::new(),
        }
    }

    /// Trains to the last epoch, or until `stop` is set; every finished epoch leaves its files.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no longer a number; anything that keeps a file from
    /// being written.
    pub fn train(
        &mut self,
        stop: &AtomicBool,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<Ended> {
        let epochs = self.experiment.training.epochs;
        let first = self.records.len();
        let clock = Clock::new(first..epochs + 1);
        for epoch in first..=epochs {
            let begin = Instant::now();
            let Some(learned) = self.learn(epoch, stop, &clock, &mut progress)? else {
                return Ok(Ended::Stopped {
                    last_epoch: epoch - 1,
                });
            };
            let is_due = epoch.is_multiple_of(self.experiment.evaluation.every) || epoch == epochs;
            let measured = if is_due {
                progress(Progress::Measuring);
                let measured = measure(&mut self.network, &self.data, &self.experiment);
                Some(measured.map_err(|error| diverged(error, epoch, &learned))?)
            } else {
                None
            };
            self.records.push(EpochRecord {
                epoch,
                seconds: begin.elapsed().as_secs_f64(),
                images_per_second: Some(learned.images_per_second),
                learning_rate: Some(learned.learning_rate),
                loss: Some(learned.loss),
                measured,
            });
            self.keep_if_best()?;
            self.save()?;
            progress(Progress::Epoch {
                record: &self.records[epoch],
                epochs,
            });
        }
        Ok(Ended::Finished)
    }

    /// One pass over the training set; `None` when it was asked to stop.
    fn learn(
        &mut self,
        epoch: usize,
        stop: &AtomicBool,
        clock: &Clock,
        progress: &mut impl FnMut(Progress<'_>),
    ) -> Result<Option<Learned>> {
        let (train, training) = (&self.data.train, &self.experiment.training);
        let order = batch_order(train.len(), self.experiment.seed, epoch);
        let batches = order.len().div_ceil(training.batch_size);
        let image_len = train.shape().len();
        let mut pixels = vec![0.0; training.batch_size.min(order.len()) * image_len];
        let mut grad_logits = Vec::new();
        let mut grad_features = Vec::new();
        let (mut loss_sum, mut images) = (0.0, 0);
        let (mut learning_rate, mut steps) = (0.0, 0);
        let begin = Instant::now();
        for (batch, indices) in order.chunks(training.batch_size).enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let pixels = &mut pixels[..indices.len() * image_len]; // [B, H, W, C]
            train.batch_into(indices, pixels);
            self.network.forward_train(pixels, indices.len())?;
            grad_logits.resize(self.network.logits().len(), 0.0);
            let loss = self.experiment.loss.batch_mean(
                self.network.logits(),
                indices.iter().map(|&i| train.targets().set(i)),
                &mut grad_logits,
            )?;
            let step = (epoch - 1) * batches + batch;
            learning_rate = training.learning_rate_at(step, training.epochs * batches);
            if !loss.is_finite() {
                return Err(Error::Diverged {
                    epoch,
                    step: batch + 1,
                    loss,
                    learning_rate,
                    last_epoch: epoch - 1,
                });
            }
            training.feature_decay_gradient(
                self.network.features(),
                indices.len(),
                &mut grad_features,
            );
            self.network.backward(&grad_logits, Some(&grad_features))?;
            self.optimiser
                .step(&mut self.network, learning_rate as f32)?;
            loss_sum += loss * indices.len() as f64;
            images += indices.len();
            steps = batch + 1;
            progress(Progress::Batch {
                epoch,
                epochs: training.epochs,
                batch: batch + 1,
                batches,
                loss: loss_sum / images as f64,
                images_per_second: images as f64 / begin.elapsed().as_secs_f64(),
                remaining: clock.remaining(epoch, (batch + 1) as f64 / batches as f64),
            });
        }
        Ok(Some(Learned {
            loss: loss_sum / images as f64,
            images_per_second: images as f64 / begin.elapsed().as_secs_f64(),
            learning_rate,
            steps,
        }))
    }

    /// Keeps the weights when the epoch just recorded is the best so far and that decides which
    /// weights are judged.
    fn keep_if_best(&mut self) -> Result<()> {
        let is_asked = self.experiment.evaluation.select == Select::BestValidation;
        let last = self.records.last().map(|record| record.epoch);
        if is_asked && last.is_some() && finish::best_epoch(&self.records) == last {
            self.folder.write_best(&mut self.network)?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.folder.write_records(&self.records)?;
        Checkpoint::save(
            &self.folder,
            &self.experiment,
            self.records.len() - 1,
            &mut self.network,
            &mut self.optimiser,
        )
    }

    /// What is about to be trained and the memory that it takes, in one line.
    pub fn description(&mut self) -> String {
        let parameters = self.network.num_trainable();
        format!(
            "{}: {} images, {} with d = {}, {} classifier, {parameters} trainable parameters, \
             about {} of memory, seed {}",
            self.data.title(),
            self.data.train.len(),
            self.experiment.network.architecture,
            self.network.feature_dim(),
            self.experiment.network.classifier,
            gigabytes(self.memory.total()),
            self.experiment.seed,
        )
    }

    /// The memory that the run takes, by purpose.
    pub fn memory(&self) -> &RunMemory {
        &self.memory
    }

    /// The experiment.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The records of the epochs done so far, the first of epoch 0.
    pub fn records(&self) -> &[EpochRecord] {
        &self.records
    }

    /// The data sets.
    pub fn data(&self) -> &DataSets {
        &self.data
    }
}

/// Measures collapse on the training set and quality on the validation set.
fn measure(network: &mut Network, data: &DataSets, experiment: &Experiment) -> Result<Measured> {
    let batch_size = experiment.evaluation.batch_size;
    let train = Extracted::new(network, &data.train, batch_size)?;
    let validation = Extracted::new(network, &data.validation, batch_size)?;
    let statistics = train.statistics(network.feature_dim(), data.train.targets())?;
    let classifier = extract::classifier(network)?;
    let loss = |extracted: &Extracted, truth| {
        let loss = extracted.mean_loss(&experiment.loss, truth)?;
        match loss.is_finite() {
            true => Ok(loss),
            false => Err(Error::LossNotFinite(loss)),
        }
    };
    Ok(Measured {
        train_loss: loss(&train, data.train.targets())?,
        collapse: CollapseReport::measure(&statistics, Some(&classifier))?,
        validation: Validation {
            loss: loss(&validation, data.validation.targets())?,
            label_mass: label_mass(&validation.logits, data.validation.targets())?,
            subset_accuracy: exact_matches(&validation, &statistics, data)?,
        },
    })
}

/// Share of the validation set that one nearest neighbour decodes exactly.
fn exact_matches(
    validation: &Extracted,
    statistics: &Statistics,
    data: &DataSets,
) -> Result<Option<f64>> {
    let Ok(nearest) = Decoders::nearest(statistics) else {
        return Ok(None);
    };
    let predicted = nearest.decode(&validation.features)?.targets;
    let measures = SetMeasures::new(&predicted, data.validation.targets())?;
    Ok(Some(measures.subset_accuracy))
}

struct Learned {
    loss: f64,
    images_per_second: f64,
    learning_rate: f64,
    steps: usize,
}

/// Features or losses that are not finite mean that the weights have diverged in the epoch's last
/// steps.
fn diverged(error: Error, epoch: usize, learned: &Learned) -> Error {
    let value = match error {
        Error::Mathematics(tagwise::Error::NotFinite { value, .. }) => value,
        Error::LossNotFinite(value) => value,
        other => return other,
    };
    Error::Diverged {
        epoch,
        step: learned.steps,
        loss: value,
        learning_rate: learned.learning_rate,
        last_epoch: epoch - 1,
    }
}

/// Estimates the time to the end from the epochs trained since the start or resumption.
struct Clock {
    begin: Instant,
    epochs: Range<usize>,
}

impl Clock {
    fn new(epochs: Range<usize>) -> Self {
        Self {
            begin: Instant::now(),
            epochs,
        }
    }

    fn remaining(&self, epoch: usize, share_of_epoch: f64) -> Duration {
        let done = (epoch - self.epochs.start) as f64 + share_of_epoch;
        let left = (self.epochs.end - epoch) as f64 - share_of_epoch;
        self.begin.elapsed().mul_f64((left / done).max(0.0))
    }
}

/// The order in which an epoch visits the samples: a function of seed and epoch alone, so that a
/// resumed run goes on exactly as the uninterrupted one.
fn batch_order(num_samples: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..num_samples).collect();
    order.shuffle(&mut rng);
    order
}
