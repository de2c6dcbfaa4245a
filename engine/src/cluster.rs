//! The processes of a cluster: a scheduler, executors, and all of them on this machine.

mod executor;
mod local;
mod scheduler;

pub use executor::{ExecutorSettings, executor};
pub use local::{LocalCluster, LocalSettings};
pub use scheduler::{SchedulerSettings, scheduler};

use ballista_core::config::TaskSchedulingPolicy;
use std::net::{IpAddr, SocketAddr};

use crate::{Error, Result};

/// The scheduler gives work to executors.
const POLICY: TaskSchedulingPolicy = TaskSchedulingPolicy::PushStaged;

/// Seconds between two words of an executor to the scheduler.
const HEARTBEAT: u64 = 5;

/// A host and a port, such as `10.0.0.1:50050` or `df://scheduler:50050`.
fn host_and_port(text: &str) -> Result<(String, u16)> {
    let bare = text
        .split_once("://")
        .map_or(text, |(_, rest)| rest)
        .trim_end_matches('/');
    let parts = bare.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host.to_string(), port.parse().ok()?)));
    parts.ok_or_else(|| Error::Usage(format!("expected HOST:PORT, found {text}")))
}

/// An address to listen at.
fn address(host: &str, port: u16) -> Result<SocketAddr> {
    let host: IpAddr = host.parse().map_err(|_| {
        Error::Usage(format!(
            "expected --bind as an address such as 0.0.0.0, found {host}"
        ))
    })?;
    Ok((host, port).into())
}
