//! A decoder as a safetensors file: everything that [`FittedDecoder`] holds, and nothing else.
//!
//! Metadata under `decoder` is JSON with a version, the settings, what the decoder was tuned for
//! and what the classes are called. Arrays hold the numbers:
//!
//! * one-nearest-neighbour decoding: `labels` `[k]`, the classes with a prototype; `directions`
//!   `[k + s, d]`, the prototypes of k labels and s label sets under the metric (Σ⁻¹μ for the
//!   Mahalanobis distance, μ otherwise); `gram` `[k, k]`, the inner products of the labels'
//!   prototypes under it; `scales` and `bonuses` `[M]`; `own.starts`, `own.classes`,
//!   `own.squared_norms`, `own.bonuses` of the label sets;
//! * a rule: `rule`, its numbers, or `rule.multiplicities`, `rule.centres`, `rule.spreads` and
//!   `rule.weights` of the model that predicts the number of labels;
//! * a set likelihood: `head.potentials.…`, as in the file of a head;
//! * `head.weight` `[K, d]` and `head.bias` `[K]` where the decoder reads logits.

mod prototypes;
mod rule;

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::choice::Decoder;
use super::fitted::FittedDecoder;
use super::nearest::OneNearestNeighbour;
use super::record::{Space, Tuning};
use super::rules::{EmptyRule, LogitDecoder, RuleKind};
use super::set_likelihood::{SetDecoder, SetSettings};
use super::spec::DecoderSpec;
use crate::file::write_atomically;
use crate::form::{Form, Stated};
use crate::head::{HeadPotentials, push_classifier, read_classifier};
use crate::loss::Link;
use crate::names::LabelNames;
use crate::tensors::{TensorWriter, Tensors};
use crate::{Error, LinearClassifier, Result};

/// The key of the metadata.
const HEADER: &str = "decoder";

/// What the names of the classifier's arrays start with.
const HEAD: &str = "head.";

/// What messages call such a file.
const WHAT: &str = "a decoder";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    spec: DecoderSpec,
    space: Space,
    num_classes: usize,
    dim: usize,
    label_names: LabelNames,
    tuning: Option<Tuning>,
    made_of: MadeOf,
}

/// The numbers that are not in arrays.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum MadeOf {
    Nearest {
        max_multiplicity: usize,
        form: FormKind,
        concentration: f64,
        /// Absent when no score is too low.
        empty_set_below: Option<f64>,
        max_nodes: u64,
    },
    Rule {
        rule: RuleKind,
        link: Link,
        empty_rule: EmptyRule,
    },
    Sets {
        settings: SetSettings,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormKind {
    Cosine,
    /// Scores are minus squared distances.
    SquaredDistance,
    /// Scores lack the term of the feature alone.
    Linear,
}

impl FittedDecoder {
    /// The bytes of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the description cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = TensorWriter::new();
        let made_of = match &self.decoder {
            Decoder::OneNearestNeighbour(decoder) => {
                prototypes::push(&mut writer, &decoder.to_parts())?
            }
            Decoder::Logits(decoder) => rule::push(&mut writer, decoder)?,
            Decoder::Sets(decoder) => {
                decoder.potentials.push(&mut writer, HEAD)?;
                MadeOf::Sets {
                    settings: decoder.settings,
                }
            }
        };
        if let Some(classifier) = &self.classifier {
            push_classifier(&mut writer, HEAD, classifier)?;
        }
        let header = Header {
            version: Form::Decoder.version(),
            spec: self.spec,
            space: self.space,
            num_classes: self.num_classes,
            dim: self.dim,
            label_names: self.names.clone(),
            tuning: self.tuning.clone(),
            made_of,
        };
        let header =
            serde_json::to_string(&header).map_err(|error| malformed(error.to_string()))?;
        writer.describe_form(Form::Decoder);
        writer.describe(HEADER, header);
        Ok(writer.to_bytes())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Its answers are the same to the last bit.
    ///
    /// # Errors
    /// [`Error::Malformed`] with one sentence when it is no such file, of a later version, or its
    /// parts do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let tensors = Tensors::parse(bytes)?;
        let header = read_header(&tensors)?;
        let classifier = read_own_classifier(&tensors, &header)?;
        let decoder = match header.made_of {
            MadeOf::Nearest { .. } => {
                let parts = prototypes::read(&tensors, &header)?;
                let decoder = OneNearestNeighbour::from_parts(parts)
                    .map_err(|error| malformed(error.to_string()))?;
                Decoder::OneNearestNeighbour(Box::new(decoder))
            }
            MadeOf::Rule {
                rule,
                link,
                empty_rule,
            } => Decoder::Logits(LogitDecoder {
                link,
                rule: rule::read(&tensors, rule, header.num_classes)?,
                empty_rule,
            }),
            MadeOf::Sets { settings } => {
                settings
                    .check()
                    .map_err(|error| malformed(error.to_string()))?;
                let potentials = match &classifier {
                    Some(classifier) => HeadPotentials::read(&tensors, HEAD, classifier)?,
                    None => None,
                };
                let potentials = potentials.ok_or_else(|| {
                    malformed("expected the potentials of a set likelihood, found none".into())
                })?;
                Decoder::Sets(Box::new(SetDecoder {
                    potentials,
                    settings,
                }))
            }
        };
        Self {
            spec: header.spec,
            decoder,
            space: header.space,
            num_classes: header.num_classes,
            dim: header.dim,
            classifier,
            names: LabelNames::default(),
            tuning: header.tuning,
        }
        .with_names(header.label_names)
        .map_err(|error| malformed(error.to_string()))
    }

    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads the file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&crate::file::read(path)?).map_err(|error| error.in_file(path))
    }
}

