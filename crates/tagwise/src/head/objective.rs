//! The objective of a head and its gradient.

use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::features::{BLOCK_LEN, Features};
use super::{HeadKind, HeadSettings};
use crate::etf::simplex_etf;
use crate::loss::Loss;
use crate::{Error, Result, Targets};

/// (1/Σw)·Σ_i w_i·L(Wᵀx_i + b, S_i) + λ‖W‖², as a function of W `[d, K]` (or, for a fixed ETF, of
/// P `[d, K−1]` with W = P·Eᵀ) followed by b `[K]`.
pub(super) struct Objective<'a> {
    features: &'a Features,
    targets: &'a Targets,
    loss: Loss,
    weight_decay: f64,
    /// The weight of each label set's samples, summing to 1 over all samples.
    set_weights: Vec<f64>,
    frame: Option<Mat<f64>>, // [K, K−1]
}

/// Buffers of an evaluation.
pub(super) struct Residuals {
    /// ∂value/∂logits, `[N, K]`.
    slopes: Vec<f64>,
    weights: Vec<f64>,  // [d, K], for a fixed ETF
    gradient: Vec<f64>, // [d, K], for a fixed ETF
}

impl<'a> Objective<'a> {
    pub(super) fn new(
        features: &'a Features,
        targets: &'a Targets,
        settings: &HeadSettings,
    ) -> Result<Self> {
        let is_ignored = |multiplicity: usize| {
            matches!(settings.loss, Loss::PickAllLabels(_)) && multiplicity == 0
        };
        let counts = targets.counts();
        let mut set_weights: Vec<f64> = targets
            .distinct()
            .iter()
            .zip(&counts)
            .map(|(set, &count)| match set.multiplicity() {
                m if is_ignored(m) => 0.0,
                _ => (count as f64).powf(-settings.balance),
            })
            .collect();
        let total: f64 = set_weights
            .iter()
            .zip(&counts)
            .map(|(w, &n)| w * n as f64)
            .sum();
        if total == 0.0 {
            return Err(Error::Undefined(
                "the pick-all-labels loss needs samples with labels, found none".into(),
            ));
        }
        set_weights.iter_mut().for_each(|weight| *weight /= total);
        let num_classes = targets.num_classes();
        Ok(Self {
            features,
            targets,
            loss: settings.loss,
            weight_decay: settings.weight_decay,
            set_weights,
            frame: match settings.kind {
                HeadKind::Linear => None,
                HeadKind::FixedEtf => Some(simplex_etf(num_classes, num_classes.max(1) - 1)?),
            },
        })
    }

    fn num_classes(&self) -> usize {
        self.targets.num_classes()
    }

    /// Columns of the learned matrix.
    fn width(&self) -> usize {
        self.frame.as_ref().map_or(self.num_classes(), Mat::ncols)
    }

    pub(super) fn num_parameters(&self) -> usize {
        self.features.dim() * self.width() + self.num_classes()
    }

    pub(super) fn residuals(&self) -> Residuals {
        let framed = match &self.frame {
            None => 0,
            Some(_) => self.features.dim() * self.num_classes(),
        };
        Residuals {
            slopes: vec![0.0; self.targets.len() * self.num_classes()],
            weights: vec![0.0; framed],
            gradient: vec![0.0; framed],
        }
    }

    /// W `[d, K]` and b `[K]`.
    pub(super) fn weights_and_bias(&self, parameters: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (matrix, bias) = parameters.split_at(self.features.dim() * self.width());
        let mut weights = vec![0.0; self.features.dim() * self.num_classes()];
        match &self.frame {
            None => weights.copy_from_slice(matrix),
            Some(frame) => self.multiply(matrix, frame, &mut weights),
        }
        (weights, bias.to_vec())
    }

