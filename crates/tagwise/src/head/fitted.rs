//! A head with what it is, as it is kept in a file.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tagwise_base::tensors::{TensorWriter, Tensors};

use super::{
    FitProgress, Head, HeadPotentials, HeadSettings, HeldOut, LabelledFeatures, SettingsChoice,
    TriedSettings, TriedWeightDecay, WeightDecaySearch,
};
use crate::file::write_atomically;
use crate::form::Form;
use crate::loss::Link;
use crate::loss::set_likelihood::SeenSetPotentials;
use crate::minimize::Stop;
use crate::{Error, LinearClassifier, Result};

/// Where the weight decay of a head comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightDecay {
    /// The settings say it.
    Given,
    /// It is the best on a part of the samples.
    Searched {
        /// The share of the samples held out.
        share: f64,
        /// The seed of the split.
        seed: u64,
        /// What is tried.
        search: WeightDecaySearch,
    },
}

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitOutcome {
    /// The objective reached.
    pub objective: f64,
    /// The largest entry of its gradient.
    pub gradient_norm: f64,
    /// Steps taken.
    pub iterations: usize,
    /// Whether the gradient is as small as was asked for.
    pub converged: bool,
}

/// What a head is. A head of other origin says less, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadDescription {
    /// Number of samples N that it was fitted to.
    pub num_samples: usize,
    /// Number of classes K.
    pub num_classes: usize,
    /// Feature dimension d.
    pub dim: usize,
    /// What was minimised, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<HeadSettings>,
    /// The weight decays tried, with their loss on the samples held out.
    pub weight_decays: Vec<TriedWeightDecay>,
    /// The other settings that were compared on the samples held out: scalings and potentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<TriedSettings>,
    /// Which samples were held out to choose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// How the fit to all samples ended.
    #[serde(flatten)]
    pub outcome: Option<FitOutcome>,
    /// What the classes are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_names: Option<Vec<String>>,
}

impl HeadDescription {
    fn of(head: &Head, samples: LabelledFeatures<'_>, settings: HeadSettings) -> Self {
        Self {
            num_samples: samples.targets().len(),
            num_classes: samples.targets().num_classes(),
            dim: samples.features().dim(),
            settings: Some(settings),
            outcome: Some(FitOutcome {
                objective: head.objective,
                gradient_norm: head.gradient_norm,
                iterations: head.iterations,
                converged: head.stop == Stop::Converged,
            }),
            ..Self::default()
        }
    }
}

/// A fitted head with what it is, in memory, as bytes or as a safetensors file.
///
/// `weight` `[K, d]` and `bias` `[K]` are the head; `held_out.weight` and `held_out.bias`, where
/// there are such, the same head fitted without the held-out samples, whose logits of those
/// samples are as honest as those of new ones. Heads of the set likelihood have `potentials.…`
/// beside both, see [`HeadPotentials`]. The description is JSON in the file's metadata under
/// `head`. Every safetensors file with a `weight` is read as a head.
///
/// ```
/// use std::ops::ControlFlow;
/// use tagwise::head::{DenseRows, Features, FittedHead, HeadSettings, LabelledFeatures, WeightDecay};
/// use tagwise::{LabelSet, Targets};
///
/// let features = Features::Dense(DenseRows::new(vec![1.0, 0.0, 0.0, 1.0, 0.9, 0.8], 2)?);
/// let targets = Targets::new(2, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new))?;
/// let samples = LabelledFeatures::new(&features, &targets)?;
/// let settings = HeadSettings { weight_decay: 0.01, ..HeadSettings::default() };
/// let head = FittedHead::fit(
///     samples, &settings, &WeightDecay::Given, |_| ControlFlow::Continue(()))?;
/// assert!(head.description.outcome.unwrap().converged);
/// assert_eq!(FittedHead::from_bytes(&head.to_bytes()?)?, head);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FittedHead {
    /// W and b.
    pub classifier: LinearClassifier,
    /// What the set likelihood learned beside W and b.
    pub potentials: Option<HeadPotentials>,
    /// W and b without the held-out samples.
    pub held_out: Option<LinearClassifier>,
    /// What the set likelihood learned without the held-out samples.
    pub held_out_potentials: Option<HeadPotentials>,
    /// What the head is.
    pub description: HeadDescription,
}

