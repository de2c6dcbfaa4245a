//! What can be chosen on the command line, as the library has it.

use clap::ValueEnum;
use tagwise::Targets;
use tagwise::decode::{
    DecoderKind, DecoderSettings, Distance, EmptyMatch, EmptySet, Link, NearestSettings, Prior,
    Prototypes, RuleKind, Scales, SetRule, SetSettings, Space,
};
use tagwise::evaluate::Criterion;

use super::Arguments;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    Auto,
    Onn,
    Threshold,
    LabelThresholds,
    TopK,
    Proportional,
    LargestGap,
    PredictedMultiplicity,
    ExpectedF1,
    MostProbable,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DistanceName {
    Cosine,
    Euclidean,
    Mahalanobis,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Means {
    TagAverages,
    LabelSets,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PriorName {
    None,
    Multiplicity,
    LabelSet,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LinkName {
    Softmax,
    Sigmoid,
}

impl LinkName {
    fn link(self) -> Link {
        match self {
            Self::Softmax => Link::Softmax,
            Self::Sigmoid => Link::Sigmoid,
        }
    }
}

/// Where one-nearest-neighbour decoding measures distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// The features as given
    Features,
    /// The logits of the classifier, less their mean in each sample
    Logits,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CriterionName {
    SubsetAccuracy,
    HammingAccuracy,
    JaccardSamples,
    F1Samples,
    /// As f1-samples, with 1 where neither the truth nor the answer has a label
    #[value(name = "f1-samples-empty-1")]
    F1SamplesEmpty1,
    F1Micro,
    F1Macro,
}

/// What F1 is where neither the truth nor the answer has a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmptyMatchName {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
}

impl EmptyMatchName {
    pub fn empty_match(self) -> EmptyMatch {
        match self {
            Self::Zero => EmptyMatch::Zero,
            Self::One => EmptyMatch::One,
        }
    }
}

/// Reads `--abstain-below`.
pub fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err(format!(
            "expected a probability from 0 to 1, found {text:?}"
        )),
    }
}

impl Name {
    /// The rule on logits, for the names that mean one.
    fn rule(self) -> Option<RuleKind> {
        match self {
            Self::Auto | Self::Onn | Self::MostProbable => None,
            Self::Threshold => Some(RuleKind::Threshold),
            Self::LabelThresholds => Some(RuleKind::LabelThresholds),
            Self::TopK => Some(RuleKind::TopK),
            Self::Proportional => Some(RuleKind::Proportional),
            Self::LargestGap => Some(RuleKind::LargestGap),
            Self::PredictedMultiplicity => Some(RuleKind::PredictedMultiplicity),
            Self::ExpectedF1 => Some(RuleKind::ExpectedF1),
        }
    }
}

/// Reads `--empty-set`.
pub fn empty_set(text: &str) -> Result<EmptySet, String> {
    match text {
        "never" => Ok(EmptySet::Never),
        "measured" => Ok(EmptySet::Measured),
        _ => match text.parse::<f64>() {
            Ok(score) if score.is_finite() => Ok(EmptySet::Below(score)),
            _ => Err(format!(
                "expected never, measured or a score, found {text:?}"
            )),
        },
    }
}

/// Reads `--scales`.
pub fn scales(text: &str) -> Result<Scales, String> {
    match text {
        "measured" => Ok(Scales::Measured),
        "ufm" => Ok(Scales::Ufm),
        _ => {
            let numbers = text.split(',').map(|number| number.trim().parse::<f64>());
            let numbers: Result<Vec<f64>, _> = numbers.collect();
            numbers.map(Scales::Given).map_err(|_| {
                format!("expected measured, ufm, or numbers such as 1,0.7,0.58, found {text:?}")
            })
        }
    }
}

impl Arguments {
    /// What the library is asked for, with this head and these training samples.
    pub fn settings(&self, has_potentials: bool, training: Option<&Targets>) -> DecoderSettings {
        let otherwise = if has_potentials {
            Name::MostProbable
        } else {
            Name::Onn
        };
        let name = self.decoder.unwrap_or(otherwise);
        let kind = match (name, name.rule()) {
            (Name::ExpectedF1, _) if has_potentials => {
                DecoderKind::SetLikelihood(self.sets(SetRule::ExpectedF1 {
                    empty_match: self.empty_match.empty_match(),
                }))
            }
            (Name::MostProbable, _) => DecoderKind::SetLikelihood(self.sets(SetRule::MostProbable)),
            (_, Some(rule)) => DecoderKind::Rule(rule),
            (Name::Auto, None) => DecoderKind::Auto {
                max_nodes: self.max_nodes,
            },
            (_, None) => DecoderKind::Nearest(self.nearest(training)),
        };
        DecoderSettings {
            kind,
            scales: self.scales.clone(),
            space: match self.space {
                SpaceName::Features => Space::Features,
                SpaceName::Logits => Space::Logits,
            },
            link: self.link.map(LinkName::link),
            criterion: self.criterion(),
        }
    }

    fn sets(&self, rule: SetRule) -> SetSettings {
        SetSettings {
            rule,
            num_listed: self.list,
            abstain_below: self.abstain_below,
        }
    }

    fn nearest(&self, training: Option<&Targets>) -> NearestSettings {
        NearestSettings {
            distance: match self.distance {
                DistanceName::Cosine => Distance::Cosine,
                DistanceName::Euclidean => Distance::Euclidean,
                DistanceName::Mahalanobis => Distance::Mahalanobis,
            },
            prototypes: match self.means {
                Means::TagAverages => Prototypes::TagAverages,
                Means::LabelSets => Prototypes::LabelSets,
            },
            prior: match self.prior {
                PriorName::None => Prior::None,
                PriorName::Multiplicity => Prior::Multiplicity,
                PriorName::LabelSet => Prior::LabelSet,
            },
            empty_set: self
                .empty_set
                .or(training.map(EmptySet::suiting))
                .unwrap_or_default(),
            max_multiplicity: self.max_multiplicity,
            max_nodes: self.max_nodes,
        }
    }

    fn criterion(&self) -> Criterion {
        match self.criterion {
            CriterionName::SubsetAccuracy => Criterion::SubsetAccuracy,
            CriterionName::HammingAccuracy => Criterion::HammingAccuracy,
            CriterionName::JaccardSamples => Criterion::JaccardSamples,
            CriterionName::F1Samples => Criterion::F1Samples,
            CriterionName::F1SamplesEmpty1 => Criterion::F1SamplesEmpty1,
            CriterionName::F1Micro => Criterion::F1Micro,
            CriterionName::F1Macro => Criterion::F1Macro,
        }
    }
}
