//! Numbers of features in the precision they came in.

use std::ops::Range;

use half::{bf16, f16};
use rayon::prelude::*;

/// Numbers handled by one task of a conversion.
const TASK_LEN: usize = 1 << 14;

/// Borrowed numbers in any of the precisions of features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeatureSlice<'a> {
    /// Half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    BF16(&'a [bf16]),
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

/// Consecutive rows of features, contiguous and ready for arithmetic, `[n, d]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeatureRows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl FeatureRows<'_> {
    /// How many numbers there are.
    pub fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many rows of this dimension there are.
    pub fn num_rows(self, dim: usize) -> usize {
        self.len() / dim.max(1)
    }
}

/// A number of features, as f64 without loss.
pub(super) trait Wide: Copy {
    fn wide(self) -> f64;
}

macro_rules! wide {
    ($($number:ty: $convert:expr),*) => {$(
        impl Wide for $number {
            fn wide(self) -> f64 {
                $convert(self)
            }
        }
    )*};
}

wide!(f16: f16::to_f64, bf16: bf16::to_f64, f32: f64::from, f64: std::convert::identity);

/// Runs an expression on the numbers, whichever they are.
macro_rules! on_numbers {
    ($slice:expr, $values:ident => $body:expr) => {
        match $slice {
            $crate::features::FeatureSlice::F16($values) => $body,
            $crate::features::FeatureSlice::BF16($values) => $body,
            $crate::features::FeatureSlice::F32($values) => $body,
            $crate::features::FeatureSlice::F64($values) => $body,
        }
    };
}
pub(super) use on_numbers;

impl<'a> FeatureSlice<'a> {
    /// How many numbers there are.
    pub fn len(self) -> usize {
        on_numbers!(self, values => values.len())
    }

    /// Whether there is no number.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Bytes of one number.
    pub fn element_size(self) -> usize {
        match self {
            Self::F16(_) | Self::BF16(_) => 2,
            Self::F32(_) => 4,
            Self::F64(_) => 8,
        }
    }

    /// One number in f64.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len), as indexing a slice does.
    pub fn get(self, index: usize) -> f64 {
        on_numbers!(self, values => values[index].wide())
    }

    /// Writes all numbers in f64, as many as `out` has room for.
    pub fn write_f64(self, out: &mut [f64]) {
        on_numbers!(self, values => for (out, &value) in out.iter_mut().zip(values) {
            *out = value.wide();
        });
    }

    /// Position of the first NaN or infinity.
    pub(super) fn first_not_finite(self) -> Option<usize> {
        on_numbers!(self, values => values
            .par_iter()
            .with_min_len(TASK_LEN)
            .position_first(|&value| !value.wide().is_finite()))
    }

    /// These numbers.
    pub(super) fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::F16(values) => Self::F16(&values[range]),
            Self::BF16(values) => Self::BF16(&values[range]),
            Self::F32(values) => Self::F32(&values[range]),
            Self::F64(values) => Self::F64(&values[range]),
        }
    }
}

impl<'a> From<&'a [f16]> for FeatureSlice<'a> {
    fn from(values: &'a [f16]) -> Self {
        Self::F16(values)
    }
}

impl<'a> From<&'a [bf16]> for FeatureSlice<'a> {
    fn from(values: &'a [bf16]) -> Self {
        Self::BF16(values)
    }
}

impl<'a> From<&'a [f32]> for FeatureSlice<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [f64]> for FeatureSlice<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::F64(values)
    }
}

macro_rules! from_containers {
    ($($number:ty),*) => {$(
        impl<'a, const N: usize> From<&'a [$number; N]> for FeatureSlice<'a> {
            fn from(values: &'a [$number; N]) -> Self {
                values.as_slice().into()
            }
        }

        impl<'a> From<&'a Vec<$number>> for FeatureSlice<'a> {
            fn from(values: &'a Vec<$number>) -> Self {
                values.as_slice().into()
            }
        }
    )*};
}

from_containers!(f16, bf16, f32, f64);

/// Half precision as f32, which is exact.
pub(super) fn widen<T: Copy + Into<f32> + Sync>(values: &[T]) -> Vec<f32> {
    values
        .par_iter()
        .with_min_len(TASK_LEN)
        .map(|&value| value.into())
        .collect()
}
