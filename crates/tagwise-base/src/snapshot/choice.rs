//! Which arrays of a file are features, labels and classifier.
//!
//! The names of this program are `features`, `targets` or `labels` with `offsets`, `num_classes`,
//! `weight` and `bias`. Where one of them is missing, the names that dumps usually have are taken
//! instead, if there is only one candidate, and a note says so. Everything else is passed over.

use super::array::{Array, Stored, class_targets, ragged_targets};
use super::member::{Member, TextArray};
use super::parquet::TableColumn;
use crate::Targets;
use crate::label::{LabelLists, TargetsBuilder};

/// Names that features have elsewhere.
pub(super) const FEATURE_NAMES: [&str; 11] = [
    "X",
    "x",
    "embeddings",
    "embedding",
    "feats",
    "feature",
    "H",
    "hidden",
    "hidden_states",
    "representations",
    "activations",
];

/// Names that labels have elsewhere.
const TARGET_NAMES: [&str; 6] = ["labels", "Y", "y", "label", "target", "y_true"];

/// Names that the names of classes have.
const CLASS_NAMES: [&str; 5] = [
    "class_names",
    "label_names",
    "classes",
    "target_names",
    "classnames",
];

/// Which arrays to read, where the usual names are not the ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayNames {
    /// The name of the features `[N, d]`.
    pub features: Option<String>,
    /// The name of the labels: `[N, K]` of 0 and 1, or `[N]` of class numbers or names.
    pub targets: Option<String>,
}

/// Features as a file holds them.
#[derive(Clone, Debug)]
pub(super) enum Features {
    /// In memory or mapped.
    Array(Stored),
    /// In tables, decoded when somebody looks at them.
    Column(TableColumn),
}

/// Labels as a file holds them.
#[derive(Clone, Debug)]
pub(super) enum Labels {
    /// `[N, K]` of 0 and 1, `[N]` or `[N, 1]` of class numbers.
    Numbers(Stored),
    /// Names of classes, with `;` between them.
    Text(TextArray),
    /// Class numbers of one sample after the other.
    Ragged { labels: Stored, offsets: Stored },
    /// As `Numbers`, in tables.
    Column(TableColumn),
    /// As `Ragged`, read from tables.
    Sets(TargetsBuilder),
}

/// The arrays of a file by what they are for.
#[derive(Debug)]
pub(super) struct Choice {
    /// An error where several arrays may be the features, which concerns only those who ask.
    features: Result<Option<Member>, String>,
    labels: Option<Labels>,
    num_classes: Option<Stored>,
    pub(super) weight: Option<Stored>,
    pub(super) bias: Option<Stored>,
    class_names: Option<Vec<String>>,
    pub(super) notes: Vec<String>,
    /// The names in the file, for messages.
    found: Vec<String>,
}

/// Label sets, what the classes are called, and what was decided.
pub(super) struct Labelled {
    pub(super) targets: Targets,
    pub(super) class_names: Option<Vec<String>>,
}

/// Takes members out of a file by their names.
struct Members {
    left: Vec<Member>,
    notes: Vec<String>,
}

impl Members {
    fn take(&mut self, name: &str) -> Option<Member> {
        let position = self.left.iter().position(|member| member.name() == name)?;
        Some(self.left.remove(position))
    }

    fn take_numbers(&mut self, name: &str) -> Result<Option<Stored>, String> {
        let member = self.take(name).map(Member::into_numbers).transpose()?;
        Ok(member.map(Stored::into_row_major))
    }

    fn has(&self, name: &str) -> bool {
        self.left.iter().any(|member| member.name() == name)
    }

    /// The array of a given name.
    fn given(&mut self, name: &str) -> Result<Member, String> {
        let found = names(&self.left);
        let given = self.take(name);
        given.ok_or_else(|| format!("expected an array `{name}`, found {found}"))
    }

    /// The one array with a name of these, if there is one.
    fn usual(&mut self, usual: &[&str], role: &str) -> Result<Option<Member>, String> {
        let candidates = usual.iter().filter(|name| self.has(name));
        match candidates.collect::<Vec<_>>().as_slice() {
            [] => Ok(None),
            [name] => {
                if **name != role {
                    self.notes.push(format!("`{name}` is read as the {role}"));
                }
                Ok(self.take(name))
            }
            several => Err(format!(
                "expected one array that may be the {role}, found {}; say which one is meant",
                listed(several.iter().map(|name| **name))
            )),
        }
    }
}

fn names(members: &[Member]) -> String {
    listed(members.iter().map(Member::name))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match quoted.is_empty() {
        true => "none".into(),
        false => quoted.join(", "),
    }
}

/// Sorts the members of a file by what they are for.
pub(super) fn choose(mut left: Vec<Member>, names: &ArrayNames) -> Result<Choice, String> {
    left.sort_by(|a, b| a.name().cmp(b.name()));
    let found = left
        .iter()
        .map(|member| member.name().to_string())
        .collect();
    let mut members = Members {
        left,
        notes: Vec::new(),
    };
    let features = match &names.features {
        Some(name) => members.given(name).map(Some),
        None if members.has("features") => Ok(members.take("features")),
        None => members.usual(&FEATURE_NAMES, "features"),
    };
    let labels = labels(&mut members, names.targets.as_deref())?;
    let num_classes = members.take_numbers("num_classes")?;
    let weight = members.take_numbers("weight")?;
    let bias = members.take_numbers("bias")?;
    let class_names = class_names(&mut members)?;
    let mut notes = members.notes;
    if !members.left.is_empty() {
        let verb = if members.left.len() == 1 { "is" } else { "are" };
        let passed_over = listed(members.left.iter().map(Member::name));
        notes.push(format!("{passed_over} {verb} passed over"));
    }
    Ok(Choice {
        features,
        labels,
        num_classes,
        weight,
        bias,
        class_names,
        notes,
        found,
    })
}

