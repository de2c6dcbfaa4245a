//! How a failed command ends: one message on stderr and an exit code that scripts can rely on.

use std::fmt;
use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::ColorChoice;

use crate::color;
use crate::terminal::{as_flags, plain};

/// The user asked for something that cannot be meant: exit code 2, as for unknown flags.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The user pressed Ctrl-C: exit code 130, as shells expect.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Prints the error with its causes and returns the exit code: 2 for wrong usage, 130 after
/// Ctrl-C, 0 when the reader of our output went away, 1 for any other failure.
pub fn report(error: &anyhow::Error, color: ColorChoice) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    // A closed stderr must not change the exit code.
    let name = match color::on_stderr(color) {
        true => "\u{1b}[1;31mtagwise:\u{1b}[0m",
        false => "tagwise:",
    };
    let message = as_flags(&message(error));
    let _ = writeln!(stderr(), "{name} {}", plain(&message));
    if error.is::<Usage>() {
        ExitCode::from(2)
    } else if error.is::<Interrupted>() {
        ExitCode::from(130)
    } else {
        ExitCode::FAILURE
    }
}

/// The same error with advice at its end.
pub fn advise(error: &anyhow::Error, advice: &str) -> anyhow::Error {
    anyhow::anyhow!("{}; {advice}", message(error))
}

/// The error and its causes in one line; a cause that its own error already quotes is not
/// repeated, nor a name that both begin with, such as that of the file.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    let mut last = message.clone();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !last.contains(&cause) {
            let named = cause.strip_prefix(&last);
            let rest = named.and_then(|rest| rest.strip_prefix(": "));
            message.push_str(": ");
            message.push_str(rest.unwrap_or(&cause));
        }
        last = cause;
    }
    message
}

/// Whether stdout was closed by its reader (`tagwise … | head`), which is no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = anyhow::anyhow!("no space left");
        assert_eq!(message(&cause), "no space left");
        let quoting = anyhow::anyhow!("no space left").context("file: no space left");
        assert_eq!(message(&quoting), "file: no space left");
        let named = anyhow::anyhow!("file: no space left").context("file");
        assert_eq!(message(&named), "file: no space left");
        let adding = anyhow::anyhow!("no space left").context("the report cannot be written");
        assert_eq!(
            message(&adding),
            "the report cannot be written: no space left"
        );
    }
}
