//! Words of a line, cut as Weka's reader cuts them.
//!
//! Blanks, tabs and commas separate; `%` outside quotes starts a comment; braces stand for
//! themselves; quotes close on the same line, and a backslash inside them escapes as in Java.

use std::borrow::Cow;

/// One word or brace of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, number or value without its quotes.
    Word(Cow<'a, str>),
    /// A lone `?` outside quotes.
    Missing,
    Open,
    Close,
}

impl Token<'_> {
    /// As it was written, roughly, for a message.
    pub(super) fn shown(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Missing => "?",
            Self::Open => "{",
            Self::Close => "}",
        }
    }
}

/// The tokens of one line, front to back.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// Whether a comma at this place would leave a cell empty.
    is_after_comma: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            rest: line,
            is_after_comma: true,
        }
    }

    /// What is left of the line, comment included.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// The next token; none at the end of the line.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, String> {
        self.skip_separators()?;
        let Some(&first) = self.rest.as_bytes().first() else {
            return Ok(None);
        };
        let token = match first {
            b'{' | b'}' => {
                self.rest = &self.rest[1..];
                // Before the first pair of a sparse row nothing is empty yet, after the last one
                // a comma may stand.
                self.is_after_comma = first == b'{';
                return Ok(Some(match first {
                    b'{' => Token::Open,
                    _ => Token::Close,
                }));
            }
            b'\'' | b'"' => Token::Word(self.quoted(first)?),
            _ => match self.word() {
                "?" => Token::Missing,
                word => Token::Word(unescaped_quotes(word)),
            },
        };
        self.is_after_comma = false;
        Ok(Some(token))
    }

    /// The next word; `what` says what else than a word was expected.
    pub(super) fn word_for(&mut self, what: &str) -> Result<Cow<'a, str>, String> {
        match self.next()? {
            Some(Token::Word(word)) => Ok(word),
            Some(other) => Err(format!("expected {what}, found {:?}", other.shown())),
            None => Err(format!("expected {what}, found nothing")),
        }
    }

    /// A second comma before a cell is an empty cell: Weka would pass over it and shift the row.
    fn skip_separators(&mut self) -> Result<(), String> {
        let bytes = self.rest.as_bytes();
        let mut position = 0;
        while let Some(&byte) = bytes.get(position) {
            match byte {
                b',' if self.is_after_comma => {
                    return Err(
                        "expected a value between commas, found none; write ? for a missing value"
                            .into(),
                    );
                }
                b',' => self.is_after_comma = true,
                b'%' => position = bytes.len() - 1,
                byte if byte <= b' ' => {}
                _ => break,
            }
            position += 1;
        }
        self.rest = &self.rest[position..];
        Ok(())
    }

    fn word(&mut self) -> &'a str {
        let bytes = self.rest.as_bytes();
        let ends = |&byte: &u8| byte <= b' ' || matches!(byte, b',' | b'{' | b'}' | b'%');
        let end = bytes.iter().position(ends).unwrap_or(bytes.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn quoted(&mut self, quote: u8) -> Result<Cow<'a, str>, String> {
        let inner = &self.rest[1..];
        let stop = inner
            .bytes()
            .position(|byte| byte == quote || byte == b'\\');
        if let Some(end) = stop.filter(|&end| inner.as_bytes()[end] == quote) {
            self.rest = &inner[end + 1..];
            return Ok(Cow::Borrowed(&inner[..end]));
        }
        let mut plain = String::with_capacity(inner.len());
        let mut letters = inner.char_indices();
        while let Some((position, letter)) = letters.next() {
            if letter == char::from(quote) {
                self.rest = &inner[position + 1..];
                return Ok(Cow::Owned(plain));
            }
            match letter {
                '\\' => plain.extend(escape(&mut letters)),
                _ => plain.push(letter),
            }
        }
        Err("expected the quotes to close on the same line, found an open one".into())
    }
}

/// What follows a backslash inside quotes: a letter of Java's, up to three octal digits, or the
/// letter itself.
fn escape(letters: &mut std::str::CharIndices<'_>) -> Option<char> {
    let (_, letter) = letters.next()?;
    let Some(mut code) = letter.to_digit(8) else {
        return Some(match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        });
    };
    let max_digits = if letter <= '3' { 2 } else { 1 };
    for _ in 0..max_digits {
        let next = letters.as_str().chars().next().and_then(|c| c.to_digit(8));
        let Some(digit) = next else { break };
        letters.next();
        code = code * 8 + digit;
    }
    char::from_u32(code)
}

/// Outside quotes Weka knows no escapes; Mulan's delicious writes `m\'usica`, whose backslash
/// belongs to the quote.
fn unescaped_quotes(word: &str) -> Cow<'_, str> {
    if !word.contains("\\'") && !word.contains("\\\"") {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.replace("\\'", "'").replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, String> {
        let mut tokens = Tokens::new(line);
        let mut words = Vec::new();
        while let Some(token) = tokens.next()? {
            words.push(token.shown().to_string());
        }
        Ok(words)
    }

    #[test]
    fn blanks_tabs_and_commas_separate_alike() {
        for line in [
            "1,0,.5",
            "1 0 .5",
            "1\t0\t.5",
            " 1 ,\t0, .5 , ",
            "1,0,.5,% end",
        ] {
            assert_eq!(words(line).unwrap(), ["1", "0", ".5"], "{line}");
        }
        assert_eq!(
            words("{0 1,2 .5,}").unwrap(),
            ["{", "0", "1", "2", ".5", "}"]
        );
        assert_eq!(words("a{b}c").unwrap(), ["a", "{", "b", "}", "c"]);
        assert_eq!(words("  % nothing").unwrap().len(), 0);
    }

    #[test]
    fn quotes_protect_separators_and_escape_as_in_java() {
        let found = words(r#"'a, b' "c%d" 'it\'s' 'a\tb' "\101\60" 'x\\y' '{z}' 'q"q' '\%'"#);
        let expected = [
            "a, b", "c%d", "it's", "a\tb", "A0", "x\\y", "{z}", "q\"q", "%",
        ];
        assert_eq!(found.unwrap(), expected);
        // Outside quotes a backslash is a letter, but for an escaped quote.
        assert_eq!(
            words(r"m\'usica dise\~no don't").unwrap(),
            ["m'usica", r"dise\~no", "don't"]
        );
    }

    #[test]
    fn only_a_bare_question_mark_is_missing() {
        let mut tokens = Tokens::new("?,'?',?x");
        assert_eq!(tokens.next().unwrap(), Some(Token::Missing));
        for word in ["?", "?x"] {
            assert_eq!(tokens.next().unwrap(), Some(Token::Word(word.into())));
        }
    }

    #[test]
    fn empty_cells_and_open_quotes_are_refused() {
        for line in ["1,,2", ",1", "1, ,2", "1,2,,", "{0 1,,1 1}"] {
            let error = words(line).unwrap_err();
            assert!(
                error.starts_with("expected a value between commas"),
                "{line}"
            );
        }
        for line in ["'a", "\"a'", "'a\\'"] {
            let error = words(line).unwrap_err();
            assert!(error.starts_with("expected the quotes to close"), "{line}");
        }
    }
}
