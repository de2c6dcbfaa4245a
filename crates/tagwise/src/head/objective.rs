//! The objective of a head and its gradient.

mod losses;
mod potentials;
mod start;

use faer::{Accum, Mat, MatMut, MatRef};
use rayon::prelude::*;

use self::losses::Losses;
pub(super) use self::potentials::seen_set_decay;
use super::scale::Scale;
use super::source::{BLOCK_LEN, Source};
use super::sparse::SparseRows;
use super::{HeadKind, HeadSettings};
use crate::etf::simplex_etf_mat;
use crate::loss::Loss;
use crate::loss::set_likelihood::{MarginalsGroup, SetPotentials};
use crate::{Result, Targets};

/// (1/Σw)·Σ_i w_i·L(Wᵀx_i + b, S_i) + λ‖W‖² for scaled features x, as a function of W `[d, O]` (or,
/// for a fixed ETF, of P with W = P·Eᵀ) followed by b `[O]` and by what all samples share.
///
/// O is the number of outputs: K, and M + 1 more for potentials that are linear in the features.
pub(super) struct Objective<'a> {
    pub(super) source: Source<'a>,
    pub(super) scale: Scale,
    pub(super) weight_decay: f64,
    pub(super) losses: Losses<'a>,
    /// Of the scaled columns.
    mean_squares: Vec<f64>,
    pub(super) frame: Option<Mat<f64>>, // [O, O−1]
}

/// Buffers of an evaluation.
pub(super) struct Residuals {
    /// ∂value/∂outputs, `[N, O]`.
    slopes: Vec<f64>,
    weights: Vec<f64>,  // [d, O]
    gradient: Vec<f64>, // [d, O], for a fixed ETF
}

