//! Convolution kernels of every set against sums written out, over random shapes.

use proptest::prelude::*;

use super::layer::{ConvLayer, ConvScratch};
use super::output::{Epilogue, Output, Write};
use super::packed_weights::packed_index;
use super::shape::ConvShape;
use super::{KernelSet, Kernels, padded_channels};
use crate::Precision;
use crate::cpu::activations::{Activations, View};
use crate::cpu::bf16::Bf16;

/// Rounding of f32 sums of at most a few thousand products of numbers of size one, relative to
/// the square root of the number of products.
const ROUNDING: f64 = 1e-5;
/// The same for Winograd's products of numbers rounded to bf16: relative to the standard deviation
/// of such a sum, a third of that root, the error is about 1 %, and rarely five times that.
const BF16_ROUNDING: f64 = 0.05;
/// The same for a result that is stored in bf16, relative to itself: half a unit in the last place.
const BF16_RESULT: f64 = 1.0 / 256.0;

/// One layer with random numbers, outside of any border or packing.
#[derive(Debug)]
struct Layer {
    shape: ConvShape,
    batch: usize,
    /// `[B, h, w, in]`
    x: Vec<f32>,
    /// `[out, in, tap]`
    weights: Vec<f32>,
    /// `[B, h', w', out]`
    dz: Vec<f32>,
}

/// Numbers in ±1 that follow from their position.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

impl Layer {
    /// All numbers have few enough bits for bf16.
    fn new(shape: ConvShape, batch: usize, seed: u64) -> Self {
        let (outs, ins) = (shape.out_channels, shape.in_channels);
        let short = |seed, count| {
            let numbers = numbers(seed, count).into_iter();
            numbers.map(|x| Bf16::round(x).widen()).collect()
        };
        Self {
            shape,
            batch,
            x: short(seed, batch * shape.in_height * shape.in_width * ins),
            weights: short(seed + 1, outs * ins * shape.taps()),
            dz: short(
                seed + 2,
                batch * shape.out_height() * shape.out_width() * outs,
            ),
        }
    }

