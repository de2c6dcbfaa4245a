//! The UCI handwritten digits that travel inside the program.

use crate::{ImageShape, LabelledImages};

/// Number of classes: the digits 0 to 9.
pub const NUM_CLASSES: usize = 10;

/// The 1,797 grey 8×8 images of the UCI "Optical Recognition of Handwritten Digits" test set,
/// values 0 to 16, classes 0 to 9, in the order of scikit-learn's `load_digits`.
///
/// ```
/// let digits = tagwise_data::digits::load();
/// assert_eq!(digits.len(), 1797);
/// assert_eq!(digits.labels()[..4], [0, 1, 2, 3]);
/// ```
///
/// Source: E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, as embedded in the
/// crate `smartcore`.
pub fn load() -> LabelledImages {
    let dataset = smartcore::dataset::digits::load_dataset();
    let to_u8 = |&value: &f32| value as u8;
    let to_label = |&value: &f32| value as u32;
    LabelledImages::new(
        ImageShape::new(8, 8, 1),
        NUM_CLASSES,
        16,
        dataset.data.iter().map(to_u8).collect(),
        dataset.target.iter().map(to_label).collect(),
    )
    .expect("the embedded digits are whole: a test reads them all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_values_are_whole_numbers_from_0_to_16() {
        let dataset = smartcore::dataset::digits::load_dataset();
        let is_level = |&value: &f32| value.fract() == 0.0 && (0.0..=16.0).contains(&value);
        assert!(dataset.data.iter().all(is_level));
        assert!(dataset.target.iter().all(|t| t.fract() == 0.0));
    }

    /// Counts and sums as scikit-learn 1.x reports them for `load_digits`.
    #[test]
    fn the_digits_are_the_set_that_scikit_learn_has() {
        let digits = load();
        assert_eq!(digits.len(), 1797);
        assert_eq!(
            digits.class_counts(),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
        let sum: u64 = (0..digits.len())
            .flat_map(|i| digits.pixels(i))
            .map(|&v| u64::from(v))
            .sum();
        assert_eq!(sum, 561_718);
        assert_eq!(&digits.pixels(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        assert_eq!(digits.labels()[1796], 8);
    }
}
