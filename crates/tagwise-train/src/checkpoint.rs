//! All that is needed to go on after an epoch, in one file that is complete or absent.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use tagwise::file;
use tagwise_nn::{NamedTensor, Network, Sgd};

use crate::{Error, Result, RunFolder};

/// The last checkpoint, and the one before it in case the last is damaged.
const LAST: &str = "checkpoint.safetensors";
const PREVIOUS: &str = "checkpoint-previous.safetensors";

const NETWORK: &str = "network.";
const OPTIMISER: &str = "optimiser.";
const EPOCH: &str = "epoch";
const CHECKSUM: &str = "crc32";

/// Reads and writes checkpoints.
///
/// The order of the batches is a function of seed and epoch, and the learning rate of the step,
/// so weights, running statistics, momentum and the epoch are the whole state.
pub(crate) struct Checkpoint;

impl Checkpoint {
    /// Writes the state after `epoch`.
    pub(crate) fn save(
        folder: &RunFolder,
        epoch: usize,
        network: &mut Network,
        optimiser: &mut Sgd,
    ) -> Result<()> {
        let mut tensors = prefixed(NETWORK, network.state());
        tensors.extend(prefixed(OPTIMISER, optimiser.state(network)?));
        let metadata = HashMap::from([
            (EPOCH.to_string(), epoch.to_string()),
            (CHECKSUM.to_string(), checksum(&mut tensors, epoch)),
        ]);
        let bytes = to_bytes(&tensors, metadata)?;
        folder.keep_previous(LAST, PREVIOUS)?;
        folder.write(LAST, &bytes)
    }

    /// Puts the state of the last checkpoint into the network and the optimiser and returns its
    /// epoch.
    pub(crate) fn load(
        folder: &RunFolder,
        network: &mut Network,
        optimiser: &mut Sgd,
    ) -> Result<usize> {
        let path = folder.file(LAST);
        let (epoch, tensors) = read(&path)?;
        let (network_state, optimiser_state): (Vec<_>, Vec<_>) = tensors
            .into_iter()
            .partition(|tensor| tensor.name.starts_with(NETWORK));
        let foreign = |error: tagwise_nn::Error| Error::Checkpoint {
            path: path.clone(),
            message: format!("the checkpoint does not fit the run's config.toml: {error}"),
        };
        network
            .load_state(&unprefixed(NETWORK, network_state))
            .map_err(foreign)?;
        optimiser
            .load_state(network, &unprefixed(OPTIMISER, optimiser_state))
            .map_err(foreign)?;
        Ok(epoch)
    }
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
fn read(path: &Path) -> Result<(usize, Vec<NamedTensor>)> {
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
    let metadata = header.metadata().clone().unwrap_or_default();
    let epoch = metadata
        .get(EPOCH)
        .and_then(|epoch| epoch.parse().ok())
        .ok_or_else(|| damaged("it names no epoch".into()))?;
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
    if metadata.get(CHECKSUM) != Some(&checksum(&mut tensors, epoch)) {
        return Err(damaged("its checksum is wrong".into()));
    }
    Ok((epoch, tensors))
}

/// CRC-32 of the epoch and of all tensors in order of their names.
fn checksum(tensors: &mut [NamedTensor], epoch: usize) -> String {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(epoch.to_string().as_bytes());
    for tensor in tensors {
        hasher.update(tensor.name.as_bytes());
        hasher.update(&little_endian(tensor));
    }
    format!("{:08x}", hasher.finalize())
}
