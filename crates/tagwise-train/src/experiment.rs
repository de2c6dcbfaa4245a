//! The description of one run: everything that decides its outcome, as one TOML file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tagwise::loss::Loss;
use tagwise_data::ComposeSpec;
use tagwise_nn::{Architecture, ClassifierKind, NetworkSpec};

use crate::{Error, Result};

/// One run that can be repeated: data, network, loss, optimiser and what is measured.
///
/// The defaults are the first command's: M-lab digits and the small network. Unknown keys are
/// errors. Every field can be set in a TOML file or on the command line with `--set a.b=c`.
///
/// ```
/// use tagwise_train::Experiment;
///
/// let experiment = Experiment::from_toml("[training]\nepochs = 2", &["seed=3"])?;
/// assert_eq!((experiment.seed, experiment.training.epochs), (3, 2));
/// assert!(Experiment::from_toml("sead = 3", &[]).is_err());
/// # Ok::<(), tagwise_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Name of the run, used for its folder and in its report.
    pub name: String,
    /// Seed of everything random: data split, composition, initial weights, batch order.
    pub seed: u64,
    /// Which images, and how they are composed.
    pub data: Data,
    /// The network.
    pub network: Network,
    /// The loss on the logits.
    pub loss: Loss,
    /// The optimiser and its schedule.
    pub training: Training,
    /// What is measured and when.
    pub evaluation: Evaluation,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "digits".into(),
            seed: 0,
            data: Data::default(),
            network: Network::default(),
            loss: Loss::default(),
            training: Training::default(),
            evaluation: Evaluation::default(),
        }
    }
}

/// The source images, their division and what is composed from each part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Where the single-label images come from.
    pub source: Source,
    /// Share of the source images kept for the test set, drawn before anything is composed.
    pub test_fraction: f64,
    /// Share of the remaining source images kept for validation.
    pub validation_fraction: f64,
    /// The training set.
    pub train: ComposeSpec,
    /// The validation set, on which thresholds are chosen.
    pub validation: ComposeSpec,
    /// The test set, which is looked at once, after training.
    pub test: ComposeSpec,
}

/// A set of single-label images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The UCI handwritten digits, 1,797 grey images of 8×8 pixels, embedded in the program.
    #[default]
    Digits,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            source: Source::default(),
            test_fraction: 0.25,
            validation_fraction: 0.15,
            train: balanced(2, 10, TRAIN_PER_MULTIPLICITY),
            validation: balanced(2, 10, VALIDATION_PER_MULTIPLICITY),
            test: balanced(2, 10, TEST_PER_MULTIPLICITY),
        }
    }
}

/// Images of each multiplicity in the digits' training, validation and test set, about.
const TRAIN_PER_MULTIPLICITY: usize = 2700;
const VALIDATION_PER_MULTIPLICITY: usize = 450;
const TEST_PER_MULTIPLICITY: usize = 900;

impl Data {
    /// The same data with label sets of up to this many labels, about as many images of each
    /// multiplicity as the digits have by default.
    ///
    /// # Errors
    /// [`Error::Configuration`] unless it lies between 1 and the number of classes.
    pub fn set_max_multiplicity(&mut self, max_multiplicity: usize) -> Result<()> {
        let num_classes = self.source.num_classes();
        if !(1..=num_classes).contains(&max_multiplicity) {
            let expected = format!("from 1 to {num_classes}, the number of classes");
            return Err(out_of_range(
                "the largest multiplicity",
                &expected,
                max_multiplicity,
            ));
        }
        for (spec, images) in [
            (&mut self.train, TRAIN_PER_MULTIPLICITY),
            (&mut self.validation, VALIDATION_PER_MULTIPLICITY),
            (&mut self.test, TEST_PER_MULTIPLICITY),
        ] {
            spec.per_multiplicity =
                balanced(max_multiplicity, num_classes, images).per_multiplicity;
        }
        Ok(())
    }
}

impl Source {
    /// Number of classes K.
    pub fn num_classes(self) -> usize {
        match self {
            Self::Digits => 10,
        }
    }

    /// What a person calls the composed data set.
    pub fn title(self) -> &'static str {
        match self {
            Self::Digits => "M-lab digits",
        }
    }
}

/// About `images` images of each multiplicity, as many of one label set as of another.
fn balanced(max_multiplicity: usize, num_classes: usize, images: usize) -> ComposeSpec {
    let mut num_sets = 1;
    let per_multiplicity = (1..=max_multiplicity)
        .map(|m| {
            num_sets = num_sets * (num_classes + 1).saturating_sub(m) / m;
            (images / num_sets.max(1)).max(1)
        })
        .collect();
    ComposeSpec {
        per_multiplicity,
        ..ComposeSpec::default()
    }
}

/// The network: an architecture, the dimension of its features and its classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Which architecture.
    pub architecture: Architecture,
    /// Dimension d of the features; the architecture's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_dim: Option<usize>,
    /// Learned, or a simplex ETF that stays as it is.
    pub classifier: ClassifierKind,
    /// Weights to start from, a safetensors file with torchvision's names; random when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            architecture: Architecture::Small,
            feature_dim: None,
            classifier: ClassifierKind::Learned,
            weights: None,
        }
    }
}

