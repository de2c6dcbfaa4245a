//! The numbers that labels are fitted in, with exponentials and logarithms that run on whole
//! registers.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use crate::kernel;

/// f32 or f64. The functions have no branches and no calls, for use within
/// [`kernel::vectorized`].
pub(super) trait Real:
    Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    const ONE: Self;
    /// Relative changes of a sum over samples below this are rounding.
    const ROUNDING: f64;
    /// The smallest positive normal number.
    const TINY: Self;

    /// The gradient to reach for in these numbers when `tolerance` is asked for, for a label that
    /// this share of the samples has.
    fn attainable(tolerance: f64, share: f64) -> f64;

    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn abs(self) -> Self;
    /// The larger number; the other one where one is NaN.
    fn max(self, other: Self) -> Self;

    /// eˣ for x ≤ 0; 0 where it is not a normal number. Relative error at most 2e-7 for f32,
    /// 4e-16 for f64.
    fn exp_of_negative(self) -> Self;

    /// ln x for normal x > 0. Error at most 2e-7 for f32, 5e-16 for f64, of the larger of the
    /// logarithm and the distance of x to 1.
    fn ln(self) -> Self;

    /// ln(1 + x) for 0 ≤ x ≤ 1, with a relative error as for [`ln`](Self::ln).
    fn ln_1p_of_unit(self) -> Self;

    /// ln(1 − x) for 0 ≤ x < 1, with a relative error as for [`ln`](Self::ln).
    #[inline(always)]
    fn ln_1m(self) -> Self {
        let rest = Self::ONE - self;
        // What the subtraction has rounded away.
        rest.ln() + ((Self::ONE - rest) - self) / rest
    }

    /// The smaller number.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        -(-self).max(-other)
    }
}

/// 2·artanh(s)/s − 2 over s², with coefficients 2/3, 2/5, …; |s| ≤ 3 − 2√2 = 0.1716 where it is
/// used.
macro_rules! series {
    ($square:expr, $terms:expr, $number:ty) => {{
        let mut sum: $number = 0.0;
        let mut term = $terms;
        while term > 0 {
            sum = sum * $square + 2.0 / (2 * term + 1) as $number;
            term -= 1;
        }
        sum
    }};
}

/// ln(1 + offset) added to a number in two parts, for √½ ≤ 1 + offset ≤ √2.
macro_rules! logarithm_near_one {
    ($number:ty, $terms:expr, $offset:expr, $base:expr, $low:expr) => {{
        let offset: $number = $offset;
        let s = offset / (2.0 + offset);
        let square = s * s;
        let series = square * series!(square, $terms, $number);
        $base + (2.0 * s + (s * series + $low))
    }};
}

macro_rules! logarithms {
    ($number:ty, $bits:ty, $integer:ty, $terms:expr, $ln_2:expr, $ln_2_low:expr) => {
        #[inline(always)]
        fn ln(self) -> Self {
            const MANTISSA_BITS: u32 = <$number>::MANTISSA_DIGITS - 1;
            const HALF_ROOT: $bits = (std::f64::consts::FRAC_1_SQRT_2 as $number).to_bits();
            // x = 2^exponent · m with √½ ≤ m < √2.
            let above = self.to_bits().wrapping_sub(HALF_ROOT);
            let exponent = (above >> MANTISSA_BITS) << MANTISSA_BITS;
            let mantissa = <$number>::from_bits(self.to_bits().wrapping_sub(exponent));
            let exponent = ((exponent as $integer) >> MANTISSA_BITS) as $number;
            let (base, low) = (exponent * $ln_2, exponent * $ln_2_low);
            logarithm_near_one!($number, $terms, mantissa - 1.0, base, low)
        }

        #[inline(always)]
        fn ln_1p_of_unit(self) -> Self {
            const LIMIT: $number = std::f64::consts::SQRT_2 as $number - 1.0;
            let is_large = self > LIMIT;
            // 1 + x = 2·(1 + (x − 1)/2)
            let offset = if is_large { (self - 1.0) * 0.5 } else { self };
            let base = if is_large { $ln_2 } else { 0.0 };
            let low = if is_large { $ln_2_low } else { 0.0 };
            logarithm_near_one!($number, $terms, offset, base, low)
        }
    };
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const ROUNDING: f64 = 1e-7;
    const TINY: Self = Self::MIN_POSITIVE;

    fn attainable(tolerance: f64, share: f64) -> f64 {
        /// What rounding leaves of a gradient that starts at the share.
        const ROUNDING: f64 = 3e-6;
        /// So that most gradients meet the tolerance in f64 too.
        const MARGIN: f64 = 0.95;
        (MARGIN * tolerance).max(ROUNDING * share)
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.max(other)
    }

    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        /// 1/i! for i from 7 down to 2: with |r| ≤ ln 2/2 the rest of the series is 5e-9.
        const INVERSE_FACTORIALS: [f32; 6] = [
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            1.0 / 2.0,
        ];
        /// Below this the exponential is not a normal number.
        const SMALLEST_EXPONENT: f32 = -87.0;
        /// 1.5·2²³: added to a small number it leaves the nearest integer in the low bits.
        const TO_INTEGER: f32 = 12_582_912.0;
        kernel::exponential!(
            f32,
            self,
            INVERSE_FACTORIALS,
            SMALLEST_EXPONENT,
            TO_INTEGER,
            (LN_2_HIGH, LN_2_LOW),
            (127, 23)
        )
    }

    logarithms!(f32, u32, i32, 5, LN_2_HIGH, LN_2_LOW);
}

