//! Label sets from logits: thresholds and the largest entries of each row.

use rayon::prelude::*;

use super::checked_rows;
use super::pick::{labels_where, top};
use crate::evaluate::SetMeasures;
use crate::{Error, LabelSet, Result, Targets};

/// The labels whose softmax probability is at least `threshold`; where no label reaches it, the
/// most probable one alone.
///
/// Networks trained with the pick-all-labels loss spread their probability evenly over the m
/// labels of a sample, so a fixed threshold must lie below 1/M to find the largest sets.
///
/// # Shapes
/// `logits` is row-major `[N, K]`.
///
/// # Errors
/// [`Error::OutOfRange`] unless 0 < threshold ≤ 1, [`Error::SizeMismatch`] when the slice is not a
/// whole number of rows, [`Error::NotFinite`] for NaN and infinity.
///
/// ```
/// let logits = [5.0f32, 4.9, -3.0, 0.0, 0.1, 8.0];
/// let targets = tagwise::decode::threshold::softmax_threshold(&logits, 3, 0.3)?;
/// assert_eq!(targets.set(0).labels(), [0, 1]);
/// assert_eq!(targets.set(1).labels(), [2]);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn softmax_threshold<T: Copy + Into<f64> + Sync>(
    logits: &[T],
    num_classes: usize,
    threshold: f64,
) -> Result<Targets> {
    if !(threshold > 0.0 && threshold <= 1.0) {
        return Err(Error::OutOfRange {
            name: "the softmax threshold",
            requirement: "greater than 0 and at most 1",
            found: threshold.to_string(),
        });
    }
    checked_rows(logits, num_classes, "columns of logits")?;
    let sets: Vec<LabelSet> = logits
        .par_chunks(num_classes)
        .map(|row| {
            let largest = row
                .iter()
                .fold(f64::NEG_INFINITY, |max, &z| max.max(z.into()));
            let partition: f64 = row.iter().map(|&z| (z.into() - largest).exp()).sum();
            // p_k ≥ threshold; the largest logit always passes the second test.
            let cut = (threshold * partition).ln().min(0.0);
            labels_where(row, |_, z| z - largest >= cut)
        })
        .collect();
    Targets::new(num_classes, sets)
}

/// The threshold of [`softmax_threshold`] with the best subset accuracy, from 0.01 to 0.60 in steps
/// of 0.01; of several equally good ones the middle of the longest unbroken run, where it is
/// safest.
///
/// [`LogitDecoder::fit`](super::LogitDecoder::fit) finds the best of *all* cut-offs for any
/// criterion; this one stays a round number that a table can show.
///
/// # Shapes
/// `logits` is row-major `[N, K]`.
///
/// # Errors
/// [`Error::SizeMismatch`] when the shapes do not fit, [`Error::NotFinite`] for NaN and infinity,
/// [`Error::Undefined`] without a sample.
///
/// ```
/// use tagwise::decode::threshold::best_softmax_threshold;
/// use tagwise::{LabelSet, Targets};
///
/// // Probabilities 0.54 and 0.46 of a pair, 0.9 and 0.1 of a single label: every threshold above
/// // 0.10 and up to 0.46 decodes both, 0.28 or 0.29 is in the middle.
/// let logits = [(0.54f32 / 0.46).ln(), 0.0, 9f32.ln(), 0.0];
/// let truth = Targets::new(2, [LabelSet::new([0, 1]), LabelSet::new([0])])?;
/// let threshold = best_softmax_threshold(&logits, &truth)?;
/// assert!((0.275..0.295).contains(&threshold));
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn best_softmax_threshold<T: Copy + Into<f64> + Sync>(
    logits: &[T],
    truth: &Targets,
) -> Result<f64> {
    let mut accuracies = Vec::new();
    for percent in 1..=60 {
        let threshold = f64::from(percent) / 100.0;
        let predicted = softmax_threshold(logits, truth.num_classes(), threshold)?;
        let measures = SetMeasures::new(&predicted, truth)?;
        accuracies.push((threshold, measures.subset_accuracy));
    }
    let best = accuracies
        .iter()
        .fold(f64::NEG_INFINITY, |best, &(_, accuracy)| best.max(accuracy));
    let runs = accuracies
        .chunk_by(|a, b| a.1 == b.1)
        .filter(|run| run[0].1 == best);
    // `max_by_key` takes the last of equally long runs; reversed, that is the first.
    let longest = runs
        .rev()
        .max_by_key(|run| run.len())
        .unwrap_or(&accuracies);
    Ok(longest[longest.len() / 2].0)
}

