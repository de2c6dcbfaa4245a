use super::LineError;
use super::row::{split_list, token, unescape};

/// What the lines before the data say.
pub(super) struct Header {
    pub(super) relation: String,
    pub(super) attributes: Vec<Attribute>,
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
    /// Text, dates and relations, by their keyword.
    Other(String),
}

impl Attribute {
    /// The number in a cell, or the position of its nominal value.
    pub(super) fn value(&self, text: &str) -> Result<f32, String> {
        if text == "?" {
            return Err(format!(
                "expected a value of {:?}, found ? (missing); fill it in or leave the attribute out",
                self.name
            ));
        }
        match &self.kind {
            Kind::Nominal(values) => {
                let position = values.iter().position(|value| value == text);
                position.map(|position| position as f32).ok_or_else(|| {
                    let listed: Vec<&str> = values.iter().take(8).map(String::as_str).collect();
                    let more = if values.len() > 8 { ", …" } else { "" };
                    format!(
                        "expected one of {{{}{more}}} for {:?}, found {text:?}",
                        listed.join(", "),
                        self.name
                    )
                })
            }
            Kind::Numeric | Kind::Other(_) => {
                let number = text.parse().ok().filter(|number: &f32| number.is_finite());
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
    pub(super) fn is_on(&self, value: f32) -> Result<bool, String> {
        match &self.kind {
            Kind::Nominal(values) => Ok(is_yes(&values[value as usize])),
            _ if value == 0.0 || value == 1.0 => Ok(value == 1.0),
            _ => Err(format!(
                "expected 0 or 1 for the label {:?}, found {value}",
                self.name
            )),
        }
    }

    /// Whether the attribute can be a label: a number or two values that say no and yes.
    pub(super) fn can_be_label(&self) -> bool {
        match &self.kind {
            Kind::Numeric => true,
            Kind::Nominal(values) => match values.as_slice() {
                [a, b] => (is_yes(a) && is_no(b)) || (is_no(a) && is_yes(b)),
                // A label that never, or always, occurs in this part of a data set.
                [only] => is_yes(only) || is_no(only),
                _ => false,
            },
            Kind::Other(_) => false,
        }
    }
}

fn is_yes(value: &str) -> bool {
    ["1", "yes", "true", "y", "t"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

fn is_no(value: &str) -> bool {
    ["0", "no", "false", "n", "f"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

/// Reads up to the line `@data`; returns the number of lines read.
pub(super) fn parse(text: &str) -> Result<(Header, usize), LineError> {
    let mut header = Header {
        relation: String::new(),
        attributes: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('%') {
            continue;
        }
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let parsed = match keyword.to_ascii_lowercase().as_str() {
            "@relation" => token(rest).map(|(name, _)| header.relation = name),
            "@attribute" => attribute(rest).map(|attribute| header.attributes.push(attribute)),
            "@data" if header.attributes.is_empty() => {
                Err("expected attributes before the data, found none".into())
            }
            "@data" => return Ok((header, index + 1)),
            _ => {
                let found: String = keyword.chars().take(40).collect();
                Err(format!(
                    "expected @relation, @attribute or @data, found {found:?}"
                ))
            }
        };
        parsed.map_err(|what| LineError::new(index + 1, what))?;
    }
    let last = text.lines().count().max(1);
    Err(LineError::new(
        last,
        "expected a line @data before the end of the file, found none".into(),
    ))
}

fn attribute(text: &str) -> Result<Attribute, String> {
    let (name, rest) = token(text)?;
    let rest = rest.trim();
    let kind = match rest.strip_prefix('{') {
        Some(list) => {
            let list = list
                .strip_suffix('}')
                .ok_or_else(|| format!("expected the values of {name:?} to end with a brace"))?;
            Kind::Nominal(
                split_list(list)?
                    .iter()
                    .map(|value| unescape(value))
                    .collect(),
            )
        }
        None => match rest.split_whitespace().next().map(str::to_ascii_lowercase) {
            Some(word) if ["numeric", "real", "integer"].contains(&word.as_str()) => Kind::Numeric,
            Some(word) => Kind::Other(word),
            None => {
                return Err(format!(
                    "expected the type of attribute {name:?}, found nothing"
                ));
            }
        },
    };
    Ok(Attribute { name, kind })
}
