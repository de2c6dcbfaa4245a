//! Batch normalisation with ReLU and residual add, forward and backward.
//!
//! Statistics are taken per image, in two passes around the image's own mean, row sums in f32 and
//! the rest in f64, and merged over the batch in image order: no cancellation when the mean is
//! large, and the same bits on any number of threads.

use rayon::prelude::*;

use super::{Kernels, for_each_kernel_set};
use crate::bf16::Element;
use crate::buffer::{View, ViewMut};

/// Height, width and stored channels of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    pub height: usize,
    pub width: usize,
    pub pitch: usize,
}

impl Plane {
    pub(crate) fn len(self) -> usize {
        self.height * self.width * self.pitch
    }
    pub(crate) fn bordered_len(self) -> usize {
        (self.height + 2) * (self.width + 2) * self.pitch
    }
    pub(crate) fn pixels(self) -> usize {
        self.height * self.width
    }
    /// Where row `y` of the image starts inside its bordered copy.
    pub(crate) fn bordered_row(self, y: usize) -> usize {
        ((y + 1) * (self.width + 2) + 1) * self.pitch
    }
    pub(crate) fn row_len(self) -> usize {
        self.width * self.pitch
    }
}

/// What is added before the ReLU.
#[derive(Clone, Copy)]
pub(crate) enum Residual<'a> {
    None,
    /// Bordered activations `[B, h+2, w+2, pitch]`.
    Identity(View<'a>),
    /// A convolution's output with its own scale and shift.
    Projection(Normalised<'a>),
}

/// Channels whose sums are kept in registers at a time.
const GROUP: usize = 16;

for_each_kernel_set! {
    /// Sum and sum of squares around the image's mean, per channel, of one image: what [`moments`]
    /// merges.
    ///
    /// # Shapes
    /// `z` is `[h, w, pitch]`, `moments` `[2, pitch]`.
    pub(crate) fn image_moments(plane: Plane, z: &[f32], moments: &mut [f64]) {
        let (sums, squares) = moments.split_at_mut(plane.pitch);
        for first in (0..plane.pitch).step_by(GROUP) {
            let mut total = [0.0f64; GROUP];
            for row in z.chunks_exact(plane.row_len()) {
                let mut partial = [0.0f32; GROUP];
                for pixel in row.chunks_exact(plane.pitch) {
                    for c in 0..GROUP {
                        partial[c] += pixel[first..first + GROUP][c];
                    }
                }
                for c in 0..GROUP {
                    total[c] += f64::from(partial[c]);
                }
            }
            let mut mean = [0.0f32; GROUP];
            for c in 0..GROUP {
                mean[c] = (total[c] / plane.pixels() as f64) as f32;
            }
            let mut spread = [0.0f64; GROUP];
            for row in z.chunks_exact(plane.row_len()) {
                let mut partial = [0.0f32; GROUP];
                for pixel in row.chunks_exact(plane.pitch) {
                    for c in 0..GROUP {
                        let deviation = pixel[first..first + GROUP][c] - mean[c];
                        partial[c] += deviation * deviation;
                    }
                }
                for c in 0..GROUP {
                    spread[c] += f64::from(partial[c]);
                }
            }
            sums[first..first + GROUP].copy_from_slice(&total);
            squares[first..first + GROUP].copy_from_slice(&spread);
        }
    }
}

/// Mean and biased variance per channel over a batch, from the moments of its images.
///
/// # Shapes
/// `images` is at least `[B, 2, pitch]`, the results `[pitch]`.
pub(crate) fn moments(
    plane: Plane,
    batch: usize,
    images: &[f64],
    mean: &mut [f64],
    variance: &mut [f64],
) {
    let pitch = plane.pitch;
    let images = &images[..batch * 2 * pitch];
    let per_image = plane.pixels() as f64;
    let count = per_image * batch as f64;
    mean.fill(0.0);
    for image in images.chunks_exact(2 * pitch) {
        for c in 0..pitch {
            mean[c] += image[c] / count;
        }
    }
    variance.fill(0.0);
    for image in images.chunks_exact(2 * pitch) {
        for c in 0..pitch {
            // The squares were taken around the image's mean rounded to f32.
            let pivot = f64::from((image[c] / per_image) as f32);
            let shift = mean[c] - pivot;
            let linear = image[c] - per_image * pivot;
            let around_mean = image[pitch + c] - 2.0 * shift * linear + per_image * shift * shift;
            variance[c] += around_mean / count;
        }
    }
}

/// max(0, x) that lets NaN through, so that a diverged run is seen in its loss.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

for_each_kernel_set! {
    fn activate_row[E: Element](
        pitch: usize, z: &[f32], scale: &[f32], shift: &[f32], y: &mut [E],
    ) {
        for (y, z) in y.chunks_exact_mut(pitch).zip(z.chunks_exact(pitch)) {
            for c in 0..pitch {
                y[c] = E::narrow(relu(z[c] * scale[..pitch][c] + shift[..pitch][c]));
            }
        }
    }
}

for_each_kernel_set! {
    fn activate_row_identity[E: Element](
        pitch: usize, z: &[f32], scale: &[f32], shift: &[f32], residual: &[E], y: &mut [E],
    ) {
        let pixels = y.chunks_exact_mut(pitch).zip(z.chunks_exact(pitch));
        for ((y, z), residual) in pixels.zip(residual.chunks_exact(pitch)) {
            for c in 0..pitch {
                let main = z[c] * scale[..pitch][c] + shift[..pitch][c];
                y[c] = E::narrow(relu(main + residual[c].wide()));
            }
        }
    }
}

for_each_kernel_set! {
    fn activate_row_projection[E: Element](
        pitch: usize, z: &[f32], scale: &[f32], shift: &[f32],
        z2: &[f32], scale2: &[f32], shift2: &[f32], y: &mut [E],
    ) {
        let pixels = y.chunks_exact_mut(pitch).zip(z.chunks_exact(pitch));
        for ((y, z), z2) in pixels.zip(z2.chunks_exact(pitch)) {
            for c in 0..pitch {
                let main = z[c] * scale[..pitch][c] + shift[..pitch][c];
                let side = z2[c] * scale2[..pitch][c] + shift2[..pitch][c];
                y[c] = E::narrow(relu(main + side));
            }
        }
    }
}

/// A convolution's output with the scale and shift that normalise it.
#[derive(Clone, Copy)]
pub(crate) struct Normalised<'a> {
    /// `[B, h, w, pitch]`
    pub z: &'a [f32],
    /// `[pitch]`
    pub scale: &'a [f32],
    /// `[pitch]`
    pub shift: &'a [f32],
}

