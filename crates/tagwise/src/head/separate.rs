//! Objectives that are a sum over labels, minimised a few labels at a time.

use std::ops::ControlFlow;
use std::sync::Mutex;

use rayon::prelude::*;

use super::Progress;
use super::objective::Objective;
use crate::minimize::{Lbfgs, Minimum, Stop};
use crate::{LabelSet, Targets};

/// Labels minimised together: as many numbers as a register or a cache line holds.
pub(super) const GROUP_LEN: usize = 8;

/// Labels rarer than this against the most frequent one need no smaller gradient.
const SMALLEST_SHARE: f64 = 1e-2;

/// Minimises a separable objective in groups of labels that are about as frequent, each to the
/// gradient tolerance times the share of its labels against the most frequent ones: the gradients
/// of a rare label are small from the start, and would pass for converged. Labels that are easy to
/// fit end after a few steps instead of going on until the hardest is done, and the memory of
/// L-BFGS stays in the cache.
///
/// The steps of the answer are those of the longest group. `progress` sees the sum of all
/// objectives as far as they have come.
pub(super) fn minimize(
    objective: &Objective<'_>,
    minimiser: &Lbfgs,
    parameters: &mut [f64],
    progress: impl FnMut(&Progress) -> ControlFlow<()> + Send,
) -> Minimum {
    let num_classes = objective.num_classes();
    let shares = objective.label_shares();
    let groups = groups(&shares);
    let largest = |labels: &[usize]| labels.iter().map(|&k| shares[k]).fold(0.0, f64::max);
    let most_frequent = groups.last().map_or(0.0, |labels| largest(labels));
    let board = Mutex::new(Board {
        minima: vec![None; groups.len()],
        progress,
    });
    let start: &[f64] = parameters;
    let found: Vec<Vec<f64>> = groups
        .par_iter()
        .enumerate()
        .map(|(group, labels)| {
            let columns = |row: &[f64]| -> Vec<f64> { labels.iter().map(|&k| row[k]).collect() };
            let mut own: Vec<f64> = start.chunks_exact(num_classes).flat_map(columns).collect();
            let targets = restricted(objective.targets, labels);
            let part = objective.of_labels(labels, &targets);
            let (_, inverse_curvatures) = part.start();
            let mut residuals = part.residuals();
            let share = match most_frequent {
                0.0 => 1.0,
                most => (largest(labels) / most).max(SMALLEST_SHARE),
            };
            let minimiser = Lbfgs {
                gradient_tolerance: share * minimiser.gradient_tolerance,
                ..*minimiser
            };
            let minimum = minimiser.minimize_with(
                &mut own,
                Some(&inverse_curvatures),
                |parameters, gradient| {
                    part.value_and_gradient(parameters, gradient, &mut residuals)
                },
                |minimum| lock(&board).show(group, *minimum),
            );
            lock(&board).minima[group] = Some(minimum);
            own
        })
        .collect();
    for (labels, own) in groups.iter().zip(&found) {
        let rows = parameters.chunks_exact_mut(num_classes);
        for (row, own) in rows.zip(own.chunks_exact(labels.len())) {
            labels
                .iter()
                .zip(own)
                .for_each(|(&k, value)| row[k] = *value);
        }
    }
    lock(&board).total()
}

/// Labels from rare to frequent, so that those of a group take about as many steps.
fn groups(shares: &[f64]) -> Vec<Vec<usize>> {
    let mut labels: Vec<usize> = (0..shares.len()).collect();
    labels.sort_by(|&a, &b| shares[a].total_cmp(&shares[b]));
    labels.chunks(GROUP_LEN).map(<[usize]>::to_vec).collect()
}

/// The label sets with these labels alone, numbered as they are listed.
fn restricted(targets: &Targets, labels: &[usize]) -> Targets {
    let part = |set: &LabelSet| -> LabelSet {
        let positions = (0u32..).zip(labels);
        let kept = positions.filter(|(_, label)| set.contains(**label as u32));
        kept.map(|(position, _)| position).collect()
    };
    let distinct: Vec<LabelSet> = targets.distinct().iter().map(part).collect();
    let sets = targets
        .set_ids()
        .iter()
        .map(|&id| distinct[id as usize].clone());
    Targets::new(labels.len(), sets).expect("positions lie below the number of labels")
}

/// How far every group has come.
struct Board<P> {
    minima: Vec<Option<Minimum>>,
    progress: P,
}

