use std::borrow::Cow;
use std::collections::BTreeSet;

use super::LineError;
use super::token::{Token, Tokens};
use crate::table::flag;

/// What the lines before the data say.
#[derive(Default)]
pub(super) struct Header {
    pub(super) relation: String,
    pub(super) attributes: Vec<Attribute>,
    /// How many attributes carry a weight, which Weka's learners would use.
    pub(super) num_weighted: usize,
}

/// Where the data begin.
pub(super) struct DataStart<'a> {
    /// Lines read, that of `@data` included.
    pub(super) num_lines: usize,
    /// What stands behind `@data` on its line; Weka takes it for the first row.
    pub(super) first_row: &'a str,
}

/// A named column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Numeric,
    Nominal(Vec<String>),
    Text,
    Date,
    /// A table in a cell.
    Relational,
}

impl Kind {
    /// The keyword of a kind that can be neither feature nor label, and why.
    pub(super) fn why_no_feature(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Numeric | Self::Nominal(_) => None,
            Self::Text => Some(("string", "leave it out (option leave-out)")),
            Self::Date => Some((
                "date",
                "write it as a number, or leave it out (option leave-out)",
            )),
            Self::Relational => Some(("relational", "leave it out (option leave-out)")),
        }
    }
}

impl Attribute {
    /// The number in a cell, or the position of its nominal value.
    pub(super) fn value(&self, text: &str) -> Result<f64, String> {
        match &self.kind {
            Kind::Nominal(values) => {
                let position = values.iter().position(|value| value == text);
                position.map(|position| position as f64).ok_or_else(|| {
                    let listed: Vec<&str> = values.iter().take(8).map(String::as_str).collect();
                    let more = if values.len() > 8 { ", …" } else { "" };
                    format!(
                        "expected one of {{{}{more}}} for {:?}, found {text:?}",
                        listed.join(", "),
                        self.name
                    )
                })
            }
            _ => {
                let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                number.ok_or_else(|| {
                    format!(
                        "expected a finite number for {:?}, found {text:?}",
                        self.name
                    )
                })
            }
        }
    }

    /// Whether a value of this attribute, a label, means that the row carries the label.
    pub(super) fn is_on(&self, value: f64) -> Result<bool, String> {
        match &self.kind {
            Kind::Nominal(values) => Ok(flag(&values[value as usize]) == Some(true)),
            _ if value == 0.0 || value == 1.0 => Ok(value == 1.0),
            _ => Err(format!(
                "expected 0 or 1 for the label {:?}, found {value}",
                self.name
            )),
        }
    }

    /// Whether a sparse row that leaves this attribute, a label, out carries the label: what is
    /// left out is the first declared value.
    pub(super) fn is_on_when_left_out(&self) -> bool {
        match &self.kind {
            Kind::Nominal(values) => values.first().and_then(|value| flag(value)) == Some(true),
            _ => false,
        }
    }

    /// Whether the attribute can be a label: a number or two values that say no and yes.
    pub(super) fn can_be_label(&self) -> bool {
        match &self.kind {
            Kind::Numeric => true,
            Kind::Nominal(values) => match values.as_slice() {
                [a, b] => flag(a).zip(flag(b)).is_some_and(|(a, b)| a != b),
                // A label that never, or always, occurs in this part of a data set.
                [only] => flag(only).is_some(),
                _ => false,
            },
            Kind::Text | Kind::Date | Kind::Relational => false,
        }
    }
}

/// Reads up to the line `@data`.
pub(super) fn parse(text: &str) -> Result<(Header, DataStart<'_>), LineError> {
    let mut header = Header::default();
    // The relational attribute whose own attributes are being passed over.
    let mut relational: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let at_line = |what: String| LineError::new(index + 1, what);
        let mut tokens = Tokens::new(line);
        let Some(keyword) = tokens.next().map_err(at_line)? else {
            continue;
        };
        let keyword = keyword.shown().to_ascii_lowercase();
        if let Some(name) = &relational {
            match keyword.as_str() {
                "@end" => relational = None,
                "@data" => {
                    return Err(at_line(format!("expected a line @end {name}, found @data")));
                }
                _ => {}
            }
            continue;
        }
        match keyword.as_str() {
            "@relation" => header.relation = relation(tokens).map_err(at_line)?,
            "@attribute" => {
                let attribute = header.attribute(tokens).map_err(at_line)?;
                if attribute.kind == Kind::Relational {
                    relational = Some(attribute.name.clone());
                }
                header.attributes.push(attribute);
            }
            "@data" if header.attributes.is_empty() => {
                return Err(at_line(
                    "expected attributes before the data, found none".into(),
                ));
            }
            "@data" => {
                let start = DataStart {
                    num_lines: index + 1,
                    first_row: tokens.rest(),
                };
                return Ok((header, start));
            }
            _ => {
                // The whole first word: a table of another kind shows itself by it.
                let found = line.split_whitespace().next().unwrap_or(line);
                let found: String = found.chars().take(40).collect();
                return Err(at_line(format!(
                    "expected @relation, @attribute or @data, found {found:?}"
                )));
            }
        }
    }
    let last = text.lines().count().max(1);
    Err(LineError::new(
        last,
        "expected a line @data before the end of the file, found none".into(),
    ))
}

