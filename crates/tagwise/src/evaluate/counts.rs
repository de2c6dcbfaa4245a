//! What an evaluation is counted from: batch by batch, on many machines, without a list of samples.

use serde::{Deserialize, Serialize};

use super::mass::MassSum;
use super::ranking::RankingSums;
use super::sets::{ConfusionCounts, Ratios, SetMeasures, check_pair, ratios, weighted_mean};
use super::{Evaluation, ratio};
use crate::interrupt::{ALWAYS, GoOn};
use crate::{Error, Result, Targets};

/// The counts and sums behind an [`Evaluation`], which are updated with batches of samples, merged
/// with those of other machines and finished when all have been seen.
///
/// They are K·3 whole numbers and 18 others, however many samples there are. Whole numbers make
/// exact match, Hamming loss and all micro, macro and weighted averages: merged counts give them to
/// the last bit. Means over samples, the label mass and the measures of each sample's ranking are
/// sums in f64, whose rounding depends on the order. The average precision of a label over all
/// samples ([`RankingMeasures::average_precision_macro`] and `_micro`) needs the scores of all
/// samples at once: it is absent from what [`finish`](Self::finish) gives.
///
/// [`RankingMeasures::average_precision_macro`]: super::RankingMeasures::average_precision_macro
///
/// ```
/// use tagwise::evaluate::{Evaluation, EvaluationCounts};
/// use tagwise::{LabelSet, Targets};
///
/// let truth = Targets::new(3, [LabelSet::new([0, 1]), LabelSet::new([2])])?;
/// let predicted = Targets::new(3, [LabelSet::new([0]), LabelSet::new([2])])?;
/// let (mut here, mut there) = (EvaluationCounts::new(3), EvaluationCounts::new(3));
/// here.update(&predicted.select([0]), &truth.select([0]))?;
/// there.update(&predicted.select([1]), &truth.select([1]))?;
/// here.merge(&there)?;
/// assert_eq!(here.finish()?, Evaluation::new(&predicted, &truth)?);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationCounts {
    num_samples: usize,
    num_exact: usize,
    /// Samples without a label that were answered so.
    #[serde(default)]
    num_empty_matches: usize,
    labels: Vec<ConfusionCounts>,
    /// Σ over samples of precision, recall, F1 and Jaccard index.
    sample_ratios: Ratios,
    /// Present while all batches came with logits.
    scores: Option<ScoreSums>,
}

/// The sums that need logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ScoreSums {
    mass: MassSum,
    ranking: RankingSums,
}

impl EvaluationCounts {
    /// Nothing counted yet, for K classes.
    pub fn new(num_classes: usize) -> Self {
        Self {
            num_samples: 0,
            num_exact: 0,
            num_empty_matches: 0,
            labels: vec![ConfusionCounts::default(); num_classes],
            sample_ratios: Ratios::default(),
            scores: None,
        }
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.labels.len()
    }

    /// Number of samples counted.
    pub fn num_samples(&self) -> usize {
        self.num_samples
    }

    /// How often each label is true, predicted and both.
    pub fn labels(&self) -> &[ConfusionCounts] {
        &self.labels
    }

    /// Counts a batch of predicted and true label sets.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the numbers of samples or classes differ, or batches came with
    /// logits before: nothing is counted then.
    pub fn update(&mut self, predicted: &Targets, truth: &Targets) -> Result<()> {
        self.check(predicted, truth, false)?;
        self.count(predicted, truth);
        Ok(())
    }

    /// Counts a batch of predicted and true label sets, and the logits of all labels.
    ///
    /// # Shapes
    /// `logits` is row-major `[B, K]`.
    ///
    /// # Errors
    /// As [`update`](Self::update); [`Error::SizeMismatch`] and [`Error::NotFinite`] for logits of
    /// another shape and those that are not finite, [`Error::SizeMismatch`] when batches came
    /// without logits before.
    pub fn update_with_logits<T: Copy + Into<f64> + Sync>(
        &mut self,
        predicted: &Targets,
        logits: &[T],
        truth: &Targets,
    ) -> Result<()> {
        self.update_with_logits_while(predicted, logits, truth, ALWAYS)
    }

