//! Every form of file and JSON states its version; a later one is refused in one sentence.

use std::fs;
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

/// Commands that read what [`everything`] makes.
const EVALUATE: [&str; 4] = [
    "evaluate",
    "a.json",
    "--truth",
    "run/features-test.safetensors",
];
const DECODE: [&str; 5] = [
    "decode",
    "--features",
    "run",
    "--decoder-file",
    "decoder.safetensors",
];

/// A run of one epoch on a handful of images, and what else is made of its features.
fn everything(folder: &Path) {
    let few = |set: &str| format!("data.{set}.per_multiplicity=[4,1]");
    let (train, validation, test) = (few("train"), few("validation"), few("test"));
    let mut arguments = vec!["train", "-q", "--epochs", "1", "--out", "run"];
    for setting in [&train, &validation, &test] {
        arguments.extend(["--set", setting]);
    }
    stdout(folder, &arguments);
    stdout(folder, &["stats", "run", "--out", "s.ncs"]);
    stdout(folder, &["fit", "run", "-q", "--out", "head.safetensors"]);
    let decode = ["decode", "--features", "run", "--head", "head.safetensors"];
    let saved = ["--decoder", "threshold", "--validation", "run"];
    let out = ["--save", "decoder.safetensors", "--out", "a.json"];
    stdout(folder, &[&decode[..], &saved, &out].concat());
    stdout(
        folder,
        &["data", "compose", "digits", "--out", "images.safetensors"],
    );
}

/// The file with another version; lengths stay, so that only the version differs.
fn of_later_version(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let at = |text: &[u8]| bytes.windows(text.len()).position(|part| part == text);
    let (place, text) = [
        &b"\"version\":\"1\""[..],
        b"\"version\":1",
        b"\"version\": 1",
    ]
    .into_iter()
    .find_map(|text| Some((at(text)?, text)))
    .unwrap_or_else(|| panic!("{} states no version", path.display()));
    let mut bytes = bytes.clone();
    let digit = place + text.iter().rposition(|&byte| byte == b'1').unwrap();
    bytes[digit] = b'2';
    fs::write(path, bytes).unwrap();
}

#[test]
fn files_of_a_later_version_are_refused_in_one_sentence() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    everything(folder);
    stdout(folder, &EVALUATE);
    let resume = ["train", "-q", "--resume", "run"];
    let cases: [(&str, &str, &[&str]); 9] = [
        ("run/features-test.safetensors", "snapshot", &EVALUATE),
        (
            "head.safetensors",
            "head",
            &["predict", "head.safetensors", "run"],
        ),
        ("decoder.safetensors", "decoder", &DECODE),
        ("s.ncs", "statistics", &["analyze", "s.ncs"]),
        ("run/report.json", "report", &["report", "run"]),
        (
            "run/network.json",
            "network",
            &["export", "run", "--out", "n.onnx"],
        ),
        (
            "run/weights.safetensors",
            "weights",
            &["export", "run", "--out", "n.onnx"],
        ),
        ("run/metrics.jsonl", "epoch", &resume),
        ("run/checkpoint.safetensors", "checkpoint", &resume),
    ];
    for (file, form, command) in cases {
        let path = folder.join(file);
        let whole = fs::read(&path).unwrap();
        of_later_version(&path);
        let output = tagwise(folder, command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        let sentence = format!(
            "tagwise {form}: expected version 1 at most, found 2; read it with a newer program"
        );
        assert!(said.contains(&sentence), "{file}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn every_json_object_states_its_version() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    everything(folder);
    let head = ["--head", "head.safetensors"];
    let commands: [&[&str]; 8] = [
        &["analyze", "run"],
        &["fit", "run", "-q"],
        &["predict", "head.safetensors", "run"],
        &DECODE,
        &[&EVALUATE[..], &head].concat(),
        &["ufm", "--classes", "3", "--counts", "1:5"],
        &["report", "run"],
        &["train", "-q", "--resume", "run"],
    ];
    for command in commands {
        let printed = stdout(folder, &[command, &["--json"]].concat());
        assert!(
            printed.starts_with("{\n  \"version\": 1,\n"),
            "{command:?}: {printed}"
        );
        let value: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(value["version"], 1);
    }
    for file in [
        "a.json",
        "run/report.json",
        "run/summary.json",
        "run/network.json",
    ] {
        let value: Value = serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap();
        assert_eq!(value["version"], 1, "{file}");
    }
    for line in fs::read_to_string(folder.join("run/metrics.jsonl"))
        .unwrap()
        .lines()
    {
        assert!(line.starts_with("{\"version\":1,\"epoch\":"), "{line}");
    }
}

#[test]
fn files_without_a_version_are_read() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    everything(folder);
    let plain = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replace("\"version\":1,", "")).unwrap();
    };
    plain(&folder.join("run/report.json"));
    stdout(folder, &["report", "run", "--out", "page.html"]);
    let lines = folder.join("run/metrics.jsonl");
    let own = fs::read(&lines).unwrap();
    plain(&lines);
    fs::remove_file(folder.join("run/report.json")).unwrap();
    stdout(folder, &["report", "run", "--out", "page.html"]);
    fs::write(&lines, own).unwrap();
    // A head as PyTorch's own writer leaves it.
    let path = folder.join("head.safetensors");
    let bytes = fs::read(&path).unwrap();
    let text = b"\"format\":\"tagwise head\"";
    let at = bytes
        .windows(text.len())
        .position(|part| part == text)
        .unwrap();
    let mut foreign = bytes.clone();
    foreign[at..at + text.len()].copy_from_slice(b"\"format\":\"pt          \"");
    fs::write(&path, foreign).unwrap();
    stdout(folder, &["predict", "head.safetensors", "run"]);
}

/// Commands whose result is a file say what is in it.
#[test]
fn commands_that_write_say_what_as_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    everything(folder);
    let answer = |arguments: &[&str]| -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&stdout(folder, &arguments)).unwrap()
    };
    let stats = answer(&["stats", "run", "--out", "a.ncs"]);
    assert_eq!(
        (&stats["version"], &stats["num_samples"]),
        (&1.into(), &85.into())
    );
    assert_eq!(
        (&stats["file"], &stats["dim"]),
        (&"a.ncs".into(), &128.into())
    );
    let merged = answer(&["merge", "a.ncs", "s.ncs", "--out", "b.ncs"]);
    assert_eq!(
        (&merged["num_samples"], &merged["num_files"]),
        (&170.into(), &2.into())
    );
    let head = answer(&["export", "head.safetensors", "--out", "h.onnx"]);
    assert_eq!(head["shapes"]["logits"], serde_json::json!(["N", 10]));
    let network = answer(&["export", "run", "--out", "n.onnx"]);
    assert_eq!(
        network["shapes"]["images"],
        serde_json::json!(["N", 1, 16, 16])
    );
    let few = [
        "data",
        "compose",
        "digits",
        "--per-multiplicity",
        "2",
        "--out",
        "i.safetensors",
    ];
    let composed = answer(&few);
    assert_eq!(composed["images"]["num_images"], 20);
    assert!(composed["num_bytes"].as_u64().unwrap() > 20 * 16 * 16);
    let drawn = answer(&[
        "data",
        "preview",
        "digits",
        "--per-multiplicity",
        "2",
        "--out",
        "i.png",
    ]);
    assert_eq!(drawn["file"], "i.png");
}
