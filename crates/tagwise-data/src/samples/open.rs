//! From a path to features with labels, each as its file holds it.

use std::path::Path;

use tagwise::head::{self, Features};
use tagwise_base::snapshot::{
    self, FeatureRows, FeatureValues, LabelsIn, NonFinite, OpenOptions, SampleStream, Snapshot,
    SnapshotFile, SparseMatrix,
};
use tagwise_base::{LabelSet, Targets};

use super::Labels;
use crate::table::{self, Table, TableOptions, Unlabelled};
use crate::{Error, Result};

/// Tables become dense in memory up to so many numbers, 8 GiB.
const MAX_DENSE: usize = 1 << 31;

/// What an ending promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A table of any [`table::Kind`].
    Table,
    /// An archive of `scipy.sparse.save_npz`.
    Sparse,
    /// Arrays that a network left, in one file or several.
    Arrays,
}

/// Endings of files of arrays; those of PyTorch, MATLAB and HDF5 are among them, since the reader
/// knows what to do about them.
const ARRAY_ENDINGS: [&str; 15] = [
    "safetensors",
    "npz",
    "npy",
    "parquet",
    "pt",
    "pth",
    "pkl",
    "pickle",
    "bin",
    "ckpt",
    "joblib",
    "mat",
    "h5",
    "hdf5",
    "hdf",
];

impl FileKind {
    /// What the path promises, and for archives the names in them.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_one_of = |endings: &[&str]| {
            ending.is_some_and(|ending| endings.iter().any(|e| ending.eq_ignore_ascii_case(e)))
        };
        if table::Kind::of(path).is_some() {
            Ok(Self::Table)
        } else if is_one_of(&["npz"]) && path.is_file() && snapshot::is_sparse_file(path)? {
            Ok(Self::Sparse)
        } else if path.is_dir() || is_one_of(&ARRAY_ENDINGS) || path.to_string_lossy().contains('*')
        {
            Ok(Self::Arrays)
        } else {
            Err(Error::format(
                path,
                "expected a file that ends in .safetensors, .npz, .npy, .parquet, .arff, .csv, \
                 .tsv, .txt, .svm or .libsvm, or a folder of .npy files"
                    .into(),
            ))
        }
    }
}

/// Features as their file holds them.
#[derive(Debug)]
pub(super) enum Held {
    /// Mapped, or decoded when somebody looks.
    Arrays(Box<SnapshotFile>),
    Table(table::Features),
    Sparse(SparseMatrix),
}

/// A file of features with its labels, which may lie in another file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) held: Held,
    pub(super) targets: Targets,
    pub(super) label_names: Option<Vec<String>>,
    pub(super) unlabelled: Vec<usize>,
    pub(super) notes: Vec<String>,
}

impl Opened {
    pub(super) fn open(path: &Path, options: &TableOptions, non_finite: NonFinite) -> Result<Self> {
        let mut opened = match FileKind::of(path)? {
            FileKind::Table => Self::of_table(path, options),
            FileKind::Sparse => Self::of_matrix(path, options),
            FileKind::Arrays => Self::of_arrays(path, options, non_finite),
        }?;
        if let Some(file) = &options.label_file {
            opened = opened.with_labels(path, file, options)?;
        }
        // New samples without labels have as many classes as those that they belong to.
        if let (0, Some(num_classes)) = (opened.targets.num_classes(), options.num_classes) {
            opened.targets = Targets::unlabelled(opened.targets.len(), num_classes)?;
        }
        Ok(opened)
    }

    fn of_arrays(path: &Path, options: &TableOptions, non_finite: NonFinite) -> Result<Self> {
        let labels = match (&options.label_file, options.unlabelled) {
            (Some(_), _) => LabelsIn::Elsewhere,
            (None, Unlabelled::Refuse) => LabelsIn::Required,
            (None, Unlabelled::Keep) => LabelsIn::Optional,
        };
        let open = OpenOptions {
            non_finite,
            labels,
            names: options.arrays(),
        };
        let file = SnapshotFile::open_with(path, &open)?;
        Ok(Self {
            targets: file.targets().clone(),
            label_names: file.class_names().map(<[String]>::to_vec),
            unlabelled: match file.has_labels() {
                true => Vec::new(),
                false => (0..file.num_samples()).collect(),
            },
            notes: file.notes().to_vec(),
            held: Held::Arrays(Box::new(file)),
        })
    }

    fn of_table(path: &Path, options: &TableOptions) -> Result<Self> {
        let table = match &options.label_file {
            None => table::read(path, options)?,
            Some(_) => {
                let features = TableOptions {
                    unlabelled: Unlabelled::Keep,
                    class_names: None,
                    ..options.clone()
                };
                table::read(path, &features)?
            }
        };
        if table.features.num_features() == 0 {
            let message = "expected at least one column of features, found none";
            return Err(Error::format(path, message.into()));
        }
        let Table {
            features,
            targets,
            label_names,
            unlabelled,
            notes,
            ..
        } = table;
        Ok(Self {
            held: Held::Table(features),
            targets,
            label_names,
            unlabelled,
            notes,
        })
    }

    /// A sparse matrix of SciPy holds features alone.
    fn of_matrix(path: &Path, options: &TableOptions) -> Result<Self> {
        if options.unlabelled == Unlabelled::Refuse && options.label_file.is_none() {
            return Err(Error::format(
                path,
                "expected labels beside this sparse matrix of SciPy, found features alone; name the \
                 file of the labels (option label-file), which may be a second such matrix"
                    .into(),
            ));
        }
        let matrix = snapshot::read_sparse(path)?.ok_or_else(|| {
            Error::format(
                path,
                "expected a sparse matrix of SciPy, found arrays".into(),
            )
        })?;
        let num_rows = matrix.num_rows();
        Ok(Self {
            held: Held::Sparse(matrix),
            targets: Targets::new(0, (0..num_rows).map(|_| LabelSet::default()))?,
            label_names: None,
            unlabelled: (0..num_rows).collect(),
            notes: vec!["read as a sparse matrix of SciPy".into()],
        })
    }

