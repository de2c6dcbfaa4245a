//! What every one-nearest-neighbour decoder of a training set shares.

use faer::Mat;

use super::parts::row_major;
use super::settings::{EmptySet, NearestSettings, Prior, Prototypes};
use crate::collapse::{TagSource, TagVectors};
use crate::product::product;
use crate::statistics::Statistics;
use crate::{Error, Result};

/// A label set of the training samples.
pub(super) struct Seen {
    /// Positions among the known classes.
    pub(super) classes: Box<[u32]>,
    pub(super) count: f64,
    pub(super) mean: Vec<f64>,
    /// Σ‖h − h̄_S‖² over its samples.
    pub(super) square_sum: f64,
    /// Σ_{k∈S} h̄_k.
    pub(super) tag_sum: Vec<f64>,
}

impl Seen {
    pub(super) fn multiplicity(&self) -> usize {
        self.classes.len()
    }
}

/// Classes that occur, their vectors, and the label sets seen.
pub(super) struct Training {
    pub(super) labels: Vec<u32>,
    pub(super) tags: Mat<f64>, // [known classes, d]
    pub(super) seen: Vec<Seen>,
    pub(super) max_multiplicity: usize,
}

impl Training {
    pub(super) fn new(statistics: &Statistics, max_multiplicity: Option<usize>) -> Result<Self> {
        let vectors = TagVectors::estimate(statistics)?;
        let known: Vec<usize> = (0..statistics.num_classes())
            .filter(|&class| vectors.sources()[class] != TagSource::Unobserved)
            .collect();
        if known.is_empty() {
            return Err(Error::Undefined(
                "decoding needs at least one labelled training sample".into(),
            ));
        }
        if max_multiplicity == Some(0) {
            return Err(Error::OutOfRange {
                name: "the largest multiplicity to decode",
                requirement: "of at least 1",
                found: "0".into(),
            });
        }
        let tags = Mat::from_fn(known.len(), statistics.dim(), |row, column| {
            vectors.vectors()[(known[row], column)]
        });
        let means = statistics.set_means();
        let (counts, square_sums) = (statistics.set_counts(), statistics.set_square_sums());
        let seen: Vec<Seen> = statistics
            .label_sets()
            .enumerate()
            .map(|(row, set)| {
                let classes: Box<[u32]> = set
                    .indices()
                    .filter_map(|label| known.binary_search(&label).ok())
                    .map(|position| position as u32)
                    .collect();
                Seen {
                    count: counts[row] as f64,
                    mean: (0..statistics.dim()).map(|c| means[(row, c)]).collect(),
                    square_sum: square_sums[row],
                    tag_sum: (0..statistics.dim())
                        .map(|c| classes.iter().map(|&k| tags[(k as usize, c)]).sum())
                        .collect(),
                    classes,
                }
            })
            .collect();
        let largest_seen = seen.iter().map(Seen::multiplicity).max().unwrap_or(1);
        Ok(Self {
            max_multiplicity: max_multiplicity.unwrap_or(largest_seen).min(known.len()),
            labels: known.iter().map(|&class| class as u32).collect(),
            tags,
            seen,
        })
    }

    pub(super) fn labelled(&self) -> impl Iterator<Item = &Seen> + Clone {
        self.seen.iter().filter(|seen| !seen.classes.is_empty())
    }

    /// The least-squares c_m of h̄_S ≈ c_m·Σ_{k∈S} h̄_k for each multiplicity. A multiplicity that
    /// does not occur gets the scale that keeps the mean norm of the prototypes of the nearest one
    /// that does.
    pub(super) fn scales(&self) -> Vec<f64> {
        let measured: Vec<Option<f64>> = (1..=self.max_multiplicity)
            .map(|m| {
                let of_this = || self.labelled().filter(move |seen| seen.multiplicity() == m);
                let sum = |f: &dyn Fn(&Seen) -> f64| of_this().map(|s| s.count * f(s)).sum::<f64>();
                let shared = sum(&|seen| dot(&seen.mean, &seen.tag_sum));
                let norm = sum(&|seen| dot(&seen.tag_sum, &seen.tag_sum));
                (shared > 0.0 && norm > 0.0).then(|| shared / norm)
            })
            .collect();
        let typical_norms = self.typical_norms();
        (0..self.max_multiplicity)
            .map(|m| {
                measured[m].unwrap_or_else(|| {
                    let nearest = (0..self.max_multiplicity)
                        .filter_map(|other| measured[other].map(|scale| (other, scale)))
                        .min_by_key(|(other, _)| other.abs_diff(m));
                    match nearest {
                        Some((other, scale)) if typical_norms[m] > 0.0 => {
                            scale * (typical_norms[other] / typical_norms[m]).sqrt()
                        }
                        _ => 1.0,
                    }
                })
            })
            .collect()
    }

