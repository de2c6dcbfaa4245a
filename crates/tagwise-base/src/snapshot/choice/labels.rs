//! From the labels of a file to label sets.

use super::super::array::{Array, class_targets, named_targets, ragged_targets};
use super::super::member::TextArray;
use super::{Choice, Labels};
use crate::label::{ClassNames, LabelLists, counted_from_one};
use crate::{Error, Targets};

/// Label sets, what the classes are called, and what was decided.
pub(in super::super) struct Labelled {
    pub(in super::super) targets: Targets,
    pub(in super::super) class_names: Option<Vec<String>>,
}

impl Choice {
    /// The label sets; none where the file has no labels.
    pub(in super::super) fn labelled(&mut self) -> Result<Option<Labelled>, String> {
        let Some(labels) = &self.labels else {
            return Ok(None);
        };
        let (labelled, note) = self.decoded(labels)?;
        self.notes.extend(note);
        let num_classes = labelled.targets.num_classes();
        let stated = self.own_num_classes()?.filter(|&k| k != num_classes);
        if let Some(stated) = stated {
            return Err(format!(
                "expected labels of {stated} classes as `num_classes` says, found {num_classes} columns"
            ));
        }
        if labelled.class_names.is_some() {
            return Ok(Some(labelled));
        }
        let names = self.settled_names(num_classes)?;
        Ok(Some(Labelled {
            targets: names.apply(labelled.targets),
            class_names: names.into_names(),
        }))
    }

    /// What the classes are called, and where those of the file stand among them.
    pub(in super::super) fn settled_names(&self, num_classes: usize) -> Result<ClassNames, String> {
        let (own, given) = (&self.class_names, &self.given.class_names);
        ClassNames::settle(num_classes, own.as_deref(), given.as_deref())
            .map_err(|error| error.to_string())
    }

    /// The label sets as they are stored, with names of classes where these tell the labels, and
    /// with what was decided about them.
    fn decoded(&self, labels: &Labels) -> Result<(Labelled, Option<String>), String> {
        let stated = self.stated_classes()?;
        let unnamed = |targets| Labelled {
            targets,
            class_names: None,
        };
        match labels {
            Labels::Ragged { labels, offsets } => {
                let targets = ragged_targets(&labels.array(), &offsets.array(), stated)?;
                Ok((unnamed(targets), None))
            }
            Labels::Sets(sets) => {
                let targets = sets.clone().finish(stated);
                let targets = targets.map_err(|error| format!("in `labels`: {error}"))?;
                Ok((unnamed(targets), None))
            }
            Labels::Column(column) => {
                let are_numbers = column.shape()[1] == 1 && stated != Some(1);
                let targets = match are_numbers {
                    true => column.class_targets(stated),
                    false => column.multi_hot_targets(),
                };
                let targets = targets.map_err(Error::without_path)?;
                let note = are_numbers.then(|| number_note(column.name(), &targets, stated));
                Ok((unnamed(targets), note))
            }
            Labels::Text(text) => self.of_lists(&text.name, lists(text)?, stated),
            Labels::TextColumn(column) => {
                let lists = column.labels().map_err(Error::without_path)?;
                self.of_lists(column.name(), lists, stated)
            }
            Labels::Numbers(array) => {
                let array: Array<'_> = array.array();
                // A column of a single class is the matrix [N, K]; its numbers could only be 0.
                let are_numbers = match *array.shape {
                    [_] => true,
                    [_, 1] => stated != Some(1),
                    _ => false,
                };
                if !are_numbers {
                    let note = array
                        .has_signs()
                        .then(|| format!("`{}` holds -1 and 1; -1 is read as 0", array.name));
                    return Ok((unnamed(array.to_targets()?), note));
                }
                let given = self.given.class_names.as_deref();
                if let Some(targets) = named_targets(&array, given.unwrap_or_default())? {
                    let note = class_note(array.name, "name", &targets);
                    let class_names = given.map(<[String]>::to_vec);
                    let labelled = Labelled {
                        targets,
                        class_names,
                    };
                    return Ok((labelled, Some(note)));
                }
                let targets = class_targets(&array, stated)?;
                let note = number_note(array.name, &targets, stated);
                Ok((unnamed(targets), Some(note)))
            }
        }
    }

    /// Labels that are texts: names of classes, or their numbers where all are such.
    fn of_lists(
        &self,
        name: &str,
        lists: LabelLists,
        stated: Option<usize>,
    ) -> Result<(Labelled, Option<String>), String> {
        let names = self.class_names().or(self.given.expected_names.as_deref());
        let are_names = lists.are_names(names);
        let finished = lists.finish(stated, names);
        let (targets, class_names) = finished.map_err(|error| format!("in `{name}`: {error}"))?;
        let note = match are_names {
            true => class_note(name, "name", &targets),
            false => number_note(name, &targets, stated),
        };
        let labelled = Labelled {
            targets,
            class_names: class_names.filter(|_| are_names),
        };
        Ok((labelled, Some(note)))
    }
}

/// The labels of an array of texts, with `;` between several.
fn lists(text: &TextArray) -> Result<LabelLists, String> {
    if !matches!(text.shape[..], [_] | [_, 1]) {
        return Err(format!(
            "expected `{}` of shape [N], one text per sample, found shape {:?}",
            text.name, text.shape
        ));
    }
    let mut lists = LabelLists::default();
    for label in text.texts()? {
        lists
            .push(&label)
            .map_err(|error| format!("in `{}`: {error}", text.name))?;
    }
    Ok(lists)
}

/// As [`class_note`], with a word on numbers that may start at 1.
fn number_note(name: &str, targets: &Targets, stated: Option<usize>) -> String {
    let note = class_note(name, "number", targets);
    match counted_from_one(targets).filter(|_| stated.is_none()) {
        Some(from_one) => format!("{note}; {from_one}"),
        None => note,
    }
}

fn class_note(name: &str, kind: &str, targets: &Targets) -> String {
    format!(
        "`{name}` holds the {kind} of a class for each sample, {} classes in all",
        targets.num_classes()
    )
}
