//! What the program writes for itself and reads back: what is read is written as it was read.
//!
//! Files of these kinds carry a checksum, which no mutation hits: each input is also read with the
//! checksum that belongs to it.

use tagwise::Targets;
use tagwise::collapse::CollapseReport;
use tagwise::decode::FittedDecoder;
use tagwise::head::FittedHead;
use tagwise::statistics::StatisticsFile;
use tagwise::tensors::{TensorWriter, Tensors};
use tagwise_nn::NamedTensor;
use tagwise_train::Checkpoint;

/// The bytes, and the same file with its checksum put right.
fn sealed(bytes: &[u8]) -> [Option<Vec<u8>>; 2] {
    let resealed = Tensors::parse(bytes).ok().map(|tensors| {
        let mut writer = TensorWriter::copy_of(&tensors);
        writer.add_checksum();
        writer.to_bytes()
    });
    [Some(bytes.to_vec()), resealed]
}

fn stays<E>(bytes: &[u8], again: Result<Vec<u8>, E>) {
    let again = again.unwrap_or_else(|_| panic!("what was read can be written"));
    assert_eq!(bytes, again, "what is written is read as it was");
}

pub fn statistics(bytes: &[u8]) {
    for bytes in sealed(bytes).into_iter().flatten() {
        let Ok(file) = StatisticsFile::from_bytes(&bytes) else {
            continue;
        };
        let written = file.to_bytes();
        let again = StatisticsFile::from_bytes(&written).expect("what is written can be read");
        stays(&written, Ok::<_, ()>(again.to_bytes()));
    }
}

/// Statistics that nobody gathered are merged and measured.
pub fn collapse(bytes: &[u8]) {
    for bytes in sealed(bytes).into_iter().flatten() {
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
    for bytes in sealed(bytes).into_iter().flatten() {
        if let Ok(head) = FittedHead::from_bytes(&bytes) {
            let written = head.to_bytes().expect("what was read can be written");
            let again = FittedHead::from_bytes(&written).expect("what is written can be read");
            stays(&written, again.to_bytes());
        }
    }
}

pub fn decoder(bytes: &[u8]) {
    for bytes in sealed(bytes).into_iter().flatten() {
        if let Ok(decoder) = FittedDecoder::from_bytes(&bytes) {
            let written = decoder.to_bytes().expect("what was read can be written");
            let again = FittedDecoder::from_bytes(&written).expect("what is written can be read");
            stays(&written, again.to_bytes());
        }
    }
}

pub fn label_sets(bytes: &[u8]) {
    for bytes in sealed(bytes).into_iter().flatten() {
        if let Ok(targets) = Targets::from_bytes(&bytes) {
            let again = Targets::from_bytes(&targets.to_bytes());
            assert_eq!(again.expect("what is written can be read"), targets);
        }
    }
}

pub fn weights(bytes: &[u8]) {
    if let Ok(tensors) = tagwise_nn::weights::from_bytes(bytes) {
        let written = tagwise_nn::weights::to_bytes(&tensors);
        let written = written.expect("what was read can be written");
        let again = tagwise_nn::weights::from_bytes(&written).expect("what is written can be read");
        stays(&written, tagwise_nn::weights::to_bytes(&again));
    }
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
    stays(&written, again.to_bytes());
}
