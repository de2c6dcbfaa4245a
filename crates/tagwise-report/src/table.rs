//! One table for the terminal, the page and JSON.

mod html;
mod text;

use serde::{Deserialize, Serialize};
use tagwise::collapse::Goal;

use crate::number::{format_count, format_number, true_minus, typeset_number};

/// A table with named columns.
///
/// ```
/// use tagwise_report::{Column, Table};
///
/// let mut table = Table::new("Test set", [Column::new("decoder"), Column::higher("Jaccard")]);
/// table.push(["one nearest neighbour".into(), 0.98123.into()]);
/// table.push(["softmax threshold".into(), 0.9.into()]);
/// assert_eq!(
///     table.to_text(80),
///     "Test set\n\
///      decoder                Jaccard\n\
///      ──────────────────────────────\n\
///      one nearest neighbour   0.9812\n\
///      softmax threshold       0.9000\n"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What is listed; may be empty.
    #[serde(default)]
    pub title: String,
    /// How to read it; may be empty.
    #[serde(default)]
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// One cell for each column in every row.
    pub rows: Vec<Vec<Cell>>,
    /// Numbers of the rows that are no candidates for the best value, such as that of an oracle
    /// which is told part of the truth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unranked: Vec<usize>,
}

/// Head of a column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name at the top.
    pub name: String,
    /// Which values are better; the best of the column is emphasised on the page.
    #[serde(default)]
    pub better: Better,
    /// How its numbers are shown.
    #[serde(default)]
    pub format: Format,
}

/// Which of two values is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// No order.
    #[default]
    Neither,
    /// Errors, distances, NC1.
    Lower,
    /// Rates of success.
    Higher,
}

/// One entry of a table. In JSON it is a bare string, number or null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing was measured.
    #[default]
    Missing,
    /// A whole number, shown in full.
    Count(u64),
    /// A measured number, shown as [`format_number`] does.
    Number(f64),
    /// Words.
    Text(String),
    /// Mean and standard deviation of several measurements, shown as "0.9712 ± 0.0013".
    Spread {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        standard_deviation: f64,
    },
}

/// How the numbers of a column are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As [`format_number`] does.
    #[default]
    Digits,
    /// Shares of 1 in per cent with two decimals.
    Percent,
}

impl Column {
    /// A column without an order among its values.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// A column of shares of 1, shown in per cent.
    pub fn percent(name: impl Into<String>) -> Self {
        Self {
            format: Format::Percent,
            ..Self::new(name)
        }
    }

    /// A column where lower values are better.
    pub fn lower(name: impl Into<String>) -> Self {
        Self {
            better: Better::Lower,
            ..Self::new(name)
        }
    }

    /// A column where higher values are better.
    pub fn higher(name: impl Into<String>) -> Self {
        Self {
            better: Better::Higher,
            ..Self::new(name)
        }
    }
}

impl Cell {
    /// The entry as numbers are compared; `None` for words and missing entries.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Number(number) => Some(*number),
            Self::Spread { mean, .. } => Some(*mean),
            Self::Missing | Self::Text(_) => None,
        }
    }

    /// The entry as the terminal shows it.
    pub fn plain(&self) -> String {
        match self {
            Self::Missing => "–".into(),
            Self::Count(count) => format_count(*count),
            Self::Number(number) => format_number(*number),
            Self::Text(text) => text.clone(),
            Self::Spread {
                mean,
                standard_deviation,
            } => spread(*mean, *standard_deviation),
        }
    }

    /// The entry as the page shows it.
    pub fn typeset(&self) -> String {
        match self {
            Self::Number(number) => typeset_number(*number),
            Self::Spread { .. } => true_minus(&self.plain()),
            Self::Missing | Self::Count(_) | Self::Text(_) => self.plain(),
        }
    }

    fn in_format(&self, format: Format) -> String {
        match (format, self) {
            (Format::Percent, Self::Number(share)) => format!("{:.2} %", 100.0 * share),
            _ => self.plain(),
        }
    }
}

impl From<Goal> for Better {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Lower => Self::Lower,
            Goal::Higher => Self::Higher,
        }
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(entry: Option<T>) -> Self {
        entry.map_or(Self::Missing, Into::into)
    }
}

/// "0.9712 ± 0.0013": the deviation with as many decimals as the mean.
fn spread(mean: f64, deviation: f64) -> String {
    let shown = format_number(mean);
    let decimals = decimal_tail(&shown).saturating_sub(1);
    if shown.contains('e') || deviation >= 1e6 {
        return format!("{shown} ± {}", format_number(deviation));
    }
    format!("{shown} ± {deviation:.decimals$}")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            title: title.into(),
            columns: columns.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Adds a row that is no candidate for the best value.
    pub fn push_unranked(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.unranked.push(self.rows.len());
        self.push(row);
    }

    fn side(&self, column: usize) -> Side {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        if cells.any(|cell| cell.value().is_some()) {
            Side::Right
        } else {
            Side::Left
        }
    }
}

