//! The objective of a head and its gradient.

use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::features::{BLOCK_LEN, Features, SparseRows};
use super::{HeadKind, HeadSettings, weights};
use crate::etf::simplex_etf_mat;
use crate::loss::{Link, Loss};
use crate::{Result, Targets};

/// Keeps the inverse curvature of a column of zeros finite.
const TINY: f64 = 1e-12;

/// (1/Σw)·Σ_i w_i·L(Wᵀx_i + b, S_i) + λ‖W‖², as a function of W `[d, K]` (or, for a fixed ETF, of
/// P `[d, K−1]` with W = P·Eᵀ) followed by b `[K]`.
pub(super) struct Objective<'a> {
    pub(super) features: &'a Features,
    pub(super) targets: &'a Targets,
    pub(super) weight_decay: f64,
    loss: Loss,
    /// The weight of each label set's samples, summing to 1 over all samples.
    set_weights: Vec<f64>,
    /// Unless all classes weigh alike.
    class_weights: Option<Vec<f64>>,
    pub(super) frame: Option<Mat<f64>>, // [K, K−1]
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
        let num_classes = targets.num_classes();
        Ok(Self {
            features,
            targets,
            loss: settings.loss,
            weight_decay: settings.weight_decay,
            set_weights: weights::of_sets(targets, settings)?,
            class_weights: weights::of_classes(targets, settings)?,
            frame: match settings.kind {
                HeadKind::Linear => None,
                HeadKind::FixedEtf => Some(simplex_etf_mat(num_classes, num_classes.max(1) - 1)?),
            },
        })
    }

    /// The features if they are sparse and the objective is a sum of one objective for each label.
    pub(super) fn separable(&self) -> Option<&'a SparseRows> {
        let of_labels = self.loss.info().is_separable;
        match self.features {
            Features::Sparse(features) if of_labels && self.frame.is_none() => Some(features),
            _ => None,
        }
    }

    pub(super) fn loss(&self) -> Loss {
        self.loss
    }

    /// How much a label counts where a sample has it.
    pub(super) fn class_weight(&self, label: usize) -> f64 {
        let weights = self.class_weights.as_ref();
        weights.map_or(1.0, |weights| weights[label])
    }

    /// The weight of each sample, with sum 1.
    pub(super) fn sample_weights(&self) -> impl Iterator<Item = f64> {
        let set_ids = self.targets.set_ids().iter();
        set_ids.map(|&id| self.set_weights[id as usize])
    }

    /// How often each label occurs, by the weights of the samples: 1 when all have it.
    pub(super) fn label_shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.num_classes()];
        let counts = self.targets.counts();
        for ((set, count), weight) in self
            .targets
            .distinct()
            .iter()
            .zip(counts)
            .zip(&self.set_weights)
        {
            for label in set.indices() {
                shares[label] += weight * count as f64;
            }
        }
        shares
    }

    /// The share of each label, kept away from 0 and 1, where logits are infinite.
    fn probabilities(&self) -> Vec<f64> {
        const SMALLEST_SHARE: f64 = 1e-6;
        let shares = self.label_shares();
        let total: f64 = shares.iter().sum();
        let of_softmax = self.loss.info().link == Link::Softmax;
        let probability = |share: &f64| {
            let probability = if of_softmax { share / total } else { *share };
            probability.clamp(SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        };
        shares.iter().map(probability).collect()
    }

    /// W = 0 with, for binary cross-entropy, the bias that fits the shares of the labels.
    pub(super) fn start(&self) -> Vec<f64> {
        let mut parameters = vec![0.0; self.num_parameters()];
        if let Loss::BinaryCrossEntropy {} = self.loss {
            let bias = &mut parameters[self.features.dim() * self.width()..];
            for (bias, p) in bias.iter_mut().zip(self.probabilities()) {
                *bias = (p / (1.0 - p)).ln();
            }
        }
        parameters
    }

    /// A rough inverse of the curvature of each parameter: the square root of that at the shares of
    /// the labels, as the curvature of a class falls while its samples are fitted.
    pub(super) fn inverse_curvatures(&self) -> Vec<f64> {
        let probabilities = self.probabilities();
        let curvatures: Vec<f64> = probabilities.iter().map(|p| p * (1.0 - p)).collect();
        let mean = [curvatures.iter().sum::<f64>() / curvatures.len() as f64];
        let of_weights: &[f64] = match &self.frame {
            None => &curvatures,
            Some(_) => &mean,
        };
        let width = self.width();
        let mut inverse = Vec::with_capacity(self.num_parameters());
        for (_, square) in self.features.column_moments() {
            let of_class = of_weights.iter().cycle().take(width);
            inverse.extend(of_class.map(|curvature| self.inverse_curvature(*curvature, square)));
        }
        inverse.extend(curvatures.iter().map(|curvature| 1.0 / curvature.sqrt()));
        inverse
    }

    /// As [`inverse_curvatures`](Self::inverse_curvatures), for the mean over all labels:
    /// `[d + 1]`.
    pub(super) fn mean_inverse_curvatures(&self) -> Vec<f64> {
        let probabilities = self.probabilities();
        let curvatures = probabilities.iter().map(|p| p * (1.0 - p));
        let mean = curvatures.sum::<f64>() / probabilities.len() as f64;
        let moments = self.features.column_moments().into_iter();
        let of_columns = moments.map(|(_, square)| self.inverse_curvature(mean, square));
        of_columns.chain([1.0 / mean.sqrt()]).collect()
    }

    /// For a weight of a feature with this mean square.
    fn inverse_curvature(&self, of_class: f64, square: f64) -> f64 {
        1.0 / (of_class * square + 2.0 * self.weight_decay + TINY).sqrt()
    }

    pub(super) fn num_classes(&self) -> usize {
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
    pub(super) fn loss_and_slopes(&self, weights: &[f64], bias: &[f64], slopes: &mut [f64]) -> f64 {
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
                    total += self.loss_and_slopes_of(set_id, logits, slopes);
                }
                total
            })
            .collect();
        losses.iter().sum()
    }
}

