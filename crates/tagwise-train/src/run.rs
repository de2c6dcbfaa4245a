//! The training loop.

mod begin;
mod epoch;
mod event;
mod finish;
mod measure;
mod store;

use std::ops::ControlFlow;
use std::time::Instant;

use tagwise::loss::Loss;
use tagwise::words::counted;
use tagwise_nn::Device;

use crate::checkpoint::Checkpoint;
use crate::folder::provenance;
use crate::memory::gigabytes;
use crate::{
    DataSets, Engine, EpochRecord, Error, Experiment, NetworkDescription, Result, RunFolder,
    RunMemory, Select,
};
use epoch::{Clock, Learned};
use measure::measure;
use store::Store;

pub use event::{Ended, Event, Measurement, Step};
pub use finish::Finished;

/// A network in training with its data, in memory or with a folder of its own.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise_nn::Device;
/// use tagwise_train::{Event, Experiment, Run};
///
/// let few = "data.train.per_multiplicity=[5, 1]";
/// let experiment = Experiment::from_toml("", &["training.epochs=1", few])?;
/// let data = experiment.data_sets()?;
/// let mut run = Run::start(experiment, data, Device::cpu().map_err(tagwise_train::Error::from)?)?;
/// let mut losses = Vec::new();
/// run.train(|event| {
///     if let Event::Step(step) = event {
///         losses.push(step.loss);
///     }
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(losses.len(), run.data().train.len().div_ceil(64));
/// let finished = run.finish()?;
/// assert_eq!(finished.records.len(), 2);
/// assert!(finished.folder.is_none());
/// # Ok::<(), tagwise_train::Error>(())
/// ```
#[derive(Debug)]
pub struct Run {
    experiment: Experiment,
    data: DataSets,
    engine: Box<dyn Engine>,
    memory: Option<RunMemory>,
    store: Store,
    records: Vec<EpochRecord>,
    /// The weights have moved since the last record.
    is_within_epoch: bool,
}

impl Run {
    /// Builds the network and measures it before it is trained. The data may be the experiment's
    /// own ([`Experiment::data_sets`]) or any other.
    ///
    /// # Errors
    /// [`Error::Configuration`] for an experiment that cannot be meant; for memory and weights
    /// that are not there.
    pub fn start(experiment: Experiment, data: DataSets, device: Device) -> Result<Self> {
        Self::start_observed(experiment, data, device, |_| {})
    }

    /// The same, with `show` given what was measured before the first step, which later epochs tell by
    /// [`Event::Measured`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_observed(
        experiment: Experiment,
        data: DataSets,
        device: Device,
        mut show: impl FnMut(Measurement<'_>),
    ) -> Result<Self> {
        experiment.validate()?;
        let (engine, memory) = begin::build(&experiment, &data, device)?;
        let mut run = Self::assemble(experiment, data, Box::new(engine));
        run.memory = Some(memory);
        run.begin(&mut show)?;
        Ok(run)
    }

    /// The same on an engine of the caller's, built for these data, which looks after the memory of its
    /// network.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`Error::Configuration`] for the set likelihood on an engine without
    /// potentials.
    pub fn start_on(
        engine: Box<dyn Engine>,
        experiment: Experiment,
        data: DataSets,
    ) -> Result<Self> {
        Self::start_on_observed(engine, experiment, data, &mut |_| {})
    }

