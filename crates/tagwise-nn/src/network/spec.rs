//! Descriptions of networks: what a person chooses, and the blocks that follow from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{resnet, small, vgg};
use crate::block::{Bias, ClassifierKind, ConvNormSpec};
use crate::kernel::norm::Plane;
use crate::kernel::shape::ConvShape;
use crate::kernel::{padded_channels, pool};
use crate::{Error, Result};

/// The families of networks that the engine builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Architecture {
    /// Five convolutions in two residual blocks, for images of about 16×16.
    #[default]
    Small,
    /// ResNet-18 with a 3×3 stem of stride 1 and without its maximum pooling.
    #[serde(rename = "resnet18")]
    ResNet18,
    /// ResNet-50 with a 3×3 stem of stride 1 and without its maximum pooling.
    #[serde(rename = "resnet50")]
    ResNet50,
    /// VGG-16 with batch norm and global average pooling.
    Vgg16,
    /// VGG-19 with batch norm and global average pooling.
    Vgg19,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "small network",
            Self::ResNet18 => "ResNet-18",
            Self::ResNet50 => "ResNet-50",
            Self::Vgg16 => "VGG-16",
            Self::Vgg19 => "VGG-19",
        })
    }
}

/// Height, width and channels of the images that enter a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
}

impl InputShape {
    /// Numbers of one image.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Everything that determines a network but its weights.
///
/// ```
/// use tagwise_nn::{Architecture, ClassifierKind, Device, InputShape, Network, NetworkSpec};
///
/// let spec = NetworkSpec {
///     architecture: Architecture::Small,
///     input: InputShape { height: 16, width: 16, channels: 1 },
///     num_classes: 10,
///     feature_dim: None,
///     classifier: ClassifierKind::Learned,
/// };
/// let mut network = Network::new(&spec, 7, Device::cpu()?)?;
/// network.forward_eval(&[0.5; 256], 1)?;
/// assert_eq!(network.logits().len(), 10);
/// assert_eq!(network.features().len(), 128);
/// # Ok::<(), tagwise_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// The family.
    pub architecture: Architecture,
    /// What one image looks like.
    pub input: InputShape,
    /// Number of classes K.
    pub num_classes: usize,
    /// Feature dimension d, made by the last convolution; the family's own when absent.
    pub feature_dim: Option<usize>,
    /// Learned or frozen.
    pub classifier: ClassifierKind,
}

/// One step of a network before it has weights.
#[derive(Clone, Debug)]
pub(crate) enum BlockSpec {
    ConvNormAct(ConvNormSpec),
    Residual {
        body: Vec<ConvNormSpec>,
        projection: Option<ConvNormSpec>,
    },
    MaxPool(Plane),
}

/// The blocks of a network and what comes out of them.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    pub blocks: Vec<BlockSpec>,
    /// Plane of the last activations.
    pub plane: Plane,
    pub feature_dim: usize,
    /// Prefix of the classifier's tensors.
    pub classifier_name: &'static str,
}

impl NetworkSpec {
    /// Dimension d of the features: the one asked for, or the architecture's own.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn num_features(&self) -> Result<usize> {
        Ok(self.blueprint()?.feature_dim)
    }

    /// Number of trainable numbers: convolutions, norms, the classifier's bias, and its weights
    /// unless they are frozen.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn num_trainable(&self) -> Result<usize> {
        let blueprint = self.blueprint()?;
        let convolutions = blueprint.blocks.iter().map(|block| match block {
            BlockSpec::ConvNormAct(conv) => conv.num_trainable(),
            BlockSpec::Residual { body, projection } => body
                .iter()
                .chain(projection)
                .map(ConvNormSpec::num_trainable)
                .sum(),
            BlockSpec::MaxPool(_) => 0,
        });
        let weights = match self.classifier {
            ClassifierKind::Learned => self.num_classes * blueprint.feature_dim,
            ClassifierKind::FixedEtf => 0,
        };
        Ok(convolutions.sum::<usize>() + weights + self.num_classes)
    }

    /// The blocks that this description stands for.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub(crate) fn blueprint(&self) -> Result<Blueprint> {
        let InputShape {
            height,
            width,
            channels,
        } = self.input;
        if height == 0 || width == 0 || channels == 0 {
            return Err(Error::InvalidSpec(format!(
                "expected images of at least 1x1 pixel and 1 channel, found {height}x{width} pixels and {channels} channels"
            )));
        }
        if self.num_classes < 2 {
            return Err(Error::InvalidSpec(format!(
                "expected at least 2 classes, found {}",
                self.num_classes
            )));
        }
        if self.feature_dim == Some(0) {
            return Err(Error::InvalidSpec(
                "expected a feature dimension of at least 1, found 0".into(),
            ));
        }
        let path = Path::new(self.input);
        match self.architecture {
            Architecture::Small => Ok(small::small(path, self.feature_dim)),
            Architecture::ResNet18 => Ok(resnet::resnet18(path, self.feature_dim)),
            Architecture::ResNet50 => Ok(resnet::resnet50(path, self.feature_dim)),
            Architecture::Vgg16 => vgg::vgg16(path, self.feature_dim),
            Architecture::Vgg19 => vgg::vgg19(path, self.feature_dim),
        }
    }
}

