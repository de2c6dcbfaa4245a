//! `tagwise fit`: a linear head on given features.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use tagwise::Targets;
use tagwise::head::{Features, Head, HeadKind, HeadSettings, write_classifier};
use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise::minimize::Stop;
use tagwise::split::stratified_folds;

use super::samples::Samples;
use crate::failure::Usage;
use crate::output;

/// Weight decays tried when none is given, each started from the head before.
const WEIGHT_DECAYS: [f64; 8] = [3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4];

/// Fit a linear head on features by L-BFGS and save it as safetensors
///
/// The weight decay is the one of least loss on a held-out part of the samples, split so that every
/// label keeps its share, unless it is given. The head is then fitted to all samples.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Features and targets: .safetensors, .npz or a folder of .npy files
    #[arg(value_name = "SAMPLES")]
    samples: PathBuf,

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

    /// Seed of the held-out part
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

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
    /// Held-out loss of each weight decay tried.
    held_out: Vec<HeldOut>,
    objective: f64,
    gradient_norm: f64,
    iterations: usize,
    converged: bool,
}

#[derive(Debug, Serialize)]
struct HeldOut {
    weight_decay: f64,
    loss: f64,
}

/// Fits and saves the head.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let samples = Samples::read(&arguments.samples)?;
    let features = Features::from_dense(samples.features, samples.dim)?;
    let targets = &samples.targets;
    let mut settings = HeadSettings {
        loss: arguments.loss.loss(),
        kind: match arguments.kind {
            Kind::Linear => HeadKind::Linear,
            Kind::FixedEtf => HeadKind::FixedEtf,
        },
        balance: arguments.balance,
        ..HeadSettings::default()
    };
    let mut held_out = Vec::new();
    settings.weight_decay = match arguments.weight_decay {
        Some(weight_decay) => weight_decay,
        None => {
            held_out = compare(arguments, &features, targets, settings)?;
            let best = held_out.iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
            best.map_or(settings.weight_decay, |best| best.weight_decay)
        }
    };
    let head = Head::fit(&features, targets, &settings, None)?;
    let fitted = Fitted {
        num_samples: targets.len(),
        num_classes: targets.num_classes(),
        dim: features.dim(),
        settings,
        held_out,
        objective: head.objective,
        gradient_norm: head.gradient_norm,
        iterations: head.iterations,
        converged: head.stop == Stop::Converged,
    };
    let description = serde_json::to_string(&fitted)?;
    write_classifier(&head.classifier, &description, &arguments.out)?;
    if arguments.json {
        return output::json(&fitted);
    }
    output::text(&format!(
        "{} samples, {} features, {} classes\nweight decay {}, objective {:.6}, largest gradient {:.1e} after {} steps{}\nwritten to {}",
        fitted.num_samples,
        fitted.dim,
        fitted.num_classes,
        settings.weight_decay,
        fitted.objective,
        fitted.gradient_norm,
        fitted.iterations,
        if fitted.converged {
            ""
        } else {
            " (not converged)"
        },
        arguments.out.display(),
    ))
}

/// The held-out loss of each weight decay.
fn compare(
    arguments: &Arguments,
    features: &Features,
    targets: &Targets,
    settings: HeadSettings,
) -> anyhow::Result<Vec<HeldOut>> {
    let share = arguments.held_out;
    if !(share > 0.0 && share < 1.0) {
        return Err(Usage(format!(
            "expected --held-out between 0 and 1, found {share}"
        ))
        .into());
    }
    let folds = stratified_folds(targets, &[1.0 - share, share], arguments.seed)?;
    let part = |fold: usize| -> anyhow::Result<(Features, Targets)> {
        let rows: Vec<usize> = (0..folds.len()).filter(|&row| folds[row] == fold).collect();
        let sets = rows.iter().map(|&row| targets.set(row).clone());
        let sets = Targets::new(targets.num_classes(), sets)?;
        Ok((features.select(&rows), sets))
    };
    let ((fit_features, fit_targets), (features, targets)) = (part(0)?, part(1)?);
    let mut head = None;
    let mut compared = Vec::new();
    let mut gradient = vec![0.0; targets.num_classes()];
    for weight_decay in WEIGHT_DECAYS {
        let settings = HeadSettings {
            weight_decay,
            ..settings
        };
        let next = Head::fit(&fit_features, &fit_targets, &settings, head.as_ref())?;
        let logits = next.logits(&features)?;
        let rows = logits.chunks(targets.num_classes()).zip(targets.iter());
        let total: f64 = rows
            .map(|(row, set)| settings.loss.value_and_gradient(row, set, &mut gradient))
            .sum();
        compared.push(HeldOut {
            weight_decay,
            loss: total / targets.len().max(1) as f64,
        });
        head = Some(next);
    }
    Ok(compared)
}