    /// The same, with `show` told what was measured.
    ///
    /// # Errors
    /// As [`start_on`](Self::start_on).
    pub fn start_on_observed(
        engine: Box<dyn Engine>,
        experiment: Experiment,
        data: DataSets,
        show: &mut dyn FnMut(Measurement<'_>),
    ) -> Result<Self> {
        experiment.validate()?;
        let asks_for_potentials = match experiment.loss {
            Loss::SetLikelihood(likelihood) => likelihood.has_potentials(),
            _ => false,
        };
        if asks_for_potentials && engine.potentials()?.is_none() {
            return Err(Error::Configuration(
                "this engine learns no potentials of multiplicities or label sets, as \
                 loss.name = \"set-likelihood\" asks; train on the cpu, or with another loss"
                    .into(),
            ));
        }
        let mut run = Self::assemble(experiment, data, engine).beside_device()?;
        run.begin(show)?;
        Ok(run)
    }

    /// Goes on where an interrupted run left off, bit for bit as if it had not been interrupted,
    /// provided that the data are the same; from the start where it has no checkpoint yet.
    ///
    /// # Errors
    /// [`Error::RunFolderBusy`] while another process trains there; [`Error::NoRun`],
    /// [`Error::Checkpoint`] or [`Error::Configuration`] for a folder whose files are not a run's.
    pub fn resume(folder: RunFolder, data: DataSets, device: Device) -> Result<Self> {
        let folder = folder.locked()?;
        let experiment = folder.experiment()?;
        let (engine, memory) = begin::build(&experiment, &data, device)?;
        let mut run = Self::assemble(experiment, data, Box::new(engine));
        run.memory = Some(memory);
        run.go_on_in(folder)
    }

    /// The same on an engine of the caller's, which `open` builds for the experiment and these data.
    ///
    /// # Errors
    /// As [`resume`](Self::resume), and those of `open`.
    pub fn resume_on(
        folder: RunFolder,
        data: DataSets,
        open: impl FnOnce(&Experiment, &DataSets) -> Result<Box<dyn Engine>>,
    ) -> Result<Self> {
        let folder = folder.locked()?;
        let experiment = folder.experiment()?;
        let engine = open(&experiment, &data)?;
        let run = Self::assemble(experiment, data, engine).beside_device()?;
        run.go_on_in(folder)
    }

    /// Makes sure of the memory that is not the engine's own.
    fn beside_device(mut self) -> Result<Self> {
        let memory = RunMemory::beside_device(&self.data, self.engine.spec())?;
        memory.expect_room(&self.experiment)?;
        self.memory = Some(memory);
        Ok(self)
    }

    /// Takes up the state that a folder holds, or begins where it holds none.
    fn go_on_in(mut self, folder: RunFolder) -> Result<Self> {
        self.records = Checkpoint::load(&folder, &self.experiment, self.engine.as_mut())?;
        if self.records.is_empty() {
            self.begin(&mut |_| {})?;
            return self.in_folder(folder);
        }
        self.store = Store::Folder(folder);
        Ok(self)
    }

    fn assemble(experiment: Experiment, data: DataSets, engine: Box<dyn Engine>) -> Self {
        Self {
            experiment,
            data,
            engine,
            memory: None,
            store: Store::memory(),
            records: Vec::new(),
            is_within_epoch: false,
        }
    }

    /// A run that was stopped within an epoch has weights that no record and no checkpoint is about.
    fn expect_whole_epochs(&self) -> Result<()> {
        match self.is_within_epoch {
            true => Err(Error::Configuration(
                "this run was stopped within an epoch; resume it from its folder, or start it anew"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Loads the weights to start from and measures them: the record of epoch 0.
    fn begin(&mut self, show: &mut dyn FnMut(Measurement<'_>)) -> Result<()> {
        begin::load_weights(self.engine.as_mut(), &self.experiment)?;
        let begin = Instant::now();
        let engine = self.engine.as_mut();
        let measured = measure(engine, &self.data, &self.experiment, 0, show)?;
        self.records.push(EpochRecord {
            epoch: 0,
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second: None,
            learning_rate: None,
            loss: None,
            measured: Some(measured),
        });
        Ok(())
    }

    /// Keeps the run in a folder from now on: its experiment, what was measured so far and after
    /// every epoch, and a checkpoint to [`resume`](Self::resume) from.
    ///
    /// # Errors
    /// For files that cannot be written.
    pub fn in_folder(mut self, folder: RunFolder) -> Result<Self> {
        self.expect_whole_epochs()?;
        folder.write_experiment(&self.experiment, &self.engine.device())?;
        let network = NetworkDescription::new(self.engine.spec().clone(), &self.data);
        folder.write_network(&network)?;
        self.store.move_to(folder)?;
        self.save()?;
        Ok(self)
    }

    /// Trains to the last epoch, or until `observe` breaks: it sees every step and every epoch.
    /// With a folder, every finished epoch leaves its files.
    ///
    /// # Errors
    /// [`Error::Diverged`] when the loss is no longer a number; anything that keeps a file from
    /// being written; [`Error::Configuration`] after it was stopped within an epoch.
    pub fn train(
        &mut self,
        mut observe: impl FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<Ended> {
        self.train_observed(&mut observe)
    }

    fn train_observed(
        &mut self,
        observe: &mut dyn FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<Ended> {
        self.expect_whole_epochs()?;
        let epochs = self.experiment.training.epochs;
        let first = self.records.len();
        let clock = Clock::new(first..epochs + 1);
        for epoch in first..=epochs {
            let stopped = Ended::Stopped {
                last_epoch: epoch - 1,
            };
            let begin = Instant::now();
            self.is_within_epoch = true;
            let Some(learned) = self.learn(epoch, &clock, observe)? else {
                return Ok(stopped);
            };
            let is_due = epoch.is_multiple_of(self.experiment.evaluation.every) || epoch == epochs;
            if is_due && observe(&Event::Measuring).is_break() {
                return Ok(stopped);
            }
            let mut measured_flow = ControlFlow::Continue(());
            self.record(epoch, begin, &learned, is_due, &mut |measurement| {
                measured_flow = observe(&Event::Measured(measurement));
            })?;
            let record = &self.records[epoch];
            let flow = observe(&Event::Epoch { record, epochs });
            if (measured_flow.is_break() || flow.is_break()) && epoch < epochs {
                return Ok(Ended::Stopped { last_epoch: epoch });
            }
        }
        Ok(Ended::Finished)
    }

    /// Ends an epoch: measures when it is due, and keeps what must be kept.
    fn record(
        &mut self,
        epoch: usize,
        begin: Instant,
        learned: &Learned,
        is_due: bool,
        show: &mut dyn FnMut(Measurement<'_>),
    ) -> Result<()> {
        let (images_per_second, loss) = (learned.images_per_second(), learned.loss());
        let measured = match is_due {
            false => None,
            true => Some(
                measure(
                    self.engine.as_mut(),
                    &self.data,
                    &self.experiment,
                    epoch,
                    show,
                )
                .map_err(|error| {
                    // Then the weights have diverged in the epoch's last steps.
                    measure::not_finite(&error)
                        .map_or(error, |value| epoch::diverged(value, epoch, learned))
                })?,
            ),
        };
        self.records.push(EpochRecord {
            epoch,
            seconds: begin.elapsed().as_secs_f64(),
            images_per_second: Some(images_per_second),
            learning_rate: Some(learned.learning_rate),
            loss: Some(loss),
            measured,
        });
        self.is_within_epoch = false;
        self.keep_if_best()?;
        self.save()
    }

    /// Keeps the weights when the epoch just recorded is the best so far and that decides which
    /// weights are judged.
    fn keep_if_best(&mut self) -> Result<()> {
        let is_asked = self.experiment.evaluation.select == Select::BestValidation;
        let last = self.records.last().map(|record| record.epoch);
        if is_asked && last.is_some() && finish::best_epoch(&self.records) == last {
            self.store.keep_best(self.engine.as_ref())?;
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        self.store
            .save(&self.experiment, &self.records, self.engine.as_ref())
    }

    /// What is about to be trained and the memory that it takes, in one line.
    ///
    /// # Errors
    /// From the engine, when no such network exists.
    pub fn description(&self) -> Result<String> {
        let memory = self.memory.map_or_else(String::new, |memory| {
            format!("about {} of memory, ", gigabytes(memory.total()))
        });
        let of_device = self.engine.device_memory();
        let of_device = of_device.map_or_else(String::new, |bytes| {
            format!("about {} of the device's, ", gigabytes(bytes))
        });
        Ok(format!(
            "{}: {}, {} with d = {}, {} classifier, {}, {memory}{of_device}seed {}",
            self.data.title(),
            counted(self.data.train.len(), "image"),
            self.experiment.network.architecture,
            self.engine.feature_dim(),
            self.experiment.network.classifier,
            counted(self.engine.spec().num_trainable()?, "trainable parameter"),
            self.experiment.seed,
        ))
    }

    /// Version, git revision, device and threads, by name.
    pub fn provenance(&self) -> [(&'static str, String); 4] {
        provenance(&self.engine.device())
    }

    /// The memory that the run takes, by purpose; without the network where its engine has a device
    /// with memory of its own ([`Engine::device_memory`]).
    pub fn memory(&self) -> Option<&RunMemory> {
        self.memory.as_ref()
    }

    /// The experiment.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The folder, if the run has one.
    pub fn folder(&self) -> Option<&RunFolder> {
        self.store.folder()
    }

    /// The engine, for its features, logits and weights.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
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

#[cfg(test)]
mod tests;
