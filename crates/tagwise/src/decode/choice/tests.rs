use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::head::DenseRows;

fn go_on(_: &ChoiceProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn dense(values: &[f64], dim: usize) -> Features {
    Features::Dense(DenseRows::new(values.to_vec(), dim).unwrap())
}

struct Data {
    features: Vec<f64>,
    logits: Vec<f64>,
    targets: Targets,
}

/// Features around sums of axes; logits that rank well but whose scale varies from sample to
/// sample, so that no fixed threshold fits.
fn data(seed: u64) -> Data {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (mut features, mut logits, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..200u32 {
        let set: LabelSet = (0..1 + i % 3).map(|j| (i / 3 + 2 * j) % 5).collect();
        let scale = rng.random_range(1.0..6.0);
        for axis in 0..5 {
            let on = f64::from(u8::from(set.contains(axis)));
            features.push(on + rng.random_range(-0.2..0.2));
            logits.push(scale * (2.0 * on + rng.random_range(-0.5..0.5)));
        }
        sets.push(set);
    }
    let targets = Targets::new(5, sets).unwrap();
    Data {
        features,
        logits,
        targets,
    }
}

#[test]
fn the_choice_is_the_best_candidate_and_decodes_new_data() {
    let (train, validation, test) = (data(1), data(2), data(3));
    let mut statistics = Statistics::new(5, 5);
    statistics.update(&train.features, &train.targets).unwrap();
    let tuning = TuningData {
        features: &dense(&validation.features, 5),
        logits: Some(&validation.logits),
        link: Link::Softmax,
        sets: None,
        truth: &validation.targets,
    };
    let choice = choose(&statistics, &tuning, Criterion::SubsetAccuracy, go_on).unwrap();
    assert_eq!(choice.candidates.len(), 7 + 18);
    let values = || choice.candidates.iter().filter_map(|c| c.value);
    let best = choice.candidates[choice.best].value.unwrap();
    assert!(values().all(|value| value <= best));
    let threshold = choice.candidates[0].value.unwrap();
    assert!(threshold < 0.95 && best > 0.98, "{threshold} {best}");
    let decoded = choice
        .decoder
        .decode(&test.features, &test.logits, 5)
        .unwrap();
    let measures = SetMeasures::new(&decoded, &test.targets).unwrap();
    assert!(measures.subset_accuracy > 0.97);
}

#[test]
fn candidates_that_cannot_be_fitted_are_kept_with_the_reason() {
    let targets = Targets::new(2, [LabelSet::new([0]), LabelSet::new([1])]).unwrap();
    let features = [1.0, 0.0, 0.0, 1.0];
    let mut statistics = Statistics::new(2, 2);
    statistics.update(&features, &targets).unwrap();
    let tuning = TuningData {
        features: &dense(&features, 2),
        logits: None,
        link: Link::Softmax,
        sets: None,
        truth: &targets,
    };
    let choice = choose(&statistics, &tuning, Criterion::F1Micro, go_on).unwrap();
    assert_eq!(choice.best, 0);
    let last = choice.candidates.last().unwrap();
    insta::assert_snapshot!(last.spec, @"ONN, Mahalanobis, label-set means, label-set prior");
    insta::assert_snapshot!(last.note.as_deref().unwrap(), @"the Mahalanobis distance needs label sets with samples that differ; use the Euclidean distance or the cosine");
}

#[test]
fn a_choice_can_be_stopped_before_any_candidate() {
    let data = data(4);
    let mut statistics = Statistics::new(5, 5);
    statistics.update(&data.features, &data.targets).unwrap();
    let features = dense(&data.features, 5);
    let tuning = TuningData {
        features: &features,
        logits: None,
        link: Link::Softmax,
        sets: None,
        truth: &data.targets,
    };
    let mut seen = Vec::new();
    let choice = choose(&statistics, &tuning, Criterion::default(), |state| {
        seen.push((state.position, state.num_candidates));
        match state.position < 2 {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    assert!(matches!(choice, Err(Error::Interrupted)));
    assert_eq!(seen, [(0, 18), (1, 18), (2, 18)]);
}
