use std::collections::BTreeMap;
use std::path::Path;

use super::{Header, Labels};
use crate::table::{Unlabelled, input};
use crate::{Error, Result};

/// The attributes that are labels, in the order of the labels; none for new rows, which may be
/// without them, when no label is among the attributes.
pub(super) fn find(
    path: &Path,
    header: &Header,
    labels: Labels<'_>,
    unlabelled: Unlabelled,
) -> Result<Vec<usize>> {
    let names: Vec<String> = match labels {
        Labels::MulanXml(xml) => mulan_names(xml)?,
        Labels::Named(names) => names.iter().map(ToString::to_string).collect(),
        Labels::Meka | Labels::None => Vec::new(),
    };
    let is_attribute = |name: &String| header.attributes.iter().any(|a| a.name == *name);
    let may_lack_labels = unlabelled == Unlabelled::Keep;
    let found = match labels {
        Labels::None => Vec::new(),
        Labels::Meka if may_lack_labels && meka_option(&header.relation).is_none() => Vec::new(),
        Labels::Meka => meka(path, header)?,
        _ if may_lack_labels && !names.iter().any(is_attribute) => Vec::new(),
        _ => by_name(path, header, &names)?,
    };
    if let Some(&bad) = found
        .iter()
        .find(|&&a| !header.attributes[a].can_be_label())
    {
        return Err(Error::format(
            path,
            format!(
                "expected the label {:?} to be an attribute of two values that say no and yes, such as {{0,1}}",
                header.attributes[bad].name
            ),
        ));
    }
    Ok(found)
}

fn by_name(path: &Path, header: &Header, names: &[String]) -> Result<Vec<usize>> {
    let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, attribute) in header.attributes.iter().enumerate() {
        positions.entry(&attribute.name).or_default().push(position);
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        // Mulan's lists repeat the escapes of the ARFF file.
        let named = positions
            .get(name.as_str())
            .or_else(|| positions.get(without_escapes(name).as_str()));
        let position = match named.map(Vec::as_slice) {
            Some(&[position]) => position,
            Some(several) => {
                return Err(Error::format(path, ambiguous("the label", name, several)));
            }
            None => {
                return Err(Error::format(
                    path,
                    format!(
                        "expected an attribute for the label {name:?}, found none; the labels belong to another table"
                    ),
                ));
            }
        };
        if found.contains(&position) {
            return Err(Error::format(
                path,
                format!("expected the label {name:?} once, found it twice"),
            ));
        }
        found.push(position);
    }
    match found.is_empty() {
        true => Err(Error::format(
            path,
            "expected at least one label, found none".into(),
        )),
        false => Ok(found),
    }
}

/// Attributes of one name cannot be told apart by it.
pub(super) fn ambiguous(what: &str, name: &str, positions: &[usize]) -> String {
    let numbers: Vec<String> = positions.iter().map(|p| (p + 1).to_string()).collect();
    format!(
        "expected one attribute for {what} {name:?}, found {} of that name (attributes {}); rename them apart",
        positions.len(),
        numbers.join(" and ")
    )
}

/// The number behind -C, or -c of older files, among the options, which follow the first colon.
fn meka_option(relation: &str) -> Option<i64> {
    let options = match relation.split_once(':') {
        Some((_, options)) => options,
        None => relation,
    };
    let option = |name: &str| {
        let mut words = options.split_whitespace();
        words.find(|&word| word == name)?;
        words.next()?.parse().ok()
    };
    option("-C").or_else(|| option("-c"))
}

/// MEKA writes its options into the relation's name: `'Music: -C 6'`.
fn meka(path: &Path, header: &Header) -> Result<Vec<usize>> {
    let num_attributes = header.attributes.len();
    let count = meka_option(&header.relation)
        .filter(|&count| count != 0 && count.unsigned_abs() < num_attributes as u64);
    match count {
        Some(count) if count > 0 => Ok((0..count as usize).collect()),
        Some(count) => {
            Ok((num_attributes - count.unsigned_abs() as usize..num_attributes).collect())
        }
        None => Err(Error::format(
            path,
            format!(
                "expected the relation's name to say -C and a number of labels below {num_attributes}, found {:?}; or give Mulan's XML list of the labels (option labels), or their names (option label-columns)",
                header.relation
            ),
        )),
    }
}

/// The names of all `label` elements, nested or not, in document order.
fn mulan_names(xml: &Path) -> Result<Vec<String>> {
    let text = input::read(xml)?.text;
    let document = roxmltree::Document::parse(&text).map_err(|error| {
        Error::format(
            xml,
            format!("expected an XML list of labels, found damage: {error}"),
        )
    })?;
    let elements = document
        .descendants()
        .filter(|node| node.tag_name().name() == "label");
    let names = elements.map(|label| {
        label.attribute("name").map(str::to_string).ok_or_else(|| {
            let line = document.text_pos_at(label.range().start).row;
            Error::format(
                xml,
                format!("line {line}: expected a label with a name, found none"),
            )
        })
    });
    names.collect()
}

/// A name with its backslashes resolved and without quotes around it.
fn without_escapes(name: &str) -> String {
    let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    let inner = quoted('\'').or_else(|| quoted('"')).unwrap_or(name);
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
