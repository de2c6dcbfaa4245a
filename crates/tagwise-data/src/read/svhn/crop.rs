use std::path::Path;

use super::{Annotation, SIDE};
use crate::read::picture::{self, Encoded};
use crate::read::resize;
use crate::{Error, ImageShape, Result};

/// The part of an image that holds its digits, in pixels; halves are possible.
///
/// The square of side max(width, height) around the union of the digit boxes, with the same
/// centre; what lies outside the image is cut off, so that crops near an edge are not square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Crop {
    /// The paper's crop of an image with these digits.
    pub fn of(annotation: &Annotation) -> Self {
        let digits = || annotation.digits.iter();
        let left = digits().map(|d| d.left).min().unwrap_or(0);
        let top = digits().map(|d| d.top).min().unwrap_or(0);
        let right = digits().map(|d| d.left + d.width).max().unwrap_or(1);
        let bottom = digits().map(|d| d.top + d.height).max().unwrap_or(1);
        let side = f64::from((right - left).max(bottom - top));
        let start = |low: i32, high: i32| (f64::from(low + high) / 2.0 - side / 2.0).max(0.0);
        let (left, top) = (start(left, right), start(top, bottom));
        Self {
            left,
            top,
            width: side.min(f64::from(annotation.image_width) - left),
            height: side.min(f64::from(annotation.image_height) - top),
        }
    }

    /// First and last-but-one pixel, as whole numbers: edges are rounded, halves to even.
    fn pixels(&self) -> (std::ops::Range<i64>, std::ops::Range<i64>) {
        let round = |edge: f64| edge.round_ties_even() as i64;
        (
            round(self.top)..round(self.top + self.height),
            round(self.left)..round(self.left + self.width),
        )
    }
}

/// The image cut to its digits and resized to 32×32, `[32, 32, 3]`.
pub(super) fn read_cropped(path: &Path, annotation: &Annotation) -> Result<Vec<u8>> {
    let wrong = |message| Error::format(path, message);
    let bytes = picture::read_file(path)?;
    let encoded = Encoded::open(&bytes).map_err(wrong)?;
    let (height, width) = encoded.size();
    let expected = (
        annotation.image_width as usize,
        annotation.image_height as usize,
    );
    if (width, height) != expected {
        return Err(wrong(format!(
            "expected an image of {} x {} pixels as the table of boxes says, found {width} x {height}; \
             the table belongs to other images",
            expected.0, expected.1
        )));
    }
    let (rows, columns) = Crop::of(annotation).pixels();
    let inside = |range: &std::ops::Range<i64>, size: usize| {
        0 <= range.start && range.start < range.end && range.end <= size as i64
    };
    if !inside(&rows, height) || !inside(&columns, width) {
        return Err(wrong(
            "expected digit boxes on the image, found them outside; the table belongs to other images".into(),
        ));
    }
    let picture = encoded.decode().map_err(wrong)?.with_channels(3);
    let cut: Vec<u8> = rows
        .clone()
        .flat_map(|row| {
            let start = (row as usize * width + columns.start as usize) * 3;
            &picture.pixels()[start..start + (columns.end - columns.start) as usize * 3]
        })
        .copied()
        .collect();
    let shape = ImageShape::new(
        (rows.end - rows.start) as usize,
        (columns.end - columns.start) as usize,
        3,
    );
    Ok(resize::lanczos(&cut, shape, (SIDE, SIDE)))
}
