use std::collections::BTreeMap;

use tagwise_base::LabelSet;

use crate::table::{TableOptions, flag};

/// Classes, label sets and, where they are more than numbers, names of the classes.
type Labelling = (usize, Vec<LabelSet>, Option<Vec<String>>);

/// How many classes a column of numbers may imply: a slip of the pen should not fill the memory.
const MAX_NUMBERED: usize = 1 << 22;

/// The labels of the rows so far.
pub(super) enum Found {
    Flags {
        names: Vec<String>,
        on: Vec<bool>,
        sets: Vec<LabelSet>,
    },
    /// Names, each kept once, and for each row their places.
    Lists {
        column: String,
        places: BTreeMap<String, u32>,
        row: Vec<u32>,
        rows: Vec<LabelSet>,
        holds_other_separators: bool,
        holds_semicolons: bool,
    },
}

impl Found {
    pub(super) fn flags(names: Vec<String>) -> Self {
        Self::Flags {
            on: vec![false; names.len()],
            names,
            sets: Vec::new(),
        }
    }

    pub(super) fn lists(column: String) -> Self {
        Self::Lists {
            column,
            places: BTreeMap::new(),
            row: Vec::new(),
            rows: Vec::new(),
            holds_other_separators: false,
            holds_semicolons: false,
        }
    }

    pub(super) fn put_flag(&mut self, label: u32, cell: &str) -> Result<(), String> {
        if let Self::Flags { on, .. } = self {
            on[label as usize] =
                flag(cell).ok_or_else(|| format!("expected 0 or 1, found {cell:?}"))?;
        }
        Ok(())
    }

    pub(super) fn put_list(&mut self, cell: &str) -> Result<(), String> {
        let Self::Lists {
            places,
            row,
            holds_other_separators,
            holds_semicolons,
            ..
        } = self
        else {
            return Ok(());
        };
        if cell.starts_with(['[', '{', '(']) {
            return Err(format!(
                "expected labels with ; between them, found {cell:?}; join lists before they are \
                 written, as with df[\"labels\"].map(\";\".join)"
            ));
        }
        *holds_semicolons |= cell.contains(';');
        *holds_other_separators |= cell.contains([',', '|']);
        for name in cell
            .split(';')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let next = places.len() as u32;
            let place = match places.get(name) {
                Some(&place) => place,
                None => *places.entry(name.to_string()).or_insert(next),
            };
            row.push(place);
        }
        Ok(())
    }

    pub(super) fn end_row(&mut self) {
        match self {
            Self::Flags { on, sets, .. } => {
                sets.push(LabelSet::from_multi_hot(on));
                on.fill(false);
            }
            Self::Lists { row, rows, .. } => rows.push(LabelSet::new(row.drain(..))),
        }
    }

    pub(super) fn finish(
        self,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<Labelling, String> {
        match self {
            Self::Flags { names, sets, .. } => Ok((names.len(), sets, Some(names))),
            Self::Lists {
                column,
                places,
                rows,
                holds_other_separators,
                holds_semicolons,
                ..
            } => {
                if holds_other_separators && !holds_semicolons {
                    notes.push(format!(
                        "labels in {column:?} hold commas or bars but no ;, so that each cell is \
                         one label"
                    ));
                }
                finish_lists(&column, &places, &rows, options, notes)
            }
        }
    }
}

fn finish_lists(
    column: &str,
    places: &BTreeMap<String, u32>,
    rows: &[LabelSet],
    options: &TableOptions,
    notes: &mut Vec<String>,
) -> Result<Labelling, String> {
    let (num_classes, classes, names) = number(column, places, options)?;
    let kind = if names.is_some() { "names" } else { "numbers" };
    notes.push(format!(
        "column {column:?} holds {kind} of {num_classes} classes"
    ));
    let sets = rows
        .iter()
        .map(|row| LabelSet::new(row.indices().map(|place| classes[place])));
    Ok((num_classes, sets.collect(), names))
}

/// The number of classes, the class of each place, and names.
fn number(
    column: &str,
    places: &BTreeMap<String, u32>,
    options: &TableOptions,
) -> Result<(usize, Vec<u32>, Option<Vec<String>>), String> {
    let mut classes = vec![0; places.len()];
    let numbers: Option<Vec<u32>> = places.keys().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let largest = numbers
            .iter()
            .max()
            .map_or(0, |&largest| largest as usize + 1);
        let num_classes = options.num_classes().unwrap_or(largest.min(MAX_NUMBERED));
        if largest > num_classes {
            return Err(format!(
                "expected class numbers below {num_classes} in column {column:?}, found {}",
                largest - 1
            ));
        }
        for (&place, number) in places.values().zip(numbers) {
            classes[place as usize] = number;
        }
        return Ok((num_classes, classes, None));
    }
    let names: Vec<String> = match &options.class_names {
        Some(names) => names.clone(),
        None => places.keys().cloned().collect(),
    };
    for (name, &place) in places {
        let class = names.iter().position(|known| known == name);
        classes[place as usize] = class
            .ok_or_else(|| format!("expected one of the given class names, found {name:?}"))?
            as u32;
    }
    match options.num_classes {
        Some(expected) if expected != names.len() => Err(format!(
            "expected {expected} classes, found {} names in column {column:?}",
            names.len()
        )),
        _ => Ok((names.len(), classes, Some(names))),
    }
}
