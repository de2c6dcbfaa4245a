use tagwise::Targets;
use tagwise_data::{ImageShape, Normalisation, StoredImages};

use super::*;

/// Data of three classes with these label sets; the images say nothing.
fn data(train: &[&[u32]], validation: &[&[u32]]) -> DataSets {
    let images = |sets: &[&[u32]]| {
        let normalisation = Normalisation {
            mean: vec![0.5],
            std: vec![0.5],
        };
        let sets = sets.iter().map(|set| LabelSet::new(set.iter().copied()));
        let targets = Targets::new(3, sets).unwrap();
        let bytes = vec![7; targets.len()];
        StoredImages::new(ImageShape::new(1, 1, 1), bytes, targets, normalisation).unwrap()
    };
    let names = ["a", "b", "c"].map(String::from).to_vec();
    DataSets::new(
        "test",
        names,
        images(train),
        images(validation),
        images(&[&[0]]),
    )
    .unwrap()
}

const TRAIN: [&[u32]; 5] = [&[0], &[1], &[2], &[0, 1], &[0, 2]];

fn learned(
    multiplicities: MultiplicityPotentials,
    seen_sets: SeenSetPotentials,
) -> LearnedPotentials {
    let likelihood = SetLikelihood {
        multiplicities,
        seen_sets,
        max_multiplicity: None,
    };
    LearnedPotentials::new(likelihood, &data(&TRAIN, &[&[1]]), 2, SgdConfig::default()).unwrap()
}

#[test]
fn logits_of_zero_give_each_multiplicity_its_share_at_the_start() {
    let potentials = learned(MultiplicityPotentials::Constant, SeenSetPotentials::None);
    let head = potentials.head().unwrap();
    let distribution = head.shared.distribution(&[0.0; 3]).unwrap();
    let shares = distribution.multiplicities().to_vec();
    let expected = [0.5, 3.5, 2.5].map(|count| count / 6.5);
    for (share, expected) in shares.iter().zip(expected) {
        assert!((share - expected).abs() < 1e-6, "{shares:?}");
    }
}

#[test]
fn slopes_in_logits_features_and_parameters_match_central_differences() {
    const STEP: f32 = 1e-2;
    let sets = [LabelSet::new([0]), LabelSet::new([1, 2])];
    let logits = [0.3f32, -0.8, 0.5, 1.1, 0.2, -0.4];
    let features = [0.7f32, -0.2, 0.4, 0.9];
    for multiplicities in [
        MultiplicityPotentials::Constant,
        MultiplicityPotentials::Linear,
    ] {
        let mut potentials = learned(multiplicities, SeenSetPotentials::Learned);
        if let Some(weight) = &mut potentials.weight {
            weight.value = vec![0.2, -0.3, 0.1, 0.4, -0.5, 0.6];
        }
        potentials.sets.value = vec![0.1, -0.2, 0.3, 0.0, 0.5];
        potentials.share();
        let value = |potentials: &mut LearnedPotentials, logits: &[f32], features: &[f32]| {
            let (mut of_logits, mut of_features) = (vec![0.0; 6], vec![0.25; 4]);
            let value = potentials.batch_mean(
                (logits, features),
                sets.iter(),
                &mut of_logits,
                &mut of_features,
            );
            (value.unwrap(), of_logits, of_features)
        };
        let (_, of_logits, of_features) = value(&mut potentials, &logits, &features);
        let near = |slope: f32, up: f64, down: f64| {
            let difference = (up - down) / (2.0 * f64::from(STEP));
            assert!(
                (f64::from(slope) - difference).abs() < 1e-4,
                "{slope} is {difference}"
            );
        };
        for i in 0..6 {
            let mut moved = |step: f32| {
                let mut logits = logits;
                logits[i] += step;
                value(&mut potentials, &logits, &features).0
            };
            near(of_logits[i], moved(STEP), moved(-STEP));
        }
        for i in 0..4 {
            let mut moved = |step: f32| {
                let mut features = features;
                features[i] += step;
                value(&mut potentials, &logits, &features).0
            };
            // What was there, 0.25, stays.
            near(of_features[i] - 0.25, moved(STEP), moved(-STEP));
        }
        let part = |potentials: &mut LearnedPotentials, which: usize| -> Vec<f32> {
            let parameter = match which {
                0 => &mut potentials.multiplicities,
                1 => &mut potentials.sets,
                _ => potentials.weight.as_mut().unwrap(),
            };
            parameter.gradient.clone()
        };
        let parts = 2 + usize::from(potentials.weight.is_some());
        for which in 0..parts {
            value(&mut potentials, &logits, &features);
            let slopes = part(&mut potentials, which);
            for (i, &slope) in slopes.iter().enumerate() {
                let mut moved = |step: f32| {
                    let change = |potentials: &mut LearnedPotentials, step: f32| {
                        let values = match which {
                            0 => &mut potentials.multiplicities.value,
                            1 => &mut potentials.sets.value,
                            _ => &mut potentials.weight.as_mut().unwrap().value,
                        };
                        values[i] += step;
                        potentials.share();
                    };
                    change(&mut potentials, step);
                    let value = value(&mut potentials, &logits, &features).0;
                    change(&mut potentials, -step);
                    value
                };
                near(slope, moved(STEP), moved(-STEP));
            }
        }
    }
}

