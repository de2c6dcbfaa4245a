//! Gradients of batch normalisation with ReLU.
//!
//! A gradient that enters a norm is masked by the ReLU after it and summed, image by image, right
//! where it was written if that is known to be its last writer; the sums over a batch are taken in
//! image order.

use super::Kernels;
use super::norm::{Normalised, WIDE, add_to_f64};
use super::shape::{Place, Plane};
use super::simd::{Number, Simd, Work};
use crate::cpu::activations::{View, ViewMut};
use crate::cpu::parallel;

/// Where the ReLU after a norm lets the gradient pass.
#[derive(Clone, Copy)]
pub(crate) enum Mask<'a> {
    /// Zero the gradient, in place, where z·scale + shift, the norm's own output, is not positive.
    Own,
    /// Zero it where these bordered activations are not positive.
    Relu(View<'a>),
}

/// One image's gradient, to mask in place and sum.
struct ImageSums<'a, E> {
    plane: Plane,
    z: &'a [E],
    mean: &'a [f32],
    mask: ImageMask<'a, E>,
    g: &'a mut [E],
    /// Σ g, `[pitch]`
    sums: Option<&'a mut [f64]>,
    /// Σ g·(z − mean), `[pitch]`
    products: &'a mut [f64],
}

/// [`Mask`] of one image, or none.
#[derive(Clone, Copy)]
enum ImageMask<'a, E> {
    None,
    Own { scale: &'a [f32], shift: &'a [f32] },
    Relu(&'a [E]),
}

impl<E: Number> Work for ImageSums<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: places lie inside the image's slices, which the caller measured.
        unsafe {
            match self.mask {
                ImageMask::None => self.add::<S>(|_, _| S::splat(1.0)),
                ImageMask::Own { scale, shift } => self.add::<S>(|z, place| {
                    let scale = S::load(scale.as_ptr().add(place.channel));
                    S::multiply_add(z, scale, S::load(shift.as_ptr().add(place.channel)))
                }),
                ImageMask::Relu(y) => {
                    self.add::<S>(|_, place| E::load::<S>(y.as_ptr().add(place.bordered)));
                }
            }
        }
    }
}

