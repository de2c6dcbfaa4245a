//! A second look at the samples: scatters in the coordinates of the means, NC4, the worst residuals.

use std::collections::BTreeMap;

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use super::compressed::Compressed;
use super::label_errors::{self, LabelErrors, LabelLook};
use super::labelled::Places;
use super::worst::{Candidate, WorstSample, keep_worst, nearest_sets, top_labels};
use super::{Group, Labelled};
use crate::product::{add_gram, multiply};
use crate::snapshot::LinearClassifier;
use crate::{LabelSet, kernel};

/// Samples that one task projects at once.
const TASK_ROWS: usize = 128;

/// Tasks whose results are held at once, and numbers in their scatters together.
const MAX_TASKS: usize = 64;
const TASK_NUMBERS: usize = 1 << 23;

/// Agreement of two classifiers on the single-label samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc4 {
    /// Single-label samples compared.
    pub num_samples: u64,
    /// Share of them that the classifier gives the class of the nearest class mean; 1 under
    /// collapse.
    pub agreement: f64,
}

/// What a second look found.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) compressed: Option<Compressed>,
    pub(super) nc4: Option<Nc4>,
    pub(super) worst: Vec<WorstSample>,
    pub(super) label_errors: Option<LabelErrors>,
}

/// A second pass over the same samples, with the statistics of the first.
pub(super) struct SecondLook<'a> {
    group: Group<'a>,
    places: Places<'a>,
    compressed: Option<Compressed>,
    labels: Option<LabelLook<'a>>,
    plans: BTreeMap<usize, Plan>,
    num_worst: usize,
    worst: Vec<Candidate>,
    num_single: u64,
    num_agreeing: u64,
    num_seen: usize,
}

/// What the residuals of one multiplicity are projected on.
struct Plan {
    /// Rows: the basis of the compressed scatter, then (multiplicity 1, with a classifier) what
    /// the agreement needs.
    projection: Mat<f64>, // [rows, d]
    rank: usize,
    agreement: Option<Agreement>,
    scatter: Mat<f64>, // [rank, rank], lower triangle
    /// Root mean square residual.
    typical: f64,
}

/// Working memory of a thread.
#[derive(Default)]
struct Scratch {
    residuals: Vec<f64>, // [rows, d]
    squares: Vec<f64>,   // [rows], of the residuals
    projected: Vec<f64>, // [rows, projections]
    labels: label_errors::Scratch,
}

/// What one task found.
struct Task {
    scatter: Mat<f64>, // [rank, rank], lower triangle
    num_agreeing: u64,
    candidates: Vec<Candidate>,
    looked: Vec<label_errors::Looked>,
}

impl<'a> SecondLook<'a> {
    pub(super) fn new(
        labelled: &'a Labelled<'a>,
        classifier: Option<&'a LinearClassifier>,
        compressed: Option<Compressed>,
        num_worst: usize,
    ) -> Self {
        let labels = match num_worst {
            0 => None,
            _ => LabelLook::new(labelled, classifier, compressed.as_ref()),
        };
        let basis = compressed.as_ref().map(|compressed| &compressed.basis);
        let plans = labelled
            .groups()
            .into_iter()
            .map(|(multiplicity, group)| {
                let classifier = classifier.filter(|_| multiplicity == 1);
                (multiplicity, Plan::new(&group, basis, classifier))
            })
            .collect();
        let group = labelled.all();
        Self {
            places: Places::new(group.sets.iter().copied()),
            group,
            compressed,
            labels,
            plans,
            num_worst,
            worst: Vec::new(),
            num_single: 0,
            num_agreeing: 0,
            num_seen: 0,
        }
    }

