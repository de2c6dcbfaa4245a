//! The page of a training run, finished or not.

mod tables;

use std::path::Path;

use tagwise::Targets;
use tagwise::collapse::CollapseMetric;
use tagwise::snapshot::{FeatureValues, Snapshot};
use tagwise::statistics::Statistics;
use tagwise_data::ImageSet;
use tagwise_train::{EpochRecord, Experiment, Finished, RunFolder, Summary};

pub use tables::{run_tables, run_text};
use tagwise::words::counted;

use super::{class_geometry, class_plane, epochs, notes, provenance};
use crate::plane::choose_classes;
use crate::{Card, ContactSheet, Error, Example, Geometry, Kind, Report, Result, Scatter};

/// Images of each multiplicity shown, right and wrong ones as often as they are.
const EXAMPLES_PER_MULTIPLICITY: usize = 16;

/// What the page of a finished run is made of.
#[derive(Clone, Copy, Debug)]
pub struct RunResults<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The final tables.
    pub summary: &'a Summary,
    /// The record of every epoch.
    pub records: &'a [EpochRecord],
    /// Features of the training set, with the classifier.
    pub train: &'a Snapshot,
    /// Statistics of these features.
    pub statistics: &'a Statistics,
    /// The test set.
    pub test: &'a ImageSet,
    /// The test set as the first decoder of [`Summary::test`] sees it.
    pub test_decoded: &'a Targets,
    /// Names of the classes.
    pub class_names: &'a [String],
}

impl<'a> RunResults<'a> {
    /// What a run leaves in memory at its end.
    pub fn new(finished: &'a Finished, class_names: &'a [String]) -> Self {
        Self {
            experiment: &finished.experiment,
            summary: &finished.summary,
            records: &finished.records,
            train: &finished.train,
            statistics: &finished.statistics,
            test: &finished.data.test,
            test_decoded: &finished.test_decoded,
            class_names,
        }
    }
}

