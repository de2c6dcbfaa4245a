use super::*;
use crate::LabelSet;
use crate::loss::{Loss, PickAllLabels, Weighting};
use crate::matrix::as_faer;

#[derive(serde::Deserialize)]
struct Golden {
    num_classes: usize,
    dim: usize,
    features: Vec<Vec<f64>>,
    labels: Vec<LabelSet>,
    fits: Vec<GoldenFit>,
}

#[derive(serde::Deserialize)]
struct GoldenFit {
    loss: Loss,
    weight_decay: f64,
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

/// Gradient 1e-9 over the smallest curvature 2λ = 2e-3.
const OPTIMUM: f64 = 1e-5;

fn golden() -> (Golden, Features, Targets) {
    let golden: Golden =
        serde_json::from_str(include_str!("../../tests/golden/head.json")).unwrap();
    let features = DenseRows::new(golden.features.concat(), golden.dim).unwrap();
    let targets = Targets::new(golden.num_classes, golden.labels.iter().cloned()).unwrap();
    (golden, Features::Dense(features), targets)
}

fn sparse(features: &Features) -> Features {
    let values = features.to_dense();
    let rows = values.chunks(features.dim()).map(|row| {
        let entries = (0u32..).zip(row.iter().copied());
        entries.filter(|(_, x)| *x != 0.0).collect::<Vec<_>>()
    });
    Features::Sparse(SparseRows::new(features.dim(), rows).unwrap())
}

fn precise(loss: Loss, weight_decay: f64) -> HeadSettings {
    HeadSettings {
        loss,
        weight_decay,
        scaling: Scaling::None,
        gradient_tolerance: 1e-9,
        max_iterations: 5000,
        ..HeadSettings::default()
    }
}

#[test]
fn heads_agree_with_scikit_learn() {
    let (golden, features, targets) = golden();
    for features in [features.clone(), sparse(&features)] {
        for fit in &golden.fits {
            let settings = precise(fit.loss, fit.weight_decay);
            let head = Head::fit(&features, &targets, &settings, None).unwrap();
            assert_eq!(head.stop, Stop::Converged);
            // A softmax does not determine the mean of the bias.
            let mean = |bias: &[f64]| match fit.loss {
                Loss::PickAllLabels(_) => bias.iter().sum::<f64>() / bias.len() as f64,
                _ => 0.0,
            };
            let (own, other) = (mean(&head.classifier.bias), mean(&fit.bias));
            for k in 0..golden.num_classes {
                let difference = (head.classifier.bias[k] - own) - (fit.bias[k] - other);
                assert!(
                    difference.abs() < OPTIMUM,
                    "{:?}: bias {k} off by {difference}",
                    fit.loss
                );
                for j in 0..golden.dim {
                    let difference = head.classifier.weight[(k, j)] - fit.weight[k][j];
                    assert!(
                        difference.abs() < OPTIMUM,
                        "{:?}: weight {k}, {j} off by {difference}",
                        fit.loss
                    );
                }
            }
        }
    }
}

#[test]
fn a_fixed_etf_is_a_linear_head_with_another_weight_decay_under_pick_all_labels() {
    let (golden, features, targets) = golden();
    let k = golden.num_classes as f64;
    let linear = precise(Loss::default(), 1e-2);
    let etf = HeadSettings {
        kind: HeadKind::FixedEtf,
        weight_decay: 1e-2 * k / (k - 1.0),
        ..linear.clone()
    };
    let linear = Head::fit(&features, &targets, &linear, None).unwrap();
    let etf = Head::fit(&features, &targets, &etf, None).unwrap();
    assert!((linear.objective - etf.objective).abs() < 1e-10);
    let difference = as_faer(&linear.classifier.weight) - as_faer(&etf.classifier.weight);
    assert!(difference.norm_max() < OPTIMUM);
}

#[test]
fn scaling_is_folded_into_the_head() {
    let (_, features, targets) = golden();
    for features in [features.clone(), sparse(&features)] {
        let scaled = precise(Loss::BinaryCrossEntropy {}, 0.0);
        let plain = HeadSettings {
            max_iterations: 30,
            ..scaled
        };
        let scaled = HeadSettings {
            scaling: Scaling::Standardise,
            ..plain.clone()
        };
        // Without weight decay both minimise the same function, in other coordinates.
        let loss = |settings: &HeadSettings| {
            let head = Head::fit(&features, &targets, settings, None).unwrap();
            let logits = head.logits(&features).unwrap();
            let mut gradient = vec![0.0; targets.num_classes()];
            let total: f64 = logits
                .chunks(targets.num_classes())
                .zip(targets.iter())
                .map(|(row, set)| settings.loss.of_sample(row, set, &mut gradient))
                .sum();
            (total / targets.len() as f64, head.objective)
        };
        for settings in [plain, scaled] {
            let (measured, reported) = loss(&settings);
            assert!(
                (measured - reported).abs() < 1e-10,
                "{measured} vs {reported}"
            );
        }
    }
}

#[test]
fn a_warm_start_at_the_optimum_takes_no_step() {
    let (_, features, targets) = golden();
    let settings = precise(Loss::Zlpr {}, 1e-2);
    let head = Head::fit(&features, &targets, &settings, None).unwrap();
    let again = Head::fit(&features, &targets, &settings, Some(&head)).unwrap();
    assert_eq!(again.iterations, 0);
    assert_eq!(again.classifier.weight, head.classifier.weight);
}

#[test]
fn balanced_label_sets_count_alike() {
    let targets = Targets::new(2, [0, 0, 0, 1].map(|k| LabelSet::new([k]))).unwrap();
    let features = Features::Dense(DenseRows::new(vec![0.0; 4], 1).unwrap());
    let settings = HeadSettings {
        balance: 1.0,
        ..precise(Loss::default(), 1e-2)
    };
    let head = Head::fit(&features, &targets, &settings, None).unwrap();
    assert!((head.classifier.bias[0] - head.classifier.bias[1]).abs() < 1e-8);
    let settings = HeadSettings {
        balance: 0.0,
        ..settings
    };
    let head = Head::fit(&features, &targets, &settings, None).unwrap();
    let gap = head.classifier.bias[0] - head.classifier.bias[1];
    assert!((gap - 3f64.ln()).abs() < 1e-7);
}

#[test]
fn heads_are_the_same_bits_whatever_the_number_of_threads() {
    let features = DenseRows::new((0..700 * 70).map(|i| f64::from(i % 97).sin()).collect(), 70);
    let features = Features::Dense(features.unwrap());
    let sets = (0..700u32).map(|i| LabelSet::new([i % 5, (i / 5) % 5]));
    let targets = Targets::new(5, sets).unwrap();
    let with_threads = |num_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
        let settings = HeadSettings::default();
        pool.build().unwrap().install(|| {
            let head = Head::fit(&features, &targets, &settings, None).unwrap();
            head.classifier.weight
        })
    };
    assert_eq!(with_threads(1), with_threads(3));
}

