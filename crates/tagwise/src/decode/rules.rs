//! Rules that turn the logits of a row into a label set, tuned on validation data.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::checked_rows;
use super::expected_f1;
use super::multiplicity::MultiplicityModel;
use super::sweep::{Cut, best_cut, best_label_cut, top_label};
use super::threshold::top_multiplicity;
use crate::evaluate::{Criterion, SetMeasures};
use crate::loss::sigmoid;
use crate::minimize::Lbfgs;
use crate::{Error, LabelSet, Result, Targets};

/// What logits mean, and so on which scale they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The labels share one probability, as under the pick-all-labels loss: the score is
    /// log softmax.
    #[default]
    Softmax,
    /// Every label has its own probability, as under binary cross-entropy: the score is the
    /// logit itself.
    Sigmoid,
}

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
    /// A threshold for each label that maximises its F1 (SCut). A label keeps the common threshold
    /// unless its own, tuned on one half of the samples, is better on the other.
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
    /// Tunes a rule on validation data. Where it can leave samples without a label, the better of
    /// the two ways to treat them is kept too.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the shapes do not fit, [`Error::NotFinite`] for NaN and
    /// infinity, [`Error::Undefined`] without a sample.
    pub fn fit<T: Copy + Into<f64> + Sync>(
        kind: RuleKind,
        link: Link,
        logits: &[T],
        truth: &Targets,
        criterion: Criterion,
    ) -> Result<Self> {
        let scores = link.scores(logits, truth.num_classes())?;
        if truth.is_empty() {
            return Err(Error::Undefined(
                "tuning a decoder needs at least one sample".into(),
            ));
        }
        if scores.len() != truth.len() * truth.num_classes() {
            return Err(Error::SizeMismatch {
                what: "rows of logits",
                expected: truth.len(),
                found: scores.len() / truth.num_classes(),
            });
        }
        let mut best: Option<(f64, Self)> = None;
        for empty_rule in [EmptyRule::TopLabel, EmptyRule::Allow] {
            let decoder = Self {
                link,
                rule: Rule::fit(kind, &scores, truth, criterion, empty_rule)?,
                empty_rule,
            };
            let decoded = decoder.decode_scores(&scores, truth.num_classes())?;
            let value = criterion.value(&SetMeasures::new(&decoded, truth)?);
            if best.as_ref().is_none_or(|(best, _)| value > *best) {
                best = Some((value, decoder));
            }
        }
        Ok(best.expect("two candidates were tried").1)
    }

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
        self.decode_scores(&self.link.scores(logits, num_classes)?, num_classes)
    }

    fn decode_scores(&self, scores: &[f64], num_classes: usize) -> Result<Targets> {
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
                let set = self.rule.choose(row, &cuts, scratch);
                match self.empty_rule {
                    EmptyRule::TopLabel if set.is_empty() => LabelSet::new([top_label(row) as u32]),
                    _ => set,
                }
            })
            .collect();
        Targets::new(num_classes, sets)
    }
}

impl Link {
    /// The scores of all labels, `[N, K]`.
    fn scores<T: Copy + Into<f64> + Sync>(
        self,
        logits: &[T],
        num_classes: usize,
    ) -> Result<Vec<f64>> {
        checked_rows(logits, num_classes, "columns of logits")?;
        // Adding 0 turns −0 into 0, so that the two tie.
        let mut scores: Vec<f64> = logits.iter().map(|&z| z.into() + 0.0).collect();
        if self == Self::Softmax {
            scores.par_chunks_mut(num_classes).for_each(|row| {
                let largest = row[top_label(row)];
                let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
                let log_partition = largest + sum.ln();
                row.iter_mut().for_each(|z| *z -= log_partition);
            });
        }
        Ok(scores)
    }
}

