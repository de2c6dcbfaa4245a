//! Comma-separated text: quoted cells with commas, doubled quotes and line ends in them, a byte
//! order mark, either kind of line end.

/// A row and the line of the text where it starts, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
}

/// All rows but empty lines.
///
/// # Errors
/// Line and sentence for a quote that is not closed, or closed before its cell ends.
pub(super) fn records(text: &str) -> Result<Vec<Record>, (usize, String)> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        let record = reader.record()?;
        if record.cells.len() > 1 || !record.cells[0].is_empty() {
            records.push(record);
        }
    }
    Ok(records)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The next row with the end of its line.
    fn record(&mut self) -> Result<Record, (usize, String)> {
        let line = self.line;
        let mut cells = Vec::new();
        loop {
            cells.push(match self.rest.strip_prefix('"') {
                Some(inside) => {
                    self.rest = inside;
                    self.quoted()?
                }
                None => self.plain(),
            });
            if !self.skip(",") {
                break;
            }
        }
        if self.skip("\r\n") || self.skip("\n") || self.skip("\r") {
            self.line += 1;
        }
        Ok(Record { line, cells })
    }

    fn plain(&mut self) -> String {
        let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
        let (cell, rest) = self.rest.split_at(end);
        self.rest = rest;
        cell.to_string()
    }

    /// A cell behind its opening quote.
    fn quoted(&mut self) -> Result<String, (usize, String)> {
        let opened = self.line;
        let mut cell = String::new();
        loop {
            let Some(end) = self.rest.find('"') else {
                return Err((
                    opened,
                    "expected a closing quote, found the end of the file".into(),
                ));
            };
            let inside = &self.rest[..end];
            self.line += inside.matches('\n').count();
            cell.push_str(inside);
            self.rest = &self.rest[end + 1..];
            if !self.skip("\"") {
                break;
            }
            cell.push('"');
        }
        match self.rest.chars().next() {
            None | Some(',' | '\r' | '\n') => Ok(cell),
            Some(found) => Err((
                self.line,
                format!("expected a comma behind the closing quote, found {found:?}"),
            )),
        }
    }

    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        let records = records(text).unwrap().into_iter();
        records.map(|record| (record.line, record.cells)).collect()
    }

    fn row(line: usize, cells: &[&str]) -> (usize, Vec<String>) {
        (line, cells.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn marks_quotes_and_line_ends_are_understood() {
        let text = "\u{feff}file,labels\r\n\"a, b.png\",\"say \"\"hi\"\"\"\r\n\n\"two\nlines\",x\n,\nlast,";
        let expected = [
            row(1, &["file", "labels"]),
            row(2, &["a, b.png", "say \"hi\""]),
            row(4, &["two\nlines", "x"]),
            row(6, &["", ""]),
            row(7, &["last", ""]),
        ];
        assert_eq!(cells(text), expected);
        assert_eq!(cells("a\rb\r"), [row(1, &["a"]), row(2, &["b"])]);
        assert!(cells("").is_empty());
    }

    #[test]
    fn quotes_that_do_not_end_with_their_cell_are_refused() {
        assert_eq!(records("a\n\"b\nc").unwrap_err().0, 2);
        let (line, message) = records("a,\"b\" c").unwrap_err();
        assert_eq!(
            (line, message.as_str()),
            (1, "expected a comma behind the closing quote, found ' '")
        );
    }
}
