//! Tables in a terminal.

use unicode_width::UnicodeWidthStr;

use super::{Cell, Side, Table, decimal_tail};

/// Columns of words may shrink to this many characters before the table is split.
const MIN_TEXT_WIDTH: usize = 12;
const GAP: usize = 2;

impl Table {
    /// The table for a terminal `width` characters wide: words to the left, numbers aligned at
    /// their decimal points. Too wide a table is first narrowed by breaking its words into several
    /// lines, then split into blocks that each repeat the first column. Nothing is cut off.
    pub fn to_text(&self, width: usize) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&self.title);
            text.push('\n');
        }
        let columns: Vec<Vec<String>> = (0..self.columns.len())
            .map(|column| self.column_text(column))
            .collect();
        let widths = self.narrow(&columns, width);
        for (at, block) in blocks(&widths, width).into_iter().enumerate() {
            if at > 0 {
                text.push('\n');
            }
            self.write_block(&mut text, &columns, &widths, &block);
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
        let (side, format) = (self.side(column), self.columns[column].format);
        let mut lines: Vec<String> = cells
            .clone()
            .map(|cell| cell.map_or(String::new(), |cell| cell.in_format(format)))
            .collect();
        let decimals: Vec<usize> = lines
            .iter()
            .zip(cells)
            .map(|(line, cell)| match cell.and_then(Cell::value) {
                Some(_) => decimal_tail(line),
                None => 0,
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
        let width = line_width(&lines);
        pad(&mut lines, width, side);
        lines
    }

    /// Widths of the columns: the widest column of words gives way until the table fits or nothing
    /// is left to take.
    fn narrow(&self, columns: &[Vec<String>], width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = columns.iter().map(|lines| line_width(lines)).collect();
        let mut excess = total_width(widths.iter().copied()).saturating_sub(width);
        while excess > 0 {
            let widest = (0..columns.len())
                .filter(|&column| self.side(column) == Side::Left)
                .map(|column| (widths[column], column))
                .max_by_key(|&(width, column)| (width, std::cmp::Reverse(column)));
            let Some((current, column)) = widest.filter(|&(width, _)| width > MIN_TEXT_WIDTH)
            else {
                break;
            };
            widths[column] = current.saturating_sub(excess).max(MIN_TEXT_WIDTH);
            excess = total_width(widths.iter().copied()).saturating_sub(width);
        }
        widths
    }

    fn write_block(
        &self,
        text: &mut String,
        columns: &[Vec<String>],
        widths: &[usize],
        block: &[usize],
    ) {
        let gap = " ".repeat(GAP);
        for line in 0..=self.rows.len() {
            let mut cells: Vec<Vec<String>> = block
                .iter()
                .map(|&column| match self.side(column) {
                    Side::Left => wrap(&columns[column][line], widths[column]),
                    Side::Right => vec![columns[column][line].clone()],
                })
                .collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            for (cell, &column) in cells.iter_mut().zip(block) {
                cell.resize(height, String::new());
                pad(cell, widths[column], Side::Left);
            }
            for at in 0..height {
                let cells: Vec<&str> = cells.iter().map(|cell| cell[at].as_str()).collect();
                text.push_str(cells.join(&gap).trim_end());
                text.push('\n');
            }
            if line == 0 {
                let width = total_width(block.iter().map(|&column| widths[column]));
                text.push_str(&"─".repeat(width));
                text.push('\n');
            }
        }
    }
}

fn pad(lines: &mut [String], width: usize, side: Side) {
    for line in lines {
        let padding = " ".repeat(width - line.width());
        match side {
            Side::Left => line.push_str(&padding),
            Side::Right => line.insert_str(0, &padding),
        }
    }
}

/// The text, without padding, in lines of at most `width` columns, broken between words, and within
/// one only where it is longer than a line. At least one line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end();
    if text.width() <= width {
        return vec![text.into()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is a first line");
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(String::new());
        } else if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            let line = lines.last_mut().expect("there is a first line");
            let mut longer = line.clone();
            longer.push(character);
            if longer.width() > width && !line.is_empty() {
                lines.push(character.into());
            } else {
                *line = longer;
            }
        }
    }
    lines
}

fn line_width(lines: &[String]) -> usize {
    lines.iter().map(|line| line.width()).max().unwrap_or(0)
}

fn total_width(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = widths.len().saturating_sub(1) * GAP;
    widths.sum::<usize>() + gaps
}

/// Which columns stand side by side: as many as fit, the first one in every block.
fn blocks(widths: &[usize], width: usize) -> Vec<Vec<usize>> {
    let mut blocks = Vec::new();
    let mut block: Vec<usize> = Vec::new();
    for column in 0..widths.len() {
        let mut longer = block.clone();
        longer.push(column);
        let fits = total_width(longer.iter().map(|&at| widths[at])) <= width;
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
