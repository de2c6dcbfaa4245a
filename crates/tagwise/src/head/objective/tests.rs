use super::super::source::Source;
use super::super::{DenseRows, Features, Scaling, SparseRows};
use super::*;
use crate::LabelSet;
use crate::loss::set_likelihood::{MultiplicityPotentials, SeenSetPotentials, SetLikelihood};

/// Central differences with h = 1e-5: h² times a third derivative of size 1, plus 1e-16/h.
const DIFFERENCE: f64 = 1e-8;

fn losses() -> Vec<Loss> {
    let mut losses = vec![Loss::default(), Loss::BinaryCrossEntropy {}, Loss::Zlpr {}];
    for multiplicities in [
        MultiplicityPotentials::None,
        MultiplicityPotentials::Constant,
        MultiplicityPotentials::Linear,
    ] {
        for seen_sets in [SeenSetPotentials::None, SeenSetPotentials::Learned] {
            losses.push(Loss::SetLikelihood(SetLikelihood {
                multiplicities,
                seen_sets,
                max_multiplicity: Some(3),
            }));
        }
    }
    losses
}

#[test]
fn gradients_are_the_slopes_of_the_objective() {
    let (n, dim, k) = (9, 4, 5);
    let values: Vec<f64> = (0..n * dim).map(|i| (i as f64 * 1.3).sin()).collect();
    let rows = values
        .chunks(dim)
        .map(|row| (0u32..).zip(row.iter().copied()));
    let sparse = Features::Sparse(SparseRows::new(dim, rows).unwrap());
    let dense = Features::Dense(DenseRows::new(values.clone(), dim).unwrap());
    let sets = (0..n as u32).map(|i| LabelSet::new((0..i % 3).map(|j| (i + j) % k)));
    let targets = Targets::new(k as usize, sets).unwrap();
    for features in [&dense, &sparse] {
        for kind in [HeadKind::Linear, HeadKind::FixedEtf] {
            for (place, loss) in losses().into_iter().enumerate() {
                let settings = HeadSettings {
                    loss,
                    kind,
                    weight_decay: 0.03,
                    balance: 0.5,
                    scaling: [Scaling::None, Scaling::Standardise, Scaling::Maximum][place % 3],
                    ..HeadSettings::default()
                };
                let source = Source::of(features).unwrap();
                let objective = Objective::new(source, &targets, &settings).unwrap();
                let mut buffers = objective.residuals();
                let mut parameters: Vec<f64> = (0..objective.num_parameters())
                    .map(|i| (i as f64 * 0.7).cos())
                    .collect();
                let mut gradient = vec![0.0; parameters.len()];
                let mut scratch = gradient.clone();
                objective.value_and_gradient(&parameters, &mut gradient, &mut buffers);
                for i in 0..parameters.len() {
                    const STEP: f64 = 1e-5;
                    let mut value_at = |x: f64| {
                        let old = std::mem::replace(&mut parameters[i], x);
                        let value =
                            objective.value_and_gradient(&parameters, &mut scratch, &mut buffers);
                        parameters[i] = old;
                        value
                    };
                    let centre = (i as f64 * 0.7).cos();
                    let slope = (value_at(centre + STEP) - value_at(centre - STEP)) / (2.0 * STEP);
                    assert!(
                        (slope - gradient[i]).abs() < DIFFERENCE,
                        "{loss:?} {kind:?}"
                    );
                }
            }
        }
    }
}
