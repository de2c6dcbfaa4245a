//! Verdicts on features whose truth is known: noise, exact collapse, and data that cannot tell.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::{
    AnalysisOptions, CollapseMetric, CollapseReport, CollapseVerdict, Directions, Evidence,
    Headline, Untold,
};
use tagwise::etf::simplex_etf;
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Targets};

const SINGLE: CollapseMetric = CollapseMetric::Nc1 { multiplicity: 1 };

fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn noise(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| gaussian(rng)).collect()
}

fn report(num_classes: usize, dim: usize, sets: Vec<LabelSet>, features: &[f64]) -> CollapseReport {
    let mut statistics = Statistics::new(num_classes, dim);
    let targets = Targets::new(num_classes, sets).unwrap();
    statistics.update(features, &targets).unwrap();
    CollapseReport::measure(&statistics, None).unwrap()
}

fn verdict(report: &CollapseReport, metric: CollapseMetric) -> CollapseVerdict {
    metric.headline(report).verdict
}

/// So many samples of each class alone.
fn singles(num_classes: usize, copies: usize) -> Vec<LabelSet> {
    let classes = 0..num_classes as u32;
    classes
        .flat_map(|class| std::iter::repeat_n(LabelSet::new([class]), copies))
        .collect()
}

/// Label sets of up to four labels, drawn at random: most of the large ones occur once.
fn random_sets(rng: &mut ChaCha8Rng, num_classes: u32, count: usize) -> Vec<LabelSet> {
    let most = num_classes.min(4);
    (0..count)
        .map(|_| {
            let multiplicity = rng.random_range(1..=most);
            let mut labels = Vec::new();
            while (labels.len() as u32) < multiplicity {
                let label = rng.random_range(0..num_classes);
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
            LabelSet::new(labels)
        })
        .collect()
}

#[test]
fn noise_is_never_called_collapsed() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draws = 0;
    for num_classes in [2, 10, 150] {
        for dim in [2, 8, 64, 512] {
            if num_classes * dim > 10_000 {
                continue; // the same case as K = 10, and many times the work
            }
            let mut kinds = vec![
                singles(num_classes, 1),
                singles(num_classes, 2),
                singles(num_classes, 6),
                random_sets(&mut rng, num_classes as u32, 200),
            ];
            let mut long_tailed = singles(num_classes, 3);
            long_tailed.extend(singles(1, 300));
            kinds.push(long_tailed);
            for sets in kinds {
                for shift in [0.0, 3.0] {
                    let mut features = noise(&mut rng, sets.len() * dim);
                    features.iter_mut().for_each(|x| *x += shift);
                    let report = report(num_classes, dim, sets.clone(), &features);
                    for headline in report.headlines() {
                        assert_ne!(
                            headline.verdict,
                            CollapseVerdict::Collapsed,
                            "K = {num_classes}, d = {dim}, {} samples: {headline:?}",
                            sets.len()
                        );
                        draws += 1;
                    }
                }
            }
        }
    }
    assert!(draws > 400, "{draws}");
}

#[test]
fn the_chance_of_nc1_and_nc2_is_what_noise_has() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (num_classes, dim, copies) in [(10, 512, 5), (150, 8, 4), (40, 300, 3), (10, 64, 20)] {
        let sets = singles(num_classes, copies);
        let features = noise(&mut rng, sets.len() * dim);
        let report = report(num_classes, dim, sets, &features);
        for metric in [SINGLE, CollapseMetric::Nc2ClassMeans] {
            let headline = metric.headline(&report);
            let published = headline.published.or(headline.value).unwrap();
            let ratio = published / headline.chance.unwrap();
            assert!((0.85..1.4).contains(&ratio), "{ratio}: {headline:?}");
        }
    }
}

