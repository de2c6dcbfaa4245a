//! A convolution and the batch norm after it: what every block is made of.

use super::{Layout, Mode, Parameter, Pass, Source, Statistic, Workspace};
use crate::blueprint::{Bias, Convolution};
use crate::cpu::activations::{Activations, View, ViewMut};
use crate::cpu::buffer::Buffer;
use crate::cpu::kernel::layer::{ConvLayer, ConvScratch};
use crate::cpu::kernel::norm::{self, Activate, Normalised, Residual};
use crate::cpu::kernel::norm_gradient::{self, Centred, Entry, Mask};
use crate::cpu::kernel::output::{Epilogue, Output, Passage, Write};
use crate::cpu::kernel::shape::ConvShape;
use crate::cpu::kernel::shape::Plane;
use crate::cpu::kernel::{Kernels, padded_channels};

/// PyTorch's defaults of `BatchNorm2d`.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Sums over single images that [`Entry::take`] left.
#[derive(Clone, Copy)]
pub(crate) struct ImageSums<'a> {
    /// `[B, len]`
    pub sums: &'a [f64],
    pub len: usize,
    /// Where the sums of g·(z − mean) start in an image's.
    pub products: usize,
}

impl<'a> ImageSums<'a> {
    pub(crate) fn new(sums: &'a [f64], len: usize, products: usize) -> Self {
        Self {
            sums,
            len,
            products,
        }
    }
}

/// Weights as evaluation takes them, kept from batch to batch.
#[derive(Debug)]
struct Prepared {
    weights: Buffer,
    /// The version of the weights that these were made of.
    version: Option<u64>,
}

impl Prepared {
    fn none() -> Self {
        Self {
            weights: Buffer::empty(),
            version: None,
        }
    }
}

/// Convolution → batch norm.
///
/// In training mode the norm uses the batch's mean and biased variance and moves its running
/// statistics by a tenth (unbiased variance), as PyTorch's `BatchNorm2d` does.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    pub weight: Parameter,
    /// A bias before a norm shifts the mean and cancels: it is never added, only accounted for in
    /// the running mean, and its gradient is zero.
    pub bias: Option<Parameter>,
    pub norm_weight: Parameter,
    pub norm_bias: Parameter,
    pub running_mean: Statistic,
    pub running_variance: Statistic,
    layer: ConvLayer,
    prepared: Prepared,
    /// Convolution output `[B, h, w, pitch]`.
    z: Activations,
    /// y = z·scale + shift, `[pitch]` each.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    inverse_deviation: Vec<f64>,
    /// Mean in f32 and the three coefficients of the input gradient.
    center: Vec<f32>,
    coefficients: [Vec<f32>; 3],
    sums: [Vec<f64>; 2],
    plane: Plane,
    dz_index: usize,
}

impl ConvNorm {
    /// A convolution whose weights are yet to be loaded.
    pub(crate) fn new(
        convolution: &Convolution,
        source: Source,
        kernels: Kernels,
        workspace: &mut Workspace,
    ) -> Self {
        let shape = ConvShape::new(convolution, source.pitch(convolution.in_channels));
        let plane = shape.out_plane();
        let vector = Layout::Vector {
            len: shape.out_channels,
        };
        let packed = Layout::Packed {
            shape,
            block: kernels.channel_block(plane.pitch),
        };
        let (conv, norm) = (&convolution.name, &convolution.norm);
        let bias = match convolution.bias {
            Bias::Without => None,
            Bias::With => Some(Parameter::zeros(format!("{conv}.bias"), vector)),
        };
        Self {
            weight: Parameter::zeros(format!("{conv}.weight"), packed),
            bias,
            norm_weight: Parameter::zeros(format!("{norm}.weight"), vector),
            norm_bias: Parameter::zeros(format!("{norm}.bias"), vector),
            running_mean: Statistic::zeros(format!("{norm}.running_mean"), vector),
            running_variance: Statistic::zeros(format!("{norm}.running_var"), vector),
            layer: ConvLayer::new(&shape, kernels, source.precision(kernels)),
            prepared: Prepared::none(),
            z: Activations::empty(kernels.precision()),
            scale: vec![0.0; plane.pitch],
            shift: vec![0.0; plane.pitch],
            mean: vec![0.0; plane.pitch],
            variance: vec![0.0; plane.pitch],
            inverse_deviation: vec![0.0; plane.pitch],
            center: vec![0.0; plane.pitch],
            coefficients: std::array::from_fn(|_| vec![0.0; plane.pitch]),
            sums: std::array::from_fn(|_| vec![0.0; plane.pitch]),
            plane,
            dz_index: workspace.bordered_index(plane, kernels.precision()),
        }
    }

