//! `tagwise train` as its users meet it: what it prints, what it leaves, how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;

/// A run small enough for a test: every label set once or twice, a few epochs.
const TINY: [&str; 6] = [
    "--set",
    "data.train.per_multiplicity=[6,1]",
    "--set",
    "data.validation.per_multiplicity=[2,1]",
    "--set",
    "data.test.per_multiplicity=[2,1]",
];

fn tagwise(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwise"));
    command.args(arguments);
    command
}

fn train(out: &Path, arguments: &[&str]) -> Command {
    let mut command = tagwise(&["train"]);
    command.args(TINY).args(arguments).arg("--out").arg(out);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that must fail with this exit code and returns what it says on stderr.
fn failure(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "stderr: {}",
        text(&output.stderr)
    );
    assert_eq!(
        text(&output.stdout),
        "",
        "a failure prints nothing on stdout"
    );
    text(&output.stderr)
}

fn success(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "stderr: {}", text(&output.stderr));
    output
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn a_run_leaves_complete_files_and_prints_its_tables() {
    let scratch = Scratch::new();
    let out = scratch.path("nested/run");
    let output = success(&mut train(&out, &["--epochs", "2"]));
    let mut files: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_snapshot!(files.join("\n"), @r"
    .lock
    checkpoint-previous.safetensors
    checkpoint.safetensors
    config.toml
    features-test.safetensors
    features-train.safetensors
    features-validation.safetensors
    frames.jsonl
    metrics.csv
    metrics.jsonl
    network.json
    report.html
    report.json
    summary.json
    weights.safetensors
    ");
    let stdout = text(&output.stdout);
    for words in [
        "NC1",
        "NC2",
        "NC3",
        "Jaccard",
        "one nearest neighbour",
        "trainable",
    ] {
        assert!(stdout.contains(words), "{words} in\n{stdout}");
    }
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let epochs: Vec<u64> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["epoch"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(epochs, [0, 1, 2]);
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.starts_with("<!doctype html>"));
    for outside in ["http://", "https://", "<script src", "<link"] {
        let allowed = html.matches("http://www.w3.org").count();
        let found = html.matches(outside).count();
        assert!(
            found == 0 || (outside == "http://" && found == allowed),
            "{outside}"
        );
    }
}

#[test]
fn progress_is_a_line_of_json_for_each_event() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let output = success(&mut train(&out, &["--epochs", "2", "--progress", "json"]));
    let events: Vec<Value> = text(&output.stderr)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(events.iter().all(|event| event["version"] == 1));
    let of = |name: &str| -> Vec<&Value> {
        let events = events.iter().filter(|event| event["event"] == name);
        events.collect()
    };
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events[0]["folder"], out.display().to_string());
    let epochs: Vec<u64> = of("epoch")
        .iter()
        .map(|e| e["epoch"].as_u64().unwrap())
        .collect();
    assert_eq!(epochs, [0, 1, 2]);
    let last = of("epoch")[2];
    let records = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let record: Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
    assert_eq!(last["loss"], record["loss"]);
    assert_eq!(
        last["validation_loss"],
        record["measured"]["validation"]["loss"]
    );
    let steps = of("step");
    assert!(steps.len() >= 2 && steps.iter().all(|step| step["loss"].is_number()));
    let clash = train(&out, &["--progress", "json", "--quiet"])
        .output()
        .unwrap();
    assert_eq!(clash.status.code(), Some(2));
}

