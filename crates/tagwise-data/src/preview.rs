//! Contact sheets: example images with their label sets, for the eye.

use std::io::{self, Write};
use std::path::Path;

use font8x8::UnicodeFonts;
use tagwise_base::Targets;

use crate::{Error, ImageSet, Result};

/// A picture in red, green, blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

const BACKGROUND: [u8; 3] = [24, 26, 31];
const INK: [u8; 3] = [232, 234, 238];
const GAP: usize = 12;
const LETTER: usize = 8;
const LINE: usize = 12;
const MIN_TILE: usize = 112;
const MAX_LINES: usize = 5;

/// Positions of `per_multiplicity` samples of each multiplicity, spread evenly over the label
/// sets of that multiplicity; all samples where there are fewer.
pub fn spread(targets: &Targets, per_multiplicity: usize) -> Vec<usize> {
    let mut indices = Vec::new();
    for multiplicity in 0..=targets.max_multiplicity() {
        let mut samples: Vec<usize> = (0..targets.len())
            .filter(|&i| targets.set(i).multiplicity() == multiplicity)
            .collect();
        samples.sort_by_key(|&i| targets.set_ids()[i]);
        let num_chosen = per_multiplicity.min(samples.len());
        indices.extend(
            (0..num_chosen).map(|i| samples[(2 * i + 1) * samples.len() / (2 * num_chosen)]),
        );
    }
    indices
}

/// Draws these samples in rows of `num_columns`, each above the names of its labels.
///
/// Labels beyond the class names are shown as numbers.
///
/// # Errors
/// [`Error::OutOfRange`] for no sample or no column.
pub fn contact_sheet(
    images: &ImageSet,
    indices: &[usize],
    num_columns: usize,
    class_names: &[&str],
) -> Result<Sheet> {
    if indices.is_empty() || num_columns == 0 {
        return Err(Error::OutOfRange {
            name: "a contact sheet",
            requirement: "of at least one image and one column".into(),
            found: format!("{} images in {num_columns} columns", indices.len()),
        });
    }
    let num_columns = num_columns.min(indices.len());
    let shape = images.shape();
    let zoom = MIN_TILE.div_ceil(shape.height.min(shape.width)).max(1);
    let (tile_width, tile_height) = (shape.width * zoom, shape.height * zoom);
    let name = |label: u32| match class_names.get(label as usize) {
        Some(name) => name.to_string(),
        None => label.to_string(),
    };
    let captions: Vec<Vec<String>> = indices
        .iter()
        .map(|&index| {
            let names = images
                .targets()
                .set(index)
                .labels()
                .iter()
                .map(|&label| name(label));
            wrap(&names.collect::<Vec<_>>(), tile_width / LETTER)
        })
        .collect();
    let num_lines = captions.iter().map(Vec::len).max().unwrap_or(0);
    let row_height = tile_height + GAP / 2 + num_lines * LINE + GAP;
    let num_rows = indices.len().div_ceil(num_columns);
    let mut sheet = Sheet::blank(
        GAP + num_columns * (tile_width + GAP),
        GAP + num_rows * row_height,
    );
    let mut bytes = vec![0; shape.num_elements()];
    for (position, (&index, caption)) in indices.iter().zip(&captions).enumerate() {
        let left = GAP + position % num_columns * (tile_width + GAP);
        let top = GAP + position / num_columns * row_height;
        images.display_into(index, &mut bytes);
        for row in 0..tile_height {
            for column in 0..tile_width {
                let pixel = (row / zoom * shape.width + column / zoom) * shape.channels;
                let pixel = &bytes[pixel..pixel + shape.channels];
                let colour = match *pixel {
                    [red, green, blue] => [red, green, blue],
                    _ => [pixel[0]; 3],
                };
                sheet.set(top + row, left + column, colour);
            }
        }
        for (line, text) in caption.iter().enumerate() {
            sheet.write(top + tile_height + GAP / 2 + line * LINE, left, text);
        }
    }
    Ok(sheet)
}