#[test]
fn label_sets_that_occur_once_have_no_verdict() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let sets: Vec<LabelSet> = (0..30u32)
        .flat_map(|a| (0..a).map(move |b| LabelSet::new([a, b])))
        .collect();
    let count = sets.len() as u64;
    let features = noise(&mut rng, sets.len() * 12);
    let once = report(30, 12, sets.clone(), &features);
    let pairs = CollapseMetric::Nc1 { multiplicity: 2 };
    let headline = pairs.headline(&once);
    assert_eq!((headline.value, headline.published), (None, Some(0.0)));
    assert_eq!(
        headline.verdict,
        CollapseVerdict::CannotBeTold {
            reason: Untold::TooFewRepeats {
                num_samples: count,
                num_sets: count
            }
        }
    );
    assert_eq!(
        headline.sentence,
        "No verdict: every label set occurs once and shows no spread."
    );

    // Nearly all: twelve of them twice, with the same feature.
    let mut nearly = sets.clone();
    nearly.extend_from_slice(&sets[..12]);
    let features = [&features[..], &features[..12 * 12]].concat();
    let nearly = report(30, 12, nearly, &features);
    assert_eq!(
        pairs.headline(&nearly).sentence,
        "No verdict: 447 samples in 435 label sets repeat too few to show spread."
    );
}

/// One odd sample is far from the mean of all others, whatever the labels.
#[test]
fn one_outlier_that_is_a_label_set_of_its_own_shows_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut sets = vec![LabelSet::new([0, 1]); 20];
    sets.push(LabelSet::new([0]));
    let mut features = noise(&mut rng, 20 * 8);
    features.extend([40.0; 8]);
    let report = report(2, 8, sets, &features);
    let headline = CollapseMetric::Nc1Pooled.headline(&report);
    assert!(headline.published.unwrap() < 0.02, "{headline:?}");
    let reason = Untold::TooFewRepeats {
        num_samples: 21,
        num_sets: 2,
    };
    assert_eq!(headline.verdict, CollapseVerdict::CannotBeTold { reason });
}

#[test]
fn a_wide_spread_needs_no_repeats_to_be_seen() {
    let headline = Headline::new(
        SINGLE,
        Some(1.5),
        Evidence {
            obstacle: Some(Untold::TooFewRepeats {
                num_samples: 12,
                num_sets: 10,
            }),
            ..Evidence::default()
        },
    );
    assert_eq!(headline.verdict, CollapseVerdict::NotCollapsed);
}

#[test]
fn a_collapsed_network_is_called_collapsed() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (num_classes, dim, copies) in [(3, 2, 20), (10, 9, 6), (10, 64, 5), (40, 512, 4)] {
        let etf = simplex_etf(num_classes, dim).unwrap();
        let mut sets = singles(num_classes, copies);
        let pairs = (1..num_classes as u32).map(|k| LabelSet::new([0, k]));
        sets.extend(pairs.flat_map(|pair| std::iter::repeat_n(pair, 2 * copies)));
        let mut features = Vec::new();
        for set in &sets {
            features.extend((0..dim).map(|j| {
                let sum: f64 = set.indices().map(|k| etf[(k, j)]).sum();
                sum + 1e-3 * gaussian(&mut rng)
            }));
        }
        let snapshot = Snapshot::new(
            FeatureValues::F64(features),
            dim,
            Targets::new(num_classes, sets).unwrap(),
            None,
        )
        .unwrap();
        let classifier = LinearClassifier {
            weight: etf,
            bias: vec![0.0; num_classes],
        };
        let options = AnalysisOptions::default();
        let report = CollapseReport::analyze(&snapshot, Some(&classifier), options).unwrap();
        for headline in report.headlines() {
            assert_eq!(headline.verdict, CollapseVerdict::Collapsed, "{headline:?}");
        }
    }
}

#[test]
fn where_no_simplex_etf_exists_none_is_missed() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let sets = singles(20, 5);
    let features = noise(&mut rng, sets.len() * 6);
    let few = report(20, 6, sets, &features);
    let metric = CollapseMetric::Nc2ClassMeans;
    assert_eq!(
        verdict(&few, metric),
        CollapseVerdict::CannotBeTold {
            reason: Untold::NoSimplexEtf {
                num_vectors: 20,
                dim: 6
            }
        }
    );
    assert_eq!(
        metric.headline(&few).sentence,
        "No verdict: no simplex ETF of 20 vectors exists in 6 dimensions."
    );
    // d = K − 1 is enough.
    let sets = singles(7, 5);
    let features = noise(&mut rng, sets.len() * 6);
    let enough = report(7, 6, sets, &features);
    assert_eq!(
        verdict(&enough, CollapseMetric::Nc2ClassMeans),
        CollapseVerdict::NotCollapsed
    );
}

