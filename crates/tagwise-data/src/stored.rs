use rayon::prelude::*;
use tagwise_base::Targets;

use crate::sources::divide;
use crate::{ComposedImages, Error, ImageShape, Result};

/// What is subtracted from the values (0 to 1) of each channel and what they are divided by.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    /// One mean per channel.
    pub mean: Vec<f32>,
    /// One standard deviation per channel.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Means and deviations of ImageNet's training images, customary for colour images.
    pub fn imagenet() -> Self {
        Self {
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
        }
    }

    /// Means and deviations of these pixel values, 255 for 1.0; a channel that is flat is only
    /// centred.
    ///
    /// # Shapes
    /// `pixels` is `[…, channels]`.
    ///
    /// ```
    /// let normalisation = tagwise_data::Normalisation::of(&[0, 51, 255, 51], 2);
    /// assert_eq!(normalisation.mean, [0.5, 0.2]);
    /// assert_eq!(normalisation.std, [0.5, 1.0]);
    /// ```
    ///
    /// # Panics
    /// For no channel.
    pub fn of(pixels: &[u8], channels: usize) -> Self {
        let mut counts = vec![[0u64; 256]; channels];
        for pixel in pixels.chunks_exact(channels) {
            for (counts, &value) in counts.iter_mut().zip(pixel) {
                counts[usize::from(value)] += 1;
            }
        }
        let (mean, std) = counts.iter().map(mean_and_deviation).unzip();
        Self { mean, std }
    }
}

/// Mean and deviation, on a scale from 0 to 1, of bytes that occur so often.
fn mean_and_deviation(counts: &[u64; 256]) -> (f32, f32) {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let average = |value: &dyn Fn(f64) -> f64| {
        let terms = counts.iter().enumerate();
        terms
            .map(|(byte, &count)| value(byte as f64 / 255.0) * count as f64)
            .sum::<f64>()
            / total
    };
    let mean = average(&|value| value);
    let deviation = average(&|value| (value - mean).powi(2)).sqrt();
    let is_flat = deviation < 1e-6;
    (mean as f32, if is_flat { 1.0 } else { deviation as f32 })
}

/// N images of one shape that carry label sets of their own, such as SVHN's house numbers.
#[derive(Clone, Debug)]
pub struct StoredImages {
    shape: ImageShape,
    pixels: Vec<u8>,
    targets: Targets,
    normalisation: Normalisation,
}

impl StoredImages {
    /// Joins pixels, label sets and the normalisation that [`image_into`](Self::image_into)
    /// applies.
    ///
    /// # Shapes
    /// `pixels` is `[N, height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when pixels, targets and channels do not fit together,
    /// [`Error::OutOfRange`] for a deviation that is not above 0.
    pub fn new(
        shape: ImageShape,
        pixels: Vec<u8>,
        targets: Targets,
        normalisation: Normalisation,
    ) -> Result<Self> {
        let expect = |what, expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(Error::SizeMismatch {
                what,
                expected,
                found,
            }),
        };
        expect(
            "pixel values",
            targets.len() * shape.num_elements(),
            pixels.len(),
        )?;
        expect("channel means", shape.channels, normalisation.mean.len())?;
        expect(
            "channel deviations",
            shape.channels,
            normalisation.std.len(),
        )?;
        if let Some(std) = normalisation
            .std
            .iter()
            .find(|&&std| std.is_nan() || std <= 0.0)
        {
            return Err(Error::OutOfRange {
                name: "a channel's deviation",
                requirement: "above 0".into(),
                found: std.to_string(),
            });
        }
        Ok(Self {
            shape,
            pixels,
            targets,
            normalisation,
        })
    }

    /// Divides the images in two, label set by label set: what stays and, second, about
    /// `fraction` of each label set chosen at random by the seed.
    ///
    /// Each part keeps at least one image of a label set that has two or more; the only image of
    /// a label set stays in the first part.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 < `fraction` < 1.
    pub fn split_off(&self, fraction: f64, seed: u64) -> Result<(Self, Self)> {
        let mut groups = vec![Vec::new(); self.targets.distinct().len()];
        for (index, &set) in (0..).zip(self.targets.set_ids()) {
            groups[set as usize].push(index);
        }
        let (stay, leave) = divide(groups, fraction, seed)?;
        Ok((self.select(stay)?, self.select(leave)?))
    }

    /// These images in increasing order.
    fn select(&self, mut members: Vec<u32>) -> Result<Self> {
        members.sort_unstable();
        let mut pixels = Vec::with_capacity(members.len() * self.shape.num_elements());
        for &member in &members {
            pixels.extend_from_slice(self.pixels(member as usize));
        }
        let sets = members
            .iter()
            .map(|&member| self.targets.set(member as usize).clone());
        Ok(Self {
            shape: self.shape,
            pixels,
            targets: Targets::new(self.targets.num_classes(), sets)?,
            normalisation: self.normalisation.clone(),
        })
    }

    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The shape that all images share.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The label set of each sample.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// What [`image_into`](Self::image_into) subtracts and divides by.
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// The bytes of one image, `[height, width, channels]`, not normalised.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.shape.num_elements()..][..self.shape.num_elements()]
    }

    /// One image, normalised.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len) or `values` is not one image long.
    pub fn image_into(&self, index: usize, values: &mut [f32]) {
        assert_eq!(
            values.len(),
            self.shape.num_elements(),
            "one image of {:?}",
            self.shape
        );
        let Normalisation { mean, std } = &self.normalisation;
        let channels = self.shape.channels;
        let pixels = self.pixels(index).chunks_exact(channels);
        for (values, pixels) in values.chunks_exact_mut(channels).zip(pixels) {
            for channel in 0..channels {
                let value = f32::from(pixels[channel]) / 255.0;
                values[channel] = (value - mean[channel]) / std[channel];
            }
        }
    }
}