/// The name of the relation: MEKA's options stand in it, and not everyone quotes them.
fn relation(mut tokens: Tokens<'_>) -> Result<String, String> {
    let mut name = tokens
        .word_for("a name")
        .map_err(|_| "expected a name, found nothing")?
        .into_owned();
    while let Some(token) = tokens.next()? {
        name = format!("{name} {}", token.shown());
    }
    Ok(name)
}

impl Header {
    fn attribute(&mut self, mut tokens: Tokens<'_>) -> Result<Attribute, String> {
        let name = tokens.word_for("a name")?.into_owned();
        let kind = match tokens.next()? {
            Some(Token::Open) => Kind::Nominal(nominal_values(&name, &mut tokens)?),
            Some(Token::Word(word)) => keyword_kind(&name, &word)?,
            Some(other) => {
                return Err(format!(
                    "expected the type of attribute {name:?}, found {:?}",
                    other.shown()
                ));
            }
            None => {
                return Err(format!(
                    "expected the type of attribute {name:?}, found nothing"
                ));
            }
        };
        // Behind a number's type stood ranges once, behind a date's its format; Weka passes over
        // what is no weight.
        while let Some(token) = tokens.next()? {
            match (token, &kind) {
                (Token::Open, _) => {
                    weight(&mut tokens)?;
                    self.num_weighted += 1;
                }
                (token, Kind::Nominal(_)) => {
                    return Err(format!(
                        "expected the end of the line behind the values of {name:?}, found {:?}",
                        token.shown()
                    ));
                }
                _ => {}
            }
        }
        Ok(Attribute { name, kind })
    }
}

fn keyword_kind(name: &str, word: &str) -> Result<Kind, String> {
    match word.to_ascii_lowercase().as_str() {
        "numeric" | "real" | "integer" => Ok(Kind::Numeric),
        "string" => Ok(Kind::Text),
        "date" => Ok(Kind::Date),
        "relational" => Ok(Kind::Relational),
        _ => Err(format!(
            "expected the type of attribute {name:?} to be numeric, real, integer, string, date, \
             relational or values in braces, found {word:?}"
        )),
    }
}

/// The values up to the closing brace.
fn nominal_values(name: &str, tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut known: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    loop {
        let value = match tokens.next()? {
            Some(Token::Close) => return Ok(values),
            Some(Token::Word(value)) => value,
            Some(Token::Missing) => "?".into(),
            Some(Token::Open) => {
                return Err(format!(
                    "expected the values of {name:?} without braces among them, found a second {{; \
                     put values with braces in quotes"
                ));
            }
            None => {
                return Err(format!(
                    "expected the values of {name:?} to end with a brace"
                ));
            }
        };
        if known.contains(&value) {
            return Err(format!(
                "expected each value of {name:?} once, found {value:?} twice; blanks and commas \
                 separate values that are not quoted"
            ));
        }
        values.push(value.to_string());
        known.insert(value);
    }
}

/// The weight behind an opening brace, and the closing one.
pub(super) fn weight(tokens: &mut Tokens<'_>) -> Result<f64, String> {
    let word = tokens.word_for("a weight in braces")?;
    let weight = word.parse().ok().filter(|weight: &f64| weight.is_finite());
    let weight = weight.ok_or_else(|| format!("expected a weight in braces, found {{{word}}}"))?;
    match tokens.next()? {
        Some(Token::Close) => Ok(weight),
        _ => Err("expected a brace behind the weight".into()),
    }
}
