//! How much samples and classes count.

use serde::{Deserialize, Serialize};

use super::HeadSettings;
use crate::loss::Loss;
use crate::{Error, Result, Targets};

/// How much labels count where they are in a sample's set, see
/// [`Loss::weighted_value_and_gradient`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All alike.
    #[default]
    Uniform,
    /// Rare labels count more. With n_k of N samples carrying label k: for losses in which labels
    /// compete (pick-all-labels, ZLPR) c_k ∝ 1/n_k with mean 1 over all labels of all samples, so
    /// that every class weighs the same in total; for the others c_k = (N − n_k)/n_k, so that the
    /// samples with a label weigh as much as those without.
    Balanced,
    /// These, one for each class, all positive.
    Given(Vec<f64>),
}

/// The weight of each label set's samples, summing to 1 over all samples.
pub(super) fn of_sets(targets: &Targets, settings: &HeadSettings) -> Result<Vec<f64>> {
    let is_ignored =
        |multiplicity| matches!(settings.loss, Loss::PickAllLabels(_)) && multiplicity == 0;
    let counts = targets.counts();
    let mut weights: Vec<f64> = targets
        .distinct()
        .iter()
        .zip(&counts)
        .map(|(set, &count)| match set.multiplicity() {
            m if is_ignored(m) => 0.0,
            _ => (count as f64).powf(-settings.balance),
        })
        .collect();
    for (set, weight) in &settings.set_weights {
        if !(*weight >= 0.0 && weight.is_finite()) {
            return Err(Error::OutOfRange {
                name: "the weight of a label set",
                requirement: "of at least 0 and finite",
                found: weight.to_string(),
            });
        }
        if let Ok(position) = targets.distinct().binary_search(set) {
            weights[position] *= weight;
        }
    }
    let total: f64 = weights
        .iter()
        .zip(&counts)
        .map(|(w, &n)| w * n as f64)
        .sum();
    if total == 0.0 {
        return Err(Error::Undefined(
            match settings.set_weights.is_empty() {
                true => "the pick-all-labels loss needs samples with labels, found none",
                false => "fitting a head needs samples that weigh something, found none",
            }
            .into(),
        ));
    }
    weights.iter_mut().for_each(|weight| *weight /= total);
    Ok(weights)
}

/// The weight of each class, unless all are alike. A class without samples weighs 1, which
/// changes nothing.
pub(super) fn of_classes(targets: &Targets, settings: &HeadSettings) -> Result<Option<Vec<f64>>> {
    let weights = match &settings.class_weights {
        ClassWeights::Uniform => return Ok(None),
        ClassWeights::Given(weights) => weights.clone(),
        ClassWeights::Balanced => balanced(targets, settings.loss),
    };
    if weights.len() != targets.num_classes() {
        return Err(Error::SizeMismatch {
            what: "class weights, one for each class",
            expected: targets.num_classes(),
            found: weights.len(),
        });
    }
    match weights
        .iter()
        .find(|weight| !(**weight > 0.0 && weight.is_finite()))
    {
        Some(weight) => Err(Error::OutOfRange {
            name: "the weight of a class",
            requirement: "greater than 0 and finite",
            found: weight.to_string(),
        }),
        None => Ok(Some(weights)),
    }
}

fn balanced(targets: &Targets, loss: Loss) -> Vec<f64> {
    let mut counts = vec![0.0; targets.num_classes()];
    for (set, count) in targets.distinct().iter().zip(targets.counts()) {
        set.indices()
            .for_each(|label| counts[label] += count as f64);
    }
    let num_labels: f64 = counts.iter().sum();
    let num_known = counts.iter().filter(|&&count| count > 0.0).count() as f64;
    let num_samples = targets.len() as f64;
    let weight = |count: &f64| match loss {
        _ if *count == 0.0 => 1.0,
        _ if !loss.info().is_separable => num_labels / (num_known * count),
        // A label of every sample has no samples without it to weigh as much as.
        _ => (num_samples - count).max(1.0) / count,
    };
    counts.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;

    fn targets() -> Targets {
        let sets = [vec![0], vec![0], vec![0, 1], vec![]].map(LabelSet::new);
        Targets::new(3, sets).unwrap()
    }

    #[test]
    fn balanced_classes_weigh_the_same() {
        let settings = |loss| HeadSettings {
            loss,
            class_weights: ClassWeights::Balanced,
            ..HeadSettings::default()
        };
        let weights = |loss| of_classes(&targets(), &settings(loss)).unwrap().unwrap();
        // Label 0 three times, label 1 once, label 2 never.
        assert_eq!(weights(Loss::default()), [2.0 / 3.0, 2.0, 1.0]);
        assert_eq!(weights(Loss::BinaryCrossEntropy {}), [1.0 / 3.0, 3.0, 1.0]);
    }

    #[test]
    fn sets_weigh_as_told_and_sum_to_one() {
        let settings = HeadSettings {
            loss: Loss::BinaryCrossEntropy {},
            set_weights: vec![(LabelSet::new([0, 1]), 4.0), (LabelSet::new([2]), 9.0)],
            ..HeadSettings::default()
        };
        // {} once, {0} twice, {0, 1} once but fourfold.
        let weights = of_sets(&targets(), &settings).unwrap();
        assert_eq!(weights, [1.0 / 7.0, 1.0 / 7.0, 4.0 / 7.0]);
    }

    #[test]
    fn weights_without_meaning_are_refused() {
        let refused = |class_weights| {
            let settings = HeadSettings {
                class_weights: ClassWeights::Given(class_weights),
                ..HeadSettings::default()
            };
            of_classes(&targets(), &settings).unwrap_err().to_string()
        };
        insta::assert_snapshot!(refused(vec![1.0; 2]), @"expected 3 class weights, one for each class, found 2");
        insta::assert_snapshot!(refused(vec![1.0, 0.0, 1.0]), @"expected the weight of a class greater than 0 and finite, found 0");
        let settings = HeadSettings {
            set_weights: vec![(LabelSet::new([0]), f64::NAN)],
            ..HeadSettings::default()
        };
        let error = of_sets(&targets(), &settings).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"expected the weight of a label set of at least 0 and finite, found NaN");
    }
}
