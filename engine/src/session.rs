//! Sessions that know the functions: here, on a scheduler, and what an executor needs.

mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use ballista::prelude::SessionContextExt;
use ballista_core::extension::{
    SessionConfigExt, ballista_aggregate_functions, ballista_scalar_functions,
    ballista_window_functions,
};
use ballista_core::optimizer::ballista_default_optimizer_rules;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

pub use stores::Stores;

use crate::function;
use crate::{Error, Result};

/// Bytes of a message between the parts of a cluster at most. One row of a result must fit; states
/// travel in chunks of 4 MiB, decoders and states that a query is given whole.
pub const MAX_MESSAGE: usize = 256 << 20;

/// How a query is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The scheduler of a cluster, such as `df://10.0.0.1:50050`; this process when absent.
    pub scheduler: Option<String>,
    /// Into how many parts files are cut that are read at once; one for each core when absent.
    pub partitions: Option<usize>,
    /// Rows of a batch; when absent as many as are good for features.
    pub batch_rows: Option<usize>,
    /// Bytes that the states of a query in this process may take; no limit when absent.
    pub memory: Option<usize>,
    /// Where this process spills; the system's folder for temporary files when absent.
    pub work_dir: Option<PathBuf>,
}

/// What every part of a cluster must agree on.
fn configured(config: SessionConfig) -> SessionConfig {
    let mut config = config.with_information_schema(true);
    let options = config.options_mut();
    // Each part of a file is read where the plan says, once. A cluster runs parts apart.
    options.execution.enable_file_stream_work_stealing = false;
    // With few rows in each group partial states are skipped, and each row becomes a state.
    options
        .execution
        .skip_partial_aggregation_probe_ratio_threshold = 2.0;
    options
        .execution
        .skip_partial_aggregation_probe_rows_threshold = usize::MAX;
    // Footers are read once, by us; nothing here is answered from them.
    options.execution.collect_statistics = false;
    options.execution.listing_table_ignore_subdirectory = false;
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.optimizer.repartition_file_min_size = 1 << 20;
    config
}

/// The same with what Ballista adds.
pub fn cluster_config() -> SessionConfig {
    configured(
        SessionConfig::new_with_ballista()
            .with_ballista_adaptive_query_planner(false)
            .with_ballista_grpc_client_max_message_size(MAX_MESSAGE)
            .set_bool("ballista.scheduler.share_file_statistics_cache", false)
            // Machines at work answer late; one that is gone is noticed by its connection.
            .set_u64("ballista.client.grpc_timeout_seconds", 300)
            .set_u64("ballista.client.grpc_http2_keepalive_interval_seconds", 20),
    )
}

impl Settings {
    fn apply(&self, config: SessionConfig) -> SessionConfig {
        let mut config = config;
        if let Some(partitions) = self.partitions {
            config = config.with_target_partitions(partitions);
        }
        if let Some(rows) = self.batch_rows {
            config = config.with_batch_size(rows);
        }
        config
    }

    fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        let mut builder =
            RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::default()));
        if let Some(memory) = self.memory {
            builder = builder.with_memory_limit(memory, 1.0);
        }
        if let Some(folder) = &self.work_dir {
            builder = builder.with_temp_file_path(folder.clone());
        }
        Ok(builder.build_arc()?)
    }

    /// A session in this process, or on the cluster.
    ///
    /// # Errors
    /// [`Error::Usage`] for a scheduler that is no URL, [`Error::Failed`] for a work folder that is
    /// none.
    pub async fn session(&self) -> Result<SessionContext> {
        let Some(scheduler) = &self.scheduler else {
            return self.local_session();
        };
        let state = SessionStateBuilder::new()
            .with_config(self.apply(cluster_config()))
            .with_runtime_env(self.runtime()?)
            .with_default_features()
            .build();
        let mut session = SessionContext::remote_with_state(scheduler, state)
            .await
            .map_err(|error| {
                Error::Usage(format!(
                    "expected --scheduler as df://HOST:PORT, found {scheduler} ({})",
                    Error::from(error)
                ))
            })?;
        // Last, since a session of the cluster begins with the functions of the cluster alone.
        function::register(&mut session)?;
        Ok(session)
    }

    /// A session in this process.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub fn local_session(&self) -> Result<SessionContext> {
        let config = self.apply(configured(SessionConfig::new()));
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(self.runtime()?)
            .with_default_features()
            .build();
        function::register(&mut state)?;
        Ok(SessionContext::new_with_state(state))
    }
}

/// The state of a session on a scheduler.
///
/// # Errors
/// When the runtime cannot be made.
pub fn scheduler_state(config: SessionConfig) -> datafusion::error::Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::default()));
    let mut state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(configured(config))
        .with_runtime_env(runtime.build_arc()?)
        .with_optimizer_rules(ballista_default_optimizer_rules())
        .with_scalar_functions(ballista_scalar_functions())
        .with_aggregate_functions(ballista_aggregate_functions())
        .with_window_functions(ballista_window_functions())
        .build();
    function::register(&mut state)?;
    Ok(state)
}

/// The functions of an executor.
///
/// # Errors
/// As [`scheduler_state`].
pub fn executor_functions() -> datafusion::error::Result<BallistaFunctionRegistry> {
    Ok((&scheduler_state(cluster_config())?).into())
}
