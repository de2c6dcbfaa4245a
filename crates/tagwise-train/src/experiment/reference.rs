//! Every key of an experiment file with its meaning: one list, from which the commented file and
//! the reference page are written.

use std::fmt::Write as _;

use tagwise::loss::LOSSES;
use tagwise_data::Source;
use toml::{Table, Value};

use super::Experiment;

/// A key of an experiment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path, for example `training.epochs`.
    pub path: &'static str,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// What holds where it is left out, for keys without a value of their own.
    pub absent: Option<&'static str>,
}

const fn key(path: &'static str, about: &'static str) -> Key {
    Key {
        path,
        about,
        absent: None,
    }
}

const fn optional(path: &'static str, about: &'static str, absent: &'static str) -> Key {
    Key {
        path,
        about,
        absent: Some(absent),
    }
}

/// The keys that say how a part of the data is composed, below `data.train` and the others.
const COMPOSE: [Key; 6] = [
    key(
        "per_multiplicity",
        "Samples of every label set with 1, 2, 3, … labels",
    ),
    optional(
        "pair_tiers",
        "Imbalanced pairs: pairs of labels fall into as many tiers as there are numbers, each with its number of samples",
        "pairs as per_multiplicity says",
    ),
    optional(
        "label_sets",
        "Samples of some label sets, as { labels = [0, 1], count = 3 }",
        "as the keys above say",
    ),
    key(
        "placement",
        "Where on the canvas the images of the labels go: \"balanced\" or \"paper\"",
    ),
    optional(
        "max_shift",
        "Largest random shift in pixels",
        "one less than a quarter of the source's shorter side",
    ),
    optional(
        "cells_per_side",
        "Cells in a row and in a column of the canvas",
        "the fewest that hold all labels, at least 2",
    ),
];

/// The parts that are composed.
const PARTS: [(&str, &str); 3] = [
    ("data.train", "How the training set is composed"),
    ("data.validation", "The same for the validation set"),
    ("data.test", "The same for the test set"),
];

/// Every key but those of [`COMPOSE`], in the order in which files have them.
const KEYS: [Key; 39] = [
    key(
        "name",
        "Name of the run, used for its folder and in its report",
    ),
    key(
        "seed",
        "Seed of everything random: data split, composition, initial weights, batch order",
    ),
    key(
        "data.source",
        "Where the images come from: digits, mnist, fashion-mnist, cifar10, svhn, or folder for own images",
    ),
    optional(
        "data.folder",
        "The folder with the source's files, or own images",
        "where `tagwise data fetch` puts them",
    ),
    optional(
        "data.labels",
        "The table of labels of own images",
        "labels.csv in their folder",
    ),
    optional(
        "data.classes",
        "The classes of own images in their order",
        "those that occur, sorted",
    ),
    optional(
        "data.height",
        "Rows of pixels that own images are resized to",
        "64, or those of an array",
    ),
    optional(
        "data.width",
        "Pixels in a row that own images are resized to",
        "64, or those of an array",
    ),
    optional(
        "data.channels",
        "3 for own images in colour, 1 for grey ones",
        "3, or those of an array",
    ),
    optional(
        "data.test_fraction",
        "Share of the digits or of own images kept for the test set",
        "the source has a test set of its own",
    ),
    key(
        "data.validation_fraction",
        "Share of the remaining source images kept for validation",
    ),
    key(
        "network.architecture",
        "Which network: small, resnet18, resnet50, vgg16 or vgg19",
    ),
    optional(
        "network.feature_dim",
        "Dimension d of the features",
        "the architecture's own",
    ),
    key(
        "network.classifier",
        "\"learned\", or \"fixed-etf\" for a simplex ETF that stays as it is",
    ),
    optional(
        "network.weights",
        "Weights to start from, a safetensors file with torchvision's names",
        "random weights",
    ),
    key(
        "loss.name",
        "pick-all-labels, binary-cross-entropy, focal, asymmetric, zlpr or set-likelihood",
    ),
    key(
        "loss.weighting",
        "Of pick-all-labels: the \"mean\" or the \"sum\" over the labels of a sample",
    ),
    key(
        "loss.gamma",
        "Of focal: exponent, 0 gives binary cross-entropy",
    ),
    key(
        "loss.gamma_positive",
        "Of asymmetric: focusing exponent of the labels in the set",
    ),
    key(
        "loss.gamma_negative",
        "Of asymmetric: focusing exponent of the labels outside the set",
    ),
    key(
        "loss.margin",
        "Of asymmetric: probability below which a label outside the set costs nothing",
    ),
    key(
        "loss.multiplicities",
        "Of set-likelihood: potentials of multiplicities, learned with the network: \"constant\", \"linear\" in the features, or \"none\"",
    ),
    key(
        "loss.seen_sets",
        "Of set-likelihood: potentials of the label sets of the training images: \"learned\" or \"none\"",
    ),
    optional(
        "loss.max_multiplicity",
        "Of set-likelihood: the largest multiplicity that has a probability",
        "that of the training and validation images; without potentials K",
    ),
    key("training.epochs", "Passes over the training set"),
    key("training.batch_size", "Images in a step"),
    key("training.learning_rate", "Learning rate of the first step"),
    key(
        "training.final_learning_rate_ratio",
        "The learning rate falls to this share of the first along a half cosine",
    ),
    key("training.momentum", "Momentum, without dampening"),
    key(
        "training.weight_decay",
        "The gradient of every trainable parameter gets this times the parameter",
    ),
    key(
        "training.feature_decay",
        "The loss gets this times the squared norm of the features",
    ),
    key(
        "training.feature_decay_reduction",
        "\"mean\" per sample, or the \"sum\" over the batch as in the authors' public code",
    ),
    key(
        "training.precision",
        "How activations and weight copies are stored: \"f32\", or \"bf16\" for half the memory",
    ),
    key(
        "evaluation.every",
        "Collapse and validation are measured after every so many epochs, and after the last",
    ),
    key(
        "evaluation.batch_size",
        "Images in a batch when nothing is learned",
    ),
    key(
        "evaluation.select",
        "The epoch whose weights decode the test set: \"last\" or \"best-validation\"",
    ),
    key(PARTS[0].0, PARTS[0].1),
    key(PARTS[1].0, PARTS[1].1),
    key(PARTS[2].0, PARTS[2].1),
];

