//! What the solver and the certificate promise beyond reference values.

use std::ops::ControlFlow;

use faer::Mat;
use proptest::prelude::*;
use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise::ufm::{
    Bias, Bound, Certificate, ClassifierKind, ClosedForm, FeatureKind, LabelCounts, Progress,
    SolverSettings, UfmPoint, UfmProblem, UfmSettings, UfmSolution, Verdict, solve, solve_from,
};
use tagwise::{LabelSet, Targets};

fn carry_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn solved(problem: &UfmProblem) -> UfmSolution {
    solve(problem, &SolverSettings::default(), carry_on).unwrap()
}

fn steep() -> LabelCounts {
    let singles = (0..5u32).map(|k| (LabelSet::new([k]), f64::from(16 >> k)));
    let pairs = (0..5u32).flat_map(|i| (0..i).map(move |j| (LabelSet::new([i, j]), 2.0)));
    LabelCounts::of_sets(5, singles.chain(pairs)).unwrap()
}

fn steep_problem(settings: UfmSettings) -> UfmProblem {
    UfmProblem::new(steep(), settings).unwrap()
}

fn zero_point(problem: &UfmProblem) -> UfmPoint {
    let num_sets = problem.labels().sets().unwrap().len();
    UfmPoint {
        weight: Mat::zeros(problem.num_classes(), problem.dim()),
        set_features: Mat::zeros(problem.dim(), num_sets),
        bias: vec![0.0; problem.num_classes()],
        potentials: Vec::new(),
    }
}

#[test]
fn the_solver_leaves_the_saddle_at_zero() {
    // Without bias W = H = 0 is exactly stationary: the gradient is 0 in every entry.
    let problem = steep_problem(UfmSettings {
        bias: Bias::None,
        ..UfmSettings::default()
    });
    let start = zero_point(&problem);
    let at_zero = Certificate::of(&problem, &start).unwrap();
    assert_eq!(at_zero.verdict, Verdict::NotCertified);
    assert!(at_zero.sigma_ratio.unwrap() > 1.0);
    let solution = solve_from(&problem, &start, &SolverSettings::default(), carry_on).unwrap();
    assert!(solution.escapes > 0);
    assert_eq!(solution.certificate.verdict, Verdict::Certified);
}

/// Q = [(n_S/N) α_S (m p − 1_S)/√n_S] at W = H = 0, where every p is 1/K.
fn pull_at_zero(problem: &UfmProblem) -> Mat<f64> {
    let sets = problem.labels().sets().unwrap();
    let (classes, samples) = (problem.num_classes(), problem.labels().num_samples());
    Mat::from_fn(classes, sets.len(), |k, column| {
        let (set, count) = &sets[column];
        let own = f64::from(u8::from(set.indices().any(|label| label == k)));
        let m = set.multiplicity();
        count.sqrt() / samples * problem.sample_weight(m) * (m as f64 / classes as f64 - own)
    })
}

#[test]
fn a_saddle_has_the_curvature_that_theory_gives() {
    // Δ_W = (λ_H/λ_W)^¼ u aᵀ and Δ_G = −(λ_W/λ_H)^¼ a vᵀ with G = H diag(√n) have curvature
    // 4√(λ_W λ_H) − 2σ_max, here along a = e_1 from W = H = 0.
    let problem = steep_problem(UfmSettings {
        bias: Bias::None,
        ..UfmSettings::default()
    });
    let pull = pull_at_zero(&problem);
    let svd = pull.thin_svd().unwrap();
    let sigma = svd.S().column_vector()[0];
    let balance = (problem.lambda_h() / problem.lambda_w()).powf(0.25);
    let sets = problem.labels().sets().unwrap();
    let value_at = |step: f64| {
        let mut point = zero_point(&problem);
        for k in 0..problem.num_classes() {
            point.weight[(k, 0)] = step * balance * svd.U()[(k, 0)];
        }
        for (column, (_, count)) in sets.iter().enumerate() {
            point.set_features[(0, column)] = -step / balance * svd.V()[(column, 0)] / count.sqrt();
        }
        Certificate::of(&problem, &point).unwrap()
    };
    let here = value_at(0.0);
    let decay = (problem.lambda_w() * problem.lambda_h()).sqrt();
    let ratio = here.sigma_ratio.unwrap();
    assert!((ratio - sigma / (2.0 * decay)).abs() < 1e-12 * ratio);
    let predicted = 4.0 * decay - 2.0 * sigma;
    assert!(predicted < 0.0);
    const STEP: f64 = 1e-3;
    let measured =
        (value_at(STEP).value + value_at(-STEP).value - 2.0 * here.value) / (STEP * STEP);
    // The fourth derivative is near 1, the rounding error of the difference near 1e-10.
    assert!(
        (measured - predicted).abs() < 1e-5 * predicted.abs(),
        "{measured} {predicted}"
    );
}

