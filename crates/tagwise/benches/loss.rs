//! Time of a loss with its gradient for one sample on one core: the set likelihood beside
//! pick-all-labels.
//!
//! `cargo bench -p tagwise --bench loss`. Every loss goes over the same batch in turn, again and
//! again; the least time of each counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::LabelSet;
use tagwise::loss::Loss;
use tagwise::loss::set_likelihood::SetPotentials;

const BATCH_SIZE: usize = 256;
const ROUNDS: usize = 30;

fn least(best: &mut Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    *best = (*best).min(start.elapsed());
}

fn main() {
    println!("K, M: nanoseconds a sample of PAL, BCE, set likelihood; the last against PAL");
    for (num_classes, most) in [(10, 3), (100, 10), (1000, 20), (10_000, 25)] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let logits: Vec<f32> = (0..BATCH_SIZE * num_classes)
            .map(|_| rng.random_range(-6.0..-2.0f32))
            .collect();
        let sets: Vec<LabelSet> = (0..BATCH_SIZE)
            .map(|_| {
                let multiplicity = rng.random_range(1..=most);
                let labels = rand::seq::index::sample(&mut rng, num_classes, multiplicity);
                labels.iter().map(|label| label as u32).collect()
            })
            .collect();
        let mut gradient = vec![0f32; logits.len()];
        let potentials = SetPotentials::new(num_classes, vec![0.0; most + 1]).unwrap();
        let mut times = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            let mut of_loss = |loss: Loss| {
                let mean = loss.batch_mean(&logits, sets.iter(), &mut gradient);
                black_box(mean.unwrap());
            };
            least(&mut times[0], || of_loss(Loss::default()));
            least(&mut times[1], || of_loss(Loss::BinaryCrossEntropy {}));
            least(&mut times[2], || {
                let mean = potentials.batch_mean(&logits, sets.iter(), &mut gradient);
                black_box(mean.unwrap());
            });
        }
        let of_sample = times.map(|time| time.as_secs_f64() * 1e9 / BATCH_SIZE as f64);
        println!(
            "{num_classes}, {most}: {:.0} {:.0} {:.0}; {:.2}",
            of_sample[0],
            of_sample[1],
            of_sample[2],
            of_sample[2] / of_sample[0]
        );
    }
}
