use std::path::PathBuf;

use tagwise_base::LabelSet;

use super::super::Features;
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
    assert_eq!(table.label_names.clone().unwrap(), ["happy", "very sad"]);
    assert_eq!(
        table.feature_names.clone().unwrap(),
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
        (last.label_names.clone().unwrap().join(" "), sets(&last)),
        ("b c".into(), vec!["{0}".into(), "{1}".into()])
    );
    let named = read_text(text, Labels::Named(&["c", "b"]), &[]).unwrap();
    assert_eq!(
        (named.label_names.clone().unwrap().join(" "), sets(&named)),
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
    assert_eq!(table.label_names.clone().unwrap(), ["TAG_m'usica", "R&B"]);
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
    assert_eq!(table.label_names.clone().unwrap(), ["música"]);
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
    insta::assert_snapshot!(refusal("@relation x\n@attribute a numeric\n@attribute b numeric\n@data\n"), @r#"t.arff: expected the relation's name to say -C and a number of labels below 2, found "x"; or give Mulan's XML list of the labels (option labels), or their names (option label-columns)"#);
    insta::assert_snapshot!(refusal("@relation 'x: -C 7'\n@attribute a numeric\n@data\n"), @r#"t.arff: expected the relation's name to say -C and a number of labels below 1, found "x: -C 7"; or give Mulan's XML list of the labels (option labels), or their names (option label-columns)"#);
    insta::assert_snapshot!(refusal(&with("@attribute a", "0,1")), @r#"t.arff: line 3: expected the type of attribute "a", found nothing"#);
    insta::assert_snapshot!(refusal(&with("@attribute 'a numeric", "0,1")), @"t.arff: line 3: expected the quotes to close on the same line, found an open one");
    insta::assert_snapshot!(refusal(&with("@attribute a {x,y", "0,1")), @r#"t.arff: line 3: expected the values of "a" to end with a brace"#);
    insta::assert_snapshot!(refusal(&with("@attribute a string", "0,1")), @r#"t.arff: expected numeric or nominal attributes, found "a" of type string; leave it out (option leave-out)"#);
    insta::assert_snapshot!(refusal("@relation 'x: -C 1'\n@attribute l {a,b}\n@attribute a numeric\n@data\n"), @r#"t.arff: expected the label "l" to be an attribute of two values that say no and yes, such as {0,1}"#);
    insta::assert_snapshot!(data("0,1,2"), @"t.arff: line 5: expected 2 values, one per attribute, found 3");
    insta::assert_snapshot!(data("0,x"), @r#"t.arff: line 5: expected a finite number for "a", found "x""#);
    insta::assert_snapshot!(data("0,inf"), @r#"t.arff: line 5: expected a finite number for "a", found "inf""#);
    insta::assert_snapshot!(data("0,?"), @r#"t.arff: line 5: expected a value of "a", found ? (missing); fill it in or leave the attribute out (option leave-out)"#);
    insta::assert_snapshot!(data("2,1"), @r#"t.arff: line 5: expected one of {0, 1} for "l", found "2""#);
    insta::assert_snapshot!(data("0,'1"), @"t.arff: line 5: expected the quotes to close on the same line, found an open one");
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
            table.targets.num_classes(),
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
    assert_eq!(table.label_names.unwrap()[0], "amazed-suprised");
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
        assert_eq!(values, [row as f64, 0.0, 1.0, 0.0]);
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

/// A table in sparse rows and the same rows written out.
fn assert_twins(header: &str, sparse: &str, dense: &str) {
    let sparse = read_text(&format!("{header}\n@data\n{sparse}"), Labels::Meka, &[]).unwrap();
    let dense = read_text(&format!("{header}\n@data\n{dense}"), Labels::Meka, &[]).unwrap();
    assert_eq!(sparse.targets, dense.targets, "{header}");
    assert_eq!(sparse.features.to_dense(), dense.features.to_dense());
}

#[test]
fn a_label_left_out_of_a_sparse_row_has_its_first_declared_value() {
    assert_twins(
        "@relation 'a: -C 2'\n@attribute A {0,1}\n@attribute B {1,0}\n@attribute x numeric\n@attribute c {red,green,blue}",
        "{0 1, 2 1.5}\n{1 0, 2 2, 3 green}\n{}\n{0 1, 1 0}\n",
        "1,1,1.5,red\n0,0,2,green\n0,1,0,red\n1,0,0,red\n",
    );
    assert_twins(
        "@relation 'a: -C 2'\n@attribute A {yes,no}\n@attribute B {True,False}\n@attribute x {q,p}",
        "{2 p}\n{0 no}\n{1 False}\n{}\n",
        "yes,True,p\nno,True,q\nyes,False,q\nyes,True,q\n",
    );
    assert_twins(
        "@relation 'a: -C -2'\n@attribute x numeric\n@attribute A {1}\n@attribute B {0}",
        "{0 1}\n{}\n",
        "1,1,0\n0,1,0\n",
    );
    // A numeric label that is left out is 0; {1,-1} starts with yes.
    assert_twins(
        "@relation 'a: -C 2'\n@attribute A numeric\n@attribute B {1,-1}\n@attribute x numeric",
        "{0 1}\n{1 -1}\n",
        "1,1,0\n0,-1,0\n",
    );
    let text =
        "@relation 'a: -C 1'\n@attribute A {1,0}\n@attribute x numeric\n@data\n{1 2}\n{0 0}\n";
    assert_eq!(
        sets(&read_text(text, Labels::Meka, &[]).unwrap()),
        ["{0}", "{}"]
    );
}

#[test]
fn rows_are_cut_as_weka_cuts_them() {
    const HEADER: &str = "@relation 'b: -C 2'\n@attribute L1 {0,1}\n@attribute L2 {0,1}\n@attribute x numeric\n@data\n";
    for rows in [
        "1,0,.5\n0,1,1e-3\n",
        "1\t0\t.5\n0\t1\t1e-3\n",
        "1 0 .5\n0   1   1e-3 % a comment\n",
        "1,0,.5,\n0,1,1e-3,\n",
        "1 , 0\t.5\n\n% between\n0,1,1e-3",
        "1,0,.5,{5}\n0,1,1e-3,{2}\n",
        "{0 1,2 .5,}\n{1 1,2 1e-3}\n",
        "{0 1, 2 .5}, {5}\n{1 1 2 1e-3}, {2}\n",
        "'1',\"0\",'.5'\n0,1,1e-3\n",
        "1,0,.5\r\n0,1,1e-3\r\n",
    ] {
        let table = read_text(&format!("{HEADER}{rows}"), Labels::Meka, &[]).unwrap();
        assert_eq!(sets(&table), ["{0}", "{1}"], "{rows}");
        assert_eq!(table.features.to_dense(), [0.5, 1e-3], "{rows}");
        let weighted = ["2 of 2 rows have a weight other than 1, which is not used"];
        let expected: &[&str] = if rows.contains("{5}") { &weighted } else { &[] };
        assert_eq!(table.notes, expected, "{rows}");
    }
    let on_one_line = HEADER.trim_end().to_string() + " 1,0,.5\n0,1,2\n";
    assert_eq!(
        sets(&read_text(&on_one_line, Labels::Meka, &[]).unwrap()),
        ["{0}", "{1}"]
    );
    let refusal = |row: &str| {
        let error = read_text(&format!("{HEADER}{row}\n"), Labels::Meka, &[]).unwrap_err();
        error.replace("t.arff: line 6: ", "")
    };
    insta::assert_snapshot!(refusal("1,,0,.5"), @"expected a value between commas, found none; write ? for a missing value");
    insta::assert_snapshot!(refusal("1,0,.5,{x}"), @"expected a weight in braces, found {x}");
    insta::assert_snapshot!(refusal("1,0,.5,{5} 7"), @r#"expected the end of the line behind the weight, found "7""#);
    insta::assert_snapshot!(refusal("1,0,{5}"), @r#"expected values, found "{" outside quotes"#);
    insta::assert_snapshot!(refusal("{0 1} 7"), @r#"expected the end of the line behind a sparse row, found "7""#);
    insta::assert_snapshot!(refusal("1;0;.5"), @r#"expected one of {0, 1} for "L1", found "1;0;.5""#);
    insta::assert_snapshot!(refusal("1,0,1d"), @r#"expected a finite number for "x", found "1d""#);
}

#[test]
fn headers_are_read_as_weka_reads_them() {
    let text = "\u{feff}% comment\n@RELATION b: -C -2 % of two\n@Attribute 'a, \\'b\\' {c} 100\\%' REAL [0, 9]\n\
                @attribute\tcolour\t{ red blue , 'light green' } % three\n@attribute w integer {0.5}\n\
                @attribute when DATE \"yyyy-MM-dd HH:mm\"\n@attribute notes string\n\
                @attribute bag relational\n@attribute inner numeric\n@end bag\n\
                @attribute L1{ 0,1 }% a comment\n@attribute 'L 2' {0 1}\n@DATA % rows\n\
                1.5,'light green',2,'2001-04-03 12:12','it\\'s, {so}','1\\n2',1,0\n\
                2,red,3,\"2001-04-03 12:12\",?,\"\",0,1\n";
    let left_out = ["when", "notes", "bag"];
    let table = read_text(text, Labels::Meka, &left_out).unwrap();
    assert_eq!(table.label_names.clone().unwrap(), ["L1", "L 2"]);
    assert_eq!(
        table.feature_names.clone().unwrap(),
        [
            "a, 'b' {c} 100%",
            "colour=red",
            "colour=blue",
            "colour=light green",
            "w"
        ]
    );
    assert_eq!(sets(&table), ["{0}", "{1}"]);
    assert_eq!(
        table.features.to_dense(),
        [1.5, 0.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0, 3.0]
    );
    assert_eq!(
        table.notes,
        ["weights of attributes are not used (1 found)"]
    );
    let refusal = |left_out: &[&str]| read_text(text, Labels::Meka, left_out).unwrap_err();
    insta::assert_snapshot!(refusal(&["notes", "bag"]), @r#"t.arff: expected numeric or nominal attributes, found "when" of type date; write it as a number, or leave it out (option leave-out)"#);
    insta::assert_snapshot!(refusal(&["when", "notes"]), @r#"t.arff: expected numeric or nominal attributes, found "bag" of type relational; leave it out (option leave-out)"#);
    insta::assert_snapshot!(refusal(&["when", "notes", "bag", "L1"]), @r#"t.arff: expected "L1" to be either a label or left out, found it as both"#);
}

#[test]
fn odd_headers_are_refused_with_their_cause() {
    let refusal = |attribute: &str| {
        let text = format!("@relation 'x: -C 1'\n@attribute l {{0,1}}\n{attribute}\n@data\n0,1\n");
        read_text(&text, Labels::Meka, &[])
            .unwrap_err()
            .replace("t.arff: line 3: ", "")
    };
    insta::assert_snapshot!(refusal("@attribute c {a b, a}"), @r#"expected each value of "c" once, found "a" twice; blanks and commas separate values that are not quoted"#);
    insta::assert_snapshot!(refusal("@attribute c {a, {b}}"), @r#"expected the values of "c" without braces among them, found a second {; put values with braces in quotes"#);
    insta::assert_snapshot!(refusal("@attribute c {a} b"), @r#"expected the end of the line behind the values of "c", found "b""#);
    insta::assert_snapshot!(refusal("@attribute c float"), @r#"expected the type of attribute "c" to be numeric, real, integer, string, date, relational or values in braces, found "float""#);
    insta::assert_snapshot!(refusal("@attribute c relational\n@attribute d numeric"), @"t.arff: line 5: expected a line @end c, found @data");
    insta::assert_snapshot!(refusal("@inputs c"), @r#"expected @relation, @attribute or @data, found "@inputs""#);
}

#[test]
fn a_label_name_that_occurs_twice_is_refused() {
    let text = "@relation 'dup: -C 2'\n@attribute sports {0,1}\n@attribute news {0,1}\n@attribute sports numeric\n@attribute ball numeric\n@data\n1,0,0,1\n1,1,0,0\n0,1,1,0\n1,0,1,1\n";
    let named = |names: &[&str], left_out: &[&str]| read_text(text, Labels::Named(names), left_out);
    insta::assert_snapshot!(named(&["sports", "news"], &[]).unwrap_err(), @r#"t.arff: expected one attribute for the label "sports", found 2 of that name (attributes 1 and 3); rename them apart"#);
    insta::assert_snapshot!(named(&["news"], &["sports"]).unwrap_err(), @r#"t.arff: expected one attribute for leaving out "sports", found 2 of that name (attributes 1 and 3); rename them apart"#);
    // By their places nothing is ambiguous: three rows have sports, counted by hand.
    let meka = read_text(text, Labels::Meka, &[]).unwrap();
    assert_eq!(sets(&meka), ["{0}", "{0, 1}", "{1}", "{0}"]);
    assert_eq!(
        meka.features.to_dense(),
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    );
    let news = named(&["news"], &[]).unwrap();
    assert_eq!(news.notes, ["several features are called \"sports\""]);
}

#[test]
fn rows_without_labels_are_refused_or_listed() {
    let rows: String = (0..2 * PART_LEN).map(|_| "1,0,7\n").collect();
    let text = format!(
        "@relation 'm: -C 2'\n@attribute a {{0,1}}\n@attribute b {{1,0}}\n@attribute x numeric\n@data\n{rows}?,?,8\n1,?,9\n{{0 ?,1 0,2 1}}\n{{1 ?}}\n0,1,3\n"
    );
    insta::assert_snapshot!(read_text(&text, Labels::Meka, &[]).unwrap_err(), @r#"t.arff: line 518: expected a value of the label "a", found ? (missing); rows without labels can be decoded, not learned from or judged"#);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.arff");
    std::fs::write(&path, &text).unwrap();
    let table = read_with(&path, Labels::Meka, &[], Unlabelled::Keep).unwrap();
    let first = 2 * PART_LEN;
    assert_eq!(table.unlabelled, [first, first + 1, first + 2, first + 3]);
    assert_eq!(sets(&table)[first..], ["{}", "{0}", "{}", "{}", "{1}"]);
    let table = read_with(&path, Labels::None, &["a", "b"], Unlabelled::Keep).unwrap();
    assert_eq!(
        (table.unlabelled.len(), table.targets.num_classes()),
        (first + 5, 0)
    );
    // A missing feature has no answer.
    std::fs::write(&path, text.replace("?,?,8", "0,0,?")).unwrap();
    let error = read_with(&path, Labels::Meka, &[], Unlabelled::Keep).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("fill it in or leave the attribute out (option leave-out)")
    );
}

#[test]
fn only_an_unquoted_question_mark_is_missing() {
    let text =
        "@relation 'q: -C 1'\n@attribute a {0,1}\n@attribute c {'?',x,y}\n@data\n0,'?'\n1,x\n";
    let table = read_text(text, Labels::Meka, &[]).unwrap();
    assert_eq!(table.features.to_dense(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn mulans_lists_may_be_nested_and_in_any_code() {
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("t.xml");
    let text = "@relation x\n@attribute a numeric\n@attribute 'R&B' {0,1}\n@attribute música {0,1}\n@attribute 'a\\\\b' {0,1}\n@data\n2,0,1,1\n1,1,0,0\n";
    let list = |encoding: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n<labels>\n<label name=\"música\">\n <label name=\"R&amp;B\"/>\n <label name='a\\\\b'></label></label>\n</labels>"
        )
    };
    let latin: Vec<u8> = list("ISO-8859-1")
        .chars()
        .map(|letter| letter as u8)
        .collect();
    let marked = format!("\u{feff}{}", list("utf-8")).into_bytes();
    for bytes in [list("UTF-8").into_bytes(), latin, marked] {
        std::fs::write(&xml, bytes).unwrap();
        let table = read_text(text, Labels::MulanXml(&xml), &[]).unwrap();
        assert_eq!(
            table.label_names.clone().unwrap(),
            ["música", "R&B", "a\\b"]
        );
        assert_eq!(sets(&table), ["{0, 2}", "{1}"]);
    }
}

#[test]
fn mekas_options_follow_the_first_colon() {
    let text = |relation: &str| {
        format!(
            "@relation '{relation}'\n@attribute a {{0,1}}\n@attribute b {{0,1}}\n@attribute x numeric\n@data\n1,0,7\n0,1,8\n"
        )
    };
    for relation in [
        "my -C 1 data: -C 2",
        "x: -split-percentage 67 -C 2",
        "x -C 2",
    ] {
        let table = read_text(&text(relation), Labels::Meka, &[]).unwrap();
        assert_eq!(table.targets.num_classes(), 2, "{relation}");
    }
    // A name is no option: rows of this relation are without labels.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.arff");
    std::fs::write(&path, text("weka.filters.Remove-Company")).unwrap();
    let table = read_with(&path, Labels::Meka, &[], Unlabelled::Keep).unwrap();
    assert_eq!(
        (table.targets.num_classes(), table.unlabelled.len()),
        (0, 2)
    );
}

#[test]
fn numbers_keep_their_precision() {
    let text = "@relation 'x: -C 1'\n@attribute a {0,1}\n@attribute x numeric\n@attribute y real\n@data\n1,16777217,0.1\n{1 1e300}\n";
    let table = read_text(text, Labels::Meka, &[]).unwrap();
    assert_eq!(table.features.to_dense(), [16_777_217.0, 0.1, 1e300, 0.0]);
}
