//! Threads of the package's own: other libraries of a Python program have theirs.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Failure, Outcome};

/// The threads, and the process that they belong to.
struct Pool {
    process: u32,
    num_threads: usize,
    threads: Option<Arc<ThreadPool>>,
}

/// Held only while the interpreter is, so that no fork of the interpreter finds it locked.
static POOL: Mutex<Pool> = Mutex::new(Pool {
    process: 0,
    num_threads: 0,
    threads: None,
});

/// The threads of this process: a fork has none of its parent's and starts its own.
pub(crate) fn threads(_py: Python<'_>) -> Outcome<Arc<ThreadPool>> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if pool.process != process {
        // The parent's threads do not exist here: there is nobody to be told to end.
        std::mem::forget(pool.threads.take());
        pool.process = process;
    }
    if let Some(threads) = &pool.threads {
        return Ok(threads.clone());
    }
    let threads = ThreadPoolBuilder::new()
        .num_threads(pool.num_threads)
        .thread_name(|number| format!("tagwise-{number}"))
        .build()
        .map_err(|error| Failure::Value(format!("the threads cannot be started: {error}")))?;
    let threads = Arc::new(threads);
    pool.threads = Some(threads.clone());
    Ok(threads)
}

/// Sets the number of threads; 0: what RAYON_NUM_THREADS says, else one for each processor.
#[pyfunction]
pub(crate) fn set_num_threads(_py: Python<'_>, num_threads: usize) {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.process == process::id() {
        // Whoever works with the old ones keeps them until the work is done.
        pool.threads = None;
    }
    pool.num_threads = num_threads;
}

/// The number of threads.
#[pyfunction]
pub(crate) fn get_num_threads(py: Python<'_>) -> PyResult<usize> {
    Ok(threads(py)?.current_num_threads())
}
