//! Bad input ends in one sentence that names the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, ListArray};
use datafusion::arrow::datatypes::{Float32Type, Int32Type};
use tagwise_engine::Error;
use tagwise_engine::session::Settings;
use tagwise_engine::workflow::{self, LabelColumns, Reduction};

use crate::data::{Form, Table, write_columns, write_files};
use crate::equality::reduction;

/// Two good files and one that a test spoils.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_files(
            &folder.path().join("data"),
            &Table::new(1200, 16, 1),
            2,
            Form::List32,
        );
        Self { folder }
    }

    fn bad(&self) -> PathBuf {
        self.folder.path().join("data/part-1.parquet")
    }

    async fn error_with(&self, change: impl FnOnce(&mut Reduction), settings: &Settings) -> Error {
        let out = self.folder.path().join("out");
        let mut reduction = reduction(&self.folder.path().join("data"), &out, &[]);
        change(&mut reduction);
        let error = workflow::stats(&reduction, settings).await.unwrap_err();
        let written = std::fs::read_dir(&out).map_or(0, |entries| entries.count());
        assert_eq!(written, 0, "nothing is written after {error}");
        error
    }

    /// The message without the folder.
    async fn message(&self) -> String {
        let error = self.error_with(|_| {}, &Settings::default()).await;
        let folder = self.folder.path().canonicalize().unwrap();
        error
            .to_string()
            .replace(&*folder.to_string_lossy(), "")
            .replace("/data/", "")
    }
}

fn lists(rows: Vec<Option<Vec<Option<f32>>>>) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

fn sets(rows: Vec<Option<Vec<Option<i32>>>>) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
}

fn rows(dim: usize) -> Vec<Option<Vec<Option<f32>>>> {
    (0..5)
        .map(|row| Some(vec![Some(row as f32); dim]))
        .collect()
}

fn labels() -> Vec<Option<Vec<Option<i32>>>> {
    (0..5).map(|row| Some(vec![Some(row % 3)])).collect()
}