#[test]
fn no_list_of_worst_samples_is_no_panic() {
    let sets = singles(3, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let features = noise(&mut rng, 12 * 5);
    let classifier = LinearClassifier {
        weight: simplex_etf(3, 5).unwrap(),
        bias: vec![0.0; 3],
    };
    let snapshot = Snapshot::new(
        FeatureValues::F64(features),
        5,
        Targets::new(3, sets).unwrap(),
        None,
    )
    .unwrap();
    let analyze = |num_worst, directions, classifier| {
        let options = AnalysisOptions {
            num_worst,
            directions,
            ..AnalysisOptions::default()
        };
        CollapseReport::analyze(&snapshot, classifier, options).unwrap()
    };
    for directions in [Directions::All, Directions::TagSpan] {
        for classifier in [None, Some(&classifier)] {
            let without = analyze(0, directions, classifier);
            let mut with = analyze(2, directions, classifier);
            assert_eq!(with.worst_samples.len(), 2);
            with.worst_samples.clear();
            assert_eq!(with.label_errors.is_some(), classifier.is_some());
            with.label_errors = None;
            assert_eq!(without, with);
        }
    }
}

/// The global mean moves towards frequent classes, the class means do not.
#[test]
fn an_etf_is_one_however_often_its_classes_occur() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let etf = simplex_etf(5, 6).unwrap();
    let counts = [200, 90, 40, 15, 6];
    let sets: Vec<LabelSet> = (0u32..)
        .zip(counts)
        .flat_map(|(class, count)| std::iter::repeat_n(LabelSet::new([class]), count))
        .collect();
    let mut features = Vec::new();
    for set in &sets {
        let class = set.labels()[0] as usize;
        features.extend((0..6).map(|j| etf[(class, j)] + 1e-3 * gaussian(&mut rng)));
    }
    let classifier = LinearClassifier {
        weight: etf,
        bias: vec![0.0; 5],
    };
    let mut statistics = Statistics::new(5, 6);
    let targets = Targets::new(5, sets).unwrap();
    statistics.update(&features, &targets).unwrap();
    let report = CollapseReport::measure(&statistics, Some(&classifier)).unwrap();
    for metric in [CollapseMetric::Nc2ClassMeans, CollapseMetric::Nc3] {
        let headline = metric.headline(&report);
        assert_eq!(headline.verdict, CollapseVerdict::Collapsed, "{headline:?}");
        assert!(headline.published.unwrap() > 0.3, "{headline:?}");
    }
}

#[test]
fn angles_that_are_what_they_must_be_say_nothing_of_the_optimum() {
    use tagwise::collapse::OptimumGap;
    use tagwise::ufm::UfmSettings;

    // Two classes have opposite means in any dimension, and in one dimension all angles are 0 or 180.
    for (num_classes, dim) in [(2, 4), (4, 1)] {
        let sets = singles(num_classes, 5);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut random = noise(&mut rng, sets.len() * dim);
        random.iter_mut().for_each(|x| *x += 1.0);
        let mut statistics = Statistics::new(num_classes, dim);
        let targets = Targets::new(num_classes, sets).unwrap();
        statistics.update(&random, &targets).unwrap();
        let gap = OptimumGap::measure(&statistics, None, UfmSettings::default()).unwrap();
        assert_eq!((gap.means, gap.means_to_etf), (None, None));
        assert_eq!(gap.sentence(), None);
    }
}

