//! The blocks that networks are made of, each with an explicit forward and backward pass.

mod classifier;
mod conv_norm;
mod parameter;
mod residual;
mod stage;

pub(crate) use classifier::Classifier;
pub(crate) use conv_norm::{ConvNorm, ImageSums};
pub(crate) use parameter::{Layout, Parameter, Statistic};
pub(crate) use residual::ResidualBlock;
pub(crate) use stage::{Block, ConvNormAct, InputGradient, MaxPool};

use crate::Precision;
use crate::cpu::activations::Activations;
use crate::cpu::buffer::ThreadBuffers;
use crate::cpu::kernel::layer::ConvScratch;
use crate::cpu::kernel::shape::Plane;
use crate::cpu::kernel::{Kernels, padded_channels};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics; running statistics move; gradients can follow.
    Train,
    /// Running statistics; nothing is kept for gradients.
    Evaluate,
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The images: f32, with just the channels that they have.
    Images,
    /// Another block's output: in the network's precision, with padded channels.
    Activations,
}

impl Source {
    /// What the network's block of this index reads.
    pub(crate) fn of_block(index: usize) -> Self {
        match index {
            0 => Self::Images,
            _ => Self::Activations,
        }
    }

    pub(crate) fn precision(self, kernels: Kernels) -> Precision {
        match self {
            Self::Images => Precision::F32,
            Self::Activations => kernels.precision(),
        }
    }

    /// Channels stored per pixel.
    pub(crate) fn pitch(self, channels: usize) -> usize {
        match self {
            Self::Images => channels,
            Self::Activations => padded_channels(channels),
        }
    }
}

/// Memory that blocks share because only one of them uses it at a time.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Gradient of the activations in hand, `[B, h, w, pitch]` without border.
    pub gradient: Activations,
    /// A second gradient of the same kind.
    pub other_gradient: Activations,
    /// Bordered gradients of convolution outputs, one per plane so that borders stay zero.
    pub bordered: Vec<(Plane, Activations)>,
    /// Sums over single images: of a convolution's output, then of the gradient in hand.
    pub partial: Vec<f64>,
    pub conv: ConvScratch,
    /// Convolution outputs of evaluation for every thread.
    pub passing: ThreadBuffers,
}

impl Workspace {
    pub(crate) fn new(precision: Precision) -> Self {
        Self {
            gradient: Activations::empty(precision),
            other_gradient: Activations::empty(precision),
            bordered: Vec::new(),
            partial: Vec::new(),
            conv: ConvScratch::new(),
            passing: ThreadBuffers::empty(),
        }
    }

    /// Makes room for so many sums over single images.
    pub(crate) fn reserve_sums(&mut self, len: usize) {
        if self.partial.len() < len {
            self.partial.resize(len, 0.0);
        }
    }

    /// The index of the bordered gradient buffer for a plane, made on first use.
    pub(crate) fn bordered_index(&mut self, plane: Plane, precision: Precision) -> usize {
        if let Some(index) = self.bordered.iter().position(|(p, _)| *p == plane) {
            return index;
        }
        let gradient = Activations::empty(precision);
        self.bordered.push((plane, gradient));
        self.bordered.len() - 1
    }
}

/// What every pass of a block needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub kernels: Kernels,
    pub batch: usize,
    pub mode: Mode,
}
