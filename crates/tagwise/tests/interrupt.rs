//! Work that is told to stop does, and leaves nothing half done.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use tagwise::collapse::OptimumGap;
use tagwise::decode::{LogitDecoder, RuleKind};
use tagwise::evaluate::{Criterion, Evaluation, EvaluationCounts};
use tagwise::loss::Link;
use tagwise::split::{stratified_folds, stratified_folds_while};
use tagwise::statistics::Statistics;
use tagwise::ufm::UfmSettings;
use tagwise::{Error, LabelSet, Targets};

const NUM_CLASSES: usize = 4;

fn samples() -> (Vec<f64>, Targets) {
    let sets = (0..600u32).map(|i| LabelSet::new([i % 4, (i / 3) % 4]));
    let targets = Targets::new(NUM_CLASSES, sets).unwrap();
    let hot = targets.to_multi_hot();
    let noise = |i: usize| ((i * 37 + 11) % 101) as f64 / 101.0;
    let logits = hot.iter().enumerate();
    let logits = logits.map(|(i, &on)| f64::from(on) + noise(i)).collect();
    (logits, targets)
}

/// Does the work in full, counting the questions, and then with a no to each of the first of them.
fn stops<T: std::fmt::Debug>(
    what: &str,
    work: impl Fn(&(dyn Fn() -> ControlFlow<()> + Sync)) -> Result<T, Error>,
) {
    let asked = AtomicUsize::new(0);
    let counting = || {
        asked.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    work(&counting).unwrap_or_else(|error| panic!("{what}: {error}"));
    let total = asked.load(Ordering::Relaxed);
    assert!(total > 0, "{what} never asks");
    for no in 0..total.min(4) {
        let asked = AtomicUsize::new(0);
        let stopping = || match asked.fetch_add(1, Ordering::Relaxed) < no {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let stopped = work(&stopping);
        assert!(
            matches!(stopped, Err(Error::Interrupted)),
            "{what}, question {no}: {stopped:?}"
        );
    }
}

#[test]
fn every_rule_stops_while_it_is_tuned_and_while_it_decodes() {
    let (logits, targets) = samples();
    for kind in RuleKind::ALL {
        let criterion = Criterion::SubsetAccuracy;
        stops(&format!("{kind:?}"), |go_on| {
            LogitDecoder::fit_while(kind, Link::Sigmoid, &logits, &targets, criterion, go_on)
        });
        let rule = LogitDecoder::fit(kind, Link::Sigmoid, &logits, &targets, criterion).unwrap();
        stops(&format!("{kind:?} decodes"), |go_on| {
            rule.decode_while(&logits, NUM_CLASSES, go_on)
        });
    }
}

#[test]
fn an_evaluation_that_is_stopped_counts_nothing() {
    let (logits, targets) = samples();
    stops("an evaluation", |go_on| {
        Evaluation::with_logits_while(&targets, &logits, &targets, go_on)
    });
    let mut counts = EvaluationCounts::new(NUM_CLASSES);
    counts
        .update_with_logits(&targets, &logits, &targets)
        .unwrap();
    let before = counts.clone();
    stops("an update", |go_on| {
        let mut counts = counts.clone();
        let updated = counts.update_with_logits_while(&targets, &logits, &targets, go_on);
        if updated.is_err() {
            assert_eq!(counts, before);
        }
        updated
    });
}

#[test]
fn folds_and_the_search_for_an_optimum_stop() {
    let (logits, targets) = samples();
    stops("folds", |go_on| {
        stratified_folds_while(&targets, &[0.5, 0.5], 3, go_on)
    });
    let go_on = &|| ControlFlow::Continue(());
    assert_eq!(
        stratified_folds_while(&targets, &[0.5, 0.5], 3, go_on).unwrap(),
        stratified_folds(&targets, &[0.5, 0.5], 3).unwrap()
    );
    let mut statistics = Statistics::new(NUM_CLASSES, NUM_CLASSES);
    statistics.update(&logits, &targets).unwrap();
    stops("the optimum", |go_on| {
        OptimumGap::measure_while(&statistics, None, UfmSettings::default(), go_on)
    });
}
