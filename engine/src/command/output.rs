//! What goes to stdout.

use std::io::{ErrorKind, Write, stdout};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use serde::Serialize;
use tagwise::form::Form;
use tagwise_engine::{Error, Result};

/// Prints a JSON object with the version of its form, or lines for a person.
pub fn answer(as_json: bool, value: &impl Serialize, lines: &str) -> Result<()> {
    let text = match as_json {
        true => serde_json::to_string_pretty(&Form::Answer.versioned(value))
            .map_err(|error| Error::Failed(error.to_string()))?,
        false => lines.to_string(),
    };
    written(&text)
}

/// Prints rows as a table, or as one JSON object in each line.
pub fn rows(as_json: bool, batches: &[RecordBatch]) -> Result<()> {
    let failed = |error: datafusion::arrow::error::ArrowError| Error::Failed(error.to_string());
    if !as_json {
        return written(&pretty_format_batches(batches).map_err(failed)?.to_string());
    }
    let mut bytes = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut bytes);
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    written(&String::from_utf8_lossy(&bytes))
}

fn written(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    let text = text.trim_end();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // The reader of our output went away, which is no failure of ours.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::Failed(error.to_string())),
    }
}
