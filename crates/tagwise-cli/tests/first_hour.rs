//! What may go wrong around a command: outputs in the place of inputs, terminals that files try to
//! steer, readers that go away, marks that editors leave, full or limited disks, slips of the pen.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A table of two features with the labels of each row.
const TABLE: &str = "u,v,labels\n0.1,2,ant\n1.2,0.5,bee\n0.2,1.9,ant\n1.1,0.4,bee\n1.3,2.1,ant;bee\n\
    1.2,2.2,ant;bee\n0.15,2.1,ant\n1.25,0.6,bee\n1.35,2,ant;bee\n0.05,2.05,ant\n1.15,0.45,bee\n1.2,1.95,ant;bee\n";

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwise"));
    command.current_dir(folder).args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> Output {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    output
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    message
}

/// Data, a head, a decoder, answers and statistics.
fn workplace() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    std::fs::write(folder.join("x.csv"), TABLE).unwrap();
    let fit = [
        "fit",
        "x.csv",
        "--weight-decay",
        "0.01",
        "--out",
        "h.safetensors",
        "-q",
    ];
    succeeds(folder, &fit);
    let decode = [
        "decode",
        "--features",
        "x.csv",
        "--prototypes",
        "x.csv",
        "--out",
        "a.csv",
    ];
    succeeds(
        folder,
        &[&decode[..], &["--save", "d.safetensors"]].concat(),
    );
    succeeds(folder, &["stats", "x.csv", "--out", "x.ncs"]);
    std::fs::write(folder.join("names"), "ant\nbee\n").unwrap();
    place
}

#[test]
fn no_command_writes_over_what_it_reads() {
    let place = workplace();
    let folder = place.path();
    let commands = [
        "fit x.csv --out x.csv",
        "fit x.csv --class-names @names --out names",
        "fit x.csv --out ./x.csv",
        "decode --features x.csv --prototypes x.csv --out x.csv",
        "decode --features x.csv --prototypes x.csv --head h.safetensors --save h.safetensors",
        "decode --features x.csv --decoder-file d.safetensors --out d.safetensors",
        "decode --features x.csv --prototypes x.csv --out same --save same",
        "predict h.safetensors x.csv --out h.safetensors",
        "predict h.safetensors x.csv --out x.csv",
        "predict h.safetensors x.csv --decoder-file d.safetensors --out d.safetensors",
        "stats x.csv --out x.csv",
        "merge x.ncs --out x.ncs",
        "export h.safetensors --out h.safetensors",
        "ufm --targets x.csv --save x.csv",
    ];
    let kept = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = ["x.csv", "h.safetensors", "d.safetensors", "x.ncs", "names"];
    let before: Vec<Vec<u8>> = files.iter().map(|name| kept(name)).collect();
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let message = refused(folder, &arguments);
        assert!(
            message.starts_with("tagwise: expected --"),
            "{command}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    for (name, before) in files.iter().zip(before) {
        assert_eq!(kept(name), before, "{name}");
    }
    insta::assert_snapshot!(refused(folder, &["fit", "x.csv", "--out", "x.csv"]), @"tagwise: expected --out to name another file than those that are read, found x.csv, which is one of them; choose another name");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("x.csv", folder.join("link.csv")).unwrap();
        std::fs::hard_link(folder.join("x.csv"), folder.join("hard.csv")).unwrap();
        for link in ["link.csv", "hard.csv"] {
            refused(folder, &["fit", "x.csv", "--out", link]);
            refused(folder, &["fit", link, "--out", "x.csv"]);
        }
    }
}

#[test]
#[cfg(unix)]
fn a_reader_of_messages_that_goes_away_ends_no_work() {
    let place = workplace();
    let folder = place.path();
    for arguments in [
        "fit x.csv --out new.safetensors",
        "decode --features x.csv --prototypes x.csv",
        "analyze x.csv",
        "ufm --targets x.csv",
        "fit nothing.csv",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = program(folder, &arguments)
            .stderr(writer)
            .stdout(Stdio::piped())
            .output();
        let code = output.unwrap().status.code();
        let expected = i32::from(arguments.contains(&"nothing.csv"));
        assert_eq!(code, Some(expected), "{arguments:?}");
    }
}

