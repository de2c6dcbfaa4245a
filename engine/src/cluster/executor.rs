//! An executor.

use std::path::PathBuf;
use std::sync::Arc;

use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;

use super::{HEARTBEAT, POLICY, address, host_and_port};
use crate::session::{MAX_MESSAGE, Stores, cluster_config, executor_functions};
use crate::{Error, Result};

/// How an executor is run.
#[derive(Clone, Debug)]
pub struct ExecutorSettings {
    /// The scheduler, as HOST:PORT.
    pub scheduler: String,
    /// The address to listen at.
    pub bind: String,
    /// What other machines call this one; `bind` when absent.
    pub host: Option<String>,
    /// The port of shuffled data; the next one takes orders.
    pub port: u16,
    /// Tasks at once; one for each core when absent.
    pub tasks: Option<usize>,
    /// Bytes that all tasks together may take; 70 % of the machine's memory when absent.
    pub memory: Option<u64>,
    /// The folder of shuffled data.
    pub work_dir: PathBuf,
}

/// Runs until the process is told to end.
///
/// # Errors
/// [`Error::Failed`] when there is no scheduler, or a port is taken.
pub async fn executor(settings: &ExecutorSettings) -> Result<()> {
    let (scheduler_host, scheduler_port) = host_and_port(&settings.scheduler)?;
    address(&settings.bind, settings.port)?;
    std::fs::create_dir_all(&settings.work_dir)
        .map_err(|error| Error::Failed(format!("{}: {error}", settings.work_dir.display())))?;
    let work_dir = settings.work_dir.clone();
    let stores = Arc::new(Stores::default());
    let runtime = move |_: &_| {
        let builder = RuntimeEnvBuilder::new()
            .with_object_store_registry(stores.clone())
            .with_temp_file_path(work_dir.clone());
        builder.build_arc()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = ExecutorProcessConfig {
        bind_host: settings.bind.clone(),
        external_host: Some(
            settings
                .host
                .clone()
                .unwrap_or_else(|| settings.bind.clone()),
        ),
        port: settings.port,
        grpc_port: settings.port + 1,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: settings.tasks.unwrap_or(cores),
        task_scheduling_policy: POLICY,
        work_dir: Some(settings.work_dir.to_string_lossy().into_owned()),
        grpc_max_decoding_message_size: MAX_MESSAGE as u32,
        grpc_max_encoding_message_size: MAX_MESSAGE as u32,
        executor_heartbeat_interval_seconds: HEARTBEAT,
        memory_pool_size: settings.memory,
        override_function_registry: Some(Arc::new(executor_functions()?)),
        override_runtime_producer: Some(Arc::new(runtime)),
        override_config_producer: Some(Arc::new(cluster_config)),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config))
        .await
        .map_err(|error| {
            Error::Failed(format!(
                "the executor cannot run with the scheduler {}: {error}",
                settings.scheduler
            ))
        })
}
