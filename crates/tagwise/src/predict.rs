//! Label sets of new samples, with how sure each label is.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::ser::SerializeStruct;
use serde_json::json;

use crate::decode::{AnswerFormat, EmptyRule, LogitDecoder, Rule};
use crate::file::write_atomically;
use crate::form::Form;
use crate::head::{Features, HeadPotentials, logits};
use crate::loss::{Link, sigmoid};
use crate::names::{LabelNames, csv_cell};
use crate::{Error, LinearClassifier, Result, Targets};

#[cfg(feature = "parquet")]
mod parquet;

/// The decoder of a head that nothing is known of but what its logits mean: labels of probability
/// 1/2 or more, or, where one probability is shared by all labels, those above the largest gap
/// between neighbours in the sorted logits.
///
/// ```
/// use tagwise::loss::Link;
/// use tagwise::predict::untuned_decoder;
///
/// let decoder = untuned_decoder(Link::Softmax, 3);
/// let targets = decoder.decode(&[2.0, 1.9, -3.0, 0.1, -2.0, -2.1], 3)?;
/// assert_eq!(targets.set(0).labels(), [0, 1]);
/// assert_eq!(targets.set(1).labels(), [0]);
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn untuned_decoder(link: Link, num_classes: usize) -> LogitDecoder {
    let (rule, empty_rule) = match link {
        Link::Sigmoid => (Rule::Threshold { threshold: 0.0 }, EmptyRule::Allow),
        Link::Softmax => (
            Rule::LargestGap {
                max_multiplicity: num_classes,
            },
            EmptyRule::TopLabel,
        ),
    };
    LogitDecoder {
        link,
        rule,
        empty_rule,
    }
}

/// What the confidence of a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// exp(z_k)/Σ_j exp(z_j): all labels share one probability.
    Softmax,
    /// σ(z_k): each label has its own.
    Sigmoid,
    /// P(k ∈ S) under the distribution over label sets of a head of the set likelihood.
    Inclusion,
}

impl From<Link> for Confidence {
    fn from(link: Link) -> Self {
        match link {
            Link::Softmax => Self::Softmax,
            Link::Sigmoid => Self::Sigmoid,
        }
    }
}

/// The probability P(k ∈ S) of every label under a head of the set likelihood.
///
/// # Shapes
/// Returns row-major `[N, K]`.
///
/// # Errors
/// [`Error::SizeMismatch`] for features of another dimension.
pub fn inclusion(
    potentials: &HeadPotentials,
    classifier: &LinearClassifier,
    features: &Features,
) -> Result<Vec<f64>> {
    let outputs = potentials.outputs_of(classifier)?;
    let rows = logits(&outputs, features)?;
    let mut inclusion = Vec::with_capacity(features.num_samples() * classifier.num_classes());
    for row in rows.chunks_exact(outputs.num_classes()) {
        inclusion.extend_from_slice(potentials.shared.distribution(row)?.inclusion());
    }
    Ok(inclusion)
}

/// Predicted label sets with the probability of each of their labels.
///
/// ```
/// use tagwise::loss::Link;
/// use tagwise::names::LabelNames;
/// use tagwise::predict::Predicted;
/// use tagwise::{LabelSet, Targets};
///
/// let targets = Targets::new(2, [vec![1], vec![]].map(LabelSet::new))?;
/// let names = LabelNames::new(Some(vec!["sea".into(), "sky".into()]));
/// let predicted = Predicted::new(targets, &[0.0, 3.0_f64.ln(), -1.0, -1.0], Link::Sigmoid, names)?;
/// assert_eq!(predicted.csv(), "sample,labels,confidences\n0,sky,0.7500\n1,,\n");
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Predicted {
    targets: Targets,
    /// Of each label of each set, in their order.
    confidences: Vec<Vec<f64>>,
    confidence: Confidence,
    names: LabelNames,
    files: Option<Vec<String>>,
}

impl Predicted {
    /// The probabilities that the logits give to the labels of these sets: σ(z_k), or
    /// exp(z_k)/Σ_j exp(z_j) where one probability is shared by all labels.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for another number of logits, or of names than classes,
    /// [`Error::NotFinite`] for NaN and infinity.
    pub fn new(targets: Targets, logits: &[f64], link: Link, names: LabelNames) -> Result<Self> {
        check(&targets, logits, "logits")?;
        let mut probabilities = logits.to_vec();
        for row in probabilities.chunks_exact_mut(targets.num_classes().max(1)) {
            to_probabilities(row, link);
        }
        Self::of_probabilities(targets, &probabilities, link.into(), names)
    }

