//! A threshold for each label.

use rayon::prelude::*;

use super::pick::top_label;
use super::rules::EmptyRule;
use super::sweep::{Cut, best_label_cut};
use crate::evaluate::{ConfusionCounts, Criterion};
use crate::interrupt::{GoOn, ask};
use crate::{Result, Targets};

/// Times that every label's threshold is looked for again, with those of the others as they are.
const NUM_PASSES: usize = 2;

/// A threshold for each label: the common one unless another is better by the criterion on samples
/// it was not tuned on.
///
/// Macro F1 falls into the F1 of each label, whose best thresholds are found one by one. For the
/// other criteria labels go in turn, each to its best threshold with the others as they are.
pub(super) fn label_thresholds(
    scores: &[f64],
    truth: &Targets,
    (criterion, empty_rule): (Criterion, EmptyRule),
    common: &Cut,
    go_on: GoOn<'_>,
) -> Result<Vec<f64>> {
    if criterion == Criterion::F1Macro {
        return of_own_f1(scores, truth, common.threshold, go_on);
    }
    let num_classes = truth.num_classes();
    let mut thresholds = vec![common.threshold; num_classes];
    let mut halves = [0, 1].map(|parity| {
        Half::new(
            scores,
            truth,
            (criterion, empty_rule),
            (parity, common.threshold),
        )
    });
    for _ in 0..NUM_PASSES {
        for (label, threshold) in thresholds.iter_mut().enumerate() {
            ask(go_on)?;
            let before = halves.each_ref().map(Half::rank);
            let own = halves.each_mut().map(|half| half.best(label, *threshold));
            // Each half judges what the other found.
            let crossed = [
                halves[0].rank_at(label, own[1]),
                halves[1].rank_at(label, own[0]),
            ];
            let gain = |of: fn(&(f64, f64)) -> f64| -> f64 {
                crossed.iter().map(of).sum::<f64>() - before.iter().map(of).sum::<f64>()
            };
            let is_better = match gain(|rank| rank.0) {
                0.0 => gain(|rank| rank.1) > 0.0,
                gain => gain > 0.0,
            };
            if is_better {
                *threshold = 0.5 * (own[0] + own[1]);
                for half in &mut halves {
                    half.set(label, *threshold);
                }
            }
        }
    }
    Ok(thresholds)
}

/// Every second sample, with the answers that the thresholds give it.
struct Half<'a> {
    scores: Vec<&'a [f64]>,
    truth: Vec<&'a crate::LabelSet>,
    criterion: Criterion,
    empty_rule: EmptyRule,
    thresholds: Vec<f64>,
    /// Labels at or above their threshold, and those of them that are true.
    on: Vec<(usize, usize)>,
    sums: Sums,
}

/// What criteria are made of.
#[derive(Clone, Copy, Default)]
struct Sums {
    num_exact: f64,
    jaccard: f64,
    f1: f64,
    num_empty_matches: f64,
    positives: f64,
    predicted: f64,
    true_positives: f64,
}

impl Sums {
    fn add(&mut self, counts: &ConfusionCounts, sign: f64) {
        let is_exact =
            counts.predicted == counts.positives && counts.true_positives == counts.positives;
        self.num_exact += sign * f64::from(u8::from(is_exact));
        self.jaccard += sign * counts.jaccard();
        self.f1 += sign * counts.f1();
        let is_empty = counts.predicted == 0 && counts.positives == 0;
        self.num_empty_matches += sign * f64::from(u8::from(is_empty));
        self.positives += sign * counts.positives as f64;
        self.predicted += sign * counts.predicted as f64;
        self.true_positives += sign * counts.true_positives as f64;
    }

    fn value(&self, criterion: Criterion) -> f64 {
        match criterion {
            Criterion::SubsetAccuracy => self.num_exact,
            // All that differs is the number of wrong entries.
            Criterion::HammingAccuracy => 2.0 * self.true_positives - self.predicted,
            Criterion::JaccardSamples => self.jaccard,
            Criterion::F1Samples => self.f1,
            Criterion::F1SamplesEmpty1 => self.f1 + self.num_empty_matches,
            Criterion::F1Micro | Criterion::F1Macro => {
                2.0 * self.true_positives / (self.positives + self.predicted).max(1.0)
            }
        }
    }
}

impl<'a> Half<'a> {
    fn new(
        scores: &'a [f64],
        truth: &'a Targets,
        (criterion, empty_rule): (Criterion, EmptyRule),
        (parity, threshold): (usize, f64),
    ) -> Self {
        let num_classes = truth.num_classes();
        let rows = scores.chunks_exact(num_classes).skip(parity).step_by(2);
        let mut half = Self {
            scores: rows.collect(),
            truth: truth.iter().skip(parity).step_by(2).collect(),
            criterion,
            empty_rule,
            thresholds: vec![threshold; num_classes],
            on: Vec::new(),
            sums: Sums::default(),
        };
        for (row, set) in half.scores.iter().zip(&half.truth) {
            let is_on = |label: &usize| row[*label] >= threshold;
            let on = (0..num_classes).filter(is_on);
            let hits = on.clone().filter(|&label| set.contains(label as u32));
            half.on.push((on.clone().count(), hits.count()));
        }
        for sample in 0..half.on.len() {
            half.sums.add(&half.counts(sample), 1.0);
        }
        half
    }

