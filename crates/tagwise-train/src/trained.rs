//! A trained network for new images.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tagwise::LinearClassifier;
use tagwise::form::Form;
use tagwise_data::{ImageSet, ImageShape, Normalisation};
use tagwise_nn::blueprint::InputScale;
use tagwise_nn::{Device, NamedTensor, Network, NetworkSpec, read_safetensors};

use crate::{DataSets, Error, Extracted, Result, RunFolder};

/// What new images must be for a network, and what comes out: the file `network.json` of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDescription {
    /// The version of this form, 1.
    pub version: u32,
    /// The network.
    pub network: NetworkSpec,
    /// What its K classes are called.
    pub class_names: Vec<String>,
    /// What is subtracted from the values (0 to 1) of each channel.
    pub mean: Vec<f32>,
    /// What they are divided by then.
    pub std: Vec<f32>,
}

impl NetworkDescription {
    /// The description of a network that learns from these data.
    pub(crate) fn new(network: NetworkSpec, data: &DataSets) -> Self {
        let channels = network.input.channels;
        let Normalisation { mean, std } = match &data.train {
            ImageSet::Stored(images) => images.normalisation().clone(),
            ImageSet::Composed(_) => Normalisation {
                mean: vec![0.0; channels],
                std: vec![1.0; channels],
            },
        };
        Self {
            version: Form::Network.version(),
            network,
            class_names: data.class_names().to_vec(),
            mean,
            std,
        }
    }

    /// Reads the file of a run; a run of before there was one is described from its data again.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Checkpoint`] when it is something else;
    /// without it, as [`Experiment::data_sets`](crate::Experiment::data_sets).
    pub fn of_run(run: &RunFolder) -> Result<Self> {
        let path = run.file(FILE);
        let wrong = |message: String| Error::Checkpoint {
            path: path.clone(),
            message,
        };
        if !path.is_file() {
            let experiment = run.experiment()?;
            let data = experiment.data_sets()?;
            let spec = experiment.network_spec(data.image_shape(), data.num_classes());
            return Ok(Self::new(spec, &data));
        }
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        let description: Self = serde_json::from_str(&text).map_err(|error| {
            wrong(format!(
                "expected the description of a network, found {error}"
            ))
        })?;
        description.check().map_err(wrong)?;
        Ok(description)
    }

    fn check(&self) -> Result<(), String> {
        let channels = self.network.input.channels;
        let version = Form::Network.check(Some(self.version));
        version.map_err(|error| error.to_string())?;
        let found = [
            (
                "names of classes",
                self.network.num_classes,
                self.class_names.len(),
            ),
            ("channel means", channels, self.mean.len()),
            ("channel deviations", channels, self.std.len()),
        ];
        for (what, expected, found) in found {
            if expected != found {
                return Err(format!("expected {expected} {what}, found {found}"));
            }
        }
        match self.std.iter().all(|std| *std > 0.0) {
            true => Ok(()),
            false => Err("expected channel deviations above 0, found another".into()),
        }
    }

    /// The shape that new images are brought to.
    pub fn image_shape(&self) -> ImageShape {
        self.network.input
    }
}

/// The name of the file in a run's folder.
pub(crate) const FILE: &str = "network.json";

/// The trained network of a finished run.
///
/// ```no_run
/// use tagwise_nn::Device;
/// use tagwise_train::{RunFolder, TrainedNetwork};
///
/// let run = RunFolder::open("runs/digits-001".as_ref())?;
/// let mut network = TrainedNetwork::of_run(&run, Device::cpu()?)?;
/// let image = vec![0u8; network.description().image_shape().num_elements()];
/// let extracted = network.extract(&[image])?;
/// assert_eq!(extracted.logits.len(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TrainedNetwork {
    description: NetworkDescription,
    network: Network,
}

impl TrainedNetwork {
    /// Reads network and weights of a run.
    ///
    /// # Errors
    /// As [`NetworkDescription::of_run`]; [`Error::Engine`] or [`Error::Weights`] for weights that
    /// are missing or another network's.
    pub fn of_run(run: &RunFolder, device: Device) -> Result<Self> {
        let description = NetworkDescription::of_run(run)?;
        let path = run.file("weights.safetensors");
        let weights = read_safetensors(&path)?;
        let mut network = Network::new(&description.network, 0, device)?;
        let loaded = network.load_state(&weights).map_err(Error::from);
        loaded.map_err(|error| error.about_weights(&path))?;
        Ok(Self {
            description,
            network,
        })
    }

