//! Estimates, intervals and the leading sentence on features whose truth is known, and the faults
//! of numbers: directions that are nearly dead, features that nearly vanish, quotients of zeros.

use std::ops::ControlFlow;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::{
    AnalysisOptions, CollapseMetric, CollapseReport, CollapseVerdict, Intervals, Untold,
};
use tagwise::etf::simplex_etf;
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::statistics::Statistics;
use tagwise::{Error, LabelSet, Targets};

const SINGLE: CollapseMetric = CollapseMetric::Nc1 { multiplicity: 1 };

fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// So many samples of each class alone.
fn singles(num_classes: usize, copies: usize) -> Vec<LabelSet> {
    let classes = 0..num_classes as u32;
    classes
        .flat_map(|class| std::iter::repeat_n(LabelSet::new([class]), copies))
        .collect()
}

/// Features around the rows of a unit simplex ETF, and around the sums of two for pairs.
fn around_etf(rng: &mut ChaCha8Rng, sets: &[LabelSet], sizes: [usize; 2], spread: f64) -> Vec<f64> {
    let [num_classes, dim] = sizes;
    let etf = simplex_etf(num_classes, dim).unwrap();
    let mut features = Vec::new();
    for set in sets {
        for j in 0..dim {
            let mean: f64 = set.indices().map(|k| etf[(k, j)]).sum();
            features.push(mean + spread * gaussian(rng));
        }
    }
    features
}

fn report(num_classes: usize, dim: usize, sets: &[LabelSet], features: &[f64]) -> CollapseReport {
    let mut statistics = Statistics::new(num_classes, dim);
    let targets = Targets::new(num_classes, sets.to_vec()).unwrap();
    statistics.update(features, &targets).unwrap();
    CollapseReport::measure(&statistics, None).unwrap()
}

fn snapshot(num_classes: usize, dim: usize, sets: &[LabelSet], features: Vec<f64>) -> Snapshot {
    let targets = Targets::new(num_classes, sets.to_vec()).unwrap();
    Snapshot::new(FeatureValues::F64(features), dim, targets, None).unwrap()
}

/// Σ_B of a unit simplex ETF has K − 1 eigenvalues 1/(K − 1), so NC1 is σ²(K − 1)²/K.
#[test]
fn the_estimate_is_right_where_few_samples_make_the_published_form_small() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    const DRAWS: usize = 40;
    for (num_classes, dim) in [(4, 3), (10, 9), (10, 64)] {
        let spread = 0.1;
        let truth = spread * spread * (num_classes as f64 - 1.0).powi(2) / num_classes as f64;
        let sets = singles(num_classes, 5);
        let (mut estimate, mut published) = (0.0, 0.0);
        for _ in 0..DRAWS {
            let features = around_etf(&mut rng, &sets, [num_classes, dim], spread);
            let headline = SINGLE.headline(&report(num_classes, dim, &sets, &features));
            estimate += headline.value.unwrap() / truth / DRAWS as f64;
            published += headline.published.unwrap() / truth / DRAWS as f64;
        }
        // The mean of 40 draws has a standard deviation of some 3 %.
        assert!(
            (0.92..1.1).contains(&estimate),
            "K = {num_classes}, d = {dim}: {estimate}"
        );
        assert!(
            published < 0.85,
            "K = {num_classes}, d = {dim}: {published}"
        );
    }
}

#[test]
fn means_within_noise_have_no_estimate_and_no_verdict() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    // One of two classes' means apart by less than the noise in them, in 400 dimensions.
    let sets = singles(2, 40);
    let dim = 400;
    let features: Vec<f64> = (0..sets.len() * dim).map(|_| gaussian(&mut rng)).collect();
    let report = report(2, dim, &sets, &features);
    let headline = SINGLE.headline(&report);
    let published = headline.published.unwrap();
    assert!(published < 0.2, "{published}");
    if let Some(value) = headline.value {
        assert!(value > 5.0 * published, "{headline:?}");
    } else {
        let reason = Untold::MeansWithinNoise;
        assert_eq!(headline.verdict, CollapseVerdict::CannotBeTold { reason });
    }
    assert_ne!(headline.verdict, CollapseVerdict::Collapsed);
}

