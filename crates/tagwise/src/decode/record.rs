//! What is kept of how a decoder was found.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::choice::Candidate;
use super::spec::DecoderSpec;
use crate::evaluate::Criterion;

/// What one-nearest-neighbour decoding measures distances between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// The features as given.
    #[default]
    Features,
    /// The logits of the classifier, less their mean in each sample.
    Logits,
}

/// Which samples a decoder was tuned or compared on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunedOn {
    /// Samples given for that.
    Validation,
    /// The part of the training samples that the head did not see while its weight decay was
    /// chosen.
    HeldOutByHead,
    /// A fifth of the training samples, of which nothing is known.
    FifthOfTraining,
}

impl fmt::Display for TunedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validation => "the validation samples",
            Self::HeldOutByHead => "the samples that the head's fit held out",
            Self::FifthOfTraining => "a fifth of the training samples",
        })
    }
}

/// Something that whoever reads the answers should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TuningWarning {
    /// The classifier may have been fitted to the samples that the decoder was tuned on, where it
    /// looks better than it is.
    ClassifierMayHaveSeenSamples,
}

/// What a decoder was tuned for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Which samples.
    pub samples: TunedOn,
    /// How many.
    pub num_samples: usize,
    /// What was maximised.
    pub criterion: Criterion,
    /// All decoders that were compared, the simplest first; none when one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// What to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<TuningWarning>,
}

impl Tuning {
    /// One sentence about a choice: which decoder was taken, by how much it is ahead of the best of
    /// the other kind, on what, and what that costs by other criteria. `None` when nothing was
    /// compared.
    pub fn reason(&self, chosen: &DecoderSpec) -> Option<String> {
        let best = self.candidates.iter().find(|c| c.spec.is_same(chosen))?;
        let value = best.value?;
        let kind = |candidate: &Candidate| std::mem::discriminant(&candidate.spec);
        let others = self.candidates.iter();
        let others = others.filter(|other| kind(other) != kind(best));
        let runner_up = others
            .filter_map(|other| Some((other, other.value?)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let ahead = runner_up.map_or(String::new(), |(other, value)| {
            format!(", before {} with {value:.4}", other.spec)
        });
        Some(format!(
            "{} has the best {} on {}, {value:.4}{ahead}{}",
            best.spec,
            self.criterion.title(),
            self.samples,
            self.price(best)
        ))
    }

    /// What the best of the other candidates have more by other criteria, without being tuned for
    /// them.
    fn price(&self, best: &Candidate) -> String {
        /// Less is not worth a word.
        const LEAST: f64 = 0.01;
        let mut prices = Vec::new();
        for &(criterion, own) in &best.others {
            let by_it = |other: &Candidate| {
                let found = other.others.iter().find(|(name, _)| *name == criterion);
                found.map_or(f64::NEG_INFINITY, |found| found.1)
            };
            let most = self.candidates.iter().map(by_it).fold(own, f64::max);
            if most - own >= LEAST {
                prices.push(format!("{} {own:.4} of {most:.4}", criterion.title()));
            }
        }
        match prices.is_empty() {
            true => String::new(),
            false => format!("; what others reach beside it: {}", prices.join(", ")),
        }
    }
}
