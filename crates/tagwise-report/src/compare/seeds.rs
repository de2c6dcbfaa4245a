//! Means over runs that differ only in their seed.

use super::{figure_columns, heading, setting};
use crate::page::Report;
use crate::table::{Cell, Column, Table};

const SEED: &str = "seed";

/// Mean and standard deviation (n − 1) of each key figure over the runs of one description, one
/// row per description; nothing when no two runs differ in their seed alone.
pub(super) fn means(reports: &[Report], names: &[String]) -> Option<Table> {
    let groups = groups(reports);
    if groups.iter().all(|group| group.len() < 2) {
        return None;
    }
    let figures = figure_columns(reports);
    let columns = ["runs", "seeds"].map(Column::new).into_iter();
    let columns = columns.chain(figures.iter().cloned());
    let mut table = Table::new("Means over seeds", columns);
    table.caption = "Mean ± standard deviation of single runs (n − 1).".into();
    for group in &groups {
        let members: Vec<&str> = group.iter().map(|&at| names[at].as_str()).collect();
        let values = figures.iter().map(|column| {
            let cells: Vec<&Cell> = group
                .iter()
                .filter_map(|&at| {
                    let mut cards = reports[at].cards.iter();
                    Some(&cards.find(|card| heading(card) == column.name)?.value)
                })
                .collect();
            mean_and_deviation(&cells)
        });
        let head = [members.join(", ").into(), group.len().into()];
        table.push(head.into_iter().chain(values));
    }
    Some(table)
}

/// Positions of the runs that share every setting but the seed, in the order of the runs; the same
/// seed again is no repetition but a copy.
fn groups(reports: &[Report]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, report) in reports.iter().enumerate() {
        let belongs = |group: &Vec<usize>| {
            let seeds = group.iter().map(|&member| setting(&reports[member], SEED));
            let own = setting(report, SEED);
            description(&reports[group[0]]).eq(description(report))
                && own.is_some()
                && seeds.into_iter().all(|seed| seed != own)
        };
        match groups.iter().position(belongs) {
            Some(group) => groups[group].push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

/// Every setting but the seed.
fn description(report: &Report) -> impl Iterator<Item = &(String, String)> {
    report.configuration.iter().filter(|(key, _)| key != SEED)
}

/// The cell itself when all are equal, as parameter counts are.
fn mean_and_deviation(cells: &[&Cell]) -> Cell {
    let values: Vec<f64> = cells.iter().filter_map(|cell| cell.value()).collect();
    match cells {
        [] => Cell::Missing,
        [first, rest @ ..] if rest.iter().all(|cell| cell == first) => (*first).clone(),
        _ if values.len() < 2 => values.first().copied().into(),
        _ => {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            Cell::Spread {
                mean,
                standard_deviation: (squares / (count - 1.0)).sqrt(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Card;

    fn run(classifier: &str, seed: u64, f1: f64) -> Report {
        Report {
            title: format!("{classifier} {seed}"),
            cards: vec![Card::higher("F1", f1), Card::trainable_parameters(1700)],
            configuration: vec![
                ("seed".into(), seed.to_string()),
                ("classifier".into(), classifier.into()),
            ],
            ..Report::default()
        }
    }

    #[test]
    fn runs_that_differ_in_their_seed_are_averaged() {
        let runs = [
            run("learned", 0, 0.96),
            run("fixed", 0, 0.97),
            run("learned", 1, 0.98),
        ];
        let names: Vec<String> = runs.iter().map(|run| run.title.clone()).collect();
        let table = means(&runs, &names).unwrap();
        insta::assert_snapshot!(table.to_text(80), @r"
        Means over seeds
        runs                  seeds               F1  Trainable parameters
        ──────────────────────────────────────────────────────────────────
        learned 0, learned 1      2  0.9700 ± 0.0141                 1,700
        fixed 0                   1  0.9700                          1,700
        Mean ± standard deviation of single runs (n − 1).
        ");
    }

    #[test]
    fn runs_of_different_settings_have_no_mean() {
        let runs = [run("learned", 0, 0.96), run("fixed", 1, 0.97)];
        assert_eq!(means(&runs, &["a".into(), "b".into()]), None);
    }

    #[test]
    fn reports_without_a_seed_are_not_repetitions() {
        let plain = Report::default();
        assert_eq!(
            means(&[plain.clone(), plain], &["a".into(), "b".into()]),
            None
        );
    }
}
