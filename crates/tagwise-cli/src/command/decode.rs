//! `tagwise decode`: features to label sets.

use std::path::PathBuf;

use tagwise::decode::{EmptySet, NearestSettings};

use super::head::{StoredHead, check_names};
use super::names::LabelNames;
use super::samples::{Expected, Samples, TableArguments};
use crate::failure::Usage;
use crate::output;

mod answers;
mod choice;
mod options;

use answers::Format;
use options::{
    CriterionName, DistanceName, LinkName, Means, Name, PriorName, Scales, Space, empty_set, scales,
};

/// Decode features to label sets
///
/// One-nearest-neighbour decoding takes its prototypes from the training samples given by
/// --prototypes. The other decoders work on the logits of a classifier (--head, or the one stored
/// with the samples) and are tuned on --validation, or on the part of the training samples
/// that `tagwise fit` held out, or else on a fifth of them, where a classifier that was fitted to
/// them looks better than it is. `auto` compares all decoders on the same samples and says which
/// one it took and why.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features to decode: .safetensors, .npz, a folder of .npy files, .arff, .txt of the Extreme
    /// Classification Repository, .svm or .libsvm
    #[arg(long, value_name = "SAMPLES")]
    features: PathBuf,

    /// Training samples with targets
    #[arg(long, value_name = "SAMPLES")]
    prototypes: Option<PathBuf>,

    /// Samples with targets for tuning, unseen by the classifier
    #[arg(long, value_name = "SAMPLES")]
    validation: Option<PathBuf>,

    #[command(flatten)]
    tables: TableArguments,

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

    /// The scales c_1, c_2, … of the sums of class means for 1, 2, … labels: measured on the training
    /// samples; ufm, what the unconstrained feature model predicts for their label sets; or numbers
    /// separated by commas (onn, unless by cosine to tag averages)
    #[arg(long, value_name = "HOW", default_value = "measured", value_parser = scales)]
    scales: Scales,

    /// How likely label sets are beforehand (onn)
    #[arg(long, value_enum, default_value = "none")]
    prior: PriorName,

    /// What distances are measured between (onn, auto)
    #[arg(long, value_enum, default_value = "features")]
    space: Space,

    /// When a sample has no label: never; measured, when the mean of unlabelled training samples is
    /// nearest; or a score, when no other set reaches it (onn)
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = empty_set)]
    empty_set: EmptySet,

    /// Largest number of labels of an answer; that of the training samples when absent (onn)
    #[arg(long, value_name = "M")]
    max_multiplicity: Option<usize>,

    /// Partial label sets to visit for one sample before the answer is given unproven (onn)
    #[arg(long, value_name = "COUNT", default_value_t = NearestSettings::default().max_nodes)]
    max_nodes: u64,

    /// What the logits mean: one probability shared by all labels, or one for each; when absent,
    /// what the loss of the head says, softmax for other classifiers
    #[arg(long, value_enum)]
    link: Option<LinkName>,

    /// What tuning maximises
    #[arg(long, value_enum, default_value = "subset-accuracy")]
    criterion: CriterionName,

    /// Where to write the answers: .json, .parquet, or CSV under any other name; CSV on stdout when
    /// absent
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of CSV
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise decode --features test.safetensors --prototypes train.safetensors
  tagwise decode --features bibtex-test.arff --prototypes bibtex-train.arff --labels bibtex.xml \\
    --head head.safetensors --decoder expected-f1 --out answers.csv";

/// Everything that the command reads.
struct Inputs {
    samples: Samples,
    training: Option<Samples>,
    validation: Option<Samples>,
    head: Option<StoredHead>,
    names: LabelNames,
}

/// Decodes and prints or writes the answers.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let format = arguments.out.as_deref().map(Format::of).transpose()?;
    let inputs = Inputs::read(arguments)?;
    let answers = choice::decode(arguments, &inputs)?;
    match (&arguments.out, format) {
        (Some(path), Some(format)) => {
            answers.write(format, path)?;
            output::text(&format!("{}\n", answers.decoder))
        }
        _ if arguments.json => output::json(&answers),
        _ => output::text(&answers.csv()),
    }
}

impl Inputs {
    fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let stored = arguments
            .head
            .as_deref()
            .map(StoredHead::read)
            .transpose()?;
        let mut expected = stored
            .as_ref()
            .map_or(Expected::default(), StoredHead::size);
        let mut head = stored;
        let mut source = head.as_ref().map_or(String::new(), StoredHead::source);
        let mut training = None;
        if let Some(path) = &arguments.prototypes {
            let samples = arguments.tables.read(path, expected)?;
            head = head.or_else(|| StoredHead::of_samples(&samples, path));
            if let Some(head) = &head {
                head.check(&samples, path)?;
            }
            expected = samples.size();
            source = format!("the training samples in {}", path.display());
            training = Some(samples);
        }
        let own_names = head.as_ref().and_then(|head| head.label_names.clone());
        let label_names = own_names.or(training
            .as_ref()
            .and_then(|t: &Samples| t.label_names.clone()));
        let read = |path: &PathBuf| -> anyhow::Result<Samples> {
            let samples = arguments.tables.read(path, expected)?;
            samples.check(path, expected, &source)?;
            let (ours, theirs) = (label_names.as_deref(), samples.label_names.as_deref());
            check_names(ours, theirs, &source, path)?;
            Ok(samples)
        };
        let samples = read(&arguments.features)?;
        let validation = arguments.validation.as_ref().map(read).transpose()?;
        head = head.or_else(|| StoredHead::of_samples(&samples, &arguments.features));
        if training.is_none() && validation.is_none() {
            return Err(Usage(
                "expected samples with known labels: --prototypes, or --validation for a decoder of logits"
                    .into(),
            )
            .into());
        }
        Ok(Self {
            names: LabelNames::new(label_names.or(samples.label_names.clone())),
            samples,
            training,
            validation,
            head,
        })
    }
}
