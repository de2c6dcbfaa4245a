use std::path::PathBuf;

use super::*;

const HEADER: &str = "name,img_width,img_height,label,left,top,width,height\n";

/// The genuine SVHN tables and images where a developer has them, unpacked if need be.
fn genuine_data() -> Option<(PathBuf, Option<tempfile::TempDir>)> {
    let named = std::env::var_os("TAGWISE_TEST_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = named.unwrap_or_else(beside).join("svhn_format1");
    if folder.join("boxes_train.csv").is_file() {
        return Some((folder, None));
    }
    let unpacked = tempfile::tempdir().unwrap();
    let tar = std::process::Command::new("tar")
        .arg("-xJf")
        .arg(folder.join("svhn_format1-labels.tar.xz"))
        .arg("-C")
        .arg(unpacked.path())
        .stderr(std::process::Stdio::null())
        .status();
    if tar.is_ok_and(|status| status.success()) {
        return Some((unpacked.path().join("svhn_format1"), Some(unpacked)));
    }
    eprintln!(
        "skipped: no {}; put SVHN's tables there or set TAGWISE_TEST_DATA",
        folder.join("boxes_train.csv").display()
    );
    None
}

fn annotation(name: &str, size: (i32, i32), digits: &[(u8, [i32; 4])]) -> Annotation {
    let digits = digits
        .iter()
        .map(|&(digit, [left, top, width, height])| DigitBox {
            digit,
            left,
            top,
            width,
            height,
        });
    Annotation {
        name: name.into(),
        image_width: size.0,
        image_height: size.1,
        digits: digits.collect(),
    }
}

fn write_png(path: &Path, width: u32, height: u32, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(pixels)
        .unwrap();
}

#[test]
fn a_crop_is_a_centred_square_cut_at_the_image() {
    let wide = annotation(
        "1.png",
        (741, 350),
        &[(1, [246, 77, 81, 219]), (9, [323, 81, 96, 219])],
    );
    let expected = Crop {
        left: 221.0,
        top: 77.0,
        width: 223.0,
        height: 223.0,
    };
    assert_eq!(Crop::of(&wide), expected);
    let at_the_edge = annotation("2.png", (20, 10), &[(3, [0, 2, 16, 6])]);
    let expected = Crop {
        left: 0.0,
        top: 0.0,
        width: 16.0,
        height: 10.0,
    };
    assert_eq!(Crop::of(&at_the_edge), expected);
}

#[test]
fn the_paper_keeps_no_zeros_few_digits_and_a_capped_number_of_singles() {
    let with = |digits: &[u8]| {
        let boxes: Vec<_> = digits.iter().map(|&digit| (digit, [0, 0, 1, 1])).collect();
        annotation("1.png", (9, 9), &boxes)
    };
    let mut annotations = vec![
        with(&[1, 0]),
        with(&[1, 2, 3, 4]),
        with(&[1, 2, 3, 1]),
        with(&[9]),
    ];
    annotations.extend(vec![with(&[7, 7]); SINGLE_DIGIT_CAP + 5]);
    let kept = paper_selection(&annotations);
    assert_eq!(kept.len(), 2 + SINGLE_DIGIT_CAP);
    assert_eq!(kept[..2], [2, 3]);
    assert_eq!(label_set(&annotations[2]), LabelSet::new([0, 1, 2]));
    assert_eq!(label_set(&annotations[3]), LabelSet::new([8]));
}

#[test]
fn a_folder_is_read_cropped_resized_and_normalised() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("train")).unwrap();
    let table = format!("{HEADER}1.png,8,4,2 5,1 3,0 1,2 2,3 3\n2.png,8,4,0,1,1,1,1\n");
    std::fs::write(folder.path().join("boxes_train.csv"), table).unwrap();
    write_png(
        &folder.path().join("train/1.png"),
        8,
        4,
        &[[255, 0, 51]; 32].concat(),
    );

    let images = read(folder.path(), Part::Train).unwrap();
    assert_eq!(
        (images.len(), images.shape()),
        (1, ImageShape::new(32, 32, 3))
    );
    assert_eq!(images.targets().set(0), &LabelSet::new([1, 4]));
    let mut values = vec![0.0; 32 * 32 * 3];
    images.image_into(0, &mut values);
    for (value, expected) in
        values
            .iter()
            .zip([(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225])
    {
        assert!((f64::from(*value) - expected).abs() < 1e-6);
    }

    write_png(&folder.path().join("train/1.png"), 8, 3, &[0; 72]);
    let refusal = |error: Error| {
        error
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    };
    insta::assert_snapshot!(refusal(read(folder.path(), Part::Train).unwrap_err()), @"train/1.png: expected an image of 8 x 4 pixels as the table of boxes says, found 8 x 3; the table belongs to other images");
    std::fs::write(folder.path().join("train/1.png"), b"no image").unwrap();
    insta::assert_snapshot!(refusal(read(folder.path(), Part::Train).unwrap_err()), @"train/1.png: expected a PNG or JPEG image, found another kind of file; save it as one of these");
    std::fs::remove_file(folder.path().join("train/1.png")).unwrap();
    insta::assert_snapshot!(refusal(read(folder.path(), Part::Train).unwrap_err()), @"train/1.png: No such file or directory (os error 2)");
    let error = read(folder.path(), Part::Test).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&folder.path().display().to_string(), "FOLDER"), @"FOLDER: expected boxes_test.csv, the table of digit boxes, found none; make it from test/digitStruct.mat with scripts/svhn_boxes.py");
}

