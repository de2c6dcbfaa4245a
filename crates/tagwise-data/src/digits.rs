//! The UCI handwritten digits that travel inside the program.

use crate::{ImageShape, LabelledImages};

/// Number of classes: the digits 0 to 9.
pub const NUM_CLASSES: usize = 10;

/// Pixels of an image.
const PIXELS: usize = 64;

/// The value of a white pixel.
const WHITE: u8 = 16;

/// The 1,797 grey 8×8 images of the UCI "Optical Recognition of Handwritten Digits" test set,
/// values 0 to 16, classes 0 to 9, in the order of scikit-learn's `load_digits`.
///
/// ```
/// let digits = tagwise_data::digits::load();
/// assert_eq!(digits.len(), 1797);
/// assert_eq!(digits.labels()[..4], [0, 1, 2, 3]);
/// ```
///
/// Source: E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998 (CC BY 4.0).
pub fn load() -> LabelledImages {
    let table = table().expect("the embedded digits are whole: a test reads them all");
    let (pixels, labels): (Vec<&[u8]>, Vec<u32>) = table
        .chunks_exact(PIXELS + 1)
        .map(|row| (&row[..PIXELS], u32::from(row[PIXELS])))
        .unzip();
    let shape = ImageShape::new(8, 8, 1);
    LabelledImages::new(shape, NUM_CLASSES, WHITE, pixels.concat(), labels)
        .expect("the embedded digits are whole: a test reads them all")
}

/// Rows of 64 pixels and a class.
fn table() -> Result<Vec<u8>, png::DecodingError> {
    let embedded = std::io::Cursor::new(include_bytes!("../data/digits.png"));
    let mut reader = png::Decoder::new(embedded).read_info()?;
    let mut table = vec![0; reader.output_buffer_size().unwrap_or_default()];
    reader.next_frame(&mut table)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

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
