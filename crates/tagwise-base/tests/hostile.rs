//! Bytes that claim more than they hold, or were changed on their way: an error that says so, and
//! no large allocation before it.

use tagwise_base::snapshot::{ArrayContents, FeatureValues, Format, NamedArrays, Snapshot};
use tagwise_base::tensors::{TensorWriter, Tensors};
use tagwise_base::{LabelSet, LinearClassifier, Targets};

fn snapshot() -> Snapshot {
    let targets = Targets::new(3, [vec![0], vec![1, 2], vec![]].map(LabelSet::new)).unwrap();
    let features = FeatureValues::F32((0..6).map(|value| value as f32 + 0.5).collect());
    let classifier = LinearClassifier::from_rows(&[1.0; 6], &[0.0; 3], 2).unwrap();
    Snapshot::new(features, 2, targets, Some(classifier)).unwrap()
}

fn refusal(format: Format, bytes: &[u8]) -> String {
    Snapshot::from_bytes(format, bytes).unwrap_err().to_string()
}

/// Where these bytes begin.
fn place(bytes: &[u8], pattern: &[u8]) -> usize {
    let mut windows = bytes.windows(pattern.len());
    windows.position(|window| window == pattern).unwrap()
}

/// One array with this header.
fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(elements);
    bytes
}

#[test]
fn the_same_snapshot_gives_the_same_bytes_in_every_format() {
    for format in [Format::Safetensors, Format::Npz] {
        let bytes = snapshot().to_bytes(format).unwrap();
        assert_eq!(bytes, snapshot().to_bytes(format).unwrap());
        assert_eq!(Snapshot::from_bytes(format, &bytes).unwrap(), snapshot());
    }
}

#[test]
fn every_cut_of_a_snapshot_is_refused() {
    for format in [Format::Safetensors, Format::Npz] {
        let bytes = snapshot().to_bytes(format).unwrap();
        for length in 0..bytes.len() {
            assert!(Snapshot::from_bytes(format, &bytes[..length]).is_err());
        }
    }
}

#[test]
fn changed_numbers_of_a_stored_member_are_found() {
    let mut bytes = snapshot().to_bytes(Format::Npz).unwrap();
    let number = place(&bytes, &1.5f32.to_le_bytes());
    bytes[number] ^= 1;
    let error = refusal(Format::Npz, &bytes);
    assert!(
        error.contains("the checksum of `features` is wrong"),
        "{error}"
    );
}

#[test]
fn a_stored_member_that_claims_to_go_on_beyond_the_file_is_refused() {
    let bytes = snapshot().to_bytes(Format::Npz).unwrap();
    // The sizes of the first member in the archive's directory, after its signature.
    let directory = place(&bytes, b"PK\x01\x02");
    for size in [u32::MAX - 1, u32::MAX - 9, 1 << 20] {
        let mut bytes = bytes.clone();
        for at in [20, 24] {
            bytes[directory + at..directory + at + 4].copy_from_slice(&size.to_le_bytes());
        }
        assert!(Snapshot::from_bytes(Format::Npz, &bytes).is_err(), "{size}");
    }
}

#[test]
fn shapes_that_do_not_fit_the_bytes_are_refused() {
    let header =
        |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
    let read = |shape: &str, size: usize| {
        NamedArrays::from_bytes(Format::Npy, &npy(&header(shape), &vec![0; size]))
    };
    assert_eq!(read("(3, 2)", 24).unwrap().arrays[0].shape, [3, 2]);
    let refusals: Vec<String> = [
        read("(3, 2)", 20),
        read("(3, 2)", 28),
        read("(4611686018427387904, 2)", 24),
        read("(4611686018427387904, 4)", 0),
        read("(99999999999999999999, 1)", 24),
    ]
    .map(|read| read.unwrap_err().to_string())
    .into();
    insta::assert_snapshot!(refusals.join("\n"), @"
    `array` is not a whole .npy array: shape [3, 2] needs more bytes than there are
    `array` is not a whole .npy array: shape [3, 2] needs 24 bytes, there are 28
    `array` is not a whole .npy array: shape [4611686018427387904, 2] needs more bytes than there are
    `array` is not a whole .npy array: shape [4611686018427387904, 4] needs more bytes than there are
    `array` is not a whole .npy array: its header has a `shape` with \"99999999999999999999\", not a count
    ");
}

#[test]
fn classes_without_samples_cannot_fill_the_memory() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4611686018427387904)}";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.npy");
    std::fs::write(&path, npy(header, &[])).unwrap();
    let error = tagwise_base::snapshot::read_targets(&path).unwrap_err();
    assert!(error.to_string().contains("of at most 16777216"), "{error}");
}

#[test]
fn arrays_of_any_shape_and_order_are_read_row_by_row() {
    let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }";
    let column_major: Vec<u8> = (0..12).collect();
    let arrays = NamedArrays::from_bytes(Format::Npy, &npy(header, &column_major)).unwrap();
    let ArrayContents::Numbers { bytes, .. } = &arrays.arrays[0].contents else {
        panic!("numbers")
    };
    // Entry (i, j, k) lies at i + 2j + 6k.
    assert_eq!(**bytes, [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
    let header = "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }";
    let letters = [b'a', 0, b'b', b'c']
        .map(|letter| [letter, 0, 0, 0])
        .concat();
    let arrays = NamedArrays::from_bytes(Format::Npy, &npy(header, &letters)).unwrap();
    let ArrayContents::Texts(texts) = &arrays.arrays[0].contents else {
        panic!("texts")
    };
    assert_eq!(texts, &["a", "bc"]);
}

#[test]
fn metadata_of_tensors_come_with_the_arrays() {
    let mut writer = TensorWriter::new();
    writer.add("images", &[1, 2, 1, 1], &[7u8, 8]).unwrap();
    writer.describe("classes", "a;b");
    let bytes = writer.to_bytes();
    let arrays = NamedArrays::from_bytes(Format::Safetensors, &bytes).unwrap();
    assert_eq!(arrays.metadata["classes"], "a;b");
    assert_eq!(arrays.arrays[0].shape, [1, 2, 1, 1]);
    assert!(Tensors::parse(&bytes).unwrap().verify().is_ok());
}
