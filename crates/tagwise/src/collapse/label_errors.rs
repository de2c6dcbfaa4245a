//! Labels that are likely wrong, with a probability.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::labelled::Places;
use super::{Group, Labelled};
use crate::kernel::dot;
use crate::matrix::as_faer;
use crate::snapshot::LinearClassifier;
use crate::{LabelSet, kernel};

/// Multiply-adds up to which distances to the means of all label sets are measured: some seconds.
const MOST_WORK: f64 = 4e10;

/// Other label sets that a sample is compared with: the nearest.
const NUM_OTHERS: usize = 7;

/// Samples that the two parameters are fitted to, at equal steps through all.
const NUM_FITTED: usize = 20_000;

/// Contradicted samples that are kept while others are looked at, those farthest on the wrong side.
const NUM_KEPT: usize = 50_000;

/// Rows that one task takes at once.
const TASK_ROWS: usize = 128;

/// Samples of which none has a wrong label that the rate is pulled to: a rate needs more evidence
/// than a few odd samples.
const CLEAN_SAMPLES: f64 = 20.0;

/// From here on a label counts as likely wrong.
const LIKELY: f64 = 0.5;

/// Labels that both the nearest label set and the classifier contradict, with the probability that
/// they are wrong.
///
/// With d_T the distance of a sample to the mean of label set T, without the sample itself, and n_T
/// its samples, features give T the probability p_T ∝ n_T·exp(−β·d_T²/2). A share ε of all labels is
/// wrong, and then any of the L − 1 other label sets is as likely as another. β and ε are those of
/// largest likelihood Π_i [(1 − ε)·p_S + ε·(1 − p_S)/(L − 1)] with 20 samples of right labels added;
/// the label S of a sample is then wrong with the probability
/// ε·(1 − p_S)/(L − 1) over that factor. Where label sets overlap β is small and ε with it, so that
/// samples between two sets are no errors. Label sets that occur once take no part: there is no mean
/// without the sample. Sums go over the 7 nearest other sets.
///
/// How often that is right is measured in `docs/verdicts.md`. The probability holds for labels that
/// are wrong at random; where annotators confuse two sets that look alike, it is too small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LabelErrors {
    /// Samples that were looked at: those of label sets that occur at least twice.
    pub num_samples: u64,
    /// Those whose label both the nearest label set and the classifier contradict.
    pub num_contradicted: u64,
    /// Those of them whose label is wrong with a probability of at least ½.
    pub num_likely: u64,
    /// ε, the share of wrong labels.
    pub rate: f64,
    /// The likely errors, the most likely first, as many as were asked for.
    pub samples: Vec<LikelyError>,
}

/// A label that is likely wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LikelyError {
    /// Row of the sample, from 0.
    pub sample: usize,
    /// Its label set S.
    pub label_set: LabelSet,
    /// That its label set is wrong.
    pub probability: f64,
    /// The label set whose mean is nearest.
    pub nearest_set: LabelSet,
    /// The |S| labels that the classifier ranks first.
    pub classifier_set: LabelSet,
}

/// Squared distances of a sample.
#[derive(Clone, Copy)]
struct Distances {
    /// To its own label set, and the logarithm of how often it occurs.
    own: (f64, f64),
    others: [(f64, f64); NUM_OTHERS],
}

/// A sample whose label is contradicted.
struct Contradicted {
    sample: usize,
    set: usize,
    nearest: usize,
    classifier_set: LabelSet,
    distances: Distances,
}

/// A look at all samples of label sets that occur at least twice.
pub(super) struct LabelLook<'a> {
    group: Group<'a>,
    classifier: &'a LinearClassifier,
    /// Positions of the sets that occur at least twice.
    sets: Vec<usize>,
    /// The place of each in `sets`.
    places: Places<'a>,
    means: Mat<f64>,   // [d, sets], less the centre
    squares: Vec<f64>, // [sets]
    logs: Vec<f64>,
    centre: Vec<f64>,
    /// One of so many samples is fitted to.
    stride: usize,
    fitted: Vec<Distances>,
    contradicted: Vec<Contradicted>,
    num_samples: u64,
    num_contradicted: u64,
    num_seen: usize,
}

