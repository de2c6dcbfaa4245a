//! Label sets, models and descriptions that other programs take from Tagwise: `predict`, `export`,
//! `evaluate` of what others predicted, completions, manual pages.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tagwise::snapshot::{FeatureValues, Format, Snapshot};
use tagwise::tensors::TensorWriter;
use tagwise::{LabelSet, Targets};

fn tagwise(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = tagwise(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(folder, arguments)).unwrap()
}

fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = tagwise(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    error
}

/// Features that stand on the axes of their labels, of 3 classes in 4 dimensions.
fn sets(num_samples: u32) -> Vec<LabelSet> {
    let labels = |i: u32| (0..1 + i % 2).map(move |j| (i / 2 + j * (1 + i % 2)) % 3);
    (0..num_samples).map(|i| labels(i).collect()).collect()
}

fn features(sets: &[LabelSet]) -> Vec<f64> {
    let value = |(i, set): (usize, &LabelSet)| {
        let set = set.clone();
        (0..4u32).map(move |axis| {
            let wiggle = ((i * 31 + axis as usize * 17) % 23) as f64 / 23.0 - 0.5;
            f64::from(u8::from(set.contains(axis))) + 0.2 * wiggle
        })
    };
    sets.iter().enumerate().flat_map(value).collect()
}

