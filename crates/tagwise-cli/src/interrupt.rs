//! Ctrl-C as a request: long work asks whether to stop at its next safe point.

use std::io::{Write, stderr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// From now on the first Ctrl-C sets the returned flag and the second one ends the program at
/// once.
///
/// # Errors
/// When the operating system refuses the signal handler.
pub fn catch() -> anyhow::Result<&'static AtomicBool> {
    if INSTALLED.set(()).is_ok() {
        ctrlc::set_handler(|| {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            // A closed stderr must not end the work.
            let _ = writeln!(
                stderr(),
                "\nstopping at the next safe point; press Ctrl-C again to stop at once"
            );
        })?;
    }
    Ok(&REQUESTED)
}
