//! Features with label sets, whatever kind of file they lie in.
//!
//! One reader for dumps of a network (safetensors, npz, a folder of npy files, Parquet) and for
//! multi-label tables (ARFF, the Extreme Classification Repository's text, LIBSVM).
//!
//! ```
//! use tagwise_data::samples::{ReadOptions, Samples};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("three.svm");
//! std::fs::write(&path, "0,1 1:0.5 3:2\n2 2:1\n1 1:1\n")?;
//! let samples = Samples::read(&path, &ReadOptions::default())?;
//! assert_eq!((samples.features.num_samples(), samples.features.dim()), (3, 3));
//! assert_eq!(samples.targets.set(0).to_string(), "{0, 1}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::{Path, PathBuf};

use tagwise::head::{Features, SparseRows};
use tagwise::ufm::LabelCounts;
use tagwise_base::snapshot::{self, FeatureValues, NonFinite, SnapshotFile};
use tagwise_base::{LabelSet, LinearClassifier, Targets};

use crate::table::{self, Table, arff, text};
use crate::{Error, Result};

/// What a table does not say about itself; other kinds of files need none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Mulan's XML list of the label attributes of an ARFF file; without it the file must say
    /// `-C n` in the name of its relation, as MEKA's do.
    pub label_list: Option<PathBuf>,
    /// Attributes of an ARFF file that are neither features nor labels.
    pub left_out: Vec<String>,
    /// What a LIBSVM file does not say: by default the largest numbers that occur decide.
    pub sizes: Sizes,
}

/// Numbers of classes and features, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Number of classes K.
    pub num_classes: Option<usize>,
    /// Number of features d.
    pub dim: Option<usize>,
}

impl Sizes {
    /// These sizes, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            num_classes: self.num_classes.or(other.num_classes),
            dim: self.dim.or(other.dim),
        }
    }
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
}

impl Samples {
    /// Reads samples from .safetensors, .npz, a folder of .npy files, .parquet, .arff, .txt of the
    /// Extreme Classification Repository, .svm or .libsvm; the ending says which.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Within`] or [`Error::Mathematics`], each with the path, when the
    /// file is not what its ending says or holds NaN or infinity; [`Error::Io`] when it cannot be
    /// read.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        match Kind::of(path) {
            Some(Kind::Snapshot) => Self::of_snapshot(path),
            Some(Kind::Npy) if !path.is_dir() => Self::of_snapshot(path),
            Some(Kind::Table(kind)) => {
                let table = kind.read(path, options)?;
                Self::of_table(path, table, kind.has_label_names())
            }
            _ if path.is_dir() || path.to_string_lossy().contains('*') => Self::of_snapshot(path),
            _ => Err(Error::format(
                path,
                "expected a file that ends in .safetensors, .npz, .parquet, .arff, .txt, .svm or \
                 .libsvm, or a folder of .npy files"
                    .into(),
            )),
        }
    }

    fn of_snapshot(path: &Path) -> Result<Self> {
        let snapshot = SnapshotFile::open(path, NonFinite::Refuse)?.to_snapshot()?;
        let features = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        Ok(Self {
            features: Features::from_dense(features, snapshot.dim())
                .map_err(|error| Error::within(path, error))?,
            targets: snapshot.targets().clone(),
            label_names: None,
            classifier: snapshot.classifier().cloned(),
        })
    }

    fn of_table(path: &Path, table: Table, has_label_names: bool) -> Result<Self> {
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
            label_names: has_label_names.then_some(table.label_names),
            classifier: None,
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
        }
    }
}

/// The label sets of a file and, where it has them, what the classes are called.
///
/// Tables of numbered labels name their classes by these numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The label set of each row.
    pub targets: Targets,
    /// What the K classes are called.
    pub names: Option<Vec<String>>,
}

impl Labels {
    /// Reads only the label sets of a file that [`Samples::read`] reads, or a lone .npy file of
    /// shape `[N, K]` with entries 0 and 1.
    ///
    /// # Errors
    /// As [`Samples::read`].
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        match Kind::of(path) {
            Some(Kind::Table(kind)) => {
                let table = kind.read(path, options)?;
                Ok(Self {
                    targets: table.targets,
                    names: Some(table.label_names),
                })
            }
            None if !path.is_dir() => Err(Error::format(
                path,
                "expected a file that ends in .npy, .npz, .safetensors, .arff, .txt, .svm or \
                 .libsvm, or a folder of .npy files"
                    .into(),
            )),
            _ => Ok(Self {
                targets: snapshot::read_targets(path)?,
                names: None,
            }),
        }
    }
}