/// Number of characters from the decimal point to the end.
fn decimal_tail(number: &str) -> usize {
    match number.find('.') {
        Some(point) => number[point..].chars().count(),
        None => number.len() - number.trim_end_matches(" %").len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn decoders() -> Table {
        let mut table = Table::new(
            "Test set",
            [
                Column::new("decoder"),
                Column::higher("label mass"),
                Column::lower("Hamming loss"),
                Column::new("images"),
            ],
        );
        table.push([
            "one nearest neighbour".into(),
            0.9712.into(),
            0.00432.into(),
            10_250u64.into(),
        ]);
        table.push([
            "Schwelle über 0,5".into(),
            1.0.into(),
            0.0123.into(),
            Cell::Missing,
        ]);
        table
    }

    #[test]
    fn numbers_line_up_at_the_decimal_point() {
        insta::assert_snapshot!(decoders().to_text(80), @r"
        Test set
        decoder                label mass  Hamming loss  images
        ───────────────────────────────────────────────────────
        one nearest neighbour      0.9712       0.00432  10,250
        Schwelle über 0,5          1.000        0.0123        –
        ");
    }

    #[test]
    fn narrow_terminals_break_words_into_lines_then_split() {
        insta::assert_snapshot!(decoders().to_text(44), @r"
        Test set
        decoder       label mass  Hamming loss
        ──────────────────────────────────────
        one nearest       0.9712       0.00432
        neighbour
        Schwelle          1.000        0.0123
        über 0,5

        decoder       images
        ────────────────────
        one nearest   10,250
        neighbour
        Schwelle           –
        über 0,5
        ");
    }

    #[test]
    fn nothing_is_cut_off_at_any_width() {
        let sentence = "Multi-label means are hardly nearer to their own averages than chance.";
        let mut table = Table::new("", [Column::new("metric"), Column::new("what it means")]);
        table.push(["NC_m".into(), sentence.into()]);
        table.push(["a-name-that-is-longer-than-its-column".into(), "x".into()]);
        for width in 5..120 {
            let text = table.to_text(width);
            assert!(!text.contains('…'));
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            assert!(letters(&text) >= letters(sentence), "{text}");
        }
        let words: Vec<&str> = sentence.split(' ').collect();
        let text = table.to_text(40);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }

    #[test]
    fn wide_characters_count_twice() {
        let mut table = Table::new("", [Column::new("名前"), Column::new("n")]);
        table.push(["数字".into(), 3u64.into()]);
        table.push(["digit".into(), 12u64.into()]);
        insta::assert_snapshot!(table.to_text(80), @r"
        名前    n
        ─────────
        数字    3
        digit  12
        ");
    }

    #[test]
    fn the_page_emphasises_the_best_value() {
        let html = decoders().to_html().unwrap();
        assert_eq!(html.matches("<b>").count(), 2);
        assert!(html.contains("<b>1.000<i aria-hidden=\"true\">0</i></b>"));
        assert!(html.contains("<b>0.00432</b>"));
    }

    #[test]
    fn an_oracle_is_never_the_best() {
        let mut table = Table::new("", [Column::new("decoder"), Column::higher("F1")]);
        table.push(["a".into(), 0.5.into()]);
        table.push(["b".into(), 0.6.into()]);
        table.push_unranked(["told the truth".into(), 0.9.into()]);
        let html = table.to_html().unwrap();
        assert!(html.contains("<b>0.6000</b>") && !html.contains("<b>0.9000</b>"));
        table.rows.remove(0);
        table.unranked = vec![1];
        assert!(!table.to_html().unwrap().contains("<b>"));
    }

    #[test]
    fn equal_values_have_no_best() {
        let mut table = Table::new("", [Column::new("run"), Column::higher("F1")]);
        table.push(["a".into(), 0.5.into()]);
        table.push(["b".into(), 0.5.into()]);
        assert!(!table.to_html().unwrap().contains("<b>"));
    }

    #[test]
    fn a_ragged_table_is_refused() {
        let mut table = decoders();
        table.push(["only a name".into()]);
        assert_eq!(
            table.to_html().unwrap_err().to_string(),
            "table \"Test set\": expected 4 cells in row 2, found 1"
        );
    }

    #[test]
    fn an_empty_table_is_a_head() {
        let table = Table::new("Nothing", [Column::new("a"), Column::new("b")]);
        assert_eq!(table.to_text(80), "Nothing\na  b\n────\n");
        assert!(table.to_html().is_ok());
        assert_eq!(Table::default().to_text(80), "\n");
    }

    #[test]
    fn cells_are_bare_values_in_json() {
        let row: Vec<Cell> = vec![
            0.5.into(),
            3u64.into(),
            "x".into(),
            Cell::Missing,
            2.0.into(),
        ];
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(json, r#"[0.5,3,"x",null,2.0]"#);
        assert_eq!(serde_json::from_str::<Vec<Cell>>(&json).unwrap(), row);
    }

    #[test]
    fn spreads_and_shares_are_numbers() {
        let mut table = Table::new("", [Column::higher("F1"), Column::percent("saved")]);
        let cell = |mean, standard_deviation| Cell::Spread {
            mean,
            standard_deviation,
        };
        table.push([cell(0.97123, 0.00132), 0.2071.into()]);
        table.push([cell(12.5, 0.25), 0.0.into()]);
        table.push([cell(3e-7, 1e-8), Cell::Missing]);
        insta::assert_snapshot!(table.to_text(80), @r"
                        F1    saved
        ───────────────────────────
         0.9712 ± 0.0013    20.71 %
        12.50 ± 0.25         0.00 %
         3.00e-7 ± 1.00e-8        –
        ");
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
        assert!(table.to_html().unwrap().contains("<b>12.50 ± 0.25"));
    }

    #[test]
    fn markup_in_cells_is_escaped() {
        let mut table = Table::new("<i>", [Column::new("<u>")]);
        table.push(["<script>".into()]);
        let html = table.to_html().unwrap();
        assert!(!html.contains("<script>") && !html.contains("<u>") && !html.contains("<i>"));
    }

    proptest! {
        #[test]
        fn every_line_fits_whenever_two_columns_do(width in 34usize..120, rows in prop::collection::vec(("[a-zé名 ]{0,30}", -1e7f64..1e7), 0..6)) {
            let columns = ["name", "value", "again", "and again"].map(Column::new);
            let mut table = Table::new("", columns);
            for (name, value) in rows {
                table.push([name.into(), value.into(), (value / 3e5).into(), (value * 1e-9).into()]);
            }
            for line in table.to_text(width).lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