    /// Calls `visit(output, input, weight)` with the positions of every product.
    fn for_each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let s = &self.shape;
        let (outs, ins, pad) = (s.out_channels, s.in_channels, s.kernel / 2);
        let places = (0..self.batch).flat_map(|b| {
            (0..s.out_height()).flat_map(move |y| (0..s.out_width()).map(move |x| (b, y, x)))
        });
        for (b, y, x) in places {
            for tap in 0..s.taps() {
                let in_y = (y * s.stride + tap / s.kernel).wrapping_sub(pad);
                let in_x = (x * s.stride + tap % s.kernel).wrapping_sub(pad);
                if in_y >= s.in_height || in_x >= s.in_width {
                    continue;
                }
                let input = ((b * s.in_height + in_y) * s.in_width + in_x) * ins;
                let output = ((b * s.out_height() + y) * s.out_width() + x) * outs;
                for o in 0..outs {
                    for i in 0..ins {
                        visit(output + o, input + i, (o * ins + i) * s.taps() + tap);
                    }
                }
            }
        }
    }

    fn check(&self, kernels: Kernels) {
        let s = &self.shape;
        let mut z = vec![0.0f64; self.dz.len()];
        let mut dx = vec![0.0f64; self.x.len()];
        let mut dw = vec![0.0f64; self.weights.len()];
        self.for_each_product(|output, input, weight| {
            let (x, w, g) = (self.x[input], self.weights[weight], self.dz[output]);
            z[output] += f64::from(x) * f64::from(w);
            dx[input] += f64::from(g) * f64::from(w);
            dw[weight] += f64::from(g) * f64::from(x);
        });
        let block = kernels.channel_block(s.out_pitch());
        let mut packed = vec![0.0; s.packed_len()];
        self.for_each_weight(|plain, out, input, tap| {
            packed[packed_index(s, block, out, input, tap)] = self.weights[plain];
        });
        // Images, whose pixels are not padded, stay in f32.
        let input = if s.in_pitch == padded_channels(s.in_channels) {
            kernels.precision()
        } else {
            Precision::F32
        };
        let x = bordered(
            input,
            &self.x,
            self.batch,
            s.in_height,
            s.in_width,
            s.in_channels,
            s.in_pitch,
        );
        let (height, width) = (s.out_height(), s.out_width());
        let dz = bordered(
            kernels.precision(),
            &self.dz,
            self.batch,
            height,
            width,
            s.out_channels,
            s.out_pitch(),
        );

        let result = kernels.precision();
        let sevens = vec![7.0; self.batch * s.out_image_len()];
        let mut found = Activations::rounded(result, &sevens);
        let layer = ConvLayer::new(s, kernels, input);
        let rounding = match kernels.precision() {
            Precision::Bf16 if !layer.is_direct() => BF16_ROUNDING,
            _ => ROUNDING,
        };
        let mut scratch = ConvScratch::new();
        scratch.reserve(layer.training_scratch(self.batch));
        let mut sums = vec![0.0; self.batch * 2];
        let output = Output::new(found.view_mut(), Write::Replace).followed_by(Epilogue {
            sums: &mut sums,
            sums_len: 2,
            finish: &|index, image, sums| {
                sums[0] += index as f64;
                sums[1] += total(&plain(image.as_view()));
            },
        });
        layer.forward(self.batch, x.view(), &packed, &mut scratch, output);
        let found = plain(found.view());
        for (index, image) in found.chunks_exact(s.out_image_len()).enumerate() {
            assert_eq!(sums[2 * index..][..2], [index as f64, total(image)]);
        }
        let terms = s.in_channels * s.taps();
        compare(
            &format!("forward, {kernels:?}"),
            s,
            &found,
            s.out_channels,
            s.out_pitch(),
            &z,
            0.0,
            (terms, rounding, result),
        );

        let in_pitch = padded_channels(s.in_channels);
        let terms = s.out_channels * s.taps();
        for (write, offset) in [(Write::Replace, 0.0), (Write::Add, 0.5)] {
            let halves = vec![0.5; self.batch * s.in_height * s.in_width * in_pitch];
            let mut found = Activations::rounded(result, &halves);
            let output = Output::new(found.view_mut(), write);
            layer.data_gradient(self.batch, dz.view(), &packed, &mut scratch, output);
            compare(
                &format!("data gradient, {kernels:?}"),
                s,
                &plain(found.view()),
                s.in_channels,
                in_pitch,
                &dx,
                offset,
                (terms, rounding, result),
            );
        }

        let mut found = vec![7.0; s.packed_len()];
        layer.weight_gradient(self.batch, x.view(), dz.view(), &mut scratch, &mut found);
        let mut dense = vec![0.0; self.weights.len()];
        self.for_each_weight(|position, out, input, tap| {
            dense[position] = found[packed_index(s, block, out, input, tap)];
        });
        let terms = self.batch * height * width;
        compare(
            &format!("weight gradient, {kernels:?}"),
            s,
            &dense,
            1,
            1,
            &dw,
            0.0,
            (terms, rounding, Precision::F32),
        );
    }

    fn for_each_weight(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let s = &self.shape;
        for position in 0..self.weights.len() {
            let (matrix, tap) = (position / s.taps(), position % s.taps());
            visit(
                position,
                matrix / s.in_channels,
                matrix % s.in_channels,
                tap,
            );
        }
    }
}

/// `[B, h, w, channels]` → `[B, h+2, w+2, pitch]`.
fn bordered(
    precision: Precision,
    plain: &[f32],
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    pitch: usize,
) -> Activations {
    let mut result = vec![0.0; batch * (height + 2) * (width + 2) * pitch];
    for (index, pixel) in plain.chunks_exact(channels).enumerate() {
        let (image, y, x) = (
            index / (height * width),
            index / width % height,
            index % width,
        );
        let target = ((image * (height + 2) + y + 1) * (width + 2) + x + 1) * pitch;
        result[target..target + channels].copy_from_slice(pixel);
    }
    Activations::rounded(precision, &result)
}

/// The numbers as f32.
fn plain(numbers: View<'_>) -> Vec<f32> {
    match numbers {
        View::F32(numbers) => numbers.to_vec(),
        View::Bf16(numbers) => numbers.iter().map(|number| number.widen()).collect(),
    }
}

fn total(numbers: &[f32]) -> f64 {
    numbers.iter().map(|x| f64::from(*x)).sum()
}

