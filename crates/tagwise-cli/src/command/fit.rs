//! `tagwise fit`: a linear head on given features.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tagwise::head::{
    FitProgress, FittedHead, HeadDescription, HeadKind, HeadSettings, LabelledFeatures, Optimizer,
    Scaling, Stochastic, WeightDecay, WeightDecaySearch,
};
use tagwise::loss::set_likelihood::{MultiplicityPotentials, SeenSetPotentials};
use tagwise::loss::{LOSSES, Loss};
use tagwise::names::LabelNames;
use tagwise::words::counted;
use tagwise::{Error, Targets};

use super::run_part::RunPart;
use super::samples::{Like, TableArguments};
use super::values::{number, whole};
use crate::failure::{Interrupted, Usage};
use crate::outputs::Files;
use crate::progress::Lines;
use crate::terminal::tell;
use crate::{interrupt, output};

mod weights;

use weights::{class_weights, set_weights};

/// Fit a linear head on features and save it as safetensors
///
/// The weight decay is the one of least loss on a held-out part of the samples, split so that every
/// label keeps its share, unless it is given: it falls from 0.3 until the loss has risen twice. So
/// are the scaling of the features and, for the set likelihood, its potentials. The head is then
/// fitted to all samples. The head fitted without the held-out part is kept in the same file, so
/// that `tagwise decode` can tune thresholds on samples that it has not seen.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features and targets: .safetensors, .npz, .parquet, a folder of .npy files, .arff, .csv, .tsv,
    /// .txt of the Extreme Classification Repository, .svm or .libsvm, tables also packed (.gz, .bz2,
    /// .zst); or the folder of a run, whose training samples are meant
    #[arg(value_name = "SAMPLES")]
    samples: PathBuf,

    #[command(flatten)]
    tables: TableArguments,

    /// Where to write the head, a safetensors file with weight [K, d] and bias [K]
    #[arg(long, short, value_name = "FILE", default_value = "head.safetensors")]
    out: PathBuf,

    /// The loss to minimise
    #[arg(long, value_parser = loss_names(), default_value = "pal-n")]
    loss: Loss,

    /// Any weight matrix, or a fixed simplex ETF on a learned projection
    #[arg(long, value_enum, default_value = "linear")]
    kind: Kind,

    /// Weight decay, for features scaled to unit variance; chosen on held-out samples when absent
    #[arg(long, value_name = "LAMBDA", value_parser = number)]
    weight_decay: Option<f64>,

    /// How features are scaled while the head is fitted: to unit variance, to a maximum of 1, or not
    /// at all; chosen on held-out samples when absent, unit variance with --weight-decay
    #[arg(long, value_enum)]
    scaling: Option<ScalingName>,

    /// What numbers of labels are worth (set-likelihood): nothing, a constant for each, or a linear
    /// function of the features; chosen on held-out samples when absent, constant with
    /// --weight-decay
    #[arg(long, value_enum, value_name = "KIND")]
    multiplicities: Option<MultiplicitiesName>,

    /// Whether the label sets seen in training have potentials of their own (set-likelihood); chosen
    /// on held-out samples when absent, none with --weight-decay
    #[arg(long, value_enum, value_name = "KIND")]
    seen_sets: Option<SeenSetsName>,

    /// Decay of the potentials of label sets, from which 1/(2·decay·samples) is their variance;
    /// chosen on held-out samples when absent, variance 1 with --weight-decay
    #[arg(long, value_name = "LAMBDA", value_parser = number)]
    seen_set_decay: Option<f64>,

    /// Largest number of labels of a set (set-likelihood); that of the samples when absent
    #[arg(long, value_name = "M", value_parser = whole)]
    max_multiplicity: Option<usize>,

    /// Share of the samples held out to choose the weight decay
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = number)]
    held_out: f64,

    /// 0 weighs all samples alike, 1 all label sets
    #[arg(long, default_value_t = 0.0, value_parser = number)]
    balance: f64,

    /// How much labels count where a sample has them: none, balanced (rare labels count more), or a
    /// CSV file with a label and its weight in every line
    #[arg(long, value_name = "HOW", default_value = "none")]
    class_weight: String,

    /// How much label sets count: a CSV file with the labels of a set, separated by semicolons, and
    /// its weight in every line; other sets weigh 1
    #[arg(long, value_name = "FILE")]
    set_weights: Option<PathBuf>,

    /// L-BFGS, or stochastic gradient descent on mini-batches with variance reduction
    #[arg(long, value_enum, default_value = "lbfgs")]
    optimizer: OptimizerName,

    /// Samples of a step of stochastic descent
    #[arg(long, value_name = "B", default_value_t = Stochastic::default().batch_size, value_parser = whole)]
    batch_size: usize,

    /// Stop when no entry of the gradient is larger
    #[arg(long, value_name = "SIZE", default_value_t = HeadSettings::default().gradient_tolerance, value_parser = number)]
    tolerance: f64,

    /// Largest number of steps, or of passes over the samples for stochastic descent
    #[arg(long, value_name = "N", default_value_t = HeadSettings::default().max_iterations, value_parser = whole)]
    max_iterations: usize,

    /// Seed of the held-out part and of stochastic descent
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,

    /// Show no progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise fit train.safetensors
  tagwise fit bibtex-train.arff --labels bibtex.xml --loss bce --out head.safetensors
  tagwise fit yeast-train.arff --labels yeast.xml --loss set-likelihood";

