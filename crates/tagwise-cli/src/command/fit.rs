//! `tagwise fit`: a linear head on given features.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tagwise::Targets;
use tagwise::head::{Features, Head, HeadFile, HeadKind, HeadSettings, Optimizer, Stochastic};
use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise::minimize::Stop;

use super::head::HeldOut;
use super::names::LabelNames;
use super::samples::{Expected, TableArguments};
use crate::failure::{Interrupted, Usage};
use crate::progress::Lines;
use crate::{interrupt, output};

mod weights;

use weights::{class_weights, set_weights};

/// Largest gradient of a head that is only compared with others.
const COMPARISON_TOLERANCE: f64 = 1e-3;

/// Weight decays without a new least loss after which smaller ones are not tried.
const RISES: usize = 2;

/// Weight decays tried when none is given, each started from the head before.
const WEIGHT_DECAYS: [f64; 8] = [3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4];

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
    #[arg(long, value_enum, default_value = "pal-n")]
    loss: LossName,

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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossName {
    Pal,
    PalN,
    Bce,
    Focal,
    Asl,
    Zlpr,
}

impl LossName {
    fn loss(self) -> Loss {
        match self {
            Self::Pal => Loss::PickAllLabels(PickAllLabels {
                weighting: Weighting::Sum,
            }),
            Self::PalN => Loss::PickAllLabels(PickAllLabels {
                weighting: Weighting::Mean,
            }),
            Self::Bce => Loss::BinaryCrossEntropy {},
            Self::Focal => Loss::Focal { gamma: 2.0 },
            Self::Asl => Loss::Asymmetric {
                gamma_positive: 0.0,
                gamma_negative: 4.0,
                margin: 0.05,
            },
            Self::Zlpr => Loss::Zlpr {},
        }
    }
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

/// What the command prints, and the head's description in its file.
#[derive(Debug, Serialize)]
struct Fitted {
    num_samples: usize,
    num_classes: usize,
    dim: usize,
    settings: HeadSettings,
    /// The weight decays tried, with their loss on the samples held out.
    weight_decays: Vec<Tried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out: Option<HeldOut>,
    objective: f64,
    gradient_norm: f64,
    iterations: usize,
    converged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_names: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Tried {
    weight_decay: f64,
    loss: f64,
}

/// The best of several weight decays.
struct Comparison {
    tried: Vec<Tried>,
    best: Head,
    weight_decay: f64,
    held_out: HeldOut,
}

/// Fits and saves the head.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let samples = arguments
        .tables
        .read(&arguments.samples, Expected::default())?;
    let (features, targets) = (&samples.features, &samples.targets);
    let names = LabelNames::new(samples.label_names.clone());
    let mut settings = arguments.settings(&names, targets.num_classes())?;
    let mut watch = Watch::new(arguments)?;
    let comparison = match arguments.weight_decay {
        Some(_) => None,
        None => Some(compare(
            arguments, features, targets, &settings, &mut watch,
        )?),
    };
    if let Some(comparison) = &comparison {
        settings.weight_decay = comparison.weight_decay;
    }
    let start = comparison.as_ref().map(|comparison| &comparison.best);
    let head = watch.fit(features, targets, &settings, start)?;
    let mut fitted = Fitted {
        num_samples: targets.len(),
        num_classes: targets.num_classes(),
        dim: features.dim(),
        settings,
        weight_decays: Vec::new(),
        held_out: None,
        objective: head.objective,
        gradient_norm: head.gradient_norm,
        iterations: head.iterations,
        converged: head.stop == Stop::Converged,
        label_names: samples.label_names,
    };
    let mut held_out = None;
    if let Some(comparison) = comparison {
        fitted.weight_decays = comparison.tried;
        fitted.held_out = Some(comparison.held_out);
        held_out = Some(comparison.best.classifier);
    }
    let file = HeadFile {
        classifier: head.classifier,
        held_out,
        description: serde_json::to_string(&fitted)?,
    };
    file.write(&arguments.out)?;
    if arguments.json {
        return output::json(&fitted);
    }
    output::text(&format!(
        "{}\nwritten to {}",
        fitted.text(),
        arguments.out.display()
    ))
}

impl Arguments {
    fn settings(&self, names: &LabelNames, num_classes: usize) -> anyhow::Result<HeadSettings> {
        let settings = HeadSettings::default();
        Ok(HeadSettings {
            loss: self.loss.loss(),
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
struct Watch {
    lines: Lines,
    is_quiet: bool,
    stop: &'static AtomicBool,
}

impl Watch {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        Ok(Self {
            lines: Lines::new(),
            is_quiet: arguments.quiet,
            stop: interrupt::catch()?,
        })
    }

    fn fit(
        &mut self,
        features: &Features,
        targets: &Targets,
        settings: &HeadSettings,
        start: Option<&Head>,
    ) -> anyhow::Result<Head> {
        let head = Head::fit_with(features, targets, settings, start, |progress| {
            if !self.is_quiet {
                self.lines.show(|| {
                    format!(
                        "weight decay {}: step {}, objective {:.6}, largest gradient {:.1e}",
                        settings.weight_decay,
                        progress.iterations,
                        progress.objective,
                        progress.gradient_norm
                    )
                });
            }
            match self.stop.load(Ordering::SeqCst) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        match head.stop {
            Stop::Interrupted => Err(Interrupted("stopped; no head was written".into()).into()),
            _ => Ok(head),
        }
    }
}

impl Fitted {
    fn text(&self) -> String {
        format!(
            "{} samples, {} features, {} classes\nweight decay {}, objective {:.6}, largest gradient {:.1e} after {} steps{}",
            self.num_samples,
            self.dim,
            self.num_classes,
            self.settings.weight_decay,
            self.objective,
            self.gradient_norm,
            self.iterations,
            if self.converged {
                ""
            } else {
                " (not converged)"
            },
        )
    }
}

/// Fits with each weight decay, each from the head before, and keeps the one of least loss on the
/// samples held out.
fn compare(
    arguments: &Arguments,
    features: &Features,
    targets: &Targets,
    settings: &HeadSettings,
    watch: &mut Watch,
) -> anyhow::Result<Comparison> {
    let share = arguments.held_out;
    if !(share > 0.0 && share < 1.0) {
        return Err(Usage(format!(
            "expected --held-out between 0 and 1, found {share}"
        ))
        .into());
    }
    let held_out = HeldOut::new(share, arguments.seed, targets);
    let (fitting, testing) = held_out.split(targets)?.unwrap_or_default();
    let part = |rows: &[usize]| (features.select(rows), targets.select(rows.iter().copied()));
    let (fit_features, fit_targets) = part(&fitting);
    let (test_features, test_targets) = part(&testing);
    let mut tried = Vec::new();
    let mut last: Option<Head> = None;
    let mut best: Option<(f64, f64, Head)> = None;
    for weight_decay in WEIGHT_DECAYS {
        let settings = HeadSettings {
            weight_decay,
            gradient_tolerance: settings.gradient_tolerance.max(COMPARISON_TOLERANCE),
            ..settings.clone()
        };
        let head = watch.fit(&fit_features, &fit_targets, &settings, last.as_ref())?;
        let logits = head.logits(&test_features)?;
        let loss = mean_loss(settings.loss, &logits, &test_targets);
        tried.push(Tried { weight_decay, loss });
        if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
            best = Some((loss, weight_decay, head.clone()));
        }
        last = Some(head);
        let least = tried.iter().map(|t| t.loss).fold(f64::INFINITY, f64::min);
        let since = tried.iter().rev().take_while(|t| t.loss > least).count();
        if since >= RISES {
            break;
        }
    }
    let (_, weight_decay, best) = best.context("no weight decay was tried")?;
    Ok(Comparison {
        tried,
        best,
        weight_decay,
        held_out,
    })
}

fn mean_loss(loss: Loss, logits: &[f64], targets: &Targets) -> f64 {
    let mut gradient = vec![0.0; targets.num_classes()];
    let rows = logits.chunks(targets.num_classes()).zip(targets.iter());
    let total: f64 = rows
        .map(|(row, set)| loss.value_and_gradient(row, set, &mut gradient))
        .sum();
    total / targets.len().max(1) as f64
}
