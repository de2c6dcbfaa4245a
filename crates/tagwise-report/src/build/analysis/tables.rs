//! The tables of an analysis, for the terminal and the page.

use std::path::Path;

use tagwise::LabelSet;
use tagwise::collapse::{CollapseMetric, CollapseReport, Frame, Nc1Path};

use super::Analysis;
use crate::{Cell, Column, Table};

/// Label sets listed with the largest angles.
const MAX_SETS: usize = 10;

/// Everything about one set of features, for a terminal of so many columns.
pub fn analysis_text(measured: &Analysis, width: usize) -> String {
    let report = &measured.report;
    let mut text = format!("{}\n\n", size(measured));
    for table in analysis_tables(measured) {
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
        "{}: {} samples, {} classes, {} label sets of up to {} labels, d = {}",
        measured.path.display(),
        report.num_samples,
        report.num_classes,
        report.num_label_sets,
        report.max_multiplicity(),
        report.dim
    )
}

/// The tables of one set of features; empty ones are left out.
pub fn analysis_tables(measured: &Analysis) -> Vec<Table> {
    let report = &measured.report;
    [
        verdicts(report),
        details(report),
        published(report),
        angles(report),
        classes(measured),
        worst(measured),
    ]
    .into_iter()
    .filter(|table| !table.rows.is_empty())
    .collect()
}

fn verdicts(report: &CollapseReport) -> Table {
    let columns = ["metric", "value", "", "what it means"].map(Column::new);
    let mut table = Table::new("Neural collapse: 0 is exact", columns);
    for headline in report.headlines() {
        if let Some(value) = headline.value {
            table.push([
                headline.name.into(),
                value.into(),
                headline.verdict.word().into(),
                headline.sentence.into(),
            ]);
        }
    }
    table
}

/// Rows of a detail, its value and what it is under collapse.
struct Details {
    table: Table,
}

impl Details {
    fn add(&mut self, name: impl Into<String>, value: Option<f64>, ideal: impl Into<String>) {
        if let Some(value) = value {
            let (name, ideal): (String, String) = (name.into(), ideal.into());
            self.table.push([name.into(), value.into(), ideal.into()]);
        }
    }
}

fn details(report: &CollapseReport) -> Table {
    let columns = ["detail", "value", "when collapsed"].map(Column::new);
    let mut details = Details {
        table: Table::new("In detail", columns),
    };
    variability_details(report, &mut details);
    let raw = "0, or that of orthogonal means after ReLU";
    details.add("NC2, raw means", report.nc2.raw_means, raw);
    for (of, frame) in [
        ("W", report.frames.classifier),
        ("means", report.frames.centred_means),
    ] {
        if let Some(frame) = frame {
            frame_details(report, of, &frame, &mut details);
        }
    }
    if let Some(duality) = report.duality {
        let (angle, distance) = (duality.angle_degrees, duality.distance);
        details.add("angle of W to the means, degrees", Some(angle), "0");
        details.add("squared distance of W to the means", Some(distance), "0");
    }
    details.add(
        "NC4: nearest mean agrees with W",
        report.nc4.map(|nc4| nc4.agreement),
        "1",
    );
    let rank = report.num_classes.saturating_sub(1).min(report.dim);
    details.add(
        "effective rank of the means",
        report.effective_rank,
        rank.to_string(),
    );
    details.table
}

fn variability_details(report: &CollapseReport, details: &mut Details) {
    let pooled = (report.nc1.len() > 1).then_some(("all".to_string(), &report.nc1_pooled));
    let groups = report.nc1.iter().map(|(m, nc1)| (format!("m = {m}"), nc1));
    for (of, nc1) in groups.chain(pooled) {
        details.add(
            format!("NC1 in all directions, {of}"),
            nc1.value.filter(|_| nc1.num_sets > report.num_classes),
            "about the samples per label set",
        );
        details.add(format!("trace quotient, {of}"), nc1.trace_quotient, "0");
        details.add(format!("CDNV, {of}"), nc1.cdnv, "0");
    }
}

