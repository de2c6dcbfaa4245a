//! Measures of the scores of all labels against the true label sets.
//!
//! Each pass over the scores compares them with the scores of the true labels only, so that memory
//! stays proportional to the number of true labels P, not to N·K.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{check_not_empty, check_scores, ratio};
use crate::interrupt::{ALWAYS, GoOn, ask};
use crate::{LabelSet, Result, Targets};

/// Rows handled by one task.
const BLOCK_LEN: usize = 256;

/// Measures of how well scores rank the true labels above the others, named as in scikit-learn.
///
/// Ties are treated as scikit-learn does; where it has no definition (`one_error`,
/// `precision_at_*`) ties go to the smaller label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RankingMeasures {
    /// Mean over labels of the average precision of the samples (mAP). Labels without positives
    /// count with 0, as in scikit-learn; see [`num_labels_without_positives`]. It ranks all samples
    /// of a label, so it is absent where the scores of all samples were never together.
    ///
    /// [`num_labels_without_positives`]: Self::num_labels_without_positives
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_precision_macro: Option<f64>,
    /// Average precision of all N·K scores pooled; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_precision_micro: Option<f64>,
    /// Mean over samples of the average precision of the labels; 0 for samples without labels.
    pub average_precision_samples: f64,
    /// As `average_precision_samples`, but 1 for samples with no label.
    pub label_ranking_average_precision: f64,
    /// How far down the ranking one must go to cover all true labels, mean over samples; 0 for
    /// samples without labels.
    pub coverage_error: f64,
    /// Share of the pairs of a true and another label that are not ranked strictly in order, mean
    /// over samples; 0 for samples with no or all labels.
    pub ranking_loss: f64,
    /// Share of samples whose top label is not true; samples without labels count as errors.
    pub one_error: f64,
    /// Share of true labels among the top 1, mean over samples.
    pub precision_at_1: f64,
    /// Share of true labels among the top 3, mean over samples.
    pub precision_at_3: f64,
    /// Share of true labels among the top 5, mean over samples.
    pub precision_at_5: f64,
    /// Normalised discounted cumulative gain of the top 1, ties averaged.
    pub ndcg_at_1: f64,
    /// Normalised discounted cumulative gain of the top 3, ties averaged.
    pub ndcg_at_3: f64,
    /// Normalised discounted cumulative gain of the top 5, ties averaged.
    pub ndcg_at_5: f64,
    /// Labels that no sample carries. Multiply `average_precision_macro` by
    /// K/(K − this number) for the mean over the labels that occur.
    pub num_labels_without_positives: usize,
}

impl RankingMeasures {
    /// Compares the scores of all labels with the true label sets.
    ///
    /// # Shapes
    /// `scores` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch) when the shapes do not fit,
    /// [`Error::NotFinite`](crate::Error::NotFinite) for NaN and infinity,
    /// [`Error::Undefined`](crate::Error::Undefined) without a sample.
    ///
    /// ```
    /// use tagwise::evaluate::RankingMeasures;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let truth = Targets::new(4, [LabelSet::new([0, 3])])?;
    /// let measures = RankingMeasures::new(&[0.9, 0.5, 0.1, 0.4], &truth)?;
    /// assert_eq!(measures.coverage_error, 3.0);
    /// assert_eq!(measures.ranking_loss, 0.25);
    /// assert!((measures.label_ranking_average_precision - 5.0 / 6.0).abs() < 1e-12);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn new<T: Copy + Into<f64> + Sync>(scores: &[T], truth: &Targets) -> Result<Self> {
        Self::new_while(scores, truth, ALWAYS)
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new_while<T: Copy + Into<f64> + Sync>(
        scores: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<Self> {
        check_not_empty(truth)?;
        check_scores(scores, truth)?;
        let precisions = AveragePrecisions::new(scores, truth, go_on)?;
        let num_classes = truth.num_classes();
        let mut sums = RankingSums::default();
        sums.add(scores, truth, go_on)?;
        let present: Vec<f64> = precisions.per_label.iter().flatten().copied().collect();
        Ok(Self {
            average_precision_macro: Some(present.iter().sum::<f64>() / num_classes as f64),
            average_precision_micro: Some(precisions.micro),
            ..sums.finish(truth.len(), num_classes - present.len())
        })
    }
}

/// The sums behind the measures that are means over samples: 10 numbers, which merge by adding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RankingSums {
    average_precision_samples: f64,
    label_ranking_average_precision: f64,
    coverage_error: f64,
    ranking_loss: f64,
    precision_at_1: f64,
    precision_at_3: f64,
    precision_at_5: f64,
    ndcg_at_1: f64,
    ndcg_at_3: f64,
    ndcg_at_5: f64,
}

