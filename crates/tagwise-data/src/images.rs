use tagwise::ImageShape;

use crate::{Error, Result};

/// N images of one shape with one label each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    shape: ImageShape,
    num_classes: usize,
    white: u8,
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl LabelledImages {
    /// Joins pixels and labels; `white` is the pixel value that stands for 1.0.
    ///
    /// # Shapes
    /// `pixels` is `[N, height, width, channels]`, `labels` has length N.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the pixels are not N whole images, [`Error::OutOfRange`] for
    /// an empty shape, a label that is no class or a pixel above `white`.
    pub fn new(
        shape: ImageShape,
        num_classes: usize,
        white: u8,
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        if shape.num_elements() == 0 {
            return Err(Error::OutOfRange {
                name: "images",
                requirement: "of at least one pixel".into(),
                found: format!("{} x {} x {}", shape.height, shape.width, shape.channels),
            });
        }
        if pixels.len() != labels.len() * shape.num_elements() {
            return Err(Error::SizeMismatch {
                what: "pixel values",
                expected: labels.len() * shape.num_elements(),
                found: pixels.len(),
            });
        }
        if let Some(sample) = labels.iter().position(|&l| l as usize >= num_classes) {
            return Err(tagwise_base::Error::LabelOutOfRange {
                sample,
                label: labels[sample],
                num_classes,
            }
            .into());
        }
        if white < u8::MAX
            && let Some(&value) = pixels.iter().find(|&&value| value > white)
        {
            return Err(Error::OutOfRange {
                name: "pixel values",
                requirement: format!("of at most {white}"),
                found: value.to_string(),
            });
        }
        Ok(Self {
            shape,
            num_classes,
            white,
            pixels,
            labels,
        })
    }

    /// Number of images N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape that all images share.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The pixel value that stands for 1.0.
    pub fn white(&self) -> u8 {
        self.white
    }

    /// The label of each image, length N.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The pixels of one image, `[height, width, channels]`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len), as indexing a slice does.
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.num_elements()..][..self.shape.num_elements()]
    }

    /// The number of images of each class, length K.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes];
        for &label in &self.labels {
            counts[label as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_labels_and_classes_that_do_not_fit_are_refused() {
        let shape = ImageShape::new(1, 2, 1);
        let refusal = |pixels: &[u8], labels: &[u32], shape| {
            LabelledImages::new(shape, 2, 16, pixels.to_vec(), labels.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal(&[0; 3], &[0, 1], shape),
            "expected 4 pixel values, found 3"
        );
        assert_eq!(
            refusal(&[0; 4], &[0, 2], shape),
            "expected labels 0 to 1, found 2 in sample 1; check the number of classes"
        );
        assert_eq!(
            refusal(&[0, 17], &[0], shape),
            "expected pixel values of at most 16, found 17"
        );
        assert_eq!(
            refusal(&[], &[], ImageShape::new(0, 2, 1)),
            "expected images of at least one pixel, found 0 x 2 x 1"
        );
    }
}
