//! Time of one-nearest-neighbour decoding on one core, against trying every label set.
//!
//! `cargo bench -p tagwise --bench decode`. Class means are a simplex ETF, or orthogonal vectors
//! as after a ReLU, plus Gaussian noise of the given norm relative to a mean's; features are the
//! sums of the means of a random label set plus noise of the same kind.
//!
//! Brute force is measured in three ways: all prototypes in memory and one matrix product for a
//! block of features ("product"), the same for one feature after the other ("vector"), and sums of
//! inner products and Gram entries extended label by label ("sums"), which needs no prototypes.

use std::hint::black_box;
use std::time::Instant;

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::decode::OneNearestNeighbour;
use tagwise::etf::simplex_etf;
use tagwise::matrix::as_faer;

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
            Frame::Simplex => as_faer(&simplex_etf(self.num_classes, self.dim).unwrap()).to_owned(),
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

/// The least time of several runs, fewer when one is long.
fn microseconds_per_sample(count: usize, run: impl Fn()) -> f64 {
    const LONG: f64 = 1.0;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        if best > LONG {
            break;
        }
    }
    best * 1e6 / count as f64
}

/// The unit prototypes of all sets of at most M labels, `[sets, d]`.
fn all_prototypes(means: &Mat<f64>, max_multiplicity: usize) -> Mat<f64> {
    let (num_classes, dim) = (means.nrows(), means.ncols());
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut sets: Vec<(usize, Vec<f64>)> = vec![(0, vec![0.0; dim])];
    for _ in 0..max_multiplicity {
        let mut larger = Vec::new();
        for (first, sum) in &sets {
            for label in *first..num_classes {
                let sum: Vec<f64> = (0..dim).map(|c| sum[c] + means[(label, c)]).collect();
                let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
                rows.push(sum.iter().map(|x| x / norm).collect());
                larger.push((label + 1, sum));
            }
        }
        sets = larger;
    }
    Mat::from_fn(rows.len(), dim, |row, c| rows[row][c])
}

/// The best prototype of each feature of a block by a matrix product.
fn brute_force_product(prototypes: &Mat<f64>, features: &[f32], block: usize) -> Vec<usize> {
    let dim = prototypes.ncols();
    let mut best = Vec::new();
    for block in features.chunks(block * dim) {
        let columns = Mat::from_fn(dim, block.len() / dim, |c, i| f64::from(block[i * dim + c]));
        let products = prototypes * &columns;
        best.extend((0..products.ncols()).map(|i| {
            let cosines = products.col(i).iter().enumerate();
            cosines
                .fold((0, f64::NEG_INFINITY), |best, (row, &cosine)| {
                    if cosine > best.1 { (row, cosine) } else { best }
                })
                .0
        }));
    }
    best
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

fn brute_force_times(setting: &Setting, means: &Mat<f64>, features: &[f32]) -> [f64; 3] {
    const COUNT: usize = 64;
    let (dim, num_classes) = (setting.dim, setting.num_classes);
    let features = &features[..COUNT * dim];
    let prototypes = all_prototypes(means, setting.max_multiplicity);
    let product = |block| {
        microseconds_per_sample(COUNT, || {
            black_box(brute_force_product(&prototypes, features, block));
        })
    };
    let gram: Vec<Vec<f64>> = (0..num_classes)
        .map(|j| {
            (0..num_classes)
                .map(|k| means.row(j) * means.row(k).transpose())
                .collect()
        })
        .collect();
    let sums = microseconds_per_sample(COUNT, || {
        for feature in features.chunks(dim) {
            let products: Vec<f64> = (0..num_classes)
                .map(|k| {
                    (0..dim)
                        .map(|c| means[(k, c)] * f64::from(feature[c]))
                        .sum()
                })
                .collect();
            black_box(brute_force(&gram, &products, setting.max_multiplicity));
        }
    });
    [product(COUNT), product(1), sums]
}

fn main() {
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    faer::set_global_parallelism(faer::Par::Seq);
    println!("microseconds a sample on one core");
    println!(
        "frame K d M, noise of means and features | cosine +margin euclid +margin | unproven, of | \
         brute force: product vector sums"
    );
    for (num_classes, dim, max_multiplicity) in [
        (10, 512, 3),
        (20, 20, 5),
        (20, 512, 5),
        (80, 80, 8),
        (80, 512, 8),
    ] {
        for frame in [Frame::Simplex, Frame::Orthogonal] {
            for (mean_noise, feature_noise, count) in
                [(0.01, 0.05, 1000), (0.1, 0.3, 1000), (0.3, 1.0, 100)]
            {
                let setting = Setting {
                    frame,
                    num_classes,
                    dim,
                    max_multiplicity,
                    mean_noise,
                    feature_noise,
                };
                run(&single, &setting, count);
            }
        }
    }
}

fn run(single: &rayon::ThreadPool, setting: &Setting, count: usize) {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let means = setting.means(rng);
    let features = setting.features(&means, count, rng);
    let max_multiplicity = setting.max_multiplicity;
    let limited =
        |decoder: tagwise::Result<OneNearestNeighbour>| decoder.unwrap().with_max_nodes(20_000);
    let scales = vec![1.0; max_multiplicity];
    let cosine = limited(OneNearestNeighbour::by_cosine(
        means.as_ref(),
        max_multiplicity,
    ));
    let euclidean = limited(OneNearestNeighbour::by_distance(
        means.as_ref(),
        max_multiplicity,
        &scales,
    ));
    let time = |run: &(dyn Fn() + Sync)| single.install(|| microseconds_per_sample(count, run));
    let times = [
        time(&|| drop(black_box(cosine.decode(&features).unwrap()))),
        time(&|| drop(black_box(cosine.decode_with_margins(&features).unwrap()))),
        time(&|| drop(black_box(euclidean.decode(&features).unwrap()))),
        time(&|| drop(black_box(euclidean.decode_with_margins(&features).unwrap()))),
    ];
    let unproven = single.install(|| cosine.decode(&features).unwrap().unproven.len());
    let brute = match setting.num_classes {
        ..=20 if count >= 64 => single
            .install(|| brute_force_times(setting, &means, &features))
            .map(|time| format!("{time:.0}"))
            .join(" "),
        _ => "-".into(),
    };
    println!(
        "{:?} {} {} {max_multiplicity}, {} {} | {:.1} {:.1} {:.1} {:.1} | {unproven}, {count} | {brute}",
        setting.frame,
        setting.num_classes,
        setting.dim,
        setting.mean_noise,
        setting.feature_noise,
        times[0],
        times[1],
        times[2],
        times[3]
    );
}
