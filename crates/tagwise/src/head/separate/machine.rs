//! L-BFGS on several labels side by side, each on its own.

use std::ops::ControlFlow;

use super::real::Real;
use super::sweep::{Seen, Sweep, Truth};
use super::vectors::{History, Lanes};
use crate::kernel::vectorized;
use crate::minimize::{LineSearch, Minimum, Sample, Stop, Verdict};

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 10;

/// Steps without a smaller value after which rounding is all that is left.
const STALLED: usize = 10;

/// A label to fit.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) label: usize,
    /// The samples that have it.
    pub(super) samples: Vec<u32>,
    /// Their weights, against all.
    pub(super) share: f64,
    pub(super) class_weight: f64,
    pub(super) gradient_tolerance: f64,
    /// Where to start, `[d + 1]`, and at last where the fit ended.
    pub(super) parameters: Vec<f64>,
    pub(super) minimum: Minimum,
}

/// A job under way.
struct Lane {
    job: Job,
    gradient_tolerance: f64,
    /// None before the first evaluation.
    search: Option<LineSearch>,
    step: f64,
    steps: usize,
    least: f64,
    stalled: usize,
}

/// Fits `L` labels at a time. A label's numbers never meet those of another, so that its fit does
/// not depend on which labels are beside it.
pub(super) struct Machine<'a, T, const L: usize> {
    sweep: &'a Sweep<'a, T>,
    max_iterations: usize,
    lanes: [Option<Lane>; L],
    truth: Truth<T, L>,
    history: History<T, L>,
    point: Vec<Lanes<T, L>>,
    gradient: Vec<Lanes<T, L>>,
    trial: Vec<Lanes<T, L>>,
    trial_gradient: Vec<Lanes<T, L>>,
    direction: Vec<Lanes<T, L>>,
    work: Vec<Lanes<T, L>>,
    slopes: Vec<Lanes<T, L>>, // [N]
}

/// What becomes of a lane after an evaluation.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It has gone to the trial point.
    Moved,
    /// It waits for another trial.
    Waits,
    /// It starts again from its point without its history.
    Restarts,
    Ends(Stop),
}

impl<'a, T: Real, const L: usize> Machine<'a, T, L> {
    /// `inverse_curvatures` `[d + 1]` is a rough inverse of the curvature of each parameter.
    pub(super) fn new(
        sweep: &'a Sweep<'a, T>,
        inverse_curvatures: &[f64],
        max_iterations: usize,
    ) -> Self {
        let vector = || vec![Lanes::default(); sweep.dim() + 1];
        let inverse_curvatures = inverse_curvatures.iter().map(|&d| T::of(d)).collect();
        Self {
            sweep,
            max_iterations,
            lanes: [const { None }; L],
            truth: Truth {
                positives: vec![0; sweep.num_samples()],
                class_weights: [T::ONE; L],
            },
            history: History::new(MEMORY, inverse_curvatures),
            point: vector(),
            gradient: vector(),
            trial: vector(),
            trial_gradient: vector(),
            direction: vector(),
            work: vector(),
            slopes: vec![Lanes::default(); sweep.num_samples()],
        }
    }

    /// Fits labels as long as `next` has some and gives them to `done`. `watch` sees every label
    /// that has moved and ends the fit.
    pub(super) fn run(
        &mut self,
        next: impl Fn() -> Option<Job>,
        mut watch: impl FnMut(&[(usize, Minimum)]) -> ControlFlow<()>,
        mut done: impl FnMut(Job),
    ) {
        for lane in 0..L {
            self.load(lane, next());
        }
        while self.lanes.iter().any(Option::is_some) {
            let seen = self.sweep.evaluate(
                &self.trial,
                &self.direction,
                &self.truth,
                &mut self.slopes,
                &mut self.trial_gradient,
            );
            let mut fates = self.judge(&seen);
            self.go(&mut fates);
            let moved = fates.iter().zip(&self.lanes);
            let moved: Vec<(usize, Minimum)> = moved
                .filter(|(fate, _)| !matches!(fate, Fate::Waits | Fate::Restarts))
                .filter_map(|(_, lane)| lane.as_ref())
                .map(|lane| (lane.job.label, lane.job.minimum))
                .collect();
            if watch(&moved).is_break() {
                fates = [Fate::Ends(Stop::Interrupted); L];
            }
            for lane in 0..L {
                if let Fate::Ends(stop) = fates[lane]
                    && let Some(job) = self.unload(lane, stop)
                {
                    done(job);
                    self.load(lane, next());
                }
            }
            self.aim(&fates);
        }
    }