#[test]
fn what_is_piped_has_no_control_characters() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let output = success(&mut train(&out, &["--epochs", "1", "--color", "auto"]));
    for text in [text(&output.stdout), text(&output.stderr)] {
        let control = text
            .chars()
            .find(|letter| letter.is_control() && *letter != '\n');
        assert_eq!(control, None, "{text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn json_is_one_object_with_what_the_summary_file_holds() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let output = success(&mut train(&out, &["--epochs", "1", "--json", "--quiet"]));
    assert_eq!(text(&output.stderr), "");
    let printed = json(&output);
    let saved: Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(printed, saved);
    assert_eq!(printed["seed"], 0);
    assert!(printed["collapse"]["last"]["nc1"]["1"]["value"].is_number());
    assert_eq!(printed["test"].as_array().unwrap().len(), 3);
}

#[test]
fn the_written_configuration_repeats_the_run() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    success(&mut train(&first, &["--epochs", "1", "--seed", "5"]));
    success(
        tagwise(&["train", "--config"])
            .arg(first.join("config.toml"))
            .arg("--out")
            .arg(&second),
    );
    assert_eq!(
        fs::read(first.join("weights.safetensors")).unwrap(),
        fs::read(second.join("weights.safetensors")).unwrap()
    );
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let scratch = Scratch::new();
    let weights = ["1", "3"].map(|threads| {
        let out = scratch.path(threads);
        success(train(&out, &["--epochs", "1"]).env("RAYON_NUM_THREADS", threads));
        (
            fs::read(out.join("weights.safetensors")).unwrap(),
            fs::read(out.join("features-train.safetensors")).unwrap(),
        )
    });
    assert!(weights[0] == weights[1]);
}

#[test]
fn a_fixed_etf_classifier_needs_fewer_parameters_and_stays_an_etf() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let arguments = [
        "--epochs",
        "1",
        "--json",
        "--classifier",
        "fixed-etf",
        "--feature-dim",
        "10",
    ];
    let summary = json(&success(&mut train(&out, &arguments)));
    let parameters = &summary["network"]["parameters"];
    assert!(parameters["trainable"].as_u64() < parameters["learned_head"].as_u64());
    assert!(
        summary["collapse"]["last"]["nc2"]["classifier"]
            .as_f64()
            .unwrap()
            < 1e-6
    );
}

