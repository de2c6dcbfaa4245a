/// How the stored rows and columns lie in the upright picture: first transposed or not, then
/// mirrored or not. The default leaves the picture as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    swaps_sides: bool,
    mirrors_stored_rows: bool,
    mirrors_stored_columns: bool,
}

/// The tag of the orientation among those of a camera.
const ORIENTATION_TAG: u16 = 0x0112;

/// The kind of value of that tag, a 16-bit number.
const SHORT: u16 = 3;

impl Orientation {
    /// What EXIF metadata say; as it is when they say nothing or are damaged, since the pixels are
    /// whole all the same.
    pub(super) fn of_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        tag(tiff).map_or(Self::default(), Self::numbered)
    }

    /// The orientation with this number in EXIF, 1 to 8.
    pub(super) fn numbered(number: u16) -> Self {
        Self {
            swaps_sides: matches!(number, 5..=8),
            mirrors_stored_rows: matches!(number, 3 | 4 | 6 | 7),
            mirrors_stored_columns: matches!(number, 2 | 3 | 7 | 8),
        }
    }

    /// Height and width of the stored picture when the upright one has these.
    pub(super) fn stored_size(self, (height, width): (usize, usize)) -> (usize, usize) {
        match self.swaps_sides {
            true => (width, height),
            false => (height, width),
        }
    }

    /// Turns pixels of this stored size upright.
    pub(super) fn upright(
        self,
        pixels: Vec<u8>,
        (rows, columns): (usize, usize),
        channels: usize,
    ) -> Vec<u8> {
        if self == Self::default() {
            return pixels;
        }
        let (height, width) = self.stored_size((rows, columns));
        let mut upright = Vec::with_capacity(pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (row, column) = if self.swaps_sides { (x, y) } else { (y, x) };
                let row = if self.mirrors_stored_rows {
                    rows - 1 - row
                } else {
                    row
                };
                let column = match self.mirrors_stored_columns {
                    true => columns - 1 - column,
                    false => column,
                };
                let start = (row * columns + column) * channels;
                upright.extend_from_slice(&pixels[start..start + channels]);
            }
        }
        upright
    }
}

/// The value of the orientation tag in the first directory of a TIFF header.
fn tag(tiff: &[u8]) -> Option<u16> {
    let is_little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<2>()?;
        Some(if is_little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let bytes = *tiff.get(4..)?.first_chunk::<4>()?;
    let directory = match is_little {
        true => u32::from_le_bytes(bytes),
        false => u32::from_be_bytes(bytes),
    } as usize;
    let entries = usize::from(short(directory)?);
    let entry = (0..entries)
        .map(|entry| directory + 2 + 12 * entry)
        .find(|&entry| short(entry) == Some(ORIENTATION_TAG))?;
    match short(entry + 2)? {
        SHORT => short(entry + 8),
        _ => None,
    }
}
