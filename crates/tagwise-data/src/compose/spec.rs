use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tagwise_base::LabelSet;

use super::plan::Layout;
use crate::{Error, ImageShape, Result};

/// How a composed data set is made; the default is the paper's training set with balanced
/// placement.
///
/// ```
/// use tagwise_base::LabelSet;
/// use tagwise_data::{ComposeSpec, LabelSetCount};
///
/// let spec = ComposeSpec {
///     per_multiplicity: vec![100, 20],
///     label_sets: vec![LabelSetCount { labels: LabelSet::new([0, 1]), count: 3 }],
///     ..ComposeSpec::default()
/// };
/// assert_eq!(spec.counts(10)?[&LabelSet::new([0, 1])], 3);
/// assert_eq!(spec.counts(10)?.values().sum::<usize>(), 1000 + 44 * 20 + 3);
/// # Ok::<(), tagwise_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComposeSpec {
    /// Samples of every label set with 1, 2, 3, … labels.
    pub per_multiplicity: Vec<usize>,
    /// Imbalanced pairs, instead of the second entry of `per_multiplicity`: pairs of labels fall
    /// into as many equal tiers as there are numbers, and each pair of a tier gets that tier's
    /// number of samples. Every label is in equally many pairs of each tier (for an even number
    /// of classes), so that pairs are imbalanced and labels are not. The paper has 500, 50, 5.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pair_tiers: Vec<usize>,
    /// Samples of some label sets, instead of what the fields above say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label_sets: Vec<LabelSetCount>,
    /// Where the images of the labels go.
    pub placement: Placement,
    /// Largest random shift in pixels; by default one less than a quarter of the source's
    /// shorter side, which is the paper's 6 for MNIST and 7 for CIFAR-10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_shift: Option<usize>,
    /// Cells in a row and in a column of the canvas, which is as many source images wide and
    /// high; by default the fewest that hold all labels, at least 2. Data sets that one network
    /// is to see need the same number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cells_per_side: Option<usize>,
}

impl Default for ComposeSpec {
    fn default() -> Self {
        Self {
            per_multiplicity: vec![3100, 200],
            pair_tiers: Vec::new(),
            label_sets: Vec::new(),
            placement: Placement::default(),
            max_shift: None,
            cells_per_side: None,
        }
    }
}

/// The number of samples of one label set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSetCount {
    /// The label set.
    pub labels: LabelSet,
    /// How many samples carry it.
    pub count: usize,
}

/// Where on the canvas the images of the labels go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Each label takes a cell of its own, drawn at random from all cells, and is shifted
    /// towards the inside by independent random offsets: where a label stands says nothing about
    /// how many there are. The canvas has 2×2 cells, or 3×3 if a label set has more than four
    /// labels.
    #[default]
    Balanced,
    /// As in the paper, on 2×2 cells, for up to three labels. Grey images: a single label stands
    /// bottom right, of two a coin decides which stands bottom right and which top left, each is
    /// shifted right and down by independent offsets and wraps around at the edges. Colour
    /// images: a coin also decides the corner of a single label, and each image is shifted
    /// inwards along the diagonal. Third labels share the corner of the second.
    Paper,
}

impl Placement {
    /// The fewest cells in a row of a square canvas that holds so many labels, at least 2.
    fn fewest_cells_per_side(self, max_multiplicity: usize) -> usize {
        match self {
            Self::Paper => 2,
            Self::Balanced => (2..).find(|n| n * n >= max_multiplicity).unwrap_or(2),
        }
    }
}

/// More samples than this are a slip of the pen: positions are kept as 32-bit numbers.
const MAX_SAMPLES: usize = 100_000_000;

/// The largest number of cells in a row that balanced placement makes.
const MAX_CELLS_PER_SIDE: usize = 3;

/// The most labels that an image can be composed of.
pub const MAX_LABELS: usize = MAX_CELLS_PER_SIDE * MAX_CELLS_PER_SIDE;

