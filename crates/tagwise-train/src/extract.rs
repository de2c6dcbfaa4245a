//! The one door between the engine's f32 tensors and the f64 mathematics.

use std::ops::ControlFlow;

use tagwise::Targets;
use tagwise::head::HeadPotentials;
use tagwise::loss::Loss;
use tagwise::snapshot::LinearClassifier;
use tagwise::statistics::Statistics;

use crate::engine::Pass;
use crate::{DataSets, Engine, Result, Split};

/// Features and logits of a whole data set, with the network in evaluation mode.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// Row-major `[N, d]`.
    pub features: Vec<f32>,
    /// Row-major `[N, K]`.
    pub logits: Vec<f32>,
}

impl Extracted {
    /// Sends every image through the network once.
    ///
    /// # Errors
    /// From the engine, when the images do not have the network's input shape.
    pub fn new(
        engine: &mut dyn Engine,
        data: &DataSets,
        split: Split,
        batch_size: usize,
    ) -> Result<Self> {
        Self::with(engine, data, split, batch_size, &mut |_| {
            ControlFlow::Continue(())
        })
    }

    /// The same, with `progress` told the number of images after every few; it may stop.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Interrupted`](crate::Error::Interrupted) when `progress`
    /// breaks.
    pub fn with(
        engine: &mut dyn Engine,
        data: &DataSets,
        split: Split,
        batch_size: usize,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        let num_images = data.split(split).len();
        let mut extracted = Self {
            features: Vec::with_capacity(num_images * engine.feature_dim()),
            logits: Vec::with_capacity(num_images * engine.spec().num_classes),
        };
        let pass = Pass {
            data,
            split,
            batch_size,
        };
        engine.extract(pass, &mut extracted, progress)?;
        Ok(extracted)
    }

    /// Mean loss of these logits; with potentials, of the set likelihood that they belong to.
    ///
    /// # Errors
    /// From the mathematics, when there are not K logits for each label set.
    pub fn mean_loss(
        &self,
        loss: &Loss,
        potentials: Option<&HeadPotentials>,
        targets: &Targets,
    ) -> Result<f64> {
        let Some(potentials) = potentials else {
            let mut gradient = vec![0.0; self.logits.len()];
            return Ok(loss.batch_mean(&self.logits, targets.iter(), &mut gradient)?);
        };
        let outputs = potentials.outputs(&self.logits, &self.features)?;
        let mut gradient = vec![0.0; outputs.len()];
        let shared = &potentials.shared;
        Ok(shared
            .batch_mean(&outputs, targets.iter(), &mut gradient)?
            .value)
    }

    /// The mergeable statistics of these features.
    ///
    /// # Errors
    /// From the mathematics, when a feature is not finite.
    pub fn statistics(&self, dim: usize, targets: &Targets) -> Result<Statistics> {
        let mut statistics = Statistics::new(targets.num_classes(), dim);
        statistics.update(&self.features, targets)?;
        Ok(statistics)
    }
}

/// The last layer in double precision.
///
/// # Errors
/// From the mathematics, when a weight is not finite.
pub(crate) fn classifier(engine: &dyn Engine) -> Result<LinearClassifier> {
    let (weight, bias) = engine.classifier()?;
    let dim = engine.feature_dim();
    Ok(LinearClassifier::from_rows(&weight, &bias, dim)?)
}
