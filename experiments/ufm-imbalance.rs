//! How label imbalance bends the optimal geometry: the study of docs/imbalance.md.
//!
//! `cargo run --release -p tagwise --example ufm-imbalance`
//!
//! Solves the unconstrained feature model for balanced labels, for pairs that occur 500, 50 and 5
//! times, and for single labels of a long tail, each to a certificate of global optimality, and
//! prints tables in Markdown: how far the classifier is from a simplex ETF, and how well the features of
//! pairs are explained by the plain sum of their tags, by sums weighted with powers of the class
//! frequencies, and by the best weights.

use std::ops::ControlFlow;

use tagwise::ufm::{
    FeatureKind, GeometryReport, LabelCounts, SetSynthesis, SolverSettings, UfmPoint, UfmProblem,
    UfmSettings, Verdict, solve,
};
use tagwise::{LabelSet, Result};

const NUM_CLASSES: u32 = 10;
/// Samples of each single label and of each pair when balanced, as in M-lab MNIST.
const SINGLES: f64 = 3100.0;
const PAIRS: f64 = 200.0;

/// How the samples are spread over label sets.
#[derive(Clone, Copy)]
enum Labels {
    Balanced,
    /// A third of the pairs each occurs 500, 50 and 5 times.
    UnevenPairs,
    /// Single labels fall geometrically from 3100 to 3100/ratio.
    LongTail {
        ratio: f64,
    },
    /// Both of the above.
    Both {
        ratio: f64,
    },
    /// K = 5 with 16, 8, 4, 2, 1 single labels and 2 of each pair.
    Steep,
}

impl Labels {
    fn name(self) -> String {
        match self {
            Self::Balanced => "balanced".into(),
            Self::UnevenPairs => "pairs 500/50/5".into(),
            Self::LongTail { ratio } => format!("singles long-tailed {ratio}:1"),
            Self::Both { ratio } => format!("both, singles {ratio}:1"),
            Self::Steep => "K = 5, singles 16:8:4:2:1".into(),
        }
    }

    fn num_classes(self) -> u32 {
        match self {
            Self::Steep => 5,
            _ => NUM_CLASSES,
        }
    }

    fn single(self, class: u32) -> f64 {
        let position = f64::from(class) / f64::from(self.num_classes() - 1);
        match self {
            Self::Balanced | Self::UnevenPairs => SINGLES,
            Self::LongTail { ratio } | Self::Both { ratio } => {
                (SINGLES * ratio.powf(-position)).round()
            }
            Self::Steep => f64::from(16 >> class),
        }
    }

    fn pair(self, number: usize) -> f64 {
        match self {
            Self::Balanced | Self::LongTail { .. } => PAIRS,
            // 7 is coprime to 45, so that the three groups mix all classes.
            Self::UnevenPairs | Self::Both { .. } => [500.0, 50.0, 5.0][number * 7 % 45 / 15],
            Self::Steep => 2.0,
        }
    }

    fn counts(self) -> Result<LabelCounts> {
        let classes = self.num_classes();
        let singles = (0..classes).map(|k| (LabelSet::new([k]), self.single(k)));
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| LabelSet::new([i, j])));
        let pairs = pairs
            .enumerate()
            .map(|(number, set)| (set, self.pair(number)));
        LabelCounts::of_sets(classes as usize, singles.chain(pairs))
    }
}

/// λ_W = 5e-3 and λ_H = 5e-3·K/N, and both divided by a number for a network closer to
/// interpolation.
fn settings(labels: &LabelCounts, weaker: f64, features: FeatureKind) -> UfmSettings {
    let classes = labels.num_classes() as f64;
    UfmSettings {
        lambda_w: 5e-3 / weaker,
        lambda_h: Some(5e-3 * classes / labels.num_samples() / weaker),
        features,
        ..UfmSettings::default()
    }
}