impl FittedHead {
    /// Chooses the weight decay and what else the search says, unless they are given, and fits to
    /// all samples.
    ///
    /// The head fitted without the samples held out is kept, so that decoders can be tuned on
    /// samples that it has not seen.
    ///
    /// # Errors
    /// As [`Head::fit`], [`HeldOut::new`] and [`WeightDecaySearch::run`];
    /// [`Error::Interrupted`] when `progress` ends the work.
    pub fn fit(
        samples: LabelledFeatures<'_>,
        settings: &HeadSettings,
        weight_decay: &WeightDecay,
        mut progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<Self> {
        let (features, targets) = (samples.features(), samples.targets());
        let mut settings = settings.resolved(targets);
        let found = match weight_decay {
            WeightDecay::Given => None,
            WeightDecay::Searched {
                share,
                seed,
                search,
            } => {
                let held_out = HeldOut::new(*share, *seed, targets)?;
                let choice = choose(samples, &held_out, search, &settings, &mut progress)?;
                settings = choice.settings.clone();
                Some((held_out, choice))
            }
        };
        // Other samples may have other label sets, and then other parameters.
        let start = found.as_ref().map(|(_, choice)| &choice.head);
        let start = start.filter(|_| settings.seen_sets() == SeenSetPotentials::None);
        let head = Head::fit_with(features, targets, &settings, start, progress)?;
        if head.stop == Stop::Interrupted {
            return Err(Error::Interrupted);
        }
        let mut description = HeadDescription::of(&head, samples, settings);
        let mut without = None;
        let mut potentials = None;
        if let Some((held_out, choice)) = found {
            description.held_out = Some(held_out);
            description.weight_decays = choice.tried;
            description.compared = choice.compared;
            without = Some(choice.head.classifier);
            potentials = choice.head.potentials;
        }
        Ok(Self {
            classifier: head.classifier,
            potentials: head.potentials,
            held_out: without,
            held_out_potentials: potentials,
            description,
        })
    }

    /// A head of other origin: its classifier is all that is known.
    pub fn of_classifier(classifier: LinearClassifier) -> Self {
        Self {
            classifier,
            potentials: None,
            held_out: None,
            held_out_potentials: None,
            description: HeadDescription::default(),
        }
    }

    /// What its logits mean, where the loss is known that it was fitted with.
    pub fn link(&self) -> Option<Link> {
        let settings = self.description.settings.as_ref();
        settings.map(|settings| settings.loss.info().link)
    }

    /// The classifier that has not seen the samples held out, and which those are.
    pub fn without_held_out(&self) -> Option<(&LinearClassifier, &HeldOut)> {
        self.held_out
            .as_ref()
            .zip(self.description.held_out.as_ref())
    }

    /// The bytes of a safetensors file, in f64.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the description cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut writer = TensorWriter::new();
        let parts = [
            ("", Some(&self.classifier), &self.potentials),
            (HELD_OUT, self.held_out.as_ref(), &self.held_out_potentials),
        ];
        for (prefix, classifier, potentials) in parts {
            if let Some(classifier) = classifier {
                push_classifier(&mut writer, prefix, classifier)?;
            }
            if let Some(potentials) = potentials {
                potentials.push(&mut writer, prefix)?;
            }
        }
        let description = serde_json::to_string(&self.description)
            .map_err(|error| Error::Malformed(error.to_string()))?;
        writer.describe_form(Form::Head);
        writer.describe(DESCRIPTION, description);
        Ok(writer.to_bytes())
    }

    /// Reads a head from the bytes of a safetensors file in f32 or f64; the bias is 0 and the
    /// description empty where there is none.
    ///
    /// # Errors
    /// [`Error::Malformed`] with one sentence when it is not such a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let tensors = Tensors::parse(bytes)?;
        let description = tensors.metadata(DESCRIPTION).unwrap_or_default();
        let classifier = read_classifier(&tensors, "", "a head")?;
        let held_out = match tensors.get(&format!("{HELD_OUT}weight")).is_some() {
            true => Some(read_classifier(&tensors, HELD_OUT, "a head")?),
            false => None,
        };
        let held_out_potentials = match &held_out {
            Some(classifier) => HeadPotentials::read(&tensors, HELD_OUT, classifier)?,
            None => None,
        };
        let head = Self {
            potentials: HeadPotentials::read(&tensors, "", &classifier)?,
            classifier,
            held_out,
            held_out_potentials,
            description: read_description(description)?,
        };
        let num_classes = head.classifier.num_classes();
        match &head.description.label_names {
            Some(names) if names.len() != num_classes => Err(Error::Malformed(format!(
                "expected {num_classes} label names, one for each class, found {}",
                names.len()
            ))),
            _ => Ok(head),
        }
    }

    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads the file that [`write`](Self::write) wrote, or any other with a `weight`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&crate::file::read(path)?).map_err(|error| error.in_file(path))
    }
}

