//! The label distribution that the command line describes.

use tagwise::ufm::LabelCounts;
use tagwise_data::samples::{CountedLabels, numbered_names};
use tagwise_data::table::TableOptions;

use super::Arguments;
use crate::command::run_part::RunPart;
use crate::command::samples::check_classes;
use crate::failure::Usage;
use crate::terminal::tell;

/// Labels from `--counts`, `--totals` or `--targets`.
pub fn labels(arguments: &Arguments) -> anyhow::Result<CountedLabels> {
    if !arguments.targets.is_empty() {
        return of_files(arguments);
    }
    if arguments.format.is_given() {
        return Err(Usage(
            "expected --targets FILE with the arguments that say how a file is read".into(),
        )
        .into());
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
    Ok(CountedLabels {
        class_names: numbered_names(classes),
        counts,
        notes: Vec::new(),
    })
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

fn of_files(arguments: &Arguments) -> anyhow::Result<CountedLabels> {
    let options = TableOptions {
        num_classes: arguments.classes,
        ..arguments.format.options()?
    };
    let paths = arguments.targets.iter().map(|path| {
        let file = RunPart::Training.of(path)?;
        Ok(file.into_owned())
    });
    let paths = paths.collect::<anyhow::Result<Vec<_>>>()?;
    let labels = CountedLabels::read(&paths, &options)?;
    for note in &labels.notes {
        tell!("{note}");
    }
    if let Some(first) = arguments.targets.first() {
        check_classes(arguments.classes, first, labels.counts.num_classes())?;
    }
    Ok(labels)
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