/// What is known of the key at this path.
fn known(path: &str) -> Option<Key> {
    let composed = PARTS.iter().find_map(|(part, _)| {
        let name = path.strip_prefix(part)?.strip_prefix('.')?;
        COMPOSE.into_iter().find(|key| key.path == name)
    });
    composed.or_else(|| KEYS.into_iter().find(|key| key.path == path))
}

/// The keys that may stand in this table, with their last names, in order.
fn keys_of(table: &str) -> Vec<(&'static str, Key)> {
    if PARTS.iter().any(|(part, _)| *part == table) {
        return COMPOSE.into_iter().map(|key| (key.path, key)).collect();
    }
    let own = |key: Key| {
        let (place, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        (place == table && !PARTS.iter().any(|(part, _)| *part == key.path)).then_some((name, key))
    };
    KEYS.into_iter().filter_map(own).collect()
}

impl Experiment {
    /// The whole experiment as a TOML file in which a comment explains every key; keys that are left
    /// out stand in comments. It reads back as the same experiment.
    ///
    /// ```
    /// use tagwise_train::Experiment;
    ///
    /// let text = Experiment::default().to_explained_toml();
    /// assert!(text.contains("# Passes over the training set\nepochs = 20\n"));
    /// assert_eq!(Experiment::from_toml(&text, &[])?, Experiment::default());
    /// # Ok::<(), tagwise_train::Error>(())
    /// ```
    pub fn to_explained_toml(&self) -> String {
        let mut text = String::new();
        explain(&mut text, "", &self.to_table());
        text
    }
}

/// A table and those in it, with comments.
fn explain(text: &mut String, path: &str, table: &Table) {
    let inside = |name: &str| match path {
        "" => name.to_string(),
        path => format!("{path}.{name}"),
    };
    if !path.is_empty() {
        let about = known(path).map_or("", |key| key.about);
        let comment = if about.is_empty() {
            String::new()
        } else {
            format!("# {about}\n")
        };
        // Memory takes whatever is written, here and below.
        let _ = write!(text, "\n{comment}[{path}]\n");
    }
    for (name, key) in keys_of(path) {
        let value = table.get(name);
        let _ = match (value, key.absent) {
            (Some(value), _) => write!(text, "# {}\n{name} = {value}\n", key.about),
            (None, Some(absent)) => {
                writeln!(text, "# {}; left out: {absent}\n# {name} =", key.about)
            }
            (None, None) => Ok(()), // a key of another loss
        };
    }
    for (name, value) in table {
        if let Value::Table(inner) = value {
            explain(text, &inside(name), inner);
        }
    }
}

/// The reference page of experiment files, in Markdown: every key with its default on every source
/// and its meaning.
///
/// ```
/// assert!(tagwise_train::experiment_reference().contains("| `training.epochs` | 20 |"));
/// ```
pub fn experiment_reference() -> String {
    let mut page = String::from(
        "# Experiment files\n\n\
         `tagwise train --config FILE` reads a TOML file; `--set KEY=VALUE` changes one key. What is\n\
         left out has its default, which may depend on `data.source`. `tagwise train --print-config`\n\
         prints a whole file with these explanations. Unknown keys are errors.\n\n\
         | key | default | meaning |\n|---|---|---|\n",
    );
    let defaults = Source::ALL.map(|source| (source, Experiment::on(source).to_table()));
    for key in KEYS {
        if PARTS.iter().any(|(part, _)| *part == key.path) {
            for inner in COMPOSE {
                let path = format!("{}.{}", key.path, inner.path);
                line(&mut page, &path, inner, &defaults);
            }
        } else {
            line(&mut page, key.path, key, &defaults);
        }
    }
    page.push_str("\nThe losses of `tagwise fit` and what stands here for them:\n\n");
    for info in LOSSES {
        let table = Experiment {
            loss: info.loss,
            ..Experiment::default()
        }
        .to_table();
        let loss = table
            .get("loss")
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(page, "- `{}`: {}: `loss = {loss}`", info.name, info.about);
    }
    page
}

/// A row of the page; defaults that depend on the source are told for each.
fn line(page: &mut String, path: &str, key: Key, defaults: &[(Source, Table)]) {
    let value = |table: &Table| {
        let mut value = Value::Table(table.clone());
        for name in path.split('.') {
            value = value.get(name)?.clone();
        }
        Some(value.to_string())
    };
    let values: Vec<(Source, Option<String>)> = defaults
        .iter()
        .map(|(source, table)| (*source, value(table)))
        .collect();
    let first = values[0].1.clone();
    let default = match values.iter().all(|(_, value)| *value == first) {
        true => first.unwrap_or_else(|| key.absent.unwrap_or("of that loss").to_string()),
        false => {
            let told = values
                .iter()
                .filter_map(|(source, value)| Some(format!("{source} {}", value.as_ref()?)));
            told.collect::<Vec<_>>().join(", ")
        }
    };
    let _ = writeln!(
        page,
        "| `{path}` | {default} | {} |",
        key.about.replace('|', "\\|")
    );
}

#[cfg(test)]
mod tests {
    use tagwise::loss::Loss;
    use tagwise::loss::set_likelihood::SetLikelihood;
    use tagwise_data::{ComposeSpec, LabelSetCount};

    use super::*;

    fn paths(prefix: &str, table: &Table) -> Vec<String> {
        let each = table.iter().flat_map(|(name, value)| {
            let path = match prefix {
                "" => name.clone(),
                prefix => format!("{prefix}.{name}"),
            };
            match value {
                Value::Table(inner) => paths(&path, inner),
                _ => vec![path],
            }
        });
        each.collect()
    }

    /// Experiments that together have every key.
    fn all() -> Vec<Experiment> {
        let mut experiments: Vec<Experiment> = Source::ALL.map(Experiment::on).to_vec();
        for info in LOSSES {
            experiments.push(Experiment {
                loss: info.loss,
                ..Experiment::default()
            });
        }
        experiments.push(Experiment {
            loss: Loss::SetLikelihood(SetLikelihood {
                max_multiplicity: Some(3),
                ..SetLikelihood::default()
            }),
            ..Experiment::default()
        });
        let mut full = Experiment::default();
        full.network.feature_dim = Some(10);
        full.network.weights = Some("w.safetensors".into());
        let data = &mut full.data;
        data.folder = Some("images".into());
        data.labels = Some("labels.csv".into());
        data.classes = Some(vec!["a".into()]);
        (data.height, data.width, data.channels) = (Some(8), Some(8), Some(1));
        for part in [&mut data.train, &mut data.validation, &mut data.test] {
            *part = Some(ComposeSpec {
                pair_tiers: vec![5, 1],
                label_sets: vec![LabelSetCount {
                    labels: tagwise::LabelSet::new([0]),
                    count: 1,
                }],
                max_shift: Some(1),
                cells_per_side: Some(2),
                ..ComposeSpec::default()
            });
        }
        experiments.push(full);
        experiments
    }

    #[test]
    fn the_list_has_every_key_and_no_other() {
        let mut found: Vec<String> = all()
            .iter()
            .flat_map(|e| paths("", &e.to_table()))
            .collect();
        found.sort();
        found.dedup();
        let mut listed = Vec::new();
        for key in KEYS {
            match PARTS.iter().any(|(part, _)| *part == key.path) {
                true => listed.extend(COMPOSE.map(|inner| format!("{}.{}", key.path, inner.path))),
                false => listed.push(key.path.to_string()),
            }
        }
        listed.sort();
        assert_eq!(found, listed);
    }

    #[test]
    fn an_explained_file_reads_back_as_the_same_experiment() {
        for experiment in all() {
            if experiment.validate().is_ok() {
                let text = experiment.to_explained_toml();
                assert_eq!(
                    Experiment::from_toml(&text, &[]).unwrap(),
                    experiment,
                    "{text}"
                );
            }
        }
        let text = Experiment::default().to_explained_toml();
        assert!(
            text.contains(
                "# Dimension d of the features; left out: the architecture's own\n# feature_dim =\n"
            ),
            "{text}"
        );
    }
}
