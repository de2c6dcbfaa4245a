//! Several runs on one page.

mod seeds;

use std::collections::BTreeSet;
use tagwise::words::counted;

use crate::card::{Card, TRAINABLE_PARAMETERS};
use crate::chart::{Chart, Series};
use crate::page::{Kind, Report};
use crate::table::{Better, Cell, Column, Table};
use crate::{Error, Result};

/// One report that lays several over each other: a table of their key figures with the best
/// emphasised, their means where runs differ only in the setting `seed`, every curve that at least one of them has with one line per run, and the settings
/// in which they differ.
///
/// ```
/// use tagwise_report::{Card, Report, compare};
///
/// let run = |title: &str, f1: f64| Report {
///     title: title.into(),
///     cards: vec![Card::higher("F1", f1)],
///     ..Report::default()
/// };
/// let both = compare(&[run("learned", 0.97), run("fixed ETF", 0.98)])?;
/// assert_eq!(both.tables[0].rows[1], ["fixed ETF".into(), 0.98.into()]);
/// # Ok::<(), tagwise_report::Error>(())
/// ```
///
/// # Errors
/// [`Error::NothingToCompare`] for an empty slice.
pub fn compare(reports: &[Report]) -> Result<Report> {
    if reports.is_empty() {
        return Err(Error::NothingToCompare);
    }
    let (common, names) = split_names(&distinct_titles(reports));
    let key_figures = key_figures(reports, &names);
    let summary = finding(&key_figures);
    let mut tables = vec![key_figures];
    tables.extend(seeds::means(reports, &names));
    let differences = differences(reports, &names);
    if differences.columns.len() > 1 {
        tables.push(differences);
    }
    Ok(Report {
        kind: Kind::Comparison,
        title: match (&names[..], common) {
            ([only], _) => only.clone(),
            ([first, second], common) if common.is_empty() => format!("{first} and {second}"),
            (names, common) if common.is_empty() => counted(names.len(), "run"),
            (_, common) => common,
        },
        subtitle: format!("{}: {}", counted(names.len(), "run"), names.join("; ")),
        summary,
        tables,
        curves: curves(reports, &names),
        configuration: shared_settings(reports),
        provenance: reports[0].provenance.clone(),
        ..Report::default()
    })
}

/// Titles of the runs, numbered where two are equal.
fn distinct_titles(reports: &[Report]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    reports
        .iter()
        .map(|report| {
            let mut name = report.title.clone();
            let mut number = 2;
            while !seen.insert(name.clone()) {
                name = format!("{} ({number})", report.title);
                number += 1;
            }
            name
        })
        .collect()
}

/// What all names begin with, in whole words, and what tells each apart: labels in a chart have
/// little room.
fn split_names(titles: &[String]) -> (String, Vec<String>) {
    let words: Vec<Vec<&str>> = titles
        .iter()
        .map(|title| title.split(' ').collect())
        .collect();
    let shortest = words.iter().map(Vec::len).min().unwrap_or(0);
    let shared = (0..shortest.saturating_sub(1))
        .take_while(|&at| words.iter().all(|title| title[at] == words[0][at]))
        .count();
    if titles.len() < 2 || shared == 0 {
        return (String::new(), titles.to_vec());
    }
    let common = words[0][..shared].join(" ");
    let common = common.trim_end_matches([',', ':', ';', '-', '–', ' ']);
    let names = words.iter().map(|title| title[shared..].join(" "));
    (common.into(), names.collect())
}

/// One row per run, one column per key figure in the order of first appearance.
fn key_figures(reports: &[Report], names: &[String]) -> Table {
    let columns = std::iter::once(Column::new("run")).chain(figure_columns(reports));
    let mut table = Table::new("Key figures", columns);
    if let Some(setting) = different_test_set(reports) {
        // Values of different samples are not ranked.
        for column in &mut table.columns {
            column.better = Better::Neither;
        }
        table.caption = format!(
            "No value is called the best: these runs differ in {setting}, so they were tested on different samples."
        );
    }
    for (report, name) in reports.iter().zip(names) {
        let figures: Vec<Cell> = table.columns[1..]
            .iter()
            .map(|column| {
                let mut cards = report.cards.iter();
                let card = cards.find(|card| heading(card) == column.name);
                card.map(|card| card.value.clone()).unwrap_or_default()
            })
            .collect();
        table.push(std::iter::once(Cell::from(name.as_str())).chain(figures));
    }
    add_parameters_saved(&mut table);
    table
}

