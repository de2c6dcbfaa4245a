//! `tagwise ui`: a local page that shows runs as they go.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use tagwise_report::live::LivePage;

use crate::{interrupt, output};

/// Show runs as they go on a local page: curves, the pictures of every epoch, comparisons
///
/// The page is for this machine alone and needs no network. Its address, the first line on stdout, holds
/// a word without which nothing is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folders of runs, or folders in which runs come and go
    #[arg(value_name = "RUN", default_value = "runs")]
    runs: Vec<PathBuf>,

    /// The port to listen on; any that is free for 0
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Open no browser
    #[arg(long)]
    no_browser: bool,
}

const EXAMPLES: &str = "Examples:
  tagwise ui
  tagwise ui runs/digits-001 runs/digits-002 --port 8000 --no-browser";

/// Serves the page until Ctrl-C.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stop = interrupt::catch()?;
    let page = bind(arguments.port, arguments.runs.clone())?;
    output::text(&page.address())?;
    if !arguments.no_browser {
        open(&page.address());
    }
    page.serve(stop);
    Ok(())
}

/// Takes the port.
///
/// # Errors
/// With the port, when it is taken.
pub fn bind(port: u16, runs: Vec<PathBuf>) -> anyhow::Result<LivePage> {
    LivePage::bind(port, runs).with_context(|| {
        format!("expected port {port} to be free; choose another with --port, or 0 for any")
    })
}

/// Asks the system for its browser. Where there is none, the address stands on stdout.
fn open(address: &str) {
    let opener = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let _ = Command::new(opener)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
