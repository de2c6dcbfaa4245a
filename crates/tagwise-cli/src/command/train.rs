//! `tagwise train`: one experiment from its description to its report.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use tagwise::form::Form;
use tagwise_report::EpochPictures;
use tagwise_report::frames::{Frame, is_kept};
use tagwise_report::live::LivePage;
use tagwise_report::tensorboard::RunEvents;
use tagwise_train::{
    DataSets, Ended, Engine, Error, Event, Experiment, Measurement, Run, RunFolder, Source,
    TorchEngine,
};

use super::values::whole;
use crate::failure::{Interrupted, Usage, advise};
use crate::{interrupt, output};
use device::{DeviceName, ModeName};

mod device;
mod progress;
mod report;

/// Train a multi-label network, watch its collapse, decode the test set and write a report
///
/// Without arguments it trains a small network on M-lab digits: real handwritten digits that come
/// with the program, one or two on a canvas. It takes a minute or two on two cores.
///
/// What is set in several places is taken from the last of: the file, --set, the other options.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The experiment, a TOML file; what it leaves out has its default
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Set one field of the experiment, for example --set training.epochs=5
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Seed of everything random
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    seed: Option<u64>,

    /// Passes over the training set
    #[arg(long, value_parser = whole)]
    epochs: Option<usize>,

    /// Largest number of labels on an image, up to 9, with about as many images of each number
    #[arg(long, value_name = "M", value_parser = whole)]
    max_multiplicity: Option<usize>,

    /// The last layer: learned, or a simplex ETF that is never changed
    #[arg(long, value_enum)]
    classifier: Option<Classifier>,

    /// Dimension d of the features; 10 on digits gives d = K
    #[arg(long, value_name = "D", value_parser = whole)]
    feature_dim: Option<usize>,

    /// How activations and weight copies are stored; bf16 takes half the memory and less time
    #[arg(long, value_enum)]
    precision: Option<Precision>,

    /// Weights to start from: a safetensors file, such as an earlier run's weights.safetensors
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// The folder to make for the run; runs/NAME-001, runs/NAME-002, … when absent
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Go on with an interrupted run in its folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = [
        "config", "set", "seed", "epochs", "max_multiplicity", "classifier", "feature_dim", "precision", "weights", "out",
    ])]
    resume: Option<PathBuf>,

    /// Where the network computes: cpu, the processor, whose instructions TAGWISE_KERNELS=portable,
    /// avx2, avx512, avx512-bf16 or amx chooses; or cuda, cuda:1, mps or torch-cpu, where PyTorch trains
    /// it (pip install "tagwise[torch]")
    #[arg(long, default_value = "cpu", value_parser = DeviceName::parse)]
    device: DeviceName,

    /// How PyTorch runs its steps
    #[arg(long, value_enum, value_name = "MODE", default_value_t = ModeName::Auto)]
    torch_mode: ModeName,
    /// Write event files for TensorBoard into the folder `tensorboard` of the run: every step and
    /// epoch, histograms of feature norms, maps of cosines and the plane of three classes
    #[arg(long)]
    tensorboard: bool,

    /// Show the run on a local page while it goes; its address is the first line on stdout
    #[arg(long, conflicts_with = "json")]
    serve: bool,

    /// Print the whole experiment with a comment on every key, and train nothing
    #[arg(long)]
    print_config: bool,

    /// Print the final tables as one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,

    /// How progress is shown on stderr
    #[arg(long, value_enum, value_name = "FORM", default_value_t = progress::Progress::Auto, conflicts_with = "quiet")]
    progress: progress::Progress,

    /// Show no progress on stderr
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise train --epochs 5
  tagwise train --set data.source=mnist --classifier fixed-etf --out runs/etf
  tagwise train --print-config > experiment.toml
  tagwise train --config experiment.toml
  tagwise train --resume runs/digits-001";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Classifier {
    Learned,
    FixedEtf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Precision {
    F32,
    Bf16,
}