#[test]
fn wrong_usage_ends_with_code_2_and_one_sentence() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    assert_snapshot!(failure(&mut train(&out, &["--set", "training.epoch=3"]), 2), @"tagwise: training.epoch: unknown field `epoch`, expected one of `epochs`, `batch_size`, `learning_rate`, `final_learning_rate_ratio`, `momentum`, `weight_decay`, `feature_decay`, `feature_decay_reduction`, `precision`");
    assert_snapshot!(failure(&mut train(&out, &["--set", "training.precision=f16"]), 2), @"tagwise: training.precision: unknown variant `f16`, expected `f32` or `bf16`");
    assert_snapshot!(failure(&mut train(&out, &["--set", "training.epochs=many"]), 2), @r#"tagwise: training.epochs: wrong kind of value: string "many", expected a whole number from 0"#);
    assert_snapshot!(failure(&mut train(&out, &["--set", "training.epochs"]), 2), @r#"tagwise: expected key=value, for example training.epochs=5, found "training.epochs""#);
    assert_snapshot!(failure(&mut train(&out, &["--epochs", "0"]), 2), @"tagwise: expected training.epochs to be a whole number from 1 to 1000000, found 0");
    assert_snapshot!(failure(&mut train(&out, &["--feature-dim", "8", "--classifier", "fixed-etf"]), 2), @"tagwise: no simplex ETF of 10 classes exists in 8 dimensions; use at least 9");
    assert_snapshot!(failure(&mut train(&out, &["--max-multiplicity", "11"]), 2), @"tagwise: expected the largest multiplicity to be from 1 to 9, found 11");
    assert!(!out.exists(), "a run that cannot be meant leaves no folder");
}

#[test]
fn a_configuration_file_that_is_missing_or_wrong_is_named() {
    let scratch = Scratch::new();
    let config = scratch.path("experiment.toml");
    fs::write(&config, "sead = 3\n").unwrap();
    let run_with = |path: &Path, arguments: &[&str]| {
        let message = failure(tagwise(&["train", "--config"]).arg(path).args(arguments), 2);
        message.replace(&scratch.0.path().display().to_string(), "FOLDER")
    };
    let run = |path: &Path| run_with(path, &[]);
    let whole = scratch.path("whole.toml");
    fs::write(&whole, "seed = 3\n").unwrap();
    assert_snapshot!(run_with(&whole, &["--set", "sead=3"]), @"tagwise: sead: unknown field `sead`, expected one of `name`, `seed`, `data`, `network`, `loss`, `training`, `evaluation`");
    fs::write(&whole, "seed = 3\nname = digits\n").unwrap();
    assert_snapshot!(run(&whole), @"tagwise: FOLDER/whole.toml: line 2: string values must be quoted, expected literal string");
    assert_snapshot!(run(&config), @"tagwise: FOLDER/experiment.toml: sead: unknown field `sead`, expected one of `name`, `seed`, `data`, `network`, `loss`, `training`, `evaluation`");
    assert_snapshot!(run(&scratch.path("none.toml")), @"tagwise: FOLDER/none.toml: No such file or directory (os error 2)");
}

#[test]
fn an_existing_or_unwritable_run_folder_is_refused() {
    let scratch = Scratch::new();
    let existing = scratch.path("existing");
    fs::create_dir(&existing).unwrap();
    fs::write(existing.join("notes"), "mine").unwrap();
    let said = |path: &Path| {
        failure(&mut train(path, &[]), 1).replace(&scratch.0.path().display().to_string(), "FOLDER")
    };
    assert_snapshot!(said(&existing), @"tagwise: the run folder FOLDER/existing exists already; choose another with --out, or go on with it by --resume");
    fs::write(scratch.path("file"), "").unwrap();
    assert_snapshot!(said(&scratch.path("file/run")), @"tagwise: the run folder FOLDER/file/run cannot be made: File exists (os error 17); choose another with --out");
}

#[test]
fn a_test_set_may_have_more_labels_than_the_training_set() {
    let scratch = Scratch::new();
    let more = ["--set", "data.test.per_multiplicity=[1,0,0,0,1]"];
    let arguments = ["--epochs", "1", "--json", more[0], more[1]];
    let summary = json(&success(&mut train(&scratch.path("run"), &arguments)));
    assert_eq!(summary["data"]["test"]["5"], 252);
    assert_eq!(summary["data"]["image_shape"][0], 24);
}

#[test]
fn the_best_epoch_on_validation_is_the_one_that_the_test_set_sees() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let select = ["--set", "evaluation.select=best-validation"];
    let arguments = ["--epochs", "6", "--json", select[0], select[1]];
    let summary = json(&success(&mut train(&out, &arguments)));
    let records = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let validation: Vec<(f64, f64)> = records
        .lines()
        .skip(1)
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let validation = &record["measured"]["validation"];
            let figure = |key: &str| validation[key].as_f64().unwrap();
            (figure("subset_accuracy"), -figure("loss"))
        })
        .collect();
    let selected = summary["selected_epoch"].as_u64().unwrap() as usize;
    let best = validation
        .iter()
        .copied()
        .reduce(|a, b| if b > a { b } else { a });
    assert_eq!(Some(validation[selected - 1]), best);
    assert_eq!(
        fs::read(out.join("weights-best.safetensors")).unwrap(),
        fs::read(out.join("weights.safetensors")).unwrap()
    );
}

/// Writes `len` images of 28×28 in MNIST's format: bars whose place tells the class.
fn write_idx(folder: &Path, part: &str, len: u32) {
    let header = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        let numbers = [&[magic], sizes].concat();
        numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
    };
    let mut images = header(0x803, &[len, 28, 28]);
    let mut labels = header(0x801, &[len]);
    for i in 0..len {
        let class = i % 10;
        labels.push(class as u8);
        images.extend(
            (0..28 * 28u32).map(|pixel| match (pixel % 28) / 3 == class {
                true => 200 + (i / 10) as u8,
                false => 0,
            }),
        );
    }
    fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
}

#[test]
fn a_folder_with_mnists_files_is_trained_on() {
    let scratch = Scratch::new();
    let (folder, out) = (scratch.path("mnist"), scratch.path("run"));
    fs::create_dir(&folder).unwrap();
    write_idx(&folder, "train", 100);
    write_idx(&folder, "t10k", 20);
    let named = format!("data.folder={}", folder.display());
    let arguments = [
        "--epochs",
        "1",
        "--json",
        "--set",
        "data.source=mnist",
        "--set",
        &named,
    ];
    let summary = json(&success(&mut train(&out, &arguments)));
    assert_eq!(summary["name"], "mnist");
    assert_eq!(
        summary["data"]["image_shape"],
        serde_json::json!([56, 56, 1])
    );
    assert_eq!(
        summary["data"]["train"],
        serde_json::json!({"1": 60, "2": 45})
    );
    let mut absent = tagwise(&["train", "--set", "data.source=mnist"]);
    absent.env("TAGWISE_DATA", scratch.path("nowhere"));
    let message = failure(&mut absent, 1);
    let message = message.replace(&scratch.0.path().display().to_string(), "FOLDER");
    assert_snapshot!(message.lines().last().unwrap(), @"tagwise: mnist is not in FOLDER/nowhere/mnist; run tagwise data fetch mnist, or name the folder with its files by --set data.folder=FOLDER");
}

