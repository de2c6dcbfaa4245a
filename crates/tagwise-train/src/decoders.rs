//! Label sets from features and logits, in the ways that the final table compares.

use tagwise::collapse::TagVectors;
use tagwise::decode::threshold::{best_softmax_threshold, softmax_threshold, top_multiplicity};
use tagwise::decode::{EmptyMatch, OneNearestNeighbour, SetDecoder, SetRule, SetSettings};
use tagwise::evaluate::Evaluation;
use tagwise::head::HeadPotentials;
use tagwise::statistics::Statistics;
use tagwise::words::counted;
use tagwise::{LabelSet, Targets};

use crate::summary::{DecoderResult, Knows};
use crate::{Extracted, Result};

/// The decoders of one trained network.
pub(crate) struct Decoders {
    /// Absent while the class means allow none.
    nearest: Option<OneNearestNeighbour>,
    /// Of a network trained with the set likelihood.
    potentials: Option<HeadPotentials>,
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
        Ok(OneNearestNeighbour::by_cosine(
            tags.vectors(),
            max_multiplicity,
        )?)
    }

    /// Prepares the decoders from the training set's statistics and the validation set.
    pub(crate) fn new(
        statistics: &Statistics,
        validation: &Extracted,
        truth: &Targets,
        potentials: Option<HeadPotentials>,
    ) -> Result<Self> {
        Ok(Self {
            nearest: Self::nearest(statistics).ok(),
            potentials,
            threshold: best_softmax_threshold(&validation.logits, truth)?,
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
        if let Some(potentials) = &self.potentials {
            let outputs = potentials.outputs(&extracted.logits, &extracted.features)?;
            let outputs: Vec<f64> = outputs.into_iter().map(f64::from).collect();
            let empty_match = EmptyMatch::One;
            for (decoder, setting, rule) in [
                (
                    "most probable set",
                    "by the learned potentials; nothing is tuned",
                    SetRule::MostProbable,
                ),
                (
                    "largest expected F1",
                    "by the learned potentials; nothing is tuned, a right empty set counts 1",
                    SetRule::ExpectedF1 { empty_match },
                ),
            ] {
                let settings = SetSettings {
                    rule,
                    ..SetSettings::default()
                };
                let potentials = potentials.clone();
                let rule = SetDecoder {
                    potentials,
                    settings,
                };
                let found = rule.decode(&outputs)?.targets;
                decoded.push((decoder, setting.to_string(), Knows::Features, found));
            }
        }
        if let Some(nearest) = &self.nearest {
            decoded.push((
                "one nearest neighbour",
                format!(
                    "cosine to tag-wise averages of the training means, up to {}",
                    counted(nearest.max_multiplicity(), "label")
                ),
                Knows::Features,
                nearest.decode(&extracted.features)?.targets,
            ));
        }
        decoded.push((
            "softmax threshold",
            format!(
                "p ≥ {:.2}, chosen on the validation set, and the top label where none reaches it",
                self.threshold
            ),
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
