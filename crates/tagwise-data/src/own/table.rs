//! The table of labels: which files there are, what is on them and, if it says so, which part of
//! the data each belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use tagwise_base::{LabelSet, Targets};

use super::Portion;
use crate::table::{csv, input};
use crate::{Error, Result};

/// What a table says.
#[derive(Debug)]
pub(super) struct LabelTable {
    /// Names of the K classes.
    pub(super) class_names: Vec<String>,
    /// The files, relative to the folder of images.
    pub(super) files: Vec<String>,
    /// The line of each file.
    pub(super) lines: Vec<usize>,
    /// The label set of each file.
    pub(super) targets: Targets,
    /// The part that each file belongs to, where there is a column for it.
    pub(super) portions: Option<Vec<Portion>>,
}

const FILE: &str = "file";
const LABELS: &str = "labels";
const SPLIT: &str = "split";

/// Reads a table whose labels are those of `classes`, or any.
pub(super) fn read(path: &Path, classes: Option<&[String]>) -> Result<LabelTable> {
    let text = input::read(path)?.text;
    parse(&text, classes).map_err(|(line, message)| {
        let message = match line {
            0 => message,
            line => format!("line {line}: {message}"),
        };
        Error::format(path, message)
    })
}

/// What is wrong with a line; line 0 stands for the whole table.
type LineError = (usize, String);

fn parse(text: &str, classes: Option<&[String]>) -> Result<LabelTable, LineError> {
    let mut records = records(text)?.into_iter();
    let header = records.next().ok_or((
        0,
        "expected a table with the columns file and labels, found nothing".into(),
    ))?;
    let columns = Columns::of(&header)?;
    let rows = records
        .map(|record| columns.row(record))
        .collect::<Result<Vec<Row>, LineError>>()?;
    if rows.is_empty() {
        return Err((
            0,
            "expected a row for every image, found only the header".into(),
        ));
    }
    refuse_repetitions(&rows)?;
    let class_names = match classes {
        Some(classes) => classes.to_vec(),
        None => columns.class_names(&rows),
    };
    let numbers: BTreeMap<&str, u32> = class_names.iter().map(String::as_str).zip(0..).collect();
    let mut sets = Vec::with_capacity(rows.len());
    for row in &rows {
        let label = |name: &String| {
            numbers.get(name.as_str()).copied().ok_or_else(|| {
                let known = class_names.join(", ");
                (
                    row.line,
                    format!("expected labels among {known}, found {name:?}"),
                )
            })
        };
        sets.push(
            row.labels
                .iter()
                .map(label)
                .collect::<Result<LabelSet, _>>()?,
        );
    }
    let targets = Targets::new(class_names.len(), sets).map_err(|error| (0, error.to_string()))?;
    Ok(LabelTable {
        class_names,
        lines: rows.iter().map(|row| row.line).collect(),
        portions: rows.iter().map(|row| row.portion).collect(),
        files: rows.into_iter().map(|row| row.file).collect(),
        targets,
    })
}

/// The cells of a row and the line where it starts, from 1.
struct Record {
    line: usize,
    cells: Vec<String>,
}

