//! Features with label sets, whatever kind of file they lie in.
//!
//! One reader for dumps of a network (safetensors, npz, a folder of npy files, Parquet) and for
//! multi-label tables (ARFF, the Extreme Classification Repository's text, LIBSVM).
//!
//! ```
//! use tagwise_data::samples::Samples;
//! use tagwise_data::table::TableOptions;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("three.svm");
//! std::fs::write(&path, "0,1 1:0.5 3:2\n2 2:1\n1 1:1\n")?;
//! let samples = Samples::read(&path, &TableOptions::default())?;
//! assert_eq!((samples.features.num_samples(), samples.features.dim()), (3, 3));
//! assert_eq!(samples.targets.set(0).to_string(), "{0, 1}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod stream;

use std::path::{Path, PathBuf};

use tagwise::head::{Features, SparseRows};
use tagwise::ufm::LabelCounts;
use tagwise_base::snapshot::{
    self, FeatureValues, LabelsIn, OpenOptions, SnapshotFile, SparseMatrix,
};
use tagwise_base::{LabelSet, LinearClassifier, Targets};

pub use self::stream::SampleFile;
use crate::table::{self, Table, TableOptions, Unlabelled};
use crate::{Error, Result};

/// Numbers of classes and features, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Number of classes K.
    pub num_classes: Option<usize>,
    /// Number of features d.
    pub dim: Option<usize>,
}

/// What a file of samples holds.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `[N, d]` in f64, sparse where the file is.
    pub features: Features,
    /// The label set of each sample.
    pub targets: Targets,
    /// What the K classes are called, where the file says so.
    pub label_names: Option<Vec<String>>,
    /// The last layer of the network that made the features, where the file has it.
    pub classifier: Option<LinearClassifier>,
    /// Samples whose labels are unknown, at least in part, in order; empty unless
    /// [`Unlabelled::Keep`] was asked for.
    pub unlabelled: Vec<usize>,
    /// What the reader decided or passed over, each a sentence for the one who gave the file.
    pub notes: Vec<String>,
}

