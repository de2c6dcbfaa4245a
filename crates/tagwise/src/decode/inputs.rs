//! From samples and a head to a decoder: which samples it is tuned on, and how it is chosen.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::choice::{ChoiceProgress, Decoder, TuningData, choose};
use super::fitted::{FittedDecoder, no_classifier};
use super::nearest::OneNearestNeighbour;
use super::record::{Space, TunedOn, Tuning, TuningWarning};
use super::rules::{LogitDecoder, RuleKind};
use super::scales::Scales;
use super::set_likelihood::{SetDecoder, SetSettings};
use super::settings::NearestSettings;
use super::spec::DecoderSpec;
use crate::evaluate::Criterion;
use crate::head::{
    DenseRows, Features, FittedHead, HeadPotentials, LabelledFeatures, LogitMap, Parts,
    centre_logits, logits,
};
use crate::loss::Link;
use crate::names::LabelNames;
use crate::statistics::Statistics;
use crate::{Error, LinearClassifier, Result, Targets};

/// The share of the training samples that a decoder is tuned on when nothing else is given.
const TUNING_SHARE: f64 = 0.2;

/// What a decoder comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecoderInputs<'a> {
    /// Samples that prototypes are estimated from.
    pub training: Option<LabelledFeatures<'a>>,
    /// Samples for tuning that nothing was fitted to.
    pub validation: Option<LabelledFeatures<'a>>,
    /// The classifier, for decoders of logits and distances between logits.
    pub head: Option<&'a FittedHead>,
}

/// Which decoder is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DecoderKind {
    /// The best of all on the tuning samples.
    Auto {
        /// Nodes that the search of the chosen decoder may visit for one sample.
        max_nodes: u64,
    },
    /// One-nearest-neighbour decoding.
    Nearest(NearestSettings),
    /// A rule on logits.
    Rule(RuleKind),
    /// The distribution of a head of the set likelihood over label sets: nothing is tuned.
    SetLikelihood(SetSettings),
}

/// How a decoder is made.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSettings {
    /// Which one.
    pub kind: DecoderKind,
    /// Where the scales of tag-wise averages come from.
    pub scales: Scales,
    /// What distances are measured between.
    pub space: Space,
    /// What the logits mean; what the loss of the head says when absent, softmax when that is
    /// unknown.
    pub link: Option<Link>,
    /// What tuning maximises.
    pub criterion: Criterion,
}

impl Default for DecoderSettings {
    /// The decoder of the paper.
    fn default() -> Self {
        Self {
            kind: DecoderKind::Nearest(NearestSettings::default()),
            scales: Scales::default(),
            space: Space::default(),
            link: None,
            criterion: Criterion::default(),
        }
    }
}