    /// P·Eᵀ
    fn multiply(&self, matrix: &[f64], frame: &Mat<f64>, weights: &mut [f64]) {
        let dim = self.features.dim();
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(weights, dim, self.num_classes()),
            Accum::Replace,
            MatRef::from_row_major_slice(matrix, dim, self.width()),
            frame.transpose(),
            1.0,
            Par::Seq,
        );
    }

    pub(super) fn value_and_gradient(
        &self,
        parameters: &[f64],
        gradient: &mut [f64],
        buffers: &mut Residuals,
    ) -> f64 {
        let (dim, num_classes) = (self.features.dim(), self.num_classes());
        let (matrix, bias) = parameters.split_at(dim * self.width());
        let (matrix_slopes, bias_slopes) = gradient.split_at_mut(matrix.len());
        let loss = match &self.frame {
            None => {
                let loss = self.loss_and_slopes(matrix, bias, &mut buffers.slopes);
                self.features
                    .transpose_times(&buffers.slopes, num_classes, matrix_slopes);
                loss
            }
            Some(frame) => {
                self.multiply(matrix, frame, &mut buffers.weights);
                let loss = self.loss_and_slopes(&buffers.weights, bias, &mut buffers.slopes);
                self.features
                    .transpose_times(&buffers.slopes, num_classes, &mut buffers.gradient);
                faer::linalg::matmul::matmul(
                    MatMut::from_row_major_slice_mut(matrix_slopes, dim, self.width()),
                    Accum::Replace,
                    MatRef::from_row_major_slice(&buffers.gradient, dim, num_classes),
                    frame.as_ref(),
                    1.0,
                    Par::Seq,
                );
                loss
            }
        };
        bias_slopes.fill(0.0);
        for row in buffers.slopes.chunks_exact(num_classes) {
            for (sum, slope) in bias_slopes.iter_mut().zip(row) {
                *sum += slope;
            }
        }
        let mut squares = 0.0;
        for (slope, weight) in matrix_slopes.iter_mut().zip(matrix) {
            *slope += 2.0 * self.weight_decay * weight;
            squares += weight * weight;
        }
        loss + self.weight_decay * squares
    }

    /// The weighted loss; its slopes in the logits go to `slopes` `[N, K]`.
    fn loss_and_slopes(&self, weights: &[f64], bias: &[f64], slopes: &mut [f64]) -> f64 {
        let num_classes = self.num_classes();
        let losses: Vec<f64> = slopes
            .par_chunks_mut(BLOCK_LEN * num_classes)
            .enumerate()
            .map_init(Vec::new, |logits, (block, slopes)| {
                let first = block * BLOCK_LEN;
                logits.resize(slopes.len(), 0.0);
                self.features.logits(first, weights, bias, logits);
                let rows = logits
                    .chunks_exact(num_classes)
                    .zip(slopes.chunks_exact_mut(num_classes));
                let mut total = 0.0;
                for (offset, (logits, slopes)) in rows.enumerate() {
                    let set_id = self.targets.set_ids()[first + offset] as usize;
                    let weight = self.set_weights[set_id];
                    let set = &self.targets.distinct()[set_id];
                    total += weight * self.loss.value_and_gradient(logits, set, slopes);
                    slopes.iter_mut().for_each(|slope| *slope *= weight);
                }
                total
            })
            .collect();
        losses.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DenseRows, Scaling, SparseRows};
    use super::*;
    use crate::LabelSet;

    /// Central differences with h = 1e-5: h² times a third derivative of size 1, plus 1e-16/h.
    const DIFFERENCE: f64 = 1e-8;

    #[test]
    fn gradients_are_the_slopes_of_the_objective() {
        let (n, dim, k) = (9, 4, 5);
        let values: Vec<f64> = (0..n * dim).map(|i| (i as f64 * 1.3).sin()).collect();
        let rows = values
            .chunks(dim)
            .map(|row| (0u32..).zip(row.iter().copied()));
        let sparse = Features::Sparse(SparseRows::new(dim, rows).unwrap());
        let dense = Features::Dense(DenseRows::new(values.clone(), dim).unwrap());
        let sets = (0..n as u32).map(|i| LabelSet::new((0..i % 3).map(|j| (i + j) % k)));
        let targets = Targets::new(k as usize, sets).unwrap();
        for features in [&dense, &sparse] {
            for kind in [HeadKind::Linear, HeadKind::FixedEtf] {
                for loss in [Loss::default(), Loss::BinaryCrossEntropy {}, Loss::Zlpr {}] {
                    let settings = HeadSettings {
                        loss,
                        kind,
                        weight_decay: 0.03,
                        balance: 0.5,
                        scaling: Scaling::None,
                        ..HeadSettings::default()
                    };
                    let objective = Objective::new(features, &targets, &settings).unwrap();
                    let mut buffers = objective.residuals();
                    let mut parameters: Vec<f64> = (0..objective.num_parameters())
                        .map(|i| (i as f64 * 0.7).cos())
                        .collect();
                    let mut gradient = vec![0.0; parameters.len()];
                    let mut scratch = gradient.clone();
                    objective.value_and_gradient(&parameters, &mut gradient, &mut buffers);
                    for i in 0..parameters.len() {
                        const STEP: f64 = 1e-5;
                        let mut value_at = |x: f64| {
                            let old = std::mem::replace(&mut parameters[i], x);
                            let value = objective.value_and_gradient(
                                &parameters,
                                &mut scratch,
                                &mut buffers,
                            );
                            parameters[i] = old;
                            value
                        };
                        let centre = (i as f64 * 0.7).cos();
                        let slope =
                            (value_at(centre + STEP) - value_at(centre - STEP)) / (2.0 * STEP);
                        assert!(
                            (slope - gradient[i]).abs() < DIFFERENCE,
                            "{loss:?} {kind:?}"
                        );
                    }
                }
            }
        }
    }
}
