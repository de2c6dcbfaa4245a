//! The label distribution that the command line describes.

use std::path::Path;

use anyhow::Context;
use tagwise::snapshot::read_targets;
use tagwise::ufm::LabelCounts;
use tagwise::{LabelSet, Targets};
use tagwise_data::table::{arff, text};

use super::Arguments;
use crate::failure::Usage;

/// Label counts from `--counts`, `--totals` or `--targets`.
pub fn labels(arguments: &Arguments) -> anyhow::Result<LabelCounts> {
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
    match (&arguments.counts, &arguments.totals) {
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
    .map_err(usage)
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

fn of_files(arguments: &Arguments) -> anyhow::Result<LabelCounts> {
    let mut num_classes = None;
    let mut sets: Vec<(LabelSet, f64)> = Vec::new();
    for path in &arguments.targets {
        let targets = of_file(path, arguments)
            .with_context(|| format!("cannot read the labels of {}", path.display()))?;
        let expected = *num_classes.get_or_insert(targets.num_classes());
        anyhow::ensure!(
            targets.num_classes() == expected,
            "{}: expected {expected} classes as in the files before, found {}",
            path.display(),
            targets.num_classes()
        );
        let counts = targets.counts();
        let distinct = targets.distinct().iter().cloned();
        sets.extend(distinct.zip(counts.iter().map(|&count| count as f64)));
    }
    Ok(LabelCounts::of_sets(num_classes.unwrap_or(0), sets)?)
}

fn of_file(path: &Path, arguments: &Arguments) -> anyhow::Result<Targets> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let targets = match extension {
        Some("arff") => {
            let labels = match &arguments.labels {
                Some(xml) => arff::Labels::MulanXml(xml),
                None => arff::Labels::Meka,
            };
            let left_out: Vec<&str> = arguments.leave_out.iter().map(String::as_str).collect();
            arff::read(path, labels, &left_out)?.targets
        }
        Some("txt") => text::read_xmc(path)?.targets,
        _ => read_targets(path)?,
    };
    Ok(targets)
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
