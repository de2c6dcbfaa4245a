//! Only the label sets of a file.

use std::path::Path;

use super::choice::{LabelsHere, choose};
use super::load::{ending, load};
use super::mapped::{Bytes, Part};
use super::member::Member;
use super::options::ArrayNames;
use super::{npy, scipy};
use crate::label::ClassNames;
use crate::{Error, Result, Targets};

/// What is said of a file whose labels nobody can find.
pub(super) const NO_LABELS: &str = "expected labels: `targets` [N, K] of 0 and 1 or [N] of class numbers, or `labels` with `offsets`; another \
     array is chosen by its name (option targets-key)";

/// The labels of a file without its features.
#[derive(Clone, Debug, PartialEq)]
pub struct FileLabels {
    /// The label set of each sample.
    pub targets: Targets,
    /// What the K classes are called, where the file says so.
    pub class_names: Option<Vec<String>>,
    /// Whether features and a classifier lie beside the labels, so that logits can be computed.
    pub has_classifier: bool,
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

/// The names of the arrays in a file of any format that [`read_labels`] reads; of a lone `.npy`
/// file, `targets`.
///
/// # Errors
/// As [`SnapshotFile::open`](super::SnapshotFile::open) when it is no such file.
pub fn array_names(path: &Path) -> Result<Vec<String>> {
    let members = members(path)?;
    Ok(members
        .iter()
        .map(|member| member.name().to_string())
        .collect())
}

fn members(path: &Path) -> Result<Vec<Member>> {
    if ending(path).as_deref() != Some("npy") {
        return load(path);
    }
    let bytes = Bytes::map(path)?;
    let range = 0..bytes.len();
    let member = npy::member("targets", Part { bytes, range });
    let member = member.map_err(|message| Error::Malformed(message).in_file(path))?;
    Ok(vec![member])
}

/// Reads only the labels of a file: those of any file that [`SnapshotFile::open`](super::SnapshotFile::open) reads, with or
/// without features, of a lone `.npy` file of shape `[N, K]` with entries 0 and 1 or `[N]` of class
/// numbers or names, and of a matrix of `scipy.sparse.save_npz`.
///
/// # Errors
/// As [`SnapshotFile::open`](super::SnapshotFile::open).
pub fn read_labels(path: &Path, names: &ArrayNames) -> Result<FileLabels> {
    let with_path = |message: String| Error::Malformed(message).in_file(path);
    let members = members(path)?;
    if scipy::is_sparse(&members) {
        let matrix = scipy::matrix(members).map_err(with_path)?;
        let in_file = |error: Error| with_path(error.to_string());
        let names = ClassNames::settle(matrix.num_columns, None, names.class_names.as_deref());
        let names = names.map_err(in_file)?;
        return Ok(FileLabels {
            targets: matrix.to_targets().map_err(in_file)?,
            class_names: names.into_names(),
            has_classifier: false,
            notes: vec!["read as a sparse matrix of SciPy".into()],
        });
    }
    let mut choice = choose(members, names, LabelsHere::Read).map_err(with_path)?;
    let labelled = choice.labelled().map_err(with_path)?;
    let labelled = labelled.ok_or_else(|| with_path(NO_LABELS.into()))?;
    Ok(FileLabels {
        targets: labelled.targets,
        class_names: labelled.class_names,
        has_classifier: choice.has_classifier(),
        notes: choice.notes,
    })
}
