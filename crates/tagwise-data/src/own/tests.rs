use std::fs;

use super::*;

/// A folder with images of different sizes and a table.
struct Photos {
    folder: tempfile::TempDir,
}

impl Photos {
    /// Grey images named 0.png to n−1.png, each all of one value.
    fn new(values: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (i, &value) in values.iter().enumerate() {
            let (width, height) = (3 + i % 5, 2 + i % 7);
            let file = fs::File::create(folder.path().join(format!("{i}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, width as u32, height as u32);
            encoder.set_color(png::ColorType::Grayscale);
            let mut writer = encoder.write_header().unwrap();
            writer
                .write_image_data(&vec![value; width * height])
                .unwrap();
        }
        Self { folder }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn spec(&self) -> OwnSpec {
        OwnSpec {
            folder: Some(self.folder.path().into()),
            height: Some(4),
            width: Some(6),
            channels: Some(1),
            ..OwnSpec::default()
        }
    }

    fn refusal(&self, table: &str) -> String {
        self.write("labels.csv", table);
        let place = format!("{}/", self.folder.path().display());
        read(&self.spec(), 0)
            .unwrap_err()
            .to_string()
            .replace(&place, "")
    }
}

/// Twelve images, half of them with label a, the others with b.
fn table() -> String {
    let rows = (0..12).map(|i| format!("{i}.png,{}\n", ["a", "b"][i % 2]));
    format!("file,labels\n{}", rows.collect::<String>())
}

#[test]
fn images_keep_their_labels_and_are_normalised_by_the_training_part() {
    let values: Vec<u8> = (0..12).map(|i| 20 * i).collect();
    let photos = Photos::new(&values);
    photos.write("labels.csv", table());
    let images = read(&photos.spec(), 5).unwrap();
    assert_eq!(images.class_names, ["a", "b"]);
    let parts = [&images.train, &images.validation, &images.test];
    assert_eq!(parts.map(StoredImages::len), [9, 1, 2]);
    let mut seen = Vec::new();
    for part in parts {
        for index in 0..part.len() {
            let value = part.pixels(index)[0];
            assert!(part.pixels(index).iter().all(|&pixel| pixel == value));
            let label = u32::from(value / 20) % 2;
            assert_eq!(part.targets().set(index).labels(), [label]);
            seen.push(value);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, values);

    let mut sums = [0.0f64; 2];
    let mut image = [0.0; 24];
    for index in 0..images.train.len() {
        images.train.image_into(index, &mut image);
        sums[0] += f64::from(image[0]);
        sums[1] += f64::from(image[0]).powi(2);
    }
    assert!(sums[0].abs() < 1e-5, "{sums:?}");
    assert!((sums[1] / 9.0 - 1.0).abs() < 1e-5, "{sums:?}");
}

#[test]
fn the_table_may_stand_elsewhere_and_name_subfolders() {
    let photos = Photos::new(&[9; 6]);
    fs::create_dir(photos.folder.path().join("inner")).unwrap();
    let names = (0..6).map(|i| {
        let (old, new) = (format!("{i}.png"), format!("inner/{i}.png"));
        fs::rename(
            photos.folder.path().join(&old),
            photos.folder.path().join(&new),
        )
        .unwrap();
        format!(
            "{new},{},{}\n",
            ["train", "validation", "test"][i / 2],
            i % 2
        )
    });
    let table = photos.folder.path().join("table.csv");
    fs::write(
        &table,
        format!("file,split,odd\n{}", names.collect::<String>()),
    )
    .unwrap();
    let spec = OwnSpec {
        folder: None,
        labels: Some(table.clone()),
        ..photos.spec()
    };
    // One label alone is refused.
    let error = read(&spec, 0).unwrap_err().to_string();
    assert!(error.ends_with("found only odd"), "{error}");
    let text = fs::read_to_string(&table)
        .unwrap()
        .replace(",odd", ",odd,even")
        .replace(",1\n", ",1,0\n")
        .replace(",0\n", ",0,1\n");
    fs::write(&table, text.replace(",1,0,1\n", ",1,0\n")).unwrap();
    let images = read(&spec, 0).unwrap();
    assert_eq!(images.class_names, ["odd", "even"]);
    assert_eq!(images.test.targets().set(1).to_string(), "{0}");
    assert_eq!(images.train.len() + images.validation.len(), 4);
}

#[test]
fn every_mistake_gets_one_sentence_with_file_and_line() {
    let photos = Photos::new(&[9; 12]);
    photos.write("broken.png", b"\x89PNG\r\n\x1a\nnonsense");
    photos.write("note.txt", "hello");
    insta::assert_snapshot!(photos.refusal(&table().replace("7.png", "77.png")), @"77.png: expected an image, found no such file (labels.csv, line 9)");
    insta::assert_snapshot!(photos.refusal(&table().replace("\n7.png", "\nbroken.png")), @"broken.png: expected a PNG image, found damage: ChunkType { type: ense, critical: false, private: true, reserved: true, safecopy: true } chunk appeared before IHDR chunk (labels.csv, line 9)");
    insta::assert_snapshot!(photos.refusal(&table().replace("\n7.png", "\nnote.txt")), @"note.txt: expected a PNG or JPEG image, found another kind of file; save it as one of these (labels.csv, line 9)");
    insta::assert_snapshot!(photos.refusal(&table().replace("\n7.png", "\n6.png")), @"labels.csv: line 9: expected every file once, found 6.png in line 8 too");
    insta::assert_snapshot!(photos.refusal(&table().replace("7.png,b", "7.png,b;c")), @r#"labels.csv: expected two images or more with every label, one to learn from and one to judge by, found one with "c" (line 9); add images or leave the label out"#);
    insta::assert_snapshot!(photos.refusal(&table().replace(",b", ",a")), @"labels.csv: expected at least 2 labels, since with one there is nothing to tell apart, found only a");
    insta::assert_snapshot!(photos.refusal("file,labels\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n"), @"expected own images of which at least one becomes a validation image (add images, raise its share, or say in a column split which they are), found 4 images");
    fs::remove_file(photos.folder.path().join("labels.csv")).unwrap();
    let error = read(&photos.spec(), 0).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&photos.folder.path().display().to_string(), "FOLDER"), @"FOLDER/labels.csv: expected a table of labels with the columns file and labels, found no file");
    photos.write("labels.csv", [0xff, 0xfe, b'f', 0]);
    let error = read(&photos.spec(), 0).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&photos.folder.path().display().to_string(), "FOLDER"), @r#"FOLDER/labels.csv: line 1: expected a header with the columns file and labels, found "f""#);
    let spec = OwnSpec {
        width: Some(5000),
        ..photos.spec()
    };
    insta::assert_snapshot!(read(&spec, 0).unwrap_err(), @"expected the width of own images from 1 to 4096 pixels, found 5000");
    insta::assert_snapshot!(read(&OwnSpec::default(), 0).unwrap_err(), @"expected own images in a folder, or with a table of labels, found neither");
}

#[test]
fn the_first_broken_image_of_the_table_is_named() {
    let photos = Photos::new(&[9; 12]);
    for name in ["3.png", "9.png", "10.png"] {
        photos.write(name, "");
    }
    let said = photos.refusal(
        &table()
            .replace("labels", "labels,split")
            .replace('\n', ",train\n")
            .replace("split,train", "split")
            .replace("0.png,a,train", "0.png,a,test")
            .replace("1.png,b,train", "1.png,b,validation"),
    );
    assert!(
        said.starts_with("3.png: expected a PNG or JPEG image, found an empty file"),
        "{said}"
    );
}
