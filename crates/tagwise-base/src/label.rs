//! Label sets and the targets of a data set.

mod lists;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::lists::LabelLists;
pub(crate) use self::lists::number_of_classes;
use crate::{Error, Result};

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

/// The label sets of N samples over K classes, each distinct set stored once.
///
/// ```
/// use tagwise_base::{LabelSet, Targets};
///
/// let targets = Targets::new(3, [LabelSet::new([1]), LabelSet::new([0, 2]), LabelSet::new([1])])?;
/// assert_eq!(targets.len(), 3);
/// assert_eq!(targets.distinct().len(), 2);
/// assert_eq!(targets.counts(), [2, 1]);
/// assert_eq!(targets.max_multiplicity(), 2);
/// # Ok::<(), tagwise_base::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    num_classes: usize,
    distinct: Vec<LabelSet>,
    set_ids: Vec<u32>,
}

impl Targets {
    /// Collects the label set of each sample in turn.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for a label that is not below `num_classes`.
    pub fn new(num_classes: usize, sets: impl IntoIterator<Item = LabelSet>) -> Result<Self> {
        let mut seen: BTreeMap<LabelSet, u32> = BTreeMap::new();
        let mut arrival_ids = Vec::new();
        for (sample, set) in sets.into_iter().enumerate() {
            if let Some(&label) = set.labels().last()
                && label as usize >= num_classes
            {
                return Err(Error::LabelOutOfRange {
                    sample,
                    label,
                    num_classes,
                });
            }
            let next = seen.len() as u32;
            arrival_ids.push(*seen.entry(set).or_insert(next));
        }
        let mut rank_of_arrival = vec![0u32; seen.len()];
        for (rank, &arrival) in (0u32..).zip(seen.values()) {
            rank_of_arrival[arrival as usize] = rank;
        }
        let set_ids = arrival_ids
            .into_iter()
            .map(|arrival| rank_of_arrival[arrival as usize])
            .collect();
        Ok(Self {
            num_classes,
            distinct: seen.into_keys().collect(),
            set_ids,
        })
    }

    /// From distinct label sets in any order, with labels known to be below the number of classes,
    /// and the position of each sample's set.
    pub(crate) fn from_distinct(
        num_classes: usize,
        distinct: Vec<LabelSet>,
        mut set_ids: Vec<u32>,
    ) -> Self {
        let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
        order.sort_by(|&a, &b| distinct[a as usize].cmp(&distinct[b as usize]));
        let mut rank = vec![0; order.len()];
        for (position, &id) in (0u32..).zip(&order) {
            rank[id as usize] = position;
        }
        for id in &mut set_ids {
            *id = rank[*id as usize];
        }
        let mut distinct: Vec<Option<LabelSet>> = distinct.into_iter().map(Some).collect();
        Self {
            num_classes,
            distinct: order
                .iter()
                .filter_map(|&id| distinct[id as usize].take())
                .collect(),
            set_ids,
        }
    }

