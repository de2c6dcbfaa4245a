//! A whole network on the processor: forward, backward, and its tensors by name.

use super::activations::View;
use super::block::{
    Block, Classifier, ConvNorm, ConvNormAct, InputGradient, MaxPool, Mode, Parameter, Pass,
    ResidualBlock, Source, Statistic, Workspace,
};
use super::buffer::Buffer;
use super::kernel::output::{Output, Write};
use super::kernel::shape::Plane;
use super::kernel::{Kernels, padded_channels, pool};
use crate::blueprint::{self, NetworkSpec};
use crate::device::Device;
use crate::weights::NamedTensor;
use crate::{Error, Result};

/// A network with its weights, its activations and the memory that its gradients need.
///
/// Memory is taken by the first pass of each kind and batch size; later passes allocate nothing.
/// Results do not depend on the number of threads.
#[derive(Debug)]
pub struct Network {
    spec: NetworkSpec,
    device: Device,
    blocks: Vec<Block>,
    classifier: Classifier,
    plane: Plane,
    feature_dim: usize,
    /// Bordered images.
    images: Buffer,
    features: Vec<f32>,
    logits: Vec<f32>,
    grad_features: Vec<f32>,
    workspace: Workspace,
    last: Option<Pass>,
}

impl Network {
    /// Builds a network with random weights, those of
    /// [`Blueprint::initial_state`](crate::blueprint::Blueprint::initial_state).
    ///
    /// # Errors
    /// [`Error::InvalidSpec`] when no such network exists.
    pub fn new(spec: &NetworkSpec, seed: u64, device: Device) -> Result<Self> {
        let blueprint = spec.blueprint()?;
        let weights = blueprint.initial_state(seed)?;
        let kernels = device.kernels();
        let mut workspace = Workspace::new(kernels.precision());
        let blocks = blueprint
            .blocks
            .iter()
            .enumerate()
            .map(|(i, block)| build(block, Source::of_block(i), kernels, &mut workspace))
            .collect();
        let [height, width, channels] = blueprint.feature_map();
        let mut network = Self {
            spec: spec.clone(),
            device,
            blocks,
            classifier: Classifier::new(&blueprint.classifier),
            plane: Plane {
                height,
                width,
                pitch: padded_channels(channels),
            },
            feature_dim: blueprint.feature_dim(),
            images: Buffer::empty(),
            features: Vec::new(),
            logits: Vec::new(),
            grad_features: Vec::new(),
            workspace,
            last: None,
        };
        network.load_state(&weights)?;
        Ok(network)
    }

    /// What the network was built from.
    #[must_use]
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Feature dimension d.
    #[must_use]
    pub fn feature_dim(&self) -> usize {
        self.feature_dim
    }

    /// The classifier's weights, row-major.
    ///
    /// # Shapes
    /// `[K, d]`
    #[must_use]
    pub fn classifier_weight(&self) -> &[f32] {
        self.classifier.weight()
    }

    /// The classifier's bias.
    ///
    /// # Shapes
    /// `[K]`
    #[must_use]
    pub fn classifier_bias(&self) -> &[f32] {
        self.classifier.bias()
    }

    /// A forward pass with batch statistics, which moves the running statistics and which
    /// [`Network::backward`] may follow.
    ///
    /// # Shapes
    /// `images` is `[B, height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when `images` is not `batch` images.
    pub fn forward_train(&mut self, images: &[f32], batch: usize) -> Result<()> {
        self.forward(images, batch, Mode::Train)
    }

    /// A forward pass with running statistics, in which every image is on its own.
    ///
    /// # Shapes
    /// `images` is `[B, height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when `images` is not `batch` images.
    pub fn forward_eval(&mut self, images: &[f32], batch: usize) -> Result<()> {
        self.forward(images, batch, Mode::Evaluate)
    }

