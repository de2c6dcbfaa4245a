//! What reads bytes from outside, one function for each kind of file.
//!
//! A [`Target`] takes any bytes and returns: a panic, memory beyond its [`Bound`] or a round trip that
//! changes something is a fault. `scripts/fuzz` drives the targets with libFuzzer;
//! `tests/replay.rs` runs the corpus that it left, and the [`seeds`] that it started from, as an
//! ordinary test.

pub mod memory;
mod scratch;
pub mod seeds;
mod targets;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use memory::Bound;

/// Something that reads bytes from outside.
pub struct Target {
    /// What the command line and the folders of the corpus call it.
    pub name: &'static str,
    /// Reads the bytes; what is wrong with them is not its fault.
    pub run: fn(&[u8]),
    /// The memory that it may take.
    pub bound: Bound,
}

impl Target {
    /// Runs the target and checks what it takes; one at a time, since memory is counted for the whole
    /// program. A sound file is read first: what libraries keep for the next call is not the input's
    /// fault.
    ///
    /// # Panics
    /// For every fault.
    pub fn check(&self, bytes: &[u8]) {
        static WARM: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        let mut warm = WARM.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.insert(self.name) {
            seeds::of(self.name)
                .iter()
                .for_each(|seed| (self.run)(seed));
        }
        let peak = memory::peak_of(|| (self.run)(bytes));
        let allowed = self.bound.of(bytes.len());
        assert!(
            peak <= allowed,
            "{}: expected at most {allowed} bytes of memory for {} bytes of input, found {peak}",
            self.name,
            bytes.len()
        );
    }
}

/// All targets, in the order of their names.
pub const TARGETS: &[Target] = targets::ALL;

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
