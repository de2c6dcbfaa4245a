//! One table for the terminal, the page and JSON.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

use crate::markup::Escaped;
use crate::number::{format_count, format_number, typeset_number};
use crate::{Error, Result};

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
}

/// Head of a column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name at the top.
    pub name: String,
    /// Which values are better; the best of the column is emphasised on the page.
    #[serde(default)]
    pub better: Better,
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
}

impl Column {
    /// A column without an order among its values.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            better: Better::Neither,
        }
    }

    /// A column where lower values are better.
    pub fn lower(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            better: Better::Lower,
        }
    }

    /// A column where higher values are better.
    pub fn higher(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            better: Better::Higher,
        }
    }
}

impl Cell {
    /// The entry as numbers are compared; `None` for words and missing entries.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Number(number) => Some(*number),
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
        }
    }

    /// The entry as the page shows it.
    pub fn typeset(&self) -> String {
        match self {
            Self::Number(number) => typeset_number(*number),
            other => other.plain(),
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Columns of words may shrink to this many characters before the table is split.
const MIN_TEXT_WIDTH: usize = 12;
const GAP: usize = 2;

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

    /// The table for a terminal `width` characters wide: words to the left, numbers aligned at
    /// their decimal points. Too wide a table is first narrowed in its words, then split into
    /// blocks that each repeat the first column.
    pub fn to_text(&self, width: usize) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&self.title);
            text.push('\n');
        }
        let mut columns: Vec<Vec<String>> = (0..self.columns.len())
            .map(|column| self.column_text(column))
            .collect();
        self.narrow(&mut columns, width);
        for (at, block) in blocks(&columns, width).into_iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            self.write_block(&mut text, &columns, &block);
        }
        if !self.caption.is_empty() {
            text.push_str(&self.caption);
            text.push('\n');
        }
        text
    }

    /// Head and cells of a column, all of the same width.
    fn column_text(&self, column: usize) -> Vec<String> {
        let cells = self.rows.iter().map(|row| row.get(column));
        let side = self.side(column);
        let mut lines: Vec<String> = cells
            .clone()
            .map(|cell| cell.map(Cell::plain).unwrap_or_default())
            .collect();
        let decimals: Vec<usize> = lines
            .iter()
            .zip(cells)
            .map(|(line, cell)| match cell {
                Some(Cell::Number(_) | Cell::Count(_)) => decimal_tail(line),
                _ => 0,
            })
            .collect();
        let most = decimals.iter().copied().max().unwrap_or(0);
        if side == Side::Right {
            for ((line, tail), row) in lines.iter_mut().zip(decimals).zip(&self.rows) {
                if row.get(column).is_some_and(|cell| cell.value().is_some()) {
                    line.extend(std::iter::repeat_n(' ', most - tail));
                }
            }
        }
        lines.insert(0, self.columns[column].name.clone());
        pad(&mut lines, side);
        lines
    }

    fn side(&self, column: usize) -> Side {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        if cells.any(|cell| cell.value().is_some()) {
            Side::Right
        } else {
            Side::Left
        }
    }

    /// Shortens the widest column of words until the table fits or nothing is left to take.
    fn narrow(&self, columns: &mut [Vec<String>], width: usize) {
        let mut excess = total_width(columns.iter()).saturating_sub(width);
        while excess > 0 {
            let widest = (0..columns.len())
                .filter(|&column| self.side(column) == Side::Left)
                .map(|column| (line_width(&columns[column]), column))
                .max_by_key(|&(width, column)| (width, std::cmp::Reverse(column)));
            let Some((current, column)) = widest.filter(|&(width, _)| width > MIN_TEXT_WIDTH)
            else {
                return;
            };
            let target = current.saturating_sub(excess).max(MIN_TEXT_WIDTH);
            for line in &mut columns[column] {
                *line = cut(line, target);
            }
            pad(&mut columns[column], Side::Left);
            excess = total_width(columns.iter()).saturating_sub(width);
        }
    }

    fn write_block(&self, text: &mut String, columns: &[Vec<String>], block: &[usize]) {
        let gap = " ".repeat(GAP);
        for line in 0..=self.rows.len() {
            let cells: Vec<&str> = block
                .iter()
                .map(|&column| columns[column][line].as_str())
                .collect();
            text.push_str(cells.join(&gap).trim_end());
            text.push('\n');
            if line == 0 {
                let width = total_width(block.iter().map(|&column| &columns[column]));
                text.push_str(&"─".repeat(width));
                text.push('\n');
            }
        }
    }

    /// The table as an HTML element, the best value of each ordered column emphasised.
    ///
    /// # Errors
    /// [`Error::TableShape`] when a row has more or fewer cells than there are columns.
    pub fn to_html(&self) -> Result<String> {
        for (row, cells) in self.rows.iter().enumerate() {
            if cells.len() != self.columns.len() {
                return Err(Error::TableShape {
                    title: self.title.clone(),
                    expected: self.columns.len(),
                    row,
                    found: cells.len(),
                });
            }
        }
        let mut html = String::from("<div class=\"scroll\"><table>");
        if !self.title.is_empty() {
            let _ = write!(html, "<caption>{}</caption>", Escaped(&self.title));
        }
        html.push_str("<thead><tr>");
        for (position, column) in self.columns.iter().enumerate() {
            let class = self.class(position);
            let _ = write!(
                html,
                "<th scope=\"col\"{class}>{}</th>",
                Escaped(&column.name)
            );
        }
        html.push_str("</tr></thead><tbody>");
        let best: Vec<Option<f64>> = (0..self.columns.len()).map(|at| self.best(at)).collect();
        for row in &self.rows {
            html.push_str("<tr>");
            for (position, cell) in row.iter().enumerate() {
                self.write_cell(&mut html, position, cell, best[position]);
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        if !self.caption.is_empty() {
            let _ = write!(html, "<p class=\"note\">{}</p>", Escaped(&self.caption));
        }
        Ok(html)
    }

    fn class(&self, position: usize) -> &'static str {
        match self.side(position) {
            Side::Right => " class=\"n\"",
            Side::Left => "",
        }
    }

    fn write_cell(&self, html: &mut String, position: usize, cell: &Cell, best: Option<f64>) {
        let class = self.class(position);
        let text = cell.typeset();
        let mut content = Escaped(&text).to_string();
        if cell.value().is_some() && !class.is_empty() {
            content.push_str(&self.invisible_tail(position, &cell.plain()));
        }
        if best.is_some() && cell.value() == best {
            content = format!("<b>{content}</b>");
        }
        let _ = match position {
            0 => write!(html, "<th scope=\"row\"{class}>{content}</th>"),
            _ => write!(html, "<td{class}>{content}</td>"),
        };
    }

    /// Hidden digits that push a number to the left until decimal points stand in one column.
    fn invisible_tail(&self, position: usize, plain: &str) -> String {
        let most = self
            .rows
            .iter()
            .filter_map(|row| row.get(position))
            .filter(|cell| cell.value().is_some())
            .map(|cell| decimal_tail(&cell.plain()))
            .max()
            .unwrap_or(0);
        let missing = match (most, decimal_tail(plain)) {
            (0, _) => return String::new(),
            (most, 0) => format!(".{}", "0".repeat(most - 1)),
            (most, tail) => "0".repeat(most - tail),
        };
        if missing.is_empty() {
            return missing;
        }
        format!("<i aria-hidden=\"true\">{missing}</i>")
    }

    /// The best value of an ordered column that has at least two different ones.
    fn best(&self, position: usize) -> Option<f64> {
        let values = self
            .rows
            .iter()
            .filter_map(|row| row.get(position)?.value())
            .filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        match self.columns[position].better {
            _ if low >= high => None,
            Better::Neither => None,
            Better::Lower => Some(low),
            Better::Higher => Some(high),
        }
    }
}