impl RankingSums {
    /// Adds samples whose scores are `[N, K]`; none when it is stopped.
    pub(super) fn add<T: Copy + Into<f64> + Sync>(
        &mut self,
        scores: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let num_classes = truth.num_classes();
        let blocks: Vec<Self> = scores
            .par_chunks(BLOCK_LEN * num_classes.max(1))
            .enumerate()
            .map_init(RowScratch::default, |scratch, (block, rows)| {
                let mut sums = Self::default();
                if go_on().is_break() {
                    return sums;
                }
                for (offset, row) in rows.chunks_exact(num_classes).enumerate() {
                    sums.add_row(row, truth.set(block * BLOCK_LEN + offset), scratch);
                }
                sums
            })
            .collect();
        ask(go_on)?;
        blocks.iter().for_each(|block| self.merge(block));
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (sum, term) in self.terms().into_iter().zip(other.clone().terms()) {
            *sum += *term;
        }
    }

    /// The means over N samples.
    pub(super) fn finish(
        mut self,
        num_samples: usize,
        num_labels_without_positives: usize,
    ) -> RankingMeasures {
        for sum in self.terms() {
            *sum /= num_samples as f64;
        }
        RankingMeasures {
            average_precision_macro: None,
            average_precision_micro: None,
            average_precision_samples: self.average_precision_samples,
            label_ranking_average_precision: self.label_ranking_average_precision,
            coverage_error: self.coverage_error,
            ranking_loss: self.ranking_loss,
            one_error: 1.0 - self.precision_at_1,
            precision_at_1: self.precision_at_1,
            precision_at_3: self.precision_at_3,
            precision_at_5: self.precision_at_5,
            ndcg_at_1: self.ndcg_at_1,
            ndcg_at_3: self.ndcg_at_3,
            ndcg_at_5: self.ndcg_at_5,
            num_labels_without_positives,
        }
    }

    fn terms(&mut self) -> [&mut f64; 10] {
        [
            &mut self.average_precision_samples,
            &mut self.label_ranking_average_precision,
            &mut self.coverage_error,
            &mut self.ranking_loss,
            &mut self.precision_at_1,
            &mut self.precision_at_3,
            &mut self.precision_at_5,
            &mut self.ndcg_at_1,
            &mut self.ndcg_at_3,
            &mut self.ndcg_at_5,
        ]
    }

    fn add_row<T: Copy + Into<f64>>(
        &mut self,
        row: &[T],
        set: &LabelSet,
        scratch: &mut RowScratch,
    ) {
        let order = scratch.order_of(row, set);
        self.label_ranking_average_precision += order.average_precision.unwrap_or(1.0);
        self.average_precision_samples += order.average_precision.unwrap_or(0.0);
        self.coverage_error += order.coverage;
        self.ranking_loss += order.ranking_loss;
        scratch.find_top(row, 5);
        for (cut, precision, ndcg) in [
            (1, &mut self.precision_at_1, &mut self.ndcg_at_1),
            (3, &mut self.precision_at_3, &mut self.ndcg_at_3),
            (5, &mut self.precision_at_5, &mut self.ndcg_at_5),
        ] {
            let top = &scratch.top[..cut.min(row.len())];
            let hits = top.iter().filter(|&&label| set.contains(label)).count();
            *precision += hits as f64 / cut as f64;
            *ndcg += ratio(
                gain(row, set, top),
                (1..=top.len().min(set.multiplicity())).map(discount).sum(),
            );
        }
    }
}

/// What a position of the ranking, from 1, is worth.
fn discount(position: usize) -> f64 {
    1.0 / (position as f64 + 1.0).log2()
}

