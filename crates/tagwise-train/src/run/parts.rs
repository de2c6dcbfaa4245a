//! What an experiment stands for, before it has a folder.

use tagwise_nn::{ClassifierKind, Device, NamedTensor, Network, Sgd};

use crate::{DataSets, Error, Experiment, Result, RunMemory};

/// Rounding of an ETF in f32, and of its way through a file.
const ETF_TOLERANCE: f32 = 1e-5;

/// Data, network and optimiser of an experiment.
pub(super) struct Parts {
    pub(super) data: DataSets,
    pub(super) network: Network,
    pub(super) optimiser: Sgd,
    pub(super) memory: RunMemory,
}

impl Parts {
    /// Reads and plans the data, makes sure that the run fits into memory, and builds the
    /// network with random weights.
    ///
    /// # Errors
    /// [`Error::Configuration`] for data and networks that cannot be meant; [`Error::NoData`],
    /// [`Error::Data`] and [`Error::Memory`] for what this machine lacks.
    pub(super) fn build(experiment: &Experiment, device: Device) -> Result<Self> {
        let data =
            DataSets::load(&experiment.data, experiment.seed).map_err(|error| match error {
                Error::Data(error) if error.is_about_settings() => {
                    Error::Configuration(error.to_string())
                }
                other => other,
            })?;
        let spec = experiment.network_spec(data.image_shape(), data.num_classes());
        let unbuildable = |error: tagwise_nn::Error| Error::Configuration(error.to_string());
        spec.num_trainable().map_err(unbuildable)?;
        let memory = RunMemory::new(experiment, &data, &spec, device)?;
        memory.expect_room(experiment)?;
        let mut network = Network::new(&spec, experiment.seed, device).map_err(unbuildable)?;
        let optimiser = Sgd::new(experiment.training.sgd(), &mut network);
        Ok(Self {
            data,
            network,
            optimiser,
            memory,
        })
    }

    /// Starts from the weights that the experiment names, if it names any.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::WeightsNotFinite`] and [`Error::NotTheEtf`].
    pub(super) fn load_weights(&mut self, experiment: &Experiment) -> Result<()> {
        let Some(path) = &experiment.network.weights else {
            return Ok(());
        };
        let tensors = tagwise_nn::read_safetensors(path)?;
        if let Some((tensor, value)) = first_not_finite(&tensors) {
            return Err(Error::WeightsNotFinite {
                path: path.clone(),
                tensor,
                value,
            });
        }
        let etf = match experiment.network.classifier {
            ClassifierKind::FixedEtf => Some(self.network.classifier_weight().to_vec()),
            ClassifierKind::Learned => None,
        };
        self.network
            .load_state(&tensors)
            .map_err(|source| Error::Weights {
                path: path.clone(),
                source,
            })?;
        let differs = etf.is_some_and(|etf| {
            let loaded = self.network.classifier_weight();
            etf.iter()
                .zip(loaded)
                .any(|(a, b)| (a - b).abs() > ETF_TOLERANCE)
        });
        if differs {
            return Err(Error::NotTheEtf(path.clone()));
        }
        Ok(())
    }
}

fn first_not_finite(tensors: &[NamedTensor]) -> Option<(String, f32)> {
    tensors.iter().find_map(|tensor| {
        let value = tensor.data.iter().find(|value| !value.is_finite())?;
        Some((tensor.name.clone(), *value))
    })
}