#[test]
fn the_solver_leaves_a_saddle_of_lower_rank() {
    // An optimum for d = 2 is stationary for d = 5 too, with three columns of zeros.
    let small = steep_problem(UfmSettings {
        dim: Some(2),
        ..UfmSettings::default()
    });
    let found = solved(&small).point;
    let problem = steep_problem(UfmSettings::default());
    let padded = |matrix: &Mat<f64>, rows, columns| {
        Mat::from_fn(rows, columns, |i, j| {
            if i < matrix.nrows() && j < matrix.ncols() {
                matrix[(i, j)]
            } else {
                0.0
            }
        })
    };
    let num_sets = found.set_features.ncols();
    let start = UfmPoint {
        weight: padded(&found.weight, 5, 5),
        set_features: padded(&found.set_features, 5, num_sets),
        bias: found.bias.clone(),
        potentials: Vec::new(),
    };
    let at_start = Certificate::of(&problem, &start).unwrap();
    assert!(at_start.sigma_ratio.unwrap() > 1.1);
    let solution = solve_from(&problem, &start, &SolverSettings::default(), carry_on).unwrap();
    assert!(solution.escapes > 0);
    assert_eq!(solution.certificate.verdict, Verdict::Certified);
    let direct = solved(&problem).certificate.value;
    assert!((solution.certificate.value - direct).abs() < 2e-9 * direct);
}

#[test]
fn near_optimal_fakes_are_rejected() {
    let problem = steep_problem(UfmSettings::default());
    let optimum = solved(&problem);
    assert_eq!(optimum.certificate.verdict, Verdict::Certified);
    let fakes: [fn(&mut UfmPoint); 4] = [
        |point| point.weight[(2, 1)] += 1e-3,
        |point| point.set_features = &point.set_features * faer::Scale(1.001),
        |point| point.bias[0] += 1e-2,
        |point| {
            // The rarest class loses a part of its classifier row.
            for j in 0..5 {
                point.weight[(4, j)] *= 0.99;
            }
        },
    ];
    for (number, fake) in fakes.into_iter().enumerate() {
        let mut point = optimum.point.clone();
        fake(&mut point);
        let certificate = Certificate::of(&problem, &point).unwrap();
        assert_eq!(certificate.verdict, Verdict::NotCertified, "fake {number}");
        let truth = optimum.certificate.value;
        let distance = certificate.value - truth;
        assert!(
            certificate.gap >= distance,
            "fake {number}: the gap bounds the distance"
        );
        assert!(
            distance < 1e-2 * truth,
            "fake {number} is not near: {distance}"
        );
    }
}

#[test]
fn a_decay_that_is_too_strong_gives_zero() {
    let labels = LabelCounts::balanced(6, [(1, 2.0), (2, 1.0)]).unwrap();
    let settings = UfmSettings {
        lambda_w: 3.0,
        ..UfmSettings::default()
    };
    let problem = UfmProblem::new(labels, settings).unwrap();
    let closed = ClosedForm::of(&problem).unwrap();
    assert_eq!(closed.classifier_norm, 0.0);
    assert!(closed.constants.iter().all(|c| c.feature_norm == 0.0));
    assert_eq!(closed.certificate.verdict, Verdict::Certified);
    assert!(closed.certificate.sigma_ratio.unwrap() <= 1.0);
    let solution = solved(&problem);
    assert_eq!(solution.rank, 0);
    assert_eq!(solution.certificate.verdict, Verdict::Certified);
    // The loss of equal probabilities: (12·log 6 + 15·2·log 6)/27.
    assert!((closed.certificate.value - 42.0 / 27.0 * 6f64.ln()).abs() < 1e-14);
}

