//! Experiments and what a run recorded.

use tagwise_train::{Experiment, RunFolder};

use crate::scratch;

/// TOML with an assignment as `--set` takes it.
pub fn experiment(bytes: &[u8]) {
    let (toml, assignment) = scratch::two_files(bytes);
    let (Ok(toml), Ok(assignment)) = (str::from_utf8(toml), str::from_utf8(assignment)) else {
        return;
    };
    if let Ok(experiment) = Experiment::from_toml(toml, &[]) {
        let again = Experiment::from_toml(&experiment.to_toml(), &[]);
        assert_eq!(again.expect("what is written can be read"), experiment);
    }
    let _ = Experiment::from_toml(toml, &[assignment]);
}

/// One line an epoch.
pub fn records(bytes: &[u8]) {
    let config = scratch::file("run/config.toml", b"");
    scratch::file("run/metrics.jsonl", bytes);
    let folder = RunFolder::open(config.parent().expect("a folder")).expect("a run's folder");
    if let Ok(records) = folder.records() {
        for record in records {
            serde_json::to_string(&record).expect("what was read can be written");
        }
    }
}
