//! Label sets one after the other.

use std::collections::HashMap;

use super::targets::check_num_classes;
use super::{LabelSet, Targets};
use crate::{Error, Result};

/// Collects label sets while a file is read: 4 bytes a sample, and each distinct set once.
///
/// ```
/// use tagwise_base::LabelSet;
/// use tagwise_base::label::TargetsBuilder;
///
/// let mut builder = TargetsBuilder::new();
/// builder.push(LabelSet::new([1]));
/// builder.push(LabelSet::new([0, 2]));
/// assert_eq!(builder.finish(None)?.num_classes(), 3); // the largest label is 2
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TargetsBuilder {
    arrivals: HashMap<LabelSet, u32>,
    set_ids: Vec<u32>,
}

impl TargetsBuilder {
    /// No sample yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The label set of the next sample.
    pub fn push(&mut self, set: LabelSet) {
        let next = self.arrivals.len() as u32;
        let id = *self.arrivals.entry(set).or_insert(next);
        self.set_ids.push(id);
    }

    /// Number of samples so far.
    pub fn len(&self) -> usize {
        self.set_ids.len()
    }

    /// Whether there is no sample yet.
    pub fn is_empty(&self) -> bool {
        self.set_ids.is_empty()
    }

    /// All label sets; without a number of classes the largest label decides it.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for a label that is not below `num_classes`,
    /// [`Error::OutOfRange`] for more than [`MAX_CLASSES`](super::MAX_CLASSES).
    pub fn finish(self, num_classes: Option<usize>) -> Result<Targets> {
        let largest = self
            .arrivals
            .keys()
            .filter_map(|set| set.labels().last())
            .max();
        let num_classes =
            num_classes.unwrap_or_else(|| largest.map_or(0, |&label| label as usize + 1));
        check_num_classes(num_classes)?;
        if largest.is_some_and(|&label| label as usize >= num_classes) {
            return Err(self.out_of_range(num_classes));
        }
        let mut distinct: Vec<(LabelSet, u32)> = self.arrivals.into_iter().collect();
        distinct.sort_by_key(|(_, id)| *id);
        let distinct = distinct.into_iter().map(|(set, _)| set).collect();
        Targets::from_distinct(num_classes, distinct, self.set_ids)
    }

    /// The first sample with a label beyond the last class.
    fn out_of_range(&self, num_classes: usize) -> Error {
        let beyond = |set: &LabelSet| {
            let last = set.labels().last().copied();
            last.filter(|&label| label as usize >= num_classes)
        };
        let bad: HashMap<u32, u32> = self
            .arrivals
            .iter()
            .filter_map(|(set, &id)| Some((id, beyond(set)?)))
            .collect();
        let mut rows = self.set_ids.iter().enumerate();
        let (sample, label) = rows
            .find_map(|(sample, id)| Some((sample, *bad.get(id)?)))
            .unwrap_or_default();
        Error::LabelOutOfRange {
            sample,
            label,
            num_classes,
        }
    }
}
