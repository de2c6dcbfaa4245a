//! Attribute-relation files (ARFF) with the labels among the attributes.
//!
//! Numbers become one feature. A nominal attribute of two values becomes one feature of 0 and 1,
//! one of more values a feature of 0 and 1 for each (`name=value`). Rows may be dense or sparse
//! (`{3 1, 17 0.5}`), where what is left out is 0 or the first nominal value.

mod header;
mod labels;
mod row;

use std::path::Path;

use rayon::prelude::*;
use tagwise_base::{LabelSet, Targets};

use super::{Features, SparseRows, Table};
use crate::{Error, Result};
use header::{Attribute, Header, Kind};
use row::{Cells, Row};

/// Which attributes are labels.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Those that an XML file of Mulan names, in its order.
    MulanXml(&'a Path),
    /// As MEKA has it: the relation's name says `-C n`, the first n attributes, or the last n
    /// for `-C -n`.
    Meka,
    /// Those with these names.
    Named(&'a [&'a str]),
}

/// Lines read by one task.
const PART_LEN: usize = 256;

/// Reads a table; the attributes named in `left_out` (identifiers such as genbase's `protein`)
/// become neither feature nor label.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed, for labels that are no attributes and for
/// attributes of text or dates; [`Error::Io`] when a file cannot be read.
pub fn read(path: &Path, labels: Labels<'_>, left_out: &[&str]) -> Result<Table> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    // Old files come in Latin-1; only names and nominal values can hold such letters.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    let (header, data_line) = header::parse(&text).map_err(|error| error.at(path))?;
    let label_attributes = labels::find(path, &header, labels)?;
    let columns = Columns::new(path, &header.attributes, &label_attributes, left_out)?;
    let lines = text.lines().enumerate().skip(data_line);
    let lines = lines.map(|(index, line)| (index + 1, line.trim()));
    let lines: Vec<(usize, &str)> = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('%'))
        .collect();
    let parts: Vec<Result<Builder<'_>, LineError>> = lines
        .par_chunks(PART_LEN)
        .map(|lines| {
            let mut part = Builder::new(&header.attributes, &columns, label_attributes.len());
            for &(line, text) in lines {
                part.push(text).map_err(|what| LineError::new(line, what))?;
            }
            Ok(part)
        })
        .collect();
    let mut builder = Builder::new(&header.attributes, &columns, label_attributes.len());
    for part in parts {
        builder.append(part.map_err(|error| error.at(path))?);
    }
    let label_names = label_attributes
        .iter()
        .map(|&a| header.attributes[a].name.clone());
    Ok(Table {
        label_names: label_names.collect(),
        targets: Targets::new(label_attributes.len(), builder.sets)?,
        features: match builder.sparse {
            Some(rows) => Features::Sparse(rows),
            None => Features::Dense {
                num_features: columns.names.len(),
                values: builder.dense,
            },
        },
        feature_names: columns.names,
    })
}

/// What is wrong with a line.
struct LineError {
    line: usize,
    what: String,
}

impl LineError {
    fn new(line: usize, what: String) -> Self {
        Self { line, what }
    }

    fn at(self, path: &Path) -> Error {
        Error::format(path, format!("line {}: {}", self.line, self.what))
    }
}

/// What an attribute becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Label(u32),
    /// One feature: the number, or the position of the nominal value.
    Column(u32),
    /// As many features as values, from this one on.
    OneHot(u32),
    LeftOut,
}

struct Columns {
    roles: Vec<Role>,
    /// The attributes that become several features, with the first of these.
    one_hot: Vec<(usize, u32)>,
    names: Vec<String>,
}

