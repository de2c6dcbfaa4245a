//! The answers as CSV, JSON and Parquet.

use std::io::Write;
use std::path::Path;

use serde::{Serialize, Serializer};
use tagwise::decode::{Candidate, Decoded, DecoderSpec};
use tagwise::file::write_atomically;
use tagwise::{LabelSet, Targets};

use crate::command::names::{LabelNames, csv_cell};

/// Decoded label sets with what is known about them.
#[derive(Debug, Serialize)]
pub struct Answers<'a> {
    pub decoder: DecoderSpec,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<Candidate>,
    /// Lists of names, or of numbers where classes have none.
    pub label_sets: Vec<Labels<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scores: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    margins: Vec<f64>,
    pub unproven: Vec<usize>,
    #[serde(skip)]
    names: &'a LabelNames,
}

/// A label set that knows what its labels are called.
#[derive(Debug)]
pub struct Labels<'a> {
    set: LabelSet,
    names: &'a LabelNames,
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.names.is_known() {
            true => serializer.collect_seq(self.set.labels().iter().map(|&k| self.names.name(k))),
            false => self.set.serialize(serializer),
        }
    }
}

/// In which form answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
    Parquet,
}

impl Format {
    /// What the name of the file says.
    ///
    /// # Errors
    /// For Parquet in a program built without it.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("parquet") if cfg!(feature = "parquet") => Ok(Self::Parquet),
            Some("parquet") => anyhow::bail!(
                "{}: this program was built without Parquet; build it with `--features parquet`, \
                 or write .csv or .json",
                path.display()
            ),
            _ => Ok(Self::Csv),
        }
    }
}

impl<'a> Answers<'a> {
    pub fn new(decoder: DecoderSpec, candidates: Vec<Candidate>, names: &'a LabelNames) -> Self {
        Self {
            decoder,
            candidates,
            label_sets: Vec::new(),
            scores: Vec::new(),
            margins: Vec::new(),
            unproven: Vec::new(),
            names,
        }
    }

    /// Takes label sets alone.
    pub fn fill_sets(&mut self, targets: &Targets) {
        let names = self.names;
        let labels = targets.iter().cloned().map(|set| Labels { set, names });
        self.label_sets = labels.collect();
    }

    /// Takes label sets with scores and margins.
    pub fn fill(&mut self, decoded: Decoded) {
        self.fill_sets(&decoded.targets);
        self.scores = decoded.scores;
        self.margins = decoded.margins;
        self.unproven = decoded.unproven;
    }

    /// Writes the answers, complete or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, format: Format, path: &Path) -> anyhow::Result<()> {
        match format {
            Format::Csv => {
                let csv = self.csv();
                write_atomically(path, |file| file.write_all(csv.as_bytes()))?;
            }
            Format::Json => write_atomically(path, |file| {
                serde_json::to_writer_pretty(&mut *file, self)?;
                writeln!(file)
            })?,
            Format::Parquet => self.write_parquet(path)?,
        }
        Ok(())
    }

    /// One line for each sample: its labels, separated by semicolons, and for
    /// one-nearest-neighbour decoding the score, the margin and whether the answer is proven.
    pub fn csv(&self) -> String {
        let has_scores = !self.scores.is_empty();
        let mut csv = format!(
            "sample,{}{}\n",
            if self.names.is_known() {
                "labels"
            } else {
                "label_ids"
            },
            if has_scores {
                ",score,margin,proven"
            } else {
                ""
            }
        );
        for (sample, labels) in self.label_sets.iter().enumerate() {
            csv.push_str(&format!(
                "{sample},{}",
                csv_cell(&self.names.text(&labels.set))
            ));
            if has_scores {
                csv.push_str(&format!(
                    ",{},{},{}",
                    self.scores[sample],
                    self.margins[sample],
                    self.is_proven(sample)
                ));
            }
            csv.push('\n');
        }
        csv
    }

    fn is_proven(&self, sample: usize) -> bool {
        self.unproven.binary_search(&sample).is_err()
    }

    #[cfg(not(feature = "parquet"))]
    fn write_parquet(&self, _: &Path) -> anyhow::Result<()> {
        unreachable!("Format::of refuses Parquet without the feature")
    }
}
