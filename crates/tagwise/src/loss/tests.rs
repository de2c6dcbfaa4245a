use proptest::prelude::*;

use super::*;

const ALL: [Loss; 8] = [
    Loss::PickAllLabels(PickAllLabels {
        weighting: Weighting::Sum,
    }),
    Loss::PickAllLabels(PickAllLabels {
        weighting: Weighting::Mean,
    }),
    Loss::BinaryCrossEntropy {},
    Loss::Focal { gamma: 2.0 },
    Loss::Focal { gamma: 0.5 },
    Loss::Asymmetric {
        gamma_positive: 1.0,
        gamma_negative: 4.0,
        margin: 0.05,
    },
    Loss::Asymmetric {
        gamma_positive: 0.0,
        gamma_negative: 3.0,
        margin: 0.0,
    },
    Loss::Zlpr {},
];

/// Rounding of sums of a dozen terms of the size of the largest.
const ROUNDING: f64 = 1e-12;

/// Central differences with h = 1e-5: h² times a third derivative of size 1, plus 1e-16/h.
const DIFFERENCE: f64 = 1e-8;

fn logits_and_set() -> impl Strategy<Value = (Vec<f64>, LabelSet)> {
    (2usize..10).prop_flat_map(|k| {
        (
            prop::collection::vec(-4.0..4.0f64, k),
            prop::collection::vec(any::<bool>(), k).prop_map(|hot| LabelSet::from_multi_hot(&hot)),
        )
    })
}

fn value(loss: Loss, logits: &[f64], set: &LabelSet) -> f64 {
    loss.of_sample(logits, set, &mut vec![0.0; logits.len()])
}

#[derive(serde::Deserialize)]
struct Golden {
    loss: Loss,
    logits: Vec<f64>,
    labels: LabelSet,
    value: f64,
    gradient: Vec<f64>,
}

#[test]
fn losses_and_gradients_agree_with_pytorch() {
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("../../tests/golden/loss.json")).unwrap();
    assert!(golden.len() > 200);
    for case in golden {
        let mut gradient = vec![f64::NAN; case.logits.len()];
        let value = case
            .loss
            .of_sample(&case.logits, &case.labels, &mut gradient);
        let scale = 1.0 + case.value.abs();
        assert!(
            (value - case.value).abs() < ROUNDING * scale,
            "{:?} of {:?} at {}: {value}, expected {}",
            case.loss,
            case.logits,
            case.labels,
            case.value
        );
        for (found, expected) in gradient.iter().zip(&case.gradient) {
            assert!(
                (found - expected).abs() < ROUNDING * scale,
                "{:?} of {:?} at {}: {gradient:?}, expected {:?}",
                case.loss,
                case.logits,
                case.labels,
                case.gradient
            );
        }
    }
}

#[test]
fn no_finite_logit_gives_a_number_that_is_not_finite() {
    let logits = [1e4, -1e4, 800.0, -800.0, 0.0, 40.0];
    for loss in ALL {
        for bits in 0..64u32 {
            let set: LabelSet = (0..6).filter(|k| bits >> k & 1 == 1).collect();
            let mut gradient = [f64::NAN; 6];
            let value = loss.of_sample(&logits, &set, &mut gradient);
            assert!(value.is_finite() && value >= 0.0, "{loss:?} {set}: {value}");
            assert!(
                gradient.iter().all(|g| g.is_finite()),
                "{loss:?} {set}: {gradient:?}"
            );
        }
    }
}

#[test]
fn an_empty_label_set_costs_nothing_under_pick_all_labels() {
    for weighting in [Weighting::Sum, Weighting::Mean] {
        let loss = Loss::PickAllLabels(PickAllLabels { weighting });
        let mut gradient = [1.0; 3];
        let value = loss.of_sample(&[3.0, -1.0, 2.0], &LabelSet::default(), &mut gradient);
        assert_eq!((value, gradient), (0.0, [0.0; 3]));
    }
}