    /// What images must be, and what the classes are called.
    pub fn description(&self) -> &NetworkDescription {
        &self.description
    }

    /// The last layer in double precision.
    ///
    /// # Errors
    /// From the mathematics, when a weight is not finite.
    pub fn classifier(&self) -> Result<LinearClassifier> {
        let (weight, bias) = (
            self.network.classifier_weight(),
            self.network.classifier_bias(),
        );
        Ok(LinearClassifier::from_rows(
            weight,
            bias,
            self.network.feature_dim(),
        )?)
    }

    /// Features and logits of images, each `[height, width, channels]` of bytes.
    ///
    /// # Errors
    /// [`Error::Engine`] for images of another shape.
    pub fn extract(&mut self, images: &[Vec<u8>]) -> Result<Extracted> {
        const BATCH: usize = 64;
        let size = self.description.image_shape().num_elements();
        let mut extracted = Extracted {
            features: Vec::with_capacity(images.len() * self.network.feature_dim()),
            logits: Vec::with_capacity(images.len() * self.description.class_names.len()),
        };
        for images in images.chunks(BATCH) {
            let mut batch = vec![0.0; images.len() * size]; // [B, H, W, C]
            let (mean, std) = (&self.description.mean, &self.description.std);
            batch
                .par_chunks_exact_mut(size)
                .zip(images)
                .for_each(|(values, bytes)| {
                    for (place, (value, &byte)) in values.iter_mut().zip(bytes).enumerate() {
                        let channel = place % mean.len();
                        *value = (f32::from(byte) / 255.0 - mean[channel]) / std[channel];
                    }
                });
            self.network.forward_eval(&batch, images.len())?;
            extracted
                .features
                .extend_from_slice(self.network.features());
            extracted.logits.extend_from_slice(self.network.logits());
        }
        Ok(extracted)
    }

    /// The network as an ONNX model whose input is images of values from 0 to 1, see
    /// [`Blueprint::to_onnx`](tagwise_nn::blueprint::Blueprint::to_onnx).
    ///
    /// # Errors
    /// From the engine, when no such network exists.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let NetworkDescription {
            network,
            class_names,
            mean,
            std,
            ..
        } = &self.description;
        let tensors: Vec<NamedTensor> = self.network.state();
        let scale = Some(InputScale { mean, std });
        Ok(network
            .blueprint()?
            .to_onnx(&tensors, scale, Some(class_names))?)
    }
}

/// Writes the description where a run keeps it.
pub(crate) fn to_json(description: &NetworkDescription) -> Vec<u8> {
    serde_json::to_vec_pretty(description)
        .unwrap_or_else(|error| unreachable!("a description is plain values: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> NetworkDescription {
        let text = r#"{"version":1,"network":{"architecture":"small","input":{"height":8,"width":8,"channels":1},
            "num_classes":2,"feature_dim":4,"classifier":"learned"},"class_names":["a","b"],"mean":[0.5],"std":[0.25]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn descriptions_that_do_not_fit_together_are_refused() {
        description().check().unwrap();
        let refused = |change: fn(&mut NetworkDescription)| {
            let mut description = description();
            change(&mut description);
            description.check().unwrap_err()
        };
        insta::assert_snapshot!(refused(|d| d.version = 2), @"tagwise network: expected version 1 at most, found 2; read it with a newer program");
        insta::assert_snapshot!(refused(|d| d.class_names.truncate(1)), @"expected 2 names of classes, found 1");
        insta::assert_snapshot!(refused(|d| d.mean.push(0.0)), @"expected 1 channel means, found 2");
        insta::assert_snapshot!(refused(|d| d.std[0] = 0.0), @"expected channel deviations above 0, found another");
    }

    #[test]
    fn bytes_are_scaled_as_in_training() {
        let description = description();
        let network = Network::new(&description.network, 3, Device::cpu().unwrap()).unwrap();
        let mut trained = TrainedNetwork {
            network,
            description,
        };
        let bytes: Vec<u8> = (0..64).map(|i| (i * 4) as u8).collect();
        let extracted = trained.extract(&[bytes.clone(), vec![0; 64]]).unwrap();
        let values: Vec<f32> = bytes
            .iter()
            .map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.25)
            .collect();
        trained.network.forward_eval(&values, 1).unwrap();
        assert_eq!(trained.network.logits(), &extracted.logits[..2]);
        assert_eq!(extracted.features.len(), 2 * 4);
        let classifier = trained.classifier().unwrap();
        assert_eq!((classifier.num_classes(), classifier.dim()), (2, 4));
    }
}
