//! Processes of a cluster that are killed or stopped while they work. These take minutes, so they are
//! left out unless asked for: `engine/scripts/chaos` runs them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tagwise::statistics::{ScatterKind, Statistics};
use tagwise_engine::cluster::{LocalCluster, LocalSettings};
use tagwise_engine::session::Settings;
use tagwise_engine::workflow::{self, StatsSummary};
use tagwise_engine::{Error, Result};

use crate::data::{Form, Table, assert_agree, write_files};
use crate::equality::{read, reduction};

/// Seconds without a word after which an executor is given up.
const TIMEOUT: u64 = 30;

/// A timeout, the check that finds it, another timeout without any executor, and patience.
const BOUND: Duration = Duration::from_secs(6 * TIMEOUT);

/// Samples whose scan takes seconds, and a cluster.
struct Work {
    folder: tempfile::TempDir,
    expected: Statistics,
    num_rows: u64,
}

impl Work {
    fn new(num_rows: usize, dim: usize, num_files: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::new(num_rows, dim, 1);
        write_files(
            &folder.path().join("data"),
            &table,
            num_files,
            Form::Fixed32,
        );
        let expected = table.statistics(ScatterKind::Full);
        Self {
            folder,
            expected,
            num_rows: num_rows as u64,
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    async fn run(&self, cluster: &LocalCluster) -> Result<StatsSummary> {
        let settings = Settings {
            scheduler: Some(cluster.url.clone()),
            partitions: Some(16),
            ..Settings::default()
        };
        let _ = std::fs::remove_dir_all(self.out());
        workflow::stats(
            &reduction(&self.folder.path().join("data"), &self.out(), &[]),
            &settings,
        )
        .await
    }

    fn check(&self, done: &StatsSummary) {
        assert_eq!(done.num_samples, self.num_rows);
        assert_agree(&read(&self.out().join("all.ncs")), &self.expected);
    }

    /// How long it takes when nothing happens.
    async fn usual(&self, cluster: &LocalCluster) -> Duration {
        let began = Instant::now();
        self.check(&self.run(cluster).await.unwrap());
        began.elapsed()
    }

    /// Runs while something is done to the cluster after part of the usual time.
    async fn run_while(
        &self,
        cluster: &LocalCluster,
        after: Duration,
        happens: impl FnOnce(&LocalCluster),
    ) -> (Result<StatsSummary>, Duration) {
        let began = Instant::now();
        let event = async {
            tokio::time::sleep(after).await;
            happens(cluster);
        };
        let (done, ()) = tokio::join!(self.run(cluster), event);
        (done, began.elapsed())
    }
}

fn cluster(num_executors: usize, memory: Option<u64>) -> LocalCluster {
    let settings = LocalSettings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_tagwise-cluster")),
        num_executors,
        tasks: 1,
        memory,
        executor_timeout: TIMEOUT,
    };
    LocalCluster::start(&settings).unwrap()
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill")
        .args([name, &process.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

fn say(what: &str, usual: Duration, found: Duration) {
    println!(
        "{what}: {:.1} s, {:.1} s undisturbed",
        found.as_secs_f64(),
        usual.as_secs_f64()
    );
}

/// Bytes in a folder and those below it.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(there) if there.is_dir() => bytes_in(&entry.path()),
            Ok(there) => there.len(),
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn an_executor_killed_amid_its_scan_changes_no_number() {
    let work = Work::new(60_000, 1024, 16);
    let cluster = cluster(2, None);
    let usual = work.usual(&cluster).await;
    let kill = |cluster: &LocalCluster| signal("-KILL", cluster.executors()[0]);
    let (done, took) = work.run_while(&cluster, usual.mul_f64(0.4), kill).await;
    work.check(&done.unwrap());
    say("one of two executors killed amid its scan", usual, took);
    assert!(took < usual * 3 + BOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn an_executor_killed_after_it_wrote_states_changes_no_number() {
    let work = Work::new(60_000, 1024, 16);
    let cluster = cluster(2, None);
    let usual = work.usual(&cluster).await;
    let before = bytes_in(&cluster.work_dir(1));
    let began = Instant::now();
    let event = async {
        // A state of a part has come to disk: 4 MiB for each of three multiplicities.
        while bytes_in(&cluster.work_dir(1)) < before + (8 << 20) {
            assert!(began.elapsed() < BOUND, "no state was written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        signal("-KILL", cluster.executors()[1]);
    };
    let (done, ()) = tokio::join!(work.run(&cluster), event);
    work.check(&done.unwrap());
    say(
        "one of two executors killed after it wrote states",
        usual,
        began.elapsed(),
    );
    assert!(began.elapsed() < usual * 3 + BOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn all_executors_killed_is_an_error_in_bounded_time() {
    let work = Work::new(60_000, 1024, 16);
    let cluster = cluster(2, None);
    let usual = work.usual(&cluster).await;
    let kill = |cluster: &LocalCluster| {
        for executor in cluster.executors() {
            signal("-KILL", executor);
        }
    };
    let (done, took) = work.run_while(&cluster, usual.mul_f64(0.4), kill).await;
    let error = done.unwrap_err();
    say("all executors killed", usual, took);
    println!("  {error}");
    assert!(matches!(error, Error::Failed(_)));
    assert_eq!(error.to_string().lines().count(), 1);
    assert!(!work.out().join("all.ncs").exists());
    assert!(took < usual + BOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn an_executor_that_stands_still_is_given_up() {
    let work = Work::new(60_000, 1024, 16);
    let cluster = cluster(2, None);
    let usual = work.usual(&cluster).await;
    let stop = |cluster: &LocalCluster| signal("-STOP", cluster.executors()[0]);
    let (done, took) = work.run_while(&cluster, usual.mul_f64(0.4), stop).await;
    signal("-CONT", cluster.executors()[0]);
    work.check(&done.unwrap());
    say("one of two executors stopped", usual, took);
    assert!(took < usual * 3 + BOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn a_scheduler_killed_is_an_error_in_bounded_time() {
    let work = Work::new(60_000, 1024, 16);
    let cluster = cluster(1, None);
    let usual = work.usual(&cluster).await;
    let kill = |cluster: &LocalCluster| signal("-KILL", cluster.scheduler());
    let (done, took) = work.run_while(&cluster, usual.mul_f64(0.4), kill).await;
    let error = done.unwrap_err();
    say("the scheduler killed", usual, took);
    println!("  {error}");
    assert!(error.to_string().contains("has gone away"), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    assert!(took < usual + BOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn an_executor_with_too_little_memory_says_so() {
    let work = Work::new(4_000, 512, 2);
    let cluster = cluster(1, Some(1 << 20));
    let error = work.run(&cluster).await.unwrap_err().to_string();
    assert!(error.starts_with("the memory pool is too small"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; engine/scripts/chaos runs it"]
async fn states_above_64_mib_cross_the_cluster() {
    // Three multiplicities of 33.6 MB each.
    let work = Work::new(400, 2900, 2);
    let cluster = cluster(2, None);
    work.check(&work.run(&cluster).await.unwrap());
    assert!(std::fs::metadata(work.out().join("all.ncs")).unwrap().len() > 64 << 20);
}
