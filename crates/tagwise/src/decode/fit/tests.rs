use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::decode::{OneNearestNeighbour, Prototypes};
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
        let terms = (0..DIM * DIM).map(|i| x[i / DIM] * precision[(i / DIM, i % DIM)] * x[i % DIM]);
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
            let difference: Vec<f64> = feature.iter().zip(&prototype).map(|(h, p)| h - p).collect();
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
                Distance::Mahalanobis => squared(feature) - squared(&difference) + 2.0 * log_prior,
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
