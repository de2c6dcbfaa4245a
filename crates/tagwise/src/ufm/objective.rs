use std::ops::Range;

use faer::{Mat, MatMut, MatRef};
use rayon::prelude::*;

use super::product::{tall, wide};
use super::reduced::Reduced;
use super::set_columns::SetColumns;
use super::{Bias, ClassifierKind, UfmProblem};
use crate::kernel::{add_scaled, dot, dot_inline, vectorized};
use crate::minimize::Curvature;

mod fused;
mod softmax;

use fused::{Decays, Fused, Parts, PartsMut};
use softmax::softmax_column;

/// The factor W of the logits.
pub(super) enum Factor {
    Learned,
    Fixed(Mat<f64>),
    /// The simplex ETF √(K/(K−1))·(I − 11ᵀ/K) on K axes, whose products cost K instead of K².
    FixedAxes,
}

/// The reduced problem in the variables W (unless fixed), G = [√n_S h_S] and b:
///
/// Σ_S (n_S/N) α_S L(W g_S/√n_S + b, S) + decay_w‖W‖² + decay_h‖G‖² + λ_b‖b‖².
///
/// The variables lie in one slice, W column by column `[K, r]`, then G set by set `[r, L]`, then b,
/// then the learned potentials c of a set likelihood with their decay λ_c‖c‖².
/// Memory: 3 matrices `[K, L]` and 4 of the size of the variables.
pub(super) struct Objective<'a> {
    reduced: &'a Reduced,
    rank: usize,
    factor: Factor,
    decay_w: f64,
    decay_h: f64,
    decay_b: f64,
    has_bias: bool,
    weight: Vec<f64>,
    features: Vec<f64>,
    /// softmax of the logits, or the chances of labels to be in a set, `[K, L]`
    probabilities: Vec<f64>,
    /// Q, the gradient of the loss by the scaled logits W G, `[K, L]`
    pull: Vec<f64>,
    work: Vec<f64>,
    losses: Vec<f64>,
    squares: Vec<f64>,
    /// Set for small problems with a learned classifier.
    fused: Option<Fused>,
    /// Set for the set likelihood.
    sets: Option<SetColumns>,
}

/// Below this many logits the columns are handled by one thread.
const PARALLEL_LOGITS: usize = 1 << 15;

impl<'a> Objective<'a> {
    pub fn new(reduced: &'a Reduced, problem: &UfmProblem, rank: usize, factor: Factor) -> Self {
        let balanced = (problem.lambda_w() * problem.lambda_h()).sqrt();
        let (decay_w, decay_h) = match problem.classifier() {
            ClassifierKind::Learned => (balanced, balanced),
            ClassifierKind::FixedEtf => (0.0, problem.lambda_h()),
        };
        let (decay_b, has_bias) = match problem.bias() {
            Bias::None => (0.0, false),
            Bias::Free => (0.0, true),
            Bias::Decayed(decay) => (decay, true),
        };
        let (num_classes, num_sets) = (reduced.num_classes, reduced.num_sets);
        let logits = num_classes * num_sets;
        let is_on_axes = matches!(factor, Factor::FixedAxes);
        let sets = SetColumns::new(reduced, problem);
        let is_small =
            matches!(factor, Factor::Learned) && logits < PARALLEL_LOGITS && sets.is_none();
        let weight = match &factor {
            Factor::Learned => vec![0.0; num_classes * rank],
            Factor::Fixed(weight) => flat(weight),
            Factor::FixedAxes => Vec::new(),
        };
        Self {
            reduced,
            rank,
            factor,
            decay_w,
            decay_h,
            decay_b,
            has_bias,
            weight,
            features: vec![0.0; rank * num_sets],
            probabilities: vec![0.0; logits],
            pull: vec![0.0; logits],
            work: vec![0.0; logits],
            losses: vec![0.0; num_sets],
            fused: is_small.then(|| Fused::new(reduced, rank)).flatten(),
            squares: match is_on_axes {
                true => Vec::new(),
                false => vec![0.0; rank * (num_classes + num_sets)],
            },
            sets,
        }
    }

    /// Where W lies in the variables; empty when it is fixed.
    pub fn weight_range(&self) -> Range<usize> {
        match self.factor {
            Factor::Learned => 0..self.reduced.num_classes * self.rank,
            Factor::Fixed(_) | Factor::FixedAxes => 0..0,
        }
    }

    /// Where G lies in the variables.
    pub fn feature_range(&self) -> Range<usize> {
        let start = self.weight_range().end;
        start..start + self.rank * self.reduced.num_sets
    }