/// y = ReLU(z·scale + shift + residual), written inside y's border.
///
/// # Shapes
/// `y` is `[B, h+2, w+2, pitch]`.
pub(crate) fn activate(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    main: Normalised<'_>,
    residual: Residual<'_>,
    y: ViewMut<'_>,
) {
    match (y, residual) {
        (ViewMut::F32(y), Residual::Identity(View::F32(x))) => {
            activate_all(kernels, plane, batch, main, Shortcut::Identity(x), y);
        }
        (ViewMut::Bf16(y), Residual::Identity(View::Bf16(x))) => {
            activate_all(kernels, plane, batch, main, Shortcut::Identity(x), y);
        }
        (_, Residual::Identity(_)) => unreachable!("a block has one precision"),
        (ViewMut::F32(y), Residual::None) => {
            activate_all(kernels, plane, batch, main, Shortcut::None, y);
        }
        (ViewMut::Bf16(y), Residual::None) => {
            activate_all(kernels, plane, batch, main, Shortcut::None, y);
        }
        (ViewMut::F32(y), Residual::Projection(side)) => {
            activate_all(kernels, plane, batch, main, Shortcut::Projection(side), y);
        }
        (ViewMut::Bf16(y), Residual::Projection(side)) => {
            activate_all(kernels, plane, batch, main, Shortcut::Projection(side), y);
        }
    }
}

