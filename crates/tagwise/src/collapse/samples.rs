//! What needs a second look at the samples: NC1 by projection, NC4 and the worst residuals.

use std::collections::BTreeMap;
use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Group;
use super::between::Between;
use super::variability::{Ranges, Variability};
use crate::LabelSet;
use crate::snapshot::LinearClassifier;
use crate::statistics::Statistics;

/// Samples that one task projects at once.
const TASK_ROWS: usize = 128;

/// Whitenings that residuals are projected on: own, pooled, own within the tag span, pooled within
/// it.
const NUM_RANGES: usize = 4;

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

/// A sample far from the mean of its label set: often a label error.
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
    /// The label set whose mean is nearest.
    pub nearest_set: LabelSet,
    /// The |S| labels that the classifier ranks first, when there is a classifier.
    pub classifier_set: Option<LabelSet>,
}

/// A second pass over the same samples, with the statistics of the first.
pub(super) struct SecondLook<'a> {
    classifier: Option<&'a LinearClassifier>,
    group: Group<'a>,
    position: BTreeMap<&'a LabelSet, usize>,
    plans: BTreeMap<usize, Plan>,
    num_worst: usize,
    worst: Vec<Candidate>,
    num_single: u64,
    num_agreeing: u64,
    num_seen: usize,
}

/// How the residuals of one multiplicity are projected.
struct Plan {
    /// Rows: whitening of the multiplicity, of all label sets, both again within the tag span,
    /// then (multiplicity 1, with a classifier) the classifier and the centred class means.
    projection: Mat<f64>, // [rows, d]
    /// The rows of each whitening.
    ranges: [Range<usize>; NUM_RANGES],
    agreement: Option<Agreement>,
    /// Squares of what each whitening makes of the residuals.
    sums: [f64; NUM_RANGES],
    /// Root mean square residual.
    typical: f64,
}

/// Offsets that turn projected residuals into scores, `[K, K]`: row k for samples of class k.
struct Agreement {
    logits: Range<usize>,
    nearness: Range<usize>,
    logit_offsets: Vec<Vec<f64>>,
    nearness_offsets: Vec<Vec<f64>>,
    /// The class of each single-label set: classes without such samples are missing.
    classes: Vec<usize>,
}

struct Candidate {
    sample: usize,
    set: usize,
    residual: f64,
    relative: f64,
    feature: Vec<f64>,
}

/// What one task found.
struct Found {
    multiplicity: usize,
    sums: [f64; NUM_RANGES],
    num_agreeing: u64,
    candidates: Vec<Candidate>,
}

/// Whether NC1 comes from the projections of this pass or is known already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nc1Need {
    Projection,
    Nothing,
}