impl ComposeSpec {
    /// Cells in a row of the canvas, see [`cells_per_side`](Self::cells_per_side).
    ///
    /// # Errors
    /// As [`counts`](Self::counts).
    pub fn num_cells_per_side(&self, num_classes: usize) -> Result<usize> {
        let counts = self.counts(num_classes)?;
        let max_multiplicity = counts.keys().map(LabelSet::multiplicity).max().unwrap_or(0);
        Ok(self
            .cells_per_side
            .unwrap_or(self.placement.fewest_cells_per_side(max_multiplicity)))
    }

    /// The number of samples of each label set, those with 0 samples left out.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a label that is no class, an empty label set, a label set named
    /// twice, more labels than there are classes, no sample at all or far too many.
    pub fn counts(&self, num_classes: usize) -> Result<BTreeMap<LabelSet, usize>> {
        let mut counts = BTreeMap::new();
        for (multiplicity, &count) in (1..).zip(&self.per_multiplicity) {
            if count == 0 {
                continue;
            }
            let num_sets = num_subsets(num_classes, multiplicity);
            if num_sets == 0 || num_sets.saturating_mul(count) > MAX_SAMPLES {
                return Err(Error::OutOfRange {
                    name: "per_multiplicity",
                    requirement: format!(
                        "with at most {num_classes} entries that ask for at most {MAX_SAMPLES} samples"
                    ),
                    found: format!(
                        "{count} samples of each of the {num_sets} label sets of multiplicity {multiplicity}"
                    ),
                });
            }
            for_each_subset(num_classes as u32, multiplicity, |labels| {
                counts.insert(LabelSet::new(labels.iter().copied()), count);
            });
        }
        self.apply_pair_tiers(num_classes, &mut counts)?;
        self.apply_label_sets(num_classes, &mut counts)?;
        counts.retain(|_, &mut count| count > 0);
        let total = counts
            .values()
            .fold(0usize, |sum, &n| sum.saturating_add(n));
        if total == 0 || total > MAX_SAMPLES {
            return Err(Error::OutOfRange {
                name: "the composed data set",
                requirement: format!("of 1 to {MAX_SAMPLES} samples"),
                found: total.to_string(),
            });
        }
        Ok(counts)
    }

    fn apply_pair_tiers(
        &self,
        num_classes: usize,
        counts: &mut BTreeMap<LabelSet, usize>,
    ) -> Result<()> {
        let num_tiers = self.pair_tiers.len();
        if num_tiers == 0 {
            return Ok(());
        }
        let rounds = tournament(num_classes);
        if !rounds.len().is_multiple_of(num_tiers) {
            return Err(Error::OutOfRange {
                name: "pair_tiers",
                requirement: format!(
                    "of a length that divides {}, which makes equal tiers for {num_classes} classes",
                    rounds.len()
                ),
                found: num_tiers.to_string(),
            });
        }
        for (round, pairs) in rounds.into_iter().enumerate() {
            let count = self.pair_tiers[round % num_tiers];
            counts.extend(pairs.into_iter().map(|pair| (pair, count)));
        }
        Ok(())
    }

    fn apply_label_sets(
        &self,
        num_classes: usize,
        counts: &mut BTreeMap<LabelSet, usize>,
    ) -> Result<()> {
        let refuse = |requirement: String, found: &LabelSet| {
            Err(Error::OutOfRange {
                name: "label_sets",
                requirement,
                found: found.to_string(),
            })
        };
        let mut named = std::collections::BTreeSet::new();
        for LabelSetCount { labels, count } in &self.label_sets {
            match labels.labels().last() {
                None => return refuse("with at least one label each".into(), labels),
                Some(&last) if last as usize >= num_classes => {
                    return refuse(format!("with labels below {num_classes}"), labels);
                }
                Some(_) if !named.insert(labels) => {
                    return refuse("that name each label set once".into(), labels);
                }
                Some(_) => counts.insert(labels.clone(), *count),
            };
        }
        Ok(())
    }

