use proptest::prelude::*;

use super::*;
use crate::decode::label_thresholds::{f1_at, of_own_f1};
use crate::decode::sweep::{best_cut, best_label_cut};
use crate::decode::threshold::top_multiplicity;
use crate::evaluate::{Criterion, SetMeasures};
use crate::interrupt::ALWAYS;

const CRITERIA: [Criterion; 6] = [
    Criterion::SubsetAccuracy,
    Criterion::HammingAccuracy,
    Criterion::JaccardSamples,
    Criterion::F1Samples,
    Criterion::F1Micro,
    Criterion::F1Macro,
];

/// Rounding of running sums of a few dozen terms of size one.
const ROUNDING: f64 = 1e-12;

fn data() -> impl Strategy<Value = (Vec<f64>, Targets)> {
    (1usize..6, 1usize..12).prop_flat_map(|(k, n)| {
        (
            prop::collection::vec((-3i8..4).prop_map(f64::from), n * k),
            prop::collection::vec(prop::collection::vec(any::<bool>(), k), n),
        )
            .prop_map(move |(scores, rows)| {
                let sets = rows.iter().map(|row| LabelSet::from_multi_hot(row));
                (scores, Targets::new(k, sets).unwrap())
            })
    })
}

fn decoder(rule: Rule) -> LogitDecoder {
    LogitDecoder {
        link: Link::Sigmoid,
        rule,
        empty_rule: EmptyRule::Allow,
    }
}

#[test]
fn the_largest_gap_separates_the_labels() {
    let decoder = decoder(Rule::LargestGap {
        max_multiplicity: 3,
    });
    let decoded = decoder
        .decode(&[3.0, 2.8, -1.0, -1.2, 5.0, 1.0, 0.9, 0.8], 4)
        .unwrap();
    assert_eq!(decoded.set(0).labels(), [0, 1]);
    assert_eq!(decoded.set(1).labels(), [0]);
}

#[test]
fn proportional_cuts_give_each_label_its_share() {
    let decoder = decoder(Rule::Proportional {
        shares: vec![0.5, 0.25, 0.0],
    });
    let decoded = decoder
        .decode(
            &[1.0, 4.0, 9.0, 2.0, 3.0, 9.0, 3.0, 2.0, 9.0, 4.0, 1.0, 9.0],
            3,
        )
        .unwrap();
    let printed: Vec<String> = decoded.iter().map(ToString::to_string).collect();
    assert_eq!(printed, ["{1}", "{}", "{0}", "{0}"]);
    let refused = decoder.decode(&[0.0; 4], 2).unwrap_err();
    insta::assert_snapshot!(refused, @"expected 3 columns of logits, found 2");
}

/// Logits of a collapsed pick-all-labels network: a gap between labels and others that shrinks
/// with the multiplicity.
fn collapsed(num_classes: usize) -> (Vec<f64>, Targets) {
    let mut logits = Vec::new();
    let mut sets = Vec::new();
    for i in 0..60u32 {
        let m = 1 + i % 3;
        let set: LabelSet = (0..m).map(|j| (i + j * 2) % num_classes as u32).collect();
        for k in 0..num_classes as u32 {
            let wiggle = f64::from((i * 7 + k * 13) % 11) * 0.02;
            logits.push(
                if set.contains(k) {
                    8.0 - f64::from(m)
                } else {
                    0.0
                } + wiggle,
            );
        }
        sets.push(set);
    }
    (logits, Targets::new(num_classes, sets).unwrap())
}

#[test]
fn every_adaptive_rule_decodes_collapsed_logits_without_error() {
    let (logits, truth) = collapsed(7);
    for link in [Link::Softmax, Link::Sigmoid] {
        for kind in RuleKind::ALL {
            let fitted =
                LogitDecoder::fit(kind, link, &logits, &truth, Criterion::SubsetAccuracy).unwrap();
            let decoded = fitted.decode(&logits, 7).unwrap();
            let measures = SetMeasures::new(&decoded, &truth).unwrap();
            match kind {
                RuleKind::TopK => assert!(measures.subset_accuracy < 0.5),
                RuleKind::Proportional => assert!(measures.subset_accuracy > 0.5),
                _ => assert_eq!(measures.subset_accuracy, 1.0, "{kind:?} {link:?}"),
            }
            let json = serde_json::to_string(&fitted).unwrap();
            assert_eq!(
                serde_json::from_str::<LogitDecoder>(&json)
                    .unwrap()
                    .decode(&logits, 7)
                    .unwrap(),
                decoded
            );
        }
    }
}

#[test]
fn a_label_with_one_sample_keeps_the_common_threshold() {
    let truth = Targets::new(
        2,
        (0..20u32).map(|i| {
            if i == 0 {
                LabelSet::new([0, 1])
            } else {
                LabelSet::new([0])
            }
        }),
    )
    .unwrap();
    let scores: Vec<f64> = (0..20).flat_map(|i| [2.0, f64::from(i) * 0.1]).collect();
    assert_eq!(of_own_f1(&scores, &truth, 1.5, ALWAYS).unwrap()[1], 1.5);
}

proptest! {
    #[test]
    fn the_swept_cut_is_the_best_of_all_thresholds((scores, truth) in data()) {
        for criterion in CRITERIA {
            for empty_rule in [EmptyRule::Allow, EmptyRule::TopLabel] {
                let cut = best_cut(&scores, &truth, criterion, empty_rule, ALWAYS).unwrap();
                let value_at = |threshold| {
                    let decoder = LogitDecoder { link: Link::Sigmoid, rule: Rule::Threshold { threshold }, empty_rule };
                    let decoded = decoder.decode(&scores, truth.num_classes()).unwrap();
                    criterion.value(&SetMeasures::new(&decoded, &truth).unwrap())
                };
                prop_assert!((value_at(cut.threshold) - cut.value).abs() < ROUNDING);
                for threshold in -4..5 {
                    prop_assert!(value_at(f64::from(threshold) + 0.5) <= cut.value + ROUNDING);
                }
            }
        }
    }

    #[test]
    fn a_label_cut_has_the_best_f1_of_all((scores, truth) in data()) {
        let k = truth.num_classes();
        let mut samples: Vec<(f64, bool)> = scores.iter().step_by(k).zip(truth.iter())
            .map(|(&score, set)| (score, set.contains(0))).collect();
        let best = best_label_cut(&mut samples);
        prop_assert_eq!(best.is_none(), samples.iter().all(|(_, on)| !on));
        if let Some(cut) = best {
            for threshold in -4..5 {
                prop_assert!(f1_at(&samples, f64::from(threshold) + 0.5) <= f1_at(&samples, cut) + ROUNDING);
            }
        }
    }

    #[test]
    fn the_largest_scores_match_top_multiplicity((scores, truth) in data(), m in 0usize..6) {
        let k = truth.num_classes();
        let m = m.min(k);
        let expected = top_multiplicity(&scores, k, &vec![m; truth.len()]).unwrap();
        for (row, set) in scores.chunks(k).zip(expected.iter()) {
            prop_assert_eq!(&top(row, m, &mut Vec::new()), set);
        }
    }
}