impl<P: FnMut(&Progress) -> ControlFlow<()>> Board<P> {
    fn show(&mut self, group: usize, minimum: Minimum) -> ControlFlow<()> {
        self.minima[group] = Some(minimum);
        let total = self.total();
        if total.stop == Stop::Interrupted {
            return ControlFlow::Break(());
        }
        (self.progress)(&Progress {
            iterations: total.iterations,
            objective: total.value,
            gradient_norm: total.gradient_norm,
        })
    }

    fn total(&self) -> Minimum {
        let worse = |a: Stop, b: Stop| match (a, b) {
            (Stop::Converged, other) | (other, Stop::Converged) => other,
            (Stop::Interrupted, _) | (_, Stop::Interrupted) => Stop::Interrupted,
            (first, _) => first,
        };
        let none = Minimum {
            value: 0.0,
            gradient_norm: 0.0,
            iterations: 0,
            evaluations: 0,
            hessian_products: 0,
            stop: Stop::Converged,
        };
        self.minima.iter().flatten().fold(none, |all, one| Minimum {
            value: all.value + one.value,
            gradient_norm: all.gradient_norm.max(one.gradient_norm),
            iterations: all.iterations.max(one.iterations),
            evaluations: all.evaluations + one.evaluations,
            hessian_products: 0,
            stop: worse(all.stop, one.stop),
        })
    }
}

fn lock<T>(board: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    board
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::{ClassWeights, Features, Head, HeadSettings, SparseRows};
    use super::*;
    use crate::loss::Loss;

    const NUM_CLASSES: u32 = 21;

    fn data() -> (Features, Targets) {
        let (n, dim) = (160u32, 12u32);
        let value = |i: u32, j: u32| ((i * 31 + j * 17) % 23) as f64 / 23.0;
        let rows = (0..n).map(|i| {
            (0..dim)
                .filter(move |j| (i + 5 * j) % 4 == 0)
                .map(move |j| (j, value(i, j)))
        });
        let features = Features::Sparse(SparseRows::new(dim as usize, rows).unwrap());
        let sets = (0..n).map(|i| {
            (0..NUM_CLASSES)
                .filter(|k| (i * (k + 3) + k) % 9 < 2)
                .collect()
        });
        (features, Targets::new(NUM_CLASSES as usize, sets).unwrap())
    }

    fn settings() -> HeadSettings {
        HeadSettings {
            loss: Loss::BinaryCrossEntropy {},
            weight_decay: 1e-3,
            gradient_tolerance: 1e-7,
            class_weights: ClassWeights::Balanced,
            ..HeadSettings::default()
        }
    }

    #[test]
    fn groups_of_labels_and_all_labels_together_have_the_same_minimum() {
        /// The gradients of both are below 1e-7 and the curvature above 2e-3.
        const NEAR: f64 = 1e-3;
        let (features, targets) = data();
        let apart = Head::fit(&features, &targets, &settings(), None).unwrap();
        // Dense features are fitted with all labels together, but their mean is taken off; left as
        // they are, both forms are one problem.
        let unscaled = HeadSettings {
            scaling: super::super::Scaling::None,
            ..settings()
        };
        let sparse = Head::fit(&features, &targets, &unscaled, None).unwrap();
        let dense = super::super::DenseRows::new(features.to_dense(), features.dim()).unwrap();
        let dense = Head::fit(&Features::Dense(dense), &targets, &unscaled, None).unwrap();
        assert_eq!(
            (apart.stop, sparse.stop, dense.stop),
            (Stop::Converged, Stop::Converged, Stop::Converged)
        );
        assert!((sparse.objective - dense.objective).abs() < 1e-9 * dense.objective);
        for k in 0..targets.num_classes() {
            for j in 0..features.dim() {
                let (a, b) = (
                    sparse.classifier.weight[(k, j)],
                    dense.classifier.weight[(k, j)],
                );
                assert!((a - b).abs() < NEAR, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_break_ends_every_group() {
        let (features, targets) = data();
        let mut calls = 0;
        let head = Head::fit_with(&features, &targets, &settings(), None, |progress| {
            calls += 1;
            assert!(progress.objective > 0.0);
            if calls == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
        assert_eq!(head.stop, Stop::Interrupted);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (features, targets) = data();
        let fit = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(num_threads)
                .build()
                .unwrap();
            pool.install(|| Head::fit(&features, &targets, &settings(), None).unwrap())
        };
        let (one, three) = (fit(1), fit(3));
        assert_eq!(one.classifier, three.classifier);
    }
}
