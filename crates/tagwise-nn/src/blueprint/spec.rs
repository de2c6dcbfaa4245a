//! Descriptions of networks: what a person chooses.

use std::fmt;

use serde::{Deserialize, Serialize};

use tagwise_base::{ClassifierKind, ImageShape};

use super::path::Path;
use super::{Blueprint, resnet, small, vgg};
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

/// Everything that determines a network but its weights.
///
/// ```
/// use tagwise_nn::{Architecture, ClassifierKind, Device, ImageShape, Network, NetworkSpec};
///
/// let spec = NetworkSpec {
///     architecture: Architecture::Small,
///     input: ImageShape { height: 16, width: 16, channels: 1 },
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
    pub input: ImageShape,
    /// Number of classes K.
    pub num_classes: usize,
    /// Feature dimension d, made by the last convolution; the family's own when absent.
    pub feature_dim: Option<usize>,
    /// Learned or frozen.
    pub classifier: ClassifierKind,
}

impl NetworkSpec {
    /// Dimension d of the features: the one asked for, or the architecture's own.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn num_features(&self) -> Result<usize> {
        Ok(self.blueprint()?.feature_dim())
    }

    /// Number of trainable numbers: convolutions, norms, the classifier's bias, and its weights
    /// unless they are frozen.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn num_trainable(&self) -> Result<usize> {
        Ok(self.blueprint()?.num_trainable())
    }

    /// The layers that this description stands for.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn blueprint(&self) -> Result<Blueprint> {
        let ImageShape {
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
        let path = Path::new(self);
        match self.architecture {
            Architecture::Small => Ok(small::small(path)),
            Architecture::ResNet18 => Ok(resnet::resnet18(path)),
            Architecture::ResNet50 => Ok(resnet::resnet50(path)),
            Architecture::Vgg16 => vgg::vgg16(path),
            Architecture::Vgg19 => vgg::vgg19(path),
        }
    }
}
