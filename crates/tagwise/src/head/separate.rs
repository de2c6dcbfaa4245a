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
use super::objective::Objective;
use super::sparse::SparseRows;
use super::{FitProgress, HeadSettings};
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
    progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
) -> Minimum {
    let jobs = jobs(objective, settings.gradient_tolerance, parameters);
    let board = Mutex::new(Board {
        minima: vec![None; jobs.len()],
        weight_decay: settings.weight_decay,
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
    let shares = objective.losses.label_shares();
    let most = shares.iter().copied().fold(0.0, f64::max);
    let mut samples = vec![Vec::new(); num_classes];
    for (sample, set) in (0..).zip(objective.targets().iter()) {
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
            class_weight: objective.losses.class_weight(label),
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

impl<P: FnMut(&FitProgress) -> ControlFlow<()> + Send> Run<'_, P> {
    /// Fits every label in T, with a machine for each thread.
    fn fit<T: Real, const L: usize>(&self, jobs: Vec<Job>) -> Vec<Job> {
        let objective = self.objective;
        let sweep = Sweep::<T>::new(
            (self.features, objective.scale.factors()),
            Terms::new(objective.loss()).expect("a sum over labels"),
            objective.losses.sample_weights(),
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
    weight_decay: f64,
    progress: P,
    /// Whether `progress` has ended the fit.
    is_stopped: bool,
}

impl<P: FnMut(&FitProgress) -> ControlFlow<()>> Board<P> {
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
        let seen = (self.progress)(&FitProgress {
            weight_decay: self.weight_decay,
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
    use super::super::{
        ClassWeights, DenseRows, Features, Head, HeadSettings, Scaling, SparseRows,
    };
    use super::*;
    use crate::loss::Loss;
    use crate::matrix::as_faer;
    use crate::{LabelSet, Targets};

    /// Of 160 samples with 12 features, some without any, and a feature that none has.
    fn data(num_classes: u32) -> (Features, Targets) {
        let (n, dim) = (160u32, 12u32);
        let value = |i: u32, j: u32| ((i * 31 + j * 17) % 23) as f64 / 23.0;
        let rows = (0..n).map(|i| {
            (0..dim - 1)
                .filter(move |j| (i + 5 * j) % 4 == 0 && i % 7 != 3)
                .map(move |j| (j, value(i, j)))
        });
        let features = Features::Sparse(SparseRows::new(dim as usize, rows).unwrap());
        let sets = (0..n).map(|i| {
            (0..num_classes)
                .filter(|k| (i * (k + 3) + k) % 9 < 2)
                .collect::<LabelSet>()
        });
        (features, Targets::new(num_classes as usize, sets).unwrap())
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

    fn losses() -> [Loss; 3] {
        [
            Loss::BinaryCrossEntropy {},
            Loss::Focal { gamma: 1.5 },
            Loss::Asymmetric {
                gamma_positive: 0.0,
                gamma_negative: 2.0,
                margin: 0.05,
            },
        ]
    }

    #[test]
    fn labels_on_their_own_and_all_labels_together_have_the_same_minimum() {
        /// The gradients of both are below 1e-7 and the curvature above 2e-3.
        const NEAR: f64 = 1e-3;
        for (num_classes, balance) in [(1, 0.0), (7, 0.0), (16, 0.5), (21, 1.0)] {
            let (features, targets) = data(num_classes);
            // Dense features are fitted with all labels together, after their mean is taken off.
            let settings = HeadSettings {
                balance,
                ..settings()
            };
            let sparse = Head::fit(&features, &targets, &settings, None).unwrap();
            let dense = DenseRows::new(features.to_dense(), features.dim()).unwrap();
            let dense = Head::fit(&Features::Dense(dense), &targets, &settings, None).unwrap();
            assert_eq!(
                (sparse.stop, dense.stop),
                (Stop::Converged, Stop::Converged)
            );
            assert!((sparse.objective - dense.objective).abs() < 1e-9 * dense.objective);
            let difference = as_faer(&sparse.classifier.weight) - as_faer(&dense.classifier.weight);
            assert!(difference.norm_max() < NEAR, "{num_classes} labels");
        }
    }

    #[test]
    fn the_objective_is_that_of_the_definition() {
        for loss in losses() {
            let (features, targets) = data(19);
            let settings = HeadSettings {
                loss,
                scaling: Scaling::None,
                class_weights: ClassWeights::Uniform,
                // Met by f32 alone for most labels.
                gradient_tolerance: 1e-4,
                ..settings()
            };
            let head = Head::fit(&features, &targets, &settings, None).unwrap();
            assert_eq!(head.stop, Stop::Converged, "{loss:?}");
            assert!(head.gradient_norm <= settings.gradient_tolerance);
            let logits = head.logits(&features).unwrap();
            let mut slopes = vec![0.0; 19];
            let rows = logits.chunks(19).zip(targets.iter());
            let total: f64 = rows
                .map(|(row, set)| loss.of_sample(row, set, &mut slopes))
                .sum();
            let squares = as_faer(&head.classifier.weight).squared_norm_l2();
            let objective = total / targets.len() as f64 + settings.weight_decay * squares;
            assert!(
                (objective - head.objective).abs() < 1e-12 * objective,
                "{loss:?}"
            );
        }
    }

    #[test]
    fn features_too_large_for_f32_are_fitted_in_f64() {
        let rows = (0..40u32).map(|i| [(0, 1e60 * f64::from(i % 5)), (1, f64::from(i % 3))]);
        let features = Features::Sparse(SparseRows::new(2, rows).unwrap());
        let sets = (0..40u32).map(|i| LabelSet::new((i % 3 == 0).then_some(0)));
        let targets = Targets::new(1, sets).unwrap();
        let head = Head::fit(&features, &targets, &settings(), None).unwrap();
        assert_eq!(head.stop, Stop::Converged);
        let unscaled = HeadSettings {
            scaling: Scaling::None,
            ..settings()
        };
        let head = Head::fit(&features, &targets, &unscaled, None).unwrap();
        assert!(head.objective.is_finite() && head.gradient_norm.is_finite());
    }

    #[test]
    fn a_start_at_the_minimum_is_kept_bit_by_bit() {
        let (features, targets) = data(9);
        let head = Head::fit(&features, &targets, &settings(), None).unwrap();
        let again = Head::fit(&features, &targets, &settings(), Some(&head)).unwrap();
        assert_eq!(again.iterations, 0);
        assert_eq!(again.classifier, head.classifier);
    }

    #[test]
    fn a_break_ends_every_label() {
        let (features, targets) = data(21);
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
        assert_eq!(calls, 4);
        assert_eq!(head.classifier.num_classes(), 21);
    }

    #[test]
    fn neither_threads_nor_other_labels_change_a_bit() {
        let (features, targets) = data(21);
        for loss in losses() {
            let settings = HeadSettings { loss, ..settings() };
            let fit = |num_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads);
                let fit = || Head::fit(&features, &targets, &settings, None).unwrap();
                pool.build().unwrap().install(fit)
            };
            let (one, two, three) = (fit(1), fit(2), fit(3));
            assert_eq!(one.classifier, two.classifier, "{loss:?}");
            assert_eq!(one.classifier, three.classifier, "{loss:?}");
            assert_eq!(one.objective, three.objective);
        }
    }
}