#[test]
fn every_malformed_table_gets_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boxes.csv");
    let refusal = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        let error = read_boxes(&path).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let line = |line: &str| format!("{HEADER}1.png,9,9,1,0,0,2,2\n{line}\n").into_bytes();
    insta::assert_snapshot!(refusal(b""), @r#"boxes.csv: expected a table that starts with the line name,img_width,img_height,label,left,top,width,height, found """#);
    insta::assert_snapshot!(refusal(b"name,unique_label\n1.png,[5]\n"), @r#"boxes.csv: expected a table that starts with the line name,img_width,img_height,label,left,top,width,height, found "name,unique_label""#);
    insta::assert_snapshot!(refusal(&[0xff, 0xfe]), @"boxes.csv: expected a table of digit boxes in UTF-8, found other bytes");
    insta::assert_snapshot!(refusal(&line("2.png,9,9,1,0,0,2")), @"boxes.csv: line 3: expected at least 8 columns, found 7");
    insta::assert_snapshot!(refusal(&line("2.png,9,9,10,0,0,2,2")), @r#"boxes.csv: line 3: expected digits from 0 to 9, found "10""#);
    insta::assert_snapshot!(refusal(&line("2.png,9,9,1 2,0,0 1,2 2,2 2")), @"boxes.csv: line 3: expected 2 numbers in column left, one per digit, found 1");
    insta::assert_snapshot!(refusal(&line("2.png,9,9.5,1,0,0,2,2")), @r#"boxes.csv: line 3: expected a whole number in column img_height, found "9.5""#);
    insta::assert_snapshot!(refusal(&line("2.png,9,0,1,0,0,2,2")), @"boxes.csv: line 3: expected an image of at least one pixel, found 9 x 0");
    insta::assert_snapshot!(refusal(&line("2.png,9,9,1,0,0,-2,2")), @"boxes.csv: line 3: expected a box of at least one pixel, found -2 x 2 at 0, 0");
    insta::assert_snapshot!(refusal(&line("../2.png,9,9,1,0,0,2,2")), @r#"boxes.csv: line 3: expected a file name, found "../2.png""#);
}

/// 543 images of each digit alone, and 16,329 pairs, from 165 to 954 of each.
fn expect_the_papers_counts(annotations: &[Annotation], selection: &[usize]) {
    let mut counts = std::collections::BTreeMap::new();
    for &index in selection {
        *counts.entry(label_set(&annotations[index])).or_insert(0) += 1;
    }
    let of = |multiplicity: usize| -> Vec<usize> {
        let sets = counts.iter();
        sets.filter(|(set, _)| set.multiplicity() == multiplicity)
            .map(|(_, &count)| count)
            .collect()
    };
    assert_eq!(of(1), [SINGLE_DIGIT_CAP; NUM_CLASSES]);
    let pairs = of(2);
    assert_eq!(pairs.len(), 36);
    assert_eq!(pairs.iter().sum::<usize>(), 16_329);
    assert_eq!(
        (pairs.iter().min(), pairs.iter().max()),
        (Some(&165), Some(&954))
    );
}

#[test]
fn genuine_tables_give_the_papers_rows_and_crops() {
    let Some((folder, _unpacked)) = genuine_data() else {
        return;
    };
    for (name, num_images) in [("train", 26_085), ("test", 11_273)] {
        let table = folder.join(format!("boxes_{name}.csv"));
        let annotations = read_boxes(&table).unwrap();
        let selection = paper_selection(&annotations);
        assert_eq!(selection.len(), num_images);
        let published =
            std::fs::read_to_string(folder.join(format!("paper_indices_{name}.txt"))).unwrap();
        let published: Vec<usize> = published
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(selection, published);
        if name == "train" {
            expect_the_papers_counts(&annotations, &selection);
        }
        let text = std::fs::read_to_string(&table).unwrap();
        for (line, annotation) in text.lines().skip(1).zip(&annotations) {
            let numbers: Vec<f64> = line
                .split(',')
                .skip(8)
                .map(|n| n.parse().unwrap())
                .collect();
            let Crop {
                left,
                top,
                width,
                height,
            } = Crop::of(annotation);
            assert_eq!([left, top, width, height], numbers[..], "{line}");
        }
    }
}

#[test]
fn genuine_images_are_cropped_and_resized_to_the_bit() {
    let Some((folder, _unpacked)) = genuine_data() else {
        return;
    };
    let annotations = read_boxes(&folder.join("boxes_train.csv")).unwrap();
    for index in 0..2 {
        let fixture =
            |suffix: &str| folder.join(format!("fixture/train_{}{suffix}.png", index + 1));
        let cropped = crop::read_cropped(&fixture(""), &annotations[index]).unwrap();
        let whole = annotation("", (32, 32), &[(1, [0, 0, 32, 32])]);
        let expected = crop::read_cropped(&fixture("_crop32"), &whole).unwrap();
        assert_eq!(cropped, expected);
    }
}
