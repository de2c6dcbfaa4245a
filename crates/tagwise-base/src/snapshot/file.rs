//! Features in files, read block by block: they may be larger than memory.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::array::{Array, Stored};
use super::blocks::show_blocks;
use super::bytes::{Format, members_of};
use super::choice::{ArrayNames, Choice, Features, choose};
use super::labels::NO_LABELS;
use super::load::load;
use super::mapped::Bytes;
use super::member::Member;
use super::{FeatureRows, FeatureValues, LinearClassifier, SampleStream, Snapshot};
use super::{refused, scipy};
use crate::tensors::Element;
use crate::{Error, Result, Targets};

/// What happens to samples whose features hold NaN or infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// They are an error.
    #[default]
    Refuse,
    /// They are left out, and counted.
    Skip,
}

/// Whether a file must have labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelsIn {
    /// Without labels it is refused.
    #[default]
    Required,
    /// Without labels, as new samples are, each sample has the empty set, and
    /// [`SnapshotFile::has_labels`] says so.
    Optional,
}

/// How a file of features is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What happens to samples with NaN or infinity.
    pub non_finite: NonFinite,
    /// Whether the file must have labels.
    pub labels: LabelsIn,
    /// Which arrays are meant, where their names do not say it.
    pub names: ArrayNames,
}

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
        let choice = choose(members, &options.names)?;
        Self::from_choice(choice, options.labels)
    }

    fn without_skipped(mut self, non_finite: NonFinite) -> Result<Self> {
        if non_finite == NonFinite::Skip {
            self.skipped = self.rows_not_finite()?;
            if !self.skipped.is_empty() {
                let mut skipped = self.skipped.iter().copied().peekable();
                let kept = (0..self.num_rows).filter(|row| skipped.next_if_eq(row).is_none());
                self.targets = self.targets.select(kept);
            }
        }
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
                "expected `features` of f16, bf16, f32 or f64, found {}",
                features.element().name()
            ));
        }
        if num_rows == 0 || dim == 0 {
            return Err(format!(
                "expected at least one row and one column of `features`, found shape [{num_rows}, {dim}]"
            ));
        }
        let labelled = choice.labelled()?;
        let has_labels = labelled.is_some();
        let (targets, class_names) = match (labelled, labels) {
            (Some(labelled), _) => (labelled.targets, labelled.class_names),
            (None, LabelsIn::Required) => return Err(NO_LABELS.into()),
            (None, LabelsIn::Optional) => {
                let num_classes = choice.stated_classes()?.unwrap_or(0);
                let targets = Targets::unlabelled(num_rows, num_classes);
                (targets.map_err(|error| error.to_string())?, None)
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
        let classifier = classifier(weight, bias, targets.num_classes(), dim)?;
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

    /// Rows with NaN or infinity, in order.
    fn rows_not_finite(&self) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        self.for_each_stored_block(&mut |first, rows| {
            fn bad<T: Copy + Into<f64> + Sync>(rows: &[T], dim: usize) -> Vec<usize> {
                rows.par_chunks(dim)
                    .enumerate()
                    .filter(|(_, row)| row.iter().any(|&value| !value.into().is_finite()))
                    .map(|(row, _)| row)
                    .collect()
            }
            let rows = match rows {
                FeatureRows::F32(rows) => bad(rows, self.dim),
                FeatureRows::F64(rows) => bad(rows, self.dim),
            };
            found.extend(rows.into_iter().map(|row| first + row));
            Ok(())
        })?;
        Ok(found)
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

impl SampleStream for SnapshotFile {
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
        if self.skipped.is_empty() {
            return self
                .for_each_stored_block(visit)
                .map_err(|error| self.explain(error));
        }
        let mut shown = 0;
        self.for_each_stored_block(&mut |first, rows| {
            let keep = |row: usize| self.skipped.binary_search(&(first + row)).is_err();
            match rows {
                FeatureRows::F32(rows) => {
                    let kept = keep_rows(rows, self.dim, keep);
                    visit(shown, FeatureRows::F32(&kept))?;
                    shown += kept.len() / self.dim;
                }
                FeatureRows::F64(rows) => {
                    let kept = keep_rows(rows, self.dim, keep);
                    visit(shown, FeatureRows::F64(&kept))?;
                    shown += kept.len() / self.dim;
                }
            }
            Ok(())
        })
    }
}

fn keep_rows<T: Copy>(rows: &[T], dim: usize, keep: impl Fn(usize) -> bool) -> Vec<T> {
    rows.chunks_exact(dim)
        .enumerate()
        .filter(|&(row, _)| keep(row))
        .flat_map(|(_, values)| values.iter().copied())
        .collect()
}

impl SnapshotFile {
    /// Says how many rows are not finite and what can be done, once one was met.
    fn explain(&self, error: Error) -> Error {
        let Error::NotFinite { row, .. } = error else {
            return error;
        };
        let rows = match self.rows_not_finite() {
            Ok(rows) => rows,
            Err(error) => return error,
        };
        let error = Error::Malformed(format!(
            "expected finite features, found NaN or infinity in {} of {} rows, first in row {row}; mend them or leave them out (skip non-finite rows)",
            rows.len(),
            self.num_rows
        ));
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// The classifier, if there is a weight, `[K, d]`.
fn classifier(
    weight: Option<Array<'_>>,
    bias: Option<Array<'_>>,
    num_classes: usize,
    dim: usize,
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
    LinearClassifier::from_rows(&weight.to_f64(), &bias, dim)
        .map(Some)
        .map_err(|error| error.to_string())
}
