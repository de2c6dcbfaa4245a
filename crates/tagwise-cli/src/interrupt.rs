//! Signals: Ctrl-C as a request, on which long work stops at its next safe point, and the limit of a
//! file's size as an error.

use std::io::{Write, stderr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Set when a write went beyond the limit; the write's own error says so too.
#[cfg(unix)]
static WROTE_TOO_MUCH: AtomicBool = AtomicBool::new(false);

/// From now on a write beyond the limit of a file's size (`ulimit -f`) fails, as on a full disk, and
/// does not kill the program. Where the system refuses, it kills as it always did.
pub fn survive_file_size_limits() {
    #[cfg(unix)]
    {
        use signal_hook::consts::SIGXFSZ;
        let _ = signal_hook::flag::register(SIGXFSZ, &WROTE_TOO_MUCH);
    }
}

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
