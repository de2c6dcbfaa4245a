//! The best decoder as a measured choice.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tagwise_base::words::counted;

use super::blocks;
use super::nearest::OneNearestNeighbour;
use super::rules::{LogitDecoder, RuleKind};
use super::set_likelihood::{EmptyMatch, SetDecoder, SetRule, SetSettings};
use super::settings::{Distance, EmptySet, NearestSettings, Prior, Prototypes};
use super::spec::DecoderSpec;
use super::training::Training;
use crate::evaluate::{Criterion, SetMeasures};
use crate::head::{Features, HeadPotentials};
use crate::loss::Link;
use crate::split::stratified_folds;
use crate::statistics::Statistics;
use crate::{Error, LabelSet, Result, Targets};

/// Labels that a candidate's search may weigh for one sample, spread over nodes of K labels: a
/// candidate that needs more is compared by what it found until then.
const LABELS_WEIGHED: usize = 44_000;

/// Criteria whose price a choice by another one is said in.
const COMPARED: [Criterion; 4] = [
    Criterion::SubsetAccuracy,
    Criterion::F1Samples,
    Criterion::F1Micro,
    Criterion::F1Macro,
];

/// A fitted decoder of either kind.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// Decodes features.
    OneNearestNeighbour(Box<OneNearestNeighbour>),
    /// Decodes logits.
    Logits(LogitDecoder),
    /// Decodes the outputs of a head of the set likelihood.
    Sets(Box<SetDecoder>),
}

/// How a candidate did on the tuning data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The decoder.
    pub spec: DecoderSpec,
    /// The criterion it reached, or `None` with the reason in `note`.
    pub value: Option<f64>,
    /// What the same answers reach by other criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(Criterion, f64)>,
    /// Why it could not be fitted, or how many answers are not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The candidate that is tried next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChoiceProgress {
    /// The candidate.
    pub spec: DecoderSpec,
    /// Its position among all, from 0.
    pub position: usize,
    /// How many there are.
    pub num_candidates: usize,
}

/// What [`choose`] found.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What was maximised.
    pub criterion: Criterion,
    /// All candidates, the simplest first.
    pub candidates: Vec<Candidate>,
    /// Position of the best candidate.
    pub best: usize,
    /// The best candidate, fitted: a rule on all of the tuning data.
    pub decoder: Decoder,
}

/// What decoders are tuned and compared on: samples that nothing was fitted to.
#[derive(Clone, Copy, Debug)]
pub struct TuningData<'a> {
    /// Features `[N, d]`.
    pub features: &'a Features,
    /// Logits `[N, K]`, row by row, when there is a classifier.
    pub logits: Option<&'a [f64]>,
    /// What the logits mean.
    pub link: Link,
    /// The potentials of a head of the set likelihood with its outputs, row by row.
    pub sets: Option<(&'a HeadPotentials, &'a [f64])>,
    /// The true label sets.
    pub truth: &'a Targets,
}

/// Fits every decoder and keeps the one that does best on the tuning data.
///
/// One-nearest-neighbour decoders come from the statistics of the training set. Rules on logits
/// are tuned on one half of the tuning data and measured on the other, both ways, so that a
/// rule with many parameters is not favoured; the halves are stratified by labels. Of equals the
/// simpler, listed first, wins.
///
/// # Errors
/// [`Error::SizeMismatch`] and [`Error::NotFinite`] for bad shapes and numbers,
/// [`Error::Undefined`] without a sample or when no candidate could be fitted,
/// [`Error::Interrupted`] when `progress`, which sees every candidate before it is tried, says so.
pub fn choose(
    statistics: &Statistics,
    tuning: &TuningData<'_>,
    criterion: Criterion,
    progress: impl FnMut(&ChoiceProgress) -> ControlFlow<()>,
) -> Result<Choice> {
    choose_each(statistics, tuning, [criterion], progress).map(|[choice]| choice)
}

