use std::path::PathBuf;

use tagwise_base::LabelSet;
use tagwise_base::snapshot::{FeatureRows, FeatureValues, Format, SampleStream, Snapshot};

use super::*;
use crate::table::Unlabelled;

const TABLE: &str = "@relation 'two: -C 2'\n@attribute sky {0,1}\n@attribute sea {0,1}\n\
                     @attribute blue numeric\n@data\n1,0,0.5\n1,1,0.25\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn the_ending_decides_how_a_table_is_read_and_named() {
    let folder = folder(&[
        ("a.arff", TABLE),
        ("b.txt", "2 3 2\n0 1:1.5\n0,1 2:1\n"),
        ("c.svm", "0 2:1.5\n0,1 3:1\n"),
    ]);
    let read = |name: &str, options: &TableOptions| {
        Samples::read(&folder.path().join(name), options).unwrap()
    };
    let arff = read("a.arff", &TableOptions::default());
    assert_eq!(arff.label_names.as_deref().unwrap(), ["sky", "sea"]);
    assert_eq!(arff.features.to_dense(), [0.5, 0.25]);
    let xmc = read("b.txt", &TableOptions::default());
    assert_eq!(xmc.label_names, None);
    assert_eq!(xmc.features.to_dense(), [0.0, 1.5, 0.0, 0.0, 0.0, 1.0]);
    let options = TableOptions {
        num_classes: Some(5),
        ..TableOptions::default()
    };
    let svm = read("c.svm", &options);
    assert_eq!(svm.size().num_classes, Some(5));
    assert_eq!(svm.features.to_dense(), xmc.features.to_dense());
    let second = svm.select(&[1]);
    assert_eq!(second.targets.set(0), &LabelSet::new([0, 1]));
}

#[test]
fn samples_of_other_sizes_are_refused_with_both_files() {
    let folder = folder(&[("a.arff", TABLE)]);
    let path = folder.path().join("a.arff");
    let samples = Samples::read(&path, &TableOptions::default()).unwrap();
    let expected = |num_classes, dim| Sizes {
        num_classes: Some(num_classes),
        dim: Some(dim),
    };
    samples.check(&path, expected(2, 1), "t.npz").unwrap();
    let refusal = |sizes| {
        let error = samples.check(Path::new("a.arff"), sizes, "t.npz");
        error.unwrap_err().to_string()
    };
    insta::assert_snapshot!(refusal(expected(2, 4)), @"expected 4 features like t.npz, found 1 in a.arff");
    insta::assert_snapshot!(refusal(expected(3, 1)), @"expected 3 classes like t.npz, found 2 in a.arff");
}

#[test]
fn labels_of_several_files_are_counted_together() {
    let folder = folder(&[
        ("a.arff", TABLE),
        ("b.svm", "0 1:1\n1 1:1\n"),
        ("c.svm", "2 1:1\n"),
    ]);
    let paths = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(|name| folder.path().join(name)).collect()
    };
    let read = |names: &[&str]| CountedLabels::read(&paths(names), &TableOptions::default());
    let labels = read(&["a.arff", "b.svm"]).unwrap();
    assert_eq!(labels.class_names, ["sky", "sea"]);
    assert_eq!(labels.counts.num_samples(), 4.0);
    let refusal = |names: &[&str]| {
        let place = format!("{}/", folder.path().display());
        read(names).unwrap_err().to_string().replace(&place, "")
    };
    insta::assert_snapshot!(refusal(&["a.arff", "c.svm"]), @"c.svm: expected 2 classes as in the files before, found 3");
    insta::assert_snapshot!(refusal(&["a.xyz"]), @"a.xyz: expected a file that ends in .safetensors, .npz, .npy, .parquet, .arff, .csv, .tsv, .txt, .svm or .libsvm, or a folder of .npy files");
    insta::assert_snapshot!(refusal(&[]), @"the labels of : expected the number of classes to be at least 2 (with one class every softmax is 1), found 0");
}

