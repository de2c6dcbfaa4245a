//! The engine on the processor.

use std::ops::ControlFlow;

use tagwise::LabelSet;
use tagwise::head::HeadPotentials;
use tagwise_nn::{Device, NamedTensor, Network, NetworkSpec, Sgd, SgdConfig};

use super::potentials::{What, divided};
use super::{Batch, Engine, Epoch, LearnedPotentials, Objective, Pass};
use crate::{Error, Extracted, Result};

/// [`tagwise_nn`]'s network and optimiser, with the loss computed in f64 beside them.
#[derive(Debug)]
pub struct CpuEngine {
    network: Network,
    optimiser: Sgd,
    potentials: Option<LearnedPotentials>,
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
            potentials: None,
            grad_logits: Vec::new(),
            grad_features: Vec::new(),
            pixels: Vec::new(),
        })
    }

    /// The same, which learns these potentials: every step lowers the set likelihood with them,
    /// whatever the loss of the objective.
    #[must_use]
    pub fn with_potentials(self, potentials: LearnedPotentials) -> Self {
        Self {
            potentials: Some(potentials),
            ..self
        }
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Writes the slopes of the loss in logits and features, those of the feature decay included, and
    /// returns the loss without that decay.
    fn loss(&mut self, targets: &[&LabelSet], objective: &Objective) -> Result<f64> {
        let targets = targets.iter().copied();
        self.grad_logits.resize(self.network.logits().len(), 0.0);
        self.decay_features(objective, targets.len());
        let logits = self.network.logits();
        match &mut self.potentials {
            None => Ok(objective
                .loss
                .batch_mean(logits, targets, &mut self.grad_logits)?),
            Some(potentials) => potentials.batch_mean(
                (logits, self.network.features()),
                targets,
                &mut self.grad_logits,
                &mut self.grad_features,
            ),
        }
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
        let loss = self.loss(batch.targets, objective)?;
        if !loss.is_finite() {
            return Ok(loss);
        }
        self.network
            .backward(&self.grad_logits, Some(&self.grad_features))?;
        self.optimiser
            .step(&mut self.network, learning_rate as f32)?;
        if let Some(potentials) = &mut self.potentials {
            potentials.step(learning_rate as f32);
        }
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

impl CpuEngine {
    fn of_potentials(&self, what: What) -> Vec<NamedTensor> {
        let potentials = self.potentials.as_ref();
        potentials.map_or_else(Vec::new, |own| own.tensors(what))
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

    fn potentials(&self) -> Result<Option<HeadPotentials>> {
        self.potentials.as_ref().map(|own| own.head()).transpose()
    }

    fn state(&self) -> Result<Vec<NamedTensor>> {
        let mut state = self.network.state();
        state.extend(self.of_potentials(What::Values));
        Ok(state)
    }

    fn load_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let (of_potentials, of_network) = divided(tensors);
        let potentials = self.potentials.as_mut();
        match potentials.filter(|_| !of_potentials.is_empty()) {
            None => Ok(self.network.load_state(&of_network)?),
            Some(potentials) => {
                potentials.expect(What::Values, &of_potentials)?;
                self.network.load_state(&of_network)?;
                potentials.load(What::Values, &of_potentials)
            }
        }
    }

    fn optimiser_state(&self) -> Result<Vec<NamedTensor>> {
        let mut state = self.optimiser.state(&self.network)?;
        state.extend(self.of_potentials(What::Velocities));
        Ok(state)
    }

    fn load_optimiser_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let (of_potentials, of_network) = divided(tensors);
        if let Some(potentials) = &self.potentials {
            potentials.expect(What::Velocities, &of_potentials)?;
        }
        self.optimiser.load_state(&self.network, &of_network)?;
        match &mut self.potentials {
            None => Ok(()),
            Some(potentials) => potentials.load(What::Velocities, &of_potentials),
        }
    }
}

#[cfg(test)]
mod tests {
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
