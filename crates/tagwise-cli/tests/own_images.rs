//! `data.source = "folder"` from files to a report.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

const LABELS: [&str; 3] = ["bar", "disc, round", "frame"];

/// Colours of the pixels `[height, width, 3]` of a drawing with these labels, each on its channel.
fn drawing(labels: &[usize], width: usize, height: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let u = 2.0 * (x as f64 + 0.5) / width as f64 - 1.0;
            let v = 2.0 * (y as f64 + 0.5) / height as f64 - 1.0;
            let is_inside = [
                u.abs() < 0.25,
                u * u + v * v < 0.4,
                u.abs().max(v.abs()) > 0.7,
            ];
            for channel in 0..3 {
                let is_lit = labels.contains(&channel) && is_inside[channel];
                pixels.push(if is_lit { 220 } else { 30 });
            }
        }
    }
    pixels
}

/// 72 PNG and JPEG files of different sizes with every set of one and two labels, and their table.
fn photos(folder: &Path) {
    let sets: [&[usize]; 6] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]];
    let mut table = "\u{feff}file,labels\r\n".to_string();
    fs::create_dir_all(folder.join("more")).unwrap();
    for index in 0..72 {
        let labels = sets[index % 6];
        let (width, height) = (24 + 7 * index % 40, 20 + 11 * index % 50);
        let pixels = drawing(labels, width, height);
        let name = match index % 2 {
            0 => format!("{index}.png"),
            _ => format!("more/{index}.jpg"),
        };
        let path = folder.join(&name);
        let (width, height) = (width as u16, height as u16);
        if index % 2 == 0 {
            let file = File::create(path).unwrap();
            let mut encoder = png::Encoder::new(file, width.into(), height.into());
            encoder.set_color(png::ColorType::Rgb);
            encoder
                .write_header()
                .unwrap()
                .write_image_data(&pixels)
                .unwrap();
        } else {
            let encoder = jpeg_encoder::Encoder::new_file(path, 90).unwrap();
            encoder
                .encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb)
                .unwrap();
        }
        let names: Vec<&str> = labels.iter().map(|&label| LABELS[label]).collect();
        table += &format!("{name},\"{}\"\r\n", names.join(";"));
    }
    fs::write(folder.join("labels.csv"), table).unwrap();
}

fn train(folder: &Path, settings: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagwise"));
    command.current_dir(folder).arg("train");
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    said.lines().last().unwrap_or_default().to_string()
}

#[test]
fn a_folder_of_photographs_trains_decodes_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let settings = [
        "data.source=folder",
        "data.folder=photos",
        "data.labels=photos/labels.csv",
        "data.height=16",
        "data.width=20",
        "training.epochs=2",
        "training.batch_size=16",
    ];
    let output = train(folder.path(), &settings);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let run = folder.path().join("runs/folder-001");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let data = &summary["data"];
    assert_eq!(
        (data["title"].as_str(), data["num_classes"].as_u64()),
        (Some("photos"), Some(3))
    );
    assert_eq!(data["image_shape"], serde_json::json!([16, 20, 3]));
    let images = |part: &str| -> u64 {
        let counts = data[part].as_object().unwrap().values();
        counts.map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!(images("train") + images("validation") + images("test"), 72);
    assert_eq!(images("test"), 14);
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(LABELS.iter().all(|label| report.contains(label)));

    // The features that the run leaves decode like those of any other run.
    let decoded = Command::new(env!("CARGO_BIN_EXE_tagwise"))
        .current_dir(&run)
        .args(["decode", "--features", "features-test.safetensors"])
        .args(["--prototypes", "features-train.safetensors"])
        .output()
        .unwrap();
    assert!(
        decoded.status.success(),
        "{}",
        String::from_utf8_lossy(&decoded.stderr)
    );
    assert_eq!(
        String::from_utf8(decoded.stdout).unwrap().lines().count(),
        15
    );
}

/// What `predict` sees in the files of the test images is what the run saw in them: the same sizes,
/// the same normalisation, the same network.
#[test]
fn new_images_are_seen_as_those_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("photos");
    photos(&place);
    let table = fs::read_to_string(place.join("labels.csv")).unwrap();
    let part = |index: usize| match index {
        0..48 => "train",
        48..60 => "validation",
        _ => "test",
    };
    let mut rows: Vec<String> = vec!["file,labels,split".into()];
    let lines = table.lines().skip(1).enumerate();
    rows.extend(lines.map(|(index, line)| format!("{line},{}", part(index))));
    fs::write(place.join("labels.csv"), rows.join("\n")).unwrap();
    let settings = [
        "data.source=folder",
        "data.folder=photos",
        "data.height=16",
        "data.width=20",
        "training.epochs=2",
        "training.batch_size=16",
    ];
    assert!(train(folder.path(), &settings).status.success());
    let files = (60..72).map(|index| match index % 2 {
        0 => format!("photos/{index}.png"),
        _ => format!("photos/more/{index}.jpg"),
    });
    let files: Vec<String> = files.collect();
    let predictions = |inputs: &[String]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tagwise"))
            .current_dir(folder.path())
            .args(["predict", "runs/folder-001", "--json"])
            .args(inputs)
            .output()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["predictions"].as_array().unwrap().clone()
    };
    let of_images = predictions(&files);
    let of_features = predictions(&["runs/folder-001/features-test.safetensors".to_string()]);
    assert_eq!((of_images.len(), of_features.len()), (12, 12));
    for (image, row) in of_images.iter().zip(&of_features) {
        assert_eq!(image["labels"], row["labels"]);
        let pairs = image["confidences"].as_array().unwrap().iter();
        for (image, row) in pairs.zip(row["confidences"].as_array().unwrap()) {
            let gap = image.as_f64().unwrap() - row.as_f64().unwrap();
            assert!(gap.abs() < 1e-4, "{image} {row}");
        }
    }
    // Images of one set are seen alike, those of others differently.
    assert_ne!(of_images[0]["confidences"], of_images[1]["confidences"]);
}

#[test]
fn what_cannot_be_learned_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let with = |more: &[&str]| {
        let settings = ["data.source=folder", "data.folder=photos"];
        refusal(&train(folder.path(), &[&settings, more].concat()))
    };
    insta::assert_snapshot!(with(&["data.channels=2"]), @"tagwise: expected the channels of own images to be 1 (grey) or 3 (colour), found 2");
    insta::assert_snapshot!(with(&["data.classes=[\"bar\"]"]), @r#"tagwise: photos/labels.csv: line 3: expected labels among bar, found "disc, round""#);
    insta::assert_snapshot!(with(&["data.labels=nowhere.csv"]), @"tagwise: nowhere.csv: expected a table of labels with the columns file and labels, found no file");
    insta::assert_snapshot!(with(&["data.folder=nowhere"]), @"tagwise: nowhere: expected a folder of images, found none");
    insta::assert_snapshot!(with(&["data.train.max_shift=1"]), @"tagwise: expected data.train to be left out, since folder has label sets of its own, found a table");
    insta::assert_snapshot!(refusal(&train(folder.path(), &["data.source=folder"])), @"tagwise: expected data.folder to be a folder of images, or data.labels a table of their labels, found neither");
    insta::assert_snapshot!(refusal(&train(folder.path(), &["data.height=16"])), @"tagwise: expected data.height to be left out, since digits is no folder of own images, found 16");
    assert!(!folder.path().join("runs").exists());
}
