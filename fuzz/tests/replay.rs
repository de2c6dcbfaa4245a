//! Every seed and every input of the corpus goes through its target.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tagwise_fuzz::{TARGETS, seeds};
use zip::ZipArchive;

#[test]
fn seeds_and_corpus_are_read_without_a_fault() {
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for seed in &seeds {
            target.check(seed);
        }
        for (index, input) in corpus(target.name).iter().enumerate() {
            println!("{}: input {index} of the corpus", target.name);
            target.check(input);
        }
    }
}

/// What fuzzing left of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let Ok(file) = File::open(folder.join(format!("{target}.zip"))) else {
        return Vec::new();
    };
    let mut archive = ZipArchive::new(file).expect("an archive of scripts/fuzz");
    let num_inputs = archive.len();
    let read = |index| {
        let mut member = archive.by_index(index).expect("a member of the archive");
        let mut bytes = Vec::new();
        member
            .read_to_end(&mut bytes)
            .expect("a member of the archive");
        bytes
    };
    (0..num_inputs).map(read).collect()
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