/// The m labels of largest logit of each sample, with m given for each sample (top-m).
///
/// With the true multiplicities this says how well the logits rank the labels, apart from how many
/// there are. Ties go to the smaller label.
///
/// # Shapes
/// `logits` is row-major `[N, K]`; `multiplicities` holds N numbers from 0 to K.
///
/// # Errors
/// [`Error::SizeMismatch`] when the shapes do not fit, [`Error::OutOfRange`] for a multiplicity
/// above K, [`Error::NotFinite`] for NaN and infinity.
///
/// ```
/// let logits = [0.3, 0.1, 0.2, 3.0, 2.0, 1.0];
/// let targets = tagwise::decode::threshold::top_multiplicity(&logits, 3, &[2, 1])?;
/// assert_eq!(targets.set(0).labels(), [0, 2]);
/// assert_eq!(targets.set(1).labels(), [0]);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn top_multiplicity<T: Copy + Into<f64> + Sync>(
    logits: &[T],
    num_classes: usize,
    multiplicities: &[usize],
) -> Result<Targets> {
    let num_samples = checked_rows(logits, num_classes, "columns of logits")?;
    if multiplicities.len() != num_samples {
        return Err(Error::SizeMismatch {
            what: "multiplicities, one for each row of logits",
            expected: num_samples,
            found: multiplicities.len(),
        });
    }
    if let Some(m) = multiplicities.iter().find(|&&m| m > num_classes) {
        return Err(Error::OutOfRange {
            name: "a multiplicity",
            requirement: "at most the number of classes",
            found: format!("{m} with {num_classes} classes"),
        });
    }
    let sets: Vec<LabelSet> = logits
        .par_chunks(num_classes)
        .zip(multiplicities)
        .map_init(Vec::new, |scratch, (row, &m)| top(row, m, scratch))
        .collect();
    Targets::new(num_classes, sets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_threshold_that_no_label_reaches_leaves_the_most_probable() {
        let targets = softmax_threshold(&[0.0, 0.1, 0.0, 0.05], 4, 0.9).unwrap();
        assert_eq!(targets.set(0).labels(), [1]);
    }

    #[test]
    fn extreme_logits_decode_without_overflow() {
        let targets = softmax_threshold(&[1e4, 1e4, -1e4], 3, 0.5).unwrap();
        assert_eq!(targets.set(0).labels(), [0, 1]);
    }

    #[test]
    fn minus_zero_and_zero_tie() {
        let targets = top_multiplicity(&[-0.0, 0.0, -1.0], 3, &[1]).unwrap();
        assert_eq!(targets.set(0).labels(), [0]);
    }

    #[test]
    fn bad_shapes_and_numbers_are_refused() {
        let threshold = |logits: &[f64], k, t| softmax_threshold(logits, k, t).unwrap_err();
        insta::assert_snapshot!(threshold(&[0.0; 5], 3, 0.5), @"expected 3 columns of logits, found 2");
        insta::assert_snapshot!(threshold(&[0.0, f64::NAN], 2, 0.5), @"expected finite numbers, found NaN in columns of logits at row 0, column 1");
        insta::assert_snapshot!(threshold(&[0.0; 2], 2, 0.0), @"expected the softmax threshold greater than 0 and at most 1, found 0");
        let top =
            |multiplicities: &[usize]| top_multiplicity(&[0.0; 4], 2, multiplicities).unwrap_err();
        insta::assert_snapshot!(top(&[1]), @"expected 2 multiplicities, one for each row of logits, found 1");
        insta::assert_snapshot!(top(&[1, 3]), @"expected a multiplicity at most the number of classes, found 3 with 2 classes");
    }

    proptest! {
        #[test]
        fn top_labels_are_at_least_as_large_as_all_others(row in prop::collection::vec(-2i8..2, 1..9), m in 0usize..9) {
            let m = m.min(row.len());
            let logits: Vec<f32> = row.iter().map(|&z| z.into()).collect();
            let targets = top_multiplicity(&logits, row.len(), &[m]).unwrap();
            let set = targets.set(0);
            prop_assert_eq!(set.multiplicity(), m);
            let weakest = set.indices().map(|k| row[k]).min();
            for label in 0..row.len() {
                prop_assert!(set.contains(label as u32) || m == 0 || Some(row[label]) <= weakest);
            }
        }

        #[test]
        fn softmax_threshold_keeps_what_reaches_it(logits in prop::collection::vec(-5.0..5.0f64, 1..9), threshold in 0.01..1.0f64) {
            let targets = softmax_threshold(&logits, logits.len(), threshold).unwrap();
            let partition: f64 = logits.iter().map(|z| z.exp()).sum();
            let probability = |k: usize| logits[k].exp() / partition;
            let largest = (0..logits.len()).map(probability).fold(0.0, f64::max);
            for k in 0..logits.len() {
                // At the threshold itself rounding decides.
                prop_assume!((probability(k) - threshold).abs() > 1e-12);
                let expected = probability(k) >= threshold.min(largest);
                prop_assert_eq!(targets.set(0).contains(k as u32), expected);
            }
        }
    }
}