/// What a head says about itself; nothing where the text is something else than ours.
fn read_description(text: &str) -> Result<HeadDescription> {
    if !text.trim_start().starts_with('{') {
        return Ok(HeadDescription::default());
    }
    serde_json::from_str(text).map_err(|error| {
        Error::Malformed(format!(
            "expected the description of a head as `{DESCRIPTION}` in the metadata, found {error}"
        ))
    })
}

/// The key of the metadata that holds the description.
const DESCRIPTION: &str = "head";

/// What the names of the arrays fitted without the held-out samples start with.
const HELD_OUT: &str = "held_out.";

fn choose(
    samples: LabelledFeatures<'_>,
    held_out: &HeldOut,
    search: &WeightDecaySearch,
    settings: &HeadSettings,
    progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
) -> Result<SettingsChoice> {
    let (features, targets) = (samples.features(), samples.targets());
    // `split` finds nothing only for other label sets than those it was made of.
    let Some(parts) = held_out.split(targets)? else {
        unreachable!("the split is of these label sets");
    };
    let part = |rows: &[usize]| (features.select(rows), targets.select(rows.iter().copied()));
    let (fitting, testing) = (part(&parts.fitting), part(&parts.held_out));
    search.run_all(
        LabelledFeatures::new(&fitting.0, &fitting.1)?,
        LabelledFeatures::new(&testing.0, &testing.1)?,
        settings,
        progress,
    )
}

/// Adds `weight` `[K, d]` and `bias` `[K]` under names that start with `prefix`.
pub(crate) fn push_classifier<'a>(
    writer: &mut TensorWriter<'a>,
    prefix: &str,
    classifier: &'a LinearClassifier,
) -> Result<()> {
    let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
    let weight = classifier.weight.as_slice();
    writer.add(format!("{prefix}weight"), &[num_classes, dim], weight)?;
    writer.add(format!("{prefix}bias"), &[num_classes], &classifier.bias)
}