/// [`choose`] for several criteria: decoders that no criterion tunes decode only once.
///
/// # Errors
/// As [`choose`].
pub fn choose_each<const N: usize>(
    statistics: &Statistics,
    tuning: &TuningData<'_>,
    criteria: [Criterion; N],
    mut progress: impl FnMut(&ChoiceProgress) -> ControlFlow<()>,
) -> Result<[Choice; N]> {
    let mut candidates = [(); N].map(|()| Vec::new());
    let training = Training::new(statistics, None);
    let specs = specs(statistics, tuning);
    for (position, &spec) in specs.iter().enumerate() {
        let state = ChoiceProgress {
            spec,
            position,
            num_candidates: specs.len(),
        };
        blocks::ask(&mut progress, &state)?;
        let measured = measure(&spec, (statistics, &training), tuning, &criteria);
        let (measures, note) = match measured {
            Ok((measures, unproven)) => {
                let note = format!("{} not proven", counted(unproven, "answer"));
                (measures.map(Some), (unproven > 0).then_some(note))
            }
            Err(Error::Undefined(reason)) => ([None; N], Some(reason)),
            Err(error) => return Err(error),
        };
        let of_criteria = candidates.iter_mut().zip(measures).zip(&criteria);
        for ((candidates, measures), &criterion) in of_criteria {
            let others = COMPARED.into_iter().filter(|&other| other != criterion);
            candidates.push(Candidate {
                spec,
                value: measures.map(|measures| criterion.value(&measures)),
                others: measures.map_or(Vec::new(), |measures| {
                    others
                        .map(|other| (other, other.value(&measures)))
                        .collect()
                }),
                note: note.clone(),
            });
        }
    }
    let mut choices = Vec::with_capacity(N);
    for (criterion, candidates) in criteria.into_iter().zip(candidates) {
        choices.push(best_of(candidates, statistics, tuning, criterion)?);
    }
    Ok(choices.try_into().expect("a choice for each criterion"))
}

/// The first of the candidates with the largest value, fitted.
fn best_of(
    candidates: Vec<Candidate>,
    statistics: &Statistics,
    tuning: &TuningData<'_>,
    criterion: Criterion,
) -> Result<Choice> {
    let mut best: Option<(f64, usize)> = None;
    for (i, candidate) in candidates.iter().enumerate() {
        if let Some(value) = candidate.value
            && best.is_none_or(|(best, _)| value > best)
        {
            best = Some((value, i));
        }
    }
    let Some((_, best)) = best else {
        let reason = candidates.into_iter().find_map(|candidate| candidate.note);
        return Err(Error::Undefined(format!(
            "no decoder could be fitted: {}",
            reason.unwrap_or_default()
        )));
    };
    let spec = candidates[best].spec;
    Ok(Choice {
        criterion,
        decoder: spec.fit(statistics, tuning, criterion)?,
        candidates,
        best,
    })
}

impl DecoderSpec {
    fn fit(
        &self,
        statistics: &Statistics,
        tuning: &TuningData<'_>,
        criterion: Criterion,
    ) -> Result<Decoder> {
        match *self {
            Self::OneNearestNeighbour { settings } => {
                OneNearestNeighbour::fit(statistics, &settings)
                    .map(|decoder| Decoder::OneNearestNeighbour(Box::new(decoder)))
            }
            Self::Rule { kind, link } => {
                let logits = tuning.logits.unwrap_or_default();
                LogitDecoder::fit(kind, link, logits, tuning.truth, criterion).map(Decoder::Logits)
            }
            Self::SetLikelihood { settings } => {
                let (potentials, _) = tuning.sets.ok_or_else(no_potentials)?;
                Ok(Decoder::Sets(Box::new(SetDecoder {
                    potentials: potentials.clone(),
                    settings,
                })))
            }
        }
    }
}

impl Decoder {
    /// The label set of each sample. Decoders of features ignore the logits and the other way
    /// round; those of a set likelihood take its outputs for logits.
    ///
    /// # Errors
    /// As [`OneNearestNeighbour::decode`] and [`LogitDecoder::decode`].
    pub fn decode(&self, features: &[f64], logits: &[f64], num_classes: usize) -> Result<Targets> {
        match self {
            Self::OneNearestNeighbour(decoder) => Ok(decoder.decode(features)?.targets),
            Self::Logits(decoder) => decoder.decode(logits, num_classes),
            Self::Sets(decoder) => Ok(decoder.decode(logits)?.targets),
        }
    }
}