/// The way of an image through the blocks described so far.
#[derive(Debug)]
pub(crate) struct Path {
    pub blocks: Vec<BlockSpec>,
    pub channels: usize,
    height: usize,
    width: usize,
    /// Channels stored per pixel: exactly the image's at the entrance, padded afterwards.
    pitch: usize,
}

impl Path {
    fn new(input: InputShape) -> Self {
        Self {
            blocks: Vec::new(),
            channels: input.channels,
            height: input.height,
            width: input.width,
            pitch: input.channels,
        }
    }

    /// A convolution from where the path stands, not yet taken.
    pub(crate) fn conv(
        &self,
        names: (String, String),
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> ConvNormSpec {
        ConvNormSpec {
            conv_name: names.0,
            norm_name: names.1,
            bias: Bias::Without,
            shape: ConvShape {
                in_channels: self.channels,
                out_channels,
                kernel,
                stride,
                in_height: self.height,
                in_width: self.width,
                in_pitch: self.pitch,
            },
        }
    }

    /// A convolution from where `before` ends.
    pub(crate) fn conv_after(
        before: &ConvNormSpec,
        names: (String, String),
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> ConvNormSpec {
        let mut path = Self {
            blocks: Vec::new(),
            channels: 0,
            height: 0,
            width: 0,
            pitch: 0,
        };
        path.stand_after(before);
        path.conv(names, out_channels, kernel, stride)
    }

    /// Takes a convolution with norm and ReLU.
    pub(crate) fn push_conv(&mut self, conv: ConvNormSpec) {
        self.stand_after(&conv);
        self.blocks.push(BlockSpec::ConvNormAct(conv));
    }

    /// Takes a residual block; a projection is added where input and output differ.
    pub(crate) fn push_residual(&mut self, body: Vec<ConvNormSpec>, names: (String, String)) {
        let Some(last) = body.last() else { return };
        let out_channels = last.shape.out_channels;
        let stride = body.iter().map(|conv| conv.shape.stride).product();
        let projection = (stride != 1 || out_channels != self.channels)
            .then(|| self.conv(names, out_channels, 1, stride));
        self.stand_after(last);
        self.blocks.push(BlockSpec::Residual { body, projection });
    }

    /// Takes a 2×2 maximum with stride 2.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when fewer than 2×2 pixels are left.
    pub(crate) fn push_max_pool(&mut self) -> Result<()> {
        if self.height < 2 || self.width < 2 {
            return Err(Error::InvalidSpec(format!(
                "the images are too small for this network: {}x{} pixels are left before its {}th maximum pooling; use images of at least 32x32",
                self.height,
                self.width,
                1 + self.num_max_pools()
            )));
        }
        let plane = self.plane();
        self.blocks.push(BlockSpec::MaxPool(plane));
        let halved = pool::halved(plane);
        (self.height, self.width) = (halved.height, halved.width);
        Ok(())
    }

    /// Ends the path: the last activations are averaged to the features.
    pub(crate) fn end(self, classifier_name: &'static str) -> Blueprint {
        Blueprint {
            plane: self.plane(),
            feature_dim: self.channels,
            blocks: self.blocks,
            classifier_name,
        }
    }

    fn num_max_pools(&self) -> usize {
        let is_pool = |block: &&BlockSpec| matches!(block, BlockSpec::MaxPool(_));
        self.blocks.iter().filter(is_pool).count()
    }

    fn plane(&self) -> Plane {
        Plane {
            height: self.height,
            width: self.width,
            pitch: self.pitch,
        }
    }

    fn stand_after(&mut self, conv: &ConvNormSpec) {
        let shape = &conv.shape;
        self.channels = shape.out_channels;
        self.height = shape.out_height();
        self.width = shape.out_width();
        self.pitch = padded_channels(shape.out_channels);
    }
}