fn frame_details(report: &CollapseReport, of: &str, frame: &Frame, details: &mut Details) {
    let classes = report.num_classes as f64;
    // Where no simplex ETF exists, its angles and its energy are no ideal.
    let of_simplex = |ideal: String| match report.dim + 1 < report.num_classes {
        true => "no simplex ETF fits".to_string(),
        false => ideal,
    };
    details.add(
        format!("norms of {of}: deviation / mean"),
        Some(frame.norm_variation),
        "0",
    );
    details.add(
        format!("cosines of {of}: deviation"),
        Some(frame.cosine_deviation),
        of_simplex("0".into()),
    );
    details.add(
        format!("cosines of {of}: distance from −1/(K−1)"),
        Some(frame.etf_cosine_gap),
        of_simplex("0".into()),
    );
    let widest = (-1.0 / (classes - 1.0)).acos().to_degrees();
    details.add(
        format!("smallest angle of {of}, degrees"),
        Some(frame.smallest_angle_degrees),
        of_simplex(format!("{widest:.2}")),
    );
    let energy = -0.5 * (2.0 * classes / (classes - 1.0)).ln();
    details.add(
        format!("log energy of {of}"),
        frame.log_energy,
        of_simplex(format!("{energy:.4}")),
    );
    details.add(
        format!("log kernel of {of}: deviation"),
        frame.log_kernel_deviation,
        of_simplex("0".into()),
    );
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
        "angle to own sum",
        "to best sum",
        "to any sum",
        "NC_m",
        "NC_m, best weights",
    ];
    let mut table = Table::new(
        "Tag-wise averages, angles in degrees",
        names.map(Column::new),
    );
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

fn classes(measured: &Analysis) -> Table {
    let names = [
        "class",
        "alone",
        "samples",
        "norm, centred",
        "spread",
        "angle to W",
    ];
    let mut table = Table::new("Classes", names.map(Column::new));
    let cell = |value: Option<f64>| value.map_or(Cell::Missing, Cell::Number);
    for row in &measured.report.classes {
        table.push([
            class_cell(measured, row.class),
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
pub(super) fn odd_sets(measured: &Analysis) -> Table {
    let names = [
        "label set",
        "samples",
        "angle to own sum",
        "scale",
        "spread",
    ];
    let mut table = Table::new(
        "Label sets farthest from their tag-wise average",
        names.map(Column::new),
    );
    let mut rows: Vec<_> = measured
        .report
        .label_sets
        .iter()
        .filter_map(|row| Some((row.angle_degrees?, row)))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (angle, row) in rows.into_iter().take(MAX_SETS) {
        table.push([
            set_cell(measured, &row.label_set),
            Cell::Count(row.num_samples),
            angle.into(),
            row.scale.map_or(Cell::Missing, Cell::Number),
            row.spread.into(),
        ]);
    }
    table
}

fn worst(measured: &Analysis) -> Table {
    let names = [
        "row",
        "labels",
        "distance / typical",
        "nearest set mean",
        "W says",
    ];
    let mut table = Table::new(
        "Samples farthest from their label set: likely label errors",
        names.map(Column::new),
    );
    for sample in &measured.report.worst_samples {
        let classifier_set = sample.classifier_set.as_ref();
        table.push([
            Cell::Count(sample.sample as u64),
            set_cell(measured, &sample.label_set),
            sample.relative.into(),
            set_cell(measured, &sample.nearest_set),
            classifier_set.map_or(Cell::Missing, |set| set_cell(measured, set)),
        ]);
    }
    table
}

/// A class by its name; a number is set as one.
fn class_cell(measured: &Analysis, class: usize) -> Cell {
    match measured.class_names.get(class) {
        Some(name) if *name != class.to_string() => name.clone().into(),
        _ => Cell::Count(class as u64),
    }
}

/// A label set by the names of its classes.
fn set_cell(measured: &Analysis, set: &LabelSet) -> Cell {
    let name = |class: usize| match measured.class_names.get(class) {
        Some(name) => name.clone(),
        None => class.to_string(),
    };
    let names: Vec<String> = set.indices().map(name).collect();
    format!("{{{}}}", names.join(", ")).into()
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

/// One row for each set of features, one column for each headline metric.
pub(super) fn comparison(measured: &[Analysis]) -> Table {
    let metrics = metrics_of_any(measured);
    let columns = metrics.iter().map(|metric| Column::lower(metric.name()));
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
