//! Images that are in one array already.

use std::path::Path;

use rayon::prelude::*;
use tagwise_base::Targets;

use super::{Labelled, OwnImages, OwnSpec, photos};
use crate::read::picture::Picture;
use crate::{Error, ImageShape, Result};

/// N images of one shape.
#[derive(Clone, Copy, Debug)]
pub struct ImageArray<'a> {
    /// Height, width and channels (1 or 3) of every image.
    pub shape: ImageShape,
    /// Their values, `[N, height, width, channels]`.
    pub values: PixelValues<'a>,
}

/// The numbers of an array of images.
#[derive(Clone, Copy, Debug)]
pub enum PixelValues<'a> {
    /// 0 to 255.
    Bytes(&'a [u8]),
    /// 0 to 1, rounded to 256 levels.
    Floats(&'a [f32]),
}

impl PixelValues<'_> {
    fn len(self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }
}

impl ImageArray<'_> {
    fn check(&self, num_images: usize) -> Result<()> {
        let ImageShape { channels, .. } = self.shape;
        if !matches!(channels, 1 | 3) || self.shape.num_elements() == 0 {
            return Err(Error::OutOfRange {
                name: "arrays of images",
                requirement: "of shape [N, height, width] or [N, height, width, 1 or 3]".into(),
                found: format!(
                    "images of {} x {} x {channels}",
                    self.shape.height, self.shape.width
                ),
            });
        }
        let found = self.values.len();
        if num_images.checked_mul(self.shape.num_elements()) != Some(found) {
            return Err(Error::SizeMismatch {
                what: "pixel values, one image for each row of targets",
                expected: num_images.saturating_mul(self.shape.num_elements()),
                found,
            });
        }
        match self.values {
            PixelValues::Bytes(_) => Ok(()),
            PixelValues::Floats(values) => {
                match values.iter().position(|&value| level(value).is_none()) {
                    None => Ok(()),
                    Some(place) => Err(Error::OutOfRange {
                        name: "pixel values",
                        requirement: "from 0 to 1 (or bytes from 0 to 255)".into(),
                        found: format!(
                            "{} in image {}",
                            values[place],
                            place / self.shape.num_elements()
                        ),
                    }),
                }
            }
        }
    }

    /// One image in bytes.
    fn picture(&self, index: usize) -> Picture {
        let range = index * self.shape.num_elements()..(index + 1) * self.shape.num_elements();
        let pixels = match self.values {
            PixelValues::Bytes(values) => values[range].to_vec(),
            PixelValues::Floats(values) => {
                let byte = |&value: &f32| level(value).unwrap_or(0);
                values[range].iter().map(byte).collect()
            }
        };
        Picture::of_pixels(self.shape, pixels)
    }
}

/// The nearest of 256 levels of a value from 0 to 1.
pub(super) fn level(value: f32) -> Option<u8> {
    (0.0..=1.0)
        .contains(&value)
        .then(|| (value * 255.0).round() as u8)
}