impl<E: Number> ImageSums<'_, E> {
    /// Zeroes g where `sign` of z and a place is not positive, and sums it.
    ///
    /// # Safety
    /// All slices have their lengths; `S` is available.
    #[inline(always)]
    unsafe fn add<S: Simd>(&mut self, sign: impl Fn(S::Vector, Place) -> S::Vector + Copy) {
        let pitch = self.plane.pitch;
        let mut first = 0;
        while first < pitch {
            // SAFETY: passed on from the caller; channels come in whole registers.
            unsafe {
                if first + WIDE * S::LANES <= pitch {
                    self.block::<S, WIDE>(first, sign);
                    first += WIDE * S::LANES;
                } else {
                    self.block::<S, 1>(first, sign);
                    first += S::LANES;
                }
            }
        }
    }

    /// `VECTORS` registers of channels of all pixels, summed in f32 within a row.
    ///
    /// # Safety
    /// As [`ImageSums::add`]; the channels lie inside the pitch.
    #[inline(always)]
    unsafe fn block<S: Simd, const VECTORS: usize>(
        &mut self,
        first: usize,
        sign: impl Fn(S::Vector, Place) -> S::Vector,
    ) {
        let plane = self.plane;
        let g = self.g.as_mut_ptr();
        // SAFETY: passed on from the caller.
        unsafe {
            let mut center = [S::zero(); VECTORS];
            for (v, center) in center.iter_mut().enumerate() {
                *center = S::load(self.mean.as_ptr().add(first + v * S::LANES));
            }
            for row in 0..plane.height {
                let (mut sums, mut products) = ([S::zero(); VECTORS], [S::zero(); VECTORS]);
                for x in 0..plane.width {
                    for v in 0..VECTORS {
                        let place = plane.place(row, x, first + v * S::LANES);
                        let z = E::load::<S>(self.z.as_ptr().add(place.inner));
                        let to = g.add(place.inner);
                        let g = S::keep_positive(E::load::<S>(to), sign(z, place));
                        sums[v] = S::add(sums[v], g);
                        products[v] = S::multiply_add(g, S::subtract(z, center[v]), products[v]);
                        E::store::<S>(to, g);
                    }
                }
                for v in 0..VECTORS {
                    let first = first + v * S::LANES;
                    add_to_f64::<S>(products[v], &mut self.products[first..]);
                    if let Some(totals) = &mut self.sums {
                        add_to_f64::<S>(sums[v], &mut totals[first..]);
                    }
                }
            }
        }
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
    pub z: View<'a>,
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
    pub(crate) fn take(&self, image: usize, g: ViewMut<'_>, sums: &mut [f64]) {
        match g {
            ViewMut::F32(g) => self.take_all(image, g, sums),
            ViewMut::Bf16(g) => self.take_all(image, g, sums),
        }
    }

    fn take_all<E: Number>(&self, image: usize, g: &mut [E], sums: &mut [f64]) {
        let (kernels, plane) = (self.kernels, self.plane);
        let pitch = plane.pitch;
        assert!(g.len() == plane.len() && sums.len() == self.sums_len());
        sums.fill(0.0);
        let (sum, products) = sums.split_at_mut(pitch);
        let (product, side_product) = products.split_at_mut(pitch);
        let inner = image * plane.len()..(image + 1) * plane.len();
        let work = ImageSums {
            plane,
            z: &E::of(self.main.z)[inner.clone()],
            mean: &self.mean[..pitch],
            mask: match self.mask {
                Mask::Own => ImageMask::Own {
                    scale: &self.main.scale[..pitch],
                    shift: &self.main.shift[..pitch],
                },
                Mask::Relu(outputs) => {
                    let len = plane.bordered_len();
                    ImageMask::Relu(&E::of(outputs)[image * len..][..len])
                }
            },
            g: &mut *g,
            sums: Some(sum),
            products: product,
        };
        // SAFETY: the image's slices were cut to their lengths.
        unsafe { E::launch(kernels, work) }
        if let Some(Centred { z, mean }) = self.side {
            let work = ImageSums {
                plane,
                z: &E::of(z)[inner],
                mean: &mean[..pitch],
                mask: ImageMask::None,
                g,
                sums: None,
                products: side_product,
            };
            // SAFETY: as above.
            unsafe { E::launch(kernels, work) }
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

/// The gradient before the norm, dz = g·on_g + z·on_z + constant, written inside dz's border.
pub(crate) fn input_gradient(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    (g, z): (View<'_>, View<'_>),
    coefficients: [&[f32]; 3],
    dz: ViewMut<'_>,
) {
    match dz {
        ViewMut::F32(dz) => input_gradient_all(kernels, plane, batch, (g, z), coefficients, dz),
        ViewMut::Bf16(dz) => input_gradient_all(kernels, plane, batch, (g, z), coefficients, dz),
    }
}

fn input_gradient_all<E: Number>(
    kernels: Kernels,
    plane: Plane,
    batch: usize,
    (g, z): (View<'_>, View<'_>),
    coefficients: [&[f32]; 3],
    dz: &mut [E],
) {
    let (g, z) = (E::of(g), E::of(z));
    let dz = &mut dz[..batch * plane.bordered_len()];
    parallel::for_each_chunk(dz, plane.bordered_len(), |image, dz| {
        let work = InputGradient {
            plane,
            g: &g[image * plane.len()..][..plane.len()],
            z: &z[image * plane.len()..][..plane.len()],
            coefficients: coefficients.map(|numbers| &numbers[..plane.pitch]),
            dz,
        };
        // SAFETY: the image's slices were cut to their lengths.
        unsafe { E::launch(kernels, work) }
    });
}

/// One image of [`input_gradient`].
struct InputGradient<'a, E> {
    plane: Plane,
    g: &'a [E],
    z: &'a [E],
    coefficients: [&'a [f32]; 3],
    dz: &'a mut [E],
}

impl<E: Number> Work for InputGradient<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { plane, g, z, .. } = self;
        for row in 0..plane.height {
            for x in 0..plane.width {
                for channel in (0..plane.pitch).step_by(S::LANES) {
                    let place = plane.place(row, x, channel);
                    // SAFETY: places lie inside the image's slices, which the caller measured.
                    unsafe {
                        let [on_g, on_z, constant] = self
                            .coefficients
                            .map(|numbers| S::load(numbers.as_ptr().add(channel)));
                        let g = E::load::<S>(g.as_ptr().add(place.inner));
                        let z = E::load::<S>(z.as_ptr().add(place.inner));
                        let sum = S::multiply_add(z, on_z, constant);
                        let sum = S::multiply_add(g, on_g, sum);
                        E::store::<S>(self.dz.as_mut_ptr().add(place.bordered), sum);
                    }
                }
            }
        }
    }
}
