//! The unconstrained feature model with the set likelihood, against SciPy on enumerated sets
//! (`golden/ufm_set_likelihood.py`) and by what any optimum must hold.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use faer::Mat;
use proptest::prelude::*;
use serde::Deserialize;
use tagwise::loss::Loss;
use tagwise::loss::set_likelihood::{MultiplicityPotentials, SeenSetPotentials, SetLikelihood};
use tagwise::ufm::{
    Bias, Bound, Certificate, ClassifierKind, ClosedForm, FeatureKind, GeometryReport, LabelCounts,
    Progress, SolverSettings, UfmPoint, UfmProblem, UfmSettings, UfmSolution, Verdict, solve,
};
use tagwise::{LabelSet, Targets};

fn carry_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn solved(problem: &UfmProblem) -> UfmSolution {
    solve(problem, &SolverSettings::default(), carry_on).unwrap()
}

#[derive(Deserialize)]
struct Case {
    name: String,
    num_classes: usize,
    dim: usize,
    sets: Vec<(Vec<u32>, f64)>,
    max_multiplicity: usize,
    lambda_w: f64,
    lambda_h: f64,
    lambda_b: Option<f64>,
    lambda_c: Option<f64>,
    features: FeatureKind,
    classifier: ClassifierKind,
    value: f64,
    row_norms: Vec<f64>,
    mean_row_norm: f64,
    potentials: Vec<f64>,
    feature_norms: BTreeMap<String, f64>,
}

impl Case {
    fn problem(&self) -> UfmProblem {
        let sets = self.sets.iter();
        let sets = sets.map(|(set, count)| (LabelSet::new(set.iter().copied()), *count));
        let settings = UfmSettings {
            dim: Some(self.dim),
            loss: Loss::SetLikelihood(SetLikelihood {
                multiplicities: match self.lambda_c {
                    Some(_) => MultiplicityPotentials::Constant,
                    None => MultiplicityPotentials::None,
                },
                seen_sets: SeenSetPotentials::None,
                max_multiplicity: Some(self.max_multiplicity),
            }),
            lambda_w: self.lambda_w,
            lambda_h: Some(self.lambda_h),
            lambda_c: self.lambda_c.unwrap_or(1.0),
            bias: self.lambda_b.map_or(Bias::None, Bias::Decayed),
            features: self.features,
            classifier: self.classifier,
        };
        UfmProblem::new(
            LabelCounts::of_sets(self.num_classes, sets).unwrap(),
            settings,
        )
        .unwrap()
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("golden/ufm_set_likelihood.json")).unwrap()
}

/// What L-BFGS-B leaves of the value.
const OF_THE_VALUE: f64 = 1e-8;
/// Of the point, which moves with the root of what is left of the value.
const OF_THE_POINT: f64 = 2e-4;

#[test]
fn the_solver_finds_what_brute_force_finds_and_proves_it() {
    for case in cases() {
        let problem = case.problem();
        let solution = solved(&problem);
        let certificate = solution.certificate;
        let name = &case.name;
        assert_eq!(
            certificate.verdict,
            Verdict::Certified,
            "{name} {certificate:?}"
        );
        let off = (certificate.value - case.value).abs();
        assert!(
            off < OF_THE_VALUE,
            "{name}: {} {}",
            certificate.value,
            case.value
        );
        let point = &solution.point;
        for (row, expected) in point.weight.row_iter().zip(&case.row_norms) {
            assert!((row.norm_l2() - expected).abs() < OF_THE_POINT, "{name}");
        }
        for (c, expected) in point.potentials.iter().zip(&case.potentials) {
            assert!((c - expected).abs() < OF_THE_POINT, "{name}");
        }
        for (column, (set, _)) in problem.sets().unwrap().iter().enumerate() {
            let labels = format!("{:?}", set.labels());
            let norm = point.set_features.col(column).norm_l2();
            assert!(
                (norm - case.feature_norms[&labels]).abs() < OF_THE_POINT,
                "{name} {labels}"
            );
        }
    }
}

