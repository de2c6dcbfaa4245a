//! The scheduler.

use std::sync::Arc;

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::start_server;

use super::{POLICY, address};
use crate::session::{MAX_MESSAGE, cluster_config, scheduler_state};
use crate::{Error, Result};

/// Four times as long as executors take between two words: one word may come late.
const SHORTEST_TIMEOUT: u64 = 20;

/// How a scheduler is run.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// The address to listen at.
    pub bind: String,
    /// The port.
    pub port: u16,
    /// Seconds without a word after which an executor is given up.
    pub executor_timeout: u64,
}

/// Runs until the process is ended.
///
/// # Errors
/// [`Error::Failed`] when the port is taken.
pub async fn scheduler(settings: &SchedulerSettings) -> Result<()> {
    if settings.executor_timeout < SHORTEST_TIMEOUT {
        return Err(Error::Usage(format!(
            "expected --executor-timeout of at least {SHORTEST_TIMEOUT} seconds, since executors speak every 5, \
             found {}",
            settings.executor_timeout
        )));
    }
    let message = MAX_MESSAGE as u32;
    let mut config = SchedulerConfig::default()
        .with_hostname(settings.bind.clone())
        .with_port(settings.port)
        .with_scheduler_policy(POLICY)
        .with_task_distribution(TaskDistributionPolicy::RoundRobin)
        .with_grpc_server_max_decoding_message_size(message)
        .with_grpc_server_max_encoding_message_size(message)
        .with_grpc_client_max_message_size(message)
        .with_no_executors_grace_period_seconds(settings.executor_timeout)
        .with_override_config_producer(Arc::new(cluster_config))
        .with_override_session_builder(Arc::new(scheduler_state));
    config.bind_host = settings.bind.clone();
    config.executor_timeout_seconds = settings.executor_timeout;
    config.expire_dead_executor_interval_seconds = (settings.executor_timeout / 4).clamp(1, 15);
    let failed = |error: ballista_core::error::BallistaError| {
        Error::Failed(format!(
            "the scheduler cannot run at {}:{}: {error}",
            settings.bind, settings.port
        ))
    };
    let cluster = BallistaCluster::new_from_config(&config)
        .await
        .map_err(failed)?;
    let address = address(&settings.bind, settings.port)?;
    start_server(cluster, address, Arc::new(config))
        .await
        .map_err(failed)
}