#[test]
fn steps_lower_the_loss_and_what_is_not_learned_stays() {
    let sets = [LabelSet::new([0]), LabelSet::new([0, 2])];
    let loss = |potentials: &mut LearnedPotentials| {
        let (mut of_logits, mut of_features) = ([0.0; 6], [0.0; 4]);
        let samples = (&[0.0; 6][..], &[1.0, 0.0, 0.0, 1.0][..]);
        let value = potentials.batch_mean(samples, sets.iter(), &mut of_logits, &mut of_features);
        potentials.step(0.1);
        value.unwrap()
    };
    use MultiplicityPotentials::{Constant, Linear, None};
    for (multiplicities, seen_sets) in [
        (Constant, SeenSetPotentials::None),
        (Constant, SeenSetPotentials::Learned),
        (Linear, SeenSetPotentials::None),
        (None, SeenSetPotentials::Learned),
    ] {
        let mut potentials = learned(multiplicities, seen_sets);
        let start = potentials.multiplicities.value.clone();
        let first = loss(&mut potentials);
        let last = (0..50).map(|_| loss(&mut potentials)).last().unwrap();
        assert!(last < first, "{multiplicities:?}: {last} is below {first}");
        let stays = potentials.multiplicities.value == start;
        assert_eq!(stays, multiplicities == None);
    }
    let mut fixed = learned(None, SeenSetPotentials::None);
    let first = loss(&mut fixed);
    assert_eq!(loss(&mut fixed), first);
}

#[test]
fn tensors_come_back_and_others_are_refused() {
    let mut one = learned(MultiplicityPotentials::Linear, SeenSetPotentials::Learned);
    one.multiplicities.value[1] = 3.0;
    one.weight.as_mut().unwrap().velocity[2] = 5.0;
    one.share();
    let mut other = learned(MultiplicityPotentials::Linear, SeenSetPotentials::Learned);
    for what in [What::Values, What::Velocities] {
        other.load(what, &one.tensors(what)).unwrap();
        assert_eq!(other.tensors(what), one.tensors(what));
    }
    assert_eq!(other.head().unwrap(), one.head().unwrap());
    let constant = learned(MultiplicityPotentials::Constant, SeenSetPotentials::Learned);
    let error = other.load(What::Values, &constant.tensors(What::Values));
    insta::assert_snapshot!(error.unwrap_err(), @"expected the tensor potentials.weight of shape [3, 2], found none");
}

#[test]
fn a_largest_multiplicity_that_leaves_samples_out_is_refused() {
    let refusal = |max_multiplicity, validation: &[&[u32]]| {
        let likelihood = SetLikelihood {
            max_multiplicity: Some(max_multiplicity),
            ..SetLikelihood::default()
        };
        let data = data(&TRAIN, validation);
        LearnedPotentials::new(likelihood, &data, 2, SgdConfig::default())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(refusal(1, &[&[1]]), @"expected loss.max_multiplicity from 2, the most labels of a training or validation image, to 3, the number of classes, found 1");
    insta::assert_snapshot!(refusal(2, &[&[0, 1, 2]]), @"expected loss.max_multiplicity from 3, the most labels of a training or validation image, to 3, the number of classes, found 2");
    insta::assert_snapshot!(refusal(4, &[&[1]]), @"expected loss.max_multiplicity from 2, the most labels of a training or validation image, to 3, the number of classes, found 4");
}

#[test]
fn logits_that_are_no_numbers_have_a_loss_that_is_none() {
    let mut potentials = learned(MultiplicityPotentials::Constant, SeenSetPotentials::None);
    let set = LabelSet::new([0]);
    let samples = (&[f32::NAN, 0.0, 0.0][..], &[0.0; 2][..]);
    let value = potentials.batch_mean(samples, [&set].into_iter(), &mut [0.0; 3], &mut [0.0; 2]);
    assert!(value.unwrap().is_nan());
}
