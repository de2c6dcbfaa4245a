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

mod labels;
mod open;
mod predictions;
mod stream;

use std::path::Path;

use tagwise::head::Features;
use tagwise_base::snapshot::NonFinite;
use tagwise_base::{LinearClassifier, Targets};

pub use self::labels::{CountedLabels, Labels, numbered_names};
use self::open::{Held, Opened};
pub use self::predictions::PredictedLabels;
pub use self::stream::SampleFile;
use crate::table::TableOptions;
use crate::{Error, Result};

/// Numbers of classes and features, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Number of classes K.
    pub num_classes: Option<usize>,
    /// Number of features d.
    pub dim: Option<usize>,
}

impl Sizes {
    /// Whether these sizes of the file `path` are the expected ones, which `like` has set, as far as
    /// both are known.
    ///
    /// # Errors
    /// [`Error::Unlike`].
    pub fn check(self, path: &Path, expected: Self, like: &str) -> Result<()> {
        let pairs = [
            ("features", expected.dim, self.dim),
            ("classes", expected.num_classes, self.num_classes),
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
    /// [`Unlabelled::Keep`](crate::table::Unlabelled::Keep) was asked for.
    pub unlabelled: Vec<usize>,
    /// What the reader decided or passed over, each a sentence for the one who gave the file.
    pub notes: Vec<String>,
}

impl Samples {
    /// Reads samples from .safetensors, .npz, a folder of .npy files, .parquet or a table of any
    /// [`table::Kind`](crate::table::Kind), to which `options` belong; the ending says which. Labels
    /// may lie in a file of their own.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Within`] or [`Error::Mathematics`], each with the path, when the
    /// file is not what its ending says or holds NaN or infinity; [`Error::Io`] when it cannot be
    /// read.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        let opened = Opened::open(path, options, NonFinite::Refuse)?;
        let classifier = match &opened.held {
            Held::Arrays(file) => file.classifier().cloned(),
            Held::Table(_) | Held::Sparse(_) => None,
        };
        Ok(Self {
            features: opened.held.into_features(path)?,
            targets: opened.targets,
            label_names: opened.label_names,
            classifier,
            unlabelled: opened.unlabelled,
            notes: opened.notes,
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
        self.size().check(path, expected, like)
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

#[cfg(test)]
mod tests;