/// Writes house numbers in SVHN's format: images of one colour each, with the table of boxes.
fn write_svhn(folder: &Path, part: &str, numbers: &[&str]) {
    let mut table = "name,img_width,img_height,label,left,top,width,height\n".to_string();
    fs::create_dir_all(folder.join(part)).unwrap();
    for (i, digits) in numbers.iter().enumerate() {
        let name = format!("{}.png", i + 1);
        let list = |value: fn(usize) -> usize| -> String {
            let values: Vec<String> = (0..digits.len()).map(|d| value(d).to_string()).collect();
            values.join(" ")
        };
        let labels: Vec<String> = digits.chars().map(String::from).collect();
        let columns = [
            labels.join(" "),
            list(|d| 8 * d),
            list(|_| 2),
            list(|_| 8),
            list(|_| 12),
        ];
        table.push_str(&format!("{name},40,20,{}\n", columns.join(",")));
        let file = fs::File::create(folder.join(part).join(&name)).unwrap();
        let mut encoder = png::Encoder::new(file, 40, 20);
        encoder.set_color(png::ColorType::Rgb);
        let shade = 25 * digits.bytes().map(|b| b - b'0').max().unwrap();
        let pixels = vec![shade; 40 * 20 * 3];
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels)
            .unwrap();
    }
    fs::write(folder.join(format!("boxes_{part}.csv")), table).unwrap();
}

#[test]
fn house_numbers_are_trained_on_with_their_own_label_sets() {
    let scratch = Scratch::new();
    let (folder, out) = (scratch.path("svhn"), scratch.path("run"));
    let numbers = [
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "12", "345", "10", "1234",
    ];
    write_svhn(&folder, "train", &numbers.repeat(4));
    write_svhn(&folder, "test", &numbers);
    let named = format!("data.folder={}", folder.display());
    let output = success(
        tagwise(&[
            "train",
            "--epochs",
            "1",
            "--json",
            "--set",
            "data.source=svhn",
        ])
        .args(["--set", &named, "--out"])
        .arg(&out),
    );
    let summary = json(&output);
    // Numbers with a 0 and those of four digits are left out; a quarter is kept for validation
    // (a tenth of four images is none, but every label set gives one).
    let data = &summary["data"];
    assert_eq!(data["train"], serde_json::json!({"1": 27, "2": 3, "3": 3}));
    assert_eq!(
        data["validation"],
        serde_json::json!({"1": 9, "2": 1, "3": 1})
    );
    assert_eq!(data["test"], serde_json::json!({"1": 9, "2": 1, "3": 1}));
    assert_eq!(data["num_classes"], 9);
    let refused = [named.as_str(), "data.source=svhn", "data.train.max_shift=1"];
    let arguments: Vec<&str> = refused.iter().flat_map(|set| ["--set", *set]).collect();
    let message = failure(tagwise(&["train"]).args(arguments), 2);
    assert_snapshot!(message, @"tagwise: expected data.train to be left out, since svhn has label sets of its own, found a table");
}