    /// The mean of ‖Σ_{k∈S} h̄_k‖² over all sets of each multiplicity.
    fn typical_norms(&self) -> Vec<f64> {
        let num_known = self.labels.len() as f64;
        let gram = product(self.tags.as_ref(), self.tags.transpose());
        let trace: f64 = (0..gram.nrows()).map(|k| gram[(k, k)]).sum();
        let between: f64 = row_major(gram.as_ref()).iter().sum::<f64>() - trace;
        (1..=self.max_multiplicity)
            .map(|m| {
                let m = m as f64;
                let pairs = (num_known * (num_known - 1.0)).max(1.0);
                m * trace / num_known + m * (m - 1.0) * between / pairs
            })
            .collect()
    }

    /// The label sets that need a prototype or prior of their own.
    pub(super) fn own_sets(&self, settings: &NearestSettings) -> Result<Vec<&Seen>> {
        let is_own =
            settings.prototypes == Prototypes::LabelSets || settings.prior == Prior::LabelSet;
        let mut own: Vec<&Seen> = self
            .labelled()
            .filter(|seen| is_own && seen.multiplicity() <= self.max_multiplicity)
            .collect();
        if settings.empty_set == EmptySet::Measured {
            let empty = self.seen.iter().find(|seen| seen.classes.is_empty());
            own.push(empty.ok_or_else(|| {
                Error::Undefined(
                    "a measured empty set needs training samples without labels, found none".into(),
                )
            })?);
        }
        Ok(own)
    }

    /// Their prototypes, `[sets, d]`.
    pub(super) fn own_means(
        &self,
        own: &[&Seen],
        prototypes: Prototypes,
        scales: &[f64],
    ) -> Mat<f64> {
        let weight = match prototypes {
            Prototypes::TagAverages => f64::INFINITY,
            Prototypes::LabelSets => self.tag_average_weight(scales),
        };
        let dim = self.tags.ncols();
        Mat::from_fn(own.len(), dim, |row, column| {
            let seen = own[row];
            let Some(m) = seen.multiplicity().checked_sub(1) else {
                return seen.mean[column];
            };
            let average = scales[m] * seen.tag_sum[column];
            if weight.is_infinite() {
                average
            } else {
                (seen.count * seen.mean[column] + weight * average) / (seen.count + weight)
            }
        })
    }

    /// κ, the number of samples that the tag-wise average is worth: the variance of samples around
    /// the mean of their set over that of set means around tag-wise averages.
    pub(super) fn tag_average_weight(&self, scales: &[f64]) -> f64 {
        let within = self.within_variance().unwrap_or(0.0);
        let (mut squares, mut sampling, mut num_sets) = (0.0, 0.0, 0.0);
        for seen in self
            .labelled()
            .filter(|seen| (2..=self.max_multiplicity).contains(&seen.multiplicity()))
        {
            let scale = scales[seen.multiplicity() - 1];
            let residuals = seen.mean.iter().zip(&seen.tag_sum);
            squares += residuals.map(|(h, t)| (h - scale * t).powi(2)).sum::<f64>();
            sampling += within / seen.count;
            num_sets += 1.0;
        }
        if num_sets == 0.0 {
            return 0.0;
        }
        let between = (squares - sampling) / num_sets;
        match (within > 0.0, between > 0.0) {
            (_, true) => within / between,
            (true, false) => f64::INFINITY,
            (false, false) => 0.0,
        }
    }

    /// The variance of samples around the mean of their set, summed over the dimensions.
    pub(super) fn within_variance(&self) -> Option<f64> {
        let freedom = self.degrees_of_freedom();
        let squares: f64 = self.labelled().map(|seen| seen.square_sum).sum();
        (freedom > 0.0).then(|| squares / freedom)
    }

    pub(super) fn degrees_of_freedom(&self) -> f64 {
        self.labelled().map(|seen| seen.count - 1.0).sum()
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
