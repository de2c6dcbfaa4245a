//! Linear heads on given features: the classifier of a frozen backbone, fitted to a stated
//! optimality.
//!
//! [`Head::fit`] fits one head. [`FittedHead::fit`] is the whole workflow: it chooses the weight
//! decay on held-out samples ([`WeightDecaySearch`]), fits to all of them and keeps what the head
//! is together with the head, as a file or as bytes.

mod alternatives;
mod features;
mod fitted;
mod held_out;
mod labelled;
mod logits;
mod objective;
mod potentials;
mod scale;
mod search;
mod separate;
mod settings;
mod source;
mod sparse;
mod stochastic;
mod weights;

use std::ops::ControlFlow;

pub use alternatives::{SettingsChoice, TriedSettings};
pub use features::{DenseRows, Features};
pub use fitted::{FitOutcome, FittedHead, HeadDescription, WeightDecay};
pub(crate) use fitted::{push_classifier, read_classifier};
pub use held_out::{HeldOut, Parts};
pub use labelled::LabelledFeatures;
pub use logits::{LogitMap, centre_logits, logits};
pub use potentials::HeadPotentials;
pub use search::{TriedWeightDecay, WeightDecayChoice, WeightDecaySearch};
pub use settings::{HeadKind, HeadSettings, Optimizer, Scaling, Stochastic};
pub use sparse::SparseRows;
pub use weights::ClassWeights;

use self::objective::Objective;
use self::source::Source;
use crate::minimize::{Lbfgs, Minimum, Stop};
use crate::{Error, LinearClassifier, Result, Targets};

/// The state of a fit after a step, or after a pass over the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitProgress {
    /// The weight decay that is fitted with: a search goes through several.
    pub weight_decay: f64,
    /// Steps of L-BFGS, or passes over the samples.
    pub iterations: usize,
    /// The objective.
    pub objective: f64,
    /// The largest entry of its gradient.
    pub gradient_norm: f64,
}

/// A fitted head.
#[derive(Clone, Debug)]
pub struct Head {
    /// W and b, for features as given.
    pub classifier: LinearClassifier,
    /// What the set likelihood learned beside W and b.
    pub potentials: Option<HeadPotentials>,
    /// The objective reached.
    pub objective: f64,
    /// The largest entry of its gradient.
    pub gradient_norm: f64,
    /// L-BFGS steps taken, or passes over the samples.
    pub iterations: usize,
    /// Why the fit ended.
    pub stop: Stop,
    /// The parameters in the scaled space, to start the next fit from.
    parameters: Vec<f64>,
}

impl Head {
    /// Fits a head, from W = 0 or from another head on the same features.
    ///
    /// Memory beside the features: 33 times the parameters for L-BFGS, 7 times for stochastic
    /// descent, and N·K numbers. Losses that are sums over labels, on sparse features, are fitted label by label
    /// instead: 3 times the parameters, and 26·d + N numbers of a cache line for each thread. The
    /// result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when sizes differ, [`Error::Undefined`] without a sample or when
    /// every sample has weight 0, [`Error::OutOfRange`] for a setting out of range.
    ///
    /// ```
    /// use tagwise::head::{DenseRows, Features, Head, HeadSettings};
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let features = Features::Dense(DenseRows::new(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2)?);
    /// let targets = Targets::new(3, [vec![0], vec![1], vec![0, 1]].map(LabelSet::new))?;
    /// let head = Head::fit(&features, &targets, &HeadSettings::default(), None)?;
    /// let logits = head.logits(&features)?; // [3, 3]
    /// assert!(logits[0] > logits[1] && logits[4] > logits[3] && logits[6] > logits[8]);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn fit(
        features: &Features,
        targets: &Targets,
        settings: &HeadSettings,
        start: Option<&Head>,
    ) -> Result<Self> {
        let go_on = |_: &FitProgress| ControlFlow::Continue(());
        Self::fit_with(features, targets, settings, start, go_on)
    }

    /// As [`fit`](Self::fit); `progress` sees every step and ends the fit by returning
    /// [`ControlFlow::Break`], which the head's [`stop`](Self::stop) then says.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with(
        features: &Features,
        targets: &Targets,
        settings: &HeadSettings,
        start: Option<&Head>,
        progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<Self> {
        settings.check()?;
        check_sizes(features, targets)?;
        let objective = Objective::new(Source::of(features)?, targets, settings)?;
        let mut parameters = match start {
            Some(head) if head.parameters.len() == objective.num_parameters() => {
                head.parameters.clone()
            }
            Some(head) => {
                return Err(Error::SizeMismatch {
                    what: "parameters of the head to start from",
                    expected: objective.num_parameters(),
                    found: head.parameters.len(),
                });
            }
            None => objective.start(),
        };
        let minimum = minimize(&objective, settings, &mut parameters, progress);
        let (classifier, potentials) = HeadPotentials::of(&objective, &parameters)?;
        Ok(Self {
            classifier,
            potentials,
            objective: minimum.value,
            gradient_norm: minimum.gradient_norm,
            iterations: minimum.iterations,
            stop: minimum.stop,
            parameters,
        })
    }

    /// The logits W x + b of each sample.
    ///
    /// # Shapes
    /// Returns row-major `[N, K]`.
    ///
    /// # Errors
    /// As [`logits`].
    pub fn logits(&self, features: &Features) -> Result<Vec<f64>> {
        logits(&self.classifier, features)
    }

    /// The mean loss that it was fitted with, over samples at hand.
    ///
    /// # Errors
    /// As [`logits`]; [`Error::SizeMismatch`] unless there is a label set for each sample.
    pub fn mean_loss(&self, samples: LabelledFeatures<'_>, settings: &HeadSettings) -> Result<f64> {
        match &self.potentials {
            None => {
                let logits = self.logits(samples.features())?;
                settings.loss.mean(&logits, samples.targets())
            }
            Some(potentials) => potentials.mean_loss(&self.classifier, samples),
        }
    }
}

fn minimize(
    objective: &Objective<'_>,
    settings: &HeadSettings,
    parameters: &mut [f64],
    mut progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
) -> Minimum {
    let minimiser = match settings.optimizer {
        Optimizer::Lbfgs => Lbfgs {
            max_iterations: settings.max_iterations,
            gradient_tolerance: settings.gradient_tolerance,
            ..Lbfgs::default()
        },
        Optimizer::Stochastic(stochastic) => {
            return stochastic::minimize(
                objective,
                &stochastic,
                parameters,
                settings.max_iterations,
                settings.gradient_tolerance,
                progress,
            );
        }
    };
    if let Some(features) = objective.separable() {
        return separate::minimize(objective, features, settings, parameters, progress);
    }
    let mut residuals = objective.residuals();
    minimiser.minimize_with(
        parameters,
        Some(&objective.inverse_curvatures()),
        |parameters, gradient| objective.value_and_gradient(parameters, gradient, &mut residuals),
        |minimum| {
            progress(&FitProgress {
                weight_decay: settings.weight_decay,
                iterations: minimum.iterations,
                objective: minimum.value,
                gradient_norm: minimum.gradient_norm,
            })
        },
    )
}

fn check_sizes(features: &Features, targets: &Targets) -> Result<()> {
    if targets.is_empty() || targets.num_classes() == 0 {
        return Err(Error::Undefined(
            "fitting a head needs at least one sample and one class".into(),
        ));
    }
    if features.num_samples() != targets.len() {
        return Err(Error::SizeMismatch {
            what: "rows of features",
            expected: targets.len(),
            found: features.num_samples(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
