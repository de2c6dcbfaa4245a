//! One target under libFuzzer; `scripts/fuzz` builds and drives it. The variable TAGWISE_FUZZ names
//! the target; with TAGWISE_FUZZ_SEEDS, a folder, its seeds are written there and nothing else happens.

#![no_main]

use std::fs;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use tagwise_fuzz::{TARGETS, Target, seeds, target};

libfuzzer_sys::fuzz_target!(init: write_seeds(), |bytes: &[u8]| chosen().check(bytes));

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("TAGWISE_FUZZ").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!(
                "TAGWISE_FUZZ: expected one of {}, found {name:?}",
                names.join(", ")
            );
            exit(2)
        })
    })
}

/// Before anything is fuzzed: libFuzzer takes an end within an execution for a fault.
fn write_seeds() {
    let Some(folder) = std::env::var_os("TAGWISE_FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in seeds::of(chosen().name).into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{number}"));
        fs::write(path, seed).expect("a folder that can be written");
    }
    exit(0)
}
