//! Activations and gradients between layers, in one of two precisions.

use super::bf16::Bf16;
use super::buffer::Buffer;
use crate::Precision;

/// What convolutions read: activations, or gradients of their outputs, in one of two precisions.
#[derive(Debug)]
pub(crate) enum Activations {
    F32(Buffer),
    Bf16(Buffer<Bf16>),
}

/// Activations to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'a> {
    F32(&'a [f32]),
    Bf16(&'a [Bf16]),
}

/// Activations to write.
#[derive(Debug)]
pub(crate) enum ViewMut<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [Bf16]),
}

impl Activations {
    pub(crate) fn empty(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(Buffer::empty()),
            Precision::Bf16 => Self::Bf16(Buffer::empty()),
        }
    }

    /// These numbers in a precision.
    pub(crate) fn rounded(precision: Precision, numbers: &[f32]) -> Self {
        let mut activations = Self::empty(precision);
        activations.reserve(numbers.len());
        match activations.view_mut() {
            ViewMut::F32(to) => to.copy_from_slice(numbers),
            ViewMut::Bf16(to) => {
                for (to, value) in to.iter_mut().zip(numbers) {
                    *to = Bf16::round(*value);
                }
            }
        }
        activations
    }

    pub(crate) fn reserve(&mut self, len: usize) {
        match self {
            Self::F32(buffer) => buffer.reserve(len),
            Self::Bf16(buffer) => buffer.reserve(len),
        }
    }

    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::F32(buffer) => View::F32(buffer.as_slice()),
            Self::Bf16(buffer) => View::Bf16(buffer.as_slice()),
        }
    }

    pub(crate) fn view_mut(&mut self) -> ViewMut<'_> {
        match self {
            Self::F32(buffer) => ViewMut::F32(buffer.as_mut_slice()),
            Self::Bf16(buffer) => ViewMut::Bf16(buffer.as_mut_slice()),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::Bf16(_) => Precision::Bf16,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(numbers) => numbers.len(),
        }
    }

    /// The numbers in lanes of 32 bits: one f32, or a pair of bf16.
    pub(crate) fn lanes(self) -> &'a [f32] {
        match self {
            Self::F32(numbers) => numbers,
            Self::Bf16(numbers) => {
                // SAFETY: every pattern of bits is an f32 and two u16 fill it; the middle part is
                // aligned, and it is all of the slice, as the assertion says.
                let (before, lanes, after) = unsafe { numbers.align_to::<f32>() };
                assert!(before.is_empty() && after.is_empty(), "whole aligned lanes");
                lanes
            }
        }
    }
}

impl ViewMut<'_> {
    pub(crate) fn precision(&self) -> Precision {
        self.as_view().precision()
    }

    pub(crate) fn len(&self) -> usize {
        self.as_view().len()
    }

    pub(crate) fn as_view(&self) -> View<'_> {
        match self {
            Self::F32(numbers) => View::F32(numbers),
            Self::Bf16(numbers) => View::Bf16(numbers),
        }
    }

    pub(crate) fn reborrow(&mut self) -> ViewMut<'_> {
        match self {
            Self::F32(numbers) => ViewMut::F32(numbers),
            Self::Bf16(numbers) => ViewMut::Bf16(numbers),
        }
    }
}

/// What activations and gradients between layers are stored as.
pub(crate) trait Element: Copy + Default + Send + Sync {
    fn narrow(value: f32) -> Self;
    fn wide(self) -> f32;
    /// The numbers of a view in this precision: whoever calls it has made both in one precision.
    fn of(view: View<'_>) -> &[Self];
    fn view(numbers: &[Self]) -> View<'_>;
    fn view_mut(numbers: &mut [Self]) -> ViewMut<'_>;
    /// Lanes of 32 bits that hold so many numbers.
    fn lanes(len: usize) -> usize;
    /// The numbers that lanes of 32 bits hold.
    fn in_lanes(lanes: &mut [f32]) -> &mut [Self];
}

impl Element for f32 {
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
    fn of(view: View<'_>) -> &[Self] {
        match view {
            View::F32(numbers) => numbers,
            View::Bf16(_) => unreachable!("numbers in f32"),
        }
    }
    fn view(numbers: &[Self]) -> View<'_> {
        View::F32(numbers)
    }
    fn view_mut(numbers: &mut [Self]) -> ViewMut<'_> {
        ViewMut::F32(numbers)
    }
    fn lanes(len: usize) -> usize {
        len
    }
    fn in_lanes(lanes: &mut [f32]) -> &mut [Self] {
        lanes
    }
}

impl Element for Bf16 {
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        Self::round(value)
    }
    #[inline(always)]
    fn wide(self) -> f32 {
        self.widen()
    }
    fn of(view: View<'_>) -> &[Self] {
        match view {
            View::Bf16(numbers) => numbers,
            View::F32(_) => unreachable!("numbers in bf16"),
        }
    }
    fn view(numbers: &[Self]) -> View<'_> {
        View::Bf16(numbers)
    }
    fn view_mut(numbers: &mut [Self]) -> ViewMut<'_> {
        ViewMut::Bf16(numbers)
    }
    fn lanes(len: usize) -> usize {
        len.div_ceil(2)
    }
    fn in_lanes(lanes: &mut [f32]) -> &mut [Self] {
        // SAFETY: every pattern of bits is two u16 and they fill an f32, whose alignment is larger.
        let (before, numbers, after) = unsafe { lanes.align_to_mut() };
        assert!(before.is_empty() && after.is_empty(), "whole lanes");
        numbers
    }
}