/// The page of a finished run.
///
/// # Errors
/// [`Error::Settings`] for an experiment that cannot be written down; what [`ContactSheet::new`]
/// reports.
pub fn run(results: &RunResults<'_>) -> Result<Report> {
    let summary = results.summary;
    Ok(Report {
        kind: Kind::Training,
        title: format!("{}, seed {}", summary.data.title, summary.seed),
        subtitle: format!(
            "{}, {} classifier, d = {}, {}, {}",
            summary.network.architecture,
            summary.network.classifier,
            summary.network.feature_dim,
            counted(summary.epochs, "epoch"),
            counted(results.train.targets().len(), "training image")
        ),
        summary: sentence(summary),
        notes: notes(&summary.collapse.last),
        cards: cards(results),
        curves: epochs::curves(results.records, &results.experiment.loss),
        geometry: geometry(results),
        plane: plane(results),
        examples: Some(examples(results)?),
        tables: run_tables(summary),
        configuration: settings(results.experiment)?,
        class_names: results.class_names.to_vec(),
        provenance: summary
            .provenance
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// The page of a run that is going on or was interrupted: what its epochs show so far. `title`
/// names the data, `place` says where the run is, such as its folder.
///
/// ```
/// use tagwise_report::build::unfinished_run;
/// use tagwise_train::Experiment;
///
/// let page = unfinished_run(&Experiment::default(), &[], "M-lab digits", "runs/digits-001")?;
/// assert_eq!(page.title, "M-lab digits, seed 0");
/// # Ok::<(), tagwise_report::Error>(())
/// ```
///
/// # Errors
/// [`Error::Settings`] for an experiment that cannot be written down.
pub fn unfinished_run(
    experiment: &Experiment,
    records: &[EpochRecord],
    title: &str,
    place: &str,
) -> Result<Report> {
    let done = records.last().map_or(0, |record| record.epoch);
    Ok(Report {
        title: format!("{title}, seed {}", experiment.seed),
        subtitle: format!("The run in {place}"),
        summary: format!(
            "This run is not finished: {done} of {} {} done.",
            counted(experiment.training.epochs, "epoch"),
            if done == 1 { "is" } else { "are" }
        ),
        cards: epochs::cards(records),
        curves: epochs::curves(records, &experiment.loss),
        configuration: settings(experiment)?,
        provenance: provenance(),
        ..Report::default()
    })
}

/// The page of the run in a folder: its `report.json` where it is finished, what its epochs show where
/// it is not.
///
/// # Errors
/// [`Error::NotAReport`] for a `report.json` of something else, [`Error::NoRun`] for a folder that has
/// neither that nor the files of a run that goes on.
pub fn run_in_folder(folder: &Path) -> Result<Report> {
    let saved = folder.join("report.json");
    if saved.exists() {
        return read_report(&saved);
    }
    let no_run = |error| match error {
        tagwise_train::Error::NoRun { .. } => Error::NoRun(folder.to_path_buf()),
        other => Error::Run(Box::new(other)),
    };
    let run = RunFolder::open(folder).map_err(no_run)?;
    let records = run.records().map_err(no_run)?;
    let experiment = run.experiment().map_err(no_run)?;
    let title = experiment.data.source.title();
    unfinished_run(&experiment, &records, title, &folder.display().to_string())
}

/// A report that was written as JSON.
///
/// # Errors
/// [`Error::NotAReport`] with the file's name.
pub fn read_report(path: &Path) -> Result<Report> {
    let bytes = tagwise::file::read(path)?;
    Report::from_json(&bytes).map_err(|error| Error::NotAReport {
        path: path.to_path_buf(),
        source: Box::new(error),
    })
}

/// What happened, in two sentences.
fn sentence(summary: &Summary) -> String {
    let single = CollapseMetric::Nc1 { multiplicity: 1 };
    let (first, last) = (&summary.collapse.first, &summary.collapse.last);
    let mut text = String::new();
    if let (Some(before), Some(after)) = (single.value(first), single.value(last)) {
        text = format!(
            "{} went from {} before training to {} at its end. ",
            single.symbol(),
            crate::typeset_number(before),
            crate::typeset_number(after)
        );
    }
    if let Some(best) = summary.test.first() {
        text.push_str(&format!(
            "On test images, decoding by {} finds {:.1} % of the label sets exactly. ",
            best.decoder,
            100.0 * best.evaluation.sets.subset_accuracy
        ));
    }
    text.push_str(&tables::parameters(summary));
    text.push('.');
    text
}

fn cards(results: &RunResults<'_>) -> Vec<Card> {
    let summary = results.summary;
    let mut cards = epochs::cards(results.records);
    if let Some(best) = summary.test.first() {
        cards.push(
            Card::higher("Exact match, test", best.evaluation.sets.subset_accuracy)
                .with_note(format!("Decoded by {}.", best.decoder)),
        );
    }
    let count = summary.network.parameters;
    cards.push(
        Card::trainable_parameters(count.trainable as u64).with_note(tables::parameters(summary)),
    );
    cards.push(Card {
        unit: "s".into(),
        ..Card::new("Training and measuring", summary.seconds.round() as u64)
    });
    cards
}

/// Cosines of class means and classifier; absent when a class has no vector.
fn geometry(results: &RunResults<'_>) -> Option<Geometry> {
    let (statistics, names) = (results.statistics, results.class_names);
    let mut geometry = class_geometry(statistics, results.train.classifier(), names)?;
    geometry.caption = "Cosines between classes on one colour scale. The bar below each map spans \
                        the entries off the diagonal; the dot is their mean."
        .into();
    Some(geometry)
}

/// The plane of three classes; absent when the data have no three classes with their pairs.
fn plane(results: &RunResults<'_>) -> Option<Scatter> {
    let (train, names) = (results.train, results.class_names);
    let (targets, dim) = (train.targets(), train.dim());
    let classes = choose_classes(targets)?;
    let plane = match train.features() {
        FeatureValues::F32(values) => class_plane(values, dim, targets, classes, names),
        FeatureValues::F64(values) => class_plane(values, dim, targets, classes, names),
    };
    plane.ok()
}

fn examples(results: &RunResults<'_>) -> Result<ContactSheet> {
    let (test, decoded) = (results.test, results.test_decoded);
    let chosen = spread_by_multiplicity(test.targets());
    let shape = test.shape();
    let mut pixels = vec![0; chosen.len() * shape.num_elements()];
    for (&index, pixels) in chosen
        .iter()
        .zip(pixels.chunks_exact_mut(shape.num_elements()))
    {
        test.display_into(index, pixels);
    }
    let sets = chosen
        .iter()
        .map(|&index| Example {
            truth: test.targets().set(index).clone(),
            decoded: decoded.set(index).clone(),
        })
        .collect();
    let mut sheet = ContactSheet::new(&pixels, [shape.height, shape.width, shape.channels], sets)?;
    let decoder = results.summary.test.first();
    sheet.caption = format!(
        "Test images, evenly spread over the label sets, decoded by {}: {} of these {} exactly \
         right.",
        decoder.map_or("the first decoder", |first| &first.decoder),
        sheet.num_right(),
        sheet.examples.len()
    );
    Ok(sheet)
}

/// Positions of images, evenly spread over the samples of each multiplicity.
fn spread_by_multiplicity(targets: &Targets) -> Vec<usize> {
    let mut chosen = Vec::new();
    for multiplicity in 0..=targets.max_multiplicity() {
        let members: Vec<usize> = (0..targets.len())
            .filter(|&i| targets.set(i).multiplicity() == multiplicity)
            .collect();
        let count = members.len().min(EXAMPLES_PER_MULTIPLICITY);
        chosen.extend((0..count).map(|i| members[(2 * i + 1) * members.len() / (2 * count)]));
    }
    chosen
}

/// The experiment as `key.path`, `value` pairs.
fn settings(experiment: &Experiment) -> Result<Vec<(String, String)>> {
    fn visit(prefix: &str, value: &toml::Value, pairs: &mut Vec<(String, String)>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    visit(&path, value, pairs);
                }
            }
            toml::Value::String(text) => pairs.push((prefix.to_string(), text.clone())),
            other => pairs.push((prefix.to_string(), other.to_string())),
        }
    }
    let table: toml::Table = experiment
        .to_toml()
        .parse()
        .map_err(|error: toml::de::Error| Error::Settings(error.to_string()))?;
    let mut pairs = Vec::new();
    visit("", &toml::Value::Table(table), &mut pairs);
    Ok(pairs)
}
