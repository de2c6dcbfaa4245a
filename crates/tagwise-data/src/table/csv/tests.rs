use super::*;

fn read_text(text: &str, options: &TableOptions) -> Result<Table, String> {
    parse(text, options)
}

fn labels(names: &[&str]) -> TableOptions {
    TableOptions {
        label_columns: names.iter().map(ToString::to_string).collect(),
        ..TableOptions::default()
    }
}

fn sets(table: &Table) -> Vec<String> {
    table.targets.iter().map(ToString::to_string).collect()
}

#[test]
fn columns_of_0_and_1_are_labels_in_the_order_of_their_names() {
    let text = "x,cat,y,dog\n0.5,1,1e2,0.000000e+00\n-1,True,.5,yes\n\n0,0,0,1.0\n";
    for text in [
        text.to_string(),
        text.replace(',', ";"),
        text.replace(',', "\t"),
        text.replace('\n', "\r\n"),
    ] {
        let table = read_text(&text, &labels(&["dog", "cat"])).unwrap();
        assert_eq!(table.label_names.clone().unwrap(), ["dog", "cat"]);
        assert_eq!(table.feature_names.clone().unwrap(), ["x", "y"]);
        assert_eq!(table.features.to_dense(), [0.5, 100.0, -1.0, 0.5, 0.0, 0.0]);
        assert_eq!(sets(&table), ["{1}", "{0, 1}", "{0}"]);
        assert_eq!(table.notes.len(), 0);
    }
    let text = "tag_a,x,tag_b\n1,2,0\n";
    let table = read_text(text, &labels(&["tag_*"])).unwrap();
    assert_eq!(table.label_names.unwrap(), ["tag_a", "tag_b"]);
}

