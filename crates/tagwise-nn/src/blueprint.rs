//! Architectures as data: every layer with its sizes, every tensor with its name and shape, and
//! nothing about how an engine lays them out in memory.
//!
//! A [`NetworkSpec`] is what a person chooses; its [`Blueprint`] is what an engine builds.

mod initial;
mod onnx;
mod path;
mod resnet;
mod small;
mod spec;
mod tensor;
mod vgg;

use serde::{Deserialize, Serialize};

pub use onnx::InputScale;
pub use spec::{Architecture, NetworkSpec};
pub use tagwise_base::{ClassifierKind, ImageShape};
pub use tensor::{TensorRole, TensorSpec};

/// A whole network: blocks one after another, the mean of the last block's output over all pixels
/// as the features, and a linear classifier.
///
/// ```
/// use tagwise_nn::blueprint::{Architecture, Block, ClassifierKind, ImageShape, NetworkSpec};
///
/// let spec = NetworkSpec {
///     architecture: Architecture::ResNet18,
///     input: ImageShape { height: 32, width: 32, channels: 3 },
///     num_classes: 10,
///     feature_dim: None,
///     classifier: ClassifierKind::Learned,
/// };
/// let blueprint = spec.blueprint()?;
/// assert_eq!(blueprint.blocks.len(), 9);
/// assert_eq!(blueprint.blocks[8].output_shape(), [4, 4, 512]);
/// assert_eq!(blueprint.num_trainable(), 11_173_962);
/// let Block::Convolution(stem) = &blueprint.blocks[0] else { panic!("a convolution") };
/// assert_eq!((stem.name.as_str(), stem.tensors()[0].shape.as_slice()), ("conv1", &[64, 3, 3, 3][..]));
/// # Ok::<(), tagwise_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// What one image looks like.
    pub input: ImageShape,
    /// The blocks in order; each takes the output of the one before.
    pub blocks: Vec<Block>,
    /// What follows the features.
    pub classifier: Classifier,
}

/// One step of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Block {
    /// y = ReLU(norm(x ∗ w)).
    Convolution(Convolution),
    /// y = ReLU(body(x) + shortcut(x)).
    Residual(Residual),
    /// y = maximum of x over 2×2 windows with stride 2; an odd row or column at the end is left
    /// out.
    MaxPool(MaxPool),
}

/// A convolution with "same" padding (1 for 3×3, none for 1×1) and the batch norm after it
/// (ε = 1e-5, momentum 0.1, as PyTorch's `BatchNorm2d`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// Prefix of the convolution's tensors, for example `layer1.0.conv1`.
    pub name: String,
    /// Prefix of the norm's tensors, for example `layer1.0.bn1`.
    pub norm: String,
    /// Whether the convolution has a bias, which the norm makes ineffective.
    pub bias: Bias,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Side of the kernel: 1 or 3.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Rows of the input.
    pub in_height: usize,
    /// Columns of the input.
    pub in_width: usize,
}

/// Whether a convolution before a norm carries a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// ResNets.
    Without,
    /// VGG networks, whose files have one.
    With,
}

/// A chain of convolutions with norms, ReLUs between them, added to the block's input before the
/// last ReLU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// At least one convolution.
    pub body: Vec<Convolution>,
    /// What is done to the input before it is added: nothing, or a 1×1 convolution with norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<Convolution>,
}

/// The size of what a maximum is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Channels of input and output.
    pub channels: usize,
    /// Rows of the input.
    pub in_height: usize,
    /// Columns of the input.
    pub in_width: usize,
}

/// logits = features · Wᵀ + b.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Prefix of its tensors: `fc` or `classifier`.
    pub name: String,
    /// Learned or frozen.
    pub kind: ClassifierKind,
    /// Dimension d of the features.
    pub feature_dim: usize,
    /// Number of classes K.
    pub num_classes: usize,
}

impl Blueprint {
    /// Dimension d of the features.
    #[must_use]
    pub fn feature_dim(&self) -> usize {
        self.classifier.feature_dim
    }