    /// Canvas, cells and shifts for label sets of these multiplicities.
    pub(super) fn layout(
        &self,
        source: ImageShape,
        counts: &BTreeMap<LabelSet, usize>,
    ) -> Result<Layout> {
        let max_multiplicity = counts.keys().map(LabelSet::multiplicity).max().unwrap_or(0);
        let fewest = self.placement.fewest_cells_per_side(max_multiplicity);
        let cells_per_side = self.cells_per_side.unwrap_or(fewest);
        if max_multiplicity <= MAX_LABELS
            && !(fewest..=MAX_CELLS_PER_SIDE).contains(&cells_per_side)
        {
            return Err(Error::OutOfRange {
                name: "cells_per_side",
                requirement: format!("from {fewest} to {MAX_CELLS_PER_SIDE}"),
                found: cells_per_side.to_string(),
            });
        }
        let most_labels = match self.placement {
            Placement::Paper => 3,
            Placement::Balanced => MAX_LABELS,
        };
        if max_multiplicity > most_labels {
            return Err(Error::OutOfRange {
                name: "label sets",
                requirement: format!(
                    "of at most {most_labels} labels for {} placement",
                    match self.placement {
                        Placement::Balanced => "balanced",
                        Placement::Paper => "paper",
                    }
                ),
                found: max_multiplicity.to_string(),
            });
        }
        let shorter_side = source.height.min(source.width);
        let max_shift = self
            .max_shift
            .unwrap_or((shorter_side / 4).saturating_sub(1));
        if max_shift > shorter_side {
            return Err(Error::OutOfRange {
                name: "max_shift",
                requirement: format!(
                    "of at most {shorter_side} pixels, the size of a source image"
                ),
                found: max_shift.to_string(),
            });
        }
        Layout::new(self.placement, source, cells_per_side, max_shift)
    }
}

/// Every pair of classes once, in rounds in which each class plays at most once (the circle
/// method): K − 1 rounds without a pause for even K, K rounds with one pause each for odd K.
fn tournament(num_classes: usize) -> Vec<Vec<LabelSet>> {
    let seats = num_classes + num_classes % 2;
    let num_rounds = seats.saturating_sub(1);
    let play = |round: usize| {
        let pair_at = |table: usize| {
            let first = match table {
                0 => num_rounds,
                _ => (round + table) % num_rounds,
            };
            let second = (round + num_rounds - table) % num_rounds;
            (first < num_classes).then(|| LabelSet::new([first as u32, second as u32]))
        };
        (0..seats / 2).filter_map(pair_at).collect()
    };
    (0..num_rounds).map(play).collect()
}

/// The binomial coefficient, saturating.
fn num_subsets(num_classes: usize, multiplicity: usize) -> usize {
    if multiplicity > num_classes {
        return 0;
    }
    let mut product: u128 = 1;
    for i in 0..multiplicity.min(num_classes - multiplicity) {
        product = product * (num_classes - i) as u128 / (i + 1) as u128;
        if product > usize::MAX as u128 {
            return usize::MAX;
        }
    }
    product as usize
}