    /// What the evaluation at the trial point means for each lane.
    fn judge(&mut self, seen: &Seen<L>) -> [Fate; L] {
        let mut fates = [Fate::Waits; L];
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = lane else { continue };
            let (value, largest) = (seen.values[index], seen.largest[index]);
            lane.job.minimum.evaluations += 1;
            let verdict = match &mut lane.search {
                None if value.is_finite() && largest.is_finite() => Verdict::Accept,
                None => Verdict::Fail,
                Some(search) => search.judge(Sample {
                    step: lane.step,
                    value,
                    slope: seen.slopes[index],
                }),
            };
            fates[index] = match verdict {
                Verdict::Accept => {
                    lane.accept(value, largest, T::ROUNDING);
                    Fate::Moved
                }
                Verdict::Try(step) => {
                    lane.step = step;
                    Fate::Waits
                }
                Verdict::Fail if lane.search.is_none() => {
                    lane.accept(value, largest, T::ROUNDING);
                    Fate::Ends(Stop::NotFinite)
                }
                Verdict::Fail if self.history.is_empty(index) => Fate::Ends(Stop::Precision),
                Verdict::Fail => Fate::Restarts,
            };
        }
        fates
    }

    /// Moves the lanes that have found a step, and finds those that are done with it.
    fn go(&mut self, fates: &mut [Fate; L]) {
        let moved = fates.map(|fate| fate == Fate::Moved);
        let mut first = [false; L];
        for (first, lane) in first.iter_mut().zip(&self.lanes) {
            *first = lane.as_ref().is_some_and(|lane| lane.search.is_none());
        }
        self.history.push(
            &moved,
            &first,
            (&mut self.point, &self.trial),
            (&mut self.gradient, &self.trial_gradient),
        );
        for (fate, lane) in fates.iter_mut().zip(&self.lanes) {
            if let (Fate::Moved, Some(lane)) = (*fate, lane)
                && let Some(stop) = lane.end(self.max_iterations)
            {
                *fate = Fate::Ends(stop);
            }
        }
    }

    /// Directions for the lanes that want one, and the next trial points.
    fn aim(&mut self, fates: &[Fate; L]) {
        let mut wanted = [false; L];
        for lane in 0..L {
            wanted[lane] = matches!(fates[lane], Fate::Moved | Fate::Restarts);
            if fates[lane] == Fate::Restarts {
                self.history.clear(lane);
            }
        }
        while wanted.contains(&true) {
            let slopes =
                self.history
                    .descend(&self.gradient, &wanted, &mut self.work, &mut self.direction);
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let Some(lane) = lane.as_mut().filter(|_| wanted[index]) else {
                    continue;
                };
                let (slope, is_first) = (slopes[index], self.history.is_empty(index));
                if is_first || slope < 0.0 {
                    lane.step = match is_first {
                        true => 1.0 / (-slope).sqrt().max(1.0),
                        false => 1.0,
                    };
                    lane.search = Some(LineSearch::new(lane.job.minimum.value, slope, T::ROUNDING));
                    wanted[index] = false;
                } else {
                    self.history.clear(index);
                }
            }
        }
        let steps = self.steps();
        vectorized(
            #[inline(always)]
            || {
                let points = self.point.iter().zip(&self.direction);
                for (trial, (point, direction)) in self.trial.iter_mut().zip(points) {
                    for lane in 0..L {
                        trial.0[lane] = point.0[lane] + steps[lane] * direction.0[lane];
                    }
                }
            },
        );
    }

    fn steps(&self) -> [T; L] {
        let mut steps = [T::default(); L];
        for (step, lane) in steps.iter_mut().zip(&self.lanes) {
            if let Some(Lane {
                search: Some(_),
                step: own,
                ..
            }) = lane
            {
                *step = T::of(*own);
            }
        }
        steps
    }

    /// Puts a job into a lane that is free.
    fn load(&mut self, lane: usize, job: Option<Job>) {
        let Some(job) = job else { return };
        for (point, &parameter) in self.point.iter_mut().zip(&job.parameters) {
            point.0[lane] = T::of(parameter);
        }
        for (trial, point) in self.trial.iter_mut().zip(&self.point) {
            trial.0[lane] = point.0[lane];
        }
        for direction in &mut self.direction {
            direction.0[lane] = T::default();
        }
        self.truth
            .positives
            .iter_mut()
            .for_each(|bits| *bits &= !(1 << lane));
        for &sample in &job.samples {
            self.truth.positives[sample as usize] |= 1 << lane;
        }
        self.truth.class_weights[lane] = T::of(job.class_weight);
        self.history.clear(lane);
        self.lanes[lane] = Some(Lane {
            gradient_tolerance: T::attainable(job.gradient_tolerance, job.share),
            job,
            search: None,
            step: 0.0,
            steps: 0,
            least: f64::INFINITY,
            stalled: 0,
        });
    }

    /// Takes the job out of a lane. A label that has not moved keeps the parameters it came with.
    fn unload(&mut self, index: usize, stop: Stop) -> Option<Job> {
        let mut lane = self.lanes[index].take()?;
        if lane.steps > 0 {
            for (parameter, point) in lane.job.parameters.iter_mut().zip(&self.point) {
                *parameter = point.0[index].wide();
            }
        }
        lane.job.minimum.stop = stop;
        Some(lane.job)
    }
}

impl Lane {
    /// The lane goes to a point with this value and gradient.
    fn accept(&mut self, value: f64, largest: f64, rounding: f64) {
        if self.search.is_some() {
            self.steps += 1;
            self.job.minimum.iterations += 1;
        }
        self.job.minimum.value = value;
        self.job.minimum.gradient_norm = largest;
        if value < self.least - rounding * self.least.abs() || self.least.is_infinite() {
            self.least = value;
            self.stalled = 0;
        } else {
            self.stalled += 1;
        }
    }

    /// Whether and why the fit ends at its point.
    fn end(&self, max_iterations: usize) -> Option<Stop> {
        let minimum = &self.job.minimum;
        if minimum.gradient_norm <= self.gradient_tolerance {
            Some(Stop::Converged)
        } else if minimum.iterations >= max_iterations {
            Some(Stop::IterationLimit)
        } else if self.stalled >= STALLED {
            Some(Stop::Precision)
        } else {
            None
        }
    }
}