#[test]
fn a_run_that_cannot_fit_into_memory_says_so_at_once() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let mut arguments = Vec::new();
    for huge in ["training.batch_size=65536", "network.architecture=resnet50"] {
        arguments.extend(["--set", huge]);
    }
    let message = failure(&mut train(&out, &arguments), 1);
    assert!(message.contains("this run takes about "), "{message}");
    assert!(
        message.contains("try a smaller training.batch_size (now 65536)"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
#[cfg(unix)]
fn a_closed_stderr_does_not_change_the_exit_code() {
    let mut child = tagwise(&["train", "--set", "seed"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_loss_that_diverges_stops_the_run_with_advice() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    let mut arguments = vec!["--epochs", "30", "--quiet"];
    for explosive in ["training.learning_rate=1000", "training.weight_decay=1000"] {
        arguments.extend(["--set", explosive]);
    }
    let message = failure(&mut train(&out, &arguments), 1);
    assert!(message.contains("the loss became NaN"), "{message}");
    assert!(
        message.contains("try a smaller training.learning_rate"),
        "{message}"
    );
    assert!(!out.join("summary.json").exists());
}

#[test]
fn resuming_a_folder_without_a_run_is_refused() {
    let scratch = Scratch::new();
    let message = failure(tagwise(&["train", "--resume"]).arg(scratch.0.path()), 1);
    let message = message.replace(&scratch.0.path().display().to_string(), "FOLDER");
    assert_snapshot!(message, @"tagwise: FOLDER holds no run to resume: config.toml is missing");
}

#[test]
fn a_truncated_or_foreign_checkpoint_is_refused() {
    let scratch = Scratch::new();
    let (out, other) = (scratch.path("run"), scratch.path("other"));
    success(&mut train(&out, &["--epochs", "1"]));
    success(&mut train(
        &other,
        &["--epochs", "1", "--feature-dim", "12"],
    ));
    let checkpoint = out.join("checkpoint.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    let resume = || {
        let message = failure(tagwise(&["train", "--resume"]).arg(&out), 1);
        message.replace(&scratch.0.path().display().to_string(), "FOLDER")
    };
    fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    assert_snapshot!(resume(), @"tagwise: FOLDER/run/checkpoint.safetensors: the checkpoint is damaged (incomplete metadata, file not fully covered); if checkpoint-previous.safetensors is there, rename it to checkpoint.safetensors to go on from the epoch before");
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&checkpoint, &flipped).unwrap();
    assert_snapshot!(resume(), @"tagwise: FOLDER/run/checkpoint.safetensors: the checkpoint is damaged (its checksum is wrong); if checkpoint-previous.safetensors is there, rename it to checkpoint.safetensors to go on from the epoch before");
    fs::copy(other.join("checkpoint.safetensors"), &checkpoint).unwrap();
    assert_snapshot!(resume(), @"tagwise: FOLDER/run/checkpoint.safetensors: the checkpoint does not fit the run's config.toml: expected the tensor layer2.0.conv2.weight of shape [128, 128, 3, 3], found [12, 128, 3, 3]");
}

#[test]
fn a_configuration_changed_under_a_run_is_refused() {
    let scratch = Scratch::new();
    let out = scratch.path("run");
    success(&mut train(
        &out,
        &["--epochs", "2", "--set", "evaluation.every=2"],
    ));
    let config = out.join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, written.replace("epochs = 2", "epochs = 1")).unwrap();
    let message = failure(tagwise(&["train", "--resume"]).arg(&out), 1);
    let message = message.replace(&scratch.0.path().display().to_string(), "FOLDER");
    assert_snapshot!(message, @"tagwise: FOLDER/run/config.toml: it was changed after the run began, so going on would mix two experiments; restore it, or start a new run");
}

#[test]
fn training_starts_from_given_weights_and_refuses_foreign_ones() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    success(&mut train(&first, &["--epochs", "1"]));
    let weights = first.join("weights.safetensors");
    let path = weights.to_str().unwrap();
    let continued = success(&mut train(
        &second,
        &["--epochs", "1", "--json", "--weights", path],
    ));
    let before = success(&mut train(
        &scratch.path("third"),
        &["--epochs", "1", "--json"],
    ));
    let nc1 =
        |output: &Output, end: &str| json(output)["collapse"][end]["nc1"]["1"]["value"].clone();
    assert_eq!(nc1(&continued, "first"), nc1(&before, "last"));

    let refused = |arguments: &[&str]| {
        let arguments = [&["--epochs", "1", "--weights", path], arguments].concat();
        let message = failure(&mut train(&scratch.path("refused"), &arguments), 1);
        message.replace(&scratch.0.path().display().to_string(), "FOLDER")
    };
    assert_snapshot!(refused(&["--feature-dim", "12"]), @"tagwise: the weights in FOLDER/first/weights.safetensors cannot be used: expected the tensor layer2.0.conv2.weight of shape [12, 128, 3, 3], found [128, 128, 3, 3]");
    assert_snapshot!(refused(&["--classifier", "fixed-etf"]), @"tagwise: expected the simplex ETF as the classifier in FOLDER/first/weights.safetensors, found another one; train a learned classifier, or start from a run with a fixed ETF");
    let whole = fs::read(&weights).unwrap();
    let mut with_nan = whole.clone();
    let last = whole.len() - 4;
    with_nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, with_nan).unwrap();
    assert_snapshot!(refused(&[]), @"tagwise: the weights in FOLDER/first/weights.safetensors cannot be used: expected finite numbers, found NaN in layer2.0.downsample.1.weight");
    fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    assert_snapshot!(refused(&[]), @"tagwise: FOLDER/first/weights.safetensors: expected a safetensors file, found incomplete metadata, file not fully covered");
    fs::remove_file(&weights).unwrap();
    assert_snapshot!(refused(&[]), @"tagwise: FOLDER/first/weights.safetensors: No such file or directory (os error 2)");
    assert!(!scratch.path("refused").exists());
}

