//! What can be chosen on the command line, as the library has it.

use clap::ValueEnum;
use tagwise::decode::{
    DecoderKind, DecoderSettings, Distance, EmptySet, Link, NearestSettings, Prior, Prototypes,
    RuleKind, Scales, Space,
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
    F1Micro,
    F1Macro,
}

impl Name {
    /// The rule on logits, for the names that mean one.
    fn rule(self) -> Option<RuleKind> {
        match self {
            Self::Auto | Self::Onn => None,
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
    /// What the library is asked for.
    pub fn settings(&self) -> DecoderSettings {
        let kind = match (self.decoder.rule(), self.decoder) {
            (Some(rule), _) => DecoderKind::Rule(rule),
            (None, Name::Auto) => DecoderKind::Auto {
                max_nodes: self.max_nodes,
            },
            (None, _) => DecoderKind::Nearest(self.nearest()),
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

    fn nearest(&self) -> NearestSettings {
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
            empty_set: self.empty_set,
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
            CriterionName::F1Micro => Criterion::F1Micro,
            CriterionName::F1Macro => Criterion::F1Macro,
        }
    }
}