impl<'a> LabelLook<'a> {
    /// `None` where fewer than two label sets repeat, and where it would take too long.
    pub(super) fn new(
        labelled: &'a Labelled<'a>,
        classifier: Option<&'a LinearClassifier>,
    ) -> Option<Self> {
        let group = labelled.all();
        let repeats = |&position: &usize| group.counts[position] > 1.0;
        let sets: Vec<usize> = (0..group.sets.len()).filter(repeats).collect();
        let samples: f64 = sets.iter().map(|&position| group.counts[position]).sum();
        if sets.len() < 2 || samples * (sets.len() * labelled.dim) as f64 > MOST_WORK {
            return None;
        }
        let centre = group.centre();
        let means = Mat::from_fn(labelled.dim, sets.len(), |j, column| {
            group.mean(sets[column])[j] - centre[j]
        });
        let squares = (0..sets.len()).map(|column| {
            let mean = super::column(means.as_ref(), column);
            dot(mean, mean)
        });
        Some(Self {
            classifier: classifier?,
            squares: squares.collect(),
            logs: sets.iter().map(|&set| group.counts[set].ln()).collect(),
            places: Places::new(sets.iter().map(|&position| group.sets[position])),
            sets,
            means,
            centre,
            group,
            stride: (samples as usize).div_ceil(NUM_FITTED).max(1),
            fitted: Vec::new(),
            contradicted: Vec::new(),
            num_samples: 0,
            num_contradicted: 0,
            num_seen: 0,
        })
    }

    /// Looks at the next samples. `rows` is `[n, d]`; `set_ids` index `distinct`.
    pub(super) fn update<T: Copy + Into<f64> + Sync>(
        &mut self,
        rows: &[T],
        distinct: &[LabelSet],
        set_ids: &[u32],
    ) {
        let samples = self.places.of_samples(distinct, set_ids);
        let samples: Vec<(usize, usize)> = samples.map(|(row, _, place)| (row, place)).collect();
        let looked: Vec<Vec<(Distances, Option<Contradicted>)>> = samples
            .par_chunks(TASK_ROWS)
            .map(|samples| self.look(rows, samples))
            .collect();
        for (distances, contradicted) in looked.into_iter().flatten() {
            if (self.num_samples as usize).is_multiple_of(self.stride) {
                self.fitted.push(distances);
            }
            self.num_samples += 1;
            if let Some(contradicted) = contradicted {
                self.num_contradicted += 1;
                self.contradicted.push(contradicted);
            }
        }
        if self.contradicted.len() > 2 * NUM_KEPT {
            let margin = |one: &Contradicted| one.distances.own.0 - one.distances.others[0].0;
            self.contradicted
                .sort_by(|a, b| margin(b).total_cmp(&margin(a)));
            self.contradicted.truncate(NUM_KEPT);
        }
        self.num_seen += set_ids.len();
    }

    /// Samples as (row, place of the label set).
    fn look<T: Copy + Into<f64>>(
        &self,
        rows: &[T],
        samples: &[(usize, usize)],
    ) -> Vec<(Distances, Option<Contradicted>)> {
        let dim = self.means.nrows();
        let mut residuals = vec![0.0; samples.len() * dim];
        for (&(row, _), out) in samples.iter().zip(residuals.chunks_exact_mut(dim.max(1))) {
            kernel::subtract(&rows[row * dim..(row + 1) * dim], &self.centre, out);
        }
        let features = MatRef::from_column_major_slice(&residuals, dim, samples.len());
        let mut products = vec![0.0; self.sets.len() * samples.len()];
        matmul(
            MatMut::from_column_major_slice_mut(&mut products, self.sets.len(), samples.len()),
            Accum::Replace,
            self.means.transpose(),
            features,
            1.0,
            Par::Seq,
        );
        let mut logits = Mat::zeros(self.classifier.num_classes(), samples.len());
        matmul(
            logits.as_mut(),
            Accum::Replace,
            as_faer(&self.classifier.weight),
            features,
            1.0,
            Par::Seq,
        );
        let weights = as_faer(&self.classifier.weight);
        let shift: Vec<f64> = (0..self.classifier.num_classes())
            .map(|class| {
                let of_centre = weights.row(class).iter().zip(&self.centre);
                let of_centre: f64 = of_centre.map(|(w, c)| w * c).sum();
                of_centre + self.classifier.bias[class]
            })
            .collect();
        let mut squared = vec![0.0; self.sets.len()];
        let columns = products.chunks_exact(self.sets.len());
        let found = samples.iter().enumerate().zip(columns);
        found
            .map(|((number, &(row, own)), products)| {
                let feature = &residuals[number * dim..(number + 1) * dim];
                let square = dot(feature, feature);
                for (set, (squared, product)) in squared.iter_mut().zip(products).enumerate() {
                    *squared = (square - 2.0 * product + self.squares[set]).max(0.0);
                }
                // Of the mean without the sample itself.
                let count = self.group.counts[self.sets[own]];
                squared[own] *= (count / (count - 1.0)).powi(2);
                let (distances, nearest) = self.nearest(&squared, own);
                if distances.own.0 <= distances.others[0].0 {
                    return (distances, None);
                }
                let set = self.group.sets[self.sets[own]];
                let logits = super::column(logits.as_ref(), number);
                let mut order: Vec<u32> = (0..logits.len() as u32).collect();
                let score = |class: u32| logits[class as usize] + shift[class as usize];
                order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
                let top = order.into_iter().take(set.multiplicity());
                let classifier_set: LabelSet = top.collect();
                let is_contradicted = classifier_set != *set;
                let contradicted = is_contradicted.then(|| Contradicted {
                    sample: self.num_seen + row,
                    set: own,
                    nearest,
                    classifier_set,
                    distances,
                });
                (distances, contradicted)
            })
            .collect()
    }

