//! Sparse text formats: `labels feature:value feature:value …`, one row a line.

use std::path::Path;

use tagwise_base::{LabelSet, Targets};

use super::{Features, SparseRows, Table};
use crate::{Error, Result};

/// How many features and labels a table has where its file does not say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of features d; the largest that occurs when absent.
    pub num_features: Option<usize>,
    /// Number of classes K; one more than the largest label when absent.
    pub num_classes: Option<usize>,
}

/// Features may not be numbered higher: a slip of the pen should not fill the memory.
const MAX_NUMBER: usize = 1 << 28;

/// Reads a file of the Extreme Classification Repository: a line `N d K`, then rows whose labels
/// and features are numbered from 0. A row without labels starts with a space.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed, [`Error::Io`] when the file cannot be read.
pub fn read_xmc(path: &Path) -> Result<Table> {
    let text = read_text(path)?;
    let at_line = |line: usize, what: String| Error::format(path, format!("line {line}: {what}"));
    let header = text.lines().next().unwrap_or("");
    let sizes: Vec<usize> = header
        .split_ascii_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    let &[num_rows, num_features, num_classes] = sizes.as_slice() else {
        return Err(at_line(
            1,
            format!(
                "expected the numbers of rows, features and labels, found {:?}",
                shortened(header)
            ),
        ));
    };
    if num_features > MAX_NUMBER || num_classes > MAX_NUMBER {
        return Err(at_line(
            1,
            format!("expected at most {MAX_NUMBER} features and labels"),
        ));
    }
    let mut rows = SparseRows::new(num_features);
    let mut sets = Vec::new();
    let mut reader = RowReader::default();
    for (index, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() && sets.len() == num_rows {
            continue;
        }
        let labels = reader
            .read(line, 0, Some(num_features), Some(num_classes))
            .map_err(|what| at_line(index + 1, what))?;
        rows.push(&reader.features);
        sets.push(labels);
    }
    if sets.len() != num_rows {
        return Err(Error::format(
            path,
            format!(
                "expected {num_rows} rows as line 1 says, found {}; the file is cut off or line 1 is wrong",
                sets.len()
            ),
        ));
    }
    table(rows, sets, num_classes, 0)
}

/// Reads a multi-label LIBSVM file: no header, features numbered from 1, labels from 0. Rows
/// without labels start with a space or with their first feature; `#` starts a comment.
///
/// # Errors
/// As [`read_xmc`].
pub fn read_libsvm(path: &Path, size: Size) -> Result<Table> {
    let text = read_text(path)?;
    let mut rows = SparseRows::new(0);
    let mut sets = Vec::new();
    let mut reader = RowReader::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("");
        if line.trim().is_empty() {
            continue;
        }
        let labels = reader
            .read(line, 1, size.num_features, size.num_classes)
            .map_err(|what| Error::format(path, format!("line {}: {what}", index + 1)))?;
        rows.push(&reader.features);
        sets.push(labels);
    }
    let largest =
        |numbers: &mut dyn Iterator<Item = u32>| numbers.max().map_or(0, |n| n as usize + 1);
    rows.num_features = size
        .num_features
        .unwrap_or_else(|| largest(&mut rows.columns.iter().copied()));
    let num_classes = size.num_classes.unwrap_or_else(|| {
        largest(&mut sets.iter().filter_map(|set| set.labels().last().copied()))
    });
    table(rows, sets, num_classes, 1)
}

fn table(rows: SparseRows, sets: Vec<LabelSet>, num_classes: usize, first: usize) -> Result<Table> {
    let number = |prefix: &str, count: usize, first: usize| {
        (first..first + count)
            .map(|n| format!("{prefix}{n}"))
            .collect()
    };
    Ok(Table {
        feature_names: number("feature ", rows.num_features, first),
        label_names: number("", num_classes, 0),
        targets: Targets::new(num_classes, sets)?,
        features: Features::Sparse(rows),
    })
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData => {
            Error::format(path, "expected text in UTF-8, found other bytes".into())
        }
        _ => Error::io(path, source),
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Reads row after row into the same buffer.
#[derive(Default)]
struct RowReader {
    features: Vec<(u32, f32)>,
}

impl RowReader {
    /// The label set of a line; its features, sorted, are left in `self.features`.
    fn read(
        &mut self,
        line: &str,
        first_feature: usize,
        num_features: Option<usize>,
        num_classes: Option<usize>,
    ) -> Result<LabelSet, String> {
        self.features.clear();
        let (labels, features) = match line.split_once(char::is_whitespace) {
            Some((first, rest)) if !first.contains(':') => (first, rest),
            None if !line.contains(':') => (line, ""),
            _ => ("", line),
        };
        let num_features = num_features.unwrap_or(MAX_NUMBER);
        for word in features.split_ascii_whitespace() {
            let (number, value) = word
                .split_once(':')
                .ok_or_else(|| format!("expected feature:value, found {:?}", shortened(word)))?;
            let column = number
                .parse::<usize>()
                .ok()
                .filter(|n| (first_feature..first_feature + num_features).contains(n))
                .ok_or_else(|| {
                    format!(
                        "expected a feature from {first_feature} to {}, found {:?}",
                        (first_feature + num_features).saturating_sub(1),
                        shortened(number)
                    )
                })?;
            let value: f32 = value
                .parse()
                .ok()
                .filter(|value: &f32| value.is_finite())
                .ok_or_else(|| format!("expected a finite number, found {:?}", shortened(value)))?;
            self.features.push(((column - first_feature) as u32, value));
        }
        self.features.sort_by_key(|&(column, _)| column);
        if let Some(pair) = self.features.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let number = pair[0].0 as usize + first_feature;
            return Err(format!("expected each feature once, found {number} twice"));
        }
        read_labels(labels, num_classes.unwrap_or(MAX_NUMBER))
    }
}