#[test]
fn labels_may_lie_in_a_file_of_their_own_or_be_missing() {
    let folder = folder(&[
        ("x.csv", "u,v\n1,2\n3,4\n"),
        ("y.csv", "tags,z\nb;a,0\n,1\n"),
        ("short.csv", "tags,z\nb,0\n"),
        (
            "new.arff",
            "@relation new\n@attribute blue numeric\n@data\n7\n8\n",
        ),
        (
            "q.arff",
            "@relation 'q: -C 2'\n@attribute sky {0,1}\n@attribute sea {0,1}\n@attribute blue numeric\n@data\n?,?,7\n1,0,8\n",
        ),
    ]);
    let path = |name: &str| folder.path().join(name);
    let beside = |name: &str| TableOptions {
        label_file: Some(path(name)),
        ..TableOptions::default()
    };
    let samples = Samples::read(&path("x.csv"), &beside("y.csv")).unwrap();
    assert_eq!(samples.features.to_dense(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(samples.label_names.as_deref().unwrap(), ["a", "b"]);
    assert_eq!(samples.targets.set(0), &LabelSet::new([0, 1]));
    let place = format!("{}/", folder.path().display());
    let plain = |error: Error| error.to_string().replace(&place, "");
    let error = Samples::read(&path("x.csv"), &beside("short.csv")).unwrap_err();
    insta::assert_snapshot!(plain(error), @"short.csv: expected labels for the 2 rows of x.csv, found 1");

    let new = TableOptions {
        unlabelled: Unlabelled::Keep,
        num_classes: Some(2),
        ..TableOptions::default()
    };
    for name in ["x.csv", "new.arff"] {
        let samples = Samples::read(&path(name), &new).unwrap();
        assert_eq!(samples.unlabelled, [0, 1], "{name}");
        assert_eq!(samples.size().num_classes, Some(2), "{name}");
        assert!(Samples::read(&path(name), &TableOptions::default()).is_err());
    }
    let samples = Samples::read(&path("q.arff"), &new).unwrap();
    assert_eq!(samples.unlabelled, [0]);
    assert_eq!(samples.select(&[1, 0]).unlabelled, [1]);
}

/// Arrays and matrices that NumPy and SciPy wrote (tests/golden/names.py of the base crate).
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/names")
        .join(name)
}

#[test]
fn sparse_matrices_of_scipy_are_features_with_their_labels_beside() {
    let labels = TableOptions {
        label_columns: vec!["tags".into()],
        ..TableOptions::default()
    };
    let error = Samples::read(&golden("csr.npz"), &labels)
        .unwrap_err()
        .to_string();
    assert!(error.contains("(option label-file)"), "{error}");
    let folder = folder(&[("y.csv", "tags,z\nb,0\n,1\na,0\na;b,0\n")]);
    let options = TableOptions {
        label_file: Some(folder.path().join("y.csv")),
        ..TableOptions::default()
    };
    let samples = Samples::read(&golden("csr.npz"), &options).unwrap();
    let dense = [
        [0.0, 1.5, 0.0, 2.0],
        [0.0; 4],
        [-3.0, 0.0, 0.0, 0.25],
        [0.0, 0.0, 1.0, 0.0],
    ];
    assert_eq!(samples.features.to_dense(), dense.concat());
    let sets: Vec<String> = samples.targets.iter().map(ToString::to_string).collect();
    assert_eq!(sets, ["{1}", "{}", "{0}", "{0, 1}"]);
    // The labels may be such a matrix themselves, or an array.
    let beside = |features: &str, labels: &str| {
        let options = TableOptions {
            label_file: Some(golden(labels)),
            ..TableOptions::default()
        };
        Samples::read(&golden(features), &options).unwrap().targets
    };
    let targets = beside("unlabelled.npz", "targets.npz");
    assert_eq!(targets, beside("unlabelled.npz", "x_y.npz"));
    let y = golden("folder").join("y.npy");
    assert_eq!(
        Labels::read(&y, &TableOptions::default())
            .unwrap()
            .targets
            .num_classes(),
        3
    );
}

#[test]
fn every_kind_streams_the_same_samples() {
    let folder = folder(&[(
        "x.csv",
        "u,v,tags\n-1,-0.75,c\n-0.5,-0.25,a\n0,0.25,b\n0.5,0.75,b\n1,1.25,a\n1.5,1.75,c\n",
    )]);
    let mut found = Vec::new();
    for path in [
        folder.path().join("x.csv"),
        golden("embeddings_labels.npz"),
        golden("folder"),
    ] {
        let options = TableOptions {
            label_columns: vec!["tags".into()],
            class_names: Some(["a", "b", "c"].map(String::from).to_vec()),
            ..TableOptions::default()
        };
        let file = SampleFile::open(&path, &options, NonFinite::Refuse).unwrap();
        assert_eq!(file.class_names().unwrap(), ["a", "b", "c"]);
        let mut values = Vec::new();
        file.for_each_block(&mut |_, rows| {
            match rows {
                FeatureRows::F32(rows) => values.extend_from_slice(rows),
                FeatureRows::F64(_) => unreachable!("single precision"),
            }
            Ok(())
        })
        .unwrap();
        found.push((values, file.targets().clone()));
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

/// Two samples in f64 that f32 does not tell apart, and one that is not finite, with a classifier
/// and labels of their own.
fn arrays(folder: &Path) -> PathBuf {
    let classifier = LinearClassifier::from_rows(&[1.0, 2.0, 3.0], &[0.0; 3], 1).unwrap();
    let targets = Targets::new(3, [[0], [0], [0]].map(LabelSet::new)).unwrap();
    let features = FeatureValues::F64(vec![1.0, 1.0 + 1e-12, f64::NAN]);
    let snapshot = Snapshot::new(features, 1, targets, Some(classifier)).unwrap();
    let path = folder.join("x.npz");
    std::fs::write(&path, snapshot.to_bytes(Format::Npz).unwrap()).unwrap();
    path
}

#[test]
fn arrays_with_labels_beside_keep_precision_classifier_and_what_is_left_out() {
    let folder = folder(&[
        ("y.csv", "tags,z\nb;a,0\nc,1\n,1\n"),
        ("two.csv", "tags,z\na,0\nb,1\n,1\n"),
    ]);
    let path = arrays(folder.path());
    let beside = |name: &str| TableOptions {
        label_file: Some(folder.path().join(name)),
        ..TableOptions::default()
    };
    let file = SampleFile::open(&path, &beside("y.csv"), NonFinite::Skip).unwrap();
    assert_eq!(file.skipped(), [2]);
    assert_eq!(file.class_names().unwrap(), ["a", "b", "c"]);
    assert_eq!(file.classifier().unwrap().num_classes(), 3);
    let sets: Vec<String> = file.targets().iter().map(ToString::to_string).collect();
    assert_eq!(sets, ["{0, 1}", "{2}"]);
    let mut numbers = Vec::new();
    file.for_each_block(&mut |_, rows| {
        let FeatureRows::F64(rows) = rows else {
            unreachable!("double precision")
        };
        numbers.extend_from_slice(rows);
        Ok(())
    })
    .unwrap();
    assert_eq!(numbers, [1.0, 1.0 + 1e-12]);
    let error = Samples::read(&path, &beside("y.csv"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("found NaN"), "{error}");
    let error = SampleFile::open(&path, &beside("two.csv"), NonFinite::Skip).unwrap_err();
    assert!(
        error.to_string().contains("2 classes") || error.to_string().contains("expected"),
        "{error}"
    );
}

#[test]
fn the_key_of_the_labels_is_that_of_their_own_file() {
    let folder = folder(&[]);
    let path = arrays(folder.path());
    let labels = folder.path().join("y.safetensors");
    let mut writer = tagwise_base::tensors::TensorWriter::new();
    writer.add("animal", &[3], &[2i64, 0, 1]).unwrap();
    writer.add("place", &[3], &[0i64, 0, 0]).unwrap();
    writer.write(&labels).unwrap();
    let mut options = TableOptions {
        label_file: Some(labels),
        class_names: Some(["cow", "ant", "bee"].map(String::from).to_vec()),
        ..TableOptions::default()
    };
    options.arrays.targets = Some("animal".into());
    let file = SampleFile::open(&path, &options, NonFinite::Refuse).unwrap();
    assert_eq!(file.targets().set(0), &LabelSet::new([2]));
    assert_eq!(file.class_names().unwrap(), ["cow", "ant", "bee"]);
    // The number of classes may be given too.
    options.class_names = None;
    options.num_classes = Some(3);
    let labels = Labels::read(&path, &options).unwrap();
    assert_eq!(
        (labels.targets.num_classes(), labels.has_classifier),
        (3, false)
    );
}

#[test]
fn names_of_columns_in_another_order_move_the_columns() {
    let folder = folder(&[("t.csv", "x,sea,sky\n1,1,0\n2,0,0\n"), ("a.arff", TABLE)]);
    let named = |path: &str, names: [&str; 2], columns: &[&str]| {
        let options = TableOptions {
            class_names: Some(names.map(String::from).to_vec()),
            label_columns: columns.iter().map(ToString::to_string).collect(),
            ..TableOptions::default()
        };
        Samples::read(&folder.path().join(path), &options)
    };
    let samples = named("t.csv", ["sky", "sea"], &["sea", "sky"]).unwrap();
    assert_eq!(samples.targets.set(0), &LabelSet::new([1]));
    assert_eq!(samples.label_names.unwrap(), ["sky", "sea"]);
    let samples = named("a.arff", ["sea", "sky"], &[]).unwrap();
    assert_eq!(samples.targets.set(0), &LabelSet::new([1]));
    let samples = named("a.arff", ["up", "down"], &[]).unwrap();
    assert_eq!(samples.targets.set(0), &LabelSet::new([0]));
    assert!(named("a.arff", ["sea", "down"], &[]).is_err());
}

#[test]
fn sparse_matrices_become_dense_in_the_precision_that_they_need() {
    let folder = folder(&[("y.csv", "tags,z\nb,0\n,1\na,0\na;b,0\n")]);
    let options = TableOptions {
        label_file: Some(folder.path().join("y.csv")),
        ..TableOptions::default()
    };
    let file = SampleFile::open(&golden("csr.npz"), &options, NonFinite::Refuse).unwrap();
    let mut kinds = Vec::new();
    file.for_each_block(&mut |_, rows| {
        kinds.push(matches!(rows, FeatureRows::F32(_)));
        Ok(())
    })
    .unwrap();
    assert_eq!(kinds, [true], "these are numbers of f32");
}
