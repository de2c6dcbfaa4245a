//! Numbers on the command line, with errors that say what was expected.

use clap::Command;

/// A whole number from 0.
pub fn whole(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| format!("expected a whole number from 0, found {text:?}"))
}

/// A number; commands say themselves which numbers make sense.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("expected a number, found {text:?}"))
}

/// Lets options take what starts with a minus where it is a number, so that they can say what is
/// wrong with it.
pub fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|argument| match argument.get_action().takes_values() {
            true => argument.allow_negative_numbers(true),
            false => argument,
        })
        .mut_subcommands(with_negative_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_expected() {
        assert_eq!(whole("12"), Ok(12));
        for text in ["-3", "1.5", "abc", "", "1e3"] {
            let expected = format!("expected a whole number from 0, found {text:?}");
            assert_eq!(whole(text), Err(expected));
        }
        assert_eq!(number("-1e-3"), Ok(-1e-3));
        assert_eq!(
            number("1,5"),
            Err("expected a number, found \"1,5\"".into())
        );
    }
}
