//! The answers of a decoder as CSV, JSON and Parquet.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::blocks::DecodeProgress;
use super::fitted::FittedDecoder;
use super::nearest::Decoded;
use super::record::Tuning;
use crate::file::write_atomically;
use crate::head::Features;
use crate::names::{LabelNames, csv_cell};
use crate::{Error, LabelSet, Result};

#[cfg(feature = "parquet")]
pub(crate) mod parquet;

/// In which form answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFormat {
    /// A line for each sample.
    Csv,
    /// One object, with the decoder and what it was tuned for.
    Json,
    /// A row for each sample.
    Parquet,
}

impl AnswerFormat {
    /// What the name of the file says: JSON and Parquet by their endings, CSV under any other.
    ///
    /// # Errors
    /// [`Error::Format`] for Parquet in a program built without it.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("parquet") if cfg!(feature = "parquet") => Ok(Self::Parquet),
            Some("parquet") => Err(without_parquet(path)),
            _ => Ok(Self::Csv),
        }
    }
}

fn without_parquet(path: &Path) -> Error {
    Error::Format {
        path: path.to_path_buf(),
        message: "this program was built without Parquet; build it with `cargo install --path crates/tagwise-cli --features parquet`, or \
                  write .csv or .json"
            .into(),
    }
}

/// Decoded label sets with the decoder that found them.
#[derive(Clone, Debug)]
pub struct Answers<'a> {
    decoder: &'a FittedDecoder,
    decoded: Decoded,
}

impl FittedDecoder {
    /// The label set of each sample, ready to be written.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn answers(
        &self,
        features: &Features,
        progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    ) -> Result<Answers<'_>> {
        Ok(Answers::new(self, self.decode(features, progress)?))
    }
}

impl<'a> Answers<'a> {
    /// What a decoder found, however it was given the features.
    pub fn new(decoder: &'a FittedDecoder, decoded: Decoded) -> Self {
        Self { decoder, decoded }
    }

    /// The decoder.
    pub fn decoder(&self) -> &'a FittedDecoder {
        self.decoder
    }

    /// The label sets; with scores and margins where prototypes were compared.
    pub fn decoded(&self) -> &Decoded {
        &self.decoded
    }

    /// Writes a line for each sample: its labels, separated by semicolons, and for
    /// one-nearest-neighbour decoding the score, the margin and whether the answer is proven.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let (names, decoded) = (self.decoder.names(), &self.decoded);
        let column = match names.is_known() {
            true => "labels",
            false => "label_ids",
        };
        let more = match decoded.scores.is_empty() {
            true => "",
            false => ",score,margin,proven",
        };
        writeln!(out, "sample,{column}{more}")?;
        for (sample, set) in decoded.targets.iter().enumerate() {
            write!(out, "{sample},{}", csv_cell(&names.text(set)))?;
            if let (Some(score), Some(margin)) =
                (decoded.scores.get(sample), decoded.margins.get(sample))
            {
                write!(out, ",{score},{margin},{}", decoded.is_proven(sample))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// The text of [`write_csv`](Self::write_csv).
    pub fn csv(&self) -> String {
        let mut bytes = Vec::new();
        // Memory takes whatever is written, and all of it is text.
        self.write_csv(&mut bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of a file of this form.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the form cannot hold the answers.
    pub fn to_bytes(&self, format: AnswerFormat) -> Result<Vec<u8>> {
        match format {
            AnswerFormat::Csv => Ok(self.csv().into_bytes()),
            AnswerFormat::Json => {
                let mut bytes = serde_json::to_vec_pretty(self)
                    .map_err(|error| Error::Malformed(error.to_string()))?;
                bytes.push(b'\n');
                Ok(bytes)
            }
            #[cfg(feature = "parquet")]
            AnswerFormat::Parquet => parquet::to_bytes(self.decoder.names(), &self.decoded),
            #[cfg(not(feature = "parquet"))]
            AnswerFormat::Parquet => Err(without_parquet(Path::new("answers.parquet"))),
        }
    }

    /// Writes the answers, complete or not at all.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes); [`Error::Io`] when the file cannot be written.
    pub fn write(&self, format: AnswerFormat, path: &Path) -> Result<()> {
        if format == AnswerFormat::Csv {
            return write_atomically(path, |file| self.write_csv(file));
        }
        let bytes = self.to_bytes(format).map_err(|error| error.in_file(path))?;
        write_atomically(path, |file| file.write_all(&bytes))
    }
}

impl Decoded {
    /// Whether every other label set was excluded for this sample.
    pub fn is_proven(&self, sample: usize) -> bool {
        self.unproven.binary_search(&sample).is_err()
    }
}

/// A label set as a list of names, or of numbers where classes have none.
struct Labels<'a>(&'a LabelSet, &'a LabelNames);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(set, names) = self;
        match names.is_known() {
            true => serializer.collect_seq(set.labels().iter().map(|&label| names.name(label))),
            false => set.serialize(serializer),
        }
    }
}

impl Serialize for Answers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (names, decoded) = (self.decoder.names(), &self.decoded);
        let sets = decoded.targets.iter().map(|set| Labels(set, names));
        let candidates = self.decoder.tuning().map(|tuning| &tuning.candidates);
        let mut object = serializer.serialize_struct("Answers", 9)?;
        object.serialize_field("decoder", self.decoder.spec())?;
        match self.decoder.tuning() {
            // Its candidates have a key of their own.
            Some(tuning) => {
                let candidates = Vec::new();
                let tuning = Tuning {
                    candidates,
                    ..tuning.clone()
                };
                object.serialize_field("tuning", &tuning)?;
            }
            None => object.skip_field("tuning")?,
        }
        match candidates.filter(|candidates| !candidates.is_empty()) {
            Some(candidates) => object.serialize_field("candidates", candidates)?,
            None => object.skip_field("candidates")?,
        }
        object.serialize_field("tuned", &self.decoder.values())?;
        object.serialize_field("label_sets", &sets.collect::<Vec<_>>())?;
        for (name, values) in [("scores", &decoded.scores), ("margins", &decoded.margins)] {
            match values.is_empty() {
                true => object.skip_field(name)?,
                false => object.serialize_field(name, values)?,
            }
        }
        object.serialize_field("unproven", &decoded.unproven)?;
        object.end()
    }
}
