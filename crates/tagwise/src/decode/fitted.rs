//! The whole way from features to label sets: tuned, chosen, saved.

use super::choice::Decoder;
use super::record::{Space, Tuning};
use super::rules::LogitDecoder;
use super::spec::DecoderSpec;
use super::values::TunedValues;
use crate::names::LabelNames;
use crate::{Error, LinearClassifier, Result};

/// A decoder with all that it needs to turn features into label sets, without the samples that it
/// comes from: prototypes and metric or tuned thresholds, the classifier whose logits it reads,
/// what the labels are called and what it was tuned for.
///
/// [`fit`](Self::fit) makes one, [`to_bytes`](Self::to_bytes) and [`write`](Self::write) keep it.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise::decode::{DecoderInputs, DecoderSettings, FittedDecoder};
/// use tagwise::head::{DenseRows, Features, LabelledFeatures};
/// use tagwise::{LabelSet, Targets};
///
/// let features = Features::Dense(DenseRows::new(vec![1.0, 0.1, 0.0, 1.0, 0.8, 0.9], 2)?);
/// let targets = Targets::new(2, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new))?;
/// let inputs = DecoderInputs {
///     training: Some(LabelledFeatures::new(&features, &targets)?),
///     ..DecoderInputs::default()
/// };
/// let go_on = |_: &_| ControlFlow::Continue(());
/// let decoder = FittedDecoder::fit(&inputs, &DecoderSettings::default(), go_on)?;
/// let decoder = FittedDecoder::from_bytes(&decoder.to_bytes()?)?;
/// let new = Features::Dense(DenseRows::new(vec![0.5, 0.5], 2)?);
/// let answers = decoder.answers(&new, |_| ControlFlow::Continue(()))?;
/// assert_eq!(answers.decoded().targets.set(0).labels(), [0, 1]);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FittedDecoder {
    pub(super) spec: DecoderSpec,
    pub(super) decoder: Decoder,
    pub(super) space: Space,
    pub(super) num_classes: usize,
    pub(super) dim: usize,
    /// Where the decoder reads logits.
    pub(super) classifier: Option<LinearClassifier>,
    pub(super) names: LabelNames,
    pub(super) tuning: Option<Tuning>,
}

impl FittedDecoder {
    /// Says what the labels are called.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] unless there is a name for each class, or none at all.
    pub fn with_names(mut self, names: LabelNames) -> Result<Self> {
        match names.as_slice() {
            Some(list) if list.len() != self.num_classes => Err(Error::SizeMismatch {
                what: "label names, one for each class",
                expected: self.num_classes,
                found: list.len(),
            }),
            _ => {
                self.names = names;
                Ok(self)
            }
        }
    }

    /// Which decoder it is.
    pub fn spec(&self) -> &DecoderSpec {
        &self.spec
    }

    /// What distances are measured between, or that logits are made from.
    pub fn space(&self) -> Space {
        self.space
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Feature dimension d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The classifier whose logits it reads, if it does.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        self.classifier.as_ref()
    }

    /// The map from features to what the decoder reads: the classifier, with potentials that are
    /// linear in the features behind its logits.
    pub(super) fn outputs(&self) -> Result<Option<LinearClassifier>> {
        match (&self.decoder, &self.classifier) {
            (Decoder::Sets(sets), Some(classifier)) => {
                sets.potentials.outputs_of(classifier).map(Some)
            }
            (_, classifier) => Ok(classifier.clone()),
        }
    }

    /// What the labels are called.
    pub fn names(&self) -> &LabelNames {
        &self.names
    }

    /// What it was tuned for, if it was tuned.
    pub fn tuning(&self) -> Option<&Tuning> {
        self.tuning.as_ref()
    }

    /// The numbers that fitting found.
    pub fn values(&self) -> TunedValues {
        match &self.decoder {
            Decoder::Logits(LogitDecoder {
                rule, empty_rule, ..
            }) => TunedValues::Rule {
                rule: rule.clone(),
                empty_rule: *empty_rule,
            },
            Decoder::OneNearestNeighbour(decoder) => decoder.values(),
            Decoder::Sets(decoder) => TunedValues::Sets {
                num_label_sets: decoder.potentials.shared.seen_sets().len(),
                multiplicity_potentials: decoder.potentials.shared.multiplicities().to_vec(),
                are_linear: decoder.potentials.weight.is_some(),
            },
        }
    }
}

/// Why a decoder of logits cannot be had.
pub(super) fn no_classifier() -> Error {
    Error::Missing {
        what: "a classifier",
        purpose: "decoding logits",
    }
}