#[allow(clippy::too_many_arguments)]
fn compare(
    what: &str,
    shape: &ConvShape,
    found: &[f32],
    channels: usize,
    pitch: usize,
    expected: &[f64],
    offset: f64,
    (terms, rounding, result): (usize, f64, Precision),
) {
    let pixels = found
        .chunks_exact(pitch)
        .zip(expected.chunks_exact(channels));
    let tolerance = rounding * (1.0 + terms as f64).sqrt();
    for (pixel, (found, expected)) in pixels.enumerate() {
        for c in 0..channels {
            let expected = expected[c] + offset;
            let error = (f64::from(found[c]) - expected).abs();
            let stored = match result {
                Precision::F32 => 0.0,
                Precision::Bf16 => BF16_RESULT * (expected.abs() + tolerance),
            };
            assert!(
                error < tolerance + stored,
                "{what} {shape:?} pixel {pixel} channel {c}: {error:.1e}"
            );
        }
        let surplus_is_constant = found[channels..].iter().all(|v| f64::from(*v) == offset);
        assert!(
            surplus_is_constant,
            "{what} {shape:?} pixel {pixel}: surplus channels"
        );
    }
}

/// Every kernel set of this machine in both precisions, or the one that `TAGWISE_KERNELS` names.
fn available() -> impl Iterator<Item = Kernels> {
    let chosen = std::env::var("TAGWISE_KERNELS").ok();
    KernelSet::ALL
        .into_iter()
        .chain([KernelSet::EmulatedAmx])
        .filter(move |set| chosen.as_ref().is_none_or(|name| name == set.name()))
        .filter_map(|set| Kernels::select(set).ok())
        .flat_map(|kernels| {
            [Precision::F32, Precision::Bf16].map(|precision| kernels.with_precision(precision))
        })
}

fn shape(
    (in_channels, out_channels): (usize, usize),
    (kernel, stride): (usize, usize),
    (in_height, in_width): (usize, usize),
) -> ConvShape {
    ConvShape {
        in_channels,
        out_channels,
        kernel,
        stride,
        in_height,
        in_width,
        in_pitch: if in_channels <= 3 {
            in_channels
        } else {
            padded_channels(in_channels)
        },
    }
}

#[test]
fn convolutions_agree_with_their_sums_at_awkward_shapes() {
    for channels in [
        (1, 10),
        (3, 64),
        (10, 1),
        (65, 65),
        (33, 48),
        (16, 32),
        (128, 16),
        (130, 70),
        (520, 16),
    ] {
        for size in [(1, 1), (1, 7), (7, 1), (2, 3), (8, 8)] {
            for kind in [(1, 1), (1, 2), (3, 1), (3, 2)] {
                let layer = Layer::new(shape(channels, kind, size), 2, 5);
                available().for_each(|kernels| layer.check(kernels));
            }
        }
    }
}

#[test]
fn convolutions_agree_with_their_sums_on_images_of_many_channels() {
    for channels in [(20, 32), (150, 16)] {
        for kind in [(1, 1), (1, 2), (3, 1), (3, 2)] {
            let mut shape = shape(channels, kind, (5, 7));
            shape.in_pitch = shape.in_channels;
            let layer = Layer::new(shape, 2, 3);
            available().for_each(|kernels| layer.check(kernels));
        }
    }
}

#[test]
fn convolutions_agree_with_their_sums_on_images_of_many_blocks() {
    for kind in [(3, 1), (3, 2), (1, 1)] {
        let layer = Layer::new(shape((3, 64), kind, (57, 33)), 2, 9);
        available().for_each(|kernels| layer.check(kernels));
    }
    // More tiles than Winograd's weight gradient transforms at a time.
    let layer = Layer::new(shape((16, 64), (3, 1), (57, 33)), 4, 9);
    available().for_each(|kernels| layer.check(kernels));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn convolutions_agree_with_their_sums_at_random_shapes(
        ins in 1usize..40,
        outs in 1usize..90,
        kernel in prop::sample::select(vec![1usize, 3]),
        stride in 1usize..3,
        height in 1usize..11,
        width in 1usize..24,
        batch in 1usize..4,
        seed in 0u64..1000,
    ) {
        let layer = Layer::new(shape((ins, outs), (kernel, stride), (height, width)), batch, seed);
        available().for_each(|kernels| layer.check(kernels));
    }
}
