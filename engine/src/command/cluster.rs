//! The commands that make a cluster.

use std::path::PathBuf;
use std::process::Stdio;

use tagwise_engine::cluster::{
    self, ExecutorSettings, LocalCluster, LocalSettings, SchedulerSettings,
};
use tagwise_engine::workflow::until_interrupted;
use tagwise_engine::{Error, Result};

use super::samples::{size, whole};

/// Run the scheduler of a cluster, until it is ended
///
/// It has no passwords: let only your own machines reach its port.
#[derive(Debug, clap::Args)]
pub struct Scheduler {
    /// The address to listen at, and by which executors and clients reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: String,

    /// The port
    #[arg(long, value_name = "PORT", default_value_t = 50050)]
    port: u16,

    /// Seconds without a word after which an executor is given up and its work done again; executors
    /// speak every 5 seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    executor_timeout: u64,

    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Scheduler {
    pub async fn run(&self) -> Result<()> {
        log();
        end_with_stdin(self.until_stdin_closes);
        let settings = SchedulerSettings {
            bind: self.bind.clone(),
            port: self.port,
            executor_timeout: self.executor_timeout,
        };
        until_interrupted(cluster::scheduler(&settings)).await
    }
}

/// Run an executor of a cluster, until it is ended
///
/// It reads files itself, with the credentials of its own environment (AWS_… for s3://, GOOGLE_… for
/// gs://), and keeps shuffled states in its work folder.
#[derive(Debug, clap::Args)]
pub struct Executor {
    /// The scheduler
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: String,

    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: String,

    /// What other machines call this one; the address to listen at when absent
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The port of shuffled data; the next one is used too
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    port: u16,

    /// Tasks at once; one for each core when absent
    #[arg(long, value_name = "N", value_parser = whole)]
    tasks: Option<usize>,

    /// Memory that all tasks together may take, such as 48GiB; 70 % of the machine's when absent, no
    /// limit when 0
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<usize>,

    /// The folder of shuffled data and of what is spilled
    #[arg(long, value_name = "DIR")]
    work_dir: PathBuf,

    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Executor {
    pub async fn run(&self) -> Result<()> {
        log();
        end_with_stdin(self.until_stdin_closes);
        let settings = ExecutorSettings {
            scheduler: self.scheduler.clone(),
            bind: self.bind.clone(),
            host: self.host.clone(),
            port: self.port,
            tasks: self.tasks,
            memory: self.memory.map(|memory| memory as u64),
            work_dir: self.work_dir.clone(),
        };
        cluster::executor(&settings).await
    }
}

/// Run a scheduler and executors on this machine, as processes at the loopback address
///
/// With a command behind -- that command is run on them, and all end with it; without one they run until
/// Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tagwise-cluster local --executors 2
  tagwise-cluster local --executors 2 -- stats features/ --classes 80 --out stats")]
pub struct Local {
    /// How many executors
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = whole)]
    executors: usize,

    /// Tasks at once of each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole)]
    tasks: usize,

    /// Memory that the tasks of each may take; no limit when absent
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<usize>,

    /// Seconds without a word after which an executor is given up and its work done again
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    executor_timeout: u64,

    /// A command of this program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Local {
    pub async fn run(&self) -> Result<()> {
        let program = std::env::current_exe().map_err(|error| Error::Failed(error.to_string()))?;
        let settings = LocalSettings {
            program: program.clone(),
            num_executors: self.executors,
            tasks: self.tasks,
            memory: self.memory.map(|memory| memory as u64),
            executor_timeout: self.executor_timeout,
        };
        let mut cluster = LocalCluster::start(&settings)?;
        if self.command.is_empty() {
            println!("{}", cluster.url);
            return until_interrupted(cluster.watch()).await;
        }
        let mut command = tokio::process::Command::new(program);
        command
            .args(&self.command)
            .args(["--scheduler", &cluster.url])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ran = async {
            let status = command
                .status()
                .await
                .map_err(|error| Error::Failed(error.to_string()))?;
            Ok(status.code().unwrap_or(1))
        };
        match until_interrupted(ran).await? {
            0 => Ok(()),
            code => {
                drop(cluster);
                // The command has said why.
                std::process::exit(code)
            }
        }
    }
}

/// Ends this process when the one that holds the other end of stdin has ended.
fn end_with_stdin(asked: bool) {
    if asked {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
}

/// Warnings go to stderr; RUST_LOG=info shows more.
fn log() {
    let asked = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(asked).init();
}
