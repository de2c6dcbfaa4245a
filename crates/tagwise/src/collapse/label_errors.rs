//! Labels that are likely wrong, with a probability.

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::compressed::Compressed;
use super::{Directions, Group, Labelled};
use crate::kernel::dot;
use crate::matrix::as_faer;
use crate::product::multiply;
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

/// A sample that was looked at.
pub(super) struct Looked {
    /// Its row from the beginning of the stream.
    sample: usize,
    distances: Distances,
    contradicted: Option<Contradicted>,
}

/// What contradicts a label.
struct Contradicted {
    set: usize,
    nearest: usize,
    classifier_set: LabelSet,
}

/// Working memory of a thread.
#[derive(Default)]
pub(super) struct Scratch {
    coordinates: Vec<f64>, // [rows, r]
    products: Vec<f64>,    // [rows, sets]
    features: Vec<f64>,    // [rows, d], less the centre
    scores: Vec<f64>,      // [rows, K]
}

/// A look at all samples of label sets that occur at least twice.
pub(super) struct LabelLook<'a> {
    group: Group<'a>,
    classifier: &'a LinearClassifier,
    /// W·centre + b.
    shift: Vec<f64>,
    /// Positions of the sets that occur at least twice.
    sets: Vec<usize>,
    /// The place of each set in `sets`.
    places: Vec<Option<usize>>,
    /// Of the means, in the basis of the projections or less the centre, `[r, sets]`.
    coordinates: Mat<f64>,
    is_projected: bool,
    squares: Vec<f64>, // [sets]
    logs: Vec<f64>,
    centre: Vec<f64>,
    /// One of so many samples is fitted to.
    stride: usize,
    fitted: Vec<(usize, Distances)>,
    contradicted: Vec<(usize, Distances, Contradicted)>,
    num_samples: u64,
    num_contradicted: u64,
}

impl<'a> LabelLook<'a> {
    /// `None` where fewer than two label sets repeat, and where it would take too long.
    pub(super) fn new(
        labelled: &'a Labelled<'a>,
        classifier: Option<&'a LinearClassifier>,
        compressed: Option<&Compressed>,
    ) -> Option<Self> {
        let classifier = classifier?;
        let group = labelled.all();
        let repeats = |&position: &usize| group.counts[position] > 1.0;
        let sets: Vec<usize> = (0..group.sets.len()).filter(repeats).collect();
        let samples: f64 = sets.iter().map(|&position| group.counts[position]).sum();
        let projection = compressed.filter(|compressed| compressed.directions == Directions::All);
        let rank = projection.map_or(labelled.dim, |projection| projection.basis.ncols());
        if sets.len() < 2 || samples * (sets.len() * rank) as f64 > MOST_WORK {
            return None;
        }
        let centre = group.centre();
        let coordinates = match projection {
            Some(projection) => {
                let basis = projection.basis.as_ref();
                let all = labelled.in_coordinates(basis, &projection.origin).means;
                Mat::from_fn(rank, sets.len(), |j, column| all[sets[column] * rank + j])
            }
            None => Mat::from_fn(rank, sets.len(), |j, column| {
                group.mean(sets[column])[j] - centre[j]
            }),
        };
        let squares = (0..sets.len()).map(|column| {
            let mean = super::column(coordinates.as_ref(), column);
            dot(mean, mean)
        });
        let of_centre = (0..classifier.num_classes())
            .map(|class| dot(classifier.weight.row(class), &centre) + classifier.bias[class]);
        let mut places = vec![None; group.sets.len()];
        for (place, &position) in sets.iter().enumerate() {
            places[position] = Some(place);
        }
        Some(Self {
            shift: of_centre.collect(),
            classifier,
            squares: squares.collect(),
            logs: sets.iter().map(|&set| group.counts[set].ln()).collect(),
            places,
            sets,
            is_projected: projection.is_some(),
            coordinates,
            centre,
            group,
            stride: (samples as usize).div_ceil(NUM_FITTED).max(1),
            fitted: Vec::new(),
            contradicted: Vec::new(),
            num_samples: 0,
            num_contradicted: 0,
        })
    }

    /// Whether [`look`](Self::look) takes residuals in the basis of the projections.
    pub(super) fn is_projected(&self) -> bool {
        self.is_projected
    }

