//! Label sets with potentials of their own.

use crate::{Error, LabelSet, Result};

/// Distinct label sets in order, with their labels in one list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenSets {
    sets: Vec<LabelSet>,
    starts: Vec<usize>,
    labels: Vec<u32>,
}

impl SeenSets {
    /// # Errors
    /// [`Error::LabelOutOfRange`] for a label that is not below K, [`Error::OutOfRange`] for a set of
    /// more labels than any may have.
    pub(super) fn new(
        sets: Vec<LabelSet>,
        num_classes: usize,
        max_multiplicity: usize,
    ) -> Result<Self> {
        let mut starts = vec![0];
        let mut labels = Vec::new();
        for (position, set) in sets.iter().enumerate() {
            super::super::check_labels(set, position, num_classes)?;
            check_multiplicity(set, max_multiplicity)?;
            labels.extend_from_slice(set.labels());
            starts.push(labels.len());
        }
        Ok(Self {
            sets,
            starts,
            labels,
        })
    }

    pub(super) fn sets(&self) -> &[LabelSet] {
        &self.sets
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn position(&self, set: &LabelSet) -> Option<usize> {
        self.sets.binary_search(set).ok()
    }

    #[inline(always)]
    pub(super) fn labels(&self, position: usize) -> &[u32] {
        &self.labels[self.starts[position]..self.starts[position + 1]]
    }
}

/// Refuses a set of more labels than any may have.
pub(super) fn check_multiplicity(set: &LabelSet, max_multiplicity: usize) -> Result<()> {
    match set.multiplicity() <= max_multiplicity {
        true => Ok(()),
        false => Err(Error::OutOfRange {
            name: "the labels of a set",
            requirement: "at most the largest multiplicity",
            found: format!("{} with {max_multiplicity}", set.multiplicity()),
        }),
    }
}