#[test]
fn one_column_of_lists_names_the_classes() {
    let text = "x,Labels\n7,cat; dog\n2,\n3,\"cat\"\n4,ant;\n";
    let table = read_text(text, &TableOptions::default()).unwrap();
    assert_eq!(table.label_names.clone().unwrap(), ["ant", "cat", "dog"]);
    assert_eq!(sets(&table), ["{1, 2}", "{}", "{1}", "{0}"]);
    insta::assert_snapshot!(table.notes.join("; "), @r#"labels are those in "Labels"; column "Labels" holds names of 3 classes"#);

    let numbers = read_text("y,u\n10;2,1\n0,1\n", &TableOptions::default()).unwrap();
    assert_eq!(
        (sets(&numbers), numbers.label_names),
        (vec!["{2, 10}".into(), "{0}".into()], None)
    );

    let given = TableOptions {
        class_names: Some(["dog", "cow", "cat", "ant"].map(String::from).to_vec()),
        ..TableOptions::default()
    };
    let table = read_text(text, &given).unwrap();
    assert_eq!(sets(&table), ["{0, 2}", "{}", "{2}", "{3}"]);
    insta::assert_snapshot!(read_text("x,labels\n1,cow;bee\n", &given).unwrap_err(), @r#"in column "labels": expected one of the given class names, found "bee""#);
    let commas = read_text("x,labels\n1,\"a,b\"\n2,a\n", &TableOptions::default()).unwrap();
    insta::assert_snapshot!(commas.notes[1], @r#"labels in "labels" hold commas or bars but no ;, so that each cell is one label"#);
    insta::assert_snapshot!(read_text("x,labels\n1,\"['a', 'b']\"\n", &TableOptions::default()).unwrap_err(), @r#"line 2: expected labels with ; between them, found "['a', 'b']"; join lists before they are written, in Python with ";".join(labels)"#);
}

#[test]
fn a_column_of_row_numbers_is_no_silent_feature() {
    let index = read_text(",x,a,b\n0,5,1,0\n1,6,0,1\n2,7,1,1\n", &labels(&["a", "b"])).unwrap();
    assert_eq!(index.feature_names.unwrap(), ["x"]);
    insta::assert_snapshot!(index.notes[0], @"the first column, which has no name and counts the rows, is left out");
    let id = read_text(
        "id,x,a,b\n1,5,1,0\n2,6,0,1\n3,9,1,1\n",
        &labels(&["a", "b"]),
    )
    .unwrap();
    insta::assert_snapshot!(id.notes[0], @r#"column "id" counts the rows; leave it out (option leave-out) if it is no feature"#);
    insta::assert_snapshot!(read_text(",x,a\n0,5,1\n7,6,0\n", &labels(&["a"])).unwrap_err(), @r#"line 3: expected the first column, which has no name, to count the rows from 0, found "7"; give it a name"#);
}

#[test]
fn y_is_no_label_beside_x() {
    let text = "x,y,class\n1,2,a\n3,5,b\n";
    let table = read_text(text, &TableOptions::default()).unwrap();
    assert_eq!(table.feature_names.unwrap(), ["x", "y"]);
    let keep = TableOptions {
        unlabelled: Unlabelled::Keep,
        ..TableOptions::default()
    };
    let table = read_text("x,y\n1,2\n", &keep).unwrap();
    assert_eq!(table.features.num_features(), 2);
}

#[test]
fn rows_without_labels_are_refused_or_listed() {
    let text = "x,a,b\n1,1,0\n2,?,1\n3,,\n";
    insta::assert_snapshot!(read_text(text, &labels(&["a", "b"])).unwrap_err(), @r#"line 3: expected labels in column "a", found "?" (missing); rows without labels can be decoded, not learned from or judged"#);
    let keep = |options: TableOptions| TableOptions {
        unlabelled: Unlabelled::Keep,
        ..options
    };
    let table = read_text(text, &keep(labels(&["a", "b"]))).unwrap();
    assert_eq!(
        (table.unlabelled.clone(), sets(&table)[1].as_str()),
        (vec![1, 2], "{1}")
    );
    let lists = read_text("u,y\n1,a;b\n2,?\n3,\n", &keep(TableOptions::default())).unwrap();
    assert_eq!(
        (lists.unlabelled.clone(), sets(&lists)),
        (vec![1], vec!["{0, 1}".into(), "{}".into(), "{}".into()])
    );
    let none = read_text("x,z\n1,2\n3,4\n", &keep(TableOptions::default())).unwrap();
    assert_eq!(
        (none.unlabelled, none.targets.num_classes()),
        (vec![0, 1], 0)
    );
}

#[test]
fn every_malformed_file_gets_one_sentence() {
    let refusal = |text: &str, names: &[&str]| read_text(text, &labels(names)).unwrap_err();
    insta::assert_snapshot!(refusal("", &[]), @"expected a line of column names, found an empty file");
    insta::assert_snapshot!(refusal("x,a\n", &["a"]), @"expected rows behind the column names, found none");
    insta::assert_snapshot!(refusal("1,2\n3,4\n", &["a"]), @"line 1: expected the names of the columns, found numbers (1, 2); put a line of names on top");
    insta::assert_snapshot!(refusal("x,z\n3,4\n", &[]), @"expected to be told which columns are labels, found x, z; name the label columns (option label-columns)");
    insta::assert_snapshot!(refusal("x,a\n3,1\n", &["b"]), @r#"expected a column "b", found none among x, a"#);
    insta::assert_snapshot!(refusal("x,a\n3,1\n", &["b*"]), @r#"expected a column "b*", found none among x, a"#);
    insta::assert_snapshot!(refusal("a,x,a\n1,3,1\n", &["a"]), @r#"expected one column for the label "a", found 2 of that name; rename them apart"#);
    insta::assert_snapshot!(refusal("a,x\n1,3\n", &["a", "a"]), @r#"expected the label "a" once, found it twice"#);
    insta::assert_snapshot!(refusal("x,a,b\n3,1,2\n", &["a", "b"]), @r#"line 2: expected 0 or 1, found "2" in the label column "b""#);
    insta::assert_snapshot!(refusal("x,a,b\n3,1\n", &["a", "b"]), @"line 2: expected 3 cells as there are column names, found 2");
    insta::assert_snapshot!(refusal("x,a,\n3,1,\n", &["a"]), @"line 1: expected a name for column 3, found none; a separator too many ends the line, or the name is missing");
    insta::assert_snapshot!(refusal("x,a,b\nOslo,1,0\n", &["a", "b"]), @r#"line 2: expected a finite number in column "x", found "Oslo"; leave the column out (option leave-out) if it is no feature"#);
    insta::assert_snapshot!(refusal("x,a,b\nNA,1,0\n", &["a", "b"]), @r#"line 2: expected a finite number in column "x", found "NA"; fill it in or leave the column out (option leave-out)"#);
    insta::assert_snapshot!(refusal("x;a;b\n0,5;1;0\n", &["a", "b"]), @r#"line 2: expected a finite number in column "x", found "0,5"; write decimals with a point"#);
    insta::assert_snapshot!(refusal("x,y\n1,4000000000\n", &["y"]), @r#"in column "y": expected class numbers below 4194304, found 4000000000"#);
}

#[test]
fn errors_name_the_line_that_a_person_sees() {
    let wrong = |text: &str| read_text(text, &TableOptions::default()).unwrap_err();
    for (text, line) in [
        ("u,labels\r\n1.5,a\r\nx,b\r\n", 3),
        ("u,labels\n1.5,a\n\n\nx,b\n", 5),
        ("\n\nu;labels\n1.5;a\nx;b\n", 5),
    ] {
        let message = wrong(text);
        assert!(message.starts_with(&format!("line {line}: ")), "{message}");
    }
}

#[test]
fn separators_may_be_bars_or_said_on_top() {
    for text in [
        "u|v|labels\n0.5|1|a;b\n2|3|b\n",
        "sep=|\r\nu|v|labels\r\n0.5|1|a;b\r\n2|3|b\r\n",
    ] {
        let table = read_text(text, &TableOptions::default()).unwrap();
        assert_eq!(table.features.to_dense(), [0.5, 1.0, 2.0, 3.0], "{text}");
        assert_eq!(sets(&table), ["{0, 1}", "{1}"]);
    }
    let wrong = |text: &str| read_text(text, &TableOptions::default()).unwrap_err();
    insta::assert_snapshot!(wrong("sep=;\nu;labels\nx;a\n"), @r#"line 3: expected a finite number in column "u", found "x"; leave the column out (option leave-out) if it is no feature"#);
    insta::assert_snapshot!(wrong("u v labels\n1 2 a\n"), @r#"line 1: expected column names between commas, semicolons, tabs or bars, found "u v labels""#);
}

#[test]
fn numbers_keep_their_precision() {
    let table = read_text(
        "u,labels\n16777217,a\n1e300,b\n0.1,b\n",
        &TableOptions::default(),
    );
    assert_eq!(
        table.unwrap().features.to_dense(),
        [16_777_217.0, 1e300, 0.1]
    );
}

#[test]
fn class_numbers_that_start_at_one_are_noted() {
    let notes = |text: &str| read_text(text, &TableOptions::default()).unwrap().notes;
    let from_one = |notes: &[String]| {
        notes
            .iter()
            .any(|note| note.starts_with("no sample has class 0"))
    };
    assert!(from_one(&notes("u,labels\n5,1\n6,2;3\n")));
    assert!(!from_one(&notes("u,labels\n5,0\n6,2;3\n")));
    assert!(
        !from_one(&notes("u,labels\n5,01\n6,02\n")),
        "codes are names"
    );
}
