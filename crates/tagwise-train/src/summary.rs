//! The final tables of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tagwise::collapse::CollapseReport;
use tagwise::evaluate::Evaluation;
use tagwise_data::ImageSet;
use tagwise_nn::{Architecture, ClassifierKind, NetworkSpec};

use crate::{DataSets, Engine, Result};

/// What a finished run tells: the content of `summary.json` and of `--json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the experiment.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The run folder, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Version, git revision, device and threads.
    pub provenance: BTreeMap<String, String>,
    /// Seconds of all epochs together, measurements included.
    pub seconds: f64,
    /// The data sets.
    pub data: DataSummary,
    /// The network and its parameters.
    pub network: NetworkSummary,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch whose weights decode the test set.
    pub selected_epoch: usize,
    /// Mean loss of the training set, in evaluation mode, after the last epoch.
    pub train_loss: f64,
    /// Collapse of the training set before the first and after the last epoch.
    pub collapse: FirstAndLast,
    /// Quality on the test set, one entry per decoder that the features allow.
    pub test: Vec<DecoderResult>,
}

/// Name, classes and sizes of the data sets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataSummary {
    /// What a person calls it, for example "M-lab digits".
    pub title: String,
    /// Number of classes K.
    pub num_classes: usize,
    /// Height, width and channels of an image.
    pub image_shape: [usize; 3],
    /// Images of each multiplicity in the training set.
    pub train: BTreeMap<usize, usize>,
    /// Images of each multiplicity in the validation set.
    pub validation: BTreeMap<usize, usize>,
    /// Images of each multiplicity in the test set.
    pub test: BTreeMap<usize, usize>,
}

impl DataSummary {
    pub(crate) fn new(data: &DataSets) -> Self {
        let shape = data.train.shape();
        Self {
            title: data.title().to_string(),
            num_classes: data.num_classes(),
            image_shape: [shape.height, shape.width, shape.channels],
            train: by_multiplicity(&data.train),
            validation: by_multiplicity(&data.validation),
            test: by_multiplicity(&data.test),
        }
    }
}

/// The network that was trained.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkSummary {
    /// The family.
    pub architecture: Architecture,
    /// Learned or fixed ETF.
    pub classifier: ClassifierKind,
    /// Feature dimension d.
    pub feature_dim: usize,
    /// How many parameters are trained.
    pub parameters: ParameterCount,
}

impl NetworkSummary {
    pub(crate) fn new(engine: &dyn Engine) -> Result<Self> {
        Ok(Self {
            architecture: engine.spec().architecture,
            classifier: engine.spec().classifier,
            feature_dim: engine.feature_dim(),
            parameters: ParameterCount::new(engine.spec())?,
        })
    }
}

/// Trainable parameters of a network, beside those of the same architecture with its own feature
/// dimension and a learned classifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterCount {
    /// Trainable parameters of this network.
    pub trainable: usize,
    /// Trainable parameters of the architecture with a learned classifier.
    pub learned_head: usize,
    /// 1 − trainable/learned_head.
    pub saving: f64,
}

impl ParameterCount {
    /// Counts the parameters of a network and of its learned counterpart.
    ///
    /// # Errors
    /// From the engine, when no such network exists.
    pub fn new(spec: &NetworkSpec) -> Result<Self> {
        let learned = NetworkSpec {
            feature_dim: None,
            classifier: ClassifierKind::Learned,
            ..spec.clone()
        };
        let trainable = spec.num_trainable()?;
        let learned_head = learned.num_trainable()?;
        Ok(Self {
            trainable,
            learned_head,
            saving: 1.0 - trainable as f64 / learned_head as f64,
        })
    }
}

/// The same measurement at both ends of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FirstAndLast {
    /// The initial network.
    pub first: CollapseReport,
    /// After the last epoch.
    pub last: CollapseReport,
}

/// Quality of the label sets that one decoder finds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecoderResult {
    /// What a person calls the decoder.
    pub decoder: String,
    /// How it was set, for example the threshold and where it comes from.
    pub setting: String,
    /// What it was told beside the training and validation sets.
    #[serde(default)]
    pub knows: Knows,
    /// Measures over the test set.
    pub evaluation: Evaluation,
}

/// What a decoder is told about the samples of the test set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knows {
    /// Their features alone, as in use.
    #[default]
    Features,
    /// The true number of labels as well: a bound for comparison, and never the best decoder.
    Multiplicity,
}

/// Samples of each multiplicity.
fn by_multiplicity(images: &ImageSet) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for set in images.targets().iter() {
        *counts.entry(set.multiplicity()).or_insert(0) += 1;
    }
    counts
}
