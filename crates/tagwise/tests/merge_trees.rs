//! Statistics of parts, merged in any order and grouping, are those of the whole.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::CollapseReport;
use tagwise::statistics::{ScatterKind, Statistics, StatisticsFile};
use tagwise::{LabelSet, Targets};

const TREES: u64 = 10_000;

/// Relative to the largest feature, and to its square.
const TOLERANCE: f64 = 1e-12;

struct Samples {
    num_classes: usize,
    dim: usize,
    scale: f64,
    rows: Vec<(Vec<f64>, LabelSet)>,
}

impl Samples {
    /// Up to 40 samples with up to four classes and dimensions, features of sizes from 1e-30 to 1e30 a
    /// few times their spread from the origin.
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let (num_classes, dim) = (rng.random_range(1..5), rng.random_range(1..5));
        let scale = 10f64.powi(rng.random_range(-30..31));
        let rows = (0..rng.random_range(1..41))
            .map(|_| {
                let labels = (0..num_classes as u32).filter(|_| rng.random_bool(0.4));
                let set = LabelSet::new(labels.collect::<Vec<_>>());
                let row = (0..dim).map(|_| scale * (3.0 + rng.random_range(-1.0..1.0)));
                (row.collect(), set)
            })
            .collect();
        Self {
            num_classes,
            dim,
            scale,
            rows,
        }
    }

    fn statistics(&self, rows: &[(Vec<f64>, LabelSet)]) -> Statistics {
        let features: Vec<f64> = rows.iter().flat_map(|(row, _)| row).copied().collect();
        let sets = rows.iter().map(|(_, set)| set.clone());
        let targets = Targets::new(self.num_classes, sets).unwrap();
        let mut statistics = Statistics::new(self.num_classes, self.dim);
        statistics.update(&features, &targets).unwrap();
        statistics
    }
}

/// The bytes of a state and back, as they travel between machines.
fn sent(statistics: Statistics) -> Statistics {
    let file = StatisticsFile {
        statistics,
        classifier: None,
    };
    StatisticsFile::from_bytes(&file.to_bytes())
        .unwrap()
        .statistics
}

/// Merges two random parts until one is left; one of four travels as bytes.
fn merged(mut parts: Vec<Statistics>, rng: &mut ChaCha8Rng) -> Statistics {
    while parts.len() > 1 {
        let other = parts.swap_remove(rng.random_range(0..parts.len()));
        let place = rng.random_range(0..parts.len());
        let other = match rng.random_bool(0.25) {
            true => sent(other),
            false => other,
        };
        parts[place].merge(&other).unwrap();
    }
    parts.remove(0)
}

fn assert_same(found: &Statistics, whole: &Statistics, scale: f64, tree: u64) {
    assert!(found.label_sets().eq(whole.label_sets()), "tree {tree}");
    assert_eq!(found.set_counts(), whole.set_counts(), "tree {tree}");
    for set in whole.label_sets() {
        let (a, b) = (found.set_mean(set).unwrap(), whole.set_mean(set).unwrap());
        for (a, b) in a.iter().zip(&b) {
            assert!((a - b).abs() <= TOLERANCE * scale, "tree {tree}: {a}, {b}");
        }
    }
    let counts = whole.set_counts();
    let sums = found.set_square_sums().into_iter();
    for ((a, b), count) in sums.zip(whole.set_square_sums()).zip(counts) {
        let size = scale * scale * count as f64;
        assert!((a - b).abs() <= TOLERANCE * size, "tree {tree}: {a}, {b}");
    }
    for multiplicity in 1..=whole.num_classes() {
        let [a, b] = [found, whole].map(|statistics| statistics.within_scatter(multiplicity));
        let (Some(a), Some(b)) = (a, b) else {
            continue;
        };
        let size = scale * scale * whole.num_samples() as f64;
        assert!((&a - &b).norm_max() <= TOLERANCE * size, "tree {tree}");
    }
}

#[test]
fn ten_thousand_random_merge_trees_give_the_whole() {
    for tree in 0..TREES {
        let mut rng = ChaCha8Rng::seed_from_u64(tree);
        let mut samples = Samples::draw(&mut rng);
        let whole = samples.statistics(&samples.rows);
        samples.rows.shuffle(&mut rng);
        let num_parts = rng.random_range(1..9);
        let mut parts = vec![Vec::new(); num_parts];
        for row in samples.rows.drain(..) {
            parts[rng.random_range(0..num_parts)].push(row);
        }
        let parts = parts.iter().map(|rows| samples.statistics(rows)).collect();
        let found = merged(parts, &mut rng);
        assert_same(&found, &whole, 4.0 * samples.scale, tree);
    }
}

#[test]
fn a_million_million_samples_have_the_metrics_of_what_they_repeat() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let labels = [[0], [1], [2]].map(LabelSet::new);
    let rows: Vec<(Vec<f64>, LabelSet)> = (0..30)
        .map(|i| {
            let mut row: Vec<f64> = (0..4).map(|_| 0.1 * rng.random_range(-1.0..1.0)).collect();
            row[i % 3] += 1.0;
            (row, labels[i % 3].clone())
        })
        .collect();
    let samples = Samples {
        num_classes: 3,
        dim: 4,
        scale: 1.0,
        rows,
    };
    let one = samples.statistics(&samples.rows);
    let mut many = one.clone();
    let mut doublings = 0;
    while many.num_samples() < 1_000_000_000_000 {
        let same = many.clone();
        many.merge(&same).unwrap();
        doublings += 1;
    }
    assert_eq!(many.num_samples(), 30 << doublings);
    let factor = (1u64 << doublings) as f64;
    for (many, one) in many.set_square_sums().iter().zip(one.set_square_sums()) {
        assert!((many / (one * factor) - 1.0).abs() < 1e-13);
    }
    let report = |statistics| CollapseReport::measure(statistics, None).unwrap();
    let (many, one) = (report(&many), report(&one));
    let published = |report: &CollapseReport| report.nc1[&1].tag_span.unwrap();
    assert!((published(&many) / published(&one) - 1.0).abs() < 1e-9);
}

#[test]
fn a_label_set_of_a_thousand_million_samples_takes_up_one_more() {
    let one = |value: f64| {
        let mut statistics = Statistics::with_scatter(1, 1, ScatterKind::Full);
        let targets = Targets::new(1, [LabelSet::new([0])]).unwrap();
        statistics.update(&[value], &targets).unwrap();
        statistics
    };
    let mut many = one(1.0);
    for _ in 0..30 {
        let same = many.clone();
        many.merge(&same).unwrap();
    }
    many.merge(&one(2.0)).unwrap();
    let n = (1u64 << 30) as f64;
    let set = LabelSet::new([0]);
    assert_eq!(many.num_samples(), (1 << 30) + 1);
    let mean = many.set_mean(&set).unwrap()[0];
    assert!((mean - (1.0 + 1.0 / (n + 1.0))).abs() < 1e-16);
    let squares = many.set_square_sums()[0];
    assert!((squares - n / (n + 1.0)).abs() < 1e-12, "{squares}");
}