/// Calls `visit` with every sorted subset of 0..n of this size, in lexicographic order.
fn for_each_subset(n: u32, size: usize, mut visit: impl FnMut(&[u32])) {
    let mut subset: Vec<u32> = (0..size as u32).collect();
    loop {
        visit(&subset);
        let can_grow = |&i: &usize| subset[i] < n - (size - i) as u32;
        let Some(i) = (0..size).rev().find(can_grow) else {
            return;
        };
        subset[i] += 1;
        for j in i + 1..size {
            subset[j] = subset[j - 1] + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(per_multiplicity: &[usize]) -> ComposeSpec {
        ComposeSpec {
            per_multiplicity: per_multiplicity.to_vec(),
            ..ComposeSpec::default()
        }
    }

    fn refusal(spec: ComposeSpec) -> String {
        spec.counts(10).unwrap_err().to_string()
    }

    #[test]
    fn subsets_come_once_each_in_order() {
        let mut pairs = Vec::new();
        for_each_subset(4, 2, |pair| pairs.push(pair.to_vec()));
        assert_eq!(
            pairs,
            [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]].map(Vec::from)
        );
        for (n, size) in [(1, 1), (5, 5), (10, 5), (9, 3)] {
            let mut found = 0;
            for_each_subset(n, size, |_| found += 1);
            assert_eq!(found, num_subsets(n as usize, size));
        }
        assert_eq!(num_subsets(10, 3), 120);
        assert_eq!(num_subsets(3, 4), 0);
        assert_eq!(num_subsets(300, 150), usize::MAX);
    }

    #[test]
    fn the_default_counts_are_the_papers_training_set() {
        let counts = ComposeSpec::default().counts(10).unwrap();
        assert_eq!(counts.len(), 55);
        assert_eq!(counts.values().sum::<usize>(), 40_000);
        assert_eq!(
            spec(&[800, 50]).counts(10).unwrap().values().sum::<usize>(),
            10_250
        );
    }

    #[test]
    fn pair_tiers_imbalance_the_pairs_and_not_the_labels() {
        let spec = ComposeSpec {
            pair_tiers: vec![500, 50, 5],
            ..spec(&[3100, 200])
        };
        let counts = spec.counts(10).unwrap();
        assert_eq!(counts.len(), 55);
        for tier in [500, 50, 5] {
            let pairs: Vec<_> = counts.iter().filter(|&(_, &count)| count == tier).collect();
            assert_eq!(pairs.len(), 15);
            for label in 0..10 {
                assert_eq!(
                    pairs.iter().filter(|(set, _)| set.contains(label)).count(),
                    3
                );
            }
        }
        let counts = spec.counts(9).unwrap();
        assert_eq!(counts.values().filter(|&&count| count == 50).count(), 12);
        assert_eq!(counts.len(), 9 + 36);
        insta::assert_snapshot!(spec.counts(6).unwrap_err(), @"expected pair_tiers of a length that divides 5, which makes equal tiers for 6 classes, found 3");
    }

    #[test]
    fn a_specification_survives_json_and_refuses_unknown_keys() {
        let spec = ComposeSpec {
            label_sets: vec![LabelSetCount {
                labels: LabelSet::new([4, 2]),
                count: 5,
            }],
            max_shift: Some(3),
            placement: Placement::Paper,
            ..spec(&[10, 2])
        };
        let json = serde_json::to_string(&spec).unwrap();
        insta::assert_snapshot!(json, @r#"{"per_multiplicity":[10,2],"label_sets":[{"labels":[2,4],"count":5}],"placement":"paper","max_shift":3}"#);
        assert_eq!(serde_json::from_str::<ComposeSpec>(&json).unwrap(), spec);
        assert!(serde_json::from_str::<ComposeSpec>(r#"{"placment":"paper"}"#).is_err());
        assert_eq!(
            serde_json::from_str::<ComposeSpec>("{}").unwrap(),
            ComposeSpec::default()
        );
    }

    #[test]
    fn impossible_counts_are_refused_in_one_sentence() {
        let with_set = |labels: &[u32]| ComposeSpec {
            label_sets: vec![
                LabelSetCount {
                    labels: LabelSet::new(labels.iter().copied()),
                    count: 1
                };
                2
            ],
            ..spec(&[1])
        };
        insta::assert_snapshot!(refusal(spec(&[0, 0])), @"expected the composed data set of 1 to 100000000 samples, found 0");
        insta::assert_snapshot!(refusal(spec(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])), @"expected per_multiplicity with at most 10 entries that ask for at most 100000000 samples, found 1 samples of each of the 0 label sets of multiplicity 11");
        insta::assert_snapshot!(refusal(spec(&[usize::MAX])), @"expected per_multiplicity with at most 10 entries that ask for at most 100000000 samples, found 18446744073709551615 samples of each of the 10 label sets of multiplicity 1");
        insta::assert_snapshot!(refusal(with_set(&[])), @"expected label_sets with at least one label each, found {}");
        insta::assert_snapshot!(refusal(with_set(&[3, 10])), @"expected label_sets with labels below 10, found {3, 10}");
        insta::assert_snapshot!(refusal(with_set(&[3, 9])), @"expected label_sets that name each label set once, found {3, 9}");
    }
}
