//! Every seed and every input of the corpus goes through its target.

use std::fs;
use std::path::Path;

use tagwise_fuzz::{TARGETS, seeds};

#[test]
fn seeds_and_corpus_are_read_without_a_fault() {
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in &seeds {
            target.check(seed);
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target.name);
        let Ok(files) = fs::read_dir(&folder) else {
            continue;
        };
        for file in files {
            let path = file.expect("a file of the corpus").path();
            println!("{}", path.display());
            target.check(&fs::read(&path).expect("a file of the corpus"));
        }
    }
}

/// Not only the first byte: what is cut off or changed anywhere is an error or something else.
#[test]
fn cut_and_changed_seeds_are_read_without_a_fault() {
    for target in TARGETS {
        for seed in seeds::of(target.name) {
            let step = (seed.len() / 40).max(1);
            for at in (0..seed.len()).step_by(step) {
                target.check(&seed[..at]);
                for change in [0x00, 0xff, seed[at] ^ 1, seed[at].wrapping_add(1), b'9'] {
                    let mut changed = seed.clone();
                    changed[at] = change;
                    target.check(&changed);
                }
            }
        }
    }
}