impl FittedDecoder {
    /// Makes the decoder that is asked for.
    ///
    /// Rules and choices are tuned on the validation samples; without such on the part of the
    /// training samples that the head did not see while its weight decay was chosen, with the head
    /// as it was then; without such, or when the training samples are others, on a stratified fifth
    /// of the training samples. Prototypes come from all training samples.
    ///
    /// # Errors
    /// [`Error::Missing`] without the samples or the classifier that the decoder needs; as
    /// [`OneNearestNeighbour::fit`], [`LogitDecoder::fit`] and [`choose`];
    /// [`Error::Interrupted`] when `progress`, which sees the candidates of a choice, says so.
    pub fn fit(
        inputs: &DecoderInputs<'_>,
        settings: &DecoderSettings,
        progress: impl FnMut(&ChoiceProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let link = settings.link.or(inputs.head.and_then(FittedHead::link));
        let link = link.unwrap_or_default();
        let (spec, decoder, tuning) = match settings.kind {
            DecoderKind::Rule(kind) => rule(inputs, settings, kind, link)?,
            DecoderKind::SetLikelihood(sets) => (
                DecoderSpec::SetLikelihood { settings: sets },
                inputs.set_likelihood(sets)?,
                None,
            ),
            DecoderKind::Auto { max_nodes } => auto(inputs, settings, link, max_nodes, progress)?,
            DecoderKind::Nearest(nearest) => {
                let decoder = inputs.nearest(settings, nearest)?;
                let spec = DecoderSpec::OneNearestNeighbour { settings: nearest };
                (spec, decoder, None)
            }
        };
        let reads_logits =
            !matches!(decoder, Decoder::OneNearestNeighbour(_)) || settings.space == Space::Logits;
        let (num_classes, dim) = inputs.size()?;
        let label_names = inputs
            .head
            .and_then(|head| head.description.label_names.clone());
        Self {
            spec,
            decoder,
            space: settings.space,
            num_classes,
            dim,
            classifier: match reads_logits {
                true => inputs.classifier().cloned(),
                false => None,
            },
            names: LabelNames::default(),
            tuning,
        }
        .with_names(LabelNames::new(label_names))
    }
}

fn no_training() -> Error {
    Error::Missing {
        what: "training samples",
        purpose: "one-nearest-neighbour decoding",
    }
}

type Made = (DecoderSpec, Decoder, Option<Tuning>);

fn rule(
    inputs: &DecoderInputs<'_>,
    settings: &DecoderSettings,
    kind: RuleKind,
    link: Link,
) -> Result<Made> {
    let part = TuningPart::of(inputs)?;
    let classifier = part.classifier.ok_or_else(no_classifier)?;
    let logits = logits(classifier, &part.samples.features)?;
    let truth = &part.samples.targets;
    let decoder = LogitDecoder::fit(kind, link, &logits, truth, settings.criterion)?;
    let tuning = part.record(settings.criterion, inputs);
    let spec = DecoderSpec::Rule { kind, link };
    Ok((spec, Decoder::Logits(decoder), Some(tuning)))
}

/// The best decoder on samples held out; one-nearest-neighbour decoding is then prepared from all
/// training samples.
fn auto(
    inputs: &DecoderInputs<'_>,
    settings: &DecoderSettings,
    link: Link,
    max_nodes: u64,
    progress: impl FnMut(&ChoiceProgress) -> ControlFlow<()>,
) -> Result<Made> {
    let part = TuningPart::of(inputs)?;
    let fitting = part.fitting.as_ref().ok_or_else(no_training)?;
    let logits = part
        .classifier
        .map(|classifier| logits(classifier, &part.samples.features))
        .transpose()?;
    let outputs = part.outputs()?;
    let features = in_space(settings.space, part.classifier, &part.samples.features)?;
    let tuning_data = TuningData {
        features: &features,
        logits: logits.as_deref(),
        link,
        sets: part.potentials.zip(outputs.as_deref()),
        truth: &part.samples.targets,
    };
    let fitted = statistics(
        settings.space,
        part.classifier,
        &fitting.features,
        &fitting.targets,
    )?;
    let choice = choose(&fitted, &tuning_data, settings.criterion, progress)?;
    let mut spec = choice.candidates[choice.best].spec;
    let decoder = match &mut spec {
        DecoderSpec::OneNearestNeighbour { settings: nearest } => {
            nearest.max_nodes = max_nodes;
            // As it was compared: with scales that are measured.
            let compared = DecoderSettings {
                scales: Scales::Measured,
                ..settings.clone()
            };
            inputs.nearest(&compared, *nearest)?
        }
        // With the head that is fitted to all samples.
        DecoderSpec::SetLikelihood { settings } => inputs.set_likelihood(*settings)?,
        DecoderSpec::Rule { .. } => choice.decoder,
    };
    let tuning = Tuning {
        candidates: choice.candidates,
        ..part.record(settings.criterion, inputs)
    };
    Ok((spec, decoder, Some(tuning)))
}

impl DecoderInputs<'_> {
    fn classifier(&self) -> Option<&LinearClassifier> {
        self.head.map(|head| &head.classifier)
    }

    /// Numbers of classes and features of what is decoded.
    fn size(&self) -> Result<(usize, usize)> {
        let of_samples = |samples: LabelledFeatures<'_>| {
            (samples.targets().num_classes(), samples.features().dim())
        };
        let of_head = |classifier: &LinearClassifier| (classifier.num_classes(), classifier.dim());
        self.training
            .map(of_samples)
            .or(self.classifier().map(of_head))
            .ok_or_else(no_training)
    }

    fn set_likelihood(&self, settings: SetSettings) -> Result<Decoder> {
        settings.check()?;
        let potentials = self.head.and_then(|head| head.potentials.clone());
        let potentials = potentials.ok_or(Error::Missing {
            what: "a head of the set likelihood",
            purpose: "decoding label sets by their probabilities",
        })?;
        Ok(Decoder::Sets(Box::new(SetDecoder {
            potentials,
            settings,
        })))
    }

    fn nearest(&self, settings: &DecoderSettings, nearest: NearestSettings) -> Result<Decoder> {
        let training = self.training.ok_or_else(no_training)?;
        let (features, targets) = (training.features(), training.targets());
        let statistics = statistics(settings.space, self.classifier(), features, targets)?;
        let decoder = OneNearestNeighbour::fit_scaled(&statistics, &nearest, &settings.scales)?;
        Ok(Decoder::OneNearestNeighbour(Box::new(decoder)))
    }
}

/// Some samples, borrowed or picked from others.
struct Part<'a> {
    features: Cow<'a, Features>,
    targets: Cow<'a, Targets>,
}

