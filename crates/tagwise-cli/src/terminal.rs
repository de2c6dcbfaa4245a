//! What reaches a terminal: messages on stderr, and text in which nothing steers the terminal.
//!
//! Names, keys and paths come from files and may hold escape sequences, line ends that overwrite
//! what stands before them, or characters that turn the direction of writing.

use std::borrow::Cow;
use std::fmt;
use std::io::{IsTerminal, Write, stderr, stdout};

/// Says one line on stderr. A closed stderr does not end the work.
pub fn say_line(message: fmt::Arguments<'_>) {
    let message = message.to_string();
    let _ = writeln!(stderr(), "{}", plain(&as_flags(&message)));
}

/// [`say_line`] with the arguments of `format!`.
macro_rules! tell {
    ($($arguments:tt)*) => {
        $crate::terminal::say_line(format_args!($($arguments)*))
    };
}
pub(crate) use tell;

/// A sentence of a library with its options as a person types them here: what says
/// `(option leave-out)` says `(--leave-out)`.
pub fn as_flags(sentence: &str) -> String {
    sentence.replace("(option ", "(--")
}

/// Columns for a table on stdout: those of the terminal, `otherwise` in a file or a pipe.
pub fn columns(otherwise: usize) -> usize {
    match stdout().is_terminal() {
        true => terminal_size::terminal_size_of(stdout())
            .map_or(otherwise, |(width, _)| usize::from(width.0)),
        false => otherwise,
    }
}

/// The text for a terminal of so many columns: lines that are longer go on in the next one at a space.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        let mut taken = 0;
        for (at, word) in line.split(' ').enumerate() {
            let length = word.trim_end_matches('\n').chars().count();
            if at > 0 && taken + 1 + length > width {
                out.push('\n');
                taken = 0;
            } else if at > 0 {
                out.push(' ');
                taken += 1;
            }
            out.push_str(word);
            taken += length;
        }
    }
    out
}

/// The text with every character that steers a terminal written as an escape such as `\u{1b}`; line
/// ends and tabs stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter.escape_default().to_string())
}

/// JSON text with the same characters written as JSON escapes them, which leaves its value as it is:
/// they stand within strings only.
pub fn plain_json(json: &str) -> Cow<'_, str> {
    escaped(json, |letter| format!("\\u{:04x}", u32::from(letter)))
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match steers(letter) {
            true => plain.push_str(&escape(letter)),
            false => plain.push(letter),
        }
    }
    Cow::Owned(plain)
}

/// Control characters of both sets, and those that set the direction of writing.
fn steers(letter: char) -> bool {
    let is_control = letter.is_control() && letter != '\n' && letter != '\t';
    is_control || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        assert_eq!(plain("a\tb\nc — ü"), "a\tb\nc — ü");
        assert_eq!(plain("\u{1b}[2J\r\u{9b}2J"), r"\u{1b}[2J\r\u{9b}2J");
        assert_eq!(plain("ab\u{202e}cd"), r"ab\u{202e}cd");
    }

    #[test]
    fn options_of_libraries_are_flags_here() {
        assert_eq!(
            as_flags("leave it out (option leave-out)"),
            "leave it out (--leave-out)"
        );
    }

    #[test]
    fn long_lines_go_on_at_a_space() {
        assert_eq!(wrapped("a bb ccc\ndddddd e\n", 5), "a bb\nccc\ndddddd\ne\n");
        let table = "metric  value\n─────────────\nNC1       0.1\n";
        assert_eq!(wrapped(table, 13), table);
        assert_eq!(wrapped("", 3), "");
    }

    #[test]
    fn json_stays_the_same_value() {
        let text = serde_json::to_string(&["\u{1b}[2J", "\u{9b}2J", "\u{7f}", "\u{202e}"]).unwrap();
        let plain = plain_json(&text);
        assert!(!plain.chars().any(steers), "{plain}");
        let (read, expected): (Vec<String>, Vec<String>) = (
            serde_json::from_str(&plain).unwrap(),
            serde_json::from_str(&text).unwrap(),
        );
        assert_eq!(read, expected);
    }
}