#[test]
fn the_zero_solution_begins_exactly_at_its_threshold() {
    let labels = LabelCounts::balanced(4, [(1, 3.0), (2, 2.0)]).unwrap();
    let (n, k) = (24.0, 4.0);
    let lambda_h = 0.01;
    // 4 λ_W λ_H N² K(K−1) = Σ N_m m(K−m)
    let threshold = (12.0 * 3.0 + 12.0 * 4.0) / (4.0 * lambda_h * n * n * k * (k - 1.0));
    for (factor, is_zero) in [(1.0 + 1e-9, true), (1.0 - 1e-9, false)] {
        let settings = UfmSettings {
            lambda_w: threshold * factor,
            lambda_h: Some(lambda_h),
            ..UfmSettings::default()
        };
        let problem = UfmProblem::new(labels.clone(), settings).unwrap();
        let closed = ClosedForm::of(&problem).unwrap();
        assert_eq!(
            closed.classifier_norm == 0.0,
            is_zero,
            "{}",
            closed.classifier_norm
        );
    }
}

#[test]
fn ten_thousand_classes_have_a_closed_form() {
    let labels = LabelCounts::balanced_totals(10_000, (1..=10_000).map(|m| (m, 50.0))).unwrap();
    // λ_H = 5e-3·K/N is too strong for so many classes with so few samples.
    let settings = UfmSettings {
        lambda_h: Some(1e-5),
        lambda_w: 1e-5,
        ..UfmSettings::default()
    };
    let closed = ClosedForm::of(&UfmProblem::new(labels, settings).unwrap()).unwrap();
    assert!(closed.classifier_norm > 0.0);
    assert_eq!(closed.constants.len(), 10_000);
    assert_eq!(
        closed.certificate.verdict,
        Verdict::Certified,
        "{:?}",
        closed.certificate
    );
}

#[test]
fn fewer_dimensions_than_classes_are_bounded_but_not_certified() {
    let problem = steep_problem(UfmSettings {
        dim: Some(3),
        ..UfmSettings::default()
    });
    let certificate = solved(&problem).certificate;
    let optimum = solved(&steep_problem(UfmSettings::default())).certificate;
    assert_eq!(certificate.verdict, Verdict::NotCertified);
    assert!(certificate.dual_value <= optimum.value && optimum.value < certificate.value);
}

#[test]
fn a_low_rank_optimum_is_certified_in_few_dimensions_too() {
    let strong = |dim| {
        steep_problem(UfmSettings {
            dim,
            lambda_w: 2.0,
            ..UfmSettings::default()
        })
    };
    let full = solved(&strong(None));
    assert!(full.rank > 0 && full.rank < 4, "rank {}", full.rank);
    let few = solved(&strong(Some(full.rank)));
    assert_eq!(few.certificate.verdict, Verdict::Certified);
}

#[test]
fn non_negative_features_are_stationary_and_bounded_by_free_ones() {
    let problem = steep_problem(UfmSettings {
        features: FeatureKind::NonNegative,
        ..UfmSettings::default()
    });
    let solution = solved(&problem);
    assert_eq!(solution.certificate.bound, Bound::Relaxation);
    assert!(
        solution
            .point
            .set_features
            .col_iter()
            .all(|h| h.iter().all(|v| *v >= 0.0))
    );
    let free = solved(&steep_problem(UfmSettings::default())).certificate;
    assert!(solution.certificate.value > free.value);
    assert!((solution.certificate.dual_value - free.dual_value).abs() < 1e-9);
}

#[test]
fn a_fixed_classifier_is_certified_for_any_labels() {
    for features in [FeatureKind::Free, FeatureKind::NonNegative] {
        for bias in [Bias::None, Bias::Free, Bias::Decayed(1e-3)] {
            let problem = steep_problem(UfmSettings {
                classifier: ClassifierKind::FixedEtf,
                features,
                bias,
                ..UfmSettings::default()
            });
            let certificate = solved(&problem).certificate;
            assert_eq!(certificate.bound, Bound::FixedClassifierDual);
            assert_eq!(
                certificate.verdict,
                Verdict::Certified,
                "{features:?} {bias:?} {certificate:?}"
            );
        }
    }
}

