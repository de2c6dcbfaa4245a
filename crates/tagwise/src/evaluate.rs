//! Multi-label evaluation with scikit-learn's definitions and names.
//!
//! [`SetMeasures`] compare predicted with true label sets, [`RankingMeasures`] the scores of all
//! labels with the true sets, [`label_mass`] is the probability that softmax gives to the true
//! set. Where a ratio is 0/0 its value is 0, scikit-learn's default: a sample without labels for
//! which none was predicted has F1 and Jaccard 0, a label that is neither true nor predicted
//! likewise.
//!
//! [`Evaluation`] is all of that for samples at hand. [`EvaluationCounts`] gives the same batch by
//! batch, on many machines, for any number of samples; [`Predictions`] reads label sets from the
//! files that decoders write.

mod calibration;
mod counts;
mod criterion;
mod mass;
mod predictions;
mod ranking;
mod sets;

use serde::{Deserialize, Serialize};

pub use calibration::{Calibration, ReliabilityBin, SetLogLoss};
pub use counts::EvaluationCounts;
pub use criterion::Criterion;
pub use mass::label_mass;
pub use predictions::Predictions;
pub use ranking::{RankingMeasures, average_precision};
pub use sets::{ConfusionCounts, SetMeasures, label_counts};

use crate::interrupt::{ALWAYS, GoOn};
use crate::{Error, Result, Targets};

/// All measures of one set of predictions.
///
/// ```
/// use tagwise::evaluate::Evaluation;
/// use tagwise::{LabelSet, Targets};
///
/// let truth = Targets::new(3, [LabelSet::new([0, 1]), LabelSet::new([2])])?;
/// let predicted = Targets::new(3, [LabelSet::new([0]), LabelSet::new([2])])?;
/// let logits = [2.0, 1.0, -1.0, 0.0, -1.0, 3.0];
/// let evaluation = Evaluation::with_logits(&predicted, &logits, &truth)?;
/// assert_eq!(evaluation.sets.subset_accuracy, 0.5);
/// assert_eq!(evaluation.sets.jaccard_samples, 0.75);
/// assert_eq!(evaluation.ranking.unwrap().average_precision_macro, Some(1.0));
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of samples N.
    pub num_samples: usize,
    /// Measures of the label sets.
    #[serde(flatten)]
    pub sets: SetMeasures,
    /// Mean softmax probability of the true set, see [`label_mass`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_mass: Option<f64>,
    /// Measures of the ranking of the labels, when there are scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<RankingMeasures>,
    /// How probable the true sets are, where there is a distribution over label sets.
    #[serde(flatten)]
    pub log_loss: Option<SetLogLoss>,
    /// How far the probabilities of the answers can be believed, when there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

impl Evaluation {
    /// Compares predicted with true label sets.
    ///
    /// # Errors
    /// As [`SetMeasures::new`].
    pub fn new(predicted: &Targets, truth: &Targets) -> Result<Self> {
        Ok(Self {
            num_samples: truth.len(),
            sets: SetMeasures::new(predicted, truth)?,
            label_mass: None,
            ranking: None,
            log_loss: None,
            calibration: None,
        })
    }

    /// Compares predicted with true label sets, and the logits of all labels with the true sets.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// As [`SetMeasures::new`] and [`RankingMeasures::new`].
    pub fn with_logits<T: Copy + Into<f64> + Sync>(
        predicted: &Targets,
        logits: &[T],
        truth: &Targets,
    ) -> Result<Self> {
        Self::with_logits_while(predicted, logits, truth, ALWAYS)
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`with_logits`](Self::with_logits), and [`Error::Interrupted`].
    pub fn with_logits_while<T: Copy + Into<f64> + Sync>(
        predicted: &Targets,
        logits: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<Self> {
        Ok(Self {
            label_mass: mass::label_mass_while(logits, truth, go_on)?,
            ranking: Some(RankingMeasures::new_while(logits, truth, go_on)?),
            ..Self::new(predicted, truth)?
        })
    }
}

/// Checks that the scores are `[N, K]` like the true sets, and finite.
fn check_scores<T: Copy + Into<f64>>(scores: &[T], truth: &Targets) -> Result<()> {
    let num_classes = truth.num_classes();
    if scores.len() != truth.len() * num_classes {
        return Err(Error::SizeMismatch {
            what: "scores, one for each sample and label",
            expected: truth.len() * num_classes,
            found: scores.len(),
        });
    }
    match scores
        .iter()
        .position(|&value| !Into::<f64>::into(value).is_finite())
    {
        Some(position) => Err(Error::NotFinite {
            what: "scores",
            row: position / num_classes,
            column: position % num_classes,
            value: scores[position].into(),
        }),
        None => Ok(()),
    }
}

fn check_not_empty(truth: &Targets) -> Result<()> {
    if truth.is_empty() || truth.num_classes() == 0 {
        return Err(nothing_to_evaluate());
    }
    Ok(())
}

fn nothing_to_evaluate() -> Error {
    Error::Undefined("evaluation needs at least one sample and one label".into())
}

/// numerator/denominator, and 0 for 0/0.
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::LabelSet;

    /// Rounding of sums of a few hundred terms of size one.
    const ROUNDING: f64 = 1e-12;

