//! Label sets that a decoder or another program predicted.

use std::path::Path;

use serde_json::Value;
use tagwise::evaluate::Predictions;
use tagwise::names::LabelNames;
use tagwise_base::snapshot::{
    self, ArrayNames, FeatureRows, LabelsIn, OpenOptions, SampleStream, SnapshotFile,
};
use tagwise_base::{LabelSet, Targets};

use super::Labels;
use super::open::FileKind;
use crate::table::{self, TableOptions, input};
use crate::{Error, Result};

mod json_rows;
mod multi_hot;

/// Names that arrays of predictions have, where they are not called as labels are.
const ARRAYS: [&str; 6] = [
    "predictions",
    "predicted",
    "y_pred",
    "preds",
    "pred",
    "label_ids",
];

/// Where an object of JSON has the label sets of all samples.
const KEYS: [&str; 4] = ["label_sets", "labels", "label_ids", "predictions"];

/// Predicted label sets, with what else their file says.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedLabels {
    /// The label set of each sample.
    pub targets: Targets,
    /// The probability of each answer, where the file has it.
    pub probabilities: Option<Vec<f64>>,
    /// Samples whose answer is marked as less probable than was asked for, in order.
    pub abstained: Vec<usize>,
    /// What the reader decided or passed over.
    pub notes: Vec<String>,
}

impl PredictedLabels {
    fn of(targets: Targets, notes: Vec<String>) -> Self {
        Self {
            targets,
            probabilities: None,
            abstained: Vec::new(),
            notes,
        }
    }
}

