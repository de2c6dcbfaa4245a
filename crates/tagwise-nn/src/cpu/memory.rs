//! How much memory a run takes, known before it starts.

use super::block::Source;
use super::kernel::layer::{ConvLayer, ScratchLen};
use super::kernel::shape::{ConvShape, Plane};
use super::kernel::{Kernels, pool};
use super::network::pooled_plane;
use crate::Result;
use crate::blueprint::{Bias, Block, Blueprint, ClassifierKind, Convolution, NetworkSpec};
use crate::device::Device;

/// Bytes that training and evaluating a network take, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryEstimate {
    /// Parameters and running statistics.
    pub weights: u64,
    /// Gradients of the parameters and velocities of the optimiser.
    pub training_state: u64,
    /// Convolution outputs and activations of one batch, kept for the backward pass.
    pub activations: u64,
    /// Gradients of activations and scratch memory that blocks share.
    pub workspace: u64,
    /// Weights as evaluation keeps them from batch to batch, and its convolution outputs.
    pub evaluation: u64,
    /// The images of one batch.
    pub images: u64,
}

impl MemoryEstimate {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights
            + self.training_state
            + self.activations
            + self.workspace
            + self.evaluation
            + self.images
    }
}

/// The memory that training and evaluation with batches of this size take on a device.
///
/// # Errors
/// [`crate::Error::InvalidSpec`] when no such network exists.
///
/// ```
/// use tagwise_nn::{
///     Architecture, ClassifierKind, Device, ImageShape, NetworkSpec, memory_estimate,
/// };
///
/// let spec = NetworkSpec {
///     architecture: Architecture::ResNet18,
///     input: ImageShape { height: 56, width: 56, channels: 1 },
///     num_classes: 10,
///     feature_dim: None,
///     classifier: ClassifierKind::Learned,
/// };
/// let memory = memory_estimate(&spec, 128, Device::cpu()?)?;
/// assert!(memory.total() > 2 << 30 && memory.total() < 4 << 30);
/// # Ok::<(), tagwise_nn::Error>(())
/// ```
pub fn memory_estimate(spec: &NetworkSpec, batch: usize, device: Device) -> Result<MemoryEstimate> {
    let blueprint = spec.blueprint()?;
    let mut sum = Sum::new(batch, device.kernels());
    for (i, block) in blueprint.blocks.iter().enumerate() {
        sum.add_block(block, Source::of_block(i));
    }
    sum.add_ends(&blueprint);
    Ok(sum.finish())
}

/// Counts of `f32` numbers so far.
struct Sum {
    batch: usize,
    kernels: Kernels,
    parameters: usize,
    statistics: usize,
    activations: usize,
    images: usize,
    gradient: usize,
    conv: ScratchLen,
    partial: usize,
    prepared: usize,
    passing: usize,
    bordered: Vec<Plane>,
}

impl Sum {
    fn new(batch: usize, kernels: Kernels) -> Self {
        Self {
            batch,
            kernels,
            parameters: 0,
            statistics: 0,
            activations: 0,
            images: 0,
            gradient: 0,
            conv: ScratchLen::default(),
            partial: 0,
            prepared: 0,
            passing: 0,
            bordered: Vec::new(),
        }
    }

    fn add_block(&mut self, block: &Block, source: Source) {
        match block {
            Block::Convolution(conv) => {
                let plane = self.add_conv(conv, source);
                self.add_activations(plane);
            }
            Block::Residual(residual) => {
                for conv in &residual.body {
                    let plane = self.add_conv(conv, Source::Activations);
                    self.add_activations(plane);
                }
                if let Some(conv) = &residual.projection {
                    let plane = self.add_conv(conv, Source::Activations);
                    self.add_sums(3 * plane.pitch);
                }
            }
            Block::MaxPool(pool) => {
                let plane = pooled_plane(pool);
                self.add_activations(pool::halved(plane));
                self.gradient = self.gradient.max(self.batch * plane.len());
            }
        }
    }

    /// Bordered activations of a batch.
    fn add_activations(&mut self, plane: Plane) {
        self.activations += self.in_f32(self.batch * plane.bordered_len());
    }

    /// The f32 numbers that take the memory of so many in the device's precision.
    fn in_f32(&self, len: usize) -> usize {
        len / self.kernels.precision().per_lane()
    }

    /// Adds a convolution with its norm and returns the plane of its output.
    fn add_conv(&mut self, conv: &Convolution, source: Source) -> Plane {
        let shape = &ConvShape::new(conv, source.pitch(conv.in_channels));
        let plane = shape.out_plane();
        let vectors = match conv.bias {
            Bias::Without => 2,
            Bias::With => 3,
        };
        self.parameters += shape.packed_len() + vectors * plane.pitch;
        self.statistics += 2 * plane.pitch;
        self.activations += self.in_f32(self.batch * plane.len());
        let inputs =
            shape.in_height * shape.in_width * Source::Activations.pitch(shape.in_channels);
        self.gradient = self.gradient.max(self.batch * plane.len().max(inputs));
        let layer = ConvLayer::new(shape, self.kernels, source.precision(self.kernels));
        self.conv = self.conv.max(layer.training_scratch(self.batch));
        self.prepared += layer.prepared_len();
        self.passing = self.passing.max(layer.group_len(self.batch));
        self.add_sums(2 * plane.pitch);
        if !self.bordered.contains(&plane) {
            self.bordered.push(plane);
        }
        plane
    }

    /// Sums over every image of a batch.
    fn add_sums(&mut self, per_image: usize) {
        self.partial = self.partial.max(self.batch * per_image);
    }

    fn add_ends(&mut self, blueprint: &Blueprint) {
        let input = blueprint.input;
        let (num_classes, dim) = (blueprint.num_classes(), blueprint.feature_dim());
        let bordered = (input.height + 2) * (input.width + 2) * input.channels;
        self.images += self.batch * (bordered + input.num_elements());
        self.activations += self.batch * (2 * dim + num_classes);
        let weights = num_classes * dim;
        match blueprint.classifier.kind {
            ClassifierKind::Learned => self.parameters += weights + num_classes,
            ClassifierKind::FixedEtf => {
                self.statistics += weights;
                self.parameters += num_classes;
            }
        }
    }

    fn finish(self) -> MemoryEstimate {
        let bytes = |numbers: usize| (numbers * size_of::<f32>()) as u64;
        let bordered: usize = self.bordered.iter().map(|plane| plane.bordered_len()).sum();
        // Those of convolution outputs, and two of activations; sums over images are f64.
        let gradients = self.in_f32(self.batch * bordered + 2 * self.gradient);
        let workspace = self.conv.total() + 2 * self.partial + gradients;
        MemoryEstimate {
            weights: bytes(self.parameters + self.statistics),
            training_state: bytes(2 * self.parameters),
            activations: bytes(self.activations),
            workspace: bytes(workspace),
            evaluation: bytes(self.prepared + rayon::current_num_threads() * self.passing),
            images: bytes(self.images),
        }
    }
}
