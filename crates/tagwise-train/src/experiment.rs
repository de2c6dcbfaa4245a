//! The description of one run: everything that decides its outcome, as one TOML file.

mod data;
mod reference;
mod settings;

use serde::{Deserialize, Serialize};
use tagwise::loss::Loss;
use tagwise_data::{ImageShape, Source};
use tagwise_nn::NetworkSpec;
use toml::{Table, Value};

use crate::{DataSets, Error, Objective, Result};

pub use data::Data;
pub use reference::experiment_reference;
pub use settings::{EvaluationSettings, NetworkSettings, Reduction, Select, TrainingSettings};

/// One run that can be repeated: data, network, loss, optimiser and what is measured.
///
/// The defaults are the first command's: M-lab digits and the small network; another
/// `data.source` brings the paper's counts of that data set. Unknown keys are errors. Every field
/// can be set in a TOML file or on the command line with `--set a.b=c`.
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
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Name of the run, used for its folder and in its report.
    pub name: String,
    /// Seed of everything random: data split, composition, initial weights, batch order.
    pub seed: u64,
    /// Which images, and how they are composed.
    pub data: Data,
    /// The network.
    pub network: NetworkSettings,
    /// The loss on the logits.
    pub loss: Loss,
    /// The optimiser and its schedule.
    pub training: TrainingSettings,
    /// What is measured and when.
    pub evaluation: EvaluationSettings,
}

impl Default for Experiment {
    fn default() -> Self {
        Self::on(Source::default())
    }
}

/// More epochs, images in a batch or dimensions than these are a slip of the pen.
const MAX_EPOCHS: usize = 1_000_000;
const MAX_BATCH_SIZE: usize = 1 << 16;
const MAX_FEATURE_DIM: usize = 1 << 16;

/// TOML has no larger whole numbers.
const MAX_SEED: u64 = i64::MAX as u64;

impl Experiment {
    /// The experiment that a source of images has unless a file says otherwise.
    pub fn on(source: Source) -> Self {
        Self {
            name: source.name().into(),
            seed: 0,
            data: Data::of(source),
            network: NetworkSettings::default(),
            loss: Loss::default(),
            training: TrainingSettings::default(),
            evaluation: EvaluationSettings::default(),
        }
    }

    /// Reads an experiment and applies `key.path=value` overrides in order.
    ///
    /// A value is read as TOML and, when it is none, taken as a string.
    ///
    /// # Errors
    /// [`Error::Configuration`] for text that is not TOML, unknown keys, values of the wrong
    /// type or outside their range, and overrides without `=`.
    pub fn from_toml(text: &str, overrides: &[&str]) -> Result<Self> {
        let mut table: Table = text
            .parse()
            .map_err(|error| Error::Configuration(located(text, &error)))?;
        for assignment in overrides {
            apply(&mut table, assignment)?;
        }
        let source = match table.get("data").and_then(|data| data.get("source")) {
            None => Source::default(),
            Some(name) => name.clone().try_into().map_err(|error| {
                Error::Configuration(format!("data.source: {}", one_line(&error)))
            })?,
        };
        let mut complete = Self::on(source).to_table();
        merge(&mut complete, table);
        let experiment: Self =
            serde_path_to_error::deserialize(Value::Table(complete)).map_err(|error| {
                let message = one_line(error.inner());
                Error::Configuration(match error.path().to_string().as_str() {
                    "." => message,
                    path => format!("{path}: {message}"),
                })
            })?;
        experiment
            .validate()
            .map_err(|error| as_typed(error, overrides))?;
        Ok(experiment)
    }

    /// The whole experiment, every field written out.
    pub fn to_toml(&self) -> String {
        self.to_table().to_string()
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_else(|error| {
            unreachable!("an experiment is plain tables, numbers and strings: {error}")
        })
    }

    /// The network that this experiment trains, for images of this shape and so many classes.
    pub fn network_spec(&self, input: ImageShape, num_classes: usize) -> NetworkSpec {
        NetworkSpec {
            architecture: self.network.architecture,
            input,
            num_classes,
            feature_dim: self.network.feature_dim,
            classifier: self.network.classifier,
        }
    }

