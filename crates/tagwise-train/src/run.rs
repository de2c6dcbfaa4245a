//! The training loop.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tagwise::Targets;
use tagwise::collapse::CollapseReport;
use tagwise::evaluate::{SetMeasures, label_mass};
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::statistics::Statistics;
use tagwise_data::ComposedImages;
use tagwise_nn::{ClassifierKind, Device, Network, Sgd};

use crate::checkpoint::Checkpoint;
use crate::decoders::Decoders;
use crate::extract::{self, Extracted};
use crate::folder::provenance;
use crate::record::{EpochRecord, Measured, Validation};
use crate::summary::{DataSummary, FirstAndLast, NetworkSummary, Summary};
use crate::{DataSets, Error, Experiment, Result, RunFolder};

/// A network in training, with its data and its folder.
#[derive(Debug)]
pub struct Run {
    experiment: Experiment,
    folder: RunFolder,
    data: DataSets,
    network: Network,
    optimiser: Sgd,
    records: Vec<EpochRecord>,
}

/// What an experiment stands for, before it has a folder.
struct Parts {
    data: DataSets,
    network: Network,
    optimiser: Sgd,
}

impl Parts {
    fn build(experiment: &Experiment) -> Result<Self> {
        let data = DataSets::new(&experiment.data, experiment.seed)?;
        let spec = experiment.network_spec(data.train.shape());
        let mut network = Network::new(&spec, experiment.seed, Device::cpu()?)?;
        let optimiser = Sgd::new(experiment.training.sgd(), &mut network);
        Ok(Self {
            data,
            network,
            optimiser,
        })
    }
}