/// Trains, writes the run folder and prints the final tables.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.print_config {
        let experiment = match &arguments.resume {
            Some(folder) => RunFolder::open(folder)?.experiment()?,
            None => experiment(arguments)?,
        };
        return output::data(&experiment.to_explained_toml());
    }
    let stop = interrupt::catch()?;
    let display = progress::Display::new(arguments.quiet, arguments.progress);
    let mut first = None;
    let (mut run, folder) = match &arguments.resume {
        Some(folder) => (resume(folder, arguments, &display)?, folder.clone()),
        None => start(arguments, &display, &mut first)?,
    };
    display.start(&run)?;
    let asked = || match stop.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let page = match arguments.serve {
        true => Some(serve(&folder)?),
        false => None,
    };
    let mut observe = observer(arguments, &run, first.as_ref(), &display)?;
    let ended = run.train(|event| {
        display.show(event);
        observe(event);
        asked()
    });
    display.finish();
    let folder = folder.display();
    let device = arguments.device.option();
    let go_on = format!("the run is partial, go on with: tagwise train --resume {folder}{device}");
    let ended = ended.map_err(|error| match error {
        diverged @ Error::Diverged { .. } => diverged.into(), // and would again
        other => advise(&other.into(), &go_on),
    })?;
    if let Ended::Stopped { last_epoch } = ended {
        let epochs = run.experiment().training.epochs;
        let message = format!("stopped after epoch {last_epoch} of {epochs}; {go_on}");
        return Err(Interrupted(message).into());
    }
    let finished = run
        .finish_with(|_, _| asked())
        .map_err(|error| match error {
            Error::Interrupted => Interrupted(format!("{error}; {go_on}")).into(),
            other => advise(&other.into(), &go_on),
        })?;
    report::write(&finished).map_err(|error| advise(&error, &go_on))?;
    if arguments.json {
        output::json(&Form::Summary.versioned(&finished.summary))?;
    } else {
        output::text(&report::text(&finished.summary))?;
    }
    if let Some(page) = page {
        page.show_the_end(LAST_LOOK);
    }
    Ok(())
}

/// What an open page of the run gets to fetch the end of it.
const LAST_LOOK: Duration = Duration::from_secs(8);

/// Serves the page of this run as long as the process lives.
fn serve(folder: &Path) -> anyhow::Result<Arc<LivePage>> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let page = Arc::new(super::ui::bind(0, vec![folder.to_path_buf()])?);
    output::text(&page.address())?;
    let served = page.clone();
    std::thread::spawn(move || served.serve(&NEVER));
    Ok(page)
}

/// What keeps the pictures of the epochs in the run's folder and writes event files, if they are asked
/// for. A full disk ends them, not the run.
fn observer<'a>(
    arguments: &Arguments,
    run: &Run,
    first: Option<&EpochPictures>,
    display: &'a progress::Display,
) -> anyhow::Result<impl FnMut(&Event<'_>) + use<'a>> {
    let class_names = run.data().class_names().to_vec();
    let epochs = run.experiment().training.epochs;
    let folder = run.folder().map(|folder| folder.path().to_path_buf());
    let tensorboard = folder.as_ref().filter(|_| arguments.tensorboard);
    let events =
        tensorboard.map(|folder| RunEvents::begin(&folder.join("tensorboard"), run, first));
    let mut events = events.transpose()?;
    let mut frames = folder;
    let mut keep = move |pictures: &EpochPictures| {
        let Some(folder) = &frames else { return };
        if !is_kept(pictures.epoch, epochs) {
            return;
        }
        if let Err(error) = Frame::of(pictures).append(folder) {
            frames = None;
            display.warn(&format!("{error}; no more pictures of epochs are kept"));
        }
    };
    first.iter().for_each(|pictures| keep(pictures));
    Ok(move |event: &Event<'_>| {
        let mut pictures = None;
        // Drawing costs a pass over the features.
        if let Event::Measured(measured) = event
            && (events.is_some() || is_kept(measured.epoch, epochs))
        {
            pictures = Some(EpochPictures::of(measured, &class_names));
        }
        if let Some(pictures) = &pictures {
            keep(pictures);
        }
        let written = match (&mut events, &pictures) {
            (None, _) => Ok(()),
            (Some(events), Some(pictures)) => events.pictures(pictures),
            (Some(events), None) => events.observe(event),
        };
        if let Err(error) = written {
            events = None;
            display.warn(&format!("{error}; no more event files are written"));
        }
    })
}

/// Goes on with the run in a folder.
fn resume(
    folder: &Path,
    arguments: &Arguments,
    display: &progress::Display,
) -> anyhow::Result<Run> {
    let folder = RunFolder::open(folder)?;
    let run = match &arguments.device {
        DeviceName::Cpu => {
            let device = device::cpu()?;
            let data = folder.experiment()?.data_sets().map_err(advised)?;
            Run::resume(folder, data, device)
        }
        name @ DeviceName::Torch(device) => {
            let settings = device::torch(device, name, arguments.torch_mode)?;
            let data = folder.experiment()?.data_sets().map_err(advised)?;
            display.preparing(&format!("starting PyTorch on {device}"));
            let open = |experiment: &Experiment, data: &DataSets| {
                let engine = TorchEngine::open(&settings, experiment, data)?;
                display.preparing(&engine.device());
                Ok(Box::new(engine) as Box<dyn Engine>)
            };
            Run::resume_on(folder, data, open)
        }
    };
    run.map_err(advised)
}

