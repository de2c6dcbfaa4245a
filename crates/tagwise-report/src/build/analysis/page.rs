//! The page of an analysis.

use std::path::Path;

use tagwise::collapse::{CollapseFamily, CollapseMetric, Headline};
use tagwise::words::counted;

use super::super::{class_geometry, notes, provenance, sentence};
use super::{Analysis, tables};
use crate::{Axis, Card, Chart, Geometry, Kind, Report, Result, Series, typeset_number};

/// Cosines of more classes than this are not drawn.
const MAX_CLASSES: usize = 256;

/// The page of one set of features.
///
/// # Errors
/// [`Error::Mathematics`](crate::Error::Mathematics) when the class vectors cannot be estimated.
pub fn analysis(measured: &Analysis) -> Result<Report> {
    let report = &measured.report;
    let mut all_tables = tables::collapse_tables(report, &measured.class_names);
    let odd = tables::odd_sets(report, &measured.class_names);
    if !odd.rows.is_empty() {
        all_tables.push(odd);
    }
    let headlines = report.headlines();
    let is_measured = |headline: &&Headline| headline.value.or(headline.published).is_some();
    let measured_ones = headlines.iter().filter(is_measured);
    let mut all_notes = notes(report);
    all_notes.push(sentence(tables::path_sentence(report)));
    Ok(Report {
        kind: Kind::Analysis,
        title: file_name(&measured.path),
        subtitle: tables::size(measured),
        summary: measured.finding(),
        notes: all_notes,
        cards: measured_ones.map(Card::headline).collect(),
        geometry: geometry(measured),
        plane: measured.plane.clone(),
        tables: all_tables,
        class_names: measured.class_names.clone(),
        provenance: provenance(),
        ..Report::default()
    })
}

/// Cosines of the class means and of the classifier, as long as a picture can show them.
fn geometry(measured: &Analysis) -> Option<Geometry> {
    let num_classes = measured.report.num_classes;
    if !(2..=MAX_CLASSES).contains(&num_classes) {
        return None;
    }
    let classifier = measured.classifier.as_ref();
    class_geometry(&measured.statistics, classifier, &measured.class_names)
}

/// The page of several sets of features, such as the epochs of a run, in the order given.
pub fn analyses(measured: &[Analysis]) -> Report {
    let names = match measured {
        [] => String::new(),
        [first, .., last] => format!("{} to {}", file_name(&first.path), file_name(&last.path)),
        [only] => file_name(&only.path),
    };
    Report {
        kind: Kind::Analysis,
        title: format!("Neural collapse of {}", counted(measured.len(), "file")),
        subtitle: names,
        summary: course(measured),
        notes: notes_of_all(measured),
        curves: curves(measured),
        tables: vec![tables::comparison(measured), tables::findings(measured)],
        provenance: provenance(),
        ..Report::default()
    }
}

/// A chart for each family of metrics, a line for each metric.
fn curves(measured: &[Analysis]) -> Vec<Chart> {
    let metrics = tables::metrics_of_any(measured);
    let line = |metric: &CollapseMetric| Series {
        name: metric.name(),
        band: (1..)
            .zip(measured)
            .filter_map(|(file, measured)| {
                let interval = metric.headline(&measured.report).interval?;
                Some((f64::from(file), interval.low, interval.high))
            })
            .collect(),
        points: (1..)
            .zip(measured)
            .map(|(file, measured)| {
                let value = metric.value(&measured.report);
                (f64::from(file), value.filter(|&value| value > 0.0))
            })
            .collect(),
    };
    let charts = CollapseFamily::ALL.into_iter().map(|family| {
        let axis = Axis::named("file", file_labels(measured));
        let mut chart = Chart::new(family.symbol(), axis, Axis::log(family.symbol()));
        let members = metrics.iter().filter(|metric| metric.family() == family);
        chart.series = members.map(line).collect();
        chart
    });
    charts.filter(|chart| !chart.series.is_empty()).collect()
}

/// How the metrics of the paper went from the first file to the last.
fn course(measured: &[Analysis]) -> String {
    let [first, .., last] = measured else {
        return measured.first().map_or(String::new(), Analysis::finding);
    };
    let multiplicities = last.report.nc_m.keys().copied();
    let courses: Vec<String> = CollapseMetric::of_paper(multiplicities)
        .into_iter()
        .filter_map(|metric| {
            let (before, after) = (metric.value(&first.report)?, metric.value(&last.report)?);
            let (before, after) = (typeset_number(before), typeset_number(after));
            Some(format!("{} from {before} to {after}", metric.paper_name()))
        })
        .collect();
    let names = [first, last].map(|measured| file_name(&measured.path));
    let finding = last.finding();
    match courses.is_empty() {
        true => format!("{}: {finding}", names[1]),
        false => format!(
            "From {} to {}: {}. In the last: {finding}",
            names[0],
            names[1],
            courses.join(", ")
        ),
    }
}

/// The notes of every file, each under its name.
fn notes_of_all(measured: &[Analysis]) -> Vec<String> {
    let of_file = |measured: &Analysis| {
        let name = file_name(&measured.path);
        let notes = notes(&measured.report).into_iter();
        notes
            .map(|note| format!("{name}: {note}"))
            .collect::<Vec<_>>()
    };
    measured.iter().flat_map(of_file).collect()
}

/// What tells each file from the others on an axis: its name, and where names repeat its folder too.
fn file_labels(measured: &[Analysis]) -> Vec<String> {
    let names: Vec<String> = measured.iter().map(|one| file_name(&one.path)).collect();
    let is_repeated = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    measured
        .iter()
        .zip(&names)
        .map(
            |(one, name)| match one.path.parent().and_then(Path::file_name) {
                Some(folder) if is_repeated(name) => format!("{}/{name}", folder.to_string_lossy()),
                _ => name.clone(),
            },
        )
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
