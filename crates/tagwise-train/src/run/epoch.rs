//! One pass over the training set.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Event, Run, Step};
use crate::engine::Epoch;
use crate::{Error, Result};

/// What an epoch of steps came to.
pub(super) struct Learned {
    begin: Instant,
    loss_sum: f64,
    images: usize,
    pub(super) steps: usize,
    /// Of the last step.
    pub(super) learning_rate: f64,
}

impl Learned {
    fn begin() -> Self {
        Self {
            begin: Instant::now(),
            loss_sum: 0.0,
            images: 0,
            steps: 0,
            learning_rate: 0.0,
        }
    }

    fn add(&mut self, loss: f64, images: usize, learning_rate: f64) {
        self.loss_sum += loss * images as f64;
        self.images += images;
        self.steps += 1;
        self.learning_rate = learning_rate;
    }

    /// Mean loss while the weights moved.
    pub(super) fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    pub(super) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.begin.elapsed().as_secs_f64()
    }
}

impl Run {
    /// Makes the steps of an epoch; `None` when an observer asked to stop.
    pub(super) fn learn(
        &mut self,
        epoch: usize,
        clock: &Clock,
        observe: &mut dyn FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Learned>> {
        let training = &self.experiment.training;
        let objective = self.experiment.objective();
        let order = batch_order(self.data.train.len(), self.experiment.seed, epoch);
        let steps = order.len().div_ceil(training.batch_size);
        let rate = |step| training.learning_rate_at(step, training.epochs * steps);
        let learning_rates: Vec<f64> = ((epoch - 1) * steps..epoch * steps).map(rate).collect();
        let plan = Epoch {
            data: &self.data,
            order: &order,
            batch_size: training.batch_size,
            learning_rates: &learning_rates,
            objective: &objective,
        };
        let mut planned = plan.steps();
        let mut learned = Learned::begin();
        let mut flow = ControlFlow::Continue(());
        let mut report = |losses: &[f64]| {
            for (&loss, (indices, learning_rate)) in losses.iter().zip(&mut planned) {
                learned.add(loss, indices.len(), learning_rate);
                if !loss.is_finite() {
                    flow = ControlFlow::Break(Some(loss));
                    return ControlFlow::Break(());
                }
                let event = Event::Step(Step {
                    epoch,
                    epochs: training.epochs,
                    step: learned.steps,
                    steps,
                    loss,
                    mean_loss: learned.loss(),
                    learning_rate,
                    images_per_second: learned.images_per_second(),
                    remaining: clock.remaining(epoch, learned.steps as f64 / steps as f64),
                });
                if observe(&event).is_break() {
                    flow = ControlFlow::Break(None);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        self.engine.learn(plan, &mut report)?;
        match flow {
            ControlFlow::Continue(()) => Ok(Some(learned)),
            ControlFlow::Break(None) => Ok(None),
            ControlFlow::Break(Some(loss)) => Err(diverged(loss, epoch, &learned)),
        }
    }
}

/// The loss, or what was measured after an epoch, is no number in the last of its steps.
pub(super) fn diverged(loss: f64, epoch: usize, learned: &Learned) -> Error {
    Error::Diverged {
        epoch,
        step: learned.steps,
        loss,
        learning_rate: learned.learning_rate,
        last_epoch: epoch - 1,
    }
}

/// Estimates the time to the end from the epochs trained since the start or resumption.
pub(super) struct Clock {
    begin: Instant,
    epochs: Range<usize>,
}

impl Clock {
    pub(super) fn new(epochs: Range<usize>) -> Self {
        Self {
            begin: Instant::now(),
            epochs,
        }
    }

    fn remaining(&self, epoch: usize, share_of_epoch: f64) -> Duration {
        let done = (epoch - self.epochs.start) as f64 + share_of_epoch;
        let left = (self.epochs.end - epoch) as f64 - share_of_epoch;
        self.begin.elapsed().mul_f64((left / done).max(0.0))
    }
}

/// The order in which an epoch visits the samples: a function of seed and epoch alone, so that a
/// resumed run goes on exactly as the uninterrupted one.
fn batch_order(num_samples: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..num_samples).collect();
    order.shuffle(&mut rng);
    order
}