/// Discounted cumulative gain of the top labels; tied labels share the mean gain of their group,
/// which may reach below the cut.
fn gain<T: Copy + Into<f64>>(row: &[T], set: &LabelSet, top: &[u32]) -> f64 {
    let score = |label: u32| -> f64 { row[label as usize].into() };
    let mut total = 0.0;
    let mut start = 0;
    while start < top.len() {
        let tied = score(top[start]);
        let length = top[start..]
            .iter()
            .take_while(|&&l| score(l) == tied)
            .count();
        let worth: f64 = (start + 1..=start + length).map(discount).sum();
        let in_group = |label: &&u32| score(**label) == tied;
        let (num_true, num_tied) = if start + length == top.len() {
            let num_tied = row.iter().filter(|&&s| s.into() == tied).count();
            (set.labels().iter().filter(in_group).count(), num_tied)
        } else {
            let group = &top[start..start + length];
            (group.iter().filter(|&&l| set.contains(l)).count(), length)
        };
        total += worth * num_true as f64 / num_tied as f64;
        start += length;
    }
    total
}

/// Average precision of each label over the samples, `None` for labels that no sample carries.
///
/// # Shapes
/// `scores` is row-major `[N, K]`; the result has length K.
///
/// # Errors
/// As [`RankingMeasures::new`].
///
/// ```
/// use tagwise::{LabelSet, Targets};
///
/// let truth = Targets::new(2, [LabelSet::new([0]), LabelSet::new([]), LabelSet::new([0])])?;
/// let scores = [0.9, 0.1, 0.8, 0.3, 0.7, 0.2];
/// let found = tagwise::evaluate::average_precision(&scores, &truth)?;
/// assert!((found[0].unwrap() - 5.0 / 6.0).abs() < 1e-12); // (1/1 + 2/3)/2
/// assert_eq!(found[1], None);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn average_precision<T: Copy + Into<f64> + Sync>(
    scores: &[T],
    truth: &Targets,
) -> Result<Vec<Option<f64>>> {
    check_not_empty(truth)?;
    check_scores(scores, truth)?;
    Ok(AveragePrecisions::new(scores, truth, ALWAYS)?.per_label)
}

/// Where the true labels of a row stand among all.
struct RowOrder {
    average_precision: Option<f64>,
    coverage: f64,
    ranking_loss: f64,
}

#[derive(Default)]
struct RowScratch {
    thresholds: Vec<f64>,
    counts: Vec<u64>,
    top: Vec<u32>,
}

impl RowScratch {
    fn order_of<T: Copy + Into<f64>>(&mut self, row: &[T], set: &LabelSet) -> RowOrder {
        let num_true = set.multiplicity();
        if num_true == 0 {
            return RowOrder {
                average_precision: None,
                coverage: 0.0,
                ranking_loss: 0.0,
            };
        }
        self.thresholds.clear();
        self.thresholds.extend(set.indices().map(|k| row[k].into()));
        self.thresholds.sort_unstable_by(f64::total_cmp);
        self.counts.clear();
        self.counts.resize(num_true + 1, 0);
        for &score in row {
            self.counts[reached(&self.thresholds, score.into())] += 1;
        }
        let num_false = row.len() - num_true;
        let coverage = row.len() as u64 - self.counts[0];
        let mut wrong_pairs = 0;
        let precision = average_precision_of(&self.thresholds, &self.counts, |ranked| {
            wrong_pairs += ranked.group * (ranked.at_least - ranked.true_at_least);
        });
        RowOrder {
            average_precision: Some(precision),
            coverage: coverage as f64,
            ranking_loss: ratio(wrong_pairs as f64, (num_true * num_false) as f64),
        }
    }

    /// The labels of the largest scores in order, ties to the smaller label.
    fn find_top<T: Copy + Into<f64>>(&mut self, row: &[T], count: usize) {
        let score = |label: u32| -> f64 { row[label as usize].into() + 0.0 };
        self.top.clear();
        for label in 0..row.len() as u32 {
            let position = self
                .top
                .partition_point(|&other| score(other) >= score(label));
            if position < count {
                self.top.truncate(count - 1);
                self.top.insert(position, label);
            }
        }
    }
}

/// How many of the sorted thresholds a score reaches.
fn reached(thresholds: &[f64], score: f64) -> usize {
    thresholds.partition_point(|&threshold| threshold <= score)
}

/// A group of equally scored positives.
struct Ranked {
    /// Positives in the group.
    group: u64,
    /// All items that score at least as much.
    at_least: u64,
    /// The positives among them.
    true_at_least: u64,
}