#[test]
fn the_closed_form_is_the_optimum_of_balanced_data() {
    let mut seen = 0;
    for case in cases() {
        let problem = case.problem();
        let Ok(optimum) = ClosedForm::of(&problem) else {
            assert!(!problem.labels().is_balanced(), "{}", case.name);
            continue;
        };
        seen += 1;
        let name = &case.name;
        let certificate = optimum.certificate;
        assert_eq!(
            certificate.verdict,
            Verdict::Certified,
            "{name} {certificate:?}"
        );
        assert!(
            (certificate.value - case.value).abs() < OF_THE_VALUE,
            "{name}"
        );
        assert!(
            (optimum.common_norm - case.mean_row_norm).abs() < OF_THE_POINT,
            "{name}"
        );
        // The point written out has the same value and bound by the general formulas.
        let point = optimum.point(&problem).unwrap();
        let written = Certificate::of(&problem, &point).unwrap();
        assert!((written.value - certificate.value).abs() < 1e-12, "{name}");
        assert!(
            (written.dual_value - certificate.dual_value).abs() < 1e-11,
            "{name}"
        );
        assert_eq!(
            written.sigma_ratio.is_some(),
            certificate.sigma_ratio.is_some()
        );
        let ratios = written.sigma_ratio.zip(certificate.sigma_ratio);
        assert!(
            ratios.is_none_or(|(a, b)| (a - b).abs() < 1e-9),
            "{name} {ratios:?}"
        );
        let report = GeometryReport::of(&problem, &point).unwrap();
        for constants in &optimum.constants {
            let measured = &report.multiplicities[&constants.multiplicity];
            assert!(
                (measured.label_mass - constants.label_mass).abs() < 1e-12,
                "{name}"
            );
            assert!(
                (measured.feature_norm.mean - constants.feature_norm).abs() < 1e-12,
                "{name}"
            );
        }
        let common = report.common.unwrap();
        assert!((common.norm - optimum.common_norm).abs() < 1e-12, "{name}");
        assert!(
            common.etf_distance.is_none_or(|distance| distance < 1e-7),
            "{name}"
        );
    }
    assert!(seen >= 9);
}

fn learned(labels: LabelCounts) -> UfmProblem {
    UfmProblem::new(
        labels,
        UfmSettings {
            loss: Loss::SetLikelihood(SetLikelihood::default()),
            ..UfmSettings::default()
        },
    )
    .unwrap()
}

#[test]
fn balanced_classifiers_are_an_etf_beside_one_direction_of_how_many() {
    let problem = learned(LabelCounts::balanced(10, [(1, 3100.0), (2, 200.0)]).unwrap());
    let optimum = ClosedForm::of(&problem).unwrap();
    assert_eq!(optimum.certificate.verdict, Verdict::Certified);
    let [single, pair] = optimum.constants[..] else {
        panic!("two multiplicities")
    };
    assert!(optimum.common_norm > 0.1);
    assert!(pair.common_feature * single.common_feature < 0.0);
    assert!(
        single.label_mass > 0.85 && pair.label_mass > 0.75,
        "{single:?} {pair:?}"
    );
    // Ten thousand classes cost no more than ten.
    let many = learned(LabelCounts::balanced_totals(10_000, [(1, 3e4), (3, 1e4)]).unwrap());
    assert_eq!(
        ClosedForm::of(&many).unwrap().certificate.verdict,
        Verdict::Certified
    );
}

#[test]
fn every_sample_of_the_empty_set_has_a_feature() {
    let set = |labels: &[u32]| LabelSet::new(labels.iter().copied());
    let rows = [set(&[]), set(&[0]), set(&[]), set(&[0, 1]), set(&[2])];
    let targets = Targets::new(3, rows).unwrap();
    let problem = learned(LabelCounts::of_targets(&targets).unwrap());
    assert_eq!(problem.num_sets(), 4.0);
    let solution = solved(&problem);
    let point = &solution.point;
    assert!(point.set_features.col(0).norm_l2() > 0.1);
    let mut features = Vec::new();
    for &id in targets.set_ids() {
        features.extend(point.set_features.col(id as usize).iter());
    }
    let (bias, potentials) = (&point.bias, &point.potentials);
    let certificate = Certificate::of_samples(
        &problem,
        &point.weight,
        &features,
        bias,
        potentials,
        &targets,
    );
    let certificate = certificate.unwrap();
    assert!((certificate.value - solution.certificate.value).abs() < 1e-12);
    let snapshot = point.snapshot(&problem).unwrap();
    assert_eq!(snapshot.num_samples(), 5);
}

