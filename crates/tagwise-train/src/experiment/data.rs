//! Which images an experiment is about and how they are composed.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tagwise_data::{ComposeSpec, ImageSource, MAX_LABELS};

use super::out_of_range;
use crate::Result;

/// The source images, their division and what is composed from each part.
///
/// A training, a validation and a test set never share a source image. The digits are divided by
/// `test_fraction`; every other source comes with a test set of its own, and validation images
/// are split off its training half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where the images come from.
    pub source: Source,
    /// The folder with the source's files; where `tagwise data fetch` puts them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Share of the digits kept for the test set, drawn before anything is composed; absent for
    /// sources with a test set of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_fraction: Option<f64>,
    /// Share of the remaining source images kept for validation.
    pub validation_fraction: f64,
    /// How the training set is composed; absent for images with label sets of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<ComposeSpec>,
    /// The same for the validation set, on which thresholds and epochs are chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ComposeSpec>,
    /// The same for the test set, which is looked at once, after training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<ComposeSpec>,
}

/// A set of images to learn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The UCI handwritten digits, 1,797 grey images of 8×8 pixels, embedded in the program.
    #[default]
    Digits,
    /// MNIST's handwritten digits, 28×28 grey.
    Mnist,
    /// Fashion-MNIST's pieces of clothing, 28×28 grey.
    FashionMnist,
    /// CIFAR-10's animals and vehicles, 32×32 in colour.
    #[serde(rename = "cifar10")]
    Cifar10,
    /// SVHN's house numbers, cropped to 32×32, with label sets of their own.
    Svhn,
}

/// Images in a part of the data.
#[derive(Clone, Copy)]
struct Parts {
    train: usize,
    validation: usize,
    test: usize,
}

/// Images of each multiplicity of the digits, about.
const DIGITS: Parts = Parts {
    train: 2700,
    validation: 450,
    test: 900,
};

/// Images of each multiplicity above 2 of the larger sources, about; those of one and two labels
/// have the paper's counts.
const LARGER: Parts = Parts {
    train: 9000,
    validation: 1125,
    test: 2250,
};

impl Parts {
    fn balanced(self, max_multiplicity: usize, num_classes: usize) -> [Vec<usize>; 3] {
        [self.train, self.validation, self.test]
            .map(|images| balanced(max_multiplicity, num_classes, images))
    }
}

impl Data {
    /// What an experiment on this source has unless it says otherwise: up to two labels, the
    /// paper's counts where the source is the paper's.
    pub fn of(source: Source) -> Self {
        let composed = |counts: [Vec<usize>; 3]| {
            counts.map(|per_multiplicity| {
                Some(ComposeSpec {
                    per_multiplicity,
                    ..ComposeSpec::default()
                })
            })
        };
        let [train, validation, test] = match source {
            Source::Digits => composed(DIGITS.balanced(2, source.num_classes())),
            Source::Mnist | Source::FashionMnist | Source::Cifar10 => {
                composed([vec![3100, 200], vec![400, 25], vec![800, 50]])
            }
            Source::Svhn => [None, None, None],
        };
        Self {
            source,
            folder: None,
            test_fraction: matches!(source, Source::Digits).then_some(0.25),
            validation_fraction: match source {
                Source::Digits => 0.15,
                _ => 0.1,
            },
            train,
            validation,
            test,
        }
    }

    /// The same data with label sets of up to this many labels, about as many images of each
    /// further multiplicity as of two labels.
    ///
    /// # Errors
    /// [`Error::Configuration`](crate::Error::Configuration) for more labels than a canvas or the
    /// classes have room for, and for images with label sets of their own.
    pub fn set_max_multiplicity(&mut self, max_multiplicity: usize) -> Result<()> {
        let (name, num_classes) = ("the largest multiplicity", self.source.num_classes());
        let most = num_classes.min(MAX_LABELS);
        if !(1..=most).contains(&max_multiplicity) {
            let expected = format!("from 1 to {most}");
            return Err(out_of_range(name, &expected, max_multiplicity));
        }
        let images = match self.source {
            Source::Digits => DIGITS,
            _ => LARGER,
        };
        let counts = images.balanced(max_multiplicity, num_classes);
        let default = Self::of(self.source);
        let parts = [
            (&mut self.train, default.train),
            (&mut self.validation, default.validation),
            (&mut self.test, default.test),
        ];
        for ((spec, default), mut counts) in parts.into_iter().zip(counts) {
            let (Some(spec), Some(default)) = (spec, default) else {
                let expected = "left out, since these images have label sets of their own";
                return Err(out_of_range(name, expected, max_multiplicity));
            };
            for (count, &usual) in counts.iter_mut().zip(&default.per_multiplicity) {
                *count = usual;
            }
            spec.per_multiplicity = counts;
        }
        Ok(())
    }