/// [`Residual`] in the precision of the activations.
#[derive(Clone, Copy)]
enum Shortcut<'a, E> {
    None,
    Identity(&'a [E]),
    Projection(Normalised<'a>),
}

fn activate_all<E: Element>(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    main: Normalised<'_>,
    shortcut: Shortcut<'_, E>,
    y: &mut [E],
) {
    let pitch = plane.pitch;
    let Normalised { z, scale, shift } = main;
    y[..batch * plane.bordered_len()]
        .par_chunks_exact_mut(plane.bordered_len())
        .with_max_len(1)
        .enumerate()
        .for_each(|(image, y)| {
            for row in 0..plane.height {
                let inner = (image * plane.height + row) * plane.row_len();
                let inner = inner..inner + plane.row_len();
                let bordered = plane.bordered_row(row);
                let bordered = bordered..bordered + plane.row_len();
                let y = &mut y[bordered.clone()];
                let z = &z[inner.clone()];
                match shortcut {
                    Shortcut::None => activate_row(kernels, pitch, z, scale, shift, y),
                    Shortcut::Identity(x) => {
                        let x = &x[image * plane.bordered_len()..][bordered];
                        activate_row_identity(kernels, pitch, z, scale, shift, x, y);
                    }
                    Shortcut::Projection(side) => {
                        let z2 = &side.z[inner];
                        activate_row_projection(
                            kernels, pitch, z, scale, shift, z2, side.scale, side.shift, y,
                        );
                    }
                }
            }
        });
}

/// Where the gradient that enters a norm still has to pass a ReLU.
#[derive(Clone, Copy)]
pub(crate) enum Mask<'a> {
    /// Zero the gradient, in place, where z·scale + shift, the norm's own output, is not positive.
    Own,
    /// Zero it where these bordered activations are not positive.
    Relu(View<'a>),
    /// The gradient was masked before.
    Done,
}

/// One row of an image's gradient and the sums over the image so far.
struct GradientRow<'a> {
    pitch: usize,
    z: &'a [f32],
    mean: &'a [f32],
    g: &'a mut [f32],
    sums: &'a mut [f64],
    products: &'a mut [f64],
}

impl GradientRow<'_> {
    /// Zeroes g where `sign` of a position in the row and its channel is not positive, and adds g
    /// and g·(z − mean) to the sums.
    #[inline(always)]
    fn add(&mut self, sign: impl Fn(usize, usize) -> [f32; GROUP]) {
        for first in (0..self.pitch).step_by(GROUP) {
            let center = *group(self.mean, first);
            let (mut sum, mut product) = ([0.0f32; GROUP], [0.0f32; GROUP]);
            for start in (first..self.g.len()).step_by(self.pitch) {
                let (z, sign) = (group(self.z, start), sign(start, first));
                let (g, _) = self.g[start..]
                    .split_first_chunk_mut::<GROUP>()
                    .expect("a group");
                for c in 0..GROUP {
                    g[c] = if sign[c] > 0.0 { g[c] } else { 0.0 };
                    sum[c] += g[c];
                    product[c] += g[c] * (z[c] - center[c]);
                }
            }
            for c in 0..GROUP {
                self.sums[first + c] += f64::from(sum[c]);
                self.products[first + c] += f64::from(product[c]);
            }
        }
    }
}

/// The group of channels that starts at `first`.
#[inline(always)]
fn group(numbers: &[f32], first: usize) -> &[f32; GROUP] {
    numbers[first..]
        .first_chunk()
        .expect("a multiple of the group")
}

for_each_kernel_set! {
    fn add_row(row: GradientRow<'_>) {
        let mut row = row;
        row.add(|_, _| [1.0; GROUP]);
    }
}

for_each_kernel_set! {
    fn add_row_masked[E: Element](row: GradientRow<'_>, y: &[E]) {
        let mut row = row;
        row.add(|i, _| {
            let mut sign = [0.0; GROUP];
            for c in 0..GROUP {
                sign[c] = y[i..i + GROUP][c].wide();
            }
            sign
        });
    }
}

for_each_kernel_set! {
    fn add_row_masked_by_own(row: GradientRow<'_>, scale: &[f32], shift: &[f32]) {
        let mut row = row;
        let z = row.z;
        row.add(|i, c| {
            let (z, scale, shift) = (group(z, i), group(scale, c), group(shift, c));
            let mut y = [0.0f32; GROUP];
            for c in 0..GROUP {
                y[c] = z[c] * scale[c] + shift[c];
            }
            y
        });
    }
}

