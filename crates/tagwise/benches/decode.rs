//! Time of one-nearest-neighbour decoding on one core, against trying every label set.
//!
//! `cargo bench -p tagwise --bench decode`. Class means are a simplex ETF, or orthogonal vectors
//! as after a ReLU, plus Gaussian noise of the given norm relative to a mean's; features are the
//! sums of the means of a random label set plus noise of the same kind.

use std::hint::black_box;
use std::time::Instant;

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::decode::{Metric, OneNearestNeighbour};
use tagwise::etf::simplex_etf;

#[derive(Clone, Copy, Debug)]
enum Frame {
    Simplex,
    Orthogonal,
}

struct Setting {
    frame: Frame,
    num_classes: usize,
    dim: usize,
    max_multiplicity: usize,
    mean_noise: f64,
    feature_noise: f64,
}

fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl Setting {
    fn means(&self, rng: &mut ChaCha8Rng) -> Mat<f64> {
        let ideal = match self.frame {
            Frame::Simplex => simplex_etf(self.num_classes, self.dim).unwrap(),
            Frame::Orthogonal => Mat::identity(self.num_classes, self.dim),
        };
        let scale = self.mean_noise / (self.dim as f64).sqrt();
        Mat::from_fn(self.num_classes, self.dim, |k, c| {
            ideal[(k, c)] + scale * gaussian(rng)
        })
    }

    fn features(&self, means: &Mat<f64>, count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let scale = self.feature_noise / (self.dim as f64).sqrt();
        let mut features = Vec::with_capacity(count * self.dim);
        for _ in 0..count {
            let multiplicity = rng.random_range(1..=self.max_multiplicity);
            let set = rand::seq::index::sample(rng, self.num_classes, multiplicity);
            for c in 0..self.dim {
                let sum: f64 = set.iter().map(|k| means[(k, c)]).sum();
                features.push((sum + scale * gaussian(rng)) as f32);
            }
        }
        features
    }
}

fn microseconds_per_sample(count: usize, run: impl Fn()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e6 / count as f64
}

/// The best cosine over all sets, extending each set's sums label by label.
fn brute_force(gram: &[Vec<f64>], products: &[f64], max_multiplicity: usize) -> f64 {
    fn extend(
        gram: &[Vec<f64>],
        products: &[f64],
        set: &mut Vec<usize>,
        (product, norm): (f64, f64),
        remaining: usize,
        best: &mut f64,
    ) {
        let first = set.last().map_or(0, |&label| label + 1);
        for label in first..products.len() {
            let crossed: f64 = set.iter().map(|&other| gram[label][other]).sum();
            let sums = (
                product + products[label],
                norm + gram[label][label] + 2.0 * crossed,
            );
            *best = best.max(sums.0 / sums.1.sqrt());
            if remaining > 1 {
                set.push(label);
                extend(gram, products, set, sums, remaining - 1, best);
                set.pop();
            }
        }
    }
    let mut best = f64::NEG_INFINITY;
    extend(
        gram,
        products,
        &mut Vec::new(),
        (0.0, 0.0),
        max_multiplicity,
        &mut best,
    );
    best
}

fn main() {
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    println!(
        "frame       K   d   M  noise of means, features | cosine  +margin  euclid  +margin  brute force | unproven"
    );
    for (num_classes, dim, max_multiplicity) in
        [(10, 512, 3), (20, 512, 5), (80, 512, 8), (80, 80, 8)]
    {
        for frame in [Frame::Simplex, Frame::Orthogonal] {
            for (mean_noise, feature_noise) in [(0.01, 0.05), (0.1, 0.3), (0.3, 1.0)] {
                let setting = Setting {
                    frame,
                    num_classes,
                    dim,
                    max_multiplicity,
                    mean_noise,
                    feature_noise,
                };
                let rng = &mut ChaCha8Rng::seed_from_u64(1);
                let means = setting.means(rng);
                let features = setting.features(&means, 1000, rng);
                let scales = vec![1.0; max_multiplicity];
                let decoder = |metric| {
                    OneNearestNeighbour::new(means.as_ref(), max_multiplicity, metric)
                        .unwrap()
                        .with_max_nodes(100_000)
                };
                let cosine = decoder(Metric::Cosine);
                let euclidean = decoder(Metric::Euclidean { scales });
                let time =
                    |run: &(dyn Fn() + Sync)| single.install(|| microseconds_per_sample(1000, run));
                let times = [
                    time(&|| drop(black_box(cosine.decode(&features).unwrap()))),
                    time(&|| drop(black_box(cosine.decode_with_margins(&features).unwrap()))),
                    time(&|| drop(black_box(euclidean.decode(&features).unwrap()))),
                    time(&|| drop(black_box(euclidean.decode_with_margins(&features).unwrap()))),
                ];
                let unproven = cosine.decode(&features).unwrap().unproven.len();
                let brute = if num_classes <= 20 {
                    let gram: Vec<Vec<f64>> = (0..num_classes)
                        .map(|j| {
                            (0..num_classes)
                                .map(|k| means.row(j) * means.row(k).transpose())
                                .collect()
                        })
                        .collect();
                    let feature: Vec<f64> = features[..dim].iter().map(|&x| f64::from(x)).collect();
                    let products: Vec<f64> = (0..num_classes)
                        .map(|k| (0..dim).map(|c| means[(k, c)] * feature[c]).sum())
                        .collect();
                    let one = || {
                        black_box(brute_force(&gram, &products, max_multiplicity));
                    };
                    format!("{:.1}", microseconds_per_sample(1, one))
                } else {
                    "-".into()
                };
                println!(
                    "{frame:?} {num_classes} {dim} {max_multiplicity} {mean_noise} {feature_noise} | {:.1} {:.1} {:.1} {:.1} {brute} | {unproven}",
                    times[0], times[1], times[2], times[3]
                );
            }
        }
    }
}
