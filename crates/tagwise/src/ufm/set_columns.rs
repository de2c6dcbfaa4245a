//! The set likelihood of every label set of a problem, with what Newton's method needs of it.

use rayon::prelude::*;

use super::UfmProblem;
use super::reduced::Reduced;
use crate::kernel::add_scaled;
use crate::loss::set_likelihood::{Marginals, Outputs, SetPotentials, ShareChange};

/// Below this many logits times multiplicities one thread does it all.
const PARALLEL_TERMS: usize = 1 << 15;

/// The set likelihood at one point, set by set.
pub(super) struct SetColumns {
    model: SetPotentials,
    /// λ_c of learned potentials.
    decay: Option<f64>,
    /// `[K, L]`
    logits: Vec<f64>,
    /// P(|S| = j) of every column, `[M + 1, L]`, and its changes.
    shares: Vec<f64>,
    share_changes: Vec<f64>,
}

impl SetColumns {
    pub fn new(reduced: &Reduced, problem: &UfmProblem) -> Option<Self> {
        let model = problem.potentials()?.clone();
        let shares = model.multiplicities().len() * reduced.num_sets;
        Some(Self {
            model,
            decay: problem.lambda_c(),
            logits: vec![0.0; reduced.num_classes * reduced.num_sets],
            shares: vec![0.0; shares],
            share_changes: vec![0.0; shares],
        })
    }

    /// The number of variables that are potentials.
    pub fn num_learned(&self) -> usize {
        match self.decay {
            Some(_) => self.width(),
            None => 0,
        }
    }

    /// M + 1.
    fn width(&self) -> usize {
        self.model.multiplicities().len()
    }

    fn is_parallel(&self) -> bool {
        self.logits.len() * self.width() >= PARALLEL_TERMS
    }

