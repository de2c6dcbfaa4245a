use std::collections::BTreeMap;
use std::path::Path;

use super::row::unescape;
use super::{Header, Labels};
use crate::{Error, Result};

/// The attributes that are labels, in the order of the labels.
pub(super) fn find(path: &Path, header: &Header, labels: Labels<'_>) -> Result<Vec<usize>> {
    let found = match labels {
        Labels::Meka => meka(path, header)?,
        Labels::MulanXml(xml) => by_name(path, header, &mulan_names(xml)?)?,
        Labels::Named(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            by_name(path, header, &names)?
        }
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
    let names_of_attributes = header
        .attributes
        .iter()
        .map(|attribute| attribute.name.as_str());
    let positions: BTreeMap<&str, usize> = names_of_attributes.zip(0..).collect();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        match positions.get(name.as_str()) {
            Some(position) if found.contains(position) => {
                return Err(Error::format(
                    path,
                    format!("expected the label {name:?} once, found it twice"),
                ));
            }
            Some(&position) => found.push(position),
            None => {
                return Err(Error::format(
                    path,
                    format!(
                        "expected an attribute for the label {name:?}, found none; the labels belong to another table"
                    ),
                ));
            }
        }
    }
    match found.is_empty() {
        true => Err(Error::format(
            path,
            "expected at least one label, found none".into(),
        )),
        false => Ok(found),
    }
}

/// MEKA writes its options into the relation's name: `'Music: -C 6'`.
fn meka(path: &Path, header: &Header) -> Result<Vec<usize>> {
    let num_attributes = header.attributes.len();
    let mut words = header.relation.split_whitespace();
    let count = words
        .by_ref()
        .find(|&word| word == "-C" || word == "-c")
        .and_then(|_| words.next()?.parse::<i64>().ok())
        .filter(|&count| count != 0 && count.unsigned_abs() < num_attributes as u64);
    match count {
        Some(count) if count > 0 => Ok((0..count as usize).collect()),
        Some(count) => {
            Ok((num_attributes - count.unsigned_abs() as usize..num_attributes).collect())
        }
        None => Err(Error::format(
            path,
            format!(
                "expected the relation's name to say -C and a number of labels below {num_attributes}, found {:?}; or give Mulan's XML list of the labels",
                header.relation
            ),
        )),
    }
}

/// The names of all `label` elements, nested or not, in document order.
fn mulan_names(xml: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(xml).map_err(|source| Error::io(xml, source))?;
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
        label.attribute("name").map(unescape).ok_or_else(|| {
            let line = document.text_pos_at(label.range().start).row;
            Error::format(
                xml,
                format!("line {line}: expected a label with a name, found none"),
            )
        })
    });
    names.collect()
}
