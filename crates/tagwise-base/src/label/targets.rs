use crate::label::{LabelSet, TargetsBuilder};
use crate::tensors::{TensorWriter, Tensors};
use crate::{Error, Result};

/// The most classes that label sets may have: a bound on what a few bytes of a file can ask for,
/// several times above the largest public data sets.
pub const MAX_CLASSES: usize = 1 << 24;

/// Refuses more classes than [`MAX_CLASSES`].
pub(super) fn check_num_classes(num_classes: usize) -> Result<()> {
    if num_classes <= MAX_CLASSES {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "the number of classes",
        requirement: "of at most 16777216",
        found: num_classes.to_string(),
    })
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
    /// [`Error::LabelOutOfRange`] for a label that is not below `num_classes`,
    /// [`Error::OutOfRange`] for more than [`MAX_CLASSES`].
    pub fn new(num_classes: usize, sets: impl IntoIterator<Item = LabelSet>) -> Result<Self> {
        let mut builder = TargetsBuilder::new();
        for set in sets {
            builder.push(set);
        }
        builder.finish(Some(num_classes))
    }

    /// From distinct label sets in any order, with labels known to be below the number of classes,
    /// and the position of each sample's set.
    pub(crate) fn from_distinct(
        num_classes: usize,
        distinct: Vec<LabelSet>,
        mut set_ids: Vec<u32>,
    ) -> Result<Self> {
        check_num_classes(num_classes)?;
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
        Ok(Self {
            num_classes,
            distinct: order
                .iter()
                .filter_map(|&id| distinct[id as usize].take())
                .collect(),
            set_ids,
        })
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

    /// The label sets as safetensors bytes: `labels` (class indices, sample after sample),
    /// `offsets` `[N + 1]` and `num_classes`. The same label sets give the same bytes.
    ///
    /// ```
    /// use tagwise_base::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(9, [vec![0], vec![], vec![1, 8]].map(LabelSet::new))?;
    /// assert_eq!(Targets::from_bytes(&targets.to_bytes())?, targets);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut labels: Vec<u32> = Vec::new();
        let mut offsets = vec![0u64];
        for set in self.iter() {
            labels.extend(set.labels());
            offsets.push(labels.len() as u64);
        }
        let mut writer = TensorWriter::new();
        let num_classes = [self.num_classes as u64];
        let added = writer
            .add("labels", &[labels.len()], &labels)
            .and_then(|()| writer.add("offsets", &[offsets.len()], &offsets))
            .and_then(|()| writer.add("num_classes", &[1], &num_classes));
        added.unwrap_or_else(|error| unreachable!("shapes are those of the values: {error}"));
        writer.to_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`Error::NotTensors`] or [`Error::Malformed`] when these are not such bytes,
    /// [`Error::LabelOutOfRange`] for a label that is not below the number of classes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let tensors = Tensors::parse(bytes)?;
        let labels: Vec<u32> = tensors.require("labels")?.to_vec()?;
        let offsets: Vec<u64> = tensors.require("offsets")?.to_vec()?;
        let num_classes: Vec<u64> = tensors.require("num_classes")?.to_vec_of(&[1])?;
        let rises = offsets.is_sorted() && offsets.first() == Some(&0);
        if !rises || offsets.last() != Some(&(labels.len() as u64)) {
            return Err(Error::Malformed(format!(
                "expected `offsets` to rise from 0 to {}, the length of `labels`",
                labels.len()
            )));
        }
        let rows = offsets
            .windows(2)
            .map(|bounds| bounds[0] as usize..bounds[1] as usize);
        let sets = rows.map(|row| LabelSet::new(labels[row].iter().copied()));
        Self::new(usize::try_from(num_classes[0]).unwrap_or(usize::MAX), sets)
    }

    /// N samples without a label, such as new data have.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for more than [`MAX_CLASSES`].
    pub fn unlabelled(num_samples: usize, num_classes: usize) -> Result<Self> {
        let distinct = match num_samples {
            0 => Vec::new(),
            _ => vec![LabelSet::default()],
        };
        Self::from_distinct(num_classes, distinct, vec![0; num_samples])
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

    #[test]
    fn more_classes_than_there_can_be_are_refused() {
        let error = Targets::new(1 << 62, []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected the number of classes of at most 16777216, found 4611686018427387904"
        );
        assert!(Targets::unlabelled(3, MAX_CLASSES).is_ok());
        assert!(Targets::unlabelled(3, MAX_CLASSES + 1).is_err());
    }

    #[test]
    fn bytes_that_are_no_label_sets_are_refused() {
        let bytes = |labels: &[u32], offsets: &[u64], num_classes: &[u64]| {
            let mut writer = TensorWriter::new();
            writer.add("labels", &[labels.len()], labels).unwrap();
            writer.add("offsets", &[offsets.len()], offsets).unwrap();
            writer
                .add("num_classes", &[num_classes.len()], num_classes)
                .unwrap();
            writer.to_bytes()
        };
        assert!(Targets::from_bytes(&bytes(&[1, 0], &[0, 2], &[2])).is_ok());
        for bytes in [
            bytes(&[1, 0], &[0, 1], &[2]),
            bytes(&[1, 0], &[0, 2, 1, 2], &[2]),
            bytes(&[1, 0], &[], &[2]),
            bytes(&[1, 0], &[0, u64::MAX], &[2]),
            bytes(&[1, 0], &[0, 2], &[]),
            bytes(&[1, 0], &[0, 2], &[1]),
            bytes(&[1, 0], &[0, 2], &[u64::MAX]),
        ] {
            assert!(Targets::from_bytes(&bytes).is_err());
        }
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
    }
}