    pub(crate) fn plane(&self) -> Plane {
        self.plane
    }

    /// Makes room for a batch, in training with the memory that gradients need.
    pub(crate) fn reserve(&mut self, pass: Pass, workspace: &mut Workspace) {
        let len = pass.batch * self.plane.len();
        if pass.mode == Mode::Evaluate {
            workspace.conv.reserve(self.layer.forward_scratch());
            workspace.passing.reserve(self.layer.group_len(pass.batch));
            return;
        }
        self.z.reserve(len);
        let scratch = self.layer.training_scratch(pass.batch);
        workspace.conv.reserve(scratch);
        workspace.reserve_sums(pass.batch * 2 * self.plane.pitch);
        let gradients = len.max(pass.batch * self.input_gradient_len());
        workspace.gradient.reserve(gradients);
        workspace.other_gradient.reserve(gradients);
        let bordered = &mut workspace.bordered[self.dz_index].1;
        bordered.reserve(pass.batch * self.plane.bordered_len());
    }

    /// Makes room for the output of [`ConvNorm::forward`] in evaluation too.
    pub(crate) fn reserve_output(&mut self, pass: Pass) {
        self.z.reserve(pass.batch * self.plane.len());
    }

    /// Numbers of the input's gradient for one image.
    fn input_gradient_len(&self) -> usize {
        let shape = self.layer.shape();
        shape.in_height * shape.in_width * padded_channels(shape.in_channels)
    }

    /// y = ReLU(norm(x ∗ w) + residual). In evaluation z = x ∗ w is not kept.
    ///
    /// # Shapes
    /// `x` and `y` are bordered, `[B, h+2, w+2, pitch]`.
    pub(crate) fn forward_activated(
        &mut self,
        pass: Pass,
        x: View<'_>,
        residual: Residual<'_>,
        y: &mut Activations,
        workspace: &mut Workspace,
    ) {
        if pass.mode == Mode::Train {
            self.forward(pass, x, workspace);
            let activate = self.activate(pass, residual);
            return activate.batch(pass.batch, self.z.view(), y.view_mut());
        }
        self.prepare_evaluation();
        let activate = self.activate(pass, residual);
        let turn = |image, z: View<'_>, y: ViewMut<'_>| activate.image(image, z, y);
        let z = Output::passing(Passage {
            threads: &workspace.passing,
            kept: y.view_mut(),
            kept_len: self.plane.bordered_len(),
            turn: &turn,
        });
        let weights = (self.weight.value(), self.prepared.weights.as_slice());
        let threads = workspace.conv.threads();
        self.layer
            .forward_prepared(pass.batch, x, weights, threads, z);
    }

    fn activate<'a>(&'a self, pass: Pass, residual: Residual<'a>) -> Activate<'a> {
        Activate {
            kernels: pass.kernels,
            plane: self.plane,
            scale: &self.scale,
            shift: &self.shift,
            residual,
        }
    }

