//! Loops over contiguous numbers, compiled once for every instruction set and chosen at run time.
//!
//! The default target of x86-64 knows two f64 per register; the machines that run this have four
//! or eight. Sums run in [`LANES`] independent parts, so their order is fixed by the code and not
//! by the instruction set.

/// Independent partial sums: four registers of four f64.
const LANES: usize = 16;

/// Runs `work` compiled for the best instruction set of this machine; everything inlined into it
/// is compiled along.
#[inline]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Σ aᵢbᵢ.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || dot_inline(a, b),
    )
}

/// As [`dot`], for use within [`vectorized`].
#[inline(always)]
pub(crate) fn dot_inline(a: &[f64], b: &[f64]) -> f64 {
    sum_over_pairs(
        a,
        b,
        #[inline(always)]
        |a, b| a * b,
    )
}

/// Σ aᵢ, for use within [`vectorized`].
#[inline(always)]
pub(crate) fn sum_inline(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += chunk[lane];
        }
    }
    total(&sums) + rest.iter().sum::<f64>()
}

/// The largest value, −∞ of none and NaN left out, for use within [`vectorized`].
#[inline(always)]
pub(crate) fn max_inline(values: &[f64]) -> f64 {
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f64::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(f64::NEG_INFINITY, |a, &b| larger(a, b))
}

/// Σ (aᵢ − bᵢ)².
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            sum_over_pairs(
                a,
                b,
                #[inline(always)]
                |a, b| (a - b) * (a - b),
            )
        },
    )
}

/// Σ weightᵢ·aᵢ².
pub(crate) fn weighted_square(a: &[f64], weights: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            sum_over_pairs(
                a,
                weights,
                #[inline(always)]
                |a, weight| weight * a * a,
            )
        },
    )
}

/// Σ term(aᵢ, bᵢ), for use within [`vectorized`].
#[inline(always)]
fn sum_over_pairs(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum();
    total(&sums) + rest
}

/// Σ (s·aᵢ − t·bᵢ)² and Σ (s·aᵢ + t·bᵢ)².
pub(crate) fn half_angle(a: &[f64], s: f64, b: &[f64], t: f64) -> (f64, f64) {
    vectorized(
        #[inline(always)]
        || {
            let (a, a_rest) = a.as_chunks::<LANES>();
            let (b, b_rest) = b.as_chunks::<LANES>();
            let (mut differences, mut sums) = ([0.0; LANES], [0.0; LANES]);
            let one = |a: f64, b: f64, difference: &mut f64, sum: &mut f64| {
                let (a, b) = (s * a, t * b);
                *difference += (a - b) * (a - b);
                *sum += (a + b) * (a + b);
            };
            for (a, b) in a.iter().zip(b) {
                for lane in 0..LANES {
                    one(a[lane], b[lane], &mut differences[lane], &mut sums[lane]);
                }
            }
            for (&a, &b) in a_rest.iter().zip(b_rest) {
                one(a, b, &mut differences[0], &mut sums[0]);
            }
            (total(&differences), total(&sums))
        },
    )
}

/// out += factor·values.
pub(crate) fn add_scaled(out: &mut [f64], factor: f64, values: &[f64]) {
    vectorized(
        #[inline(always)]
        || {
            for (out, value) in out.iter_mut().zip(values) {
                *out += factor * value;
            }
        },
    );
}

/// out ← factor·out − weights·values, element by element.
pub(crate) fn scale_and_subtract(out: &mut [f64], factor: f64, weights: &[f64], values: &[f64]) {
    vectorized(
        #[inline(always)]
        || {
            for ((out, weight), value) in out.iter_mut().zip(weights).zip(values) {
                *out = factor * *out - weight * value;
            }
        },
    );
}

/// Writes values − mean to `out` and returns its sum of squares.
pub(crate) fn subtract<T: Copy + Into<f64>>(values: &[T], mean: &[f64], out: &mut [f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            for ((&value, mean), out) in values.iter().zip(mean).zip(&mut *out) {
                *out = value.into() - mean;
            }
            dot_inline(out, out)
        },
    )
}

