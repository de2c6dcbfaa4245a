//! The three data sets of a run, composed from disjoint source images.

use tagwise_data::{ComposedImages, LabelledImages, Sources, digits};

use crate::{Data, Result, Source};

/// Training, validation and test set; no source image is in two of them.
#[derive(Debug)]
pub struct DataSets {
    /// What the network learns from and collapse is measured on.
    pub train: ComposedImages,
    /// What thresholds are chosen on.
    pub validation: ComposedImages,
    /// What the final table is measured on.
    pub test: ComposedImages,
}

/// Streams of the experiment's seed, so that no two draws share random numbers.
#[derive(Clone, Copy)]
enum Stream {
    TestSplit = 1,
    ValidationSplit,
    Train,
    Validation,
    Test,
}

impl DataSets {
    /// Divides the source images and plans what is composed from each part.
    ///
    /// # Errors
    /// As [`Sources::split_off`] and [`ComposedImages::new`].
    pub fn new(data: &Data, seed: u64) -> Result<Self> {
        let seed = |stream: Stream| seed.wrapping_mul(1_000_003).wrapping_add(stream as u64);
        let (rest, test) = Sources::all(load(data.source))
            .split_off(data.test_fraction, seed(Stream::TestSplit))?;
        let (train, validation) =
            rest.split_off(data.validation_fraction, seed(Stream::ValidationSplit))?;
        Ok(Self {
            train: ComposedImages::new(&train, &data.train, seed(Stream::Train))?,
            validation: ComposedImages::new(
                &validation,
                &data.validation,
                seed(Stream::Validation),
            )?,
            test: ComposedImages::new(&test, &data.test, seed(Stream::Test))?,
        })
    }
}

fn load(source: Source) -> LabelledImages {
    match source {
        Source::Digits => digits::load(),
    }
}