    /// Looks at samples as (row, position of the label set), with the residuals from their means and the
    /// squares of these in all d directions. The rows are those after the first `num_seen` of the stream.
    ///
    /// A residual that lies in fewer directions leaves the others to the distance to every mean.
    pub(super) fn look<T: Copy + Into<f64>>(
        &self,
        rows: &[T],
        num_seen: usize,
        samples: &[(usize, usize)],
        (residuals, squares): (MatRef<'_, f64>, &[f64]),
        scratch: &mut Scratch,
    ) -> Vec<Looked> {
        let (rank, num_sets) = self.coordinates.shape();
        let own_sets = samples.iter().map(|&(_, position)| self.places[position]);
        let taken: Vec<(usize, usize)> = own_sets
            .enumerate()
            .filter_map(|(column, own)| Some((column, own?)))
            .collect();
        scratch.coordinates.resize(taken.len() * rank, 0.0);
        scratch.products.resize(taken.len() * num_sets, 0.0);
        let columns = scratch.coordinates.chunks_exact_mut(rank.max(1));
        for (&(column, own), out) in taken.iter().zip(columns) {
            out.copy_from_slice(super::column(self.coordinates.as_ref(), own));
            kernel::add_scaled(out, 1.0, super::column(residuals, column));
        }
        multiply(
            MatMut::from_column_major_slice_mut(&mut scratch.products, num_sets, taken.len()),
            Accum::Replace,
            self.coordinates.transpose(),
            MatRef::from_column_major_slice(&scratch.coordinates, rank, taken.len()),
            1.0,
        );
        let mut found = Vec::with_capacity(taken.len());
        let mut doubtful = Vec::new();
        let columns = scratch.products.chunks_exact_mut(num_sets);
        for (&(column, own), squared) in taken.iter().zip(columns) {
            // From x·c_T, with the coordinates x, and ‖h − h̄_S‖².
            let base = squares[column] - self.squares[own] + 2.0 * squared[own];
            for (squared, of_mean) in squared.iter_mut().zip(&self.squares) {
                *squared = (base - 2.0 * *squared + of_mean).max(0.0);
            }
            // Of the mean without the sample itself.
            let count = self.group.counts[self.sets[own]];
            squared[own] *= (count / (count - 1.0)).powi(2);
            let (distances, nearest) = self.nearest(squared, own);
            if distances.own.0 > distances.others[0].0 {
                doubtful.push((found.len(), nearest));
            }
            found.push(Looked {
                sample: num_seen + samples[column].0,
                distances,
                contradicted: None,
            });
        }
        let row_of = |looked: &Looked| looked.sample - num_seen;
        let doubtful_rows = doubtful.iter().map(|&(index, _)| row_of(&found[index]));
        let (features, scores) = (&mut scratch.features, &mut scratch.scores);
        let scores = self.scores(rows, doubtful_rows, features, scores);
        for (&(index, nearest), scores) in doubtful.iter().zip(scores) {
            let set = taken[index].1;
            let own = self.group.sets[self.sets[set]];
            let classifier_set = first_labels(scores, own.multiplicity());
            if classifier_set != *own {
                found[index].contradicted = Some(Contradicted {
                    set,
                    nearest,
                    classifier_set,
                });
            }
        }
        found
    }

    /// Keeps what the samples of a block gave.
    pub(super) fn keep(&mut self, looked: impl Iterator<Item = Looked>) {
        for looked in looked {
            if looked.sample.is_multiple_of(self.stride) {
                self.fitted.push((looked.sample, looked.distances));
            }
            self.num_samples += 1;
            if let Some(contradicted) = looked.contradicted {
                self.num_contradicted += 1;
                let one = (looked.sample, looked.distances, contradicted);
                self.contradicted.push(one);
            }
        }
        if self.contradicted.len() > 2 * NUM_KEPT {
            let margin = |one: &(usize, Distances, Contradicted)| one.1.own.0 - one.1.others[0].0;
            self.contradicted
                .sort_by(|a, b| margin(b).total_cmp(&margin(a)).then(a.0.cmp(&b.0)));
            self.contradicted.truncate(NUM_KEPT);
        }
    }

    /// The logits of some rows.
    fn scores<'b, T: Copy + Into<f64>>(
        &self,
        rows: &[T],
        numbers: impl Iterator<Item = usize>,
        features: &mut Vec<f64>,
        scores: &'b mut Vec<f64>,
    ) -> std::slice::ChunksExact<'b, f64> {
        let (dim, num_classes) = (self.centre.len(), self.shift.len());
        features.clear();
        let mut count = 0;
        for row in numbers {
            count += 1;
            let values = rows[row * dim..(row + 1) * dim].iter().zip(&self.centre);
            features.extend(values.map(|(&value, centre)| value.into() - centre));
        }
        scores.resize(count * num_classes, 0.0);
        for scores in scores.chunks_exact_mut(num_classes) {
            scores.copy_from_slice(&self.shift);
        }
        multiply(
            MatMut::from_column_major_slice_mut(scores, num_classes, count),
            Accum::Add,
            as_faer(&self.classifier.weight),
            MatRef::from_column_major_slice(features, dim, count),
            1.0,
        );
        scores.chunks_exact(num_classes)
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
    pub(super) fn finish(mut self, num_listed: usize) -> LabelErrors {
        // In the order of the samples, whatever blocks they came in.
        self.fitted.sort_unstable_by_key(|&(sample, _)| sample);
        let fitted: Vec<Distances> = self.fitted.into_iter().map(|(_, one)| one).collect();
        let model = Model::fit(&fitted, self.sets.len());
        let mut samples: Vec<LikelyError> = Vec::new();
        for (sample, distances, one) in self.contradicted {
            let probability = model.probability(&distances);
            if probability < LIKELY {
                continue;
            }
            let set = |place: usize| self.group.sets[self.sets[place]].clone();
            samples.push(LikelyError {
                sample,
                label_set: set(one.set),
                probability,
                nearest_set: set(one.nearest),
                classifier_set: one.classifier_set,
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

/// The labels of the largest scores, the first of equal ones.
fn first_labels(scores: &[f64], count: usize) -> LabelSet {
    let score = |class: u32| scores[class as usize];
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    order.into_iter().take(count).collect()
}

/// β and ε of [`LabelErrors`].
#[derive(Clone, Copy, Debug)]
struct Model {
    sharpness: f64,
    rate: f64,
    num_sets: usize,
}

impl Model {
    /// The pair of largest likelihood: β on a grid around the inverse of the mean square distance, a
    /// quarter of an octave apart, from far too flat to far too sharp; first every fourth of them, then
    /// those around the best.
    fn fit(samples: &[Distances], num_sets: usize) -> Self {
        let count = samples.len().max(1) as f64;
        let typical = samples.iter().map(|sample| sample.own.0).sum::<f64>() / count;
        if typical <= 0.0 {
            return Self {
                sharpness: 0.0,
                rate: 0.0,
                num_sets,
            };
        }
        let best_of = |steps: Vec<i32>| {
            let candidates: Vec<(f64, i32, Self)> = steps
                .into_par_iter()
                .map(|step| {
                    let sharpness = (f64::from(step) / 4.0).exp2() / typical;
                    let (likelihood, model) = Self::with_sharpness(samples, num_sets, sharpness);
                    (likelihood, step, model)
                })
                .collect();
            let first_best = candidates
                .into_iter()
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            first_best.expect("a grid is not empty")
        };
        const GRID: std::ops::RangeInclusive<i32> = -20..=40;
        let (_, best, _) = best_of(GRID.step_by(4).collect());
        let around = (best - 3..=best + 3).filter(|step| GRID.contains(step));
        best_of(around.collect()).2
    }

    fn with_sharpness(samples: &[Distances], num_sets: usize, sharpness: f64) -> (f64, Self) {
        let mut model = Self {
            sharpness,
            rate: 0.0,
            num_sets,
        };
        let shares: Vec<f64> = samples.iter().map(|s| model.share(s)).collect();
        model.rate = likeliest_rate(&shares, num_sets);
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

/// The ε of largest likelihood for the p_S of samples: their logarithms are concave in ε, so that
/// Newton's steps within a bracket find it.
fn likeliest_rate(shares: &[f64], num_sets: usize) -> f64 {
    const MOST_STEPS: usize = 100;
    const TOLERANCE: f64 = 1e-10;
    let others = num_sets as f64 - 1.0;
    let slopes = |rate: f64| {
        let clean = CLEAN_SAMPLES / (1.0 - rate);
        let (mut first, mut second) = (-clean, -clean / (1.0 - rate));
        for &share in shares {
            let step = (1.0 - share) / others - share;
            let relative = step / (share + rate * step).max(f64::MIN_POSITIVE);
            first += relative;
            second -= relative * relative;
        }
        (first, second)
    };
    if slopes(0.0).0 <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high, mut rate) = (0.0, 1.0, 0.01);
    for _ in 0..MOST_STEPS {
        let (first, second) = slopes(rate);
        *(if first > 0.0 { &mut low } else { &mut high }) = rate;
        let newton = rate - first / second;
        let next = match newton > low && newton < high {
            true => newton,
            false => 0.5 * (low + high),
        };
        let is_there = (next - rate).abs() <= TOLERANCE * rate;
        rate = next;
        if is_there {
            break;
        }
    }
    rate
}
