//! Head files against the samples that they are used with.

use std::path::{Path, PathBuf};

use tagwise::evaluate::SetLogLoss;
use tagwise::head::{Features, FittedHead, LabelledFeatures, logits};

use super::samples::{Expected, Like, Samples};

/// A head with its origin.
pub struct StoredHead {
    pub head: FittedHead,
    path: PathBuf,
}

impl StoredHead {
    /// A head that came from somewhere else, such as a run.
    pub fn new(head: FittedHead, path: &Path) -> Self {
        Self {
            head,
            path: path.to_path_buf(),
        }
    }

    /// Reads what `tagwise fit` wrote, or any safetensors file with `weight` and `bias`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            head: FittedHead::read(path)?,
            path: path.to_path_buf(),
        })
    }

    /// The classifier that came with samples, if one did.
    pub fn of_samples(samples: &Samples, path: &Path) -> Option<Self> {
        samples.classifier.clone().map(|classifier| Self {
            head: FittedHead::of_classifier(classifier),
            path: path.to_path_buf(),
        })
    }

    /// What the classes are called, where the head knows.
    pub fn label_names(&self) -> Option<&[String]> {
        self.head.description.label_names.as_deref()
    }

    /// What samples for this head must have.
    pub fn size(&self) -> Expected {
        Expected {
            num_classes: Some(self.head.classifier.num_classes()),
            dim: Some(self.head.classifier.dim()),
        }
    }

    /// What is known of samples for this head.
    pub fn like(&self) -> Like<'_> {
        Like {
            sizes: self.size(),
            names: self.label_names(),
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
        let found = samples.label_names.as_deref();
        check_names(self.label_names(), found, &source, path)
    }

    /// The log loss of the true label sets, of a head of the set likelihood.
    pub fn log_loss(&self, samples: LabelledFeatures<'_>) -> anyhow::Result<Option<SetLogLoss>> {
        let Some(potentials) = &self.head.potentials else {
            return Ok(None);
        };
        let logs = potentials.log_probabilities(&self.head.classifier, samples)?;
        Ok(SetLogLoss::new(&logs).ok())
    }

    /// The logits of each sample, row-major `[N, K]`.
    pub fn logits(&self, features: &Features) -> anyhow::Result<Vec<f64>> {
        Ok(logits(&self.head.classifier, features)?)
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
