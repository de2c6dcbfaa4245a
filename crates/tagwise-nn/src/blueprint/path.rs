//! The way of an image through the blocks described so far: how an architecture is written down.

use super::{Bias, Block, Blueprint, Classifier, Convolution, MaxPool, NetworkSpec, Residual};
use crate::{Error, Result};

/// Blocks in order, and the shape of what the last of them leaves.
#[derive(Debug)]
pub(super) struct Path<'a> {
    spec: &'a NetworkSpec,
    blocks: Vec<Block>,
    /// Height, width and channels where the path stands.
    shape: [usize; 3],
}

impl<'a> Path<'a> {
    /// The path at the images.
    pub(super) fn new(spec: &'a NetworkSpec) -> Self {
        let input = spec.input;
        Self {
            spec,
            blocks: Vec::new(),
            shape: [input.height, input.width, input.channels],
        }
    }

    /// The dimension of the features: the one asked for, or the architecture's `own`.
    pub(super) fn feature_dim(&self, own: usize) -> usize {
        self.spec.feature_dim.unwrap_or(own)
    }

    /// A convolution from where the path stands, not yet taken.
    pub(super) fn conv(
        &self,
        names: (String, String),
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Convolution {
        conv(self.shape, names, out_channels, kernel, stride)
    }

    /// A convolution from where `before` ends.
    pub(super) fn conv_after(
        before: &Convolution,
        names: (String, String),
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Convolution {
        conv(before.output_shape(), names, out_channels, kernel, stride)
    }

    /// Takes a convolution with norm and ReLU.
    pub(super) fn push_conv(&mut self, conv: Convolution) {
        self.push(Block::Convolution(conv));
    }

    /// Takes a residual block; a projection is added where input and output differ.
    pub(super) fn push_residual(&mut self, body: Vec<Convolution>, names: (String, String)) {
        let Some(last) = body.last() else { return };
        let out_channels = last.out_channels;
        let stride = body.iter().map(|conv| conv.stride).product();
        let projection = (stride != 1 || out_channels != self.shape[2])
            .then(|| self.conv(names, out_channels, 1, stride));
        self.push(Block::Residual(Residual { body, projection }));
    }

    /// Takes a 2×2 maximum with stride 2.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when fewer than 2×2 pixels are left.
    pub(super) fn push_max_pool(&mut self) -> Result<()> {
        let [in_height, in_width, channels] = self.shape;
        if in_height < 2 || in_width < 2 {
            return Err(Error::InvalidSpec(format!(
                "the images are too small for this network: {in_height}x{in_width} pixels are left before its {}th maximum pooling; use images of at least 32x32",
                1 + self.num_max_pools()
            )));
        }
        self.push(Block::MaxPool(MaxPool {
            channels,
            in_height,
            in_width,
        }));
        Ok(())
    }

    /// Ends the path: the last activations are averaged to the features, which a classifier of
    /// this name takes.
    pub(super) fn end(self, classifier: &str) -> Blueprint {
        Blueprint {
            input: self.spec.input,
            blocks: self.blocks,
            classifier: Classifier {
                name: classifier.into(),
                kind: self.spec.classifier,
                feature_dim: self.shape[2],
                num_classes: self.spec.num_classes,
            },
        }
    }

    fn push(&mut self, block: Block) {
        self.shape = block.output_shape();
        self.blocks.push(block);
    }

    fn num_max_pools(&self) -> usize {
        let is_pool = |block: &&Block| matches!(block, Block::MaxPool(_));
        self.blocks.iter().filter(is_pool).count()
    }
}

/// A convolution of what has this shape, without bias.
fn conv(
    [in_height, in_width, in_channels]: [usize; 3],
    (name, norm): (String, String),
    out_channels: usize,
    kernel: usize,
    stride: usize,
) -> Convolution {
    Convolution {
        name,
        norm,
        bias: Bias::Without,
        in_channels,
        out_channels,
        kernel,
        stride,
        in_height,
        in_width,
    }
}