    /// The same with the labels of another file.
    fn with_labels(self, path: &Path, file: &Path, options: &TableOptions) -> Result<Self> {
        let labels = Labels::read(file, options)?;
        let num_rows = self.held.num_rows();
        if labels.targets.len() != num_rows {
            return Err(Error::format(
                file,
                format!(
                    "expected labels for the {num_rows} rows of {}, found {}",
                    path.display(),
                    labels.targets.len()
                ),
            ));
        }
        let mut notes = self.notes;
        notes.extend(labels.notes.iter().map(|note| format!("labels: {note}")));
        let (held, targets) = match self.held {
            Held::Arrays(arrays) => {
                let arrays = arrays
                    .with_targets(labels.targets, labels.names.clone())
                    .map_err(|error| Error::within(path, error))?;
                let targets = arrays.targets().clone();
                (Held::Arrays(Box::new(arrays)), targets)
            }
            held => (held, labels.targets),
        };
        Ok(Self {
            held,
            targets,
            label_names: labels.names,
            unlabelled: Vec::new(),
            notes,
        })
    }
}

impl Held {
    /// Rows of the file, those left out counted.
    fn num_rows(&self) -> usize {
        match self {
            Self::Arrays(file) => file.num_samples() + file.skipped().len(),
            Self::Table(features) => features.num_rows(),
            Self::Sparse(matrix) => matrix.num_rows(),
        }
    }

    /// In memory and in f64, sparse where the file is.
    pub(super) fn into_features(self, path: &Path) -> Result<Features> {
        let features = match self {
            Self::Arrays(file) => return of_arrays(path, &file),
            Self::Table(table::Features::Dense {
                num_features,
                values,
            }) => Features::from_dense(values, num_features),
            Self::Table(table::Features::Sparse(rows)) => {
                let entries = |row: usize| {
                    let (columns, values) = rows.row(row);
                    columns.iter().copied().zip(values.iter().copied())
                };
                let entries = (0..rows.num_rows()).map(entries);
                head::SparseRows::new(rows.num_features, entries).map(Features::Sparse)
            }
            Self::Sparse(matrix) => {
                let entries = |row: usize| {
                    let (columns, values) = matrix.row(row);
                    let entries = columns.iter().copied().zip(values.iter().copied());
                    entries.filter(|&(_, value)| value != 0.0)
                };
                let entries = (0..matrix.num_rows()).map(entries);
                head::SparseRows::new(matrix.num_columns, entries).map(Features::Sparse)
            }
        };
        features.map_err(|error| Error::within(path, error))
    }

    /// In memory with every zero, in the precision that the numbers need.
    pub(super) fn into_snapshot(self, path: &Path, targets: Targets) -> Result<Snapshot> {
        let (num_rows, dim) = match &self {
            Self::Arrays(file) => return Ok(file.to_snapshot()?),
            Self::Table(features) => (features.num_rows(), features.num_features()),
            Self::Sparse(matrix) => (matrix.num_rows(), matrix.num_columns),
        };
        if num_rows.saturating_mul(dim) > MAX_DENSE {
            return Err(Error::format(
                path,
                format!(
                    "expected at most {MAX_DENSE} numbers, found {num_rows} rows of {dim} features; choose fewer features"
                ),
            ));
        }
        let values = match &self {
            Self::Sparse(matrix) => dense(matrix),
            Self::Table(features) => narrowed(features.to_dense()),
            Self::Arrays(_) => FeatureValues::F32(Vec::new()), // returned above
        };
        Snapshot::new(values, dim, targets, None).map_err(|error| Error::within(path, error))
    }
}

fn of_arrays(path: &Path, file: &SnapshotFile) -> Result<Features> {
    let mut numbers = Vec::with_capacity(file.num_samples() * file.dim());
    file.for_each_block(&mut |_, rows| {
        match rows {
            FeatureRows::F32(rows) => numbers.extend(rows.iter().map(|&value| f64::from(value))),
            FeatureRows::F64(rows) => numbers.extend_from_slice(rows),
        }
        Ok(())
    })?;
    Features::from_dense(numbers, file.dim()).map_err(|error| Error::within(path, error))
}

/// The same numbers, in f32 where that loses nothing.
fn narrowed(values: Vec<f64>) -> FeatureValues {
    match values.iter().all(is_single) {
        true => FeatureValues::F32(values.into_iter().map(|value| value as f32).collect()),
        false => FeatureValues::F64(values),
    }
}

fn is_single(value: &f64) -> bool {
    f64::from(*value as f32) == *value || value.is_nan()
}

/// Every number of a sparse matrix, in f32 where that loses nothing.
fn dense(matrix: &SparseMatrix) -> FeatureValues {
    fn filled<T: Copy + Default>(matrix: &SparseMatrix, narrow: impl Fn(f64) -> T) -> Vec<T> {
        let mut dense = vec![T::default(); matrix.num_rows() * matrix.num_columns];
        for (row, out) in dense
            .chunks_exact_mut(matrix.num_columns.max(1))
            .enumerate()
        {
            let (columns, values) = matrix.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                out[column as usize] = narrow(value);
            }
        }
        dense
    }
    match matrix.values.iter().all(is_single) {
        true => FeatureValues::F32(filled(matrix, |value| value as f32)),
        false => FeatureValues::F64(filled(matrix, |value| value)),
    }
}