impl Parts {
    /// Starts from the weights that the experiment names, if it names any.
    fn load_weights(&mut self, experiment: &Experiment) -> Result<()> {
        let Some(path) = &experiment.network.weights else {
            return Ok(());
        };
        let tensors = tagwise_nn::read_safetensors(path)?;
        let frozen = match experiment.network.classifier {
            ClassifierKind::FixedEtf => Some(self.network.classifier_weight().to_vec()),
            ClassifierKind::Learned => None,
        };
        self.network
            .load_state(&tensors)
            .map_err(|source| Error::Weights {
                path: path.clone(),
                source,
            })?;
        let differs = frozen.is_some_and(|etf| {
            let loaded = self.network.classifier_weight();
            etf.iter()
                .zip(loaded)
                .any(|(a, b)| (a - b).abs() > 1e-5 || b.is_nan())
        });
        if differs {
            return Err(Error::NotTheEtf(path.clone()));
        }
        Ok(())
    }
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
    /// Composes the data, builds the network, makes the folder, writes the configuration and
    /// measures the initial network.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an experiment that cannot be met, before a folder is made;
    /// afterwards for files that cannot be written.
    pub fn start(
        experiment: Experiment,
        make_folder: impl FnOnce(&Experiment) -> Result<RunFolder>,
    ) -> Result<Self> {
        experiment.validate()?;
        let mut parts = Parts::build(&experiment).map_err(|error| match error {
            Error::Io { .. } => error,
            other => Error::Configuration(other.to_string()),
        })?;
        parts.load_weights(&experiment)?;
        let folder = make_folder(&experiment)?;
        folder.write_experiment(&experiment)?;
        let mut run = Self::assemble(experiment, folder, parts);
        let begin = Instant::now();
        let measured = run.measure()?;
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
    pub fn resume(folder: RunFolder) -> Result<Self> {
        let experiment = folder.experiment()?;
        let parts = Parts::build(&experiment)?;
        let mut run = Self::assemble(experiment, folder, parts);
        let epoch = Checkpoint::load(&run.folder, &mut run.network, &mut run.optimiser)?;
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

    fn assemble(experiment: Experiment, folder: RunFolder, parts: Parts) -> Self {
        Self {
            experiment,
            folder,
            data: parts.data,
            network: parts.network,
            optimiser: parts.optimiser,
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
                Some(
                    self.measure()
                        .map_err(|error| diverged(error, epoch, &learned))?,
                )
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
            train.compose_batch_into(indices, pixels);
            self.network.forward_train(pixels, indices.len())?;
            grad_logits.resize(self.network.logits().len(), 0.0);
            let loss = self.experiment.loss.batch_mean(
                self.network.logits(),
                indices.iter().map(|&i| train.targets().set(i)),
                &mut grad_logits,
            );
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

    /// Measures collapse on the training set and quality on the validation set.
    fn measure(&mut self) -> Result<Measured> {
        let batch_size = self.experiment.evaluation.batch_size;
        let train = Extracted::new(&mut self.network, &self.data.train, batch_size)?;
        let validation = Extracted::new(&mut self.network, &self.data.validation, batch_size)?;
        let statistics = train.statistics(self.network.feature_dim(), self.data.train.targets())?;
        let classifier = extract::classifier(&self.network)?;
        Ok(Measured {
            train_loss: train.mean_loss(&self.experiment.loss, self.data.train.targets()),
            collapse: CollapseReport::measure(&statistics, Some(&classifier))?,
            validation: self.validation(&validation, &statistics)?,
        })
    }

    fn validation(&self, extracted: &Extracted, statistics: &Statistics) -> Result<Validation> {
        let truth = self.data.validation.targets();
        let subset_accuracy = match Decoders::nearest(statistics) {
            Ok(nearest) => {
                let predicted = nearest.decode(&extracted.features)?.targets;
                Some(SetMeasures::new(&predicted, truth)?.subset_accuracy)
            }
            Err(_) => None,
        };
        Ok(Validation {
            loss: extracted.mean_loss(&self.experiment.loss, truth),
            label_mass: label_mass(&extracted.logits, truth)?,
            subset_accuracy,
        })
    }

    /// Measures the trained network on every data set and writes what a run leaves, except its
    /// report.
    ///
    /// # Errors
    /// For files that cannot be written.
    ///
    /// # Panics
    /// Before [`train`](Self::train) has finished.
    pub fn finish(mut self) -> Result<Finished> {
        let last = self.records.last().and_then(|last| last.measured.clone());
        let first = self
            .records
            .first()
            .and_then(|first| first.measured.clone());
        let (Some(first), Some(last)) = (first, last) else {
            panic!("a run is finished after its first and last epoch are measured");
        };
        let batch_size = self.experiment.evaluation.batch_size;
        let mut extract = |images| Extracted::new(&mut self.network, images, batch_size);
        let train = extract(&self.data.train)?;
        let validation = extract(&self.data.validation)?;
        let test = extract(&self.data.test)?;
        let statistics = train.statistics(self.network.feature_dim(), self.data.train.targets())?;
        let truth = self.data.test.targets();
        let decoders = Decoders::new(&statistics, &validation, self.data.validation.targets())?;
        let test_decoded = decoders.decode_nearest(&test)?;
        let summary = Summary {
            name: self.experiment.name.clone(),
            seed: self.experiment.seed,
            folder: self.folder.path().to_path_buf(),
            provenance: provenance()
                .map(|(name, value)| (name.to_string(), value))
                .into(),
            seconds: self.records.iter().map(|record| record.seconds).sum(),
            data: DataSummary::new(self.experiment.data.source.title(), &self.data),
            network: NetworkSummary::new(&mut self.network)?,
            epochs: self.experiment.training.epochs,
            train_loss: last.train_loss,
            collapse: FirstAndLast {
                first: first.collapse,
                last: last.collapse,
            },
            test: decoders.evaluate(&test, truth)?,
        };
        let classifier = extract::classifier(&self.network)?;
        let snapshot = |extracted: Extracted, images: &ComposedImages| {
            Snapshot::new(
                FeatureValues::F32(extracted.features),
                classifier.dim(),
                images.targets().clone(),
                Some(classifier.clone()),
            )
        };
        let train = snapshot(train, &self.data.train)?;
        let test = snapshot(test, &self.data.test)?;
        tagwise_nn::write_safetensors(
            &self.folder.file("weights.safetensors"),
            &self.network.state(),
        )?;
        train.write(&self.folder.file("features-train.safetensors"))?;
        test.write(&self.folder.file("features-test.safetensors"))?;
        self.folder.write_summary(&summary)?;
        Ok(Finished {
            summary,
            experiment: self.experiment,
            folder: self.folder,
            data: self.data,
            records: self.records,
            train,
            statistics,
            test_decoded,
        })
    }

    fn save(&mut self) -> Result<()> {
        self.folder.write_records(&self.records)?;
        Checkpoint::save(
            &self.folder,
            self.records.len() - 1,
            &mut self.network,
            &mut self.optimiser,
        )
    }

    /// What is about to be trained, in one line.
    pub fn description(&mut self) -> String {
        let parameters = self.network.num_trainable();
        format!(
            "{}: {} images, {:?} network with d = {}, {} classifier, {parameters} trainable parameters, seed {}",
            self.experiment.data.source.title(),
            self.data.train.len(),
            self.experiment.network.architecture,
            self.network.feature_dim(),
            classifier_name(self.experiment.network.classifier),
            self.experiment.seed,
        )
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

fn classifier_name(kind: ClassifierKind) -> &'static str {
    match kind {
        ClassifierKind::Learned => "learned",
        ClassifierKind::FixedEtf => "fixed-ETF",
    }
}

/// Everything that a finished run knows, for tables and pictures.
#[derive(Debug)]
pub struct Finished {
    /// The final tables.
    pub summary: Summary,
    /// The experiment.
    pub experiment: Experiment,
    /// The run folder.
    pub folder: RunFolder,
    /// The data sets.
    pub data: DataSets,
    /// The record of every epoch.
    pub records: Vec<EpochRecord>,
    /// Features of the training set, with the classifier.
    pub train: Snapshot,
    /// Statistics of these features.
    pub statistics: Statistics,
    /// The test set as the one-nearest-neighbour decoder sees it.
    pub test_decoded: Targets,
}

struct Learned {
    loss: f64,
    images_per_second: f64,
    learning_rate: f64,
    steps: usize,
}

/// Features that are not finite mean that the weights have diverged in the epoch's last steps.
fn diverged(error: Error, epoch: usize, learned: &Learned) -> Error {
    match error {
        Error::Mathematics(tagwise::Error::NotFinite { value, .. }) => Error::Diverged {
            epoch,
            step: learned.steps,
            loss: value,
            learning_rate: learned.learning_rate,
            last_epoch: epoch - 1,
        },
        other => other,
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
