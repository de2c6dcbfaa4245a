//! Label sets without features.

use std::path::{Path, PathBuf};

use tagwise::ufm::LabelCounts;
use tagwise_base::snapshot;
use tagwise_base::{LabelSet, Targets};

use super::open::FileKind;
use crate::table::{self, TableOptions};
use crate::{Error, Result};

/// The label sets of a file and, where it has them, what the classes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The label set of each row.
    pub targets: Targets,
    /// What the K classes are called, where they are more than numbers.
    pub names: Option<Vec<String>>,
    /// Whether features and a classifier lie beside the labels, so that logits can be computed.
    pub has_classifier: bool,
    /// What the reader decided or passed over.
    pub notes: Vec<String>,
}

impl Labels {
    /// Reads only the label sets of a file that [`Samples::read`](super::Samples::read) reads, with
    /// or without features, of a lone .npy file of shape `[N, K]` with entries 0 and 1 or `[N]` of
    /// class numbers or names, or of a sparse matrix of SciPy.
    ///
    /// # Errors
    /// As [`Samples::read`](super::Samples::read).
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        if let Some(file) = &options.label_file {
            let options = TableOptions {
                label_file: None,
                ..options.clone()
            };
            return Self::read(file, &options);
        }
        if FileKind::of(path)? == FileKind::Table {
            let table = table::read(path, options)?;
            return Ok(Self {
                targets: table.targets,
                names: table.label_names,
                has_classifier: false,
                notes: table.notes,
            });
        }
        let labels = snapshot::read_labels(path, &options.arrays())?;
        Ok(Self {
            targets: labels.targets,
            names: labels.class_names,
            has_classifier: labels.has_classifier,
            notes: labels.notes,
        })
    }
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