impl Labels {
    /// Reads predicted label sets for samples whose true labels are `self`, of the same classes:
    ///
    /// - CSV with the columns `sample` and `labels` (names) or `label_ids` (numbers), as decoders
    ///   write it, or with a column of 0 and 1 for each class;
    /// - JSON, a list of label sets or an object that holds one as `label_sets`, each a list of
    ///   names or of numbers, or a row of 0 and 1 for each sample; `.jsonl` with a set in each line;
    /// - arrays (.npz, .npy, .safetensors, .parquet) and tables as [`Labels::read`] takes them;
    ///   arrays may also be called `predictions`, `y_pred` and the like.
    ///
    /// Any other ending is read as CSV.
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Mathematics`] with the path for files that hold no label sets
    /// of these classes, [`Error::Io`] when the file cannot be read. The number of samples is not
    /// compared.
    ///
    /// ```
    /// use tagwise_data::samples::Labels;
    /// use tagwise_data::table::TableOptions;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let [truth, predicted] = ["y.csv", "p.json"].map(|name| folder.path().join(name));
    /// std::fs::write(&truth, "labels,x\ncat;dog,0\ncat,0\n")?;
    /// std::fs::write(&predicted, r#"[["dog", "cat"], []]"#)?;
    /// let truth = Labels::read(&truth, &TableOptions::default())?;
    /// let predicted = truth.read_predictions(&predicted)?;
    /// assert_eq!(predicted.targets.set(0), truth.targets.set(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_predictions(&self, path: &Path) -> Result<PredictedLabels> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let packed = [".gz", ".bz2", ".zst"];
        let name = packed
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        if name.ends_with(".json") {
            return self.predictions_of_text(path, Self::of_json);
        }
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            return self.predictions_of_text(path, Self::of_json_lines);
        }
        match (table::Kind::of(path), FileKind::of(path)) {
            (Some(table::Kind::Arff | table::Kind::Libsvm), _) => {
                let options = TableOptions {
                    num_classes: Some(self.targets.num_classes()),
                    class_names: self.names.clone(),
                    ..TableOptions::default()
                };
                let labels = Self::read(path, &options)?;
                self.expect_classes(path, &labels.targets)?;
                Ok(PredictedLabels::of(labels.targets, labels.notes))
            }
            (None, Ok(FileKind::Arrays | FileKind::Sparse)) => self.predictions_of_arrays(path),
            _ => self.predictions_of_text(path, Self::of_csv),
        }
    }

    fn predictions_of_text(
        &self,
        path: &Path,
        read: fn(&Self, &str) -> Result<PredictedLabels, tagwise_base::Error>,
    ) -> Result<PredictedLabels> {
        let input::Text { text, mut notes } = input::read(path)?;
        let mut predicted = read(self, &text).map_err(|error| match error {
            error @ tagwise_base::Error::LabelOutOfRange { .. } => Error::within(path, error),
            error => error.in_file(path).into(),
        })?;
        notes.append(&mut predicted.notes);
        Ok(PredictedLabels { notes, ..predicted })
    }

    fn of_csv(&self, text: &str) -> Result<PredictedLabels, tagwise_base::Error> {
        if !Predictions::is_header(table::csv::first_line(text)) {
            let mut notes = Vec::new();
            let targets = multi_hot::read(self, text, &mut notes)?;
            return Ok(PredictedLabels::of(targets, notes));
        }
        let found = Predictions::parse(text)?;
        let targets = found.targets(&self.label_names(), self.targets.num_classes())?;
        Ok(PredictedLabels {
            probabilities: found.probabilities().map(<[f64]>::to_vec),
            abstained: found.abstained().to_vec(),
            ..PredictedLabels::of(targets, Vec::new())
        })
    }

    fn label_names(&self) -> LabelNames {
        LabelNames::new(self.names.clone())
    }

    fn predictions_of_arrays(&self, path: &Path) -> Result<PredictedLabels> {
        let found = snapshot::array_names(path)?;
        let is_there = |name: &str| found.iter().any(|found| found == name);
        let names = ArrayNames {
            targets: ARRAYS
                .into_iter()
                .find(|name| is_there(name))
                .map(str::to_string),
            num_classes: Some(self.targets.num_classes()),
            class_names: self.names.clone(),
            ..ArrayNames::default()
        };
        let labels = snapshot::read_labels(path, &names)?;
        self.expect_classes(path, &labels.targets)?;
        // These are what decoders of whole label sets add to their answers in Parquet.
        let is_answer = is_there("sample");
        Ok(PredictedLabels {
            probabilities: match is_answer && is_there("probability") {
                true => Some(column(path, "probability")?),
                false => None,
            },
            abstained: match is_answer && is_there("abstained") {
                true => marked(path, "abstained")?,
                false => Vec::new(),
            },
            ..PredictedLabels::of(labels.targets, labels.notes)
        })
    }

    fn expect_classes(&self, path: &Path, targets: &Targets) -> Result<()> {
        let (expected, found) = (self.targets.num_classes(), targets.num_classes());
        match expected == found {
            true => Ok(()),
            false => Err(Error::format(
                path,
                format!("expected predictions of {expected} classes like the truth, found {found}"),
            )),
        }
    }

    /// A label set in each line.
    fn of_json_lines(&self, text: &str) -> Result<PredictedLabels, tagwise_base::Error> {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        self.of_json(&format!("[{}]", lines.join(",\n")))
    }

    fn of_json(&self, text: &str) -> Result<PredictedLabels, tagwise_base::Error> {
        let malformed = |message: String| tagwise_base::Error::Malformed(message);
        let value: Value = serde_json::from_str(text)
            .map_err(|error| malformed(format!("expected JSON, found something else ({error})")))?;
        let num_classes = self.targets.num_classes();
        if let Some(sets) = json_rows::read(&value, num_classes).map_err(malformed)? {
            let note = "each row has an entry for each class, 1 where it is predicted";
            let targets = Targets::new(num_classes, sets)?;
            return Ok(PredictedLabels::of(targets, vec![note.into()]));
        }
        let sets = json_list(&value).ok_or_else(|| {
            malformed(
                "expected a list of label sets, or an object that holds one as `label_sets`; \
                 found neither"
                    .into(),
            )
        })?;
        let names = self.label_names();
        if !names.is_known() && sets.iter().any(holds_text) {
            return Err(tagwise_base::Error::Missing {
                what: "what labels are called",
                purpose: "reading label sets of names",
            });
        }
        let read = sets.iter().enumerate().map(|(sample, set)| {
            json_set(set, &names)
                .map_err(|problem| malformed(format!("sample {sample}: {problem}")))
        });
        let read: Vec<LabelSet> = read.collect::<Result<_, _>>()?;
        let targets = Targets::new(num_classes, read)?;
        let probabilities = numbers(&value, "probabilities").map_err(malformed)?;
        let abstained = numbers(&value, "abstained").map_err(malformed)?;
        let abstained = abstained.unwrap_or_default();
        Ok(PredictedLabels {
            probabilities,
            abstained: abstained
                .into_iter()
                .map(|sample| sample as usize)
                .collect(),
            ..PredictedLabels::of(targets, Vec::new())
        })
    }
}

