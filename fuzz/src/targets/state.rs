//! What the program writes for itself and reads back: what is read is written as it was read.
//!
//! Files of these kinds carry a checksum, which no mutation hits: each input is also read with the
//! checksum that belongs to it.

use std::fmt::Debug;

use tagwise::Targets;
use tagwise::collapse::CollapseReport;
use tagwise::decode::FittedDecoder;
use tagwise::head::FittedHead;
use tagwise::statistics::StatisticsFile;
use tagwise::tensors::{TensorWriter, Tensors};
use tagwise_nn::{NamedTensor, weights};
use tagwise_train::Checkpoint;

/// The bytes, and the same file with its checksum put right.
fn sealed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let resealed = Tensors::parse(bytes).ok().map(|tensors| {
        let mut writer = TensorWriter::copy_of(&tensors);
        writer.add_checksum();
        writer.to_bytes()
    });
    [Some(bytes.to_vec()), resealed].into_iter().flatten()
}

/// What can be read is written, and that is read and written as it was.
fn round_trip<T, E: Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> Result<Vec<u8>, E>,
) {
    if let Ok(state) = read(bytes) {
        let written = write(&state).expect("what was read can be written");
        let again = read(&written).expect("what is written can be read");
        let again = write(&again).expect("what was read can be written");
        assert_eq!(written, again, "what is written is read as it was");
    }
}

pub fn statistics(bytes: &[u8]) {
    for bytes in sealed(bytes) {
        round_trip(&bytes, StatisticsFile::from_bytes, |file| {
            Ok(file.to_bytes())
        });
    }
}

/// Statistics that nobody gathered are merged and measured.
pub fn collapse(bytes: &[u8]) {
    for bytes in sealed(bytes) {
        let Ok(mut file) = StatisticsFile::from_bytes(&bytes) else {
            continue;
        };
        let other = file.clone();
        let _ = file.merge(&other);
        if file.statistics.num_classes() <= 64 && file.statistics.dim() <= 64 {
            let _ = CollapseReport::measure(&file.statistics, file.classifier.as_ref());
        }
    }
}

pub fn head(bytes: &[u8]) {
    for bytes in sealed(bytes) {
        round_trip(&bytes, FittedHead::from_bytes, FittedHead::to_bytes);
    }
}

pub fn decoder(bytes: &[u8]) {
    for bytes in sealed(bytes) {
        round_trip(&bytes, FittedDecoder::from_bytes, FittedDecoder::to_bytes);
    }
}

pub fn label_sets(bytes: &[u8]) {
    for bytes in sealed(bytes) {
        if let Ok(targets) = Targets::from_bytes(&bytes) {
            let again = Targets::from_bytes(&targets.to_bytes());
            assert_eq!(again.expect("what is written can be read"), targets);
        }
    }
}

pub fn weights(bytes: &[u8]) {
    round_trip(bytes, weights::from_bytes, |tensors| {
        weights::to_bytes(tensors)
    });
}

pub fn checkpoint(bytes: &[u8]) {
    let _ = Checkpoint::from_bytes(bytes);
    // Its own checksum is over what it holds: tensors are taken over as they are.
    let Ok(file) = Tensors::parse(bytes) else {
        return;
    };
    let mut checkpoint = Checkpoint {
        epoch: file.metadata("epoch").map_or(0, str::len),
        experiment: file.metadata("experiment").unwrap_or_default().into(),
        records: file.metadata("records").map(str::to_owned),
        network: Vec::new(),
        optimiser: Vec::new(),
    };
    for tensor in file.iter() {
        if let Ok(data) = tensor.to_vec() {
            checkpoint.network.push(NamedTensor {
                name: tensor.name().to_owned(),
                shape: tensor.shape().to_vec(),
                data,
            });
        }
    }
    let written = checkpoint
        .to_bytes()
        .expect("tensors of a file can be written");
    let again = Checkpoint::from_bytes(&written).expect("what is written can be read");
    let again = again.to_bytes().expect("what was read can be written");
    assert_eq!(written, again, "what is written is read as it was");
}
