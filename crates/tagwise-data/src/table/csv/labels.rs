use tagwise_base::label::{LabelLists, counted_from_one};
use tagwise_base::{LabelSet, Targets};

use crate::table::{TableOptions, flag};

/// The labels of the rows so far.
pub(super) enum Found {
    /// One column of 0 and 1 for each label.
    Flags {
        names: Vec<String>,
        on: Vec<bool>,
        sets: Vec<LabelSet>,
    },
    /// One column of lists.
    Lists { column: String, lists: LabelLists },
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
            lists: LabelLists::default(),
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
        match self {
            Self::Lists { lists, .. } => lists.push(cell).map_err(|error| error.to_string()),
            Self::Flags { .. } => Ok(()),
        }
    }

    pub(super) fn end_row(&mut self) {
        if let Self::Flags { on, sets, .. } = self {
            sets.push(LabelSet::from_multi_hot(on));
            on.fill(false);
        }
    }

    /// The label sets, and names of the classes where they are more than numbers.
    pub(super) fn finish(
        self,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<(Targets, Option<Vec<String>>), String> {
        match self {
            Self::Flags { names, sets, .. } => {
                let targets = Targets::new(names.len(), sets).map_err(|error| error.to_string())?;
                Ok((targets, Some(names)))
            }
            Self::Lists { column, lists } => {
                if lists.may_have_other_separators() {
                    notes.push(format!(
                        "labels in {column:?} hold commas or bars but no ;, so that each cell is \
                         one label"
                    ));
                }
                let given = options.class_names.as_ref();
                let given = given.or(options.expected_names.as_ref());
                let given = given.map(Vec::as_slice);
                let are_names = lists.are_names(given);
                let kind = if are_names { "names" } else { "numbers" };
                let (targets, names) = lists
                    .finish(options.num_classes, given)
                    .map_err(|error| format!("in column {column:?}: {error}"))?;
                let num_classes = targets.num_classes();
                notes.push(format!(
                    "column {column:?} holds {kind} of {num_classes} classes"
                ));
                if !are_names && options.num_classes.is_none() && given.is_none() {
                    notes.extend(counted_from_one(&targets).map(str::to_string));
                }
                Ok((targets, names))
            }
        }
    }
}
