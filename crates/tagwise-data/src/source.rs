use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::read::{Part, cifar10, idx};
use crate::{Error, ImageShape, Result, Sources, digits};

/// Where single-label source images come from.
///
/// ```
/// use tagwise_data::ImageSource;
///
/// let source: ImageSource = "fashion-mnist".parse()?;
/// assert_eq!(source.class_names()[9], "ankle boot");
/// # Ok::<(), tagwise_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    /// The UCI digits that travel inside the program.
    #[default]
    Digits,
    /// MNIST's handwritten digits.
    Mnist,
    /// Fashion-MNIST's pieces of clothing.
    FashionMnist,
    /// CIFAR-10's animals and vehicles.
    #[serde(rename = "cifar10")]
    Cifar10,
}

const DIGIT_NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const FASHION_NAMES: [&str; 10] = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// The part of the embedded digits, which have no official division, that becomes the test half.
const DIGITS_TEST_FRACTION: f64 = 0.2;

impl ImageSource {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Digits, Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// What the labels 0, 1, … stand for.
    pub fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::Digits | Self::Mnist => &DIGIT_NAMES,
            Self::FashionMnist => &FASHION_NAMES,
            Self::Cifar10 => &cifar10::CLASS_NAMES,
        }
    }

    /// Number of classes K.
    pub fn num_classes(self) -> usize {
        self.class_names().len()
    }

    /// The shape of a source image.
    pub fn shape(self) -> ImageShape {
        match self {
            Self::Digits => ImageShape::new(8, 8, 1),
            Self::Mnist | Self::FashionMnist => ImageShape::new(28, 28, 1),
            Self::Cifar10 => ImageShape::new(32, 32, 3),
        }
    }

    /// Training and test images: the official halves, read from `folder`. The embedded digits
    /// need no folder; a fifth of them, chosen by `seed`, becomes the test half.
    ///
    /// # Errors
    /// [`Error::Format`] when the files are not what they should be, [`Error::Io`] when they
    /// cannot be read.
    pub fn load(self, folder: &Path, seed: u64) -> Result<(Sources, Sources)> {
        let halves = |read: &dyn Fn(Part) -> Result<crate::LabelledImages>| {
            Ok((
                Sources::all(read(Part::Train)?),
                Sources::all(read(Part::Test)?),
            ))
        };
        match self {
            Self::Digits => Sources::all(digits::load()).split_off(DIGITS_TEST_FRACTION, seed),
            Self::Mnist | Self::FashionMnist => halves(&|part| idx::read_folder(folder, part)),
            Self::Cifar10 => halves(&|part| cifar10::read(folder, part)),
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ImageSource {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| Error::OutOfRange {
                name: "a data set",
                requirement: format!("that is one of {}", Self::ALL.map(Self::name).join(", ")),
                found: name.into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_serialise_alike() {
        for source in ImageSource::ALL {
            assert_eq!(source.name().parse::<ImageSource>().unwrap(), source);
            assert_eq!(serde_json::to_value(source).unwrap(), source.name());
            assert_eq!(source.num_classes(), 10);
        }
        insta::assert_snapshot!("cifar100".parse::<ImageSource>().unwrap_err(), @"expected a data set that is one of digits, mnist, fashion-mnist, cifar10, found cifar100");
    }

    #[test]
    fn the_embedded_digits_need_no_folder() {
        let (train, test) = ImageSource::Digits.load(Path::new("none"), 0).unwrap();
        assert_eq!((train.members().len(), test.members().len()), (1438, 359));
        assert_eq!(train.images().shape(), ImageSource::Digits.shape());
    }
}
