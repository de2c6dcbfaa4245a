//! Tables in a terminal.

use unicode_width::UnicodeWidthStr;

use super::{Cell, Side, Table, decimal_tail};

/// Columns of words may shrink to this many characters before the table is split.
const MIN_TEXT_WIDTH: usize = 12;
const GAP: usize = 2;

impl Table {
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
        pad(&mut lines, side);
        lines
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
