//! Which decoder, tuned on what.

use std::borrow::Cow;

use anyhow::Context;
use tagwise::Targets;
use tagwise::decode::{
    Candidate, Choice, Decoded, Decoder, DecoderSpec, Link, LogitDecoder, NearestSettings,
    OneNearestNeighbour, RuleKind, Validation, choose, ufm_scales,
};
use tagwise::evaluate::Criterion;
use tagwise::head::{DenseRows, Features, logits};
use tagwise::snapshot::LinearClassifier;
use tagwise::split::stratified_folds;
use tagwise::ufm::{LabelCounts, UfmProblem, UfmSettings};

use super::answers::Answers;
use super::options::{Name, Scales, Space};
use super::{Arguments, Inputs};
use crate::command::head::StoredHead;
use crate::command::samples::{Samples, statistics};
use crate::failure::Usage;

/// Rows decoded together: sparse features are never dense as a whole.
const BLOCK_LEN: usize = 1024;

const NO_CLASSIFIER: &str = "this needs a classifier: give --head, or samples with a weight";

/// Decodes as the command line says.
pub fn decode<'a>(arguments: &Arguments, inputs: &'a Inputs) -> anyhow::Result<Answers<'a>> {
    let (spec, decoder, candidates) = decoder(arguments, inputs)?;
    let mut answers = Answers::new(spec, candidates, &inputs.names);
    match decoder {
        Decoder::OneNearestNeighbour(decoder) => {
            let features = in_space(
                arguments.space,
                inputs.classifier(),
                &inputs.samples.features,
            )?;
            answers.fill(decode_blocks(&decoder, &features)?);
        }
        Decoder::Logits(decoder) => {
            let logits = logits_of(inputs.classifier(), &inputs.samples.features)?;
            let num_classes = inputs.samples.targets.num_classes();
            answers.fill_sets(&decoder.decode(&logits, num_classes)?);
        }
    }
    if !answers.unproven.is_empty() {
        eprintln!(
            "{} of {} answers are not proven to be the nearest; raise --max-nodes",
            answers.unproven.len(),
            answers.label_sets.len()
        );
    }
    Ok(answers)
}

fn decoder(
    arguments: &Arguments,
    inputs: &Inputs,
) -> anyhow::Result<(DecoderSpec, Decoder, Vec<Candidate>)> {
    let link = match (arguments.link, &inputs.head) {
        (Some(name), _) => name.link(),
        (None, Some(head)) => head.link.unwrap_or_default(),
        (None, None) => Link::default(),
    };
    match (arguments.decoder.rule(), arguments.decoder) {
        (Some(kind), _) => {
            let decoder = rule(arguments, inputs, kind, link)?;
            let spec = DecoderSpec::Rule { kind, link };
            Ok((spec, Decoder::Logits(decoder), Vec::new()))
        }
        (None, Name::Auto) => auto(arguments, inputs, link),
        (None, _) => {
            let settings = arguments.nearest();
            let spec = DecoderSpec::OneNearestNeighbour { settings };
            Ok((spec, nearest(arguments, inputs, settings)?, Vec::new()))
        }
    }
}

fn rule(
    arguments: &Arguments,
    inputs: &Inputs,
    kind: RuleKind,
    link: Link,
) -> anyhow::Result<LogitDecoder> {
    let tuning = Tuning::of(inputs)?;
    let logits = logits_of(tuning.classifier, &tuning.samples.features)?;
    let truth = &tuning.samples.targets;
    Ok(LogitDecoder::fit(
        kind,
        link,
        &logits,
        truth,
        arguments.criterion(),
    )?)
}