/// Names with commas, in lines of at most `width` letters; longer names are cut.
fn wrap(names: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let comma = if position + 1 < names.len() { "," } else { "" };
        let word: String = name
            .chars()
            .take(width.saturating_sub(1))
            .chain(comma.chars())
            .collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.truncate(MAX_LINES);
    lines
}

impl Sheet {
    fn blank(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: BACKGROUND.repeat(width * height),
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Writes the sheet as PNG, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Mathematics`] with the path when the disk refuses.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        tagwise_base::file::write_atomically(path, |file| {
            let refused = |error| match error {
                png::EncodingError::IoError(error) => error,
                other => io::Error::other(other),
            };
            let mut encoder = png::Encoder::new(&mut *file, self.width as u32, self.height as u32);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_compression(png::Compression::High);
            let mut writer = encoder.write_header().map_err(refused)?;
            writer.write_image_data(&self.pixels).map_err(refused)?;
            writer.finish().map_err(refused)?;
            file.flush()
        })?;
        Ok(())
    }

    fn set(&mut self, row: usize, column: usize, colour: [u8; 3]) {
        let start = (row * self.width + column) * 3;
        self.pixels[start..start + 3].copy_from_slice(&colour);
    }

    fn write(&mut self, top: usize, left: usize, text: &str) {
        for (position, letter) in text.chars().enumerate() {
            let glyph = font8x8::BASIC_FONTS.get(letter).unwrap_or([0x7e; LETTER]);
            for (row, bits) in glyph.into_iter().enumerate() {
                for column in (0..LETTER).filter(|column| bits >> column & 1 == 1) {
                    self.set(top + row, left + position * LETTER + column, INK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ComposeSpec, ComposedImages, Sources, digits};

    fn m_lab_digits() -> ImageSet {
        let spec = ComposeSpec {
            per_multiplicity: vec![20, 4, 1],
            ..ComposeSpec::default()
        };
        ComposedImages::new(&Sources::all(digits::load()), &spec, 0)
            .unwrap()
            .into()
    }

    #[test]
    fn samples_are_spread_over_the_label_sets() {
        let images = m_lab_digits();
        let indices = spread(images.targets(), 10);
        assert_eq!(indices.len(), 30);
        let singles: Vec<u32> = indices[..10]
            .iter()
            .map(|&i| images.targets().set(i).labels()[0])
            .collect();
        assert_eq!(singles, (0..10).collect::<Vec<_>>());
        assert_eq!(spread(images.targets(), 1000).len(), 200 + 180 + 120);
        assert!(indices.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_sheet_is_a_png_of_all_tiles() {
        let images = m_lab_digits();
        let indices = spread(images.targets(), 3);
        let sheet = contact_sheet(&images, &indices, 3, &["zero", "one"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        sheet.write_png(&path).unwrap();
        let file = io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, sheet.pixels);
        assert_eq!(sheet.width(), 12 + 3 * (112 + 12));
        let mut bytes = vec![0; 256];
        images.display_into(indices[4], &mut bytes);
        let row_height = (sheet.height() - 12) / 3;
        let (top, left) = (12 + row_height, 12 + 112 + 12);
        for (i, &byte) in bytes.iter().enumerate() {
            let (row, column) = (top + i / 16 * 7 + 3, left + i % 16 * 7 + 3);
            assert_eq!(pixels[(row * sheet.width() + column) * 3], byte);
        }
    }

    #[test]
    fn captions_wrap_between_names() {
        let lines = |names: &[&str], width| {
            wrap(
                &names.iter().map(ToString::to_string).collect::<Vec<_>>(),
                width,
            )
            .join("|")
        };
        insta::assert_snapshot!(lines(&["cat", "dog", "automobile"], 14), @"cat, dog,|automobile");
        insta::assert_snapshot!(lines(&["a very long name indeed", "b"], 10), @"a very lo,|b");
        insta::assert_snapshot!(lines(&[], 10), @"");
    }

    #[test]
    fn an_empty_sheet_is_refused() {
        let error = contact_sheet(&m_lab_digits(), &[], 3, &[]).unwrap_err();
        insta::assert_snapshot!(error, @"expected a contact sheet of at least one image and one column, found 0 images in 3 columns");
    }
}
