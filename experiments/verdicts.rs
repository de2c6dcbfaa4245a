//! How often verdicts on noise are false, and how often intervals hold the truth, as Markdown.
//!
//! `cargo run --release -p tagwise --example verdicts -- [DRAWS] [SEED]`
//!
//! DRAWS (60 unless given) data sets are drawn for each number of classes K ∈ {2, 10, 150}, a fifteenth
//! of them for K = 150, which takes most of the time, dimension d ∈ {8, 64, 512} and kind of labels: label sets that repeat, some that occur once, long tails,
//! and labels that hardly ever stand alone. On *noise*, features know nothing of the labels
//! (Gaussian, far from the origin, or rectified, in turn) and the classifier is fitted to their means;
//! every verdict "collapsed" is false. On *signal*, features lie around tag-wise averages of known
//! vectors with Gaussian spread, so that each metric has a true value that its interval should hold
//! in 95 of 100 data sets.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::{
    AnalysisOptions, CollapseMetric, CollapseReport, CollapseVerdict, Intervals,
};
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Result, Targets};

const KINDS: [&str; 4] = ["repeated", "some once", "long tail", "hardly alone"];
const METRICS: [CollapseMetric; 4] = [
    CollapseMetric::Nc1 { multiplicity: 1 },
    CollapseMetric::Nc1 { multiplicity: 2 },
    CollapseMetric::Nc2ClassMeans,
    CollapseMetric::NcM { multiplicity: 2 },
];

/// Standard deviation of a feature around the mean of its label set, whose tags have length 1.
const SPREAD: f64 = 0.1;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| match arguments.next().map(|text| text.parse()) {
        Some(Ok(number)) => number,
        None => default,
        Some(Err(error)) => {
            eprintln!("expected a number: {error}");
            std::process::exit(2);
        }
    };
    let (all_draws, seed) = (number(60), number(1));
    let names = METRICS
        .map(|metric| format!("{} |", metric.name()))
        .join(" ");
    println!(
        "| K | d | labels | false \"collapsed\" on noise | {names}\n|---|---|---|---|---|---|---|---|"
    );
    let mut false_verdicts = 0;
    let mut noises = 0;
    for num_classes in [2, 10, 150] {
        let draws = match num_classes {
            150 => all_draws.div_ceil(15),
            _ => all_draws,
        };
        for dim in [8, 64, 512] {
            for kind in KINDS {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut wrong = 0;
                let mut held = [(0, 0); METRICS.len()];
                for draw in 0..draws {
                    let sets = label_sets(&mut rng, num_classes, kind);
                    wrong += u64::from(is_wrong_on_noise(&mut rng, num_classes, dim, &sets, draw)?);
                    add_coverage(&mut rng, num_classes, dim, &sets, &mut held)?;
                }
                (false_verdicts, noises) = (false_verdicts + wrong, noises + draws);
                let share = |(held, of): (u32, u32)| match of {
                    0 => "–".into(),
                    of => format!("{held} of {of}"),
                };
                let shares = held.map(share).join(" | ");
                println!("| {num_classes} | {dim} | {kind} | {wrong} of {draws} | {shares} |");
            }
        }
    }
    println!("\n{false_verdicts} of {noises} data sets of noise have a false verdict.");
    Ok(())
}

fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// The label set of each sample.
fn label_sets(rng: &mut ChaCha8Rng, num_classes: u32, kind: &str) -> Vec<LabelSet> {
    let mut sets = Vec::new();
    let pair = |k: u32, step: u32| LabelSet::new([k, (k + step) % num_classes]);
    for k in 0..num_classes {
        let (alone, together) = match kind {
            "repeated" => (20, 10),
            "some once" => (12, 1),
            "long tail" => ((200 / (k + 1)).max(2), (100 / (k + 1)).max(1)),
            _ => (u32::from(k % 4 == 0), 8),
        };
        sets.extend((0..alone).map(|_| LabelSet::new([k])));
        sets.extend((0..together).map(|_| pair(k, 1)));
        if kind == "some once" || kind == "hardly alone" {
            let step = rng.random_range(1..num_classes);
            sets.push(pair(k, step));
        }
    }
    sets
}

fn snapshot(sets: &[LabelSet], features: Vec<f64>, num_classes: u32) -> Result<Snapshot> {
    let dim = features.len() / sets.len();
    let targets = Targets::new(num_classes as usize, sets.to_vec())?;
    Snapshot::new(FeatureValues::F64(features), dim, targets, None)
}

fn is_wrong_on_noise(
    rng: &mut ChaCha8Rng,
    num_classes: u32,
    dim: usize,
    sets: &[LabelSet],
    draw: u64,
) -> Result<bool> {
    let value = |rng: &mut ChaCha8Rng| match draw % 3 {
        0 => gaussian(rng),
        1 => 3.0 + gaussian(rng),
        _ => gaussian(rng).max(0.0),
    };
    let features = (0..sets.len() * dim).map(|_| value(rng)).collect();
    let snapshot = snapshot(sets, features, num_classes)?;
    let classifier = fitted(&snapshot, num_classes as usize)?;
    let options = AnalysisOptions {
        num_worst: 0,
        intervals: Intervals::Never,
        ..AnalysisOptions::default()
    };
    let report = CollapseReport::analyze(&snapshot, Some(&classifier), options)?;
    let headlines = report.headlines();
    Ok(headlines
        .iter()
        .any(|one| one.verdict == CollapseVerdict::Collapsed))
}

