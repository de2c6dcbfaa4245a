//! Arrays under the names that dumps have, labels as numbers and names of classes, and sparse
//! matrices of SciPy (tests/golden/names.py).

use std::path::{Path, PathBuf};

use tagwise_base::snapshot::{
    ArrayNames, LabelsIn, NonFinite, OpenOptions, SampleStream, SnapshotFile, read_labels,
    read_sparse,
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/names")
        .join(name)
}

fn open(name: &str) -> SnapshotFile {
    SnapshotFile::open(&golden(name), NonFinite::Refuse).unwrap()
}

fn refusal(name: &str, options: &OpenOptions) -> String {
    let error = SnapshotFile::open_with(&golden(name), options).unwrap_err();
    plain(&error.to_string())
}

/// A message without the folder of these files.
fn plain(message: &str) -> String {
    let name = message.split("golden/names/").last();
    name.unwrap_or(message).to_string()
}

fn sets(file: &SnapshotFile) -> String {
    let sets: Vec<String> = file.targets().iter().map(ToString::to_string).collect();
    sets.join(" ")
}

const MULTI: &str = "{2} {0, 1} {1} {} {0} {0, 2}";
const SINGLE: &str = "{2} {0} {1} {1} {0} {2}";

#[test]
fn features_and_labels_are_found_under_their_usual_names() {
    for (name, expected, notes) in [
        (
            "x_y.npz",
            MULTI,
            "`X` is read as the features; `y` is read as the labels",
        ),
        ("features_labels.npz", MULTI, ""),
        (
            "embeddings_labels.npz",
            SINGLE,
            "`embeddings` is read as the features; `labels` holds the number of a class for each sample, 3 classes in all",
        ),
        (
            "column.npz",
            SINGLE,
            "`targets` holds the number of a class for each sample, 3 classes in all",
        ),
        (
            "num_classes.npz",
            SINGLE,
            "`H` is read as the features; `y` is read as the labels; `y` holds the number of a class for each sample, 5 classes in all",
        ),
        (
            "folder",
            SINGLE,
            "`X` is read as the features; `y` is read as the labels; `y` holds the number of a class for each sample, 3 classes in all",
        ),
        (
            "extras.npz",
            MULTI,
            "`epoch`, `logits`, `notes`, `paths`, `stamps` are passed over",
        ),
    ] {
        let file = open(name);
        assert_eq!((file.num_samples(), file.dim()), (6, 2), "{name}");
        assert_eq!(sets(&file), expected, "{name}");
        assert_eq!(file.notes().join("; "), notes, "{name}");
        let snapshot = file.to_snapshot().unwrap();
        assert_eq!(snapshot.num_samples(), 6);
        let labels = read_labels(&golden(name), &ArrayNames::default()).unwrap();
        assert_eq!(&labels.targets, file.targets(), "{name}");
    }
    assert_eq!(open("num_classes.npz").targets().num_classes(), 5);
    assert_eq!(open("folder").targets().num_classes(), 3);
}

#[test]
fn labels_that_are_names_name_the_classes() {
    for name in ["texts.npz", "bytes.npz", "big_endian.npz"] {
        let file = open(name);
        // Sorted, ant is 0, bee 1 and cow 2.
        assert_eq!(file.class_names().unwrap(), ["ant", "bee", "cow"], "{name}");
        assert_eq!(sets(&file), "{1} {2} {0} {0} {2} {1}", "{name}");
    }
    let file = open("lists.npz");
    assert_eq!(file.class_names().unwrap(), ["ant", "bee", "cow"]);
    assert_eq!(sets(&file), "{1} {0, 2} {0} {} {2} {1, 2}");
    let file = open("named.npz");
    assert_eq!(file.class_names().unwrap(), ["cow", "ant", "bee"]);
    assert_eq!(sets(&file), SINGLE);
    assert_eq!(open("x_y.npz").class_names(), None);
}