fn malformed(message: String) -> Error {
    Error::Malformed(message)
}

/// The classifier of the header's sizes; there must be one where the decoder reads logits.
fn read_own_classifier(tensors: &Tensors<'_>, header: &Header) -> Result<Option<LinearClassifier>> {
    let classifier = match tensors.get(&format!("{HEAD}weight")).is_some() {
        true => Some(read_classifier(tensors, HEAD, WHAT)?),
        false => None,
    };
    let reads_logits =
        header.space == Space::Logits || !matches!(header.made_of, MadeOf::Nearest { .. });
    let sizes = classifier.as_ref().map(|c| (c.num_classes(), c.dim()));
    let (num_classes, dim) = (header.num_classes, header.dim);
    let fits = match sizes {
        None => !reads_logits,
        Some(sizes) => sizes == (num_classes, dim),
    };
    check(fits, || {
        let found = sizes.map_or("none".into(), |(k, d)| format!("{k} and {d}"));
        format!("expected a classifier of {num_classes} classes and {dim} features, found {found}")
    })?;
    Ok(classifier)
}

fn read_header(tensors: &Tensors<'_>) -> Result<Header> {
    let text = tensors.metadata(HEADER).ok_or_else(|| {
        malformed(
            "expected the file of a decoder, as saving one writes it, found none of its metadata"
                .into(),
        )
    })?;
    let expected = |error| {
        malformed(format!(
            "expected the description of a decoder, found {error}"
        ))
    };
    let stated: Stated = serde_json::from_str(text).map_err(expected)?;
    Form::Decoder.check(stated.version)?;
    serde_json::from_str(text).map_err(expected)
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(malformed(message())),
    }
}

fn check_increasing(name: &str, values: &[u32], below: usize) -> Result<()> {
    let is_increasing = values.windows(2).all(|pair| pair[0] < pair[1]);
    let is_below = values.last().is_none_or(|&last| (last as usize) < below);
    check(is_increasing && is_below, || {
        format!("expected `{name}` that rise and lie below {below}, found others")
    })
}

/// Finite numbers, exactly this many.
fn finite_list(tensors: &Tensors<'_>, name: &str, len: usize) -> Result<Vec<f64>> {
    tensors.require(name)?.finite_of(&[len])
}

#[cfg(test)]
mod tests;
