//! Non-negative numbers that sums of products over sets are made of: f64, and numbers of any size
//! for the few samples whose sums leave its range.

use crate::kernel::exp_of_negative;

/// A non-negative number, or several side by side, that can be added and multiplied.
pub(super) trait Mass: Copy {
    const ZERO: Self;
    const ONE: Self;
    /// Numbers of rows of chances that are kept at once; beyond it every √K-th row is kept and the
    /// others are made again.
    const KEPT: usize;

    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;

    /// self + a·b.
    #[inline(always)]
    fn plus_product(self, a: Self, b: Self) -> Self {
        self.plus(a.times(b))
    }
}

/// A non-negative number that can be compared with others of its kind.
pub(super) trait Scalar: Mass {
    /// e^log.
    fn of_log(log: f64) -> Self;
    fn ln(self) -> f64;
    /// self/other for 0 ≤ self ≤ other.
    fn share_of(self, other: Self) -> f64;

    /// σ(z − shift) and σ(shift − z) of every logit.
    fn odds(logits: &[f64], shift: f64, on: &mut [Self], off: &mut [Self]);
}

impl Mass for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const KEPT: usize = 1 << 20;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn of_log(log: f64) -> Self {
        log.exp()
    }

    #[inline(always)]
    fn ln(self) -> f64 {
        f64::ln(self)
    }

    #[inline(always)]
    fn share_of(self, other: Self) -> f64 {
        (self / other).min(1.0)
    }

    #[inline(always)]
    fn odds(logits: &[f64], shift: f64, on: &mut [Self], off: &mut [Self]) {
        for ((&logit, on), off) in logits.iter().zip(on).zip(off) {
            let z = logit - shift;
            let small = exp_of_negative(-z.abs());
            let large = 1.0 / (1.0 + small);
            let small = small * large;
            (*on, *off) = if z >= 0.0 {
                (large, small)
            } else {
                (small, large)
            };
        }
    }
}

/// mantissa·2^exponent with 1 ≤ mantissa < 2, or 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    mantissa: f64,
    exponent: i64,
}

/// A term this many binary digits smaller than another vanishes beside it.
const VANISHING: i64 = 64;

impl Wide {
    fn normalised(mantissa: f64, exponent: i64) -> Self {
        const BIAS: i64 = 1023;
        if mantissa == 0.0 {
            return Self::ZERO;
        }
        let bits = mantissa.to_bits();
        let own = (bits >> 52) as i64 - BIAS; // positive and normal: no sign to mask
        Self {
            mantissa: f64::from_bits(bits & !(0x7ff << 52) | (BIAS as u64) << 52),
            exponent: exponent + own,
        }
    }

    /// 2^power for −1022 ≤ power ≤ 0.
    fn power_of_two(power: i64) -> f64 {
        f64::from_bits(((power + 1023) as u64) << 52)
    }
}

impl Mass for Wide {
    const ZERO: Self = Self {
        mantissa: 0.0,
        exponent: i64::MIN / 4,
    };
    const ONE: Self = Self {
        mantissa: 1.0,
        exponent: 0,
    };
    const KEPT: usize = 1 << 20;

    fn plus(self, other: Self) -> Self {
        let (large, small) = match self.exponent >= other.exponent {
            true => (self, other),
            false => (other, self),
        };
        let apart = large.exponent - small.exponent;
        if apart > VANISHING {
            return large;
        }
        let sum = large.mantissa + small.mantissa * Self::power_of_two(-apart);
        Self::normalised(sum, large.exponent)
    }

    fn times(self, other: Self) -> Self {
        Self::normalised(
            self.mantissa * other.mantissa,
            self.exponent + other.exponent,
        )
    }
}

impl Scalar for Wide {
    fn of_log(log: f64) -> Self {
        if log == f64::NEG_INFINITY {
            return Self::ZERO;
        }
        let exponent = (log * std::f64::consts::LOG2_E).floor();
        let rest = (log - exponent * crate::kernel::LN_2_HIGH) - exponent * crate::kernel::LN_2_LOW;
        Self::normalised(rest.exp(), exponent as i64)
    }

    fn ln(self) -> f64 {
        match self.mantissa == 0.0 {
            true => f64::NEG_INFINITY,
            false => self.mantissa.ln() + self.exponent as f64 * std::f64::consts::LN_2,
        }
    }

    fn share_of(self, other: Self) -> f64 {
        let apart = self.exponent - other.exponent;
        if self.mantissa == 0.0 || apart < -1022 {
            return 0.0;
        }
        (self.mantissa / other.mantissa * Self::power_of_two(apart.min(0))).min(1.0)
    }

    fn odds(logits: &[f64], shift: f64, on: &mut [Self], off: &mut [Self]) {
        for ((&logit, on), off) in logits.iter().zip(on).zip(off) {
            let z = logit - shift;
            let log_large = -(-z.abs()).exp().ln_1p();
            let (large, small) = (Self::of_log(log_large), Self::of_log(log_large - z.abs()));
            (*on, *off) = if z >= 0.0 {
                (large, small)
            } else {
                (small, large)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of a handful of operations, at logarithms of a few thousand.
    const ROUNDING: f64 = 1e-12;

    #[test]
    fn wide_numbers_are_those_of_logarithms() {
        for (a, b) in [
            (0.3, -0.7),
            (-900.0, -903.5),
            (2000.0, 1999.0),
            (0.0, -5000.0),
        ] {
            let (x, y) = (Wide::of_log(a), Wide::of_log(b));
            assert!((x.ln() - a).abs() < ROUNDING * (1.0 + a.abs()));
            assert!((x.times(y).ln() - (a + b)).abs() < ROUNDING * (1.0 + a.abs()));
            let sum = a + (b - a).exp().ln_1p();
            assert!((x.plus(y).ln() - sum).abs() < ROUNDING * (1.0 + a.abs()));
            assert!((y.plus(x).ln() - x.plus(y).ln()).abs() == 0.0);
            assert!((y.share_of(x) - (b - a).exp()).abs() < ROUNDING);
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        let x = Wide::of_log(-3.0);
        assert_eq!(Wide::of_log(f64::NEG_INFINITY).ln(), f64::NEG_INFINITY);
        assert_eq!(Wide::ZERO.plus(x).ln(), x.ln());
        assert_eq!(Wide::ZERO.times(x).ln(), f64::NEG_INFINITY);
        assert_eq!(Wide::ZERO.plus(Wide::ZERO).share_of(x), 0.0);
    }

    #[test]
    fn odds_are_logistic_functions() {
        let logits = [0.0, 1.5, -40.0, 700.0];
        let (mut on, mut off) = ([0.0; 4], [0.0; 4]);
        f64::odds(&logits, 0.5, &mut on, &mut off);
        let (mut wide_on, mut wide_off) = ([Wide::ZERO; 4], [Wide::ZERO; 4]);
        Wide::odds(&logits, 0.5, &mut wide_on, &mut wide_off);
        for k in 0..4 {
            assert!((on[k].ln() - wide_on[k].ln()).abs() < ROUNDING * 700.0);
            assert!((off[k].ln() - wide_off[k].ln()).abs() < ROUNDING * 700.0);
            assert!((on[k] + off[k] - 1.0).abs() < ROUNDING);
        }
    }
}
