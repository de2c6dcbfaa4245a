//! Objectives that are a sum over labels, on sparse features: minimised label by label.

mod machine;
mod real;
mod sweep;
mod terms;
mod vectors;

use std::ops::ControlFlow;
use std::sync::Mutex;

use rayon::prelude::*;

use self::machine::{Job, Machine};
use self::real::Real;
use self::sweep::Sweep;
use self::terms::Terms;
use super::features::SparseRows;
use super::objective::Objective;
use super::{HeadSettings, Progress};
use crate::minimize::{Minimum, Stop};

/// Labels rarer than this against the most frequent one need no smaller gradient.
const SMALLEST_SHARE: f64 = 1e-2;

/// Minimises a separable objective, each label to the gradient tolerance times its share against
/// the most frequent one: the gradients of a rare label are small from the start, and would pass
/// for converged.
///
/// Sixteen labels go side by side through f32 arithmetic, each with steps of its own; a label that
/// is done makes room for the next. Then each is evaluated in f64, and goes on in f64 if its
/// gradient is not as small as was asked for: value and gradient of the answer are those of f64.
/// A label's numbers depend on nothing but that label, so that neither the number of threads nor
/// the other labels change them.
///
/// The steps of the answer are those of the longest label. `progress` sees the sum of all
/// objectives as far as they have come.
pub(super) fn minimize(
    objective: &Objective<'_>,
    features: &SparseRows,
    settings: &HeadSettings,
    parameters: &mut [f64],
    progress: impl FnMut(&Progress) -> ControlFlow<()> + Send,
) -> Minimum {
    let jobs = jobs(objective, settings.gradient_tolerance, parameters);
    let board = Mutex::new(Board {
        minima: vec![None; jobs.len()],
        progress,
        is_stopped: false,
    });
    let run = Run {
        objective,
        features,
        inverse_curvatures: objective.mean_inverse_curvatures(),
        max_iterations: settings.max_iterations,
        board: &board,
    };
    let rough = run.fit::<f32, 16>(jobs);
    let mut fits = run.fit::<f64, 8>(rough);
    fits.sort_by_key(|job| job.label);
    parameters
        .par_chunks_mut(fits.len())
        .enumerate()
        .for_each(|(row, numbers)| {
            for (number, job) in numbers.iter_mut().zip(&fits) {
                *number = job.parameters[row];
            }
        });
    let is_stopped = lock(&board).is_stopped;
    let mut minimum = total(fits.iter().map(|job| &job.minimum));
    if is_stopped {
        minimum.stop = Stop::Interrupted;
    }
    minimum
}

/// Labels from frequent to rare: those that take most steps come first.
fn jobs(objective: &Objective<'_>, tolerance: f64, parameters: &[f64]) -> Vec<Job> {
    let num_classes = objective.num_classes();
    let shares = objective.label_shares();
    let most = shares.iter().copied().fold(0.0, f64::max);
    let mut samples = vec![Vec::new(); num_classes];
    for (sample, set) in (0..).zip(objective.targets.iter()) {
        set.indices().for_each(|label| samples[label].push(sample));
    }
    let job = |(label, samples): (usize, Vec<u32>)| {
        let relative = match most {
            0.0 => 1.0,
            most => (shares[label] / most).max(SMALLEST_SHARE),
        };
        let own = parameters.iter().skip(label).step_by(num_classes);
        Job {
            label,
            samples,
            share: shares[label],
            class_weight: objective.class_weight(label),
            gradient_tolerance: relative * tolerance,
            parameters: own.copied().collect(),
            minimum: NOTHING,
        }
    };
    let mut jobs: Vec<Job> = samples.into_par_iter().enumerate().map(job).collect();
    jobs.sort_by(|a, b| b.share.total_cmp(&a.share));
    jobs
}

/// What all labels share.
struct Run<'a, P> {
    objective: &'a Objective<'a>,
    features: &'a SparseRows,
    inverse_curvatures: Vec<f64>, // [d + 1]
    max_iterations: usize,
    board: &'a Mutex<Board<P>>,
}

impl<P: FnMut(&Progress) -> ControlFlow<()> + Send> Run<'_, P> {
    /// Fits every label in T, with a machine for each thread.
    fn fit<T: Real, const L: usize>(&self, jobs: Vec<Job>) -> Vec<Job> {
        let objective = self.objective;
        let sweep = Sweep::<T>::new(
            self.features,
            Terms::new(objective.loss()).expect("a sum over labels"),
            objective.sample_weights(),
            objective.weight_decay,
        );
        let num_machines = jobs.len().div_ceil(L).min(rayon::current_num_threads());
        let queue = Mutex::new(jobs.into_iter());
        let work = |_| {
            let mut machine =
                Machine::<T, L>::new(&sweep, &self.inverse_curvatures, self.max_iterations);
            let mut fits = Vec::new();
            machine.run(
                || lock(&queue).next(),
                |moved| lock(self.board).show(moved),
                |job| fits.push(job),
            );
            fits
        };
        let machines = (0..num_machines).into_par_iter().with_max_len(1);
        machines.flat_map_iter(work).collect()
    }
}

/// How far every label has come.
struct Board<P> {
    minima: Vec<Option<Minimum>>,
    progress: P,
    /// Whether `progress` has ended the fit.
    is_stopped: bool,
}

impl<P: FnMut(&Progress) -> ControlFlow<()>> Board<P> {
    fn show(&mut self, moved: &[(usize, Minimum)]) -> ControlFlow<()> {
        if self.is_stopped {
            return ControlFlow::Break(());
        }
        for (label, minimum) in moved {
            self.minima[*label] = Some(*minimum);
        }
        if moved.is_empty() {
            return ControlFlow::Continue(());
        }
        let total = total(self.minima.iter().flatten());
        let seen = (self.progress)(&Progress {
            iterations: total.iterations,
            objective: total.value,
            gradient_norm: total.gradient_norm,
        });
        self.is_stopped = seen.is_break();
        seen
    }
}

/// Before the first evaluation.
const NOTHING: Minimum = Minimum {
    value: 0.0,
    gradient_norm: 0.0,
    iterations: 0,
    evaluations: 0,
    hessian_products: 0,
    stop: Stop::Converged,
};

/// The sum of all values, the largest gradient, the steps of the longest label and why the worst
/// has ended.
fn total<'a>(minima: impl Iterator<Item = &'a Minimum>) -> Minimum {
    let worse = |a: Stop, b: Stop| match (a, b) {
        (Stop::Converged, other) | (other, Stop::Converged) => other,
        (Stop::Interrupted, _) | (_, Stop::Interrupted) => Stop::Interrupted,
        (first, _) => first,
    };
    minima.fold(NOTHING, |all, one| Minimum {
        value: all.value + one.value,
        gradient_norm: all.gradient_norm.max(one.gradient_norm),
        iterations: all.iterations.max(one.iterations),
        evaluations: all.evaluations + one.evaluations,
        hessian_products: 0,
        stop: worse(all.stop, one.stop),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::{ClassWeights, Features, Head, HeadSettings, SparseRows};
    use super::*;
    use crate::Targets;
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
