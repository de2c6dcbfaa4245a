//! What a one-nearest-neighbour decoder needs, estimated from the statistics of a training set.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Side};
use serde::{Deserialize, Serialize};

use super::nearest::{DEFAULT_MAX_NODES, OwnPrototype, Parts, checked_scales, row_major};
use super::search::{Form, Offset};
use crate::statistics::{ScatterKind, Statistics};
use crate::{Error, Result};

mod training;

use training::Seen;
pub(super) use training::Training;

/// By which distance a prototype is near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// The angle; scale-free.
    #[default]
    Cosine,
    /// The straight-line distance, with one scale per multiplicity estimated by least squares.
    Euclidean,
    /// The distance under the pooled covariance of the samples around the means of their label
    /// sets, shrunk towards a multiple of the identity by the oracle-approximating rule of Chen et
    /// al. 2010 (arXiv 0907.4698). With label-set prototypes and priors this is linear
    /// discriminant analysis over label sets.
    Mahalanobis,
}

/// Where the prototype of a label set comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prototypes {
    /// The scaled tag-wise average c_m·Σ_{k∈S} h̄_k for every set.
    #[default]
    TagAverages,
    /// For sets seen in training their own mean, shrunk towards the tag-wise average:
    /// (n_S·h̄_S + κ·c_m·Σ_{k∈S} h̄_k)/(n_S + κ) with κ the ratio of the variance of samples around
    /// set means to that of set means around tag-wise averages, both estimated. The tag-wise
    /// average for all other sets.
    LabelSets,
}

/// How likely label sets are before the feature is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// All sets alike: the nearest wins.
    #[default]
    None,
    /// The share of each multiplicity in training, spread evenly over its C(K, m) sets.
    Multiplicity,
    /// The share of each set in training; the sets not seen share what Good and Turing's estimate
    /// leaves them, spread as for [`Multiplicity`](Self::Multiplicity).
    LabelSet,
}

/// When the answer is the empty set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptySet {
    /// Never: every sample gets at least one label.
    #[default]
    Never,
    /// When the mean of the unlabelled training samples is nearest.
    Measured,
    /// When the best score of all other sets is below this.
    Below(f64),
}

/// What [`OneNearestNeighbour::fit`](super::OneNearestNeighbour::fit) estimates.
///
/// The default is the decoder of the paper: cosine, tag-wise averages, no prior.
///
/// Priors enter as log-probabilities beside the log-likelihood of the distance: for the cosine
/// that of von Mises and Fisher's distribution, for the Euclidean distance that of an isotropic
/// and for the Mahalanobis distance that of a Gaussian with shared covariance. The spread of each
/// is estimated from the training samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct NearestSettings {
    /// By which distance a prototype is near.
    pub distance: Distance,
    /// Where prototypes come from.
    pub prototypes: Prototypes,
    /// How likely label sets are beforehand.
    pub prior: Prior,
    /// When the answer is the empty set.
    pub empty_set: EmptySet,
    /// The largest multiplicity of an answer; that of the training samples unless given.
    pub max_multiplicity: Option<usize>,
    /// Nodes that the search may visit for one sample.
    pub max_nodes: u64,
}

impl Default for NearestSettings {
    fn default() -> Self {
        Self {
            distance: Distance::default(),
            prototypes: Prototypes::default(),
            prior: Prior::default(),
            empty_set: EmptySet::default(),
            max_multiplicity: None,
            max_nodes: DEFAULT_MAX_NODES,
        }
    }
}

/// Estimates everything from the statistics.
pub(super) fn estimate(
    statistics: &Statistics,
    settings: &NearestSettings,
    scales: Option<&[f64]>,
) -> Result<Parts> {
    let training = Training::new(statistics, settings.max_multiplicity)?;
    estimate_from(&training, statistics, settings, scales)
}

