//! All that is needed to go on after an epoch, in one file that is complete or absent.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use tagwise::file;
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
        let entries = HashMap::from([
            (CHECKSUM.to_string(), checksum(&mut tensors, &metadata)),
            (EPOCH.to_string(), metadata.epoch.to_string()),
            (EXPERIMENT.to_string(), metadata.experiment),
        ]);
        let bytes = to_bytes(&tensors, entries)?;
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

fn to_bytes(tensors: &[NamedTensor], metadata: HashMap<String, String>) -> Result<Vec<u8>> {
    let data: Vec<Vec<u8>> = tensors.iter().map(little_endian).collect();
    let views = tensors
        .iter()
        .zip(&data)
        .map(|(tensor, data)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), data)?;
            Ok((tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>();
    views
        .and_then(|views| serialize(views, Some(metadata)))
        .map_err(|error| Error::Checkpoint {
            path: LAST.into(),
            message: format!("the state of the network cannot be written: {error}"),
        })
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
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let entries = header.metadata().clone().unwrap_or_default();
    let metadata = Metadata {
        epoch: entries
            .get(EPOCH)
            .and_then(|epoch| epoch.parse().ok())
            .ok_or_else(|| damaged("it names no epoch".into()))?,
        experiment: entries
            .get(EXPERIMENT)
            .cloned()
            .ok_or_else(|| damaged("it names no experiment".into()))?,
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let mut tensors: Vec<NamedTensor> = tensors
        .iter()
        .map(|(name, view)| NamedTensor {
            name: name.to_string(),
            shape: view.shape().to_vec(),
            data: view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        })
        .collect();
    if entries.get(CHECKSUM) != Some(&checksum(&mut tensors, &metadata)) {
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