/// Which run is best by what, in one sentence; empty where runs do not compare.
fn finding(figures: &Table) -> String {
    let mut won: Vec<(String, Vec<&str>)> = Vec::new();
    for (at, column) in figures.columns.iter().enumerate().skip(1) {
        let best = figures.best(at);
        let mut winners = figures.rows.iter().filter(|row| {
            let value = row.get(at).and_then(Cell::value);
            best.is_some() && value == best
        });
        // Two that share the best value are no winner.
        if let (Some(winner), None) = (winners.next(), winners.next()) {
            let run = winner[0].plain();
            match won.iter_mut().find(|(name, _)| *name == run) {
                Some((_, columns)) => columns.push(&column.name),
                None => won.push((run, vec![&column.name])),
            }
        }
    }
    won.sort_by_key(|(_, columns)| std::cmp::Reverse(columns.len()));
    // "NC_m, m = 2" among others would read as two.
    let apart = |name: &&str| match name.split_once(", ") {
        Some((name, of)) => format!("{name} ({of})"),
        None => (*name).to_string(),
    };
    let parts: Vec<String> = won
        .iter()
        .map(|(run, columns)| {
            let columns: Vec<String> = columns.iter().map(apart).collect();
            let columns = match columns.split_last() {
                Some((last, rest)) if !rest.is_empty() => {
                    format!("{} and {last}", rest.join(", "))
                }
                _ => columns.join(""),
            };
            format!("{run} is best by {columns}")
        })
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}.", parts.join("; ")),
    }
}

/// Settings of data that leave the test set as it is.
const OTHER_DATA: [&str; 3] = ["data.folder", "data.train", "data.validation"];

/// The first setting about the test set, if any, in which runs differ.
fn different_test_set(reports: &[Report]) -> Option<&str> {
    setting_names(reports).into_iter().find(|key| {
        let is_other = OTHER_DATA.iter().any(|other| key.starts_with(other));
        let is_test = key.starts_with("data.") && !is_other;
        is_test
            && reports
                .iter()
                .any(|report| setting(report, key) != setting(&reports[0], key))
    })
}

/// The name of a key figure with its unit.
fn heading(card: &Card) -> String {
    match card.unit.is_empty() {
        true => card.label.clone(),
        false => format!("{}, {}", card.label, card.unit),
    }
}

/// Every key figure of any run in the order of first appearance.
fn figure_columns(reports: &[Report]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for card in reports.iter().flat_map(|report| &report.cards) {
        if columns.iter().all(|column| column.name != heading(card)) {
            columns.push(Column {
                better: card.better,
                ..Column::new(heading(card))
            });
        }
    }
    columns
}

/// A column, right of the trainable parameters, with the share that each run saves against the
/// largest; nothing when all have the same.
fn add_parameters_saved(table: &mut Table) {
    let is_count = |column: &Column| column.name == TRAINABLE_PARAMETERS;
    let Some(at) = table.columns.iter().position(is_count) else {
        return;
    };
    let counts: Vec<Option<f64>> = table.rows.iter().map(|row| row[at].value()).collect();
    let largest = counts.iter().flatten().copied().fold(0.0, f64::max);
    if counts.iter().flatten().all(|&count| count == largest) {
        return;
    }
    table
        .columns
        .insert(at + 1, Column::percent("parameters saved"));
    for (row, count) in table.rows.iter_mut().zip(counts) {
        let saved = count.map(|count| 1.0 - count / largest);
        row.insert(at + 1, saved.into());
    }
}

/// Settings that are not the same in every run, one column each.
fn differences(reports: &[Report], names: &[String]) -> Table {
    let keys: Vec<&str> = setting_names(reports)
        .into_iter()
        .filter(|key| {
            let first = setting(&reports[0], key);
            reports.iter().any(|report| setting(report, key) != first)
        })
        .collect();
    let columns = std::iter::once("run").chain(keys.iter().copied());
    let mut table = Table::new("Settings that differ", columns.map(Column::new));
    for (report, name) in reports.iter().zip(names) {
        let values = keys.iter().map(|key| setting(report, key).into());
        table.push(std::iter::once(Cell::from(name.as_str())).chain(values));
    }
    table
}

