//! Heads of the set likelihood as their users meet them.

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

/// Samples around sums of axes with 4 classes, a sixth of them without a label.
fn write_samples(path: &Path, num_samples: u32, phase: u32) {
    let set = |i: u32| -> LabelSet {
        let i = i + phase;
        (0..i % 3).map(|j| (i / 3 + j * (1 + i % 2)) % 4).collect()
    };
    let sets: Vec<LabelSet> = (0..num_samples).map(set).collect();
    let features = sets.iter().zip(0u32..).flat_map(|(set, i)| {
        let wiggle = move |axis: u32| ((i * 31 + axis * 17 + phase) % 23) as f32 / 23.0 - 0.5;
        (0..5u32).map(move |axis| f32::from(u8::from(set.contains(axis))) + 0.6 * wiggle(axis))
    });
    let values = FeatureValues::F32(features.collect());
    let targets = Targets::new(4, sets.clone()).unwrap();
    let snapshot = Snapshot::new(values, 5, targets, None).unwrap();
    snapshot.write(path).unwrap();
}

#[test]
fn a_head_of_the_set_likelihood_is_decoded_without_tuning() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, test, head, csv, kept) = (
        path("train.safetensors"),
        path("test.safetensors"),
        path("head.safetensors"),
        path("answers.csv"),
        path("decoder.safetensors"),
    );
    write_samples(train.as_ref(), 240, 0);
    write_samples(test.as_ref(), 100, 7);
    let fitted = success(&[
        "fit",
        &train,
        "--loss",
        "set-likelihood",
        "--out",
        &head,
        "--json",
    ]);
    let fitted: Value = serde_json::from_str(&fitted).unwrap();
    assert_eq!(fitted["converged"], true);
    assert_eq!(fitted["settings"]["loss"]["name"], "set-likelihood");
    assert_eq!(fitted["settings"]["loss"]["max_multiplicity"], 2);
    assert!(fitted["compared"].as_array().unwrap().len() >= 5);

    let decode = ["decode", "--features", &test, "--head", &head];
    for more in [&[][..], &["--decoder", "expected-f1"]] {
        let out = ["--out", &csv, "--save", &kept];
        success(&[&decode[..], more, &out].concat());
        let measures = success(&[
            "evaluate", &csv, "--truth", &test, "--head", &head, "--json",
        ]);
        let measures: Value = serde_json::from_str(&measures).unwrap();
        assert!(measures["subset_accuracy"].as_f64().unwrap() > 0.9);
        assert!(measures["set_log_loss"].as_f64().unwrap() < 0.5);
        assert_eq!(measures["num_impossible"], 0);
        let calibration = &measures["calibration"];
        assert!(calibration["expected_calibration_error"].as_f64().unwrap() < 0.2);
        let again = success(&["decode", "--features", &test, "--decoder-file", &kept]);
        assert_eq!(again, std::fs::read_to_string(&csv).unwrap());
    }
    let listed = success(&[&decode[..], &["--list", "2", "--abstain-below", "0.99"]].concat());
    let header = listed.lines().next().unwrap();
    assert_snapshot!(header, @"sample,label_ids,probability,abstained,label_ids_1,probability_1,label_ids_2,probability_2");
    std::fs::write(&csv, &listed).unwrap();
    let measures = success(&["evaluate", &csv, "--truth", &test]);
    assert!(measures.contains("answered.subset_accuracy"));
    assert!(measures.contains("Reliability"));
    let json = success(&[&decode[..], &["--list", "3", "--json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["most_probable"][0].as_array().unwrap().len(), 3);
    assert_eq!(json["decoder"]["name"], "set-likelihood");
}

#[test]
fn options_and_heads_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (train, head) = (path("train.safetensors"), path("head.safetensors"));
    write_samples(train.as_ref(), 60, 0);
    let refused = |arguments: &[&str]| {
        let output = tagwise(arguments);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert_snapshot!(refused(&["fit", &train, "--seen-sets", "learned"]), @"tagwise: --multiplicities, --seen-sets, --seen-set-decay and --max-multiplicity are for --loss set-likelihood");
    let fit = |more: &[&str]| {
        let loss = [
            "fit",
            &train,
            "--loss",
            "set-likelihood",
            "--out",
            &head,
            "--quiet",
        ];
        refused(&[&loss[..], more].concat())
    };
    assert_snapshot!(fit(&["--max-multiplicity", "1"]), @"tagwise: expected the largest multiplicity at least that of the samples, found 1 with sets of 2 labels");
    assert_snapshot!(fit(&["--optimizer", "sgd"]), @"tagwise: the set likelihood is fitted by L-BFGS, as potentials are shared by all samples; choose it");
    success(&["fit", &train, "--out", &head, "--quiet"]);
    let decode = [
        "decode",
        "--features",
        &train,
        "--prototypes",
        &train,
        "--head",
        &head,
    ];
    let other = refused(&[&decode[..], &["--decoder", "most-probable"]].concat());
    assert_snapshot!(other, @"tagwise: the most probable label set needs a head of `tagwise fit --loss set-likelihood`: give --head");
}