fn read_labels(labels: &str, num_classes: usize) -> Result<LabelSet, String> {
    if labels.is_empty() {
        return Ok(LabelSet::default());
    }
    let parse = |label: &str| {
        label
            .parse::<u32>()
            .ok()
            .filter(|&label| (label as usize) < num_classes)
            .ok_or_else(|| {
                format!(
                    "expected labels from 0 to {} between commas, found {:?}",
                    num_classes.saturating_sub(1),
                    shortened(label)
                )
            })
    };
    let labels = labels
        .split(',')
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(LabelSet::new(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, reader: impl Fn(&Path) -> Result<Table>) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.txt");
        std::fs::write(&path, text).unwrap();
        let name = format!("{}/", folder.path().display());
        reader(&path).map_err(|error| error.to_string().replace(&name, ""))
    }

    fn xmc(text: &str) -> Result<Table, String> {
        read(text, read_xmc)
    }

    fn libsvm(text: &str) -> Result<Table, String> {
        read(text, |path| read_libsvm(path, Size::default()))
    }

    #[test]
    fn rows_with_and_without_labels_and_features_are_read() {
        let table = xmc("4 5 3\n2,0 4:0.5 1:2\n 0:1\n1\n3:-1e-2 0:0\n\n").unwrap();
        let sets: Vec<String> = table.targets.iter().map(ToString::to_string).collect();
        assert_eq!(sets, ["{0, 2}", "{}", "{1}", "{}"]);
        let Features::Sparse(rows) = &table.features else {
            panic!("sparse")
        };
        assert_eq!(rows.row(0), (&[1, 4][..], &[2.0, 0.5][..]));
        assert_eq!(rows.row(2).0.len(), 0);
        assert_eq!(rows.row(3), (&[3][..], &[-0.01][..]));
        assert_eq!((table.feature_names.len(), table.label_names.len()), (5, 3));

        let table = libsvm("2,0 5:0.5 2:2 # comment\n\n 1:1\r\n4:1\n").unwrap();
        assert_eq!(table.targets.len(), 3);
        assert_eq!(table.targets.num_classes(), 3);
        assert_eq!(table.features.num_features(), 5);
        assert_eq!(table.features.to_dense()[..5], [0.0, 2.0, 0.0, 0.0, 0.5]);
        let size = Size {
            num_features: Some(9),
            num_classes: Some(4),
        };
        let table = read("0 1:1\n", |path| read_libsvm(path, size)).unwrap();
        assert_eq!(
            (table.features.num_features(), table.targets.num_classes()),
            (9, 4)
        );
        assert_eq!(table.feature_names[0], "feature 1");
    }

    #[test]
    fn every_malformed_file_gets_one_sentence() {
        insta::assert_snapshot!(xmc("").unwrap_err(), @r#"t.txt: line 1: expected the numbers of rows, features and labels, found """#);
        insta::assert_snapshot!(xmc("0,1 1:1\n").unwrap_err(), @r#"t.txt: line 1: expected the numbers of rows, features and labels, found "0,1 1:1""#);
        insta::assert_snapshot!(xmc("2 5 3\n0 1:1\n").unwrap_err(), @"t.txt: expected 2 rows as line 1 says, found 1; the file is cut off or line 1 is wrong");
        insta::assert_snapshot!(xmc("1 5 3\n0 5:1\n").unwrap_err(), @r#"t.txt: line 2: expected a feature from 0 to 4, found "5""#);
        insta::assert_snapshot!(xmc("1 5 3\n3 1:1\n").unwrap_err(), @r#"t.txt: line 2: expected labels from 0 to 2 between commas, found "3""#);
        insta::assert_snapshot!(xmc("1 5 3\n0,,1 1:1\n").unwrap_err(), @r#"t.txt: line 2: expected labels from 0 to 2 between commas, found """#);
        insta::assert_snapshot!(xmc("1 5 3\n0 1:nan\n").unwrap_err(), @r#"t.txt: line 2: expected a finite number, found "nan""#);
        insta::assert_snapshot!(xmc("1 5 3\n0 1:1 1:2\n").unwrap_err(), @"t.txt: line 2: expected each feature once, found 1 twice");
        insta::assert_snapshot!(xmc("1 5 3\n0 1\n").unwrap_err(), @r#"t.txt: line 2: expected feature:value, found "1""#);
        insta::assert_snapshot!(libsvm("0 0:1\n").unwrap_err(), @r#"t.txt: line 1: expected a feature from 1 to 268435456, found "0""#);
        insta::assert_snapshot!(xmc("1 999999999999 3\n0 1:1\n").unwrap_err(), @"t.txt: line 1: expected at most 268435456 features and labels");
    }
}
