//! `tagwise fit`, `decode` and `evaluate` as their users meet them.

use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value;
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::tensors::TensorWriter;
use tagwise::{LabelSet, LinearClassifier, Targets};

fn tagwise(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn success(arguments: &[&str]) -> String {
    let output = tagwise(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn failure(arguments: &[&str], code: i32) -> String {
    let output = tagwise(arguments);
    assert_eq!(output.status.code(), Some(code));
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

/// Samples around sums of axes, 4 classes in 5 dimensions.
fn write_samples(path: &Path, num_samples: u32, dim: usize) {
    let sets: Vec<LabelSet> = (0..num_samples)
        .map(|i| {
            (0..1 + i % 2)
                .map(|j| (i / 2 + j * (1 + i % 3)) % 4)
                .collect()
        })
        .collect();
    let mut features = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        for axis in 0..dim as u32 {
            let wiggle = ((i * 31 + axis as usize * 17) % 23) as f32 / 23.0 - 0.5;
            features.push(f32::from(u8::from(set.contains(axis))) + 0.2 * wiggle);
        }
    }
    let targets = Targets::new(4, sets).unwrap();
    let snapshot = Snapshot::new(FeatureValues::F32(features), dim, targets, None).unwrap();
    snapshot.write(path).unwrap();
}

#[test]
fn a_head_is_fitted_and_every_decoder_finds_the_label_sets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, test, head, csv) = (
        path("train.safetensors"),
        path("test.safetensors"),
        path("head.safetensors"),
        path("answers.csv"),
    );
    write_samples(train.as_ref(), 240, 5);
    write_samples(test.as_ref(), 100, 5);
    let fitted: Value =
        serde_json::from_str(&success(&["fit", &train, "--out", &head, "--json"])).unwrap();
    assert_eq!(fitted["converged"], true);
    let tried = fitted["weight_decays"].as_array().unwrap();
    assert!((3..=8).contains(&tried.len()));

    for decoder in [
        "onn",
        "threshold",
        "predicted-multiplicity",
        "largest-gap",
        "auto",
    ] {
        success(&[
            "decode",
            "--features",
            &test,
            "--prototypes",
            &train,
            "--head",
            &head,
            "--decoder",
            decoder,
            "--out",
            &csv,
        ]);
        let measures = success(&[
            "evaluate", &csv, "--truth", &test, "--head", &head, "--json",
        ]);
        let measures: Value = serde_json::from_str(&measures).unwrap();
        assert!(
            measures["subset_accuracy"].as_f64().unwrap() > 0.95,
            "{decoder}: {measures}"
        );
        assert!(
            measures["ranking"]["label_ranking_average_precision"]
                .as_f64()
                .unwrap()
                > 0.99
        );
    }
    let table = success(&["evaluate", &csv, "--truth", &test]);
    assert!(table.starts_with("num_samples") || table.contains("subset_accuracy"));
    let answers = success(&["decode", "--features", &test, "--prototypes", &train]);
    assert_eq!(answers.lines().count(), 101);
    assert!(answers.starts_with("sample,label_ids,score,margin,proven\n0,0,0."));
}

#[test]
fn scales_are_measured_predicted_or_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, csv) = (path("train.safetensors"), path("answers.csv"));
    write_samples(train.as_ref(), 240, 5);
    let decode = ["decode", "--features", &train, "--prototypes", &train];
    let with = |more: &'static [&'static str]| [decode.as_slice(), more].concat();
    let mut shown = Vec::new();
    for scales in ["measured", "ufm", "1,0.5"] {
        let more = ["--distance", "euclidean", "--scales", scales, "--out", &csv];
        success(&[decode.as_slice(), more.as_slice()].concat());
        let measures = success(&["evaluate", &csv, "--truth", &train, "--json"]);
        let measures: Value = serde_json::from_str(&measures).unwrap();
        assert!(
            measures["subset_accuracy"].as_f64().unwrap() > 0.8,
            "{scales}: {measures}"
        );
        shown.push(std::fs::read_to_string(&csv).unwrap());
    }
    assert!(shown[0] != shown[1] && shown[1] != shown[2]);
    assert_snapshot!(
        failure(&with(&["--distance", "euclidean", "--scales", "1"]), 1),
        @"tagwise: expected 2 scales, one for each multiplicity, found 1"
    );
    assert!(
        failure(&with(&["--scales", "long"]), 2).contains("expected measured, ufm, or numbers")
    );
}