#[test]
fn a_fixed_etf_has_one_value_in_every_dimension_and_rotation() {
    let problem = |dim| {
        steep_problem(UfmSettings {
            dim: Some(dim),
            classifier: ClassifierKind::FixedEtf,
            ..UfmSettings::default()
        })
    };
    let expected = solved(&problem(5)).certificate.value;
    for dim in [4, 5, 8] {
        let solution = solved(&problem(dim));
        assert_eq!(
            solution.certificate.verdict,
            Verdict::Certified,
            "d = {dim}"
        );
        assert!((solution.certificate.value - expected).abs() < TWICE_THE_GAP * expected);
        assert_eq!(solution.point.weight.shape(), (5, dim));
        assert_eq!(solution.rank, 4);
        // Reversing the dimensions rotates classifier and features together.
        let mut start = solution.point;
        let reversed = |matrix: &Mat<f64>| {
            let (rows, columns) = matrix.shape();
            Mat::from_fn(rows, columns, |i, j| matrix[(i, columns - 1 - j)])
        };
        start.weight = reversed(&start.weight);
        start.set_features = reversed(&start.set_features.transpose().to_owned())
            .transpose()
            .to_owned();
        let settings = SolverSettings::default();
        let again = solve_from(&problem(dim), &start, &settings, carry_on).unwrap();
        assert_eq!(again.certificate.verdict, Verdict::Certified, "d = {dim}");
        assert!(again.iterations <= 1, "{}", again.iterations);
    }
}

#[test]
fn samples_are_certified_through_their_means() {
    let sets = [[0u32].as_slice(), &[0], &[1], &[0, 2], &[], &[0, 2], &[2]];
    let targets = Targets::new(3, sets.map(|s| LabelSet::new(s.iter().copied()))).unwrap();
    let labels = LabelCounts::of_targets(&targets).unwrap();
    let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
    let solution = solved(&problem);
    let sets = problem.labels().sets().unwrap();
    let mut features = Vec::new();
    for set in targets.iter() {
        let column = sets.iter().position(|(other, _)| other == set);
        for j in 0..3 {
            features.push(column.map_or(0.0, |c| solution.point.set_features[(j, c)]));
        }
    }
    let point = &solution.point;
    let certify = |features: &[f64]| {
        Certificate::of_samples(
            &problem,
            &point.weight,
            features,
            &point.bias,
            &[],
            &targets,
        )
        .unwrap()
    };
    let exact = certify(&features);
    assert_eq!(exact.verdict, Verdict::Certified);
    assert!((exact.value - solution.certificate.value).abs() < 1e-14);
    // Moving two samples of a set apart keeps the mean, hence the bound, and costs value.
    features[0] += 0.01;
    features[3] -= 0.01;
    let apart = certify(&features);
    assert_eq!(apart.verdict, Verdict::NotCertified);
    assert!((apart.dual_value - exact.dual_value).abs() < 1e-12);
    assert!(apart.value > exact.value);
}

#[test]
fn the_answer_has_the_same_bits_for_any_number_of_threads() {
    // Large enough that products and columns are split among threads.
    let sets = (0..1200u32).map(|i| {
        let labels = [i % 37, (i * i + 3) % 37, (7 * i + i / 37) % 37];
        (LabelSet::new(labels), f64::from(1 + i % 5))
    });
    let labels = LabelCounts::of_sets(37, sets).unwrap();
    let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| solved(&problem))
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.certificate, three.certificate);
    assert_eq!(one.point.weight, three.point.weight);
    assert_eq!(one.certificate.verdict, Verdict::Certified);
}