    /// The data sets that this experiment composes from its source images.
    ///
    /// # Errors
    /// As [`DataSets::load`]; [`Error::Configuration`] for compositions that cannot be met.
    pub fn data_sets(&self) -> Result<DataSets> {
        DataSets::load(&self.data, self.seed).map_err(|error| match error {
            Error::Data(error) if error.is_about_settings() => {
                Error::Configuration(error.to_string())
            }
            other => other,
        })
    }

    /// What a training step lowers.
    pub fn objective(&self) -> Objective {
        Objective {
            loss: self.loss,
            feature_decay: self.training.feature_decay,
            feature_decay_reduction: self.training.feature_decay_reduction,
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
        let (evaluation, feature_dim) = (&self.evaluation, self.network.feature_dim);
        let counts = [
            ("training.epochs", training.epochs, MAX_EPOCHS),
            ("training.batch_size", training.batch_size, MAX_BATCH_SIZE),
            ("evaluation.every", evaluation.every, MAX_EPOCHS),
            (
                "evaluation.batch_size",
                evaluation.batch_size,
                MAX_BATCH_SIZE,
            ),
            (
                "network.feature_dim",
                feature_dim.unwrap_or(1),
                MAX_FEATURE_DIM,
            ),
        ];
        for (field, value, most) in counts {
            if !(1..=most).contains(&value) {
                let expected = format!("a whole number from 1 to {most}");
                return Err(out_of_range(field, &expected, value));
            }
        }
        if self.seed > MAX_SEED {
            let expected = format!("a whole number from 0 to {MAX_SEED}");
            return Err(out_of_range("seed", &expected, self.seed));
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
        self.loss
            .validate()
            .map_err(|error| Error::Configuration(error.to_string()))?;
        self.data.validate()
    }
}

fn out_of_range(field: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::Configuration(format!("expected {field} to be {expected}, found {found}"))
}

/// The error with the value as it was typed, where it is about one that an override set.
fn as_typed(error: Error, overrides: &[&str]) -> Error {
    let Error::Configuration(message) = &error else {
        return error;
    };
    let typed = overrides.iter().rev().find_map(|assignment| {
        let (key, value) = assignment.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        let is_about = message.starts_with(&format!("expected {key} to be "));
        let (expected, found) = message.rsplit_once(", found ").filter(|_| is_about)?;
        let is_same = found == value || found == value.trim_matches(['"', '\'']);
        (!is_same).then(|| format!("{expected}, found {value}"))
    });
    typed.map_or(error, Error::Configuration)
}

/// What the TOML reader says without its drawing of the line, and in the words of a person.
fn one_line(error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', ", ");
    let words = [
        ("expected usize", "expected a whole number from 0"),
        ("expected u64", "expected a whole number from 0"),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("invalid type: ", "wrong kind of value: "),
    ];
    words.iter().fold(message, |message, (word, plain)| {
        message.replace(word, plain)
    })
}

/// The same with the line of the text where it happened.
fn located(text: &str, error: &toml::de::Error) -> String {
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", one_line(error))
        }
        None => one_line(error),
    }
}

/// Puts what a file says over the defaults, table by table; a table of another `name` replaces
/// the default one, whose other keys belong to the old name.
fn merge(defaults: &mut Table, said: Table) {
    for (key, value) in said {
        match (defaults.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new))
                if new
                    .get("name")
                    .is_none_or(|name| old.get("name") == Some(name)) =>
            {
                merge(old, new);
            }
            (_, value) => {
                defaults.insert(key, value);
            }
        }
    }
}

