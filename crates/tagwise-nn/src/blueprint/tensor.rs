//! The tensors of a network: names, shapes, and what each is for.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Bias, Blueprint, Classifier, ClassifierKind, Convolution};
use crate::Result;
use crate::weights::{NamedTensor, expect_same};

/// A tensor under the name that torchvision gives it, in PyTorch's layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// For example `layer1.0.conv1.weight`.
    pub name: String,
    /// For example `[64, 64, 3, 3]`.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: TensorRole,
}

/// What a tensor of a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TensorRole {
    /// `[out, in, k, k]`.
    ConvolutionWeight,
    /// `[out]`, without effect before a norm.
    ConvolutionBias,
    /// γ of a norm, `[out]`.
    NormWeight,
    /// β of a norm, `[out]`.
    NormBias,
    /// `[out]`, moved by forward passes in training mode.
    RunningMean,
    /// `[out]`, moved by forward passes in training mode.
    RunningVariance,
    /// `[K, d]`.
    ClassifierWeight,
    /// `[K, d]`, the unit rows of a simplex ETF.
    FixedClassifierWeight,
    /// `[K]`.
    ClassifierBias,
}

impl TensorRole {
    /// Whether an optimiser moves it.
    #[must_use]
    pub fn is_trained(self) -> bool {
        !matches!(
            self,
            Self::RunningMean | Self::RunningVariance | Self::FixedClassifierWeight
        )
    }
}

impl TensorSpec {
    fn new(prefix: &str, suffix: &str, shape: Vec<usize>, role: TensorRole) -> Self {
        Self {
            name: format!("{prefix}.{suffix}"),
            shape,
            role,
        }
    }

    /// How many numbers it holds.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Blueprint {
    /// All tensors of the network, layer by layer.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.convolutions()
            .flat_map(Convolution::tensors)
            .chain(self.classifier.tensors())
            .collect()
    }

    /// These tensors in the order of [`tensors`](Self::tensors), if they are exactly those of the
    /// network; PyTorch's counters `num_batches_tracked` are left out.
    ///
    /// # Errors
    /// [`Error::MissingTensor`](crate::Error::MissingTensor),
    /// [`Error::UnexpectedTensor`](crate::Error::UnexpectedTensor) or
    /// [`Error::TensorShape`](crate::Error::TensorShape).
    pub fn sorted<'a>(&self, tensors: &'a [NamedTensor]) -> Result<Vec<&'a NamedTensor>> {
        sorted(&self.tensors(), tensors)
    }

    /// The same for tensors of the trained parameters alone, such as an optimiser's velocities.
    ///
    /// # Errors
    /// As [`sorted`](Self::sorted).
    pub fn sorted_trained<'a>(&self, tensors: &'a [NamedTensor]) -> Result<Vec<&'a NamedTensor>> {
        let mut specs = self.tensors();
        specs.retain(|spec| spec.role.is_trained());
        sorted(&specs, tensors)
    }

    /// Number of trainable numbers: convolutions, norms, the classifier's bias, and its weights
    /// unless they are frozen.
    #[must_use]
    pub fn num_trainable(&self) -> usize {
        self.tensors()
            .iter()
            .filter(|tensor| tensor.role.is_trained())
            .map(TensorSpec::num_elements)
            .sum()
    }
}

fn sorted<'a>(specs: &[TensorSpec], tensors: &'a [NamedTensor]) -> Result<Vec<&'a NamedTensor>> {
    let tensors: Vec<&NamedTensor> = tensors
        .iter()
        .filter(|tensor| !tensor.name.ends_with(".num_batches_tracked"))
        .collect();
    let expected = specs.iter().map(|spec| (&*spec.name, spec.shape.clone()));
    expect_same(&expected.collect::<Vec<_>>(), &tensors)?;
    let by_name: HashMap<&str, &NamedTensor> = tensors
        .iter()
        .map(|tensor| (&*tensor.name, *tensor))
        .collect();
    Ok(specs.iter().map(|spec| by_name[&*spec.name]).collect())
}

impl Convolution {
    /// Weight, bias if there is one, and the norm's four tensors.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        use TensorRole::{
            ConvolutionBias, ConvolutionWeight, NormBias, NormWeight, RunningMean, RunningVariance,
        };
        let (name, norm, out) = (&self.name, &self.norm, self.out_channels);
        let weight = vec![out, self.in_channels, self.kernel, self.kernel];
        let mut tensors = vec![TensorSpec::new(name, "weight", weight, ConvolutionWeight)];
        if self.bias == Bias::With {
            tensors.push(TensorSpec::new(name, "bias", vec![out], ConvolutionBias));
        }
        for (suffix, role) in [
            ("weight", NormWeight),
            ("bias", NormBias),
            ("running_mean", RunningMean),
            ("running_var", RunningVariance),
        ] {
            tensors.push(TensorSpec::new(norm, suffix, vec![out], role));
        }
        tensors
    }
}

impl Classifier {
    pub(super) fn is_learned(&self) -> bool {
        self.kind == ClassifierKind::Learned
    }

    /// Weight and bias.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let weight = match self.kind {
            ClassifierKind::Learned => TensorRole::ClassifierWeight,
            ClassifierKind::FixedEtf => TensorRole::FixedClassifierWeight,
        };
        let shape = vec![self.num_classes, self.feature_dim];
        let bias = vec![self.num_classes];
        vec![
            TensorSpec::new(&self.name, "weight", shape, weight),
            TensorSpec::new(&self.name, "bias", bias, TensorRole::ClassifierBias),
        ]
    }
}
