//! Features in files, read block by block: they may be larger than memory.

mod rows;

use std::path::{Path, PathBuf};

use super::array::{Array, Stored};
use super::blocks::show_blocks;
use super::bytes::{Format, members_of};
use super::choice::{Choice, Features, LabelsHere, choose};
use super::labels::NO_LABELS;
use super::load::load;
use super::mapped::Bytes;
use super::member::Member;
use super::options::{LabelsIn, NonFinite, OpenOptions};
use super::{FeatureRows, FeatureValues, LinearClassifier, SampleStream, Snapshot};
use super::{refused, scipy};
use crate::label::ClassNames;
use crate::tensors::Element;
use crate::{Error, Result, Targets};

/// A snapshot that stays in its file.
///
/// safetensors, stored .npz members and .npy files are mapped into memory, whose pages the system
/// takes back when it needs them; compressed .npz members are unpacked. f16 and bf16 are widened to
/// f32 block by block, Fortran order is read as it is. Parquet is decoded block by block whenever
/// somebody looks. What stays in memory is the label sets, 4 bytes a sample and each distinct set
/// once, and one block: up to 64 MiB of features as they are stored and 128 MiB as f32, of Parquet
/// 2²² numbers, 16 MiB as f32, beside a page of its column.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// Nothing for bytes that came without a path.
    path: Option<PathBuf>,
    features: Features,
    num_rows: usize,
    dim: usize,
    targets: Targets,
    classifier: Option<LinearClassifier>,
    has_labels: bool,
    class_names: Option<Vec<String>>,
    notes: Vec<String>,
    /// Rows left out, in order.
    skipped: Vec<usize>,
}

impl SnapshotFile {
    /// Opens `NAME.safetensors`, `NAME.npz`, a folder of .npy files, or the file `features.npy` of
    /// such a folder; with the feature `parquet` also `NAME.parquet`, a folder of .parquet files,
    /// or a pattern such as `part-*.parquet`, whose rows follow each other in the order of the
    /// names.
    ///
    /// Arrays: `features` `[N, d]` of f16, bf16, f32 or f64; either `targets` or `labels` (`[N, K]` of
    /// 0 and 1, or for each sample the number or the name of a class, or names with `;` between
    /// them), or `labels` (class indices, sample after sample) with `offsets` `[N + 1]`; optionally
    /// `num_classes`, `class_names`, `weight` `[K, d]` and `bias` `[K]`. Where there is no
    /// `features`, the one array with a usual name (`X`, `embeddings`, …) is taken, likewise for
    /// labels (`y`, …); [`notes`](Self::notes) say so, and which arrays were passed over.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read, [`Error::Format`] with one sentence when it is not
    /// such a file.
    pub fn open(path: &Path, non_finite: NonFinite) -> Result<Self> {
        let options = OpenOptions {
            non_finite,
            ..OpenOptions::default()
        };
        Self::open_with(path, &options)
    }

