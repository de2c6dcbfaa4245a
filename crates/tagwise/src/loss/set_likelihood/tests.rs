use proptest::prelude::*;

use super::*;
use crate::loss::Loss;
use crate::{LabelSet, Result};

/// Rounding of sums of some thousand terms of the size of the largest.
const ROUNDING: f64 = 1e-11;

/// Central differences with h = 1e-5: h² times a third derivative of size 1, plus 1e-16/h.
const DIFFERENCE: f64 = 1e-8;

#[derive(serde::Deserialize)]
struct Golden {
    logits: Vec<f64>,
    multiplicities: Vec<f64>,
    seen_sets: Vec<LabelSet>,
    set_potentials: Vec<f64>,
    labels: LabelSet,
    value: f64,
    slopes: [Vec<f64>; 3],
    most_probable: Vec<(LabelSet, f64)>,
}

#[test]
fn values_slopes_and_probabilities_agree_with_pytorch() {
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("../../../tests/golden/set_likelihood.json")).unwrap();
    assert!(golden.len() > 60);
    for case in golden {
        let potentials = SetPotentials::new(case.logits.len(), case.multiplicities)
            .and_then(|potentials| {
                let sets = case.seen_sets.iter().cloned();
                potentials.with_seen_sets(sets.zip(case.set_potentials).collect())
            })
            .unwrap();
        let found = potentials
            .value_and_slopes(&case.logits, &case.labels)
            .unwrap();
        let scale = 1.0 + case.value.abs();
        assert!((found.value - case.value).abs() < ROUNDING * scale);
        let slopes = [found.outputs, found.multiplicities, found.seen_sets];
        for (found, expected) in slopes.iter().flatten().zip(case.slopes.iter().flatten()) {
            assert!(
                (found - expected).abs() < ROUNDING,
                "{found} and {expected}"
            );
        }
        let distribution = potentials.distribution(&case.logits).unwrap();
        for (set, probability) in case.most_probable {
            assert!((distribution.probability(&set) - probability).abs() < ROUNDING);
        }
    }
}

/// Every subset of K labels with at most `most` of them.
fn subsets(num_classes: usize, most: usize) -> impl Iterator<Item = LabelSet> {
    (0u32..1 << num_classes)
        .filter(move |bits| bits.count_ones() as usize <= most)
        .map(move |bits| {
            (0..num_classes as u32)
                .filter(|k| bits >> k & 1 == 1)
                .collect()
        })
}

/// Which seen sets there are.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Nothing,
    Some,
    All,
}

fn model(num_classes: usize, most: usize, seen: Seen, numbers: &[f64]) -> SetPotentials {
    let mut numbers = numbers.iter().cycle().copied();
    let multiplicities: Vec<f64> = numbers.by_ref().take(most + 1).collect();
    let sets = subsets(num_classes, most).enumerate();
    let is_seen = |position: usize| match seen {
        Seen::Nothing => false,
        Seen::Some => position.is_multiple_of(7),
        Seen::All => true,
    };
    let sets = sets.filter(|(position, _)| is_seen(*position));
    let sets: Vec<(LabelSet, f64)> = sets.map(|(_, set)| set).zip(numbers).collect();
    SetPotentials::new(num_classes, multiplicities)
        .and_then(|potentials| potentials.with_seen_sets(sets))
        .unwrap()
}

/// Probabilities by enumeration.
fn enumerated(potentials: &SetPotentials, outputs: &[f64]) -> Vec<(LabelSet, f64)> {
    let (k, most) = (potentials.num_classes(), potentials.max_multiplicity());
    let score = |set: &LabelSet| {
        let logits: f64 = set.indices().map(|label| outputs[label]).sum();
        let m = set.multiplicity();
        let seen = potentials.seen_sets().binary_search(set);
        let theta = seen.map_or(0.0, |position| potentials.set_potentials()[position]);
        let more = outputs.get(k + m).copied().unwrap_or_default();
        logits + potentials.multiplicities()[m] + more + theta
    };
    let scores: Vec<(LabelSet, f64)> = subsets(k, most).map(|s| (s.clone(), score(&s))).collect();
    let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| a.max(b.1));
    let sum: f64 = scores.iter().map(|s| (s.1 - largest).exp()).sum();
    let probability = |score: f64| (score - largest).exp() / sum;
    let each = scores.into_iter();
    each.map(|(set, score)| (set, probability(score))).collect()
}

