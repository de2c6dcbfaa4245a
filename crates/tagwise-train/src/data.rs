//! The three data sets of a run, from disjoint source images.

use std::path::{Path, PathBuf};

use tagwise_data::read::Part;
use tagwise_data::{
    ComposeSpec, ComposedImages, ImageSet, ImageShape, Images, Sources, StoredImages, data_folder,
    own,
};

use crate::{Data, Error, Result};

/// Training, validation and test set; no source image is in two of them.
///
/// ```
/// use tagwise::{LabelSet, Targets};
/// use tagwise_data::{ImageShape, Normalisation, StoredImages};
/// use tagwise_train::DataSets;
///
/// let images = |labels: [u32; 2]| {
///     StoredImages::new(
///         ImageShape::new(1, 1, 1),
///         labels.map(|label| 100 * label as u8).to_vec(),
///         Targets::new(2, labels.map(|label| LabelSet::new([label])))?,
///         Normalisation { mean: vec![0.5], std: vec![0.5] },
///     )
/// };
/// let names = vec!["dark".to_string(), "light".to_string()];
/// let data = DataSets::new("lamps", names, images([0, 1])?, images([1, 0])?, images([1, 1])?)?;
/// assert_eq!((data.title(), data.num_classes(), data.train.len()), ("lamps", 2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DataSets {
    /// What the network learns from and collapse is measured on.
    pub train: ImageSet,
    /// What thresholds and epochs are chosen on.
    pub validation: ImageSet,
    /// What the final table is measured on.
    pub test: ImageSet,
    title: String,
    class_names: Vec<String>,
}

/// One of the three data sets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What thresholds and epochs are chosen on.
    Validation,
    /// What the final table is measured on.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
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
    /// Joins three data sets under a title and the names of their K classes.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the images are not of one shape, when the label sets and the
    /// names are not of the same K, or when K is below 2 or a data set is empty.
    pub fn new(
        title: impl Into<String>,
        class_names: Vec<String>,
        train: impl Into<ImageSet>,
        validation: impl Into<ImageSet>,
        test: impl Into<ImageSet>,
    ) -> Result<Self> {
        let sets = Self {
            train: train.into(),
            validation: validation.into(),
            test: test.into(),
            title: title.into(),
            class_names,
        };
        sets.expect_one_shape()?;
        sets.expect_classes()?;
        Ok(sets)
    }

    /// Reads the images of an experiment, divides them and plans what is composed from each part.
    ///
    /// # Errors
    /// [`Error::NoData`] when the source's folder is missing, [`Error::Data`] for files that are
    /// not what they should be and compositions that cannot be met, [`Error::Configuration`]
    /// when the three data sets have no common image shape.
    pub fn load(data: &Data, seed: u64) -> Result<Self> {
        match data.source.entry().images {
            Images::Undivided { .. } => Self::compose(data, &PathBuf::new(), seed),
            Images::Halves { .. } => Self::compose(data, &folder(data)?, seed),
            Images::LabelSets { read } => Self::divide(data, read, seed),
            Images::Own => Self::own(data, seed),
        }
    }

    /// The reader's own images.
    fn own(data: &Data, seed: u64) -> Result<Self> {
        let images = own::read(&data.own_spec(), Stream::TestSplit.of(seed))?;
        Self::new(
            images.title,
            images.class_names,
            images.train,
            images.validation,
            images.test,
        )
    }

    fn compose(data: &Data, folder: &Path, seed: u64) -> Result<Self> {
        let source = data.source;
        let (rest, test) = source.load(folder, data.test_fraction, Stream::TestSplit.of(seed))?;
        let (train, validation) =
            rest.split_off(data.validation_fraction, Stream::ValidationSplit.of(seed))?;
        let specs = [&data.train, &data.validation, &data.test]
            .map(|spec| spec.clone().unwrap_or_default());
        let cells = specs
            .iter()
            .map(|spec| spec.num_cells_per_side(source.class_names().len()))
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
        Self::new(
            source.title(),
            own_names(source.class_names()),
            composed(&train, &specs[0], Stream::Train)?,
            composed(&validation, &specs[1], Stream::Validation)?,
            composed(&test, &specs[2], Stream::Test)?,
        )
    }

    /// Images with label sets of their own, in official halves.
    fn divide(data: &Data, read: ReadHalf, seed: u64) -> Result<Self> {
        let folder = folder(data)?;
        let (train, validation) = read(&folder, Part::Train)?
            .split_off(data.validation_fraction, Stream::ValidationSplit.of(seed))?;
        let names = own_names(data.source.class_names());
        let test = read(&folder, Part::Test)?;
        Self::new(data.source.title(), names, train, validation, test)
    }

    /// One of the three.
    pub fn split(&self, split: Split) -> &ImageSet {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// What a person calls the data.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the labels 0, 1, … stand for, K names.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The shape that all images share.
    pub fn image_shape(&self) -> ImageShape {
        self.train.shape()
    }

    fn expect_one_shape(&self) -> Result<()> {
        let shapes = self.parts().map(|(_, images)| images.shape());
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

    fn expect_classes(&self) -> Result<()> {
        let num_classes = self.num_classes();
        if num_classes < 2 {
            return Err(Error::Configuration(format!(
                "expected images of at least 2 classes, since with one every softmax is 1, found \
                 {num_classes}"
            )));
        }
        for (name, images) in self.parts() {
            let found = images.targets().num_classes();
            if found != num_classes {
                return Err(Error::Configuration(format!(
                    "expected label sets over {num_classes} classes, as many as there are names, \
                     found {found} in the {name} set"
                )));
            }
            if images.is_empty() {
                return Err(Error::Configuration(format!(
                    "expected at least one {name} image, found none"
                )));
            }
        }
        Ok(())
    }

    fn parts(&self) -> [(&'static str, &ImageSet); 3] {
        [
            ("training", &self.train),
            ("validation", &self.validation),
            ("test", &self.test),
        ]
    }
}

/// Reads a half of images with label sets of their own.
type ReadHalf = fn(&Path, Part) -> tagwise_data::Result<StoredImages>;

fn own_names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
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
