//! The probability that softmax gives to the true label set.

use serde::{Deserialize, Serialize};

use super::{check_not_empty, check_scores};
use crate::interrupt::{ALWAYS, GoOn, ask};
use crate::{Result, Targets};

/// Rows between two questions whether to go on.
const BLOCK_LEN: usize = 4096;

/// The probability that softmax gives to the true label set, Σ_{k∈S} p_k, averaged over the
/// samples that carry a label; `None` when there is no such sample.
///
/// The public code of the paper calls it IoU. It is not the Jaccard index of two sets: that is
/// [`SetMeasures::jaccard_samples`](super::SetMeasures::jaccard_samples).
///
/// # Shapes
/// `logits` is row-major `[N, K]`.
///
/// # Errors
/// [`Error::SizeMismatch`](crate::Error::SizeMismatch) when the shapes do not fit, [`Error::NotFinite`](crate::Error::NotFinite) for NaN and infinity.
///
/// ```
/// use tagwise::{LabelSet, Targets};
///
/// let truth = Targets::new(4, [LabelSet::new([0, 2])])?;
/// assert_eq!(tagwise::evaluate::label_mass(&[0.0f32; 4], &truth)?, Some(0.5));
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn label_mass<T: Copy + Into<f64>>(logits: &[T], truth: &Targets) -> Result<Option<f64>> {
    label_mass_while(logits, truth, ALWAYS)
}

/// The same as long as `go_on` continues.
pub(super) fn label_mass_while<T: Copy + Into<f64>>(
    logits: &[T],
    truth: &Targets,
    go_on: GoOn<'_>,
) -> Result<Option<f64>> {
    check_not_empty(truth)?;
    check_scores(logits, truth)?;
    let mut sum = MassSum::default();
    sum.add(logits, truth, go_on)?;
    Ok(sum.mean())
}

/// The sum behind [`label_mass`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MassSum {
    total: f64,
    num_labelled: usize,
}

impl MassSum {
    /// Adds samples whose logits are `[N, K]`; some of them when it is stopped.
    pub(super) fn add<T: Copy + Into<f64>>(
        &mut self,
        logits: &[T],
        truth: &Targets,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let rows = logits.chunks_exact(truth.num_classes().max(1));
        for (sample, (row, set)) in rows.zip(truth.iter()).enumerate() {
            if sample.is_multiple_of(BLOCK_LEN) {
                ask(go_on)?;
            }
            if set.is_empty() {
                continue;
            }
            let largest = row
                .iter()
                .fold(f64::NEG_INFINITY, |max, &z| max.max(z.into()));
            let weight = |z: T| (z.into() - largest).exp();
            let partition: f64 = row.iter().map(|&z| weight(z)).sum();
            let mass: f64 = set.indices().map(|k| weight(row[k])).sum();
            self.total += mass / partition;
            self.num_labelled += 1;
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.num_labelled += other.num_labelled;
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.num_labelled > 0).then(|| self.total / self.num_labelled as f64)
    }
}
