//! Statistics, decoding and evaluation in this process equal those of the library.

use std::path::Path;

use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};
use tagwise_engine::session::Settings;
use tagwise_engine::workflow::{self, LabelColumns, Reduction, StatsSummary};

use crate::data::{Form, NUM_CLASSES, Table, assert_agree, names, write_files};

pub fn reduction(place: &Path, out: &Path, by: &[&str]) -> Reduction {
    Reduction {
        places: vec![place.to_string_lossy().into_owned()],
        features: "features".into(),
        labels: LabelColumns {
            num_classes: Some(NUM_CLASSES as u64),
            ..LabelColumns::default()
        },
        by: by.iter().map(|name| name.to_string()).collect(),
        filter: None,
        full_scatter: true,
        skip_non_finite: false,
        classifier: None,
        out: out.to_path_buf(),
    }
}

pub fn read(path: &Path) -> Statistics {
    StatisticsFile::read(path).unwrap().statistics
}

fn partitions(partitions: usize) -> Settings {
    Settings {
        partitions: Some(partitions),
        ..Settings::default()
    }
}

async fn reduce(reduction: &Reduction, settings: &Settings) -> StatsSummary {
    workflow::stats(reduction, settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_files_and_parts_gives_the_statistics_of_the_library() {
    for (dim, num_rows) in [(64, 5000), (130, 3000)] {
        let table = Table::new(num_rows, dim, 1);
        let expected = table.statistics(ScatterKind::Full);
        for num_files in [1, 8] {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            write_files(&data, &table, num_files, Form::Fixed32);
            for parts in [1, 2, 4] {
                let out = folder.path().join(format!("out-{parts}"));
                let done = reduce(&reduction(&data, &out, &[]), &partitions(parts)).await;
                assert_eq!(
                    (done.num_rows, done.num_samples, done.num_files),
                    (num_rows as u64, num_rows as u64, num_files)
                );
                assert_agree(&read(&out.join("all.ncs")), &expected);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_features_is_read() {
    for form in [Form::Fixed16, Form::Fixed64, Form::List32] {
        let mut table = Table::new(1500, 33, 2);
        if form == Form::Fixed16 {
            for value in &mut table.features {
                *value = half::f16::from_f32(*value).to_f32();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("out"));
        write_files(&data, &table, 3, form);
        for by in [&[][..], &["epoch"]] {
            let done = reduce(&reduction(&data, &out, by), &partitions(2)).await;
            assert_eq!(done.num_samples, 1500, "{form:?}");
        }
        assert_agree(
            &read(&out.join("all.ncs")),
            &table.statistics(ScatterKind::Full),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_by_column_by_folder_and_by_both_are_the_same() {
    let table = Table::new(4000, 64, 3);
    let folder = tempfile::tempdir().unwrap();
    let mixed = folder.path().join("mixed");
    write_files(&mixed, &table, 4, Form::Fixed32);
    let hive = folder.path().join("hive");
    for epoch in 0..2 {
        let part = table.rows(|row| table.epochs[row] == epoch);
        for layer in [2, 10] {
            let batch = part.batch(Form::Fixed32);
            // The folder says the epoch, not a column.
            let names = ["id", "features", "labels", "split"];
            let columns = names.map(|name| batch.schema().index_of(name).unwrap());
            let batch = batch.project(&columns).unwrap();
            crate::data::write(
                &hive.join(format!("layer={layer}/epoch={epoch}/part.parquet")),
                &batch,
            );
        }
    }
    for parts in [1, 4] {
        let out = folder.path().join(format!("mixed-{parts}"));
        let done = reduce(&reduction(&mixed, &out, &["epoch"]), &partitions(parts)).await;
        assert_eq!(done.groups.len(), 2);
        let by_folder = folder.path().join(format!("hive-{parts}"));
        let done = reduce(
            &reduction(&hive, &by_folder, &["layer", "epoch"]),
            &partitions(parts),
        )
        .await;
        let found: Vec<String> = done
            .groups
            .iter()
            .map(|group| group.by["layer"].clone())
            .collect();
        assert_eq!(found, ["2", "2", "10", "10"]);
        let by_both = folder.path().join(format!("both-{parts}"));
        reduce(
            &reduction(&hive, &by_both, &["epoch", "split"]),
            &partitions(parts),
        )
        .await;
        assert_eq!(names(&by_both, ".ncs").len(), 4);
        for epoch in 0..2 {
            let part = table.rows(|row| table.epochs[row] == epoch);
            let expected = part.statistics(ScatterKind::Full);
            assert_agree(&read(&out.join(format!("epoch={epoch}.ncs"))), &expected);
            for layer in [2, 10] {
                assert_agree(
                    &read(&by_folder.join(format!("layer={layer},epoch={epoch}.ncs"))),
                    &expected,
                );
            }
            let split =
                |split: &str| read(&by_both.join(format!("epoch={epoch},split={split}.ncs")));
            let mut twice = expected.clone();
            twice.merge(&expected).unwrap();
            let mut merged = split("test");
            merged.merge(&split("train")).unwrap();
            assert_agree(&merged, &twice);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_rows_that_are_not_finite_are_counted() {
    let mut table = Table::new(2000, 20, 4);
    for row in [3, 700, 1999] {
        table.features[row * 20 + 5] = f32::NAN;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_files(&data, &table, 2, Form::Fixed32);
    for by in [&[][..], &["epoch"]] {
        let out = folder.path().join("out");
        let mut reduction = reduction(&data, &out, by);
        reduction.skip_non_finite = true;
        reduction.filter = Some("split = 'train'".into());
        let done = reduce(&reduction, &partitions(2)).await;
        // Each file numbers its own rows: a test row is every fourth of the table.
        let train = table.rows(|row| row % 4 != 0);
        let finite = train.rows(|row| {
            train.features[row * 20..(row + 1) * 20]
                .iter()
                .all(|v| v.is_finite())
        });
        assert_eq!(done.num_filtered, 500);
        assert_eq!(done.num_skipped, (train.len() - finite.len()) as u64);
        assert_eq!(done.num_samples, finite.len() as u64);
        if by.is_empty() {
            assert_agree(
                &read(&out.join("all.ncs")),
                &finite.statistics(ScatterKind::Full),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_above_16_mib_comes_whole() {
    // Three multiplicities, each 8.4 MB packed.
    let table = Table::new(400, 1448, 5);
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    write_files(&data, &table, 2, Form::Fixed32);
    reduce(&reduction(&data, &out, &[]), &partitions(2)).await;
    let path = out.join("all.ncs");
    assert!(std::fs::metadata(&path).unwrap().len() > 16 << 20);
    assert_agree(&read(&path), &table.statistics(ScatterKind::Full));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_alone_is_kept_where_asked() {
    let table = Table::new(900, 40, 6);
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    write_files(&data, &table, 2, Form::Fixed32);
    let reduction = Reduction {
        full_scatter: false,
        ..reduction(&data, &out, &[])
    };
    reduce(&reduction, &partitions(2)).await;
    assert_agree(
        &read(&out.join("all.ncs")),
        &table.statistics(ScatterKind::Trace),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_too_small_for_partial_states_is_no_wrong_answer() {
    let table = Table::new(3000, 64, 8);
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    write_files(&data, &table, 2, Form::Fixed32);
    // Enough for some states; partial ones are then sent on early and merged more often.
    for memory in [8 << 20, 3 << 20, 1 << 20, 300 << 10] {
        let settings = Settings {
            memory: Some(memory),
            ..partitions(2)
        };
        match workflow::stats(&reduction(&data, &out, &["epoch"]), &settings).await {
            Ok(_) => {
                for epoch in 0..2 {
                    let expected = table
                        .rows(|row| table.epochs[row] == epoch)
                        .statistics(ScatterKind::Full);
                    assert_agree(&read(&out.join(format!("epoch={epoch}.ncs"))), &expected);
                }
            }
            Err(error) => assert!(error.to_string().contains("--memory"), "{error}"),
        }
    }
}
