//! Brain floating point: the upper half of an f32.

/// A number with the exponent of f32 and eight significant bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Bf16 {
    /// The nearest number, ties to the even one; NaN stays NaN.
    #[inline(always)]
    pub(crate) fn round(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self((bits >> 16) as u16 | 0x40);
        }
        let odd = (bits >> 16) & 1;
        Self((bits.wrapping_add(0x7FFF + odd) >> 16) as u16)
    }

    #[inline(always)]
    pub(crate) fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Two numbers in the bits of one f32, the first in the low half.
    #[inline(always)]
    pub(crate) fn pair([first, second]: [Self; 2]) -> f32 {
        f32::from_bits(u32::from(second.0) << 16 | u32::from(first.0))
    }

    /// The two numbers of a pair.
    #[inline(always)]
    pub(crate) fn pair_of(pair: f32) -> [Self; 2] {
        let bits = pair.to_bits();
        [Self(bits as u16), Self((bits >> 16) as u16)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_the_nearest_number_and_ties_to_the_even_one() {
        for (value, expected) in [
            (1.0, 1.0),
            (-0.0, -0.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.01 / 256.0, 1.0 + 2.0 / 256.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            let found = Bf16::round(value).widen();
            assert_eq!(found.to_bits(), f32::to_bits(expected), "{value}");
        }
        assert!(Bf16::round(f32::from_bits(0x7FFF_FFFF)).widen().is_nan());
        assert!(Bf16::round(f32::from_bits(0xFF80_0001)).widen().is_nan());
    }

    #[test]
    fn a_pair_keeps_both_numbers() {
        let numbers = [Bf16::round(-3.0), Bf16::round(0.1)];
        assert_eq!(Bf16::pair_of(Bf16::pair(numbers)), numbers);
    }
}