/// Stochastic gradient descent with momentum and a cosine schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images in a step.
    pub batch_size: usize,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// The learning rate falls to this share of the first along a half cosine.
    pub final_learning_rate_ratio: f64,
    /// Momentum, without dampening.
    pub momentum: f64,
    /// Weight decay λ: the gradient of every trainable parameter θ gets λθ.
    pub weight_decay: f64,
    /// Feature decay λ_h: the loss gets λ_h‖h‖², reduced over the batch as the next field says.
    pub feature_decay: f64,
    /// Mean per sample, or the sum over the batch as in the authors' public code.
    pub feature_decay_reduction: Reduction,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch_size: 64,
            learning_rate: 0.1,
            final_learning_rate_ratio: 1e-3,
            momentum: 0.9,
            weight_decay: 5e-4,
            feature_decay: 0.05,
            feature_decay_reduction: Reduction::Mean,
        }
    }
}

/// How a penalty of every sample becomes one number of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Divided by the number of samples in the batch.
    #[default]
    Mean,
    /// Added up: the weight of a sample grows with the batch size.
    Sum,
}

/// What is measured and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Collapse and validation are measured after every so many epochs, and after the last.
    pub every: usize,
    /// Images in a batch when nothing is learned.
    pub batch_size: usize,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            every: 1,
            batch_size: 256,
        }
    }
}

impl Experiment {
    /// Reads an experiment and applies `key.path=value` overrides in order.
    ///
    /// A value is read as TOML and, when it is none, taken as a string.
    ///
    /// # Errors
    /// [`Error::Configuration`] for text that is not TOML, unknown keys, values of the wrong
    /// type or outside their range, and overrides without `=`.
    pub fn from_toml(text: &str, overrides: &[&str]) -> Result<Self> {
        let mut table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error::Configuration(one_line(&error)))?;
        for assignment in overrides {
            apply(&mut table, assignment)?;
        }
        let experiment: Self = serde_path_to_error::deserialize(toml::Value::Table(table))
            .map_err(|error| {
                let message = one_line(error.inner());
                Error::Configuration(match error.path().to_string().as_str() {
                    "." => message,
                    path => format!("{path}: {message}"),
                })
            })?;
        experiment.validate()?;
        Ok(experiment)
    }

    /// The whole experiment, every field written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| {
            unreachable!("an experiment is plain tables, numbers and strings: {error}")
        })
    }

    /// The network that this experiment trains, for images of this shape.
    pub fn network_spec(&self, input: tagwise_data::ImageShape) -> NetworkSpec {
        NetworkSpec {
            architecture: self.network.architecture,
            input: tagwise_nn::ImageShape {
                height: input.height,
                width: input.width,
                channels: input.channels,
            },
            num_classes: self.data.source.num_classes(),
            feature_dim: self.network.feature_dim,
            classifier: self.network.classifier,
        }
    }

    /// Whether every value lies in the range where it means something.
    ///
    /// # Errors
    /// [`Error::Configuration`] that names the first field that does not.
    pub fn validate(&self) -> Result<()> {
        let training = &self.training;
        let plain_name = !self.name.is_empty()
            && self
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !self.name.starts_with('.');
        if !plain_name {
            return Err(out_of_range(
                "name",
                "letters, digits, '-', '_' and '.' (it names a folder)",
                &self.name,
            ));
        }
        let at_least_one = [
            ("training.epochs", training.epochs),
            ("training.batch_size", training.batch_size),
            ("evaluation.every", self.evaluation.every),
            ("evaluation.batch_size", self.evaluation.batch_size),
            ("network.feature_dim", self.network.feature_dim.unwrap_or(1)),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(out_of_range(field, "at least 1", value));
            }
        }
        let ranges = [
            ("training.learning_rate", training.learning_rate, 0.0..=1e3),
            (
                "training.final_learning_rate_ratio",
                training.final_learning_rate_ratio,
                0.0..=1.0,
            ),
            (
                "training.momentum",
                training.momentum,
                0.0..=1.0 - f64::EPSILON,
            ),
            ("training.weight_decay", training.weight_decay, 0.0..=1e3),
            ("training.feature_decay", training.feature_decay, 0.0..=1e3),
            ("data.test_fraction", self.data.test_fraction, 0.01..=0.9),
            (
                "data.validation_fraction",
                self.data.validation_fraction,
                0.01..=0.9,
            ),
        ];
        for (field, value, range) in ranges {
            if !range.contains(&value) {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                return Err(out_of_range(field, &expected, value));
            }
        }
        if training.learning_rate == 0.0 {
            return Err(out_of_range(
                "training.learning_rate",
                "greater than 0",
                0.0,
            ));
        }
        Ok(())
    }
}

fn out_of_range(field: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::Configuration(format!("expected {field} to be {expected}, found {found}"))
}

/// What the TOML reader says without its drawing of the line.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', ", ")
}

/// Sets one key of a nested table from `a.b=value`.
fn apply(table: &mut toml::Table, assignment: &str) -> Result<()> {
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(Error::Configuration(format!(
            "expected key=value, for example training.epochs=5, found {assignment:?}"
        )));
    };
    let value = value.trim();
    let value = format!("value = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_string()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut place = table;
    for key in keys {
        let entry = place
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry.as_table_mut().ok_or_else(|| {
            Error::Configuration(format!("cannot set {path}: {key} is a value, not a table"))
        })?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}