    /// Looks at the next samples. `rows` is `[n, d]`; `set_ids` index `distinct`.
    pub(super) fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) {
        let mut by_multiplicity: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (row, set, position) in self.places.of_samples(distinct, set_ids) {
            let samples = by_multiplicity.entry(set.multiplicity()).or_default();
            samples.push((row, position));
        }
        for (&multiplicity, samples) in &by_multiplicity {
            self.update_multiplicity(rows, multiplicity, samples);
        }
        self.keep_features(rows);
        self.num_single += by_multiplicity.get(&1).map_or(0, |rows| rows.len() as u64);
        self.num_seen += set_ids.len();
    }

    /// Samples of one multiplicity as (row, position of the label set).
    fn update_multiplicity<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        multiplicity: usize,
        samples: &[(usize, usize)],
    ) {
        let rank = self.plans[&multiplicity].rank;
        // A number of tasks that no thread count changes: each sums its own scatter.
        let num_tasks = (TASK_NUMBERS / (rank * rank).max(1)).clamp(4, MAX_TASKS);
        let mut tasks: Vec<Task> = (0..num_tasks.min(samples.len().div_ceil(TASK_ROWS)))
            .map(|_| Task::new(rank))
            .collect();
        for batch in samples.chunks(TASK_ROWS * num_tasks) {
            tasks
                .par_iter_mut()
                .zip(batch.par_chunks(TASK_ROWS))
                .for_each_init(Scratch::default, |scratch, (task, samples)| {
                    self.look(rows, multiplicity, samples, scratch, task);
                });
            for task in &mut tasks {
                self.worst.append(&mut task.candidates);
                if let Some(labels) = &mut self.labels {
                    labels.keep(task.looked.drain(..));
                }
            }
            keep_worst(&mut self.worst, self.num_worst, self.num_seen);
        }
        let plan = self
            .plans
            .get_mut(&multiplicity)
            .expect("every multiplicity of the statistics has a plan");
        for task in tasks {
            plan.scatter += task.scatter;
            self.num_agreeing += task.num_agreeing;
        }
    }

    fn look<T: Copy + Into<f64>>(
        &self,
        rows: &[T],
        multiplicity: usize,
        samples: &[(usize, usize)],
        scratch: &mut Scratch,
        task: &mut Task,
    ) {
        let plan = &self.plans[&multiplicity];
        let dim = self.group.means.nrows();
        scratch.residuals.resize(samples.len() * dim, 0.0);
        scratch.squares.clear();
        // A bar that only rises: candidates below it cannot be among the worst.
        let last = self
            .num_worst
            .checked_sub(1)
            .and_then(|last| self.worst.get(last));
        let bar = last.map_or(0.0, |last| last.relative);
        let residuals = scratch.residuals.chunks_exact_mut(dim.max(1));
        for (&(row, set), out) in samples.iter().zip(residuals) {
            let values = &rows[row * dim..(row + 1) * dim];
            let square = kernel::subtract(values, self.group.mean(set), out);
            scratch.squares.push(square);
            let residual = square.sqrt();
            let relative = residual / plan.typical;
            if self.num_worst > 0 && relative > bar {
                task.candidates.push(Candidate {
                    sample: row,
                    set,
                    residual,
                    relative,
                    feature: None,
                });
            }
        }
        let count = samples.len();
        let residuals = MatRef::from_column_major_slice(&scratch.residuals, dim, count);
        let num_projections = plan.projection.nrows();
        scratch.projected.resize(num_projections * count, 0.0);
        if num_projections > 0 {
            let projected = &mut scratch.projected;
            multiply(
                MatMut::from_column_major_slice_mut(projected, num_projections, count),
                Accum::Replace,
                plan.projection.as_ref(),
                residuals,
                1.0,
            );
        }
        let projected = MatRef::from_column_major_slice(&scratch.projected, num_projections, count);
        let in_basis = projected.get(..plan.rank, ..);
        if plan.rank > 0 {
            add_gram(task.scatter.as_mut(), in_basis);
        }
        if let Some(agreement) = &plan.agreement {
            for (position, &(_, set)) in samples.iter().enumerate() {
                let scores = &super::column(projected, position)[plan.rank..];
                task.num_agreeing += u64::from(agreement.agrees(scores, set));
            }
        }
        if let Some(labels) = &self.labels {
            let residuals = match labels.is_projected() {
                true => in_basis,
                false => residuals,
            };
            let residuals = (residuals, &scratch.squares[..]);
            let looked = labels.look(rows, self.num_seen, samples, residuals, &mut scratch.labels);
            task.looked.extend(looked);
        }
    }

    /// Copies the features of the candidates found in this block, and counts their rows from the
    /// beginning of the stream.
    fn keep_features<T: Copy + Into<f64>>(&mut self, rows: &[T]) {
        let dim = self.group.means.nrows();
        for candidate in &mut self.worst {
            if candidate.feature.is_none() {
                let values = &rows[candidate.sample * dim..(candidate.sample + 1) * dim];
                candidate.feature = Some(values.iter().map(|&value| value.into()).collect());
                candidate.sample += self.num_seen;
            }
        }
    }

    /// What this pass found.
    pub(super) fn finish(self, classifier: Option<&LinearClassifier>) -> Seen {
        let compared = self
            .plans
            .get(&1)
            .is_some_and(|plan| plan.agreement.is_some());
        let nc4 = (compared && self.num_single > 0).then(|| Nc4 {
            num_samples: self.num_single,
            agreement: self.num_agreeing as f64 / self.num_single as f64,
        });
        let features: Vec<&[f64]> = self
            .worst
            .iter()
            .map(|candidate| candidate.feature.as_deref().unwrap_or_default())
            .collect();
        let own: Vec<usize> = self.worst.iter().map(|candidate| candidate.set).collect();
        let worst = self
            .worst
            .iter()
            .zip(nearest_sets(&self.group, &features, &own))
            .zip(&features)
            .map(|((candidate, nearest), feature)| {
                let set = self.group.sets[candidate.set];
                WorstSample {
                    sample: candidate.sample,
                    label_set: set.clone(),
                    residual: candidate.residual,
                    relative: candidate.relative,
                    nearest_set: self.group.sets[nearest].clone(),
                    classifier_set: classifier
                        .map(|classifier| top_labels(classifier, feature, set.multiplicity())),
                }
            })
            .collect();
        let compressed = self.compressed.map(|compressed| Compressed {
            scatters: self
                .plans
                .into_iter()
                .map(|(multiplicity, plan)| (multiplicity, symmetric(&plan.scatter)))
                .collect(),
            ..compressed
        });
        Seen {
            compressed,
            nc4,
            worst,
            label_errors: self.labels.map(|labels| labels.finish(self.num_worst)),
        }
    }
}

