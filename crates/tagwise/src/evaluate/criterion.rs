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
    /// F1, mean over samples; 0 where neither the truth nor the answer has a label.
    F1Samples,
    /// F1, mean over samples; 1 where neither the truth nor the answer has a label.
    #[serde(rename = "f1-samples-empty-1")]
    F1SamplesEmpty1,
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
            Self::F1SamplesEmpty1 => "F1 of samples with empty matches as 1",
            Self::F1Micro => "micro F1",
            Self::F1Macro => "macro F1",
        }
    }

    /// What breaks a tie at 0, where the criterion tells nothing apart.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::F1Samples | Self::F1SamplesEmpty1 => Self::F1Micro,
            _ => Self::F1Samples,
        }
    }

    /// The value, and behind it that of another measure where the value is 0: what is larger by this
    /// is better.
    pub(crate) fn rank(self, measures: &SetMeasures) -> (f64, f64) {
        let value = self.value(measures);
        match value > 0.0 {
            true => (value, 0.0),
            false => (value, self.next().value(measures)),
        }
    }

    /// The value of the criterion, larger for better predictions.
    pub fn value(self, measures: &SetMeasures) -> f64 {
        match self {
            Self::SubsetAccuracy => measures.subset_accuracy,
            Self::HammingAccuracy => 1.0 - measures.hamming_loss,
            Self::JaccardSamples => measures.jaccard_samples,
            Self::F1Samples => measures.f1_samples,
            Self::F1SamplesEmpty1 => measures.f1_samples + measures.empty_matches,
            Self::F1Micro => measures.f1_micro,
            Self::F1Macro => measures.f1_macro,
        }
    }
}
