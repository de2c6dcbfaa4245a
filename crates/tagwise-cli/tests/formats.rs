//! The same samples in the files that people have, as the commands answer them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

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

fn stderr(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(tagwise(folder, arguments).stderr).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Two labels, both on where a sparse row leaves them out.
const HEADER: &str = "@relation 's: -C 2'\n@attribute A {yes,no}\n@attribute B {1,0}\n\
                      @attribute x numeric\n@data\n";

#[test]
fn ufm_sees_the_same_labels_in_sparse_dense_and_zero_based_files() {
    let sparse = format!("{HEADER}{{2 1}}\n{{0 no, 2 3}}\n{{1 0}}\n{{}}\n");
    let dense = format!("{HEADER}yes\t1\t1\nno,1,3,\nyes,0,0,{{2}}\nyes 1 0 % both\n");
    let folder = folder(&[
        ("sparse.arff", &sparse),
        ("DENSE.ARFF", &dense),
        ("zero.svm", "0,1 0:1\n1 0:3\n0 1:0\n0,1 1:1\n"),
        ("rows.txt", "0,1 1:1\n1 1:3\n0 2:0\n0,1 2:1\n"),
        ("table.csv", "x,A,B\n1,1,1\n3,0,1\n0,1,0\n0.5,1,1\n"),
    ]);
    let answer = |arguments: &[&str]| {
        let mut all = vec!["ufm", "--json", "--quiet", "--targets"];
        all.extend(arguments);
        let answer: Value = serde_json::from_str(&stdout(folder.path(), &all)).unwrap();
        ["num_samples", "num_unlabelled", "num_label_sets", "value"].map(|key| {
            assert!(answer[key].is_number(), "{key}");
            answer[key].clone()
        })
    };
    let expected = answer(&["sparse.arff"]);
    assert_eq!(answer(&["DENSE.ARFF"]), expected);
    assert_eq!(answer(&["table.csv", "--label-columns", "A,B"]), expected);
    let names = ["--class-names", "A,B"];
    assert_eq!(answer(&[&["zero.svm"], &names[..]].concat()), expected);
    assert_eq!(answer(&[&["rows.txt"], &names[..]].concat()), expected);
    let said = stderr(
        folder.path(),
        &["ufm", "--json", "--quiet", "--targets", "zero.svm"],
    );
    assert!(said.contains("numbered from 0"), "{said}");
}

#[test]
fn decode_takes_rows_without_labels() {
    let header = HEADER
        .replace("{yes,no}", "{0,1}")
        .replace("{1,0}", "{0,1}")
        .replace("@data", "@attribute y numeric\n@data");
    let rows = "1,0,1,0.1\n1,0,0.9,0\n0,1,0,1\n0,1,0.1,0.9\n1,1,1,1\n1,1,0.9,1\n";
    let train = format!("{header}{rows}");
    let unknown = format!("{header}?,?,1,0.05\n?,?,0.05,1\n?,?,1,1\n");
    let folder = folder(&[
        ("train.arff", &train),
        ("unknown.arff", &unknown),
        ("new.csv", "x,y\n1,0.05\n0.05,1\n1,1\n"),
    ]);
    let decode = |features: &str| {
        let arguments = [
            "decode",
            "--features",
            features,
            "--prototypes",
            "train.arff",
            "--decoder",
            "onn",
            "--out",
            "out.csv",
        ];
        stdout(folder.path(), &arguments);
        std::fs::read_to_string(folder.path().join("out.csv")).unwrap()
    };
    let answers = decode("unknown.arff");
    assert_eq!(decode("new.csv"), answers);
    let lines: Vec<&str> = answers.lines().skip(1).collect();
    assert_eq!(lines.len(), 3);
    for (line, labels) in lines.iter().zip(["A", "B", "A;B"]) {
        assert!(line.split(',').any(|cell| cell == labels), "{line}");
    }
    let refused = stderr(
        folder.path(),
        &["fit", "unknown.arff", "--out", "h.safetensors"],
    );
    assert!(
        refused.contains("can be decoded, not learned from or judged"),
        "{refused}"
    );
}