    /// The same of probabilities that are known.
    ///
    /// # Shapes
    /// `probabilities` is row-major `[N, K]`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_probabilities(
        targets: Targets,
        probabilities: &[f64],
        confidence: Confidence,
        names: LabelNames,
    ) -> Result<Self> {
        check(&targets, probabilities, "probabilities")?;
        let num_classes = targets.num_classes();
        let num_names = names.as_slice().map_or(num_classes, <[String]>::len);
        if num_names != num_classes {
            return Err(Error::SizeMismatch {
                what: "names of classes",
                expected: num_classes,
                found: num_names,
            });
        }
        let rows = probabilities.chunks_exact(num_classes.max(1));
        let confidences = rows
            .zip(targets.iter())
            .map(|(row, set)| set.indices().map(|label| row[label]).collect());
        Ok(Self {
            confidences: confidences.collect(),
            targets,
            confidence,
            names,
            files: None,
        })
    }

    /// The same, with the file that each sample came from.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] for another number of files than samples.
    pub fn with_files(self, files: Vec<String>) -> Result<Self> {
        match files.len() == self.targets.len() {
            true => Ok(Self {
                files: Some(files),
                ..self
            }),
            false => Err(Error::SizeMismatch {
                what: "files, one for each sample",
                expected: self.targets.len(),
                found: files.len(),
            }),
        }
    }

    /// The label sets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The probability of each label of a sample's set, in the order of the labels.
    ///
    /// # Panics
    /// When `sample` is not below the number of samples.
    pub fn confidences(&self, sample: usize) -> &[f64] {
        &self.confidences[sample]
    }

    /// A line for each sample: its number, its labels (names, or numbers as `label_ids`) and their
    /// confidences, both with `;` between them, and its file where it came from one.
    pub fn csv(&self) -> String {
        let labels = match self.names.is_known() {
            true => "labels",
            false => "label_ids",
        };
        let mut text = format!("sample,{labels},confidences");
        text.push_str(if self.files.is_some() {
            ",file\n"
        } else {
            "\n"
        });
        for (sample, set) in self.targets.iter().enumerate() {
            let confidences: Vec<String> = self.confidences[sample]
                .iter()
                .map(|confidence| format!("{confidence:.4}"))
                .collect();
            let (labels, confidences) = (csv_cell(&self.names.text(set)), confidences.join(";"));
            // Memory takes whatever is written.
            let _ = write!(text, "{sample},{labels},{confidences}");
            if let Some(files) = &self.files {
                let _ = write!(text, ",{}", csv_cell(&files[sample]));
            }
            text.push('\n');
        }
        text
    }

    /// The bytes of a file of this form.
    ///
    /// # Errors
    /// [`Error::Malformed`] for Parquet in a program built without it.
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
            AnswerFormat::Parquet => parquet::to_bytes(self),
            #[cfg(not(feature = "parquet"))]
            AnswerFormat::Parquet => Err(Error::Malformed(
                "this program was built without Parquet; write .csv or .json".into(),
            )),
        }
    }

    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes); [`Error::Io`] when the file cannot be written.
    pub fn write(&self, format: AnswerFormat, path: &Path) -> Result<()> {
        let bytes = self.to_bytes(format).map_err(|error| error.in_file(path))?;
        write_atomically(path, |file| file.write_all(&bytes))
    }
}

/// Whether there is a finite number for each class of each sample.
fn check(targets: &Targets, numbers: &[f64], what: &'static str) -> Result<()> {
    let num_classes = targets.num_classes();
    let expected = targets.len().saturating_mul(num_classes);
    if numbers.len() != expected {
        return Err(Error::SizeMismatch {
            what,
            expected,
            found: numbers.len(),
        });
    }
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Error::NotFinite {
            what,
            row: place / num_classes,
            column: place % num_classes,
            value: numbers[place],
        }),
    }
}

/// Turns the logits of one sample into the probabilities of its labels.
fn to_probabilities(row: &mut [f64], link: Link) {
    match link {
        Link::Sigmoid => row.iter_mut().for_each(|logit| *logit = sigmoid(*logit)),
        Link::Softmax => {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut()
                .for_each(|logit| *logit = (*logit - largest).exp());
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|logit| *logit /= sum);
        }
    }
}