impl Rule {
    fn fit(
        kind: RuleKind,
        scores: &[f64],
        truth: &Targets,
        criterion: Criterion,
        empty_rule: EmptyRule,
    ) -> Result<Self> {
        let num_classes = truth.num_classes();
        let common = || -> Cut { best_cut(scores, truth, criterion, empty_rule) };
        Ok(match kind {
            RuleKind::Threshold => Self::Threshold {
                threshold: common().threshold,
            },
            RuleKind::LabelThresholds => Self::LabelThresholds {
                thresholds: label_thresholds(scores, truth, common().threshold),
            },
            RuleKind::TopK => Self::TopK {
                k: best_k(scores, truth, criterion)?,
            },
            RuleKind::Proportional => Self::Proportional {
                shares: label_shares(truth),
            },
            RuleKind::LargestGap => Self::LargestGap {
                max_multiplicity: truth.max_multiplicity().clamp(1, num_classes),
            },
            RuleKind::PredictedMultiplicity => Self::PredictedMultiplicity {
                model: MultiplicityModel::fit(scores, truth)?,
            },
            RuleKind::ExpectedF1 => {
                let (slope, offset) = calibrate(scores, truth);
                Self::ExpectedF1 { slope, offset }
            }
        })
    }

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
            Self::Threshold { threshold } => {
                labels_where(row.iter().map(|score| score >= threshold))
            }
            Self::LabelThresholds { .. } | Self::Proportional { .. } => {
                labels_where(row.iter().zip(cuts).map(|(score, cut)| score >= cut))
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

fn labels_where(on: impl Iterator<Item = bool>) -> LabelSet {
    (0u32..)
        .zip(on)
        .filter_map(|(label, on)| on.then_some(label))
        .collect()
}

/// The m labels of largest score, ties to the smaller label.
fn top(row: &[f64], m: usize, scratch: &mut Vec<f64>) -> LabelSet {
    let m = m.min(row.len());
    if m == 0 {
        return LabelSet::default();
    }
    scratch.clear();
    scratch.extend_from_slice(row);
    scratch.select_nth_unstable_by(m - 1, |a, b| b.total_cmp(a));
    let weakest = scratch[m - 1];
    let mut ties_left = m - row.iter().filter(|&&score| score > weakest).count();
    labels_where(row.iter().map(|&score| {
        let is_tie = score == weakest && ties_left > 0;
        ties_left -= usize::from(is_tie);
        score > weakest || is_tie
    }))
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

fn best_k(scores: &[f64], truth: &Targets, criterion: Criterion) -> Result<usize> {
    let mut best = (f64::NEG_INFINITY, 1);
    for k in 1..=truth.max_multiplicity().clamp(1, truth.num_classes()) {
        let decoded = top_multiplicity(scores, truth.num_classes(), &vec![k; truth.len()])?;
        let value = criterion.value(&SetMeasures::new(&decoded, truth)?);
        if value > best.0 {
            best = (value, k);
        }
    }
    Ok(best.1)
}

fn label_shares(truth: &Targets) -> Vec<f64> {
    let mut shares = vec![0.0; truth.num_classes()];
    for label in truth.iter().flat_map(LabelSet::indices) {
        shares[label] += 1.0 / truth.len() as f64;
    }
    shares
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

/// The best threshold of each label where it also wins on samples it was not tuned on, otherwise
/// the common one.
fn label_thresholds(scores: &[f64], truth: &Targets, common: f64) -> Vec<f64> {
    let num_classes = truth.num_classes();
    (0..num_classes)
        .into_par_iter()
        .map(|label| {
            let mut samples: Vec<(f64, bool)> = scores
                .iter()
                .skip(label)
                .step_by(num_classes)
                .zip(truth.iter())
                .map(|(&score, set)| (score, set.contains(label as u32)))
                .collect();
            // Sorting by truth and score makes the two halves alike.
            samples.sort_unstable_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
            let half = |parity: usize| -> Vec<(f64, bool)> {
                samples.iter().skip(parity).step_by(2).copied().collect()
            };
            let mut gain = 0.0;
            for (tuned_on, tested_on) in [(0, 1), (1, 0)] {
                let tested_on = half(tested_on);
                let own = best_label_cut(&mut half(tuned_on)).unwrap_or(common);
                gain += f1_at(&tested_on, own) - f1_at(&tested_on, common);
            }
            if gain > 0.0 {
                best_label_cut(&mut samples).unwrap_or(common)
            } else {
                common
            }
        })
        .collect()
}

fn f1_at(samples: &[(f64, bool)], threshold: f64) -> f64 {
    let (mut hits, mut total) = (0.0, 0.0);
    for &(score, on) in samples {
        let predicted = score >= threshold;
        hits += f64::from(u8::from(on && predicted));
        total += f64::from(u8::from(on)) + f64::from(u8::from(predicted));
    }
    if total == 0.0 {
        0.0
    } else {
        2.0 * hits / total
    }
}

/// Slope and offset of the log-odds of a label in its score, by logistic regression over all N·K
/// entries.
fn calibrate(scores: &[f64], truth: &Targets) -> (f64, f64) {
    let on: Vec<u8> = truth.to_multi_hot();
    let scale = 1.0 / scores.len() as f64;
    let mut parameters = [1.0, 0.0];
    Lbfgs::default().minimize(&mut parameters, |parameters, gradient| {
        /// Keeps separable scores finite.
        const RIDGE: f64 = 1e-6;
        let mut value = RIDGE * (parameters[0].powi(2) + parameters[1].powi(2));
        gradient[0] = 2.0 * RIDGE * parameters[0];
        gradient[1] = 2.0 * RIDGE * parameters[1];
        for (&score, &on) in scores.iter().zip(&on) {
            let logit = parameters[0] * score + parameters[1];
            let on = f64::from(on);
            // softplus(z) − y·z
            value += scale * (logit.max(0.0) + (-logit.abs()).exp().ln_1p() - on * logit);
            let residual = scale * (sigmoid(logit) - on);
            gradient[0] += residual * score;
            gradient[1] += residual;
        }
        value
    });
    (parameters[0], parameters[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CRITERIA: [Criterion; 6] = [
        Criterion::SubsetAccuracy,
        Criterion::HammingAccuracy,
        Criterion::JaccardSamples,
        Criterion::F1Samples,
        Criterion::F1Micro,
        Criterion::F1Macro,
    ];

    /// Rounding of running sums of a few dozen terms of size one.
    const ROUNDING: f64 = 1e-12;

    fn data() -> impl Strategy<Value = (Vec<f64>, Targets)> {
        (1usize..6, 1usize..12).prop_flat_map(|(k, n)| {
            (
                prop::collection::vec((-3i8..4).prop_map(f64::from), n * k),
                prop::collection::vec(prop::collection::vec(any::<bool>(), k), n),
            )
                .prop_map(move |(scores, rows)| {
                    let sets = rows.iter().map(|row| LabelSet::from_multi_hot(row));
                    (scores, Targets::new(k, sets).unwrap())
                })
        })
    }

    fn decoder(rule: Rule) -> LogitDecoder {
        LogitDecoder {
            link: Link::Sigmoid,
            rule,
            empty_rule: EmptyRule::Allow,
        }
    }

    #[test]
    fn the_largest_gap_separates_the_labels() {
        let decoder = decoder(Rule::LargestGap {
            max_multiplicity: 3,
        });
        let decoded = decoder
            .decode(&[3.0, 2.8, -1.0, -1.2, 5.0, 1.0, 0.9, 0.8], 4)
            .unwrap();
        assert_eq!(decoded.set(0).labels(), [0, 1]);
        assert_eq!(decoded.set(1).labels(), [0]);
    }

    #[test]
    fn proportional_cuts_give_each_label_its_share() {
        let decoder = decoder(Rule::Proportional {
            shares: vec![0.5, 0.25, 0.0],
        });
        let decoded = decoder
            .decode(
                &[1.0, 4.0, 9.0, 2.0, 3.0, 9.0, 3.0, 2.0, 9.0, 4.0, 1.0, 9.0],
                3,
            )
            .unwrap();
        let printed: Vec<String> = decoded.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["{1}", "{}", "{0}", "{0}"]);
        let refused = decoder.decode(&[0.0; 4], 2).unwrap_err();
        insta::assert_snapshot!(refused, @"expected 3 columns of logits, found 2");
    }

    /// Logits of a collapsed pick-all-labels network: a gap between labels and others that shrinks
    /// with the multiplicity.
    fn collapsed(num_classes: usize) -> (Vec<f64>, Targets) {
        let mut logits = Vec::new();
        let mut sets = Vec::new();
        for i in 0..60u32 {
            let m = 1 + i % 3;
            let set: LabelSet = (0..m).map(|j| (i + j * 2) % num_classes as u32).collect();
            for k in 0..num_classes as u32 {
                let wiggle = f64::from((i * 7 + k * 13) % 11) * 0.02;
                logits.push(
                    if set.contains(k) {
                        8.0 - f64::from(m)
                    } else {
                        0.0
                    } + wiggle,
                );
            }
            sets.push(set);
        }
        (logits, Targets::new(num_classes, sets).unwrap())
    }

    #[test]
    fn every_adaptive_rule_decodes_collapsed_logits_without_error() {
        let (logits, truth) = collapsed(7);
        for link in [Link::Softmax, Link::Sigmoid] {
            for kind in RuleKind::ALL {
                let fitted =
                    LogitDecoder::fit(kind, link, &logits, &truth, Criterion::SubsetAccuracy)
                        .unwrap();
                let decoded = fitted.decode(&logits, 7).unwrap();
                let measures = SetMeasures::new(&decoded, &truth).unwrap();
                match kind {
                    RuleKind::TopK => assert!(measures.subset_accuracy < 0.5),
                    RuleKind::Proportional => assert!(measures.subset_accuracy > 0.5),
                    _ => assert_eq!(measures.subset_accuracy, 1.0, "{kind:?} {link:?}"),
                }
                let json = serde_json::to_string(&fitted).unwrap();
                assert_eq!(
                    serde_json::from_str::<LogitDecoder>(&json)
                        .unwrap()
                        .decode(&logits, 7)
                        .unwrap(),
                    decoded
                );
            }
        }
    }

    #[test]
    fn a_label_with_one_sample_keeps_the_common_threshold() {
        let truth = Targets::new(
            2,
            (0..20u32).map(|i| {
                if i == 0 {
                    LabelSet::new([0, 1])
                } else {
                    LabelSet::new([0])
                }
            }),
        )
        .unwrap();
        let scores: Vec<f64> = (0..20).flat_map(|i| [2.0, f64::from(i) * 0.1]).collect();
        assert_eq!(label_thresholds(&scores, &truth, 1.5)[1], 1.5);
    }

    proptest! {
        #[test]
        fn the_swept_cut_is_the_best_of_all_thresholds((scores, truth) in data()) {
            for criterion in CRITERIA {
                for empty_rule in [EmptyRule::Allow, EmptyRule::TopLabel] {
                    let cut = best_cut(&scores, &truth, criterion, empty_rule);
                    let value_at = |threshold| {
                        let decoder = LogitDecoder { link: Link::Sigmoid, rule: Rule::Threshold { threshold }, empty_rule };
                        let decoded = decoder.decode(&scores, truth.num_classes()).unwrap();
                        criterion.value(&SetMeasures::new(&decoded, &truth).unwrap())
                    };
                    prop_assert!((value_at(cut.threshold) - cut.value).abs() < ROUNDING);
                    for threshold in -4..5 {
                        prop_assert!(value_at(f64::from(threshold) + 0.5) <= cut.value + ROUNDING);
                    }
                }
            }
        }

        #[test]
        fn a_label_cut_has_the_best_f1_of_all((scores, truth) in data()) {
            let k = truth.num_classes();
            let mut samples: Vec<(f64, bool)> = scores.iter().step_by(k).zip(truth.iter())
                .map(|(&score, set)| (score, set.contains(0))).collect();
            let best = best_label_cut(&mut samples);
            prop_assert_eq!(best.is_none(), samples.iter().all(|(_, on)| !on));
            if let Some(cut) = best {
                for threshold in -4..5 {
                    prop_assert!(f1_at(&samples, f64::from(threshold) + 0.5) <= f1_at(&samples, cut) + ROUNDING);
                }
            }
        }

        #[test]
        fn the_largest_scores_match_top_multiplicity((scores, truth) in data(), m in 0usize..6) {
            let k = truth.num_classes();
            let m = m.min(k);
            let expected = top_multiplicity(&scores, k, &vec![m; truth.len()]).unwrap();
            for (row, set) in scores.chunks(k).zip(expected.iter()) {
                prop_assert_eq!(&top(row, m, &mut Vec::new()), set);
            }
        }
    }
}
