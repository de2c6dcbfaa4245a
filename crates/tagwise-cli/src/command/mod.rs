//! One file per subcommand; this one only says which there are.

use clap::{Parser, Subcommand};

mod analyze;
mod data;
mod decode;
mod evaluate;
mod fit;
mod head;
mod merge;
mod report;
mod run_part;
mod samples;
mod stats;
mod train;
mod ufm;

/// Multi-label learning with the pick-all-labels loss: train, watch neural collapse, decode, report.
#[derive(Debug, Parser)]
#[command(name = "tagwise", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Data(data::Arguments),
    Train(Box<train::Arguments>),
    Report(report::Arguments),
    Fit(Box<fit::Arguments>),
    Decode(Box<decode::Arguments>),
    Evaluate(Box<evaluate::Arguments>),
    Analyze(analyze::Arguments),
    Stats(stats::Arguments),
    Merge(merge::Arguments),
    Ufm(Box<ufm::Arguments>),
}

/// Runs the subcommand that the user named.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Data(arguments) => data::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Fit(arguments) => fit::run(&arguments),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Analyze(arguments) => analyze::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Ufm(arguments) => ufm::run(&arguments),
    }
}
