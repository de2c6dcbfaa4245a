//! What a value of a headline metric means: four states, and the limits between them.

use std::fmt;

use serde::{Deserialize, Serialize};
use tagwise_base::words::counted;

use super::{CollapseMetric, Goal};

/// How far collapse has come by one metric.
///
/// In JSON `{"state": "collapsed"}` or `{"state": "cannot_be_told", "reason": {…}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CollapseVerdict {
    /// No trace of the collapsed geometry.
    NotCollapsed,
    /// On the way.
    Partly,
    /// Collapsed, as the figures of the literature show it at the end of training.
    Collapsed,
    /// The value does not answer the question.
    CannotBeTold {
        /// Why not.
        reason: Untold,
    },
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Untold {
    /// There is no value.
    NotMeasured,
    /// The value is not a number.
    NotANumber,
    /// The value is infinite.
    Infinite,
    /// The value is negative, which no distance is.
    Negative,
    /// Too few samples share their label set with another for a spread within sets to be seen: a
    /// set that occurs once has the spread 0 whatever the features.
    TooFewRepeats {
        /// Samples n.
        num_samples: u64,
        /// Label sets L; n − L degrees of freedom are left for the spread.
        num_sets: u64,
    },
    /// No simplex ETF of so many vectors exists in so few dimensions.
    NoSimplexEtf {
        /// Vectors.
        num_vectors: usize,
        /// Dimensions d < vectors − 1.
        dim: usize,
    },
    /// Vectors of classes without single-label samples come from the very label sets that NC_m
    /// compares with them, and there are too few of those to contradict them.
    FittedToThemselves {
        /// Classes whose vectors are estimated.
        num_classes: usize,
        /// Label sets that they are estimated from.
        num_sets: usize,
    },
    /// NC_m compares a label set with others; of one alone the quotient is 1 by definition.
    OneLabelSet,
    /// The means differ in some direction no more than the noise in them does, so that nothing is
    /// left of the distance that the spread is compared with.
    MeansWithinNoise,
    /// The value is good, but no better than it would be for features that know nothing of the
    /// labels.
    AsByChance {
        /// About the best value by chance.
        chance: f64,
    },
}

/// What decides beside the value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// What stands in the way of a verdict.
    pub obstacle: Option<Untold>,
    /// About the best value by chance.
    pub chance: Option<f64>,
    /// The value by the published formula; the bias of NC1's only makes it smaller.
    pub published: Option<f64>,
}

/// The distances from the ideal up to which a value counts as collapsed and as on the way.
///
/// These are conventions for reading, not theorems. A value is held against the ideal, which is
/// exact collapse, and against chance, what features that know nothing of the labels would have; a
/// verdict that speaks for collapse needs both.
///
/// | metric | collapsed | partly | share of chance: collapsed | partly |
/// |---|---|---|---|---|
/// | NC1 | 0.05 | 1 | 0.1 | 0.5 |
/// | NC2, NC3 | 0.15 | 0.5 | 0.5 | 0.8 |
/// | NC_m | 0.1 | 0.5 | 0.1 | 0.5 |
///
/// Reasons: NC1 = 1 means a spread as large as the distance between means, and trained networks
/// end well below 0.05. NC2 and NC3 compare matrices of norm 1, which are √2 apart when unrelated;
/// those of the published networks end near 0.1. NC_m is a ratio to chance, which is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Up to here a value counts as collapsed.
    pub collapsed: f64,
    /// Up to here it counts as on the way.
    pub partly: f64,
    /// And must be nearer than this share of chance's distance to count as collapsed,
    pub collapsed_of_chance: f64,
    /// or below this one to count as on the way.
    pub partly_of_chance: f64,
}

impl Thresholds {
    pub(super) const VARIABILITY: Self = Self {
        collapsed: 0.05,
        partly: 1.0,
        collapsed_of_chance: 0.1,
        partly_of_chance: 0.5,
    };
    pub(super) const FRAME: Self = Self {
        collapsed: 0.15,
        partly: 0.5,
        collapsed_of_chance: 0.5,
        partly_of_chance: 0.8,
    };
    pub(super) const AVERAGES: Self = Self {
        collapsed: 0.1,
        partly: 0.5,
        collapsed_of_chance: 0.1,
        partly_of_chance: 0.5,
    };
}

/// What the three states mean for one metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sentences {
    pub(super) collapsed: &'static str,
    pub(super) partly: &'static str,
    pub(super) not_collapsed: &'static str,
}

impl CollapseVerdict {
    /// The verdict on a value.
    ///
    /// A value beyond the limits says so whatever the evidence: label sets that occur once and
    /// noise in the means only make the published NC1 smaller, and a fit only NC_m. Where no
    /// simplex ETF exists nothing is said.
    pub fn on(metric: CollapseMetric, value: Option<f64>, evidence: Evidence) -> Self {
        Self::judge(metric, value, evidence).unwrap_or_else(|reason| Self::CannotBeTold { reason })
    }