impl<'a> Part<'a> {
    fn all(samples: LabelledFeatures<'a>) -> Self {
        Self {
            features: Cow::Borrowed(samples.features()),
            targets: Cow::Borrowed(samples.targets()),
        }
    }

    fn picked(samples: LabelledFeatures<'_>, rows: &[usize]) -> Self {
        Self {
            features: Cow::Owned(samples.features().select(rows)),
            targets: Cow::Owned(samples.targets().select(rows.iter().copied())),
        }
    }
}

/// Samples for tuning with the classifier that has not seen them, as far as is known.
struct TuningPart<'a> {
    /// The other training samples, from which prototypes come while decoders are compared.
    fitting: Option<Part<'a>>,
    samples: Part<'a>,
    classifier: Option<&'a LinearClassifier>,
    potentials: Option<&'a HeadPotentials>,
    tuned_on: TunedOn,
}

impl<'a> TuningPart<'a> {
    fn of(inputs: &DecoderInputs<'a>) -> Result<Self> {
        let classifier = inputs.head.map(|head| &head.classifier);
        if let Some(validation) = inputs.validation {
            return Ok(Self {
                fitting: inputs.training.map(Part::all),
                samples: Part::all(validation),
                classifier,
                potentials: inputs.head.and_then(|head| head.potentials.as_ref()),
                tuned_on: TunedOn::Validation,
            });
        }
        let training = inputs.training.ok_or_else(no_training)?;
        let targets = training.targets();
        let held_out = inputs.head.and_then(FittedHead::without_held_out);
        let found = match held_out {
            Some((without, split)) => split.split(targets)?.map(|parts| (Some(without), parts)),
            None => None,
        };
        let (classifier, parts, tuned_on) = match found {
            Some((without, parts)) => (without, parts, TunedOn::HeldOutByHead),
            None => {
                let parts = Parts::new(targets, TUNING_SHARE, 0)?;
                (classifier, parts, TunedOn::FifthOfTraining)
            }
        };
        Ok(Self {
            fitting: Some(Part::picked(training, &parts.fitting)),
            samples: Part::picked(training, &parts.held_out),
            classifier,
            potentials: inputs.head.and_then(|head| match tuned_on {
                TunedOn::HeldOutByHead => head.held_out_potentials.as_ref(),
                TunedOn::Validation | TunedOn::FifthOfTraining => head.potentials.as_ref(),
            }),
            tuned_on,
        })
    }

    /// The outputs that the potentials belong to.
    fn outputs(&self) -> Result<Option<Vec<f64>>> {
        let pair = self.potentials.zip(self.classifier);
        let outputs = pair.map(|(potentials, classifier)| {
            let map = potentials.outputs_of(classifier)?;
            logits(&map, &self.samples.features)
        });
        outputs.transpose()
    }

    fn record(&self, criterion: Criterion, inputs: &DecoderInputs<'_>) -> Tuning {
        let may_be_seen = self.tuned_on == TunedOn::FifthOfTraining && inputs.head.is_some();
        Tuning {
            samples: self.tuned_on,
            num_samples: self.samples.targets.len(),
            criterion,
            candidates: Vec::new(),
            warning: may_be_seen.then_some(TuningWarning::ClassifierMayHaveSeenSamples),
        }
    }
}

/// What distances are measured between.
fn in_space<'a>(
    space: Space,
    classifier: Option<&LinearClassifier>,
    features: &'a Features,
) -> Result<Cow<'a, Features>> {
    match space {
        Space::Features => Ok(Cow::Borrowed(features)),
        Space::Logits => {
            let classifier = classifier.ok_or_else(no_classifier)?;
            let mut logits = logits(classifier, features)?;
            centre_logits(&mut logits, classifier.num_classes());
            let dense = DenseRows::new(logits, classifier.num_classes())?;
            Ok(Cow::Owned(Features::Dense(dense)))
        }
    }
}

/// The statistics of what distances are measured between, block by block.
fn statistics(
    space: Space,
    classifier: Option<&LinearClassifier>,
    features: &Features,
    targets: &Targets,
) -> Result<Statistics> {
    if space == Space::Features {
        return features.statistics(targets);
    }
    let map = LogitMap::new(classifier.ok_or_else(no_classifier)?);
    let num_classes = map.num_classes();
    let mut statistics = Statistics::new(targets.num_classes(), num_classes);
    for start in (0..targets.len()).step_by(super::blocks::BLOCK_LEN) {
        let rows = start..(start + super::blocks::BLOCK_LEN).min(targets.len());
        let mut logits = map.logits(features, rows.clone())?;
        centre_logits(&mut logits, num_classes);
        statistics.update(&logits, &targets.select(rows))?;
    }
    Ok(statistics)
}