/// The same samples as [`write_samples`] in every text format that names or numbers its labels,
/// as arguments of the commands. Features are sparse: small entries are left out.
fn write_tables(folder: &Path, part: &str, num_samples: u32) -> Vec<Vec<String>> {
    let source = folder.join(format!("{part}-source.safetensors"));
    write_samples(&source, num_samples, 5);
    let snapshot = Snapshot::read(&source).unwrap();
    let FeatureValues::F32(values) = snapshot.features() else {
        panic!("the samples are in single precision");
    };
    let names = ["sea", "sky", "semi;colon", "it\\'s"];
    let mut attributes = String::new();
    (0..5).for_each(|j| attributes.push_str(&format!("@attribute x{j} numeric\n")));
    let labels: String = names
        .map(|n| format!("@attribute '{n}' {{0,1}}\n"))
        .concat();
    let mut mulan = format!("@relation r\n{attributes}{labels}@data\n");
    let mut meka = format!("@relation 'r: -C -4'\n{attributes}{labels}@data\n");
    let mut xmc = format!("{num_samples} 5 4\n");
    let mut libsvm = String::new();
    for (row, set) in values.chunks(5).zip(snapshot.targets().iter()) {
        let kept: Vec<(usize, f32)> = row
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, x)| x.abs() >= 0.05)
            .collect();
        let mut cells: Vec<String> = kept.iter().map(|(j, x)| format!("{j} {x}")).collect();
        cells.extend(set.labels().iter().map(|k| format!("{} 1", 5 + k)));
        mulan.push_str(&format!("{{{}}}\n", cells.join(",")));
        meka.push_str(&format!("{{{}}}\n", cells.join(",")));
        let labels: Vec<String> = set.labels().iter().map(ToString::to_string).collect();
        let sparse = |first: usize| -> String {
            kept.iter()
                .map(|(j, x)| format!(" {}:{x}", j + first))
                .collect()
        };
        xmc.push_str(&format!("{}{}\n", labels.join(","), sparse(0)));
        libsvm.push_str(&format!("{}{}\n", labels.join(","), sparse(1)));
    }
    let xml: String = names.map(|n| format!("<label name=\"{n}\"/>")).concat();
    let write = |name: &str, text: &str| {
        let path = folder.join(format!("{part}{name}"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let xml = write(".xml", &format!("<labels>{xml}</labels>"));
    vec![
        vec![write("-mulan.arff", &mulan), "--labels".into(), xml],
        vec![write("-meka.arff", &meka)],
        vec![write(".txt", &xmc)],
        vec![write(".svm", &libsvm)],
    ]
}

#[test]
fn every_table_is_read_and_names_reach_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, test) = (
        write_tables(folder.path(), "train", 240),
        write_tables(folder.path(), "test", 60),
    );
    let (head, csv) = (path("head.safetensors"), path("answers.csv"));
    let mut shown = Vec::new();
    let mut measured = Vec::new();
    for (train, test) in train.iter().zip(&test) {
        let more: Vec<&str> = train[1..].iter().map(String::as_str).collect();
        let command = |arguments: &[&str]| success(&[arguments, &more].concat());
        let fitted: Value =
            serde_json::from_str(&command(&["fit", &train[0], "-o", &head, "--json"])).unwrap();
        assert_eq!(
            (&fitted["num_classes"], &fitted["dim"]),
            (&4.into(), &5.into())
        );
        assert_eq!(fitted["label_names"].is_array(), train[0].ends_with("arff"));
        for space in ["features", "logits"] {
            let common = ["decode", "--features", &test[0], "--prototypes", &train[0]];
            let own = ["--head", &head, "--space", space, "--out", &csv];
            command(&[common.as_slice(), own.as_slice()].concat());
            let truth = [
                "evaluate", &csv, "--truth", &test[0], "--head", &head, "--json",
            ];
            let measures: Value = serde_json::from_str(&command(&truth)).unwrap();
            measured.push(measures["subset_accuracy"].as_f64().unwrap());
        }
        let answers = std::fs::read_to_string(&csv).unwrap();
        let some: String = answers
            .lines()
            .take(6)
            .map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                format!("{},{}\n", cells[0], cells[1])
            })
            .collect();
        shown.push(some);
    }
    assert_snapshot!(shown[0], @r#"
sample,labels
0,sea
1,sea;semi\;colon
2,sky
3,sky;semi\;colon
4,semi\;colon
"#);
    assert_snapshot!(shown[3], @r"
sample,label_ids
0,0
1,0;2
2,1
3,1;2
4,2
");
    assert_eq!((&shown[0], &shown[2]), (&shown[1], &shown[3]));
    assert!(
        measured.iter().all(|&accuracy| accuracy > 0.95),
        "{measured:?}"
    );
    // The four files hold the same numbers, so every command found the same.
    assert!(
        measured.chunks(2).all(|pair| pair == &measured[..2]),
        "{measured:?}"
    );
}

#[test]
fn heads_are_fitted_by_every_optimiser_and_weight() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let train = &write_tables(folder.path(), "train", 120)[0];
    let (head, classes, sets) = (
        path("head.safetensors"),
        path("classes.csv"),
        path("sets.csv"),
    );
    std::fs::write(&classes, "sea,2\nit's,0.5\n").unwrap();
    std::fs::write(&sets, "sky,3\n").unwrap();
    let fit = |more: &[&str]| -> Value {
        let common = [
            "fit", &train[0], "--labels", &train[2], "--out", &head, "--json",
        ];
        let fixed = ["--weight-decay", "0.01", "--loss", "bce"];
        serde_json::from_str(&success(&[common.as_slice(), &fixed, more].concat())).unwrap()
    };
    let plain = fit(&[]);
    let stochastic = fit(&[
        "--optimizer",
        "sgd",
        "--batch-size",
        "16",
        "--tolerance",
        "1e-3",
    ]);
    assert_eq!(stochastic["converged"], true);
    let objective = |fitted: &Value| fitted["objective"].as_f64().unwrap();
    assert!((objective(&plain) - objective(&stochastic)).abs() < 1e-3);
    let weighted = [
        fit(&["--class-weight", "balanced"]),
        fit(&["--class-weight", &classes]),
        fit(&["--set-weights", &sets]),
        fit(&["--balance", "1"]),
    ];
    for fitted in weighted {
        assert_eq!(fitted["converged"], true);
        assert!((objective(&plain) - objective(&fitted)).abs() > 1e-5);
    }
}