/// One step of Welford's rule, for use within [`vectorized`]: with the mean `high + low` and the
/// residual r = values − mean, low += step·r and out = root·r; returns Σ out².
#[inline(always)]
pub(crate) fn absorb<T: Copy + Into<f64>>(
    values: &[T],
    [high, low]: [&mut [f64]; 2],
    out: &mut [f64],
    step: f64,
    root: f64,
) -> f64 {
    // Without a sum in it, the loop runs on whole registers, conversions included.
    for (((&value, &high), low), out) in values.iter().zip(high.iter()).zip(low).zip(&mut *out) {
        let residual = (value.into() - high) - *low;
        *low += step * residual;
        *out = root * residual;
    }
    dot_inline(out, out)
}

/// Whether every value is finite, for use within [`vectorized`].
#[inline(always)]
pub(crate) fn all_finite<T: Copy + Into<f64>>(values: &[T]) -> bool {
    // Without a way out, the loop runs on whole registers.
    let finite = values.iter().map(|&value| value.into().is_finite());
    finite.fold(true, |all, one| all & one)
}

/// (asin √z / √z − 1)/z on [0, ¼]: interpolation at 13 Chebyshev nodes, relative error 5e-16.
const ARCSINE: [f64; 13] = [
    0.166_666_666_666_666_69,
    0.074_999_999_999_984_33,
    0.044_642_857_146_355_43,
    0.030_381_944_138_531_247,
    0.022_372_172_942_149_89,
    0.017_352_392_720_869_973,
    0.013_971_212_973_552_933,
    0.011_479_177_415_184_906,
    0.010_322_814_350_185_78,
    0.005_457_506_718_640_358,
    0.017_400_879_442_694_02,
    -0.014_851_887_071_247_204,
    0.028_757_851_367_421_566,
];

/// The arc cosine, without branches so that it can run on whole registers; absolute error 1e-15.
#[inline(always)]
fn arc_cosine(cosine: f64) -> f64 {
    let size = cosine.abs().min(1.0);
    let small = size < 0.5;
    let square = if small {
        size * size
    } else {
        (1.0 - size) * 0.5
    };
    let sine = if small { size } else { square.sqrt() };
    let mut series = 0.0;
    for coefficient in ARCSINE.iter().rev() {
        series = series * square + coefficient;
    }
    let arc_sine = sine + sine * square * series;
    let angle = if small {
        std::f64::consts::FRAC_PI_2 - arc_sine
    } else {
        2.0 * arc_sine
    };
    if cosine < 0.0 {
        std::f64::consts::PI - angle
    } else {
        angle
    }
}

/// Σ arccos(productsᵢ·scalesᵢ).
pub(crate) fn sum_of_angles(products: &[f64], scales: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            sum_over_pairs(
                products,
                scales,
                #[inline(always)]
                |product, scale| arc_cosine(product * scale),
            )
        },
    )
}

/// 1/i! for i from 13 down to 2: with |r| ≤ ln 2/2 the rest of the series is 4e-18.
const INVERSE_FACTORIALS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
];
/// ln 2 in two parts, the first with few enough digits for exact products with exponents
/// (fdlibm's e_exp.c).
pub(crate) const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
pub(crate) const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Below this the exponential is not a normal number and counts as 0.
const SMALLEST_EXPONENT: f64 = -708.0;
/// 1.5·2⁵²: added to a small number it leaves the nearest integer in the low bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

