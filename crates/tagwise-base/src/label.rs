//! Label sets and the targets of a data set.

mod builder;
mod lists;
mod names;
mod targets;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::builder::TargetsBuilder;
pub(crate) use self::lists::number_of_classes;
pub use self::lists::{LabelLists, counted_from_one};
pub use self::names::ClassNames;
pub use self::targets::{MAX_CLASSES, Targets};

/// The set of labels of one sample: sorted class indices without repetition.
///
/// Label sets are ordered by multiplicity first and lexicographically within a multiplicity, so
/// that tables list {0}, {1}, …, {0, 1}, {0, 2}, …
///
/// ```
/// use tagwise_base::LabelSet;
///
/// let pair = LabelSet::new([7, 2, 7]);
/// assert_eq!(pair.multiplicity(), 2);
/// assert_eq!(pair.to_string(), "{2, 7}");
/// assert!(LabelSet::new([9]) < pair);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
pub struct LabelSet(Box<[u32]>);

impl LabelSet {
    /// The set of these labels, in any order; repetitions count once.
    pub fn new(labels: impl IntoIterator<Item = u32>) -> Self {
        let mut labels: Vec<u32> = labels.into_iter().collect();
        labels.sort_unstable();
        labels.dedup();
        Self(labels.into())
    }

    /// The set of all labels whose entry in a multi-hot row is not zero.
    pub fn from_multi_hot(row: &[bool]) -> Self {
        Self(
            (0u32..)
                .zip(row)
                .filter_map(|(label, &on)| on.then_some(label))
                .collect(),
        )
    }

    /// The labels in increasing order.
    pub fn labels(&self) -> &[u32] {
        &self.0
    }

    /// The labels as indices, in increasing order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|&label| label as usize)
    }

    /// The number of labels m = |S|.
    pub fn multiplicity(&self) -> usize {
        self.0.len()
    }

    /// Whether the sample carries no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the label is in the set.
    pub fn contains(&self, label: u32) -> bool {
        self.0.binary_search(&label).is_ok()
    }

    /// The number of labels that both sets hold, |S ∩ T|.
    pub fn intersection_len(&self, other: &Self) -> usize {
        let (mut i, mut j, mut shared) = (0, 0, 0);
        while i < self.0.len() && j < other.0.len() {
            match self.0[i].cmp(&other.0[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    shared += 1;
                    i += 1;
                    j += 1;
                }
            }
        }
        shared
    }
}

impl From<Vec<u32>> for LabelSet {
    fn from(labels: Vec<u32>) -> Self {
        Self::new(labels)
    }
}

impl From<LabelSet> for Vec<u32> {
    fn from(set: LabelSet) -> Self {
        set.0.into_vec()
    }
}

impl FromIterator<u32> for LabelSet {
    fn from_iter<I: IntoIterator<Item = u32>>(labels: I) -> Self {
        Self::new(labels)
    }
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, label) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{label}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sets_are_ordered_by_multiplicity_then_labels() {
        let mut sets = [
            LabelSet::new([0, 1]),
            LabelSet::new([2]),
            LabelSet::default(),
            LabelSet::new([0, 2]),
            LabelSet::new([1]),
        ];
        sets.sort();
        let printed: Vec<String> = sets.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["{}", "{1}", "{2}", "{0, 1}", "{0, 2}"]);
    }

    proptest! {
        #[test]
        fn intersection_counts_shared_labels(a in prop::collection::btree_set(0u32..12, 0..8), b in prop::collection::btree_set(0u32..12, 0..8)) {
            let shared = a.intersection(&b).count();
            let (a, b) = (LabelSet::new(a), LabelSet::new(b));
            prop_assert_eq!(a.intersection_len(&b), shared);
            prop_assert_eq!(b.intersection_len(&a), shared);
        }
    }
}
