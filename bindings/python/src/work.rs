//! How a call works: on the package's threads, without the interpreter, until it is done or Ctrl-C
//! is pressed.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::{Failure, Outcome};
use crate::pool;

/// How often a call looks for signals.
const TICK: Duration = Duration::from_millis(50);

/// Says whether the work should go on.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_stopped: AtomicBool,
}

impl Watch {
    /// What the progress callbacks of the library return.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        match self.is_stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// As [`flow`](Self::flow), between steps that have no callback.
    pub(crate) fn check(&self) -> tagwise::Result<()> {
        match self.flow() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(tagwise::Error::Interrupted),
        }
    }
}

/// Does the work on the package's threads. Meanwhile other Python threads run, and this one waits
/// for signals: after Ctrl-C the work is asked to stop, and its KeyboardInterrupt is raised.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Watch) -> Outcome<T> + Send,
) -> PyResult<T> {
    let threads = pool::threads(py)?;
    let watch = Watch::default();
    let (outcome, signal) = py.detach(|| {
        let (sender, receiver) = sync_channel(1);
        threads.in_place_scope(|scope| {
            let watch = &watch;
            scope.spawn(move |_| {
                // Nobody else hears of the result if the receiver is gone, which it never is.
                let _ = sender.send(caught(|| work(watch)));
            });
            let mut signal = None;
            loop {
                match receiver.recv_timeout(TICK) {
                    Ok(outcome) => return (outcome, signal),
                    Err(RecvTimeoutError::Timeout) => {
                        // `None` while the interpreter shuts down.
                        let signals = Python::try_attach(|py| py.check_signals());
                        if let Some(Err(error)) = signals {
                            watch.is_stopped.store(true, Ordering::Relaxed);
                            signal.get_or_insert(error);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return (Err(Failure::Panic("the work was lost".into())), signal);
                    }
                }
            }
        })
    });
    match signal {
        Some(error) => {
            if let Err(Failure::Tagwise(tagwise::Error::Interrupted)) = outcome {
                STOPPED.fetch_add(1, Ordering::Relaxed);
            }
            Err(error)
        }
        None => Ok(outcome?),
    }
}

/// How many calls Ctrl-C has stopped before they were done.
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// How many calls Ctrl-C has stopped before they were done, for the tests that it stops them: a call
/// that goes on to its end raises KeyboardInterrupt too.
#[pyfunction]
pub(crate) fn _num_stopped() -> usize {
    STOPPED.load(Ordering::Relaxed)
}

/// Does short work where the interpreter is.
pub(crate) fn at_once<T>(work: impl FnOnce() -> Outcome<T>) -> PyResult<T> {
    Ok(caught(work)?)
}

/// A panic as a failure: it must not leave as something that `except Exception` lets through.
fn caught<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::Panic(said(&*panic))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".into())
}

/// Gives up, for the test that this is an error like others.
#[pyfunction]
pub(crate) fn _panic(py: Python<'_>, place: &str, message: String) -> PyResult<()> {
    let give_up = || -> Outcome<()> { panic!("{message}") };
    match place {
        "threads" => run(py, |_| give_up()),
        _ => at_once(give_up),
    }
}