/// NC1 does not change with invertible linear maps while Σ_B has full rank.
#[test]
fn a_unit_that_hardly_fires_counts_in_full_and_is_told() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let sets = singles(6, 12);
    let whole: Vec<f64> = (0..sets.len() * 3).map(|_| gaussian(&mut rng)).collect();
    let mut faint = whole.clone();
    faint.iter_mut().skip(2).step_by(3).for_each(|x| *x *= 3e-7);
    let (whole, faint) = (report(6, 3, &sets, &whole), report(6, 3, &sets, &faint));
    for nc1 in [
        |r: &CollapseReport| r.nc1_pooled.value,
        |r: &CollapseReport| r.nc1_pooled.tag_span,
    ] {
        let (a, b) = (nc1(&whole).unwrap(), nc1(&faint).unwrap());
        assert!((a / b - 1.0).abs() < 1e-6, "{a} against {b}");
    }
    let told = |report: &CollapseReport| {
        report
            .notes
            .iter()
            .any(|note| note.contains("hardly ever fires"))
    };
    assert!(told(&faint) && !told(&whole), "{:?}", faint.notes);
}

#[test]
fn features_whose_squares_vanish_are_refused_in_one_sentence() {
    let sets = singles(2, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let features: Vec<f64> = (0..sets.len() * 2)
        .map(|_| 1e-200 * gaussian(&mut rng))
        .collect();
    let mut statistics = Statistics::new(2, 2);
    statistics
        .update(&features, &Targets::new(2, sets).unwrap())
        .unwrap();
    let error = CollapseReport::measure(&statistics, None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the means of the features are at most "),
        "{error}"
    );
    assert!(
        error.ends_with("multiply the features by a constant, which changes no metric"),
        "{error}"
    );
}

#[test]
fn in_one_dimension_a_quotient_of_two_zeros_is_no_metric() {
    let mut sets = singles(3, 4);
    sets.extend(
        [[0, 1], [0, 2], [1, 2]]
            .iter()
            .flat_map(|pair| std::iter::repeat_n(LabelSet::new(*pair), 4)),
    );
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let features: Vec<f64> = sets
        .iter()
        .map(|_| 3.0 + 0.2 * gaussian(&mut rng))
        .collect();
    let report = report(3, 1, &sets, &features);
    assert_eq!(report.nc_m[&2].uniform.value, None);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.starts_with("NC_2 is left out")),
        "{:?}",
        report.notes
    );
}

#[test]
fn two_equal_means_are_the_reason_why_cdnv_is_missing() {
    let sets = singles(3, 2);
    let features = [0.0, 1.0, 0.0, -1.0, 0.0, 2.0, 0.0, -2.0, 5.0, 1.0, 5.0, 2.0];
    let report = report(3, 2, &sets, &features);
    assert_eq!(report.nc1[&1].cdnv, None);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("two label sets coincide")),
        "{:?}",
        report.notes
    );
}

#[test]
fn label_sets_that_occur_once_are_counted_and_said() {
    let mut sets = singles(3, 20);
    sets.push(LabelSet::new([0, 1]));
    sets.push(LabelSet::new([1, 2]));
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let features = around_etf(&mut rng, &sets, [3, 4], 0.01);
    let report = report(3, 4, &sets, &features);
    let estimate = report.nc1[&2].estimate.unwrap();
    assert_eq!((estimate.num_once, estimate.degrees_of_freedom), (2, 0));
    assert!(
        report
            .notes
            .iter()
            .any(|note| note == "2 of 5 label sets occur once and show no spread")
    );
}