/// Masks g in place and returns per channel Σ g and Σ g·(z − mean) over the batch.
///
/// # Shapes
/// `g` and `z` are `[B, h, w, pitch]`, `partial` at least `[B, 2, pitch]`, the results `[pitch]`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn gradient_sums(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    mask: Mask<'_>,
    z: &[f32],
    [scale, shift, mean]: [&[f32]; 3],
    g: &mut [f32],
    partial: &mut [f64],
    sums: &mut [f64],
    products: &mut [f64],
) {
    let pitch = plane.pitch;
    let partial = &mut partial[..batch * 2 * pitch];
    partial
        .par_chunks_exact_mut(2 * pitch)
        .zip(g.par_chunks_exact_mut(plane.len()))
        .zip(z.par_chunks_exact(plane.len()))
        .with_max_len(1)
        .enumerate()
        .for_each(|(image, ((partial, g), z))| {
            partial.fill(0.0);
            let (sums, products) = partial.split_at_mut(pitch);
            let rows = g.chunks_exact_mut(plane.row_len());
            for (y, (g, z)) in rows.zip(z.chunks_exact(plane.row_len())).enumerate() {
                let row = GradientRow {
                    pitch,
                    z,
                    mean,
                    g,
                    sums,
                    products,
                };
                match mask {
                    Mask::Own => add_row_masked_by_own(kernels, row, scale, shift),
                    Mask::Relu(outputs) => {
                        let start = image * plane.bordered_len() + plane.bordered_row(y);
                        let y = start..start + plane.row_len();
                        match outputs {
                            View::F32(outputs) => add_row_masked(kernels, row, &outputs[y]),
                            View::Bf16(outputs) => add_row_masked(kernels, row, &outputs[y]),
                        }
                    }
                    Mask::Done => add_row(kernels, row),
                }
            }
        });
    sums.fill(0.0);
    products.fill(0.0);
    for image in partial.chunks_exact(2 * pitch) {
        for c in 0..pitch {
            sums[c] += image[c];
            products[c] += image[pitch + c];
        }
    }
}

for_each_kernel_set! {
    fn input_gradient_row[E: Element](
        pitch: usize, g: &[f32], z: &[f32], on_g: &[f32], on_z: &[f32], constant: &[f32],
        dz: &mut [E],
    ) {
        let pixels = dz.chunks_exact_mut(pitch).zip(g.chunks_exact(pitch));
        for ((dz, g), z) in pixels.zip(z.chunks_exact(pitch)) {
            for c in 0..pitch {
                let sum = g[c] * on_g[..pitch][c] + z[c] * on_z[..pitch][c] + constant[..pitch][c];
                dz[c] = E::narrow(sum);
            }
        }
    }
}

/// The gradient before the norm, dz = g·on_g + z·on_z + constant, written inside dz's border.
pub(crate) fn input_gradient(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    (g, z): (&[f32], &[f32]),
    coefficients: [&[f32]; 3],
    dz: ViewMut<'_>,
) {
    match dz {
        ViewMut::F32(dz) => input_gradient_all(kernels, plane, batch, (g, z), coefficients, dz),
        ViewMut::Bf16(dz) => input_gradient_all(kernels, plane, batch, (g, z), coefficients, dz),
    }
}

fn input_gradient_all<E: Element>(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    (g, z): (&[f32], &[f32]),
    [on_g, on_z, constant]: [&[f32]; 3],
    dz: &mut [E],
) {
    dz[..batch * plane.bordered_len()]
        .par_chunks_exact_mut(plane.bordered_len())
        .with_max_len(1)
        .enumerate()
        .for_each(|(image, dz)| {
            for row in 0..plane.height {
                let inner = (image * plane.height + row) * plane.row_len();
                let inner = inner..inner + plane.row_len();
                let dz = &mut dz[plane.bordered_row(row)..][..plane.row_len()];
                let (g, z) = (&g[inner.clone()], &z[inner]);
                input_gradient_row(kernels, plane.pitch, g, z, on_g, on_z, constant, dz);
            }
        });
}