    /// The features of the last forward pass: pooled activations after the last ReLU.
    ///
    /// # Shapes
    /// `[B, d]`
    #[must_use]
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The logits of the last forward pass.
    ///
    /// # Shapes
    /// `[B, K]`
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn forward(&mut self, images: &[f32], batch: usize, mode: Mode) -> Result<()> {
        let expected = batch * self.spec.input.num_elements();
        if images.len() != expected || batch == 0 {
            return Err(Error::LengthMismatch {
                what: "images [B, height, width, channels]",
                expected: expected.max(self.spec.input.num_elements()),
                found: images.len(),
            });
        }
        let pass = Pass {
            kernels: self.device.kernels(),
            batch,
            mode,
        };
        self.reserve(pass);
        self.load(images);
        for i in 0..self.blocks.len() {
            let (before, rest) = self.blocks.split_at_mut(i);
            let x = before
                .last()
                .map_or(View::F32(self.images.as_slice()), Block::output);
            rest[0].forward(pass, x, &mut self.workspace);
        }
        let last = self
            .blocks
            .last()
            .map_or(View::F32(self.images.as_slice()), Block::output);
        pool::global_average(self.plane, self.feature_dim, last, &mut self.features);
        self.classifier
            .forward(pass, &self.features, &mut self.logits);
        self.last = Some(pass);
        Ok(())
    }

    /// Gradients of all parameters for the batch of the last forward pass in training mode; the
    /// previous ones are replaced.
    ///
    /// `grad_features`, if any, is added to the gradient that reaches the features through the
    /// classifier: the place for feature decay.
    ///
    /// # Shapes
    /// `grad_logits` is `[B, K]`, `grad_features` `[B, d]`.
    ///
    /// # Errors
    /// [`Error::NoForwardPass`] without such a forward pass, [`Error::LengthMismatch`] for
    /// gradients of another batch.
    pub fn backward(&mut self, grad_logits: &[f32], grad_features: Option<&[f32]>) -> Result<()> {
        let pass = match self.last {
            Some(pass) if pass.mode == Mode::Train => pass,
            _ => return Err(Error::NoForwardPass),
        };
        expect_len("grad_logits [B, K]", self.logits.len(), grad_logits.len())?;
        match grad_features {
            Some(gradient) => {
                let what = "grad_features [B, d]";
                expect_len(what, self.features.len(), gradient.len())?;
                self.grad_features.copy_from_slice(gradient);
            }
            None => self.grad_features.fill(0.0),
        }
        let Self {
            blocks,
            classifier,
            features,
            workspace,
            grad_features,
            ..
        } = self;
        classifier.backward(pass, features, grad_logits, grad_features);
        let into = last_gradient(blocks, pass);
        let gradient = Output::new(workspace.gradient.view_mut(), Write::Replace);
        into.write(&mut workspace.partial, gradient, |gradient| {
            pool::global_average_gradient(self.plane, self.feature_dim, grad_features, gradient);
        });
        for i in (0..self.blocks.len()).rev() {
            let (before, rest) = self.blocks.split_at_mut(i);
            let x = before
                .last()
                .map_or(View::F32(self.images.as_slice()), Block::output);
            let into = last_gradient(before, pass);
            rest[0].backward(pass, x, into, &mut self.workspace);
        }
        self.last = None;
        Ok(())
    }

    /// Number of trainable numbers: all parameters but a frozen classifier.
    #[must_use]
    pub fn num_trainable(&self) -> usize {
        self.parameters()
            .map(|parameter| parameter.layout.num_elements())
            .sum()
    }

    /// The gradients of the last backward pass, by parameter name, in PyTorch's layout.
    #[must_use]
    pub fn gradients(&self) -> Vec<NamedTensor> {
        self.parameters()
            .map(|parameter| parameter.named(parameter.gradient.as_slice()))
            .collect()
    }

    /// All tensors that make up the network: parameters, running statistics, and the classifier
    /// even when frozen, in PyTorch's layout under torchvision's names.
    #[must_use]
    pub fn state(&self) -> Vec<NamedTensor> {
        let parameters = self
            .parameters()
            .map(|parameter| parameter.named(parameter.value()));
        parameters
            .chain(self.statistics().map(Statistic::named))
            .collect()
    }

