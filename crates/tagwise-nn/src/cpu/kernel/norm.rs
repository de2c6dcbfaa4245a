//! Batch normalisation with ReLU and residual add, forward.
//!
//! Statistics are taken per image, in two passes around the image's own mean, row sums in f32 and
//! the rest in f64, and merged over the batch in image order: no cancellation when the mean is
//! large, and the same bits on any number of threads.

use super::Kernels;
use super::shape::{Place, Plane};
use super::simd::{Number, Simd, Work};
use crate::cpu::activations::Element;
use crate::cpu::activations::{View, ViewMut};
use crate::cpu::bf16::Bf16;
use crate::cpu::parallel;

/// What is added before the ReLU.
#[derive(Clone, Copy)]
pub(crate) enum Residual<'a> {
    None,
    /// Bordered activations `[B, h+2, w+2, pitch]`.
    Identity(View<'a>),
    /// A convolution's output with its own scale and shift.
    Projection(Normalised<'a>),
}

/// Registers of channels whose sums are kept at a time, where a pixel has as many.
pub(super) const WIDE: usize = 4;

/// Sum and sum of squares around the image's mean, per channel, of one image: what [`moments`]
/// merges.
///
/// # Shapes
/// `z` is `[h, w, pitch]`, `moments` `[2, pitch]`.
pub(crate) fn image_moments(kernels: Kernels, plane: Plane, z: View<'_>, moments: &mut [f64]) {
    match z {
        View::F32(z) => image_moments_of(kernels, plane, z, moments),
        View::Bf16(z) => image_moments_of(kernels, plane, z, moments),
    }
}

fn image_moments_of<E: Number>(kernels: Kernels, plane: Plane, z: &[E], moments: &mut [f64]) {
    assert!(z.len() == plane.len() && moments.len() == 2 * plane.pitch);
    let (sums, squares) = moments.split_at_mut(plane.pitch);
    let work = ImageMoments {
        plane,
        z,
        sums,
        squares,
    };
    // SAFETY: the image and the moments were measured.
    unsafe { E::launch(kernels, work) }
}

struct ImageMoments<'a, E> {
    plane: Plane,
    z: &'a [E],
    sums: &'a mut [f64],
    squares: &'a mut [f64],
}

impl<E: Number> Work for ImageMoments<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let pitch = self.plane.pitch;
        let mut first = 0;
        while first < pitch {
            // SAFETY: passed on from the caller; channels come in whole registers.
            unsafe {
                if first + WIDE * S::LANES <= pitch {
                    self.block::<S, WIDE>(first);
                    first += WIDE * S::LANES;
                } else {
                    self.block::<S, 1>(first);
                    first += S::LANES;
                }
            }
        }
    }
}

impl<E: Number> ImageMoments<'_, E> {
    /// The moments of `VECTORS` registers of channels.
    ///
    /// # Safety
    /// The channels lie inside the pitch; `S` is available.
    #[inline(always)]
    unsafe fn block<S: Simd, const VECTORS: usize>(&mut self, first: usize) {
        let pixels = self.plane.pixels() as f64;
        // SAFETY: passed on from the caller.
        unsafe {
            let mut mean = [S::zero(); VECTORS];
            self.add_rows::<S, VECTORS>(first, |sum, z, _| S::add(sum, z), false);
            for (v, mean) in mean.iter_mut().enumerate() {
                let mut numbers = [0.0f32; MOST_LANES];
                let sums = &self.sums[first + v * S::LANES..][..S::LANES];
                for (number, sum) in numbers.iter_mut().zip(sums) {
                    *number = (sum / pixels) as f32;
                }
                *mean = S::load(numbers.as_ptr());
            }
            let square = |sum, z, v: usize| {
                let deviation = S::subtract(z, mean[v]);
                S::multiply_add(deviation, deviation, sum)
            };
            self.add_rows::<S, VECTORS>(first, square, true);
        }
    }

    /// Sums over all pixels, in f32 within a row of the image.
    ///
    /// # Safety
    /// As [`ImageMoments::block`].
    #[inline(always)]
    unsafe fn add_rows<S: Simd, const VECTORS: usize>(
        &mut self,
        first: usize,
        add: impl Fn(S::Vector, S::Vector, usize) -> S::Vector,
        squares: bool,
    ) {
        let Plane { width, pitch, .. } = self.plane;
        let totals = match squares {
            true => &mut *self.squares,
            false => &mut *self.sums,
        };
        totals[first..first + VECTORS * S::LANES].fill(0.0);
        for row in self.z.chunks_exact(self.plane.row_len()) {
            // SAFETY: passed on from the caller.
            unsafe {
                let mut sums = [S::zero(); VECTORS];
                for x in 0..width {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let at = x * pitch + first + v * S::LANES;
                        *sum = add(*sum, E::load::<S>(row.as_ptr().add(at)), v);
                    }
                }
                for (v, sum) in sums.iter().enumerate() {
                    add_to_f64::<S>(*sum, &mut totals[first + v * S::LANES..]);
                }
            }
        }
    }
}

/// Lanes of the widest register.
const MOST_LANES: usize = 16;