#[test]
fn a_solve_ends_when_progress_says_so() {
    let problem = steep_problem(UfmSettings::default());
    let mut seen = 0;
    let solution = solve(&problem, &SolverSettings::default(), |_| {
        seen += 1;
        if seen == 8 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let certificate = solution.unwrap().certificate;
    assert_eq!(seen, 8);
    assert_eq!(certificate.verdict, Verdict::NotCertified);
    assert!(certificate.gap > 0.0);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let message = |settings| UfmProblem::new(steep(), settings).unwrap_err().to_string();
    let default = UfmSettings::default;
    insta::assert_snapshot!(message(UfmSettings { lambda_w: 0.0, ..default() }), @"expected lambda_w to be greater than 0 and finite (without decay the minimum is not attained), found 0");
    insta::assert_snapshot!(message(UfmSettings { lambda_h: Some(f64::NAN), ..default() }), @"expected lambda_h to be greater than 0 and finite (without decay the minimum is not attained), found NaN");
    insta::assert_snapshot!(message(UfmSettings { bias: Bias::Decayed(-1.0), ..default() }), @"expected lambda_b to be greater than 0 and finite (without decay the minimum is not attained), found -1");
    insta::assert_snapshot!(message(UfmSettings { dim: Some(0), ..default() }), @"expected the feature dimension to be at least 1, found 0");
    insta::assert_snapshot!(message(UfmSettings { dim: Some(3), classifier: ClassifierKind::FixedEtf, ..default() }), @"no simplex ETF of 5 classes exists in 3 dimensions; use at least 4");
    let labels =
        LabelCounts::of_sets(4, [(LabelSet::new([0]), 2.0), (LabelSet::new([2]), 1.0)]).unwrap();
    let free = UfmSettings {
        bias: Bias::Free,
        ..default()
    };
    insta::assert_snapshot!(UfmProblem::new(labels, free).unwrap_err().to_string(), @"expected every class in some sample when the bias has no decay, found none with class 1 (2 such classes); drop the class or give the bias a decay");
}

#[test]
fn the_closed_form_says_when_it_does_not_apply() {
    let message = |problem: &UfmProblem| ClosedForm::of(problem).unwrap_err().to_string();
    insta::assert_snapshot!(message(&steep_problem(UfmSettings::default())), @"the closed form needs every label set of a multiplicity equally often, found counts that differ; use the solver");
    let labels = LabelCounts::balanced(5, [(1, 1.0)]).unwrap();
    let few = UfmSettings {
        dim: Some(3),
        ..UfmSettings::default()
    };
    insta::assert_snapshot!(message(&UfmProblem::new(labels, few).unwrap()), @"the closed form needs at least 4 feature dimensions for 5 classes, found 3; use the solver");
}

#[test]
fn points_that_do_not_fit_are_refused() {
    let problem = steep_problem(UfmSettings::default());
    let message = |point: &UfmPoint| Certificate::of(&problem, point).unwrap_err().to_string();
    let mut point = zero_point(&problem);
    point.bias.pop();
    insta::assert_snapshot!(message(&point), @"expected 5 numbers in the bias, found 4");
    let mut point = zero_point(&problem);
    point.set_features[(1, 2)] = f64::NAN;
    insta::assert_snapshot!(message(&point), @"expected finite numbers, found NaN in the label-set features at row 1, column 2");
}

/// A gap of 1e-9 allows values this far apart, as a part of the value.
const TWICE_THE_GAP: f64 = 2e-9;

fn any_counts() -> impl Strategy<Value = Vec<(Vec<u32>, u32)>> {
    let set = prop::collection::vec(0u32..5, 0..5);
    prop::collection::vec((set, 1u32..20), 1..12)
}

fn any_settings() -> impl Strategy<Value = UfmSettings> {
    let bias = prop_oneof![
        Just(Bias::None),
        Just(Bias::Decayed(1e-3)),
        Just(Bias::Decayed(1.0))
    ];
    let weighting = prop_oneof![Just(Weighting::Sum), Just(Weighting::Mean)];
    (bias, weighting, -4.0..0.0f64, -5.0..-1.0f64).prop_map(|(bias, weighting, w, h)| UfmSettings {
        bias,
        loss: Loss::PickAllLabels(PickAllLabels { weighting }),
        lambda_w: 10f64.powf(w),
        lambda_h: Some(10f64.powf(h)),
        ..UfmSettings::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_distribution_is_solved_and_certified(counts in any_counts(), settings in any_settings()) {
        let sets = counts.iter().map(|(s, n)| (LabelSet::new(s.iter().copied()), f64::from(*n)));
        let Ok(labels) = LabelCounts::of_sets(5, sets) else { return Ok(()) };
        let problem = UfmProblem::new(labels, settings).unwrap();
        let solution = solved(&problem);
        prop_assert_eq!(solution.certificate.verdict, Verdict::Certified, "{:?}", solution.certificate);
    }

    #[test]
    fn the_value_does_not_depend_on_the_names_of_the_classes(counts in any_counts(), shift in 1u32..5) {
        let value = |shift: u32| {
            let sets = counts.iter().map(|(s, n)| (LabelSet::new(s.iter().map(|k| (k + shift) % 5)), f64::from(*n)));
            let labels = LabelCounts::of_sets(5, sets).ok()?;
            let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
            Some(solved(&problem).certificate.value)
        };
        if let (Some(a), Some(b)) = (value(0), value(shift)) {
            prop_assert!((a - b).abs() <= TWICE_THE_GAP * a.abs());
        }
    }
}
