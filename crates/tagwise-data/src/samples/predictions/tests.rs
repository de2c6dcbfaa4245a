use super::*;

fn truth(names: Option<[&str; 3]>) -> Labels {
    let sets = [vec![0, 2], vec![1], vec![]].map(LabelSet::new);
    Labels {
        targets: Targets::new(3, sets).unwrap(),
        names: names.map(|names| names.map(String::from).to_vec()),
        has_classifier: false,
        notes: Vec::new(),
    }
}

fn read(truth: &Labels, name: &str, bytes: &[u8]) -> Result<PredictedLabels, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let place = format!("{}/", folder.path().display());
    let labels = truth.read_predictions(&path);
    labels.map_err(|error| error.to_string().replace(&place, ""))
}

fn refusal(name: &str, text: &str) -> String {
    read(&truth(Some(["a", "b", "c"])), name, text.as_bytes()).unwrap_err()
}

#[test]
fn the_same_label_sets_are_read_in_every_form_of_text() {
    let named = truth(Some(["a", "b", "c"]));
    let numbered = truth(None);
    for (name, text) in [
        ("ids.csv", "sample,label_ids\n0,0;2\n1,1\n2,\n"),
        (
            "bom.csv",
            "\u{feff}sample,label_ids\r\n0,0;2\r\n1,1\r\n2,\r\n",
        ),
        (
            "blank.csv",
            "sample,label_ids,score\n0,0;2,1\n1,1,2\n2,,3\n\n \n",
        ),
        ("semicolons.tsv", "sample\tlabel_ids\n0\t0;2\n1\t1\n2\t\n"),
        ("hot.csv", "a,b,c\n1,0,1\n0,1,0\n0,0,0\n"),
        ("pandas.csv", ",0,1,2\n0,1,0,1\n1,0,1,0\n2,0,0,0\n"),
        ("plain.csv", "1,0,1\n0,1,0\n0,0,0\n\n"),
        (
            "numbers.csv",
            "0,1,2\nTrue,False,True\nFalse,True,False\nFalse,False,False\n",
        ),
        ("list.json", "[[0, 2], [1], []]"),
        (
            "answers.json",
            r#"{"decoder": "onn", "label_sets": [[2, 0], [1], []], "unproven": []}"#,
        ),
        (
            "rows.json",
            r#"[{"sample": 0, "label_ids": [0, 2]}, {"labels": [1]}, {"labels": []}]"#,
        ),
        ("ids.svm", "0,2 1:1\n1 1:1\n 1:1\n"),
    ] {
        for truth in [&named, &numbered] {
            let labels =
                read(truth, name, text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(labels.targets, truth.targets, "{name}");
        }
    }
    for (name, text) in [
        ("names.csv", "sample,labels\n0,c;a\n1,b\n2,\n"),
        ("moved.csv", "c,a,b\n1,1,0\n0,0,1\n0,0,0\n"),
        (
            "indexed.tsv",
            "sample\tc\ta\tb\n0\t1\t1\t0\n1\t0\t0\t1\n2\t0\t0\t0\n",
        ),
        ("names.json", r#"[["c", "a"], ["b"], []]"#),
    ] {
        let labels = read(&named, name, text.as_bytes()).unwrap();
        assert_eq!(labels.targets, named.targets, "{name}");
    }
}

#[test]
fn probabilities_and_abstentions_come_along() {
    let truth = truth(None);
    let csv =
        "sample,label_ids,probability,abstained\n0,0;2,0.5,false\n1,1,0.25,true\n2,,1,false\n";
    let json =
        r#"{"label_sets": [[0, 2], [1], []], "probabilities": [0.5, 0.25, 1], "abstained": [1]}"#;
    for (name, text) in [("a.csv", csv), ("a.json", json)] {
        let found = read(&truth, name, text.as_bytes()).unwrap();
        assert_eq!(found.probabilities.unwrap(), [0.5, 0.25, 1.0], "{name}");
        assert_eq!(found.abstained, [1], "{name}");
    }
    insta::assert_snapshot!(read(&truth, "a.json", br#"{"label_sets": [], "probabilities": "no"}"#).unwrap_err(), @"a.json: expected a list of numbers as `probabilities`, found something else");
}

#[test]
fn arrays_of_predictions_are_found_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.safetensors");
    let mut writer = tagwise_base::tensors::TensorWriter::new();
    writer
        .add("y_pred", &[3, 3], &[1u8, 0, 1, 0, 1, 0, 0, 0, 0])
        .unwrap();
    writer.add("logits", &[3, 3], &[0.5f32; 9]).unwrap();
    writer.write(&path).unwrap();
    let truth = truth(None);
    assert_eq!(
        truth.read_predictions(&path).unwrap().targets,
        truth.targets
    );
    let mut writer = tagwise_base::tensors::TensorWriter::new();
    writer
        .add("predictions", &[3, 2], &[1u8, 0, 0, 1, 0, 0])
        .unwrap();
    writer.write(&path).unwrap();
    let error = truth.read_predictions(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("expected predictions of 3 classes like the truth, found 2"),
        "{error}"
    );
}

#[test]
fn json_holds_rows_of_flags_or_a_set_in_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let truth = truth(None);
    let read = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        truth.read_predictions(&path).unwrap()
    };
    let rows = read("rows.json", "[[1, 0, 1], [0, 1, 0], [0, 0, 0]]");
    assert_eq!(rows.targets, truth.targets);
    assert_eq!(
        rows.notes,
        ["each row has an entry for each class, 1 where it is predicted"]
    );
    for (name, text) in [
        ("sets.jsonl", "[0, 2]\n[1]\n\n[]\n"),
        (
            "objects.ndjson",
            "{\"labels\": [2, 0]}\r\n{\"labels\": [1]}\r\n{\"labels\": []}",
        ),
    ] {
        assert_eq!(read(name, text).targets, truth.targets, "{name}");
    }
}

#[test]
fn what_is_no_prediction_is_told() {
    insta::assert_snapshot!(refusal("a.csv", ""), @"a.csv: expected predictions, found an empty file");
    insta::assert_snapshot!(refusal("a.csv", "a,b\n1,0\n"), @"a.csv: expected the columns sample and labels or label_ids, or a column of 0 and 1 for each of the 3 classes; found 2 columns");
    insta::assert_snapshot!(refusal("a.csv", "a,b,d\n1,0,1\n"), @r#"a.csv: expected a column for each class of the truth, found "d", which is none, or one twice"#);
    insta::assert_snapshot!(refusal("a.csv", "a,b,c\n0.9,0,1\n"), @r#"a.csv, line 2: expected 0 or 1 in column 1, found "0.9"; scores need a threshold"#);
    insta::assert_snapshot!(refusal("a.csv", "a,b,c\n1,0\n"), @"a.csv, line 2: expected 3 cells, found 2");
    insta::assert_snapshot!(refusal("a.json", "{}"), @"a.json: expected a list of label sets, or an object that holds one as `label_sets`; found neither");
    insta::assert_snapshot!(refusal("a.json", "[[1, 0, 1], [0]]"), @"a.json: sample 0: expected each label once, found [1,0,1]; a row of 0 and 1 is no list of labels");
    insta::assert_snapshot!(refusal("a.json", r#"[["d"]]"#), @r#"a.json: sample 0: expected one of the 3 label names (a, b, c), found "d""#);
    insta::assert_snapshot!(refusal("a.json", "[[7]]"), @"a.json: expected labels 0 to 2, found 7 in sample 0; check the number of classes");
    insta::assert_snapshot!(refusal("a.json", "[[0]"), @"a.json: expected JSON, found something else (EOF while parsing a list at line 1 column 4)");
}
