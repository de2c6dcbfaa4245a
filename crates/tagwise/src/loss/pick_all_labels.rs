//! The loss of the paper.

use serde::{Deserialize, Serialize};

use crate::LabelSet;

/// How the m terms of a sample's pick-all-labels loss are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Their sum: the loss of the paper (PAL), for which a sample counts m-fold.
    #[default]
    Sum,
    /// Their mean: PAL-N, cross-entropy against the targets 1/m, for which a sample counts once.
    Mean,
}

/// The pick-all-labels cross-entropy of one sample, Σ_{k∈S} −log p_k with p = softmax(z), or the
/// same divided by m = |S|.
///
/// Its gradient is m·p − 1_S (divided by m likewise). The loss of an empty label set is 0 with
/// gradient 0: there is no label to pick.
///
/// Source: Li et al. 2024 (arXiv 2310.15903), equation 2; the mean is what the authors' public
/// code trains on synthetic data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PickAllLabels {
    /// Sum (PAL) or mean (PAL-N) over the labels of the sample.
    #[serde(default)]
    pub weighting: Weighting,
}

impl PickAllLabels {
    /// The weight α of a sample of this multiplicity: 1 for the sum, 1/m for the mean, 0 for an
    /// empty set.
    pub fn sample_weight(self, multiplicity: usize) -> f64 {
        match (self.weighting, multiplicity) {
            (_, 0) => 0.0,
            (Weighting::Sum, _) => 1.0,
            (Weighting::Mean, m) => 1.0 / m as f64,
        }
    }

    pub(super) fn value_and_gradient(
        self,
        logits: &[f64],
        targets: &LabelSet,
        gradient: &mut [f64],
    ) -> f64 {
        let multiplicity = targets.multiplicity();
        if multiplicity == 0 {
            gradient.fill(0.0);
            return 0.0;
        }
        let weight = self.sample_weight(multiplicity);
        let top = argmax(logits);
        let mut rest = 0.0; // Σ exp(z − max) without the largest term: keeps tiny losses exact
        for (k, (&logit, g)) in logits.iter().zip(gradient.iter_mut()).enumerate() {
            *g = (logit - logits[top]).exp();
            if k != top {
                rest += *g;
            }
        }
        let scale = weight * multiplicity as f64 / (1.0 + rest);
        gradient.iter_mut().for_each(|g| *g *= scale);
        let log_partition = rest.ln_1p();
        let mut value = 0.0;
        for label in targets.indices() {
            value += (logits[top] - logits[label]) + log_partition;
            gradient[label] -= weight;
        }
        weight * value
    }
}

/// Position of the first largest entry; 0 when there is none or all are NaN.
pub(super) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
