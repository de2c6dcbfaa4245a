//! Reading features from files that NumPy, safetensors and PyTorch wrote (tests/golden/formats.py),
//! and refusing broken ones in one sentence.

use std::fs;
use std::path::{Path, PathBuf};

use tagwise_base::snapshot::{FeatureValues, NonFinite, SampleStream, Snapshot, SnapshotFile};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/formats")
        .join(name)
}

fn as_f64(snapshot: &Snapshot) -> Vec<f64> {
    match snapshot.features() {
        FeatureValues::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        FeatureValues::F64(values) => values.clone(),
    }
}

/// The error of opening some bytes under a name, without the folder's path.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let error = SnapshotFile::open(&path, NonFinite::Refuse)
        .unwrap_err()
        .to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

/// Name, NumPy's type, shape and bytes.
type Member<'a> = (&'a str, &'a str, &'a [usize], &'a [u8]);

/// A .npz archive in memory, by the same rules as NumPy's.
fn npz(members: &[Member<'_>]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, descr, shape, bytes) in members {
        let shape: String = shape.iter().map(|side| format!("{side},")).collect();
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        zip.start_file(format!("{name}.npy"), stored).unwrap();
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn every_format_gives_the_same_snapshot() {
    let expected = Snapshot::read(&golden("f32.safetensors")).unwrap();
    assert_eq!((expected.num_samples(), expected.dim()), (12, 3));
    assert_eq!(expected.targets().max_multiplicity(), 2);
    for name in [
        "f16.safetensors",
        "bf16.safetensors",
        "f64.safetensors",
        "stored.npz",
        "ragged.npz",
        "folder",
        "folder/features.npy",
    ] {
        let found = Snapshot::read(&golden(name)).unwrap();
        assert_eq!(as_f64(&found), as_f64(&expected), "{name}");
        assert_eq!(found.targets(), expected.targets(), "{name}");
        assert_eq!(found.classifier(), expected.classifier(), "{name}");
    }
}

#[test]
fn a_written_snapshot_reads_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.safetensors");
    for name in ["f32.safetensors", "f64.safetensors"] {
        let snapshot = Snapshot::read(&golden(name)).unwrap();
        snapshot.write(&path).unwrap();
        assert_eq!(Snapshot::read(&path).unwrap(), snapshot);
    }
}

#[test]
fn rows_that_are_not_finite_can_be_left_out() {
    let path = golden("not_finite.npz");
    let file = SnapshotFile::open(&path, NonFinite::Skip).unwrap();
    assert_eq!(file.skipped(), [3, 7]);
    assert_eq!(file.num_samples(), 10);
    assert_eq!(
        (0..10)
            .map(|sample| file.row_of(sample))
            .collect::<Vec<_>>(),
        [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    );
    let whole = Snapshot::read(&golden("f32.safetensors")).unwrap();
    let kept = file.to_snapshot().unwrap();
    assert_eq!(as_f64(&kept)[9..12], as_f64(&whole)[12..15]);
    for (sample, row) in (0..10).map(|sample| (sample, file.row_of(sample))) {
        assert_eq!(file.targets().set(sample), whole.targets().set(row));
    }
}

#[test]
fn pickles_are_refused_and_never_run() {
    let error = SnapshotFile::open(&golden("pickled"), NonFinite::Refuse)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`features` holds Python objects, which only running a pickle could read"),
        "{error}"
    );
    let error = refusal("features.pt", b"\x80\x04");
    assert!(
        error.starts_with(
            "features.pt: this is a pickle of PyTorch, which can run any code when it is read"
        ),
        "{error}"
    );
}

#[test]
fn broken_files_are_refused_in_one_sentence() {
    let whole = fs::read(golden("f32.safetensors")).unwrap();
    insta::assert_snapshot!(refusal("a.safetensors", &whole[..300]), @"a.safetensors: expected a safetensors file, found something else or only a part of one (incomplete metadata, file not fully covered)");
    insta::assert_snapshot!(refusal("a.safetensors", b""), @"a.safetensors: expected a safetensors file, found something else or only a part of one (header too small)");
    insta::assert_snapshot!(refusal("a.npz", b"not a zip"), @"a.npz: expected a .npz archive, found something else or only a part of one (invalid Zip archive: Could not find EOCD)");
    insta::assert_snapshot!(refusal("a.csv", b"1,2"), @"a.csv: expected a file that ends in .safetensors, .npz or .parquet, or a folder of .npy or .parquet files");
    insta::assert_snapshot!(refusal("a.npy", b"\x93NUMPY"), @"a.npy: a .npy file holds one array; name the folder that holds features.npy and targets.npy");
    insta::assert_snapshot!(refusal("features.npy", b"\x93NUMPX"), @"features.npy: `features` is not a whole .npy array: it does not begin as NumPy writes them");
    let features = floats(&[1.0, 2.0]);
    let cases: [&[Member<'_>]; 12] = [
        &[("targets", "|u1", &[1, 2], &[0, 1])],
        &[("features", "<f4", &[2, 1], &features)],
        &[
            ("features", "<f4", &[2, 1], &features),
            ("targets", "|u1", &[1, 2], &[0, 1]),
        ],
        &[
            ("features", "<f4", &[2, 1], &features),
            ("targets", "|u1", &[2, 2], &[0, 1, 2, 0]),
        ],
        &[
            ("features", "<f4", &[2], &features),
            ("targets", "|u1", &[1, 2], &[0, 1]),
        ],
        &[
            ("features", "|u1", &[2, 1], &[1, 2]),
            ("targets", "|u1", &[2, 1], &[0, 1]),
        ],
        &[
            ("features", "<f4", &[2, 0], &[]),
            ("targets", "|u1", &[2, 1], &[0, 1]),
        ],
        &[
            ("features", "<f4", &[9, 9], &features),
            ("targets", "|u1", &[1, 2], &[0, 1]),
        ],
        &[
            ("features", ">f4", &[2, 1], &features),
            ("targets", "|u1", &[2, 1], &[0, 1]),
        ],
        &[
            ("features", "<f4", &[2, 1], &features),
            ("labels", "|u1", &[2], &[0, 1]),
            ("offsets", "|u1", &[3], &[0, 2, 1]),
        ],
        &[
            ("features", "<f4", &[2, 1], &features),
            ("targets", "|u1", &[2, 1], &[0, 255]),
            ("num_classes", "|u1", &[1], &[3]),
        ],
        &[
            ("features", "<f4", &[2, 1], &features),
            ("targets", "|u1", &[2, 3], &[0, 1, 0, 1, 0, 1]),
            ("weight", "<f4", &[2, 1], &features),
        ],
    ];
    let sentences: Vec<String> = cases
        .iter()
        .map(|members| refusal("a.npz", &npz(members)))
        .collect();
    insta::assert_snapshot!(sentences.join("\n"), @r#"
a.npz: expected an array `features` [N, d], found ["targets"]; another is chosen by its name (option features-key)
a.npz: expected labels: `targets` [N, K] of 0 and 1 or [N] of class numbers, or `labels` with `offsets`; another array is chosen by its name (option targets-key)
a.npz: expected one label set for each of the 2 rows of `features`, found 1
a.npz: expected `targets` of 0 and 1, found 2 at row 1, column 0
a.npz: expected `features` of shape [N, d], found shape [2]
a.npz: expected `features` of f16, bf16, f32 or f64, found u8; convert it, in Python with X.astype(np.float32)
a.npz: expected at least one column of `features`, found shape [2, 0]
a.npz: `features` is not a whole .npy array: shape [9, 9] needs more bytes than there are
a.npz: `features` holds elements of type ">f4"; expected little-endian integers or floats of at most 64 bits; convert it, in Python with .astype
a.npz: expected `offsets` to rise from 0 to 2, the length of `labels`
a.npz: in `targets`: expected class numbers below 3, found 255
a.npz: expected `weight` of shape [3, 1], one row per class, found shape [2, 1]
"#);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_how_to_build_one() {
    insta::assert_snapshot!(refusal("a.parquet", b"PAR1"), @"a.parquet: this program was built without Parquet; build it with `cargo install --path crates/tagwise-cli --features parquet`, or save the columns as safetensors or .npz");
}
