//! The final tables of a run, one shape for the terminal and the report.

use tagwise::collapse::CollapseReport;
use tagwise_report::{Cell, Column, Table, format_count};
use tagwise_train::Summary;

/// Tables are laid out for this width when the terminal's is not known.
const WIDTH: usize = 100;

/// The tables as text, one below the other.
pub fn render(summary: &Summary) -> String {
    let tables = [collapse(summary), test(summary)].map(|table| table.to_text(WIDTH));
    let report = summary.folder.as_ref().map_or_else(String::new, |folder| {
        format!("report: {}\n", folder.join("report.html").display())
    });
    format!(
        "{}\n{}\n{}{report}",
        tables.join("\n"),
        parameters(summary),
        notes(summary),
    )
}

/// Collapse of the training set before training and after the last epoch.
pub fn collapse(summary: &Summary) -> Table {
    let mut table = Table::new(
        format!(
            "Collapse of the training set ({})",
            images(summary.data.train.values().sum())
        ),
        [
            Column::new("metric"),
            Column::new("of what"),
            Column::new("before training"),
            Column::new(format!("after {} epochs", summary.epochs)),
            Column::new("ideal"),
        ],
    );
    let (first, last) = (&summary.collapse.first, &summary.collapse.last);
    for &multiplicity in last.nc1.keys() {
        let of_what = match multiplicity {
            1 => "images with 1 label".to_string(),
            m => format!("images with {m} labels"),
        };
        table.push(row("NC1", &of_what, first, last, |report| {
            report.nc1.get(&multiplicity)?.tag_span
        }));
        table.push(row("NC1 (traces)", &of_what, first, last, |report| {
            report.nc1.get(&multiplicity)?.trace_quotient
        }));
    }
    table.push(row("NC2", "classifier W", first, last, |report| {
        report.nc2.classifier
    }));
    table.push(row("NC2", "class means, centred", first, last, |report| {
        report.nc2.centred_means
    }));
    table.push(row("NC3", "W and class means", first, last, |report| {
        report.nc3
    }));
    for &multiplicity in last.nc_m.keys() {
        table.push(row(
            &format!("NC_{multiplicity}"),
            "tag-wise averages",
            first,
            last,
            |report| report.nc_m.get(&multiplicity)?.uniform.value,
        ));
    }
    table
}

fn row(
    metric: &str,
    of_what: &str,
    first: &CollapseReport,
    last: &CollapseReport,
    value: impl Fn(&CollapseReport) -> Option<f64>,
) -> [Cell; 5] {
    let cell = |report| value(report).map_or(Cell::Missing, Cell::Number);
    [
        metric.into(),
        of_what.into(),
        cell(first),
        cell(last),
        "0".into(),
    ]
}

/// Quality on the test set, a row per decoder.
pub fn test(summary: &Summary) -> Table {
    let mut table = Table::new(
        format!(
            "Test set ({}, from source images that no other set has seen{})",
            images(summary.data.test.values().sum()),
            match summary.selected_epoch {
                epoch if epoch == summary.epochs => String::new(),
                epoch => format!("; weights of epoch {epoch}, the best on validation"),
            }
        ),
        [
            Column::new("decoder"),
            Column::higher("label mass"),
            Column::higher("Jaccard"),
            Column::higher("exact match"),
            Column::higher("micro F1"),
            Column::higher("macro F1"),
            Column::lower("Hamming loss"),
        ],
    );
    for result in &summary.test {
        let sets = &result.evaluation.sets;
        table.push([
            result.decoder.as_str().into(),
            result
                .evaluation
                .label_mass
                .map_or(Cell::Missing, Cell::Number),
            sets.jaccard_samples.into(),
            sets.subset_accuracy.into(),
            sets.f1_micro.into(),
            sets.f1_macro.into(),
            sets.hamming_loss.into(),
        ]);
    }
    let settings: Vec<String> = summary
        .test
        .iter()
        .map(|result| format!("{}: {}", result.decoder, result.setting))
        .collect();
    table.caption = format!("{}.", settings.join("; "));
    table
}

/// How many parameters are trained, in one line.
pub fn parameters(summary: &Summary) -> String {
    let count = summary.network.parameters;
    let trainable = format_count(count.trainable as u64);
    if count.trainable == count.learned_head {
        return format!("{trainable} trainable parameters (learned classifier)");
    }
    format!(
        "{trainable} trainable parameters ({} classifier, d = {}), {:.2} % {} than the {} with a \
         learned classifier and the network's own d",
        summary.network.classifier,
        summary.network.feature_dim,
        100.0 * count.saving.abs(),
        if count.saving >= 0.0 { "fewer" } else { "more" },
        format_count(count.learned_head as u64),
    )
}

fn notes(summary: &Summary) -> String {
    summary
        .collapse
        .last
        .notes
        .iter()
        .map(|note| format!("note: {note}\n"))
        .collect()
}

fn images(count: usize) -> String {
    format!("{} images", format_count(count as u64))
}