/// An optimum with its measured geometry.
struct Optimum {
    problem: UfmProblem,
    point: UfmPoint,
    geometry: GeometryReport,
    relative_gap: f64,
    verdict: Verdict,
}

fn optimum(labels: Labels, weaker: f64, features: FeatureKind) -> Result<Optimum> {
    let counts = labels.counts()?;
    let settings = settings(&counts, weaker, features);
    let problem = UfmProblem::new(counts, settings)?;
    let solution = solve(&problem, &SolverSettings::default(), |_| {
        ControlFlow::Continue(())
    })?;
    Ok(Optimum {
        geometry: GeometryReport::of(&problem, &solution.point)?,
        relative_gap: solution.certificate.relative_gap,
        verdict: solution.certificate.verdict,
        point: solution.point,
        problem,
    })
}

/// The samples that carry each class, alone or in a pair.
fn all_samples(problem: &UfmProblem) -> Vec<f64> {
    let mut samples = vec![0.0; problem.num_classes()];
    for (set, count) in problem.labels().sets().unwrap_or_default() {
        for class in set.indices() {
            samples[class] += count;
        }
    }
    samples
}

/// The mean over pairs of the angle between the feature and Σ_k weight(k) t_k.
fn mean_angle(optimum: &Optimum, weight: impl Fn(u32) -> f64) -> f64 {
    let sets = optimum.problem.labels().sets().unwrap_or_default();
    let feature = |set: &LabelSet| {
        let column = sets.iter().position(|(other, _)| other == set);
        let column = column.expect("every single label and pair occurs");
        let feature = optimum.point.set_features.col(column);
        feature.iter().copied().collect::<Vec<f64>>()
    };
    let angles: Vec<f64> = optimum
        .geometry
        .sets
        .iter()
        .map(|pair| {
            let mut sum = vec![0.0; optimum.problem.dim()];
            for &class in pair.label_set.labels() {
                let weight = weight(class);
                for (s, t) in sum.iter_mut().zip(feature(&LabelSet::new([class]))) {
                    *s += weight * t;
                }
            }
            angle(&feature(&pair.label_set), &sum)
        })
        .collect();
    angles.iter().sum::<f64>() / angles.len() as f64
}

fn angle(a: &[f64], b: &[f64]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (norm_a, norm_b) = (norm(a), norm(b));
    let unit = |i: usize| (a[i] / norm_a, b[i] / norm_b);
    let difference: Vec<f64> = (0..a.len()).map(|i| unit(i).0 - unit(i).1).collect();
    let total: Vec<f64> = (0..a.len()).map(|i| unit(i).0 + unit(i).1).collect();
    2.0 * norm(&difference).atan2(norm(&total)).to_degrees()
}

/// The slope of ln(a_i/a_j) on ln(n_i/n_j) over the pairs whose classes differ in frequency, a the
/// best weights: 0 for a plain sum, 1 for weights proportional to class frequencies.
fn exponent(labels: Labels, pairs: &[SetSynthesis]) -> Option<f64> {
    let (mut products, mut squares) = (0.0, 0.0);
    for pair in pairs {
        let &[i, j] = pair.label_set.labels() else {
            continue;
        };
        let ratio = pair.weights[0] / pair.weights[1];
        if ratio > 0.0 {
            let frequency = (labels.single(i) / labels.single(j)).ln();
            products += frequency * ratio.ln();
            squares += frequency * frequency;
        }
    }
    (squares > 0.0).then(|| products / squares)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    sum / f64::from(count)
}