impl Samples {
    /// Reads samples from .safetensors, .npz, a folder of .npy files, .parquet or a table of any
    /// [`table::Kind`], to which `options` belong; the ending says which.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Within`] or [`Error::Mathematics`], each with the path, when the
    /// file is not what its ending says or holds NaN or infinity; [`Error::Io`] when it cannot be
    /// read.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        let is_table = table::Kind::of(path).is_some() || options.label_file.is_some();
        let mut samples = if is_table || is_sparse_file(path)? {
            Self::of_table(path, with_label_file(path, options)?)?
        } else if is_snapshot(path) || path.to_string_lossy().contains('*') {
            Self::of_snapshot(path, options)?
        } else {
            return Err(Error::format(path, UNKNOWN_KIND.into()));
        };
        // New samples without labels have as many classes as those that they belong to.
        if let (0, Some(num_classes)) = (samples.targets.num_classes(), options.num_classes) {
            let sets = samples.targets.iter().map(|_| LabelSet::default());
            samples.targets = Targets::new(num_classes, sets)?;
        }
        Ok(samples)
    }

    fn of_snapshot(path: &Path, options: &TableOptions) -> Result<Self> {
        let open = OpenOptions {
            labels: match options.unlabelled {
                Unlabelled::Refuse => LabelsIn::Required,
                Unlabelled::Keep => LabelsIn::Optional,
            },
            names: options.arrays.clone(),
            ..OpenOptions::default()
        };
        let file = SnapshotFile::open_with(path, &open)?;
        let snapshot = file.to_snapshot()?;
        let features = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        let own_names = file.class_names().map(<[String]>::to_vec);
        let num_samples = snapshot.num_samples();
        Ok(Self {
            features: Features::from_dense(features, snapshot.dim())
                .map_err(|error| Error::within(path, error))?,
            targets: snapshot.targets().clone(),
            label_names: check_class_names(path, options, snapshot.targets(), own_names)?,
            classifier: snapshot.classifier().cloned(),
            unlabelled: match file.has_labels() {
                true => Vec::new(),
                false => (0..num_samples).collect(),
            },
            notes: file.notes().to_vec(),
        })
    }

    fn of_table(path: &Path, table: Table) -> Result<Self> {
        expect_features(path, &table)?;
        let features = match table.features {
            table::Features::Dense {
                num_features,
                values,
            } => {
                let values = values.into_iter().map(f64::from).collect();
                Features::from_dense(values, num_features)
            }
            table::Features::Sparse(rows) => {
                let entries = |row: usize| {
                    let (columns, values) = rows.row(row);
                    let values = values.iter().map(|&value| f64::from(value));
                    columns.iter().copied().zip(values)
                };
                let entries = (0..rows.num_rows()).map(entries);
                SparseRows::new(rows.num_features, entries).map(Features::Sparse)
            }
        };
        Ok(Self {
            features: features.map_err(|error| Error::within(path, error))?,
            targets: table.targets,
            label_names: table.label_names,
            classifier: None,
            unlabelled: table.unlabelled,
            notes: table.notes,
        })
    }

    /// What other files that belong to these samples must have.
    pub fn size(&self) -> Sizes {
        Sizes {
            num_classes: Some(self.targets.num_classes()),
            dim: Some(self.features.dim()),
        }
    }

    /// Whether these samples, read from `path`, have the sizes that `like` has set, for example
    /// "the training samples in train.npz".
    ///
    /// # Errors
    /// [`Error::Unlike`].
    pub fn check(&self, path: &Path, expected: Sizes, like: &str) -> Result<()> {
        let found = self.size();
        let pairs = [
            ("features", expected.dim, found.dim),
            ("classes", expected.num_classes, found.num_classes),
        ];
        for (what, expected, found) in pairs {
            if let (Some(expected), Some(found)) = (expected, found)
                && expected != found
            {
                return Err(Error::Unlike {
                    what,
                    expected,
                    like: like.into(),
                    found,
                    path: path.to_path_buf(),
                });
            }
        }
        Ok(())
    }

    /// These samples, in this order.
    ///
    /// # Panics
    /// When a row is not below the number of samples.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(rows),
            targets: self.targets.select(rows.iter().copied()),
            label_names: self.label_names.clone(),
            classifier: self.classifier.clone(),
            unlabelled: (0..)
                .zip(rows)
                .filter(|(_, row)| self.unlabelled.binary_search(row).is_ok())
                .map(|(sample, _)| sample)
                .collect(),
            notes: self.notes.clone(),
        }
    }
}

/// The label sets of a file and, where it has them, what the classes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The label set of each row.
    pub targets: Targets,
    /// What the K classes are called, where they are more than numbers.
    pub names: Option<Vec<String>>,
    /// What the reader decided or passed over.
    pub notes: Vec<String>,
}

impl Labels {
    /// Reads only the label sets of a file that [`Samples::read`] reads, or a lone .npy file of
    /// shape `[N, K]` with entries 0 and 1.
    ///
    /// # Errors
    /// As [`Samples::read`].
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        if table::Kind::of(path).is_some() {
            let table = table::read(path, options)?;
            return Ok(Self {
                targets: table.targets,
                names: table.label_names,
                notes: table.notes,
            });
        }
        if !is_snapshot(path) {
            return Err(Error::format(path, UNKNOWN_KIND.into()));
        }
        let labels = snapshot::read_labels(path, &options.arrays)?;
        Ok(Self {
            names: check_class_names(path, options, &labels.targets, labels.class_names)?,
            targets: labels.targets,
            notes: labels.notes,
        })
    }
}

/// What is said of an ending that says nothing.
const UNKNOWN_KIND: &str = "expected a file that ends in .safetensors, .npz, .npy, .parquet, \
     .arff, .csv, .tsv, .txt, .svm or .libsvm, or a folder of .npy files";

/// Refuses a table of labels alone.
fn expect_features(path: &Path, table: &Table) -> Result<()> {
    match table.features.num_features() {
        0 => Err(Error::format(
            path,
            "expected at least one column of features, found none".into(),
        )),
        _ => Ok(()),
    }
}

