//! Labels and label sets as text: in the cells of tables, in answers and on the command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, LabelSet, Result};

/// Between the labels of a sample.
const SEPARATOR: char = ';';

/// How many names an error lists.
const SHOWN: usize = 5;

/// Writes and reads label sets as `beach;sunset`, or as `0;3` where classes have no names.
///
/// A `;` within a name is written `\;` and a backslash `\\`.
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::names::LabelNames;
///
/// let names = LabelNames::new(Some(vec!["sea".into(), "sky".into(), "semi;colon".into()]));
/// let set = LabelSet::new([0, 2]);
/// assert_eq!(names.text(&set), r"sea;semi\;colon");
/// assert_eq!(names.set(r"sea;semi\;colon")?, set);
/// assert_eq!(LabelNames::default().text(&set), "0;2");
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub struct LabelNames {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl From<Option<Vec<String>>> for LabelNames {
    fn from(names: Option<Vec<String>>) -> Self {
        Self::new(names)
    }
}

impl From<LabelNames> for Option<Vec<String>> {
    fn from(names: LabelNames) -> Self {
        names.is_known().then_some(names.names)
    }
}

impl LabelNames {
    /// The names of classes 0, 1, …; none when they have only numbers.
    pub fn new(names: Option<Vec<String>>) -> Self {
        let names = names.unwrap_or_default();
        let numbers = names.iter().cloned().zip(0..).collect();
        Self { names, numbers }
    }

    /// Whether classes have names.
    pub fn is_known(&self) -> bool {
        !self.names.is_empty()
    }

    /// The names of all classes, where they have some.
    pub fn as_slice(&self) -> Option<&[String]> {
        self.is_known().then_some(self.names.as_slice())
    }

    /// What a class is called.
    pub fn name(&self, label: u32) -> String {
        match self.names.get(label as usize) {
            Some(name) => name.clone(),
            None => label.to_string(),
        }
    }

    /// The class of this name, or of this number where classes have no names.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`].
    pub fn number(&self, name: &str) -> Result<u32> {
        let unknown = |expected: String| Error::UnknownLabel {
            expected,
            found: name.to_string(),
        };
        if !self.is_known() {
            return name
                .parse()
                .map_err(|_| unknown("the number of a label".into()));
        }
        self.numbers.get(name).copied().ok_or_else(|| {
            let mut some: Vec<&str> = self.names.iter().take(SHOWN).map(String::as_str).collect();
            if self.names.len() > SHOWN {
                some.push("…");
            }
            let (count, some) = (self.names.len(), some.join(", "));
            unknown(format!("one of the {count} label names ({some})"))
        })
    }

    /// The set as text.
    pub fn text(&self, set: &LabelSet) -> String {
        let mut text = String::new();
        for (position, &label) in set.labels().iter().enumerate() {
            if position > 0 {
                text.push(SEPARATOR);
            }
            for letter in self.name(label).chars() {
                if letter == SEPARATOR || letter == '\\' {
                    text.push('\\');
                }
                text.push(letter);
            }
        }
        text
    }

    /// The set that [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    pub fn set(&self, text: &str) -> Result<LabelSet> {
        if text.is_empty() {
            return Ok(LabelSet::default());
        }
        let mut labels = Vec::new();
        let mut name = String::new();
        let mut letters = text.chars();
        loop {
            match letters.next() {
                Some('\\') => name.extend(letters.next()),
                Some(SEPARATOR) => labels.push(self.number(&std::mem::take(&mut name))?),
                Some(letter) => name.push(letter),
                None => break,
            }
        }
        labels.push(self.number(&name)?);
        Ok(LabelSet::new(labels))
    }
}

/// A cell of a CSV file, in quotes where it needs them.
///
/// ```
/// use tagwise::names::{csv_cell, csv_cells};
///
/// let line = format!("7,{}", csv_cell("a, \"b\""));
/// assert_eq!(line, r#"7,"a, ""b""""#);
/// assert_eq!(csv_cells(&line), ["7", "a, \"b\""]);
/// ```
pub fn csv_cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// The cells of one line of a CSV file.
pub fn csv_cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = cells.len() - 1;
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cells[last].push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            _ => cells[last].push(letter),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_any_names_are_read_as_they_were_written() {
        let names = [
            "plain",
            "a;b",
            "back\\slash",
            "comma, \"quote\"",
            "Ü m'usica",
        ];
        let names = LabelNames::new(Some(names.map(String::from).to_vec()));
        let numbers = LabelNames::new(None);
        for labels in [vec![], vec![0], vec![1, 2], vec![0, 1, 2, 3, 4]] {
            let set = LabelSet::new(labels);
            for names in [&names, &numbers] {
                let line = format!("7,{},0.5", csv_cell(&names.text(&set)));
                let cells = csv_cells(&line);
                assert_eq!((cells[0].as_str(), cells[2].as_str()), ("7", "0.5"));
                assert_eq!(names.set(&cells[1]).unwrap(), set);
            }
        }
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let names = LabelNames::new(Some(vec!["sea".into(), "sky".into()]));
        insta::assert_snapshot!(names.set("sea;see").unwrap_err(), @r#"expected one of the 2 label names (sea, sky), found "see""#);
        insta::assert_snapshot!(LabelNames::new(None).set("0;x").unwrap_err(), @r#"expected the number of a label, found "x""#);
    }
}