    /// From scaled logits W G in `pull` to Q there, the probabilities of labels and the losses.
    pub fn evaluate(
        &mut self,
        reduced: &Reduced,
        bias: &[f64],
        potentials: &[f64],
        pull: &mut [f64],
        inclusion: &mut [f64],
        losses: &mut [f64],
    ) {
        if !potentials.is_empty() {
            self.model.set(potentials, std::iter::empty());
        }
        let (width, num_classes, is_parallel) =
            (self.width(), reduced.num_classes, self.is_parallel());
        let model = &self.model;
        let one = |(marginals, exact): &mut (Marginals, ShareChange), column: Column<'_>| {
            let Column {
                set,
                pull,
                inclusion,
                loss,
                logits,
                shares,
            } = column;
            let root = reduced.roots[set];
            for (z, q) in logits.iter_mut().zip(pull.iter()) {
                *z = q / root;
            }
            for (z, b) in logits.iter_mut().zip(bias) {
                *z += b;
            }
            marginals.run(model, logits);
            let labels = reduced.labels(set);
            let own: f64 = labels.iter().map(|&k| logits[k as usize]).sum();
            let score = own + model.multiplicities()[labels.len()];
            let weight = reduced.weights[set];
            let at = Outputs {
                logits,
                potentials: model.multiplicities(),
            };
            let own = exact.small_loss(at, labels);
            *loss = weight * own.unwrap_or_else(|| (marginals.log_partition - score).max(0.0));
            inclusion.copy_from_slice(marginals.inclusion());
            shares.copy_from_slice(marginals.multiplicities());
            let slope = weight / root;
            for (q, share) in pull.iter_mut().zip(inclusion.iter()) {
                *q = slope * share;
            }
            for &k in labels {
                pull[k as usize] -= slope;
            }
        };
        let columns = pull
            .par_chunks_exact_mut(num_classes)
            .zip(inclusion.par_chunks_exact_mut(num_classes))
            .zip(losses.par_iter_mut())
            .zip(self.logits.par_chunks_exact_mut(num_classes))
            .zip(self.shares.par_chunks_exact_mut(width))
            .enumerate()
            .map(
                |(set, ((((pull, inclusion), loss), logits), shares))| Column {
                    set,
                    pull,
                    inclusion,
                    loss,
                    logits,
                    shares,
                },
            );
        // One piece for one thread: the order of the columns is nobody's business.
        let least = if is_parallel {
            1
        } else {
            reduced.num_sets.max(1)
        };
        columns
            .with_min_len(least)
            .for_each_init(Default::default, one);
    }

    /// λ_c‖c‖² and the gradient by the potentials.
    pub fn decay_and_gradient(
        &self,
        reduced: &Reduced,
        potentials: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let Some(decay) = self.decay else {
            return 0.0;
        };
        sum_columns(reduced, &self.shares, gradient);
        for set in 0..reduced.num_sets {
            gradient[reduced.labels(set).len()] -= reduced.weights[set];
        }
        add_scaled(gradient, 2.0 * decay, potentials);
        decay * potentials.iter().map(|c| c * c).sum::<f64>()
    }

    /// From changes of the scaled logits in `work` to changes of Q, given those of the bias and of
    /// the potentials.
    pub fn change(
        &mut self,
        reduced: &Reduced,
        bias: &[f64],
        potentials: &[f64],
        work: &mut [f64],
    ) {
        let (width, num_classes, is_parallel) =
            (self.width(), reduced.num_classes, self.is_parallel());
        let (model, logits) = (&self.model, &self.logits);
        let one = |(sums, change): &mut (ShareChange, Vec<f64>),
                   (set, (work, shares)): (usize, (&mut [f64], &mut [f64]))| {
            let root = reduced.roots[set];
            change.clear();
            change.extend(work.iter().map(|t| t / root));
            for (t, b) in change.iter_mut().zip(bias) {
                *t += b;
            }
            let at = Outputs {
                logits: &logits[set * num_classes..][..num_classes],
                potentials: model.multiplicities(),
            };
            let change = Outputs {
                logits: change,
                potentials,
            };
            sums.run(at, change, work, shares);
            let slope = reduced.weights[set] / root;
            work.iter_mut().for_each(|t| *t *= slope);
        };
        let least = if is_parallel {
            1
        } else {
            reduced.num_sets.max(1)
        };
        work.par_chunks_exact_mut(num_classes)
            .zip(self.share_changes.par_chunks_exact_mut(width))
            .enumerate()
            .with_min_len(least)
            .for_each_init(Default::default, one);
    }

    /// The product with the Hessian by the potentials, after [`change`](Self::change).
    pub fn potential_product(&self, reduced: &Reduced, change: &[f64], product: &mut [f64]) {
        if let Some(decay) = self.decay {
            sum_columns(reduced, &self.share_changes, product);
            add_scaled(product, 2.0 * decay, change);
        }
    }

    /// The diagonal of the Hessian by the potentials.
    pub fn potential_diagonal(&self, reduced: &Reduced, diagonal: &mut [f64]) {
        let Some(decay) = self.decay else {
            return;
        };
        diagonal.fill(2.0 * decay);
        for (shares, weight) in self.shares.chunks_exact(self.width()).zip(&reduced.weights) {
            for (d, p) in diagonal.iter_mut().zip(shares) {
                *d += weight * p * (1.0 - p);
            }
        }
    }
}

struct Column<'a> {
    set: usize,
    pull: &'a mut [f64],
    inclusion: &'a mut [f64],
    loss: &'a mut f64,
    logits: &'a mut [f64],
    shares: &'a mut [f64],
}

/// out ← Σ_S (n_S/N) column_S.
fn sum_columns(reduced: &Reduced, columns: &[f64], out: &mut [f64]) {
    let width = out.len();
    out.fill(0.0);
    for (column, &weight) in columns.chunks_exact(width).zip(&reduced.weights) {
        add_scaled(out, weight, column);
    }
}
