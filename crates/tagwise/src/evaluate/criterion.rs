//! One number to choose by.

use serde::{Deserialize, Serialize};

use super::SetMeasures;

/// The measure that a choice on validation data maximises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// The share of samples whose set is exactly right.
    #[default]
    SubsetAccuracy,
    /// The share of right entries, 1 − Hamming loss.
    HammingAccuracy,
    /// The Jaccard index, mean over samples.
    JaccardSamples,
    /// F1, mean over samples.
    F1Samples,
    /// F1 of the pooled counts.
    F1Micro,
    /// F1, mean over labels.
    F1Macro,
}

impl Criterion {
    /// What it is called in text.
    pub fn title(self) -> &'static str {
        match self {
            Self::SubsetAccuracy => "exact match",
            Self::HammingAccuracy => "Hamming accuracy",
            Self::JaccardSamples => "Jaccard index of samples",
            Self::F1Samples => "F1 of samples",
            Self::F1Micro => "micro F1",
            Self::F1Macro => "macro F1",
        }
    }

    /// The value of the criterion, larger for better predictions.
    pub fn value(self, measures: &SetMeasures) -> f64 {
        match self {
            Self::SubsetAccuracy => measures.subset_accuracy,
            Self::HammingAccuracy => 1.0 - measures.hamming_loss,
            Self::JaccardSamples => measures.jaccard_samples,
            Self::F1Samples => measures.f1_samples,
            Self::F1Micro => measures.f1_micro,
            Self::F1Macro => measures.f1_macro,
        }
    }
}
