//! Labels as text: their names where they are known, their numbers otherwise.

use std::collections::BTreeMap;

use tagwise::LabelSet;

/// Between the labels of a sample.
const SEPARATOR: char = ';';

/// Writes and reads label sets as `beach;sunset`, or `0;3` where classes have no names.
///
/// A `;` within a name is written `\;` and a backslash `\\`.
#[derive(Clone, Debug, Default)]
pub struct LabelNames {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
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
    /// One sentence about a label that is none.
    pub fn number(&self, name: &str) -> Result<u32, String> {
        if !self.is_known() {
            return name
                .parse()
                .map_err(|_| format!("expected the number of a label, found {name:?}"));
        }
        self.numbers.get(name).copied().ok_or_else(|| {
            let mut some: Vec<&str> = self.names.iter().take(5).map(String::as_str).collect();
            if self.names.len() > some.len() {
                some.push("…");
            }
            format!(
                "expected one of the {} label names ({}), found {name:?}",
                self.names.len(),
                some.join(", ")
            )
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
    pub fn set(&self, text: &str) -> Result<LabelSet, String> {
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
