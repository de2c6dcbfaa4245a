//! The weight decay of least loss on held-out samples.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{FitProgress, Head, HeadSettings, LabelledFeatures, Scaling};
use crate::loss::set_likelihood::MultiplicityPotentials;
use crate::minimize::Stop;
use crate::{Error, Result};

/// Which weight decays are tried, and when the search ends.
///
/// They are tried in order, each from the head before, until the loss has not fallen below the
/// least so far for some of them in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct WeightDecaySearch {
    /// The candidates, from the largest: small ones take longest, and are seldom reached.
    pub weight_decays: Vec<f64>,
    /// Weight decays without a new least loss after which smaller ones are not tried.
    pub patience: usize,
    /// Largest entry of the gradient of a head that is only compared with others, unless the
    /// settings ask for less.
    pub gradient_tolerance: f64,
    /// Scalings of the features to compare; that of the settings when there is none. The weight
    /// decays tried are those above times the mean square of the scaled features.
    pub scalings: Vec<Scaling>,
    /// Potentials of multiplicities to compare, for the set likelihood; those of the settings when
    /// there are none.
    pub multiplicities: Vec<MultiplicityPotentials>,
    /// Standard deviations of the potentials of seen label sets to compare, beside none of them, for
    /// the set likelihood: λ_θ = 1/(2Nσ²). What the settings say when there is none.
    pub seen_set_deviations: Vec<f64>,
}

impl Default for WeightDecaySearch {
    fn default() -> Self {
        Self {
            weight_decays: vec![3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4],
            patience: 2,
            gradient_tolerance: 1e-3,
            scalings: vec![Scaling::Standardise, Scaling::None, Scaling::Maximum],
            multiplicities: vec![
                MultiplicityPotentials::Constant,
                MultiplicityPotentials::Linear,
            ],
            seen_set_deviations: vec![0.5, 1.0, 2.0, 4.0],
        }
    }
}

/// A weight decay that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedWeightDecay {
    /// The weight decay.
    pub weight_decay: f64,
    /// The mean loss of its head on the samples held out.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
}

/// JSON has no NaN and no infinity: a loss that was none is written as null.
fn finite_or_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct WeightDecayChoice {
    /// All that were tried, in order.
    pub tried: Vec<TriedWeightDecay>,
    /// The one of least loss; of equals the first.
    pub weight_decay: f64,
    /// Its head, which has not seen the samples held out.
    pub head: Head,
}

impl WeightDecaySearch {
    /// Fits with each weight decay and keeps the one of least mean loss on the samples held out.
    ///
    /// `settings` says everything but the weight decay; [`FittedHead::fit`](super::FittedHead::fit)
    /// compares the rest too.
    ///
    /// # Errors
    /// As [`Head::fit`]; [`Error::Missing`] without a candidate, [`Error::Interrupted`] when
    /// `progress` ends the search.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use tagwise::head::{
    ///     DenseRows, Features, HeadSettings, LabelledFeatures, WeightDecaySearch,
    /// };
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let features = Features::Dense(DenseRows::new(vec![1.0, 0.0, 0.0, 1.0], 2)?);
    /// let targets = Targets::new(2, [LabelSet::new([0]), LabelSet::new([1])])?;
    /// let samples = LabelledFeatures::new(&features, &targets)?;
    /// let choice = WeightDecaySearch::default().run(
    ///     samples, samples, &HeadSettings::default(), |_| ControlFlow::Continue(()))?;
    /// assert_eq!(choice.weight_decay, 1e-4); // on the samples themselves less is always better
    /// assert_eq!(choice.tried.len(), 8);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn run(
        &self,
        fitting: LabelledFeatures<'_>,
        held_out: LabelledFeatures<'_>,
        settings: &HeadSettings,
        mut progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<WeightDecayChoice> {
        let mut tried: Vec<TriedWeightDecay> = Vec::new();
        let mut last: Option<Head> = None;
        let mut best: Option<(TriedWeightDecay, Head)> = None;
        for &weight_decay in &self.weight_decays {
            let settings = HeadSettings {
                weight_decay,
                gradient_tolerance: settings.gradient_tolerance.max(self.gradient_tolerance),
                ..settings.clone()
            };
            let (features, targets) = (fitting.features(), fitting.targets());
            let head = Head::fit_with(features, targets, &settings, last.as_ref(), &mut progress)?;
            if head.stop == Stop::Interrupted {
                return Err(Error::Interrupted);
            }
            let loss = head.mean_loss(held_out, &settings)?;
            let this = TriedWeightDecay { weight_decay, loss };
            tried.push(this);
            if best.as_ref().is_none_or(|(best, _)| loss < best.loss) {
                best = Some((this, head.clone()));
            }
            last = Some(head);
            if self.is_over(&tried) {
                break;
            }
        }
        let (best, head) = best.ok_or(Error::Missing {
            what: "a weight decay to try",
            purpose: "the search of the weight decay",
        })?;
        Ok(WeightDecayChoice {
            tried,
            weight_decay: best.weight_decay,
            head,
        })
    }