/// Number of characters from the decimal point to the end.
fn decimal_tail(number: &str) -> usize {
    number.find('.').map_or(0, |point| number.len() - point)
}

fn pad(lines: &mut [String], side: Side) {
    let width = line_width(lines);
    for line in lines {
        let missing = width - line.width();
        let padding = " ".repeat(missing);
        match side {
            Side::Left => line.push_str(&padding),
            Side::Right => line.insert_str(0, &padding),
        }
    }
}

/// The text, without padding, cut to `width` columns with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    let text = text.trim_end();
    if text.width() <= width {
        return text.into();
    }
    let mut short = String::new();
    for character in text.chars() {
        let mut longer = short.clone();
        longer.push(character);
        if longer.width() + 1 > width {
            break;
        }
        short = longer;
    }
    short.push('…');
    short
}

fn line_width(lines: &[String]) -> usize {
    lines.iter().map(|line| line.width()).max().unwrap_or(0)
}

fn total_width<'a>(columns: impl ExactSizeIterator<Item = &'a Vec<String>>) -> usize {
    let gaps = columns.len().saturating_sub(1) * GAP;
    columns.map(|lines| line_width(lines)).sum::<usize>() + gaps
}

/// Which columns stand side by side: as many as fit, the first one in every block.
fn blocks(columns: &[Vec<String>], width: usize) -> Vec<Vec<usize>> {
    let mut blocks = Vec::new();
    let mut block: Vec<usize> = Vec::new();
    for column in 0..columns.len() {
        let mut longer = block.clone();
        longer.push(column);
        let fits = total_width(longer.iter().map(|&at| &columns[at])) <= width;
        if fits || block.len() < 2 {
            block = longer;
        } else {
            blocks.push(block);
            block = vec![0, column];
        }
    }
    blocks.push(block);
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn narrow_terminals_shorten_words_then_split() {
        insta::assert_snapshot!(decoders().to_text(44), @r"
        Test set
        decoder       label mass  Hamming loss
        ──────────────────────────────────────
        one nearest…      0.9712       0.00432
        Schwelle üb…      1.000        0.0123

        decoder       images
        ────────────────────
        one nearest…  10,250
        Schwelle üb…       –
        ");
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
        assert_eq!(Table::default().to_text(80), "\n\n");
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