fn shared_settings(reports: &[Report]) -> Vec<(String, String)> {
    reports[0]
        .configuration
        .iter()
        .filter(|(key, value)| {
            reports
                .iter()
                .all(|report| setting(report, key) == Some(value))
        })
        .cloned()
        .collect()
}

/// Every setting of any run in the order of first appearance.
fn setting_names(reports: &[Report]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, _) in reports.iter().flat_map(|report| &report.configuration) {
        if seen.insert(key.as_str()) {
            names.push(key.as_str());
        }
    }
    names
}

fn setting<'a>(report: &'a Report, key: &str) -> Option<&'a str> {
    let found = report.configuration.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.as_str())
}

/// One chart for each line of each chart of the runs, with the runs as its lines. What a line is
/// called decides, not how many others its chart has: a metric is one chart whatever else runs have.
fn curves(reports: &[Report], names: &[String]) -> Vec<Chart> {
    let mut merged: Vec<(&str, &str, Chart)> = Vec::new();
    for (report, run) in reports.iter().zip(names) {
        for chart in &report.curves {
            for series in &chart.series {
                let line = Series {
                    name: run.clone(),
                    ..series.clone()
                };
                let is_same = |(title, name, _): &&mut (&str, &str, Chart)| {
                    *title == chart.title && *name == series.name
                };
                if let Some((.., other)) = merged.iter_mut().find(is_same) {
                    other.series.push(line);
                    continue;
                }
                // What one line has by chance is nothing to the others.
                let mut references = chart.references.clone();
                references.retain(|level| {
                    !level.name.contains(", ") || level.name.ends_with(&series.name)
                });
                let chart_of_line = Chart {
                    series: vec![line],
                    references,
                    ..chart.clone()
                };
                merged.push((&chart.title, &series.name, chart_of_line));
            }
        }
    }
    let titles: Vec<&str> = merged.iter().map(|(title, ..)| *title).collect();
    let mut merged: Vec<Chart> = merged
        .iter()
        .map(|(title, series, chart)| Chart {
            title: match titles.iter().filter(|other| *other == title).count() {
                1 => (*title).to_string(),
                _ => format!("{title}: {series}"),
            },
            ..chart.clone()
        })
        .collect();
    // the same run keeps its colour in every chart
    for chart in &mut merged {
        chart.series = names
            .iter()
            .map(|run| {
                let line = chart.series.iter().find(|line| line.name == *run);
                line.cloned().unwrap_or_else(|| Series {
                    name: run.clone(),
                    ..Series::default()
                })
            })
            .collect();
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Axis;
    use crate::render;

    fn run(title: &str, classifier: &str, last: f64) -> Report {
        let mut chart = Chart::new("NC1", Axis::linear("epoch"), Axis::log("NC1"));
        chart.series = vec![
            Series::new("1 label", [(1.0, 1.0), (2.0, last)]),
            Series::new("2 labels", [(1.0, 2.0), (2.0, 2.0 * last)]),
        ];
        Report {
            title: title.into(),
            cards: vec![Card::lower("NC1", last)],
            curves: vec![chart],
            configuration: vec![
                ("seed".into(), "0".into()),
                ("classifier".into(), classifier.into()),
            ],
            ..Report::default()
        }
    }

    #[test]
    fn lines_of_the_same_name_share_a_chart() {
        let both = compare(&[run("a", "learned", 0.1), run("b", "fixed-etf", 0.2)]).unwrap();
        let titles: Vec<&str> = both
            .curves
            .iter()
            .map(|chart| chart.title.as_str())
            .collect();
        assert_eq!(titles, ["NC1: 1 label", "NC1: 2 labels"]);
        for chart in &both.curves {
            let runs: Vec<&str> = chart.series.iter().map(|line| line.name.as_str()).collect();
            assert_eq!(runs, ["a", "b"]);
        }
        assert!(render(&both).is_ok());
    }

    #[test]
    fn a_metric_is_one_chart_whatever_else_runs_have() {
        let mut pairs = run("b", "learned", 0.2);
        pairs.curves[0].series.truncate(1);
        let both = compare(&[run("a", "learned", 0.1), pairs]).unwrap();
        let lines: Vec<(&str, usize)> = both
            .curves
            .iter()
            .map(|chart| {
                let with_points = chart.series.iter().filter(|line| !line.points.is_empty());
                (chart.title.as_str(), with_points.count())
            })
            .collect();
        assert_eq!(lines, [("NC1: 1 label", 2), ("NC1: 2 labels", 1)]);
    }

    #[test]
    fn the_leading_sentence_says_which_run_is_best() {
        let both = compare(&[run("a", "learned", 0.1), run("b", "fixed-etf", 0.2)]).unwrap();
        assert_eq!(both.summary, "a is best by NC1.");
        let same = compare(&[run("a", "learned", 0.1), run("b", "learned", 0.1)]).unwrap();
        assert_eq!(same.summary, "");
    }

    #[test]
    fn settings_are_split_into_different_and_shared() {
        let both = compare(&[run("a", "learned", 0.1), run("b", "fixed-etf", 0.2)]).unwrap();
        insta::assert_snapshot!(both.tables[1].to_text(60), @r"
        Settings that differ
        run  classifier
        ───────────────
        a    learned
        b    fixed-etf
        ");
        assert_eq!(both.configuration, [("seed".into(), "0".into())]);
    }

    #[test]
    fn runs_of_the_same_name_are_numbered_and_a_missing_figure_is_missing() {
        let mut second = run("a", "learned", 0.2);
        second.cards.clear();
        second.curves.clear();
        let both = compare(&[run("a", "learned", 0.1), second]).unwrap();
        insta::assert_snapshot!(both.tables[0].to_text(60), @r"
        Key figures
        run       NC1
        ─────────────
        a      0.1000
        a (2)       –
        ");
        assert_eq!(both.tables.len(), 1);
        assert!(both.curves[0].svg().contains("data-name=\"a (2)\""));
    }

    #[test]
    fn names_are_cut_to_what_tells_them_apart() {
        let split = |titles: &[&str]| {
            let titles: Vec<String> = titles.iter().map(ToString::to_string).collect();
            split_names(&titles)
        };
        let (common, names) = split(&["M-lab digits, learned", "M-lab digits, fixed ETF"]);
        assert_eq!(
            (common.as_str(), names.concat().as_str()),
            ("M-lab digits", "learnedfixed ETF")
        );
        assert_eq!(split(&["run", "run 2"]).1, ["run", "run 2"]);
        assert_eq!(split(&["a b", "c b"]).1, ["a b", "c b"]);
        assert_eq!(split(&["only one"]).1, ["only one"]);
    }

    #[test]
    fn the_saving_is_told_against_the_largest_network() {
        let sized = |title: &str, count| Report {
            title: title.into(),
            cards: vec![Card::trainable_parameters(count)],
            ..Report::default()
        };
        let both = compare(&[sized("learned", 11_172_810), sized("fixed", 8_858_610)]).unwrap();
        insta::assert_snapshot!(both.tables[0].to_text(60), @r"
        Key figures
        run      Trainable parameters  parameters saved
        ───────────────────────────────────────────────
        learned            11,172,810            0.00 %
        fixed               8,858,610           20.71 %
        ");
        let same = compare(&[sized("a", 7), sized("b", 7)]).unwrap();
        assert_eq!(same.tables[0].columns.len(), 2);
    }

    #[test]
    fn runs_on_different_data_have_no_best() {
        let on = |title: &str, source: &str, last| {
            let mut run = run(title, "learned", last);
            run.configuration
                .push(("data.source".into(), source.into()));
            run
        };
        let is_bold = |runs: &[Report]| {
            compare(runs).unwrap().tables[0]
                .to_html()
                .unwrap()
                .contains("<b>")
        };
        assert!(is_bold(&[on("a", "mnist", 0.1), on("b", "mnist", 0.2)]));
        let different = [on("a", "mnist", 0.1), on("b", "svhn", 0.2)];
        assert!(!is_bold(&different));
        assert_eq!(
            compare(&different).unwrap().tables[0].caption,
            "No value is called the best: these runs differ in data.source, so they were tested on different samples."
        );
    }

    #[test]
    fn nothing_to_compare_is_an_error() {
        assert!(matches!(compare(&[]), Err(Error::NothingToCompare)));
    }
}
