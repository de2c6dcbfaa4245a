//! How fast each convolution of a network runs, for benchmarks.

use std::time::Instant;

use super::activations::Activations;
use super::block::Source;
use super::kernel::layer::{ConvLayer, ConvScratch};
use super::kernel::output::{Output, Write};
use super::kernel::shape::ConvShape;
use super::kernel::{Kernels, padded_channels, peak};
use crate::blueprint::NetworkSpec;
use crate::device::Device;
use crate::{Precision, Result};

/// Speed of the three kernels of one shape of convolution.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerRate {
    /// The first layer of this shape, for example `layer1.0.conv1`.
    pub name: String,
    /// Layers of this shape.
    pub count: usize,
    /// Input `[height, width, channels]`.
    pub input: [usize; 3],
    /// Output channels, side of the kernel and stride.
    pub output: [usize; 3],
    /// Operations of one of the three kernels for the batch when every product of the sum is
    /// taken, in 1e9; a multiplication and an addition are two.
    pub gflop: f64,
    /// Whether every product is taken; otherwise a tile's sums take a quarter of them
    /// (Winograd's F(4×4, 3×3)), and the rates below can exceed the peak.
    pub direct: bool,
    /// z = x ∗ w, in 1e9 operations per second.
    pub forward: f64,
    /// dx, with the transposition of the weights; `None` for the first layer, which has none.
    pub data_gradient: Option<f64>,
    /// dw.
    pub weight_gradient: f64,
}

/// Times every shape of convolution in a network on its own, on the current thread pool, the best
/// of `steps` runs.
///
/// # Errors
/// [`crate::Error::InvalidSpec`] when no such network exists.
///
/// ```
/// use tagwise_nn::{
///     Architecture, ClassifierKind, Device, ImageShape, NetworkSpec, layer_rates,
/// };
///
/// let spec = NetworkSpec {
///     architecture: Architecture::Small,
///     input: ImageShape { height: 8, width: 8, channels: 1 },
///     num_classes: 10,
///     feature_dim: None,
///     classifier: ClassifierKind::Learned,
/// };
/// let rates = layer_rates(&spec, 2, 1, Device::cpu()?)?;
/// assert_eq!(rates[0].name, "conv1");
/// assert_eq!(rates[0].gflop, 2.0 * (2 * 8 * 8 * 9 * 32) as f64 / 1e9);
/// assert!(rates[0].forward > 0.0 && rates[0].data_gradient.is_none());
/// # Ok::<(), tagwise_nn::Error>(())
/// ```
pub fn layer_rates(
    spec: &NetworkSpec,
    batch: usize,
    steps: usize,
    device: Device,
) -> Result<Vec<LayerRate>> {
    let blueprint = spec.blueprint()?;
    let mut rates: Vec<(ConvShape, LayerRate)> = Vec::new();
    for (i, block) in blueprint.blocks.iter().enumerate() {
        for conv in block.convolutions() {
            let source = Source::of_block(i);
            let shape = ConvShape::new(conv, source.pitch(conv.in_channels));
            match rates.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, rate)) => rate.count += 1,
                None => {
                    let rate = measure(shape, source, batch, steps, device.kernels());
                    let name = conv.name.clone();
                    rates.push((shape, LayerRate { name, ..rate }));
                }
            }
        }
    }
    Ok(rates.into_iter().map(|(_, rate)| rate).collect())
}

/// The operations per second, in 1e9, of multiply-adds that stay in registers, in the device's
/// precision, on the current
/// thread pool: what no kernel exceeds.
#[must_use]
pub fn peak_rate(device: Device) -> f64 {
    peak::multiply_add_rate(device.kernels()) / 1e9
}

fn measure(
    shape: ConvShape,
    source: Source,
    batch: usize,
    steps: usize,
    kernels: Kernels,
) -> LayerRate {
    let is_first = source == Source::Images;
    let pixels = shape.out_height() * shape.out_width();
    let products = batch * pixels * shape.taps() * shape.in_channels * shape.out_channels;
    let gflop = 2.0 * products as f64 / 1e9;
    let precision = kernels.precision();
    let input_precision = source.precision(kernels);
    let input = Activations::rounded(input_precision, &noise(batch * shape.in_image_len()));
    let dz = Activations::rounded(precision, &noise(batch * shape.out_bordered_len()));
    let weights = noise(shape.packed_len());
    let mut z = zeros(precision, batch * shape.out_image_len());
    let layer = ConvLayer::new(&shape, kernels, input_precision);
    let mut scratch = ConvScratch::new();
    scratch.reserve(layer.training_scratch(batch));
    let forward = best(steps, || {
        let z = Output::new(z.view_mut(), Write::Replace);
        layer.forward(batch, input.view(), &weights, &mut scratch, z);
    });
    let data_gradient = (!is_first).then(|| {
        let in_pitch = padded_channels(shape.in_channels);
        let mut dx = zeros(
            precision,
            batch * shape.in_height * shape.in_width * in_pitch,
        );
        best(steps, || {
            let dx = Output::new(dx.view_mut(), Write::Replace);
            layer.data_gradient(batch, dz.view(), &weights, &mut scratch, dx);
        })
    });
    let mut gradient = vec![0.0; shape.packed_len()];
    let weight_gradient = best(steps, || {
        layer.weight_gradient(batch, input.view(), dz.view(), &mut scratch, &mut gradient);
    });
    LayerRate {
        name: String::new(),
        count: 1,
        input: [shape.in_height, shape.in_width, shape.in_channels],
        output: [shape.out_channels, shape.kernel, shape.stride],
        gflop,
        direct: layer.is_direct(),
        forward: gflop / forward,
        data_gradient: data_gradient.map(|seconds| gflop / seconds),
        weight_gradient: gflop / weight_gradient,
    }
}

fn zeros(precision: Precision, len: usize) -> Activations {
    let mut zeros = Activations::empty(precision);
    zeros.reserve(len);
    zeros
}

/// Numbers in [−1, 1) without denormals, whose arithmetic is slow.
fn noise(len: usize) -> Vec<f32> {
    let one = |i: usize| ((i * 7919 + 13) % 1024) as f32 / 512.0 - 1.0;
    (0..len).map(one).collect()
}

/// Seconds of the fastest run after one to warm up.
fn best(steps: usize, mut run: impl FnMut()) -> f64 {
    run();
    let times = (0..steps.max(1)).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}
