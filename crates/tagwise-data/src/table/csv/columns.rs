use csv::StringRecord;

use super::labels::Found;
use crate::table::{TableOptions, Unlabelled};

/// What a column becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Feature,
    /// 0 or 1 for this label.
    Label(u32),
    /// Labels with `;` between them.
    List,
    LeftOut,
    /// Without a name, as pandas writes the numbers of rows.
    Index,
}

/// What a lone label column is often called.
const USUAL_NAMES: [&str; 8] = [
    "labels", "label", "tags", "classes", "class", "targets", "target", "y",
];

/// The columns of the file and what they become.
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) roles: Vec<Role>,
    label_names: Vec<String>,
}

impl Columns {
    pub(super) fn new(
        header: &StringRecord,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(str::to_string).collect();
        if names.iter().all(|name| name.is_empty()) {
            return Err("expected a line of column names, found an empty file".into());
        }
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(format!(
                "line 1: expected the names of the columns, found numbers ({}); put a line of \
                 names on top",
                shortened(&names)
            ));
        }
        if let [only] = names.as_slice()
            && only.split_whitespace().count() > 2
        {
            return Err(format!(
                "line 1: expected column names between commas, semicolons, tabs or bars, found {only:?}"
            ));
        }
        let mut columns = Self {
            roles: vec![Role::Feature; names.len()],
            names,
            label_names: Vec::new(),
        };
        columns.find_index(notes)?;
        for name in &options.left_out {
            let column = columns.one(name, "leaving out")?;
            columns.roles[column] = Role::LeftOut;
        }
        columns.find_labels(options, notes)?;
        let mut features = columns.feature_names();
        features.sort_unstable();
        let twice = features.windows(2).find(|pair| pair[0] == pair[1]);
        notes.extend(twice.map(|pair| format!("several features are called {:?}", pair[0])));
        Ok(columns)
    }

    fn find_index(&mut self, notes: &mut Vec<String>) -> Result<(), String> {
        let is_nameless = |name: &str| name.is_empty() || name == "Unnamed: 0";
        for column in 0..self.names.len() {
            match column {
                0 if is_nameless(&self.names[0]) => {
                    self.roles[0] = Role::Index;
                    notes.push(
                        "the first column, which has no name and counts the rows, is left out"
                            .into(),
                    );
                }
                _ if self.names[column].is_empty() => {
                    return Err(format!(
                        "line 1: expected a name for column {}, found none; a separator too many \
                         ends the line, or the name is missing",
                        column + 1
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn find_labels(
        &mut self,
        options: &TableOptions,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut found = Vec::new();
        let is_there = |name: &String| self.matching(name).is_ok();
        if options.unlabelled == Unlabelled::Keep
            && !options.label_columns.is_empty()
            && !options.label_columns.iter().any(is_there)
        {
            return Ok(());
        }
        for name in &options.label_columns {
            found.extend(self.matching(name)?);
        }
        if options.label_columns.is_empty() {
            found.extend(self.usual_label_column(options.unlabelled)?);
            notes.extend(
                found
                    .first()
                    .map(|&column: &usize| format!("labels are those in {:?}", self.names[column])),
            );
        }
        for (label, &column) in (0..).zip(&found) {
            let name = &self.names[column];
            match self.roles[column] {
                Role::Feature => self.roles[column] = Role::Label(label),
                Role::LeftOut => {
                    return Err(format!(
                        "expected column {name:?} to be either a label or left out, found it as \
                         both"
                    ));
                }
                _ => return Err(format!("expected the label {name:?} once, found it twice")),
            }
            self.label_names.push(name.clone());
        }
        if let &[only] = found.as_slice() {
            self.roles[only] = Role::List;
        }
        Ok(())
    }

    /// The column of this name, or those that start like it before a star.
    fn matching(&self, name: &str) -> Result<Vec<usize>, String> {
        let prefix = name.strip_suffix('*');
        if let Some(prefix) = prefix.filter(|_| !self.names.iter().any(|n| n == name)) {
            let matching = (0..self.names.len()).filter(|&c| self.names[c].starts_with(prefix));
            let matching: Vec<usize> = matching.collect();
            if matching.is_empty() {
                return Err(self.unknown(name));
            }
            return Ok(matching);
        }
        Ok(vec![self.one(name, "the label")?])
    }

    fn one(&self, name: &str, purpose: &str) -> Result<usize, String> {
        let named = (0..self.names.len()).filter(|&column| self.names[column] == name);
        match named.collect::<Vec<_>>().as_slice() {
            &[column] => Ok(column),
            [] => Err(self.unknown(name)),
            several => Err(format!(
                "expected one column for {purpose} {name:?}, found {} of that name; rename them \
                 apart",
                several.len()
            )),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let known = shortened(&self.names);
        format!("expected a column {name:?}, found none among {known}")
    }

    fn usual_label_column(&self, unlabelled: Unlabelled) -> Result<Option<usize>, String> {
        // Beside an x, y is the other coordinate.
        let has_x = self.names.iter().any(|name| name.eq_ignore_ascii_case("x"));
        let is_usual = |name: &str| {
            let usual = USUAL_NAMES
                .iter()
                .any(|usual| name.eq_ignore_ascii_case(usual));
            usual && !(has_x && name.eq_ignore_ascii_case("y"))
        };
        let usual = (0..self.names.len()).filter(|&column| is_usual(&self.names[column]));
        match (usual.collect::<Vec<_>>().as_slice(), unlabelled) {
            (&[column], _) => Ok(Some(column)),
            ([], Unlabelled::Keep) => Ok(None),
            _ => Err(format!(
                "expected to be told which columns are labels, found {}; name the label columns (option label-columns)",
                shortened(&self.names)
            )),
        }
    }

    pub(super) fn num_labels(&self) -> usize {
        self.label_names.len()
    }

    pub(super) fn labels(&self) -> Found {
        match self.roles.contains(&Role::List) {
            true => Found::lists(self.label_names[0].clone()),
            false => Found::flags(self.label_names.clone()),
        }
    }

    pub(super) fn feature_names(&self) -> Vec<String> {
        let named = self.names.iter().zip(&self.roles);
        let features = named.filter(|(_, role)| **role == Role::Feature);
        features.map(|(name, _)| name.clone()).collect()
    }
}

/// The first of many names.
fn shortened(names: &[String]) -> String {
    const MOST: usize = 8;
    let listed: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", listed.join(", "))
}