    /// Whether the fields fit together, before any file is looked at.
    pub(super) fn validate(&self) -> Result<()> {
        let fractions = [
            ("data.test_fraction", self.test_fraction),
            ("data.validation_fraction", Some(self.validation_fraction)),
        ];
        for (field, value) in fractions {
            if let Some(value) = value
                && !(0.01..=0.9).contains(&value)
            {
                return Err(out_of_range(field, "a number from 0.01 to 0.9", value));
            }
        }
        let source = self.source;
        match (source, self.test_fraction) {
            (Source::Digits, None) => {
                let expected = "a number from 0.01 to 0.9 for the source digits";
                return Err(out_of_range("data.test_fraction", expected, "none"));
            }
            (Source::Digits, Some(_)) | (_, None) => {}
            (_, Some(found)) => {
                let expected = format!("left out, since {source} has a test set of its own");
                return Err(out_of_range("data.test_fraction", &expected, found));
            }
        }
        if source == Source::Digits && self.folder.is_some() {
            let expected = "left out, since the digits come with the program";
            return Err(out_of_range("data.folder", expected, "a folder"));
        }
        let parts = [
            ("data.train", &self.train),
            ("data.validation", &self.validation),
            ("data.test", &self.test),
        ];
        for (field, spec) in parts {
            match (source.images(), spec) {
                (Some(_), None) => {
                    let expected = "a table that says how to compose";
                    return Err(out_of_range(field, expected, "none"));
                }
                (None, Some(_)) => {
                    let expected = format!("left out, since {source} has label sets of its own");
                    return Err(out_of_range(field, &expected, "a table"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Source {
    /// The single-label images that are composed; `None` for images with label sets of their
    /// own.
    pub fn images(self) -> Option<ImageSource> {
        match self {
            Self::Digits => Some(ImageSource::Digits),
            Self::Mnist => Some(ImageSource::Mnist),
            Self::FashionMnist => Some(ImageSource::FashionMnist),
            Self::Cifar10 => Some(ImageSource::Cifar10),
            Self::Svhn => None,
        }
    }

    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        self.images().map_or("svhn", ImageSource::name)
    }

    /// What the labels 0, 1, … stand for.
    pub fn class_names(self) -> &'static [&'static str] {
        self.images().map_or(
            &tagwise_data::read::svhn::CLASS_NAMES,
            ImageSource::class_names,
        )
    }

    /// Number of classes K.
    pub fn num_classes(self) -> usize {
        self.class_names().len()
    }

    /// What a person calls the multi-label data set.
    pub fn title(self) -> &'static str {
        match self {
            Self::Digits => "M-lab digits",
            Self::Mnist => "M-lab MNIST",
            Self::FashionMnist => "M-lab Fashion-MNIST",
            Self::Cifar10 => "M-lab CIFAR-10",
            Self::Svhn => "M-lab SVHN",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// About `images` images of each multiplicity, as many of one label set as of another.
fn balanced(max_multiplicity: usize, num_classes: usize, images: usize) -> Vec<usize> {
    let mut num_sets = 1;
    (1..=max_multiplicity)
        .map(|m| {
            num_sets = num_sets * (num_classes + 1).saturating_sub(m) / m;
            (images / num_sets.max(1)).max(1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_multiplicities_keep_the_counts_of_the_smaller() {
        let mut data = Data::of(Source::Mnist);
        data.set_max_multiplicity(4).unwrap();
        let counts = |spec: &Option<ComposeSpec>| spec.as_ref().unwrap().per_multiplicity.clone();
        assert_eq!(counts(&data.train), [3100, 200, 75, 42]);
        assert_eq!(counts(&data.test), [800, 50, 18, 10]);
        let mut digits = Data::of(Source::Digits);
        digits.set_max_multiplicity(3).unwrap();
        assert_eq!(counts(&digits.train), [270, 60, 22]);
        digits.set_max_multiplicity(1).unwrap();
        assert_eq!(counts(&digits.train), [270]);
    }

    #[test]
    fn fields_that_do_not_go_with_the_source_are_refused() {
        let said = |change: fn(&mut Data), source| {
            let mut data = Data::of(source);
            data.validate().unwrap();
            change(&mut data);
            data.validate().unwrap_err().to_string()
        };
        insta::assert_snapshot!(said(|data| data.test_fraction = Some(0.2), Source::Mnist), @"expected data.test_fraction to be left out, since mnist has a test set of its own, found 0.2");
        insta::assert_snapshot!(said(|data| data.test_fraction = Some(0.95), Source::Digits), @"expected data.test_fraction to be a number from 0.01 to 0.9, found 0.95");
        insta::assert_snapshot!(said(|data| data.folder = Some("x".into()), Source::Digits), @"expected data.folder to be left out, since the digits come with the program, found a folder");
        insta::assert_snapshot!(said(|data| data.train = Some(ComposeSpec::default()), Source::Svhn), @"expected data.train to be left out, since svhn has label sets of its own, found a table");
        insta::assert_snapshot!(Data::of(Source::Svhn).set_max_multiplicity(2).unwrap_err(), @"expected the largest multiplicity to be left out, since these images have label sets of their own, found 2");
    }
}
