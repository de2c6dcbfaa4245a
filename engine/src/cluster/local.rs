//! A scheduler and executors as processes of this machine, at the loopback address.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How a cluster on this machine is run.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The program, which is started again as each process.
    pub program: PathBuf,
    /// How many executors.
    pub num_executors: usize,
    /// Tasks at once of each.
    pub tasks: usize,
    /// Bytes of memory of each; no limit when absent.
    pub memory: Option<u64>,
    /// Seconds without a word after which an executor is given up.
    pub executor_timeout: u64,
}

/// Processes that end when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    /// What `--scheduler` takes.
    pub url: String,
    children: Vec<Child>,
    work_dir: tempfile::TempDir,
}

const LOOPBACK: &str = "127.0.0.1";

/// How long a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

impl LocalCluster {
    /// Starts all processes and waits until they answer.
    ///
    /// # Errors
    /// [`Error::Failed`] when one does not.
    pub fn start(settings: &LocalSettings) -> Result<Self> {
        let work_dir = tempfile::tempdir().map_err(|error| Error::Failed(error.to_string()))?;
        let port = free_ports()?;
        let timeout = settings.executor_timeout.to_string();
        let mut cluster = Self {
            url: format!("df://{LOOPBACK}:{port}"),
            children: Vec::new(),
            work_dir,
        };
        let port_text = port.to_string();
        cluster.spawn(
            settings,
            &[
                "scheduler",
                "--bind",
                LOOPBACK,
                "--port",
                &port_text,
                "--executor-timeout",
                &timeout,
            ],
        )?;
        cluster.wait_for(port)?;
        for number in 0..settings.num_executors {
            let folder = cluster.work_dir.path().join(format!("executor-{number}"));
            let folder = folder.to_string_lossy().into_owned();
            let (own, tasks) = (free_ports()?, settings.tasks.to_string());
            let memory = settings.memory.unwrap_or(0).to_string();
            cluster.spawn(
                settings,
                &[
                    "executor",
                    "--scheduler",
                    &format!("{LOOPBACK}:{port}"),
                    "--bind",
                    LOOPBACK,
                    "--port",
                    &own.to_string(),
                    "--tasks",
                    &tasks,
                    "--memory",
                    &memory,
                    "--work-dir",
                    &folder,
                ],
            )?;
            cluster.wait_for(own)?;
        }
        Ok(cluster)
    }

    /// The process numbers of the executors, for those who want to end one.
    pub fn executors(&self) -> Vec<u32> {
        self.children.iter().skip(1).map(Child::id).collect()
    }

    /// The process number of the scheduler.
    pub fn scheduler(&self) -> u32 {
        self.children[0].id()
    }

    /// Where an executor keeps what it shuffles.
    pub fn work_dir(&self, executor: usize) -> PathBuf {
        self.work_dir.path().join(format!("executor-{executor}"))
    }

    fn spawn(&mut self, settings: &LocalSettings, arguments: &[&str]) -> Result<()> {
        let child = Command::new(&settings.program)
            .args(arguments)
            // Its end is the end of this process, however that came: they end with it.
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Error::Failed(format!("{}: {error}", settings.program.display())))?;
        self.children.push(child);
        Ok(())
    }

    fn wait_for(&mut self, port: u16) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if std::net::TcpStream::connect((LOOPBACK, port)).is_ok() {
                return Ok(());
            }
            let last = self.children.last_mut();
            if let Some(Ok(Some(status))) = last.map(Child::try_wait) {
                return Err(Error::Failed(format!(
                    "a process of the cluster ended while it started ({status})"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error::Failed(format!(
            "a process of the cluster does not answer at port {port}"
        )))
    }

    /// Waits until one of the processes ends.
    ///
    /// # Errors
    /// [`Error::Failed`] that says which.
    pub async fn watch(&mut self) -> Result<()> {
        loop {
            for (number, child) in self.children.iter_mut().enumerate() {
                if let Ok(Some(status)) = child.try_wait() {
                    let which = if number == 0 {
                        "the scheduler".into()
                    } else {
                        format!("executor {number}")
                    };
                    return Err(Error::Failed(format!("{which} has ended ({status})")));
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that is free, and the next one too.
fn free_ports() -> Result<u16> {
    let failed =
        |error: std::io::Error| Error::Failed(format!("no port is free at {LOOPBACK}: {error}"));
    for _ in 0..100 {
        let first = TcpListener::bind((LOOPBACK, 0)).map_err(failed)?;
        let port = first.local_addr().map_err(failed)?.port();
        if port < u16::MAX && TcpListener::bind((LOOPBACK, port + 1)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::Failed(format!(
        "no two ports in a row are free at {LOOPBACK}"
    )))
}
