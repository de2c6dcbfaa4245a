//! What one image looks like.

use serde::{Deserialize, Serialize};

/// Height, width and channels of an image; pixels lie row by row with the channels innermost.
///
/// ```
/// use tagwise_base::ImageShape;
///
/// assert_eq!(ImageShape::new(56, 56, 3).num_elements(), 9408);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Numbers of a pixel: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
}

impl ImageShape {
    /// The shape of an image of this height, width and number of channels.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
        }
    }

    /// Numbers in an image: height · width · channels.
    #[must_use]
    pub const fn num_elements(&self) -> usize {
        self.height * self.width * self.channels
    }
}