#[test]
fn fewer_dimensions_than_classes_keep_the_bound() {
    let labels = LabelCounts::balanced(5, [(1, 2.0), (2, 1.0)]).unwrap();
    let value = |dim| {
        let problem = UfmProblem::new(
            labels.clone(),
            UfmSettings {
                dim: Some(dim),
                loss: Loss::SetLikelihood(SetLikelihood::default()),
                ..UfmSettings::default()
            },
        );
        solved(&problem.unwrap()).certificate
    };
    let (two, all) = (value(2), value(5));
    assert!(two.value > all.value + 1e-3);
    assert!((two.dual_value - all.value).abs() < 1e-6, "{two:?} {all:?}");
}

#[test]
fn non_negative_features_are_bounded_by_free_ones() {
    let labels = LabelCounts::balanced(4, [(1, 3.0), (2, 2.0)]).unwrap();
    let problem = UfmProblem::new(
        labels,
        UfmSettings {
            features: FeatureKind::NonNegative,
            loss: Loss::SetLikelihood(SetLikelihood::default()),
            ..UfmSettings::default()
        },
    );
    let certificate = solved(&problem.unwrap()).certificate;
    assert_eq!(certificate.bound, Bound::Relaxation);
    assert!(certificate.dual_value <= certificate.value);
}

#[test]
fn what_has_no_optimum_or_no_proof_is_refused() {
    let labels = LabelCounts::balanced(3, [(1, 1.0), (2, 1.0)]).unwrap();
    let message = |likelihood: SetLikelihood, bias| {
        let settings = UfmSettings {
            loss: Loss::SetLikelihood(likelihood),
            bias,
            ..UfmSettings::default()
        };
        UfmProblem::new(labels.clone(), settings)
            .unwrap_err()
            .to_string()
    };
    let with = |change: fn(&mut SetLikelihood)| {
        let mut likelihood = SetLikelihood::default();
        change(&mut likelihood);
        message(likelihood, Bias::None)
    };
    insta::assert_snapshot!(message(SetLikelihood::default(), Bias::Free), @"expected a bias with decay or none for the set likelihood, found one without decay: where every sample has the largest multiplicity, or one of the classes, no minimum is attained; give the bias a decay");
    insta::assert_snapshot!(with(|l| l.multiplicities = MultiplicityPotentials::Linear), @"expected no or constant potentials of multiplicities, found linear ones, which are more rows of the classifier; take constant ones");
    insta::assert_snapshot!(with(|l| l.seen_sets = SeenSetPotentials::Learned), @"expected a set likelihood without potentials of seen label sets, found learned ones; leave them out");
    insta::assert_snapshot!(with(|l| l.max_multiplicity = Some(1)), @"expected the largest multiplicity from the largest that occurs to the number of classes, found 1 with samples of 2 labels and 3 classes");
    insta::assert_snapshot!(with(|l| l.max_multiplicity = Some(4)), @"expected the largest multiplicity from the largest that occurs to the number of classes, found 4 with samples of 2 labels and 3 classes");
    let settings = UfmSettings {
        loss: Loss::BinaryCrossEntropy {},
        ..UfmSettings::default()
    };
    insta::assert_snapshot!(UfmProblem::new(labels.clone(), settings).unwrap_err().to_string(), @"expected pick-all-labels or the set likelihood as the loss of an unconstrained feature model, found bce");
}

fn any_counts() -> impl Strategy<Value = Vec<(Vec<u32>, u32)>> {
    let set = prop::collection::vec(0u32..5, 0..6);
    prop::collection::vec((set, 1u32..20), 1..10)
}