impl Columns {
    fn new(
        path: &Path,
        attributes: &[Attribute],
        label_attributes: &[usize],
        left_out: &[&str],
    ) -> Result<Self> {
        let mut roles: Vec<Option<Role>> = vec![None; attributes.len()];
        for (label, &attribute) in (0..).zip(label_attributes) {
            roles[attribute] = Some(Role::Label(label));
        }
        for name in left_out {
            match attributes
                .iter()
                .position(|attribute| attribute.name == *name)
            {
                Some(attribute) => roles[attribute] = Some(Role::LeftOut),
                None => {
                    return Err(Error::format(
                        path,
                        format!(
                            "expected an attribute {name:?} to leave out, found none of that name"
                        ),
                    ));
                }
            }
        }
        let mut names = Vec::new();
        for (role, attribute) in roles.iter_mut().zip(attributes) {
            if role.is_some() {
                continue;
            }
            let next = names.len() as u32;
            *role = Some(match &attribute.kind {
                Kind::Numeric => Role::Column(next),
                Kind::Nominal(values) if values.len() <= 2 => Role::Column(next),
                Kind::Nominal(values) => {
                    names.extend(
                        values
                            .iter()
                            .map(|value| format!("{}={value}", attribute.name)),
                    );
                    Role::OneHot(next)
                }
                Kind::Other(kind) => {
                    return Err(Error::format(
                        path,
                        format!(
                            "expected numeric or nominal attributes, found {:?} of type {kind}; leave it out",
                            attribute.name
                        ),
                    ));
                }
            });
            if let Some(Role::Column(_)) = role {
                names.push(attribute.name.clone());
            }
        }
        let roles: Vec<Role> = roles
            .into_iter()
            .map(|role| role.unwrap_or(Role::LeftOut))
            .collect();
        let several = (0..)
            .zip(&roles)
            .filter_map(|(attribute, role)| match role {
                Role::OneHot(first) => Some((attribute, *first)),
                _ => None,
            });
        Ok(Self {
            one_hot: several.collect(),
            roles,
            names,
        })
    }
}

/// Takes row after row; dense until the first sparse row comes.
struct Builder<'a> {
    attributes: &'a [Attribute],
    columns: &'a Columns,
    on: Vec<bool>,
    row: Vec<(u32, f32)>,
    sets: Vec<LabelSet>,
    dense: Vec<f32>,
    sparse: Option<SparseRows>,
}

impl<'a> Builder<'a> {
    fn new(attributes: &'a [Attribute], columns: &'a Columns, num_labels: usize) -> Self {
        Self {
            attributes,
            columns,
            on: vec![false; num_labels],
            row: Vec::new(),
            sets: Vec::new(),
            dense: Vec::new(),
            sparse: None,
        }
    }

    fn push(&mut self, line: &str) -> Result<(), String> {
        self.row.clear();
        self.on.fill(false);
        let cells = row::split(line)?;
        let is_sparse = matches!(cells, Cells::Sparse(_));
        match Row::new(cells, self.attributes.len())? {
            Row::Dense(values) => {
                for (attribute, value) in values.into_iter().enumerate() {
                    self.put(attribute, &value)?;
                }
            }
            Row::Sparse(values) => {
                for &(attribute, first) in &self.columns.one_hot {
                    let given = values.binary_search_by_key(&attribute, |(given, _)| *given);
                    if given.is_err() {
                        self.row.push((first, 1.0));
                    }
                }
                for (attribute, value) in &values {
                    self.put(*attribute, value)?;
                }
            }
        }
        self.row.sort_by_key(|&(column, _)| column);
        self.sets.push(LabelSet::from_multi_hot(&self.on));
        if is_sparse && self.sparse.is_none() {
            self.sparse = Some(self.dense_as_sparse());
        }
        match &mut self.sparse {
            Some(rows) => rows.push(&self.row),
            None => {
                let start = self.dense.len();
                self.dense.resize(start + self.columns.names.len(), 0.0);
                for &(column, value) in &self.row {
                    self.dense[start + column as usize] = value;
                }
            }
        }
        Ok(())
    }

    /// Puts one cell where its attribute's role says.
    fn put(&mut self, attribute: usize, text: &str) -> Result<(), String> {
        let role = self.columns.roles[attribute];
        if role == Role::LeftOut {
            return Ok(());
        }
        let value = self.attributes[attribute].value(text)?;
        match role {
            Role::Label(label) => {
                self.on[label as usize] = self.attributes[attribute].is_on(value)?;
            }
            Role::Column(column) => self.row.push((column, value)),
            Role::OneHot(first) => self.row.push((first + value as u32, 1.0)),
            Role::LeftOut => {}
        }
        Ok(())
    }

    /// Adds the rows of another part.
    fn append(&mut self, part: Self) {
        if part.sparse.is_some() && self.sparse.is_none() {
            self.sparse = Some(self.dense_as_sparse());
        }
        match &mut self.sparse {
            Some(rows) => match &part.sparse {
                Some(more) => rows.append(more),
                None => rows.append(&part.dense_as_sparse()),
            },
            None => self.dense.extend_from_slice(&part.dense),
        }
        self.sets.extend(part.sets);
    }

    fn dense_as_sparse(&self) -> SparseRows {
        let num_features = self.columns.names.len();
        let mut rows = SparseRows::new(num_features);
        for row in self.dense.chunks_exact(num_features.max(1)) {
            rows.push(&(0..).zip(row.iter().copied()).collect::<Vec<_>>());
        }
        rows
    }
}

#[cfg(test)]
mod tests;