    /// The distances to the own label set and the nearest others, and which is nearest of these.
    fn nearest(&self, squared: &[f64], own: usize) -> (Distances, usize) {
        let mut others = [(f64::INFINITY, 0.0); NUM_OTHERS];
        let mut nearest = own;
        for (set, &distance) in squared.iter().enumerate() {
            if set == own || distance >= others[NUM_OTHERS - 1].0 {
                continue;
            }
            let place = others.partition_point(|other| other.0 <= distance);
            others[place..].rotate_right(1);
            others[place] = (distance, self.logs[set]);
            if place == 0 {
                nearest = set;
            }
        }
        let own = (squared[own], self.logs[own]);
        (Distances { own, others }, nearest)
    }

    /// What this look found; as many likely errors are listed as asked for.
    pub(super) fn finish(self, num_listed: usize) -> LabelErrors {
        let model = Model::fit(&self.fitted, self.sets.len());
        let mut samples: Vec<LikelyError> = Vec::new();
        for one in &self.contradicted {
            let probability = model.probability(&one.distances);
            if probability < LIKELY {
                continue;
            }
            let set = |place: usize| self.group.sets[self.sets[place]].clone();
            samples.push(LikelyError {
                sample: one.sample,
                label_set: set(one.set),
                probability,
                nearest_set: set(one.nearest),
                classifier_set: one.classifier_set.clone(),
            });
        }
        samples.sort_by(|a, b| {
            let by_probability = b.probability.total_cmp(&a.probability);
            by_probability.then(a.sample.cmp(&b.sample))
        });
        let num_likely = samples.len() as u64;
        samples.truncate(num_listed);
        LabelErrors {
            num_samples: self.num_samples,
            num_contradicted: self.num_contradicted,
            num_likely,
            rate: model.rate,
            samples,
        }
    }
}

/// β and ε of [`LabelErrors`].
#[derive(Clone, Copy, Debug)]
struct Model {
    sharpness: f64,
    rate: f64,
    num_sets: usize,
}

impl Model {
    /// The pair of largest likelihood: β on a grid around the inverse of the mean square distance,
    /// ε by expectation maximisation.
    fn fit(samples: &[Distances], num_sets: usize) -> Self {
        let count = samples.len().max(1) as f64;
        let typical = samples.iter().map(|sample| sample.own.0).sum::<f64>() / count;
        let mut best = (
            f64::NEG_INFINITY,
            Self {
                sharpness: 0.0,
                rate: 0.0,
                num_sets,
            },
        );
        if typical > 0.0 {
            // A quarter of an octave apart, from far too flat to far too sharp.
            for step in -20..=40 {
                let sharpness = (f64::from(step) / 4.0).exp2() / typical;
                let candidate = Self::with_sharpness(samples, num_sets, sharpness);
                if candidate.0 > best.0 {
                    best = candidate;
                }
            }
        }
        best.1
    }

    fn with_sharpness(samples: &[Distances], num_sets: usize, sharpness: f64) -> (f64, Self) {
        const ROUNDS: usize = 50;
        let mut model = Self {
            sharpness,
            rate: 0.01,
            num_sets,
        };
        let shares: Vec<f64> = samples.par_iter().map(|s| model.share(s)).collect();
        let total = samples.len() as f64 + CLEAN_SAMPLES;
        for _ in 0..ROUNDS {
            let wrong: f64 = shares.iter().map(|&p| model.of_share(p).1).sum();
            model.rate = wrong / total;
        }
        let logarithms: f64 = shares.iter().map(|&p| model.of_share(p).0.ln()).sum();
        (logarithms + CLEAN_SAMPLES * (-model.rate).ln_1p(), model)
    }

    /// p_S of the sample's own label set.
    fn share(&self, sample: &Distances) -> f64 {
        let score = |(square, log): (f64, f64)| log - 0.5 * self.sharpness * square;
        let own = score(sample.own);
        let others = sample.others.iter().filter(|other| other.0.is_finite());
        // Not larger than 1/e^{−745}, which is infinite: the share is then 0.
        (1.0 + others.map(|&other| (score(other) - own).exp()).sum::<f64>()).recip()
    }

    /// The likelihood of a label with p_S, and the probability that it is wrong.
    fn of_share(&self, share: f64) -> (f64, f64) {
        let wrong = self.rate * (1.0 - share) / (self.num_sets as f64 - 1.0);
        let likelihood = ((1.0 - self.rate) * share + wrong).max(f64::MIN_POSITIVE);
        (likelihood, wrong / likelihood)
    }

    fn probability(&self, sample: &Distances) -> f64 {
        self.of_share(self.share(sample)).1
    }
}
