//! Splits of a data set in which every label keeps its share.

use std::collections::BTreeSet;

use crate::interrupt::{ALWAYS, GoOn, ask};
use crate::{Error, LabelSet, Result, Targets};

/// Deals the samples into folds of the given shares so that each label is dealt in these shares
/// too, as far as whole samples allow (iterative stratification).
///
/// The label with the fewest samples left is dealt first, each of its samples to the fold that
/// lacks it most. Takes O(P log K) steps for P labels in all samples. The same seed gives the same
/// folds.
///
/// Source: Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data".
///
/// # Shapes
/// Returns the fold of each sample, length N.
///
/// # Errors
/// [`Error::OutOfRange`] unless there is a share, all are positive and finite.
///
/// ```
/// use tagwise::{LabelSet, Targets};
/// use tagwise::split::stratified_folds;
///
/// let targets = Targets::new(2, (0..8).map(|i| LabelSet::new([u32::from(i == 0 || i == 5)])))?;
/// let folds = stratified_folds(&targets, &[0.5, 0.5], 0)?;
/// assert_eq!(folds.iter().filter(|&&fold| fold == 0).count(), 4);
/// assert_ne!(folds[0], folds[5]); // one of the two samples with label 1 in each
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn stratified_folds(targets: &Targets, shares: &[f64], seed: u64) -> Result<Vec<usize>> {
    stratified_folds_while(targets, shares, seed, ALWAYS)
}

/// [`stratified_folds`] as long as `go_on` continues.
///
/// # Errors
/// As [`stratified_folds`], and [`Error::Interrupted`].
pub fn stratified_folds_while(
    targets: &Targets,
    shares: &[f64],
    seed: u64,
    go_on: GoOn<'_>,
) -> Result<Vec<usize>> {
    let total: f64 = shares.iter().sum();
    if shares.is_empty() || !shares.iter().all(|&s| s > 0.0 && s.is_finite()) {
        return Err(Error::OutOfRange {
            name: "the share of every fold",
            requirement: "greater than 0 and finite",
            found: format!("{shares:?}"),
        });
    }
    let shares: Vec<f64> = shares.iter().map(|share| share / total).collect();
    let mut dealer = Dealer::new(targets, &shares);
    let order = shuffled(targets.len(), seed);
    let mut samples_of: Vec<Vec<usize>> = vec![Vec::new(); targets.num_classes()];
    for &sample in &order {
        for label in targets.set(sample).indices() {
            samples_of[label].push(sample);
        }
    }
    while let Some(&(_, label)) = dealer.waiting.first() {
        ask(go_on)?;
        for sample in std::mem::take(&mut samples_of[label]) {
            if dealer.folds[sample].is_none() {
                dealer.deal(sample, targets.set(sample), Some(label));
            }
        }
    }
    for sample in order {
        if dealer.folds[sample].is_none() {
            dealer.deal(sample, targets.set(sample), None);
        }
    }
    Ok(dealer.folds.into_iter().flatten().collect())
}

struct Dealer {
    folds: Vec<Option<usize>>,
    /// How many samples each fold lacks.
    lacking: Vec<f64>,
    /// How many samples of each label each fold lacks, `[K, folds]`.
    lacking_label: Vec<f64>,
    left: Vec<usize>,
    /// (samples left, label) of the labels with samples left.
    waiting: BTreeSet<(usize, usize)>,
}

impl Dealer {
    fn new(targets: &Targets, shares: &[f64]) -> Self {
        let mut left = vec![0; targets.num_classes()];
        for label in targets.iter().flat_map(LabelSet::indices) {
            left[label] += 1;
        }
        Self {
            folds: vec![None; targets.len()],
            lacking: shares.iter().map(|s| s * targets.len() as f64).collect(),
            lacking_label: left
                .iter()
                .flat_map(|&count| shares.iter().map(move |share| share * count as f64))
                .collect(),
            waiting: (0..left.len())
                .filter(|&label| left[label] > 0)
                .map(|label| (left[label], label))
                .collect(),
            left,
        }
    }

    fn deal(&mut self, sample: usize, set: &LabelSet, label: Option<usize>) {
        let num_folds = self.lacking.len();
        let need = |fold: usize| {
            let of_label = label.map_or(0.0, |l| self.lacking_label[l * num_folds + fold]);
            (of_label, self.lacking[fold])
        };
        let mut fold = 0;
        for other in 1..num_folds {
            if need(other) > need(fold) {
                fold = other;
            }
        }
        self.folds[sample] = Some(fold);
        self.lacking[fold] -= 1.0;
        for label in set.indices() {
            self.lacking_label[label * num_folds + fold] -= 1.0;
            self.waiting.remove(&(self.left[label], label));
            self.left[label] -= 1;
            if self.left[label] > 0 {
                self.waiting.insert((self.left[label], label));
            }
        }
    }
}

/// The numbers below n in an order that depends on the seed alone.
pub(crate) fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut keyed: Vec<(u64, usize)> = (0..n).map(|i| (mix(seed, i as u64), i)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, i)| i).collect()
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014) of the i-th state after the seed.
fn mix(seed: u64, i: u64) -> u64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_shares_are_refused() {
        let targets = Targets::new(1, [LabelSet::new([0])]).unwrap();
        for shares in [&[][..], &[0.0, 1.0], &[f64::NAN]] {
            assert!(stratified_folds(&targets, shares, 0).is_err());
        }
    }

    #[test]
    fn rare_labels_reach_every_fold() {
        let sets = (0..300u32).map(|i| {
            let rare = (i % 60 == 0).then_some(2);
            LabelSet::new([i % 2].into_iter().chain(rare))
        });
        let targets = Targets::new(3, sets).unwrap();
        let folds = stratified_folds(&targets, &[0.8, 0.2], 7).unwrap();
        let held_out = (0..300).filter(|&i| folds[i] == 1);
        assert_eq!(held_out.clone().count(), 60);
        assert_eq!(held_out.filter(|&i| targets.set(i).contains(2)).count(), 1);
    }

    proptest! {
        #[test]
        fn every_label_is_split_evenly(rows in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.2), 6), 20..80), seed in any::<u64>()) {
            let targets = Targets::new(6, rows.iter().map(|row| LabelSet::from_multi_hot(row))).unwrap();
            let folds = stratified_folds(&targets, &[1.0, 1.0], seed).unwrap();
            prop_assert_eq!(&folds, &stratified_folds(&targets, &[1.0, 1.0], seed).unwrap());
            prop_assert_eq!(folds.len(), rows.len());
            let mut differences = 0;
            for label in 0..6 {
                let counts = [0, 1].map(|fold| (0..rows.len())
                    .filter(|&i| folds[i] == fold && rows[i][label]).count());
                // A label that occurs with others may lose balance to them, all together little.
                prop_assert!(counts[0].abs_diff(counts[1]) <= 10, "{counts:?}");
                differences += counts[0].abs_diff(counts[1]);
            }
            prop_assert!(differences <= 18, "{differences}");
        }
    }
}