#[test]
fn answers_are_written_as_json_under_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let train = &write_tables(folder.path(), "train", 40)[0];
    let answers = path("answers.json");
    let more = ["--labels", &train[2], "--out", &answers];
    let common = ["decode", "--features", &train[0], "--prototypes", &train[0]];
    let said = success(&[common.as_slice(), more.as_slice()].concat());
    assert_snapshot!(said, @"ONN, cosine, tag averages");
    let answers: Value = serde_json::from_slice(&std::fs::read(&answers).unwrap()).unwrap();
    assert_eq!(answers["label_sets"][0], serde_json::json!(["sea"]));
    assert_eq!(answers["margins"].as_array().unwrap().len(), 40);
}

#[test]
fn wrong_input_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, narrow, csv) = (
        path("train.safetensors"),
        path("narrow.safetensors"),
        path("a.csv"),
    );
    write_samples(train.as_ref(), 20, 5);
    write_samples(narrow.as_ref(), 20, 4);
    let tables = write_tables(folder.path(), "table", 40);
    let (arff, xml) = (tables[0][0].as_str(), tables[0][2].as_str());
    let head = path("head.safetensors");
    let with_dots = |message: String| message.replace(&folder.path().display().to_string(), "…");
    success(&[
        "fit",
        arff,
        "--labels",
        xml,
        "--out",
        &head,
        "--weight-decay",
        "0.1",
    ]);
    let refused = |arguments: &[&str], code: i32| with_dots(failure(arguments, code));

    // Sizes and names that do not fit.
    assert_snapshot!(refused(&["decode", "--features", &narrow, "--prototypes", &train], 1), @"tagwise: expected 5 features like the training samples in …/train.safetensors, found 4 in …/narrow.safetensors");
    assert_snapshot!(refused(&["decode", "--features", arff, "--labels", xml, "--prototypes", &narrow, "--head", &head], 1), @"tagwise: expected 5 features like the classifier in …/head.safetensors, found 4 in …/narrow.safetensors");
    let other = path("other.svm");
    std::fs::write(&other, "0 1:1\n2 1:0.5 3:1\n").unwrap();
    assert_snapshot!(refused(&["decode", "--features", &other, "--prototypes", &train, "-k", "3"], 1), @"tagwise: …/train.safetensors: expected 3 classes as --classes says, found 4");
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train, "--head", &path("no.safetensors")], 1), @"tagwise: …/no.safetensors: No such file or directory (os error 2)");
    let renamed = path("renamed.arff");
    let text = std::fs::read_to_string(&tables[1][0]).unwrap();
    std::fs::write(&renamed, text.replace("'sky'", "'Sky'")).unwrap();
    assert_snapshot!(refused(&["decode", "--features", &renamed, "--prototypes", &tables[1][0]], 1), @r#"tagwise: expected label 1 to be "sky" like the training samples in …/table-meka.arff, found "Sky" in …/renamed.arff"#);

    // Predictions that cannot be read.
    std::fs::write(&csv, "sample,labels\n0,sea;see\n").unwrap();
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", arff, "--labels", xml], 1), @r#"tagwise: …/a.csv, line 2: expected one of the 4 label names (sea, sky, semi;colon, it's), found "see""#);
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train], 1), @"tagwise: …/a.csv: expected a truth or --head that knows what its labels are called, as the labels are names here; give --class-names, the table with its --labels, or a head fitted to it");
    std::fs::write(&csv, "sample,label_ids\n0,1;2\n1,x\n").unwrap();
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train], 1), @r#"tagwise: …/a.csv, line 3: expected the number of a label, found "x""#);
    std::fs::write(&csv, "sample,label_ids\n0,4\n").unwrap();
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train], 1), @"tagwise: …/a.csv: expected labels 0 to 3, found 4 in sample 0; check the number of classes");
    std::fs::write(&csv, "sample,label_ids\n0,3\n").unwrap();
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train], 1), @"tagwise: expected 20 samples like …/train.safetensors, found 1 in …/a.csv");
    std::fs::write(&csv, "id,tags\n0,3\n").unwrap();
    assert_snapshot!(refused(&["evaluate", &csv, "--truth", &train], 1), @"tagwise: …/a.csv: expected the columns sample and labels or label_ids, or a column of 0 and 1 for each of the 4 classes; found 2 columns");

    // Files that cannot be read.
    assert_snapshot!(refused(&["fit", arff], 1), @r#"tagwise: …/table-mulan.arff: expected the relation's name to say -C and a number of labels below 9, found "r"; or give Mulan's XML list of the labels (--labels), or their names (--label-columns)"#);
    assert_snapshot!(refused(&["fit", "samples.xyz"], 1), @"tagwise: samples.xyz: expected a file that ends in .safetensors, .npz, .npy, .parquet, .arff, .csv, .tsv, .txt, .svm or .libsvm, or a folder of .npy files");
    let nan = path("nan.svm");
    std::fs::write(&nan, "0 1:1\n1 1:nan\n").unwrap();
    assert_snapshot!(refused(&["fit", &nan], 1), @r#"tagwise: …/nan.svm: line 2: expected a finite number, found "nan""#);
    let nan = path("nan.safetensors");
    let targets = Targets::new(1, [LabelSet::new([0]), LabelSet::default()]).unwrap();
    let values = FeatureValues::F32(vec![1.0, f32::NAN]);
    Snapshot::new(values, 1, targets, None)
        .unwrap()
        .write(nan.as_ref())
        .unwrap();
    assert_snapshot!(refused(&["fit", &nan], 1), @"tagwise: …/nan.safetensors: expected finite numbers, found NaN in features at row 1, column 0");

    // Weights that cannot be used.
    let weights = path("weights.csv");
    let weigh = |text: &str, flag: &str| {
        std::fs::write(&weights, text).unwrap();
        refused(&["fit", arff, "--labels", xml, flag, &weights], 1)
    };
    assert_snapshot!(weigh("sea,2\nlake,1\n", "--class-weight"), @r#"tagwise: …/weights.csv, line 2: expected one of the 4 label names (sea, sky, semi;colon, it's), found "lake""#);
    assert_snapshot!(weigh("sea,0\n", "--class-weight"), @"tagwise: expected the weight of a class greater than 0 and finite, found 0");
    assert_snapshot!(weigh("sea;sky,heavy\n", "--set-weights"), @r#"tagwise: …/weights.csv, line 1: expected labels, a comma and a weight, found "sea;sky,heavy""#);
    assert_snapshot!(weigh("sea;lake,2\n", "--set-weights"), @r#"tagwise: …/weights.csv, line 1: expected one of the 4 label names (sea, sky, semi;colon, it's), found "lake""#);
    assert_snapshot!(refused(&["fit", arff, "--labels", xml, "--class-weight", "even"], 1), @"tagwise: class weights cannot be read from even: No such file or directory (os error 2)");

    // What is missing or cannot be meant.
    let decode = ["decode", "--features", &train, "--prototypes", &train];
    let refused_with = |more: &[&str]| refused(&[decode.as_slice(), more].concat(), 2);
    assert_snapshot!(refused_with(&["--decoder", "threshold"]), @"tagwise: this needs a classifier: give --head, or samples with a weight");
    assert_snapshot!(refused_with(&["--space", "logits"]), @"tagwise: this needs a classifier: give --head, or samples with a weight");
    assert_snapshot!(refused(&["decode", "--features", &train], 2), @"tagwise: expected samples with known labels: --prototypes, or --validation for a decoder of logits");
    assert_snapshot!(refused(&["fit", &train, "--held-out", "1.5"], 2), @"tagwise: expected --held-out between 0 and 1, found 1.5");
}

#[test]
fn a_classifier_that_comes_with_the_samples_needs_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (plain, with_weight, csv) = (
        path("plain.safetensors"),
        path("weight.safetensors"),
        path("answers.csv"),
    );
    write_samples(plain.as_ref(), 60, 5);
    let samples = Snapshot::read(plain.as_ref()).unwrap();
    let identity: Vec<f64> = (0..20)
        .map(|i| f64::from(u8::from(i / 5 == i % 5)))
        .collect();
    let classifier = LinearClassifier::from_rows(&identity, &[0.0; 4], 5).unwrap();
    Snapshot::new(
        samples.features().clone(),
        5,
        samples.targets().clone(),
        Some(classifier),
    )
    .unwrap()
    .write(with_weight.as_ref())
    .unwrap();
    let files = ["--features", &with_weight, "--validation", &with_weight];
    let rule = ["--decoder", "threshold", "--out", &csv];
    success(&[["decode"].as_slice(), &files, &rule].concat());
    let measures = success(&["evaluate", &csv, "--truth", &plain, "--json"]);
    let measures: Value = serde_json::from_str(&measures).unwrap();
    assert_eq!(measures["subset_accuracy"], 1.0);

    let auto = tagwise(&[
        "decode",
        "--features",
        &with_weight,
        "--prototypes",
        &with_weight,
        "--validation",
        &with_weight,
        "--decoder",
        "auto",
        "--out",
        &csv,
    ]);
    assert_snapshot!(text(&auto.stderr), @r"
    auto: threshold has the best exact match on the validation samples, 1.0000, before ONN, cosine, tag averages with 1.0000
    auto: it has exact match 1.0000, Jaccard 1.0000, micro F1 1.0000, macro F1 1.0000 and Hamming loss 0.0000 on these samples, which tuned it too; --criterion chooses by another measure
    tuned: labels with a score of at least -1.3654, the best label where there is none
    ");
}

/// Features alone.
fn write_unlabelled(path: &Path, num_samples: usize, dim: usize) {
    let values: Vec<f32> = (0..num_samples * dim).map(|i| (i % 7) as f32).collect();
    let mut writer = TensorWriter::new();
    writer
        .add("features", &[num_samples, dim], &values)
        .unwrap();
    writer.write(path).unwrap();
}

#[test]
fn a_saved_decoder_gives_the_same_answers_without_the_training_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (head, kept) = (path("head.safetensors"), path("decoder.safetensors"));
    let (first, second) = (path("first.csv"), path("second.csv"));
    let train = &write_tables(folder.path(), "train", 240)[0];
    let test = &write_tables(folder.path(), "test", 60)[0];
    let names = ["--labels", &train[2]];
    success(&[["fit", &train[0], "-o", &head].as_slice(), &names].concat());
    let made = [
        "decode",
        "--features",
        &test[0],
        "--prototypes",
        &train[0],
        "--head",
        &head,
        "--save",
        &kept,
        "--out",
        &first,
    ];
    let features = ["decode", "--features", &test[0], "--decoder-file", &kept];
    for more in [
        ["--decoder", "onn"],
        ["--space", "logits"],
        ["--decoder", "label-thresholds"],
        ["--decoder", "predicted-multiplicity"],
        ["--decoder", "auto"],
    ] {
        success(&[made.as_slice(), &names, &more].concat());
        success(&[features.as_slice(), &names, &["--out", &second]].concat());
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&first), read(&second), "{more:?}");
        assert!(read(&first).contains(r"sea;semi\;colon"));
    }
    let json: Value = serde_json::from_str(&success(
        &[features.as_slice(), &names, &["--json"]].concat(),
    ))
    .unwrap();
    assert!(json["tuned"].is_object() && json["candidates"].is_array());

    std::fs::remove_file(&head).unwrap();
    let both = [features.as_slice(), &["--head", &head]].concat();
    assert!(failure(&both, 2).contains("cannot be used with"));
    let with_dots = |message: String| message.replace(&folder.path().display().to_string(), "…");
    let narrow = path("narrow.safetensors");
    write_samples(narrow.as_ref(), 20, 4);
    let new = path("new.safetensors");
    write_unlabelled(new.as_ref(), 30, 5);
    let answers = success(&["decode", "--features", &new, "--decoder-file", &kept]);
    assert_eq!(answers.lines().count(), 31);
    assert!(answers.starts_with("sample,labels"));
    let wrong = ["decode", "--features", &narrow, "--decoder-file", &kept];
    assert_snapshot!(with_dots(failure(&wrong, 1)), @"tagwise: expected 5 features like the decoder in …/decoder.safetensors, found 4 in …/narrow.safetensors");
    let none = ["decode", "--features", &narrow, "--decoder-file", &narrow];
    assert_snapshot!(with_dots(failure(&none, 1)), @"tagwise: …/narrow.safetensors: expected the file of a decoder, as saving one writes it, found none of its metadata");
}

#[test]
fn answers_are_written_as_parquet_where_the_program_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, answers) = (path("train.safetensors"), path("answers.parquet"));
    write_samples(train.as_ref(), 60, 5);
    let decode = [
        "decode",
        "--features",
        &train,
        "--prototypes",
        &train,
        "--out",
        &answers,
    ];
    if cfg!(feature = "parquet") {
        success(&decode);
        let bytes = std::fs::read(&answers).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    } else {
        let with_dots = failure(&decode, 1).replace(&folder.path().display().to_string(), "…");
        assert_snapshot!(with_dots, @"tagwise: …/answers.parquet: this program was built without Parquet; build it with `cargo install --path crates/tagwise-cli --features parquet`, or write .csv or .json");
    }
}
