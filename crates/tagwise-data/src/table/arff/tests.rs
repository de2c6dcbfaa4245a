use std::path::PathBuf;

use super::*;

/// Reads this text; an error comes without the folder's name.
fn read_text(text: &str, labels: Labels<'_>, left_out: &[&str]) -> Result<Table, String> {
    read_bytes(text.as_bytes(), labels, left_out)
}

fn read_bytes(bytes: &[u8], labels: Labels<'_>, left_out: &[&str]) -> Result<Table, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.arff");
    std::fs::write(&path, bytes).unwrap();
    let name = format!("{}/", folder.path().display());
    read(&path, labels, left_out).map_err(|error| error.to_string().replace(&name, ""))
}

fn sets(table: &Table) -> Vec<String> {
    table.targets.iter().map(ToString::to_string).collect()
}

const DENSE: &str = "\
% a comment
@RELATION 'music: -C 2'

@attribute happy {0,1}
@attribute 'very sad' {no,yes}
@attribute \"loud ness\" real
@attribute key { c, 'd sharp', \"e\" }
@Attribute minor {F, T}
@attribute id string
@DATA

1,no,-1.5e1, 'd sharp' ,T,'a, b'
0 , yes , 2 , c , F , x
% between rows
0,no,0,e,F,y
";

#[test]
fn dense_rows_with_quotes_and_nominal_attributes_are_read() {
    let table = read_text(DENSE, Labels::Meka, &["id"]).unwrap();
    assert_eq!(table.label_names, ["happy", "very sad"]);
    assert_eq!(
        table.feature_names,
        ["loud ness", "key=c", "key=d sharp", "key=e", "minor"]
    );
    assert_eq!(sets(&table), ["{0}", "{1}", "{}"]);
    assert_eq!(
        table.features,
        Features::Dense {
            num_features: 5,
            values: [
                [-15.0, 0.0, 1.0, 0.0, 1.0],
                [2.0, 1.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 1.0, 0.0]
            ]
            .concat(),
        }
    );
}

#[test]
fn sparse_rows_read_as_the_dense_rows_that_they_stand_for() {
    let sparse = DENSE.split("@DATA").next().unwrap().to_string()
        + "@data\n{0 1, 2 -15, 3 'd sharp', 4 T, 5 'a, b'}\n{1 yes,2 2}\n{ 3 e }\n{}\n";
    let table = read_text(&sparse, Labels::Meka, &["id"]).unwrap();
    assert_eq!(sets(&table), ["{0}", "{1}", "{}", "{}"]);
    let dense = read_text(DENSE, Labels::Meka, &["id"]).unwrap();
    let expected = [dense.features.to_dense(), vec![0.0, 1.0, 0.0, 0.0, 0.0]].concat();
    assert!(matches!(table.features, Features::Sparse(_)));
    assert_eq!(table.features.to_dense(), expected);

    let mixed = format!("{DENSE}{{1 yes}}\n");
    let table = read_text(&mixed, Labels::Meka, &["id"]).unwrap();
    assert_eq!(table.features.to_dense(), expected);
}

#[test]
fn labels_may_come_last_or_be_named_anywhere() {
    let text = "@relation 'x: -C -2 -S 0'\n@attribute a numeric\n@attribute b {1,0}\n@attribute c numeric\n@data\n5,1,0\n6,0,1\n";
    let last = read_text(text, Labels::Meka, &[]).unwrap();
    assert_eq!(
        (last.label_names.join(" "), sets(&last)),
        ("b c".into(), vec!["{0}".into(), "{1}".into()])
    );
    let named = read_text(text, Labels::Named(&["c", "b"]), &[]).unwrap();
    assert_eq!(
        (named.label_names.join(" "), sets(&named)),
        ("c b".into(), vec!["{1}".into(), "{0}".into()])
    );
}

#[test]
fn mulans_xml_names_labels_with_escapes_and_nesting() {
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("t.xml");
    std::fs::write(
        &xml,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<labels xmlns=\"http://mulan.sourceforge.net/labels\">\n\
         <label name=\"TAG_m\\'usica\"><label name=\"R&amp;B\"></label></label>\n</labels>\n",
    )
    .unwrap();
    let text = "@relation x\n@attribute a numeric\n@attribute TAG_m\\'usica {0,1}\n@attribute R&B {0,1}\n@data\n{0 2,2 1}\n{1 1}\n";
    let table = read_text(text, Labels::MulanXml(&xml), &[]).unwrap();
    assert_eq!(table.label_names, ["TAG_m'usica", "R&B"]);
    assert_eq!(sets(&table), ["{1}", "{0}"]);

    let refusal = |xml_text: &str| {
        std::fs::write(&xml, xml_text).unwrap();
        let error = read_text(text, Labels::MulanXml(&xml), &[]).unwrap_err();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    insta::assert_snapshot!(refusal("<labels><label name=\"b\"/></labels>"), @r#"t.arff: expected an attribute for the label "b", found none; the labels belong to another table"#);
    insta::assert_snapshot!(refusal("<labels><label/></labels>"), @"t.xml: line 1: expected a label with a name, found none");
    insta::assert_snapshot!(refusal("<labels></labels>"), @"t.arff: expected at least one label, found none");
    insta::assert_snapshot!(refusal("<labels>"), @"t.xml: expected an XML list of labels, found damage: the root node was opened but never closed");
    insta::assert_snapshot!(refusal("<labels><label name=\"a\"/><label name=\"a\"/></labels>"), @r#"t.arff: expected the label "a" once, found it twice"#);
}

#[test]
fn latin_1_names_are_read() {
    let text = b"@relation x\n@attribute m\xfasica {0,1}\n@attribute a numeric\n@data\n1,2\n";
    let table = read_bytes(text, Labels::Named(&["música"]), &[]).unwrap();
    assert_eq!(table.label_names, ["música"]);
}

#[test]
fn every_malformed_file_gets_one_sentence() {
    let with = |attributes: &str, data: &str| {
        format!("@relation 'x: -C 1'\n@attribute l {{0,1}}\n{attributes}\n@data\n{data}\n")
    };
    let refusal = |text: &str| read_text(text, Labels::Meka, &[]).unwrap_err();
    let data = |data: &str| refusal(&with("@attribute a numeric", data));
    insta::assert_snapshot!(refusal(""), @"t.arff: line 1: expected a line @data before the end of the file, found none");
    insta::assert_snapshot!(refusal("a,b,c\n1,2,3\n"), @r#"t.arff: line 1: expected @relation, @attribute or @data, found "a,b,c""#);
    insta::assert_snapshot!(refusal("@relation x\n@data\n1\n"), @"t.arff: line 2: expected attributes before the data, found none");
    insta::assert_snapshot!(refusal("@relation x\n@attribute a numeric\n@attribute b numeric\n@data\n"), @r#"t.arff: expected the relation's name to say -C and a number of labels below 2, found "x"; or give Mulan's XML list of the labels"#);
    insta::assert_snapshot!(refusal("@relation 'x: -C 7'\n@attribute a numeric\n@data\n"), @r#"t.arff: expected the relation's name to say -C and a number of labels below 1, found "x: -C 7"; or give Mulan's XML list of the labels"#);
    insta::assert_snapshot!(refusal(&with("@attribute a", "0,1")), @r#"t.arff: line 3: expected the type of attribute "a", found nothing"#);
    insta::assert_snapshot!(refusal(&with("@attribute 'a numeric", "0,1")), @"t.arff: line 3: expected the quotes of a name to close, found an open one");
    insta::assert_snapshot!(refusal(&with("@attribute a {x,y", "0,1")), @r#"t.arff: line 3: expected the values of "a" to end with a brace"#);
    insta::assert_snapshot!(refusal(&with("@attribute a string", "0,1")), @r#"t.arff: expected numeric or nominal attributes, found "a" of type string; leave it out"#);
    insta::assert_snapshot!(refusal("@relation 'x: -C 1'\n@attribute l {a,b}\n@attribute a numeric\n@data\n"), @r#"t.arff: expected the label "l" to be an attribute of two values that say no and yes, such as {0,1}"#);
    insta::assert_snapshot!(data("0,1,2"), @"t.arff: line 5: expected 2 values, one per attribute, found 3");
    insta::assert_snapshot!(data("0,x"), @r#"t.arff: line 5: expected a finite number for "a", found "x""#);
    insta::assert_snapshot!(data("0,inf"), @r#"t.arff: line 5: expected a finite number for "a", found "inf""#);
    insta::assert_snapshot!(data("0,?"), @r#"t.arff: line 5: expected a value of "a", found ? (missing); fill it in or leave the attribute out"#);
    insta::assert_snapshot!(data("2,1"), @r#"t.arff: line 5: expected one of {0, 1} for "l", found "2""#);
    insta::assert_snapshot!(data("0,'1"), @"t.arff: line 5: expected the quotes to close, found an open one");
    insta::assert_snapshot!(data("{0 1, 2 1}"), @r#"t.arff: line 5: expected an attribute's number from 0 to 1, found "2""#);
    insta::assert_snapshot!(data("{0 1, 0 0}"), @"t.arff: line 5: expected each attribute once, found 0 twice");
    insta::assert_snapshot!(data("{0 1"), @"t.arff: line 5: expected a sparse row to end with a brace");
    insta::assert_snapshot!(data("{0}"), @r#"t.arff: line 5: expected an attribute's number and a value, found "0""#);
    insta::assert_snapshot!(read_text(DENSE, Labels::Meka, &["ID"]).unwrap_err(), @r#"t.arff: expected an attribute "ID" to leave out, found none of that name"#);
}

/// The folder of genuine tables where a developer has them.
fn genuine_data() -> Option<(PathBuf, Option<tempfile::TempDir>)> {
    let named = std::env::var_os("TAGWISE_TEST_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = named.unwrap_or_else(beside).join("tabular");
    if folder.join("mulan").is_dir() {
        return Some((folder, None));
    }
    let unpacked = tempfile::tempdir().unwrap();
    let unpack = |archive: &str| {
        let tar = std::process::Command::new("tar")
            .arg("-xJf")
            .arg(folder.join(archive))
            .arg("-C")
            .arg(unpacked.path())
            .stderr(std::process::Stdio::null())
            .status();
        tar.is_ok_and(|status| status.success())
    };
    if unpack("mulan.tar.xz") && unpack("xmc.tar.xz") {
        return Some((unpacked.path().to_path_buf(), Some(unpacked)));
    }
    eprintln!(
        "skipped: no {}; put Mulan's tables there or set TAGWISE_TEST_DATA",
        folder.display()
    );
    None
}

/// Rows, features, labels, mean number of labels and distinct label sets as Mulan publishes them
/// or, for parts and for flags' one-hot columns, as a separate count found them.
const PUBLISHED: [(&str, &str, usize, usize, usize, f64, usize); 10] = [
    (
        "bibtex/bibtex",
        "bibtex/bibtex",
        7395,
        1836,
        159,
        2.402,
        2856,
    ),
    (
        "corel5k/Corel5k-sparse",
        "corel5k/Corel5k",
        5000,
        499,
        374,
        3.522,
        3175,
    ),
    (
        "delicious/delicious",
        "delicious/delicious",
        16105,
        500,
        983,
        19.020,
        15806,
    ),
    (
        "emotions/emotions",
        "emotions/emotions",
        593,
        72,
        6,
        1.869,
        27,
    ),
    ("flags/flags", "flags/flags", 194, 43, 7, 3.392, 54),
    (
        "genbase/genbase",
        "genbase/genbase",
        662,
        1185,
        27,
        1.252,
        32,
    ),
    ("scene/scene-train", "scene/scene", 1211, 294, 6, 1.062, 14),
    (
        "tmc2007/tmc2007-500",
        "tmc2007/tmc2007-500",
        28596,
        500,
        22,
        2.158,
        1341,
    ),
    ("yeast/yeast", "yeast/yeast", 2417, 103, 14, 4.237, 198),
    (
        "emotions/emotions-train",
        "emotions/emotions",
        391,
        72,
        6,
        1.813,
        26,
    ),
];

/// Published means are given to three decimals, not always rounded to the nearest.
const THREE_DECIMALS: f64 = 1e-3;

#[test]
fn genuine_tables_have_the_published_sizes() {
    let Some((folder, _unpacked)) = genuine_data() else {
        return;
    };
    for (name, xml, num_rows, num_features, num_labels, cardinality, num_distinct) in PUBLISHED {
        let left_out: &[&str] = if name.starts_with("genbase") {
            &["protein"]
        } else {
            &[]
        };
        let path = folder.join("mulan").join(format!("{name}.arff"));
        let xml = folder.join("mulan").join(format!("{xml}.xml"));
        let table = read(&path, Labels::MulanXml(&xml), left_out).unwrap();
        let found = (
            table.features.num_rows(),
            table.features.num_features(),
            table.label_names.len(),
        );
        assert_eq!(found, (num_rows, num_features, num_labels), "{name}");
        let labels: usize = table.targets.iter().map(LabelSet::multiplicity).sum();
        let found = labels as f64 / num_rows as f64;
        assert!(
            (found - cardinality).abs() < THREE_DECIMALS,
            "{name}: {found}"
        );
        assert_eq!(table.targets.distinct().len(), num_distinct, "{name}");
    }
}

#[test]
fn genuine_arff_and_xmc_files_hold_the_same_table() {
    let Some((folder, _unpacked)) = genuine_data() else {
        return;
    };
    for (name, half) in [
        ("bibtex", "train"),
        ("bibtex", "test"),
        ("delicious", "train"),
        ("delicious", "test"),
    ] {
        let arff = folder.join(format!("mulan/{name}/{name}-{half}.arff"));
        let xml = folder.join(format!("mulan/{name}/{name}.xml"));
        let arff = read(&arff, Labels::MulanXml(&xml), &[]).unwrap();
        let xmc =
            crate::table::text::read_xmc(&folder.join(format!("xmc/{name}/{half}.txt"))).unwrap();
        assert_eq!(arff.features, xmc.features);
        assert_eq!(arff.targets, xmc.targets);
    }
}

#[test]
fn genuine_meka_file_is_read() {
    let Some((folder, _unpacked)) = genuine_data() else {
        return;
    };
    let table = read(&folder.join("mulan/meka/Music.arff"), Labels::Meka, &[]).unwrap();
    assert_eq!(
        (table.features.num_rows(), table.features.num_features()),
        (592, 71)
    );
    assert_eq!(table.label_names[0], "amazed-suprised");
}

#[test]
fn rows_of_many_parts_keep_their_order_and_their_line_numbers() {
    const HEADER: &str = "@relation 't: -C 1'\n@attribute a {0,1}\n@attribute x numeric\n\
                          @attribute c {p,q,r}\n@data\n";
    let num_rows = 2 * PART_LEN + 90;
    let dense = |row: usize| format!("{},{row},q\n", row % 2);
    let sparse = |row: usize| format!("{{0 {},1 {row},2 q}}\n", row % 2);
    // Dense rows, then sparse ones from the middle of the second part on.
    let switch = PART_LEN + 40;
    let row = |row| {
        if row < switch {
            dense(row)
        } else {
            sparse(row)
        }
    };
    let text: String = (0..num_rows).map(row).collect();
    let table = read_text(&format!("{HEADER}{text}"), Labels::Meka, &[]).unwrap();
    assert!(matches!(table.features, Features::Sparse(_)));
    assert_eq!(table.features.num_rows(), num_rows);
    for (row, values) in table.features.to_dense().chunks(4).enumerate() {
        assert_eq!(values, [row as f32, 0.0, 1.0, 0.0]);
        let expected = LabelSet::new((row % 2 == 1).then_some(0));
        assert_eq!(*table.targets.set(row), expected);
    }
    let all_dense: String = (0..num_rows).map(dense).collect();
    let dense = read_text(&format!("{HEADER}{all_dense}"), Labels::Meka, &[]).unwrap();
    assert!(matches!(dense.features, Features::Dense { .. }));
    assert_eq!(dense.features.to_dense(), table.features.to_dense());
    // The first of two bad lines is named, whichever part is read first.
    let broken = format!("{HEADER}{text}0,1\n1,2\n");
    let error = read_text(&broken, Labels::Meka, &[]).unwrap_err();
    let line = 5 + num_rows + 1;
    assert!(error.contains(&format!("line {line}:")), "{error}");
}