    /// The samples at these rows, in this order.
    ///
    /// # Panics
    /// When a row is not below N.
    ///
    /// ```
    /// use tagwise_base::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(2, [vec![0], vec![], vec![1]].map(LabelSet::new))?;
    /// assert_eq!(targets.select([2, 0]).set(0).labels(), [1]);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let set_ids: Vec<u32> = rows.into_iter().map(|row| self.set_ids[row]).collect();
        let mut used = vec![false; self.distinct.len()];
        for &id in &set_ids {
            used[id as usize] = true;
        }
        let mut rank = 0;
        let ranks: Vec<u32> = used
            .iter()
            .map(|&used| {
                rank += u32::from(used);
                rank.saturating_sub(1)
            })
            .collect();
        let kept = self.distinct.iter().zip(&used).filter(|(_, used)| **used);
        Self {
            num_classes: self.num_classes,
            distinct: kept.map(|(set, _)| set.clone()).collect(),
            set_ids: set_ids.into_iter().map(|id| ranks[id as usize]).collect(),
        }
    }

    /// Reads a row-major multi-hot matrix `[N, K]` of zeros and ones.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the slice is not a whole number of rows,
    /// [`Error::TargetNotBinary`] for any other value, NaN included.
    pub fn from_multi_hot<T: Copy + Into<f64>>(values: &[T], num_classes: usize) -> Result<Self> {
        if num_classes == 0 || !values.len().is_multiple_of(num_classes) {
            return Err(Error::SizeMismatch {
                what: "columns of targets",
                expected: num_classes,
                found: if num_classes == 0 {
                    0
                } else {
                    values.len() % num_classes
                },
            });
        }
        let mut on = vec![false; num_classes];
        let mut sets = Vec::with_capacity(values.len() / num_classes);
        for (row, targets) in values.chunks_exact(num_classes).enumerate() {
            for (column, (&value, on)) in targets.iter().zip(&mut on).enumerate() {
                let value: f64 = value.into();
                *on = value == 1.0;
                if value != 0.0 && value != 1.0 {
                    return Err(Error::TargetNotBinary { row, column, value });
                }
            }
            sets.push(LabelSet::from_multi_hot(&on));
        }
        Self::new(num_classes, sets)
    }

    /// Number of samples N.
    pub fn len(&self) -> usize {
        self.set_ids.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.set_ids.is_empty()
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The L distinct label sets in order (by multiplicity, then lexicographically).
    pub fn distinct(&self) -> &[LabelSet] {
        &self.distinct
    }

    /// For each sample the position of its label set in [`distinct`](Self::distinct), length N.
    pub fn set_ids(&self) -> &[u32] {
        &self.set_ids
    }

    /// The label set of one sample.
    ///
    /// # Panics
    /// When `sample` is not below [`len`](Self::len), as indexing a slice does.
    pub fn set(&self, sample: usize) -> &LabelSet {
        &self.distinct[self.set_ids[sample] as usize]
    }

    /// The label set of each sample in turn.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LabelSet> + Clone + '_ {
        self.set_ids.iter().map(|&id| &self.distinct[id as usize])
    }

    /// The number of samples n_S of each distinct label set, in the order of
    /// [`distinct`](Self::distinct).
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.distinct.len()];
        for &id in &self.set_ids {
            counts[id as usize] += 1;
        }
        counts
    }

    /// The largest multiplicity M; 0 when every set is empty or there is no sample.
    pub fn max_multiplicity(&self) -> usize {
        self.distinct.last().map_or(0, LabelSet::multiplicity)
    }

    /// The row-major multi-hot matrix `[N, K]`.
    pub fn to_multi_hot(&self) -> Vec<u8> {
        let mut values = vec![0; self.len() * self.num_classes];
        if self.num_classes > 0 {
            for (row, set) in values.chunks_exact_mut(self.num_classes).zip(self.iter()) {
                for label in set.indices() {
                    row[label] = 1;
                }
            }
        }
        values
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

    #[test]
    fn a_label_beyond_the_classes_is_refused() {
        let error = Targets::new(3, [LabelSet::new([0]), LabelSet::new([1, 3])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected labels 0 to 2, found 3 in sample 1; check the number of classes"
        );
    }

    #[test]
    fn a_target_that_is_not_binary_is_refused() {
        let error = Targets::from_multi_hot(&[0.0, 1.0, f64::NAN, 0.0], 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected targets of 0 and 1, found NaN at row 1, column 0"
        );
        assert!(Targets::from_multi_hot(&[0.5f32, 1.0], 2).is_err());
        assert!(Targets::from_multi_hot(&[0u8, 1, 1], 2).is_err());
        assert!(Targets::from_multi_hot::<u8>(&[], 0).is_err());
    }

    proptest! {
        #[test]
        fn multi_hot_round_trips(rows in prop::collection::vec(prop::collection::vec(0u8..2, 5), 0..20)) {
            let values = rows.concat();
            let targets = Targets::from_multi_hot(&values, 5).unwrap();
            prop_assert_eq!(targets.len(), rows.len());
            prop_assert_eq!(targets.to_multi_hot(), values);
            prop_assert!(targets.distinct().is_sorted());
            prop_assert_eq!(targets.counts().iter().sum::<usize>(), rows.len());
            for (row, set) in rows.iter().zip(targets.iter()) {
                prop_assert_eq!(row.iter().map(|&v| v as usize).sum::<usize>(), set.multiplicity());
            }
        }

        #[test]
        fn intersection_counts_shared_labels(a in prop::collection::btree_set(0u32..12, 0..8), b in prop::collection::btree_set(0u32..12, 0..8)) {
            let shared = a.intersection(&b).count();
            let (a, b) = (LabelSet::new(a), LabelSet::new(b));
            prop_assert_eq!(a.intersection_len(&b), shared);
            prop_assert_eq!(b.intersection_len(&a), shared);
        }
    }
}
