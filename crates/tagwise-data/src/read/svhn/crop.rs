use std::io::BufReader;
use std::path::Path;

use super::super::resize;
use super::{Annotation, SIDE};
use crate::{Error, Result};

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
    let (width, height, pixels) = read_png(path)?;
    let expected = (
        annotation.image_width as usize,
        annotation.image_height as usize,
    );
    if (width, height) != expected {
        return Err(Error::format(
            path,
            format!(
                "expected an image of {} x {} pixels as the table of boxes says, found {width} x {height}; \
                 the table belongs to other images",
                expected.0, expected.1
            ),
        ));
    }
    let (rows, columns) = Crop::of(annotation).pixels();
    let inside = |range: &std::ops::Range<i64>, size: usize| {
        0 <= range.start && range.start < range.end && range.end <= size as i64
    };
    if !inside(&rows, height) || !inside(&columns, width) {
        return Err(Error::format(
            path,
            "expected digit boxes on the image, found them outside; the table belongs to other images".into(),
        ));
    }
    let cut: Vec<u8> = rows
        .clone()
        .flat_map(|row| {
            let start = (row as usize * width + columns.start as usize) * 3;
            &pixels[start..start + (columns.end - columns.start) as usize * 3]
        })
        .copied()
        .collect();
    let size = (
        (rows.end - rows.start) as usize,
        (columns.end - columns.start) as usize,
    );
    Ok(resize::lanczos(&cut, size, (SIDE, SIDE)))
}

/// Width, height and pixels of a PNG file as red, green, blue.
fn read_png(path: &Path) -> Result<(usize, usize, Vec<u8>)> {
    let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    let malformed = |source: png::DecodingError| {
        Error::format(
            path,
            format!("expected a PNG image, found damage: {source}"),
        )
    };
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(malformed)?;
    let size = reader.output_buffer_size().ok_or_else(|| {
        Error::format(
            path,
            "expected a PNG image that fits into memory, found a larger one".into(),
        )
    })?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(malformed)?;
    pixels.truncate(info.buffer_size());
    let pixels = match info.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => drop_alpha(&pixels),
        png::ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels
            .chunks_exact(2)
            .flat_map(|pixel| [pixel[0]; 3])
            .collect(),
        png::ColorType::Indexed => {
            return Err(Error::format(
                path,
                "expected a PNG image in colour or grey, found one with an unexpanded palette"
                    .into(),
            ));
        }
    };
    Ok((info.width as usize, info.height as usize, pixels))
}

fn drop_alpha(pixels: &[u8]) -> Vec<u8> {
    let colours = pixels.chunks_exact(4).flat_map(|pixel| &pixel[..3]);
    colours.copied().collect()
}