/// Divides, resizes and normalises images that are in memory, as [`read`](super::read) does those
/// of a folder; `title` names them, and the folder, the labels and the classes of `spec` are not
/// looked at.
///
/// # Errors
/// [`Error::SizeMismatch`] and [`Error::OutOfRange`] for arrays that do not fit together;
/// [`Error::Format`] with the title for labels that cannot be learned.
///
/// ```
/// use tagwise_base::{LabelSet, Targets};
/// use tagwise_data::ImageShape;
/// use tagwise_data::own::{self, ImageArray, OwnSpec, PixelValues};
///
/// let values: Vec<f32> = (0..40).map(|i| (i / 2) as f32 / 20.0).collect(); // [20, 1, 2, 1]
/// let images = ImageArray {
///     shape: ImageShape::new(1, 2, 1),
///     values: PixelValues::Floats(&values),
/// };
/// let targets = Targets::new(2, (0..20).map(|i| LabelSet::new([u32::from(i >= 10)])))?;
/// let names = ["dark", "light"].map(String::from).to_vec();
/// let lamps = own::from_arrays("lamps", images, targets, names, &OwnSpec::default(), 0)?;
/// assert_eq!((lamps.train.len(), lamps.test.len()), (14, 4));
/// assert_eq!(lamps.train.shape(), images.shape);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_arrays(
    title: &str,
    images: ImageArray<'_>,
    targets: Targets,
    class_names: Vec<String>,
    spec: &OwnSpec,
    seed: u64,
) -> Result<OwnImages> {
    images.check(targets.len())?;
    if class_names.len() != targets.num_classes() {
        return Err(Error::SizeMismatch {
            what: "names of classes",
            expected: targets.num_classes(),
            found: class_names.len(),
        });
    }
    let shape = spec.shape(images.shape)?;
    let labelled = Labelled {
        title: title.to_string(),
        class_names,
        targets,
        portions: None,
    };
    let place = |sample: usize| format!("image {sample}");
    labelled.divide(spec, seed, Path::new(title), &place, shape, |members| {
        let mut pixels = photos::room(members.len(), shape)?;
        pixels
            .par_chunks_exact_mut(shape.num_elements())
            .zip(members)
            .for_each(|(pixels, &sample)| {
                pixels.copy_from_slice(&images.picture(sample).into_image(shape));
            });
        Ok(pixels)
    })
}

#[cfg(test)]
mod tests {
    use tagwise_base::LabelSet;

    use super::*;

    fn lamps(values: PixelValues<'_>, shape: ImageShape) -> Result<OwnImages> {
        let targets = Targets::new(2, (0..12).map(|i| LabelSet::new([i % 2]))).unwrap();
        let names = ["even", "odd"].map(String::from).to_vec();
        let images = ImageArray { shape, values };
        from_arrays("lamps", images, targets, names, &OwnSpec::default(), 3)
    }

    #[test]
    fn bytes_and_floats_of_the_same_images_give_the_same() {
        let bytes: Vec<u8> = (0..12 * 6).map(|i| (i * 3) as u8).collect();
        let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let shape = ImageShape::new(1, 2, 3);
        let of_bytes = lamps(PixelValues::Bytes(&bytes), shape).unwrap();
        let of_floats = lamps(PixelValues::Floats(&floats), shape).unwrap();
        for index in 0..of_bytes.train.len() {
            let pixels = of_bytes.train.pixels(index);
            assert_eq!(pixels, of_floats.train.pixels(index));
            let image = usize::from(pixels[0]) / 18;
            let label = of_bytes.train.targets().set(index).labels()[0];
            assert_eq!(image % 2, label as usize);
        }
    }

    #[test]
    fn arrays_that_do_not_fit_get_one_sentence() {
        let said = |values: PixelValues<'_>, shape| lamps(values, shape).unwrap_err().to_string();
        let shape = ImageShape::new(1, 1, 1);
        insta::assert_snapshot!(said(PixelValues::Bytes(&[0; 11]), shape), @"expected 12 pixel values, one image for each row of targets, found 11");
        insta::assert_snapshot!(said(PixelValues::Bytes(&[0; 24]), ImageShape::new(1, 1, 2)), @"expected arrays of images of shape [N, height, width] or [N, height, width, 1 or 3], found images of 1 x 1 x 2");
        let mut floats = [0.5; 12];
        floats[7] = f32::NAN;
        insta::assert_snapshot!(said(PixelValues::Floats(&floats), shape), @"expected pixel values from 0 to 1 (or bytes from 0 to 255), found NaN in image 7");
        floats[7] = 128.0;
        insta::assert_snapshot!(said(PixelValues::Floats(&floats), shape), @"expected pixel values from 0 to 1 (or bytes from 0 to 255), found 128 in image 7");
    }
}