    /// As [`open`](Self::open), with a word on labels and on the names of arrays.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, options: &OpenOptions) -> Result<Self> {
        let members = load(path)?;
        if scipy::is_sparse(&members) {
            return Err(Error::Malformed(refused::sparse(path)).in_file(path));
        }
        let file = Self::from_members(members, options).map_err(Error::Malformed);
        let mut file = file.map_err(|error| error.in_file(path))?;
        file.path = Some(path.to_path_buf());
        file.without_skipped(options.non_finite)
    }

    /// As [`open_with`](Self::open_with), from the bytes of a file in memory.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::NotTensors`] with one sentence when the bytes are not such
    /// a file.
    pub fn from_bytes(format: Format, bytes: Vec<u8>, options: &OpenOptions) -> Result<Self> {
        let members = members_of(format, &Bytes::owned(bytes))?;
        let file = Self::from_members(members, options).map_err(Error::Malformed)?;
        file.without_skipped(options.non_finite)
    }

    fn from_members(members: Vec<Member>, options: &OpenOptions) -> Result<Self, String> {
        let labels = match options.labels {
            LabelsIn::Required | LabelsIn::Optional => LabelsHere::Read,
            LabelsIn::Elsewhere => LabelsHere::PassOver,
        };
        let choice = choose(members, &options.names, labels)?;
        Self::from_choice(choice, options.labels)
    }

    fn without_skipped(mut self, non_finite: NonFinite) -> Result<Self> {
        if non_finite == NonFinite::Skip {
            self.skipped = self.rows_not_finite()?;
            self.targets = self.of_kept_rows(self.targets.clone());
        }
        Ok(self)
    }

    /// The label sets of those rows that are not left out.
    fn of_kept_rows(&self, targets: Targets) -> Targets {
        if self.skipped.is_empty() {
            return targets;
        }
        let mut skipped = self.skipped.iter().copied().peekable();
        let kept = (0..self.num_rows).filter(|row| skipped.next_if_eq(row).is_none());
        targets.select(kept)
    }

    /// The same features with label sets from elsewhere, one for each row of the file.
    ///
    /// ```
    /// use tagwise_base::snapshot::{FeatureValues, Format, LabelsIn, OpenOptions};
    /// use tagwise_base::snapshot::{SampleStream, Snapshot, SnapshotFile};
    /// use tagwise_base::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [[1], [0]].map(LabelSet::new))?;
    /// let features = FeatureValues::F64(vec![1.0, 2.0]);
    /// let bytes = Snapshot::new(features, 1, targets, None)?.to_bytes(Format::Npz)?;
    /// let options = OpenOptions {
    ///     labels: LabelsIn::Elsewhere,
    ///     ..OpenOptions::default()
    /// };
    /// let file = SnapshotFile::from_bytes(Format::Npz, bytes, &options)?;
    /// let others = Targets::new(3, [[2], [1]].map(LabelSet::new))?;
    /// let file = file.with_targets(others, None)?;
    /// assert_eq!(file.targets().set(0).to_string(), "{2}");
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for another number of label sets than rows, of names than classes,
    /// or of classes than the classifier of the file has.
    pub fn with_targets(
        mut self,
        targets: Targets,
        class_names: Option<Vec<String>>,
    ) -> Result<Self> {
        let num_classes = targets.num_classes();
        let expected = [
            ("label sets", self.num_rows, targets.len()),
            (
                "names of classes",
                num_classes,
                class_names.as_ref().map_or(num_classes, Vec::len),
            ),
        ];
        for (what, expected, found) in expected {
            if expected != found {
                return Err(Error::SizeMismatch {
                    what,
                    expected,
                    found,
                });
            }
        }
        if let Some(classifier) = &self.classifier {
            classifier.check(num_classes, self.dim)?;
        }
        self.targets = self.of_kept_rows(targets);
        self.class_names = class_names;
        self.has_labels = true;
        Ok(self)
    }

    /// The classifier, if the file has one.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        self.classifier.as_ref()
    }

    /// Whether the file has labels; without them every sample has the empty set.
    pub fn has_labels(&self) -> bool {
        self.has_labels
    }

    /// What the K classes are called, where the file says so.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// What was decided about the arrays of the file, for the one who gave it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Number of samples, those left out not counted.
    pub fn num_samples(&self) -> usize {
        self.targets.len()
    }

    /// Rows of the file that were left out because of NaN or infinity.
    pub fn skipped(&self) -> &[usize] {
        &self.skipped
    }

    /// The row in the file of a sample.
    pub fn row_of(&self, sample: usize) -> usize {
        // The skipped rows before a sample move it down, which may pass further skipped rows.
        let mut row = sample;
        for &skipped in &self.skipped {
            if skipped > row {
                break;
            }
            row += 1;
        }
        row
    }

    /// Size of the features in bytes, as they lie in the file.
    pub fn feature_bytes(&self) -> usize {
        self.num_rows * self.dim * self.features.element().size()
    }

    /// Reads everything into memory.
    ///
    /// # Errors
    /// As [`SampleStream::for_each_block`].
    pub fn to_snapshot(&self) -> Result<Snapshot> {
        let mut values = match self.features.element() {
            Element::F64 => FeatureValues::F64(Vec::new()),
            _ => FeatureValues::F32(Vec::new()),
        };
        self.for_each_block(&mut |_, rows| {
            match (&mut values, rows) {
                (FeatureValues::F32(values), FeatureRows::F32(rows)) => values.extend(rows),
                (FeatureValues::F64(values), FeatureRows::F64(rows)) => values.extend(rows),
                _ => unreachable!("all blocks of a file have the same element"),
            }
            Ok(())
        })?;
        let classifier = self.classifier.clone();
        Snapshot::new(values, self.dim, self.targets.clone(), classifier)
    }

    fn from_choice(mut choice: Choice, labels: LabelsIn) -> Result<Self, String> {
        let features = choice.take_features()?;
        let (num_rows, dim) = features.shape()?;
        if !features.element().is_float() {
            return Err(format!(
                "expected `features` of f16, bf16, f32 or f64, found {}; convert it, in Python with X.astype(np.float32)",
                features.element().name()
            ));
        }
        // No rows are an empty shard, whose statistics merge as others do.
        if dim == 0 {
            return Err(format!(
                "expected at least one column of `features`, found shape [{num_rows}, {dim}]"
            ));
        }
        let labelled = choice.labelled()?;
        let has_labels = labelled.is_some();
        let (targets, class_names) = match (labelled, labels) {
            (Some(labelled), _) => (labelled.targets, labelled.class_names),
            (None, LabelsIn::Required) => return Err(NO_LABELS.into()),
            (None, LabelsIn::Optional | LabelsIn::Elsewhere) => {
                features.check_rows().map_err(Error::without_path)?;
                let num_classes = choice.stated_classes()?.unwrap_or(0);
                let targets = Targets::unlabelled(num_rows, num_classes);
                let class_names = choice.settled_names(num_classes)?.into_names();
                (targets.map_err(|error| error.to_string())?, class_names)
            }
        };
        if targets.len() != num_rows {
            return Err(format!(
                "expected one label set for each of the {num_rows} rows of `features`, found {}",
                targets.len()
            ));
        }
        let weight = choice.weight.as_ref().map(Stored::array);
        let bias = choice.bias.as_ref().map(Stored::array);
        let names = choice.settled_names(targets.num_classes())?;
        let classifier = classifier(weight, bias, &names, [targets.num_classes(), dim])?;
        Ok(Self {
            path: None,
            features,
            num_rows,
            dim,
            targets,
            classifier,
            has_labels,
            class_names,
            notes: choice.notes,
            skipped: Vec::new(),
        })
    }

    /// Every row of the file, those to be left out included.
    fn for_each_stored_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> Result<()>,
    ) -> Result<()> {
        match &self.features {
            Features::Array(array) => show_blocks(array, self.num_rows, self.dim, visit),
            Features::Column(column) => column.for_each_block(visit),
        }
    }
}