/// All candidates, the simplest first.
fn specs(statistics: &Statistics, tuning: &TuningData<'_>) -> Vec<DecoderSpec> {
    let mut specs = Vec::new();
    if tuning.sets.is_some() {
        let expected_f1 = |empty_match| SetRule::ExpectedF1 { empty_match };
        let mut rules = vec![SetRule::MostProbable, expected_f1(EmptyMatch::Zero)];
        if statistics.label_sets().any(LabelSet::is_empty) {
            rules.push(expected_f1(EmptyMatch::One));
        }
        specs.extend(rules.into_iter().map(|rule| DecoderSpec::SetLikelihood {
            settings: SetSettings {
                rule,
                ..SetSettings::default()
            },
        }));
    }
    if tuning.logits.is_some() {
        specs.extend(RuleKind::ALL.map(|kind| DecoderSpec::Rule {
            kind,
            link: tuning.link,
        }));
    }
    let has_unlabelled = statistics.label_sets().any(LabelSet::is_empty);
    let max_nodes = (LABELS_WEIGHED / statistics.num_classes().max(1)).max(1) as u64;
    for distance in [Distance::Cosine, Distance::Euclidean, Distance::Mahalanobis] {
        for prototypes in [Prototypes::TagAverages, Prototypes::LabelSets] {
            for prior in [Prior::None, Prior::Multiplicity, Prior::LabelSet] {
                specs.push(DecoderSpec::OneNearestNeighbour {
                    settings: NearestSettings {
                        distance,
                        prototypes,
                        prior,
                        empty_set: match has_unlabelled {
                            true => EmptySet::Measured,
                            false => EmptySet::Never,
                        },
                        max_multiplicity: None,
                        max_nodes,
                    },
                });
            }
        }
    }
    specs
}

fn no_potentials() -> Error {
    Error::Missing {
        what: "a head of the set likelihood",
        purpose: "decoding label sets by their probabilities",
    }
}

/// What is reached on the tuning data when tuned for each criterion, and the number of answers not
/// proven.
fn measure<const N: usize>(
    spec: &DecoderSpec,
    (statistics, training): (&Statistics, &Result<Training>),
    tuning: &TuningData<'_>,
    criteria: &[Criterion; N],
) -> Result<([SetMeasures; N], usize)> {
    let truth = tuning.truth;
    match *spec {
        DecoderSpec::OneNearestNeighbour { settings } => {
            let decoder = match training {
                Ok(training) => OneNearestNeighbour::fit_from(training, statistics, &settings)?,
                Err(_) => OneNearestNeighbour::fit(statistics, &settings)?, // fails with that error
            };
            let decoded = blocks::decode_nearest(&decoder, tuning.features)?;
            let measures = SetMeasures::new(&decoded.targets, truth)?;
            Ok(([measures; N], decoded.unproven.len()))
        }
        DecoderSpec::Rule { kind, link } => {
            let logits = tuning.logits.unwrap_or_default();
            let mut measured = Vec::with_capacity(N);
            for &criterion in criteria {
                let decoded = crossed(kind, link, logits, truth, criterion)?;
                measured.push(SetMeasures::new(&decoded, truth)?);
            }
            Ok((measured.try_into().expect("measures for each criterion"), 0))
        }
        DecoderSpec::SetLikelihood { settings } => {
            let (potentials, outputs) = tuning.sets.ok_or_else(no_potentials)?;
            let decoder = SetDecoder {
                potentials: potentials.clone(),
                settings,
            };
            let decoded = decoder.decode(outputs)?;
            let measures = SetMeasures::new(&decoded.targets, truth)?;
            Ok(([measures; N], 0))
        }
    }
}

/// Each half decoded by the rule that was tuned on the other.
fn crossed(
    kind: RuleKind,
    link: Link,
    logits: &[f64],
    truth: &Targets,
    criterion: Criterion,
) -> Result<Targets> {
    let num_classes = truth.num_classes();
    if logits.len() != truth.len() * num_classes {
        return Err(Error::SizeMismatch {
            what: "logits, one for each sample and label",
            expected: truth.len() * num_classes,
            found: logits.len(),
        });
    }
    let folds = stratified_folds(truth, &[0.5, 0.5], 0)?;
    let folds = &folds;
    let rows = |fold: usize| (0..truth.len()).filter(move |&i| folds[i] == fold);
    let part = |fold: usize| -> Result<(Vec<f64>, Targets)> {
        let values = rows(fold)
            .flat_map(|i| &logits[i * num_classes..][..num_classes])
            .copied();
        let sets = rows(fold).map(|i| truth.set(i).clone());
        Ok((values.collect(), Targets::new(num_classes, sets)?))
    };
    let mut decoded = vec![LabelSet::default(); truth.len()];
    for (tuned_on, tested_on) in [(0, 1), (1, 0)] {
        let (tuning_logits, tuning_truth) = part(tuned_on)?;
        let (logits, _) = part(tested_on)?;
        let decoder = LogitDecoder::fit(kind, link, &tuning_logits, &tuning_truth, criterion)?;
        let sets = decoder.decode(&logits, num_classes)?;
        for (i, set) in rows(tested_on).zip(sets.iter()) {
            decoded[i] = set.clone();
        }
    }
    Targets::new(num_classes, decoded)
}

#[cfg(test)]
mod tests;
