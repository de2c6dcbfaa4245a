//! Rules that turn the logits of a row into a label set.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::checked_rows;
use super::expected_f1;
use super::multiplicity::MultiplicityModel;
use super::pick::{labels_where, top, top_label};
use crate::interrupt::{ALWAYS, GoOn, ask};
use crate::loss::{Link, sigmoid};
use crate::{Error, LabelSet, Result, Targets};

/// What happens to a sample for which a rule finds no label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyRule {
    /// It gets the label of the largest score.
    #[default]
    TopLabel,
    /// It gets the empty set.
    Allow,
}

/// A way to choose labels by their scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// One threshold for all labels, the best of all cut-offs.
    Threshold,
    /// A threshold for each label that maximises the criterion with those of the others as they are
    /// (SCut, for macro F1). A label keeps the common threshold unless its own, tuned on one half of
    /// the samples, is better on the other.
    LabelThresholds,
    /// The k largest scores, the best k (RCut).
    TopK,
    /// Each label goes to the samples that score highest for it, in the proportion in which it
    /// occurs (PCut). Decodes a whole batch together.
    Proportional,
    /// The labels above the largest gap between neighbours in the sorted scores.
    LargestGap,
    /// The m largest scores, with m predicted from the sorted scores by logistic regression.
    PredictedMultiplicity,
    /// The set of largest expected F1 for independent labels, whose probabilities are a logistic
    /// function of the score with slope and offset fitted to the samples.
    ExpectedF1,
}

impl RuleKind {
    /// Every rule.
    pub const ALL: [Self; 7] = [
        Self::Threshold,
        Self::LabelThresholds,
        Self::TopK,
        Self::Proportional,
        Self::LargestGap,
        Self::PredictedMultiplicity,
        Self::ExpectedF1,
    ];
}

/// A rule with everything that tuning found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Rule {
    /// See [`RuleKind::Threshold`].
    Threshold {
        /// Labels whose score is at least this are on.
        threshold: f64,
    },
    /// See [`RuleKind::LabelThresholds`].
    LabelThresholds {
        /// The threshold of each label.
        thresholds: Vec<f64>,
    },
    /// See [`RuleKind::TopK`].
    TopK {
        /// The number of labels of every sample.
        k: usize,
    },
    /// See [`RuleKind::Proportional`].
    Proportional {
        /// The share of samples that carry each label.
        shares: Vec<f64>,
    },
    /// See [`RuleKind::LargestGap`].
    LargestGap {
        /// The largest number of labels considered.
        max_multiplicity: usize,
    },
    /// See [`RuleKind::PredictedMultiplicity`].
    PredictedMultiplicity {
        /// What predicts the number of labels.
        model: MultiplicityModel,
    },
    /// See [`RuleKind::ExpectedF1`].
    ExpectedF1 {
        /// Slope of the log-odds in the score.
        slope: f64,
        /// The log-odds at score 0.
        offset: f64,
    },
}

/// Decodes logits to label sets by a tuned rule.
///
/// ```
/// use tagwise::decode::{Link, LogitDecoder, RuleKind};
/// use tagwise::evaluate::Criterion;
/// use tagwise::{LabelSet, Targets};
///
/// let truth = Targets::new(2, [vec![0], vec![0, 1], vec![1]].map(LabelSet::new))?;
/// let logits = [2.0, 0.5, 2.2, 1.4, -1.0, 1.2];
/// let decoder = LogitDecoder::fit(
///     RuleKind::Threshold, Link::Sigmoid, &logits, &truth, Criterion::SubsetAccuracy)?;
/// assert_eq!(decoder.decode(&logits, 2)?, truth); // a threshold between 0.5 and 1.2
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitDecoder {
    /// What the logits mean.
    pub link: Link,
    /// How labels are chosen.
    pub rule: Rule,
    /// What happens where the rule finds none.
    pub empty_rule: EmptyRule,
}

impl LogitDecoder {
    /// The label set of each row of logits.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the shapes do not fit, [`Error::NotFinite`] for NaN and
    /// infinity.
    pub fn decode<T: Copy + Into<f64> + Sync>(
        &self,
        logits: &[T],
        num_classes: usize,
    ) -> Result<Targets> {
        self.decode_while(logits, num_classes, ALWAYS)
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`Error::Interrupted`].
    pub fn decode_while<T: Copy + Into<f64> + Sync>(
        &self,
        logits: &[T],
        num_classes: usize,
        go_on: GoOn<'_>,
    ) -> Result<Targets> {
        let scores = scores(self.link, logits, num_classes)?;
        self.decode_scores(&scores, num_classes, go_on)
    }