impl<'a> SecondLook<'a> {
    pub(super) fn new(
        statistics: &'a Statistics,
        variability: &Variability,
        classifier: Option<&'a LinearClassifier>,
        need: Nc1Need,
        num_worst: usize,
    ) -> Self {
        let group = Group::new(statistics, |multiplicity| multiplicity > 0);
        let plans = variability
            .between
            .iter()
            .map(|(&multiplicity, own)| {
                let pooled = &variability.pooled_between;
                let plan = Plan::new(&group, multiplicity, own, pooled, classifier, need);
                (multiplicity, plan)
            })
            .collect();
        let position = group.sets.iter().copied().zip(0..).collect();
        Self {
            classifier,
            group,
            position,
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
        let positions: Vec<Option<usize>> = distinct
            .iter()
            .map(|set| self.position.get(set).copied())
            .collect();
        let mut by_multiplicity: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (row, &id) in set_ids.iter().enumerate() {
            if let Some(position) = positions[id as usize] {
                let multiplicity = distinct[id as usize].multiplicity();
                by_multiplicity
                    .entry(multiplicity)
                    .or_default()
                    .push((row, position));
            }
        }
        let tasks: Vec<(usize, &[(usize, usize)])> = by_multiplicity
            .iter()
            .flat_map(|(&multiplicity, rows)| {
                rows.chunks(TASK_ROWS).map(move |rows| (multiplicity, rows))
            })
            .collect();
        // Bounded batches, so that the candidates of a whole file are never held at once.
        for batch in tasks.chunks(64) {
            let found: Vec<Found> = batch
                .par_iter()
                .map_init(Scratch::default, |scratch, &(multiplicity, task)| {
                    self.task(rows, multiplicity, task, scratch)
                })
                .collect();
            for found in found {
                self.absorb(found);
            }
        }
        self.num_single += by_multiplicity.get(&1).map_or(0, |rows| rows.len() as u64);
        self.num_seen += set_ids.len();
    }

    fn absorb(&mut self, found: Found) {
        let plan = self
            .plans
            .get_mut(&found.multiplicity)
            .expect("every multiplicity of the statistics has a plan");
        for (sum, found) in plan.sums.iter_mut().zip(found.sums) {
            *sum += found;
        }
        self.num_agreeing += found.num_agreeing;
        self.worst.extend(found.candidates);
        keep_worst(&mut self.worst, self.num_worst);
    }

    fn task<T: Copy + Into<f64>>(
        &self,
        rows: &[T],
        multiplicity: usize,
        task: &[(usize, usize)],
        scratch: &mut Scratch,
    ) -> Found {
        let plan = &self.plans[&multiplicity];
        let dim = self.group.means.nrows();
        scratch.residuals.resize(task.len() * dim, 0.0);
        let mut candidates = Vec::new();
        // A bar that only rises: candidates below it cannot be among the worst.
        let bar = match self.worst.len() {
            len if len < self.num_worst => 0.0,
            len => self.worst[len - 1].relative,
        };
        for (&(row, set), out) in task
            .iter()
            .zip(scratch.residuals.chunks_exact_mut(dim.max(1)))
        {
            let values = &rows[row * dim..(row + 1) * dim];
            for ((out, &value), mean) in out.iter_mut().zip(values).zip(self.group.mean(set)) {
                *out = value.into() - mean;
            }
            let residual = super::dot(out, out).sqrt();
            let relative = residual / plan.typical;
            if self.num_worst > 0 && relative > bar {
                candidates.push(Candidate {
                    sample: self.num_seen + row,
                    set,
                    residual,
                    relative,
                    feature: values.iter().map(|&value| value.into()).collect(),
                });
            }
        }
        keep_worst(&mut candidates, self.num_worst);
        let num_projections = plan.projection.nrows();
        scratch.projected.resize(num_projections * task.len(), 0.0);
        if num_projections > 0 {
            let residuals = MatRef::from_column_major_slice(&scratch.residuals, dim, task.len());
            let projected = MatMut::from_column_major_slice_mut(
                &mut scratch.projected,
                num_projections,
                task.len(),
            );
            matmul(
                projected,
                Accum::Replace,
                &plan.projection,
                residuals,
                1.0,
                Par::Seq,
            );
        }
        let mut found = Found {
            multiplicity,
            sums: [0.0; NUM_RANGES],
            num_agreeing: 0,
            candidates,
        };
        for (&(_, set), projected) in task
            .iter()
            .zip(scratch.projected.chunks_exact(num_projections.max(1)))
        {
            for (sum, range) in found.sums.iter_mut().zip(&plan.ranges) {
                *sum += super::dot(&projected[range.clone()], &projected[range.clone()]);
            }
            if let Some(agreement) = &plan.agreement {
                found.num_agreeing += u64::from(agreement.agrees(projected, set));
            }
        }
        found
    }

    /// Writes what this pass found: NC1 values, NC4 and the worst samples.
    pub(super) fn finish(
        self,
        need: Nc1Need,
        variability: &mut Variability,
    ) -> (Option<Nc4>, Vec<WorstSample>) {
        if need == Nc1Need::Projection {
            let mut pooled = [0.0; 2];
            for (multiplicity, plan) in &self.plans {
                let [own, all, own_tags, all_tags] = plan.sums;
                pooled[0] += all;
                pooled[1] += all_tags;
                if let Some(nc1) = variability.per_multiplicity.get_mut(multiplicity) {
                    nc1.fill(&variability.between[multiplicity], [own, own_tags]);
                }
            }
            variability.pooled.fill(&variability.pooled_between, pooled);
        }
        let compared = self
            .plans
            .get(&1)
            .is_some_and(|plan| plan.agreement.is_some());
        let nc4 = (compared && self.num_single > 0).then(|| Nc4 {
            num_samples: self.num_single,
            agreement: self.num_agreeing as f64 / self.num_single as f64,
        });
        let worst = self
            .worst
            .iter()
            .map(|candidate| self.describe(candidate))
            .collect();
        (nc4, worst)
    }

    fn describe(&self, candidate: &Candidate) -> WorstSample {
        let set = self.group.sets[candidate.set];
        let distance = |position: &usize| -> f64 {
            let mean = self.group.mean(*position).iter();
            mean.zip(&candidate.feature)
                .map(|(a, b)| (a - b) * (a - b))
                .sum()
        };
        let nearest = (0..self.group.sets.len())
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap_or(candidate.set);
        WorstSample {
            sample: candidate.sample,
            label_set: set.clone(),
            residual: candidate.residual,
            relative: candidate.relative,
            nearest_set: self.group.sets[nearest].clone(),
            classifier_set: self
                .classifier
                .map(|classifier| top_labels(classifier, &candidate.feature, set.multiplicity())),
        }
    }
}

#[derive(Default)]
struct Scratch {
    residuals: Vec<f64>, // [rows, d]
    projected: Vec<f64>, // [rows, projections]
}

/// Sorts by relative residual, worst first, ties by row, and keeps the first few.
fn keep_worst(candidates: &mut Vec<Candidate>, count: usize) {
    candidates.sort_by(|a, b| {
        b.relative
            .total_cmp(&a.relative)
            .then(a.sample.cmp(&b.sample))
    });
    candidates.truncate(count);
}

fn top_labels(classifier: &LinearClassifier, feature: &[f64], count: usize) -> LabelSet {
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

impl Plan {
    fn new(
        group: &Group<'_>,
        multiplicity: usize,
        own: &Ranges,
        pooled: &Ranges,
        classifier: Option<&LinearClassifier>,
        need: Nc1Need,
    ) -> Self {
        let dim = group.means.nrows();
        let whitenings = match need {
            Nc1Need::Projection => [&own.all, &pooled.all, &own.tags, &pooled.tags].map(Some),
            Nc1Need::Nothing => [None; NUM_RANGES],
        };
        let mut whitening_rows = 0;
        let ranges = whitenings.map(|whitening| {
            let first = whitening_rows;
            whitening_rows += whitening.map_or(0, Between::rank);
            first..whitening_rows
        });
        let singles = group
            .sets
            .iter()
            .take_while(|set| set.multiplicity() == 1)
            .count();
        let classifier = classifier.filter(|_| multiplicity == 1);
        let score_rows = classifier.map_or(0, |classifier| classifier.num_classes() + singles);
        let mut projection = Mat::zeros(whitening_rows + score_rows, dim);
        for (range, whitening) in ranges.iter().zip(whitenings) {
            if let Some(whitening) = whitening {
                projection
                    .get_mut(range.clone(), ..)
                    .copy_from(whitening.whitening().transpose());
            }
        }
        let agreement = classifier.map(|classifier| {
            let logits = whitening_rows..whitening_rows + classifier.num_classes();
            let nearness = logits.end..logits.end + singles;
            Agreement::new(group, classifier, logits, nearness, &mut projection)
        });
        let (mut squares, mut count) = (0.0, 0.0);
        for (position, set) in group.sets.iter().enumerate() {
            if set.multiplicity() == multiplicity {
                squares += group.square_sums[position];
                count += group.counts[position];
            }
        }
        Self {
            projection,
            ranges,
            agreement,
            sums: [0.0; NUM_RANGES],
            typical: (squares / f64::max(count, 1.0)).sqrt(),
        }
    }
}

impl Agreement {
    /// With h = h̄_k + r: logits W r + (W h̄_k + b), and −½‖h − h̄_j‖² up to a constant as
    /// ⟨r, c_j⟩ + ⟨c_k, c_j⟩ − ½‖c_j‖² with c_j = h̄_j − μ_G.
    fn new(
        group: &Group<'_>,
        classifier: &LinearClassifier,
        logits: Range<usize>,
        nearness: Range<usize>,
        projection: &mut Mat<f64>,
    ) -> Self {
        let singles = nearness.len();
        let means = group.means.get(.., ..singles); // [d, singles]
        let total: f64 = group.counts[..singles].iter().sum();
        let centre: Vec<f64> = (0..means.nrows())
            .map(|row| {
                (0..singles)
                    .map(|j| group.counts[j] / total * means[(row, j)])
                    .sum()
            })
            .collect();
        let centred = Mat::from_fn(singles, means.nrows(), |j, row| {
            means[(row, j)] - centre[row]
        });
        projection
            .get_mut(logits.clone(), ..)
            .copy_from(&classifier.weight);
        projection.get_mut(nearness.clone(), ..).copy_from(&centred);
        let mean_logits = &classifier.weight * means; // [K, singles]
        let gram = &centred * centred.transpose();
        Self {
            classes: group.sets[..singles]
                .iter()
                .flat_map(|set| set.indices())
                .collect(),
            logits,
            nearness,
            logit_offsets: (0..singles)
                .map(|k| {
                    (0..classifier.num_classes())
                        .map(|j| mean_logits[(j, k)] + classifier.bias[j])
                        .collect()
                })
                .collect(),
            nearness_offsets: (0..singles)
                .map(|k| {
                    (0..singles)
                        .map(|j| gram[(k, j)] - 0.5 * gram[(j, j)])
                        .collect()
                })
                .collect(),
        }
    }

    /// Whether the largest logit and the nearest class mean name the same class.
    fn agrees(&self, projected: &[f64], set: usize) -> bool {
        let largest = |scores: &[f64], offsets: &[f64]| {
            let mut best = (0, f64::NEG_INFINITY);
            for (class, (score, offset)) in scores.iter().zip(offsets).enumerate() {
                if score + offset > best.1 {
                    best = (class, score + offset);
                }
            }
            best.0
        };
        let by_logit = largest(&projected[self.logits.clone()], &self.logit_offsets[set]);
        let by_mean = largest(
            &projected[self.nearness.clone()],
            &self.nearness_offsets[set],
        );
        by_logit == self.classes[by_mean]
    }
}