    fn is_over(&self, tried: &[TriedWeightDecay]) -> bool {
        let least = tried.iter().map(|t| t.loss).fold(f64::INFINITY, f64::min);
        let since = tried.iter().rev().take_while(|t| t.loss > least).count();
        since >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{DenseRows, Features};
    use crate::{LabelSet, Targets};

    fn samples(num_samples: u32, flipped: u32) -> (Features, Targets) {
        let values = (0..num_samples).flat_map(|i| {
            let wiggle = |j: u32| f64::from((i * 7 + j * 5) % 11) / 11.0;
            [f64::from(i % 2) + wiggle(0), wiggle(1), wiggle(2)]
        });
        let features = DenseRows::new(values.collect(), 3).unwrap();
        let sets = (0..num_samples).map(|i| LabelSet::new([(i % 2) ^ u32::from(i % 10 < flipped)]));
        let targets = Targets::new(2, sets).unwrap();
        (Features::Dense(features), targets)
    }

    fn run(search: &WeightDecaySearch) -> WeightDecayChoice {
        let (fitting, testing) = (samples(30, 3), samples(50, 0));
        let pair = |(features, targets)| LabelledFeatures::new(features, targets).unwrap();
        let fitting = pair((&fitting.0, &fitting.1));
        let testing = pair((&testing.0, &testing.1));
        let settings = HeadSettings::default();
        search
            .run(fitting, testing, &settings, |_| ControlFlow::Continue(()))
            .unwrap()
    }

    #[test]
    fn the_weight_decay_of_least_loss_wins_and_the_search_ends_after_two_rises() {
        let choice = run(&WeightDecaySearch::default());
        let least = choice
            .tried
            .iter()
            .min_by(|a, b| a.loss.total_cmp(&b.loss))
            .unwrap();
        assert_eq!(choice.weight_decay, least.weight_decay);
        let position = choice
            .tried
            .iter()
            .position(|t| t.weight_decay == least.weight_decay)
            .unwrap();
        assert!(position + 3 == choice.tried.len() || choice.tried.len() == 8);
        let patient = WeightDecaySearch {
            patience: usize::MAX,
            ..WeightDecaySearch::default()
        };
        assert_eq!(run(&patient).tried.len(), 8);
    }

    #[test]
    fn a_search_without_candidates_or_stopped_is_an_error() {
        let (features, targets) = samples(10, 0);
        let samples = LabelledFeatures::new(&features, &targets).unwrap();
        let none = WeightDecaySearch {
            weight_decays: Vec::new(),
            ..WeightDecaySearch::default()
        };
        let run = |search: &WeightDecaySearch, flow: ControlFlow<()>| {
            let choice = search.run(samples, samples, &HeadSettings::default(), |_| flow);
            choice.unwrap_err()
        };
        insta::assert_snapshot!(run(&none, ControlFlow::Continue(())), @"the search of the weight decay needs a weight decay to try, found none");
        let stopped = run(&WeightDecaySearch::default(), ControlFlow::Break(()));
        assert!(matches!(stopped, Error::Interrupted));
    }
}
