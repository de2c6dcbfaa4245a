//! The samples farthest from the mean of their label set.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Group;
use crate::snapshot::LinearClassifier;
use crate::{LabelSet, kernel};

/// A sample far from the mean of its label set.
///
/// Far samples are plain outliers as often as wrong labels; those are
/// [`LabelErrors`](super::LabelErrors).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorstSample {
    /// Row of the sample, from 0.
    pub sample: usize,
    /// Its label set S.
    pub label_set: LabelSet,
    /// ‖h − h̄_S‖.
    pub residual: f64,
    /// The residual in units of the root mean square residual of its multiplicity.
    pub relative: f64,
    /// The label set whose mean is nearest; that of its own set is taken without the sample, as
    /// n/(n − 1) times the distance, since a sample pulls its own mean towards itself.
    pub nearest_set: LabelSet,
    /// The |S| labels that the classifier ranks first, when there is a classifier.
    pub classifier_set: Option<LabelSet>,
}

/// A sample that may be among the worst.
pub(super) struct Candidate {
    /// Row in the block at hand until its feature is kept, then in the whole stream.
    pub(super) sample: usize,
    pub(super) set: usize,
    pub(super) residual: f64,
    pub(super) relative: f64,
    pub(super) feature: Option<Vec<f64>>,
}

/// For each feature the position of the label set whose mean is nearest; the means are read once.
///
/// `own` are the label sets of the features themselves.
pub(super) fn nearest_sets(group: &Group<'_>, features: &[&[f64]], own: &[usize]) -> Vec<usize> {
    let farthest = || vec![(f64::INFINITY, 0); features.len()];
    let nearest = (0..group.sets.len())
        .into_par_iter()
        .fold(farthest, |mut nearest, position| {
            for ((nearest, feature), &own) in nearest.iter_mut().zip(features).zip(own) {
                let mut distance = kernel::squared_distance(group.mean(position), feature);
                let count = group.counts[position];
                if position == own && count > 1.0 {
                    distance *= (count / (count - 1.0)).powi(2);
                }
                *nearest = nearer(*nearest, (distance, position));
            }
            nearest
        })
        .reduce(farthest, |a, b| {
            a.into_iter().zip(b).map(|(a, b)| nearer(a, b)).collect()
        });
    nearest.into_iter().map(|(_, position)| position).collect()
}

/// The smaller distance; the earlier position among equal ones.
fn nearer(a: (f64, usize), b: (f64, usize)) -> (f64, usize) {
    if a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_le() {
        a
    } else {
        b
    }
}

/// Sorts by relative residual, worst first, ties by sample, and keeps the first few. Rows of the
/// block at hand, whose features are not kept yet, come after `num_seen` earlier samples.
pub(super) fn keep_worst(candidates: &mut Vec<Candidate>, count: usize, num_seen: usize) {
    let sample = |candidate: &Candidate| match candidate.feature {
        Some(_) => candidate.sample,
        None => candidate.sample + num_seen,
    };
    candidates.sort_by(|a, b| {
        b.relative
            .total_cmp(&a.relative)
            .then(sample(a).cmp(&sample(b)))
    });
    candidates.truncate(count);
}

pub(super) fn top_labels(classifier: &LinearClassifier, feature: &[f64], count: usize) -> LabelSet {
    let mut scores: Vec<(f64, u32)> = (0..classifier.num_classes())
        .map(|class| {
            let product: f64 = feature
                .iter()
                .enumerate()
                .map(|(column, value)| classifier.weight[(class, column)] * value)
                .sum();
            (product + classifier.bias[class], class as u32)
        })
        .collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scores.iter().take(count).map(|&(_, class)| class).collect()
}