fn check_against_enumeration(potentials: &SetPotentials, outputs: &[f64]) {
    let mut distribution = potentials.distribution(outputs).unwrap();
    let joint = distribution.joint();
    let (k, most) = (potentials.num_classes(), potentials.max_multiplicity());
    let mut expected = (vec![0.0; k], vec![0.0; most + 1], vec![0.0; k * most]);
    for (set, p) in enumerated(potentials, outputs) {
        let found = distribution.probability(&set);
        assert!((found - p).abs() < ROUNDING, "{set}: {found} and {p}");
        expected.1[set.multiplicity()] += p;
        for label in set.indices() {
            expected.0[label] += p;
            expected.2[label * most + set.multiplicity() - 1] += p;
        }
    }
    for (found, expected) in [
        (distribution.inclusion(), &expected.0),
        (distribution.multiplicities(), &expected.1),
        (&joint[..], &expected.2),
    ] {
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < ROUNDING,
                "{found} and {expected}"
            );
        }
    }
}

#[test]
fn probabilities_are_those_of_enumeration() {
    let wave = |i: usize| (i as f64 * 1.7).sin();
    for (k, most) in [(1, 0), (1, 1), (2, 2), (5, 3), (9, 9), (12, 4), (12, 12)] {
        for seen in [Seen::Nothing, Seen::Some, Seen::All] {
            for scale in [0.5, 5.0, 500.0] {
                let numbers: Vec<f64> = (0..40).map(|i| 3.0 * wave(i + k)).collect();
                let potentials = model(k, most, seen, &numbers);
                let logits: Vec<f64> = (0..k).map(|i| scale * wave(3 * i)).collect();
                check_against_enumeration(&potentials, &logits);
                let more = (0..=most).map(|j| wave(j + 5));
                let outputs: Vec<f64> = logits.iter().copied().chain(more).collect();
                check_against_enumeration(&potentials, &outputs);
            }
        }
    }
}

#[test]
fn seen_sets_may_take_or_lose_nearly_everything() {
    for theta in [-60.0, -30.0, 30.0, 60.0, 400.0] {
        let sets = subsets(4, 4).take(9).map(|set| (set, theta)).collect();
        let potentials = SetPotentials::new(4, vec![0.5; 5]).unwrap();
        let potentials = potentials.with_seen_sets(sets).unwrap();
        for logits in [[0.3, -0.2, 0.1, 0.0], [-9.0, -8.0, -9.5, -20.0]] {
            let distribution = potentials.distribution(&logits).unwrap();
            let expected = enumerated(&potentials, &logits);
            for (set, p) in expected {
                let found = distribution.probability(&set);
                // θ = −60 takes all but e^{−60} of a sum whose rounding is 1e-16 from the seen sets.
                if theta > -40.0 || p < 0.5 {
                    assert!(
                        (found - p).abs() < 1e-3,
                        "{set} at {theta}: {found} and {p}"
                    );
                }
                assert!((0.0..=1.0).contains(&found));
            }
        }
    }
}

#[test]
fn the_largest_logits_and_many_classes_give_finite_numbers() {
    let wave = |i: usize| 500.0 * (i as f64 * 0.7).sin();
    for (k, most) in [(10, 3), (983, 25), (2000, 2000), (10_000, 25)] {
        for flat in [None, Some(0.0), Some(500.0), Some(-500.0)] {
            let logits: Vec<f64> = (0..k).map(|i| flat.unwrap_or_else(|| wave(i))).collect();
            let potentials = SetPotentials::new(k, vec![0.0; most + 1]).unwrap();
            let distribution = potentials.distribution(&logits).unwrap();
            assert!(distribution.log_partition().is_finite());
            let sum: f64 = distribution.multiplicities().iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "K = {k}, M = {most}: {sum}");
            let expected: f64 = distribution.inclusion().iter().sum();
            let mean = (0..=most).map(|j| j as f64 * distribution.multiplicities()[j]);
            let mean: f64 = mean.sum();
            assert!(
                (expected - mean).abs() < 1e-7 * (1.0 + mean),
                "{expected} and {mean}"
            );
        }
    }
}

