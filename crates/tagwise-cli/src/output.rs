//! What goes to stdout: one JSON value or text, and nothing else.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tagwise::form::Form;

use crate::terminal::{columns, plain, plain_json, wrapped};

/// Prints an answer as one JSON object with the version of its form, and a line end.
///
/// # Errors
/// As [`json`].
pub fn answer(value: &impl Serialize) -> anyhow::Result<()> {
    json(&Form::Answer.versioned(value))
}

/// Says what a command wrote: in a line, or as an object.
///
/// # Errors
/// As [`json`].
pub fn outcome(as_json: bool, value: &impl Serialize, line: &str) -> anyhow::Result<()> {
    match as_json {
        true => answer(value),
        false => text(line),
    }
}

/// Prints one JSON value, which states its version itself, and a line end.
///
/// # Errors
/// When stdout cannot be written; a closed pipe is recognised by the caller.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    written(&plain_json(&json))
}

/// Prints text for a person, with a line end if it has none and without characters that steer a
/// terminal, in lines that a terminal has room for.
///
/// # Errors
/// As [`json`].
pub fn text(text: &str) -> anyhow::Result<()> {
    match io::stdout().is_terminal() {
        true => written(&wrapped(&plain(text), columns(usize::MAX))),
        false => written(&plain(text)),
    }
}

/// Prints text for a program as it is, unless a person looks at it.
///
/// # Errors
/// As [`json`].
pub fn data(data: &str) -> anyhow::Result<()> {
    match io::stdout().is_terminal() {
        true => text(data),
        false => written(data),
    }
}

fn written(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        writeln!(stdout)?;
    }
    stdout.flush()?;
    Ok(())
}