#[test]
fn classes_in_any_order_on_a_circle_are_an_optimum_in_two_dimensions() {
    use tagwise::collapse::OptimumGap;
    use tagwise::ufm::UfmSettings;

    let of = |angle: &dyn Fn(u32) -> f64| {
        let sets = singles(7, 4);
        let features: Vec<f64> = sets
            .iter()
            .flat_map(|set| {
                let angle = angle(set.labels()[0]);
                [angle.cos(), angle.sin()]
            })
            .collect();
        let mut statistics = Statistics::new(7, 2);
        let targets = Targets::new(7, sets).unwrap();
        statistics.update(&features, &targets).unwrap();
        OptimumGap::measure(&statistics, None, UfmSettings::default()).unwrap()
    };
    let turn = std::f64::consts::TAU / 7.0;
    let regular = of(&|class| turn * f64::from(class * 3 % 7));
    assert!(regular.means.unwrap() < 0.1, "{regular:?}");
    assert!(regular.excess < 1e-6 && !regular.is_certified);
    assert_eq!(regular.means_to_etf, None);
    let uneven = of(&|class| turn * f64::from(class) + if class > 2 { 0.35 } else { 0.0 });
    assert!(uneven.means.unwrap() > 5.0, "{uneven:?}");
}

#[test]
fn likely_label_errors_are_the_wrong_labels_and_none_on_clean_data() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let (num_classes, dim) = (6, 12);
    let etf = simplex_etf(num_classes, dim).unwrap();
    let mut sets = singles(num_classes, 60);
    let pairs = (0..num_classes as u32).map(|k| LabelSet::new([k, (k + 1) % 6]));
    sets.extend(pairs.flat_map(|pair| std::iter::repeat_n(pair, 40)));
    let features = |rng: &mut ChaCha8Rng, spread: f64| -> Vec<f64> {
        let mut features = Vec::new();
        for set in &sets {
            for j in 0..dim {
                let mean: f64 = set.indices().map(|k| etf[(k, j)]).sum();
                features.push(mean + spread * gaussian(rng));
            }
        }
        features
    };
    let classifier = LinearClassifier {
        weight: etf.clone(),
        bias: vec![0.0; num_classes],
    };
    let analyze = |features: Vec<f64>, sets: Vec<LabelSet>| {
        let targets = Targets::new(num_classes, sets).unwrap();
        let snapshot = Snapshot::new(FeatureValues::F64(features), dim, targets, None).unwrap();
        let options = AnalysisOptions {
            num_worst: 1000,
            ..AnalysisOptions::default()
        };
        let report = CollapseReport::analyze(&snapshot, Some(&classifier), options).unwrap();
        report.label_errors.unwrap()
    };
    // Label sets that overlap: many labels are contradicted, and all of them are right.
    let clean = analyze(features(&mut rng, 0.4), sets.clone());
    assert!(clean.num_contradicted > 20, "{clean:?}");
    assert!(clean.num_likely <= 2, "{clean:?}");

    let mut flipped = sets.clone();
    let wrong: Vec<usize> = (0..sets.len()).step_by(20).collect(); // 5 %
    for &row in &wrong {
        while flipped[row] == sets[row] {
            flipped[row] = sets[rng.random_range(0..sets.len())].clone();
        }
    }
    let found = analyze(features(&mut rng, 0.1), flipped);
    let rows: Vec<usize> = found.samples.iter().map(|error| error.sample).collect();
    let hits = rows.iter().filter(|row| wrong.contains(row)).count();
    assert!(hits + 2 >= wrong.len() && hits == rows.len(), "{found:?}");
    assert!((found.rate - 0.05).abs() < 0.015, "{}", found.rate);
    assert!(found.samples.iter().all(|error| error.probability > 0.9));
    assert!(
        found
            .samples
            .is_sorted_by(|a, b| a.probability >= b.probability)
    );
    for error in &found.samples {
        assert_eq!(error.nearest_set, sets[error.sample]);
    }
}

#[test]
fn larger_values_are_never_better() {
    let metrics = CollapseMetric::of_paper([2]);
    let order = |verdict| match verdict {
        CollapseVerdict::Collapsed => 2,
        CollapseVerdict::Partly => 1,
        _ => 0,
    };
    for metric in metrics {
        let on = |value| Headline::new(metric, Some(value), Evidence::default()).verdict;
        assert_eq!(on(0.0), CollapseVerdict::Collapsed);
        let levels = [0.0, 0.01, 0.1, 0.3, 0.9, 2.0, 50.0].map(|value| order(on(value)));
        assert!(levels.is_sorted_by(|a, b| a >= b), "{metric:?} {levels:?}");
        assert_eq!(on(50.0), CollapseVerdict::NotCollapsed);
    }
    let chance = Evidence {
        chance: CollapseMetric::NcM { multiplicity: 3 }.family().chance(),
        ..Evidence::default()
    };
    let metric = CollapseMetric::NcM { multiplicity: 3 };
    let at_chance = Headline::new(metric, Some(1.0), chance);
    assert_eq!(at_chance.verdict, CollapseVerdict::NotCollapsed);
}

