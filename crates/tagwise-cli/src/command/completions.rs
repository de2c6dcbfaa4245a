//! `tagwise completions`: what a shell needs to complete commands.

use clap_complete::{Shell, generate};

use crate::output;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "Examples:
  tagwise completions bash > ~/.local/share/bash-completion/completions/tagwise
  tagwise completions zsh > ~/.zfunc/_tagwise
  tagwise completions fish > ~/.config/fish/completions/tagwise.fish";

/// Prints the script.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = super::Arguments::parser();
    generate(arguments.shell, &mut command, "tagwise", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}