#[test]
fn nothing_from_a_file_steers_the_terminal() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let (clear, sneaky) = ("\u{1b}[2J", "\u{9b}2J\u{202e}");
    let evil = TABLE
        .replace("ant", &format!("a{clear}nt"))
        .replace("bee", &format!("b{sneaky}ee"));
    let name = if cfg!(unix) {
        format!("{clear}.csv")
    } else {
        "x.csv".into()
    };
    std::fs::write(folder.join(&name), &evil).unwrap();
    let is_plain = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
        text
    };
    let fit = [
        "fit",
        &name,
        "--weight-decay",
        "0.01",
        "--out",
        "h.safetensors",
    ];
    for arguments in [
        &["analyze", &name][..],
        &["analyze", &name, "--json"],
        &["ufm", "--targets", &name],
        &fit,
        &["predict", "h.safetensors", &name, "--out", "p.csv"],
        &["evaluate", "p.csv", "--truth", &name, "--per-label"],
        &["predict", "h.safetensors", &name, "--json"],
    ] {
        let output = run(folder, arguments);
        assert!(output.status.success(), "{arguments:?} {}", stderr(&output));
        is_plain(&output.stderr);
        let text = is_plain(&output.stdout);
        if arguments.contains(&"--json") && arguments[0] == "predict" {
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["class_names"][0], format!("a{clear}nt"));
        }
    }
    // What a program reads has every letter.
    let csv = succeeds(folder, &["predict", "h.safetensors", &name]).stdout;
    assert!(String::from_utf8(csv).unwrap().contains(clear));
    // Errors quote what they found.
    std::fs::write(
        folder.join("bad.csv"),
        format!("u{clear},labels\n{clear},a\n"),
    )
    .unwrap();
    let output = run(folder, &["fit", "bad.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(is_plain(&output.stderr).contains("u{1b}[2J"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_text() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), format!("\u{feff}{text}")).unwrap();
    };
    write("x.csv", TABLE);
    write("names", "ant\nbee\n");
    write("weights.csv", "ant,2\n");
    write("sets.csv", "ant;bee,3\n");
    write("run.toml", "name = \"marked\"\n");
    write("a.json", "[[\"ant\"]]");
    write("spec.toml", "per_multiplicity = [1]\n");
    let out = ["--out", "h.safetensors", "--weight-decay", "0.01"];
    let fit = [
        "fit",
        "x.csv",
        "--class-names",
        "@names",
        "--class-weight",
        "weights.csv",
    ];
    succeeds(folder, &[&fit[..], &out].concat());
    succeeds(
        folder,
        &[&["fit", "x.csv", "--set-weights", "sets.csv"], &out[..]].concat(),
    );
    let config = succeeds(folder, &["train", "--config", "run.toml", "--print-config"]);
    assert!(
        String::from_utf8(config.stdout)
            .unwrap()
            .contains("name = \"marked\"")
    );
    write("one.csv", "labels,u\nant,1\n");
    let evaluate = [
        "evaluate",
        "a.json",
        "--truth",
        "one.csv",
        "--class-names",
        "ant,bee",
    ];
    succeeds(folder, &evaluate);
    succeeds(
        folder,
        &[
            "data",
            "compose",
            "digits",
            "--spec",
            "spec.toml",
            "--out",
            "d.safetensors",
        ],
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_file_sizes_is_an_error() {
    let place = workplace();
    let limited = Command::new("bash")
        .args([
            "-c",
            "ulimit -f 8; exec \"$0\" data compose digits --out big.safetensors",
        ])
        .arg(env!("CARGO_BIN_EXE_tagwise"))
        .current_dir(place.path())
        .output()
        .unwrap();
    let message = stderr(&limited);
    assert_eq!(limited.status.code(), Some(1), "{message}");
    insta::assert_snapshot!(message, @"tagwise: big.safetensors: File too large (os error 27)");
    let left = std::fs::read_dir(place.path()).unwrap();
    let names: Vec<String> = left
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.contains("big") || name.contains("partial")),
        "{names:?}"
    );
}

#[test]
fn slips_of_the_pen_get_an_answer() {
    let place = workplace();
    let first = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let message = refused(place.path(), &arguments);
        let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("tagwise: ");
        message
            .lines()
            .find(is_error)
            .unwrap_or_default()
            .to_string()
    };
    insta::assert_snapshot!(first("train --device gpu"), @r#"error: invalid value 'gpu' for '--device <DEVICE>': expected cpu, cuda, cuda:1 and so on, mps or torch-cpu, found "gpu""#);
    insta::assert_snapshot!(first("train --device cuda"), @r#"tagwise: --device cuda trains on PyTorch, which this program reaches where both are installed in one Python environment: pip install "tagwise[torch]" and run its tagwise, or name the interpreter by TAGWISE_PYTHON"#);
    insta::assert_snapshot!(first("train --epochs abc"), @r#"error: invalid value 'abc' for '--epochs <EPOCHS>': expected a whole number from 0, found "abc""#);
    insta::assert_snapshot!(first("train --epochs -3"), @r#"error: invalid value '-3' for '--epochs <EPOCHS>': expected a whole number from 0, found "-3""#);
    insta::assert_snapshot!(first("train --set training.learning_rate=-0.1"), @"tagwise: expected training.learning_rate to be a number from 0 to 1000, found -0.1");
    insta::assert_snapshot!(first("fit x.csv --weight-decay abc"), @r#"error: invalid value 'abc' for '--weight-decay <LAMBDA>': expected a number, found "abc""#);
    insta::assert_snapshot!(first("fit x.csv --held-out -0.5"), @"tagwise: expected --held-out between 0 and 1, found -0.5");
}

#[test]
fn auto_says_what_else_its_choice_is_worth() {
    let place = workplace();
    let auto = [
        "decode",
        "--features",
        "x.csv",
        "--prototypes",
        "x.csv",
        "--head",
        "h.safetensors",
        "--decoder",
        "auto",
        "--out",
        "b.csv",
    ];
    let said = stderr(&succeeds(
        place.path(),
        &[&auto[..], &["--validation", "x.csv"]].concat(),
    ));
    let line = said.lines().find(|line| line.contains("micro F1")).unwrap();
    assert!(line.starts_with("auto: it has exact match "), "{said}");
    assert!(
        line.contains("Hamming loss 0.") && line.contains("--criterion"),
        "{said}"
    );
    let said = stderr(&succeeds(place.path(), &auto));
    assert!(
        said.contains("auto: other measures were not looked at; --criterion"),
        "{said}"
    );
}

/// docs/files.md has every key that a command prints at the top of its JSON.
#[test]
fn the_page_of_files_names_every_key() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/files.md");
    let page = std::fs::read_to_string(page).unwrap();
    let place = workplace();
    let folder = place.path();
    succeeds(
        folder,
        &[
            "fit",
            "x.csv",
            "--loss",
            "set-likelihood",
            "--out",
            "s.safetensors",
            "-q",
        ],
    );
    let abstaining = "decode --features x.csv --head s.safetensors --list 2 --abstain-below 0.5";
    let arguments: Vec<&str> = abstaining.split(' ').chain(["--out", "s.csv"]).collect();
    succeeds(folder, &arguments);
    for command in [
        "fit x.csv --out new.safetensors",
        "decode --features x.csv --prototypes x.csv",
        "decode --features x.csv --prototypes x.csv --validation x.csv --head h.safetensors --decoder auto",
        abstaining,
        "predict h.safetensors x.csv",
        "evaluate s.csv --truth x.csv --head s.safetensors",
        "analyze x.csv",
        "ufm --targets x.csv",
        "ufm --targets x.csv --method solver",
    ] {
        let arguments: Vec<&str> = command.split(' ').chain(["--json"]).collect();
        let output = succeeds(folder, &arguments).stdout;
        let mut answer: serde_json::Value = serde_json::from_slice(&output).unwrap();
        if command.starts_with("analyze") {
            answer = answer["files"][0].take();
        }
        for key in answer.as_object().unwrap().keys() {
            // Four families of measures are listed by their beginnings.
            let families = ["jaccard_", "f1_", "precision_", "recall_"];
            let family = families.iter().find(|family| key.starts_with(**family));
            let name = family.copied().unwrap_or(key);
            assert!(page.contains(&format!("`{name}`")), "{command}: {key}");
        }
    }
}