/// eˣ = 2ⁿ·eʳ for x ≤ 0 in f32 or f64: the coefficients of eʳ from the highest to that of r², the
/// least x whose exponential is a normal number, the number that leaves an integer in the low bits,
/// ln 2 in two parts, the exponent's bias and the digits after it.
macro_rules! exponential {
    ($float:ident, $x:expr, $coefficients:expr, $smallest:expr, $to_integer:expr,
     ($high:expr, $low:expr), ($bias:expr, $digits:expr)) => {{
        let x: $float = $x;
        let shifted = x * std::$float::consts::LOG2_E + $to_integer;
        let exponent = shifted - $to_integer;
        let rest = (x - exponent * $high) - exponent * $low;
        let mut series = 0.0;
        for coefficient in $coefficients {
            series = series * rest + coefficient;
        }
        let mantissa = 1.0 + (rest + rest * rest * series);
        let power = $float::from_bits(shifted.to_bits().wrapping_add($bias) << $digits);
        if x < $smallest {
            0.0
        } else {
            mantissa * power // NaN stays NaN
        }
    }};
}
pub(crate) use exponential;

/// eˣ for x ≤ 0, without branches so that it can run on whole registers, for use within
/// [`vectorized`]; relative error 3e-16.
#[inline(always)]
pub(crate) fn exp_of_negative(x: f64) -> f64 {
    exponential!(
        f64,
        x,
        INVERSE_FACTORIALS,
        SMALLEST_EXPONENT,
        TO_INTEGER,
        (LN_2_HIGH, LN_2_LOW),
        (1023, 52)
    )
}

#[inline(always)]
fn total(sums: &[f64; LANES]) -> f64 {
    let mut sums = *sums;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of sums of a few dozen numbers of size 1.
    const ROUNDING: f64 = 1e-14;

    fn numbers(count: usize) -> Vec<f64> {
        (0..count)
            .map(|i| ((i * 37 + 11) % 64) as f64 / 32.0 - 1.0)
            .collect()
    }

    #[test]
    fn sums_of_every_length_are_those_of_plain_loops() {
        for count in 0..50 {
            let (a, b) = (numbers(count + 3)[3..].to_vec(), numbers(count));
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b) - plain).abs() < ROUNDING);
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
            assert!((squared_distance(&a, &b) - plain).abs() < ROUNDING);
            let single: Vec<f32> = a.iter().map(|&a| a as f32).collect();
            let mut out = vec![0.0; count];
            assert!((subtract(&single, &b, &mut out) - plain).abs() < ROUNDING);
            for i in 0..count {
                assert_eq!(out[i], a[i] - b[i]);
            }
        }
    }

    #[test]
    fn the_largest_value_and_the_sum_of_every_length_are_right() {
        for count in 0..50 {
            let a = numbers(count);
            assert!((sum_inline(&a) - a.iter().sum::<f64>()).abs() < ROUNDING);
            let largest = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(max_inline(&a), largest);
        }
        assert_eq!(max_inline(&[f64::NAN, -1.0]), -1.0);
    }

    #[test]
    fn angles_are_those_of_the_standard_library() {
        for i in -1000..=1000 {
            let cosine = f64::from(i) / 1000.0;
            let found = sum_of_angles(&[cosine * 2.0], &[0.5]);
            assert!((found - cosine.acos()).abs() < ROUNDING, "{cosine}");
        }
        let cosines = numbers(40);
        let plain: f64 = cosines.iter().map(|c| c.acos()).sum();
        assert!((sum_of_angles(&cosines, &[1.0; 40]) - plain).abs() < 10.0 * ROUNDING);
        // Rounding may push a cosine beyond 1.
        assert_eq!(sum_of_angles(&[1.0 + 1e-15], &[1.0]), 0.0);
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for i in 0..=70_800 {
            let x = -f64::from(i) / 100.0;
            let error = (exp_of_negative(x) / x.exp() - 1.0).abs();
            assert!(error < 2.0 * f64::EPSILON, "{x}: {error}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert_eq!(exp_of_negative(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp_of_negative(-1e300), 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan());
    }

    #[test]
    fn one_value_that_is_not_finite_is_noticed_anywhere() {
        for place in 0..40 {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![1.0f32; 40];
                assert!(all_finite(&values));
                values[place] = bad;
                assert!(!all_finite(&values));
            }
        }
    }
}
