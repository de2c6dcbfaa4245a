use std::collections::BTreeMap;

use crate::{Error, LabelSet, Result, Targets};

/// How many samples carry which label set: all that the unconstrained feature model needs to know
/// of a data set.
///
/// Either every distinct set is listed with its count, or the data are *balanced within
/// multiplicities*: all C(K, m) sets of m labels occur equally often. Balanced counts are never
/// enumerated unless asked for, so K = 10,000 costs no more than K = 10.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelCounts {
    num_classes: usize,
    num_samples: f64,
    /// N_m, the samples with m labels.
    totals: BTreeMap<usize, f64>,
    listed: Option<Listed>,
}

#[derive(Clone, Debug, PartialEq)]
struct Listed {
    sets: Vec<LabelSet>,
    counts: Vec<f64>,
}

/// Largest K·L for which balanced sets are written out: 800 MB per matrix of logits.
const LARGEST_ENUMERATION: f64 = 1e8;

impl LabelCounts {
    /// Data balanced within multiplicities: for each pair (m, n) every set of m labels occurs n
    /// times. n may be fractional; 0 leaves the multiplicity out.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for K < 2, m > K, a repeated m, a negative, infinite or NaN count, or
    /// more samples than a 64-bit float can count; [`Error::Undefined`] when no sample has a label.
    ///
    /// ```
    /// use tagwise::ufm::LabelCounts;
    ///
    /// let labels = LabelCounts::balanced(10, [(1, 3100.0), (2, 200.0)])?;
    /// assert_eq!(labels.total(2), 9000.0); // 45 pairs
    /// assert_eq!(labels.num_sets(), 55.0);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn balanced(
        num_classes: usize,
        samples_per_set: impl IntoIterator<Item = (usize, f64)>,
    ) -> Result<Self> {
        let totals = samples_per_set.into_iter().map(|(m, per_set)| {
            // A count of 0 must not become 0·∞ for astronomically many sets.
            let sets = if per_set == 0.0 {
                1.0
            } else {
                binomial(num_classes, m)
            };
            (m, per_set, per_set * sets)
        });
        Self::from_totals(num_classes, totals)
    }

    /// Data balanced within multiplicities: for each pair (m, N_m), N_m samples are spread evenly
    /// over all sets of m labels, however many sets there are.
    ///
    /// # Errors
    /// As [`balanced`](Self::balanced).
    pub fn balanced_totals(
        num_classes: usize,
        totals: impl IntoIterator<Item = (usize, f64)>,
    ) -> Result<Self> {
        Self::from_totals(
            num_classes,
            totals.into_iter().map(|(m, total)| (m, total, total)),
        )
    }

    fn from_totals(
        num_classes: usize,
        entries: impl Iterator<Item = (usize, f64, f64)>,
    ) -> Result<Self> {
        check_num_classes(num_classes)?;
        let mut totals = BTreeMap::new();
        for (m, given, total) in entries {
            check_multiplicity(m, num_classes)?;
            if !(given >= 0.0 && given.is_finite()) {
                return Err(Error::OutOfRange {
                    name: "the number of samples",
                    requirement: "to be finite and not negative",
                    found: format!("{given} for multiplicity {m}"),
                });
            }
            if !total.is_finite() {
                return Err(too_many_samples(format!(
                    "{given} for each set of {m} among {num_classes} classes"
                )));
            }
            if totals.insert(m, total).is_some() {
                return Err(Error::OutOfRange {
                    name: "each multiplicity",
                    requirement: "to be given once",
                    found: format!("{m} twice"),
                });
            }
        }
        totals.retain(|_, total| *total > 0.0);
        Self::checked(num_classes, totals, None)
    }

    /// Counts of distinct label sets; sets that are given twice are added up.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for K < 2 or a negative, infinite or NaN count,
    /// [`Error::LabelOutOfRange`] for a label not below K, [`Error::Undefined`] when no sample has
    /// a label.
    ///
    /// ```
    /// use tagwise::LabelSet;
    /// use tagwise::ufm::LabelCounts;
    ///
    /// let labels = LabelCounts::of_sets(3, [
    ///     (LabelSet::new([0]), 16.0),
    ///     (LabelSet::new([1]), 4.0),
    ///     (LabelSet::new([0, 2]), 2.0),
    /// ])?;
    /// assert_eq!(labels.num_samples(), 22.0);
    /// assert!(!labels.is_balanced());
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn of_sets(
        num_classes: usize,
        counts: impl IntoIterator<Item = (LabelSet, f64)>,
    ) -> Result<Self> {
        check_num_classes(num_classes)?;
        let mut merged: BTreeMap<LabelSet, f64> = BTreeMap::new();
        for (position, (set, count)) in counts.into_iter().enumerate() {
            if let Some(&label) = set.labels().last()
                && label as usize >= num_classes
            {
                return Err(Error::LabelOutOfRange {
                    sample: position,
                    label,
                    num_classes,
                });
            }
            if !(count >= 0.0 && count.is_finite()) {
                return Err(Error::OutOfRange {
                    name: "the number of samples",
                    requirement: "to be finite and not negative",
                    found: format!("{count} for {set}"),
                });
            }
            *merged.entry(set).or_insert(0.0) += count;
        }
        merged.retain(|_, count| *count > 0.0);
        let mut totals = BTreeMap::new();
        for (set, count) in &merged {
            *totals.entry(set.multiplicity()).or_insert(0.0) += count;
        }
        let (sets, counts) = merged.into_iter().unzip();
        Self::checked(num_classes, totals, Some(Listed { sets, counts }))
    }

    /// The distinct label sets of a data set and how often each occurs.
    ///
    /// # Errors
    /// As [`of_sets`](Self::of_sets).
    pub fn of_targets(targets: &Targets) -> Result<Self> {
        let counts = targets.counts();
        let counts = counts.iter().map(|&count| count as f64);
        Self::of_sets(
            targets.num_classes(),
            targets.distinct().iter().cloned().zip(counts),
        )
    }

    fn checked(
        num_classes: usize,
        totals: BTreeMap<usize, f64>,
        listed: Option<Listed>,
    ) -> Result<Self> {
        let num_samples = totals.values().fold(0.0, |sum, total| sum + total);
        if !num_samples.is_finite() {
            return Err(too_many_samples("a sum beyond 1.8e308".into()));
        }
        if totals.keys().all(|&m| m == 0) {
            return Err(Error::Undefined(format!(
                "expected at least one sample with a label, found {num_samples} samples, all \
                 with an empty label set"
            )));
        }
        Ok(Self {
            num_classes,
            num_samples,
            totals,
            listed,
        })
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Number of samples N, those without labels included.
    pub fn num_samples(&self) -> f64 {
        self.num_samples
    }

    /// The multiplicities that occur, with the number of samples N_m of each.
    pub fn totals(&self) -> &BTreeMap<usize, f64> {
        &self.totals
    }

    /// The number of samples with m labels, N_m.
    pub fn total(&self, multiplicity: usize) -> f64 {
        self.totals.get(&multiplicity).copied().unwrap_or(0.0)
    }

    /// The number of samples without any label.
    pub fn num_empty(&self) -> f64 {
        self.total(0)
    }

    /// The number L of distinct label sets with at least one label.
    pub fn num_sets(&self) -> f64 {
        match &self.listed {
            Some(listed) => listed.sets.iter().filter(|set| !set.is_empty()).count() as f64,
            None => self
                .totals
                .keys()
                .filter(|&&m| m > 0)
                .map(|&m| binomial(self.num_classes, m))
                .sum(),
        }
    }

    /// Whether all sets of m labels occur equally often, for every multiplicity m that occurs.
    pub fn is_balanced(&self) -> bool {
        let Some(listed) = &self.listed else {
            return true;
        };
        let mut first: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for (set, &count) in listed.sets.iter().zip(&listed.counts) {
            let (expected, seen) = first.entry(set.multiplicity()).or_insert((count, 0.0));
            if *expected != count {
                return false;
            }
            *seen += 1.0;
        }
        first
            .iter()
            .all(|(&m, &(_, seen))| seen == binomial(self.num_classes, m))
    }

    /// The classes that no sample carries.
    pub fn absent_classes(&self) -> Vec<usize> {
        let Some(listed) = &self.listed else {
            return Vec::new();
        };
        let mut occurs = vec![false; self.num_classes];
        for set in &listed.sets {
            for class in set.indices() {
                occurs[class] = true;
            }
        }
        (0..self.num_classes).filter(|&k| !occurs[k]).collect()
    }

    /// The distinct non-empty label sets in order, with the number of samples n_S of each.
    ///
    /// # Errors
    /// [`Error::Undefined`] when balanced counts stand for more sets than fit into memory.
    pub fn sets(&self) -> Result<Vec<(LabelSet, f64)>> {
        if let Some(listed) = &self.listed {
            let pairs = listed
                .sets
                .iter()
                .cloned()
                .zip(listed.counts.iter().copied());
            return Ok(pairs.filter(|(set, _)| !set.is_empty()).collect());
        }
        let num_sets = self.num_sets();
        if num_sets * self.num_classes as f64 > LARGEST_ENUMERATION {
            return Err(Error::Undefined(format!(
                "expected at most {LARGEST_ENUMERATION:e} logits (classes times label sets) to \
                 write out, found {} classes and {num_sets:.3e} label sets; only the closed form \
                 answers for so many",
                self.num_classes
            )));
        }
        let mut sets = Vec::with_capacity(num_sets as usize);
        for (&m, &total) in self.totals.iter().filter(|(m, _)| **m > 0) {
            let per_set = total / binomial(self.num_classes, m);
            sets.extend(combinations(self.num_classes, m).map(|set| (set, per_set)));
        }
        Ok(sets)
    }
}