/// Where the tag span is all of the space, leaving out a block is measuring the other samples.
#[test]
fn intervals_are_those_of_twenty_reports_without_a_block() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (num_classes, dim) = (5, 3);
    let mut sets = singles(num_classes, 30);
    sets.extend((1..5u32).flat_map(|k| std::iter::repeat_n(LabelSet::new([0, k]), 7 + k as usize)));
    // Not in order, as files are not.
    let order: Vec<usize> = (0..sets.len()).map(|i| i * 101 % sets.len()).collect();
    let sets: Vec<LabelSet> = order.iter().map(|&i| sets[i].clone()).collect();
    let features: Vec<f64> = sets
        .iter()
        .flat_map(|set| {
            let centre = set.indices().map(|k| k as f64 + 1.0).sum::<f64>();
            [centre.sin(), centre.cos(), 0.3 * centre]
        })
        .map(|mean| mean + 0.2 * gaussian(&mut rng))
        .collect();
    let options = AnalysisOptions {
        intervals: Intervals::Always,
        ..AnalysisOptions::default()
    };
    let whole = snapshot(num_classes, dim, &sets, features.clone());
    let report_of_all = CollapseReport::analyze(&whole, None, options).unwrap();
    assert!(
        report_of_all.intervals.len() >= 4,
        "{:?}",
        report_of_all.intervals
    );

    let mut distinct: Vec<&LabelSet> = sets.iter().collect();
    distinct.sort();
    distinct.dedup();
    let mut next: std::collections::BTreeMap<&LabelSet, usize> = Default::default();
    let mut before = 0;
    for set in distinct {
        next.insert(set, before % 20);
        before += sets.iter().filter(|&other| other == set).count();
    }
    let blocks: Vec<usize> = sets
        .iter()
        .map(|set| {
            let place = next.get_mut(set).unwrap();
            *place += 1;
            (*place - 1) % 20
        })
        .collect();
    let without: Vec<CollapseReport> = (0..20)
        .map(|block| {
            let rows: Vec<usize> = (0..sets.len())
                .filter(|&row| blocks[row] != block)
                .collect();
            let sets: Vec<LabelSet> = rows.iter().map(|&row| sets[row].clone()).collect();
            let features: Vec<f64> = rows
                .iter()
                .flat_map(|&row| features[row * dim..(row + 1) * dim].to_vec())
                .collect();
            report(num_classes, dim, &sets, &features)
        })
        .collect();
    for found in &report_of_all.intervals {
        let metric = found.metric;
        let logs: Vec<f64> = without
            .iter()
            .map(|one| metric.value(one).unwrap().ln())
            .collect();
        let mean = logs.iter().sum::<f64>() / 20.0;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let half = 2.093_024_054_408_263 * (19.0 / 20.0 * squares).sqrt();
        let value = metric.value(&report_of_all).unwrap();
        let centre = value.ln() - 19.0 * (mean - value.ln());
        for (end, expected) in [
            (found.interval.low, (centre - half).exp().min(value)),
            (found.interval.high, (centre + half).exp().max(value)),
        ] {
            assert!(
                (end / expected - 1.0).abs() < 1e-8,
                "{metric:?}: {end} against {expected}"
            );
        }
    }
}

#[test]
fn intervals_come_on_request_where_they_are_cheap_or_never() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let sets = singles(4, 500);
    let features = around_etf(&mut rng, &sets, [4, 40], 0.1);
    let snapshot = snapshot(4, 40, &sets, features);
    let analyze = |intervals| {
        let options = AnalysisOptions {
            intervals,
            ..AnalysisOptions::default()
        };
        CollapseReport::analyze(&snapshot, None, options).unwrap()
    };
    let (cheap, always, never) = (
        analyze(Intervals::WhereCheap),
        analyze(Intervals::Always),
        analyze(Intervals::Never),
    );
    assert!(never.intervals.is_empty());
    assert_eq!(always.intervals.len(), 2); // NC1 and NC2 of the means
    let interval = SINGLE.headline(&always).interval.unwrap();
    let truth = 0.01 * 9.0 / 4.0;
    assert!(
        (interval.low..interval.high).contains(&truth),
        "{interval:?}"
    );
    let mut few = cheap;
    few.intervals.clear();
    assert_eq!(few, never);
}

#[test]
fn an_analysis_can_be_stopped_in_either_pass() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let sets = singles(3, 10);
    let features = around_etf(&mut rng, &sets, [3, 5], 0.1);
    let snapshot = snapshot(3, 5, &sets, features);
    for last in [1, 2] {
        let mut stop = |pass: usize, _: usize| match pass == last {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let options = AnalysisOptions::default();
        let stopped = CollapseReport::analyze_with_statistics(&snapshot, None, options, &mut stop);
        assert!(matches!(stopped, Err(Error::Interrupted)), "pass {last}");
    }
}

#[test]
fn the_leading_sentence_says_what_collapsed_and_what_cannot_be_told() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut sets = singles(4, 20);
    sets.extend((1..4u32).map(|k| LabelSet::new([0, k])));
    let features = around_etf(&mut rng, &sets, [4, 6], 1e-3);
    let report = report(4, 6, &sets, &features);
    assert_eq!(
        report.finding(),
        "Collapsed by NC1 (m = 1), NC2 (means) and NC_m (m = 2); no verdict on NC1 (m = 2): label \
         sets repeat too seldom to show spread."
    );
}
