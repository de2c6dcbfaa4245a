//! Where a fit starts, and how curved its objective is there.

use super::{Objective, sum_rows};
use crate::loss::Loss;

/// Keeps the inverse curvature of a column of zeros finite.
const TINY: f64 = 1e-12;

impl Objective<'_> {
    /// W = 0 with the bias that fits the shares of the labels, for losses whose logits are log-odds,
    /// and of the multiplicities.
    pub(in crate::head) fn start(&self) -> Vec<f64> {
        let mut parameters = vec![0.0; self.num_parameters()];
        let (bias, shared) = parameters[self.matrix_len()..].split_at_mut(self.num_outputs());
        if !matches!(
            self.loss(),
            Loss::BinaryCrossEntropy {} | Loss::SetLikelihood(_)
        ) {
            return parameters;
        }
        for (bias, p) in bias.iter_mut().zip(self.losses.probabilities()) {
            *bias = (p / (1.0 - p)).ln();
        }
        if let Some(potentials) = &self.losses.potentials {
            let (logits, linear) = bias.split_at_mut(self.num_classes());
            let start = potentials.start(logits);
            let own = match potentials.has_constants() {
                true => shared,
                false => linear,
            };
            own.iter_mut().zip(start).for_each(|(own, c)| *own = c);
        }
        parameters
    }

    /// A rough inverse of the curvature of each parameter: the square root of that at the shares of
    /// the labels, as the curvature of a class falls while its samples are fitted.
    pub(in crate::head) fn inverse_curvatures(&self) -> Vec<f64> {
        let curvatures = self.curvatures_of_outputs();
        let num_classes = self.num_classes();
        let mean = curvatures[..num_classes].iter().sum::<f64>() / num_classes as f64;
        let of_weights = match &self.frame {
            None => curvatures.clone(),
            Some(_) => {
                let of_frame = std::iter::repeat_n(mean, num_classes - 1);
                of_frame
                    .chain(curvatures[num_classes..].iter().copied())
                    .collect()
            }
        };
        let mut inverse = Vec::with_capacity(self.num_parameters());
        for square in &self.mean_squares {
            let of_class = of_weights.iter();
            inverse.extend(of_class.map(|curvature| self.inverse_curvature(*curvature, *square)));
        }
        inverse.extend(curvatures.iter().map(|curvature| 1.0 / curvature.sqrt()));
        if let Some(potentials) = &self.losses.potentials
            && potentials.has_constants()
        {
            let curvatures = potentials.multiplicity_curvatures();
            inverse.extend(curvatures.map(|curvature| 1.0 / curvature.sqrt()));
        }
        // Potentials of label sets are scaled to curvatures of 1.
        inverse.resize(self.num_parameters(), 1.0);
        inverse
    }

    fn curvatures_of_outputs(&self) -> Vec<f64> {
        let of_labels = self
            .losses
            .probabilities()
            .into_iter()
            .map(|p| p * (1.0 - p));
        let mut curvatures: Vec<f64> = of_labels.collect();
        if let Some(potentials) = &self.losses.potentials {
            curvatures.extend(potentials.multiplicity_curvatures());
        }
        curvatures.truncate(self.num_outputs());
        curvatures
    }

    /// As [`inverse_curvatures`](Self::inverse_curvatures), for the mean over all labels:
    /// `[d + 1]`.
    pub(in crate::head) fn mean_inverse_curvatures(&self) -> Vec<f64> {
        let probabilities = self.losses.probabilities();
        let curvatures = probabilities.iter().map(|p| p * (1.0 - p));
        let mean = curvatures.sum::<f64>() / probabilities.len() as f64;
        let squares = self.mean_squares.iter();
        let of_columns = squares.map(|square| self.inverse_curvature(mean, *square));
        of_columns.chain([1.0 / mean.sqrt()]).collect()
    }

    /// For a weight of a feature with this mean square.
    fn inverse_curvature(&self, of_class: f64, square: f64) -> f64 {
        1.0 / (of_class * square + 2.0 * self.weight_decay + TINY).sqrt()
    }

    /// Bounds of the curvature of the loss in W and b: of the mean over all samples, by power
    /// iteration, and of the sample where it is largest.
    pub(in crate::head) fn curvatures(&self) -> (f64, f64) {
        const POWER_STEPS: usize = 20;
        let num_samples = self.targets().len();
        let of_sets: Vec<f64> = (0..self.targets().distinct().len())
            .map(|set_id| self.losses.curvature_of(set_id) * num_samples as f64)
            .collect();
        let set_ids = self.targets().set_ids().iter();
        let of_samples = set_ids.map(|&id| of_sets[id as usize]);
        let squares = self
            .source
            .row_squares(|column, x| self.scale.of(column, x));
        let largest = of_samples
            .clone()
            .zip(&squares)
            .map(|(curvature, square)| curvature * (square + 1.0))
            .fold(0.0, f64::max);
        let mut vector = vec![1.0; self.source.dim()];
        let mut last = [1.0];
        let mut norm = 0.0;
        let mut scratch = Vec::new();
        let mut products = vec![0.0; num_samples];
        for _ in 0..POWER_STEPS {
            self.scale.fold_into(&mut vector, &mut last);
            self.source
                .logits(0, &vector, &last, &mut products, &mut scratch);
            for (product, curvature) in products.iter_mut().zip(of_samples.clone()) {
                *product *= curvature / num_samples as f64;
            }
            self.source.transpose_times(&products, 1, &mut vector);
            sum_rows(&products, &mut last);
            self.scale.pull_back(&mut vector, &last);
            norm = (vector.iter().map(|x| x * x).sum::<f64>() + last[0] * last[0]).sqrt();
            if norm == 0.0 {
                break;
            }
            vector.iter_mut().for_each(|x| *x /= norm);
            last[0] /= norm;
        }
        (norm, largest)
    }

    /// P and b from W = P·Eᵀ and b; W and b themselves for a linear head. With unit rows
    /// EᵀE = K/(K−1)·I, so P = (K−1)/K·W·E.
    pub(in crate::head) fn own_parameters(&self, weights_and_bias: &[f64]) -> Vec<f64> {
        let Some(frame) = &self.frame else {
            return weights_and_bias.to_vec();
        };
        let (dim, num_classes) = (self.source.dim(), self.num_classes());
        let (weights, bias) = weights_and_bias.split_at(dim * num_classes);
        let mut parameters = vec![0.0; self.num_parameters()];
        let (matrix, own_bias) = parameters.split_at_mut(dim * self.width());
        own_bias.copy_from_slice(bias);
        crate::product::multiply(
            faer::MatMut::from_row_major_slice_mut(matrix, dim, self.width()),
            faer::Accum::Replace,
            faer::MatRef::from_row_major_slice(weights, dim, num_classes),
            frame.as_ref(),
            (num_classes as f64 - 1.0) / num_classes as f64,
        );
        parameters
    }
}
