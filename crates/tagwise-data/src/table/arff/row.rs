use std::borrow::Cow;

/// The cells of a line as text.
pub(super) enum Cells<'a> {
    Dense(Vec<&'a str>),
    /// Each an attribute's position, a space and a value.
    Sparse(Vec<&'a str>),
}

/// The cells of a line with their attributes, checked against the header's number of attributes.
pub(super) enum Row<'a> {
    Dense(Vec<Cow<'a, str>>),
    Sparse(Vec<(usize, Cow<'a, str>)>),
}

/// Splits a line of data.
pub(super) fn split(line: &str) -> Result<Cells<'_>, String> {
    match line.strip_prefix('{') {
        None => Ok(Cells::Dense(split_list(line)?)),
        Some(rest) => {
            let inner = rest
                .strip_suffix('}')
                .ok_or("expected a sparse row to end with a brace")?;
            Ok(Cells::Sparse(match inner.trim().is_empty() {
                true => Vec::new(),
                false => split_list(inner)?,
            }))
        }
    }
}

impl<'a> Row<'a> {
    pub(super) fn new(cells: Cells<'a>, num_attributes: usize) -> Result<Self, String> {
        match cells {
            Cells::Dense(values) if values.len() == num_attributes => {
                Ok(Self::Dense(values.into_iter().map(unquoted).collect()))
            }
            Cells::Dense(values) => Err(format!(
                "expected {num_attributes} values, one per attribute, found {}",
                values.len()
            )),
            Cells::Sparse(cells) => {
                let pairs = cells.into_iter().map(|cell| pair(cell, num_attributes));
                let mut pairs = pairs.collect::<Result<Vec<_>, _>>()?;
                pairs.sort_by_key(|(attribute, _)| *attribute);
                if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(format!(
                        "expected each attribute once, found {} twice",
                        twice[0].0
                    ));
                }
                Ok(Self::Sparse(pairs))
            }
        }
    }
}

fn pair(cell: &str, num_attributes: usize) -> Result<(usize, Cow<'_, str>), String> {
    let (attribute, value) = cell
        .split_once(char::is_whitespace)
        .ok_or_else(|| format!("expected an attribute's number and a value, found {cell:?}"))?;
    let position = attribute
        .parse::<usize>()
        .ok()
        .filter(|&position| position < num_attributes);
    let position = position.ok_or_else(|| {
        format!(
            "expected an attribute's number from 0 to {}, found {attribute:?}",
            num_attributes.saturating_sub(1)
        )
    })?;
    Ok((position, unquoted(value.trim())))
}

/// Splits at commas outside quotes; blanks around the parts are removed, quotes stay.
pub(super) fn split_list(text: &str) -> Result<Vec<&str>, String> {
    if !text.bytes().any(|byte| matches!(byte, b'\'' | b'"')) {
        return Ok(text.split(',').map(str::trim).collect());
    }
    let mut parts = Vec::new();
    let (mut start, mut quote, mut escaped) = (0, None, false);
    for (position, letter) in text.char_indices() {
        match (letter, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            (letter, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            (',', None) => {
                parts.push(text[start..position].trim());
                start = position + 1;
            }
            _ => {}
        }
    }
    if quote.is_some() {
        return Err("expected the quotes to close, found an open one".into());
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

fn unquoted(text: &str) -> Cow<'_, str> {
    match text
        .bytes()
        .any(|byte| matches!(byte, b'\'' | b'"' | b'\\'))
    {
        true => Cow::Owned(unescape(text)),
        false => Cow::Borrowed(text),
    }
}

/// A name or value without its quotes and with backslashes resolved.
pub(super) fn unescape(text: &str) -> String {
    let quoted = |quote: char| {
        let inner = text.strip_prefix(quote)?;
        inner.strip_suffix(quote)
    };
    let inner = quoted('\'').or_else(|| quoted('"')).unwrap_or(text);
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            _ => plain.push(letter),
        }
    }
    plain
}

/// The first word of a line, quoted or not, and what follows it.
pub(super) fn token(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start();
    let quote = text
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'));
    let mut escaped = false;
    for (position, letter) in text.char_indices().skip(usize::from(quote.is_some())) {
        let ends = match quote {
            Some(quote) => letter == quote,
            None => letter.is_whitespace() || letter == '{',
        };
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if ends => {
                let end = position + quote.map_or(0, char::len_utf8);
                return Ok((unescape(&text[..end]), &text[end..]));
            }
            _ => {}
        }
    }
    match quote {
        None if !text.is_empty() => Ok((unescape(text), "")),
        None => Err("expected a name, found nothing".into()),
        Some(_) => Err("expected the quotes of a name to close, found an open one".into()),
    }
}