    #[derive(serde::Deserialize)]
    struct Golden {
        name: String,
        num_classes: usize,
        truth: Vec<LabelSet>,
        predicted: Vec<LabelSet>,
        scores: Vec<Vec<f64>>,
        measures: BTreeMap<String, Option<f64>>,
        average_precision: Vec<f64>,
    }

    #[test]
    fn measures_agree_with_scikit_learn() {
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../tests/golden/evaluate.json")).unwrap();
        assert!(golden.len() > 10);
        for case in golden {
            let truth = Targets::new(case.num_classes, case.truth).unwrap();
            let predicted = Targets::new(case.num_classes, case.predicted).unwrap();
            let scores = case.scores.concat();
            let evaluation = Evaluation::with_logits(&predicted, &scores, &truth).unwrap();
            let mut found = serde_json::to_value(&evaluation).unwrap();
            let ranking = found["ranking"].take();
            for (name, expected) in case.measures {
                let found = [&found, &ranking].iter().find_map(|v| v[&name].as_f64());
                match (found, expected) {
                    (Some(found), Some(expected)) => assert!(
                        (found - expected).abs() < ROUNDING,
                        "{} of {}: {found}, expected {expected}",
                        name,
                        case.name
                    ),
                    _ => assert_eq!(found, expected, "{name} of {}", case.name),
                }
            }
            let per_label = average_precision(&scores, &truth).unwrap();
            for (found, expected) in per_label.iter().zip(&case.average_precision) {
                let found = found.unwrap_or(0.0);
                assert!((found - expected).abs() < ROUNDING, "{}", case.name);
            }
        }
    }

    #[test]
    fn evaluations_are_flat_in_json_and_read_back() {
        let truth = Targets::new(2, [LabelSet::new([0])]).unwrap();
        let evaluation = Evaluation::with_logits(&truth, &[1.0, 0.0], &truth).unwrap();
        let json = serde_json::to_string(&evaluation).unwrap();
        assert!(json.starts_with(r#"{"num_samples":1,"subset_accuracy":1.0"#));
        assert_eq!(
            serde_json::from_str::<Evaluation>(&json).unwrap(),
            evaluation
        );
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let one = Targets::new(2, [LabelSet::new([0])]).unwrap();
        let two = Targets::new(2, [LabelSet::new([0]), LabelSet::new([1])]).unwrap();
        let wider = Targets::new(3, [LabelSet::new([0])]).unwrap();
        let none = Targets::new(2, []).unwrap();
        let refused = |predicted, truth| Evaluation::new(predicted, truth).unwrap_err();
        insta::assert_snapshot!(refused(&two, &one), @"expected 1 predicted label sets, found 2");
        insta::assert_snapshot!(refused(&wider, &one), @"expected 2 classes of the predicted label sets, found 3");
        insta::assert_snapshot!(refused(&none, &none), @"evaluation needs at least one sample and one label");
        insta::assert_snapshot!(label_mass(&[0.0; 3], &one).unwrap_err(), @"expected 2 scores, one for each sample and label, found 3");
        insta::assert_snapshot!(
            RankingMeasures::new(&[0.0, f64::NAN], &one).unwrap_err(),
            @"expected finite numbers, found NaN in scores at row 0, column 1"
        );
    }

    fn sets(num_samples: usize) -> impl Strategy<Value = Targets> {
        prop::collection::vec(prop::collection::vec(any::<bool>(), 5), num_samples).prop_map(
            |rows| Targets::new(5, rows.iter().map(|row| LabelSet::from_multi_hot(row))).unwrap(),
        )
    }

    proptest! {
        #[test]
        fn reordering_the_samples_changes_nothing(truth in sets(9), predicted in sets(9), scores in prop::collection::vec(-2i8..3, 45)) {
            let scores: Vec<f64> = scores.iter().map(|&s| s.into()).collect();
            let reverse = |targets: &Targets| {
                let sets: Vec<LabelSet> = targets.iter().cloned().collect();
                Targets::new(5, sets.into_iter().rev()).unwrap()
            };
            let reversed: Vec<f64> = scores.chunks(5).rev().flatten().copied().collect();
            let a = Evaluation::with_logits(&predicted, &scores, &truth).unwrap();
            let b = Evaluation::with_logits(&reverse(&predicted), &reversed, &reverse(&truth)).unwrap();
            let numbers = |e: &Evaluation| -> Vec<f64> {
                let json = serde_json::to_value(e).unwrap();
                json.as_object().unwrap().values()
                    .chain(json["ranking"].as_object().unwrap().values())
                    .filter_map(serde_json::Value::as_f64).collect()
            };
            for (a, b) in numbers(&a).iter().zip(numbers(&b)) {
                prop_assert!((a - b).abs() < ROUNDING);
            }
        }

        #[test]
        fn the_jaccard_index_never_exceeds_f1(truth in sets(6), predicted in sets(6)) {
            let m = SetMeasures::new(&predicted, &truth).unwrap();
            for (jaccard, f1) in [
                (m.jaccard_samples, m.f1_samples),
                (m.jaccard_micro, m.f1_micro),
                (m.jaccard_macro, m.f1_macro),
                (m.jaccard_weighted, m.f1_weighted),
            ] {
                prop_assert!((0.0..=1.0).contains(&jaccard) && jaccard <= f1 + ROUNDING && f1 <= 1.0 + ROUNDING);
            }
        }
    }
}
