//! The training engine of Tagwise.
//!
//! The networks of multi-label neural collapse are a small closed family: convolution, batch norm,
//! ReLU and residual add, pooling, and one linear classifier. Their [`blueprint`]s are data, from
//! which any engine can build them; the one here runs on the processor, with explicit forward and
//! backward passes: there is no graph and no automatic differentiation. Images are NHWC `f32`;
//! weights go in and out in PyTorch's layout under torchvision's names.
//!
//! ```
//! use tagwise_nn::*;
//!
//! let spec = NetworkSpec {
//!     architecture: Architecture::Small,
//!     input: ImageShape { height: 8, width: 8, channels: 1 },
//!     num_classes: 3,
//!     feature_dim: Some(8),
//!     classifier: ClassifierKind::FixedEtf,
//! };
//! let mut network = Network::new(&spec, 0, Device::cpu()?)?;
//! let mut sgd = Sgd::new(SgdConfig::default(), &network);
//! let images = vec![0.5; 2 * 64];
//! network.forward_train(&images, 2)?;
//! let gradient = vec![0.1; network.logits().len()]; // of a loss of the logits, [2, 3]
//! network.backward(&gradient, None)?;
//! sgd.step(&mut network, 0.1)?;
//! # Ok::<(), Error>(())
//! ```

pub mod blueprint;
mod cpu;
mod device;
mod error;
mod precision;
pub mod weights;

pub use blueprint::{Architecture, ClassifierKind, ImageShape, NetworkSpec};
pub use cpu::{
    KernelSet, Kernels, LayerRate, MemoryEstimate, Network, Sgd, SgdConfig, layer_rates,
    memory_estimate, peak_rate,
};
pub use device::Device;
pub use error::{Error, Result};
pub use precision::Precision;
pub use weights::{NamedTensor, read_safetensors, write_safetensors};
