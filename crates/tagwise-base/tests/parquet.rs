//! Features in Parquet as pyarrow writes them, tests/golden/formats.py.

use std::path::{Path, PathBuf};

use tagwise_base::snapshot::{FeatureValues, NonFinite, Snapshot, SnapshotFile};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden/formats")
        .join(name)
}

fn values(snapshot: &Snapshot) -> Vec<f64> {
    match snapshot.features() {
        FeatureValues::F32(values) => values.iter().map(|&value| value.into()).collect(),
        FeatureValues::F64(values) => values.clone(),
    }
}

/// The sentence without the folder.
fn refusal(path: &Path) -> String {
    let error = SnapshotFile::open(path, NonFinite::Refuse).unwrap_err();
    error
        .to_string()
        .replace(&format!("{}/", golden("").display()), "")
        .replace(&golden("").display().to_string(), "")
}

#[test]
fn every_kind_of_list_holds_the_numbers_of_the_other_formats() {
    let expected = Snapshot::read(&golden("f32.safetensors")).unwrap();
    for name in [
        "fixed_f32.parquet",
        "list_f64.parquet",
        "list_f16.parquet",
        "parts",
        "parts/*.parquet",
    ] {
        let found = Snapshot::read(&golden(name)).unwrap();
        assert_eq!(values(&found), values(&expected), "{name}");
        assert_eq!(found.targets(), expected.targets(), "{name}");
    }
}

#[test]
fn tables_that_cannot_be_used_are_refused_in_one_sentence() {
    let names = [
        "ragged_rows.parquet",
        "null_number.parquet",
        "null_labels.parquet",
        "scalar_labels.parquet",
        "path_column.parquet",
        "no-such-*.parquet",
    ];
    let sentences: Vec<String> = names.iter().map(|name| refusal(&golden(name))).collect();
    insta::assert_snapshot!(sentences.join("\n"), @r"
ragged_rows.parquet: expected 2 numbers in every row of `features`, as in the first, found 1 in row 1
null_number.parquet: expected numbers in `features`, found null in row 0
null_labels.parquet: expected numbers in `labels`, found null in row 1
scalar_labels.parquet: expected `labels` to hold one list of numbers per row; keep only the columns `features` and `labels` or `targets`
path_column.parquet: expected `path` of lists of numbers, found BYTE_ARRAY; keep only the columns `features` and `labels` or `targets`
no-such-*.parquet: no file has a name like this
");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.parquet");
    let whole = std::fs::read(golden("fixed_f32.parquet")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&path).contains("expected a Parquet file"));
    std::fs::copy(golden("fixed_f32.parquet"), &path).unwrap();
    std::fs::copy(
        golden("list_f64.parquet"),
        folder.path().join("other.parquet"),
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("expected the columns, their types"));
}