/// The names of the table of losses.
fn loss_names() -> impl TypedValueParser<Value = Loss> {
    let names = LOSSES.map(|line| PossibleValue::new(line.name).help(line.about));
    PossibleValuesParser::new(names).map(|name| Loss::named(&name).unwrap_or_default())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
    Lbfgs,
    Sgd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScalingName {
    Standardise,
    None,
    Maximum,
}

impl ScalingName {
    fn scaling(self) -> Scaling {
        match self {
            Self::Standardise => Scaling::Standardise,
            Self::None => Scaling::None,
            Self::Maximum => Scaling::Maximum,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MultiplicitiesName {
    None,
    Constant,
    Linear,
}

impl MultiplicitiesName {
    fn potentials(self) -> MultiplicityPotentials {
        match self {
            Self::None => MultiplicityPotentials::None,
            Self::Constant => MultiplicityPotentials::Constant,
            Self::Linear => MultiplicityPotentials::Linear,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeenSetsName {
    None,
    Learned,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Linear,
    FixedEtf,
}

/// Fits and saves the head.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let weights = match arguments.class_weight.as_str() {
        "none" | "balanced" => None,
        file => Some(PathBuf::from(file)),
    };
    Files::reading([&arguments.samples])
        .and_reading(&arguments.tables.files())
        .and_reading(&arguments.set_weights)
        .and_reading(&weights)
        .writing("--out", Some(&arguments.out))
        .check()?;
    let path = RunPart::Training.of(&arguments.samples)?;
    let samples = arguments.tables.read(&path, Like::default())?;
    let labelled = LabelledFeatures::new(&samples.features, &samples.targets)?;
    let names = LabelNames::new(samples.label_names.clone());
    let settings = arguments.settings(&names, samples.targets.num_classes())?;
    let weight_decay = arguments.weight_decay()?;
    let progress = watch(arguments.quiet)?;
    let head = FittedHead::fit(labelled, &settings, &weight_decay, progress);
    let mut head = head.map_err(|error| match error {
        Error::Interrupted => Interrupted("stopped; no head was written".into()).into(),
        other => anyhow::Error::from(other),
    })?;
    head.description.label_names = samples.label_names;
    warn(&head.description, &samples.targets);
    head.write(&arguments.out)?;
    if arguments.json {
        return output::answer(&head.description);
    }
    output::text(&format!(
        "{}\nwritten to {}",
        text(&head.description),
        arguments.out.display()
    ))
}

impl Arguments {
    fn weight_decay(&self) -> anyhow::Result<WeightDecay> {
        let share = self.held_out;
        match self.weight_decay {
            Some(_) => Ok(WeightDecay::Given),
            None if share > 0.0 && share < 1.0 => Ok(WeightDecay::Searched {
                share,
                seed: self.seed,
                search: self.search(),
            }),
            None => {
                let message = format!("expected --held-out between 0 and 1, found {share}");
                Err(Usage(message).into())
            }
        }
    }

    /// What is compared on the held-out samples: everything that is not given.
    fn search(&self) -> WeightDecaySearch {
        let mut search = WeightDecaySearch::default();
        if self.scaling.is_some() {
            search.scalings.clear();
        }
        if self.multiplicities.is_some() {
            search.multiplicities.clear();
        }
        match (self.seen_sets, self.seen_set_decay) {
            (Some(SeenSetsName::None), _) | (Some(SeenSetsName::Learned), Some(_)) => {
                search.seen_set_deviations.clear();
            }
            _ => {}
        }
        search
    }

    /// The loss with the potentials that are asked for.
    fn loss(&self) -> anyhow::Result<Loss> {
        let Loss::SetLikelihood(mut likelihood) = self.loss else {
            let is_given = self.multiplicities.is_some()
                || self.seen_sets.is_some()
                || self.seen_set_decay.is_some()
                || self.max_multiplicity.is_some();
            return match is_given {
                false => Ok(self.loss),
                true => Err(Usage(
                    "--multiplicities, --seen-sets, --seen-set-decay and --max-multiplicity are for \
                     --loss set-likelihood"
                        .into(),
                )
                .into()),
            };
        };
        if let Some(name) = self.multiplicities {
            likelihood.multiplicities = name.potentials();
        }
        if let Some(SeenSetsName::Learned) = self.seen_sets {
            likelihood.seen_sets = SeenSetPotentials::Learned;
        }
        likelihood.max_multiplicity = self.max_multiplicity;
        Ok(Loss::SetLikelihood(likelihood))
    }

    fn settings(&self, names: &LabelNames, num_classes: usize) -> anyhow::Result<HeadSettings> {
        let settings = HeadSettings::default();
        Ok(HeadSettings {
            loss: self.loss()?,
            scaling: self.scaling.map_or(settings.scaling, ScalingName::scaling),
            seen_set_decay: self.seen_set_decay,
            kind: match self.kind {
                Kind::Linear => HeadKind::Linear,
                Kind::FixedEtf => HeadKind::FixedEtf,
            },
            weight_decay: self.weight_decay.unwrap_or(settings.weight_decay),
            balance: self.balance,
            class_weights: class_weights(&self.class_weight, names, num_classes)?,
            set_weights: match &self.set_weights {
                Some(path) => set_weights(path, names)?,
                None => Vec::new(),
            },
            optimizer: match self.optimizer {
                OptimizerName::Lbfgs => Optimizer::Lbfgs,
                OptimizerName::Sgd => Optimizer::Stochastic(Stochastic {
                    batch_size: self.batch_size,
                    seed: self.seed,
                }),
            },
            gradient_tolerance: self.tolerance,
            max_iterations: self.max_iterations,
        })
    }
}

/// Shows how fits go on and ends them after Ctrl-C.
fn watch(is_quiet: bool) -> anyhow::Result<impl FnMut(&FitProgress) -> ControlFlow<()> + Send> {
    let stop = interrupt::catch()?;
    let mut lines = Lines::new();
    Ok(move |progress: &FitProgress| {
        if !is_quiet {
            lines.show(|| {
                format!(
                    "weight decay {}: step {}, objective {:.6}, largest gradient {:.1e}",
                    progress.weight_decay,
                    progress.iterations,
                    progress.objective,
                    progress.gradient_norm
                )
            });
        }
        match stop.load(Ordering::SeqCst) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
}

/// Says on stderr what whoever fits should know.
fn warn(head: &HeadDescription, targets: &Targets) {
    let Some(settings) = &head.settings else {
        return;
    };
    let num_empty = targets.iter().filter(|set| set.is_empty()).count();
    if num_empty > 0 && matches!(settings.loss, Loss::PickAllLabels(_)) {
        tell!(
            "{num_empty} of {} {} no label: the pick-all-labels loss does not see them; \
             fit with --loss set-likelihood or bce where answers without a label matter",
            counted(targets.len(), "sample"),
            if num_empty == 1 { "has" } else { "have" }
        );
    }
    let outcome = head.outcome.filter(|outcome| !outcome.converged);
    if let Some(outcome) = outcome {
        let remedy = match settings.optimizer {
            Optimizer::Lbfgs => "raise --max-iterations or --tolerance",
            Optimizer::Stochastic(_) => {
                "raise --max-iterations or --tolerance, or fit with --optimizer lbfgs"
            }
        };
        tell!(
            "NOT CONVERGED: the largest gradient is {:.1e} after {}, where {:.1e} was asked \
             for; {remedy}",
            outcome.gradient_norm,
            counted(outcome.iterations, "step"),
            settings.gradient_tolerance
        );
    }
}

/// Scaling and potentials in words.
fn chosen(settings: &HeadSettings) -> String {
    let scaling = match settings.scaling {
        Scaling::Standardise => "features of unit variance",
        Scaling::None => "features as given",
        Scaling::Maximum => "features with a maximum of 1",
    };
    let Loss::SetLikelihood(likelihood) = settings.loss else {
        return scaling.into();
    };
    let multiplicities = match likelihood.multiplicities {
        MultiplicityPotentials::None => "no potentials of multiplicities",
        MultiplicityPotentials::Constant => "constant potentials of multiplicities",
        MultiplicityPotentials::Linear => "linear potentials of multiplicities",
    };
    let sets = match (likelihood.seen_sets, settings.seen_set_decay) {
        (SeenSetPotentials::None, _) => "none of label sets".into(),
        (SeenSetPotentials::Learned, None) => "potentials of label sets".into(),
        (SeenSetPotentials::Learned, Some(decay)) => {
            format!("potentials of label sets with decay {decay:.1e}")
        }
    };
    format!("{scaling}, {multiplicities}, {sets}")
}

/// What the head is, in two lines, and what was chosen.
fn text(head: &HeadDescription) -> String {
    let mut text = format!(
        "{}, {}, {}",
        counted(head.num_samples, "sample"),
        counted(head.dim, "feature"),
        counted(head.num_classes, "class")
    );
    if let (Some(settings), Some(outcome)) = (&head.settings, &head.outcome) {
        text.push_str(&format!(
            "\nweight decay {}, objective {:.6}, largest gradient {:.1e} after {}{}",
            settings.weight_decay,
            outcome.objective,
            outcome.gradient_norm,
            counted(outcome.iterations, "step"),
            if outcome.converged {
                ""
            } else {
                " (not converged)"
            },
        ));
        if !head.compared.is_empty() {
            text.push_str(&format!(
                "\nchosen on held-out samples: {}",
                chosen(settings)
            ));
        }
    }
    text
}
