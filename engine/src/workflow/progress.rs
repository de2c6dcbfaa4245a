//! What a person sees of work that takes longer than a second, on stderr.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::function::rows_absorbed;

/// Tells how far the work is until it is dropped.
pub(super) struct Progress {
    ticker: JoinHandle<()>,
    is_terminal: bool,
}

impl Progress {
    /// `num_rows` are those of all files; `local` when this process absorbs them.
    pub(super) fn start(what: &'static str, num_rows: u64, local: bool) -> Self {
        let is_terminal = stderr().is_terminal();
        let began = Instant::now();
        let before = rows_absorbed();
        let ticker = tokio::spawn(async move {
            // A log gets a line now and then, a terminal one that changes.
            let each = if is_terminal { 1 } else { 30 };
            let mut ticks = tokio::time::interval(Duration::from_secs(each));
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let seconds = began.elapsed().as_secs();
                let line = match local {
                    true => format!(
                        "{what}: {} of {num_rows} rows, {seconds} s",
                        rows_absorbed() - before
                    ),
                    false => format!("{what}: {num_rows} rows, {seconds} s"),
                };
                let _ = match is_terminal {
                    true => write!(stderr(), "\r\x1b[K{line}"),
                    false => writeln!(stderr(), "{line}"),
                };
            }
        });
        Self {
            ticker,
            is_terminal,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticker.abort();
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