fn row(labels: Labels, weaker: f64, features: FeatureKind) -> Result<()> {
    let found = optimum(labels, weaker, features)?;
    let geometry = &found.geometry;
    let pairs = &geometry.multiplicities[&2];
    let all_samples = all_samples(&found.problem);
    let degrees = |angle: f64| format!("{:.2}°", angle.max(0.0));
    let uniform = pairs.uniform_angle.unwrap_or(tagwise::ufm::Spread {
        min: 0.0,
        mean: 0.0,
        max: 0.0,
    });
    let lowest = geometry
        .row_norms
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min);
    let highest = geometry.row_norms.iter().copied().fold(0.0, f64::max);
    let proof = match found.verdict {
        Verdict::Certified => "certified".into(),
        Verdict::NotCertified => format!("bound {:.1} % below", 100.0 * found.relative_gap),
    };
    println!(
        "| {} | {proof} | {:.3} | {lowest:.2}–{highest:.2} | {} | {} | {} | {} | {} | {} |",
        labels.name(),
        geometry.etf_distance.unwrap_or(f64::NAN),
        degrees(uniform.mean),
        degrees(uniform.max),
        degrees(pairs.weighted_angle.map_or(0.0, |spread| spread.mean)),
        degrees(mean_angle(&found, |class| labels.single(class))),
        degrees(mean_angle(&found, |class| all_samples[class as usize])),
        exponent(labels, &geometry.sets).map_or("–".into(), |slope| format!("{slope:+.3}")),
    );
    Ok(())
}

fn table(title: &str, weaker: f64, features: FeatureKind) -> Result<()> {
    println!("\n### {title}\n");
    println!(
        "| labels | optimum | distance of W from an ETF | row norms | plain sum | worst pair | best weights | by n_k | by N_k | exponent of the best weights |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for labels in [
        Labels::Balanced,
        Labels::UnevenPairs,
        Labels::LongTail { ratio: 10.0 },
        Labels::LongTail { ratio: 100.0 },
        Labels::Both { ratio: 100.0 },
        Labels::Steep,
    ] {
        row(labels, weaker, features)?;
    }
    Ok(())
}

/// The pairs of the 500/50/5 distribution apart, and the powers of the class frequencies.
fn details() -> Result<()> {
    println!("\n### Pairs by their own frequency (pairs 500/50/5, free features)\n");
    println!("| samples of the pair | pairs | plain sum | best weights | ‖h‖ | label mass |");
    println!("|---|---|---|---|---|---|");
    let found = optimum(Labels::UnevenPairs, 1.0, FeatureKind::Free)?;
    for count in [500.0, 50.0, 5.0] {
        let group: Vec<&SetSynthesis> = found
            .geometry
            .sets
            .iter()
            .filter(|set| set.num_samples == count)
            .collect();
        let average = |of: &dyn Fn(&SetSynthesis) -> f64| mean(group.iter().map(|set| of(set)));
        println!(
            "| {count} | {} | {:.2}° | {:.2}° | {:.3} | {:.3} |",
            group.len(),
            average(&|set| set.uniform_angle.unwrap_or(f64::NAN)),
            average(&|set| set.weighted_angle.unwrap_or(f64::NAN)),
            average(&|set| set.feature_norm),
            average(&|set| set.label_mass),
        );
    }
    println!("\n### Weights n_k^γ (mean angle over pairs, free features)\n");
    println!("| labels | γ = −½ | −¼ | 0 (plain) | ¼ | ½ | 1 (class frequency) |");
    println!("|---|---|---|---|---|---|---|");
    for labels in [
        Labels::LongTail { ratio: 10.0 },
        Labels::LongTail { ratio: 100.0 },
        Labels::Steep,
    ] {
        let found = optimum(labels, 1.0, FeatureKind::Free)?;
        let angles = [-0.5, -0.25, 0.0, 0.25, 0.5, 1.0].map(|power| {
            format!(
                "{:.2}°",
                mean_angle(&found, |class| labels.single(class).powf(power))
            )
        });
        println!("| {} | {} |", labels.name(), angles.join(" | "));
    }
    Ok(())
}

fn main() -> Result<()> {
    table("Free features", 1.0, FeatureKind::Free)?;
    table(
        "Free features, a hundredth of both decays",
        100.0,
        FeatureKind::Free,
    )?;
    table("Non-negative features", 1.0, FeatureKind::NonNegative)?;
    details()
}
