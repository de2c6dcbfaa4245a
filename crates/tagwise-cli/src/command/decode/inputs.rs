//! What the command reads.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tagwise::Targets;
use tagwise::decode::{
    DecodeProgress, Decoded, DecoderInputs, DecoderKind, DecoderSettings, FittedDecoder, Space,
};
use tagwise::head::LabelledFeatures;
use tagwise::names::LabelNames;
use tagwise_data::samples::SampleFile;

use super::Arguments;
use crate::command::head::{StoredHead, check_names};
use crate::command::run_part::RunPart;
use crate::command::samples::{Expected, Like, Samples};
use crate::failure::Usage;

const NO_CLASSIFIER: &str = "this needs a classifier: give --head, or samples with a weight";

const NO_PROTOTYPES: &str =
    "one-nearest-neighbour decoding needs training samples: give --prototypes";

const NO_POTENTIALS: &str =
    "the most probable label set needs a head of `tagwise fit --loss set-likelihood`: give --head";

const NO_LABELS: &str =
    "expected samples with known labels: --prototypes, or --validation for a decoder of logits";

/// Everything that a decoder comes from, and what it decodes.
pub struct Inputs {
    pub samples: Samples,
    pub names: LabelNames,
    training: Option<Samples>,
    validation: Option<Samples>,
    head: Option<StoredHead>,
}

/// What is to be decoded.
pub enum New {
    /// In memory.
    Samples(Samples),
    /// In files, which may be larger than memory and have no labels.
    File(SampleFile),
}

impl New {
    /// Reads what a decoder from a file is given.
    fn read(arguments: &Arguments, decoder: &FittedDecoder, source: &str) -> anyhow::Result<Self> {
        let (path, tables) = (&*RunPart::Test.of(&arguments.features)?, &arguments.tables);
        let expected = Expected {
            num_classes: Some(decoder.num_classes()),
            dim: Some(decoder.dim()),
        };
        let like = Like {
            sizes: expected,
            names: decoder.names().as_slice(),
        };
        if SampleFile::is_streamed(path)? {
            let file = tables.open_new(path, like)?;
            file.size().check(path, expected, source)?;
            return Ok(Self::File(file));
        }
        let samples = tables.read_new(path, like)?;
        samples.check(path, expected, source)?;
        Ok(Self::Samples(samples))
    }

    fn label_names(&self) -> Option<&[String]> {
        match self {
            Self::Samples(samples) => samples.label_names.as_deref(),
            Self::File(file) => file.class_names(),
        }
    }

    /// Decodes all samples.
    pub fn decode(
        &self,
        decoder: &FittedDecoder,
        progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    ) -> tagwise::Result<Decoded> {
        match self {
            Self::Samples(samples) => decoder.decode(&samples.features, progress),
            Self::File(file) => decoder.decode_stream(file, progress),
        }
    }
}

/// A decoder from its file, with the samples that it is to decode.
pub fn saved(arguments: &Arguments, path: &Path) -> anyhow::Result<(FittedDecoder, New)> {
    let decoder = FittedDecoder::read(path)?;
    let source = format!("the decoder in {}", path.display());
    let new = New::read(arguments, &decoder, &source)?;
    let (ours, theirs) = (decoder.names().as_slice(), new.label_names());
    check_names(ours, theirs, &source, &arguments.features)?;
    if decoder.names().is_known() {
        return Ok((decoder, new));
    }
    let names = LabelNames::new(theirs.map(<[String]>::to_vec));
    Ok((decoder.with_names(names)?, new))
}

impl Inputs {
    pub fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let stored = arguments
            .head
            .as_deref()
            .map(StoredHead::read)
            .transpose()?;
        let mut head = stored;
        let mut expected = head.as_ref().map_or(Expected::default(), StoredHead::size);
        let mut source = head.as_ref().map_or(String::new(), StoredHead::source);
        let mut training = None;
        if let Some(path) = &arguments.prototypes {
            let path = &*RunPart::Training.of(path)?;
            let like = head.as_ref().map_or(Like::default(), StoredHead::like);
            let samples = arguments.tables.read(path, like)?;
            head = head.or_else(|| StoredHead::of_samples(&samples, path));
            if let Some(head) = &head {
                head.check(&samples, path)?;
            }
            expected = samples.size();
            source = format!("the training samples in {}", path.display());
            training = Some(samples);
        }
        let own_names = head.as_ref().and_then(StoredHead::label_names);
        let training_names = training.as_ref().and_then(|t| t.label_names.as_deref());
        let label_names = own_names.or(training_names).map(<[String]>::to_vec);
        let like = Like {
            sizes: expected,
            names: label_names.as_deref(),
        };
        let check = |samples: Samples, path: &Path| -> anyhow::Result<Samples> {
            samples.check(path, expected, &source)?;
            let (ours, theirs) = (label_names.as_deref(), samples.label_names.as_deref());
            check_names(ours, theirs, &source, path)?;
            Ok(samples)
        };
        let features = &*RunPart::Test.of(&arguments.features)?;
        let samples = check(arguments.tables.read_new(features, like)?, features)?;
        let read = |path: &PathBuf| {
            let path = &*RunPart::Validation.of(path)?;
            check(arguments.tables.read(path, like)?, path)
        };
        let validation = arguments.validation.as_ref().map(read).transpose()?;
        head = head.or_else(|| StoredHead::of_samples(&samples, features));
        let has_potentials = head.as_ref().is_some_and(|h| h.head.potentials.is_some());
        if training.is_none() && validation.is_none() && !has_potentials {
            return Err(Usage(NO_LABELS.into()).into());
        }
        Ok(Self {
            names: LabelNames::new(label_names.or(samples.label_names.clone())),
            samples,
            training,
            validation,
            head,
        })
    }

    /// The label sets of the training samples.
    pub fn training_targets(&self) -> Option<&Targets> {
        self.training.as_ref().map(|samples| &samples.targets)
    }

    /// The samples that `--validation` names.
    pub fn validation(&self) -> Option<&Samples> {
        self.validation.as_ref()
    }

    /// Whether the head is one of the set likelihood.
    pub fn has_potentials(&self) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| head.head.potentials.is_some())
    }

    /// Says which argument is missing before the library says what is.
    pub fn check(&self, settings: &DecoderSettings) -> anyhow::Result<()> {
        let is_rule = matches!(settings.kind, DecoderKind::Rule(_));
        let is_of_sets = matches!(settings.kind, DecoderKind::SetLikelihood(_));
        if is_of_sets && !self.has_potentials() {
            return Err(Usage(NO_POTENTIALS.into()).into());
        }
        if is_rule && self.training.is_none() && self.validation.is_none() {
            return Err(Usage(NO_LABELS.into()).into());
        }
        if self.training.is_none() && !is_rule && !is_of_sets {
            return Err(Usage(NO_PROTOTYPES.into()).into());
        }
        if self.head.is_none() && (is_rule || settings.space == Space::Logits) {
            return Err(Usage(NO_CLASSIFIER.into()).into());
        }
        Ok(())
    }

    /// The same for the library.
    pub fn borrowed(&self) -> tagwise::Result<DecoderInputs<'_>> {
        fn labelled(samples: &Option<Samples>) -> tagwise::Result<Option<LabelledFeatures<'_>>> {
            let pair = samples.as_ref();
            let pair = pair.map(|s| LabelledFeatures::new(&s.features, &s.targets));
            pair.transpose()
        }
        Ok(DecoderInputs {
            training: labelled(&self.training)?,
            validation: labelled(&self.validation)?,
            head: self.head.as_ref().map(|head| &head.head),
        })
    }
}