/// The best decoder on samples held out; one-nearest-neighbour decoding is then prepared from all
/// training samples.
fn auto(
    arguments: &Arguments,
    inputs: &Inputs,
    link: Link,
) -> anyhow::Result<(DecoderSpec, Decoder, Vec<Candidate>)> {
    let tuning = Tuning::of(inputs)?;
    let fitting = tuning.fitting.as_deref().context(NO_PROTOTYPES)?;
    let logits = tuning
        .classifier
        .map(|classifier| logits(classifier, &tuning.samples.features))
        .transpose()?;
    let space = arguments.space;
    let features = in_space(space, tuning.classifier, &tuning.samples.features)?;
    let validation = Validation {
        features: &features.to_dense(),
        logits: logits.as_deref(),
        link,
        truth: &tuning.samples.targets,
    };
    let fitting_features = in_space(space, tuning.classifier, &fitting.features)?;
    let fitted = statistics(&fitting_features, &fitting.targets)?;
    let choice = choose(&fitted, &validation, arguments.criterion())?;
    eprintln!("auto: {}", reason(&choice, tuning.origin));
    let best = &choice.candidates[choice.best];
    let spec = best.spec;
    let decoder = match spec {
        DecoderSpec::OneNearestNeighbour { settings } => {
            let settings = NearestSettings {
                max_nodes: arguments.max_nodes,
                ..settings
            };
            nearest(arguments, inputs, settings)?
        }
        DecoderSpec::Rule { .. } => choice.decoder,
    };
    Ok((spec, decoder, choice.candidates))
}

/// Which decoder was taken, by how much it is ahead of the best of the other kind, and on what.
fn reason(choice: &Choice, origin: &str) -> String {
    let best = &choice.candidates[choice.best];
    let value = best.value.unwrap_or(f64::NAN);
    let is_rule = |candidate: &Candidate| matches!(candidate.spec, DecoderSpec::Rule { .. });
    let others = choice.candidates.iter();
    let others = others.filter(|other| is_rule(other) != is_rule(best));
    let runner_up = others
        .filter_map(|other| Some((other, other.value?)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best });
    let criterion = match choice.criterion {
        Criterion::SubsetAccuracy => "exact match",
        Criterion::HammingAccuracy => "Hamming accuracy",
        Criterion::JaccardSamples => "Jaccard index of samples",
        Criterion::F1Samples => "F1 of samples",
        Criterion::F1Micro => "micro F1",
        Criterion::F1Macro => "macro F1",
    };
    let ahead = runner_up.map_or(String::new(), |(other, value)| {
        format!(", before {} with {value:.4}", other.spec)
    });
    format!(
        "{} has the best {criterion} on {origin}, {value:.4}{ahead}",
        best.spec
    )
}

const NO_PROTOTYPES: &str =
    "one-nearest-neighbour decoding needs training samples: give --prototypes";

fn nearest(
    arguments: &Arguments,
    inputs: &Inputs,
    settings: NearestSettings,
) -> anyhow::Result<Decoder> {
    let training = inputs
        .training
        .as_ref()
        .ok_or(Usage(NO_PROTOTYPES.into()))?;
    let features = in_space(arguments.space, inputs.classifier(), &training.features)?;
    let statistics = statistics(&features, &training.targets)?;
    let decoder = match given_scales(arguments, &training.targets, &settings)? {
        Some(scales) => OneNearestNeighbour::fit_with_scales(&statistics, &settings, &scales)?,
        None => OneNearestNeighbour::fit(&statistics, &settings)?,
    };
    Ok(Decoder::OneNearestNeighbour(Box::new(decoder)))
}

/// The scales that are not measured.
fn given_scales(
    arguments: &Arguments,
    targets: &Targets,
    settings: &NearestSettings,
) -> anyhow::Result<Option<Vec<f64>>> {
    match &arguments.scales {
        Scales::Measured => Ok(None),
        Scales::Given(scales) => Ok(Some(scales.clone())),
        Scales::Ufm => {
            let problem =
                UfmProblem::new(LabelCounts::of_targets(targets)?, UfmSettings::default())?;
            let largest = settings
                .max_multiplicity
                .unwrap_or(targets.max_multiplicity());
            Ok(Some(ufm_scales(&problem, largest)?))
        }
    }
}

impl Inputs {
    fn classifier(&self) -> Option<&LinearClassifier> {
        self.head.as_ref().map(|head| &head.classifier)
    }
}

/// Samples for tuning with the classifier that has not seen them, as far as is known.
struct Tuning<'a> {
    /// The other training samples, from which prototypes come while decoders are compared.
    fitting: Option<Cow<'a, Samples>>,
    samples: Cow<'a, Samples>,
    classifier: Option<&'a LinearClassifier>,
    origin: &'static str,
}

