//! The same on clusters of processes at the loopback address.

use std::path::{Path, PathBuf};

use tagwise::statistics::ScatterKind;
use tagwise_engine::cluster::{LocalCluster, LocalSettings};
use tagwise_engine::session::Settings;
use tagwise_engine::workflow;

use crate::data::{Form, Table, assert_agree, write_files};
use crate::equality::{read, reduction};

fn cluster(num_executors: usize) -> LocalCluster {
    let settings = LocalSettings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_tagwise-cluster")),
        num_executors,
        tasks: 2,
        memory: None,
        executor_timeout: 60,
    };
    LocalCluster::start(&settings).unwrap()
}

fn on(cluster: &LocalCluster, partitions: usize) -> Settings {
    Settings {
        scheduler: Some(cluster.url.clone()),
        partitions: Some(partitions),
        ..Settings::default()
    }
}

async fn check(cluster: &LocalCluster, table: &Table, data: &Path, parts: usize) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let done = workflow::stats(&reduction(data, out, &[]), &on(cluster, parts))
        .await
        .unwrap();
    assert_eq!(done.num_samples, table.len() as u64);
    assert_agree(
        &read(&out.join("all.ncs")),
        &table.statistics(ScatterKind::Full),
    );
    let done = workflow::stats(&reduction(data, out, &["epoch"]), &on(cluster, parts))
        .await
        .unwrap();
    assert_eq!(done.groups.len(), 2);
    for epoch in 0..2 {
        let part = table.rows(|row| table.epochs[row] == epoch);
        let expected = part.statistics(ScatterKind::Full);
        assert_agree(&read(&out.join(format!("epoch={epoch}.ncs"))), &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_and_two_executors_give_the_statistics_of_the_library() {
    for num_executors in [1, 2] {
        let cluster = cluster(num_executors);
        for (dim, num_files, parts) in [(64, 8, 4), (64, 1, 2), (512, 2, 2)] {
            let table = Table::new(3000, dim, 1);
            let folder = tempfile::tempdir().unwrap();
            write_files(folder.path(), &table, num_files, Form::Fixed32);
            check(&cluster, &table, folder.path(), parts).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn states_above_16_mib_cross_the_cluster() {
    let cluster = cluster(2);
    let table = Table::new(300, 1448, 5);
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &table, 2, Form::Fixed32);
    check(&cluster, &table, folder.path(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_by_a_cluster_too() {
    let cluster = cluster(1);
    let mut table = Table::new(600, 16, 1);
    table.features[400 * 16 + 3] = f32::INFINITY;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_files(&data, &table, 2, Form::Fixed32);
    let reduction = reduction(&data, &folder.path().join("out"), &[]);
    let error = workflow::stats(&reduction, &on(&cluster, 2))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("part-1.parquet: expected finite numbers, found inf"),
        "{error}"
    );
    assert!(error.contains("row 100, column 3"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_files(&data, &Table::new(100, 8, 1), 1, Form::Fixed32);
    let settings = Settings {
        scheduler: Some("df://127.0.0.1:9".into()),
        ..Settings::default()
    };
    let reduction = reduction(&data, &folder.path().join("out"), &[]);
    let error = workflow::stats(&reduction, &settings)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}