    /// Where b lies in the variables; empty without bias.
    pub fn bias_range(&self) -> Range<usize> {
        let start = self.feature_range().end;
        let len = usize::from(self.has_bias) * self.reduced.num_classes;
        start..start + len
    }

    /// Where the learned potentials of a set likelihood lie in the variables.
    pub fn potential_range(&self) -> Range<usize> {
        let start = self.bias_range().end;
        start..start + self.sets.as_ref().map_or(0, SetColumns::num_learned)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.potential_range().end
    }

    /// Q at the last point evaluated, `[K, L]`.
    pub fn pull(&self) -> MatRef<'_, f64> {
        view(&self.pull, self.reduced.num_classes)
    }

    /// The softmax at the last point evaluated, or the chances of labels, `[K, L]`.
    pub fn probabilities(&self) -> MatRef<'_, f64> {
        view(&self.probabilities, self.reduced.num_classes)
    }

    fn is_learned(&self) -> bool {
        matches!(self.factor, Factor::Learned)
    }

    fn is_on_axes(&self) -> bool {
        matches!(self.factor, Factor::FixedAxes)
    }

    /// From scaled logits W G in `pull` to probabilities, Q and losses.
    fn softmax(&mut self, bias: &[f64], potentials: &[f64]) {
        let reduced = self.reduced;
        if let Some(sets) = &mut self.sets {
            let (pull, shares) = (&mut self.pull, &mut self.probabilities);
            sets.evaluate(reduced, bias, potentials, pull, shares, &mut self.losses);
            return;
        }
        let one = |set: usize, pull: &mut [f64], p: &mut [f64], loss: &mut f64| {
            vectorized(
                #[inline(always)]
                || {
                    let inverse_root = 1.0 / reduced.roots[set];
                    pull.iter_mut().for_each(|z| *z *= inverse_root);
                    for (z, b) in pull.iter_mut().zip(bias) {
                        *z += b;
                    }
                    *loss = softmax_column(reduced, set, pull, p);
                },
            );
        };
        let num_classes = reduced.num_classes;
        if self.pull.len() < PARALLEL_LOGITS {
            let columns = self
                .pull
                .chunks_exact_mut(num_classes)
                .zip(self.probabilities.chunks_exact_mut(num_classes))
                .zip(&mut self.losses);
            for (set, ((pull, p), loss)) in columns.enumerate() {
                one(set, pull, p, loss);
            }
        } else {
            self.pull
                .par_chunks_exact_mut(num_classes)
                .zip(self.probabilities.par_chunks_exact_mut(num_classes))
                .zip(&mut self.losses)
                .enumerate()
                .for_each(|(set, ((pull, p), loss))| one(set, pull, p, loss));
        }
    }

    /// From changes of the scaled logits in `work` to changes of Q, given changes of the bias and of
    /// the potentials.
    fn pull_change(&mut self, bias_change: &[f64], potential_change: &[f64]) {
        let reduced = self.reduced;
        if let Some(sets) = &mut self.sets {
            sets.change(reduced, bias_change, potential_change, &mut self.work);
            return;
        }
        for_each_column(
            &mut self.work,
            &self.probabilities,
            reduced.num_classes,
            #[inline(always)]
            |set, work, p| {
                let inverse_root = 1.0 / reduced.roots[set];
                let slope = reduced.weights[set] * reduced.multiplicities[set] * inverse_root;
                if bias_change.is_empty() {
                    work.iter_mut().for_each(|t| *t *= inverse_root);
                } else {
                    for (t, b) in work.iter_mut().zip(bias_change) {
                        *t = *t * inverse_root + b;
                    }
                }
                let mean = dot_inline(p, work);
                for (t, p) in work.iter_mut().zip(p) {
                    *t = slope * p * (*t - mean);
                }
            },
        );
    }

    /// ⟨D, H D⟩ for a change D of the scaled logits `[K, L]`, H the Hessian of the loss.
    pub fn curvature(&mut self, change: MatRef<'_, f64>) -> f64 {
        let rows = self.reduced.num_classes;
        view_mut(&mut self.work, rows).copy_from(change);
        self.pull_change(&[], &[]);
        let columns = self.work.chunks_exact(rows).zip(change.col_iter());
        let products = columns.map(|(pull, change)| {
            let pairs = pull.iter().zip(change.iter());
            pairs.map(|(a, b)| a * b).sum::<f64>()
        });
        products.sum()
    }

    /// out ← Σ_S √n_S column_S, the sum over samples of unscaled columns.
    fn sum_over_samples(reduced: &Reduced, columns: &[f64], out: &mut [f64]) {
        let num_classes = reduced.num_classes;
        let out = MatMut::from_column_major_slice_mut(out, num_classes, 1);
        let roots = view(&reduced.roots, 1); // [1, L]
        tall(out, &[(view(columns, num_classes), roots)]);
    }
}