    pub(super) fn decode_scores(
        &self,
        scores: &[f64],
        num_classes: usize,
        go_on: GoOn<'_>,
    ) -> Result<Targets> {
        if let Some(expected) = self.rule.num_classes()
            && expected != num_classes
        {
            return Err(Error::SizeMismatch {
                what: "columns of logits",
                expected,
                found: num_classes,
            });
        }
        let cuts = match &self.rule {
            Rule::Proportional { shares } => proportional_cuts(scores, shares),
            Rule::LabelThresholds { thresholds } => thresholds.clone(),
            _ => Vec::new(),
        };
        let sets: Vec<LabelSet> = scores
            .par_chunks(num_classes)
            .map_init(Vec::new, |scratch, row| {
                ask(go_on)?;
                let set = self.rule.choose(row, &cuts, scratch);
                Ok(match self.empty_rule {
                    EmptyRule::TopLabel if set.is_empty() => LabelSet::new([top_label(row) as u32]),
                    _ => set,
                })
            })
            .collect::<Result<_>>()?;
        Targets::new(num_classes, sets)
    }
}

/// The scores of all labels, `[N, K]`.
pub(super) fn scores<T: Copy + Into<f64> + Sync>(
    link: Link,
    logits: &[T],
    num_classes: usize,
) -> Result<Vec<f64>> {
    checked_rows(logits, num_classes, "columns of logits")?;
    // Adding 0 turns −0 into 0, so that the two tie.
    let mut scores: Vec<f64> = logits.iter().map(|&z| z.into() + 0.0).collect();
    if link == Link::Softmax {
        scores.par_chunks_mut(num_classes).for_each(|row| {
            let largest = row[top_label(row)];
            let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
            let log_partition = largest + sum.ln();
            row.iter_mut().for_each(|z| *z -= log_partition);
        });
    }
    Ok(scores)
}

impl Rule {
    /// The number of classes that the rule was tuned for, if it depends on it.
    fn num_classes(&self) -> Option<usize> {
        match self {
            Self::LabelThresholds { thresholds } => Some(thresholds.len()),
            Self::Proportional { shares } => Some(shares.len()),
            _ => None,
        }
    }

    /// The labels of one row; `cuts` are the thresholds of each label where there are such.
    fn choose(&self, row: &[f64], cuts: &[f64], scratch: &mut Vec<f64>) -> LabelSet {
        match self {
            Self::Threshold { threshold } => labels_where(row, |_, score| score >= *threshold),
            Self::LabelThresholds { .. } | Self::Proportional { .. } => {
                labels_where(row, |label, score| score >= cuts[label])
            }
            Self::TopK { k } => top(row, *k, scratch),
            Self::LargestGap { max_multiplicity } => {
                let m = above_largest_gap(row, *max_multiplicity, scratch);
                top(row, m, scratch)
            }
            Self::PredictedMultiplicity { model } => {
                let m = model.predict(row, scratch);
                top(row, m, scratch)
            }
            Self::ExpectedF1 { slope, offset } => {
                scratch.clear();
                scratch.extend(row.iter().map(|score| sigmoid(slope * score + offset)));
                scratch.sort_unstable_by(|a, b| b.total_cmp(a));
                let m = expected_f1::best_count(scratch);
                top(row, m, scratch)
            }
        }
    }
}

/// The number of scores above the largest gap between neighbours in sorted order, from 1.
fn above_largest_gap(row: &[f64], max_multiplicity: usize, sorted: &mut Vec<f64>) -> usize {
    sorted.clear();
    sorted.extend_from_slice(row);
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut best = (f64::NEG_INFINITY, 1);
    for m in 1..=max_multiplicity.min(sorted.len().saturating_sub(1)) {
        let gap = sorted[m - 1] - sorted[m];
        if gap > best.0 {
            best = (gap, m);
        }
    }
    best.1
}

/// For each label the score that its share of the samples reaches.
fn proportional_cuts(scores: &[f64], shares: &[f64]) -> Vec<f64> {
    let num_samples = scores.len() / shares.len().max(1);
    shares
        .par_iter()
        .enumerate()
        .map(|(label, share)| {
            let count = (share * num_samples as f64).round() as usize;
            let mut column: Vec<f64> = scores
                .iter()
                .skip(label)
                .step_by(shares.len())
                .copied()
                .collect();
            match count.min(num_samples) {
                0 => f64::INFINITY,
                count => {
                    *column
                        .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a))
                        .1
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