/// All rows but empty lines, without the spaces around cells.
fn records(text: &str) -> Result<Vec<Record>, LineError> {
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(csv::separator(csv::first_line(text)))
        .has_headers(false)
        .trim(::csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut lines = csv::Lines::new(text);
    let records = reader.records().map(|record| {
        let record = record.map_err(|error| (0, error.to_string()))?;
        let line = lines.start_of(&record);
        let cells = record.iter().map(str::to_string).collect();
        Ok(Record { line, cells })
    });
    records.collect()
}

/// A row as it is written.
struct Row {
    line: usize,
    file: String,
    labels: BTreeSet<String>,
    portion: Option<Portion>,
}

/// Where in a row things are.
struct Columns {
    num_columns: usize,
    file: usize,
    split: Option<usize>,
    labels: LabelColumns,
}

enum LabelColumns {
    /// One column of names between semicolons.
    Names(usize),
    /// A column of 0 and 1 for each label.
    Indicators(Vec<(usize, String)>),
}

impl Columns {
    fn of(header: &Record) -> Result<Self, LineError> {
        let names: Vec<&str> = header.cells.iter().map(String::as_str).collect();
        let wrong = |message: String| (header.line, message);
        let found = names.join(",");
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(**name)) {
            return Err(wrong(format!(
                "expected every column once, found {name:?} twice"
            )));
        }
        let place = |name: &str| names.iter().position(|&column| column == name);
        let file = place(FILE).ok_or_else(|| {
            wrong(format!(
                "expected a header with the columns file and labels, found {found:?}"
            ))
        })?;
        let split = place(SPLIT);
        let mut others = (0..names.len()).filter(|&c| c != file && Some(c) != split);
        let labels = match place(LABELS) {
            Some(labels) => {
                if let Some(other) = others.find(|&column| column != labels) {
                    return Err(wrong(format!(
                        "expected no columns but file, labels and split, found {:?}; take it out, \
                         or give every label a column and leave labels out",
                        names[other]
                    )));
                }
                LabelColumns::Names(labels)
            }
            None => LabelColumns::Indicators(others.map(|c| (c, names[c].to_string())).collect()),
        };
        match &labels {
            LabelColumns::Indicators(columns) if columns.is_empty() => Err(wrong(format!(
                "expected a column labels, or a column of 0 and 1 for each label, found {found:?}"
            ))),
            _ => Ok(Self {
                num_columns: names.len(),
                file,
                split,
                labels,
            }),
        }
    }

    fn row(&self, record: Record) -> Result<Row, LineError> {
        let Record { line, cells } = record;
        let wrong = |message: String| (line, message);
        if cells.len() != self.num_columns {
            return Err(wrong(format!(
                "expected {} cells like the header, found {}",
                self.num_columns,
                cells.len()
            )));
        }
        let labels = match &self.labels {
            LabelColumns::Names(column) => {
                let names = cells[*column].split(';').map(str::trim);
                names
                    .filter(|name| !name.is_empty())
                    .map(str::to_string)
                    .collect()
            }
            LabelColumns::Indicators(columns) => {
                let mut labels = BTreeSet::new();
                for (column, name) in columns {
                    match cells[*column].as_str() {
                        "0" => {}
                        "1" => {
                            labels.insert(name.clone());
                        }
                        found => {
                            return Err(wrong(format!(
                                "expected 0 or 1 in column {name:?}, found {found:?}"
                            )));
                        }
                    }
                }
                labels
            }
        };
        let portion = self
            .split
            .map(|split| portion(&cells[split]).map_err(wrong));
        let file = inner_path(&cells[self.file]).map_err(wrong)?;
        Ok(Row {
            line,
            file,
            labels,
            portion: portion.transpose()?,
        })
    }

    /// The labels that there are: those of the columns in their order, or those of the rows, sorted
    /// as numbers if all of them are and by name else.
    fn class_names(&self, rows: &[Row]) -> Vec<String> {
        if let LabelColumns::Indicators(columns) = &self.labels {
            return columns.iter().map(|(_, name)| name.clone()).collect();
        }
        let names: BTreeSet<&String> = rows.iter().flat_map(|row| &row.labels).collect();
        let mut names: Vec<String> = names.into_iter().cloned().collect();
        if names.iter().all(|name| name.parse::<i64>().is_ok()) {
            names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
        }
        names
    }
}

fn portion(cell: &str) -> Result<Portion, String> {
    match cell {
        "train" => Ok(Portion::Train),
        "validation" => Ok(Portion::Validation),
        "test" => Ok(Portion::Test),
        found => Err(format!(
            "expected train, validation or test in column split, found {found:?}"
        )),
    }
}

/// A path inside the folder of images, without detours, so that one file has one name.
fn inner_path(cell: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for component in Path::new(cell).components() {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!(
                    "expected a file inside the folder of images, found {cell:?}"
                ));
            }
        }
    }
    match parts.is_empty() {
        true => Err("expected the name of a file, found an empty cell".into()),
        false => Ok(parts.join("/")),
    }
}