/// Sets one key of a nested table from `a.b=value`.
fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(Error::Configuration(format!(
            "expected key=value, for example training.epochs=5, found {assignment:?}"
        )));
    };
    let value = value.trim();
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_string()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut place = table;
    for key in keys {
        let entry = place
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().ok_or_else(|| {
            Error::Configuration(format!("cannot set {path}: {key} is a value, not a table"))
        })?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, overrides: &[&str]) -> String {
        Experiment::from_toml(text, overrides)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let sources = [
            Source::Digits,
            Source::Mnist,
            Source::FashionMnist,
            Source::Cifar10,
            Source::Svhn,
        ];
        for source in sources {
            let experiment = Experiment::on(source);
            experiment.validate().unwrap();
            assert_eq!(
                Experiment::from_toml(&experiment.to_toml(), &[]).unwrap(),
                experiment
            );
        }
    }

    #[test]
    fn a_source_brings_its_own_defaults_and_a_file_changes_only_what_it_says() {
        let text = "[data]\nsource = \"mnist\"\n[data.train]\npair_tiers = [500, 50, 5]";
        let experiment = Experiment::from_toml(text, &[]).unwrap();
        assert_eq!(experiment.name, "mnist");
        let train = experiment.data.train.unwrap();
        assert_eq!(
            (train.per_multiplicity, train.pair_tiers),
            (vec![3100, 200], vec![500, 50, 5])
        );
        assert_eq!(experiment.data.test.unwrap().per_multiplicity, [800, 50]);
    }

    #[test]
    fn a_loss_is_named_or_only_adjusted() {
        use tagwise::loss::set_likelihood::{
            MultiplicityPotentials, SeenSetPotentials, SetLikelihood,
        };
        use tagwise::loss::{PickAllLabels, Weighting};
        let loss = |overrides: &[&str]| Experiment::from_toml("", overrides).unwrap().loss;
        let mean = Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Mean,
        });
        assert_eq!(loss(&["loss.weighting=mean"]), mean);
        assert_eq!(loss(&["loss.name=focal"]), Loss::Focal { gamma: 2.0 });
        assert_eq!(
            loss(&["loss.name=binary-cross-entropy"]),
            Loss::BinaryCrossEntropy {}
        );
        assert_eq!(
            loss(&["loss.name=set-likelihood"]),
            Loss::SetLikelihood(SetLikelihood::default())
        );
        let both = ["loss.multiplicities=linear", "loss.seen_sets=learned"];
        let Loss::SetLikelihood(likelihood) = loss(&["loss.name=set-likelihood", both[0], both[1]])
        else {
            unreachable!("that is its name")
        };
        assert_eq!(likelihood.multiplicities, MultiplicityPotentials::Linear);
        assert_eq!(likelihood.seen_sets, SeenSetPotentials::Learned);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_one_sentence() {
        insta::assert_snapshot!(refusal("seed = 1\nname = \"a\nb\"", &[]), @"line 3: key with no value, expected `=`");
        insta::assert_snapshot!(refusal("[data]\nsource = \"imagenet\"", &[]), @"data.source: unknown variant `imagenet`, expected one of `digits`, `mnist`, `fashion-mnist`, `cifar10`, `svhn`, `folder`");
        insta::assert_snapshot!(refusal("", &["loss.name=zlpr", "loss.gamma=1"]), @"loss: unknown field `gamma`, there are no fields");
        insta::assert_snapshot!(refusal("", &["loss.name=focal", "loss.gamma=-1"]), @"expected loss.gamma to be a finite number of at least 0, found -1");
        insta::assert_snapshot!(refusal("", &["loss.name=asymmetric", "loss.margin=1"]), @"expected loss.margin to be at least 0 and below 1, found 1");
        insta::assert_snapshot!(refusal("", &["training.batch_size=10000000"]), @"expected training.batch_size to be a whole number from 1 to 65536, found 10000000");
        insta::assert_snapshot!(refusal("", &["network.feature_dim=18446744073709551615"]), @r#"network.feature_dim: wrong kind of value: string "18446744073709551615", expected a whole number from 0"#);
        insta::assert_snapshot!(refusal("", &["training.learning_rate=nan"]), @"expected training.learning_rate to be a number from 0 to 1000, found nan");
        insta::assert_snapshot!(refusal("", &["training.learning_rate=1e9"]), @"expected training.learning_rate to be a number from 0 to 1000, found 1e9");
        insta::assert_snapshot!(refusal("", &["training.epochs=1.5"]), @"training.epochs: wrong kind of value: floating point `1.5`, expected a whole number from 0");
        insta::assert_snapshot!(refusal("", &["training.learning_rate=fast"]), @r#"training.learning_rate: wrong kind of value: string "fast", expected a number"#);
    }
}
