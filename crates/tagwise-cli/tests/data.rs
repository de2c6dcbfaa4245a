//! `tagwise data` as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

fn tagwise(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .args(arguments)
        .current_dir(folder)
        .env("TAGWISE_DATA", "no-data-here")
        .output()
        .unwrap()
}

/// Runs a command that fails; returns its exit code and message.
fn failure(arguments: &[&str], folder: &Path) -> (i32, String) {
    let output = tagwise(arguments, folder);
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), message)
}

#[test]
fn composed_digits_are_written_as_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        "data compose digits --part test --per-multiplicity 8,2,1 --seed 3 --out d.safetensors";
    let output = tagwise(&arguments.split(' ').collect::<Vec<_>>(), folder.path());
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @"d.safetensors: 290 images of 16 x 16 x 1 with 175 label sets over 10 classes, 0.1 MB");
    let bytes = std::fs::read(folder.path().join("d.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("images").unwrap().shape(), [290, 16, 16, 1]);
    assert_eq!(tensors.tensor("targets").unwrap().shape(), [290, 10]);
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    assert_eq!(
        metadata["compose"],
        r#"{"per_multiplicity":[8,2,1],"placement":"balanced"}"#
    );
    assert_eq!(
        (metadata["part"].as_str(), metadata["seed"].as_str()),
        ("test", "3")
    );
}

#[test]
fn a_contact_sheet_is_drawn_from_a_specification_file() {
    let folder = tempfile::tempdir().unwrap();
    let spec = "per_multiplicity = [9]\nplacement = \"paper\"\n[[label_sets]]\nlabels = [3, 5]\ncount = 4\n";
    std::fs::write(folder.path().join("spec.toml"), spec).unwrap();
    let arguments = "data preview digits --spec spec.toml --per-row 4 --out sheet.png";
    let output = tagwise(&arguments.split(' ').collect::<Vec<_>>(), folder.path());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @"sheet.png: 8 of 94 images of 16 x 16 x 1 with 11 label sets over 10 classes, 508 x 296 pixels");
    let bytes = std::fs::read(folder.path().join("sheet.png")).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
}

#[test]
fn wrong_input_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let failure = |arguments: &str| {
        let (code, message) = failure(&arguments.split(' ').collect::<Vec<_>>(), folder.path());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is written"
        );
        format!("{code} {message}")
    };
    std::fs::write(folder.path().join("spec.toml"), "per_multiplicty = [1]").unwrap();
    insta::assert_snapshot!(failure("data compose mnist --out x"), @"1 tagwise: mnist is not in no-data-here/mnist; run tagwise data fetch mnist, or name its folder with --from");
    insta::assert_snapshot!(failure("data compose mnist --from . --out x"), @"1 tagwise: .: expected a folder with train-images-idx3-ubyte or train-images-idx3-ubyte.gz, found neither; fetch the data set or give another folder");
    insta::assert_snapshot!(failure("data compose svhn --per-multiplicity 1 --out x"), @"2 tagwise: svhn has label sets of its own and is not composed; leave out --spec, --per-multiplicity, --pair-tiers, --placement and --max-shift");
    insta::assert_snapshot!(failure("data compose digits --spec spec.toml --out x"), @"2 tagwise: spec.toml: unknown field `per_multiplicty`, expected one of `per_multiplicity`, `pair_tiers`, `label_sets`, `placement`, `max_shift`, `cells_per_side`");
    insta::assert_snapshot!(failure("data compose digits --spec none.toml --out x"), @"1 tagwise: none.toml: No such file or directory (os error 2)");
    let message = failure("data compose digits --out no/folder/x");
    assert!(message.starts_with("1 tagwise: no/folder/x: "), "{message}");
    insta::assert_snapshot!(failure("data preview digits --per-multiplicity 0 --out x"), @"1 tagwise: expected the composed data set of 1 to 100000000 samples, found 0");
    assert!(
        failure("data compose cifar100 --out x").starts_with("2 error: invalid value 'cifar100'")
    );
}