    /// What the answer to a sample counts.
    fn counts(&self, sample: usize) -> ConfusionCounts {
        let (mut predicted, mut hits) = self.on[sample];
        if predicted == 0 && self.empty_rule == EmptyRule::TopLabel {
            let top = top_label(self.scores[sample]) as u32;
            (predicted, hits) = (1, usize::from(self.truth[sample].contains(top)));
        }
        ConfusionCounts {
            positives: self.truth[sample].multiplicity(),
            predicted,
            true_positives: hits,
        }
    }

    fn switch(&mut self, sample: usize, label: usize, is_on: bool) {
        self.sums.add(&self.counts(sample), -1.0);
        let hit = usize::from(self.truth[sample].contains(label as u32));
        let (on, hits) = &mut self.on[sample];
        match is_on {
            true => (*on, *hits) = (*on + 1, *hits + hit),
            false => (*on, *hits) = (*on - 1, *hits - hit),
        }
        self.sums.add(&self.counts(sample), 1.0);
    }

    fn rank(&self) -> (f64, f64) {
        let value = self.sums.value(self.criterion);
        match value > 0.0 {
            true => (value, 0.0),
            false => (value, self.sums.value(self.criterion.next())),
        }
    }

    fn set(&mut self, label: usize, threshold: f64) {
        let old = std::mem::replace(&mut self.thresholds[label], threshold);
        for sample in 0..self.scores.len() {
            let score = self.scores[sample][label];
            if (score >= old) != (score >= threshold) {
                self.switch(sample, label, score >= threshold);
            }
        }
    }

    fn rank_at(&mut self, label: usize, threshold: f64) -> (f64, f64) {
        let old = self.thresholds[label];
        self.set(label, threshold);
        let rank = self.rank();
        self.set(label, old);
        rank
    }

    /// The best threshold of a label with the others as they are; the one that it has unless another
    /// is better.
    fn best(&mut self, label: usize, current: f64) -> f64 {
        let mut best = (self.rank(), current);
        self.set(label, f64::INFINITY);
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        let score = |half: &Self, sample: usize| half.scores[sample][label];
        order.sort_unstable_by(|&a, &b| score(self, b).total_cmp(&score(self, a)));
        for (place, &sample) in order.iter().enumerate() {
            self.switch(sample, label, true);
            let own = score(self, sample);
            let next = order.get(place + 1).map_or(own, |&next| score(self, next));
            let is_last_of_ties = place + 1 == order.len() || next < own;
            if is_last_of_ties && self.rank() > best.0 {
                best = (self.rank(), 0.5 * (own + next));
            }
        }
        // Everything is on: the way back goes by the threshold of all.
        self.thresholds[label] = f64::NEG_INFINITY;
        self.set(label, current);
        best.1
    }
}

/// The threshold of largest F1 of each label.
pub(super) fn of_own_f1(
    scores: &[f64],
    truth: &Targets,
    common: f64,
    go_on: GoOn<'_>,
) -> Result<Vec<f64>> {
    let num_classes = truth.num_classes();
    (0..num_classes)
        .into_par_iter()
        .map(|label| {
            ask(go_on)?;
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
            Ok(match gain > 0.0 {
                true => best_label_cut(&mut samples).unwrap_or(common),
                false => common,
            })
        })
        .collect()
}

pub(super) fn f1_at(samples: &[(f64, bool)], threshold: f64) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{LogitDecoder, RuleKind};
    use crate::evaluate::SetMeasures;
    use crate::loss::Link;

    /// Scores of label 1 lie lower than those of label 0, and label 2 is noise; every second sample
    /// has the labels of the one before.
    fn data() -> (Vec<f64>, Targets) {
        let n = 120u32;
        let sets = (0..n).map(|i| (0..2).filter(|k| i / 2 % (2 + k) == 0).collect());
        let targets = Targets::new(3, sets.collect::<Vec<_>>()).unwrap();
        let wiggle = |i: usize, k: usize| ((i * 7 + k * 5) % 11) as f64 / 11.0 - 0.5;
        let scores = targets.iter().enumerate().flat_map(|(i, set)| {
            let row = |k: usize| {
                let on = f64::from(u8::from(set.contains(k as u32)));
                1.4 * on - 2.0 * k as f64 + wiggle(i, k)
            };
            (0..3).map(row).collect::<Vec<_>>()
        });
        (scores.collect(), targets)
    }

    #[test]
    fn thresholds_of_labels_reach_what_a_common_one_cannot() {
        let (logits, truth) = data();
        for criterion in [
            Criterion::SubsetAccuracy,
            Criterion::HammingAccuracy,
            Criterion::JaccardSamples,
            Criterion::F1Samples,
            Criterion::F1SamplesEmpty1,
            Criterion::F1Micro,
            Criterion::F1Macro,
        ] {
            let value = |kind: RuleKind| {
                let decoder =
                    LogitDecoder::fit(kind, Link::Sigmoid, &logits, &truth, criterion).unwrap();
                let decoded = decoder.decode(&logits, 3).unwrap();
                criterion.value(&SetMeasures::new(&decoded, &truth).unwrap())
            };
            let (common, own) = (value(RuleKind::Threshold), value(RuleKind::LabelThresholds));
            assert!(own > common, "{criterion:?}: {own} and {common}");
        }
    }
}