impl Plan {
    fn new(
        group: &Group<'_>,
        basis: Option<&Mat<f64>>,
        classifier: Option<&LinearClassifier>,
    ) -> Self {
        let rank = basis.map_or(0, Mat::ncols);
        let agreement = classifier.map(|classifier| Agreement::new(group, classifier));
        let scores = agreement.as_ref().map(|(_, scores)| scores.as_ref());
        let num_scores = scores.map_or(0, |scores| scores.nrows());
        let mut projection = Mat::zeros(rank + num_scores, group.means.nrows());
        if let Some(basis) = basis {
            projection.get_mut(..rank, ..).copy_from(basis.transpose());
        }
        if let Some(scores) = scores {
            projection.get_mut(rank.., ..).copy_from(scores);
        }
        let squares: f64 = group.square_sums.iter().sum();
        Self {
            projection,
            rank,
            agreement: agreement.map(|(agreement, _)| agreement),
            scatter: Mat::zeros(rank, rank),
            typical: (squares / group.num_samples().max(1.0)).sqrt(),
        }
    }
}

impl Task {
    fn new(rank: usize) -> Self {
        Self {
            scatter: Mat::zeros(rank, rank),
            num_agreeing: 0,
            candidates: Vec::new(),
            looked: Vec::new(),
        }
    }
}

pub(super) fn symmetric(lower: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(lower.nrows(), lower.ncols(), |row, column| {
        lower[(row.max(column), row.min(column))]
    })
}