fn write_table(path: &Path, sets: &[LabelSet]) {
    let names = ["cow", "ant", "bee"];
    let mut text = "a,b,c,d,tags\n".to_string();
    for (row, set) in features(sets).chunks(4).zip(sets) {
        let labels: Vec<&str> = set.indices().map(|label| names[label]).collect();
        let row: Vec<String> = row.iter().map(ToString::to_string).collect();
        text += &format!("{},{}\n", row.join(","), labels.join(";"));
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_head_predicts_names_with_confidences_that_evaluate_reads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(&folder.join("train.csv"), &sets(200));
    write_table(&folder.join("test.csv"), &sets(60));
    let order = ["--class-names", "cow,ant,bee"];
    stdout(
        folder,
        &[
            &["fit", "train.csv", "--weight-decay", "0.001", "--quiet"],
            &order[..],
        ]
        .concat(),
    );
    let csv = stdout(folder, &["predict", "head.safetensors", "test.csv"]);
    assert!(
        csv.starts_with("sample,labels,confidences\n0,cow,0."),
        "{csv}"
    );
    for name in ["p.csv", "p.json"] {
        stdout(
            folder,
            &["predict", "head.safetensors", "test.csv", "--out", name],
        );
        let evaluate = ["evaluate", name, "--truth", "test.csv", "--json"];
        let measures = json(folder, &[&evaluate[..], &order[..]].concat());
        assert!(
            measures["subset_accuracy"].as_f64().unwrap() > 0.95,
            "{measures}"
        );
    }
    let answer = json(
        folder,
        &["predict", "head.safetensors", "test.csv", "--json"],
    );
    assert_eq!(
        answer["class_names"],
        serde_json::json!(["cow", "ant", "bee"])
    );
    let first = &answer["predictions"][0];
    assert_eq!(
        first["labels"].as_array().unwrap().len(),
        first["confidences"].as_array().unwrap().len()
    );
    // A tuned decoder, on arrays, with the names of the command line.
    stdout(
        folder,
        &[
            &[
                "decode",
                "--features",
                "test.csv",
                "--validation",
                "train.csv",
                "--head",
                "head.safetensors",
                "--decoder",
                "threshold",
                "--save",
                "decoder.safetensors",
                "--out",
                "a.csv",
            ],
            &order[..],
        ]
        .concat(),
    );
    stdout(
        folder,
        &[
            "predict",
            "head.safetensors",
            "test.csv",
            "--decoder-file",
            "decoder.safetensors",
            "--out",
            "q.csv",
        ],
    );
    let targets = Targets::new(3, sets(60)).unwrap();
    let snapshot =
        Snapshot::new(FeatureValues::F64(features(&sets(60))), 4, targets, None).unwrap();
    std::fs::write(
        folder.join("test.npz"),
        snapshot.to_bytes(Format::Npz).unwrap(),
    )
    .unwrap();
    let decoded = stdout(
        folder,
        &[
            &[
                "decode",
                "--features",
                "test.npz",
                "--decoder-file",
                "decoder.safetensors",
            ],
            &order[..],
        ]
        .concat(),
    );
    assert_eq!(
        decoded,
        std::fs::read_to_string(folder.join("a.csv")).unwrap()
    );
    let wrong = [
        "decode",
        "--features",
        "test.npz",
        "--decoder-file",
        "decoder.safetensors",
        "--class-names",
        "ant,bee,cow",
    ];
    insta::assert_snapshot!(refused(folder, &wrong, 1), @r#"tagwise: expected label 0 to be "cow" like the decoder in decoder.safetensors, found "ant" in test.npz"#);
}

#[test]
fn heads_of_the_set_likelihood_predict_by_their_distribution() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(&folder.join("train.csv"), &sets(200));
    write_table(&folder.join("test.csv"), &sets(60));
    stdout(
        folder,
        &["fit", "train.csv", "--loss", "set-likelihood", "--quiet"],
    );
    let answer = json(
        folder,
        &["predict", "head.safetensors", "test.csv", "--json"],
    );
    assert_eq!(answer["confidence"], "inclusion");
    let samples = answer["predictions"].as_array().unwrap();
    let confidences = samples
        .iter()
        .flat_map(|sample| sample["confidences"].as_array().unwrap());
    assert!(
        confidences
            .clone()
            .all(|p| (0.3..=1.0).contains(&p.as_f64().unwrap()))
    );
    std::fs::write(folder.join("p.json"), answer.to_string()).unwrap();
    let judge = [
        "evaluate",
        "p.json",
        "--truth",
        "test.csv",
        "--head",
        "head.safetensors",
        "--json",
    ];
    let measures = json(folder, &judge);
    assert!(
        measures["subset_accuracy"].as_f64().unwrap() > 0.95,
        "{measures}"
    );
    if cfg!(feature = "parquet") {
        stdout(
            folder,
            &[
                "predict",
                "head.safetensors",
                "test.csv",
                "--out",
                "p.parquet",
            ],
        );
        let judge = [
            "evaluate",
            "p.parquet",
            "--truth",
            "test.csv",
            "--head",
            "head.safetensors",
            "--json",
        ];
        assert_eq!(json(folder, &judge), measures);
    }
    // What `decode` says of whole sets is judged in every form that it writes.
    let mut calibrations = Vec::new();
    let parquet = cfg!(feature = "parquet").then_some("a.parquet");
    for name in ["a.csv", "a.json"].into_iter().chain(parquet) {
        let decode = [
            "decode",
            "--features",
            "test.csv",
            "--head",
            "head.safetensors",
            "--decoder",
            "most-probable",
            "--out",
            name,
        ];
        stdout(folder, &decode);
        let measures = json(folder, &["evaluate", name, "--truth", "test.csv", "--json"]);
        assert!(measures["calibration"].is_object(), "{measures}");
        calibrations.push(measures["calibration"].clone());
    }
    assert!(calibrations.iter().all(|found| *found == calibrations[0]));
    let export = tagwise(folder, &["export", "head.safetensors"]);
    let said = String::from_utf8(export.stderr).unwrap();
    assert!(
        said.contains("the potentials of its set likelihood are no part of the model"),
        "{said}"
    );
}

#[test]
fn models_for_other_programs_say_what_enters_and_leaves_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut writer = TensorWriter::new();
    writer
        .add("weight", &[2, 3], &[1.0f64, 0.5, -0.25, 2.0, 0.0, -1.5])
        .unwrap();
    writer.write(&folder.join("head.safetensors")).unwrap();
    insta::assert_snapshot!(stdout(folder, &["export", "head.safetensors", "--out", "head.onnx"]), @"features [N, 3] to logits [N, 2]: head.onnx");
    let model = std::fs::read(folder.join("head.onnx")).unwrap();
    assert!(model.windows(4).any(|bytes| bytes == b"Gemm"));
    let error = refused(folder, &["export", "nothing.safetensors"], 1);
    assert!(
        error.contains("nothing.safetensors: No such file"),
        "{error}"
    );
}

