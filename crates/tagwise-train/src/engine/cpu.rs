//! The engine on the processor.

use std::ops::ControlFlow;

use tagwise_nn::{Device, NamedTensor, Network, NetworkSpec, Sgd, SgdConfig};

use super::{Batch, Engine, Epoch, Objective, Pass};
use crate::{Error, Extracted, Result};

/// [`tagwise_nn`]'s network and optimiser, with the loss computed in f64 beside them.
#[derive(Debug)]
pub struct CpuEngine {
    network: Network,
    optimiser: Sgd,
    grad_logits: Vec<f32>,
    grad_features: Vec<f32>,
    /// Images of one batch.
    pixels: Vec<f32>,
}

impl CpuEngine {
    /// A network with random weights and an optimiser at rest.
    ///
    /// # Errors
    /// [`Error::Engine`](crate::Error::Engine) when no such network exists.
    pub fn new(spec: &NetworkSpec, seed: u64, device: Device, sgd: SgdConfig) -> Result<Self> {
        let network = Network::new(spec, seed, device)?;
        Ok(Self {
            optimiser: Sgd::new(sgd, &network),
            network,
            grad_logits: Vec::new(),
            grad_features: Vec::new(),
            pixels: Vec::new(),
        })
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// One step of the optimiser along the gradient of the objective, and the batch's mean loss
    /// before it, without the feature decay.
    ///
    /// A loss that is not finite is returned and no weight moves.
    ///
    /// # Errors
    /// When the batch does not have the network's shapes.
    pub fn step(
        &mut self,
        batch: Batch<'_>,
        objective: &Objective,
        learning_rate: f64,
    ) -> Result<f64> {
        let batch_size = batch.targets.len();
        self.network.forward_train(batch.images, batch_size)?;
        self.grad_logits.resize(self.network.logits().len(), 0.0);
        let loss = objective.loss.batch_mean(
            self.network.logits(),
            batch.targets.iter().copied(),
            &mut self.grad_logits,
        )?;
        if !loss.is_finite() {
            return Ok(loss);
        }
        self.decay_features(objective, batch_size);
        self.network
            .backward(&self.grad_logits, Some(&self.grad_features))?;
        self.optimiser
            .step(&mut self.network, learning_rate as f32)?;
        Ok(loss)
    }

    /// Leaves the gradient of the feature decay in `grad_features`.
    fn decay_features(&mut self, objective: &Objective, batch_size: usize) {
        let factor = objective.feature_gradient_factor(batch_size);
        let features = self.network.features().iter();
        self.grad_features.clear();
        self.grad_features
            .extend(features.map(|&h| (factor * f64::from(h)) as f32));
    }
}

impl Engine for CpuEngine {
    fn spec(&self) -> &NetworkSpec {
        self.network.spec()
    }

    fn feature_dim(&self) -> usize {
        self.network.feature_dim()
    }

    fn device(&self) -> String {
        self.network.device().to_string()
    }

    fn learn(
        &mut self,
        epoch: Epoch<'_>,
        report: &mut dyn FnMut(&[f64]) -> ControlFlow<()>,
    ) -> Result<()> {
        let train = &epoch.data.train;
        let image_len = train.shape().num_elements();
        let mut pixels = std::mem::take(&mut self.pixels);
        let mut targets = Vec::with_capacity(epoch.batch_size.min(epoch.order.len()));
        for (indices, learning_rate) in epoch.steps() {
            pixels.resize(indices.len() * image_len, 0.0); // [B, H, W, C]
            train.batch_into(indices, &mut pixels);
            targets.clear();
            targets.extend(indices.iter().map(|&i| train.targets().set(i)));
            let batch = Batch {
                images: &pixels,
                targets: &targets,
            };
            let loss = self.step(batch, epoch.objective, learning_rate)?;
            if report(&[loss]).is_break() {
                break;
            }
        }
        self.pixels = pixels;
        Ok(())
    }

