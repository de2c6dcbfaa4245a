//! `tagwise ufm`: the geometry that is optimal for given labels, with proof.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tagwise::loss::set_likelihood::{MultiplicityPotentials, SeenSetPotentials, SetLikelihood};
use tagwise::loss::{PickAllLabels, Weighting};
use tagwise::ufm::{
    Bias, ClassifierKind, ClosedForm, FeatureKind, LabelCounts, Progress, SolverSettings,
    UfmAnswer, UfmProblem, UfmSettings,
};
use tagwise::words::counted;
use tagwise_report::{Page, build};

use super::samples::FormatArguments;
use super::values::{number, whole};
use crate::failure::{Interrupted, Usage};
use crate::outputs::Files;
use crate::terminal::columns;
use crate::terminal::tell;
use crate::{interrupt, output};

mod input;

/// Tables are laid out for this width, on a terminal and in a file.
const WIDTH: usize = 100;

/// Progress is shown no more often than this.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// Find the optimal geometry for given labels: the unconstrained feature model, solved and certified
///
/// Say how often label sets occur (--counts, --totals) or name a label matrix (--targets). Data
/// balanced within multiplicities have a closed form; any other label distribution is solved until
/// the gap to a rigorous lower bound is below --gap.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of classes K, with --counts or --totals; for a LIBSVM file when labels above the
    /// largest that occurs belong to it
    #[arg(long, short = 'k', value_name = "K", value_parser = whole)]
    classes: Option<usize>,

    /// Samples of each label set, by multiplicity: 1:3100,2:200 is 3100 of each single label and
    /// 200 of each pair
    #[arg(long, value_name = "M:N,…", conflicts_with_all = ["targets", "totals"])]
    counts: Option<String>,

    /// Samples of each multiplicity, spread evenly over its label sets: 1:31000,2:9000
    #[arg(long, value_name = "M:N,…", conflicts_with = "targets")]
    totals: Option<String>,

    /// The labels of a data set: .npy, .npz or .safetensors with targets [N, K] of 0 and 1 or class
    /// numbers, a sparse matrix of SciPy (.npz), a folder of .npy files, .parquet, .arff, .csv,
    /// .txt of the Extreme Classification Repository, .svm, .libsvm, or a run. Give it again to append
    /// more samples
    #[arg(long, value_name = "FILE")]
    targets: Vec<PathBuf>,

    #[command(flatten)]
    format: FormatArguments,

    /// Feature dimension d; K when absent
    #[arg(long, value_name = "D", value_parser = whole)]
    dim: Option<usize>,

    /// The pick-all-labels loss, as the sum over the labels of a sample or their mean, or the
    /// likelihood of whole label sets
    #[arg(long, value_enum, default_value_t = Loss::Pal)]
    loss: Loss,

    /// Of the set likelihood: a potential learned for each multiplicity, or none
    #[arg(long, value_enum, default_value_t = Multiplicities::Constant)]
    multiplicities: Multiplicities,

    /// Of the set likelihood: the largest multiplicity that has a probability; the largest that
    /// occurs when absent
    #[arg(long, value_name = "M", value_parser = whole)]
    max_multiplicity: Option<usize>,

    /// Decay of the classifier: λ_W‖W‖²
    #[arg(long, value_name = "λ", default_value_t = 5e-3, value_parser = number)]
    lambda_w: f64,

    /// Decay of the features: λ_H Σ‖hᵢ‖² over all samples; 5e-3·K/N when absent
    #[arg(long, value_name = "λ", value_parser = number)]
    lambda_h: Option<f64>,

    /// Decay of the bias: λ_b‖b‖²
    #[arg(long, value_name = "λ", default_value_t = 1e-3, value_parser = number)]
    lambda_b: f64,

    /// Decay of the potentials of multiplicities of the set likelihood: λ_c‖c‖²
    #[arg(long, value_name = "λ", default_value_t = 1e-3, value_parser = number)]
    lambda_c: f64,

    /// A bias with decay, a bias without, or none
    #[arg(long, value_enum, default_value_t = BiasKind::Decayed)]
    bias: BiasKind,

    /// Any features, or only those a rectifier lets through
    #[arg(long, value_enum, default_value_t = Features::Free)]
    features: Features,

    /// A learned classifier, or a simplex ETF of unit rows
    #[arg(long, value_enum, default_value_t = Classifier::Learned)]
    classifier: Classifier,

    /// The closed form where there is one, or always the solver
    #[arg(long, value_enum, default_value_t = Method::Auto)]
    method: Method,

    /// Stop when the gap is at most this part of the value
    #[arg(long, value_name = "PART", default_value_t = 1e-9, value_parser = number)]
    gap: f64,

    /// Largest number of Newton steps
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = whole)]
    max_steps: usize,

    /// Write features, targets and classifier of the answer as .safetensors
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Write a picture of the geometry: a page (.html), the picture alone (.svg), the numbers
    /// (.csv) or the data (.json)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the answer as one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Show no progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise ufm --classes 10 --counts 1:3100,2:200
  tagwise ufm --classes 10 --counts 1:3100,2:200 --loss set-likelihood
  tagwise ufm --classes 10000 --totals 1:30000,2:10000 --lambda-h 1e-9
  tagwise ufm --targets yeast.arff --labels yeast.xml --report yeast.html";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Auto,
    Solver,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Loss {
    Pal,
    PalN,
    SetLikelihood,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Multiplicities {
    Constant,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BiasKind {
    Decayed,
    Free,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Features {
    Free,
    NonNegative,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Classifier {
    Learned,
    FixedEtf,
}

/// Solves, writes what was asked for and prints the answer.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Files::reading(&arguments.targets)
        .and_reading(&arguments.format.files())
        .writing("--save", arguments.save.as_deref())
        .writing("--report", arguments.report.as_deref())
        .check()?;
    if !(arguments.gap >= 0.0 && arguments.gap < 1.0) {
        return Err(Usage(format!(
            "expected --gap from 0 to below 1, found {}",
            arguments.gap
        ))
        .into());
    }
    let page = arguments.report.as_ref().map(Page::at).transpose();
    let page = page.map_err(|error| Usage(error.to_string()))?;
    let labels = input::labels(arguments)?;
    let problem = problem(arguments, labels.counts)?;
    let answer = find(&problem, arguments)?;
    if let Some(path) = &arguments.save {
        answer.point(&problem)?.snapshot(&problem)?.write(path)?;
    }
    if let Some(page) = page {
        page.write(&build::ufm(&problem, &answer, &labels.class_names)?)?;
    }
    if arguments.json {
        output::answer(&answer)?;
    } else {
        output::text(&build::ufm_text(&problem, &answer, columns(WIDTH)))?;
    }
    match answer.is_interrupted {
        false => Ok(()),
        true => Err(Interrupted(format!(
            "stopped after {} with a gap of {:.1e} of the value",
            counted(answer.iterations, "step"),
            answer.certificate.relative_gap
        ))
        .into()),
    }
}

fn loss(arguments: &Arguments) -> Result<tagwise::loss::Loss, Usage> {
    let of_sets = arguments.max_multiplicity.is_some()
        || arguments.multiplicities != Multiplicities::Constant;
    let pick_all = |weighting| tagwise::loss::Loss::PickAllLabels(PickAllLabels { weighting });
    match arguments.loss {
        Loss::Pal | Loss::PalN if of_sets => Err(Usage(
            "expected --multiplicities and --max-multiplicity with --loss set-likelihood, found \
             another loss"
                .into(),
        )),
        Loss::Pal => Ok(pick_all(Weighting::Sum)),
        Loss::PalN => Ok(pick_all(Weighting::Mean)),
        Loss::SetLikelihood => Ok(tagwise::loss::Loss::SetLikelihood(SetLikelihood {
            multiplicities: match arguments.multiplicities {
                Multiplicities::Constant => MultiplicityPotentials::Constant,
                Multiplicities::None => MultiplicityPotentials::None,
            },
            seen_sets: SeenSetPotentials::None,
            max_multiplicity: arguments.max_multiplicity,
        })),
    }
}

/// The problem that the command line describes; a setting that cannot be meant is wrong usage.
fn problem(arguments: &Arguments, labels: LabelCounts) -> anyhow::Result<UfmProblem> {
    let settings = UfmSettings {
        dim: arguments.dim,
        loss: loss(arguments)?,
        lambda_w: arguments.lambda_w,
        lambda_h: arguments.lambda_h,
        lambda_c: arguments.lambda_c,
        bias: match arguments.bias {
            BiasKind::Decayed => Bias::Decayed(arguments.lambda_b),
            BiasKind::Free => Bias::Free,
            BiasKind::None => Bias::None,
        },
        classifier: match arguments.classifier {
            Classifier::Learned => ClassifierKind::Learned,
            Classifier::FixedEtf => ClassifierKind::FixedEtf,
        },
        features: match arguments.features {
            Features::Free => FeatureKind::Free,
            Features::NonNegative => FeatureKind::NonNegative,
        },
    };
    UfmProblem::new(labels, settings).map_err(|error| match error {
        tagwise::Error::OutOfRange { .. } | tagwise::Error::NoSimplexEtf { .. } => {
            Usage(error.to_string()).into()
        }
        other => other.into(),
    })
}

/// The optimum; while it is searched for, with progress on stderr, and Ctrl-C ends the search with
/// the best point so far.
fn find(problem: &UfmProblem, arguments: &Arguments) -> anyhow::Result<UfmAnswer> {
    let settings = solver_settings(arguments);
    if let Method::Auto = arguments.method
        && ClosedForm::of(problem).is_ok()
    {
        let at_once = |_: &Progress| ControlFlow::Continue(());
        return Ok(UfmAnswer::find(problem, &settings, at_once)?);
    }
    let stop = interrupt::catch()?;
    let mut shown = Instant::now();
    Ok(UfmAnswer::solve(problem, &settings, |progress| {
        if !arguments.quiet && shown.elapsed() >= SHOW_EVERY {
            shown = Instant::now();
            tell!("{}", progress_line(progress));
        }
        match stop.load(Ordering::SeqCst) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?)
}

fn progress_line(progress: &Progress) -> String {
    let gap = if progress.relative_gap.is_finite() {
        format!("{:.1e}", progress.relative_gap)
    } else {
        "not known yet".into()
    };
    format!(
        "step {}, product {}: value {:.9}, rank {}, gradient {:.1e}, relative gap {gap}",
        progress.iterations,
        progress.hessian_products,
        progress.value,
        progress.rank,
        progress.gradient_norm
    )
}

fn solver_settings(arguments: &Arguments) -> SolverSettings {
    SolverSettings {
        relative_gap: arguments.gap,
        max_iterations: arguments.max_steps,
        ..SolverSettings::default()
    }
}