    /// The same as long as `go_on` continues; nothing is counted when it breaks.
    ///
    /// # Errors
    /// As [`update_with_logits`](Self::update_with_logits), and
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn update_with_logits_while<T: Copy + Into<f64> + Sync>(
        &mut self,
        predicted: &Targets,
        logits: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        self.check(predicted, truth, true)?;
        super::check_scores(logits, truth)?;
        if truth.is_empty() {
            return Ok(());
        }
        let mut sums = self.scores.unwrap_or_default();
        sums.mass.add(logits, truth, go_on)?;
        sums.ranking.add(logits, truth, go_on)?;
        self.scores = Some(sums);
        self.count(predicted, truth);
        Ok(())
    }

    /// Adds what was counted of other samples.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the numbers of classes differ, or only one of the two has
    /// counted logits: nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.num_classes() != self.num_classes() {
            return Err(mismatch("classes", self.num_classes(), other.num_classes()));
        }
        self.check_logits(other.num_samples, other.scores.is_some())?;
        if other.num_samples == 0 {
            return Ok(());
        }
        if let Some(sums) = &other.scores {
            let own = self.scores.get_or_insert_default();
            own.mass.merge(&sums.mass);
            own.ranking.merge(&sums.ranking);
        }
        self.num_samples += other.num_samples;
        self.num_exact += other.num_exact;
        self.num_empty_matches += other.num_empty_matches;
        for (own, other) in self.labels.iter_mut().zip(&other.labels) {
            own.add(*other);
        }
        for (own, other) in self.sample_ratios.iter_mut().zip(other.sample_ratios) {
            *own += other;
        }
        Ok(())
    }

    /// All measures of what was counted.
    ///
    /// # Errors
    /// [`Error::Undefined`] without a sample or a class.
    pub fn finish(&self) -> Result<Evaluation> {
        let sets = self.set_measures()?;
        Ok(Evaluation {
            num_samples: self.num_samples,
            sets,
            label_mass: self.scores.and_then(|sums| sums.mass.mean()),
            ranking: self.scores.map(|sums| {
                let absent = self.labels.iter().filter(|counts| counts.positives == 0);
                sums.ranking.finish(self.num_samples, absent.count())
            }),
            log_loss: None,
            calibration: None,
        })
    }

    /// The measures of label sets alone.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn set_measures(&self) -> Result<SetMeasures> {
        if self.num_samples == 0 || self.labels.is_empty() {
            return Err(super::nothing_to_evaluate());
        }
        let num_samples = self.num_samples as f64;
        let mut pooled = ConfusionCounts::default();
        self.labels.iter().for_each(|counts| pooled.add(*counts));
        let unweighted = weighted_mean(self.labels.iter().map(|counts| (1.0, ratios(counts))));
        let weighted = weighted_mean(
            self.labels
                .iter()
                .map(|counts| (counts.positives as f64, ratios(counts))),
        );
        let num_wrong = pooled.positives + pooled.predicted - 2 * pooled.true_positives;
        let samples = self.sample_ratios.map(|sum| ratio(sum, num_samples));
        Ok(SetMeasures {
            subset_accuracy: self.num_exact as f64 / num_samples,
            empty_matches: self.num_empty_matches as f64 / num_samples,
            hamming_loss: num_wrong as f64 / (self.num_samples * self.labels.len()) as f64,
            ..SetMeasures::of_averages(samples, ratios(&pooled), unweighted, weighted)
        })
    }

    fn check(&self, predicted: &Targets, truth: &Targets, has_logits: bool) -> Result<()> {
        check_pair(predicted, truth)?;
        if truth.num_classes() != self.num_classes() {
            return Err(mismatch("classes", self.num_classes(), truth.num_classes()));
        }
        self.check_logits(truth.len(), has_logits)
    }

    /// Whether samples with or without logits can be added to those counted.
    fn check_logits(&self, num_samples: usize, has_logits: bool) -> Result<()> {
        if self.num_samples == 0 || num_samples == 0 || has_logits == self.scores.is_some() {
            return Ok(());
        }
        let with_logits = |has: bool| if has { num_samples } else { 0 };
        Err(mismatch(
            "samples with logits, as for all or none before",
            with_logits(self.scores.is_some()),
            with_logits(has_logits),
        ))
    }

    fn count(&mut self, predicted: &Targets, truth: &Targets) {
        self.num_samples += truth.len();
        for (predicted, truth) in predicted.iter().zip(truth.iter()) {
            self.num_exact += usize::from(predicted == truth);
            self.num_empty_matches += usize::from(predicted.is_empty() && truth.is_empty());
            let true_positives = truth.intersection_len(predicted);
            let sample = ConfusionCounts {
                positives: truth.multiplicity(),
                predicted: predicted.multiplicity(),
                true_positives,
            };
            for (sum, value) in self.sample_ratios.iter_mut().zip(ratios(&sample)) {
                *sum += value;
            }
            for &label in truth.labels() {
                let counts = &mut self.labels[label as usize];
                counts.positives += 1;
                counts.true_positives += usize::from(predicted.contains(label));
            }
            for label in predicted.indices() {
                self.labels[label].predicted += 1;
            }
        }
    }
}

