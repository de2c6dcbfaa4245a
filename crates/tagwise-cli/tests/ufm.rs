//! `tagwise ufm` as its users meet it.

use std::path::Path;
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
fn the_set_likelihood_has_potentials_and_a_common_direction() {
    let balanced = [
        "--classes",
        "4",
        "--counts",
        "0:2,1:3,2:2",
        "--loss",
        "set-likelihood",
    ];
    let answer = json(&ufm(&[&balanced[..], &["--json"]].concat()));
    assert_eq!(answer["method"], "closed-form");
    assert_eq!(answer["verdict"], "certified");
    assert_eq!(answer["loss"]["name"], "set-likelihood");
    assert_eq!(answer["potentials"].as_array().unwrap().len(), 3);
    assert_eq!(answer["num_label_sets"], 11.0);
    assert!(answer["geometry"]["common"]["norm"].as_f64().unwrap() > 0.1);
    let solver = json(&ufm(
        &[&balanced[..], &["--json", "--method", "solver"]].concat()
    ));
    let value = |answer: &Value| answer["value"].as_f64().unwrap();
    assert!((value(&solver) - value(&answer)).abs() < TOLERANCE);
    let text = String::from_utf8(ufm(&balanced).stdout).unwrap();
    assert!(text.contains(", set likelihood\n") && text.contains("Potentials of 0 to 2 labels: "));
    let scratch = tempfile::tempdir().unwrap();
    let wrong = failure(
        scratch.path(),
        &[
            "--classes",
            "4",
            "--counts",
            "1:1",
            "--multiplicities",
            "none",
        ],
    );
    insta::assert_snapshot!(wrong, @"2 tagwise: expected --multiplicities and --max-multiplicity with --loss set-likelihood, found another loss");
}

fn json(output: &Output) -> Value {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a failed command says and how it ends, with paths shortened to file names.
fn failure(folder: &Path, arguments: &[&str]) -> String {
    let output = ufm(arguments);
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    let message = message.replace(&format!("{}/", folder.display()), "");
    format!("{} {}", output.status.code().unwrap(), message.trim())
}

/// A one-array NumPy file of 64-bit floats, `[N, K]` row by row.
fn npy(rows: usize, columns: usize, values: &[f64]) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let header = format!("{header:<117}\n"); // magic, version, length and header fill 128 bytes
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    bytes
}

/// Six samples of four classes in every format that `--targets` reads; class 3 never stands alone
/// and one sample has no label.
fn label_files(folder: &Path) -> Vec<Vec<String>> {
    let rows = [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [1, 1, 0, 0],
        [0, 1, 1, 1],
        [0; 4],
    ];
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name).display().to_string()
    };
    let values: Vec<f64> = rows.iter().flatten().map(|&x| f64::from(x)).collect();
    let attributes: String = ["a", "b", "c", "d"]
        .map(|name| format!("@attribute {name} {{0,1}}\n"))
        .concat();
    let cells = |row: &[i32; 4]| row.map(|x| x.to_string()).join(",");
    let arff = |relation: &str, feature_first: bool| {
        let mut text = format!("@relation '{relation}'\n");
        match feature_first {
            true => text += &format!("@attribute x numeric\n{attributes}@data\n"),
            false => text += &format!("{attributes}@attribute x numeric\n@data\n"),
        }
        for row in &rows {
            match feature_first {
                true => text += &format!("0.5,{}\n", cells(row)),
                false => text += &format!("{},0.5\n", cells(row)),
            }
        }
        text
    };
    let xml: String = ["a", "b", "c", "d"]
        .map(|name| format!("<label name=\"{name}\"/>"))
        .concat();
    let sparse = |feature: &str| -> String {
        let labels = |row: &[i32; 4]| {
            let own = (0..4).filter(|&k| row[k] == 1).map(|k| k.to_string());
            own.collect::<Vec<_>>().join(",")
        };
        rows.iter()
            .map(|row| format!("{} {feature}:0.5\n", labels(row)))
            .collect()
    };
    let tensors = {
        let header = r#"{"targets":{"dtype":"U8","shape":[6,4],"data_offsets":[0,24]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(rows.iter().flatten().map(|&x| x as u8));
        bytes
    };
    let mulan = write("mulan.arff", arff("mulan", true).as_bytes());
    let xml = write("mulan.xml", format!("<labels>{xml}</labels>").as_bytes());
    vec![
        vec![write("targets.npy", &npy(6, 4, &values))],
        vec![write("targets.safetensors", &tensors)],
        vec![mulan, "--labels".into(), xml],
        vec![write("meka.arff", arff("meka: -C 4", false).as_bytes())],
        vec![write(
            "xmc.txt",
            format!("6 2 4\n{}", sparse("0")).as_bytes(),
        )],
        vec![write("rows.svm", sparse("1").as_bytes())],
    ]
}

