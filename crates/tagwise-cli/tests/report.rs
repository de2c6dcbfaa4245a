//! `tagwise report` as its users meet it: one run, several runs, unfinished and broken ones.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;
use serde_json::Value;

/// Runs the command in a folder of its own.
fn tagwise(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = tagwise(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that fails with exit code 1 says.
fn fail(folder: &Path, arguments: &[&str]) -> String {
    let output = tagwise(folder, arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// One epoch on a handful of images.
fn train(folder: &Path, out: &str, more: &[&str]) {
    let arguments = [
        &["train", "--quiet", "--epochs", "1", "--out", out][..],
        &["--set", "data.train.per_multiplicity=[4,1]"],
        &["--set", "data.validation.per_multiplicity=[1,1]"],
        &["--set", "data.test.per_multiplicity=[1,1]"],
        more,
    ];
    succeed(folder, &arguments.concat());
}

#[test]
fn runs_are_compared_by_the_names_of_their_folders() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    train(folder, "learned", &[]);
    train(
        folder,
        "fixed",
        &["--classifier", "fixed-etf", "--feature-dim", "10"],
    );

    let printed = succeed(
        folder,
        &["report", "learned", "fixed/report.json", "--json"],
    );
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let rows = printed["key_figures"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["run"], &rows[1]["run"]),
        (&"learned".into(), &"fixed".into())
    );
    let count = |row: usize| rows[row]["Trainable parameters"].as_f64().unwrap();
    let saved = rows[1]["parameters saved"].as_f64().unwrap();
    assert!((saved - (1.0 - count(1) / count(0))).abs() < 1e-12 && saved > 0.0);
    let differing = &printed["settings_that_differ"][1];
    assert_eq!(differing["network.classifier"], "fixed-etf");

    let page = fs::read_to_string(folder.join("comparison.html")).unwrap();
    assert!(page.contains("<h1>learned and fixed</h1>"));
    assert!(page.contains("data-name=\"fixed\""));
}

#[test]
fn one_run_is_drawn_again_where_it_was_and_says_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    train(folder, "run", &[]);
    let page = folder.join("run/report.html");
    let first = fs::read(&page).unwrap();
    fs::remove_file(&page).unwrap();
    let printed = succeed(folder, &["report", "run"]);
    assert!(printed.contains("one nearest neighbour") && printed.contains("run/report.html"));
    assert_eq!(fs::read(&page).unwrap(), first);
}

#[test]
fn an_unfinished_run_shows_what_it_has() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    train(folder, "run", &[]);
    for file in ["report.json", "report.html", "summary.json"] {
        fs::remove_file(folder.join("run").join(file)).unwrap();
    }
    let printed = succeed(folder, &["report", "run", "--out", "partial.html"]);
    assert!(printed.contains("NC2"), "{printed}");
    let page = fs::read_to_string(folder.join("partial.html")).unwrap();
    assert!(page.contains("This run is not finished: 1 of 1 epoch is done."));
    assert!(page.contains("data-x=\"epoch\""));
    let said = succeed(folder, &["report", "run", "--out", "run.csv"]);
    assert!(said.contains("run.csv"));
    let numbers = fs::read_to_string(folder.join("run.csv")).unwrap();
    assert!(numbers.starts_with("figure,series,x,value\n"));
    assert!(numbers.contains("\nLoss,training set,1,"), "{numbers}");
}

#[test]
fn what_is_no_run_is_told_in_one_sentence() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::create_dir(folder.join("broken")).unwrap();
    fs::write(folder.join("broken/report.json"), "{\"title\": 3}").unwrap();
    let mut said = fail(folder, &["report", "nowhere"]);
    said += &fail(folder, &["report", "empty"]);
    said += &fail(folder, &["report", "broken"]);
    assert_snapshot!(said, @r"
    tagwise: nowhere: expected the folder of a run or a report.json file, found nothing there
    tagwise: empty: expected the folder of a run, with report.json or with config.toml and metrics.jsonl, found neither
    tagwise: broken/report.json: expected a report that tagwise has written: invalid type: integer `3`, expected a string at line 1 column 11
    ");
    let refused = tagwise(folder, &["report", "broken", "--out", "page.pdf"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_snapshot!(
        String::from_utf8(refused.stderr).unwrap(),
        @"tagwise: page.pdf: expected a name that ends in .html, .svg, .csv or .json"
    );
    assert!(!folder.join("comparison.html").exists());
    assert!(!folder.join("broken/report.html").exists());
}
