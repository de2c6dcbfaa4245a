//! `tagwise train`: one experiment from its description to its report.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use tagwise_train::{Ended, Experiment, Run, RunFolder};

use crate::failure::{Interrupted, Usage};
use crate::{interrupt, output};

mod progress;
mod report;
mod tables;

/// Train a multi-label network, watch its collapse, decode the test set and write a report
///
/// Without arguments it trains a small network on M-lab digits: real handwritten digits that come
/// with the program, one or two on a canvas. It takes a minute or two on two cores.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The experiment, a TOML file; what it leaves out has its default
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set one field of the experiment, for example --set training.epochs=5
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,

    /// Passes over the training set
    #[arg(long)]
    epochs: Option<usize>,

    /// Largest number of labels on an image, up to 5, with about as many images of each number
    #[arg(long, value_name = "M")]
    max_multiplicity: Option<usize>,

    /// The last layer: learned, or a simplex ETF that is never changed
    #[arg(long, value_enum)]
    classifier: Option<Classifier>,

    /// Dimension d of the features; 10 on digits gives d = K
    #[arg(long, value_name = "D")]
    feature_dim: Option<usize>,

    /// Weights to start from: a safetensors file, such as an earlier run's weights.safetensors
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// The folder to make for the run; runs/NAME-001, runs/NAME-002, … when absent
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Go on with an interrupted run in its folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = [
        "config", "set", "seed", "epochs", "max_multiplicity", "classifier", "feature_dim", "weights", "out",
    ])]
    resume: Option<PathBuf>,

    /// Print the final tables as one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// Show no progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Classifier {
    Learned,
    FixedEtf,
}

/// Trains, writes the run folder and prints the final tables.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stop = interrupt::catch()?;
    let display = progress::Display::new(arguments.quiet);
    let mut run = match &arguments.resume {
        Some(folder) => Run::resume(RunFolder::open(folder)?)?,
        None => start(arguments)?,
    };
    display.start(&mut run);
    let ended = run.train(stop, |event| display.show(&event));
    display.finish();
    let folder = run.folder().path().display().to_string();
    if let Ended::Stopped { last_epoch } =
        ended.with_context(|| format!("the run in {folder} is partial"))?
    {
        return Err(Interrupted(format!(
            "stopped after epoch {last_epoch} of {}; the run is partial, \
             go on with: tagwise train --resume {folder}",
            run.experiment().training.epochs
        ))
        .into());
    }
    let finished = run.finish()?;
    report::write(&finished)?;
    if arguments.json {
        output::json(&finished.summary)
    } else {
        output::text(&tables::render(&finished.summary))
    }
}

/// Reads the experiment, applies what the command line says and makes the run folder.
fn start(arguments: &Arguments) -> anyhow::Result<Run> {
    let experiment = experiment(arguments)?;
    let make_folder = |experiment: &Experiment| match &arguments.out {
        Some(path) => RunFolder::create(path),
        None => RunFolder::create_numbered(Path::new("runs"), &experiment.name),
    };
    Run::start(experiment, make_folder).map_err(|error| match error {
        tagwise_train::Error::Configuration(message) => Usage(message).into(),
        other => other.into(),
    })
}

/// The experiment that the configuration file and the command line describe.
fn experiment(arguments: &Arguments) -> anyhow::Result<Experiment> {
    let text = match &arguments.config {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Usage(format!("{}: {error}", path.display())))?,
        None => String::new(),
    };
    let mut overrides = Vec::new();
    let mut set = |key: &str, value: Option<String>| {
        overrides.extend(value.map(|value| format!("{key}={value}")));
    };
    set("seed", arguments.seed.map(|seed| seed.to_string()));
    set(
        "training.epochs",
        arguments.epochs.map(|epochs| epochs.to_string()),
    );
    set(
        "network.feature_dim",
        arguments.feature_dim.map(|dim| dim.to_string()),
    );
    set(
        "network.classifier",
        arguments.classifier.map(|classifier| match classifier {
            Classifier::Learned => "\"learned\"".to_string(),
            Classifier::FixedEtf => "\"fixed-etf\"".to_string(),
        }),
    );
    overrides.extend(arguments.set.iter().cloned());
    let in_file = |error: tagwise_train::Error| match &arguments.config {
        Some(path) => Usage(format!("{}: {error}", path.display())),
        None => Usage(error.to_string()),
    };
    let mut experiment = Experiment::from_toml(
        &text,
        &overrides.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .map_err(in_file)?;
    if let Some(weights) = &arguments.weights {
        experiment.network.weights = Some(weights.clone());
    }
    if let Some(max_multiplicity) = arguments.max_multiplicity {
        experiment
            .data
            .set_max_multiplicity(max_multiplicity)
            .map_err(|error| Usage(error.to_string()))?;
    }
    Ok(experiment)
}
