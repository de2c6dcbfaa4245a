//! How many images a second the composer makes, on all cores and on one.
//!
//! `cargo run --release -p tagwise-data --example compose_speed`

use std::time::Instant;

use tagwise_data::{ComposeSpec, ComposedImages, ImageShape, LabelledImages, Sources};

const BATCH: usize = 128;

/// As many images as MNIST or CIFAR-10 has, of random bytes: speed does not depend on values.
fn noise(shape: ImageShape) -> Sources {
    let num_images = 50_000;
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pixels = (0..num_images * shape.num_elements())
        .map(|_| next())
        .collect();
    let labels = (0..num_images as u32).map(|i| i % 10).collect();
    Sources::all(LabelledImages::new(shape, 10, 255, pixels, labels).expect("whole images"))
}

/// Images a second over one epoch in shuffled order.
fn speed(images: &ComposedImages, num_threads: usize) -> f64 {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(num_threads)
        .build()
        .expect("threads");
    let order: Vec<usize> = (0..images.len()).map(|i| i * 7919 % images.len()).collect();
    let mut batch = vec![0.0; BATCH * images.shape().num_elements()];
    let start = Instant::now();
    for indices in order.chunks_exact(BATCH) {
        pool.install(|| images.compose_batch_into(indices, &mut batch));
    }
    (order.len() / BATCH * BATCH) as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sizes = [
        ("digits", ImageShape::new(8, 8, 1)),
        ("MNIST", ImageShape::new(28, 28, 1)),
        ("CIFAR-10", ImageShape::new(32, 32, 3)),
    ];
    for (name, shape) in sizes {
        let sources = noise(shape);
        let start = Instant::now();
        let images = ComposedImages::new(&sources, &ComposeSpec::default(), 0).expect("a plan");
        let plan_ms = start.elapsed().as_secs_f64() * 1e3;
        println!(
            "M-lab {name}: {} images planned in {plan_ms:.0} ms; {:.0} images/s on one core, {:.0} on {cores}",
            images.len(),
            speed(&images, 1),
            speed(&images, cores),
        );
    }
}