/// The names that the options give, if there is one for each class, or else the file's own.
fn check_class_names(
    path: &Path,
    options: &TableOptions,
    targets: &Targets,
    own_names: Option<Vec<String>>,
) -> Result<Option<Vec<String>>> {
    let num_classes = targets.num_classes();
    match &options.class_names {
        Some(names) if num_classes > 0 && names.len() != num_classes => Err(Error::format(
            path,
            format!(
                "expected a name for each of the {num_classes} classes, found {}",
                names.len()
            ),
        )),
        Some(names) if num_classes > 0 => Ok(Some(names.clone())),
        _ => Ok(own_names),
    }
}

/// Whether this is an archive of `scipy.sparse.save_npz`.
fn is_sparse_file(path: &Path) -> Result<bool> {
    let is_archive = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    Ok(is_archive && path.is_file() && snapshot::is_sparse_file(path)?)
}

/// A table whose labels lie in the table itself or in a file of their own.
fn with_label_file(path: &Path, options: &TableOptions) -> Result<Table> {
    let Some(label_file) = &options.label_file else {
        return features_of(path, options);
    };
    let features = TableOptions {
        unlabelled: Unlabelled::Keep,
        class_names: None,
        ..options.clone()
    };
    let mut table = features_of(path, &features)?;
    let labels = Labels::read(label_file, options)?;
    if labels.targets.len() != table.features.num_rows() {
        return Err(Error::format(
            label_file,
            format!(
                "expected labels for the {} rows of {}, found {}",
                table.features.num_rows(),
                path.display(),
                labels.targets.len()
            ),
        ));
    }
    table.targets = labels.targets;
    table.label_names = labels.names;
    table.unlabelled = Vec::new();
    let of_file = |note: &String| format!("labels: {note}");
    table.notes.extend(labels.notes.iter().map(of_file));
    Ok(table)
}

/// The features of a file as a table, with its own labels if it has any.
fn features_of(path: &Path, options: &TableOptions) -> Result<Table> {
    if table::Kind::of(path).is_some() {
        return table::read(path, options);
    }
    if let Some(matrix) = is_sparse_file(path)?
        .then(|| snapshot::read_sparse(path))
        .transpose()?
        .flatten()
    {
        return sparse_table(path, &matrix, options);
    }
    let open = OpenOptions {
        labels: LabelsIn::Optional,
        names: options.arrays.clone(),
        ..OpenOptions::default()
    };
    let file = SnapshotFile::open_with(path, &open)?;
    let snapshot = file.to_snapshot()?;
    let values = match snapshot.features() {
        FeatureValues::F32(values) => values.clone(),
        FeatureValues::F64(values) => values.iter().map(|&value| value as f32).collect(),
    };
    Ok(Table {
        features: table::Features::Dense {
            num_features: snapshot.dim(),
            values,
        },
        feature_names: None,
        targets: snapshot.targets().clone(),
        unlabelled: Vec::new(),
        label_names: file.class_names().map(<[String]>::to_vec),
        notes: file.notes().to_vec(),
    })
}

/// A sparse matrix of SciPy holds features alone.
fn sparse_table(path: &Path, matrix: &SparseMatrix, options: &TableOptions) -> Result<Table> {
    if options.unlabelled == Unlabelled::Refuse {
        return Err(Error::format(
            path,
            "expected labels beside this sparse matrix of SciPy, found features alone; name the \
             file of the labels, which may be a second such matrix"
                .into(),
        ));
    }
    let num_rows = matrix.num_rows();
    let mut rows = table::SparseRows::new(matrix.num_columns);
    let mut row = Vec::new();
    for number in 0..num_rows {
        let (columns, values) = matrix.row(number);
        row.clear();
        row.extend(
            columns
                .iter()
                .zip(values)
                .map(|(&c, &value)| (c, value as f32)),
        );
        if let Some((column, _)) = row.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::format(
                path,
                format!(
                    "expected finite features, found NaN or infinity in row {number}, column {column}"
                ),
            ));
        }
        rows.push(&row);
    }
    let sets = (0..num_rows).map(|_| LabelSet::default());
    Ok(Table {
        features: table::Features::Sparse(rows),
        feature_names: None,
        targets: Targets::new(0, sets)?,
        unlabelled: (0..num_rows).collect(),
        label_names: None,
        notes: vec!["read as a sparse matrix of SciPy".into()],
    })
}

