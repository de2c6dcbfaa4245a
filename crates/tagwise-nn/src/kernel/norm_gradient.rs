//! Gradients of batch normalisation with ReLU.
//!
//! A gradient that enters a norm is masked by the ReLU after it and summed, image by image, right
//! where it was written if that is known to be its last writer; the sums over a batch are taken in
//! image order.

use rayon::prelude::*;

use super::norm::{GROUP, Normalised, Plane};
use super::{Kernels, for_each_kernel_set};
use crate::bf16::Element;
use crate::buffer::{View, ViewMut};

/// Where the ReLU after a norm lets the gradient pass.
#[derive(Clone, Copy)]
pub(crate) enum Mask<'a> {
    /// Zero the gradient, in place, where z·scale + shift, the norm's own output, is not positive.
    Own,
    /// Zero it where these bordered activations are not positive.
    Relu(View<'a>),
}

/// One row of an image's gradient and the sums over the image so far.
struct GradientRow<'a> {
    pitch: usize,
    z: &'a [f32],
    mean: &'a [f32],
    g: &'a mut [f32],
    sums: Option<&'a mut [f64]>,
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
                self.products[first + c] += f64::from(product[c]);
            }
            if let Some(sums) = &mut self.sums {
                for c in 0..GROUP {
                    sums[first + c] += f64::from(sum[c]);
                }
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

/// A norm, or the two whose sum a block returns, as the gradient that enters it sees it.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub kernels: Kernels,
    pub plane: Plane,
    pub mask: Mask<'a>,
    pub main: Normalised<'a>,
    /// The mean of `main.z`, `[pitch]`.
    pub mean: &'a [f32],
    /// The norm of a projection, which the same gradient enters.
    pub side: Option<Centred<'a>>,
}

/// A convolution's output with its mean.
#[derive(Clone, Copy)]
pub(crate) struct Centred<'a> {
    /// `[B, h, w, pitch]`
    pub z: &'a [f32],
    /// `[pitch]`
    pub mean: &'a [f32],
}

impl Entry<'_> {
    /// Sums of one image: Σ g, Σ g·(z − mean) and, for a projection's norm, Σ g·(z − mean) again,
    /// for each channel.
    pub(crate) fn sums_len(&self) -> usize {
        let vectors = if self.side.is_some() { 3 } else { 2 };
        vectors * self.plane.pitch
    }

    /// Masks the gradient of an image of the batch in place and sums it.
    ///
    /// # Shapes
    /// `g` is `[h, w, pitch]`, `sums` `[sums_len]`.
    pub(crate) fn take(&self, image: usize, g: &mut [f32], sums: &mut [f64]) {
        let (kernels, plane) = (self.kernels, self.plane);
        let (pitch, row_len) = (plane.pitch, plane.row_len());
        sums.fill(0.0);
        let (sum, products) = sums.split_at_mut(pitch);
        let (product, side_product) = products.split_at_mut(pitch);
        for (y, g) in g.chunks_exact_mut(row_len).enumerate() {
            let start = image * plane.len() + y * row_len;
            let row = GradientRow {
                pitch,
                z: &self.main.z[start..start + row_len],
                mean: self.mean,
                g,
                sums: Some(&mut *sum),
                products: &mut *product,
            };
            match self.mask {
                Mask::Own => {
                    add_row_masked_by_own(kernels, row, self.main.scale, self.main.shift);
                }
                Mask::Relu(outputs) => {
                    let start = image * plane.bordered_len() + plane.bordered_row(y);
                    let y = start..start + row_len;
                    match outputs {
                        View::F32(outputs) => add_row_masked(kernels, row, &outputs[y]),
                        View::Bf16(outputs) => add_row_masked(kernels, row, &outputs[y]),
                    }
                }
            }
            if let Some(Centred { z, mean }) = self.side {
                let row = GradientRow {
                    pitch,
                    z: &z[start..start + row_len],
                    mean,
                    g,
                    sums: None,
                    products: &mut *side_product,
                };
                add_row(kernels, row);
            }
        }
    }
}

/// Σ over the images of a batch of `result.len()` sums each, those from `first` on.
///
/// # Shapes
/// `images` is at least `[B, sums_len]`.
pub(crate) fn add_images(
    batch: usize,
    images: &[f64],
    sums_len: usize,
    first: usize,
    result: &mut [f64],
) {
    result.fill(0.0);
    for image in images[..batch * sums_len].chunks_exact(sums_len) {
        for (sum, value) in result.iter_mut().zip(&image[first..]) {
            *sum += value;
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
