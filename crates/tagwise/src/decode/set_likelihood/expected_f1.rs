//! The label set of largest expected F1.

use super::EmptyMatch;
use crate::LabelSet;
use crate::decode::pick::top;
use crate::loss::set_likelihood::SetDistribution;

/// An answer with the F1 to expect of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedF1 {
    /// The labels.
    pub labels: LabelSet,
    /// E F1(S, answer) under the distribution.
    pub value: f64,
}

/// The label set of largest expected F1 among all, exactly.
///
/// E F1 of an answer A of l labels is Σ_{k∈A} Σ_s 2·P(k ∈ S, |S| = s)/(s + l), so the best of l
/// labels are those with the l largest sums. Every label of an answer counts, so larger answers
/// than Σ_s P(s)·2s/(s + l) allows are not tried.
///
/// Source: Waegeman et al. 2014, "On the Bayes-optimality of F-measure maximizers" (GFM).
///
/// ```
/// use tagwise::decode::{EmptyMatch, best_expected_f1};
/// use tagwise::loss::set_likelihood::SetPotentials;
///
/// // Exactly one of two labels, either as likely: naming both has F1 2/3, naming one 1/2.
/// let potentials = SetPotentials::new(2, vec![-1e3, 0.0])?;
/// let outputs = [0.0, 0.0];
/// let best = best_expected_f1(&mut potentials.distribution(&outputs)?, EmptyMatch::One);
/// assert_eq!(best.labels.labels(), [0, 1]);
/// assert!((best.value - 2.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn best_expected_f1(
    distribution: &mut SetDistribution<'_>,
    empty_match: EmptyMatch,
) -> ExpectedF1 {
    let joint = distribution.joint(); // [K, M]
    let shares = distribution.multiplicities();
    let most = shares.len() - 1;
    let num_classes = distribution.inclusion().len();
    let mut best = ExpectedF1 {
        labels: LabelSet::default(),
        value: empty_match.value() * shares[0],
    };
    let mut sums = vec![0.0; num_classes];
    let mut scratch = Vec::new();
    for size in 1..=num_classes {
        let factor = |s: usize| 2.0 / (s + size) as f64;
        let bound: f64 = (1..=most).map(|s| shares[s] * s as f64 * factor(s)).sum();
        if bound <= best.value {
            break;
        }
        for (sum, joint) in sums.iter_mut().zip(joint.chunks_exact(most.max(1))) {
            *sum = (1..).zip(joint).map(|(s, p)| p * factor(s)).sum();
        }
        let labels = top(&sums, size, &mut scratch);
        let value = labels.indices().map(|label| sums[label]).sum();
        if value > best.value {
            best = ExpectedF1 { labels, value };
        }
    }
    best
}
