//! Label sets from features and logits, in the ways that the final table compares.

use tagwise::collapse::TagVectors;
use tagwise::decode::threshold::{softmax_threshold, top_multiplicity};
use tagwise::decode::{Metric, OneNearestNeighbour};
use tagwise::evaluate::{Evaluation, SetMeasures};
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Targets};

use crate::summary::{DecoderResult, Knows};
use crate::{Extracted, Result};

/// The decoders of one trained network.
pub(crate) struct Decoders {
    /// Absent while the class means allow none.
    nearest: Option<OneNearestNeighbour>,
    threshold: f64,
}

impl Decoders {
    /// One nearest neighbour over the class means of the training set.
    ///
    /// # Errors
    /// From the mathematics, when the means allow no decoder (all of them zero, for example).
    pub(crate) fn nearest(statistics: &Statistics) -> Result<OneNearestNeighbour> {
        let max_multiplicity = statistics
            .label_sets()
            .map(LabelSet::multiplicity)
            .max()
            .unwrap_or(0);
        let tags = TagVectors::estimate(statistics)?;
        Ok(OneNearestNeighbour::new(
            tags.vectors(),
            max_multiplicity,
            Metric::Cosine,
        )?)
    }

    /// Prepares the decoders from the training set's statistics and the validation set.
    pub(crate) fn new(
        statistics: &Statistics,
        validation: &Extracted,
        truth: &Targets,
    ) -> Result<Self> {
        Ok(Self {
            nearest: Self::nearest(statistics).ok(),
            threshold: best_threshold(validation, truth)?,
        })
    }

    /// Decodes a data set in every way and compares with the truth; the first is what
    /// [`Finished::test_decoded`](crate::Finished) shows.
    pub(crate) fn evaluate(
        &self,
        extracted: &Extracted,
        truth: &Targets,
    ) -> Result<(Vec<DecoderResult>, Targets)> {
        let num_classes = truth.num_classes();
        let multiplicities: Vec<usize> = truth.iter().map(LabelSet::multiplicity).collect();
        let mut decoded = Vec::new();
        if let Some(nearest) = &self.nearest {
            decoded.push((
                "one nearest neighbour",
                format!(
                    "cosine to tag-wise averages of the training means, up to {} labels",
                    nearest.max_multiplicity()
                ),
                Knows::Features,
                nearest.decode(&extracted.features)?.targets,
            ));
        }
        decoded.push((
            "softmax threshold",
            format!("p ≥ {:.2}, chosen on the validation set", self.threshold),
            Knows::Features,
            softmax_threshold(&extracted.logits, num_classes, self.threshold)?,
        ));
        decoded.push((
            "top m, m known",
            "the true number of labels is given".to_string(),
            Knows::Multiplicity,
            top_multiplicity(&extracted.logits, num_classes, &multiplicities)?,
        ));
        let first = decoded[0].3.clone();
        let results = decoded
            .into_iter()
            .map(|(decoder, setting, knows, predicted)| {
                Ok(DecoderResult {
                    decoder: decoder.to_string(),
                    setting,
                    knows,
                    evaluation: Evaluation::with_logits(&predicted, &extracted.logits, truth)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok((results, first))
    }
}

/// The threshold with the best subset accuracy on the validation set, from 0.01 to 0.60; of
/// several equally good ones the middle of the longest unbroken run, where it is safest.
fn best_threshold(validation: &Extracted, truth: &Targets) -> Result<f64> {
    let mut accuracies = Vec::new();
    for percent in 1..=60 {
        let threshold = f64::from(percent) / 100.0;
        let predicted = softmax_threshold(&validation.logits, truth.num_classes(), threshold)?;
        accuracies.push((
            threshold,
            SetMeasures::new(&predicted, truth)?.subset_accuracy,
        ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_lies_in_the_middle_of_the_best_ones() {
        // Probabilities 0.54 and 0.46 of a pair, 0.9 and 0.1 of a single label: every threshold
        // above 0.10 and up to 0.46 decodes both, 0.28 or 0.29 is in the middle.
        let validation = Extracted {
            features: vec![],
            logits: vec![(0.54f32 / 0.46).ln(), 0.0, 9f32.ln(), 0.0],
        };
        let truth = Targets::new(2, [LabelSet::new([0, 1]), LabelSet::new([0])]).unwrap();
        let threshold = best_threshold(&validation, &truth).unwrap();
        assert!((0.275..0.295).contains(&threshold), "{threshold}");
    }
}
