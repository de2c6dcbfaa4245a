//! Single photographs and drawings: PNG and JPEG files of any size.
//!
//! What a file declares is checked before anything of that size is allocated. Transparent pixels
//! are laid over white, 16-bit channels keep their upper byte, and the orientation that a camera
//! has noted (EXIF) is honoured.

mod exif;
mod jpeg;
mod png;

use std::path::Path;

use super::resize;
use crate::{Error, ImageShape, Result};
use exif::Orientation;

/// The most pixels that an image may declare.
pub const MAX_PIXELS: usize = 100_000_000;

/// The largest file that is read.
const MAX_FILE_LEN: u64 = 1 << 29;

/// A decoded image of its own size, grey or in colour.
///
/// ```
/// use tagwise_data::ImageShape;
/// use tagwise_data::read::picture::Picture;
///
/// # let mut bytes = Vec::new();
/// # let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
/// # encoder.set_color(png::ColorType::Grayscale);
/// # encoder.write_header()?.write_image_data(&[80; 6])?;
/// let picture = Picture::from_bytes(&bytes, "grey.png".as_ref())?; // 2 rows, 3 columns
/// assert_eq!(picture.shape(), ImageShape::new(2, 3, 1));
/// let image = picture.into_image(ImageShape::new(4, 4, 3)); // [4, 4, 3]
/// assert_eq!(image, [80; 4 * 4 * 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    shape: ImageShape,
    pixels: Vec<u8>,
    orientation: Orientation,
}

impl Picture {
    /// Reads a PNG or JPEG file; its first bytes say which.
    ///
    /// # Errors
    /// [`Error::Format`] for other and damaged files and for images of more than [`MAX_PIXELS`];
    /// [`Error::Io`] when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&read_file(path)?, path)
    }

    /// Decodes the bytes of a PNG or JPEG file; errors name `origin`.
    ///
    /// # Errors
    /// [`Error::Format`] as [`read`](Self::read).
    pub fn from_bytes(bytes: &[u8], origin: &Path) -> Result<Self> {
        let wrong = |message| Error::format(origin, message);
        Encoded::open(bytes)
            .and_then(Encoded::decode)
            .map_err(wrong)
    }

    /// Upright pixels `[height, width, channels]` of 1 or 3 channels.
    pub(crate) fn of_pixels(shape: ImageShape, pixels: Vec<u8>) -> Self {
        Self {
            shape,
            pixels,
            orientation: Orientation::default(),
        }
    }

    /// Height, width and channels (1 or 3) as stored, before the orientation is honoured.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The pixels as stored, `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture turned upright, in these many channels and stretched or shrunk to this height
    /// and width, whatever its proportions were: all of it stays visible, and so does what its
    /// labels name. Grey is 0.299 R + 0.587 G + 0.114 B, as Pillow rounds it.
    ///
    /// # Shapes
    /// Returns `[height, width, channels]` of `shape`.
    ///
    /// # Panics
    /// Unless `shape` has 1 or 3 channels and at least one pixel.
    pub fn into_image(self, shape: ImageShape) -> Vec<u8> {
        let stored = self.orientation.stored_size((shape.height, shape.width));
        let orientation = self.orientation;
        let picture = self.with_channels(shape.channels);
        let resized = resize::lanczos(
            &picture.pixels,
            ImageShape::new(picture.shape.height, picture.shape.width, shape.channels),
            stored,
        );
        orientation.upright(resized, stored, shape.channels)
    }

    /// The same picture in grey (1 channel) or colour (3).
    pub(crate) fn with_channels(self, channels: usize) -> Self {
        let pixels = match (self.shape.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.pixels.as_chunks().0.iter().map(luma).collect(),
            _ => self.pixels,
        };
        Self {
            shape: ImageShape {
                channels,
                ..self.shape
            },
            pixels,
            orientation: self.orientation,
        }
    }
}

/// A file whose header has been read and found in order.
pub(crate) enum Encoded<'a> {
    Png(Box<png::Header<'a>>),
    Jpeg(Box<jpeg::Header<'a>>),
}

impl<'a> Encoded<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let opened = match bytes {
            [0x89, b'P', b'N', b'G', ..] => Self::Png(Box::new(png::Header::read(bytes)?)),
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg(Box::new(jpeg::Header::read(bytes)?)),
            [] => return Err("expected a PNG or JPEG image, found an empty file".into()),
            _ => {
                return Err(
                    "expected a PNG or JPEG image, found another kind of file; save it as one of \
                     these"
                        .into(),
                );
            }
        };
        let (height, width) = opened.size();
        match height.checked_mul(width) {
            Some(pixels @ 1..=MAX_PIXELS) if pixels <= opened.most_pixels(bytes.len()) => {
                Ok(opened)
            }
            Some(1..=MAX_PIXELS) => Err(format!(
                "expected a whole image of {width} x {height} pixels, found a file of {} bytes, which \
                 cannot hold so many; copy the file again",
                bytes.len()
            )),
            _ => Err(format!(
                "expected an image of 1 to {} million pixels, found one of {width} x {height}",
                MAX_PIXELS / 1_000_000
            )),
        }
    }

    /// Height and width as declared.
    pub(crate) fn size(&self) -> (usize, usize) {
        match self {
            Self::Png(header) => header.size(),
            Self::Jpeg(header) => header.size(),
        }
    }

    /// Nothing is allocated for more pixels than a file of this length can hold.
    fn most_pixels(&self, length: usize) -> usize {
        match self {
            Self::Png(header) => header.most_pixels(length),
            Self::Jpeg(header) => header.most_pixels(length),
        }
    }

    pub(crate) fn num_pixels(&self) -> usize {
        let (height, width) = self.size();
        height * width
    }

    pub(crate) fn decode(self) -> Result<Picture, String> {
        match self {
            Self::Png(header) => header.decode(),
            Self::Jpeg(header) => header.decode(),
        }
    }
}

/// All bytes of an image file of reasonable length.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::io(path, source);
    let found = std::fs::metadata(path).map_err(failed)?.len();
    if found > MAX_FILE_LEN {
        return Err(Error::format(
            path,
            format!("expected an image file of at most {MAX_FILE_LEN} bytes, found {found}"),
        ));
    }
    std::fs::read(path).map_err(failed)
}

/// ITU-R 601-2 luma in 16-bit fixed point.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let weighted = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471;
    ((weighted + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;