fn mismatch(what: &'static str, expected: usize, found: usize) -> Error {
    Error::SizeMismatch {
        what,
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::LabelSet;

    const NUM_CLASSES: usize = 4;

    #[test]
    fn an_empty_batch_changes_nothing() {
        let none = Targets::new(NUM_CLASSES, []).unwrap();
        let one = Targets::new(NUM_CLASSES, [LabelSet::new([0, 2])]).unwrap();
        let mut counts = EvaluationCounts::new(NUM_CLASSES);
        counts.update(&one, &one).unwrap();
        let before = counts.clone();
        counts.update_with_logits::<f64>(&none, &[], &none).unwrap();
        let mut empty = EvaluationCounts::new(NUM_CLASSES);
        empty.update_with_logits::<f64>(&none, &[], &none).unwrap();
        counts.merge(&empty).unwrap();
        assert_eq!(counts, before);
        empty.merge(&counts).unwrap();
        assert_eq!(empty, before);
    }

    fn targets(num_samples: usize) -> impl Strategy<Value = Targets> {
        prop::collection::vec(
            prop::collection::vec(any::<bool>(), NUM_CLASSES),
            num_samples,
        )
        .prop_map(|rows| {
            let sets = rows.iter().map(|row| LabelSet::from_multi_hot(row));
            Targets::new(NUM_CLASSES, sets).unwrap()
        })
    }

    #[derive(Debug)]
    struct Case {
        predicted: Targets,
        truth: Targets,
        logits: Vec<f64>,
        part_of: Vec<usize>,
    }

    fn cases() -> impl Strategy<Value = Case> {
        (1usize..20).prop_flat_map(|n| {
            (
                targets(n),
                targets(n),
                prop::collection::vec((-3i8..4).prop_map(f64::from), n * NUM_CLASSES),
                prop::collection::vec(0usize..3, n),
            )
                .prop_map(|(predicted, truth, logits, part_of)| Case {
                    predicted,
                    truth,
                    logits,
                    part_of,
                })
        })
    }

    impl Case {
        fn part(&self, part: usize) -> (Targets, Vec<f64>, Targets) {
            let rows: Vec<usize> = (0..self.truth.len())
                .filter(|&row| self.part_of[row] == part)
                .collect();
            let logits = rows
                .iter()
                .flat_map(|row| &self.logits[row * NUM_CLASSES..][..NUM_CLASSES])
                .copied();
            (
                self.predicted.select(rows.iter().copied()),
                logits.collect(),
                self.truth.select(rows.iter().copied()),
            )
        }
    }

    /// Rounding of sums of twenty terms of size one.
    const ROUNDING: f64 = 1e-13;

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(case in cases()) {
            let mut merged = EvaluationCounts::new(NUM_CLASSES);
            for part in 0..3 {
                let (predicted, logits, truth) = case.part(part);
                let mut counts = EvaluationCounts::new(NUM_CLASSES);
                if !truth.is_empty() {
                    counts.update_with_logits(&predicted, &logits, &truth).unwrap();
                }
                let json = serde_json::to_string(&counts).unwrap();
                merged.merge(&serde_json::from_str(&json).unwrap()).unwrap();
            }
            let mut whole = EvaluationCounts::new(NUM_CLASSES);
            whole.update_with_logits(&case.predicted, &case.logits, &case.truth).unwrap();
            prop_assert_eq!(&merged.labels, &whole.labels);
            let (found, expected) = (merged.finish().unwrap(), whole.finish().unwrap());
            let of_counts = |m: &SetMeasures| {
                [
                    m.subset_accuracy, m.hamming_loss, m.f1_micro, m.f1_macro, m.f1_weighted,
                    m.jaccard_micro, m.jaccard_macro, m.precision_weighted,
                ]
            };
            prop_assert_eq!(of_counts(&found.sets), of_counts(&expected.sets));
            let numbers = |evaluation: &Evaluation| -> Vec<f64> {
                let json = serde_json::to_value(evaluation).unwrap();
                json.as_object().unwrap().values()
                    .chain(json["ranking"].as_object().unwrap().values())
                    .filter_map(serde_json::Value::as_f64).collect()
            };
            let (found, expected) = (numbers(&found), numbers(&expected));
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                prop_assert!((found - expected).abs() < ROUNDING);
            }
        }

        #[test]
        fn a_stream_has_all_measures_of_the_whole_but_average_precision(case in cases()) {
            let mut whole = EvaluationCounts::new(NUM_CLASSES);
            whole.update_with_logits(&case.predicted, &case.logits, &case.truth).unwrap();
            let mut expected = Evaluation::with_logits(&case.predicted, &case.logits, &case.truth).unwrap();
            let ranking = expected.ranking.as_mut().unwrap();
            ranking.average_precision_macro = None;
            ranking.average_precision_micro = None;
            prop_assert_eq!(whole.finish().unwrap(), expected);
        }
    }

    #[test]
    fn batches_that_do_not_belong_together_are_refused_and_change_nothing() {
        let one = Targets::new(2, [LabelSet::new([0])]).unwrap();
        let wide = Targets::new(3, [LabelSet::new([0])]).unwrap();
        let mut counts = EvaluationCounts::new(2);
        insta::assert_snapshot!(counts.finish().unwrap_err(), @"evaluation needs at least one sample and one label");
        counts.update(&one, &one).unwrap();
        let before = counts.clone();
        insta::assert_snapshot!(counts.update(&wide, &wide).unwrap_err(), @"expected 2 classes, found 3");
        insta::assert_snapshot!(counts.update_with_logits(&one, &[0.0; 2], &one).unwrap_err(), @"expected 0 samples with logits, as for all or none before, found 1");
        insta::assert_snapshot!(counts.merge(&EvaluationCounts::new(3)).unwrap_err(), @"expected 2 classes, found 3");
        assert_eq!(counts, before);
        let mut with = EvaluationCounts::new(2);
        with.update_with_logits(&one, &[0.0; 2], &one).unwrap();
        insta::assert_snapshot!(with.merge(&counts).unwrap_err(), @"expected 1 samples with logits, as for all or none before, found 0");
        with.merge(&EvaluationCounts::new(2)).unwrap();
        assert_eq!(with.num_samples(), 1);
    }
}
