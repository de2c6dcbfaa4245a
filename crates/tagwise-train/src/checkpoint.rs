//! All that is needed to go on after an epoch, as bytes and in one file that is complete or absent.

use tagwise::file;
use tagwise::form::Form;
use tagwise::tensors::{TensorWriter, Tensors};
use tagwise_nn::NamedTensor;

use crate::{Engine, EpochRecord, Error, Experiment, Result, RunFolder, folder};

/// The last checkpoint, and the one before it in case the last is damaged.
const LAST: &str = "checkpoint.safetensors";
const PREVIOUS: &str = "checkpoint-previous.safetensors";

const NETWORK: &str = "network";
const OPTIMISER: &str = "optimiser";
const EPOCH: &str = "epoch";
const EXPERIMENT: &str = "experiment-crc32";
const RECORDS: &str = "records-crc32";
const CHECKSUM: &str = "crc32";

/// The state of a run after an epoch.
///
/// The order of the batches is a function of seed and epoch, and the learning rate of the step,
/// so weights, running statistics, momentum and the epoch are the whole state. As bytes it is a
/// safetensors file: tensors `network.*` and `optimiser.*`, and in the metadata the epoch and
/// checksums of the experiment, of its records and of everything.
///
/// ```
/// use tagwise_train::Checkpoint;
///
/// let checkpoint = Checkpoint {
///     epoch: 3,
///     experiment: "89abcdef".into(),
///     records: None,
///     network: Vec::new(),
///     optimiser: Vec::new(),
/// };
/// assert_eq!(Checkpoint::from_bytes(&checkpoint.to_bytes()?)?, checkpoint);
/// # Ok::<(), tagwise_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The last epoch that is complete, from 0.
    pub epoch: usize,
    /// CRC-32 of everything that decides the outcome of the run, as eight hexadecimal digits.
    pub experiment: String,
    /// CRC-32 of the records up to this epoch as `metrics.jsonl` holds them; the first checkpoints
    /// that there were have none.
    pub records: Option<String>,
    /// Weights and running statistics.
    pub network: Vec<NamedTensor>,
    /// The optimiser's momentum.
    pub optimiser: Vec<NamedTensor>,
}

impl Checkpoint {
    /// The state of an engine after the last of these records of an experiment, the first being
    /// of epoch 0.
    ///
    /// # Errors
    /// Whatever keeps the engine from handing out its state.
    pub fn of(
        experiment: &Experiment,
        records: &[EpochRecord],
        engine: &dyn Engine,
    ) -> Result<Self> {
        Ok(Self {
            epoch: records.len().saturating_sub(1),
            experiment: identity(experiment),
            records: Some(hexadecimal(crc32fast::hash(&folder::lines(records)))),
            network: engine.state()?,
            optimiser: engine.optimiser_state()?,
        })
    }

    /// Puts the state into the engine of this experiment.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it belongs to another experiment, the engine's error when its
    /// tensors do not fit the network.
    pub fn restore(&self, experiment: &Experiment, engine: &mut dyn Engine) -> Result<()> {
        engine.load_state(&self.network)?;
        engine.load_optimiser_state(&self.optimiser)?;
        if self.experiment != identity(experiment) {
            return Err(Error::Foreign);
        }
        Ok(())
    }

