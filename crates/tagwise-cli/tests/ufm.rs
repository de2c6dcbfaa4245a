//! `tagwise ufm` as its users meet it.

use std::process::{Command, Output};

use serde_json::Value;

fn ufm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .arg("ufm")
        .args(arguments)
        .output()
        .unwrap()
}

/// Digits of the reference values below.
const TOLERANCE: f64 = 1e-8;

#[test]
fn balanced_data_have_the_closed_form_with_a_certificate() {
    let output = ufm(&[
        "--classes",
        "5",
        "--counts",
        "1:2,2:1,3:1",
        "--lambda-w",
        "5e-3",
        "--lambda-h",
        "8.333333333333333e-4",
        "--lambda-b",
        "1e-3",
        "--json",
    ]);
    assert!(output.status.success());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let close =
        |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < TOLERANCE;
    assert!(close(&answer["value"], 1.795429834063));
    assert!(close(&answer["row_norms"][0], 1.93946261));
    assert!(close(&answer["constants"]["2"], 0.85882610));
    assert_eq!(answer["verdict"], "certified");
    assert!(answer["relative_gap"].as_f64().unwrap() < 1e-9);
}

#[test]
fn what_has_no_meaning_is_refused_with_code_2() {
    for arguments in [
        ["--classes", "1", "--counts", "1:3"].as_slice(),
        &["--classes", "5", "--counts", "1:2", "--lambda-w", "0"],
        &["--classes", "5", "--counts", "one:2"],
    ] {
        let output = ufm(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