    fn judge(
        metric: CollapseMetric,
        value: Option<f64>,
        evidence: Evidence,
    ) -> Result<Self, Untold> {
        let limits = metric.thresholds();
        let from_ideal = |value: f64| match metric.goal() {
            Goal::Lower => value - metric.ideal(),
            Goal::Higher => metric.ideal() - value,
        };
        let measured = measured(value);
        let biased = evidence
            .published
            .filter(|value| value.is_finite() && metric.is_published_smaller());
        let is_far = [measured.ok(), biased]
            .into_iter()
            .flatten()
            .any(|value| from_ideal(value) > limits.partly);
        match evidence.obstacle {
            Some(
                Untold::TooFewRepeats { .. }
                | Untold::FittedToThemselves { .. }
                | Untold::MeansWithinNoise,
            )
            | None
                if is_far =>
            {
                return Ok(Self::NotCollapsed);
            }
            Some(reason) => return Err(reason),
            None => {}
        }
        let distance = from_ideal(measured?);
        let is_below = |share: f64| {
            let chance = evidence.chance.map(from_ideal);
            chance.is_none_or(|chance| distance < share * chance)
        };
        match evidence.chance {
            _ if distance <= limits.collapsed && is_below(limits.collapsed_of_chance) => {
                Ok(Self::Collapsed)
            }
            Some(chance) if !is_below(limits.partly_of_chance) => {
                Err(Untold::AsByChance { chance })
            }
            _ => Ok(Self::Partly),
        }
    }

    /// One or three words.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotCollapsed => "not collapsed",
            Self::Partly => "partly",
            Self::Collapsed => "collapsed",
            Self::CannotBeTold { .. } => "cannot be told",
        }
    }

    /// What it means for a metric, or why it cannot be told.
    pub fn sentence(self, metric: CollapseMetric) -> String {
        let sentences = metric.sentences();
        match self {
            Self::NotCollapsed => sentences.not_collapsed.into(),
            Self::Partly => sentences.partly.into(),
            Self::Collapsed => sentences.collapsed.into(),
            Self::CannotBeTold { reason } => format!("No verdict: {reason}."),
        }
    }
}

/// A value that a verdict can be given on.
fn measured(value: Option<f64>) -> Result<f64, Untold> {
    match value {
        None => Err(Untold::NotMeasured),
        Some(value) if value.is_nan() => Err(Untold::NotANumber),
        Some(value) if value < 0.0 => Err(Untold::Negative),
        Some(value) if value.is_infinite() => Err(Untold::Infinite),
        Some(value) => Ok(value),
    }
}

impl Untold {
    /// The kind of reason, without numbers.
    pub(super) fn in_short(self) -> &'static str {
        match self {
            Self::NotMeasured => "not measured",
            Self::NotANumber => "not a number",
            Self::Infinite => "infinite",
            Self::Negative => "negative",
            Self::TooFewRepeats { .. } => "label sets repeat too seldom to show spread",
            Self::NoSimplexEtf { .. } => "no simplex ETF fits into so few dimensions",
            Self::FittedToThemselves { .. } => {
                "class vectors are fitted to the label sets they are tested on"
            }
            Self::OneLabelSet => "there is one label set only",
            Self::MeansWithinNoise => "the means differ no more than noise in them does",
            Self::AsByChance { .. } => "no better than chance",
        }
    }
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotMeasured => f.write_str("it was not measured"),
            Self::NotANumber => f.write_str("the value is NaN"),
            Self::Infinite => f.write_str("the value is infinite"),
            Self::Negative => f.write_str("the value is negative"),
            Self::TooFewRepeats {
                num_samples,
                num_sets,
            } if num_samples == num_sets => {
                f.write_str("every label set occurs once and shows no spread")
            }
            Self::TooFewRepeats {
                num_samples,
                num_sets,
            } => write!(
                f,
                "{} in {} repeat too few to show spread",
                counted(num_samples as usize, "sample"),
                counted(num_sets as usize, "label set")
            ),
            Self::NoSimplexEtf { num_vectors, dim } => write!(
                f,
                "no simplex ETF of {} exists in {}",
                counted(num_vectors, "vector"),
                counted(dim, "dimension")
            ),
            Self::FittedToThemselves {
                num_classes,
                num_sets,
            } => write!(
                f,
                "vectors of {} are fitted to the {} they are tested on",
                counted(num_classes, "class"),
                counted(num_sets, "label set")
            ),
            Self::MeansWithinNoise => {
                f.write_str("in some direction the means differ no more than noise in them does")
            }
            Self::OneLabelSet => f.write_str("one label set has no others to be compared with"),
            Self::AsByChance { chance: 0.0 } => {
                f.write_str("any such vectors have it exactly, collapsed or not")
            }
            Self::AsByChance { chance } if chance < 0.001 => {
                write!(f, "by chance alone it would be about {chance:.1e}")
            }
            Self::AsByChance { chance } => {
                write!(f, "by chance alone it would be about {chance:.3}")
            }
        }
    }
}