    /// Number of classes K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.classifier.num_classes
    }

    /// Height, width and channels of what the features are the mean of.
    #[must_use]
    pub fn feature_map(&self) -> [usize; 3] {
        let ImageShape {
            height,
            width,
            channels,
        } = self.input;
        self.blocks
            .last()
            .map_or([height, width, channels], Block::output_shape)
    }

    /// All convolutions, in the order in which their tensors are listed and drawn.
    pub fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        self.blocks.iter().flat_map(Block::convolutions)
    }
}

impl Block {
    /// Its convolutions, a projection last.
    pub fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        let (body, projection) = match self {
            Self::Convolution(convolution) => (std::slice::from_ref(convolution), None),
            Self::Residual(residual) => (residual.body.as_slice(), residual.projection.as_ref()),
            Self::MaxPool(_) => (&[][..], None),
        };
        body.iter().chain(projection)
    }

    /// Height, width and channels of the output.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        match self {
            Self::Convolution(convolution) => convolution.output_shape(),
            Self::Residual(residual) => residual
                .body
                .last()
                .map_or([0; 3], Convolution::output_shape),
            Self::MaxPool(pool) => pool.output_shape(),
        }
    }
}

impl Convolution {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        [
            self.in_height.div_ceil(self.stride),
            self.in_width.div_ceil(self.stride),
            self.out_channels,
        ]
    }
}

impl MaxPool {
    /// Height, width and channels of the output.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        [self.in_height / 2, self.in_width / 2, self.channels]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(architecture: Architecture, side: usize) -> NetworkSpec {
        NetworkSpec {
            architecture,
            input: ImageShape {
                height: side,
                width: side,
                channels: 3,
            },
            num_classes: 10,
            feature_dim: None,
            classifier: ClassifierKind::Learned,
        }
    }

    const ALL: [Architecture; 5] = [
        Architecture::Small,
        Architecture::ResNet18,
        Architecture::ResNet50,
        Architecture::Vgg16,
        Architecture::Vgg19,
    ];

    #[test]
    fn every_block_takes_the_output_of_the_one_before() {
        for architecture in ALL {
            let blueprint = spec(architecture, 33).blueprint().unwrap();
            let mut shape = [33, 33, 3];
            for block in &blueprint.blocks {
                let entrances = match block {
                    Block::Convolution(c) => vec![[c.in_height, c.in_width, c.in_channels]],
                    Block::Residual(r) => r.body[..1]
                        .iter()
                        .chain(&r.projection)
                        .map(|c| [c.in_height, c.in_width, c.in_channels])
                        .collect(),
                    Block::MaxPool(p) => vec![[p.in_height, p.in_width, p.channels]],
                };
                assert!(entrances.iter().all(|entrance| *entrance == shape));
                if let Block::Residual(residual) = block {
                    for pair in residual.body.windows(2) {
                        let [height, width, channels] = pair[0].output_shape();
                        assert_eq!(height, pair[1].in_height);
                        assert_eq!((width, channels), (pair[1].in_width, pair[1].in_channels));
                    }
                    let last = residual.body.last().unwrap().output_shape();
                    let added = residual.projection.as_ref();
                    assert_eq!(added.map_or(shape, Convolution::output_shape), last);
                }
                shape = block.output_shape();
            }
            assert_eq!(blueprint.feature_map(), shape);
            assert_eq!(blueprint.feature_dim(), shape[2]);
        }
    }

    #[test]
    fn a_blueprint_reads_back_from_its_json() {
        for architecture in ALL {
            let blueprint = spec(architecture, 32).blueprint().unwrap();
            let json = serde_json::to_string(&blueprint).unwrap();
            assert_eq!(serde_json::from_str::<Blueprint>(&json).unwrap(), blueprint);
        }
        let blueprint = spec(Architecture::Small, 8).blueprint().unwrap();
        insta::assert_snapshot!(serde_json::to_string(&blueprint.blocks[0]).unwrap(), @r#"{"kind":"convolution","name":"conv1","norm":"bn1","bias":"without","in_channels":3,"out_channels":32,"kernel":3,"stride":1,"in_height":8,"in_width":8}"#);
    }
}