    /// z = x ∗ w, and the scale and shift that normalise it.
    ///
    /// # Shapes
    /// `x` is bordered, `[B, h+2, w+2, in_pitch]`.
    pub(crate) fn forward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        let (batch, plane) = (pass.batch, self.plane);
        if pass.mode == Mode::Evaluate {
            self.prepare_evaluation();
            let z = Output::new(self.z.view_mut(), Write::Replace);
            let weights = (self.weight.value(), self.prepared.weights.as_slice());
            let threads = workspace.conv.threads();
            self.layer.forward_prepared(batch, x, weights, threads, z);
            return;
        }
        let kernels = pass.kernels;
        let Workspace { conv, partial, .. } = workspace;
        let moments = Epilogue {
            sums: partial,
            sums_len: 2 * plane.pitch,
            finish: &|_, z, moments| {
                norm::image_moments(kernels, plane, z.as_view(), moments);
            },
        };
        let z = Output::new(self.z.view_mut(), Write::Replace).followed_by(moments);
        self.layer.forward(batch, x, self.weight.value(), conv, z);
        norm::moments(plane, batch, partial, &mut self.mean, &mut self.variance);
        self.update_running(batch);
        self.set_scale();
    }

    /// Takes the running statistics as the batch's, and prepares the weights if they are not.
    fn prepare_evaluation(&mut self) {
        self.recall_running();
        let Self {
            prepared, layer, ..
        } = self;
        if prepared.version != Some(self.weight.version()) {
            prepared.weights.reserve(layer.prepared_len());
            layer.prepare(self.weight.value(), prepared.weights.as_mut_slice());
            prepared.version = Some(self.weight.version());
        }
    }

    /// The scale and shift of the mean and variance in hand.
    fn set_scale(&mut self) {
        let (gamma, beta) = (self.norm_weight.value(), self.norm_bias.value());
        for c in 0..self.plane.pitch {
            let inverse = 1.0 / (self.variance[c] + EPSILON).sqrt();
            let scale = f64::from(gamma[c]) * inverse;
            self.inverse_deviation[c] = inverse;
            self.scale[c] = scale as f32;
            self.shift[c] = (f64::from(beta[c]) - self.mean[c] * scale) as f32;
            self.center[c] = self.mean[c] as f32;
        }
    }

    /// The convolution's output with the scale and shift that normalise it.
    pub(crate) fn normalised(&self) -> Normalised<'_> {
        Normalised {
            z: self.z.view(),
            scale: &self.scale,
            shift: &self.shift,
        }
    }

    /// Moves the running statistics towards the batch's.
    fn update_running(&mut self, batch: usize) {
        let count = (batch * self.plane.pixels()) as f64;
        let unbiased = count / (count - 1.0).max(1.0);
        let (means, variances) = (
            self.running_mean.value.as_mut_slice(),
            self.running_variance.value.as_mut_slice(),
        );
        let bias = self.bias.as_ref().map(Parameter::value);
        for c in 0..self.layer.shape().out_channels {
            let mean = self.mean[c] + bias.map_or(0.0, |bias| f64::from(bias[c]));
            let variance = self.variance[c] * unbiased;
            means[c] = ((1.0 - MOMENTUM) * f64::from(means[c]) + MOMENTUM * mean) as f32;
            variances[c] =
                ((1.0 - MOMENTUM) * f64::from(variances[c]) + MOMENTUM * variance) as f32;
        }
    }

    /// Takes the running statistics as the batch's.
    fn recall_running(&mut self) {
        let bias = self.bias.as_ref().map(Parameter::value);
        let means = self.running_mean.value.as_slice();
        let variances = self.running_variance.value.as_slice();
        for c in 0..self.layer.shape().out_channels {
            self.mean[c] = f64::from(means[c]) - bias.map_or(0.0, |bias| f64::from(bias[c]));
            self.variance[c] = f64::from(variances[c]);
        }
        self.set_scale();
    }

    /// The norm as the gradient of its output enters it.
    pub(crate) fn entry<'a>(&'a self, pass: Pass, mask: Mask<'a>) -> Entry<'a> {
        Entry {
            kernels: pass.kernels,
            plane: self.plane,
            mask,
            main: self.normalised(),
            mean: &self.center,
            side: None,
        }
    }

    /// The convolution's output with its mean.
    pub(crate) fn centred(&self) -> Centred<'_> {
        Centred {
            z: self.z.view(),
            mean: &self.center,
        }
    }

    /// The gradient of the norm's parameters, from the sums over images that whoever wrote the
    /// gradient g of its output took by the norm's [`Entry`].
    ///
    /// dγ = Σ g·ẑ, dβ = Σ g, dz = γ/σ·(g − mean(g) − ẑ·mean(g·ẑ)) with ẑ = (z − μ)/σ.
    pub(crate) fn backward_parameters(&mut self, pass: Pass, images: ImageSums<'_>) {
        let [sums, products] = &mut self.sums;
        for (first, result) in [(0, &mut *sums), (images.products, &mut *products)] {
            norm_gradient::add_images(pass.batch, images.sums, images.len, first, result);
        }
        let count = (pass.batch * self.plane.pixels()) as f64;
        let (d_gamma, gamma) = self.norm_weight.gradient_and_value();
        let d_beta = self.norm_bias.gradient.as_mut_slice();
        let [on_g, on_z, constant] = &mut self.coefficients;
        for c in 0..self.plane.pitch {
            let inverse = self.inverse_deviation[c];
            d_beta[c] = sums[c] as f32;
            d_gamma[c] = (products[c] * inverse) as f32;
            let scale = f64::from(gamma[c]) * inverse;
            let slope = -scale * products[c] * inverse * inverse / count;
            on_g[c] = scale as f32;
            on_z[c] = slope as f32;
            constant[c] = (-scale * sums[c] / count - slope * f64::from(self.center[c])) as f32;
        }
    }

    /// From the gradient g after the norm, masked, to the gradient of z, which is left bordered in
    /// the workspace; [`ConvNorm::backward_parameters`] comes before.
    pub(crate) fn backward_norm(
        &self,
        pass: Pass,
        g: View<'_>,
        bordered: &mut [(Plane, Activations)],
    ) {
        let [on_g, on_z, constant] = &self.coefficients;
        norm_gradient::input_gradient(
            pass.kernels,
            self.plane,
            pass.batch,
            (g, self.z.view()),
            [on_g, on_z, constant],
            bordered[self.dz_index].1.view_mut(),
        );
    }

    /// dW from the bordered dz that [`ConvNorm::backward_norm`] left.
    pub(crate) fn backward_weight(
        &mut self,
        pass: Pass,
        x: View<'_>,
        bordered: &[(Plane, Activations)],
        conv: &mut ConvScratch,
    ) {
        let dz = bordered[self.dz_index].1.view();
        let gradient = self.weight.gradient.as_mut_slice();
        self.layer
            .weight_gradient(pass.batch, x, dz, conv, gradient);
    }

    /// dx from the bordered dz.
    pub(crate) fn backward_input(
        &self,
        pass: Pass,
        bordered: &[(Plane, Activations)],
        conv: &mut ConvScratch,
        dx: Output<'_>,
    ) {
        let dz = bordered[self.dz_index].1.view();
        let weights = self.weight.value();
        self.layer.data_gradient(pass.batch, dz, weights, conv, dx);
    }

    /// The trainable tensors, in a fixed order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let bias = self.bias.as_ref();
        [
            Some(&self.weight),
            bias,
            Some(&self.norm_weight),
            Some(&self.norm_bias),
        ]
        .into_iter()
        .flatten()
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let bias = self.bias.as_mut();
        [
            Some(&mut self.weight),
            bias,
            Some(&mut self.norm_weight),
            Some(&mut self.norm_bias),
        ]
        .into_iter()
        .flatten()
    }

    /// The running statistics.
    pub(crate) fn statistics(&self) -> impl Iterator<Item = &Statistic> {
        [&self.running_mean, &self.running_variance].into_iter()
    }

    /// The same, to be changed.
    pub(crate) fn statistics_mut(&mut self) -> impl Iterator<Item = &mut Statistic> {
        [&mut self.running_mean, &mut self.running_variance].into_iter()
    }
}
