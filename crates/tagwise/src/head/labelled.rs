//! Samples that a head is fitted to.

use super::Features;
use crate::{Error, Result, Targets};

/// Features with the label set of each sample, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct LabelledFeatures<'a> {
    features: &'a Features,
    targets: &'a Targets,
}

impl<'a> LabelledFeatures<'a> {
    /// Pairs features with label sets.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when there are not as many of both.
    pub fn new(features: &'a Features, targets: &'a Targets) -> Result<Self> {
        if features.num_samples() != targets.len() {
            return Err(Error::SizeMismatch {
                what: "rows of features",
                expected: targets.len(),
                found: features.num_samples(),
            });
        }
        Ok(Self { features, targets })
    }

    /// `[N, d]`.
    pub fn features(&self) -> &'a Features {
        self.features
    }

    /// The label set of each sample.
    pub fn targets(&self) -> &'a Targets {
        self.targets
    }
}