/// Runs `one`, which should be inlined always, on every column, compiled for this machine.
fn for_each_column(
    columns: &mut [f64],
    probabilities: &[f64],
    num_classes: usize,
    one: impl Fn(usize, &mut [f64], &[f64]) + Sync,
) {
    if columns.len() < PARALLEL_LOGITS {
        vectorized(
            #[inline(always)]
            || {
                let pairs = columns
                    .chunks_exact_mut(num_classes)
                    .zip(probabilities.chunks_exact(num_classes));
                for (set, (column, p)) in pairs.enumerate() {
                    one(set, column, p);
                }
            },
        );
    } else {
        columns
            .par_chunks_exact_mut(num_classes)
            .zip(probabilities.par_chunks_exact(num_classes))
            .enumerate()
            .for_each(|(set, (column, p))| {
                vectorized(
                    #[inline(always)]
                    || one(set, column, p),
                );
            });
    }
}

/// Every column of `out` ← √(K/(K−1))·(column of `columns` − its mean).
fn project_axes(columns: &[f64], num_classes: usize, out: &mut [f64]) {
    let classes = num_classes as f64;
    let scale = (classes / (classes - 1.0)).sqrt();
    for_each_column(
        out,
        columns,
        num_classes,
        #[inline(always)]
        |_, out, column| {
            let mean = column.iter().sum::<f64>() / classes;
            for (out, x) in out.iter_mut().zip(column) {
                *out = scale * (x - mean);
            }
        },
    );
}

pub(super) fn flat(matrix: &Mat<f64>) -> Vec<f64> {
    let mut values = Vec::with_capacity(matrix.nrows() * matrix.ncols());
    for column in 0..matrix.ncols() {
        values.extend(matrix.col(column).iter());
    }
    values
}

/// A column-major slice as a matrix with the given number of rows.
pub(super) fn view(values: &[f64], rows: usize) -> MatRef<'_, f64> {
    let columns = values.len().checked_div(rows).unwrap_or(0);
    MatRef::from_column_major_slice(values, rows, columns)
}

pub(super) fn view_mut(values: &mut [f64], rows: usize) -> MatMut<'_, f64> {
    let columns = values.len().checked_div(rows).unwrap_or(0);
    MatMut::from_column_major_slice_mut(values, rows, columns)
}

