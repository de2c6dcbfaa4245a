//! Ways to decode, before they are fitted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rules::RuleKind;
use super::set_likelihood::{SetRule, SetSettings};
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
    /// A distribution over label sets.
    SetLikelihood {
        /// Which set answers, and what is said about it.
        settings: SetSettings,
    },
}

impl DecoderSpec {
    /// Whether both are the same way to decode, however far their searches may go.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::OneNearestNeighbour { settings },
                Self::OneNearestNeighbour { settings: other },
            ) => {
                let other = NearestSettings {
                    max_nodes: settings.max_nodes,
                    ..*other
                };
                *settings == other
            }
            _ => self == other,
        }
    }
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
            Self::SetLikelihood { settings } => f.write_str(match settings.rule {
                SetRule::MostProbable => "most probable set",
                SetRule::ExpectedF1 { .. } => "expected F1 of sets",
            }),
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