/// Starts a run, waits until the records hold `lines` lines and returns the process.
fn start_and_wait(out: &Path, epochs: &str, lines: usize) -> Child {
    spawn_and_wait(&mut train(out, &["--epochs", epochs]), out, lines)
}

fn spawn_and_wait(command: &mut Command, out: &Path, lines: usize) -> Child {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let written =
        || fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while written() < lines {
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Long enough that a signal arrives before the end, short enough to be run twice.
const INTERRUPTED_EPOCHS: &str = "12";

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_a_partial_run_that_resumes_to_the_same_bits() {
    let scratch = Scratch::new();
    let (whole, parts) = (scratch.path("whole"), scratch.path("parts"));
    success(&mut train(&whole, &["--epochs", INTERRUPTED_EPOCHS]));
    let child = start_and_wait(&parts, INTERRUPTED_EPOCHS, 3);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = text(&output.stderr);
    assert!(
        message.contains("the run is partial, go on with: tagwise train --resume"),
        "{message}"
    );
    assert!(!parts.join("summary.json").exists());
    success(tagwise(&["train", "--resume"]).arg(&parts));
    for file in ["weights.safetensors", "features-test.safetensors"] {
        assert!(
            fs::read(whole.join(file)).unwrap() == fs::read(parts.join(file)).unwrap(),
            "{file} differs"
        );
    }
    assert_eq!(figures(&whole), figures(&parts));
}

/// The records and the summary of a run, without what depends on the clock or on its folder.
fn figures(run: &Path) -> (Vec<Value>, Value) {
    let without = |mut value: Value, keys: &[&str]| {
        for key in keys {
            value.as_object_mut().unwrap().remove(*key);
        }
        value
    };
    let records = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let records = records.lines().map(|line| {
        let record = serde_json::from_str(line).unwrap();
        without(record, &["seconds", "images_per_second"])
    });
    let summary = fs::read(run.join("summary.json")).unwrap();
    let summary = serde_json::from_slice(&summary).unwrap();
    (records.collect(), without(summary, &["seconds", "folder"]))
}

#[test]
#[cfg(unix)]
fn a_full_disk_stops_the_run_and_keeps_the_last_checkpoint() {
    let scratch = Scratch::new();
    let (whole, parts) = (scratch.path("whole"), scratch.path("parts"));
    success(&mut train(&whole, &["--epochs", INTERRUPTED_EPOCHS]));
    let child = start_and_wait(&parts, INTERRUPTED_EPOCHS, 3);
    signal(&child, "-INT");
    child.wait_with_output().unwrap();
    // No file may grow beyond 1 MB, a checkpoint has more: as if the disk were full.
    let mut limited = Command::new("bash");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$@\"", "bash"])
        .arg(env!("CARGO_BIN_EXE_tagwise"))
        .args(["train", "--quiet", "--resume"])
        .arg(&parts);
    let message = failure(&mut limited, 1);
    let message = message.replace(&scratch.0.path().display().to_string(), "FOLDER");
    assert_snapshot!(message, @"tagwise: FOLDER/parts/checkpoint.safetensors: File too large (os error 27); the run is partial, go on with: tagwise train --resume FOLDER/parts");
    success(tagwise(&["train", "--quiet", "--resume"]).arg(&parts));
    assert_eq!(figures(&whole), figures(&parts));
}

