//! The `tagwise-cluster` command.

mod command;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::Parser;
use tagwise_engine::Error;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(command::run(arguments));
            // What still waits for an answer of a cluster is nobody's any more.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Error::Failed(error.to_string())),
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    // A closed stderr must not change the exit code.
    let _ = writeln!(stderr(), "tagwise-cluster: {error}");
    match error {
        Error::Usage(_) => ExitCode::from(2),
        Error::Interrupted => ExitCode::from(130),
        Error::Failed(_) => ExitCode::FAILURE,
    }
}
