//! Last-layer features with their label sets and the classifier on top of them.

mod array;
mod blocks;
mod bytes;
mod choice;
mod file;
mod labels;
mod load;
mod mapped;
mod member;
mod npy;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "snapshot/without_parquet.rs"]
mod parquet;
mod refused;
mod safetensors;
mod scipy;

use std::path::Path;

pub use self::bytes::{ArrayBytes, ArrayContents, Format, NamedArray, NamedArrays};
pub use self::file::SnapshotFile;
pub use self::labels::{FileLabels, array_names, read_labels, read_targets};
pub use self::options::{ArrayNames, LabelsIn, NonFinite, OpenOptions};
pub use self::scipy::{SparseMatrix, is_sparse_file, read_sparse};
pub use crate::LinearClassifier;
pub use crate::features::FeatureRows;
use crate::features::FeaturesView;
use crate::{Error, Result, Targets};

/// Why a file of Parquet is refused by a program without its reader and writer, and what to do; what
/// else could be done follows after a comma.
pub const WITHOUT_PARQUET: &str = "this program was built without Parquet; build it with `cargo \
     install --path crates/tagwise-cli --features parquet`";

/// Features, row-major `[N, d]`, in the precision they came in; half precision is widened to f32,
/// which is exact.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValues {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl FeatureValues {
    /// How many numbers there are, N·d.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples that can be read block by block, as often as needed: a [`Snapshot`] in memory, or files
/// larger than memory.
pub trait SampleStream {
    /// Feature dimension d.
    fn dim(&self) -> usize;

    /// The label sets of all samples, in the order of the rows.
    fn targets(&self) -> &Targets;

    /// Shows each block of rows in order, with the number of its first row.
    ///
    /// # Errors
    /// Whatever reading or `visit` reports.
    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()>;
}

impl SampleStream for Snapshot {
    fn dim(&self) -> usize {
        self.dim
    }

    fn targets(&self) -> &Targets {
        &self.targets
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match &self.features {
            FeatureValues::F32(values) => visit(0, FeatureRows::F32(values)),
            FeatureValues::F64(values) => visit(0, FeatureRows::F64(values)),
        }
    }
}

/// Features that somebody else keeps, with their label sets.
///
/// ```
/// use tagwise_base::features::DenseView;
/// use tagwise_base::snapshot::{LabelledView, SampleStream};
/// use tagwise_base::{LabelSet, Targets};
///
/// let targets = Targets::new(2, [[0], [1]].map(LabelSet::new))?;
/// let features = DenseView::new(&[1.0f32, 0.0, 0.0, 2.0], 2)?; // [2, 2]
/// let samples = LabelledView::new(features.into(), &targets)?;
/// assert_eq!(samples.dim(), 2);
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelledView<'a> {
    features: FeaturesView<'a>,
    targets: &'a Targets,
}

impl<'a> LabelledView<'a> {
    /// Puts both together.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there is a label set for each row.
    pub fn new(features: FeaturesView<'a>, targets: &'a Targets) -> Result<Self> {
        if features.num_rows() == targets.len() {
            return Ok(Self { features, targets });
        }
        Err(Error::SizeMismatch {
            what: "rows of features",
            expected: targets.len(),
            found: features.num_rows(),
        })
    }
}

impl SampleStream for LabelledView<'_> {
    fn dim(&self) -> usize {
        self.features.dim()
    }

    fn targets(&self) -> &Targets {
        self.targets
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        self.features.for_each_block(visit)
    }
}

/// What collapse is measured on: features `[N, d]`, one label set per row, and the classifier if
/// it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    features: FeatureValues,
    dim: usize,
    targets: Targets,
    classifier: Option<LinearClassifier>,
}

impl Snapshot {
    /// Puts the parts together.
    ///
    /// # Shapes
    /// `features` is row-major `[N, d]` with d = `dim`; `targets` holds N label sets over K
    /// classes; the classifier's weight is `[K, d]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when sizes disagree, [`Error::NotFinite`] for a classifier that is
    /// not finite.
    ///
    /// ```
    /// use tagwise_base::snapshot::{FeatureValues, Snapshot};
    /// use tagwise_base::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(3, [vec![0], vec![1, 2]].map(LabelSet::new))?;
    /// let features = FeatureValues::F32(vec![1.0, 0.0, 0.0, 2.0]); // [2, 2]
    /// let snapshot = Snapshot::new(features, 2, targets, None)?;
    /// assert_eq!(snapshot.num_samples(), 2);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn new(
        features: FeatureValues,
        dim: usize,
        targets: Targets,
        classifier: Option<LinearClassifier>,
    ) -> Result<Self> {
        if targets.len().checked_mul(dim) != Some(features.len()) {
            return Err(Error::SizeMismatch {
                what: "numbers in the features (rows of targets times feature dimension)",
                expected: targets.len().saturating_mul(dim),
                found: features.len(),
            });
        }
        if let Some(classifier) = &classifier {
            classifier.check(targets.num_classes(), dim)?;
        }
        Ok(Self {
            features,
            dim,
            targets,
            classifier,
        })
    }

    /// Reads a whole file into memory, in any format of [`SnapshotFile::open`].
    ///
    /// # Errors
    /// As [`SnapshotFile::open`].
    pub fn read(path: &Path) -> Result<Self> {
        SnapshotFile::open(path, NonFinite::Refuse)?.to_snapshot()
    }

    /// Reads a snapshot from bytes, see [`SnapshotFile::open`] for the arrays.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::NotTensors`] when the bytes are not such a snapshot.
    ///
    /// ```
    /// use tagwise_base::snapshot::{FeatureValues, Format, Snapshot};
    /// use tagwise_base::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [[1], [0]].map(LabelSet::new))?;
    /// let snapshot = Snapshot::new(FeatureValues::F32(vec![1.0, 2.0]), 1, targets, None)?;
    /// let bytes = snapshot.to_bytes(Format::Npz)?;
    /// assert_eq!(Snapshot::from_bytes(Format::Npz, &bytes)?, snapshot);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn from_bytes(format: Format, bytes: &[u8]) -> Result<Self> {
        SnapshotFile::from_bytes(format, bytes.to_vec(), &OpenOptions::default())?.to_snapshot()
    }

    /// The snapshot as bytes; the same snapshot gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Undefined`] for [`Format::Npy`], which holds one array.
    pub fn to_bytes(&self, format: Format) -> Result<Vec<u8>> {
        match format {
            Format::Safetensors => Ok(safetensors::writer(self).to_bytes()),
            Format::Npz => Ok(bytes::npz(self)),
            Format::Npy => Err(Error::Undefined(
                "a .npy file holds one array, a snapshot is several; write them as .npz".into(),
            )),
        }
    }

    /// Writes the snapshot as safetensors, complete or not at all: into a temporary file in the
    /// same folder, then renamed.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        safetensors::writer(self).write(path)
    }

    /// The features, row-major `[N, d]`.
    pub fn features(&self) -> &FeatureValues {
        &self.features
    }

    /// Number of samples N.
    pub fn num_samples(&self) -> usize {
        self.targets.len()
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The label sets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The classifier, if the snapshot has one.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        self.classifier.as_ref()
    }
}
