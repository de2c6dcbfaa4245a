//! The final tables of a run, one shape for the terminal and the page.

use tagwise::collapse::{CollapseMetric, CollapseReport};
use tagwise::words::{counted, counted_as};
use tagwise_train::Summary;

use crate::build::epochs::metrics_of_each_multiplicity;
use crate::{Cell, Column, Table, format_count};

/// The tables of a finished run: its collapse, and its quality on the test set.
pub fn run_tables(summary: &Summary) -> Vec<Table> {
    vec![collapse(summary), test(summary)]
}

/// The tables for a terminal of so many columns, with what a reader must know beside them.
pub fn run_text(summary: &Summary, width: usize) -> String {
    let tables: Vec<String> = run_tables(summary)
        .iter()
        .map(|table| table.to_text(width))
        .collect();
    let notes = summary.collapse.last.notes.iter();
    let notes: String = notes.map(|note| format!("note: {note}\n")).collect();
    format!("{}\n{}\n{notes}", tables.join("\n"), parameters(summary))
}

/// Collapse of the training set before training and after the last epoch.
fn collapse(summary: &Summary) -> Table {
    let mut table = Table::new(
        format!(
            "Collapse of the training set ({})",
            images(summary.data.train.values().sum())
        ),
        [
            Column::new("metric"),
            Column::new("of what"),
            Column::new("before training"),
            Column::new(format!("after {}", counted(summary.epochs, "epoch"))),
            Column::new("ideal"),
        ],
    );
    let (first, last) = (&summary.collapse.first, &summary.collapse.last);
    let mut push =
        |name: String, of: &str, ideal, value: &dyn Fn(&CollapseReport) -> Option<f64>| {
            let (before, after) = (value(first).into(), value(last).into());
            let ideal = f64::to_string(&ideal);
            table.push([name.into(), of.into(), before, after, ideal.into()]);
        };
    for metric in metrics_of_each_multiplicity(last) {
        let of = metric.of("images");
        push(metric.symbol(), &of, metric.ideal(), &|report| {
            metric.value(report)
        });
        if let CollapseMetric::Nc1 { multiplicity } = metric {
            let name = format!("{} (traces)", metric.symbol());
            push(name, &of, metric.ideal(), &|report| {
                report.nc1.get(&multiplicity)?.trace_quotient
            });
        }
    }
    table
}

/// Quality on the test set, a row per decoder.
fn test(summary: &Summary) -> Table {
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
        let row: [Cell; 7] = [
            result.decoder.as_str().into(),
            result.evaluation.label_mass.into(),
            sets.jaccard_samples.into(),
            sets.subset_accuracy.into(),
            sets.f1_micro.into(),
            sets.f1_macro.into(),
            sets.hamming_loss.into(),
        ];
        match result.knows {
            tagwise_train::Knows::Features => table.push(row),
            tagwise_train::Knows::Multiplicity => table.push_unranked(row),
        }
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
pub(super) fn parameters(summary: &Summary) -> String {
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

fn images(count: usize) -> String {
    counted_as(count, format_count(count as u64), "image")
}