fn any_settings() -> impl Strategy<Value = UfmSettings> {
    let bias = prop_oneof![
        Just(Bias::None),
        Just(Bias::Decayed(1e-3)),
        Just(Bias::Decayed(1.0))
    ];
    let potentials = prop_oneof![
        Just(MultiplicityPotentials::None),
        Just(MultiplicityPotentials::Constant)
    ];
    let more = (bias, potentials, -3.0..0.0f64);
    (more, -4.0..0.0f64, -5.0..-1.0f64).prop_map(|((bias, multiplicities, c), w, h)| UfmSettings {
        bias,
        loss: Loss::SetLikelihood(SetLikelihood {
            multiplicities,
            ..SetLikelihood::default()
        }),
        lambda_w: 10f64.powf(w),
        lambda_h: Some(10f64.powf(h)),
        lambda_c: 10f64.powf(c),
        ..UfmSettings::default()
    })
}

fn problem_of(
    counts: &[(Vec<u32>, u32)],
    shift: u32,
    settings: &UfmSettings,
) -> Option<UfmProblem> {
    let moved = |set: &[u32]| LabelSet::new(set.iter().map(|k| (k + shift) % 5));
    let sets = counts
        .iter()
        .map(|(set, count)| (moved(set), f64::from(*count)));
    let labels = LabelCounts::of_sets(5, sets).ok()?;
    Some(UfmProblem::new(labels, settings.clone()).unwrap())
}

/// A gap of 1e-9 allows values this far apart, as a part of the value.
const TWICE_THE_GAP: f64 = 2e-9;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn every_distribution_is_solved_and_certified(counts in any_counts(), settings in any_settings()) {
        let Some(problem) = problem_of(&counts, 0, &settings) else { return Ok(()) };
        let certificate = solved(&problem).certificate;
        prop_assert_eq!(certificate.verdict, Verdict::Certified, "{:?}", certificate);
    }

    #[test]
    fn no_point_is_below_the_bound_of_another(
        counts in any_counts(),
        settings in any_settings(),
        numbers in prop::collection::vec(-3.0..3.0f64, 64),
        size in -2.0..1.0f64,
        is_fixed: bool,
    ) {
        let classifier = if is_fixed { ClassifierKind::FixedEtf } else { ClassifierKind::Learned };
        let settings = UfmSettings { classifier, ..settings };
        let Some(problem) = problem_of(&counts, 0, &settings) else { return Ok(()) };
        let optimum = solved(&problem).certificate;
        let sets = problem.sets().unwrap().len();
        let size = 10f64.powf(size);
        let entry = |i: usize| size * numbers[i * 7 % 64];
        let weight = match classifier {
            ClassifierKind::Learned => Mat::from_fn(5, 5, |i, j| entry(5 * i + j)),
            ClassifierKind::FixedEtf => Mat::from_fn(5, 5, |i, j| {
                let own = if i == j { 1.0 } else { 0.0 };
                (5.0f64 / 4.0).sqrt() * (own - 0.2)
            }),
        };
        let has_bias = problem.bias() != Bias::None;
        let num_potentials = problem.num_potentials();
        let point = UfmPoint {
            weight,
            set_features: Mat::from_fn(5, sets, |i, j| entry(11 * i + j + 3)),
            bias: (0..5).map(|k| if has_bias { entry(k + 31) } else { 0.0 }).collect(),
            potentials: (0..num_potentials)
                .map(|j| problem.lambda_c().map_or(0.0, |_| entry(j + 47)))
                .collect(),
        };
        let certificate = Certificate::of(&problem, &point).unwrap();
        prop_assert!(certificate.dual_value <= optimum.value + 1e-12);
        prop_assert!(certificate.value >= optimum.dual_value - 1e-12);
    }

    #[test]
    fn names_of_classes_do_not_matter(counts in any_counts(), shift in 1u32..5, settings in any_settings()) {
        let value = |shift| Some(solved(&problem_of(&counts, shift, &settings)?).certificate.value);
        if let (Some(a), Some(b)) = (value(0), value(shift)) {
            prop_assert!((a - b).abs() <= TWICE_THE_GAP * a.abs());
        }
    }
}
