//! Files of arrays: NumPy's, safetensors, Parquet.

use std::io::{Cursor, Write};

use tagwise::snapshot::{
    Format, LabelsIn, NamedArrays, NonFinite, OpenOptions, SampleStream, SnapshotFile,
};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::scratch;

pub fn npy(bytes: &[u8]) {
    arrays(Format::Npy, bytes);
}

pub fn npz(bytes: &[u8]) {
    arrays(Format::Npz, bytes);
}

pub fn safetensors(bytes: &[u8]) {
    arrays(Format::Safetensors, bytes);
}

/// Two members of an archive whose checksums are right, so that what they hold is read.
pub fn npz_members(bytes: &[u8]) {
    let (features, targets) = scratch::two_files(bytes);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, member) in [("features.npy", features), ("targets.npy", targets)] {
        let started = archive.start_file(name, SimpleFileOptions::default());
        started.expect("memory takes every file");
        archive.write_all(member).expect("memory takes every byte");
    }
    let bytes = archive.finish().expect("memory takes every file");
    arrays(Format::Npz, bytes.get_ref());
}

#[cfg(feature = "parquet")]
pub fn parquet(bytes: &[u8]) {
    let path = scratch::file("samples.parquet", bytes);
    let _ = NamedArrays::read(&path);
    let _ = tagwise::snapshot::Snapshot::read(&path);
}

fn arrays(format: Format, bytes: &[u8]) {
    let _ = NamedArrays::from_bytes(format, bytes);
    for (non_finite, labels) in [
        (NonFinite::Refuse, LabelsIn::Required),
        (NonFinite::Skip, LabelsIn::Optional),
    ] {
        let options = OpenOptions {
            non_finite,
            labels,
            ..OpenOptions::default()
        };
        let Ok(file) = SnapshotFile::from_bytes(format, bytes.to_vec(), &options) else {
            continue;
        };
        let _ = file.for_each_block(&mut |_, _| Ok(()));
    }
}
