//! The linear classifier on top of the features, learned or frozen as a simplex ETF.

use super::{Layout, Parameter, Pass, Statistic};
use crate::blueprint::{self, ClassifierKind};
use crate::cpu::kernel::dense;

/// logits = features · Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Classifier {
    weight: Weight,
    bias: Parameter,
    dim: usize,
    num_classes: usize,
}

#[derive(Debug)]
enum Weight {
    Learned(Parameter),
    Fixed(Statistic),
}

impl Classifier {
    /// A classifier whose weights are yet to be loaded.
    pub(crate) fn new(blueprint: &blueprint::Classifier) -> Self {
        let (num_classes, dim) = (blueprint.num_classes, blueprint.feature_dim);
        let layout = Layout::Matrix {
            rows: num_classes,
            columns: dim,
        };
        let name = format!("{}.weight", blueprint.name);
        let weight = match blueprint.kind {
            ClassifierKind::Learned => Weight::Learned(Parameter::zeros(name, layout)),
            ClassifierKind::FixedEtf => Weight::Fixed(Statistic::zeros(name, layout)),
        };
        let bias = format!("{}.bias", blueprint.name);
        Self {
            weight,
            bias: Parameter::zeros(bias, Layout::Bias { len: num_classes }),
            dim,
            num_classes,
        }
    }

    /// The weights, `[K, d]`.
    pub(crate) fn weight(&self) -> &[f32] {
        match &self.weight {
            Weight::Learned(parameter) => parameter.value(),
            Weight::Fixed(tensor) => tensor.value.as_slice(),
        }
    }

    /// The bias, `[K]`.
    pub(crate) fn bias(&self) -> &[f32] {
        self.bias.value()
    }

    pub(crate) fn forward(&self, pass: Pass, features: &[f32], logits: &mut [f32]) {
        let kernels = pass.kernels;
        dense::forward(
            kernels,
            self.dim,
            features,
            self.weight(),
            self.bias(),
            logits,
        );
    }

    /// Sets the gradients of weights and bias and adds the features' to `grad_features`.
    pub(crate) fn backward(
        &mut self,
        pass: Pass,
        features: &[f32],
        grad_logits: &[f32],
        grad_features: &mut [f32],
    ) {
        let kernels = pass.kernels;
        let (dim, num_classes) = (self.dim, self.num_classes);
        if let Weight::Learned(parameter) = &mut self.weight {
            let gradient = parameter.gradient.as_mut_slice();
            dense::weight_gradient(kernels, dim, num_classes, features, grad_logits, gradient);
        }
        dense::bias_gradient(grad_logits, self.bias.gradient.as_mut_slice());
        let weight = self.weight();
        dense::feature_gradient(
            kernels,
            dim,
            num_classes,
            weight,
            grad_logits,
            grad_features,
        );
    }

    /// The trainable tensors: the weights unless they are frozen, and the bias.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let weight = match &self.weight {
            Weight::Learned(parameter) => Some(parameter),
            Weight::Fixed(_) => None,
        };
        weight.into_iter().chain([&self.bias])
    }

    /// The same, to be changed.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let weight = match &mut self.weight {
            Weight::Learned(parameter) => Some(parameter),
            Weight::Fixed(_) => None,
        };
        weight.into_iter().chain([&mut self.bias])
    }

    /// The weights when they are frozen.
    pub(crate) fn statistics(&self) -> impl Iterator<Item = &Statistic> {
        match &self.weight {
            Weight::Learned(_) => None,
            Weight::Fixed(tensor) => Some(tensor),
        }
        .into_iter()
    }

    /// The same, to be changed.
    pub(crate) fn statistics_mut(&mut self) -> impl Iterator<Item = &mut Statistic> {
        match &mut self.weight {
            Weight::Learned(_) => None,
            Weight::Fixed(tensor) => Some(tensor),
        }
        .into_iter()
    }
}