#[test]
fn bad_input_is_refused() {
    let targets = Targets::new(2, [LabelSet::new([0])]).unwrap();
    let features = |values: Vec<f64>| Features::Dense(DenseRows::new(values, 2).unwrap());
    let fit = |features: &Features, targets: &Targets, settings: HeadSettings| {
        Head::fit(features, targets, &settings, None).unwrap_err()
    };
    let settings = HeadSettings::default();
    insta::assert_snapshot!(fit(&features(vec![0.0; 4]), &targets, settings.clone()), @"expected 1 rows of features, found 2");
    let negative = HeadSettings {
        weight_decay: -1.0,
        ..settings.clone()
    };
    insta::assert_snapshot!(fit(&features(vec![0.0; 2]), &targets, negative), @"expected the weight decay of at least 0 and finite, found -1");
    let unlabelled = Targets::new(2, [LabelSet::default()]).unwrap();
    insta::assert_snapshot!(fit(&features(vec![0.0; 2]), &unlabelled, settings), @"the pick-all-labels loss needs samples with labels, found none");
    insta::assert_snapshot!(DenseRows::new(vec![0.0, f64::NAN], 2).unwrap_err(), @"expected finite numbers, found NaN in features at row 0, column 1");
    insta::assert_snapshot!(SparseRows::new(2, [[(2, 1.0)]]).unwrap_err(), @"expected a column of sparse features below the feature dimension, found 2 in row 0 with 2 dimensions");
    assert!(
        PickAllLabels {
            weighting: Weighting::Mean
        }
        .sample_weight(0)
            == 0.0
    );
}