fn labels(members: &mut Members, given: Option<&str>) -> Result<Option<Labels>, String> {
    let member = match given {
        Some(name) => Some(members.given(name)?),
        None if members.has("targets") => members.take("targets"),
        None if members.has("labels") && members.has("offsets") => {
            let (labels, offsets) = (
                members.take_numbers("labels")?,
                members.take_numbers("offsets")?,
            );
            return Ok(labels
                .zip(offsets)
                .map(|(labels, offsets)| Labels::Ragged { labels, offsets }));
        }
        None => members.usual(&TARGET_NAMES, "labels")?,
    };
    Ok(match member {
        None => None,
        Some(Member::Text(text)) => Some(Labels::Text(text)),
        Some(Member::Column(column)) => Some(Labels::Column(column)),
        Some(Member::Sets(sets)) => Some(Labels::Sets(sets)),
        Some(member) => Some(Labels::Numbers(member.into_numbers()?.into_row_major())),
    })
}

fn class_names(members: &mut Members) -> Result<Option<Vec<String>>, String> {
    let is_names = |member: &&Member| {
        matches!(member, Member::Text(text) if text.shape.len() == 1)
            && CLASS_NAMES.contains(&member.name())
    };
    let Some(name) = members
        .left
        .iter()
        .find(is_names)
        .map(|m| m.name().to_string())
    else {
        return Ok(None);
    };
    match members.take(&name) {
        Some(Member::Text(text)) => {
            members.notes.push(format!("`{name}` names the classes"));
            text.texts().map(Some)
        }
        _ => Ok(None),
    }
}

impl Choice {
    /// The features, which must be there.
    pub(super) fn take_features(&mut self) -> Result<Features, String> {
        let features = std::mem::replace(&mut self.features, Ok(None))?;
        let found = &self.found;
        let features = features
            .ok_or_else(|| format!("expected an array `features` [N, d], found {found:?}"))?;
        match features {
            Member::Column(column) => Ok(Features::Column(column)),
            member => member.into_numbers().map(Features::Array),
        }
    }

    /// K as the file states it, by itself, by its classifier or by names.
    pub(super) fn stated_classes(&self) -> Result<Option<usize>, String> {
        let stated = self.num_classes.as_ref().map(|n| n.array().to_indices());
        let stated = stated
            .transpose()?
            .and_then(|values| values.first().copied());
        let rows = self.weight.as_ref().and_then(|weight| weight.shape.first());
        let named = self.class_names.as_ref().map(Vec::len);
        Ok(stated.map(|k| k as usize).or(rows.copied()).or(named))
    }

    /// The label sets; none where the file has no labels.
    pub(super) fn labelled(&mut self) -> Result<Option<Labelled>, String> {
        let stated = self.stated_classes()?;
        let Some(labels) = &self.labels else {
            return Ok(None);
        };
        let (targets, own_names) = match labels {
            Labels::Ragged { labels, offsets } => (
                ragged_targets(&labels.array(), &offsets.array(), stated)?,
                None,
            ),
            Labels::Sets(sets) => {
                let targets = sets.clone().finish(stated);
                (
                    targets.map_err(|error| format!("in `labels`: {error}"))?,
                    None,
                )
            }
            Labels::Column(column) => {
                let targets = column.targets(stated).map_err(|error| error.to_string())?;
                if column.shape()[1] == 1 {
                    self.notes
                        .push(class_note(column.name(), "number", &targets));
                }
                (targets, None)
            }
            Labels::Text(text) => {
                let (targets, names) = text_targets(text, stated, self.class_names.as_deref())?;
                self.notes.push(class_note(&text.name, "name", &targets));
                (targets, names)
            }
            Labels::Numbers(array) => {
                let array: Array<'_> = array.array();
                match *array.shape {
                    [_] | [_, 1] => {
                        let targets = class_targets(&array, stated)?;
                        self.notes.push(class_note(array.name, "number", &targets));
                        (targets, None)
                    }
                    _ => (array.to_targets()?, None),
                }
            }
        };
        let class_names = own_names.or_else(|| self.class_names.clone());
        match class_names {
            Some(names) if names.len() != targets.num_classes() => Err(format!(
                "expected a name for each of the {} classes, found {} names",
                targets.num_classes(),
                names.len()
            )),
            class_names => Ok(Some(Labelled {
                targets,
                class_names,
            })),
        }
    }
}

fn class_note(name: &str, kind: &str, targets: &Targets) -> String {
    format!(
        "`{name}` holds the {kind} of a class for each sample, {} classes in all",
        targets.num_classes()
    )
}

fn text_targets(
    text: &TextArray,
    stated: Option<usize>,
    class_names: Option<&[String]>,
) -> Result<(Targets, Option<Vec<String>>), String> {
    if !matches!(text.shape[..], [_] | [_, 1]) {
        return Err(format!(
            "expected `{}` of shape [N], one text per sample, found shape {:?}",
            text.name, text.shape
        ));
    }
    let in_array = |error: crate::Error| format!("in `{}`: {error}", text.name);
    let mut lists = LabelLists::default();
    for text in text.texts()? {
        lists.push(&text).map_err(in_array)?;
    }
    lists.finish(stated, class_names).map_err(in_array)
}