#[test]
fn all_labels_at_once_are_best_at_equal_logits() {
    let all = LabelSet::new(0..4);
    let loss = Loss::default();
    let mut gradient = [1.0; 4];
    let equal = loss.of_sample(&[0.7; 4], &all, &mut gradient);
    assert!((equal - 4.0 * 4f64.ln()).abs() < ROUNDING);
    assert!(gradient.iter().all(|g| g.abs() < ROUNDING));
    assert!(value(loss, &[0.7, 0.7, 0.7, 0.8], &all) > equal);
}

#[test]
fn a_loss_far_below_machine_precision_keeps_its_digits() {
    let value = value(Loss::default(), &[50.0, 0.0], &LabelSet::new([0]));
    assert!((value / (-50f64).exp() - 1.0).abs() < ROUNDING);
}

#[test]
fn a_batch_is_the_mean_of_its_samples() {
    let logits: [f32; 6] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75];
    let sets = [LabelSet::new([0, 2]), LabelSet::new([1])];
    for loss in ALL {
        let mut gradient = [0f32; 6];
        let mean = loss
            .batch_mean(&logits, sets.iter(), &mut gradient)
            .unwrap();
        let mut expected = 0.0;
        for (row, set) in sets.iter().enumerate() {
            let wide: Vec<f64> = logits[3 * row..][..3].iter().map(|&z| z.into()).collect();
            let mut wide_gradient = [0.0; 3];
            expected += loss.of_sample(&wide, set, &mut wide_gradient) / 2.0;
            for (found, wide) in gradient[3 * row..][..3].iter().zip(wide_gradient) {
                assert_eq!(*found, (wide / 2.0) as f32);
            }
        }
        assert!((mean - expected).abs() < ROUNDING);
    }
    assert_eq!(
        Loss::Zlpr {}.batch_mean(&[], [].iter(), &mut []).unwrap(),
        0.0,
        "an empty batch"
    );
}