#[test]
#[cfg(unix)]
fn a_killed_and_a_terminated_run_resume_to_the_same_bits() {
    let scratch = Scratch::new();
    let (whole, parts) = (scratch.path("whole"), scratch.path("parts"));
    success(&mut train(&whole, &["--epochs", INTERRUPTED_EPOCHS]));
    let mut killed = start_and_wait(&parts, INTERRUPTED_EPOCHS, 2);
    signal(&killed, "-KILL");
    assert_eq!(killed.wait().unwrap().code(), None);
    let mut resume = tagwise(&["train", "--quiet", "--resume"]);
    let mut ended = spawn_and_wait(resume.arg(&parts), &parts, 6);
    signal(&ended, "-TERM");
    assert_eq!(ended.wait().unwrap().code(), Some(130));
    success(tagwise(&["train", "--resume"]).arg(&parts));
    assert!(
        fs::read(whole.join("weights.safetensors")).unwrap()
            == fs::read(parts.join("weights.safetensors")).unwrap()
    );
}

#[test]
fn unknown_devices_and_kernels_are_refused() {
    let said = failure(&mut tagwise(&["train", "--device", "tpu"]), 2);
    assert!(
        said.contains("expected cpu, cuda, cuda:1 and so on, mps or torch-cpu, found \"tpu\""),
        "{said}"
    );
    let scratch = Scratch::new();
    let mut foreign = train(&scratch.path("run"), &[]);
    let said = failure(foreign.env("TAGWISE_KERNELS", "neon"), 2);
    let (start, end) = (
        "tagwise: TAGWISE_KERNELS: expected one of ",
        "portable, found \"neon\"",
    );
    assert!(
        said.starts_with(start) && said.trim_end().ends_with(end),
        "{said}"
    );
}

/// A program in the place of Python that says this on its standard output and ends with a code.
#[cfg(unix)]
fn interpreter(scratch: &Scratch, name: &str, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = scratch.path(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn a_python_that_cannot_train_is_told_in_one_sentence() {
    let scratch = Scratch::new();
    let said = |script: &str| {
        let python = interpreter(&scratch, "python", script);
        let out = scratch.path("run");
        let mut command = train(&out, &["--device", "torch-cpu", "--quiet"]);
        let said = failure(command.env("TAGWISE_PYTHON", &python), 1);
        assert!(
            !out.exists(),
            "nothing is left of a run that could not start"
        );
        said.replace(&python.display().to_string(), "PYTHON")
    };
    assert_snapshot!(said("exit 97"), @r#"tagwise: expected the Python package tagwise beside PYTHON, found none; pip install "tagwise[torch]" there"#);
    assert_snapshot!(said("exit 3"), @"tagwise: the PyTorch process ended before it was done (exit status: 3)");
    assert_snapshot!(said("kill -9 $$"), @"tagwise: the PyTorch process was ended by the system (signal: 9 (SIGKILL)), most often for lack of memory");
    let frame = |header: &str| {
        let length = header.len();
        assert!(length < 0o100);
        format!(r"printf '\{length:03o}\000\000\000%s' '{header}'; cat > /dev/null")
    };
    assert_snapshot!(said(&frame(r#"{"error":"no device of this name"}"#)), @"tagwise: no device of this name");
    assert_snapshot!(said(&frame(r#"{"tagwise":"0.0.0","protocol":1}"#)), @"tagwise: expected the Python package tagwise 0.1.0 with protocol 2, found 0.0.0 with 1; install the command and the package together");
    assert_snapshot!(said(&frame("no JSON")), @"tagwise: expected a header in an answer of the PyTorch process, found none; install the command and the package together");
    let mut absent = train(&scratch.path("run"), &["--device", "mps", "--quiet"]);
    let said = failure(absent.env("TAGWISE_PYTHON", scratch.path("absent")), 1);
    assert!(
        said.contains("the Python interpreter ")
            && said.contains("cannot be started: No such file"),
        "{said}"
    );
}