/// A gradient of 1e-4 over the smallest curvature 2λ = 2e-2.
const STOCHASTIC_OPTIMUM: f64 = 1e-2;

#[test]
fn stochastic_descent_meets_the_tolerance_at_the_minimum_of_lbfgs() {
    let (_, features, targets) = golden();
    for features in [features.clone(), sparse(&features)] {
        for kind in [HeadKind::Linear, HeadKind::FixedEtf] {
            for loss in [Loss::default(), Loss::BinaryCrossEntropy {}] {
                let exact = HeadSettings {
                    kind,
                    scaling: Scaling::Standardise,
                    class_weights: ClassWeights::Balanced,
                    ..precise(loss, 1e-2)
                };
                let stochastic = HeadSettings {
                    optimizer: Optimizer::Stochastic(Stochastic {
                        batch_size: 8,
                        seed: 3,
                    }),
                    gradient_tolerance: 1e-4,
                    ..exact.clone()
                };
                let fit = |settings| Head::fit(&features, &targets, settings, None).unwrap();
                let (exact, found) = (fit(&exact), fit(&stochastic));
                assert_eq!(found.stop, Stop::Converged, "{loss:?} {kind:?}");
                assert!(found.gradient_norm <= 1e-4);
                assert!(found.objective >= exact.objective - 1e-12);
                assert!(found.objective - exact.objective < 1e-6);
                let difference =
                    as_faer(&exact.classifier.weight) - as_faer(&found.classifier.weight);
                assert!(difference.norm_max() < STOCHASTIC_OPTIMUM);
                assert_eq!(found.classifier, fit(&stochastic).classifier);
            }
        }
    }
}

#[test]
fn stochastic_descent_gives_the_same_bits_on_any_number_of_threads() {
    let (_, features, targets) = golden();
    let settings = HeadSettings {
        optimizer: Optimizer::Stochastic(Stochastic::default()),
        max_iterations: 5,
        ..HeadSettings::default()
    };
    let on = |num_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
        let fit = || Head::fit(&features, &targets, &settings, None).unwrap();
        pool.build().unwrap().install(fit).classifier
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_weight_of_two_is_a_sample_given_twice() {
    let (_, features, targets) = golden();
    let set = targets.distinct().last().unwrap().clone();
    let rows: Vec<usize> = (0..targets.len())
        .flat_map(|row| vec![row; 1 + usize::from(*targets.set(row) == set)])
        .collect();
    let settings = precise(Loss::default(), 1e-2);
    let weighted = HeadSettings {
        set_weights: vec![(set, 2.0)],
        ..settings.clone()
    };
    let weighted = Head::fit(&features, &targets, &weighted, None).unwrap();
    let (features, targets) = (features.select(&rows), targets.select(rows));
    let repeated = Head::fit(&features, &targets, &settings, None).unwrap();
    let difference = as_faer(&weighted.classifier.weight) - as_faer(&repeated.classifier.weight);
    assert!(difference.norm_max() < OPTIMUM);
}

#[test]
fn a_fit_can_be_interrupted() {
    let (_, features, targets) = golden();
    for optimizer in [
        Optimizer::Lbfgs,
        Optimizer::Stochastic(Stochastic::default()),
    ] {
        let settings = HeadSettings {
            optimizer,
            ..precise(Loss::default(), 1e-3)
        };
        let head = Head::fit_with(&features, &targets, &settings, None, |progress| {
            match progress.iterations < 2 {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        let head = head.unwrap();
        assert_eq!((head.stop, head.iterations), (Stop::Interrupted, 2));
    }
}