/// How often label sets occur, and what the K classes are called.
#[derive(Clone, Debug)]
pub struct CountedLabels {
    /// The label sets with their numbers of samples.
    pub counts: LabelCounts,
    /// Names of the classes, their numbers where the files have none.
    pub class_names: Vec<String>,
}

impl CountedLabels {
    /// Counts the label sets of files that together are one data set.
    ///
    /// # Errors
    /// As [`Labels::read`]; [`Error::Format`] for a file with another number of classes than the
    /// first; [`Error::Within`] when [`LabelCounts::of_sets`] refuses what they hold together.
    pub fn read(paths: &[PathBuf], options: &ReadOptions) -> Result<Self> {
        let mut class_names: Option<Vec<String>> = None;
        let mut sets: Vec<(LabelSet, f64)> = Vec::new();
        for path in paths {
            let Labels { targets, names } = Labels::read(path, options)?;
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
        })
    }
}

/// Classes that are called by their numbers.
pub fn numbered_names(num_classes: usize) -> Vec<String> {
    (0..num_classes).map(|class| class.to_string()).collect()
}

/// What the ending of a path promises.
enum Kind {
    /// Arrays that a network left.
    Snapshot,
    /// One array, or the folder that holds it.
    Npy,
    /// A multi-label table.
    Table(TableKind),
}

#[derive(Clone, Copy)]
enum TableKind {
    Arff,
    Xmc,
    Libsvm,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "arff" => Some(Self::Table(TableKind::Arff)),
            "txt" => Some(Self::Table(TableKind::Xmc)),
            "svm" | "libsvm" => Some(Self::Table(TableKind::Libsvm)),
            "npy" => Some(Self::Npy),
            // The snapshot reader knows what to do about PyTorch's own files.
            "safetensors" | "npz" | "parquet" | "pt" | "pth" | "pkl" | "pickle" | "bin" => {
                Some(Self::Snapshot)
            }
            _ => None,
        }
    }
}

impl TableKind {
    fn read(self, path: &Path, options: &ReadOptions) -> Result<Table> {
        match self {
            Self::Arff => {
                let labels = match &options.label_list {
                    Some(xml) => arff::Labels::MulanXml(xml),
                    None => arff::Labels::Meka,
                };
                let left_out: Vec<&str> = options.left_out.iter().map(String::as_str).collect();
                arff::read(path, labels, &left_out)
            }
            Self::Xmc => text::read_xmc(path),
            Self::Libsvm => {
                let size = text::Size {
                    num_features: options.sizes.dim,
                    num_classes: options.sizes.num_classes,
                };
                text::read_libsvm(path, size)
            }
        }
    }

    /// Whether the names of its labels are more than their numbers.
    fn has_label_names(self) -> bool {
        matches!(self, Self::Arff)
    }
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
        let read = |name: &str, options: &ReadOptions| {
            Samples::read(&folder.path().join(name), options).unwrap()
        };
        let arff = read("a.arff", &ReadOptions::default());
        assert_eq!(arff.label_names.as_deref().unwrap(), ["sky", "sea"]);
        assert_eq!(arff.features.to_dense(), [0.5, 0.25]);
        let xmc = read("b.txt", &ReadOptions::default());
        assert_eq!(xmc.label_names, None);
        assert_eq!(xmc.features.to_dense(), [0.0, 1.5, 0.0, 0.0, 0.0, 1.0]);
        let options = ReadOptions {
            sizes: Sizes {
                num_classes: Some(5),
                dim: None,
            },
            ..ReadOptions::default()
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
        let samples = Samples::read(&path, &ReadOptions::default()).unwrap();
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
        let read = |names: &[&str]| CountedLabels::read(&paths(names), &ReadOptions::default());
        let labels = read(&["a.arff", "b.svm"]).unwrap();
        assert_eq!(labels.class_names, ["sky", "sea"]);
        assert_eq!(labels.counts.num_samples(), 4.0);
        let refusal = |names: &[&str]| {
            let place = format!("{}/", folder.path().display());
            read(names).unwrap_err().to_string().replace(&place, "")
        };
        insta::assert_snapshot!(refusal(&["a.arff", "c.svm"]), @"c.svm: expected 2 classes as in the files before, found 3");
        insta::assert_snapshot!(refusal(&["a.csv"]), @"a.csv: expected a file that ends in .npy, .npz, .safetensors, .arff, .txt, .svm or .libsvm, or a folder of .npy files");
        insta::assert_snapshot!(refusal(&[]), @"the labels of : expected the number of classes to be at least 2 (with one class every softmax is 1), found 0");
    }
}