/// Whether the path promises arrays that a network left; files of PyTorch, MATLAB and HDF5 are among
/// them, since the reader knows what to do about them.
fn is_snapshot(path: &Path) -> bool {
    let endings = [
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
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_known = |ending: &str| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    };
    path.is_dir() || ending.is_some_and(is_known)
}

/// How often label sets occur, and what the K classes are called.
#[derive(Clone, Debug)]
pub struct CountedLabels {
    /// The label sets with their numbers of samples.
    pub counts: LabelCounts,
    /// Names of the classes, their numbers where the files have none.
    pub class_names: Vec<String>,
    /// What the reader decided or passed over, with the file in front.
    pub notes: Vec<String>,
}

impl CountedLabels {
    /// Counts the label sets of files that together are one data set.
    ///
    /// # Errors
    /// As [`Labels::read`]; [`Error::Format`] for a file with another number of classes than the
    /// first; [`Error::Within`] when [`LabelCounts::of_sets`] refuses what they hold together.
    pub fn read(paths: &[PathBuf], options: &TableOptions) -> Result<Self> {
        let mut class_names: Option<Vec<String>> = None;
        let mut sets: Vec<(LabelSet, f64)> = Vec::new();
        let mut notes = Vec::new();
        for path in paths {
            let labels = Labels::read(path, options)?;
            let of_file = |note: &String| format!("{}: {note}", path.display());
            notes.extend(labels.notes.iter().map(of_file));
            let (targets, names) = (labels.targets, labels.names);
            let num_classes = targets.num_classes();
            let known = class_names
                .get_or_insert_with(|| names.unwrap_or_else(|| numbered_names(num_classes)));
            if num_classes != known.len() {
                let expected = known.len();
                return Err(Error::format(
                    path,
                    format!(
                        "expected {expected} classes as in the files before, found {num_classes}"
                    ),
                ));
            }
            let counts = targets.counts();
            let distinct = targets.distinct().iter().cloned();
            sets.extend(distinct.zip(counts.iter().map(|&count| count as f64)));
        }
        let class_names = class_names.unwrap_or_default();
        let counts = LabelCounts::of_sets(class_names.len(), sets).map_err(|source| {
            let files: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            Error::Within {
                place: format!("the labels of {}", files.join(" and ")),
                source,
            }
        })?;
        Ok(Self {
            counts,
            class_names,
            notes,
        })
    }
}