/// The classifier under names that start with `prefix`, finite; the bias is 0 without one.
pub(crate) fn read_classifier(
    tensors: &Tensors<'_>,
    prefix: &str,
    what: &str,
) -> Result<LinearClassifier> {
    let malformed = |message: String| Err(Error::Malformed(message));
    let (weight_name, bias_name) = (format!("{prefix}weight"), format!("{prefix}bias"));
    let Some(weight) = tensors.get(&weight_name) else {
        return malformed(format!(
            "expected an array `{weight_name}`, found none; is this {what}?"
        ));
    };
    let &[num_classes, dim] = weight.shape() else {
        return malformed(format!(
            "expected `{weight_name}` of 2 dimensions, found {:?}",
            weight.shape()
        ));
    };
    if num_classes == 0 || dim == 0 {
        return malformed(format!(
            "expected `{weight_name}` with classes and features, found {:?}",
            weight.shape()
        ));
    }
    let bias = match tensors.get(&bias_name) {
        Some(bias) => {
            bias.expect_shape(&[num_classes])?;
            bias.to_f64()?
        }
        None => vec![0.0; num_classes],
    };
    let weight = weight.to_f64()?;
    if weight.iter().chain(&bias).any(|value| !value.is_finite()) {
        return malformed("expected a finite classifier, found NaN or infinity".into());
    }
    LinearClassifier::from_rows(&weight, &bias, dim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_heads_are_refused() {
        let refused = |bytes: &[u8]| FittedHead::from_bytes(bytes).unwrap_err().to_string();
        let message = refused(b"something else");
        assert!(
            message.starts_with("expected a safetensors file"),
            "{message}"
        );
        let mut writer = TensorWriter::new();
        writer.add_owned::<f64>("bias", &[2], [1.0, 2.0]).unwrap();
        insta::assert_snapshot!(refused(&writer.to_bytes()), @"expected an array `weight`, found none; is this a head?");
        writer
            .add_owned::<f64>("weight", &[1, 2], [1.0, 2.0])
            .unwrap();
        insta::assert_snapshot!(refused(&writer.to_bytes()), @"expected `bias` of shape [1], found [2]");
        let mut writer = TensorWriter::new();
        writer
            .add_owned::<f64>("weight", &[1 << 40, 0], [])
            .unwrap();
        insta::assert_snapshot!(refused(&writer.to_bytes()), @"expected `weight` with classes and features, found [1099511627776, 0]");
        let mut writer = TensorWriter::new();
        writer
            .add_owned::<f64>("weight", &[1, 1], [f64::NAN])
            .unwrap();
        insta::assert_snapshot!(refused(&writer.to_bytes()), @"expected a finite classifier, found NaN or infinity");
        let mut writer = TensorWriter::new();
        writer
            .add_owned::<f64>("weight", &[2, 1], [1.0, 2.0])
            .unwrap();
        writer.describe(DESCRIPTION, r#"{"label_names": ["sea"]}"#);
        insta::assert_snapshot!(refused(&writer.to_bytes()), @"expected 2 label names, one for each class, found 1");
        let folder = tempfile::tempdir().unwrap();
        let absent = FittedHead::read(&folder.path().join("absent"));
        assert!(matches!(absent, Err(Error::Io { .. })));
        let path = folder.path().join("head.safetensors");
        std::fs::write(&path, b"something else").unwrap();
        assert!(matches!(FittedHead::read(&path), Err(Error::Format { .. })));
    }

    #[test]
    fn a_description_that_cannot_be_read_is_not_passed_over() {
        let mut writer = TensorWriter::new();
        writer.add("weight", &[1, 1], &[1.0]).unwrap();
        writer.describe(DESCRIPTION, r#"{"label_names": 5}"#);
        let error = FittedHead::from_bytes(&writer.to_bytes()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("expected the description of a head")
        );
        // A loss that was no number is null in JSON.
        writer.describe(
            DESCRIPTION,
            r#"{"weight_decays":[{"weight_decay":0.3,"loss":null}]}"#,
        );
        let head = FittedHead::from_bytes(&writer.to_bytes()).unwrap();
        assert!(head.description.weight_decays[0].loss.is_nan());
        writer.describe(DESCRIPTION, "somebody else's words");
        let head = FittedHead::from_bytes(&writer.to_bytes()).unwrap();
        assert_eq!(head.description, HeadDescription::default());
    }

    /// What `tagwise fit` wrote before the description had a type.
    const OLD: &str = r#"{"num_samples":240,"num_classes":2,"dim":1,"settings":{"loss":{"name":"binary-cross-entropy"},"kind":"linear","weight-decay":0.003,"balance":0.0,"class-weights":"uniform","scaling":"standardise","optimizer":"lbfgs","max-iterations":500,"gradient-tolerance":0.0001},"weight_decays":[{"weight_decay":0.3,"loss":1.5}],"held_out":{"share":0.2,"seed":0,"fingerprint":17446744073709551615},"objective":0.25,"gradient_norm":0.00005,"iterations":12,"converged":true,"label_names":["sea","sky"]}"#;

    #[test]
    fn old_files_are_read_and_written_again_as_they_were() {
        let mut writer = TensorWriter::new();
        writer
            .add_owned::<f64>("weight", &[2, 1], [1.0, 2.0])
            .unwrap();
        writer
            .add_owned::<f64>("held_out.weight", &[2, 1], [3.0, 4.0])
            .unwrap();
        writer
            .add_owned::<f64>("held_out.bias", &[2], [5.0, 6.0])
            .unwrap();
        writer.describe(DESCRIPTION, OLD);
        let head = FittedHead::from_bytes(&writer.to_bytes()).unwrap();
        assert_eq!(head.link(), Some(Link::Sigmoid));
        let (without, held_out) = head.without_held_out().unwrap();
        assert_eq!(without.bias, [5.0, 6.0]);
        assert_eq!(held_out.fingerprint, 17446744073709551615);
        assert_eq!(head.classifier.bias, [0.0, 0.0]);
        assert_eq!(head.description.outcome.unwrap().iterations, 12);
        assert_eq!(serde_json::to_string(&head.description).unwrap(), OLD);
    }

    #[test]
    fn a_head_of_other_origin_says_nothing() {
        let mut writer = TensorWriter::new();
        writer
            .add_owned::<f64>("weight", &[2, 1], [1.0, 2.0])
            .unwrap();
        writer.describe(DESCRIPTION, "from another program");
        let head = FittedHead::from_bytes(&writer.to_bytes()).unwrap();
        assert_eq!(head.description, HeadDescription::default());
        assert_eq!((head.link(), head.without_held_out()), (None, None));
    }
}