#[test]
fn every_format_gives_the_same_answer_with_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut values = Vec::new();
    for file in label_files(folder.path()) {
        let mut arguments = vec!["--json", "--targets"];
        arguments.extend(file.iter().map(String::as_str));
        let answer = json(&ufm(&arguments));
        for key in [
            "value",
            "dual_value",
            "gap",
            "sigma_ratio",
            "row_norms",
            "constants",
            "label_mass",
            "num_label_sets",
            "iterations",
            "seconds",
        ] {
            assert!(!answer[key].is_null(), "{key} of {file:?}");
        }
        assert_eq!(answer["verdict"], "certified");
        assert_eq!(answer["num_label_sets"], 5.0);
        assert_eq!(answer["num_unlabelled"], 1.0);
        assert_eq!(answer["row_norms"].as_array().unwrap().len(), 4);
        for m in ["1", "2", "3"] {
            assert!(answer["constants"][m].is_number() && answer["label_mass"][m].is_number());
        }
        values.push(answer["value"].as_f64().unwrap());
    }
    assert_eq!(values.len(), 6);
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
}

#[test]
fn the_solver_confirms_the_closed_form() {
    let arguments = [
        "--classes",
        "6",
        "--counts",
        "1:2,2:1,6:3",
        "--json",
        "--method",
    ];
    let by = |method| json(&ufm(&[arguments.as_slice(), &[method]].concat()));
    let (closed, solved) = (by("auto"), by("solver"));
    assert_eq!(
        (&closed["method"], &solved["method"]),
        (&"closed-form".into(), &"solver".into())
    );
    let difference = closed["value"].as_f64().unwrap() - solved["value"].as_f64().unwrap();
    assert!(difference.abs() < TOLERANCE);
    // Sets of all classes have feature 0 and all the mass.
    assert_eq!(closed["feature_norms"]["6"], 0.0);
    assert_eq!(closed["label_mass"]["6"], 1.0);
}

#[test]
fn a_saved_answer_is_read_by_analyze_and_by_ufm() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder
        .path()
        .join("optimum.safetensors")
        .display()
        .to_string();
    let balanced = [
        "--classes",
        "4",
        "--counts",
        "1:6,2:2",
        "--save",
        &saved,
        "--json",
    ];
    let answer = json(&ufm(&balanced));
    let output = Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .args(["analyze", "--json", &saved])
        .output()
        .unwrap();
    let measured = &json(&output)["files"][0];
    assert_eq!(measured["num_samples"], 4 * 6 + 6 * 2);
    let nc2 = measured["nc2"]["classifier"].as_f64().unwrap();
    assert!(nc2 < TOLERANCE, "{measured}");
    let nc_2 = measured["nc_m"]["2"]["uniform"]["value"].as_f64().unwrap();
    assert!(nc_2 < TOLERANCE);
    let again = json(&ufm(&["--targets", &saved, "--json"]));
    assert_eq!(again["value"], answer["value"]);
}

#[test]
fn the_page_shows_the_geometry() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let write = |arguments: &[&str]| {
        let output = ufm(&[arguments, &["--report", page.to_str().unwrap()]].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::read_to_string(&page).unwrap()
    };
    let small = write(&["--classes", "4", "--counts", "1:6,2:2"]);
    for part in [
        "Tag-wise averages",
        "Classifier rows",
        "Features of single labels",
        "certified",
    ] {
        assert!(small.contains(part), "{part}");
    }
    assert!(small.find("Tag-wise averages") < small.find(">Results<"));
    let files = label_files(folder.path());
    let named: Vec<&str> = files[2].iter().map(String::as_str).collect();
    let named = write(&[&["--targets"], named.as_slice()].concat());
    assert!(named.contains("{b, c, d}"));
    let many = write(&["--classes", "130", "--counts", "1:6"]);
    assert!(many.contains("The 100 most frequent of 130 classes."));
}

