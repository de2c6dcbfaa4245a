//! The results of an analysis as one HTML file.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use tagwise::collapse::TagVectors;
use tagwise::file::write_atomically;
use tagwise_report::{Axis, Card, Chart, Geometry, Kind, Report, Series, render};

use super::{Measured, tables};

/// Writes the report of one file, or the comparison of several.
pub fn write(measured: &[Measured], path: &Path) -> anyhow::Result<()> {
    let report = match measured {
        [one] => of_one(one)?,
        several => of_several(several),
    };
    let html = render(&report).context("the report cannot be drawn")?;
    write_atomically(path, |file| file.write_all(html.as_bytes()))
        .context("the report cannot be written")
}

fn of_one(measured: &Measured) -> anyhow::Result<Report> {
    let report = &measured.report;
    let class_names = super::class_names(report.num_classes);
    let mut all_tables = tables::of(measured);
    let odd = tables::odd_sets(report);
    if !odd.rows.is_empty() {
        all_tables.push(odd);
    }
    let cards = tables::metrics(report)
        .into_iter()
        .filter_map(|(metric, name, value)| {
            let mut card = Card::metric(metric, value?);
            card.label = name;
            Some(card)
        })
        .collect();
    let mut summary = vec![tables::path_sentence(report).to_string()];
    summary.extend(report.notes.iter().cloned());
    Ok(Report {
        kind: Kind::Analysis,
        title: file_name(&measured.path),
        subtitle: tables::headline(measured),
        summary: format!("{}.", summary.join(". ")),
        cards,
        geometry: geometry(measured, &class_names)?,
        plane: measured.plane.clone(),
        tables: all_tables,
        class_names,
        provenance: provenance(),
        ..Report::default()
    })
}

/// Cosines of the class means and of the classifier, as long as a picture can show them.
fn geometry(measured: &Measured, class_names: &[String]) -> anyhow::Result<Option<Geometry>> {
    const MAX_CLASSES: usize = 128;
    let num_classes = class_names.len();
    if !(2..=MAX_CLASSES).contains(&num_classes) {
        return Ok(None);
    }
    let tags = TagVectors::estimate(&measured.statistics)?;
    let dim = measured.statistics.dim();
    let centred: Vec<Vec<f64>> = (0..num_classes)
        .map(|k| {
            (0..dim)
                .map(|j| tags.vectors()[(k, j)] - tags.centre()[j])
                .collect()
        })
        .collect();
    let classifier: Option<Vec<Vec<f64>>> = measured.classifier.as_ref().map(|classifier| {
        (0..num_classes)
            .map(|k| (0..dim).map(|j| classifier.weight[(k, j)]).collect())
            .collect()
    });
    Ok(Geometry::new(class_names, &centred, classifier.as_deref()).ok())
}

fn of_several(measured: &[Measured]) -> Report {
    let mut charts: Vec<Chart> = Vec::new();
    let comparison = tables::comparison(measured);
    for (position, column) in comparison.columns.iter().enumerate().skip(1) {
        let points: Vec<(f64, Option<f64>)> = comparison
            .rows
            .iter()
            .enumerate()
            .map(|(file, row)| {
                (
                    (file + 1) as f64,
                    row[position].value().filter(|v| *v > 0.0),
                )
            })
            .collect();
        let family = column
            .name
            .split([',', ' '])
            .next()
            .unwrap_or_default()
            .to_string();
        let chart = match charts.iter_mut().position(|chart| chart.title == family) {
            Some(place) => &mut charts[place],
            None => {
                let mut axis = Axis::linear("file, in the order given");
                axis.scale = Default::default();
                charts.push(Chart::new(family.clone(), axis, Axis::log(family.clone())));
                charts.last_mut().expect("a chart was just pushed")
            }
        };
        chart.series.push(Series {
            name: column.name.clone(),
            points,
        });
    }
    Report {
        kind: Kind::Analysis,
        title: format!("Neural collapse of {} files", measured.len()),
        subtitle: format!(
            "{} to {}",
            file_name(&measured[0].path),
            file_name(&measured[measured.len() - 1].path)
        ),
        curves: charts,
        tables: vec![comparison],
        provenance: provenance(),
        ..Report::default()
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn provenance() -> String {
    format!("tagwise {}", env!("CARGO_PKG_VERSION"))
}
