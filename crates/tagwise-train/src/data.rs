//! The three data sets of a run, from disjoint source images.

use std::path::PathBuf;

use tagwise_data::read::{Part, svhn};
use tagwise_data::{
    ComposeSpec, ComposedImages, ImageSet, ImageShape, ImageSource, Sources, data_folder, digits,
};

use crate::{Data, Error, Result};

/// Training, validation and test set; no source image is in two of them.
#[derive(Debug)]
pub struct DataSets {
    /// What the network learns from and collapse is measured on.
    pub train: ImageSet,
    /// What thresholds and epochs are chosen on.
    pub validation: ImageSet,
    /// What the final table is measured on.
    pub test: ImageSet,
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

impl Stream {
    fn of(self, seed: u64) -> u64 {
        seed.wrapping_mul(1_000_003).wrapping_add(self as u64)
    }
}

impl DataSets {
    /// Reads the source images, divides them and plans what is composed from each part.
    ///
    /// # Errors
    /// [`Error::NoData`] when the source's folder is missing, [`Error::Data`] for files that are
    /// not what they should be and compositions that cannot be met, [`Error::Configuration`]
    /// when the three data sets have no common image shape.
    pub fn new(data: &Data, seed: u64) -> Result<Self> {
        let sets = match data.source.images() {
            Some(source) => Self::compose(data, source, seed)?,
            None => {
                let folder = folder(data)?;
                let train = svhn::read(&folder, Part::Train)?;
                let (train, validation) =
                    train.split_off(data.validation_fraction, Stream::ValidationSplit.of(seed))?;
                Self {
                    train: train.into(),
                    validation: validation.into(),
                    test: svhn::read(&folder, Part::Test)?.into(),
                }
            }
        };
        sets.expect_one_shape()?;
        Ok(sets)
    }

    fn compose(data: &Data, source: ImageSource, seed: u64) -> Result<Self> {
        let (rest, test) = match (source, data.test_fraction) {
            (ImageSource::Digits, Some(fraction)) => {
                Sources::all(digits::load()).split_off(fraction, Stream::TestSplit.of(seed))?
            }
            _ => source.load(&folder(data)?, seed)?,
        };
        let (train, validation) =
            rest.split_off(data.validation_fraction, Stream::ValidationSplit.of(seed))?;
        let specs = [&data.train, &data.validation, &data.test]
            .map(|spec| spec.clone().unwrap_or_default());
        let cells = specs
            .iter()
            .map(|spec| spec.num_cells_per_side(source.num_classes()))
            .collect::<tagwise_data::Result<Vec<_>>>()?;
        let cells = cells.into_iter().max();
        let composed = |sources: &Sources, spec: &ComposeSpec, stream: Stream| {
            // One network sees all three, so the set with the most labels decides the canvas.
            let spec = ComposeSpec {
                cells_per_side: spec.cells_per_side.or(cells),
                ..spec.clone()
            };
            ComposedImages::new(sources, &spec, stream.of(seed)).map(ImageSet::from)
        };
        Ok(Self {
            train: composed(&train, &specs[0], Stream::Train)?,
            validation: composed(&validation, &specs[1], Stream::Validation)?,
            test: composed(&test, &specs[2], Stream::Test)?,
        })
    }

    fn expect_one_shape(&self) -> Result<()> {
        let shapes = [&self.train, &self.validation, &self.test].map(ImageSet::shape);
        if shapes.iter().all(|shape| *shape == shapes[0]) {
            return Ok(());
        }
        let [train, validation, test] =
            shapes.map(|ImageShape { height, width, .. }| format!("{height} x {width}"));
        Err(Error::Configuration(format!(
            "expected training, validation and test images of one size, found {train}, \
             {validation} and {test}; give them the same data.….placement and cells_per_side"
        )))
    }
}

/// The folder that the experiment names, or the one where fetched data sets are.
fn folder(data: &Data) -> Result<PathBuf> {
    let folder = match &data.folder {
        Some(folder) => folder.clone(),
        None => data_folder(data.source.name())?,
    };
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(Error::NoData {
            source_name: data.source.name(),
            folder,
        }),
    }
}
