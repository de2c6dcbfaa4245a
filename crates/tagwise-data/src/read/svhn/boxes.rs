use std::path::Path;
use std::str::FromStr;

use crate::{Error, Result};

/// A digit of a house number and its box, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitBox {
    /// The digit, 0 to 9.
    pub digit: u8,
    /// Left edge; a few boxes start left of the image.
    pub left: i32,
    /// Top edge; a few boxes start above the image.
    pub top: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// What the authors say about one image: its size and its digits in reading order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// File name of the image.
    pub name: String,
    /// Width of the image in pixels.
    pub image_width: i32,
    /// Height of the image in pixels.
    pub image_height: i32,
    /// The digits in reading order, at least one.
    pub digits: Vec<DigitBox>,
}

/// The columns that are read; more may follow.
const HEADER: &str = "name,img_width,img_height,label,left,top,width,height";

/// Reads a table of digit boxes: a header line, then per image its name, size, and the digits,
/// left edges, top edges, widths and heights as lists of numbers between spaces.
///
/// # Errors
/// [`Error::Format`] with the line that is malformed, [`Error::Io`] when the file cannot be read.
pub fn read_boxes(path: &Path) -> Result<Vec<Annotation>> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData => Error::format(
            path,
            "expected a table of digit boxes in UTF-8, found other bytes".into(),
        ),
        _ => Error::io(path, source),
    })?;
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    if !header.starts_with(HEADER) {
        let found: String = header.chars().take(80).collect();
        return Err(Error::format(
            path,
            format!("expected a table that starts with the line {HEADER}, found {found:?}"),
        ));
    }
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            parse_line(line)
                .map_err(|what| Error::format(path, format!("line {}: {what}", index + 1)))
        })
        .collect()
}

fn parse_line(line: &str) -> Result<Annotation, String> {
    let fields: Vec<&str> = line.split(',').collect();
    let num_columns = HEADER.split(',').count();
    if fields.len() < num_columns {
        return Err(format!(
            "expected at least {num_columns} columns, found {}",
            fields.len()
        ));
    }
    let digits: Vec<u8> = numbers(fields[3], "label")?;
    if digits.is_empty() || digits.iter().any(|&digit| digit > 9) {
        return Err(format!(
            "expected digits from 0 to 9, found {:?}",
            fields[3]
        ));
    }
    let list = |column: usize, name: &str| -> Result<Vec<i32>, String> {
        let values = numbers(fields[column], name)?;
        match values.len() == digits.len() {
            true => Ok(values),
            false => Err(format!(
                "expected {} numbers in column {name}, one per digit, found {}",
                digits.len(),
                values.len()
            )),
        }
    };
    let (left, top) = (list(4, "left")?, list(5, "top")?);
    let (width, height) = (list(6, "width")?, list(7, "height")?);
    let digits = (0..digits.len()).map(|i| DigitBox {
        digit: digits[i],
        left: left[i],
        top: top[i],
        width: width[i],
        height: height[i],
    });
    let annotation = Annotation {
        name: fields[0].to_string(),
        image_width: number(fields[1], "img_width")?,
        image_height: number(fields[2], "img_height")?,
        digits: digits.collect(),
    };
    check(&annotation)?;
    Ok(annotation)
}

/// Larger coordinates than this are no photographs, and could overflow.
const MAX_COORDINATE: i32 = 1 << 20;

fn check(annotation: &Annotation) -> Result<(), String> {
    let is_size = |size: i32| (1..=MAX_COORDINATE).contains(&size);
    let is_place = |place: i32| (-MAX_COORDINATE..=MAX_COORDINATE).contains(&place);
    if annotation.name.is_empty() || annotation.name.contains(['/', '\\']) {
        return Err(format!("expected a file name, found {:?}", annotation.name));
    }
    if !is_size(annotation.image_width) || !is_size(annotation.image_height) {
        return Err(format!(
            "expected an image of at least one pixel, found {} x {}",
            annotation.image_width, annotation.image_height
        ));
    }
    for digit in &annotation.digits {
        if !(is_size(digit.width)
            && is_size(digit.height)
            && is_place(digit.left)
            && is_place(digit.top))
        {
            return Err(format!(
                "expected a box of at least one pixel, found {} x {} at {}, {}",
                digit.width, digit.height, digit.left, digit.top
            ));
        }
    }
    Ok(())
}

fn numbers<T: FromStr>(text: &str, column: &str) -> Result<Vec<T>, String> {
    text.split_ascii_whitespace()
        .map(|word| number(word, column))
        .collect()
}

fn number<T: FromStr>(text: &str, column: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("expected a whole number in column {column}, found {text:?}"))
}