    /// A safetensors file as bytes; the same state gives the same bytes.
    ///
    /// # Errors
    /// When the shape of a tensor does not fit its numbers.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.writer()?.to_bytes())
    }

    /// Reads [`Checkpoint::to_bytes`] and makes sure that every bit is as it was written.
    ///
    /// # Errors
    /// [`Error::Damaged`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::Damaged { what: what.into() };
        let file = Tensors::parse(bytes).map_err(|error| match error {
            tagwise::Error::NotTensors { problem } => damaged(&problem),
            other => damaged(&other.to_string()),
        })?;
        let epoch = file.metadata(EPOCH).and_then(|epoch| epoch.parse().ok());
        let experiment = file.metadata(EXPERIMENT).map(str::to_owned);
        let mut checkpoint = Self {
            epoch: epoch.ok_or_else(|| damaged("it names no epoch"))?,
            experiment: experiment.ok_or_else(|| damaged("it names no experiment"))?,
            records: file.metadata(RECORDS).map(str::to_owned),
            network: Vec::new(),
            optimiser: Vec::new(),
        };
        for tensor in file.iter() {
            let (tensors, name) = match tensor.name().split_once('.') {
                Some((NETWORK, name)) => (&mut checkpoint.network, name),
                Some((OPTIMISER, name)) => (&mut checkpoint.optimiser, name),
                _ => return Err(damaged(&format!("it holds a tensor {:?}", tensor.name()))),
            };
            tensors.push(NamedTensor {
                name: name.to_owned(),
                shape: tensor.shape().to_vec(),
                data: tensor
                    .to_vec()
                    .map_err(|error| damaged(&error.to_string()))?,
            });
        }
        match file.metadata(CHECKSUM) == Some(&*checkpoint.checksum()) {
            true => Ok(checkpoint),
            false => Err(damaged("its checksum is wrong")),
        }
    }

    fn writer(&self) -> Result<TensorWriter<'_>> {
        let mut writer = TensorWriter::new();
        for (name, tensor) in self.tensors() {
            writer.add(name, &tensor.shape, &tensor.data)?;
        }
        writer.describe_form(Form::Checkpoint);
        writer.describe(CHECKSUM, self.checksum());
        writer.describe(EPOCH, self.epoch.to_string());
        writer.describe(EXPERIMENT, &self.experiment);
        if let Some(records) = &self.records {
            writer.describe(RECORDS, records);
        }
        Ok(writer)
    }

    /// All tensors under the names that they have in a file.
    fn tensors(&self) -> impl Iterator<Item = (String, &NamedTensor)> {
        let parts = [(NETWORK, &self.network), (OPTIMISER, &self.optimiser)];
        parts.into_iter().flat_map(|(prefix, tensors)| {
            let tensors = tensors.iter();
            tensors.map(move |tensor| (format!("{prefix}.{}", tensor.name), tensor))
        })
    }

    /// CRC-32 of epoch, experiment, records and all tensors in order of their names.
    fn checksum(&self) -> String {
        /// Numbers that are turned into bytes at a time.
        const BLOCK: usize = 1 << 12;
        let mut tensors: Vec<_> = self.tensors().collect();
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.epoch.to_string().as_bytes());
        hasher.update(self.experiment.as_bytes());
        hasher.update(self.records.as_deref().unwrap_or_default().as_bytes());
        for (name, tensor) in tensors {
            hasher.update(name.as_bytes());
            for numbers in tensor.data.chunks(BLOCK) {
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        }
        hexadecimal(hasher.finalize())
    }

    /// Writes the state into the run's folder and keeps the checkpoint before it.
    pub(crate) fn write(&self, folder: &RunFolder) -> Result<()> {
        let writer = self.writer()?;
        folder.keep_previous(LAST, PREVIOUS)?;
        Ok(writer.write(&folder.file(LAST))?)
    }

    /// Puts the state of the last checkpoint of a folder into the engine and returns the records up
    /// to its epoch; none where the run was ended before its first checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a damaged file and for one of another experiment, such as the
    /// same with a changed `config.toml`.
    pub(crate) fn load(
        folder: &RunFolder,
        experiment: &Experiment,
        engine: &mut dyn Engine,
    ) -> Result<Vec<EpochRecord>> {
        let path = folder.file(LAST);
        if !path.exists() && !folder.file(PREVIOUS).exists() {
            return Ok(Vec::new());
        }
        let about = |error| about(error, folder);
        let checkpoint = Self::from_bytes(&file::read(&path)?).map_err(about)?;
        checkpoint.restore(experiment, engine).map_err(about)?;
        checkpoint.records_in(folder)
    }

    /// The records that this is the state after.
    fn records_in(&self, folder: &RunFolder) -> Result<Vec<EpochRecord>> {
        let wrong = |what: String| Error::Checkpoint {
            path: folder.file(folder::RECORDS),
            message: format!("{what}; start the run anew"),
        };
        let expected = self.epoch.saturating_add(1);
        let mut records = folder.records()?;
        records.truncate(expected);
        let is_each_next = (0..)
            .zip(&records)
            .all(|(epoch, record)| epoch == record.epoch);
        if !is_each_next || records.len() != expected {
            return Err(wrong(format!(
                "expected records of epochs 0 to {}, found {}",
                self.epoch,
                records.len()
            )));
        }
        // Of the bytes, since another version might write the same records otherwise.
        let lines = folder.record_lines()?;
        let mut found = crc32fast::Hasher::new();
        for line in lines.split_inclusive('\n').take(expected) {
            found.update(line.as_bytes());
        }
        match &self.records {
            Some(sum) if *sum != hexadecimal(found.finalize()) => Err(wrong(format!(
                "expected the records that epoch {} was saved with, found others",
                self.epoch
            ))),
            _ => Ok(records),
        }
    }
}

/// An error of the checkpoint in a folder, with the file that it is about and what to do.
fn about(error: Error, folder: &RunFolder) -> Error {
    let (file, message) = match error {
        Error::Foreign => (
            "config.toml",
            "it was changed after the run began, so going on would mix two experiments; restore \
             it, or start a new run"
                .into(),
        ),
        Error::Damaged { .. } => (
            LAST,
            format!(
                "{error}; if {PREVIOUS} is there, rename it to {LAST} to go on from the epoch \
                 before"
            ),
        ),
        other => (
            LAST,
            format!("the checkpoint does not fit the run's config.toml: {other}"),
        ),
    };
    Error::Checkpoint {
        path: folder.file(file),
        message,
    }
}

/// CRC-32 of everything that decides the outcome of the run.
fn identity(experiment: &Experiment) -> String {
    hexadecimal(crc32fast::hash(experiment.to_toml().as_bytes()))
}

fn hexadecimal(sum: u32) -> String {
    format!("{sum:08x}")
}
