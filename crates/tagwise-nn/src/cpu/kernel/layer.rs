//! The three convolutions of a layer, each by the method that suits its shape.

use super::convolution::Plan;
use super::output::Output;
use super::packed_weights::{pair_rows, transpose_weights};
use super::shape::ConvShape;
use super::weight_gradient::WeightGradient;
use super::winograd::{self, Direction, Winograd, WinogradGradient};
use super::{Kernels, padded_channels};
use crate::Precision;
use crate::cpu::activations::View;
use crate::cpu::buffer::{Buffer, ThreadBuffers};

/// Forward, data gradient and weight gradient of one convolution, ready to run.
#[derive(Debug)]
pub(crate) struct ConvLayer {
    shape: ConvShape,
    kernels: Kernels,
    method: Method,
}

#[derive(Debug)]
enum Method {
    Direct {
        forward: Plan,
        data_gradient: Plan,
        weight_gradient: WeightGradient,
    },
    Winograd {
        forward: Winograd,
        data_gradient: Winograd,
        weight_gradient: WinogradGradient,
    },
}

/// Numbers of scratch memory, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScratchLen {
    transposed: usize,
    transformed: usize,
    weight_parts: usize,
    per_thread: usize,
}

impl ScratchLen {
    /// What serves both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            transposed: self.transposed.max(other.transposed),
            transformed: self.transformed.max(other.transformed),
            weight_parts: self.weight_parts.max(other.weight_parts),
            per_thread: self.per_thread.max(other.per_thread),
        }
    }

    /// Numbers of all memory on the current thread pool.
    pub(crate) fn total(self) -> usize {
        let threads = rayon::current_num_threads() * self.per_thread;
        self.transposed + self.transformed + self.weight_parts + threads
    }
}

/// Memory that the convolutions of all layers share.
#[derive(Debug)]
pub(crate) struct ConvScratch {
    /// Transposed weights of the convolution in hand.
    transposed: Buffer,
    /// Its weights as the products take them: in pairs of bf16, or transformed by Winograd.
    transformed: Buffer,
    /// Parts of the weight gradient in hand.
    weight_parts: Buffer,
    threads: ThreadBuffers,
}

impl ConvScratch {
    pub(crate) fn new() -> Self {
        Self {
            transposed: Buffer::empty(),
            transformed: Buffer::empty(),
            weight_parts: Buffer::empty(),
            threads: ThreadBuffers::empty(),
        }
    }

    /// Memory for every thread.
    pub(crate) fn threads(&self) -> &ThreadBuffers {
        &self.threads
    }

    pub(crate) fn reserve(&mut self, len: ScratchLen) {
        self.transposed.reserve(len.transposed);
        self.transformed.reserve(len.transformed);
        self.weight_parts.reserve(len.weight_parts);
        self.threads.reserve(len.per_thread);
    }
}

impl ConvLayer {
    /// A layer whose input has this precision: that of the kernels, or F32 for images.
    pub(crate) fn new(shape: &ConvShape, kernels: Kernels, input: Precision) -> Self {
        let method = if winograd::serves(shape) && input == kernels.precision() {
            Method::Winograd {
                forward: Winograd::new(shape, kernels, Direction::Forward),
                data_gradient: Winograd::new(shape, kernels, Direction::DataGradient),
                weight_gradient: WinogradGradient::new(shape, kernels),
            }
        } else {
            Method::Direct {
                forward: Plan::forward(shape, kernels, input),
                data_gradient: Plan::data_gradient(shape, kernels),
                weight_gradient: WeightGradient::new(shape, kernels),
            }
        };
        Self {
            shape: *shape,
            kernels,
            method,
        }
    }