#[test]
fn losses_are_written_and_read_by_name() {
    let json = serde_json::to_string(&ALL).unwrap();
    assert_eq!(serde_json::from_str::<[Loss; 8]>(&json).unwrap(), ALL);
    let read = |text| serde_json::from_str::<Loss>(text);
    assert_eq!(
        read(r#"{"name": "focal"}"#).unwrap(),
        Loss::Focal { gamma: 2.0 }
    );
    assert!(read(r#"{"name": "focal", "alpha": 0.25}"#).is_err());
    assert!(read(r#"{"name": "hinge"}"#).is_err());
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let loss = Loss::default();
    let one = |logits: &[f64], labels: &[u32], slopes: usize| {
        let set = LabelSet::new(labels.iter().copied());
        let value = loss.value_and_gradient(logits, &set, &mut vec![0.0; slopes]);
        value.unwrap_err()
    };
    insta::assert_snapshot!(one(&[0.0; 3], &[0], 2), @"expected 3 entries of the gradient, found 2");
    insta::assert_snapshot!(one(&[0.0; 3], &[0, 3], 3), @"expected labels 0 to 2, found 3 in sample 0; check the number of classes");
    let sets = [LabelSet::new([0]), LabelSet::new([1])];
    let batch = |num_logits: usize, num_sets: usize| {
        let mut slopes = vec![0.0; num_logits];
        let mean = loss.batch_mean(&vec![0.0; num_logits], sets[..num_sets].iter(), &mut slopes);
        mean.unwrap_err()
    };
    insta::assert_snapshot!(batch(5, 2), @"expected 4 logits, as many for each label set, found 5");
    insta::assert_snapshot!(batch(0, 2), @"expected 2 logits, as many for each label set, found 0");
    insta::assert_snapshot!(batch(3, 0), @"expected 0 logits, found 3");
    insta::assert_snapshot!(batch(2, 2), @"expected labels 0 to 0, found 1 in sample 1; check the number of classes");
    let targets = Targets::new(2, sets).unwrap();
    insta::assert_snapshot!(loss.mean(&[0.0; 3], &targets).unwrap_err(), @"expected 4 logits, found 3");
    let weighted =
        loss.weighted_value_and_gradient(&[0.0; 2], &LabelSet::default(), &[1.0], &mut [0.0; 2]);
    insta::assert_snapshot!(weighted.unwrap_err(), @"expected 2 class weights, found 1");
}

proptest! {
    #[test]
    fn gradients_are_the_slopes_of_the_values((logits, set) in logits_and_set()) {
        const STEP: f64 = 1e-5;
        for loss in ALL {
            let mut gradient = vec![0.0; logits.len()];
            loss.of_sample(&logits, &set, &mut gradient);
            for k in 0..logits.len() {
                // The asymmetric loss has a kink where σ(z) equals its margin.
                if matches!(loss, Loss::Asymmetric { margin, .. } if (sigmoid(logits[k]) - margin).abs() < STEP) {
                    continue;
                }
                let mut shifted = logits.clone();
                shifted[k] = logits[k] + STEP;
                let above = value(loss, &shifted, &set);
                shifted[k] = logits[k] - STEP;
                let below = value(loss, &shifted, &set);
                let slope = (above - below) / (2.0 * STEP);
                prop_assert!((slope - gradient[k]).abs() < DIFFERENCE, "{loss:?}: {slope} vs {}", gradient[k]);
            }
        }
    }

    #[test]
    fn pick_all_labels_ignores_a_shift_of_all_logits((logits, set) in logits_and_set(), shift in -100.0..100.0f64) {
        let shifted: Vec<f64> = logits.iter().map(|z| z + shift).collect();
        let difference = value(ALL[0], &logits, &set) - value(ALL[0], &shifted, &set);
        prop_assert!(difference.abs() < 1e-10); // rounding of logits of size 100
    }

    #[test]
    fn asymmetric_and_focal_loss_contain_binary_cross_entropy((logits, set) in logits_and_set()) {
        let plain = value(Loss::BinaryCrossEntropy {}, &logits, &set);
        let focal = value(Loss::Focal { gamma: 0.0 }, &logits, &set);
        let asymmetric = Loss::Asymmetric { gamma_positive: 0.0, gamma_negative: 0.0, margin: 0.0 };
        prop_assert!((plain - focal).abs() < ROUNDING);
        prop_assert!((plain - value(asymmetric, &logits, &set)).abs() < ROUNDING);
    }

    /// For any c > 0 and 0 < m < K the loss is at least linear in the logits, with equality
    /// when both groups are constant and log((K−m)c/m) apart.
    #[test]
    fn pick_all_labels_has_a_linear_lower_bound_that_is_tight((logits, set) in logits_and_set(), c in 0.01..100.0f64) {
        let (k, m) = (logits.len() as f64, set.multiplicity() as f64);
        prop_assume!(m > 0.0 && m < k);
        let bound = |z: &[f64]| {
            let in_set: f64 = set.indices().map(|l| z[l]).sum();
            let slope = m / ((1.0 + c) * (k - m));
            let offset = m * c / (1.0 + c) * (m.ln() + ((1.0 + c) / c).ln())
                + m / (1.0 + c) * ((k - m) * (1.0 + c)).ln();
            slope * (z.iter().sum::<f64>() - k / m * in_set) + offset
        };
        prop_assert!(value(ALL[0], &logits, &set) >= bound(&logits) - ROUNDING * 100.0);

        let gap = ((k - m) * c / m).ln();
        let tight: Vec<f64> = (0u32..).take(logits.len())
            .map(|l| if set.contains(l) { 0.3 + gap } else { 0.3 })
            .collect();
        prop_assert!((value(ALL[0], &tight, &set) - bound(&tight)).abs() < ROUNDING * 100.0);
    }
}