/// [`estimate`] from what all settings with one largest multiplicity share.
pub(super) fn estimate_from(
    training: &Training,
    statistics: &Statistics,
    settings: &NearestSettings,
    scales: Option<&[f64]>,
) -> Result<Parts> {
    let scales = match scales {
        Some(scales) => checked_scales(scales, training.max_multiplicity)?,
        None => training.scales(),
    };
    let spread = Spread::new(training, statistics, settings.distance, &scales)?;
    let log_priors = LogPriors::new(training, settings.prior);
    let bonuses: Vec<f64> = (1..=training.max_multiplicity)
        .map(|m| spread.of_log_prior * log_priors.unseen(m))
        .collect();

    let own = training.own_sets(settings)?;
    let own_means = training.own_means(&own, settings.prototypes, &scales);
    let num_known = training.labels.len();
    let means = Mat::from_fn(
        num_known + own.len(),
        statistics.dim(),
        |row, column| match row.checked_sub(num_known) {
            None => training.tags[(row, column)],
            Some(row) => own_means[(row, column)],
        },
    );
    let directions = spread.directions(means.as_ref())?;
    let tag_directions = directions.subrows(0, num_known);
    let gram = training.tags.as_ref() * tag_directions.transpose();
    let gram = Mat::from_fn(num_known, num_known, |j, k| {
        0.5 * (gram[(j, k)] + gram[(k, j)]) // symmetric to the last bit
    });
    let own = own
        .iter()
        .enumerate()
        .map(|(row, seen)| OwnPrototype {
            classes: seen.classes.clone(),
            squared_norm: (0..statistics.dim())
                .map(|c| own_means[(row, c)] * directions[(num_known + row, c)])
                .sum(),
            bonus: spread.of_log_prior * log_priors.seen(seen),
        })
        .collect();
    Ok(Parts {
        num_classes: statistics.num_classes(),
        labels: training.labels.clone(),
        directions,
        gram: row_major(gram.as_ref()),
        max_multiplicity: training.max_multiplicity,
        form: match settings.distance {
            Distance::Cosine => Form::Cosine { bonuses },
            Distance::Euclidean => Form::Quadratic {
                scales,
                bonuses,
                offset: Offset::SquaredNorm,
            },
            Distance::Mahalanobis => Form::Quadratic {
                scales,
                bonuses,
                offset: Offset::None,
            },
        },
        own,
        concentration: match settings.prior {
            Prior::None => 1.0,
            Prior::Multiplicity | Prior::LabelSet => spread.concentration,
        },
        empty_set_below: match settings.empty_set {
            EmptySet::Below(score) => score,
            EmptySet::Never | EmptySet::Measured => f64::NEG_INFINITY,
        },
        max_nodes: settings.max_nodes,
    })
}

/// How features scatter around prototypes.
struct Spread {
    /// The Cholesky factor of the covariance, for the Mahalanobis distance.
    covariance: Option<faer::linalg::solvers::Llt<f64>>,
    /// The factor of a log prior in the units of the score.
    of_log_prior: f64,
    /// The concentration of von Mises and Fisher's distribution, for the cosine.
    concentration: f64,
}

impl Spread {
    fn new(
        training: &Training,
        statistics: &Statistics,
        distance: Distance,
        scales: &[f64],
    ) -> Result<Self> {
        let dim = statistics.dim() as f64;
        let variance = training.within_variance().unwrap_or(0.0) / dim;
        Ok(match distance {
            Distance::Cosine => Self {
                covariance: None,
                of_log_prior: 1.0,
                concentration: concentration(training, scales, dim),
            },
            // −‖h − μ‖²/(2σ²) + log π, times 2σ².
            Distance::Euclidean => Self {
                covariance: None,
                of_log_prior: 2.0 * variance,
                concentration: 1.0,
            },
            Distance::Mahalanobis => Self {
                covariance: Some(factor(shrunk_covariance(training, statistics)?)?),
                of_log_prior: 2.0,
                concentration: 1.0,
            },
        })
    }

    /// Σ⁻¹μ for each row μ, or μ itself.
    fn directions(&self, means: MatRef<'_, f64>) -> Result<Mat<f64>> {
        match &self.covariance {
            None => Ok(means.to_owned()),
            Some(factor) => Ok(factor.solve(means.transpose()).transpose().to_owned()),
        }
    }
}

/// κ = r(d − r²)/(1 − r²) with r the mean cosine of the samples with their prototypes
/// (Banerjee et al. 2005), each set's mean cosine taken from its mean and spread.
fn concentration(training: &Training, scales: &[f64], dim: f64) -> f64 {
    let (mut total, mut weight) = (0.0, 0.0);
    for seen in training
        .labelled()
        .filter(|s| s.multiplicity() <= scales.len())
    {
        let norm = dot(&seen.tag_sum, &seen.tag_sum).sqrt();
        let length = (dot(&seen.mean, &seen.mean) + seen.square_sum / seen.count).sqrt();
        if norm > 0.0 && length > 0.0 {
            total += seen.count * dot(&seen.mean, &seen.tag_sum) / (norm * length);
            weight += seen.count;
        }
    }
    /// Bounds that keep a perfectly collapsed or a hopeless training set finite.
    const RANGE: (f64, f64) = (1e-6, 1.0 - 1e-12);
    let mean_cosine = (total / f64::max(weight, 1.0)).clamp(RANGE.0, RANGE.1);
    mean_cosine * (dim - mean_cosine * mean_cosine) / (1.0 - mean_cosine * mean_cosine)
}