impl Serialize for Predicted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let samples = self.targets.iter().enumerate().map(|(sample, set)| {
            let labels = set.labels().iter();
            let mut object = match self.names.is_known() {
                true => {
                    let names: Vec<String> = labels.map(|&label| self.names.name(label)).collect();
                    json!({ "sample": sample, "labels": names })
                }
                false => json!({ "sample": sample, "label_ids": set.labels() }),
            };
            object["confidences"] = json!(self.confidences[sample]);
            if let Some(files) = &self.files {
                object["file"] = json!(files[sample]);
            }
            object
        });
        let samples: Vec<serde_json::Value> = samples.collect();
        let mut whole = serializer.serialize_struct("Predicted", 4)?;
        whole.serialize_field("version", &Form::Answer.version())?;
        whole.serialize_field("confidence", &self.confidence)?;
        whole.serialize_field("class_names", &self.names.as_slice())?;
        whole.serialize_field("predictions", &samples)?;
        whole.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelSet;

    fn predicted(link: Link, names: Option<Vec<String>>) -> Result<Predicted> {
        let targets = Targets::new(3, [vec![0, 2], vec![], vec![1]].map(LabelSet::new))?;
        let logits = [1.0, 0.0, 1.0, -1.0, -2.0, -3.0, 0.0, 700.0, 0.0];
        Predicted::new(targets, &logits, link, LabelNames::new(names))
    }

    #[test]
    fn confidences_are_the_probabilities_of_the_link() {
        let e = 1f64.exp();
        let shared = predicted(Link::Softmax, None).unwrap();
        let expected = e / (2.0 * e + 1.0);
        assert!(
            shared
                .confidences(0)
                .iter()
                .all(|p| (p - expected).abs() < 1e-12)
        );
        assert_eq!(
            (shared.confidences(1), shared.confidences(2)),
            (&[][..], &[1.0][..])
        );
        let own = predicted(Link::Sigmoid, None).unwrap();
        assert!((own.confidences(0)[1] - e / (e + 1.0)).abs() < 1e-12);
    }

    #[test]
    fn inclusion_is_the_share_of_the_sets_with_the_label() {
        use crate::loss::set_likelihood::SetPotentials;
        // Exactly one label in every set: a softmax of the logits 0, log 2, log 5.
        let potentials = HeadPotentials {
            shared: SetPotentials::new(3, vec![-1e3, 0.0]).unwrap(),
            weight: None,
        };
        let weight = [0.0, 2f64.ln(), 5f64.ln()];
        let classifier = LinearClassifier::from_rows(&weight, &[0.0; 3], 1).unwrap();
        let features = Features::from_dense(vec![1.0, 0.0], 1).unwrap();
        let found = inclusion(&potentials, &classifier, &features).unwrap();
        let expected = [
            1.0 / 8.0,
            2.0 / 8.0,
            5.0 / 8.0,
            1.0 / 3.0,
            1.0 / 3.0,
            1.0 / 3.0,
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn answers_are_read_back_as_predictions() {
        use crate::evaluate::Predictions;
        let names = ["sea", "semi;colon", "com,ma"].map(String::from).to_vec();
        let predicted = predicted(Link::Softmax, Some(names.clone())).unwrap();
        let predicted =
            predicted.with_files(["a.png", "b,c.png", "d.png"].map(String::from).to_vec());
        let predicted = predicted.unwrap();
        insta::assert_snapshot!(predicted.csv(), @r#"
        sample,labels,confidences,file
        0,"sea;com,ma",0.4223;0.4223,a.png
        1,,,"b,c.png"
        2,semi\;colon,1.0000,d.png
        "#);
        let read = Predictions::parse(&predicted.csv()).unwrap();
        let targets = read.targets(&LabelNames::new(Some(names)), 3).unwrap();
        assert_eq!(&targets, predicted.targets());
        let json = predicted.to_bytes(AnswerFormat::Json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(json["predictions"][0]["labels"], json!(["sea", "com,ma"]));
        assert_eq!(json["predictions"][2]["file"], "d.png");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let targets = || Targets::new(2, [LabelSet::new([0])]).unwrap();
        let refused = |logits: &[f64]| {
            let names = LabelNames::default();
            Predicted::new(targets(), logits, Link::Softmax, names).unwrap_err()
        };
        insta::assert_snapshot!(refused(&[1.0]), @"expected 2 logits, found 1");
        insta::assert_snapshot!(refused(&[1.0, f64::NAN]), @"expected finite numbers, found NaN in logits at row 0, column 1");
        let fits = Predicted::new(targets(), &[1.0, 2.0], Link::Softmax, LabelNames::default());
        insta::assert_snapshot!(fits.unwrap().with_files(Vec::new()).unwrap_err(), @"expected 1 files, one for each sample, found 0");
    }
}
