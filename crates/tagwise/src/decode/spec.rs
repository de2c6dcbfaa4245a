//! Ways to decode, before they are fitted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rules::RuleKind;
use super::settings::{Distance, NearestSettings, Prior, Prototypes};
use crate::loss::Link;

/// A way to decode, before it is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum DecoderSpec {
    /// One-nearest-neighbour decoding of features.
    OneNearestNeighbour {
        /// What is estimated.
        settings: NearestSettings,
    },
    /// A rule on logits.
    Rule {
        /// How labels are chosen.
        kind: RuleKind,
        /// What the logits mean.
        link: Link,
    },
}

impl fmt::Display for DecoderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneNearestNeighbour { settings } => {
                let distance = match settings.distance {
                    Distance::Cosine => "cosine",
                    Distance::Euclidean => "Euclidean",
                    Distance::Mahalanobis => "Mahalanobis",
                };
                let prototypes = match settings.prototypes {
                    Prototypes::TagAverages => "tag averages",
                    Prototypes::LabelSets => "label-set means",
                };
                write!(f, "ONN, {distance}, {prototypes}")?;
                match settings.prior {
                    Prior::None => Ok(()),
                    Prior::Multiplicity => f.write_str(", multiplicity prior"),
                    Prior::LabelSet => f.write_str(", label-set prior"),
                }
            }
            Self::Rule { kind, .. } => f.write_str(match kind {
                RuleKind::Threshold => "threshold",
                RuleKind::LabelThresholds => "threshold per label",
                RuleKind::TopK => "top-k",
                RuleKind::Proportional => "proportional cut",
                RuleKind::LargestGap => "largest gap",
                RuleKind::PredictedMultiplicity => "top-m, m predicted",
                RuleKind::ExpectedF1 => "expected F1",
            }),
        }
    }
}
