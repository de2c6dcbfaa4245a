//! The `tagwise` command: train, measure, decode and report multi-label neural collapse.

mod color;
mod command;
mod failure;
mod interrupt;
mod output;
mod outputs;
mod progress;
mod terminal;

use std::process::ExitCode;

use clap::FromArgMatches;

fn main() -> ExitCode {
    interrupt::survive_file_size_limits();
    let mut parser = command::Arguments::parser().color(color::asked(std::env::args_os()));
    let matches = parser.get_matches_mut();
    let arguments = command::Arguments::from_arg_matches(&matches);
    let arguments = arguments.unwrap_or_else(|error| error.format(&mut parser).exit());
    let color = arguments.color;
    match command::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, color),
    }
}