/// (1 − ρ)·S + ρ·tr(S)/d·I with S the pooled covariance around set means and ρ of the
/// oracle-approximating shrinkage (Chen et al. 2010, equation 23).
fn shrunk_covariance(training: &Training, statistics: &Statistics) -> Result<Mat<f64>> {
    if statistics.scatter_kind() != ScatterKind::Full {
        return Err(Error::Undefined(
            "the Mahalanobis distance needs statistics with the full scatter".into(),
        ));
    }
    let freedom = training.degrees_of_freedom();
    let dim = statistics.dim();
    let mut covariance = Mat::<f64>::zeros(dim, dim);
    let largest = training
        .labelled()
        .map(Seen::multiplicity)
        .max()
        .unwrap_or(0);
    for multiplicity in 1..=largest {
        if let Some(scatter) = statistics.within_scatter(multiplicity) {
            covariance += scatter;
        }
    }
    let trace: f64 = (0..dim).map(|c| covariance[(c, c)]).sum::<f64>() / freedom;
    if freedom == 0.0 || trace == 0.0 {
        return Err(Error::Undefined(
            "the Mahalanobis distance needs label sets with samples that differ; use the Euclidean distance or the cosine".into(),
        ));
    }
    covariance *= faer::Scale(1.0 / freedom);
    let d = dim as f64;
    let square_sum = covariance.squared_norm_l2(); // tr(S²)
    let excess = (freedom + 1.0 - 2.0 / d) * (square_sum - trace * trace / d);
    let shrinkage = if excess > 0.0 {
        (((1.0 - 2.0 / d) * square_sum + trace * trace) / excess).clamp(0.0, 1.0)
    } else {
        1.0
    };
    covariance *= faer::Scale(1.0 - shrinkage);
    for c in 0..dim {
        covariance[(c, c)] += shrinkage * trace / d;
    }
    Ok(covariance)
}

fn factor(covariance: Mat<f64>) -> Result<faer::linalg::solvers::Llt<f64>> {
    covariance.llt(Side::Lower).map_err(|_| {
        Error::Undefined(
            "the covariance around set means is singular; use the Euclidean distance or the cosine"
                .into(),
        )
    })
}

/// Log-probabilities of label sets before the feature is seen.
struct LogPriors {
    prior: Prior,
    num_known: usize,
    /// Share of each multiplicity from 0, smoothed so that none is impossible.
    shares: Vec<f64>,
    num_samples: f64,
    /// The number of samples that the sets not seen are worth.
    unseen_weight: f64,
}

impl LogPriors {
    fn new(training: &Training, prior: Prior) -> Self {
        let mut counts = vec![0.5; training.max_multiplicity + 1];
        let (mut num_samples, mut seen_once) = (0.0, 0.0);
        for seen in &training.seen {
            num_samples += seen.count;
            seen_once += f64::from(u8::from(seen.count == 1.0));
            if let Some(count) = counts.get_mut(seen.multiplicity()) {
                *count += seen.count;
            }
        }
        let total: f64 = counts.iter().sum();
        // Good and Turing: the sets not seen have the probability of those seen once.
        let unseen_weight = if seen_once < num_samples {
            (seen_once * num_samples / (num_samples - seen_once)).max(1.0)
        } else {
            num_samples
        };
        Self {
            prior,
            num_known: training.labels.len(),
            shares: counts.iter().map(|count| count / total).collect(),
            num_samples,
            unseen_weight,
        }
    }

    /// log(share of m/C(K, m))
    fn spread_evenly(&self, multiplicity: usize) -> f64 {
        let log_num_sets: f64 = (0..multiplicity)
            .map(|i| ((self.num_known - i) as f64 / (i + 1) as f64).ln())
            .sum();
        self.shares[multiplicity].ln() - log_num_sets
    }

