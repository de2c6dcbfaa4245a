//! What long work says on stderr while it runs.

use std::time::{Duration, Instant};

use crate::terminal::tell;

/// Work that is over by then says nothing.
const SILENT: Duration = Duration::from_secs(1);
/// Between two lines.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// Passes on a line now and then.
pub struct Lines {
    next: Instant,
}

impl Lines {
    pub fn new() -> Self {
        Self {
            next: Instant::now() + SILENT,
        }
    }

    /// Prints what `line` says, if it is time.
    pub fn show(&mut self, line: impl FnOnce() -> String) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + SHOW_EVERY;
            tell!("{}", line());
        }
    }
}
