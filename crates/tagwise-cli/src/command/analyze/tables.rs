//! The results of an analysis as tables, for the terminal and the report.

use std::path::Path;

use tagwise::collapse::{CollapseReport, Nc1Path};
use tagwise_report::{Cell, CollapseMetric, Column, Table};

use super::Measured;

/// Tables are laid out for this width when the terminal's is not known.
const WIDTH: usize = 110;

/// Label sets listed with the largest angles.
const MAX_SETS: usize = 10;

/// Everything about one file.
pub fn one(measured: &Measured) -> String {
    let report = &measured.report;
    let mut text = format!("{}\n\n", headline(measured));
    for table in of(measured) {
        text.push_str(&table.to_text(WIDTH));
        text.push('\n');
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str(&format!("note: {}\n", path_sentence(report)));
    text
}

/// One line per metric, one column per file.
pub fn several(measured: &[Measured]) -> String {
    let mut text = comparison(measured).to_text(WIDTH);
    for measured in measured {
        for note in &measured.report.notes {
            text.push_str(&format!("note: {}: {note}\n", measured.path.display()));
        }
    }
    text
}

/// What was measured, in one line.
pub fn headline(measured: &Measured) -> String {
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

/// The tables of one file; empty ones are left out.
pub fn of(measured: &Measured) -> Vec<Table> {
    let report = &measured.report;
    [
        verdicts(report),
        details(report),
        published(report),
        angles(report),
        classes(report),
        worst(report),
    ]
    .into_iter()
    .filter(|table| !table.rows.is_empty())
    .collect()
}

/// The metrics of the paper by name; those that were not measured are missing.
pub fn metrics(report: &CollapseReport) -> Vec<(CollapseMetric, String, Option<f64>)> {
    let mut metrics = Vec::new();
    for (&multiplicity, nc1) in &report.nc1 {
        metrics.push((
            CollapseMetric::Nc1,
            format!("NC1, m = {multiplicity}"),
            nc1.tag_span,
        ));
    }
    if report.nc1.len() > 1 {
        metrics.push((
            CollapseMetric::Nc1,
            "NC1, all".into(),
            report.nc1_pooled.tag_span,
        ));
    }
    for (metric, value) in [
        (CollapseMetric::Nc2Classifier, report.nc2.classifier),
        (CollapseMetric::Nc2ClassMeans, report.nc2.centred_means),
        (CollapseMetric::Nc3, report.nc3),
    ] {
        metrics.push((metric, metric.name(), value));
    }
    for (&multiplicity, nc_m) in &report.nc_m {
        let metric = CollapseMetric::NcM { multiplicity };
        metrics.push((metric, metric.name(), nc_m.uniform.value));
    }
    metrics
}

fn verdicts(report: &CollapseReport) -> Table {
    let columns = ["metric", "value", "", "what it means"].map(Column::new);
    let mut table = Table::new("Neural collapse: 0 is exact", columns);
    for (metric, name, value) in metrics(report) {
        if let Some(value) = value {
            let verdict = metric.verdict(value);
            table.push([
                name.into(),
                value.into(),
                verdict.level.word().into(),
                verdict.sentence.into(),
            ]);
        }
    }
    table
}

fn details(report: &CollapseReport) -> Table {
    let columns = ["detail", "value", "when collapsed"].map(Column::new);
    let mut table = Table::new("In detail", columns);
    let mut add = |name: String, value: Option<f64>, ideal: String| {
        if let Some(value) = value {
            table.push([name.into(), value.into(), ideal.into()]);
        }
    };
    let classes = report.num_classes as f64;
    let pooled = (report.nc1.len() > 1).then_some(("all".to_string(), &report.nc1_pooled));
    let groups = report.nc1.iter().map(|(m, nc1)| (format!("m = {m}"), nc1));
    for (of, nc1) in groups.chain(pooled) {
        add(
            format!("NC1 in all directions, {of}"),
            nc1.value.filter(|_| nc1.num_sets > report.num_classes),
            "about the samples per label set".into(),
        );
        add(
            format!("trace quotient, {of}"),
            nc1.trace_quotient,
            "0".into(),
        );
        add(format!("CDNV, {of}"), nc1.cdnv, "0".into());
    }
    add(
        "NC2, raw means".into(),
        report.nc2.raw_means,
        "0, or that of orthogonal means after ReLU".into(),
    );
    for (of, frame) in [
        ("W", report.frames.classifier),
        ("means", report.frames.centred_means),
    ] {
        if let Some(frame) = frame {
            add(
                format!("norms of {of}: deviation / mean"),
                Some(frame.norm_variation),
                "0".into(),
            );
            add(
                format!("cosines of {of}: deviation"),
                Some(frame.cosine_deviation),
                "0".into(),
            );
            add(
                format!("cosines of {of}: distance from −1/(K−1)"),
                Some(frame.etf_cosine_gap),
                "0".into(),
            );
            let widest = (-1.0 / (classes - 1.0)).acos().to_degrees();
            add(
                format!("smallest angle of {of}, degrees"),
                Some(frame.smallest_angle_degrees),
                format!("{widest:.2}"),
            );
            add(
                format!("log energy of {of}"),
                frame.log_energy,
                format!("{:.4}", -0.5 * (2.0 * classes / (classes - 1.0)).ln()),
            );
            add(
                format!("log kernel of {of}: deviation"),
                frame.log_kernel_deviation,
                "0".into(),
            );
        }
    }
    if let Some(duality) = report.duality {
        add(
            "angle of W to the means, degrees".into(),
            Some(duality.angle_degrees),
            "0".into(),
        );
        add(
            "squared distance of W to the means".into(),
            Some(duality.distance),
            "0".into(),
        );
    }
    add(
        "NC4: nearest mean agrees with W".into(),
        report.nc4.map(|nc4| nc4.agreement),
        "1".into(),
    );
    add(
        "effective rank of the means".into(),
        report.effective_rank,
        format!("{}", report.num_classes.saturating_sub(1)),
    );
    table
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

fn classes(report: &CollapseReport) -> Table {
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
    for row in &report.classes {
        table.push([
            Cell::Count(row.class as u64),
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
pub fn odd_sets(report: &CollapseReport) -> Table {
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
    let mut rows: Vec<_> = report
        .label_sets
        .iter()
        .filter_map(|row| Some((row.angle_degrees?, row)))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (angle, row) in rows.into_iter().take(MAX_SETS) {
        table.push([
            row.label_set.to_string().into(),
            Cell::Count(row.num_samples),
            angle.into(),
            row.scale.map_or(Cell::Missing, Cell::Number),
            row.spread.into(),
        ]);
    }
    table
}

fn worst(report: &CollapseReport) -> Table {
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
    for sample in &report.worst_samples {
        table.push([
            Cell::Count(sample.sample as u64),
            sample.label_set.to_string().into(),
            sample.relative.into(),
            sample.nearest_set.to_string().into(),
            sample
                .classifier_set
                .as_ref()
                .map_or(Cell::Missing, |set| set.to_string().into()),
        ]);
    }
    table
}

/// One row per file, one column per metric of the paper.
pub fn comparison(measured: &[Measured]) -> Table {
    let mut names: Vec<String> = Vec::new();
    for measured in measured {
        for (_, name, _) in metrics(&measured.report) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let columns = std::iter::once(Column::new("file")).chain(names.iter().map(Column::lower));
    let mut table = Table::new(
        "Neural collapse by file: 0 is exact",
        columns.collect::<Vec<_>>(),
    );
    let folder = common_folder(measured);
    for measured in measured {
        let values = metrics(&measured.report);
        let name = measured.path.strip_prefix(folder).unwrap_or(&measured.path);
        let mut row: Vec<Cell> = vec![name.display().to_string().into()];
        row.extend(names.iter().map(|name| {
            let value = values.iter().find(|(_, found, _)| found == name);
            value
                .and_then(|(_, _, value)| *value)
                .map_or(Cell::Missing, Cell::Number)
        }));
        table.push(row);
    }
    table
}

/// The folder that holds all the files, so that a table need not repeat it.
fn common_folder(measured: &[Measured]) -> &Path {
    let first = measured.first().and_then(|first| first.path.parent());
    first
        .into_iter()
        .flat_map(Path::ancestors)
        .find(|folder| measured.iter().all(|one| one.path.starts_with(folder)))
        .unwrap_or(Path::new(""))
}

/// How NC1 came about.
pub fn path_sentence(report: &CollapseReport) -> &'static str {
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
