//! `tagwise fit`, `decode` and `evaluate` as their users meet them.

use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value;
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::{LabelSet, Targets};

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
    assert_eq!(fitted["held_out"].as_array().unwrap().len(), 8);

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
    assert!(answers.starts_with("sample,labels,score,margin,proven\n0,0,0."));
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
    let with_dots = |message: String| message.replace(&folder.path().display().to_string(), "…");
    let message = failure(
        &["decode", "--features", &narrow, "--prototypes", &train],
        1,
    );
    assert_snapshot!(with_dots(message), @"tagwise: expected features of 5 dimensions like those of the prototypes, found 4 in …/narrow.safetensors");
    let message = failure(
        &[
            "decode",
            "--features",
            &train,
            "--prototypes",
            &train,
            "--decoder",
            "threshold",
        ],
        1,
    );
    assert_snapshot!(with_dots(message), @"tagwise: this decoder needs a classifier: give --head, or training samples with a weight");
    std::fs::write(&csv, "sample,labels\n0,1 2\n1,x\n").unwrap();
    let message = failure(&["evaluate", &csv, "--truth", &train], 1);
    assert_snapshot!(with_dots(message), @"tagwise: …/a.csv, line 3: expected labels as numbers separated by spaces: invalid digit found in string");
    let message = failure(&["fit", &train, "--held-out", "1.5"], 2);
    assert_snapshot!(with_dots(message), @"tagwise: expected --held-out between 0 and 1, found 1.5");
}
