//! Only the label sets of a file.

use std::path::Path;

use super::choice::{ArrayNames, choose};
use super::load::{ending, load};
use super::mapped::{Bytes, Part};
use super::{npy, scipy};
use crate::{Error, Result, Targets};

/// What is said of a file whose labels nobody can find.
pub(super) const NO_LABELS: &str =
    "expected either `targets` [N, K] of 0 and 1, or `labels` with `offsets` [N + 1]";

/// The labels of a file without its features.
#[derive(Clone, Debug, PartialEq)]
pub struct FileLabels {
    /// The label set of each sample.
    pub targets: Targets,
    /// What the K classes are called, where the file says so.
    pub class_names: Option<Vec<String>>,
    /// What was decided about the arrays of the file.
    pub notes: Vec<String>,
}

/// Reads only the label sets of a file, as [`read_labels`] does with arrays of the usual names.
///
/// # Errors
/// As [`SnapshotFile::open`](super::SnapshotFile::open).
pub fn read_targets(path: &Path) -> Result<Targets> {
    read_labels(path, &ArrayNames::default()).map(|labels| labels.targets)
}

/// Reads only the labels of a file: those of any file that [`SnapshotFile::open`](super::SnapshotFile::open) reads, with or
/// without features, of a lone `.npy` file of shape `[N, K]` with entries 0 and 1 or `[N]` of class
/// numbers or names, and of a matrix of `scipy.sparse.save_npz`.
///
/// # Errors
/// As [`SnapshotFile::open`](super::SnapshotFile::open).
pub fn read_labels(path: &Path, names: &ArrayNames) -> Result<FileLabels> {
    let with_path = |message: String| Error::Malformed(message).in_file(path);
    let members = if ending(path).as_deref() == Some("npy") {
        let bytes = Bytes::map(path)?;
        let range = 0..bytes.len();
        vec![npy::member("targets", Part { bytes, range }).map_err(with_path)?]
    } else {
        load(path)?
    };
    if scipy::is_sparse(&members) {
        let matrix = scipy::matrix(members).map_err(with_path)?;
        return Ok(FileLabels {
            targets: matrix
                .to_targets()
                .map_err(|error| with_path(error.to_string()))?,
            class_names: None,
            notes: vec!["read as a sparse matrix of SciPy".into()],
        });
    }
    let mut choice = choose(members, names).map_err(with_path)?;
    let labelled = choice.labelled().map_err(with_path)?;
    let labelled = labelled.ok_or_else(|| with_path(NO_LABELS.into()))?;
    Ok(FileLabels {
        targets: labelled.targets,
        class_names: labelled.class_names,
        notes: choice.notes,
    })
}
