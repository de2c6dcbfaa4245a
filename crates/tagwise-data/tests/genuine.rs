//! The paper's data sets composed from the genuine files, where a developer has them: in a folder
//! named by TAGWISE_TEST_DATA or in `shared/data` beside the checkout.

use std::path::PathBuf;

use tagwise_data::{ComposeSpec, ComposedImages, ImageSet, ImageShape, Placement, Source};

fn folder(name: &str, file: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TAGWISE_TEST_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = named.unwrap_or_else(beside).join(name);
    if folder.join(file).exists() {
        return Some(folder);
    }
    eprintln!(
        "skipped: no {}; put the data set there or set TAGWISE_TEST_DATA",
        folder.join(file).display()
    );
    None
}

fn counts(per_multiplicity: &[usize], placement: Placement) -> ComposeSpec {
    ComposeSpec {
        per_multiplicity: per_multiplicity.to_vec(),
        placement,
        ..ComposeSpec::default()
    }
}

/// Mean of each channel over every fifth image.
fn channel_means(images: &ImageSet) -> Vec<f64> {
    let shape = images.shape();
    let indices: Vec<usize> = (0..images.len()).step_by(5).collect();
    let mut sums = vec![0.0; shape.channels];
    let mut values = vec![0.0; shape.num_elements()];
    for &index in &indices {
        images.image_into(index, &mut values);
        for pixel in values.chunks_exact(shape.channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += f64::from(value);
            }
        }
    }
    let num_pixels = (indices.len() * shape.height * shape.width) as f64;
    sums.into_iter().map(|sum| sum / num_pixels).collect()
}

#[test]
fn m_lab_mnist_has_the_papers_counts() {
    let Some(folder) = folder("mnist", "train-images-idx3-ubyte.gz") else {
        return;
    };
    let (train, test) = Source::Mnist.load(&folder, None, 0).unwrap();
    assert_eq!(
        train.images().class_counts(),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(
        test.images().class_counts(),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    for placement in [Placement::Balanced, Placement::Paper] {
        let train = ComposedImages::new(&train, &counts(&[3100, 200], placement), 0).unwrap();
        let test = ComposedImages::new(&test, &counts(&[800, 50], placement), 0).unwrap();
        assert_eq!((train.len(), test.len()), (40_000, 10_250));
        assert_eq!(train.shape(), ImageShape::new(56, 56, 1));
        // A pair has twice the ink of a single: 31,000 + 2 · 9,000 digits on 40,000 canvases, each
        // a quarter of the canvas, of MNIST's mean 0.1307, less what overlaps.
        let expected = 0.1307 * 49.0 / 40.0 / 4.0;
        let mean = channel_means(&train.into())[0];
        assert!((mean - expected).abs() < 0.002, "{mean} of {expected}");
    }
}

#[test]
fn m_lab_cifar10_has_the_papers_counts() {
    let Some(folder) = folder("cifar10", "cifar-10-batches-bin") else {
        return;
    };
    let (train, test) = Source::Cifar10.load(&folder, None, 0).unwrap();
    assert_eq!(train.images().class_counts(), [5000; 10]);
    assert_eq!(test.images().class_counts(), [1000; 10]);
    let mut sums = [0u64; 3];
    for index in 0..train.images().len() {
        for pixel in train.images().pixels(index).chunks_exact(3) {
            for channel in 0..3 {
                sums[channel] += u64::from(pixel[channel]);
            }
        }
    }
    for (sum, published) in sums.into_iter().zip([0.491400, 0.482158, 0.446531]) {
        assert!((sum as f64 / (50_000.0 * 1024.0 * 255.0) - published).abs() < 1e-5);
    }
    let spec = counts(&[3100, 200, 20], Placement::Paper);
    let images = ComposedImages::new(&train, &spec, 0).unwrap();
    assert_eq!(images.len(), 40_000 + 120 * 20);
    assert_eq!(images.shape(), ImageShape::new(64, 64, 3));
    let spec = counts(&[800, 50], Placement::Paper);
    assert_eq!(ComposedImages::new(&test, &spec, 0).unwrap().len(), 10_250);
}
