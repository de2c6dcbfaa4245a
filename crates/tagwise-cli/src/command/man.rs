//! `tagwise man`: manual pages.

use std::path::PathBuf;

use anyhow::Context;

use crate::output;

/// Write manual pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder to write to; it is made if it does not exist
    #[arg(value_name = "FOLDER", default_value = "man")]
    folder: PathBuf,
}

const EXAMPLES: &str = "Examples:
  tagwise man ~/.local/share/man/man1";

/// Writes the pages.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::Arguments::parser(), folder));
    written.with_context(|| folder.display().to_string())?;
    output::text(&format!("manual pages: {}", folder.display()))
}
