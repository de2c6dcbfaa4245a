use super::super::{LabelCounts, UfmSettings};
use super::*;
use crate::LabelSet;
use crate::loss::Loss;
use crate::loss::set_likelihood::{MultiplicityPotentials, SetLikelihood};

/// Central differences with step 1e-5 of functions with third derivatives near 1.
const DIFFERENCE: f64 = 1e-8;
const STEP: f64 = 1e-5;

fn problem(settings: UfmSettings) -> UfmProblem {
    let set = |labels: &[u32]| LabelSet::new(labels.iter().copied());
    let labels = LabelCounts::of_sets(
        4,
        [
            (set(&[0]), 3.0),
            (set(&[1, 2]), 2.0),
            (set(&[0, 1, 2, 3]), 1.0),
            (set(&[2, 3]), 4.0),
            (set(&[]), 1.0),
        ],
    );
    UfmProblem::new(labels.unwrap(), settings).unwrap()
}

fn wave(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| (phase + 1.7 * i as f64).sin()).collect()
}

fn cases() -> [(UfmProblem, Factor); 10] {
    let with = |bias, classifier| UfmSettings {
        bias,
        classifier,
        lambda_w: 0.1,
        lambda_h: Some(0.05),
        ..UfmSettings::default()
    };
    let of_sets = |settings: UfmSettings, multiplicities| UfmSettings {
        loss: Loss::SetLikelihood(SetLikelihood {
            multiplicities,
            ..SetLikelihood::default()
        }),
        lambda_c: 0.2,
        ..settings
    };
    use ClassifierKind::{FixedEtf, Learned};
    use MultiplicityPotentials::Constant;
    let fixed = || Factor::Fixed(crate::etf::simplex_etf_mat(4, 3).unwrap());
    [
        (with(Bias::Decayed(0.3), Learned), Factor::Learned),
        (with(Bias::None, Learned), Factor::Learned),
        (with(Bias::Free, FixedEtf), fixed()),
        (with(Bias::Decayed(0.3), FixedEtf), fixed()),
        (with(Bias::None, FixedEtf), Factor::FixedAxes),
        (with(Bias::Decayed(0.3), FixedEtf), Factor::FixedAxes),
        (
            of_sets(with(Bias::Decayed(0.3), Learned), Constant),
            Factor::Learned,
        ),
        (
            of_sets(with(Bias::None, Learned), MultiplicityPotentials::None),
            Factor::Learned,
        ),
        (
            of_sets(with(Bias::Decayed(0.3), FixedEtf), Constant),
            fixed(),
        ),
        (
            of_sets(with(Bias::None, FixedEtf), Constant),
            Factor::FixedAxes,
        ),
    ]
    .map(|(settings, factor)| (problem(settings), factor))
}

fn rank(factor: &Factor) -> usize {
    match factor {
        Factor::FixedAxes => 4,
        _ => 3,
    }
}

#[test]
fn an_etf_on_axes_is_the_dense_one() {
    let settings = UfmSettings {
        classifier: ClassifierKind::FixedEtf,
        ..UfmSettings::default()
    };
    let problem = problem(settings);
    let reduced = Reduced::new(&problem).unwrap();
    let dense = Factor::Fixed(crate::etf::simplex_etf_mat(4, 4).unwrap());
    let [mut dense, mut axes] =
        [dense, Factor::FixedAxes].map(|factor| Objective::new(&reduced, &problem, 4, factor));
    let x = wave(dense.len(), 0.3);
    let mut outputs = [vec![0.0; x.len()], vec![0.0; x.len()]];
    let mut compare = |output: &dyn Fn(&mut Objective<'_>, &mut [f64])| {
        output(&mut dense, &mut outputs[0]);
        output(&mut axes, &mut outputs[1]);
        for (a, b) in outputs[0].iter().zip(&outputs[1]) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
    };
    compare(&|objective, out| {
        objective.value_and_gradient(&x, out);
    });
    compare(&|objective, out| objective.hessian_times(&wave(x.len(), 1.1), out));
    compare(&|objective, out| objective.diagonal(out));
}

#[test]
fn the_gradient_agrees_with_central_differences() {
    for (problem, factor) in cases() {
        let reduced = Reduced::new(&problem).unwrap();
        let mut objective = Objective::new(&reduced, &problem, rank(&factor), factor);
        let n = objective.len();
        let mut x = wave(n, 0.3);
        let (mut gradient, mut ignored) = (vec![0.0; n], vec![0.0; n]);
        objective.value_and_gradient(&x, &mut gradient);
        for i in 0..n {
            let middle = x[i];
            x[i] = middle + STEP;
            let above = objective.value_and_gradient(&x, &mut ignored);
            x[i] = middle - STEP;
            let below = objective.value_and_gradient(&x, &mut ignored);
            x[i] = middle;
            let difference = (above - below) / (2.0 * STEP);
            assert!(
                (difference - gradient[i]).abs() < DIFFERENCE,
                "{i}: {difference} {}",
                gradient[i]
            );
        }
    }
}

#[test]
fn hessian_products_and_diagonal_agree_with_central_differences() {
    for (problem, factor) in cases() {
        let reduced = Reduced::new(&problem).unwrap();
        let mut objective = Objective::new(&reduced, &problem, rank(&factor), factor);
        let n = objective.len();
        let (x, direction) = (wave(n, 0.3), wave(n, 1.1));
        let mut product = vec![0.0; n];
        let mut diagonal = vec![0.0; n];
        let mut gradients = [vec![0.0; n], vec![0.0; n]];
        objective.value_and_gradient(&x, &mut gradients[0]);
        objective.hessian_times(&direction, &mut product);
        objective.diagonal(&mut diagonal);
        let mut unit_product = vec![0.0; n];
        for i in 0..n {
            let unit: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
            objective.hessian_times(&unit, &mut unit_product);
            // For features of the set likelihood labels count as independent.
            let is_near = problem.potentials().is_some() && objective.feature_range().contains(&i);
            let off = (unit_product[i] - diagonal[i]).abs();
            assert!(is_near && diagonal[i] > 0.0 || off < 1e-12, "{i}");
        }
        for (sign, gradient) in [1.0, -1.0].into_iter().zip(&mut gradients) {
            let moved: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + sign * STEP * d)
                .collect();
            objective.value_and_gradient(&moved, gradient);
        }
        for i in 0..n {
            let difference = (gradients[0][i] - gradients[1][i]) / (2.0 * STEP);
            assert!(
                (difference - product[i]).abs() < DIFFERENCE,
                "{i}: {difference} {}",
                product[i]
            );
        }
    }
}
