//! Label sets decoded from a distribution over them, exactly and without tuning.

mod expected_f1;
mod most_probable;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::nearest::Decoded;
use crate::head::HeadPotentials;
use crate::loss::set_likelihood::SetPotentials;
use crate::{Error, LabelSet, Result, Targets};

pub use expected_f1::{ExpectedF1, best_expected_f1};
pub use most_probable::most_probable;

/// A label set with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbableSet {
    /// The labels.
    pub labels: LabelSet,
    /// p(S | x).
    pub probability: f64,
}

/// What F1 is where neither the truth nor the answer has a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyMatch {
    /// 0, as in scikit-learn unless told otherwise: an empty answer never pays.
    Zero,
    /// 1: both are the same set.
    #[default]
    One,
}

impl EmptyMatch {
    /// F1 of an empty answer to an empty truth.
    pub fn value(self) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::One => 1.0,
        }
    }
}

/// Which set answers for a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum SetRule {
    /// The most probable one: the largest expected exact match.
    #[default]
    MostProbable,
    /// The one of largest expected F1, which may be one that has no probability itself.
    ///
    /// Source: Waegeman et al. 2014, "On the Bayes-optimality of F-measure maximizers".
    ExpectedF1 {
        /// What an empty answer to an empty truth counts.
        empty_match: EmptyMatch,
    },
}

/// How a set likelihood is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct SetSettings {
    /// Which set answers.
    pub rule: SetRule,
    /// How many of the most probable sets are listed with their probabilities.
    pub num_listed: usize,
    /// The probability of the answer below which it is marked as one that had better be left to
    /// somebody else.
    pub abstain_below: f64,
}

impl SetSettings {
    /// # Errors
    /// [`Error::OutOfRange`] unless 0 ≤ `abstain_below` ≤ 1.
    pub(super) fn check(&self) -> Result<()> {
        match (0.0..=1.0).contains(&self.abstain_below) {
            true => Ok(()),
            false => Err(Error::OutOfRange {
                name: "the probability below which answers are marked",
                requirement: "from 0 to 1",
                found: self.abstain_below.to_string(),
            }),
        }
    }
}

/// Decodes the outputs of a head of the set likelihood.
#[derive(Clone, Debug, PartialEq)]
pub struct SetDecoder {
    /// The potentials.
    pub potentials: HeadPotentials,
    /// Which set answers, and what is said about it.
    pub settings: SetSettings,
}

impl SetDecoder {
    /// The answer for each row of outputs.
    ///
    /// # Shapes
    /// `outputs` is row-major `[N, K]` or, where potentials are linear, `[N, K + M + 1]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] and [`Error::NotFinite`] for other outputs.
    pub fn decode(&self, outputs: &[f64]) -> Result<Decoded> {
        let shared = &self.potentials.shared;
        let more = self.potentials.weight.as_ref().map_or(0, |w| w.nrows());
        let width = shared.num_classes() + more;
        super::checked_rows(outputs, width, "columns of outputs")?;
        let answers: Result<Vec<Answer>> = outputs
            .par_chunks(width)
            .map(|outputs| Answer::of(shared, outputs, &self.settings))
            .collect();
        let answers = answers?;
        let is_marked = |answer: &Answer| answer.own.probability < self.settings.abstain_below;
        let marked = (0..answers.len()).filter(|&row| is_marked(&answers[row]));
        let mut decoded = Decoded {
            abstained: marked.collect(),
            probabilities: answers.iter().map(|a| a.own.probability).collect(),
            ..Decoded::of(Targets::new(
                shared.num_classes(),
                answers.iter().map(|answer| answer.own.labels.clone()),
            )?)
        };
        if self.settings.num_listed > 0 {
            decoded.listed = answers.into_iter().map(|answer| answer.listed).collect();
        }
        Ok(decoded)
    }
}

/// What is said of one sample.
struct Answer {
    own: ProbableSet,
    listed: Vec<ProbableSet>,
}

impl Answer {
    fn of(potentials: &SetPotentials, outputs: &[f64], settings: &SetSettings) -> Result<Self> {
        let mut distribution = potentials.distribution(outputs)?;
        let is_best = settings.rule == SetRule::MostProbable;
        let mut listed = match (settings.num_listed, is_best) {
            (0, false) => Vec::new(),
            (count, _) => most_probable(&distribution, count.max(1)),
        };
        let own = match (settings.rule, listed.first()) {
            (SetRule::ExpectedF1 { empty_match }, _) => {
                let labels = best_expected_f1(&mut distribution, empty_match).labels;
                let probability = distribution.probability(&labels);
                ProbableSet {
                    labels,
                    probability,
                }
            }
            (SetRule::MostProbable, Some(best)) => best.clone(),
            (SetRule::MostProbable, None) => {
                return Err(Error::Undefined("expected a label set, found none".into()));
            }
        };
        listed.truncate(settings.num_listed);
        Ok(Self { own, listed })
    }
}

#[cfg(test)]
mod tests;