impl Curvature for Objective<'_> {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (num_classes, rank) = (self.reduced.num_classes, self.rank);
        let (w, g, b) = (self.weight_range(), self.feature_range(), self.bias_range());
        if self.is_learned() {
            self.weight.copy_from_slice(&x[w.clone()]);
        }
        self.features.copy_from_slice(&x[g.clone()]);
        if let Some(fused) = &mut self.fused {
            let outputs = [&mut self.probabilities, &mut self.pull, &mut self.losses];
            let outputs = outputs.map(Vec::as_mut_slice);
            fused.gradient(
                self.reduced,
                parts(x, &w, &g),
                outputs,
                parts_mut(gradient, &w, &g),
            );
            return self.losses.iter().sum::<f64>()
                + decay(self.decay_w, &x[w.clone()], &mut gradient[w])
                + decay(self.decay_h, &x[g.clone()], &mut gradient[g])
                + decay(self.decay_b, &x[b.clone()], &mut gradient[b]);
        }
        if rank == 0 {
            self.pull.fill(0.0);
        } else if self.is_on_axes() {
            project_axes(&self.features, num_classes, &mut self.pull);
        } else {
            let (weight, features) = (view(&self.weight, num_classes), view(&self.features, rank));
            let logits = MatMut::from_column_major_slice_mut(
                &mut self.pull,
                num_classes,
                self.reduced.num_sets,
            );
            wide(logits, &[(weight, features)]);
        }
        let c = self.potential_range();
        self.softmax(&x[b.clone()], &x[c.clone()]);
        let mut value: f64 = self.losses.iter().sum();
        if let Some(sets) = &self.sets {
            value += sets.decay_and_gradient(self.reduced, &x[c.clone()], &mut gradient[c]);
        }
        let pull = view(&self.pull, num_classes);
        if self.is_on_axes() {
            project_axes(&self.pull, num_classes, &mut gradient[g.clone()]);
            value += decay(self.decay_h, &x[g.clone()], &mut gradient[g]);
        } else if rank > 0 {
            let weight = view(&self.weight, num_classes);
            let (front, back) = gradient.split_at_mut(g.start);
            let to_features = view_mut(&mut back[..g.len()], rank);
            wide(to_features, &[(weight.transpose(), pull)]);
            if self.is_learned() {
                let features = view(&self.features, rank);
                let to_weight = view_mut(front, num_classes);
                tall(to_weight, &[(pull, features)]);
                value += decay(self.decay_w, &x[w.clone()], &mut gradient[w]);
            }
            value += decay(self.decay_h, &x[g.clone()], &mut gradient[g]);
        }
        if self.has_bias {
            Self::sum_over_samples(self.reduced, &self.pull, &mut gradient[b.clone()]);
            value += decay(self.decay_b, &x[b.clone()], &mut gradient[b]);
        }
        value
    }

    fn hessian_times(&mut self, vector: &[f64], product: &mut [f64]) {
        let (num_classes, rank) = (self.reduced.num_classes, self.rank);
        let (w, g, b) = (self.weight_range(), self.feature_range(), self.bias_range());
        if let Some(fused) = &mut self.fused {
            let decays = Decays {
                weight: 2.0 * self.decay_w,
                features: 2.0 * self.decay_h,
                bias: 2.0 * self.decay_b,
            };
            let product = parts_mut(product, &w, &g);
            fused.hessian_times(
                self.reduced,
                &self.features,
                parts(vector, &w, &g),
                decays,
                product,
            );
            return;
        }
        if rank == 0 {
            self.work.fill(0.0);
        } else if self.is_on_axes() {
            project_axes(&vector[g.clone()], num_classes, &mut self.work);
        } else {
            let weight = view(&self.weight, num_classes);
            let feature_change = view(&vector[g.clone()], rank);
            let is_learned = self.is_learned();
            let logits = view_mut(&mut self.work, num_classes);
            if is_learned {
                let weight_change = view(&vector[w.clone()], num_classes);
                let features = view(&self.features, rank);
                wide(
                    logits,
                    &[(weight, feature_change), (weight_change, features)],
                );
            } else {
                wide(logits, &[(weight, feature_change)]);
            }
        }
        let c = self.potential_range();
        self.pull_change(&vector[b.clone()], &vector[c.clone()]);
        if let Some(sets) = &self.sets {
            sets.potential_product(self.reduced, &vector[c.clone()], &mut product[c]);
        }
        if self.is_on_axes() {
            project_axes(&self.work, num_classes, &mut product[g.clone()]);
            add_scaled(&mut product[g.clone()], 2.0 * self.decay_h, &vector[g]);
        } else if rank > 0 {
            let weight = view(&self.weight, num_classes);
            let change = view(&self.work, num_classes);
            let pull = view(&self.pull, num_classes);
            let (front, back) = product.split_at_mut(g.start);
            let to_features = view_mut(&mut back[..g.len()], rank);
            if !self.is_learned() {
                wide(to_features, &[(weight.transpose(), change)]);
            } else {
                let weight_change = view(&vector[w.clone()], num_classes);
                let pairs = [
                    (weight.transpose(), change),
                    (weight_change.transpose(), pull),
                ];
                wide(to_features, &pairs);
                let feature_change = view(&vector[g.clone()], rank);
                let features = view(&self.features, rank);
                let to_weight = view_mut(front, num_classes);
                tall(to_weight, &[(change, features), (pull, feature_change)]);
                add_scaled(&mut product[w.clone()], 2.0 * self.decay_w, &vector[w]);
            }
            add_scaled(&mut product[g.clone()], 2.0 * self.decay_h, &vector[g]);
        }
        if self.has_bias {
            Self::sum_over_samples(self.reduced, &self.work, &mut product[b.clone()]);
            add_scaled(&mut product[b.clone()], 2.0 * self.decay_b, &vector[b]);
        }
    }

    /// The exact diagonal: Σ_S (curvature of logit k)·G² for W, the variance of the columns of W
    /// under p for G.
    fn diagonal(&mut self, diagonal: &mut [f64]) {
        let (num_classes, rank) = (self.reduced.num_classes, self.rank);
        let num_sets = self.reduced.num_sets;
        let (w, g, b) = (self.weight_range(), self.feature_range(), self.bias_range());
        let reduced = self.reduced;
        let is_of_sets = self.sets.is_some();
        // Draws of one label for each label of a sample, or one choice for each class.
        let draws = |set: usize| match is_of_sets {
            true => 1.0,
            false => reduced.multiplicities[set],
        };
        let scale = |set: usize| reduced.weights[set] * draws(set) / reduced.roots[set].powi(2);
        if let Some(sets) = &self.sets {
            let c = self.potential_range();
            sets.potential_diagonal(reduced, &mut diagonal[c]);
        }
        if let Some(fused) = &mut self.fused {
            fused.diagonal(reduced, &self.features, parts_mut(diagonal, &w, &g));
            diagonal[w]
                .iter_mut()
                .for_each(|d| *d += 2.0 * self.decay_w);
            diagonal[g]
                .iter_mut()
                .for_each(|d| *d += 2.0 * self.decay_h);
            // A free bias that no probability depends on still needs a positive scale.
            let positive = |d: &mut f64| *d = (*d + 2.0 * self.decay_b).max(f64::MIN_POSITIVE);
            diagonal[b].iter_mut().for_each(positive);
            return;
        }
        if self.is_on_axes() {
            let square = num_classes as f64 / (num_classes as f64 - 1.0);
            let decay = 2.0 * self.decay_h;
            let out = &mut diagonal[g.clone()];
            for_each_column(
                out,
                &self.probabilities,
                num_classes,
                #[inline(always)]
                |set, out, p| {
                    for (d, p) in out.iter_mut().zip(p) {
                        *d = square * scale(set) * p * (1.0 - p) + decay;
                    }
                },
            );
        } else if rank > 0 {
            if is_of_sets {
                // Labels as if they were independent: their variances add up.
                for (work, p) in self.work.iter_mut().zip(&self.probabilities) {
                    *work = p * (1.0 - p);
                }
            }
            let probabilities = match is_of_sets {
                true => view(&self.work, num_classes),
                false => view(&self.probabilities, num_classes),
            };
            let (squares, means) = self.squares.split_at_mut(rank * num_classes);
            for (square, w) in squares.iter_mut().zip(&self.weight) {
                *square = w * w;
            }
            let to_features = view_mut(&mut diagonal[g.clone()], rank);
            wide(
                to_features,
                &[(view(squares, num_classes).transpose(), probabilities)],
            );
            let means_out = view_mut(means, rank);
            wide(
                means_out,
                &[(view(&self.weight, num_classes).transpose(), probabilities)],
            );
            let columns = diagonal[g.clone()]
                .chunks_exact_mut(rank)
                .zip(means.chunks_exact(rank));
            for (set, (column, means)) in columns.enumerate() {
                for (d, mean) in column.iter_mut().zip(means) {
                    let common = if is_of_sets { 0.0 } else { mean * mean };
                    *d = scale(set) * (*d - common).max(0.0) + 2.0 * self.decay_h;
                }
            }
        }
        for_each_column(
            &mut self.work,
            &self.probabilities,
            num_classes,
            #[inline(always)]
            |set, work, p| {
                for (t, p) in work.iter_mut().zip(p) {
                    *t = scale(set) * p * (1.0 - p);
                }
            },
        );
        if self.is_learned() && rank > 0 {
            let squares = &mut self.squares[..rank * num_sets];
            for (square, g) in squares.iter_mut().zip(&self.features) {
                *square = g * g;
            }
            let to_weight = view_mut(&mut diagonal[w.clone()], num_classes);
            let variances = view(&self.work, num_classes);
            tall(to_weight, &[(variances, view(squares, rank))]);
            for d in &mut diagonal[w] {
                *d += 2.0 * self.decay_w;
            }
        }
        if self.has_bias {
            let bias = &mut diagonal[b];
            bias.fill(2.0 * self.decay_b);
            for (set, column) in self.work.chunks_exact(num_classes).enumerate() {
                let count = self.reduced.roots[set].powi(2);
                for (d, v) in bias.iter_mut().zip(column) {
                    *d += count * v;
                }
            }
            // A free bias that no probability depends on still needs a positive scale.
            bias.iter_mut().for_each(|d| *d = d.max(f64::MIN_POSITIVE));
        }
    }
}

fn parts<'a>(values: &'a [f64], w: &Range<usize>, g: &Range<usize>) -> Parts<'a> {
    Parts {
        weight: &values[w.clone()],
        features: &values[g.clone()],
        bias: &values[g.end..],
    }
}

fn parts_mut<'a>(values: &'a mut [f64], w: &Range<usize>, g: &Range<usize>) -> PartsMut<'a> {
    let (weight, rest) = values.split_at_mut(w.end);
    let (features, bias) = rest.split_at_mut(g.len());
    PartsMut {
        weight,
        features,
        bias,
    }
}

/// Adds the gradient 2·decay·x and returns decay·‖x‖².
fn decay(decay: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
    add_scaled(gradient, 2.0 * decay, x);
    decay * dot(x, x)
}

#[cfg(test)]
mod tests;