fn refuse_repetitions(rows: &[Row]) -> Result<(), LineError> {
    let mut lines = BTreeMap::new();
    for row in rows {
        if let Some(first) = lines.insert(row.file.as_str(), row.line) {
            let message = format!(
                "expected every file once, found {} in line {first} too",
                row.file
            );
            return Err((row.line, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let (line, message) = parse(text, None).unwrap_err();
        format!("{line}: {message}")
    }

    #[test]
    fn spreadsheets_in_every_dialect_are_understood() {
        let text = "file;labels\r\n\"a; b.png\";\"sky;\"\"sea\"\"\"\r\n\r\nc.png;\r\n";
        let table = parse(text, None).unwrap();
        assert_eq!(table.files, ["a; b.png", "c.png"]);
        assert_eq!(table.class_names, ["\"sea\"", "sky"]);
        assert_eq!(table.lines, [2, 4]);
    }

    #[test]
    fn names_between_semicolons_and_columns_of_indicators_say_the_same() {
        let names = parse(
            "file,labels\na.png,sky; sea\nb.png,\nc.png,sea;;sea\n",
            None,
        )
        .unwrap();
        let columns = parse("sea,file,sky\n1,a.png,1\n0,./b.png,0\n1,c.png,0\n", None).unwrap();
        assert_eq!(names.class_names, ["sea", "sky"]);
        assert_eq!(columns.class_names, ["sea", "sky"]);
        assert_eq!(names.targets, columns.targets);
        assert_eq!(names.files, columns.files);
        assert_eq!(names.lines, [2, 3, 4]);
        assert!(names.portions.is_none());
        let sets: Vec<String> = names.targets.iter().map(ToString::to_string).collect();
        assert_eq!(sets, ["{0, 1}", "{}", "{0}"]);
    }

    #[test]
    fn numbers_are_sorted_as_numbers_and_named_classes_keep_their_order() {
        let text = "file,labels\na,10;9\nb,2\n";
        assert_eq!(parse(text, None).unwrap().class_names, ["2", "9", "10"]);
        let classes = ["9", "10", "2"].map(String::from);
        let table = parse(text, Some(&classes)).unwrap();
        assert_eq!(table.targets.set(0), &LabelSet::new([0, 1]));
        let (line, message) = parse(text, Some(&classes[..2])).unwrap_err();
        assert_eq!(
            (line, message.as_str()),
            (3, r#"expected labels among 9, 10, found "2""#)
        );
    }

    #[test]
    fn a_split_column_says_where_images_belong() {
        let table = parse("file,split,labels\na,test,x\nb,train,y\n", None).unwrap();
        assert_eq!(table.portions.unwrap(), [Portion::Test, Portion::Train]);
    }

    #[test]
    fn every_malformed_table_gets_one_sentence() {
        insta::assert_snapshot!(refusal(""), @"0: expected a table with the columns file and labels, found nothing");
        insta::assert_snapshot!(refusal("name,labels\n"), @r#"1: expected a header with the columns file and labels, found "name,labels""#);
        insta::assert_snapshot!(refusal("file\na.png\n"), @r#"1: expected a column labels, or a column of 0 and 1 for each label, found "file""#);
        insta::assert_snapshot!(refusal("file,labels\n"), @"0: expected a row for every image, found only the header");
        insta::assert_snapshot!(refusal("file,labels,author\n"), @r#"1: expected no columns but file, labels and split, found "author"; take it out, or give every label a column and leave labels out"#);
        insta::assert_snapshot!(refusal("file,sky,sky\n"), @r#"1: expected every column once, found "sky" twice"#);
        insta::assert_snapshot!(refusal("file,labels\na.png\n"), @"2: expected 2 cells like the header, found 1");
        insta::assert_snapshot!(refusal("file,sky\na.png,1\nb.png,2\n"), @r#"3: expected 0 or 1 in column "sky", found "2""#);
        insta::assert_snapshot!(refusal("file,sky,split\na.png,1,dev\n"), @r#"2: expected train, validation or test in column split, found "dev""#);
        insta::assert_snapshot!(refusal("file,sky\na.png,1\nb.png,0\n./a.png,1\n"), @"4: expected every file once, found a.png in line 2 too");
        insta::assert_snapshot!(refusal("file,sky\n../a.png,1\n"), @r#"2: expected a file inside the folder of images, found "../a.png""#);
        insta::assert_snapshot!(refusal("file,sky\n,1\n"), @"2: expected the name of a file, found an empty cell");
    }
}