    /// Takes over all tensors of another network of the same shape; nothing changes on an error.
    ///
    /// PyTorch's counters `num_batches_tracked` are ignored.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::UnexpectedTensor`] or [`Error::TensorShape`] when the
    /// tensors are not exactly this network's.
    pub fn load_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let tensors: Vec<&NamedTensor> = tensors
            .iter()
            .filter(|tensor| !tensor.name.ends_with(".num_batches_tracked"))
            .collect();
        let parameters = self
            .parameters()
            .map(|parameter| (parameter.name.as_str(), parameter.layout.shape()));
        let statistics = self
            .statistics()
            .map(|tensor| (tensor.name.as_str(), tensor.layout.shape()));
        let expected: Vec<_> = parameters.chain(statistics).collect();
        crate::weights::expect_same(&expected, &tensors)?;
        let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        for parameter in self.parameters_mut() {
            if let Some(tensor) = find(&parameter.name) {
                let layout = parameter.layout;
                layout.pack(&tensor.data, parameter.value_mut());
            }
        }
        for statistic in self.statistics_mut() {
            if let Some(tensor) = find(&statistic.name) {
                let value = statistic.value.as_mut_slice();
                statistic.layout.pack(&tensor.data, value);
            }
        }
        Ok(())
    }

    /// All trainable parameters, in a fixed order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let units = self.blocks.iter().flat_map(Block::units);
        units
            .flat_map(ConvNorm::parameters)
            .chain(self.classifier.parameters())
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let units = self.blocks.iter_mut().flat_map(Block::units_mut);
        units
            .flat_map(ConvNorm::parameters_mut)
            .chain(self.classifier.parameters_mut())
    }

    /// What is saved with the parameters but not trained.
    fn statistics(&self) -> impl Iterator<Item = &Statistic> {
        let units = self.blocks.iter().flat_map(Block::units);
        units
            .flat_map(ConvNorm::statistics)
            .chain(self.classifier.statistics())
    }

    /// The same, to be changed.
    fn statistics_mut(&mut self) -> impl Iterator<Item = &mut Statistic> {
        let units = self.blocks.iter_mut().flat_map(Block::units_mut);
        units
            .flat_map(ConvNorm::statistics_mut)
            .chain(self.classifier.statistics_mut())
    }

    /// Makes room for a batch; takes no memory once a batch as large has passed.
    fn reserve(&mut self, pass: Pass) {
        let image_len = self.image_plane().bordered_len();
        self.images.reserve(pass.batch * image_len);
        for block in &mut self.blocks {
            block.reserve(pass, &mut self.workspace);
        }
        let dim = self.feature_dim;
        self.features.resize(pass.batch * dim, 0.0);
        self.grad_features.resize(pass.batch * dim, 0.0);
        self.logits.resize(pass.batch * self.spec.num_classes, 0.0);
    }

    /// How one image lies in memory.
    fn image_plane(&self) -> Plane {
        let input = self.spec.input;
        Plane {
            height: input.height,
            width: input.width,
            pitch: Source::Images.pitch(input.channels),
        }
    }

    /// Copies images inside their border.
    fn load(&mut self, images: &[f32]) {
        let plane = self.image_plane();
        let targets = self
            .images
            .as_mut_slice()
            .chunks_exact_mut(plane.bordered_len());
        for (target, image) in targets.zip(images.chunks_exact(plane.len())) {
            for (y, row) in image.chunks_exact(plane.row_len()).enumerate() {
                target[plane.bordered_row(y)..][..plane.row_len()].copy_from_slice(row);
            }
        }
    }
}

/// What becomes of the gradient of the last block's output.
fn last_gradient(blocks: &[Block], pass: Pass) -> InputGradient<'_> {
    blocks
        .last()
        .map_or(InputGradient::Skipped, |block| block.output_gradient(pass))
}

/// A block that reads `source` if it is a convolution alone; residual blocks and maxima read
/// activations.
fn build(
    block: &blueprint::Block,
    source: Source,
    kernels: Kernels,
    workspace: &mut Workspace,
) -> Block {
    let precision = kernels.precision();
    match block {
        blueprint::Block::Convolution(convolution) => {
            let unit = ConvNorm::new(convolution, source, kernels, workspace);
            Block::ConvNormAct(ConvNormAct::new(unit, precision))
        }
        blueprint::Block::Residual(residual) => {
            let mut unit = |conv| ConvNorm::new(conv, Source::Activations, kernels, workspace);
            let body = residual.body.iter().map(&mut unit).collect();
            let projection = residual.projection.as_ref().map(&mut unit);
            Block::Residual(ResidualBlock::new(body, projection, precision))
        }
        blueprint::Block::MaxPool(pool) => {
            Block::MaxPool(MaxPool::new(pooled_plane(pool), precision))
        }
    }
}

/// How the input of a maximum lies in memory.
pub(super) fn pooled_plane(pool: &blueprint::MaxPool) -> Plane {
    Plane {
        height: pool.in_height,
        width: pool.in_width,
        pitch: padded_channels(pool.channels),
    }
}

fn expect_len(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::LengthMismatch {
        what,
        expected,
        found,
    })
}