/// log C(K, j) of flat logits.
#[test]
fn flat_logits_count_the_sets() {
    let (k, most) = (5000, 30);
    let potentials = SetPotentials::new(k, vec![0.0; most + 1]).unwrap();
    let logits = vec![0.0; k];
    let mut log_binomial = 0.0;
    let mut terms = vec![0.0];
    for j in 0..most {
        log_binomial += ((k - j) as f64 / (j + 1) as f64).ln();
        terms.push(log_binomial);
    }
    let largest = terms[most];
    let sum: f64 = terms.iter().map(|t| (t - largest).exp()).sum();
    let found = potentials.distribution(&logits).unwrap().log_partition();
    assert!((found - (largest + sum.ln())).abs() < 1e-9);
}

#[test]
fn forbidden_multiplicities_need_numbers_of_any_size() {
    // Only pairs count, and the second largest logit lies 1000 below the largest.
    let potentials = SetPotentials::new(3, vec![-4e3, -4e3, 0.0]).unwrap();
    let distribution = potentials.distribution(&[500.0, -500.0, -500.0]).unwrap();
    assert!((distribution.log_partition() - 2f64.ln()).abs() < ROUNDING);
    assert!((distribution.inclusion()[0] - 1.0).abs() < ROUNDING);
    assert!((distribution.inclusion()[1] - 0.5).abs() < ROUNDING);
}

#[test]
fn any_number_of_labels_without_potentials_is_binary_cross_entropy() {
    let logits = [0.3, -1.2, 2.0, 0.0, 40.0];
    for labels in [vec![], vec![2], vec![0, 1, 2, 3, 4]] {
        let set = LabelSet::new(labels);
        let (mut ours, mut theirs) = ([0.0; 5], [0.0; 5]);
        let loss = Loss::SetLikelihood(SetLikelihood::default());
        let value = loss.of_sample(&logits, &set, &mut ours);
        let expected = Loss::BinaryCrossEntropy {}.of_sample(&logits, &set, &mut theirs);
        assert!((value - expected).abs() < ROUNDING);
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < ROUNDING);
        }
    }
}

