//! How a run comes to its network: built anew, with given weights, or as a checkpoint left it.

use tagwise_nn::{ClassifierKind, Device, NamedTensor};

use crate::{CpuEngine, DataSets, Engine, Error, Experiment, LearnedPotentials, Result, RunMemory};

/// Rounding of an ETF in f32, and of its way through a file.
const ETF_TOLERANCE: f32 = 1e-5;

/// The engine of an experiment on a device, with random weights, and the memory that the run will
/// take, which is sure to be there.
///
/// # Errors
/// [`Error::Configuration`] for networks that cannot be meant, [`Error::Memory`] for what this
/// machine lacks.
pub(super) fn build(
    experiment: &Experiment,
    data: &DataSets,
    device: Device,
) -> Result<(CpuEngine, RunMemory)> {
    let device = device.with_precision(experiment.training.precision);
    let spec = experiment.network_spec(data.image_shape(), data.num_classes());
    let unbuildable = |error: tagwise_nn::Error| Error::Configuration(error.to_string());
    spec.num_trainable().map_err(unbuildable)?;
    let memory = RunMemory::new(experiment, data, &spec, device)?;
    memory.expect_room(experiment)?;
    let engine = CpuEngine::new(&spec, experiment.seed, device, experiment.training.sgd());
    let engine = engine.map_err(|error| match error {
        Error::Engine(error) => unbuildable(error),
        other => other,
    })?;
    let potentials = LearnedPotentials::of_experiment(experiment, data, engine.feature_dim())?;
    let engine = match potentials {
        Some(potentials) => engine.with_potentials(potentials),
        None => engine,
    };
    Ok((engine, memory))
}

/// Starts from the weights that the experiment names, if it names any.
///
/// # Errors
/// [`Error::Weights`], [`Error::WeightsNotFinite`] and [`Error::NotTheEtf`].
pub(super) fn load_weights(engine: &mut dyn Engine, experiment: &Experiment) -> Result<()> {
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
        ClassifierKind::FixedEtf => Some(engine.classifier()?.0),
        ClassifierKind::Learned => None,
    };
    engine
        .load_state(&tensors)
        .map_err(|error| error.about_weights(path))?;
    let Some(etf) = etf else { return Ok(()) };
    let (loaded, _) = engine.classifier()?;
    let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= ETF_TOLERANCE;
    match etf.iter().zip(&loaded).all(is_near) {
        true => Ok(()),
        false => Err(Error::NotTheEtf(path.clone())),
    }
}

fn first_not_finite(tensors: &[NamedTensor]) -> Option<(String, f32)> {
    tensors.iter().find_map(|tensor| {
        let value = tensor.data.iter().find(|value| !value.is_finite())?;
        Some((tensor.name.clone(), *value))
    })
}
