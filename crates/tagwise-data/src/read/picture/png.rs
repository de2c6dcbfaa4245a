use std::io::Cursor;

use png::{ColorType, Decoder, Reader, Transformations};

use super::{Orientation, Picture};
use crate::ImageShape;

/// A PNG file up to its size; nothing of that size is allocated yet.
pub(crate) struct Header<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    size: (usize, usize),
    bits_per_pixel: usize,
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let info = decoder.read_header_info().map_err(damage)?;
        let size = (info.height as usize, info.width as usize);
        let bits_per_pixel = info.bits_per_pixel();
        Ok(Self {
            decoder,
            size,
            bits_per_pixel,
        })
    }

    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The most pixels that a file of this length can hold: deflated data become at most 1,032 times
    /// as long.
    pub(super) fn most_pixels(&self, length: usize) -> usize {
        length.saturating_mul(1032 * 8) / self.bits_per_pixel
    }

    pub(super) fn decode(self) -> Result<Picture, String> {
        let mut reader = self.decoder.read_info().map_err(damage)?;
        check_palette(&reader)?;
        let length = reader
            .output_buffer_size()
            .ok_or("expected a PNG image that fits into memory, found a larger one")?;
        let mut pixels = vec![0; length];
        let frame = reader.next_frame(&mut pixels).map_err(damage)?;
        pixels.truncate(frame.buffer_size());
        let (channels, pixels) = match frame.color_type {
            ColorType::Grayscale => (1, pixels),
            ColorType::Rgb => (3, pixels),
            ColorType::GrayscaleAlpha => (1, over_white::<2>(&pixels)),
            ColorType::Rgba => (3, over_white::<4>(&pixels)),
            ColorType::Indexed => {
                return Err(
                    "expected a PNG image in colour or grey, found an unexpanded palette".into(),
                );
            }
        };
        let (height, width) = self.size;
        Ok(Picture {
            shape: ImageShape::new(height, width, channels),
            pixels,
            orientation: reader
                .info()
                .exif_metadata
                .as_deref()
                .map_or(Orientation::default(), Orientation::of_exif),
        })
    }
}

/// The decoder expands palettes without looking at their length, and would panic.
fn check_palette(reader: &Reader<Cursor<&[u8]>>) -> Result<(), String> {
    let info = reader.info();
    let Some(palette) = info.palette.as_deref() else {
        return Ok(());
    };
    match palette.len() {
        3..=768 if palette.len().is_multiple_of(3) => Ok(()),
        found => Err(format!(
            "expected a PNG palette of 1 to 256 colours of 3 bytes, found {found} bytes; save the \
             image anew"
        )),
    }
}

/// Lays pixels of C channels, the last one their opacity, over white.
fn over_white<const C: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut flat = Vec::with_capacity(pixels.len() / C * (C - 1));
    for pixel in pixels.as_chunks::<C>().0 {
        let opacity = u32::from(pixel[C - 1]);
        let blend = |value: u8| (u32::from(value) * opacity + 255 * (255 - opacity) + 127) / 255;
        flat.extend(pixel[..C - 1].iter().map(|&value| blend(value) as u8));
    }
    flat
}

fn damage(error: png::DecodingError) -> String {
    format!("expected a PNG image, found damage: {error}")
}
