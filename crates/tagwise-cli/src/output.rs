//! What goes to stdout: one JSON value or text, and nothing else.

use std::io::{self, Write};

use serde::Serialize;

/// Prints one JSON value and a line end.
///
/// # Errors
/// When stdout cannot be written; a closed pipe is recognised by the caller.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // Standard output alone would pass on every line by itself.
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut stdout, value).map_err(io::Error::from)?;
    writeln!(stdout)?;
    stdout.flush()?;
    Ok(())
}

/// Prints text as it is, with a line end if it has none.
///
/// # Errors
/// As [`json`].
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        writeln!(stdout)?;
    }
    stdout.flush()?;
    Ok(())
}