/// Adds the lanes of a register to so many sums.
///
/// # Safety
/// `S` is available.
#[inline(always)]
pub(super) unsafe fn add_to_f64<S: Simd>(value: S::Vector, sums: &mut [f64]) {
    let mut numbers = [0.0f32; MOST_LANES];
    // SAFETY: passed on from the caller; no register has more lanes.
    unsafe { S::store(numbers.as_mut_ptr(), value) }
    for (sum, number) in sums[..S::LANES].iter_mut().zip(numbers) {
        *sum += f64::from(number);
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

/// A convolution's output with the scale and shift that normalise it.
#[derive(Clone, Copy)]
pub(crate) struct Normalised<'a> {
    /// `[B, h, w, pitch]`
    pub z: View<'a>,
    /// `[pitch]`
    pub scale: &'a [f32],
    /// `[pitch]`
    pub shift: &'a [f32],
}

/// y = ReLU(z·scale + shift + residual), written inside y's border.
#[derive(Clone, Copy)]
pub(crate) struct Activate<'a> {
    pub kernels: Kernels,
    pub plane: Plane,
    /// `[pitch]`
    pub scale: &'a [f32],
    /// `[pitch]`
    pub shift: &'a [f32],
    /// Of the whole batch.
    pub residual: Residual<'a>,
}

impl Activate<'_> {
    /// All images of a batch.
    ///
    /// # Shapes
    /// `z` is `[B, h, w, pitch]`, `y` `[B, h+2, w+2, pitch]`.
    pub(crate) fn batch(&self, batch: usize, z: View<'_>, y: ViewMut<'_>) {
        match y {
            ViewMut::F32(y) => self.all(batch, f32::of(z), y),
            ViewMut::Bf16(y) => self.all(batch, Bf16::of(z), y),
        }
    }

    fn all<E: Number>(&self, batch: usize, z: &[E], y: &mut [E]) {
        let (len, bordered_len) = (self.plane.len(), self.plane.bordered_len());
        parallel::for_each_chunk(&mut y[..batch * bordered_len], bordered_len, |image, y| {
            self.one(image, &z[image * len..][..len], y);
        });
    }

    /// One image of the batch.
    ///
    /// # Shapes
    /// `z` is `[h, w, pitch]`, `y` `[h+2, w+2, pitch]`.
    pub(crate) fn image(&self, image: usize, z: View<'_>, y: ViewMut<'_>) {
        match y {
            ViewMut::F32(y) => self.one(image, f32::of(z), y),
            ViewMut::Bf16(y) => self.one(image, Bf16::of(z), y),
        }
    }

    fn one<E: Number>(&self, image: usize, z: &[E], y: &mut [E]) {
        let plane = self.plane;
        assert!(z.len() == plane.len() && y.len() == plane.bordered_len());
        let shortcut = match self.residual {
            Residual::None => Shortcut::None,
            Residual::Identity(x) => Shortcut::Identity(E::of(x)),
            Residual::Projection(side) => Shortcut::Projection(E::of(side.z), side),
        };
        let work = Activation {
            plane,
            z,
            scale: &self.scale[..plane.pitch],
            shift: &self.shift[..plane.pitch],
            shortcut: shortcut.of_image(plane, image),
            y,
        };
        // SAFETY: the image's slices were measured or cut to their lengths.
        unsafe { E::launch(self.kernels, work) }
    }
}

/// [`Residual`] in the precision of the activations.
#[derive(Clone, Copy)]
enum Shortcut<'a, E> {
    None,
    Identity(&'a [E]),
    Projection(&'a [E], Normalised<'a>),
}

impl<'a, E: Number> Shortcut<'a, E> {
    /// The same of one image of the batch.
    fn of_image(self, plane: Plane, image: usize) -> Self {
        match self {
            Self::None => Self::None,
            Self::Identity(x) => {
                Self::Identity(&x[image * plane.bordered_len()..][..plane.bordered_len()])
            }
            Self::Projection(z, side) => {
                Self::Projection(&z[image * plane.len()..][..plane.len()], side)
            }
        }
    }
}

/// One image to normalise: `z` and a projection's without, `y` and an identity's with a border.
struct Activation<'a, E> {
    plane: Plane,
    z: &'a [E],
    scale: &'a [f32],
    shift: &'a [f32],
    shortcut: Shortcut<'a, E>,
    y: &'a mut [E],
}

impl<E: Number> Work for Activation<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: places lie inside the image's slices, which the caller measured.
        unsafe {
            match self.shortcut {
                Shortcut::None => self.write::<S>(|main, _| main),
                Shortcut::Identity(x) => self.write::<S>(|main, place| {
                    S::add(main, E::load::<S>(x.as_ptr().add(place.bordered)))
                }),
                Shortcut::Projection(z, side) => {
                    let (scale, shift) = (side.scale.as_ptr(), side.shift.as_ptr());
                    self.write::<S>(|main, place| {
                        let scale = S::load(scale.add(place.channel));
                        let shift = S::load(shift.add(place.channel));
                        let z = E::load::<S>(z.as_ptr().add(place.inner));
                        S::add(main, S::multiply_add(z, scale, shift))
                    });
                }
            }
        }
    }
}

impl<E: Number> Activation<'_, E> {
    /// # Safety
    /// All slices have their lengths; `S` is available.
    #[inline(always)]
    unsafe fn write<S: Simd>(&mut self, add: impl Fn(S::Vector, Place) -> S::Vector) {
        let plane = self.plane;
        for row in 0..plane.height {
            for x in 0..plane.width {
                for channel in (0..plane.pitch).step_by(S::LANES) {
                    let place = plane.place(row, x, channel);
                    // SAFETY: passed on from the caller.
                    unsafe {
                        let z = E::load::<S>(self.z.as_ptr().add(place.inner));
                        let scale = S::load(self.scale.as_ptr().add(channel));
                        let shift = S::load(self.shift.as_ptr().add(channel));
                        let sum = add(S::multiply_add(z, scale, shift), place);
                        let to = self.y.as_mut_ptr().add(place.bordered);
                        E::store::<S>(to, S::relu(sum));
                    }
                }
            }
        }
    }
}
