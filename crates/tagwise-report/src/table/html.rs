//! Tables on the page.

use std::fmt::Write;

use tagwise::words::counted;

use super::{Better, Cell, Format, Side, Table, decimal_tail};
use crate::markup::Escaped;
use crate::number::{true_minus, typeset_sentence};
use crate::page::csv_link;
use crate::{Error, Result};

/// Tables of more rows are folded: a page shows its pictures before them.
const FOLDED_FROM: usize = 15;
/// A column with a longer text than this needs room for a sentence.
const SENTENCE: usize = 32;

impl Table {
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
        let mut html = String::new();
        let is_long = self.rows.len() > FOLDED_FROM;
        if is_long {
            let _ = write!(
                html,
                "<details class=\"fold\"><summary>{} <span>{}</span></summary>",
                Escaped(&self.title),
                counted(self.rows.len(), "row")
            );
        }
        html.push_str("<div class=\"scroll\" tabindex=\"0\"><table>");
        if !self.title.is_empty() && !is_long {
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
        for (number, row) in self.rows.iter().enumerate() {
            html.push_str("<tr>");
            let is_ranked = self.is_ranked(number);
            for (position, cell) in row.iter().enumerate() {
                let best = best[position].filter(|_| is_ranked);
                self.write_cell(&mut html, position, cell, best);
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        if !self.caption.is_empty() {
            let _ = write!(
                html,
                "<p class=\"note\">{}</p>",
                Escaped(&typeset_sentence(&self.caption))
            );
        }
        if !self.rows.is_empty() {
            let link = csv_link(&self.title, &self.csv());
            let _ = write!(html, "<p class=\"save\">{link}</p>");
        }
        if is_long {
            html.push_str("</details>");
        }
        Ok(html)
    }

    fn class(&self, position: usize) -> &'static str {
        let mut cells = self.rows.iter().filter_map(|row| row.get(position));
        let is_long = |cell: &Cell| matches!(cell, Cell::Text(text) if text.len() > SENTENCE);
        match self.side(position) {
            Side::Right => " class=\"n\"",
            Side::Left if cells.any(is_long) => " class=\"t\"",
            Side::Left => "",
        }
    }

    fn write_cell(&self, html: &mut String, position: usize, cell: &Cell, best: Option<f64>) {
        let class = self.class(position);
        let format = self.columns[position].format;
        let text = match format {
            Format::Digits => match cell {
                // The name of a row stays as it is, whatever it looks like.
                Cell::Text(text) if position > 0 || text.contains(' ') => typeset_sentence(text),
                other => other.typeset(),
            },
            Format::Percent => true_minus(&cell.in_format(format)),
        };
        let mut content = Escaped(&text).to_string();
        if cell.value().is_some() && self.side(position) == Side::Right {
            content.push_str(&self.invisible_tail(position, &cell.in_format(format)));
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
        let format = self.columns[position].format;
        let most = self
            .rows
            .iter()
            .filter_map(|row| row.get(position))
            .filter(|cell| cell.value().is_some())
            .map(|cell| decimal_tail(&cell.in_format(format)))
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

    fn is_ranked(&self, row: usize) -> bool {
        !self.unranked.contains(&row)
    }

    /// The best value of an ordered column that has at least two different ones.
    pub(crate) fn best(&self, position: usize) -> Option<f64> {
        let ranked = self.rows.iter().enumerate();
        let values = ranked
            .filter(|&(number, _)| self.is_ranked(number))
            .filter_map(|(_, row)| row.get(position)?.value())
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
