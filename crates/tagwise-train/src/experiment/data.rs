//! Which images an experiment is about and how they are composed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tagwise_data::own::{self, OwnSpec};
use tagwise_data::{ComposeSpec, Counts, Images, MAX_LABELS, PartCounts, Source};

use super::out_of_range;
use crate::{Error, Result};

/// The source images, their division and what is composed from each part.
///
/// A training, a validation and a test set never share a source image. The digits and own images
/// are divided by `test_fraction`; every other source comes with a test set of its own, and
/// validation images are split off its training half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where the images come from.
    pub source: Source,
    /// The folder with the source's files; where `tagwise data fetch` puts them when absent, and
    /// that of the table for own images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The table of labels of own images; `labels.csv` in their folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The classes of own images in their order; those that occur when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Rows of pixels that own images are resized to: 64, or those of an array, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
    /// Pixels in a row that own images are resized to, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// 3 for own images in colour, 1 for grey ones: 3, or those of an array, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Share of the digits or of own images kept for the test set, drawn before anything is
    /// composed; absent for sources with a test set of their own.
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

impl Data {
    /// What an experiment on this source has unless it says otherwise: up to two labels, the
    /// paper's counts where the source is the paper's.
    pub fn of(source: Source) -> Self {
        let composed = |part: fn(&Counts) -> PartCounts| {
            source.counts().map(|counts| ComposeSpec {
                per_multiplicity: part(&counts).per_label_set.into(),
                ..ComposeSpec::default()
            })
        };
        let (test_fraction, validation_fraction) = match source.entry().images {
            Images::Undivided { .. } => (Some(0.25), 0.15),
            Images::Own => (Some(0.2), 0.1),
            Images::Halves { .. } | Images::LabelSets { .. } => (None, 0.1),
        };
        Self {
            source,
            folder: None,
            labels: None,
            classes: None,
            height: None,
            width: None,
            channels: None,
            test_fraction,
            validation_fraction,
            train: composed(|counts| counts.train),
            validation: composed(|counts| counts.validation),
            test: composed(|counts| counts.test),
        }
    }

    /// The same data with label sets of up to this many labels, about as many images of each
    /// further multiplicity as of two labels.
    ///
    /// # Errors
    /// [`Error::Configuration`](crate::Error::Configuration) for more labels than a canvas or the
    /// classes have room for, and for images with label sets of their own.
    pub fn set_max_multiplicity(&mut self, max_multiplicity: usize) -> Result<()> {
        let name = "the largest multiplicity";
        let Some(counts) = self.source.counts() else {
            let expected = "left out, since these images have label sets of their own";
            return Err(out_of_range(name, expected, max_multiplicity));
        };
        let num_classes = self.source.class_names().len();
        let most = num_classes.min(MAX_LABELS);
        if !(1..=most).contains(&max_multiplicity) {
            let expected = format!("from 1 to {most}");
            return Err(out_of_range(name, &expected, max_multiplicity));
        }
        let parts = [
            (&mut self.train, counts.train),
            (&mut self.validation, counts.validation),
            (&mut self.test, counts.test),
        ];
        for (spec, counts) in parts {
            let further = counts.per_further_multiplicity;
            let mut per_multiplicity = balanced(max_multiplicity, num_classes, further);
            for (count, usual) in per_multiplicity.iter_mut().zip(counts.per_label_set) {
                *count = usual;
            }
            spec.get_or_insert_default().per_multiplicity = per_multiplicity;
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
        self.validate_files()?;
        self.validate_own()?;
        self.validate_compositions()
    }

    /// Whether test share and folder belong to this source.
    fn validate_files(&self) -> Result<()> {
        let source = self.source;
        let is_undivided = matches!(source.entry().images, Images::Undivided { .. });
        match (is_undivided || is_own(source), self.test_fraction) {
            (true, None) => {
                let expected = format!("a number from 0.01 to 0.9 for the source {source}");
                return Err(out_of_range("data.test_fraction", &expected, "none"));
            }
            (true, Some(_)) | (false, None) => {}
            (false, Some(found)) => {
                let expected = format!("left out, since {source} has a test set of its own");
                return Err(out_of_range("data.test_fraction", &expected, found));
            }
        }
        if is_undivided && self.folder.is_some() {
            let expected = format!("left out, since the {source} come with the program");
            return Err(out_of_range("data.folder", &expected, "a folder"));
        }
        Ok(())
    }

    /// Whether own images are described where there are own images.
    fn validate_own(&self) -> Result<()> {
        let source = self.source;
        if is_own(source) {
            if self.folder.is_none() && self.labels.is_none() {
                let expected = "a folder of images, or data.labels a table of their labels";
                return Err(out_of_range("data.folder", expected, "neither"));
            }
            let shape = self.own_spec().shape(own::DEFAULT_SHAPE);
            return match shape {
                Ok(_) => Ok(()),
                Err(error) => Err(Error::Configuration(error.to_string())),
            };
        }
        let number = |number: Option<usize>| number.map(|number| number.to_string());
        let fields = [
            (
                "data.labels",
                self.labels.as_ref().map(|path| path.display().to_string()),
            ),
            (
                "data.classes",
                self.classes.as_ref().map(|names| names.join(", ")),
            ),
            ("data.height", number(self.height)),
            ("data.width", number(self.width)),
            ("data.channels", number(self.channels)),
        ];
        for (field, value) in fields {
            if let Some(found) = value {
                let expected = format!("left out, since {source} is no folder of own images");
                return Err(out_of_range(field, &expected, found));
            }
        }
        Ok(())
    }

    /// Where own images are and what becomes of them; what is left out has its default.
    pub(crate) fn own_spec(&self) -> OwnSpec {
        let default = OwnSpec::default();
        OwnSpec {
            folder: self.folder.clone(),
            labels: self.labels.clone(),
            classes: self.classes.clone(),
            height: self.height,
            width: self.width,
            channels: self.channels,
            test_fraction: self.test_fraction.unwrap_or(default.test_fraction),
            validation_fraction: self.validation_fraction,
        }
    }

    /// Whether images are composed where there are images to compose.
    fn validate_compositions(&self) -> Result<()> {
        let source = self.source;
        let parts = [
            ("data.train", &self.train),
            ("data.validation", &self.validation),
            ("data.test", &self.test),
        ];
        for (field, spec) in parts {
            match (source.counts(), spec) {
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

fn is_own(source: Source) -> bool {
    matches!(source.entry().images, Images::Own)
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
        insta::assert_snapshot!(said(|data| data.height = Some(8), Source::Mnist), @"expected data.height to be left out, since mnist is no folder of own images, found 8");
        insta::assert_snapshot!(Data::of(Source::Folder).validate().unwrap_err(), @"expected data.folder to be a folder of images, or data.labels a table of their labels, found neither");
        insta::assert_snapshot!(Data::of(Source::Svhn).set_max_multiplicity(2).unwrap_err(), @"expected the largest multiplicity to be left out, since these images have label sets of their own, found 2");
    }
}
