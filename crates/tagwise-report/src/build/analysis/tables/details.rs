//! The details behind the headline metrics.

use tagwise::collapse::{CollapseMetric, CollapseReport, Frame};

use crate::{Column, Table};

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

/// Everything beside the headline metrics, with what it is under collapse.
pub(super) fn details(report: &CollapseReport) -> Table {
    let columns = ["detail", "value", "when collapsed"].map(Column::new);
    let mut details = Details {
        table: Table::new("In detail", columns),
    };
    variability_details(report, &mut details);
    for metric in [CollapseMetric::Nc2ClassMeans, CollapseMetric::Nc3] {
        let name = format!("{} as published, less the mean of samples", metric.name());
        details.add(name, metric.published(report), "0 for equally many samples");
    }
    let raw = "0, or that of orthogonal means after ReLU";
    details.add("NC2, raw means", report.nc2.raw_means, raw);
    details.add(
        "raw means: distance from an orthogonal frame",
        report.nc2.orthogonal_means,
        "0 (features are not negative)",
    );
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
        details.add(format!("NC1 as published, {of}"), nc1.tag_span, "0");
        let estimate = nc1.estimate.and_then(|estimate| estimate.trace_quotient);
        details.add(format!("trace quotient, {of}"), estimate, "0");
        details.add(
            format!("trace quotient as published, {of}"),
            nc1.trace_quotient,
            "0",
        );
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