fn spoil(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_cut_short_is_named() {
    let files = Files::new();
    spoil(&files.bad(), |bytes| bytes.truncate(bytes.len() / 2));
    let message = files.message().await;
    assert!(
        message.starts_with(
            "part-1.parquet: expected a Parquet file, found something else or only a part"
        ),
        "{message}"
    );
    spoil(&files.bad(), |bytes| bytes.clear());
    let message = files.message().await;
    assert!(
        message.starts_with("part-1.parquet: expected a Parquet file"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_damaged_is_named() {
    let files = Files::new();
    // Most of the file are pages of features; its footer stays.
    spoil(&files.bad(), |bytes| {
        let end = bytes.len() / 2;
        bytes[4000..end].fill(0xff);
    });
    let message = files.message().await;
    assert!(message.starts_with("part-1.parquet: "), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_named_with_their_file() {
    let files = Files::new();
    let expect = async |features: ArrayRef, labels: ArrayRef, expected: &str| {
        write_columns(&files.bad(), features, labels);
        assert_eq!(files.message().await, format!("part-1.parquet: {expected}"));
    };
    let mut ragged = rows(16);
    ragged[3] = Some(vec![Some(1.0); 15]);
    expect(
        lists(ragged),
        sets(labels()),
        "expected features of 16 numbers as in row 0, found 15 in row 3",
    )
    .await;
    let mut nan = rows(16);
    nan[2].as_mut().unwrap()[7] = Some(f32::NAN);
    expect(
        lists(nan),
        sets(labels()),
        "expected finite numbers, found NaN in the features at row 2, column 7",
    )
    .await;
    let mut null = rows(16);
    null[1] = None;
    expect(
        lists(null),
        sets(labels()),
        "expected features in every row, found null in row 1; leave such rows out with a filter",
    )
    .await;
    let mut hole = rows(16);
    hole[4].as_mut().unwrap()[2] = None;
    expect(
        lists(hole),
        sets(labels()),
        "expected numbers, found null in row 4, column 2",
    )
    .await;
    let mut large = labels();
    large[2] = Some(vec![Some(1), Some(5)]);
    expect(
        lists(rows(16)),
        sets(large),
        "expected labels 0 to 4, found 5 in row 2; check the number of classes",
    )
    .await;
    let mut below = labels();
    below[0] = Some(vec![Some(-1)]);
    expect(
        lists(rows(16)),
        sets(below),
        "expected labels from 0, found -1 in row 0",
    )
    .await;
    let mut none = labels();
    none[3] = None;
    expect(
        lists(rows(16)),
        sets(none),
        "expected labels in every row, found null in row 3; an empty list is a sample without a label, \
         and a filter leaves rows out",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_dimensions_or_types_are_named() {
    let files = Files::new();
    write_columns(&files.bad(), lists(rows(12)), sets(labels()));
    let message = files.message().await;
    assert_eq!(
        message,
        "part-1.parquet: expected features of 16 numbers as in part-0.parquet, found 12; files of several \
         layers are kept in folders such as layer=3 that --by layer names"
    );
    // Lists of a fixed length say so in the footer.
    let table = Table::new(10, 12, 1);
    table.write(&files.bad(), Form::Fixed32);
    let message = files.message().await;
    assert!(message.starts_with("part-1.parquet: expected column features as lists of Float32 like part-0.parquet, found lists of 12 Float32"), "{message}");
    let features: ArrayRef = Arc::new(Float32Array::from(vec![1.0; 5]));
    write_columns(&files.bad(), features, sets(labels()));
    assert!(files.message().await.contains("found Float32"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_a_wrong_usage() {
    let files = Files::new();
    let settings = Settings::default();
    let usage = async |change: fn(&mut Reduction)| match files.error_with(change, &settings).await {
        Error::Usage(message) => message,
        other => panic!("{other}"),
    };
    assert!(
        usage(|r| r.by = vec!["layer".into()])
            .await
            .contains("neither")
    );
    assert!(
        usage(|r| r.by = vec!["epoch".into(), "epoch".into()])
            .await
            .contains("once")
    );
    assert!(
        usage(|r| r.labels.num_classes = None)
            .await
            .contains("--classes K")
    );
    assert!(
        usage(|r| r.filter = Some("split =".into()))
            .await
            .contains("--where")
    );
    assert!(
        usage(|r| r.filter = Some("nothing > 1".into()))
            .await
            .contains("--where")
    );
    assert!(
        usage(|r| r.places.push(r.places[0].clone()))
            .await
            .contains("twice")
    );
    let message = usage(|r| {
        r.labels = LabelColumns {
            column: Some("id".into()),
            ..LabelColumns::default()
        }
    })
    .await;
    assert!(message.contains("lists of numbers or names"), "{message}");
    let settings = Settings {
        scheduler: Some("nonsense".into()),
        ..Settings::default()
    };
    assert!(matches!(
        files.error_with(|_| {}, &settings).await,
        Error::Usage(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_row_are_no_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let none = Table::new(0, 4, 1);
    none.write(&data.join("empty.parquet"), Form::Fixed32);
    let error = workflow::stats(&reduction(&data, &out, &[]), &Settings::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("found none"), "{error}");
    // Beside others it changes nothing.
    Table::new(300, 4, 1).write(&data.join("full.parquet"), Form::Fixed32);
    let done = workflow::stats(&reduction(&data, &out, &[]), &Settings::default())
        .await
        .unwrap();
    assert_eq!((done.num_samples, done.num_files), (300, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_pool_that_is_too_small_says_what_to_do() {
    let files = Files::new();
    let settings = Settings {
        memory: Some(1000),
        ..Settings::default()
    };
    let error = files.error_with(|_| {}, &settings).await;
    assert!(
        error
            .to_string()
            .starts_with("the memory pool is too small"),
        "{error}"
    );
}
