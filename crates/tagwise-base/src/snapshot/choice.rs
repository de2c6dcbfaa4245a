//! Which arrays of a file are features, labels and classifier.
//!
//! The names of this program are `features`, `targets` or `labels` with `offsets`, `num_classes`,
//! `weight` and `bias`. Where one of them is missing, the names that dumps usually have are taken
//! instead, if there is only one candidate, and a note says so. Everything else is passed over.

mod labels;

use super::array::Stored;
use super::member::{Member, TextArray};
use super::options::ArrayNames;
use super::parquet::{TableColumn, TextColumn};
use crate::label::TargetsBuilder;

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
    /// As `Text`, or lists of names, in tables.
    TextColumn(TextColumn),
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
    given: Given,
    pub(super) notes: Vec<String>,
    /// The names in the file, for messages.
    found: Vec<String>,
}

/// What was said about the classes beside the file.
#[derive(Debug)]
struct Given {
    class_names: Option<Vec<String>>,
    expected_names: Option<Vec<String>>,
    num_classes: Option<usize>,
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

/// Whether the labels of a file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelsHere {
    Read,
    PassOver,
}

/// Sorts the members of a file by what they are for.
pub(super) fn choose(
    mut left: Vec<Member>,
    names: &ArrayNames,
    wanted: LabelsHere,
) -> Result<Choice, String> {
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
    let labels = match wanted {
        LabelsHere::Read => labels(&mut members, names.targets.as_deref())?,
        LabelsHere::PassOver => None,
    };
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
        given: Given {
            class_names: names.class_names.clone(),
            expected_names: names.expected_names.clone(),
            num_classes: names.num_classes,
        },
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
        Some(Member::TextColumn(column)) => Some(Labels::TextColumn(column)),
        Some(Member::Column(column)) => Some(Labels::Column(column)),
        Some(Member::Sets { sets, .. }) => Some(Labels::Sets(sets)),
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
            .ok_or_else(|| format!("expected an array `features` [N, d], found {found:?}; another is chosen by its name (option features-key)"))?;
        match features {
            Member::Column(column) => Ok(Features::Column(column)),
            member => member.into_numbers().map(Features::Array),
        }
    }

    /// Whether there are features and a weight.
    pub(super) fn has_classifier(&self) -> bool {
        matches!(self.features, Ok(Some(_))) && self.weight.is_some()
    }

    /// K as it is known without the labels: stated in the file, by its classifier, or beside it.
    pub(super) fn stated_classes(&self) -> Result<Option<usize>, String> {
        let rows = self.weight.as_ref().and_then(|weight| weight.shape.first());
        let own = self.own_num_classes()?.or(rows.copied());
        let named = self.class_names().map(<[String]>::len);
        Ok(own.or(self.given.num_classes).or(named))
    }

    /// The array `num_classes`.
    fn own_num_classes(&self) -> Result<Option<usize>, String> {
        let stated = self.num_classes.as_ref().map(|n| n.array().to_indices());
        let first = stated
            .transpose()?
            .and_then(|values| values.first().copied());
        Ok(first.map(|k| usize::try_from(k).unwrap_or(usize::MAX)))
    }

    /// What the classes are called: as it is given, or else as the file says.
    pub(super) fn class_names(&self) -> Option<&[String]> {
        let given = self.given.class_names.as_deref();
        given.or(self.class_names.as_deref())
    }
}
