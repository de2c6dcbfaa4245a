//! Colour where the terminal has it and nobody minds.

use std::ffi::OsString;
use std::io::{IsTerminal, stderr};

use clap::ColorChoice;

/// What `--color` says, before the arguments are parsed: it also concerns the help and the errors
/// of the parser.
pub fn asked(arguments: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--") => break,
            Some("--color") => arguments.next(),
            Some(other) => other.strip_prefix("--color=").map(OsString::from),
            None => None,
        };
        match value.as_ref().and_then(|value| value.to_str()) {
            Some("always") => return ColorChoice::Always,
            Some("never") => return ColorChoice::Never,
            _ => {}
        }
    }
    ColorChoice::Auto
}

/// Whether messages on stderr are coloured.
pub fn on_stderr(choice: ColorChoice) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_found_anywhere_before_the_end_of_options() {
        let asked = |words: &str| asked(words.split(' ').map(OsString::from));
        assert_eq!(asked("tagwise --color always train"), ColorChoice::Always);
        assert_eq!(asked("tagwise train --color=never"), ColorChoice::Never);
        assert_eq!(asked("tagwise train"), ColorChoice::Auto);
        assert_eq!(asked("tagwise analyze -- --color=never"), ColorChoice::Auto);
        assert_eq!(asked("tagwise --color blue"), ColorChoice::Auto);
    }
}
