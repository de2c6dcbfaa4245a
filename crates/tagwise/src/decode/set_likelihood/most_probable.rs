//! The most probable label sets, one after the other.

use std::collections::{BinaryHeap, HashSet};

use super::ProbableSet;
use crate::LabelSet;
use crate::loss::set_likelihood::SetDistribution;

/// The most probable label sets, at most `count`, the most probable first; ties go to the smaller
/// set, then to the smaller labels.
///
/// Unseen sets of m labels fall in probability with the sum of their logits, so that the best of
/// each multiplicity come from a list that is made as far as it is needed; seen sets have scores of
/// their own.
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::decode::most_probable;
/// use tagwise::loss::set_likelihood::SetPotentials;
///
/// let potentials = SetPotentials::new(2, vec![0.0; 3])?;
/// let best = most_probable(&potentials.distribution(&[3f64.ln(), 0.0])?, 2);
/// assert_eq!(best[0].labels.labels(), [0]); // u = 3 and 1: weights 1, 3, 1 and 3
/// assert_eq!(best[1].labels.labels(), [0, 1]);
/// assert!((best[1].probability - 0.375).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn most_probable(distribution: &SetDistribution<'_>, count: usize) -> Vec<ProbableSet> {
    let potentials = distribution.potentials();
    let seen = potentials.seen_sets();
    let mut found: Vec<(f64, LabelSet)> = Vec::new();
    let mut unseen = Unseen::new(distribution);
    while found.len() < count {
        match unseen.next() {
            Some((_, set)) if seen.binary_search(&set).is_ok() => {}
            Some(next) => found.push(next),
            None => break,
        }
    }
    let scores = (0..seen.len()).map(|position| distribution.seen_score(position));
    let worst = found.last().map_or(f64::NEG_INFINITY, |last| last.0);
    let is_in = |score: f64| found.len() < count || score >= worst;
    let better: Vec<_> = scores
        .zip(seen)
        .filter(|(score, _)| is_in(*score))
        .collect();
    found.extend(better.into_iter().map(|(score, set)| (score, set.clone())));
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.truncate(count);
    let with_probability = |(_, labels): (f64, LabelSet)| ProbableSet {
        probability: distribution.probability(&labels),
        labels,
    };
    found.into_iter().map(with_probability).collect()
}

/// All label sets by falling score as if none had been seen.
struct Unseen<'a> {
    logits: &'a [f64],
    potentials: &'a [f64],
    /// Labels by falling logit, ties by rising label.
    order: Vec<u32>,
    waiting: BinaryHeap<Waiting>,
    known: HashSet<Vec<u32>>,
}

/// A set as places in the order of labels.
#[derive(PartialEq)]
struct Waiting {
    score: f64,
    places: Vec<u32>,
}

impl Eq for Waiting {}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let smaller =
            || (other.places.len(), &other.places).cmp(&(self.places.len(), &self.places));
        self.score.total_cmp(&other.score).then_with(smaller)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Unseen<'a> {
    fn new(distribution: &'a SetDistribution<'_>) -> Self {
        let logits = distribution.logits();
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|&a, &b| {
            logits[b as usize]
                .total_cmp(&logits[a as usize])
                .then(a.cmp(&b))
        });
        let mut all = Self {
            logits,
            potentials: distribution.multiplicity_potentials(),
            order,
            waiting: BinaryHeap::new(),
            known: HashSet::new(),
        };
        for multiplicity in 0..all.potentials.len() as u32 {
            all.push((0..multiplicity).collect());
        }
        all
    }

    fn push(&mut self, places: Vec<u32>) {
        let logit = |&place: &u32| self.logits[self.order[place as usize] as usize];
        let score = places.iter().map(logit).sum::<f64>() + self.potentials[places.len()];
        if self.known.insert(places.clone()) {
            self.waiting.push(Waiting { score, places });
        }
    }

    /// The next set; sets with one label moved to the next place come after it, if they are free.
    fn next(&mut self) -> Option<(f64, LabelSet)> {
        let Waiting { score, places } = self.waiting.pop()?;
        for moved in 0..places.len() {
            let next = places[moved] + 1;
            let is_free = match places.get(moved + 1) {
                Some(&taken) => next < taken,
                None => (next as usize) < self.order.len(),
            };
            if is_free {
                let mut places = places.clone();
                places[moved] = next;
                self.push(places);
            }
        }
        let labels = places.iter().map(|&place| self.order[place as usize]);
        Some((score, LabelSet::new(labels)))
    }
}
