//! The command line.

mod cluster;
mod output;
mod samples;
mod sql;

use clap::{Parser, Subcommand};
use tagwise_engine::Result;
use tagwise_engine::workflow::until_interrupted;

/// Statistics, decoding and evaluation of multi-label features in Parquet files, on this machine or on
/// many
///
/// Without --scheduler a command works in this process, with as many threads as there are cores. With
/// it the same work is done by the executors of a cluster, which read the files themselves: paths must
/// mean the same on every machine, and credentials of object stores come from each one's environment.
#[derive(Debug, Parser)]
#[command(name = "tagwise-cluster", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stats(samples::Stats),
    Decode(samples::Decode),
    Evaluate(samples::Evaluate),
    Worst(samples::Worst),
    Sql(sql::Sql),
    Scheduler(cluster::Scheduler),
    Executor(cluster::Executor),
    Local(cluster::Local),
}

/// Runs a command until it is done or Ctrl-C comes.
pub async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Stats(command) => until_interrupted(command.run()).await,
        Command::Decode(command) => until_interrupted(command.run()).await,
        Command::Evaluate(command) => until_interrupted(command.run()).await,
        Command::Worst(command) => until_interrupted(command.run()).await,
        Command::Sql(command) => until_interrupted(command.run()).await,
        // These are asked to end, and then end in order.
        Command::Scheduler(command) => command.run().await,
        Command::Executor(command) => command.run().await,
        Command::Local(command) => command.run().await,
    }
}