fn check_num_classes(num_classes: usize) -> Result<()> {
    if num_classes >= 2 {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "the number of classes",
        requirement: "to be at least 2 (with one class every softmax is 1)",
        found: num_classes.to_string(),
    })
}

fn check_multiplicity(m: usize, num_classes: usize) -> Result<()> {
    if m <= num_classes {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "the multiplicity",
        requirement: "to be at most the number of classes",
        found: format!("{m} labels per sample of {num_classes} classes"),
    })
}

fn too_many_samples(found: String) -> Error {
    Error::OutOfRange {
        name: "the number of samples",
        requirement: "to be below 1.8e308; give totals per multiplicity instead of samples per set",
        found,
    }
}

/// C(n, k); infinite beyond the range of f64.
fn binomial(n: usize, k: usize) -> f64 {
    let k = k.min(n.saturating_sub(k));
    let mut value = 1.0f64;
    for i in 0..k {
        value *= (n - i) as f64 / (i + 1) as f64;
        if value < 2f64.powi(52) {
            value = value.round(); // every partial product is a binomial coefficient
        }
    }
    value
}

/// All sets of m labels below K in lexicographic order.
fn combinations(num_classes: usize, m: usize) -> impl Iterator<Item = LabelSet> {
    let mut next: Option<Vec<u32>> = (m <= num_classes).then(|| (0..m as u32).collect());
    std::iter::from_fn(move || {
        let current = next.take()?;
        let set = LabelSet::new(current.iter().copied());
        let movable = (0..m)
            .rev()
            .find(|&i| (current[i] as usize) < num_classes - m + i);
        next = movable.map(|i| {
            let mut following = current;
            let first = following[i] + 1;
            for (label, value) in following[i..].iter_mut().zip(first..) {
                *label = value;
            }
            following
        });
        Some(set)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_counts_list_every_set_once() {
        let labels = LabelCounts::balanced(5, [(1, 2.0), (3, 4.0), (5, 1.0)]).unwrap();
        let sets = labels.sets().unwrap();
        assert_eq!(sets.len(), 5 + 10 + 1);
        assert!(sets.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(labels.num_samples(), 10.0 + 40.0 + 1.0);
        let listed = LabelCounts::of_sets(5, sets.clone()).unwrap();
        assert!(listed.is_balanced());
        assert_eq!(listed.totals(), labels.totals());
        let without_one = LabelCounts::of_sets(5, sets[1..].to_vec()).unwrap();
        assert!(!without_one.is_balanced());
    }

    #[test]
    fn binomials_are_exact_while_they_fit() {
        assert_eq!(binomial(10, 2), 45.0);
        assert_eq!(binomial(52, 5), 2_598_960.0);
        assert_eq!(binomial(10, 0), 1.0);
        assert_eq!(binomial(10_000, 3), 166_616_670_000.0);
        assert_eq!(binomial(10_000, 5_000), f64::INFINITY);
    }

    #[test]
    fn counts_that_make_no_sense_are_refused() {
        let message = |result: Result<LabelCounts>| result.unwrap_err().to_string();
        insta::assert_snapshot!(message(LabelCounts::balanced(1, [(1, 1.0)])), @"expected the number of classes to be at least 2 (with one class every softmax is 1), found 1");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [(5, 1.0)])), @"expected the multiplicity to be at most the number of classes, found 5 labels per sample of 4 classes");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [(1, f64::NAN)])), @"expected the number of samples to be finite and not negative, found NaN for multiplicity 1");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [(1, -1.0)])), @"expected the number of samples to be finite and not negative, found -1 for multiplicity 1");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [(1, 1.0), (1, 2.0)])), @"expected each multiplicity to be given once, found 1 twice");
        insta::assert_snapshot!(message(LabelCounts::balanced(10_000, [(5_000, 1.0)])), @"expected the number of samples to be below 1.8e308; give totals per multiplicity instead of samples per set, found 1 for each set of 5000 among 10000 classes");
        insta::assert_snapshot!(message(LabelCounts::balanced_totals(4, [(1, 1e308), (2, 1e308)])), @"expected the number of samples to be below 1.8e308; give totals per multiplicity instead of samples per set, found a sum beyond 1.8e308");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [(0, 7.0)])), @"expected at least one sample with a label, found 7 samples, all with an empty label set");
        insta::assert_snapshot!(message(LabelCounts::balanced(4, [])), @"expected at least one sample with a label, found 0 samples, all with an empty label set");
        insta::assert_snapshot!(message(LabelCounts::of_sets(4, [(LabelSet::new([4]), 1.0)])), @"expected labels 0 to 3, found 4 in sample 0; check the number of classes");
        insta::assert_snapshot!(message(LabelCounts::of_sets(4, [(LabelSet::new([1]), f64::INFINITY)])), @"expected the number of samples to be finite and not negative, found inf for {1}");
        insta::assert_snapshot!(
            LabelCounts::balanced_totals(10_000, [(5_000, 1.0)]).unwrap().sets().unwrap_err().to_string(),
            @"expected at most 1e8 logits (classes times label sets) to write out, found 10000 classes and inf label sets; only the closed form answers for so many"
        );
    }
}