    fn extract(
        &mut self,
        pass: Pass<'_>,
        extracted: &mut Extracted,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let set = pass.data.split(pass.split);
        let indices: Vec<usize> = (0..set.len()).collect();
        let mut pixels = std::mem::take(&mut self.pixels);
        for indices in indices.chunks(pass.batch_size) {
            pixels.resize(indices.len() * set.shape().num_elements(), 0.0); // [B, H, W, C]
            set.batch_into(indices, &mut pixels);
            self.network.forward_eval(&pixels, indices.len())?;
            extracted
                .features
                .extend_from_slice(self.network.features());
            extracted.logits.extend_from_slice(self.network.logits());
            if progress(indices.len()).is_break() {
                return Err(Error::Interrupted);
            }
        }
        self.pixels = pixels;
        Ok(())
    }

    fn classifier(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let weight = self.network.classifier_weight().to_vec();
        Ok((weight, self.network.classifier_bias().to_vec()))
    }

    fn state(&self) -> Result<Vec<NamedTensor>> {
        Ok(self.network.state())
    }

    fn load_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        Ok(self.network.load_state(tensors)?)
    }

    fn optimiser_state(&self) -> Result<Vec<NamedTensor>> {
        Ok(self.optimiser.state(&self.network)?)
    }

    fn load_optimiser_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        Ok(self.optimiser.load_state(&self.network, tensors)?)
    }
}

#[cfg(test)]
mod tests {
    use tagwise::LabelSet;
    use tagwise::loss::Loss;
    use tagwise_nn::{Architecture, ClassifierKind, ImageShape};

    use super::*;
    use crate::Reduction;

    fn engine() -> CpuEngine {
        let spec = NetworkSpec {
            architecture: Architecture::Small,
            input: ImageShape {
                height: 8,
                width: 8,
                channels: 1,
            },
            num_classes: 3,
            feature_dim: Some(8),
            classifier: ClassifierKind::Learned,
        };
        CpuEngine::new(&spec, 3, Device::cpu().unwrap(), SgdConfig::default()).unwrap()
    }

    fn objective(reduction: Reduction) -> Objective {
        Objective {
            loss: Loss::default(),
            feature_decay: 0.3,
            feature_decay_reduction: reduction,
        }
    }

    #[test]
    fn feature_decay_gradient_matches_central_differences() {
        let images: Vec<f32> = (0..2 * 64).map(|i| (i % 7) as f32 / 7.0).collect();
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let mut engine = engine();
            engine.network.forward_train(&images, 2).unwrap();
            engine.decay_features(&objective(reduction), 2);
            let penalty = |features: &[f64]| {
                let sum: f64 = features.iter().map(|h| h * h).sum();
                match reduction {
                    Reduction::Mean => 0.3 * sum / 2.0,
                    Reduction::Sum => 0.3 * sum,
                }
            };
            let features: Vec<f64> = engine
                .network
                .features()
                .iter()
                .map(|&h| h.into())
                .collect();
            for i in 0..features.len() {
                let moved = |step: f64| {
                    let mut moved = features.clone();
                    moved[i] += step;
                    penalty(&moved)
                };
                let difference = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                assert!((difference - f64::from(engine.grad_features[i])).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_step_lowers_the_loss_and_a_loss_that_is_no_number_moves_nothing() {
        let mut engine = engine();
        let images: Vec<f32> = (0..2 * 64).map(|i| (i % 5) as f32 / 5.0).collect();
        let (one, two) = (LabelSet::new([0]), LabelSet::new([1, 2]));
        let targets = [&one, &two];
        let objective = objective(Reduction::Mean);
        let mut step = |images: &[f32]| {
            let targets = &targets;
            engine.step(Batch { images, targets }, &objective, 0.05)
        };
        let first = step(&images).unwrap();
        let later = (0..20).map(|_| step(&images).unwrap()).last().unwrap();
        assert!(later < first, "{later} is below {first}");

        let before = engine.optimiser_state().unwrap();
        let weights = engine.classifier().unwrap();
        let images = vec![f32::NAN; 2 * 64];
        let batch = Batch {
            images: &images,
            targets: &targets,
        };
        let loss = engine.step(batch, &objective, 0.05).unwrap();
        assert!(loss.is_nan());
        assert_eq!(before, engine.optimiser_state().unwrap());
        assert_eq!(weights, engine.classifier().unwrap());
    }
}