    pub(crate) fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Whether the sums are taken directly, a product for each tap.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.method, Method::Direct { .. })
    }

    /// Lanes of the weights as the forward pass takes them, if it does not take them as they are.
    pub(crate) fn prepared_len(&self) -> usize {
        match &self.method {
            Method::Direct { forward, .. } => paired_len(forward),
            Method::Winograd { forward, .. } => forward.weights_len(),
        }
    }

    /// Lanes of the images that one thread writes at a time in a forward pass over a batch.
    pub(crate) fn group_len(&self, batch: usize) -> usize {
        let images = match &self.method {
            Method::Direct { .. } => 1,
            Method::Winograd { forward, .. } => forward.images_per_task(batch),
        };
        let numbers = images * self.shape.out_image_len();
        numbers.div_ceil(self.kernels.precision().per_lane())
    }

    /// The scratch memory of forward passes with prepared weights.
    pub(crate) fn forward_scratch(&self) -> ScratchLen {
        let per_thread = match &self.method {
            Method::Direct { forward, .. } => forward.thread_len(),
            Method::Winograd { forward, .. } => forward.thread_len(),
        };
        ScratchLen {
            per_thread,
            ..ScratchLen::default()
        }
    }

    /// The scratch memory of all three convolutions for a batch.
    pub(crate) fn training_scratch(&self, batch: usize) -> ScratchLen {
        let gradients = match &self.method {
            Method::Direct {
                data_gradient,
                weight_gradient,
                ..
            } => ScratchLen {
                transformed: paired_len(data_gradient),
                weight_parts: weight_gradient.scratch_len(),
                per_thread: data_gradient.thread_len().max(weight_gradient.thread_len()),
                ..ScratchLen::default()
            },
            Method::Winograd {
                data_gradient,
                weight_gradient,
                ..
            } => ScratchLen {
                transformed: data_gradient.weights_len(),
                per_thread: data_gradient.thread_len().max(weight_gradient.thread_len()),
                weight_parts: weight_gradient.scratch_len(batch),
                ..ScratchLen::default()
            },
        };
        let weights = ScratchLen {
            transposed: self.shape.transposed_len(),
            transformed: self.prepared_len(),
            ..ScratchLen::default()
        };
        self.forward_scratch().max(gradients).max(weights)
    }

    /// Channels per block of packed weights of a layer with this many stored outputs.
    fn block(&self, pitch: usize) -> usize {
        self.kernels.channel_block(pitch)
    }

    /// z = x ∗ w.
    ///
    /// # Shapes
    /// `x` is bordered, `[B, h+2, w+2, in_pitch]`; `z` is `[B, h', w', out_pitch]`.
    pub(crate) fn forward(
        &self,
        batch: usize,
        x: View<'_>,
        weights: &[f32],
        scratch: &mut ConvScratch,
        z: Output<'_>,
    ) {
        let prepared = &mut scratch.transformed.as_mut_slice()[..self.prepared_len()];
        self.prepare(weights, prepared);
        self.forward_prepared(batch, x, (weights, prepared), &scratch.threads, z);
    }

    /// The weights as [`ConvLayer::forward_prepared`] takes them, in `prepared_len` lanes.
    pub(crate) fn prepare(&self, weights: &[f32], prepared: &mut [f32]) {
        match &self.method {
            Method::Direct { forward, .. } => {
                let rows = (self.shape.in_channels, self.block(self.shape.out_pitch()));
                in_lanes(self.kernels, forward, rows, weights, prepared);
            }
            Method::Winograd { forward, .. } => {
                forward.transform_weights(self.kernels, weights, prepared);
            }
        }
    }

    /// [`ConvLayer::forward`] with weights and what [`ConvLayer::prepare`] made of them.
    pub(crate) fn forward_prepared(
        &self,
        batch: usize,
        x: View<'_>,
        (weights, prepared): (&[f32], &[f32]),
        threads: &ThreadBuffers,
        z: Output<'_>,
    ) {
        let kernels = self.kernels;
        match &self.method {
            Method::Direct { forward, .. } => {
                let weights = if prepared.is_empty() {
                    weights
                } else {
                    prepared
                };
                forward.run(kernels, batch, x.lanes(), weights, threads, z);
            }
            Method::Winograd { forward, .. } => {
                forward.run(kernels, batch, x, prepared, threads, z);
            }
        }
    }

    /// dx from the bordered dz.
    ///
    /// # Shapes
    /// `dz` is bordered, `[B, h'+2, w'+2, out_pitch]`; `dx` is `[B, h, w, pitch of the input]`.
    pub(crate) fn data_gradient(
        &self,
        batch: usize,
        dz: View<'_>,
        weights: &[f32],
        scratch: &mut ConvScratch,
        dx: Output<'_>,
    ) {
        let kernels = self.kernels;
        let transposed = &mut scratch.transposed.as_mut_slice()[..self.shape.transposed_len()];
        transpose_weights(&self.shape, kernels, weights, transposed);
        match &self.method {
            Method::Direct { data_gradient, .. } => {
                let in_pitch = padded_channels(self.shape.in_channels);
                let rows = (self.shape.out_channels, self.block(in_pitch));
                let pairs = scratch.transformed.as_mut_slice();
                let pairs = &mut pairs[..paired_len(data_gradient)];
                let weights = in_lanes(kernels, data_gradient, rows, transposed, pairs);
                data_gradient.run(kernels, batch, dz.lanes(), weights, &scratch.threads, dx);
            }
            Method::Winograd { data_gradient, .. } => {
                let transformed = scratch.transformed.as_mut_slice();
                data_gradient.transform_weights(kernels, transposed, transformed);
                data_gradient.run(kernels, batch, dz, transformed, &scratch.threads, dx);
            }
        }
    }

    /// Replaces `gradient` by dw of a batch.
    ///
    /// # Shapes
    /// `x` and `dz` are bordered; `gradient` has the layout of the packed weights.
    pub(crate) fn weight_gradient(
        &self,
        batch: usize,
        x: View<'_>,
        dz: View<'_>,
        scratch: &mut ConvScratch,
        gradient: &mut [f32],
    ) {
        let parts = scratch.weight_parts.as_mut_slice();
        match &self.method {
            Method::Direct {
                weight_gradient, ..
            } => {
                let threads = &scratch.threads;
                weight_gradient.run(self.kernels, batch, (x, dz), parts, threads, gradient);
            }
            Method::Winograd {
                weight_gradient, ..
            } => {
                let scratch = (parts, &scratch.threads);
                weight_gradient.run(self.kernels, batch, x, dz, scratch, gradient);
            }
        }
    }
}

/// Numbers of the weights in pairs that a direct convolution needs.
fn paired_len(plan: &Plan) -> usize {
    match plan.precision() {
        Precision::F32 => 0,
        Precision::Bf16 => plan.weights_len(),
    }
}

/// Packed weights as a direct convolution takes them.
fn in_lanes<'a>(
    kernels: Kernels,
    plan: &Plan,
    rows: (usize, usize),
    weights: &'a [f32],
    pairs: &'a mut [f32],
) -> &'a [f32] {
    match plan.precision() {
        Precision::F32 => weights,
        Precision::Bf16 => {
            pair_rows(kernels, rows, weights, pairs);
            pairs
        }
    }
}