impl Objective<'_> {
    /// The weighted loss of one sample with this label set; its slopes go to `slopes` `[K]`.
    pub(super) fn loss_and_slopes_of(
        &self,
        set_id: usize,
        logits: &[f64],
        slopes: &mut [f64],
    ) -> f64 {
        let weight = self.set_weights[set_id];
        let set = &self.targets.distinct()[set_id];
        let loss = match &self.class_weights {
            None => self.loss.of_sample(logits, set, slopes),
            Some(weights) => self.loss.weighted_of_sample(logits, set, weights, slopes),
        };
        slopes.iter_mut().for_each(|slope| *slope *= weight);
        weight * loss
    }
}

impl Objective<'_> {
    /// P and b from W = P·Eᵀ and b; W and b themselves for a linear head. With unit rows
    /// EᵀE = K/(K−1)·I, so P = (K−1)/K·W·E.
    pub(super) fn own_parameters(&self, weights_and_bias: &[f64]) -> Vec<f64> {
        let Some(frame) = &self.frame else {
            return weights_and_bias.to_vec();
        };
        let (dim, num_classes) = (self.features.dim(), self.num_classes());
        let (weights, bias) = weights_and_bias.split_at(dim * num_classes);
        let mut parameters = vec![0.0; self.num_parameters()];
        let (matrix, own_bias) = parameters.split_at_mut(dim * self.width());
        own_bias.copy_from_slice(bias);
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(matrix, dim, self.width()),
            Accum::Replace,
            MatRef::from_row_major_slice(weights, dim, num_classes),
            frame.as_ref(),
            (num_classes as f64 - 1.0) / num_classes as f64,
            Par::Seq,
        );
        parameters
    }

    /// Bounds of the curvature of the loss in W and b: of the mean over all samples, by power
    /// iteration, and of the sample where it is largest.
    pub(super) fn curvatures(&self) -> (f64, f64) {
        const POWER_STEPS: usize = 20;
        let num_samples = self.targets.len();
        let of_sets: Vec<f64> = (0..self.targets.distinct().len())
            .map(|set_id| self.curvature_of(set_id) * num_samples as f64)
            .collect();
        let of_samples = self
            .targets
            .set_ids()
            .iter()
            .map(|&id| of_sets[id as usize]);
        let squares = self.features.row_squares();
        let largest = of_samples
            .clone()
            .zip(&squares)
            .map(|(curvature, square)| curvature * (square + 1.0))
            .fold(0.0, f64::max);
        let mut vector = vec![1.0; self.features.dim()];
        let mut last = 1.0;
        let mut norm = 0.0;
        for _ in 0..POWER_STEPS {
            let mut products = vec![0.0; num_samples];
            self.features.logits(0, &vector, &[last], &mut products);
            for (product, curvature) in products.iter_mut().zip(of_samples.clone()) {
                *product *= curvature / num_samples as f64;
            }
            self.features.transpose_times(&products, 1, &mut vector);
            last = products.iter().sum();
            norm = (vector.iter().map(|x| x * x).sum::<f64>() + last * last).sqrt();
            if norm == 0.0 {
                break;
            }
            vector.iter_mut().for_each(|x| *x /= norm);
            last /= norm;
        }
        (norm, largest)
    }

    /// A bound of the curvature of a sample's weighted loss in its logits.
    fn curvature_of(&self, set_id: usize) -> f64 {
        let set = &self.targets.distinct()[set_id];
        let of_class = |label: usize| self.class_weights.as_ref().map_or(1.0, |w| w[label]);
        let largest = set.indices().map(of_class).fold(1.0, f64::max);
        let bound = match self.loss {
            // ½ bounds the Hessian of a log-sum-exp, ¼ that of log(1 + e^z).
            Loss::PickAllLabels(loss) => {
                let total: f64 = set.indices().map(of_class).sum();
                0.5 * loss.sample_weight(set.multiplicity()) * total
            }
            Loss::Zlpr {} => 0.5,
            Loss::BinaryCrossEntropy {} => 0.25 * largest,
            // Focusing steepens the slope by at most its exponent.
            Loss::Focal { gamma } => 0.25 * (1.0 + 2.0 * gamma) * largest,
            Loss::Asymmetric {
                gamma_positive,
                gamma_negative,
                ..
            } => 0.25 * (1.0 + 2.0 * gamma_positive.max(gamma_negative)) * largest,
        };
        self.set_weights[set_id] * bound
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
