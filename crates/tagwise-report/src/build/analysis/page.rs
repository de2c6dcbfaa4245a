//! The page of an analysis.

use std::path::Path;

use tagwise::collapse::{CollapseFamily, CollapseMetric, Headline, TagVectors};
use tagwise::matrix::as_faer;

use super::super::{provenance, rows};
use super::{Analysis, tables};
use crate::{Axis, Card, Chart, Geometry, Kind, Report, Result, Series};

/// Cosines of more classes than this are not drawn.
const MAX_CLASSES: usize = 128;

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
    let mut summary = vec![measured.finding().trim_end_matches('.').to_string()];
    summary.extend(report.notes.iter().cloned());
    summary.push(tables::path_sentence(report).to_string());
    Ok(Report {
        kind: Kind::Analysis,
        title: file_name(&measured.path),
        subtitle: tables::size(measured),
        summary: format!("{}.", summary.join(". ")),
        cards: measured_ones.map(Card::headline).collect(),
        geometry: geometry(measured)?,
        plane: measured.plane.clone(),
        tables: all_tables,
        class_names: measured.class_names.clone(),
        provenance: provenance(),
        ..Report::default()
    })
}

/// Cosines of the class means and of the classifier, as long as a picture can show them.
fn geometry(measured: &Analysis) -> Result<Option<Geometry>> {
    let num_classes = measured.report.num_classes;
    if !(2..=MAX_CLASSES).contains(&num_classes) {
        return Ok(None);
    }
    let tags = TagVectors::estimate(&measured.statistics)?;
    let mut centred = rows(tags.vectors());
    for vector in &mut centred {
        let centre = tags.centre().iter();
        vector.iter_mut().zip(centre).for_each(|(x, c)| *x -= c);
    }
    let classifier = measured.classifier.as_ref();
    let classifier = classifier.map(|classifier| rows(as_faer(&classifier.weight)));
    let names = &measured.class_names;
    Ok(Geometry::new(names, &centred, classifier.as_deref()).ok())
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
        title: format!("Neural collapse of {} files", measured.len()),
        subtitle: names,
        curves: curves(measured),
        tables: vec![tables::comparison(measured)],
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
        let axis = Axis::linear("file, in the order given");
        let mut chart = Chart::new(family.symbol(), axis, Axis::log(family.symbol()));
        let members = metrics.iter().filter(|metric| metric.family() == family);
        chart.series = members.map(line).collect();
        chart
    });
    charts.filter(|chart| !chart.series.is_empty()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
