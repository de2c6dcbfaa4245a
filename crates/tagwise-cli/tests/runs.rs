//! The folder of a run in the place of a file, and its network on new images.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(folder, arguments)).unwrap()
}

/// A grey image of this side.
fn write_image(path: &Path, side: u32) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), side, side);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    let pixels: Vec<u8> = (0..side * side).map(|i| (i * 7 % 256) as u8).collect();
    writer.write_image_data(&pixels).unwrap();
}

#[test]
fn a_run_is_analysed_decoded_predicted_with_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let few =
        ["train", "validation", "test"].map(|part| format!("data.{part}.per_multiplicity=[6, 1]"));
    let mut train = vec!["train", "--out", "run", "--quiet", "--epochs", "1"];
    for set in &few {
        train.extend(["--set", set]);
    }
    stdout(folder, &train);
    let of_file = json(
        folder,
        &["analyze", "run/features-train.safetensors", "--json"],
    );
    let of_run = json(folder, &["analyze", "run", "--json"]);
    assert_eq!(of_run["files"][0]["nc1"], of_file["files"][0]["nc1"]);
    let answers = stdout(
        folder,
        &["decode", "--features", "run", "--prototypes", "run"],
    );
    std::fs::write(folder.join("a.csv"), &answers).unwrap();
    let measures = json(folder, &["evaluate", "a.csv", "--truth", "run", "--json"]);
    assert!(measures["ranking"].is_object(), "{measures}");

    std::fs::create_dir(folder.join("scans")).unwrap();
    write_image(&folder.join("scans/b.png"), 16);
    write_image(&folder.join("scans/a.PNG"), 40);
    write_image(&folder.join("one.png"), 8);
    let answer = json(folder, &["predict", "run", "one.png", "scans", "--json"]);
    let files: Vec<&str> = answer["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["file"].as_str().unwrap())
        .collect();
    assert_eq!(files, ["one.png", "scans/a.PNG", "scans/b.png"]);
    assert_eq!(answer["class_names"].as_array().unwrap().len(), 10);
    // The run's own features give its own first decoder.
    let csv = stdout(folder, &["predict", "run", "run/features-test.safetensors"]);
    let sets = |text: &str| -> Vec<String> {
        text.lines()
            .skip(1)
            .map(|line| line.split(',').nth(1).unwrap().to_string())
            .collect()
    };
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    assert!(sets(&csv).iter().all(|set| {
        set.split(';')
            .all(|name| name.is_empty() || names.contains(&name))
    }));
    assert_eq!(sets(&csv), sets(&answers));
    let exported = stdout(folder, &["export", "run", "--out", "network.onnx"]);
    assert!(
        exported.starts_with("images [N, 1, 16, 16] to features and logits [N, 10]"),
        "{exported}"
    );
}
