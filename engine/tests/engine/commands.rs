//! The program as a person runs it.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, Int64Type, UInt32Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tagwise::LabelSet;
use tagwise::collapse::CollapseReport;
use tagwise::decode::{Decoded, DecoderInputs, DecoderSettings, FittedDecoder};
use tagwise::evaluate::Evaluation;
use tagwise::features::{DenseView, FeaturesView};
use tagwise::head::{Features, LabelledFeatures};
use tagwise::statistics::ScatterKind;

use crate::data::{Form, NUM_CLASSES, Table, assert_agree, names, write_files};
use crate::equality::read;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_tagwise-cluster");
    Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let (out, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{arguments:?}: {error}");
    out
}

fn refusal(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

struct Case {
    folder: tempfile::TempDir,
    table: Table,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::new(1200, 24, 3);
        write_files(&folder.path().join("data"), &table, 3, Form::Fixed32);
        Self { folder, table }
    }

    fn decoder(&self) -> FittedDecoder {
        let values = self
            .table
            .features
            .iter()
            .map(|&value| f64::from(value))
            .collect();
        let (features, targets) = (
            Features::from_dense(values, self.table.dim).unwrap(),
            self.table.targets(),
        );
        let inputs = DecoderInputs {
            training: Some(LabelledFeatures::new(&features, &targets).unwrap()),
            ..DecoderInputs::default()
        };
        FittedDecoder::fit(&inputs, &DecoderSettings::default(), |_| {
            ControlFlow::Continue(())
        })
        .unwrap()
    }

    fn decoded(&self, decoder: &FittedDecoder) -> Decoded {
        let view = DenseView::new(&self.table.features, self.table.dim).unwrap();
        decoder
            .decode_view(FeaturesView::Dense(view), |_| ControlFlow::Continue(()))
            .unwrap()
    }
}

/// Rows of Parquet files, by their id.
fn answers(folder: &Path) -> Vec<(i64, Vec<u32>, f64)> {
    let mut rows = Vec::new();
    for path in names(folder, ".parquet") {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        for batch in reader.build().unwrap() {
            let batch: RecordBatch = batch.unwrap();
            let ids = batch
                .column_by_name("id")
                .unwrap()
                .as_primitive::<Int64Type>();
            let labels = batch.column_by_name("label_ids").unwrap().as_list::<i32>();
            let margins = batch
                .column_by_name("margin")
                .unwrap()
                .as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let set = labels
                    .value(row)
                    .as_primitive::<UInt32Type>()
                    .values()
                    .to_vec();
                rows.push((ids.value(row), set, margins.value(row)));
            }
        }
    }
    rows.sort_by_key(|row| row.0);
    rows
}

