//! The answers of a decoder as CSV, JSON and Parquet.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::blocks::DecodeProgress;
use super::choice::Decoder;
use super::fitted::FittedDecoder;
use super::nearest::Decoded;
use super::record::Tuning;
use super::set_likelihood::ProbableSet;
use crate::file::write_atomically;
use crate::form::Form;
use crate::head::Features;
use crate::names::{LabelNames, csv_cell};
use crate::snapshot::WITHOUT_PARQUET;
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
        message: format!("{WITHOUT_PARQUET}, or write .csv or .json"),
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

    /// Writes a line for each sample: its labels, separated by semicolons; for one-nearest-neighbour
    /// decoding the score, the margin and whether the answer is proven; for a distribution over
    /// label sets the probability of the answer, whether it is too small (where that was asked for),
    /// and the most probable sets with their probabilities.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let (names, decoded) = (self.decoder.names(), &self.decoded);
        let column = match names.is_known() {
            true => "labels",
            false => "label_ids",
        };
        let columns = Columns::of(&self.decoder.decoder);
        write!(out, "sample,{column}")?;
        if !decoded.scores.is_empty() {
            write!(out, ",score,margin,proven")?;
        }
        if columns.has_probability {
            write!(out, ",probability")?;
        }
        if columns.has_abstained {
            write!(out, ",abstained")?;
        }
        for place in 1..=columns.num_listed {
            write!(out, ",{column}_{place},probability_{place}")?;
        }
        writeln!(out)?;
        for (sample, set) in decoded.targets.iter().enumerate() {
            write!(out, "{sample},{}", csv_cell(&names.text(set)))?;
            if let (Some(score), Some(margin)) =
                (decoded.scores.get(sample), decoded.margins.get(sample))
            {
                write!(out, ",{score},{margin},{}", decoded.is_proven(sample))?;
            }
            if let Some(probability) = decoded.probabilities.get(sample) {
                write!(out, ",{probability}")?;
            }
            if columns.has_abstained {
                write!(out, ",{}", decoded.has_abstained(sample))?;
            }
            let listed = decoded.listed.get(sample).map_or(&[][..], Vec::as_slice);
            for place in 0..columns.num_listed {
                match listed.get(place) {
                    Some(set) => {
                        let labels = csv_cell(&names.text(&set.labels));
                        write!(out, ",{labels},{}", set.probability)?;
                    }
                    None => write!(out, ",,")?, // there are no more sets
                }
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

/// The columns that a distribution over label sets adds.
#[derive(Default)]
struct Columns {
    has_probability: bool,
    has_abstained: bool,
    num_listed: usize,
}

impl Columns {
    fn of(decoder: &Decoder) -> Self {
        match decoder {
            Decoder::Sets(sets) => Self {
                has_probability: true,
                has_abstained: sets.settings.abstain_below > 0.0,
                num_listed: sets.settings.num_listed,
            },
            Decoder::Logits(_) | Decoder::OneNearestNeighbour(_) => Self::default(),
        }
    }
}

impl Decoded {
    /// Whether the answer is less probable than was asked for.
    pub fn has_abstained(&self, sample: usize) -> bool {
        self.abstained.binary_search(&sample).is_ok()
    }

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

/// A label set with its probability.
#[derive(Serialize)]
struct Listed<'a> {
    labels: Labels<'a>,
    probability: f64,
}

impl<'a> Listed<'a> {
    fn of(set: &'a ProbableSet, names: &'a LabelNames) -> Self {
        Self {
            labels: Labels(&set.labels, names),
            probability: set.probability,
        }
    }
}

/// A tuning without its candidates, which have a key of their own.
struct Purpose<'a>(&'a Tuning);

impl Serialize for Purpose<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Tuning {
            samples,
            num_samples,
            criterion,
            candidates: _,
            warning,
        } = self.0;
        let mut object = serializer.serialize_struct("Tuning", 4)?;
        object.serialize_field("samples", samples)?;
        object.serialize_field("num_samples", num_samples)?;
        object.serialize_field("criterion", criterion)?;
        match warning {
            Some(warning) => object.serialize_field("warning", warning)?,
            None => object.skip_field("warning")?,
        }
        object.end()
    }
}

impl Serialize for Answers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (names, decoded) = (self.decoder.names(), &self.decoded);
        let sets = decoded.targets.iter().map(|set| Labels(set, names));
        let candidates = self.decoder.tuning().map(|tuning| &tuning.candidates);
        let mut object = serializer.serialize_struct("Answers", 10)?;
        object.serialize_field("version", &Form::Answer.version())?;
        object.serialize_field("decoder", self.decoder.spec())?;
        match self.decoder.tuning() {
            Some(tuning) => object.serialize_field("tuning", &Purpose(tuning))?,
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
        if !decoded.probabilities.is_empty() {
            object.serialize_field("probabilities", &decoded.probabilities)?;
            object.serialize_field("abstained", &decoded.abstained)?;
        }
        if !decoded.listed.is_empty() {
            let listed = decoded.listed.iter().map(|sets| {
                let sets = sets.iter().map(|set| Listed::of(set, names));
                sets.collect::<Vec<_>>()
            });
            object.serialize_field("most_probable", &listed.collect::<Vec<_>>())?;
        }
        object.end()
    }
}
