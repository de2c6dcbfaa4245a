use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Orientation, Picture};
use crate::ImageShape;

/// A JPEG file up to its first scan; nothing of its size is allocated yet.
pub(crate) struct Header<'a> {
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    size: (usize, usize),
    channels: usize,
    orientation: Orientation,
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        // A file that is cut off is an error, not a picture that ends in grey; the decoder does not
        // notice when only the last rows are missing.
        if !has_end(bytes) {
            return Err(
                "expected a whole JPEG image, found it cut off; copy the file again".into(),
            );
        }
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX));
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(damage)?;
        let info = decoder
            .info()
            .ok_or("expected a JPEG image, found no header")?;
        let (channels, color) = match info.components {
            1 => (1, ColorSpace::Luma),
            3 | 4 => (3, ColorSpace::RGB),
            found => {
                return Err(format!(
                    "expected a JPEG image of 1, 3 or 4 channels, found {found}; save it as PNG"
                ));
            }
        };
        decoder.set_options(options.jpeg_set_out_colorspace(color));
        let exif = decoder.exif().map(Vec::as_slice);
        Ok(Self {
            orientation: exif.map_or(Orientation::default(), Orientation::of_exif),
            size: (info.height.into(), info.width.into()),
            channels,
            decoder,
        })
    }

    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The most pixels that a file of this length can hold: a block of 8 x 8 takes at least one bit.
    pub(super) fn most_pixels(&self, length: usize) -> usize {
        length.saturating_mul(8 * 64)
    }

    pub(super) fn decode(mut self) -> Result<Picture, String> {
        let (height, width) = self.size;
        let shape = ImageShape::new(height, width, self.channels);
        let pixels = self.decoder.decode().map_err(damage)?;
        match pixels.len() == shape.num_elements() {
            true => Ok(Picture {
                shape,
                pixels,
                orientation: self.orientation,
            }),
            false => Err(format!(
                "expected {} JPEG pixel values, found {}; save the image anew",
                shape.num_elements(),
                pixels.len()
            )),
        }
    }
}

/// Whether the marker of the end follows the first scan; segments before it, such as thumbnails,
/// may hold one of their own.
fn has_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..).and_then(|b| b.first_chunk()) {
        at += match (marker, u16::from_be_bytes([high, low])) {
            (0xff, _) => 1, // padding before a marker
            (START_OF_SCAN, _) => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            (_, length) => 2 + usize::from(length),
        };
    }
    // Segments that do not follow one another are for the decoder to judge.
    true
}

fn damage(error: DecodeErrors) -> String {
    let reason = error.to_string();
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("expected a JPEG image, found damage: {reason}")
}
