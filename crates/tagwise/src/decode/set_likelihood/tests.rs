use proptest::prelude::*;

use super::*;

/// Rounding of sums of some hundred terms of size one.
const ROUNDING: f64 = 1e-11;

#[derive(serde::Deserialize)]
struct Golden {
    logits: Vec<f64>,
    multiplicities: Vec<f64>,
    seen_sets: Vec<LabelSet>,
    set_potentials: Vec<f64>,
    most_probable: Vec<(LabelSet, f64)>,
    best_f1: f64,
    best_f1_labels: LabelSet,
}

fn potentials(case: &Golden) -> SetPotentials {
    let sets = case.seen_sets.iter().cloned();
    let sets = sets.zip(case.set_potentials.iter().copied()).collect();
    SetPotentials::new(case.logits.len(), case.multiplicities.clone())
        .and_then(|potentials| potentials.with_seen_sets(sets))
        .unwrap()
}

#[test]
fn answers_are_those_of_enumeration() {
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("../../../tests/golden/set_likelihood.json")).unwrap();
    for case in golden {
        let potentials = potentials(&case);
        let mut distribution = potentials.distribution(&case.logits).unwrap();
        let listed = most_probable(&distribution, 5);
        assert_eq!(listed.len(), case.most_probable.len());
        for (found, (set, probability)) in listed.iter().zip(&case.most_probable) {
            assert!((found.probability - probability).abs() < ROUNDING);
            // Sets that are as probable as each other may come in any order.
            let own = distribution.probability(set);
            assert!(found.labels == *set || (own - found.probability).abs() < ROUNDING);
        }
        let best = best_expected_f1(&mut distribution, EmptyMatch::One);
        assert!((best.value - case.best_f1).abs() < ROUNDING);
        let is_tie = best.labels != case.best_f1_labels;
        assert!(!is_tie || best.value >= case.best_f1 - ROUNDING);
    }
}

#[test]
fn a_seen_set_that_is_unlikely_leaves_its_place_to_the_next() {
    let potentials = SetPotentials::new(3, vec![-9.0, 0.0]).unwrap();
    let seen = vec![(LabelSet::new([0]), -20.0), (LabelSet::new([2]), 3.0)];
    let potentials = potentials.with_seen_sets(seen).unwrap();
    let outputs = [5.0, 1.0, 0.0];
    let listed = most_probable(&potentials.distribution(&outputs).unwrap(), 9);
    let labels: Vec<&[u32]> = listed.iter().map(|set| set.labels.labels()).collect();
    assert_eq!(labels, [&[2][..], &[1], &[], &[0]]);
    let sum: f64 = listed.iter().map(|set| set.probability).sum();
    assert!((sum - 1.0).abs() < ROUNDING);
}

#[test]
fn ties_go_to_the_smaller_set_and_label() {
    let potentials = SetPotentials::new(3, vec![0.0; 4]).unwrap();
    let outputs = [0.0; 3];
    let listed = most_probable(&potentials.distribution(&outputs).unwrap(), 8);
    let labels: Vec<&[u32]> = listed.iter().map(|set| set.labels.labels()).collect();
    assert_eq!(labels[..4], [&[][..], &[0], &[1], &[2]]);
    assert_eq!(labels[4..], [&[0, 1][..], &[0, 2], &[1, 2], &[0, 1, 2]]);
}

#[test]
fn answers_say_how_probable_they_are() {
    let shared = SetPotentials::new(2, vec![0.0; 3]).unwrap();
    let potentials = HeadPotentials {
        shared,
        weight: None,
    };
    let mut decoder = SetDecoder {
        potentials,
        settings: SetSettings {
            num_listed: 3,
            abstain_below: 0.5,
            ..SetSettings::default()
        },
    };
    let outputs = [9f64.ln(), -(9f64.ln()), 0.1, 0.0];
    let decoded = decoder.decode(&outputs).unwrap();
    assert_eq!(decoded.targets.set(0).labels(), [0]);
    assert!((decoded.probabilities[0] - 0.81).abs() < ROUNDING);
    assert_eq!(decoded.abstained, [1]);
    assert_eq!(decoded.listed[0].len(), 3);
    assert_eq!(decoded.listed[0][0].labels, *decoded.targets.set(0));
    decoder.settings.rule = SetRule::ExpectedF1 {
        empty_match: EmptyMatch::Zero,
    };
    let decoded = decoder.decode(&outputs).unwrap();
    assert_eq!(decoded.targets.set(1).labels(), [0, 1]);
    assert!(decoder.decode(&outputs[..3]).is_err());
    assert_eq!(decoder.decode(&[]).unwrap().targets.len(), 0);
}

proptest! {
    #[test]
    fn no_set_is_more_probable_than_the_first(numbers in prop::collection::vec(-2.0..2.0f64, 24), k in 1usize..6) {
        let most = k.min(3);
        let potentials = SetPotentials::new(k, numbers[..most + 1].to_vec()).unwrap();
        let seen = (0..k as u32).map(|i| LabelSet::new([i])).take(most * k);
        let potentials = potentials.with_seen_sets(seen.zip(numbers[8..].iter().copied()).collect()).unwrap();
        let distribution = potentials.distribution(&numbers[18..18 + k]).unwrap();
        let listed = most_probable(&distribution, usize::MAX);
        prop_assert!(listed.windows(2).all(|pair| pair[0].probability >= pair[1].probability - 1e-15));
        let sum: f64 = listed.iter().map(|set| set.probability).sum();
        prop_assert!((sum - 1.0).abs() < ROUNDING);
    }
}
