//! Arrays under the names that dumps have, labels as numbers and names of classes, and sparse
//! matrices of SciPy (tests/golden/names.py).

use std::path::{Path, PathBuf};

use tagwise_base::snapshot::{
    ArrayNames, FeatureValues, Format, LabelsIn, NonFinite, OpenOptions, SampleStream, Snapshot,
    SnapshotFile, read_labels, read_sparse,
};
use tagwise_base::tensors::TensorWriter;
use tagwise_base::{LabelSet, Targets};

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
    let called = |features: &str, targets: &str| OpenOptions {
        names: ArrayNames {
            features: Some(features.into()),
            targets: Some(targets.into()),
            ..ArrayNames::default()
        },
        ..OpenOptions::default()
    };
    let default = OpenOptions::default();
    insta::assert_snapshot!(refusal("several.npz", &default), @"several.npz: expected one array that may be the features, found `X`, `embeddings`; say which one is meant");
    insta::assert_snapshot!(refusal("split.npz", &default), @r#"split.npz: expected an array `features` [N, d], found ["X_test", "X_train", "y_test", "y_train"]; another is chosen by its name (option features-key)"#);
    insta::assert_snapshot!(refusal("x_y.npz", &called("Z", "y")), @"x_y.npz: expected an array `Z`, found `X`, `y`");
    insta::assert_snapshot!(refusal("extras.npz", &called("paths", "targets")), @"extras.npz: expected `paths` to hold numbers, found text");
    let file =
        SnapshotFile::open_with(&golden("split.npz"), &called("X_train", "y_train")).unwrap();
    assert_eq!(sets(&file), SINGLE);
    let labels = read_labels(&golden("several.npz"), &ArrayNames::default()).unwrap();
    assert_eq!(labels.targets.len(), 6);
    let logits = OpenOptions {
        names: ArrayNames {
            features: Some("logits".into()),
            ..ArrayNames::default()
        },
        ..OpenOptions::default()
    };
    let file = SnapshotFile::open_with(&golden("extras.npz"), &logits).unwrap();
    assert_eq!(file.dim(), 3);
}