fn check_decode_and_evaluate(case: &Case, scheduler: &[&str]) {
    let folder = case.folder.path();
    let decoder = case.decoder();
    decoder.write(&folder.join("decoder.safetensors")).unwrap();
    let with = |arguments: &[&'static str]| [arguments, scheduler].concat();
    let decode = [
        "decode",
        "data",
        "--decoder",
        "decoder.safetensors",
        "--keep",
        "id,labels",
        "--out",
        "answers",
    ];
    let out = stdout(folder, &with(&decode));
    assert!(out.starts_with("1200 samples decoded"), "{out}");
    let (found, expected) = (answers(&folder.join("answers")), case.decoded(&decoder));
    assert_eq!(found.len(), case.table.len());
    for (row, (id, labels, margin)) in found.iter().enumerate() {
        assert_eq!(*id, case.table.first_id + row as i64);
        assert_eq!(labels, expected.targets.set(row).labels(), "row {row}");
        // Blocks of another size sum in another order.
        assert!((margin - expected.margins[row]).abs() <= 1e-9, "row {row}");
    }
    let again = refusal(folder, &with(&decode), 2);
    assert!(again.contains("new folder"), "{again}");

    let truth = case.table.targets();
    let expected =
        serde_json::to_value(Evaluation::new(&expected.targets, &truth).unwrap()).unwrap();
    let together = ["evaluate", "answers", "-k", "5", "--json"];
    let joined = [
        "evaluate", "answers", "--truth", "data", "--key", "id", "-k", "5", "--labels", "labels",
        "--json",
    ];
    for arguments in [&together[..], &joined] {
        let found: Value = serde_json::from_str(&stdout(folder, &with(arguments))).unwrap();
        for (name, expected) in expected.as_object().unwrap() {
            match expected.as_f64() {
                Some(expected) => {
                    let found = found[name].as_f64().unwrap();
                    assert!(
                        (found - expected).abs() <= 1e-12,
                        "{name}: {found}, expected {expected}"
                    );
                }
                None => assert_eq!(&found[name], expected, "{name}"),
            }
        }
        assert_eq!(found["labels"].as_array().unwrap().len(), NUM_CLASSES);
    }
}

#[test]
fn decoding_and_evaluation_are_those_of_the_library() {
    let case = Case::new();
    check_decode_and_evaluate(&case, &[]);
    // Predictions of other samples are no predictions of these.
    std::fs::remove_file(case.folder.path().join("data/part-2.parquet")).unwrap();
    let other = [
        "evaluate", "answers", "--truth", "data", "--key", "id", "-k", "5", "--labels", "labels",
    ];
    let message = refusal(case.folder.path(), &other, 1);
    assert!(message.contains("as many true as predicted"), "{message}");
}

#[test]
fn the_worst_samples_are_those_farthest_from_their_mean() {
    let mut case = Case::new();
    for (row, push) in [(50, 9.0), (777, 5.0)] {
        case.table.features[row * 24] += push;
    }
    let folder = case.folder.path();
    write_files(&folder.join("data"), &case.table, 3, Form::Fixed32);
    stdout(folder, &["stats", "data", "-k", "5", "--out", "stats"]);
    let statistics = read(&folder.join("stats/all.ncs"));
    let lines = stdout(
        folder,
        &[
            "worst",
            "data",
            "--state",
            "stats/all.ncs",
            "--keep",
            "id",
            "-n",
            "2",
            "--json",
        ],
    );
    let found: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<i64> = found
        .iter()
        .map(|row| row["id"].as_i64().unwrap() - case.table.first_id)
        .collect();
    assert_eq!(ids, [50, 777]);
    for (row, found) in ids.iter().zip(&found) {
        let row = *row as usize;
        let set = LabelSet::new(case.table.labels[row].iter().copied());
        let mean = statistics.set_mean(&set).unwrap();
        let values = &case.table.features[row * 24..(row + 1) * 24];
        let squares = values
            .iter()
            .zip(&mean)
            .map(|(value, mean)| (f64::from(*value) - mean).powi(2));
        let expected = squares.sum::<f64>().sqrt();
        assert!((found["residual"].as_f64().unwrap() - expected).abs() < 1e-12 * expected);
        let listed: Vec<u64> = found["label_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l.as_u64().unwrap())
            .collect();
        let listed = LabelSet::new(listed.into_iter().map(|label| label as u32));
        assert_eq!(listed, set);
    }
}

#[test]
fn sql_measures_groups_and_merges_states() {
    let case = Case::new();
    let folder = case.folder.path();
    let query = "SELECT epoch, nc1(s) AS a, nc2(s) AS b, nc3(s) AS c, nc_m(s, 2) AS d, collapse_json(s) AS j \
                 FROM (SELECT epoch, nc_state(features, labels, 5) AS s FROM t GROUP BY epoch) ORDER BY epoch";
    let lines = stdout(folder, &["sql", query, "--table", "t=data", "--json"]);
    for (epoch, line) in lines.lines().enumerate() {
        let found: Value = serde_json::from_str(line).unwrap();
        let part = case
            .table
            .rows(|row| case.table.epochs[row] == epoch as i32);
        let expected = CollapseReport::measure(&part.statistics(ScatterKind::Full), None).unwrap();
        let close = |name: &str, expected: Option<f64>| {
            let (found, expected) = (found[name].as_f64().unwrap(), expected.unwrap());
            assert!(
                (found - expected).abs() <= 1e-9 * expected.abs(),
                "{name}: {found}, expected {expected}"
            );
        };
        close("a", expected.nc1[&1].estimated());
        close("b", expected.nc2.class_means);
        close("d", expected.nc_m[&2].uniform.value);
        assert!(found["c"].is_null(), "no classifier");
        let json: CollapseReport = serde_json::from_str(found["j"].as_str().unwrap()).unwrap();
        assert_eq!(json.num_samples, part.len() as u64);
    }
    let query = "SELECT nc_m(a, 2) - nc_m(b, 2) AS difference FROM \
                 (SELECT nc_merge(s) AS a FROM (SELECT nc_state(features, labels, 5) AS s FROM t GROUP BY id % 7)), \
                 (SELECT nc_state(features, labels, 5) AS b FROM t)";
    let line = stdout(folder, &["sql", query, "--table", "t=data", "--json"]);
    let found: Value = serde_json::from_str(line.trim()).unwrap();
    assert!(
        found["difference"].as_f64().unwrap().abs() < 1e-12,
        "{line}"
    );
    let message = refusal(
        folder,
        &[
            "sql",
            "SELECT nc_state(features, id, 5) FROM t",
            "--table",
            "t=data",
        ],
        1,
    );
    assert!(
        message.contains("nc_state takes lists of numbers"),
        "{message}"
    );
}

#[test]
fn label_sets_by_name_and_by_column_are_those_by_number() {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BooleanArray, ListBuilder, StringBuilder};

    let table = Table::new(500, 12, 9);
    let folder = tempfile::tempdir().unwrap();
    let classes = ["sea", "sky", "sand", "sun", "tree"];
    let mut by_name = ListBuilder::new(StringBuilder::new());
    for labels in &table.labels {
        by_name.append_value(labels.iter().map(|&label| Some(classes[label as usize])));
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("features", table.feature_column(Form::List32)),
        ("tags", Arc::new(by_name.finish())),
    ];
    for (number, class) in (0..).zip(classes) {
        let has = table
            .labels
            .iter()
            .map(|labels| Some(labels.contains(&number)));
        columns.push((class, Arc::new(has.collect::<BooleanArray>())));
    }
    crate::data::write(
        &folder.path().join("t.parquet"),
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let place = folder.path();
    stdout(
        place,
        &[
            "stats",
            "t.parquet",
            "--labels",
            "tags",
            "--class-names",
            "sea,sky,sand,sun,tree",
            "--out",
            "a",
        ],
    );
    stdout(
        place,
        &[
            "stats",
            "t.parquet",
            "--label-columns",
            "sea,sky,sand,sun,tree",
            "--out",
            "b",
        ],
    );
    for out in ["a", "b"] {
        assert_agree(
            &read(&place.join(out).join("all.ncs")),
            &table.statistics(ScatterKind::Full),
        );
    }
    let wrong = [
        "stats",
        "t.parquet",
        "--labels",
        "tags",
        "--class-names",
        "sea,sky,sand,sun",
        "--out",
        "c",
    ];
    let message = refusal(place, &wrong, 1);
    assert!(
        message.contains(
            "t.parquet: expected one of 4 classes such as sea, sky, sand, sun, found \"tree\""
        ),
        "{message}"
    );
}

#[test]
fn a_cluster_of_this_machine_runs_a_command_and_ends() {
    let case = Case::new();
    let folder = case.folder.path();
    let out = stdout(
        folder,
        &[
            "local",
            "--executors",
            "2",
            "--",
            "stats",
            "data",
            "-k",
            "5",
            "--by",
            "epoch",
            "--out",
            "stats",
            "--json",
        ],
    );
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            found["num_samples"].as_u64(),
            found["groups"].as_array().unwrap().len()
        ),
        (Some(1200), 2)
    );
    let message = refusal(
        folder,
        &[
            "local",
            "--executors",
            "1",
            "--",
            "stats",
            "data",
            "--out",
            "none",
        ],
        2,
    );
    assert!(message.contains("--classes K"), "{message}");
}

#[test]
fn a_cluster_decodes_and_evaluates_as_this_process_does() {
    let case = Case::new();
    let settings = tagwise_engine::cluster::LocalSettings {
        program: env!("CARGO_BIN_EXE_tagwise-cluster").into(),
        num_executors: 2,
        tasks: 1,
        memory: None,
        executor_timeout: 60,
    };
    let cluster = tagwise_engine::cluster::LocalCluster::start(&settings).unwrap();
    check_decode_and_evaluate(&case, &["--scheduler", &cluster.url]);
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let case = Case::new();
    let folder = case.folder.path();
    assert!(
        refusal(
            folder,
            &["stats", "data", "--out", "x", "--memory", "much"],
            2
        )
        .contains("8GiB")
    );
    assert!(
        refusal(
            folder,
            &["stats", "nothing-here/", "-k", "5", "--out", "x"],
            2
        )
        .contains("found none")
    );
    assert!(refusal(folder, &["scheduler", "--bind", "here"], 2).contains("address"));
    let hasty = ["scheduler", "--executor-timeout", "8"];
    assert!(refusal(folder, &hasty, 2).contains("at least 20 seconds"));
}
