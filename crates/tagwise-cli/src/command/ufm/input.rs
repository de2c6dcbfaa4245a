//! The label distribution that the command line describes.

use std::path::Path;

use anyhow::Context;
use tagwise::snapshot::read_targets;
use tagwise::ufm::LabelCounts;
use tagwise::{LabelSet, Targets};
use tagwise_data::table::{self, TableOptions};

use super::Arguments;
use crate::failure::Usage;

/// Label counts and, where a file has them, what the classes are called.
pub struct Labels {
    pub counts: LabelCounts,
    pub class_names: Vec<String>,
}

/// Labels from `--counts`, `--totals` or `--targets`.
pub fn labels(arguments: &Arguments) -> anyhow::Result<Labels> {
    if !arguments.targets.is_empty() {
        return of_files(arguments);
    }
    let usage = |error: tagwise::Error| anyhow::Error::from(Usage(error.to_string()));
    let Some(classes) = arguments.classes else {
        return Err(Usage(
            "expected labels: --classes with --counts or --totals, or --targets FILE".into(),
        )
        .into());
    };
    let counts = match (&arguments.counts, &arguments.totals) {
        (Some(counts), _) => LabelCounts::balanced(classes, pairs("--counts", counts)?),
        (None, Some(totals)) => LabelCounts::balanced_totals(classes, pairs("--totals", totals)?),
        (None, None) => {
            return Err(Usage(
                "expected how many samples there are: --counts 1:3100,2:200 or --totals \
                 1:31000,2:9000"
                    .into(),
            )
            .into());
        }
    }
    .map_err(usage)?;
    Ok(Labels {
        class_names: numbers(classes),
        counts,
    })
}

fn numbers(num_classes: usize) -> Vec<String> {
    (0..num_classes).map(|class| class.to_string()).collect()
}

/// Parses `1:3100,2:200`.
fn pairs(flag: &str, text: &str) -> Result<Vec<(usize, f64)>, Usage> {
    let wrong = |part: &str| {
        Usage(format!(
            "expected multiplicity:samples in {flag}, for example 1:3100,2:200, found {part:?}"
        ))
    };
    text.split(',')
        .map(|part| {
            let (multiplicity, samples) = part.split_once(':').ok_or_else(|| wrong(part))?;
            let multiplicity = multiplicity.trim().parse().map_err(|_| wrong(part))?;
            let samples = samples.trim().parse().map_err(|_| wrong(part))?;
            Ok((multiplicity, samples))
        })
        .collect()
}

fn of_files(arguments: &Arguments) -> anyhow::Result<Labels> {
    let mut class_names: Option<Vec<String>> = None;
    let mut sets: Vec<(LabelSet, f64)> = Vec::new();
    for path in &arguments.targets {
        let (targets, names) = of_file(path, arguments)
            .with_context(|| format!("cannot read the labels of {}", path.display()))?;
        let num_classes = targets.num_classes();
        let expected = match &class_names {
            Some(names) => Some((names.len(), "in the files before")),
            None => arguments.classes.map(|classes| (classes, "--classes says")),
        };
        if let Some((expected, source)) = expected {
            anyhow::ensure!(
                num_classes == expected,
                "{}: expected {expected} classes as {source}, found {num_classes}",
                path.display(),
            );
        }
        class_names.get_or_insert_with(|| names.unwrap_or_else(|| numbers(num_classes)));
        let counts = targets.counts();
        let distinct = targets.distinct().iter().cloned();
        sets.extend(distinct.zip(counts.iter().map(|&count| count as f64)));
    }
    let class_names = class_names.unwrap_or_default();
    let counts = LabelCounts::of_sets(class_names.len(), sets).with_context(|| {
        let files = arguments
            .targets
            .iter()
            .map(|path| path.display().to_string());
        format!("the labels of {}", files.collect::<Vec<_>>().join(" and "))
    })?;
    Ok(Labels {
        counts,
        class_names,
    })
}

/// The label sets of one file and the names of its classes, if it has any.
fn of_file(path: &Path, arguments: &Arguments) -> anyhow::Result<(Targets, Option<Vec<String>>)> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if table::Kind::of(path).is_some() {
        let options = TableOptions {
            label_list: arguments.labels.clone(),
            left_out: arguments.leave_out.clone(),
            num_classes: arguments.classes,
            ..TableOptions::default()
        };
        let table = table::read(path, &options)?;
        return Ok((table.targets, table.label_names));
    }
    match extension {
        Some("npy" | "npz" | "safetensors") => Ok((read_targets(path)?, None)),
        _ if path.is_dir() => Ok((read_targets(path)?, None)),
        _ => anyhow::bail!(
            "expected a file that ends in .npy, .npz, .safetensors, .arff, .txt, .svm or .libsvm, \
             or a folder of .npy files"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_pairs() {
        let read = pairs("--counts", "1:3100, 2:200").unwrap();
        assert_eq!(read, [(1, 3100.0), (2, 200.0)]);
        for wrong in ["", "1", "1:", "a:2", "1:2:3", "-1:2"] {
            assert!(pairs("--counts", wrong).is_err(), "{wrong}");
        }
    }
}