#[test]
fn labels_are_enough_to_judge_predictions_of_any_kind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, array: &str, columns: &[u8]| {
        let mut writer = TensorWriter::new();
        writer.add(array, &[3, 3], columns).unwrap();
        writer.write(&folder.join(name)).unwrap();
    };
    write("truth.safetensors", "targets", &[1, 0, 1, 0, 1, 0, 0, 0, 0]);
    write(
        "predicted.safetensors",
        "y_pred",
        &[1, 0, 1, 0, 1, 0, 0, 0, 0],
    );
    std::fs::write(
        folder.join("bom.csv"),
        "\u{feff}sample,label_ids\n0,0;2\n1,1\n2,\n\n",
    )
    .unwrap();
    std::fs::write(folder.join("hot.csv"), "a,b,c\n1,0,1\n0,1,0\n0,0,0\n").unwrap();
    std::fs::write(folder.join("sets.json"), "[[2, 0], [1], []]").unwrap();
    for name in ["predicted.safetensors", "bom.csv", "hot.csv", "sets.json"] {
        let measures = json(
            folder,
            &["evaluate", name, "--truth", "truth.safetensors", "--json"],
        );
        assert_eq!(measures["subset_accuracy"], 1.0, "{name}");
        assert_eq!(measures["f1_micro"], 1.0, "{name}");
    }
    let four = refused(
        folder,
        &[
            "evaluate",
            "hot.csv",
            "--truth",
            "truth.safetensors",
            "-k",
            "4",
        ],
        1,
    );
    insta::assert_snapshot!(four, @"tagwise: truth.safetensors: expected 4 classes as --classes says, found 3");
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let commands = [
        "data", "train", "report", "fit", "decode", "predict", "evaluate", "analyze", "stats",
        "merge", "export", "ufm",
    ];
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(folder, &["completions", shell]);
        assert!(
            commands.iter().all(|command| script.contains(command)),
            "{shell}"
        );
    }
    stdout(folder, &["man", "pages"]);
    for command in commands {
        let page =
            std::fs::read_to_string(folder.join(format!("pages/tagwise-{command}.1"))).unwrap();
        assert!(page.contains(command));
    }
    // Every command shows how it is used.
    let of_data = ["data fetch", "data compose", "data preview"];
    for command in commands
        .iter()
        .chain(&of_data)
        .chain(&["completions", "man"])
    {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = stdout(folder, &words);
        assert!(help.contains("Examples:\n  tagwise "), "{help}");
    }
}

#[test]
fn colour_is_asked_for_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bold = "\u{1b}[";
    let arguments = |more: &'static str| ["analyze", "absent.npz", "--color", more];
    assert!(refused(folder, &arguments("always"), 1).contains(bold));
    assert!(!refused(folder, &arguments("never"), 1).contains(bold));
    assert!(!refused(folder, &["analyze", "absent.npz"], 1).contains(bold));
    assert!(stdout(folder, &["--color", "always", "fit", "--help"]).contains(bold));
    assert!(!stdout(folder, &["fit", "--help"]).contains(bold));
}

#[test]
fn wrong_settings_are_told_as_they_were_typed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = |more: &[&str]| refused(folder, &[&["train"], more].concat(), 2);
    assert!(
        train(&["--device", "gpu"])
            .contains(r#"expected cpu, cuda, cuda:1 and so on, mps or torch-cpu, found "gpu""#)
    );
    insta::assert_snapshot!(train(&["--set", "training.learning_rate=1e9"]), @"tagwise: expected training.learning_rate to be a number from 0 to 1000, found 1e9");
    insta::assert_snapshot!(train(&["--set", "training.epochs=many"]), @r#"tagwise: training.epochs: wrong kind of value: string "many", expected a whole number from 0"#);
    let text = stdout(folder, &["train", "--print-config", "--epochs", "3"]);
    assert!(
        text.contains("# Passes over the training set\nepochs = 3\n"),
        "{text}"
    );
    let mut writer = TensorWriter::new();
    writer
        .add("features", &[2, 1], &[1.0f32, f32::NAN])
        .unwrap();
    writer.add("targets", &[2, 2], &[1u8, 0, 0, 1]).unwrap();
    writer.write(&folder.join("nan.safetensors")).unwrap();
    insta::assert_snapshot!(refused(folder, &["analyze", "nan.safetensors"], 1), @"tagwise: nan.safetensors: expected finite features, found NaN or infinity in 1 of 2 rows, first in row 1; mend them or leave them out; --skip-non-finite does that");
}

/// The reference page of experiment files is written from the same list as `--print-config`. With
/// TAGWISE_WRITE_DOCS set, this test writes it.
#[test]
fn the_reference_page_of_experiments_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = tagwise_train::experiment_reference();
    if std::env::var_os("TAGWISE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), page);
}