    fn unseen(&self, multiplicity: usize) -> f64 {
        match self.prior {
            Prior::None => 0.0,
            Prior::Multiplicity => self.spread_evenly(multiplicity),
            Prior::LabelSet => {
                let share = self.unseen_weight / (self.num_samples + self.unseen_weight);
                share.ln() + self.spread_evenly(multiplicity)
            }
        }
    }

    fn seen(&self, seen: &Seen) -> f64 {
        match self.prior {
            Prior::None | Prior::Multiplicity => self.unseen(seen.multiplicity()),
            Prior::LabelSet => {
                let expected = self.unseen_weight * self.spread_evenly(seen.multiplicity()).exp();
                ((seen.count + expected) / (self.num_samples + self.unseen_weight)).ln()
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::decode::OneNearestNeighbour;
    use crate::{LabelSet, Targets};

    /// Rounding of sums of a few hundred products of numbers of size one.
    const ROUNDING: f64 = 1e-9;

    fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Samples around scaled sums of the axes plus a shift of each label set.
    struct Simulated {
        features: Vec<f64>,
        targets: Targets,
        statistics: Statistics,
    }

    const DIM: usize = 6;

    fn simulate(sets: &[(Vec<u32>, usize)], scale: f64, shift: f64, noise: f64) -> Simulated {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let (mut features, mut rows) = (Vec::new(), Vec::new());
        for (labels, count) in sets {
            let set = LabelSet::new(labels.iter().copied());
            let c = if set.multiplicity() > 1 { scale } else { 1.0 };
            let centre: Vec<f64> = (0..DIM as u32)
                .map(|axis| c * f64::from(u8::from(set.contains(axis))))
                .map(|x| {
                    if set.multiplicity() > 1 {
                        x + shift * gaussian(rng)
                    } else {
                        x
                    }
                })
                .collect();
            for _ in 0..*count {
                features.extend(centre.iter().map(|x| x + noise * gaussian(rng)));
                rows.push(set.clone());
            }
        }
        let targets = Targets::new(5, rows).unwrap();
        let mut statistics = Statistics::new(5, DIM);
        statistics.update(&features, &targets).unwrap();
        Simulated {
            features,
            targets,
            statistics,
        }
    }

    fn some_sets() -> Vec<(Vec<u32>, usize)> {
        vec![
            (vec![], 4),
            (vec![0], 30),
            (vec![1], 20),
            (vec![2], 25),
            (vec![3], 10),
            (vec![0, 1], 12),
            (vec![1, 2], 1),
            (vec![0, 2, 3], 6),
        ]
    }

    fn all_settings() -> Vec<NearestSettings> {
        let mut all = Vec::new();
        for distance in [Distance::Cosine, Distance::Euclidean, Distance::Mahalanobis] {
            for prototypes in [Prototypes::TagAverages, Prototypes::LabelSets] {
                for prior in [Prior::None, Prior::Multiplicity, Prior::LabelSet] {
                    for empty_set in [EmptySet::Never, EmptySet::Measured] {
                        all.push(NearestSettings {
                            distance,
                            prototypes,
                            prior,
                            empty_set,
                            ..NearestSettings::default()
                        });
                    }
                }
            }
        }
        all
    }

    /// Scores of all sets computed from explicit prototypes and the inverse covariance.
    fn explicit_scores(
        training: &Training,
        statistics: &Statistics,
        settings: &NearestSettings,
        feature: &[f64],
    ) -> Vec<(Vec<u32>, f64)> {
        let scales = training.scales();
        let log_priors = LogPriors::new(training, settings.prior);
        let variance = training.within_variance().unwrap() / DIM as f64;
        let identity = Mat::<f64>::identity(DIM, DIM);
        let precision = match settings.distance {
            Distance::Mahalanobis => factor(shrunk_covariance(training, statistics).unwrap())
                .unwrap()
                .solve(&identity),
            _ => identity,
        };
        let squared = |x: &[f64]| -> f64 {
            let terms =
                (0..DIM * DIM).map(|i| x[i / DIM] * precision[(i / DIM, i % DIM)] * x[i % DIM]);
            terms.sum()
        };
        let own = training.own_sets(settings).unwrap();
        let own_means = training.own_means(&own, settings.prototypes, &scales);
        let num_known = training.labels.len();
        (0u32..1 << num_known)
            .filter_map(|bits| {
                let classes: Vec<u32> = (0..num_known as u32)
                    .filter(|k| bits >> k & 1 == 1)
                    .collect();
                let m = classes.len();
                let position = own.iter().position(|seen| *seen.classes == *classes);
                let (prototype, log_prior): (Vec<f64>, f64) = match position {
                    Some(row) => (
                        (0..DIM).map(|c| own_means[(row, c)]).collect(),
                        log_priors.seen(own[row]),
                    ),
                    None if m == 0 || m > training.max_multiplicity => return None,
                    None => (
                        (0..DIM)
                            .map(|c| {
                                scales[m - 1]
                                    * classes
                                        .iter()
                                        .map(|&k| training.tags[(k as usize, c)])
                                        .sum::<f64>()
                            })
                            .collect(),
                        log_priors.unseen(m),
                    ),
                };
                let difference: Vec<f64> =
                    feature.iter().zip(&prototype).map(|(h, p)| h - p).collect();
                let score = match settings.distance {
                    Distance::Cosine => {
                        let cosine = dot(feature, &prototype)
                            / (dot(feature, feature) * dot(&prototype, &prototype)).sqrt();
                        match settings.prior {
                            Prior::None => cosine,
                            _ => concentration(training, &scales, DIM as f64) * cosine + log_prior,
                        }
                    }
                    Distance::Euclidean => -squared(&difference) + 2.0 * variance * log_prior,
                    Distance::Mahalanobis => {
                        squared(feature) - squared(&difference) + 2.0 * log_prior
                    }
                };
                Some((
                    classes
                        .iter()
                        .map(|&k| training.labels[k as usize])
                        .collect(),
                    score,
                ))
            })
            .collect()
    }

    #[test]
    fn every_variant_finds_the_best_of_all_explicit_scores() {
        let data = simulate(&some_sets(), 0.8, 0.2, 0.3);
        for settings in all_settings() {
            let decoder = OneNearestNeighbour::fit(&data.statistics, &settings).unwrap();
            let decoded = decoder.decode_with_margins(&data.features).unwrap();
            assert!(decoded.unproven.is_empty());
            let training = Training::new(&data.statistics, None).unwrap();
            assert_eq!(training.labels, [0, 1, 2, 3]); // class 4 never occurs
            for (sample, feature) in data.features.chunks(DIM).enumerate().step_by(5) {
                let mut scores = explicit_scores(&training, &data.statistics, &settings, feature);
                scores.sort_by(|a, b| b.1.total_cmp(&a.1));
                assert_eq!(
                    decoded.targets.set(sample).labels(),
                    scores[0].0,
                    "{settings:?}"
                );
                assert!(
                    (decoded.scores[sample] - scores[0].1).abs() < ROUNDING,
                    "{settings:?}"
                );
                let margin = scores[0].1 - scores[1].1;
                assert!(
                    (decoded.margins[sample] - margin).abs() < ROUNDING,
                    "{settings:?}"
                );
            }
        }
    }

    #[test]
    fn the_scale_of_each_multiplicity_is_recovered() {
        let sets: Vec<(Vec<u32>, usize)> = (0..5)
            .map(|k| (vec![k], 3))
            .chain([(vec![0, 4], 2)])
            .collect();
        let data = simulate(&sets, 0.8, 0.0, 0.0);
        let training = Training::new(&data.statistics, Some(3)).unwrap();
        let scales = training.scales();
        assert!((scales[0] - 1.0).abs() < ROUNDING && (scales[1] - 0.8).abs() < ROUNDING);
        // Triples do not occur: their prototypes get the norm of the pairs', c₃√3 = c₂√2.
        assert!((scales[2] - 0.8 * (2f64 / 3.0).sqrt()).abs() < ROUNDING);
    }

    #[test]
    fn the_weight_of_tag_averages_is_the_ratio_of_the_variances() {
        let singles = (0..5).map(|k| (vec![k], 2000));
        let pairs = (0..5).flat_map(|j| (0..j).map(move |k| (vec![j, k], 50)));
        let triples =
            (0..5).flat_map(|j| (0..j).flat_map(move |k| (0..k).map(move |l| (vec![j, k, l], 50))));
        let sets: Vec<(Vec<u32>, usize)> = singles.chain(pairs).chain(triples).collect();
        let data = simulate(&sets, 1.0, 0.2, 0.4);
        let training = Training::new(&data.statistics, None).unwrap();
        let weight = training.tag_average_weight(&training.scales());
        /// Relative error of a variance from 20 sets in 6 dimensions, three deviations.
        const SAMPLING: f64 = 3.0 * 0.13;
        assert!((weight / 4.0 - 1.0).abs() < SAMPLING, "{weight}"); // 0.4²/0.2²
    }

    #[test]
    fn means_are_trusted_fully_when_samples_do_not_scatter() {
        let data = simulate(&some_sets(), 0.8, 0.3, 0.0);
        let settings = NearestSettings {
            prototypes: Prototypes::LabelSets,
            distance: Distance::Euclidean,
            ..NearestSettings::default()
        };
        let decoder = OneNearestNeighbour::fit(&data.statistics, &settings).unwrap();
        let decoded = decoder.decode(&data.features[4 * DIM..]).unwrap();
        let truth: Vec<&LabelSet> = data.targets.iter().skip(4).collect();
        assert_eq!(decoded.targets.iter().collect::<Vec<_>>(), truth);
        let mahalanobis = NearestSettings {
            distance: Distance::Mahalanobis,
            ..settings
        };
        let error = OneNearestNeighbour::fit(&data.statistics, &mahalanobis).unwrap_err();
        insta::assert_snapshot!(error, @"the Mahalanobis distance needs label sets with samples that differ; use the Euclidean distance or the cosine");
    }

    #[test]
    fn the_empty_set_is_an_answer_only_when_asked_for() {
        let data = simulate(&some_sets(), 1.0, 0.0, 0.05);
        let decode = |empty_set| {
            let settings = NearestSettings {
                distance: Distance::Euclidean,
                empty_set,
                ..NearestSettings::default()
            };
            let decoder = OneNearestNeighbour::fit(&data.statistics, &settings).unwrap();
            decoder
                .decode(&data.features[..4 * DIM])
                .unwrap()
                .targets
                .max_multiplicity()
        };
        assert_eq!(decode(EmptySet::Never), 1);
        assert_eq!(decode(EmptySet::Measured), 0);
        assert_eq!(decode(EmptySet::Below(-0.25)), 0);
        assert_eq!(decode(EmptySet::Below(-1.5)), 1);
    }

    #[test]
    fn training_sets_that_do_not_determine_a_decoder_are_refused() {
        let unlabelled = simulate(&[(vec![], 3)], 1.0, 0.0, 0.1);
        let refused = |data: &Simulated, settings| {
            OneNearestNeighbour::fit(&data.statistics, &settings).unwrap_err()
        };
        insta::assert_snapshot!(refused(&unlabelled, NearestSettings::default()), @"decoding needs at least one labelled training sample");
        let labelled = simulate(&[(vec![0], 3)], 1.0, 0.0, 0.1);
        let measured = NearestSettings {
            empty_set: EmptySet::Measured,
            ..NearestSettings::default()
        };
        insta::assert_snapshot!(refused(&labelled, measured), @"a measured empty set needs training samples without labels, found none");
        let none = NearestSettings {
            max_multiplicity: Some(0),
            ..NearestSettings::default()
        };
        insta::assert_snapshot!(refused(&labelled, none), @"expected the largest multiplicity to decode of at least 1, found 0");
    }

    proptest! {
        #[test]
        fn prior_probabilities_of_all_sets_sum_to_one(counts in prop::collection::vec(1usize..5, 8)) {
            let sets: Vec<(Vec<u32>, usize)> = some_sets().into_iter().zip(counts)
                .map(|((set, _), count)| (set, count)).collect();
            let data = simulate(&sets, 1.0, 0.0, 0.1);
            let training = Training::new(&data.statistics, None).unwrap();
            for prior in [Prior::Multiplicity, Prior::LabelSet] {
                let log_priors = LogPriors::new(&training, prior);
                let total: f64 = (0u32..1 << training.labels.len())
                    .filter(|bits| bits.count_ones() as usize <= training.max_multiplicity)
                    .map(|bits| {
                        let classes: Vec<u32> = (0..8).filter(|k| bits >> k & 1 == 1).collect();
                        match training.seen.iter().find(|seen| *seen.classes == *classes) {
                            Some(seen) => log_priors.seen(seen).exp(),
                            None => log_priors.unseen(classes.len()).exp(),
                        }
                    })
                    .sum();
                prop_assert!((total - 1.0).abs() < ROUNDING, "{:?}: {}", prior, total);
            }
        }
    }
}
