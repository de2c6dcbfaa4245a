//! Head files with what `tagwise fit` writes about them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tagwise::Targets;
use tagwise::decode::Link;
use tagwise::head::{Features, HeadFile, HeadSettings, logits};
use tagwise::loss::Loss;
use tagwise::snapshot::LinearClassifier;
use tagwise::split::stratified_folds;

use super::samples::{Expected, Samples};

/// What the description of a head says to `decode` and `evaluate`; heads of other origin say
/// nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Description {
    settings: Option<HeadSettings>,
    label_names: Option<Vec<String>>,
    held_out: Option<HeldOut>,
}

/// The part of the samples that a head was not fitted to when its weight decay was chosen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct HeldOut {
    /// Its share.
    pub share: f64,
    /// The seed of the split.
    pub seed: u64,
    /// Which label sets were split.
    pub fingerprint: u64,
}

impl HeldOut {
    pub fn new(share: f64, seed: u64, targets: &Targets) -> Self {
        Self {
            share,
            seed,
            fingerprint: fingerprint(targets),
        }
    }

    /// The samples fitted to and those held out, if the split was of these label sets.
    pub fn split(&self, targets: &Targets) -> tagwise::Result<Option<(Vec<usize>, Vec<usize>)>> {
        if self.fingerprint != fingerprint(targets) {
            return Ok(None);
        }
        let folds = stratified_folds(targets, &[1.0 - self.share, self.share], self.seed)?;
        Ok(Some((0..targets.len()).partition(|&row| folds[row] == 0)))
    }
}

/// A number that tells label matrices apart (Fowler, Noll and Vo's hash, 64 bits).
fn fingerprint(targets: &Targets) -> u64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let numbers = targets.iter().flat_map(|set| {
        let labels = set.labels().iter().map(|&label| u64::from(label) + 1);
        labels.chain([0])
    });
    numbers.fold(START, |hash, number| (hash ^ number).wrapping_mul(PRIME))
}

/// A classifier with its origin.
pub struct StoredHead {
    pub classifier: LinearClassifier,
    /// The classifier without the held-out samples, and which those are.
    pub held_out: Option<(LinearClassifier, HeldOut)>,
    pub label_names: Option<Vec<String>>,
    /// What its logits mean, where the file says by which loss it was fitted.
    pub link: Option<Link>,
    path: PathBuf,
}

impl StoredHead {
    /// Reads what `tagwise fit` wrote, or any safetensors file with `weight` and `bias`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = HeadFile::read(path)?;
        let description: Description = serde_json::from_str(&file.description).unwrap_or_default();
        let head = Self {
            held_out: file.held_out.zip(description.held_out),
            link: description.settings.map(|settings| link(settings.loss)),
            label_names: description.label_names,
            path: path.to_path_buf(),
            classifier: file.classifier,
        };
        if let Some(names) = &head.label_names {
            anyhow::ensure!(
                names.len() == head.classifier.num_classes(),
                "{}: expected {} label names, one for each class, found {}",
                path.display(),
                head.classifier.num_classes(),
                names.len()
            );
        }
        Ok(head)
    }

    /// The classifier that came with samples, if one did.
    pub fn of_samples(samples: &Samples, path: &Path) -> Option<Self> {
        samples.classifier.clone().map(|classifier| Self {
            classifier,
            held_out: None,
            label_names: None,
            link: None,
            path: path.to_path_buf(),
        })
    }

    /// What samples for this head must have.
    pub fn size(&self) -> Expected {
        Expected {
            num_classes: Some(self.classifier.num_classes()),
            dim: Some(self.classifier.dim()),
        }
    }

    /// How messages call it.
    pub fn source(&self) -> String {
        format!("the classifier in {}", self.path.display())
    }

    /// Says in one sentence when samples are not for this head.
    pub fn check(&self, samples: &Samples, path: &Path) -> anyhow::Result<()> {
        let source = self.source();
        samples.check(path, self.size(), &source)?;
        check_names(
            self.label_names.as_deref(),
            samples.label_names.as_deref(),
            &source,
            path,
        )
    }

    /// The logits of each sample, row-major `[N, K]`.
    pub fn logits(&self, features: &Features) -> anyhow::Result<Vec<f64>> {
        Ok(logits(&self.classifier, features)?)
    }
}

/// Says in one sentence at which class two lists of names part.
pub fn check_names(
    expected: Option<&[String]>,
    found: Option<&[String]>,
    source: &str,
    path: &Path,
) -> anyhow::Result<()> {
    let pairs = expected
        .into_iter()
        .flatten()
        .zip(found.into_iter().flatten());
    for (class, (expected, found)) in pairs.enumerate() {
        anyhow::ensure!(
            expected == found,
            "expected label {class} to be {expected:?} like {source}, found {found:?} in {}",
            path.display()
        );
    }
    Ok(())
}

/// What the logits of a head fitted with this loss mean.
pub fn link(loss: Loss) -> Link {
    match loss {
        Loss::PickAllLabels(_) => Link::Softmax,
        _ => Link::Sigmoid,
    }
}