/// Images with label sets, wherever they come from: what a network is trained or judged on.
#[derive(Clone, Debug)]
pub enum ImageSet {
    /// Composed when asked for.
    Composed(ComposedImages),
    /// Kept in memory.
    Stored(StoredImages),
}

impl ImageSet {
    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.targets().len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets().is_empty()
    }

    /// The shape that all images share.
    pub fn shape(&self) -> ImageShape {
        match self {
            Self::Composed(images) => images.shape(),
            Self::Stored(images) => images.shape(),
        }
    }

    /// The label set of each sample.
    pub fn targets(&self) -> &Targets {
        match self {
            Self::Composed(images) => images.targets(),
            Self::Stored(images) => images.targets(),
        }
    }

    /// Bytes that the images, or what they are composed of, take in memory.
    pub fn num_bytes(&self) -> usize {
        match self {
            Self::Composed(images) => images.num_bytes(),
            Self::Stored(images) => images.pixels.len(),
        }
    }

    /// One image as a network takes it: `[height, width, channels]`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len) or `values` is not one image long.
    pub fn image_into(&self, index: usize, values: &mut [f32]) {
        match self {
            Self::Composed(images) => images.compose_into(index, values),
            Self::Stored(images) => images.image_into(index, values),
        }
    }

    /// A batch, in parallel: `[B, height, width, channels]`.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len) or `batch` is not B images long.
    pub fn batch_into(&self, indices: &[usize], batch: &mut [f32]) {
        let image_len = self.shape().num_elements();
        assert_eq!(batch.len(), indices.len() * image_len, "a batch of images");
        batch
            .par_chunks_exact_mut(image_len)
            .zip(indices)
            .for_each(|(values, &index)| self.image_into(index, values));
    }

    /// One image in pixel values, not normalised: `[height, width, channels]`, of which
    /// [`white`](Self::white) stands for 1.0.
    ///
    /// # Panics
    /// As [`image_into`](Self::image_into).
    pub fn bytes_into(&self, index: usize, bytes: &mut [u8]) {
        match self {
            Self::Composed(images) => images.compose_bytes_into(index, bytes),
            Self::Stored(images) => bytes.copy_from_slice(images.pixels(index)),
        }
    }

    /// The pixel value that stands for 1.0 before normalisation.
    pub fn white(&self) -> u8 {
        match self {
            Self::Composed(images) => images.white(),
            Self::Stored(_) => u8::MAX,
        }
    }

    /// One image for the eye: `[height, width, channels]`, 255 for white.
    ///
    /// # Panics
    /// As [`image_into`](Self::image_into).
    pub fn display_into(&self, index: usize, bytes: &mut [u8]) {
        self.bytes_into(index, bytes);
        let white = f32::from(self.white());
        for byte in bytes {
            *byte = (f32::from(*byte) / white * 255.0).round() as u8;
        }
    }
}

impl From<ComposedImages> for ImageSet {
    fn from(images: ComposedImages) -> Self {
        Self::Composed(images)
    }
}

impl From<StoredImages> for ImageSet {
    fn from(images: StoredImages) -> Self {
        Self::Stored(images)
    }
}

#[cfg(test)]
mod tests {
    use tagwise_base::LabelSet;

    use super::*;

    #[test]
    fn a_split_keeps_images_with_their_label_sets() {
        let sets = (0..20u32).map(|i| LabelSet::new([i % 2, 2 * (i % 2)]));
        let images = StoredImages::new(
            ImageShape::new(1, 1, 1),
            (0..20).collect(),
            Targets::new(3, sets).unwrap(),
            Normalisation {
                mean: vec![0.0],
                std: vec![1.0],
            },
        )
        .unwrap();
        let (stay, leave) = images.split_off(0.3, 1).unwrap();
        assert_eq!((stay.len(), leave.len()), (14, 6));
        let mut seen = Vec::new();
        for part in [&stay, &leave] {
            for index in 0..part.len() {
                let pixel = part.pixels(index)[0];
                assert_eq!(
                    part.targets().set(index),
                    images.targets().set(pixel.into())
                );
                seen.push(pixel);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<u8>>());
    }
}