impl<'a> Tuning<'a> {
    fn of(inputs: &'a Inputs) -> anyhow::Result<Self> {
        if let Some(validation) = &inputs.validation {
            return Ok(Self {
                fitting: inputs.training.as_ref().map(Cow::Borrowed),
                samples: Cow::Borrowed(validation),
                classifier: inputs.classifier(),
                origin: "the validation samples",
            });
        }
        let training = inputs.training.as_ref().context(NO_PROTOTYPES)?;
        if let Some(tuning) = Self::held_out(inputs.head.as_ref(), training)? {
            return Ok(tuning);
        }
        if inputs.head.is_some() {
            eprintln!(
                "tuned on a fifth of the training samples; if the classifier was fitted to them, \
                 it looks better there than it is: give --validation, or a head of tagwise fit \
                 with the samples it was fitted to"
            );
        }
        let folds = stratified_folds(&training.targets, &[0.8, 0.2], 0)?;
        let (fitting, held_out) = (0..folds.len()).partition::<Vec<_>, _>(|&row| folds[row] == 0);
        Ok(Self {
            fitting: Some(Cow::Owned(training.select(&fitting))),
            samples: Cow::Owned(training.select(&held_out)),
            classifier: inputs.classifier(),
            origin: "a fifth of the training samples",
        })
    }

    /// The samples that the head's weight decay was chosen on, if these are the ones.
    fn held_out(
        head: Option<&'a StoredHead>,
        training: &'a Samples,
    ) -> anyhow::Result<Option<Self>> {
        let Some((classifier, held_out)) = head.and_then(|head| head.held_out.as_ref()) else {
            return Ok(None);
        };
        let parts = held_out.split(&training.targets)?;
        Ok(parts.map(|(fitting, held_out)| Self {
            fitting: Some(Cow::Owned(training.select(&fitting))),
            samples: Cow::Owned(training.select(&held_out)),
            classifier: Some(classifier),
            origin: "the samples that the head's fit held out",
        }))
    }
}

/// What distances are measured between.
fn in_space<'a>(
    space: Space,
    classifier: Option<&LinearClassifier>,
    features: &'a Features,
) -> anyhow::Result<Cow<'a, Features>> {
    match space {
        Space::Features => Ok(Cow::Borrowed(features)),
        Space::Logits => {
            let mut logits = logits_of(classifier, features)?;
            let num_classes = logits.len() / features.num_samples().max(1);
            for row in logits.chunks_exact_mut(num_classes.max(1)) {
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                row.iter_mut().for_each(|logit| *logit -= mean);
            }
            let dense = DenseRows::new(logits, num_classes.max(1))?;
            Ok(Cow::Owned(Features::Dense(dense)))
        }
    }
}

fn logits_of(
    classifier: Option<&LinearClassifier>,
    features: &Features,
) -> anyhow::Result<Vec<f64>> {
    let classifier = classifier.ok_or_else(|| Usage(NO_CLASSIFIER.into()))?;
    Ok(logits(classifier, features)?)
}

fn decode_blocks(decoder: &OneNearestNeighbour, features: &Features) -> anyhow::Result<Decoded> {
    let num_samples = features.num_samples();
    let (mut sets, mut scores, mut margins, mut unproven) = Default::default();
    for start in (0..num_samples).step_by(BLOCK_LEN) {
        let rows = start..(start + BLOCK_LEN).min(num_samples);
        let block = decoder.decode_with_margins(&features.rows_to_dense(rows))?;
        extend(&mut sets, block.targets.iter().cloned());
        extend(&mut scores, block.scores);
        extend(&mut margins, block.margins);
        extend(&mut unproven, block.unproven.iter().map(|i| start + i));
    }
    Ok(Decoded {
        targets: Targets::new(decoder.num_classes(), sets)?,
        scores,
        margins,
        unproven,
    })
}

fn extend<T>(all: &mut Vec<T>, block: impl IntoIterator<Item = T>) {
    all.extend(block);
}
