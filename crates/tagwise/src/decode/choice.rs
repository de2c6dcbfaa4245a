//! The best decoder as a measured choice.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fit::{Distance, EmptySet, NearestSettings, Prior, Prototypes, Training};
use super::nearest::OneNearestNeighbour;
use super::rules::{Link, LogitDecoder, RuleKind};
use crate::evaluate::{Criterion, SetMeasures};
use crate::split::stratified_folds;
use crate::statistics::Statistics;
use crate::{Error, LabelSet, Result, Targets};

/// Labels that a candidate's search may weigh for one sample, spread over nodes of K labels: a
/// candidate that needs more is compared by what it found until then.
const LABELS_WEIGHED: usize = 44_000;

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

/// A fitted decoder of either kind.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// Decodes features.
    OneNearestNeighbour(Box<OneNearestNeighbour>),
    /// Decodes logits.
    Logits(LogitDecoder),
}

/// How a candidate did on validation data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The decoder.
    pub spec: DecoderSpec,
    /// The criterion it reached, or `None` with the reason in `note`.
    pub value: Option<f64>,
    /// Why it could not be fitted, or how many answers are not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
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
    /// The best candidate, fitted: a rule on all of the validation data.
    pub decoder: Decoder,
}

/// Validation data of a choice.
#[derive(Clone, Copy, Debug)]
pub struct Validation<'a> {
    /// Features `[N, d]`, row by row.
    pub features: &'a [f64],
    /// Logits `[N, K]`, row by row, when there is a classifier.
    pub logits: Option<&'a [f64]>,
    /// What the logits mean.
    pub link: Link,
    /// The true label sets.
    pub truth: &'a Targets,
}

/// Fits every decoder and keeps the one that does best on validation data.
///
/// One-nearest-neighbour decoders come from the statistics of the training set. Rules on logits
/// are tuned on one half of the validation data and measured on the other, both ways, so that a
/// rule with many parameters is not favoured; the halves are stratified by labels. Of equals the
/// simpler, listed first, wins.
///
/// # Errors
/// [`Error::SizeMismatch`] and [`Error::NotFinite`] for bad shapes and numbers,
/// [`Error::Undefined`] without a sample or when no candidate could be fitted.
pub fn choose(
    statistics: &Statistics,
    validation: &Validation<'_>,
    criterion: Criterion,
) -> Result<Choice> {
    choose_each(statistics, validation, [criterion]).map(|[choice]| choice)
}

/// [`choose`] for several criteria: decoders that no criterion tunes decode only once.
///
/// # Errors
/// As [`choose`].
pub fn choose_each<const N: usize>(
    statistics: &Statistics,
    validation: &Validation<'_>,
    criteria: [Criterion; N],
) -> Result<[Choice; N]> {
    let mut candidates = [(); N].map(|()| Vec::new());
    let training = Training::new(statistics, None);
    for spec in specs(statistics, validation) {
        let measured = measure(&spec, (statistics, &training), validation, &criteria);
        let (values, note) = match measured {
            Ok((values, unproven)) => {
                let note = format!("{unproven} answers not proven");
                (values.map(Some), (unproven > 0).then_some(note))
            }
            Err(Error::Undefined(reason)) => ([None; N], Some(reason)),
            Err(error) => return Err(error),
        };
        for (candidates, value) in candidates.iter_mut().zip(values) {
            let note = note.clone();
            candidates.push(Candidate { spec, value, note });
        }
    }
    let mut choices = Vec::with_capacity(N);
    for (criterion, candidates) in criteria.into_iter().zip(candidates) {
        choices.push(best_of(candidates, statistics, validation, criterion)?);
    }
    Ok(choices.try_into().expect("a choice for each criterion"))
}

/// The first of the candidates with the largest value, fitted.
fn best_of(
    candidates: Vec<Candidate>,
    statistics: &Statistics,
    validation: &Validation<'_>,
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
        decoder: spec.fit(statistics, validation, criterion)?,
        candidates,
        best,
    })
}

impl DecoderSpec {
    fn fit(
        &self,
        statistics: &Statistics,
        validation: &Validation<'_>,
        criterion: Criterion,
    ) -> Result<Decoder> {
        match *self {
            Self::OneNearestNeighbour { settings } => {
                OneNearestNeighbour::fit(statistics, &settings)
                    .map(|decoder| Decoder::OneNearestNeighbour(Box::new(decoder)))
            }
            Self::Rule { kind, link } => {
                let logits = validation.logits.unwrap_or_default();
                LogitDecoder::fit(kind, link, logits, validation.truth, criterion)
                    .map(Decoder::Logits)
            }
        }
    }
}

