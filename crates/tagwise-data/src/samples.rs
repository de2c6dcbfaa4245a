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

use std::path::{Path, PathBuf};

use tagwise::head::{Features, SparseRows};
use tagwise::ufm::LabelCounts;
use tagwise_base::snapshot::{self, ArrayNames, FeatureValues, NonFinite, SnapshotFile};
use tagwise_base::{LabelSet, LinearClassifier, Targets};

use crate::table::{self, Table, TableOptions};
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
        if table::Kind::of(path).is_some() {
            return Self::of_table(path, table::read(path, options)?);
        }
        match is_snapshot(path) || path.to_string_lossy().contains('*') {
            true => Self::of_snapshot(path),
            false => Err(Error::format(
                path,
                "expected a file that ends in .safetensors, .npz, .parquet, .arff, .txt, .svm or \
                 .libsvm, or a folder of .npy files"
                    .into(),
            )),
        }
    }

    fn of_snapshot(path: &Path) -> Result<Self> {
        let file = SnapshotFile::open(path, NonFinite::Refuse)?;
        let snapshot = file.to_snapshot()?;
        let features = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        Ok(Self {
            features: Features::from_dense(features, snapshot.dim())
                .map_err(|error| Error::within(path, error))?,
            targets: snapshot.targets().clone(),
            label_names: file.class_names().map(<[String]>::to_vec),
            classifier: snapshot.classifier().cloned(),
            notes: file.notes().to_vec(),
        })
    }

    fn of_table(path: &Path, table: Table) -> Result<Self> {
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
            notes: self.notes.clone(),
        }
    }
}

/// The label sets of a file and, where it has them, what the classes are called.
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
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        if table::Kind::of(path).is_some() {
            let table = table::read(path, options)?;
            return Ok(Self {
                targets: table.targets,
                names: table.label_names,
            });
        }
        if !is_snapshot(path) {
            return Err(Error::format(
                path,
                "expected a file that ends in .npy, .npz, .safetensors, .arff, .txt, .svm or \
                 .libsvm, or a folder of .npy files"
                    .into(),
            ));
        }
        let labels = snapshot::read_labels(path, &ArrayNames::default())?;
        Ok(Self {
            targets: labels.targets,
            names: labels.class_names,
        })
    }
}

/// Whether the path promises arrays that a network left; PyTorch's own files are among them, since
/// the reader knows what to do about them.
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
    ];
    let ending = path.extension().and_then(|ending| ending.to_str());
    path.is_dir() || ending.is_some_and(|ending| endings.contains(&ending))
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
    pub fn read(paths: &[PathBuf], options: &TableOptions) -> Result<Self> {
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
        insta::assert_snapshot!(refusal(&["a.csv"]), @"a.csv: expected a file that ends in .npy, .npz, .safetensors, .arff, .txt, .svm or .libsvm, or a folder of .npy files");
        insta::assert_snapshot!(refusal(&[]), @"the labels of : expected the number of classes to be at least 2 (with one class every softmax is 1), found 0");
    }
}
