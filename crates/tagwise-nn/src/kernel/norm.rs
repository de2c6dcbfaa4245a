//! Batch normalisation with ReLU and residual add, forward.
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
pub(super) const GROUP: usize = 16;

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