#[test]
fn pick_all_labels_is_its_bound_with_replacement() {
    let logits = [0.3, -1.2, 2.0, 0.0, 1.0, 0.4];
    for labels in [vec![2], vec![0, 3], vec![1, 2, 4]] {
        let (set, m) = (LabelSet::new(labels.clone()), labels.len());
        let mut potentials = vec![-1e3; m + 1];
        potentials[m] = 0.0;
        let given_m = SetPotentials::new(6, potentials).unwrap();
        let exact = given_m.value_and_slopes(&logits, &set).unwrap().value;
        let bound = Loss::default().of_sample(&logits, &set, &mut [0.0; 6]);
        let log_factorial: f64 = (1..=m).map(|i| (i as f64).ln()).sum();
        assert!(bound >= log_factorial + exact - ROUNDING);
        assert!(m > 1 || (bound - exact).abs() < ROUNDING);
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let error = |result: Result<SetPotentials>| result.unwrap_err();
    insta::assert_snapshot!(error(SetPotentials::new(2, vec![])), @"expected the number of potentials of multiplicities from 1 to K + 1, found 0 with 2 classes");
    insta::assert_snapshot!(error(SetPotentials::new(2, vec![0.0; 4])), @"expected the number of potentials of multiplicities from 1 to K + 1, found 4 with 2 classes");
    insta::assert_snapshot!(error(SetPotentials::new(2, vec![f64::NAN])), @"expected finite numbers, found NaN in potentials of multiplicities at row 0, column 0");
    let pairs = SetPotentials::new(3, vec![0.0; 3]).unwrap();
    let seen = |labels: &[&[u32]]| {
        let sets = labels
            .iter()
            .map(|set| (LabelSet::new(set.iter().copied()), 1.0));
        error(pairs.clone().with_seen_sets(sets.collect()))
    };
    insta::assert_snapshot!(seen(&[&[0], &[0]]), @"expected the potentials of label sets of distinct sets, found {0} twice");
    insta::assert_snapshot!(seen(&[&[0, 1, 2]]), @"expected the labels of a set at most the largest multiplicity, found 3 with 2");
    insta::assert_snapshot!(seen(&[&[3]]), @"expected labels 0 to 2, found 3 in sample 0; check the number of classes");
    let value = |logits: &[f64], set: &[u32]| {
        let set = LabelSet::new(set.iter().copied());
        pairs.value_and_slopes(logits, &set).unwrap_err()
    };
    insta::assert_snapshot!(value(&[0.0; 4], &[0]), @"expected 3 logits, found 4");
    insta::assert_snapshot!(value(&[0.0, f64::NAN, 0.0], &[0]), @"expected finite numbers, found NaN in logits at row 0, column 1");
    insta::assert_snapshot!(value(&[0.0; 3], &[0, 1, 2]), @"expected the labels of a set at most the largest multiplicity, found 3 with 2");
    assert!(pairs.distribution(&[0.0; 6]).is_ok());
}

fn problem() -> impl Strategy<Value = (SetPotentials, Vec<f64>, LabelSet)> {
    let seen = prop_oneof![Just(Seen::Nothing), Just(Seen::Some), Just(Seen::All)];
    (
        1usize..7,
        0usize..7,
        seen,
        prop::collection::vec(-3.0..3.0f64, 64),
    )
        .prop_map(|(k, most, seen, numbers)| {
            let most = most.min(k);
            let potentials = model(k, most, seen, &numbers[20..]);
            let labels = (0..k as u32)
                .filter(|&l| numbers[l as usize] > 0.0)
                .take(most);
            (
                potentials,
                numbers[..k + most + 1].to_vec(),
                labels.collect(),
            )
        })
}

fn value(potentials: &SetPotentials, outputs: &[f64], set: &LabelSet) -> f64 {
    potentials.value_and_slopes(outputs, set).unwrap().value
}

proptest! {
    #[test]
    fn slopes_are_those_of_the_value((potentials, mut outputs, set) in problem()) {
        const STEP: f64 = 1e-5;
        let slopes = potentials.value_and_slopes(&outputs, &set).unwrap();
        for i in 0..outputs.len() {
            let mut at = |shift: f64| {
                outputs[i] += shift;
                let value = value(&potentials, &outputs, &set);
                outputs[i] -= shift;
                value
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            prop_assert!((slope - slopes.outputs[i]).abs() < DIFFERENCE);
        }
        let (c, theta) = (potentials.multiplicities().to_vec(), potentials.set_potentials().to_vec());
        for (i, expected) in slopes.multiplicities.iter().chain(&slopes.seen_sets).enumerate() {
            let at = |shift: f64| {
                let (mut c, mut theta) = (c.clone(), theta.clone());
                match i < c.len() {
                    true => c[i] += shift,
                    false => theta[i - c.len()] += shift,
                }
                let mut moved = potentials.clone();
                moved.set(&c, theta.into_iter());
                value(&moved, &outputs, &set)
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            prop_assert!((slope - expected).abs() < DIFFERENCE);
        }
    }

    #[test]
    fn a_shift_of_all_logits_is_a_slope_of_the_multiplicities((potentials, outputs, set) in problem(), shift in -50.0..50.0f64) {
        let k = potentials.num_classes();
        let shifted: Vec<f64> = outputs.iter().enumerate().map(|(i, &z)| match i < k {
            true => z + shift,
            false => z - (i - k) as f64 * shift,
        }).collect();
        let (a, b) = (value(&potentials, &outputs, &set), value(&potentials, &shifted, &set));
        prop_assert!((a - b).abs() < ROUNDING * (1.0 + shift.abs() * 10.0));
    }

    #[test]
    fn renamed_labels_have_the_same_probabilities((potentials, outputs, set) in problem()) {
        let k = potentials.num_classes();
        let renamed = |set: &LabelSet| -> LabelSet {
            set.labels().iter().map(|&label| k as u32 - 1 - label).collect()
        };
        let sets = potentials.seen_sets().iter().map(&renamed);
        let sets = sets.zip(potentials.set_potentials().iter().copied()).collect();
        let other = SetPotentials::new(k, potentials.multiplicities().to_vec()).unwrap();
        let other = other.with_seen_sets(sets).unwrap();
        let mut reversed = outputs.clone();
        reversed[..k].reverse();
        let (a, b) = (value(&potentials, &outputs, &set), value(&other, &reversed, &renamed(&set)));
        prop_assert!((a - b).abs() < ROUNDING);
    }
}
