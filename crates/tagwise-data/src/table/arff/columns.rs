use std::path::Path;

use super::Attribute;
use super::header::Kind;
use super::labels::ambiguous;
use crate::{Error, Result};

/// What an attribute becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Label(u32),
    /// One feature: the number, or the position of the nominal value.
    Column(u32),
    /// As many features as values, from this one on.
    OneHot(u32),
    LeftOut,
}

/// What all attributes become.
pub(super) struct Columns {
    pub(super) roles: Vec<Role>,
    /// The attributes that become several features, with the first of these.
    pub(super) one_hot: Vec<(usize, u32)>,
    /// For each label whether a sparse row that does not name it carries it.
    pub(super) on_when_left_out: Vec<bool>,
    /// Names of the features.
    pub(super) names: Vec<String>,
}

impl Columns {
    pub(super) fn new(
        path: &Path,
        attributes: &[Attribute],
        label_attributes: &[usize],
        left_out: &[&str],
    ) -> Result<Self> {
        let refuse = |message: String| Err(Error::format(path, message));
        let mut given: Vec<Option<Role>> = vec![None; attributes.len()];
        for (label, &attribute) in (0..).zip(label_attributes) {
            given[attribute] = Some(Role::Label(label));
        }
        for name in left_out {
            let named = (0..).zip(attributes).filter(|(_, a)| a.name == *name);
            let named: Vec<usize> = named.map(|(position, _)| position).collect();
            match named.as_slice() {
                &[attribute] if matches!(given[attribute], Some(Role::Label(_))) => {
                    return refuse(format!(
                        "expected {name:?} to be either a label or left out, found it as both"
                    ));
                }
                &[attribute] => given[attribute] = Some(Role::LeftOut),
                [] => {
                    return refuse(format!(
                        "expected an attribute {name:?} to leave out, found none of that name"
                    ));
                }
                several => return refuse(ambiguous("leaving out", name, several)),
            }
        }
        let mut columns = Self {
            roles: Vec::with_capacity(attributes.len()),
            one_hot: Vec::new(),
            on_when_left_out: label_attributes
                .iter()
                .map(|&a| attributes[a].is_on_when_left_out())
                .collect(),
            names: Vec::new(),
        };
        for (given, attribute) in given.into_iter().zip(attributes) {
            match given {
                Some(role) => columns.roles.push(role),
                None => columns
                    .push_feature(attribute)
                    .map_err(|message| Error::format(path, message))?,
            }
        }
        Ok(columns)
    }

    fn push_feature(&mut self, attribute: &Attribute) -> Result<(), String> {
        let next = self.names.len() as u32;
        if let Some((keyword, remedy)) = attribute.kind.why_no_feature() {
            return Err(format!(
                "expected numeric or nominal attributes, found {:?} of type {keyword}; {remedy}",
                attribute.name
            ));
        }
        match &attribute.kind {
            Kind::Nominal(values) if values.len() > 2 => {
                self.one_hot.push((self.roles.len(), next));
                self.roles.push(Role::OneHot(next));
                let names = values
                    .iter()
                    .map(|value| format!("{}={value}", attribute.name));
                self.names.extend(names);
            }
            _ => {
                self.roles.push(Role::Column(next));
                self.names.push(attribute.name.clone());
            }
        }
        Ok(())
    }
}