/// Average precision from the sorted scores of the positives and, for each r, the number of items
/// that reach exactly r of them. Visits the groups of equal score from the top.
fn average_precision_of(thresholds: &[f64], counts: &[u64], mut visit: impl FnMut(Ranked)) -> f64 {
    let num_positives = thresholds.len();
    let (mut at_least, mut sum) = (0, 0.0);
    let mut end = num_positives;
    while end > 0 {
        let start = thresholds[..end].partition_point(|&t| t < thresholds[end - 1]);
        at_least += counts[start + 1..=end].iter().sum::<u64>();
        let ranked = Ranked {
            group: (end - start) as u64,
            at_least,
            true_at_least: (num_positives - start) as u64,
        };
        sum += ranked.group as f64 * ranked.true_at_least as f64 / ranked.at_least as f64;
        visit(ranked);
        end = start;
    }
    sum / num_positives as f64
}

/// Average precision over the samples of each label and of all labels pooled.
struct AveragePrecisions {
    per_label: Vec<Option<f64>>,
    micro: f64,
}

impl AveragePrecisions {
    fn new<T: Copy + Into<f64> + Sync>(
        scores: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<Self> {
        let num_classes = truth.num_classes();
        let thresholds = Thresholds::new(scores, truth);
        ask(go_on)?;
        let empty = || Histograms {
            per_label: vec![0; thresholds.per_label.len() + num_classes],
            pooled: vec![0; thresholds.pooled.len() + 1],
        };
        let histograms = scores
            .par_chunks(BLOCK_LEN * num_classes)
            .fold(empty, |mut histograms, rows| {
                if go_on().is_break() {
                    return histograms;
                }
                for row in rows.chunks_exact(num_classes) {
                    for (label, &score) in row.iter().enumerate() {
                        let score = score.into();
                        let start = thresholds.starts[label] + label;
                        let rank = reached(thresholds.of_label(label), score);
                        histograms.per_label[start + rank] += 1;
                        histograms.pooled[reached(&thresholds.pooled, score)] += 1;
                    }
                }
                histograms
            })
            .reduce(empty, Histograms::merge);
        ask(go_on)?;
        let per_label = (0..num_classes)
            .map(|label| {
                let own = thresholds.of_label(label);
                let start = thresholds.starts[label] + label;
                let counts = &histograms.per_label[start..=start + own.len()];
                (!own.is_empty()).then(|| average_precision_of(own, counts, |_| ()))
            })
            .collect();
        let micro = match thresholds.pooled.len() {
            0 => 0.0,
            _ => average_precision_of(&thresholds.pooled, &histograms.pooled, |_| ()),
        };
        Ok(Self { per_label, micro })
    }
}

/// For each label (with one entry more than it has positives) and for all pooled: how many scores
/// reach exactly r of the thresholds.
struct Histograms {
    per_label: Vec<u64>,
    pooled: Vec<u64>,
}

impl Histograms {
    fn merge(mut self, other: Self) -> Self {
        for (sum, term) in self.per_label.iter_mut().zip(other.per_label) {
            *sum += term;
        }
        for (sum, term) in self.pooled.iter_mut().zip(other.pooled) {
            *sum += term;
        }
        self
    }
}

/// The sorted scores of the positives, label by label and pooled.
struct Thresholds {
    starts: Vec<usize>,
    per_label: Vec<f64>,
    pooled: Vec<f64>,
}

impl Thresholds {
    fn new<T: Copy + Into<f64>>(scores: &[T], truth: &Targets) -> Self {
        let num_classes = truth.num_classes();
        let mut starts = vec![0; num_classes + 1];
        for set in truth.iter() {
            set.indices().for_each(|label| starts[label + 1] += 1);
        }
        for label in 0..num_classes {
            starts[label + 1] += starts[label];
        }
        let mut per_label = vec![0.0; starts[num_classes]];
        let mut next = starts.clone();
        for (row, set) in scores.chunks_exact(num_classes).zip(truth.iter()) {
            for label in set.indices() {
                per_label[next[label]] = row[label].into();
                next[label] += 1;
            }
        }
        for label in 0..num_classes {
            per_label[starts[label]..starts[label + 1]].sort_unstable_by(f64::total_cmp);
        }
        let mut pooled = per_label.clone();
        pooled.par_sort_unstable_by(f64::total_cmp);
        Self {
            starts,
            per_label,
            pooled,
        }
    }

    fn of_label(&self, label: usize) -> &[f64] {
        &self.per_label[self.starts[label]..self.starts[label + 1]]
    }
}