/// Rows proportional to the centred means of the samples with each label.
fn fitted(snapshot: &Snapshot, num_classes: usize) -> Result<LinearClassifier> {
    use tagwise::statistics::ScatterKind;
    let statistics = Statistics::of(snapshot, ScatterKind::Trace)?;
    let (means, dim) = (statistics.set_means(), statistics.dim());
    let mut rows = vec![0.0; num_classes * dim];
    let mut totals = vec![0.0; num_classes];
    for (place, (set, count)) in statistics
        .label_sets()
        .zip(statistics.set_counts())
        .enumerate()
    {
        for class in set.indices() {
            totals[class] += count as f64;
            for j in 0..dim {
                rows[class * dim + j] += count as f64 * means[(place, j)];
            }
        }
    }
    for (row, total) in rows.chunks_mut(dim).zip(&totals) {
        row.iter_mut().for_each(|x| *x /= total.max(1.0));
    }
    for j in 0..dim {
        let centre = (0..num_classes).map(|k| rows[k * dim + j]).sum::<f64>() / num_classes as f64;
        (0..num_classes).for_each(|k| rows[k * dim + j] -= centre);
    }
    LinearClassifier::from_rows(&rows, &vec![0.0; num_classes], dim)
}

/// Counts the intervals and those that hold the true value.
fn add_coverage(
    rng: &mut ChaCha8Rng,
    num_classes: u32,
    dim: usize,
    sets: &[LabelSet],
    held: &mut [(u32, u32); METRICS.len()],
) -> Result<()> {
    let tags: Vec<f64> = (0..num_classes as usize * dim)
        .map(|_| gaussian(rng))
        .collect();
    let scale = (dim as f64).sqrt().recip();
    let mean = |set: &LabelSet, j: usize| -> f64 {
        let sum: f64 = set.indices().map(|k| scale * tags[k * dim + j]).sum();
        // The second label pulls a little to one side: NC_m has a true value above 0.
        let pull = if set.multiplicity() > 1 {
            0.2 * scale * tags[set.labels()[1] as usize * dim + j]
        } else {
            0.0
        };
        sum + pull
    };
    let mut features = Vec::new();
    for set in sets {
        features.extend((0..dim).map(|j| mean(set, j) + SPREAD * gaussian(rng)));
    }
    let truth = truth(num_classes, dim, sets, &mean)?;
    let options = AnalysisOptions {
        num_worst: 0,
        intervals: Intervals::Always,
        ..AnalysisOptions::default()
    };
    let report = CollapseReport::analyze(&snapshot(sets, features, num_classes)?, None, options)?;
    for (metric, (held, of)) in METRICS.iter().zip(held) {
        let interval = metric.headline(&report).interval;
        if let (Some(interval), Some(truth)) = (interval, truth(*metric)) {
            *of += 1;
            *held += u32::from((interval.low..=interval.high).contains(&truth));
        }
    }
    Ok(())
}

/// What infinitely many samples of the same label sets would show.
fn truth(
    num_classes: u32,
    dim: usize,
    sets: &[LabelSet],
    mean: &impl Fn(&LabelSet, usize) -> f64,
) -> Result<impl Fn(CollapseMetric) -> Option<f64>> {
    let features = sets
        .iter()
        .flat_map(|set| (0..dim).map(|j| mean(set, j)))
        .collect();
    let exact = snapshot(sets, features, num_classes)?;
    let exact = Statistics::of(&exact, tagwise::statistics::ScatterKind::Trace)?;
    let report = CollapseReport::measure(&exact, None)?;
    let classes: Vec<usize> = (0..num_classes as usize).collect();
    let span = classes.len().min(dim + 1);
    let nc1 = move |multiplicity: usize| -> Option<f64> {
        let members: Vec<(usize, u64)> = exact
            .label_sets()
            .zip(exact.set_counts())
            .enumerate()
            .filter(|(_, (set, _))| set.multiplicity() == multiplicity)
            .map(|(place, (_, count))| (place, count))
            .collect();
        let total: u64 = members.iter().map(|(_, count)| count).sum();
        let means = exact.set_means();
        let centred = Mat::from_fn(dim, members.len(), |j, column| {
            let centre: f64 = members
                .iter()
                .map(|&(place, count)| count as f64 / total as f64 * means[(place, j)])
                .sum();
            means[(members[column].0, j)] - centre
        });
        let values = centred.singular_values().ok()?;
        let rank = members.len().min(span).saturating_sub(1);
        let sets = members.len() as f64;
        let quotients = values
            .iter()
            .take(rank)
            .map(|s| SPREAD * SPREAD * sets / (s * s));
        (rank > 0).then(|| quotients.sum::<f64>() / sets.min(classes.len() as f64))
    };
    Ok(move |metric| match metric {
        CollapseMetric::Nc1 { multiplicity } => nc1(multiplicity),
        other => other.value(&report),
    })
}
