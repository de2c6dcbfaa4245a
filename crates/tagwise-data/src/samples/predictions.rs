//! Label sets that a decoder or another program predicted.

use std::path::Path;

use serde_json::Value;
use tagwise::evaluate::Predictions;
use tagwise::names::LabelNames;
use tagwise_base::snapshot::{self, ArrayNames};
use tagwise_base::{LabelSet, Targets};

use super::Labels;
use super::open::FileKind;
use crate::table::{self, TableOptions, input};
use crate::{Error, Result};

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

impl Labels {
    /// Reads predicted label sets for samples whose true labels are `self`, of the same classes:
    ///
    /// - CSV with the columns `sample` and `labels` (names) or `label_ids` (numbers), as decoders
    ///   write it, or with a column of 0 and 1 for each class;
    /// - JSON, a list of label sets or an object that holds one as `label_sets`, each a list of
    ///   names or of numbers;
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
    pub fn read_predictions(&self, path: &Path) -> Result<Self> {
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
        match (table::Kind::of(path), FileKind::of(path)) {
            (Some(table::Kind::Arff | table::Kind::Libsvm), _) => {
                let options = TableOptions {
                    num_classes: Some(self.targets.num_classes()),
                    class_names: self.names.clone(),
                    ..TableOptions::default()
                };
                self.of_these_classes(path, Self::read(path, &options)?)
            }
            (None, Ok(FileKind::Arrays | FileKind::Sparse)) => self.predictions_of_arrays(path),
            _ => self.predictions_of_text(path, Self::of_csv),
        }
    }

    fn predictions_of_text(
        &self,
        path: &Path,
        read: fn(&Self, &str, &mut Vec<String>) -> Result<Targets, tagwise_base::Error>,
    ) -> Result<Self> {
        let input::Text { text, mut notes } = input::read(path)?;
        let targets = read(self, &text, &mut notes).map_err(|error| match error {
            error @ tagwise_base::Error::LabelOutOfRange { .. } => Error::within(path, error),
            error => error.in_file(path).into(),
        })?;
        Ok(Self {
            targets,
            names: self.names.clone(),
            has_classifier: false,
            notes,
        })
    }

    fn of_csv(&self, text: &str, notes: &mut Vec<String>) -> Result<Targets, tagwise_base::Error> {
        if !Predictions::is_header(table::csv::first_line(text)) {
            return multi_hot::read(self, text, notes);
        }
        let predictions = Predictions::parse(text)?;
        predictions.targets(&self.label_names(), self.targets.num_classes())
    }

    fn label_names(&self) -> LabelNames {
        LabelNames::new(self.names.clone())
    }

    fn predictions_of_arrays(&self, path: &Path) -> Result<Self> {
        let found = snapshot::array_names(path)?;
        let is_there = |name: &&str| found.iter().any(|found| found == name);
        let names = ArrayNames {
            targets: ARRAYS.into_iter().find(is_there).map(str::to_string),
            num_classes: Some(self.targets.num_classes()),
            class_names: self.names.clone(),
            ..ArrayNames::default()
        };
        let labels = snapshot::read_labels(path, &names)?;
        let labels = Self {
            targets: labels.targets,
            names: labels.class_names,
            has_classifier: false,
            notes: labels.notes,
        };
        self.of_these_classes(path, labels)
    }

    fn of_these_classes(&self, path: &Path, found: Self) -> Result<Self> {
        let expected = self.targets.num_classes();
        match found.targets.num_classes() {
            number if number == expected => Ok(found),
            number => Err(Error::format(
                path,
                format!(
                    "expected predictions of {expected} classes like the truth, found {number}"
                ),
            )),
        }
    }

    fn of_json(&self, text: &str, _: &mut Vec<String>) -> Result<Targets, tagwise_base::Error> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            tagwise_base::Error::Malformed(format!("expected JSON, found something else ({error})"))
        })?;
        let sets = json_list(&value).ok_or_else(|| {
            tagwise_base::Error::Malformed(
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
        let sets = sets.iter().enumerate().map(|(sample, set)| {
            json_set(set, &names).map_err(|problem| {
                tagwise_base::Error::Malformed(format!("sample {sample}: {problem}"))
            })
        });
        let sets: Vec<LabelSet> = sets.collect::<Result<_, _>>()?;
        Targets::new(self.targets.num_classes(), sets)
    }
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