#[test]
fn label_matrices_without_meaning_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |rows: usize, columns: usize, values: &[f64], more: &[&str]| {
        let path = folder.path().join("y.npy");
        std::fs::write(&path, npy(rows, columns, values)).unwrap();
        let path = path.display().to_string();
        failure(folder.path(), &[&["--targets", &path], more].concat())
    };
    insta::assert_snapshot!(refused(0, 3, &[], &[]), @"1 tagwise: the labels of y.npy: expected at least one sample with a label, found 0 samples, all with an empty label set");
    insta::assert_snapshot!(refused(2, 3, &[0.0; 6], &[]), @"1 tagwise: the labels of y.npy: expected at least one sample with a label, found 2 samples, all with an empty label set");
    // One column holds the number of a class, which is 0 here.
    insta::assert_snapshot!(refused(3, 1, &[0.0; 3], &[]), @"1 tagwise: the labels of y.npy: expected the number of classes to be at least 2 (with one class every softmax is 1), found 1");
    insta::assert_snapshot!(refused(2, 2, &[1.0, f64::NAN, 0.0, 1.0], &[]), @"1 tagwise: y.npy: in `targets`: expected targets of 0 and 1, found NaN at row 0, column 1");
    insta::assert_snapshot!(refused(2, 2, &[1.0, 0.5, 0.0, 1.0], &[]), @"1 tagwise: y.npy: in `targets`: expected targets of 0 and 1, found 0.5 at row 0, column 1");
    insta::assert_snapshot!(refused(2, 3, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], &["--bias", "free"]), @"1 tagwise: expected every class in some sample when the bias has no decay, found none with class 2 (1 such classes); drop the class or give the bias a decay");
    insta::assert_snapshot!(refused(1, 2, &[1.0, 0.0], &["--classes", "3"]), @"1 tagwise: y.npy: expected 3 classes as --classes says, found 2");
}

#[test]
fn numbers_without_meaning_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        failure(folder.path(), &arguments)
    };
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --lambda-w 0"), @"2 tagwise: expected lambda_w to be greater than 0 and finite (without decay the minimum is not attained), found 0");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --lambda-h=-1"), @"2 tagwise: expected lambda_h to be greater than 0 and finite (without decay the minimum is not attained), found -1");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --lambda-b nan"), @"2 tagwise: expected lambda_b to be greater than 0 and finite (without decay the minimum is not attained), found NaN");
    insta::assert_snapshot!(refused("--classes 1 --counts 1:3"), @"2 tagwise: expected the number of classes to be at least 2 (with one class every softmax is 1), found 1");
    insta::assert_snapshot!(refused("--classes 5 --counts 6:1"), @"2 tagwise: expected the multiplicity to be at most the number of classes, found 6 labels per sample of 5 classes");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:0"), @"2 tagwise: expected at least one sample with a label, found 0 samples, all with an empty label set");
    insta::assert_snapshot!(refused("--classes 5 --counts 0:9"), @"2 tagwise: expected at least one sample with a label, found 9 samples, all with an empty label set");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:nan"), @"2 tagwise: expected the number of samples to be finite and not negative, found NaN for multiplicity 1");
    insta::assert_snapshot!(refused("--classes 5 --counts one:2"), @r#"2 tagwise: expected multiplicity:samples in --counts, for example 1:3100,2:200, found "one:2""#);
    insta::assert_snapshot!(refused("--classes 10000 --counts 5000:1"), @"2 tagwise: expected the number of samples to be below 1.8e308; give totals per multiplicity instead of samples per set, found 1 for each set of 5000 among 10000 classes");
    insta::assert_snapshot!(refused("--classes 60 --counts 30:1 --method solver"), @"1 tagwise: expected at most 1e8 logits (classes times label sets) to write out, found 60 classes and 1.183e17 label sets; only the closed form answers for so many");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --dim 0"), @"2 tagwise: expected the feature dimension to be at least 1, found 0");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --classifier fixed-etf --dim 3"), @"2 tagwise: no simplex ETF of 5 classes exists in 3 dimensions; use at least 4");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --gap 2"), @"2 tagwise: expected --gap from 0 to below 1, found 2");
    insta::assert_snapshot!(refused("--classes 5 --counts 1:2 --report page.pdf"), @"2 tagwise: page.pdf: expected a name that ends in .html, .svg, .csv or .json");
    insta::assert_snapshot!(refused("--classes 5"), @"2 tagwise: expected how many samples there are: --counts 1:3100,2:200 or --totals 1:31000,2:9000");
    insta::assert_snapshot!(refused("--counts 1:2"), @"2 tagwise: expected labels: --classes with --counts or --totals, or --targets FILE");
    insta::assert_snapshot!(refused("--targets labels.xyz"), @"1 tagwise: labels.xyz: expected a file that ends in .safetensors, .npz, .npy, .parquet, .arff, .csv, .tsv, .txt, .svm or .libsvm, or a folder of .npy files");
}

#[test]
fn a_class_without_samples_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("y.npy");
    std::fs::write(&path, npy(2, 3, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])).unwrap();
    let output = ufm(&["--targets", path.to_str().unwrap()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let note = text
        .lines()
        .find(|line| line.contains("no sample has"))
        .unwrap_or("");
    insta::assert_snapshot!(note, @"Note: no sample has class 2 (1 of 3): its row only lowers its own probability.");
}
