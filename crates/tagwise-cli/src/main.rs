//! The `tagwise` command: train, measure, decode and report multi-label neural collapse.

mod color;
mod command;
mod failure;
mod interrupt;
mod output;
mod progress;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let mut parser = command::Arguments::command().color(color::asked(std::env::args_os()));
    let matches = parser.get_matches_mut();
    let arguments = command::Arguments::from_arg_matches(&matches);
    let arguments = arguments.unwrap_or_else(|error| error.format(&mut parser).exit());
    let color = arguments.color;
    match command::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, color),
    }
}