/// ln 2 in two parts, the first with few enough digits for exact products with exponents
/// (fdlibm's e_expf.c).
const LN_2_HIGH: f32 = f32::from_bits(0x3f31_7200);
const LN_2_LOW: f32 = 1.428_606_8e-6;

impl Real for f64 {
    const ONE: Self = 1.0;
    const ROUNDING: f64 = 1e-15;
    const TINY: Self = Self::MIN_POSITIVE;

    fn attainable(tolerance: f64, _share: f64) -> f64 {
        tolerance
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.max(other)
    }

    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        kernel::exp_of_negative(self)
    }

    logarithms!(f64, u64, i64, 11, kernel::LN_2_HIGH, kernel::LN_2_LOW);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors that the functions' documentation states.
    fn check<T: Real>(exp_error: f64, ln_error: f64) {
        for i in 0..=200_000 {
            let x = T::of(-f64::from(i) / 2300.0);
            let exact = x.wide().exp();
            let error = (x.exp_of_negative().wide() - exact).abs() / exact;
            assert!(error <= exp_error, "exp {}: {error}", x.wide());
            let x = T::of(f64::from(i) / 200_000.0);
            let exact = x.wide().ln_1p();
            let error = (x.ln_1p_of_unit().wide() - exact).abs();
            assert!(error <= ln_error * exact, "ln_1p {}: {error}", x.wide());
            let x = T::of(f64::from(i) / 200_001.0);
            if x.wide() < 1.0 {
                let exact = (-x.wide()).ln_1p();
                let error = (x.ln_1m().wide() - exact).abs();
                assert!(error <= -ln_error * exact, "ln_1m {}: {error}", x.wide());
            }
            let x = T::of((f64::from(i) / 2300.0 - 43.0).exp());
            let exact = x.wide().ln();
            let error = (x.ln().wide() - exact).abs();
            let size = exact.abs().max((x.wide() - 1.0).abs());
            assert!(error <= ln_error * size, "ln {}: {error}", x.wide());
        }
    }

    #[test]
    fn exponentials_and_logarithms_are_those_of_the_standard_library() {
        check::<f32>(2e-7, 2e-7);
        check::<f64>(4e-16, 5e-16);
    }

    #[test]
    fn the_ends_of_the_range_are_finite_and_nan_stays_nan() {
        fn check<T: Real>() {
            assert_eq!(T::of(0.0).exp_of_negative().wide(), 1.0);
            assert_eq!(T::of(-1e4).exp_of_negative().wide(), 0.0);
            assert_eq!(T::of(0.0).ln_1p_of_unit().wide(), 0.0);
            assert_eq!(T::TINY.exp_of_negative().wide(), 1.0);
            let tiny = T::TINY.wide().ln();
            assert!((T::TINY.ln().wide() / tiny - 1.0).abs() < 2e-7);
            assert!(T::of(f64::NAN).exp_of_negative().wide().is_nan());
            assert!(T::of(f64::NAN).ln_1p_of_unit().wide().is_nan());
        }
        check::<f32>();
        check::<f64>();
    }
}