#[test]
fn what_is_no_distance_has_no_verdict() {
    for (value, reason) in [
        (Some(f64::NAN), Untold::NotANumber),
        (Some(f64::INFINITY), Untold::Infinite),
        (Some(-0.1), Untold::Negative),
        (None, Untold::NotMeasured),
    ] {
        let headline = Headline::new(CollapseMetric::Nc3, value, Evidence::default());
        assert_eq!(headline.verdict, CollapseVerdict::CannotBeTold { reason });
    }
    let nan = Headline::new(CollapseMetric::Nc3, Some(f64::NAN), Evidence::default());
    assert_eq!(nan.sentence, "No verdict: the value is NaN.");
}

#[test]
fn headlines_survive_json() {
    let sets = singles(20, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let features = noise(&mut rng, sets.len() * 6);
    let headlines = report(20, 6, sets, &features).headlines();
    let json = serde_json::to_string(&headlines).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Headline>>(&json).unwrap(),
        headlines
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let means = &json[2]; // NC1, NC2 of W, NC2 of the means
    assert_eq!(means["name"], "NC2 (means)");
    assert_eq!(means["verdict"]["state"], "cannot_be_told");
    assert_eq!(means["verdict"]["reason"]["why"], "no_simplex_etf");
    assert_eq!(means["verdict"]["reason"]["dim"], 6);
}

/// Means of noise, and a classifier that was fitted to them as a softmax with weight decay would be.
#[test]
fn a_classifier_of_noise_is_no_frame() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    for (num_classes, dim) in [(2, 20), (10, 1024)] {
        let sets = singles(num_classes, 30);
        let features = noise(&mut rng, sets.len() * dim);
        let mut statistics = Statistics::new(num_classes, dim);
        let targets = Targets::new(num_classes, sets).unwrap();
        statistics.update(&features, &targets).unwrap();
        let means: Vec<Vec<f64>> = (0..num_classes as u32)
            .map(|class| statistics.set_mean(&LabelSet::new([class])).unwrap())
            .collect();
        let centre = |j: usize| means.iter().map(|mean| mean[j]).sum::<f64>() / num_classes as f64;
        let weight = means
            .iter()
            .flat_map(|mean| (0..dim).map(|j| mean[j] - centre(j)));
        let weight: Vec<f64> = weight.collect();
        let classifier =
            LinearClassifier::from_rows(&weight, &vec![0.0; num_classes], dim).unwrap();
        let report = CollapseReport::measure(&statistics, Some(&classifier)).unwrap();
        for metric in [CollapseMetric::Nc2Classifier, CollapseMetric::Nc3] {
            let verdict = verdict(&report, metric);
            let is_untold = matches!(verdict, CollapseVerdict::CannotBeTold { .. });
            assert!(is_untold, "K = {num_classes}, {metric:?}: {verdict:?}");
        }
    }
}

#[test]
fn one_pair_of_labels_has_no_other_to_be_compared_with() {
    let mut sets = singles(3, 5);
    sets.extend((0..20).map(|_| LabelSet::new([0, 1])));
    // The pair's mean lies a little beside the sum of its labels' axes.
    let features: Vec<f64> = sets
        .iter()
        .flat_map(|set| {
            let beside = if set.multiplicity() == 2 { 0.01 } else { 0.0 };
            (0..3u32).map(move |axis| if set.contains(axis) { 1.0 } else { beside })
        })
        .collect();
    let report = report(3, 3, sets, &features);
    let verdict = verdict(&report, CollapseMetric::NcM { multiplicity: 2 });
    let reason = Untold::OneLabelSet;
    assert_eq!(verdict, CollapseVerdict::CannotBeTold { reason });
}
