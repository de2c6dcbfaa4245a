//! The logits of a linear classifier, all at once or block by block.

use std::ops::Range;

use rayon::prelude::*;

use super::Features;
use super::source::{BLOCK_LEN, Source};
use crate::{Error, LinearClassifier, Result};

/// A linear classifier laid out to be multiplied with features block by block.
///
/// ```
/// use tagwise::LinearClassifier;
/// use tagwise::head::{DenseRows, Features, LogitMap};
///
/// let classifier = LinearClassifier::from_rows(&[1.0, 0.0, 0.0, 2.0], &[0.5, 0.0], 2)?;
/// let features = Features::Dense(DenseRows::new(vec![1.0, 1.0, 0.0, 3.0], 2)?);
/// let map = LogitMap::new(&classifier);
/// assert_eq!(map.logits(&features, 1..2)?, [0.5, 6.0]);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogitMap {
    weights: Vec<f64>, // [d, K]
    bias: Vec<f64>,
}

impl LogitMap {
    /// Lays the classifier out.
    pub fn new(classifier: &LinearClassifier) -> Self {
        let (num_classes, dim) = (classifier.num_classes(), classifier.dim());
        let weight = |i: usize| classifier.weight[(i % num_classes, i / num_classes)];
        Self {
            weights: (0..dim * num_classes).map(weight).collect(),
            bias: classifier.bias.clone(),
        }
    }

    /// Number of classes K.
    pub fn num_classes(&self) -> usize {
        self.bias.len()
    }

    /// The logits W x + b of some samples. Rows have the same bits whatever the block, as long as
    /// it starts at a multiple of 256.
    ///
    /// # Shapes
    /// Returns row-major `[rows, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the feature dimensions differ or a row is not below N.
    pub fn logits(&self, features: &Features, rows: Range<usize>) -> Result<Vec<f64>> {
        let num_classes = self.num_classes();
        let dim = self.weights.len() / num_classes.max(1);
        let mismatch = |what, expected, found| Error::SizeMismatch {
            what,
            expected,
            found,
        };
        if features.dim() != dim {
            return Err(mismatch("feature dimensions", dim, features.dim()));
        }
        if rows.end > features.num_samples() {
            return Err(mismatch(
                "rows of features",
                rows.end,
                features.num_samples(),
            ));
        }
        let mut logits = vec![0.0; rows.len() * num_classes];
        let source = Source::of(features)?;
        logits
            .par_chunks_mut((BLOCK_LEN * num_classes).max(1))
            .enumerate()
            .for_each_init(Vec::new, |scratch, (block, logits)| {
                let first = rows.start + block * BLOCK_LEN;
                source.logits(first, &self.weights, &self.bias, logits, scratch);
            });
        Ok(logits)
    }
}

/// The logits W x + b that a linear classifier gives each sample.
///
/// # Shapes
/// Returns row-major `[N, K]`.
///
/// # Errors
/// [`Error::SizeMismatch`] when the feature dimensions differ.
pub fn logits(classifier: &LinearClassifier, features: &Features) -> Result<Vec<f64>> {
    LogitMap::new(classifier).logits(features, 0..features.num_samples())
}

/// Subtracts from each row of logits its mean: what a softmax does not see.
///
/// # Shapes
/// `logits` is row-major `[N, K]`.
///
/// ```
/// let mut logits = [1.0, 3.0, 5.0, 5.0];
/// tagwise::head::centre_logits(&mut logits, 2);
/// assert_eq!(logits, [-1.0, 1.0, 0.0, 0.0]);
/// ```
pub fn centre_logits(logits: &mut [f64], num_classes: usize) {
    for row in logits.chunks_mut(num_classes.max(1)) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        row.iter_mut().for_each(|logit| *logit -= mean);
    }
}
