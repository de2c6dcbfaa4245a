//! `tagwise decode`: features to label sets.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tagwise::decode::{
    Candidate, Decoder, DecoderSpec, Distance, EmptySet, Link, LogitDecoder, NearestSettings,
    OneNearestNeighbour, Prior, Prototypes, RuleKind, Validation, choose,
};
use tagwise::evaluate::Criterion;
use tagwise::file::write_atomically;
use tagwise::head::{Features, logits, read_classifier};
use tagwise::snapshot::LinearClassifier;
use tagwise::split::stratified_folds;
use tagwise::statistics::Statistics;
use tagwise::{LabelSet, Targets};

use super::samples::Samples;
use crate::failure::Usage;
use crate::output;

/// Decode features to label sets
///
/// One-nearest-neighbour decoding takes its prototypes from the training samples given by
/// --prototypes. The other decoders work on the logits of a classifier (--head, or the one stored
/// with the training samples) and are tuned on --validation, or else on a fifth of the training
/// samples, where a classifier that was fitted to them looks better than it is. `auto` compares all
/// decoders on the same samples and says which one it took and why.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Features to decode: .safetensors, .npz or a folder of .npy files
    #[arg(long, value_name = "SAMPLES")]
    features: PathBuf,

    /// Training samples with targets
    #[arg(long, value_name = "SAMPLES")]
    prototypes: PathBuf,

    /// Samples with targets for tuning, unseen by the classifier
    #[arg(long, value_name = "SAMPLES")]
    validation: Option<PathBuf>,

    /// A classifier, as `tagwise fit` writes it
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,

    /// How to decode
    #[arg(long, value_enum, default_value = "onn")]
    decoder: Name,

    /// By which distance a prototype is near (onn)
    #[arg(long, value_enum, default_value = "cosine")]
    distance: DistanceName,

    /// Prototypes from class means alone, or also from the means of label sets (onn)
    #[arg(long, value_enum, default_value = "tag-averages")]
    means: Means,

    /// How likely label sets are beforehand (onn)
    #[arg(long, value_enum, default_value = "none")]
    prior: PriorName,

    /// Let the mean of unlabelled training samples stand for the empty set (onn)
    #[arg(long)]
    empty_set: bool,

    /// Largest number of labels of an answer; that of the training samples when absent (onn)
    #[arg(long, value_name = "M")]
    max_multiplicity: Option<usize>,

    /// Partial label sets to visit for one sample before the answer is given unproven (onn)
    #[arg(long, value_name = "COUNT", default_value_t = NearestSettings::default().max_nodes)]
    max_nodes: u64,

    /// What the logits mean: one probability shared by all labels, or one for each
    #[arg(long, value_enum, default_value = "softmax")]
    link: LinkName,

    /// What tuning maximises
    #[arg(long, value_enum, default_value = "subset-accuracy")]
    criterion: CriterionName,

    /// Where to write the answers as CSV; stdout when absent
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of CSV
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
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
enum DistanceName {
    Cosine,
    Euclidean,
    Mahalanobis,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Means {
    TagAverages,
    LabelSets,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PriorName {
    None,
    Multiplicity,
    LabelSet,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LinkName {
    Softmax,
    Sigmoid,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CriterionName {
    SubsetAccuracy,
    HammingAccuracy,
    JaccardSamples,
    F1Samples,
    F1Micro,
    F1Macro,
}

/// The answers as JSON.
#[derive(Debug, Serialize)]
struct Answers {
    decoder: DecoderSpec,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Candidate>,
    label_sets: Vec<LabelSet>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scores: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    margins: Vec<f64>,
    unproven: Vec<usize>,
}

/// Decodes and prints or writes the answers.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let training = Samples::read(&arguments.prototypes)?;
    let samples = Samples::read(&arguments.features)?;
    if samples.dim != training.dim {
        anyhow::bail!(
            "expected features of {} dimensions like those of the prototypes, found {} in {}",
            training.dim,
            samples.dim,
            arguments.features.display()
        );
    }
    let classifier = match &arguments.head {
        Some(path) => Some(read_classifier(path)?),
        None => training.classifier.clone(),
    };
    let answers = decode(arguments, training, samples, classifier.as_ref())?;
    if arguments.json {
        return output::json(&answers);
    }
    let csv = csv(&answers);
    match &arguments.out {
        Some(path) => {
            write_atomically(path, |file| file.write_all(csv.as_bytes()))?;
            output::text(&format!("{}\n", answers.decoder))
        }
        None => output::text(&csv),
    }
}

fn decode(
    arguments: &Arguments,
    training: Samples,
    samples: Samples,
    classifier: Option<&LinearClassifier>,
) -> anyhow::Result<Answers> {
    let num_classes = training.targets.num_classes();
    let sample_logits = logits_of(classifier, &samples, num_classes)?;
    let (spec, decoder, candidates) = match (arguments.decoder.rule(), arguments.decoder) {
        (None, Name::Auto) => {
            let (fitting, held_out) = split(arguments, &training)?;
            let held_out_logits = logits_of(classifier, &held_out, num_classes)?;
            let validation = Validation {
                features: &held_out.features,
                logits: held_out_logits.as_deref(),
                link: arguments.link(),
                truth: &held_out.targets,
            };
            let choice = choose(&statistics(&fitting)?, &validation, arguments.criterion())?;
            let best = &choice.candidates[choice.best];
            eprintln!(
                "auto: {} has the best {:?} on held-out training samples, {:.4}",
                best.spec,
                choice.criterion,
                best.value.unwrap_or(f64::NAN)
            );
            (best.spec, choice.decoder, choice.candidates)
        }
        (Some(kind), _) => {
            let (_, held_out) = split(arguments, &training)?;
            let held_out_logits = logits_of(classifier, &held_out, num_classes)?.context(
                "this decoder needs a classifier: give --head, or training samples with a weight",
            )?;
            let link = arguments.link();
            let decoder = LogitDecoder::fit(
                kind,
                link,
                &held_out_logits,
                &held_out.targets,
                arguments.criterion(),
            )?;
            let spec = DecoderSpec::Rule { kind, link };
            (spec, Decoder::Logits(decoder), Vec::new())
        }
        (None, _) => {
            let settings = arguments.nearest();
            let decoder = OneNearestNeighbour::fit(&statistics(&training)?, &settings)?;
            let spec = DecoderSpec::OneNearestNeighbour { settings };
            (
                spec,
                Decoder::OneNearestNeighbour(Box::new(decoder)),
                Vec::new(),
            )
        }
    };
    let mut answers = Answers {
        decoder: spec,
        candidates,
        label_sets: Vec::new(),
        scores: Vec::new(),
        margins: Vec::new(),
        unproven: Vec::new(),
    };
    let targets: Targets = match decoder {
        Decoder::OneNearestNeighbour(decoder) => {
            // A chosen decoder was fitted to four fifths; the answers use all samples.
            let decoder = match spec {
                DecoderSpec::OneNearestNeighbour { settings } => OneNearestNeighbour::fit(
                    &statistics(&training)?,
                    &NearestSettings {
                        max_nodes: arguments.max_nodes,
                        ..settings
                    },
                )?,
                DecoderSpec::Rule { .. } => *decoder,
            };
            let decoded = decoder.decode_with_margins(&samples.features)?;
            answers.scores = decoded.scores;
            answers.margins = decoded.margins;
            answers.unproven = decoded.unproven;
            decoded.targets
        }
        Decoder::Logits(decoder) => {
            decoder.decode(sample_logits.as_deref().unwrap_or_default(), num_classes)?
        }
    };
    if !answers.unproven.is_empty() {
        eprintln!(
            "{} of {} answers are not proven to be the nearest; raise --max-nodes",
            answers.unproven.len(),
            targets.len()
        );
    }
    answers.label_sets = targets.iter().cloned().collect();
    Ok(answers)
}

/// Samples for prototypes and samples for tuning.
fn split(arguments: &Arguments, training: &Samples) -> anyhow::Result<(Samples, Samples)> {
    if let Some(path) = &arguments.validation {
        let all: Vec<usize> = (0..training.targets.len()).collect();
        return Ok((training.select(&all)?, Samples::read(path)?));
    }
    let folds = stratified_folds(&training.targets, &[0.8, 0.2], 0)?;
    let rows = |fold: usize| -> Vec<usize> {
        (0..folds.len()).filter(|&row| folds[row] == fold).collect()
    };
    Ok((training.select(&rows(0))?, training.select(&rows(1))?))
}

fn statistics(samples: &Samples) -> anyhow::Result<Statistics> {
    let mut statistics = Statistics::new(samples.targets.num_classes(), samples.dim);
    statistics.update(&samples.features, &samples.targets)?;
    Ok(statistics)
}

fn logits_of(
    classifier: Option<&LinearClassifier>,
    samples: &Samples,
    num_classes: usize,
) -> anyhow::Result<Option<Vec<f64>>> {
    let Some(classifier) = classifier else {
        return Ok(None);
    };
    if classifier.num_classes() != num_classes {
        return Err(Usage(format!(
            "expected a classifier of {num_classes} classes like the training samples, found {}",
            classifier.num_classes()
        ))
        .into());
    }
    let features = Features::from_dense(samples.features.clone(), samples.dim)?;
    Ok(Some(logits(classifier, &features)?))
}

/// One line for each sample: its labels, separated by spaces, and for one-nearest-neighbour
/// decoding the score, the margin and whether the answer is proven.
fn csv(answers: &Answers) -> String {
    let has_scores = !answers.scores.is_empty();
    let mut csv = String::from(match has_scores {
        true => "sample,labels,score,margin,proven\n",
        false => "sample,labels\n",
    });
    for (sample, set) in answers.label_sets.iter().enumerate() {
        let labels: Vec<String> = set.labels().iter().map(ToString::to_string).collect();
        csv.push_str(&format!("{sample},{}", labels.join(" ")));
        if has_scores {
            let is_proven = answers.unproven.binary_search(&sample).is_err();
            csv.push_str(&format!(
                ",{},{},{is_proven}",
                answers.scores[sample], answers.margins[sample]
            ));
        }
        csv.push('\n');
    }
    csv
}

impl Name {
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

impl Arguments {
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
            empty_set: match self.empty_set {
                true => EmptySet::Measured,
                false => EmptySet::Never,
            },
            max_multiplicity: self.max_multiplicity,
            max_nodes: self.max_nodes,
        }
    }

    fn link(&self) -> Link {
        match self.link {
            LinkName::Softmax => Link::Softmax,
            LinkName::Sigmoid => Link::Sigmoid,
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
