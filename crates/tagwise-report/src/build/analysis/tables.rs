//! The tables of an analysis, for the terminal and the page.

mod details;

use std::path::Path;

use tagwise::collapse::{CollapseMetric, CollapseReport, Headline, Interval, Nc1Path};
use tagwise::words::counted;

use super::Analysis;
use crate::contact_sheet::set_name;
use crate::{Cell, Column, Table, format_number};

/// Label sets listed with the largest angles.
const MAX_SETS: usize = 10;

/// Everything about one set of features, for a terminal of so many columns.
pub fn analysis_text(measured: &Analysis, width: usize) -> String {
    let report = &measured.report;
    let mut text = format!("{}\n{}\n\n", size(measured), measured.finding());
    for table in collapse_tables(report, &measured.class_names) {
        text.push_str(&table.to_text(width));
        text.push('\n');
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str(&format!("note: {}\n", path_sentence(report)));
    text
}

/// One line for each set of features, one column for each metric.
pub fn analyses_text(measured: &[Analysis], width: usize) -> String {
    let mut text = comparison(measured).to_text(width);
    for measured in measured {
        let (path, finding) = (measured.path.display(), measured.finding());
        text.push_str(&format!("{path}: {finding}\n"));
        for note in &measured.report.notes {
            text.push_str(&format!("note: {}: {note}\n", measured.path.display()));
        }
    }
    text
}

/// What was measured, in one line.
pub(super) fn size(measured: &Analysis) -> String {
    let report = &measured.report;
    format!(
        "{}: {}, {}, {} of up to {}, d = {}",
        measured.path.display(),
        counted(report.num_samples as usize, "sample"),
        counted(report.num_classes, "class"),
        counted(report.num_label_sets, "label set"),
        counted(report.max_multiplicity(), "label"),
        report.dim
    )
}

/// The tables of a report, whoever measured it; empty ones are left out.
///
/// ```
/// use tagwise::collapse::CollapseReport;
/// use tagwise::statistics::Statistics;
/// use tagwise::{LabelSet, Targets};
/// use tagwise_report::build::collapse_tables;
///
/// let mut statistics = Statistics::new(2, 1);
/// let targets = Targets::new(2, [[0], [0], [1], [1]].map(LabelSet::new))?;
/// statistics.update(&[3.0, 4.0, -5.0, -3.0], &targets)?;
/// let report = CollapseReport::measure(&statistics, None)?;
/// let tables = collapse_tables(&report, &["cat", "dog"].map(String::from));
/// assert!(tables[0].to_text(100).starts_with("Neural collapse: 0 is exact"));
/// # Ok::<(), tagwise::Error>(())
/// ```
pub fn collapse_tables(report: &CollapseReport, class_names: &[String]) -> Vec<Table> {
    [
        verdicts(report),
        details::details(report),
        published(report),
        angles(report),
        classes(report, class_names),
        likely_errors(report, class_names),
        farthest(report, class_names),
    ]
    .into_iter()
    .filter(|table| !table.rows.is_empty())
    .collect()
}

fn verdicts(report: &CollapseReport) -> Table {
    let headlines = report.headlines();
    let shown: Vec<&Headline> = headlines
        .iter()
        .filter(|headline| headline.value.or(headline.published).is_some())
        .collect();
    let has_intervals = shown.iter().any(|headline| headline.interval.is_some());
    let mut names = vec!["metric", "value", "by chance", "verdict", "what it means"];
    if has_intervals {
        names.insert(2, "95 % interval");
    }
    let columns = names.into_iter().map(Column::new);
    let mut table = Table::new("Neural collapse: 0 is exact", columns);
    for headline in shown {
        let mut row: Vec<Cell> = vec![
            headline.name.as_str().into(),
            headline.value.into(),
            headline.chance.into(),
            headline.verdict.word().into(),
            headline.sentence.as_str().into(),
        ];
        if has_intervals {
            row.insert(2, headline.interval.map(interval_text).into());
        }
        table.push(row);
    }
    table
}

/// "0.0210 to 0.0240".
pub(crate) fn interval_text(interval: Interval) -> String {
    format!(
        "{} to {}",
        format_number(interval.low),
        format_number(interval.high)
    )
}

fn published(report: &CollapseReport) -> Table {
    let mut table = Table::new(
        "As the paper's public code computes them",
        ["metric", "value"].map(Column::new),
    );
    if let Some(compat) = &report.nc_mlab {
        for (name, value) in [
            ("nc1", Some(compat.nc1)),
            ("nc2_w", compat.nc2_w),
            ("nc2_h", Some(compat.nc2_h)),
            ("nc3", compat.nc3),
            ("angle_metric", compat.angle_metric),
        ] {
            if let Some(value) = value {
                table.push([name.into(), value.into()]);
            }
        }
    }
    table
}

fn angles(report: &CollapseReport) -> Table {
    let names = [
        "m",
        "sets",
        "angle to own sum, °",
        "to best sum, °",
        "to any sum, °",
        "NC_m",
        "NC_m, best weights",
    ];
    let mut table = Table::new("Tag-wise averages", names.map(Column::new));
    for (&multiplicity, nc_m) in &report.nc_m {
        let cell = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
        table.push([
            Cell::Count(multiplicity as u64),
            Cell::Count(nc_m.num_sets as u64),
            nc_m.uniform.angle_degrees.into(),
            nc_m.weighted.angle_degrees.into(),
            nc_m.uniform.all_pairs_degrees.into(),
            cell(nc_m.uniform.value),
            cell(nc_m.weighted.value),
        ]);
    }
    table
}

fn classes(report: &CollapseReport, class_names: &[String]) -> Table {
    let names = [
        "class",
        "alone",
        "samples",
        "norm, centred",
        "spread",
        "angle to W, °",
    ];
    let mut table = Table::new("Classes", names.map(Column::new));
    let cell = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
    for row in &report.classes {
        table.push([
            class_cell(class_names, row.class),
            Cell::Count(row.num_alone),
            Cell::Count(row.num_samples),
            row.centred_norm.into(),
            cell(row.spread),
            cell(row.duality_degrees),
        ]);
    }
    table
}

/// Label sets whose mean is farthest from the sum of its labels' means.
pub(super) fn odd_sets(report: &CollapseReport, class_names: &[String]) -> Table {
    let names = [
        "label set",
        "samples",
        "angle to own sum, °",
        "scale",
        "spread",
    ];
    let mut table = Table::new(
        "Label sets farthest from their tag-wise average",
        names.map(Column::new),
    );
    let mut rows: Vec<_> = report
        .label_sets
        .iter()
        .filter_map(|row| Some((row.angle_degrees?, row)))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (angle, row) in rows.into_iter().take(MAX_SETS) {
        table.push([
            set_name(&row.label_set, class_names).into(),
            Cell::Count(row.num_samples),
            angle.into(),
            row.scale.map_or(Cell::Missing, Cell::Number),
            row.spread.into(),
        ]);
    }
    table
}

/// Labels that the nearest label set and the classifier both contradict, and that are likely wrong.
fn likely_errors(report: &CollapseReport, class_names: &[String]) -> Table {
    let Some(errors) = &report.label_errors else {
        return Table::new("", []);
    };
    let title = format!(
        "Likely label errors: {} that nearest label set and classifier both contradict, about {:.1} % of labels are wrong",
        errors.num_likely,
        100.0 * errors.rate
    );
    let names = ["row", "labels", "probability", "nearest set mean", "W says"];
    let mut table = Table::new(title, names.map(Column::new));
    for sample in &errors.samples {
        table.push([
            Cell::Count(sample.sample as u64),
            set_name(&sample.label_set, class_names).into(),
            sample.probability.into(),
            set_name(&sample.nearest_set, class_names).into(),
            set_name(&sample.classifier_set, class_names).into(),
        ]);
    }
    table
}

fn farthest(report: &CollapseReport, class_names: &[String]) -> Table {
    let names = [
        "row",
        "labels",
        "distance / typical",
        "nearest set mean",
        "W says",
    ];
    let title = "Samples farthest from the mean of their label set";
    let mut table = Table::new(title, names.map(Column::new));
    for sample in &report.worst_samples {
        let classifier_set = sample.classifier_set.as_ref();
        table.push([
            Cell::Count(sample.sample as u64),
            set_name(&sample.label_set, class_names).into(),
            sample.relative.into(),
            set_name(&sample.nearest_set, class_names).into(),
            classifier_set.map_or(Cell::Missing, |set| set_name(set, class_names).into()),
        ]);
    }
    table
}

/// A class by its name; a number is set as one.
fn class_cell(class_names: &[String], class: usize) -> Cell {
    match class_names.get(class) {
        Some(name) if *name != class.to_string() => name.clone().into(),
        _ => Cell::Count(class as u64),
    }
}

/// The headline metrics of any of several analyses, in the order of their first appearance.
pub(super) fn metrics_of_any(measured: &[Analysis]) -> Vec<CollapseMetric> {
    let mut metrics = Vec::new();
    for measured in measured {
        for metric in CollapseMetric::of_report(&measured.report) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
    }
    metrics
}

/// What was found in each set of features, in words.
pub(super) fn findings(measured: &[Analysis]) -> Table {
    let mut table = Table::new("Verdicts", ["file", "what was found"].map(Column::new));
    let folder = common_folder(measured);
    for measured in measured {
        let name = measured.path.strip_prefix(folder).unwrap_or(&measured.path);
        table.push([name.display().to_string().into(), measured.finding().into()]);
    }
    table
}

/// One row for each set of features, one column for each headline metric.
pub(super) fn comparison(measured: &[Analysis]) -> Table {
    let metrics = metrics_of_any(measured);
    let columns = metrics.iter().map(|metric| Column {
        better: metric.goal().into(),
        ..Column::new(metric.name())
    });
    let mut table = Table::new(
        "Neural collapse by file: 0 is exact",
        std::iter::once(Column::new("file")).chain(columns),
    );
    let folder = common_folder(measured);
    for measured in measured {
        let name = measured.path.strip_prefix(folder).unwrap_or(&measured.path);
        let values = metrics.iter().map(|metric| metric.value(&measured.report));
        let name: Cell = name.display().to_string().into();
        table.push(std::iter::once(name).chain(values.map(Cell::from)));
    }
    table
}

/// The folder that holds all the files, so that a table need not repeat it.
fn common_folder(measured: &[Analysis]) -> &Path {
    let first = measured.first().and_then(|first| first.path.parent());
    first
        .into_iter()
        .flat_map(Path::ancestors)
        .find(|folder| measured.iter().all(|one| one.path.starts_with(folder)))
        .unwrap_or(Path::new(""))
}

/// How NC1 came about.
pub(super) fn path_sentence(report: &CollapseReport) -> &'static str {
    match report.nc1_path {
        Nc1Path::Scatter => "NC1 from the within-scatter, d × d per multiplicity, of one pass",
        Nc1Path::Projection => {
            "NC1 from a second pass that projects residuals on the span of the class means (exact, and cheaper here than the d × d scatter)"
        }
        Nc1Path::TagSpan => {
            "NC1 only in the directions in which class means differ, from a second pass that projects residuals on them, as asked for"
        }
        Nc1Path::TraceOnly => {
            "only the trace of the scatter was kept: NC1 is not known, its trace quotient is"
        }
    }
}
