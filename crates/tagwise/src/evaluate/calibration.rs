//! How far probabilities of answers can be believed.

use serde::{Deserialize, Serialize};

use super::{check_not_empty, ratio, sets::check_pair};
use crate::{Error, Result, Targets};

/// Bins of equal width, as reliability diagrams have them.
const NUM_BINS: usize = 10;

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Probabilities from here on.
    pub from: f64,
    /// Probabilities below this; 1 itself is in the last bin.
    pub to: f64,
    /// Answers with such a probability.
    pub num_samples: usize,
    /// The mean of their probabilities; 0 without an answer.
    pub mean_probability: f64,
    /// The share of them that is exactly right; 0 without an answer.
    pub subset_accuracy: f64,
}

/// Probabilities of answers against how often answers are exactly right.
///
/// ```
/// use tagwise::evaluate::Calibration;
/// use tagwise::{LabelSet, Targets};
///
/// let sets = |labels: [u32; 4]| Targets::new(2, labels.map(|label| LabelSet::new([label])));
/// let (answers, truth) = (sets([0, 0, 1, 1])?, sets([0, 1, 1, 1])?);
/// let calibration = Calibration::new(&answers, &[0.55, 0.55, 0.9, 0.9], &truth)?;
/// // Half of 0.55 is right, all of 0.9: (0.05 + 0.1)/2.
/// assert!((calibration.expected_calibration_error - 0.075).abs() < 1e-12);
/// assert_eq!(calibration.reliability[5].subset_accuracy, 0.5);
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean distance of probability and exactness over the bins, each weighed by its answers (ECE).
    pub expected_calibration_error: f64,
    /// Mean of (p − r)² with r = 1 for an exact answer and 0 otherwise, the Brier score of the answers.
    pub brier_score: f64,
    /// Ten bins of equal width.
    pub reliability: Vec<ReliabilityBin>,
}

impl Calibration {
    /// Compares the probability of each answer with whether it is exactly right.
    ///
    /// # Errors
    /// As [`SetMeasures::new`](super::SetMeasures::new); [`Error::SizeMismatch`] unless there is a
    /// probability for each answer, [`Error::OutOfRange`] for one that is not from 0 to 1.
    pub fn new(predicted: &Targets, probabilities: &[f64], truth: &Targets) -> Result<Self> {
        check_not_empty(truth)?;
        check_pair(predicted, truth)?;
        if probabilities.len() != truth.len() {
            return Err(Error::SizeMismatch {
                what: "probabilities, one for each answer",
                expected: truth.len(),
                found: probabilities.len(),
            });
        }
        if let Some(bad) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::OutOfRange {
                name: "the probability of an answer",
                requirement: "from 0 to 1",
                found: bad.to_string(),
            });
        }
        let is_right = predicted.iter().zip(truth.iter()).map(|(a, b)| a == b);
        Ok(Self::of(probabilities.iter().copied().zip(is_right)))
    }

    fn of(answers: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut bins = [(0usize, 0.0, 0.0); NUM_BINS];
        let mut squares = 0.0;
        for (probability, is_right) in answers {
            let right = f64::from(u8::from(is_right));
            let bin = &mut bins[((probability * NUM_BINS as f64) as usize).min(NUM_BINS - 1)];
            bin.0 += 1;
            bin.1 += probability;
            bin.2 += right;
            squares += (probability - right).powi(2);
        }
        let total: usize = bins.iter().map(|bin| bin.0).sum();
        let apart = |bin: &(usize, f64, f64)| (bin.1 - bin.2).abs();
        let edge = |place: usize| place as f64 / NUM_BINS as f64;
        let reliability = bins
            .iter()
            .enumerate()
            .map(|(place, &(count, sum, right))| ReliabilityBin {
                from: edge(place),
                to: edge(place + 1),
                num_samples: count,
                mean_probability: ratio(sum, count as f64),
                subset_accuracy: ratio(right, count as f64),
            });
        Self {
            expected_calibration_error: bins.iter().map(apart).sum::<f64>() / total as f64,
            brier_score: squares / total as f64,
            reliability: reliability.collect(),
        }
    }
}

/// How probable the true label sets are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetLogLoss {
    /// Mean of −log p(S | x) over the samples whose set has a probability.
    pub set_log_loss: f64,
    /// Samples with more labels than any set may have: their probability is 0, and they are not in
    /// the mean.
    pub num_impossible: usize,
}

impl SetLogLoss {
    /// From log p(S | x) of each sample.
    ///
    /// # Errors
    /// [`Error::Undefined`] when no set has a probability.
    ///
    /// ```
    /// use tagwise::evaluate::SetLogLoss;
    ///
    /// let loss = SetLogLoss::new(&[0.5f64.ln(), f64::NEG_INFINITY])?;
    /// assert!((loss.set_log_loss - 2f64.ln()).abs() < 1e-12);
    /// assert_eq!(loss.num_impossible, 1);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn new(log_probabilities: &[f64]) -> Result<Self> {
        let possible = log_probabilities.iter().filter(|log| log.is_finite());
        let count = possible.clone().count();
        if count == 0 {
            return Err(Error::Undefined(
                "the log loss of label sets needs a sample whose set has a probability".into(),
            ));
        }
        Ok(Self {
            set_log_loss: -possible.sum::<f64>() / count as f64,
            num_impossible: log_probabilities.len() - count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;

    fn targets(labels: &[u32]) -> Targets {
        Targets::new(3, labels.iter().map(|&label| LabelSet::new([label]))).unwrap()
    }

    #[test]
    fn answers_as_often_right_as_they_say_have_no_error() {
        let (answers, truth) = (targets(&[0, 0, 0, 0]), targets(&[0, 1, 1, 1]));
        let calibration = Calibration::new(&answers, &[0.25; 4], &truth).unwrap();
        assert_eq!(calibration.expected_calibration_error, 0.0);
        assert_eq!(calibration.reliability[2].num_samples, 4);
        assert!((calibration.brier_score - (0.75f64.powi(2) + 3.0 * 0.0625) / 4.0).abs() < 1e-12);
        let certain = Calibration::new(&truth, &[1.0; 4], &truth).unwrap();
        assert_eq!(certain.reliability[9].num_samples, 4);
        assert_eq!(certain.expected_calibration_error, 0.0);
    }

    #[test]
    fn probabilities_that_are_none_are_refused() {
        let one = targets(&[0]);
        let refused =
            |probabilities: &[f64]| Calibration::new(&one, probabilities, &one).unwrap_err();
        insta::assert_snapshot!(refused(&[]), @"expected 1 probabilities, one for each answer, found 0");
        insta::assert_snapshot!(refused(&[1.5]), @"expected the probability of an answer from 0 to 1, found 1.5");
        insta::assert_snapshot!(refused(&[f64::NAN]), @"expected the probability of an answer from 0 to 1, found NaN");
        insta::assert_snapshot!(SetLogLoss::new(&[]).unwrap_err(), @"the log loss of label sets needs a sample whose set has a probability");
    }
}
