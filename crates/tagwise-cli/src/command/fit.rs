//! `tagwise fit`: a linear head on given features.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tagwise::Error;
use tagwise::head::{
    FitProgress, FittedHead, HeadDescription, HeadKind, HeadSettings, LabelledFeatures, Optimizer,
    Stochastic, WeightDecay, WeightDecaySearch,
};
use tagwise::loss::{LOSSES, Loss};
use tagwise::names::LabelNames;

use super::run_part::RunPart;
use super::samples::{Like, TableArguments};
use crate::failure::{Interrupted, Usage};
use crate::progress::Lines;
use crate::{interrupt, output};

mod weights;

use weights::{class_weights, set_weights};

/// Fit a linear head on features and save it as safetensors
///
/// The weight decay is the one of least loss on a held-out part of the samples, split so that every
/// label keeps its share, unless it is given: it falls from 0.3 until the loss has risen twice. The
/// head is then fitted to all samples. The head fitted without the held-out part is kept in the
/// same file, so that `tagwise decode` can tune thresholds on samples that it has not seen.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Features and targets: .safetensors, .npz, a folder of .npy files, .arff, .txt of the Extreme
    /// Classification Repository, .svm or .libsvm
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
    #[arg(long, value_name = "LAMBDA")]
    weight_decay: Option<f64>,

    /// Share of the samples held out to choose the weight decay
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    held_out: f64,

    /// 0 weighs all samples alike, 1 all label sets
    #[arg(long, default_value_t = 0.0)]
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
    #[arg(long, value_name = "B", default_value_t = Stochastic::default().batch_size)]
    batch_size: usize,

    /// Stop when no entry of the gradient is larger
    #[arg(long, value_name = "SIZE", default_value_t = HeadSettings::default().gradient_tolerance)]
    tolerance: f64,

    /// Largest number of steps, or of passes over the samples for stochastic descent
    #[arg(long, value_name = "N", default_value_t = HeadSettings::default().max_iterations)]
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
  tagwise fit bibtex-train.arff --labels bibtex.xml --loss bce --out head.safetensors";

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
enum Kind {
    Linear,
    FixedEtf,
}

/// Fits and saves the head.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
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
    head.write(&arguments.out)?;
    if arguments.json {
        return output::json(&head.description);
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
                search: WeightDecaySearch::default(),
            }),
            None => {
                let message = format!("expected --held-out between 0 and 1, found {share}");
                Err(Usage(message).into())
            }
        }
    }

    fn settings(&self, names: &LabelNames, num_classes: usize) -> anyhow::Result<HeadSettings> {
        let settings = HeadSettings::default();
        Ok(HeadSettings {
            loss: self.loss,
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
            ..settings
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

/// What the head is, in two lines.
fn text(head: &HeadDescription) -> String {
    let mut text = format!(
        "{} samples, {} features, {} classes",
        head.num_samples, head.dim, head.num_classes
    );
    if let (Some(settings), Some(outcome)) = (&head.settings, &head.outcome) {
        text.push_str(&format!(
            "\nweight decay {}, objective {:.6}, largest gradient {:.1e} after {} steps{}",
            settings.weight_decay,
            outcome.objective,
            outcome.gradient_norm,
            outcome.iterations,
            if outcome.converged {
                ""
            } else {
                " (not converged)"
            },
        ));
    }
    text
}
