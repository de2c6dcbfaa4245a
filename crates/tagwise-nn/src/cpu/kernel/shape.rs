//! The geometry of convolutions and images in memory.

use super::padded_channels;
use crate::blueprint::Convolution;

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
    /// The geometry of a convolution whose input has so many channels stored per pixel.
    pub(crate) fn new(convolution: &Convolution, in_pitch: usize) -> Self {
        Self {
            in_channels: convolution.in_channels,
            out_channels: convolution.out_channels,
            kernel: convolution.kernel,
            stride: convolution.stride,
            in_height: convolution.in_height,
            in_width: convolution.in_width,
            in_pitch,
        }
    }
    /// The output's plane.
    pub(crate) fn out_plane(&self) -> Plane {
        Plane {
            height: self.out_height(),
            width: self.out_width(),
            pitch: self.out_pitch(),
        }
    }
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

/// Height, width and stored channels of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    pub height: usize,
    pub width: usize,
    pub pitch: usize,
}

impl Plane {
    pub(crate) fn len(self) -> usize {
        self.height * self.width * self.pitch
    }
    pub(crate) fn bordered_len(self) -> usize {
        (self.height + 2) * (self.width + 2) * self.pitch
    }
    pub(crate) fn pixels(self) -> usize {
        self.height * self.width
    }
    /// Where row `y` of the image starts inside its bordered copy.
    pub(crate) fn bordered_row(self, y: usize) -> usize {
        ((y + 1) * (self.width + 2) + 1) * self.pitch
    }
    pub(crate) fn row_len(self) -> usize {
        self.width * self.pitch
    }
    #[inline(always)]
    pub(super) fn place(self, y: usize, x: usize, channel: usize) -> Place {
        Place {
            channel,
            inner: (y * self.width + x) * self.pitch + channel,
            bordered: self.bordered_row(y) + x * self.pitch + channel,
        }
    }
}

/// Where a register of channels of a pixel is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub channel: usize,
    /// In an image without border.
    pub inner: usize,
    /// In an image with its border.
    pub bordered: usize,
}
