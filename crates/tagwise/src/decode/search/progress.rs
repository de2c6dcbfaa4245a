//! What a search has found and spent.

use super::geometry::Query;

/// A label set and its score.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::decode) struct Found {
    pub(in crate::decode) labels: Vec<u32>,
    pub(in crate::decode) score: f64,
}

/// The best sets so far, and the nodes visited.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    best: Vec<Found>,
    spare: Vec<Found>,
    sorted: Vec<u32>,
    wanted: usize,
    nodes: u64,
    limit: u64,
}

impl Progress {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            best: Vec::new(),
            spare: Vec::new(),
            sorted: Vec::new(),
            wanted,
            nodes: 0,
            limit: 0,
        }
    }

    pub(super) fn restart(&mut self) {
        self.nodes = 0;
        self.spare.append(&mut self.best);
    }

    pub(super) fn best(&self) -> &[Found] {
        &self.best
    }

    pub(super) fn nodes(&self) -> u64 {
        self.nodes
    }

    /// Allows this many nodes in all since the restart.
    pub(super) fn limit_nodes(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Counts a node and says whether it may be visited.
    pub(super) fn visit(&mut self) -> bool {
        self.nodes += 1;
        !self.is_spent()
    }

    /// Whether a visit was refused.
    pub(super) fn is_spent(&self) -> bool {
        self.nodes > self.limit
    }

    /// The score that a set must exceed to be among the best, if there are enough already.
    pub(super) fn score_to_beat(&self) -> Option<f64> {
        (self.best.len() >= self.wanted).then(|| self.best[self.wanted - 1].score)
    }

    /// Scores a set of labels in any order and keeps it if it is among the best so far.
    pub(super) fn offer(&mut self, query: &Query<'_>, labels: &[u32]) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.extend_from_slice(labels);
        sorted.sort_unstable();
        self.offer_sorted(query, &sorted);
        self.sorted = sorted;
    }

    /// Scores a set of sorted labels and keeps it if it is among the best so far.
    pub(super) fn offer_sorted(&mut self, query: &Query<'_>, labels: &[u32]) {
        if !query.geometry.excludes(labels)
            && let Some(score) = query.geometry.score(query.products, labels)
        {
            self.keep(labels, score);
        }
    }

    /// Keeps this set of sorted labels if it is among the best so far.
    pub(super) fn keep(&mut self, labels: &[u32], score: f64) {
        if self.score_to_beat().is_some_and(|beat| score <= beat) {
            return;
        }
        let position = self.best.partition_point(|found| found.score >= score);
        let known = self
            .best
            .iter()
            .any(|found| found.score == score && found.labels == labels);
        if known {
            return;
        }
        let mut found = if self.best.len() >= self.wanted {
            self.best.pop().expect("at least one set is wanted")
        } else {
            self.spare.pop().unwrap_or(Found {
                labels: Vec::new(),
                score,
            })
        };
        found.labels.clear();
        found.labels.extend_from_slice(labels);
        found.score = score;
        self.best.insert(position, found);
    }
}
