//! One file per subcommand; this one only says which there are.

use std::path::Path;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

mod analyze;
mod completions;
mod data;
mod decode;
mod evaluate;
mod export;
mod fit;
mod head;
mod man;
mod merge;
mod predict;
mod report;
mod run_part;
mod samples;
mod stats;
mod train;
mod ufm;
mod ui;
mod values;

/// Multi-label learning with the pick-all-labels loss: train, watch neural collapse, decode, report.
#[derive(Debug, Parser)]
#[command(name = "tagwise", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// Whether help and errors are coloured: on a terminal (unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  tagwise train                                   train on digits, watch collapse, write a report
  tagwise analyze features.npz                    how collapsed features are
  tagwise fit train.arff --labels labels.xml      a multi-label head on features of any origin
  tagwise predict head.safetensors new.csv        label sets of new samples
  tagwise ui                                      runs on a local page, as they go
  tagwise ufm --targets train.arff --labels labels.xml   what theory says about these labels";

#[derive(Debug, Subcommand)]
enum Command {
    Data(data::Arguments),
    Train(Box<train::Arguments>),
    Report(report::Arguments),
    Fit(Box<fit::Arguments>),
    Decode(Box<decode::Arguments>),
    Predict(Box<predict::Arguments>),
    Evaluate(Box<evaluate::Arguments>),
    Analyze(analyze::Arguments),
    Stats(stats::Arguments),
    Merge(merge::Arguments),
    Export(export::Arguments),
    Ufm(Box<ufm::Arguments>),
    Ui(ui::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Arguments {
    /// The parser of the command line.
    pub fn parser() -> clap::Command {
        values::with_negative_numbers(Self::command())
    }
}

/// Text of a file that a person wrote, without the mark that some editors put before it.
fn read_text(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_start_matches('\u{feff}').to_string())
}

/// Runs the subcommand that the user named.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Data(arguments) => data::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Ufm(arguments) => ufm::run(&arguments),
        Command::Ui(arguments) => ui::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    }
}