/// Reads the experiment, applies what the command line says and starts a run in a new folder.
fn start(
    arguments: &Arguments,
    display: &progress::Display,
    first: &mut Option<EpochPictures>,
) -> anyhow::Result<(Run, PathBuf)> {
    let experiment = experiment(arguments)?;
    if let Some(out) = arguments
        .out
        .as_ref()
        .filter(|out| !RunFolder::is_free(out))
    {
        // Said before anything that takes time.
        return Err(advised(Error::RunFolderExists(out.clone())));
    }
    if experiment.data.source != Source::Digits {
        display.preparing(&format!("reading {}", experiment.data.source.title()));
    }
    let wrong = |error| match error {
        Error::Configuration(message) => Usage(message).into(),
        other => advised(other),
    };
    let data = experiment.data_sets().map_err(wrong)?;
    let class_names = data.class_names().to_vec();
    let mut show = |measured: Measurement<'_>| {
        *first = Some(EpochPictures::of(&measured, &class_names));
    };
    let run = match &arguments.device {
        DeviceName::Cpu => {
            let device = device::cpu()?;
            let precision = experiment.training.precision;
            if !device.has_instructions_for(precision) {
                display.warn(&format!(
                    "{}: these kernels have no instructions for bf16, so a step takes about as long as \
                     in f32; activations take half the memory",
                    device.with_precision(precision)
                ));
            }
            Run::start_observed(experiment, data, device, show)
        }
        name @ DeviceName::Torch(device) => {
            let settings = device::torch(device, name, arguments.torch_mode)?;
            display.preparing(&format!("starting PyTorch on {device}"));
            let engine = TorchEngine::open(&settings, &experiment, &data).map_err(wrong)?;
            display.preparing(&engine.device());
            Run::start_on_observed(Box::new(engine), experiment, data, &mut show)
        }
    }
    .map_err(wrong)?;
    // Only now, so that what cannot be trained leaves nothing behind.
    let folder = match &arguments.out {
        Some(path) => RunFolder::create(path),
        None => RunFolder::create_numbered(Path::new("runs"), &run.experiment().name),
    };
    let folder = folder.map_err(advised)?;
    let path = folder.path().to_path_buf();
    Ok((run.in_folder(folder)?, path))
}

/// The error with the options that mend it.
fn advised(error: Error) -> anyhow::Error {
    let advice = match &error {
        Error::RunFolderExists(_) => "choose another with --out, or go on with it by --resume",
        Error::RunFolder { .. } => "choose another with --out",
        Error::NoData { source_name, .. } => {
            let advice = format!(
                "run tagwise data fetch {source_name}, or name the folder with its files by \
                 --set data.folder=FOLDER"
            );
            return advise(&error.into(), &advice);
        }
        _ => return error.into(),
    };
    advise(&error.into(), advice)
}

/// The experiment that the configuration file and the command line describe.
fn experiment(arguments: &Arguments) -> anyhow::Result<Experiment> {
    let text = match &arguments.config {
        Some(path) => {
            super::read_text(path).map_err(|error| Usage(format!("{}: {error}", path.display())))?
        }
        None => String::new(),
    };
    let overrides = overrides(arguments);
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let mut experiment = Experiment::from_toml(&text, &overrides).map_err(|error| {
        // The file is to blame only if it says the same wrong thing on its own.
        let alone = Experiment::from_toml(&text, &[]).err();
        let is_in_file = alone.is_some_and(|alone| alone.to_string() == error.to_string());
        match arguments.config.as_ref().filter(|_| is_in_file) {
            Some(path) => Usage(format!("{}: {error}", path.display())),
            None => Usage(error.to_string()),
        }
    })?;
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

/// What the command line sets, as `key=value`: the options with names of their own come last.
fn overrides(arguments: &Arguments) -> Vec<String> {
    let classifier = arguments.classifier.map(|classifier| match classifier {
        Classifier::Learned => "\"learned\"",
        Classifier::FixedEtf => "\"fixed-etf\"",
    });
    let precision = arguments.precision.map(|precision| match precision {
        Precision::F32 => "\"f32\"",
        Precision::Bf16 => "\"bf16\"",
    });
    let named = [
        ("seed", arguments.seed.map(|seed| seed.to_string())),
        ("training.epochs", arguments.epochs.map(|n| n.to_string())),
        (
            "network.feature_dim",
            arguments.feature_dim.map(|dim| dim.to_string()),
        ),
        ("network.classifier", classifier.map(str::to_string)),
        ("training.precision", precision.map(str::to_string)),
    ];
    let named = named
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value?)));
    arguments.set.iter().cloned().chain(named).collect()
}