#[test]
fn samples_without_labels_are_read_when_they_may_be() {
    let required = OpenOptions::default();
    insta::assert_snapshot!(refusal("unlabelled.npz", &required), @"unlabelled.npz: expected labels: `targets` [N, K] of 0 and 1 or [N] of class numbers, or `labels` with `offsets`; another array is chosen by its name (option targets-key)");
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

fn named(names: [&str; 3]) -> OpenOptions {
    OpenOptions {
        names: ArrayNames {
            class_names: Some(names.map(String::from).to_vec()),
            ..ArrayNames::default()
        },
        ..OpenOptions::default()
    }
}

#[test]
fn given_names_of_classes_say_their_order() {
    let own_order = named(["cow", "ant", "bee"]);
    for name in ["texts.npz", "bytes.npz", "named.npz"] {
        let file = SnapshotFile::open_with(&golden(name), &own_order).unwrap();
        assert_eq!(sets(&file), SINGLE, "{name}");
        assert_eq!(file.class_names().unwrap(), ["cow", "ant", "bee"], "{name}");
        let sorted = named(["ant", "bee", "cow"]);
        let file = SnapshotFile::open_with(&golden(name), &sorted).unwrap();
        assert_eq!(sets(&file), "{1} {2} {0} {0} {2} {1}", "{name}");
    }
    let file = SnapshotFile::open_with(&golden("lists.npz"), &own_order).unwrap();
    assert_eq!(sets(&file), MULTI);
    let labels = read_labels(&golden("texts.npz"), &own_order.names).unwrap();
    assert_eq!(labels.class_names.unwrap(), ["cow", "ant", "bee"]);
    // Numbers without names get them, and numbers that are names are those.
    let file = SnapshotFile::open_with(&golden("column.npz"), &own_order).unwrap();
    assert_eq!(
        (sets(&file).as_str(), file.class_names().unwrap().len()),
        (SINGLE, 3)
    );
    let file = SnapshotFile::open_with(&golden("column.npz"), &named(["2", "1", "0"])).unwrap();
    assert_eq!(sets(&file), "{0} {2} {1} {1} {2} {0}");
    insta::assert_snapshot!(refusal("texts.npz", &named(["ant", "bee", "dog"])), @r#"texts.npz: in `labels`: expected one of the given class names, found "cow""#);
    insta::assert_snapshot!(refusal("named.npz", &named(["ant", "dog", "bee"])), @r#"named.npz: expected the classes of the file in another order, or names of their own, found "ant" as class 0, which is class 1 of the file, beside names that are not in it"#);
    insta::assert_snapshot!(refusal("column.npz", &named(["2", "1", "5"])), @"column.npz: in `targets`: expected one of the given class names, found 0");
}

#[test]
fn names_that_are_expected_complete_those_that_occur() {
    let expected = ArrayNames {
        expected_names: Some(["dog", "cow", "bee", "ant"].map(String::from).to_vec()),
        ..ArrayNames::default()
    };
    let labels = read_labels(&golden("texts.npz"), &expected).unwrap();
    assert_eq!(labels.class_names.unwrap(), ["dog", "cow", "bee", "ant"]);
    assert_eq!(labels.targets.set(0), &LabelSet::new([2]));
    // They are no new names for classes that have some.
    let labels = read_labels(&golden("named.npz"), &expected).unwrap();
    assert_eq!(labels.class_names.unwrap(), ["cow", "ant", "bee"]);
}

#[test]
fn a_classifier_follows_the_order_of_the_classes() {
    let mut writer = TensorWriter::new();
    writer.add("features", &[2, 1], &[0.5f32, 1.5]).unwrap();
    writer
        .add("targets", &[2, 3], &[1u8, 0, 0, 0, 1, 1])
        .unwrap();
    writer.add("weight", &[3, 1], &[1.0f64, 2.0, 3.0]).unwrap();
    writer.add("bias", &[3], &[0.1f64, 0.2, 0.3]).unwrap();
    let bytes = writer.to_bytes();
    // safetensors hold no text: without names of its own, given ones are those of the rows.
    let options = named(["cow", "ant", "bee"]);
    let file = SnapshotFile::from_bytes(Format::Safetensors, bytes, &options).unwrap();
    assert_eq!(file.classifier().unwrap().bias, [0.1, 0.2, 0.3]);
    assert_eq!(sets(&file), "{0} {1, 2}");
}

#[test]
fn the_number_of_classes_may_be_given_and_must_not_contradict_the_file() {
    let of = |num_classes| ArrayNames {
        num_classes: Some(num_classes),
        ..ArrayNames::default()
    };
    let labels = read_labels(&golden("column.npz"), &of(7)).unwrap();
    assert_eq!(labels.targets.num_classes(), 7);
    // What the file says comes first.
    let labels = read_labels(&golden("num_classes.npz"), &of(7)).unwrap();
    assert_eq!(labels.targets.num_classes(), 5);
    let bytes = |targets: &[u8], columns: usize, stated: u64| {
        let mut writer = TensorWriter::new();
        let rows = targets.len() / columns;
        writer
            .add_owned("features", &[rows, 1], vec![0.5f32; rows])
            .unwrap();
        writer.add("targets", &[rows, columns], targets).unwrap();
        writer.add_owned("num_classes", &[1], [stated]).unwrap();
        writer.to_bytes()
    };
    let open = |bytes: Vec<u8>| {
        SnapshotFile::from_bytes(Format::Safetensors, bytes, &OpenOptions::default())
    };
    let error = open(bytes(&[1, 0, 0, 1], 2, 5)).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"expected labels of 5 classes as `num_classes` says, found 2 columns");
    let file = open(bytes(&[1, 0], 1, 1)).unwrap();
    assert_eq!(
        (file.targets().num_classes(), sets(&file).as_str()),
        (1, "{0} {}")
    );
    let file = open(bytes(&[1, 0], 1, 4)).unwrap();
    assert_eq!(
        (file.targets().num_classes(), sets(&file).as_str()),
        (4, "{1} {0}")
    );
}

#[test]
fn a_snapshot_of_one_class_reads_back_as_it_was_written() {
    let targets = Targets::new(1, [vec![0], vec![], vec![0]].map(LabelSet::new)).unwrap();
    let features = FeatureValues::F32(vec![1.0, 2.0, 3.0]);
    let snapshot = Snapshot::new(features, 1, targets, None).unwrap();
    for format in [Format::Safetensors, Format::Npz] {
        let bytes = snapshot.to_bytes(format).unwrap();
        assert_eq!(Snapshot::from_bytes(format, &bytes).unwrap(), snapshot);
    }
}

#[test]
fn large_whole_numbers_keep_their_digits() {
    let mut writer = TensorWriter::new();
    writer
        .add("targets", &[2], &[0i64, 9_007_199_254_740_993])
        .unwrap();
    writer.add("features", &[2, 1], &[0.5f32, 1.0]).unwrap();
    let bytes = writer.to_bytes();
    let names = named(["9007199254740993", "0", "1"]);
    let file = SnapshotFile::from_bytes(Format::Safetensors, bytes, &names).unwrap();
    assert_eq!(sets(&file), "{1} {0}");
    let mut writer = TensorWriter::new();
    writer
        .add("targets", &[2], &[0i64, -9_007_199_254_740_993])
        .unwrap();
    writer.add("features", &[2, 1], &[0.5f32, 1.0]).unwrap();
    let options = OpenOptions::default();
    let error = SnapshotFile::from_bytes(Format::Safetensors, writer.to_bytes(), &options);
    insta::assert_snapshot!(error.unwrap_err(), @"expected `targets` of whole numbers from 0, found -9007199254740993 at position 1");
}

#[test]
fn labels_from_elsewhere_replace_those_of_the_file() {
    let elsewhere = OpenOptions {
        labels: LabelsIn::Elsewhere,
        names: ArrayNames {
            targets: Some("in another file".into()),
            ..ArrayNames::default()
        },
        ..OpenOptions::default()
    };
    let open = || SnapshotFile::open_with(&golden("x_y.npz"), &elsewhere).unwrap();
    assert!(!open().has_labels());
    let targets = Targets::new(2, (0..6).map(|row| LabelSet::new([row % 2]))).unwrap();
    let file = open().with_targets(targets.clone(), None).unwrap();
    assert_eq!((file.targets(), file.has_labels()), (&targets, true));
    let error = open()
        .with_targets(targets.select([0, 1]), None)
        .unwrap_err();
    insta::assert_snapshot!(error, @"expected 6 label sets, found 2");
    let names = Some(vec!["one".to_string()]);
    let error = open().with_targets(targets, names).unwrap_err();
    insta::assert_snapshot!(error, @"expected 2 names of classes, found 1");
}

#[test]
fn labels_from_elsewhere_leave_out_the_rows_that_are_left_out() {
    let mut writer = TensorWriter::new();
    writer
        .add("features", &[3, 1], &[0.5f64, f64::NAN, 1.5])
        .unwrap();
    let skip = OpenOptions {
        non_finite: NonFinite::Skip,
        labels: LabelsIn::Elsewhere,
        ..OpenOptions::default()
    };
    let file = SnapshotFile::from_bytes(Format::Safetensors, writer.to_bytes(), &skip).unwrap();
    let targets = Targets::new(3, (0..3).map(|row| LabelSet::new([row]))).unwrap();
    let file = file.with_targets(targets, None).unwrap();
    assert_eq!((file.num_samples(), sets(&file).as_str()), (2, "{0} {2}"));
}

#[test]
fn minus_one_is_an_absent_label_where_there_is_no_zero() {
    let open = |targets: &[i8]| {
        let mut writer = TensorWriter::new();
        writer.add("features", &[2, 1], &[0.5f32, 1.0]).unwrap();
        writer.add("targets", &[2, 2], targets).unwrap();
        let bytes = writer.to_bytes();
        SnapshotFile::from_bytes(Format::Safetensors, bytes, &OpenOptions::default())
    };
    let file = open(&[1, -1, -1, -1]).unwrap();
    assert_eq!(sets(&file), "{0} {}");
    assert_eq!(file.notes(), ["`targets` holds -1 and 1; -1 is read as 0"]);
    assert_eq!(sets(&open(&[1, 1, 1, 1]).unwrap()), "{0, 1} {0, 1}");
    insta::assert_snapshot!(open(&[1, -1, 0, 1]).unwrap_err(), @"in `targets`: expected targets of 0 and 1, found -1 at row 0, column 1");
}