/// A list of numbers in an object; none where it has none of this name.
fn numbers(value: &Value, name: &str) -> Result<Option<Vec<f64>>, String> {
    let Some(list) = value.get(name) else {
        return Ok(None);
    };
    let numbers = list
        .as_array()
        .map(|list| list.iter().map(Value::as_f64).collect());
    match numbers.flatten() {
        Some(numbers) => Ok(Some(numbers)),
        None => Err(format!(
            "expected a list of numbers as `{name}`, found something else"
        )),
    }
}

/// A column of one number a row.
fn column(path: &Path, name: &str) -> Result<Vec<f64>> {
    let options = OpenOptions {
        labels: LabelsIn::Elsewhere,
        names: ArrayNames {
            features: Some(name.to_string()),
            ..ArrayNames::default()
        },
        ..OpenOptions::default()
    };
    let file = SnapshotFile::open_with(path, &options)?;
    let mut numbers = Vec::with_capacity(file.num_samples());
    file.for_each_block(&mut |_, rows| {
        match rows {
            FeatureRows::F32(rows) => numbers.extend(rows.iter().map(|&value| f64::from(value))),
            FeatureRows::F64(rows) => numbers.extend_from_slice(rows),
        }
        Ok(())
    })?;
    Ok(numbers)
}

/// The rows in which a column of truth values is true.
fn marked(path: &Path, name: &str) -> Result<Vec<usize>> {
    let names = ArrayNames {
        targets: Some(name.to_string()),
        num_classes: Some(2),
        ..ArrayNames::default()
    };
    // As numbers of classes, false is 0 and true is 1.
    let values = snapshot::read_labels(path, &names)?.targets;
    let marked = values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.contains(1));
    Ok(marked.map(|(row, _)| row).collect())
}

/// The labels of one sample, alone or as the field of an object.
fn json_list(value: &Value) -> Option<&Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(object) => KEYS.iter().find_map(|key| object.get(*key)?.as_array()),
        _ => None,
    }
}

fn holds_text(value: &Value) -> bool {
    json_list(value).is_some_and(|labels| labels.iter().any(Value::is_string))
}

fn json_set(value: &Value, names: &LabelNames) -> Result<LabelSet, String> {
    let list =
        json_list(value).ok_or_else(|| format!("expected a list of labels, found {value}"))?;
    let labels = list.iter().map(|label| match label {
        Value::String(name) => names.number(name).map_err(|error| error.to_string()),
        number => {
            let label = number
                .as_u64()
                .and_then(|number| u32::try_from(number).ok());
            label.ok_or_else(|| format!("expected the name or number of a class, found {number}"))
        }
    });
    let labels: Vec<u32> = labels.collect::<Result<_, _>>()?;
    let set = LabelSet::new(labels.iter().copied());
    match set.multiplicity() == labels.len() {
        true => Ok(set),
        false => Err(format!(
            "expected each label once, found {value}; a row of 0 and 1 is no list of labels"
        )),
    }
}

#[cfg(test)]
mod tests;