/// Classes that are called by their numbers.
pub fn numbered_names(num_classes: usize) -> Vec<String> {
    (0..num_classes).map(|class| class.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "@relation 'two: -C 2'\n@attribute sky {0,1}\n@attribute sea {0,1}\n\
                         @attribute blue numeric\n@data\n1,0,0.5\n1,1,0.25\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_ending_decides_how_a_table_is_read_and_named() {
        let folder = folder(&[
            ("a.arff", TABLE),
            ("b.txt", "2 3 2\n0 1:1.5\n0,1 2:1\n"),
            ("c.svm", "0 2:1.5\n0,1 3:1\n"),
        ]);
        let read = |name: &str, options: &TableOptions| {
            Samples::read(&folder.path().join(name), options).unwrap()
        };
        let arff = read("a.arff", &TableOptions::default());
        assert_eq!(arff.label_names.as_deref().unwrap(), ["sky", "sea"]);
        assert_eq!(arff.features.to_dense(), [0.5, 0.25]);
        let xmc = read("b.txt", &TableOptions::default());
        assert_eq!(xmc.label_names, None);
        assert_eq!(xmc.features.to_dense(), [0.0, 1.5, 0.0, 0.0, 0.0, 1.0]);
        let options = TableOptions {
            num_classes: Some(5),
            ..TableOptions::default()
        };
        let svm = read("c.svm", &options);
        assert_eq!(svm.size().num_classes, Some(5));
        assert_eq!(svm.features.to_dense(), xmc.features.to_dense());
        let second = svm.select(&[1]);
        assert_eq!(second.targets.set(0), &LabelSet::new([0, 1]));
    }

    #[test]
    fn samples_of_other_sizes_are_refused_with_both_files() {
        let folder = folder(&[("a.arff", TABLE)]);
        let path = folder.path().join("a.arff");
        let samples = Samples::read(&path, &TableOptions::default()).unwrap();
        let expected = |num_classes, dim| Sizes {
            num_classes: Some(num_classes),
            dim: Some(dim),
        };
        samples.check(&path, expected(2, 1), "t.npz").unwrap();
        let refusal = |sizes| {
            let error = samples.check(Path::new("a.arff"), sizes, "t.npz");
            error.unwrap_err().to_string()
        };
        insta::assert_snapshot!(refusal(expected(2, 4)), @"expected 4 features like t.npz, found 1 in a.arff");
        insta::assert_snapshot!(refusal(expected(3, 1)), @"expected 3 classes like t.npz, found 2 in a.arff");
    }

    #[test]
    fn labels_of_several_files_are_counted_together() {
        let folder = folder(&[
            ("a.arff", TABLE),
            ("b.svm", "0 1:1\n1 1:1\n"),
            ("c.svm", "2 1:1\n"),
        ]);
        let paths = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| folder.path().join(name)).collect()
        };
        let read = |names: &[&str]| CountedLabels::read(&paths(names), &TableOptions::default());
        let labels = read(&["a.arff", "b.svm"]).unwrap();
        assert_eq!(labels.class_names, ["sky", "sea"]);
        assert_eq!(labels.counts.num_samples(), 4.0);
        let refusal = |names: &[&str]| {
            let place = format!("{}/", folder.path().display());
            read(names).unwrap_err().to_string().replace(&place, "")
        };
        insta::assert_snapshot!(refusal(&["a.arff", "c.svm"]), @"c.svm: expected 2 classes as in the files before, found 3");
        insta::assert_snapshot!(refusal(&["a.xyz"]), @"a.xyz: expected a file that ends in .safetensors, .npz, .npy, .parquet, .arff, .csv, .tsv, .txt, .svm or .libsvm, or a folder of .npy files");
        insta::assert_snapshot!(refusal(&[]), @"the labels of : expected the number of classes to be at least 2 (with one class every softmax is 1), found 0");
    }

    #[test]
    fn labels_may_lie_in_a_file_of_their_own_or_be_missing() {
        let folder = folder(&[
            ("x.csv", "u,v\n1,2\n3,4\n"),
            ("y.csv", "tags,z\nb;a,0\n,1\n"),
            ("short.csv", "tags,z\nb,0\n"),
            (
                "new.arff",
                "@relation new\n@attribute blue numeric\n@data\n7\n8\n",
            ),
            (
                "q.arff",
                "@relation 'q: -C 2'\n@attribute sky {0,1}\n@attribute sea {0,1}\n@attribute blue numeric\n@data\n?,?,7\n1,0,8\n",
            ),
        ]);
        let path = |name: &str| folder.path().join(name);
        let beside = |name: &str| TableOptions {
            label_file: Some(path(name)),
            ..TableOptions::default()
        };
        let samples = Samples::read(&path("x.csv"), &beside("y.csv")).unwrap();
        assert_eq!(samples.features.to_dense(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(samples.label_names.as_deref().unwrap(), ["a", "b"]);
        assert_eq!(samples.targets.set(0), &LabelSet::new([0, 1]));
        let place = format!("{}/", folder.path().display());
        let plain = |error: Error| error.to_string().replace(&place, "");
        let error = Samples::read(&path("x.csv"), &beside("short.csv")).unwrap_err();
        insta::assert_snapshot!(plain(error), @"short.csv: expected labels for the 2 rows of x.csv, found 1");

        let new = TableOptions {
            unlabelled: Unlabelled::Keep,
            num_classes: Some(2),
            ..TableOptions::default()
        };
        for name in ["x.csv", "new.arff"] {
            let samples = Samples::read(&path(name), &new).unwrap();
            assert_eq!(samples.unlabelled, [0, 1], "{name}");
            assert_eq!(samples.size().num_classes, Some(2), "{name}");
            assert!(Samples::read(&path(name), &TableOptions::default()).is_err());
        }
        let samples = Samples::read(&path("q.arff"), &new).unwrap();
        assert_eq!(samples.unlabelled, [0]);
        assert_eq!(samples.select(&[1, 0]).unlabelled, [1]);
    }

    /// Arrays and matrices that NumPy and SciPy wrote (tests/golden/names.py of the base crate).
    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/names")
            .join(name)
    }

    #[test]
    fn sparse_matrices_of_scipy_are_features_with_their_labels_beside() {
        let labels = TableOptions {
            label_columns: vec!["tags".into()],
            ..TableOptions::default()
        };
        let error = Samples::read(&golden("csr.npz"), &labels)
            .unwrap_err()
            .to_string();
        assert!(error.contains("name the file of the labels"), "{error}");
        let folder = folder(&[("y.csv", "tags,z\nb,0\n,1\na,0\na;b,0\n")]);
        let options = TableOptions {
            label_file: Some(folder.path().join("y.csv")),
            ..TableOptions::default()
        };
        let samples = Samples::read(&golden("csr.npz"), &options).unwrap();
        let dense = [
            [0.0, 1.5, 0.0, 2.0],
            [0.0; 4],
            [-3.0, 0.0, 0.0, 0.25],
            [0.0, 0.0, 1.0, 0.0],
        ];
        assert_eq!(samples.features.to_dense(), dense.concat());
        let sets: Vec<String> = samples.targets.iter().map(ToString::to_string).collect();
        assert_eq!(sets, ["{1}", "{}", "{0}", "{0, 1}"]);
        // The labels may be such a matrix themselves, or an array.
        let beside = |features: &str, labels: &str| {
            let options = TableOptions {
                label_file: Some(golden(labels)),
                ..TableOptions::default()
            };
            Samples::read(&golden(features), &options).unwrap().targets
        };
        let targets = beside("unlabelled.npz", "targets.npz");
        assert_eq!(targets, beside("unlabelled.npz", "x_y.npz"));
        let y = golden("folder").join("y.npy");
        assert_eq!(
            Labels::read(&y, &TableOptions::default())
                .unwrap()
                .targets
                .num_classes(),
            3
        );
    }

    #[test]
    fn every_kind_streams_the_same_samples() {
        use tagwise_base::snapshot::{FeatureRows, NonFinite, SampleStream};
        let folder = folder(&[(
            "x.csv",
            "u,v,tags\n-1,-0.75,c\n-0.5,-0.25,a\n0,0.25,b\n0.5,0.75,b\n1,1.25,a\n1.5,1.75,c\n",
        )]);
        let mut found = Vec::new();
        for path in [
            folder.path().join("x.csv"),
            golden("embeddings_labels.npz"),
            golden("folder"),
        ] {
            let options = TableOptions {
                label_columns: vec!["tags".into()],
                class_names: Some(["a", "b", "c"].map(String::from).to_vec()),
                ..TableOptions::default()
            };
            let file = SampleFile::open(&path, &options, NonFinite::Refuse).unwrap();
            assert_eq!(file.class_names().unwrap(), ["a", "b", "c"]);
            let mut values = Vec::new();
            file.for_each_block(&mut |_, rows| {
                match rows {
                    FeatureRows::F32(rows) => values.extend_from_slice(rows),
                    FeatureRows::F64(_) => unreachable!("single precision"),
                }
                Ok(())
            })
            .unwrap();
            found.push((values, file.targets().clone()));
        }
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0], found[2]);
    }
}
