//! What the epochs of a run show, finished or not: key figures and curves.

use tagwise::collapse::{CollapseFamily, CollapseMetric, CollapseReport};
use tagwise::loss::{Loss, PickAllLabels, Weighting};
use tagwise_train::{EpochRecord, Measured};

use crate::{Axis, Card, Chart, Reference, Series};

/// The paper's metrics after the last measured epoch, with their course.
pub(super) fn cards(records: &[EpochRecord]) -> Vec<Card> {
    let Some(last) = last_measured(records) else {
        return Vec::new();
    };
    let metrics = CollapseMetric::of_paper(last.collapse.nc_m.keys().copied());
    let with_value = metrics
        .into_iter()
        .filter(|metric| metric.value(&last.collapse).is_some());
    with_value
        .map(|metric| {
            let course = curve(records, |measured| metric.value(&measured.collapse));
            Card {
                label: metric.paper_name(),
                trend: course.into_iter().map(|(_, value)| value).collect(),
                ..Card::headline(&metric.headline(&last.collapse))
            }
        })
        .collect()
}

/// Loss, collapse and validation over the epochs, as far as they go.
pub(super) fn curves(records: &[EpochRecord], trained_with: &Loss) -> Vec<Chart> {
    let mut charts = vec![loss(records, trained_with)];
    charts.extend(collapse(records));
    charts.push(validation(records));
    charts
}

fn loss(records: &[EpochRecord], trained_with: &Loss) -> Chart {
    let axis = Axis::linear("mean loss per image");
    let mut chart = Chart::new("Loss", epoch(), axis);
    chart.caption = lower_bound(trained_with).into();
    chart.series = vec![
        series("training set", records, |m| Some(m.train_loss)),
        series("validation set", records, |m| Some(m.validation.loss)),
    ];
    chart
}

/// A chart for the families of each title, with a line for each metric of the last measurement.
fn collapse(records: &[EpochRecord]) -> Vec<Chart> {
    let metrics = last_measured(records).map_or_else(
        || CollapseMetric::of_paper([]),
        |last| metrics_of_each_multiplicity(&last.collapse),
    );
    let families = CollapseFamily::ALL;
    families
        .chunk_by(|a, b| a.title() == b.title())
        .map(|families| {
            let symbols: Vec<&str> = families.iter().map(|family| family.symbol()).collect();
            let axis = Axis::log(symbols.join(", "));
            let mut chart = Chart::new(families[0].title(), epoch(), axis);
            chart.caption = families[0].caption().into();
            let members = metrics
                .iter()
                .filter(|metric| families.contains(&metric.family()));
            chart.series = members
                .clone()
                .map(|&metric| metric_series(metric, records))
                .collect();
            chart.references = last_measured(records)
                .map_or(Vec::new(), |last| chances(members.copied(), &last.collapse));
            chart
        })
        .collect()
}

/// A metric over the epochs, with its intervals where they were measured.
fn metric_series(metric: CollapseMetric, records: &[EpochRecord]) -> Series {
    let measured = records
        .iter()
        .filter_map(|record| Some((record.epoch as f64, record.measured.as_ref()?)));
    let band = measured.filter_map(|(epoch, measured)| {
        let interval = metric.headline(&measured.collapse).interval?;
        Some((epoch, interval.low, interval.high))
    });
    Series {
        band: band.collect(),
        ..series(metric.series(), records, |m| metric.value(&m.collapse))
    }
}

/// What the metrics of a chart have by chance: the first few that differ.
fn chances(
    metrics: impl Iterator<Item = CollapseMetric>,
    report: &CollapseReport,
) -> Vec<Reference> {
    const MOST: usize = 3;
    let mut references: Vec<Reference> = Vec::new();
    for metric in metrics {
        let chance = metric
            .headline(report)
            .chance
            .filter(|&chance| chance > 0.0);
        let Some(value) = chance else { continue };
        if references.iter().any(|other| other.value == value) || references.len() == MOST {
            continue;
        }
        let name = match metric {
            CollapseMetric::Nc1 { .. } => format!("chance, {}", metric.series()),
            _ => "chance".into(),
        };
        references.push(Reference { name, value });
    }
    references
}

/// The headline metrics without the one over all multiplicities, which hides what differs.
pub(super) fn metrics_of_each_multiplicity(report: &CollapseReport) -> Vec<CollapseMetric> {
    let mut metrics = CollapseMetric::of_report(report);
    metrics.retain(|&metric| metric != CollapseMetric::Nc1Pooled);
    metrics
}

fn validation(records: &[EpochRecord]) -> Chart {
    let mut chart = Chart::new("Validation", epoch(), Axis::linear("share of images"));
    chart.caption = "Exact matches are decoded by one nearest neighbour.".into();
    chart.series = vec![
        series("exact match", records, |m| m.validation.subset_accuracy),
        series("label mass", records, |m| m.validation.label_mass),
    ];
    chart
}

/// What keeps the loss from falling to 0.
fn lower_bound(loss: &Loss) -> &'static str {
    match loss {
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Sum,
        }) => "With m labels picked the loss cannot fall below m log m.",
        Loss::PickAllLabels(PickAllLabels {
            weighting: Weighting::Mean,
        }) => "With m labels picked the mean over them cannot fall below log m.",
        _ => "",
    }
}

fn epoch() -> Axis {
    Axis::linear("epoch")
}

fn last_measured(records: &[EpochRecord]) -> Option<&Measured> {
    let mut latest_first = records.iter().rev();
    latest_first.find_map(|record| record.measured.as_ref())
}

/// The value of one metric over the epochs at which it was measured.
fn curve(
    records: &[EpochRecord],
    value: impl Fn(&Measured) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    records
        .iter()
        .filter_map(|record| Some((record.epoch as f64, value(record.measured.as_ref()?))))
        .collect()
}

fn series(
    name: impl Into<String>,
    records: &[EpochRecord],
    value: impl Fn(&Measured) -> Option<f64>,
) -> Series {
    Series {
        name: name.into(),
        points: curve(records, value),
        ..Series::default()
    }
}