impl Features {
    fn element(&self) -> Element {
        match self {
            Self::Array(array) => array.element,
            Self::Column(column) => column.element(),
        }
    }

    /// Makes sure that there are as many rows as the shape says.
    fn check_rows(&self) -> Result<()> {
        match self {
            Self::Array(_) => Ok(()), // its bytes were counted
            Self::Column(column) => column.check_rows(),
        }
    }

    fn shape(&self) -> Result<(usize, usize), String> {
        match self {
            Self::Array(array) => array.array().matrix_shape("[N, d]"),
            Self::Column(column) => {
                let [num_rows, dim] = column.shape();
                Ok((num_rows, dim))
            }
        }
    }
}

/// The classifier, if there is a weight, `[K, d]`.
fn classifier(
    weight: Option<Array<'_>>,
    bias: Option<Array<'_>>,
    names: &ClassNames,
    [num_classes, dim]: [usize; 2],
) -> Result<Option<LinearClassifier>, String> {
    let Some(weight) = weight else {
        return match bias {
            Some(_) => Err("found `bias` without `weight`; give both or none".into()),
            None => Ok(None),
        };
    };
    if weight.matrix_shape("[K, d]")? != (num_classes, dim) {
        return Err(format!(
            "expected `weight` of shape [{num_classes}, {dim}], one row per class, found shape {:?}",
            weight.shape
        ));
    }
    let bias = match bias {
        Some(bias) if bias.shape == [num_classes] => bias.to_f64(),
        Some(bias) => {
            return Err(format!(
                "expected `bias` of shape [{num_classes}], found shape {:?}",
                bias.shape
            ));
        }
        None => vec![0.0; num_classes],
    };
    let [weight, bias] = [weight.to_f64(), bias].map(|rows| names.order_rows(rows));
    LinearClassifier::from_rows(&weight, &bias, dim)
        .map(Some)
        .map_err(|error| error.to_string())
}
