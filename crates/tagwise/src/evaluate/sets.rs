//! Measures of predicted against true label sets.

use serde::{Deserialize, Serialize};

use super::counts::EvaluationCounts;
use super::{check_not_empty, ratio};
use crate::{Error, Result, Targets};

/// Measures of predicted against true label sets, named as scikit-learn's scorers.
///
/// Averages over *samples* score each sample's two sets and take the mean; *micro* pools the
/// counts of all labels; *macro* is the plain mean over labels and *weighted* the mean weighted by
/// how often each label is true. Labels without positives count in macro averages, with 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetMeasures {
    /// Share of samples whose set is exactly right (exact match).
    pub subset_accuracy: f64,
    /// Share of samples without a label that are answered so. F1, Jaccard index, precision and recall
    /// of samples count 0 there, as in scikit-learn unless told otherwise; where it should be 1, add
    /// this.
    #[serde(default)]
    pub empty_matches: f64,
    /// Share of wrong entries among all N·K.
    pub hamming_loss: f64,
    /// |S∩Ŝ|/|S∪Ŝ|, mean over samples.
    pub jaccard_samples: f64,
    /// Jaccard index of the pooled counts.
    pub jaccard_micro: f64,
    /// Jaccard index of each label, mean over labels.
    pub jaccard_macro: f64,
    /// Jaccard index of each label, weighted by its positives.
    pub jaccard_weighted: f64,
    /// 2|S∩Ŝ|/(|S|+|Ŝ|), mean over samples.
    pub f1_samples: f64,
    /// F1 of the pooled counts.
    pub f1_micro: f64,
    /// F1 of each label, mean over labels.
    pub f1_macro: f64,
    /// F1 of each label, weighted by its positives.
    pub f1_weighted: f64,
    /// |S∩Ŝ|/|Ŝ|, mean over samples.
    pub precision_samples: f64,
    /// Precision of the pooled counts.
    pub precision_micro: f64,
    /// Precision of each label, mean over labels.
    pub precision_macro: f64,
    /// Precision of each label, weighted by its positives.
    pub precision_weighted: f64,
    /// |S∩Ŝ|/|S|, mean over samples.
    pub recall_samples: f64,
    /// Recall of the pooled counts.
    pub recall_micro: f64,
    /// Recall of each label, mean over labels.
    pub recall_macro: f64,
    /// Recall of each label, weighted by its positives.
    pub recall_weighted: f64,
}

/// How often something is true, predicted, and both: a label over all samples, or the labels of
/// one sample.
///
/// ```
/// use tagwise::evaluate::ConfusionCounts;
///
/// let counts = ConfusionCounts { positives: 4, predicted: 2, true_positives: 2 };
/// assert_eq!(counts.precision(), 1.0);
/// assert_eq!(counts.recall(), 0.5);
/// assert_eq!(counts.jaccard(), 0.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionCounts {
    /// Samples that carry the label.
    pub positives: usize,
    /// Samples for which it is predicted.
    pub predicted: usize,
    /// Samples that carry it and for which it is predicted.
    pub true_positives: usize,
}

impl ConfusionCounts {
    /// Share of the predicted that is true; 0 when nothing is predicted.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives as f64, self.predicted as f64)
    }

    /// Share of the true that is predicted; 0 when nothing is true.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives as f64, self.positives as f64)
    }

    /// Harmonic mean of precision and recall; 0 when nothing is true or predicted.
    pub fn f1(&self) -> f64 {
        ratio(
            2.0 * self.true_positives as f64,
            (self.positives + self.predicted) as f64,
        )
    }

    /// Share of the true or predicted that is both; 0 when nothing is either.
    pub fn jaccard(&self) -> f64 {
        let either = self.positives + self.predicted - self.true_positives;
        ratio(self.true_positives as f64, either as f64)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.positives += other.positives;
        self.predicted += other.predicted;
        self.true_positives += other.true_positives;
    }
}

/// The counts of every label, of length K.
///
/// # Errors
/// As [`SetMeasures::new`].
pub fn label_counts(predicted: &Targets, truth: &Targets) -> Result<Vec<ConfusionCounts>> {
    check_not_empty(truth)?;
    let mut counts = EvaluationCounts::new(truth.num_classes());
    counts.update(predicted, truth)?;
    Ok(counts.labels().to_vec())
}

/// Precision, recall, F1 and Jaccard index, in this order.
pub(super) type Ratios = [f64; 4];

pub(super) fn ratios(counts: &ConfusionCounts) -> Ratios {
    [
        counts.precision(),
        counts.recall(),
        counts.f1(),
        counts.jaccard(),
    ]
}

pub(super) fn weighted_mean(terms: impl Iterator<Item = (f64, Ratios)>) -> Ratios {
    let (mut sums, mut total) = ([0.0; 4], 0.0);
    for (weight, values) in terms {
        total += weight;
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += weight * value;
        }
    }
    sums.map(|sum| ratio(sum, total))
}

impl SetMeasures {
    /// Compares predicted with true label sets.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the numbers of samples or classes differ,
    /// [`Error::Undefined`] without a sample.
    pub fn new(predicted: &Targets, truth: &Targets) -> Result<Self> {
        check_not_empty(truth)?;
        let mut counts = EvaluationCounts::new(truth.num_classes());
        counts.update(predicted, truth)?;
        counts.set_measures()
    }

    /// The measures that are averages of ratios: over samples, of the pooled counts, over labels
    /// and over labels by how often they are true.
    pub(super) fn of_averages(
        samples: Ratios,
        micro: Ratios,
        unweighted: Ratios,
        weighted: Ratios,
    ) -> Self {
        let [
            precision_samples,
            recall_samples,
            f1_samples,
            jaccard_samples,
        ] = samples;
        let [precision_micro, recall_micro, f1_micro, jaccard_micro] = micro;
        let [precision_macro, recall_macro, f1_macro, jaccard_macro] = unweighted;
        let [
            precision_weighted,
            recall_weighted,
            f1_weighted,
            jaccard_weighted,
        ] = weighted;
        Self {
            subset_accuracy: 0.0,
            empty_matches: 0.0,
            hamming_loss: 0.0,
            jaccard_samples,
            jaccard_micro,
            jaccard_macro,
            jaccard_weighted,
            f1_samples,
            f1_micro,
            f1_macro,
            f1_weighted,
            precision_samples,
            precision_micro,
            precision_macro,
            precision_weighted,
            recall_samples,
            recall_micro,
            recall_macro,
            recall_weighted,
        }
    }
}

pub(super) fn check_pair(predicted: &Targets, truth: &Targets) -> Result<()> {
    let mismatch = |what, expected, found| Error::SizeMismatch {
        what,
        expected,
        found,
    };
    if predicted.len() != truth.len() {
        return Err(mismatch(
            "predicted label sets",
            truth.len(),
            predicted.len(),
        ));
    }
    if predicted.num_classes() != truth.num_classes() {
        return Err(mismatch(
            "classes of the predicted label sets",
            truth.num_classes(),
            predicted.num_classes(),
        ));
    }
    Ok(())
}
