//! The linear classifier on top of the features, learned or frozen as a simplex ETF.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Layout, Parameter, Pass, Statistic};
use crate::kernel::dense;
use crate::{Error, Result, initial};

/// How the classifier's weights come about; its bias is trained either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassifierKind {
    /// Trained with the network.
    #[default]
    Learned,
    /// Frozen at the unit rows of a simplex ETF, which needs at least K − 1 feature dimensions.
    FixedEtf,
}

impl fmt::Display for ClassifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learned => "learned",
            Self::FixedEtf => "fixed-ETF",
        })
    }
}

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
    /// A classifier whose tensors are called `name.weight` `[K, d]` and `name.bias` `[K]`.
    pub(crate) fn new(
        kind: ClassifierKind,
        name: &str,
        num_classes: usize,
        dim: usize,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let layout = Layout::Matrix {
            rows: num_classes,
            columns: dim,
        };
        let bias_layout = Layout::Bias { len: num_classes };
        let weight_name = format!("{name}.weight");
        let mut bias = Parameter::zeros(format!("{name}.bias"), bias_layout);
        let weight = match kind {
            ClassifierKind::Learned => {
                let plain = initial::linear_uniform(num_classes * dim, dim, rng);
                let offsets = initial::linear_uniform(num_classes, dim, rng);
                bias.value_mut().copy_from_slice(&offsets);
                Weight::Learned(Parameter::from_plain(weight_name, layout, &plain))
            }
            ClassifierKind::FixedEtf => {
                let etf = tagwise::etf::simplex_etf(num_classes, dim)
                    .map_err(|error| Error::InvalidSpec(error.to_string()))?;
                let plain: Vec<f32> = (0..num_classes)
                    .flat_map(|i| (0..dim).map(move |j| (i, j)))
                    .map(|position| etf[position] as f32)
                    .collect();
                Weight::Fixed(Statistic::from_plain(weight_name, layout, &plain))
            }
        };
        Ok(Self {
            weight,
            bias,
            dim,
            num_classes,
        })
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
        let kernels = pass.device.kernels();
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
        let kernels = pass.device.kernels();
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
