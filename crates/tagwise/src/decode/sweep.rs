//! The best cut-off of all, found in one pass over the sorted scores.

use super::pick::top_label;
use super::rules::EmptyRule;
use crate::evaluate::{ConfusionCounts, Criterion};
use crate::interrupt::{GoOn, ask};
use crate::{LabelSet, Result, Targets};

/// Scores between two questions whether to go on.
const BLOCK_LEN: usize = 1 << 16;

/// A cut-off (labels whose score is at least this are on) and the criterion it reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) threshold: f64,
    pub(super) value: f64,
    /// What breaks ties at 0.
    second: f64,
}

/// The cut-off of largest criterion among all that differ on these scores.
///
/// Scores are switched on from the largest down while the sums behind the criterion are kept up
/// to date. `scores` is `[N, K]` with N ≥ 1.
pub(super) fn best_cut(
    scores: &[f64],
    truth: &Targets,
    criterion: Criterion,
    empty_rule: EmptyRule,
    go_on: GoOn<'_>,
) -> Result<Cut> {
    let num_classes = truth.num_classes();
    let mut tally = Tally::new(truth, criterion);
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    if empty_rule == EmptyRule::TopLabel {
        for (sample, row) in scores.chunks_exact(num_classes).enumerate() {
            tally.switch_on(sample, top_label(row), truth.set(sample));
        }
    }
    let mut best = Cut {
        threshold: f64::INFINITY,
        value: tally.value(),
        second: tally.second(),
    };
    let mut start = 0;
    let mut asked = 0;
    while start < order.len() {
        if start >= asked {
            ask(go_on)?;
            asked = start + BLOCK_LEN;
        }
        let score = scores[order[start] as usize];
        let mut end = start;
        while end < order.len() && scores[order[end] as usize] == score {
            let (sample, label) = (
                order[end] as usize / num_classes,
                order[end] as usize % num_classes,
            );
            let row = &scores[sample * num_classes..][..num_classes];
            if empty_rule == EmptyRule::Allow || label != top_label(row) {
                tally.switch_on(sample, label, truth.set(sample));
            }
            end += 1;
        }
        let next = order
            .get(end)
            .map_or(score, |&index| scores[index as usize]);
        let (value, second) = (tally.value(), tally.second());
        if (value, second) > (best.value, best.second) {
            best = Cut {
                threshold: 0.5 * (score + next),
                value,
                second,
            };
        }
        start = end;
    }
    Ok(best)
}

/// The sums behind every criterion.
struct Tally {
    criterion: Criterion,
    samples: Vec<ConfusionCounts>,
    labels: Vec<ConfusionCounts>,
    pooled: ConfusionCounts,
    num_exact: usize,
    jaccard_sum: f64,
    f1_sum: f64,
    num_empty_matches: usize,
    label_f1_sum: f64,
}

impl Tally {
    fn new(truth: &Targets, criterion: Criterion) -> Self {
        let mut labels = vec![ConfusionCounts::default(); truth.num_classes()];
        let mut pooled = ConfusionCounts::default();
        for label in truth.iter().flat_map(LabelSet::indices) {
            labels[label].positives += 1;
            pooled.positives += 1;
        }
        let samples = truth.iter().map(|set| ConfusionCounts {
            positives: set.multiplicity(),
            ..ConfusionCounts::default()
        });
        Self {
            criterion,
            samples: samples.collect(),
            labels,
            pooled,
            num_exact: truth.iter().filter(|set| set.is_empty()).count(),
            jaccard_sum: 0.0,
            f1_sum: 0.0,
            num_empty_matches: truth.iter().filter(|set| set.is_empty()).count(),
            label_f1_sum: 0.0,
        }
    }

    fn switch_on(&mut self, sample: usize, label: usize, truth: &LabelSet) {
        let hit = usize::from(truth.contains(label as u32));
        let of_sample = &mut self.samples[sample];
        let before = *of_sample;
        of_sample.predicted += 1;
        of_sample.true_positives += hit;
        self.num_exact += usize::from(is_exact(of_sample));
        self.num_exact -= usize::from(is_exact(&before));
        self.jaccard_sum += of_sample.jaccard() - before.jaccard();
        self.f1_sum += of_sample.f1() - before.f1();
        self.num_empty_matches -= usize::from(before.predicted == 0 && before.positives == 0);
        let of_label = &mut self.labels[label];
        let before = of_label.f1();
        of_label.predicted += 1;
        of_label.true_positives += hit;
        self.label_f1_sum += of_label.f1() - before;
        self.pooled.predicted += 1;
        self.pooled.true_positives += hit;
    }

    fn value(&self) -> f64 {
        self.of(self.criterion)
    }

    /// What breaks ties at 0: 0 where there is nothing to break.
    fn second(&self) -> f64 {
        match self.value() > 0.0 {
            true => 0.0,
            false => self.of(self.criterion.next()),
        }
    }

    fn of(&self, criterion: Criterion) -> f64 {
        let num_samples = self.samples.len() as f64;
        let num_classes = self.labels.len() as f64;
        match criterion {
            Criterion::SubsetAccuracy => self.num_exact as f64 / num_samples,
            Criterion::HammingAccuracy => {
                let wrong =
                    self.pooled.positives + self.pooled.predicted - 2 * self.pooled.true_positives;
                1.0 - wrong as f64 / (num_samples * num_classes)
            }
            Criterion::JaccardSamples => self.jaccard_sum / num_samples,
            Criterion::F1Samples => self.f1_sum / num_samples,
            Criterion::F1SamplesEmpty1 => {
                (self.f1_sum + self.num_empty_matches as f64) / num_samples
            }
            Criterion::F1Micro => self.pooled.f1(),
            Criterion::F1Macro => self.label_f1_sum / num_classes,
        }
    }
}

fn is_exact(counts: &ConfusionCounts) -> bool {
    counts.true_positives == counts.positives && counts.predicted == counts.positives
}

/// The cut-off of largest F1 of one label, given the scores of all samples and whether they carry
/// the label; `None` when no sample carries it.
pub(super) fn best_label_cut(samples: &mut [(f64, bool)]) -> Option<f64> {
    samples.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut counts = ConfusionCounts {
        positives: samples.iter().filter(|(_, on)| *on).count(),
        ..ConfusionCounts::default()
    };
    let mut best: Option<(f64, f64)> = None;
    for (position, &(score, on)) in samples.iter().enumerate() {
        counts.predicted += 1;
        counts.true_positives += usize::from(on);
        let next = samples.get(position + 1).map_or(score, |sample| sample.0);
        let is_last_of_ties = position + 1 == samples.len() || next < score;
        let f1 = counts.f1();
        if is_last_of_ties && f1 > best.map_or(0.0, |(f1, _)| f1) {
            best = Some((f1, 0.5 * (score + next)));
        }
    }
    best.map(|(_, threshold)| threshold)
}