/// What an evaluation of the losses is made at.
pub(super) struct Point<'a> {
    /// For the features as given, `[d, O]`.
    pub(super) weights: &'a [f64],
    pub(super) bias: &'a [f64],
    pub(super) potentials: Option<&'a SetPotentials>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(
        source: Source<'a>,
        targets: &'a Targets,
        settings: &HeadSettings,
    ) -> Result<Self> {
        let losses = Losses::new(targets, settings)?;
        let moments = source.column_moments();
        let scale = Scale::new(&moments, settings.scaling);
        let frame = match settings.kind {
            HeadKind::Linear => None,
            HeadKind::FixedEtf => Some(frame(targets.num_classes(), losses.num_outputs())?),
        };
        let mut objective = Self {
            mean_squares: scale.mean_squares(&moments),
            source,
            scale,
            weight_decay: settings.weight_decay,
            losses,
            frame,
        };
        if objective.separable().is_some() {
            // Label by label features stay sparse.
            let scale = objective.scale.clone().without_shifts();
            objective.mean_squares = scale.mean_squares(&moments);
            objective.scale = scale;
        }
        Ok(objective)
    }

    /// The features if they are sparse and the objective is a sum of one objective for each label.
    pub(super) fn separable(&self) -> Option<&'a SparseRows> {
        let of_labels = self.loss().info().is_separable;
        match self.source {
            Source::Sparse(features) if of_labels && self.frame.is_none() => Some(features),
            _ => None,
        }
    }

    pub(super) fn loss(&self) -> Loss {
        self.losses.loss
    }

    pub(super) fn targets(&self) -> &'a Targets {
        self.losses.targets
    }

    pub(super) fn num_classes(&self) -> usize {
        self.targets().num_classes()
    }

    pub(super) fn num_outputs(&self) -> usize {
        self.losses.num_outputs()
    }

    /// Columns of the learned matrix.
    fn width(&self) -> usize {
        self.frame.as_ref().map_or(self.num_outputs(), Mat::ncols)
    }

    fn matrix_len(&self) -> usize {
        self.source.dim() * self.width()
    }

    pub(super) fn num_parameters(&self) -> usize {
        self.matrix_len() + self.num_outputs() + self.losses.num_shared()
    }

    pub(super) fn residuals(&self) -> Residuals {
        let full = self.source.dim() * self.num_outputs();
        let framed = if self.frame.is_some() { full } else { 0 };
        Residuals {
            slopes: vec![0.0; self.targets().len() * self.num_outputs()],
            weights: vec![0.0; full],
            gradient: vec![0.0; framed],
        }
    }

    /// W `[d, O]` and b `[O]` for scaled features.
    pub(super) fn weights_and_bias(&self, parameters: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (matrix, rest) = parameters.split_at(self.matrix_len());
        let mut weights = vec![0.0; self.source.dim() * self.num_outputs()];
        self.write_weights(matrix, &mut weights);
        (weights, rest[..self.num_outputs()].to_vec())
    }

    /// The potentials that all samples share, of the set likelihood.
    pub(super) fn potentials(&self, parameters: &[f64]) -> Option<SetPotentials> {
        let shared = &parameters[self.matrix_len() + self.num_outputs()..];
        let learned = self.losses.potentials.as_ref();
        learned.map(|potentials| potentials.at(shared))
    }

    fn write_weights(&self, matrix: &[f64], weights: &mut [f64]) {
        match &self.frame {
            None => weights.copy_from_slice(matrix),
            Some(frame) => crate::product::multiply(
                MatMut::from_row_major_slice_mut(weights, self.source.dim(), self.num_outputs()),
                Accum::Replace,
                MatRef::from_row_major_slice(matrix, self.source.dim(), self.width()),
                frame.transpose(),
                1.0,
            ),
        }
    }

    pub(super) fn value_and_gradient(
        &self,
        parameters: &[f64],
        gradient: &mut [f64],
        buffers: &mut Residuals,
    ) -> f64 {
        let (matrix, rest) = parameters.split_at(self.matrix_len());
        let (bias, shared) = rest.split_at(self.num_outputs());
        let (matrix_slopes, rest) = gradient.split_at_mut(matrix.len());
        let (bias_slopes, shared_slopes) = rest.split_at_mut(bias.len());
        self.write_weights(matrix, &mut buffers.weights);
        let mut folded_bias = bias.to_vec();
        self.scale.fold_into(&mut buffers.weights, &mut folded_bias);
        let model = self.losses.potentials.as_ref().map(|p| p.at(shared));
        let point = Point {
            weights: &buffers.weights,
            bias: &folded_bias,
            potentials: model.as_ref(),
        };
        let mut value = self.loss_and_slopes(&point, &mut buffers.slopes, shared_slopes);
        sum_rows(&buffers.slopes, bias_slopes);
        match &self.frame {
            None => self.weight_slopes(&buffers.slopes, bias_slopes, matrix_slopes),
            Some(frame) => {
                self.weight_slopes(&buffers.slopes, bias_slopes, &mut buffers.gradient);
                crate::product::multiply(
                    MatMut::from_row_major_slice_mut(
                        matrix_slopes,
                        self.source.dim(),
                        self.width(),
                    ),
                    Accum::Replace,
                    MatRef::from_row_major_slice(
                        &buffers.gradient,
                        self.source.dim(),
                        self.num_outputs(),
                    ),
                    frame.as_ref(),
                    1.0,
                );
            }
        }
        let mut squares = 0.0;
        for (slope, weight) in matrix_slopes.iter_mut().zip(matrix) {
            *slope += 2.0 * self.weight_decay * weight;
            squares += weight * weight;
        }
        value += self.weight_decay * squares;
        if let (Some(potentials), Some(model)) = (&self.losses.potentials, &model) {
            value += potentials.finish(model, (shared, shared_slopes), (bias, bias_slopes));
        }
        value
    }

    /// The slopes in the weights of scaled features, `[d, O]`.
    fn weight_slopes(&self, slopes: &[f64], bias_slopes: &[f64], out: &mut [f64]) {
        self.source.transpose_times(slopes, self.num_outputs(), out);
        self.scale.pull_back(out, bias_slopes);
    }

    /// The weighted loss; its slopes in the outputs go to `slopes` `[N, O]`, those in the shared
    /// potentials to `shared_slopes`.
    pub(super) fn loss_and_slopes(
        &self,
        point: &Point<'_>,
        slopes: &mut [f64],
        shared_slopes: &mut [f64],
    ) -> f64 {
        let width = self.num_outputs();
        let num_shared = shared_slopes.len();
        let blocks: Vec<(f64, Vec<f64>)> = slopes
            .par_chunks_mut(BLOCK_LEN * width)
            .enumerate()
            .map_init(Scratch::default, |scratch, (block, slopes)| {
                let first = block * BLOCK_LEN;
                scratch.outputs.resize(slopes.len(), 0.0);
                self.source.logits(
                    first,
                    point.weights,
                    point.bias,
                    &mut scratch.outputs,
                    &mut scratch.features,
                );
                let mut shared = vec![0.0; num_shared];
                let own = (point.potentials, &mut shared[..]);
                let outputs = &scratch.outputs;
                let loss = self
                    .losses
                    .of_rows(first, outputs, slopes, own, &mut scratch.group);
                (loss, shared)
            })
            .collect();
        shared_slopes.fill(0.0);
        for (_, shared) in &blocks {
            crate::kernel::add_scaled(shared_slopes, 1.0, shared);
        }
        blocks.iter().map(|block| block.0).sum()
    }
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    outputs: Vec<f64>,
    features: Vec<f64>,
    group: MarginalsGroup,
}

/// Σ of the rows of `values`.
pub(super) fn sum_rows(values: &[f64], sums: &mut [f64]) {
    sums.fill(0.0);
    for row in values.chunks_exact(sums.len()) {
        crate::kernel::add_scaled(sums, 1.0, row);
    }
}

/// The simplex ETF of the logits `[O, O−1]`, with potentials beside it that are learned freely.
fn frame(num_classes: usize, num_outputs: usize) -> Result<Mat<f64>> {
    let etf = simplex_etf_mat(num_classes, num_classes.max(1) - 1)?;
    Ok(Mat::from_fn(
        num_outputs,
        num_outputs - 1,
        |row, column| match (row < num_classes, column + 1 < num_classes) {
            (true, true) => etf[(row, column)],
            (false, false) if row == column + 1 => 1.0,
            _ => 0.0,
        },
    ))
}

#[cfg(test)]
mod tests;