impl Decoder {
    /// The label set of each sample. Decoders of features ignore the logits and the other way
    /// round.
    ///
    /// # Errors
    /// As [`OneNearestNeighbour::decode`] and [`LogitDecoder::decode`].
    pub fn decode(&self, features: &[f64], logits: &[f64], num_classes: usize) -> Result<Targets> {
        match self {
            Self::OneNearestNeighbour(decoder) => Ok(decoder.decode(features)?.targets),
            Self::Logits(decoder) => decoder.decode(logits, num_classes),
        }
    }
}

/// All candidates, the simplest first.
fn specs(statistics: &Statistics, validation: &Validation<'_>) -> Vec<DecoderSpec> {
    let mut specs = Vec::new();
    if validation.logits.is_some() {
        specs.extend(RuleKind::ALL.map(|kind| DecoderSpec::Rule {
            kind,
            link: validation.link,
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

/// The criteria on validation data and the number of answers not proven.
fn measure<const N: usize>(
    spec: &DecoderSpec,
    (statistics, training): (&Statistics, &Result<Training>),
    validation: &Validation<'_>,
    criteria: &[Criterion; N],
) -> Result<([f64; N], usize)> {
    let truth = validation.truth;
    match *spec {
        DecoderSpec::OneNearestNeighbour { settings } => {
            let decoder = match training {
                Ok(training) => OneNearestNeighbour::fit_from(training, statistics, &settings)?,
                Err(_) => OneNearestNeighbour::fit(statistics, &settings)?, // fails with that error
            };
            let decoded = decoder.decode(validation.features)?;
            let measures = SetMeasures::new(&decoded.targets, truth)?;
            let values = criteria.map(|criterion| criterion.value(&measures));
            Ok((values, decoded.unproven.len()))
        }
        DecoderSpec::Rule { kind, link } => {
            let logits = validation.logits.unwrap_or_default();
            let mut values = [0.0; N];
            for (value, &criterion) in values.iter_mut().zip(criteria) {
                let decoded = crossed(kind, link, logits, truth, criterion)?;
                *value = criterion.value(&SetMeasures::new(&decoded, truth)?);
            }
            Ok((values, 0))
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
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    struct Data {
        features: Vec<f64>,
        logits: Vec<f64>,
        targets: Targets,
    }

    /// Features around sums of axes; logits that rank well but whose scale varies from sample to
    /// sample, so that no fixed threshold fits.
    fn data(seed: u64) -> Data {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut features, mut logits, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..200u32 {
            let set: LabelSet = (0..1 + i % 3).map(|j| (i / 3 + 2 * j) % 5).collect();
            let scale = rng.random_range(1.0..6.0);
            for axis in 0..5 {
                let on = f64::from(u8::from(set.contains(axis)));
                features.push(on + rng.random_range(-0.2..0.2));
                logits.push(scale * (2.0 * on + rng.random_range(-0.5..0.5)));
            }
            sets.push(set);
        }
        let targets = Targets::new(5, sets).unwrap();
        Data {
            features,
            logits,
            targets,
        }
    }

    #[test]
    fn the_choice_is_the_best_candidate_and_decodes_new_data() {
        let (train, validation, test) = (data(1), data(2), data(3));
        let mut statistics = Statistics::new(5, 5);
        statistics.update(&train.features, &train.targets).unwrap();
        let validation = Validation {
            features: &validation.features,
            logits: Some(&validation.logits),
            link: Link::Softmax,
            truth: &validation.targets,
        };
        let choice = choose(&statistics, &validation, Criterion::SubsetAccuracy).unwrap();
        assert_eq!(choice.candidates.len(), 7 + 18);
        let values = || choice.candidates.iter().filter_map(|c| c.value);
        let best = choice.candidates[choice.best].value.unwrap();
        assert!(values().all(|value| value <= best));
        let threshold = choice.candidates[0].value.unwrap();
        assert!(threshold < 0.95 && best > 0.98, "{threshold} {best}");
        let decoded = choice
            .decoder
            .decode(&test.features, &test.logits, 5)
            .unwrap();
        let measures = SetMeasures::new(&decoded, &test.targets).unwrap();
        assert!(measures.subset_accuracy > 0.97);
    }

    #[test]
    fn candidates_that_cannot_be_fitted_are_kept_with_the_reason() {
        let targets = Targets::new(2, [LabelSet::new([0]), LabelSet::new([1])]).unwrap();
        let features = [1.0, 0.0, 0.0, 1.0];
        let mut statistics = Statistics::new(2, 2);
        statistics.update(&features, &targets).unwrap();
        let validation = Validation {
            features: &features,
            logits: None,
            link: Link::Softmax,
            truth: &targets,
        };
        let choice = choose(&statistics, &validation, Criterion::F1Micro).unwrap();
        assert_eq!(choice.best, 0);
        let last = choice.candidates.last().unwrap();
        insta::assert_snapshot!(last.spec, @"ONN, Mahalanobis, label-set means, label-set prior");
        insta::assert_snapshot!(last.note.as_deref().unwrap(), @"the Mahalanobis distance needs label sets with samples that differ; use the Euclidean distance or the cosine");
    }
}