#[test]
fn what_is_ambiguous_is_asked_for_and_may_be_said() {
    let named = |features: &str, targets: &str| OpenOptions {
        names: ArrayNames {
            features: Some(features.into()),
            targets: Some(targets.into()),
        },
        ..OpenOptions::default()
    };
    let default = OpenOptions::default();
    insta::assert_snapshot!(refusal("several.npz", &default), @"several.npz: expected one array that may be the features, found `X`, `embeddings`; say which one is meant");
    insta::assert_snapshot!(refusal("split.npz", &default), @r#"split.npz: expected an array `features` [N, d], found ["X_test", "X_train", "y_test", "y_train"]"#);
    insta::assert_snapshot!(refusal("x_y.npz", &named("Z", "y")), @"x_y.npz: expected an array `Z`, found `X`, `y`");
    insta::assert_snapshot!(refusal("extras.npz", &named("paths", "targets")), @"extras.npz: expected `paths` to hold numbers, found text");
    let file = SnapshotFile::open_with(&golden("split.npz"), &named("X_train", "y_train")).unwrap();
    assert_eq!(sets(&file), SINGLE);
    let labels = read_labels(&golden("several.npz"), &ArrayNames::default()).unwrap();
    assert_eq!(labels.targets.len(), 6);
    let logits = OpenOptions {
        names: ArrayNames {
            features: Some("logits".into()),
            targets: None,
        },
        ..OpenOptions::default()
    };
    let file = SnapshotFile::open_with(&golden("extras.npz"), &logits).unwrap();
    assert_eq!(file.dim(), 3);
}

#[test]
fn samples_without_labels_are_read_when_they_may_be() {
    let required = OpenOptions::default();
    insta::assert_snapshot!(refusal("unlabelled.npz", &required), @"unlabelled.npz: expected either `targets` [N, K] of 0 and 1, or `labels` with `offsets` [N + 1]");
    let optional = OpenOptions {
        labels: LabelsIn::Optional,
        ..OpenOptions::default()
    };
    let file = SnapshotFile::open_with(&golden("unlabelled.npz"), &optional).unwrap();
    assert_eq!((file.num_samples(), file.has_labels()), (6, false));
    assert_eq!(file.targets().num_classes(), 0);
    let file = SnapshotFile::open_with(&golden("x_y.npz"), &optional).unwrap();
    assert!(file.has_labels());
}

#[test]
fn sparse_matrices_of_scipy_are_read_in_every_format() {
    let starts = vec![0, 2, 2, 4, 5];
    let columns = vec![1, 3, 0, 3, 2];
    let values = vec![1.5, 2.0, -3.0, 0.25, 1.0];
    for name in [
        "csr",
        "csc",
        "coo",
        "bsr",
        "csr_array",
        "coo_twice",
        "csr_unsorted",
    ] {
        let matrix = read_sparse(&golden(&format!("{name}.npz")))
            .unwrap()
            .unwrap();
        assert_eq!(matrix.num_columns, 4, "{name}");
        assert_eq!(matrix.starts, starts, "{name}");
        assert_eq!(matrix.columns, columns, "{name}");
        assert_eq!(matrix.values, values, "{name}");
    }
    assert!(read_sparse(&golden("x_y.npz")).unwrap().is_none());
    let labels = read_labels(&golden("targets.npz"), &ArrayNames::default()).unwrap();
    let sets: Vec<String> = labels.targets.iter().map(ToString::to_string).collect();
    assert_eq!(sets.join(" "), MULTI);
    let error = read_sparse(&golden("dia.npz")).unwrap_err().to_string();
    insta::assert_snapshot!(plain(&error), @"dia.npz: expected a sparse matrix of format csr, csc, coo or bsr, found dia; convert it in Python with matrix.tocsr()");
    let error = read_labels(&golden("csr.npz"), &ArrayNames::default()).unwrap_err();
    insta::assert_snapshot!(plain(&error.to_string()), @"csr.npz: expected targets of 0 and 1, found 1.5 at row 0, column 1");
    insta::assert_snapshot!(refusal("csr.npz", &OpenOptions::default()), @r#"
    csr.npz: this is one sparse matrix of SciPy, features or labels alone; put both into one file in Python:
        import numpy as np, scipy.sparse
        features = scipy.sparse.load_npz("csr.npz").toarray()
        targets = scipy.sparse.load_npz("Y.npz").toarray()
        np.savez("dense.npz", features=features, targets=targets)
    "#);
}

#[test]
fn objects_come_with_the_lines_that_convert_them() {
    insta::assert_snapshot!(refusal("objects.npz", &OpenOptions::default()), @r#"
    objects.npz: `labels` holds Python objects, which only running a pickle could read; if you trust it, convert it in Python:
        data = dict(np.load("FILE.npz", allow_pickle=True))
        data["labels"] = np.array([";".join(map(str, np.atleast_1d(row))) for row in data["labels"]])
        np.savez("CONVERTED.npz", **data)
    "#);
}
