//! All that is needed to go on after an epoch, in one file that is complete or absent.

use std::path::Path;

use tagwise::file;
use tagwise::tensors::{TensorWriter, Tensors};
use tagwise_nn::NamedTensor;

use crate::{Engine, Error, Experiment, Result, RunFolder};

/// The last checkpoint, and the one before it in case the last is damaged.
const LAST: &str = "checkpoint.safetensors";
const PREVIOUS: &str = "checkpoint-previous.safetensors";

const NETWORK: &str = "network.";
const OPTIMISER: &str = "optimiser.";
const EPOCH: &str = "epoch";
const EXPERIMENT: &str = "experiment-crc32";
const CHECKSUM: &str = "crc32";

/// Reads and writes checkpoints.
///
/// The order of the batches is a function of seed and epoch, and the learning rate of the step,
/// so weights, running statistics, momentum and the epoch are the whole state.
pub(crate) struct Checkpoint;

impl Checkpoint {
    /// Writes the state after `epoch` of this experiment.
    pub(crate) fn save(
        folder: &RunFolder,
        experiment: &Experiment,
        epoch: usize,
        engine: &dyn Engine,
    ) -> Result<()> {
        let mut tensors = prefixed(NETWORK, engine.state()?);
        tensors.extend(prefixed(OPTIMISER, engine.optimiser_state()?));
        let metadata = Metadata {
            epoch,
            experiment: identity(experiment),
        };
        let bytes = to_bytes(&mut tensors, &metadata)?;
        folder.keep_previous(LAST, PREVIOUS)?;
        folder.write(LAST, &bytes)
    }

    /// Puts the state of the last checkpoint into the engine and returns its epoch.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a damaged file and for one of another experiment, such as the
    /// same with a changed `config.toml`.
    pub(crate) fn load(
        folder: &RunFolder,
        experiment: &Experiment,
        engine: &mut dyn Engine,
    ) -> Result<usize> {
        let path = folder.file(LAST);
        let (metadata, tensors) = read(&path)?;
        let (network_state, optimiser_state): (Vec<_>, Vec<_>) = tensors
            .into_iter()
            .partition(|tensor| tensor.name.starts_with(NETWORK));
        let foreign = |error: Error| Error::Checkpoint {
            path: path.clone(),
            message: format!("the checkpoint does not fit the run's config.toml: {error}"),
        };
        engine
            .load_state(&unprefixed(NETWORK, network_state))
            .map_err(foreign)?;
        engine
            .load_optimiser_state(&unprefixed(OPTIMISER, optimiser_state))
            .map_err(foreign)?;
        if metadata.experiment != identity(experiment) {
            return Err(Error::Checkpoint {
                path: folder.file("config.toml"),
                message: "it was changed after the run began, so going on would mix two \
                          experiments; restore it, or start a new run"
                    .into(),
            });
        }
        Ok(metadata.epoch)
    }
}

/// CRC-32 of everything that decides the outcome of the run.
fn identity(experiment: &Experiment) -> String {
    format!("{:08x}", crc32fast::hash(experiment.to_toml().as_bytes()))
}

/// What a checkpoint says about itself.
struct Metadata {
    epoch: usize,
    experiment: String,
}

fn prefixed(prefix: &str, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    tensors
        .into_iter()
        .map(|tensor| NamedTensor {
            name: format!("{prefix}{}", tensor.name),
            ..tensor
        })
        .collect()
}

fn unprefixed(prefix: &str, tensors: Vec<NamedTensor>) -> Vec<NamedTensor> {
    tensors
        .into_iter()
        .map(|tensor| NamedTensor {
            name: tensor.name.trim_start_matches(prefix).to_string(),
            ..tensor
        })
        .collect()
}

fn to_bytes(tensors: &mut [NamedTensor], metadata: &Metadata) -> Result<Vec<u8>> {
    let checksum = checksum(tensors, metadata);
    let mut writer = TensorWriter::new();
    for tensor in tensors.iter() {
        writer.add(&tensor.name, &tensor.shape, &tensor.data)?;
    }
    writer.describe(CHECKSUM, checksum);
    writer.describe(EPOCH, metadata.epoch.to_string());
    writer.describe(EXPERIMENT, &metadata.experiment);
    Ok(writer.to_bytes())
}

fn little_endian(tensor: &NamedTensor) -> Vec<u8> {
    tensor
        .data
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Reads a checkpoint and makes sure that every bit is as it was written.
fn read(path: &Path) -> Result<(Metadata, Vec<NamedTensor>)> {
    let damaged = |what: String| Error::Checkpoint {
        path: path.to_path_buf(),
        message: format!(
            "the checkpoint is damaged ({what}); if {PREVIOUS} is there, \
             rename it to {LAST} to go on from the epoch before"
        ),
    };
    let bytes = file::read(path)?;
    let file = Tensors::parse(&bytes).map_err(|error| match error {
        tagwise::Error::NotTensors { problem } => damaged(problem),
        other => damaged(other.to_string()),
    })?;
    let metadata = Metadata {
        epoch: file
            .metadata(EPOCH)
            .and_then(|epoch| epoch.parse().ok())
            .ok_or_else(|| damaged("it names no epoch".into()))?,
        experiment: file
            .metadata(EXPERIMENT)
            .map(str::to_string)
            .ok_or_else(|| damaged("it names no experiment".into()))?,
    };
    let tensors = file.iter().map(|tensor| {
        Ok(NamedTensor {
            name: tensor.name().to_string(),
            shape: tensor.shape().to_vec(),
            data: tensor
                .to_vec()
                .map_err(|error| damaged(error.to_string()))?,
        })
    });
    let mut tensors = tensors.collect::<Result<Vec<_>>>()?;
    if file.metadata(CHECKSUM) != Some(&*checksum(&mut tensors, &metadata)) {
        return Err(damaged("its checksum is wrong".into()));
    }
    Ok((metadata, tensors))
}

/// CRC-32 of epoch, experiment and all tensors in order of their names.
fn checksum(tensors: &mut [NamedTensor], metadata: &Metadata) -> String {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(metadata.epoch.to_string().as_bytes());
    hasher.update(metadata.experiment.as_bytes());
    for tensor in tensors {
        hasher.update(tensor.name.as_bytes());
        hasher.update(&little_endian(tensor));
    }
    format!("{:08x}", hasher.finalize())
}
