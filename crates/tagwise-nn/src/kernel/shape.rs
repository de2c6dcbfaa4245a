//! The geometry of a convolution.

use super::padded_channels;

/// The geometry of one convolution with "same" padding (1 for 3×3, 0 for 1×1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub in_channels: usize,
    pub out_channels: usize,
    /// Side of the kernel: 1 or 3.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    pub in_height: usize,
    pub in_width: usize,
    /// Channels stored per input pixel.
    pub in_pitch: usize,
}

impl ConvShape {
    pub(crate) fn out_height(&self) -> usize {
        self.in_height.div_ceil(self.stride)
    }
    pub(crate) fn out_width(&self) -> usize {
        self.in_width.div_ceil(self.stride)
    }
    /// Channels stored per output pixel.
    pub(crate) fn out_pitch(&self) -> usize {
        padded_channels(self.out_channels)
    }
    pub(crate) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
    /// Numbers of one input image with its border.
    pub(crate) fn in_image_len(&self) -> usize {
        (self.in_height + 2) * (self.in_width + 2) * self.in_pitch
    }
    /// Numbers of one output image without border.
    pub(crate) fn out_image_len(&self) -> usize {
        self.out_height() * self.out_width() * self.out_pitch()
    }
    /// Numbers of one output image with its border.
    pub(crate) fn out_bordered_len(&self) -> usize {
        (self.out_height() + 2) * (self.out_width() + 2) * self.out_pitch()
    }
    /// Numbers of the packed weights.
    pub(crate) fn packed_len(&self) -> usize {
        self.taps() * self.in_channels * self.out_pitch()
    }
    /// Numbers of the transposed packed weights.
    pub(crate) fn transposed_len(&self) -> usize {
        self.taps() * self.out_channels * padded_channels(self.in_channels)
    }
    pub(super) fn padding(&self) -> usize {
        usize::from(self.kernel == 3)
    }
}
