//! Settings beside the weight decay, compared by the loss on samples held out.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::objective::seen_set_decay;
use super::scale::Scale;
use super::source::Source;
use super::{
    FitProgress, Head, HeadSettings, LabelledFeatures, Scaling, TriedWeightDecay,
    WeightDecayChoice, WeightDecaySearch,
};
use crate::loss::Loss;
use crate::loss::set_likelihood::{SeenSetPotentials, SetLikelihood};
use crate::{Error, Result};

/// How far from the best weight decay without potentials of label sets it is looked for with them.
const NEIGHBOUR: f64 = 3.0;

/// Deviations without a new least loss after which larger ones are not tried.
const PATIENCE: usize = 2;

/// Settings that were compared, with the best weight decay for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedSettings {
    /// How features were scaled.
    pub scaling: Scaling,
    /// The loss with its potentials.
    pub fitted_loss: Loss,
    /// λ_θ, where label sets had potentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_set_decay: Option<f64>,
    /// The weight decay, and the mean loss on the samples held out.
    #[serde(flatten)]
    pub tried: TriedWeightDecay,
}

/// What a search of all settings found.
#[derive(Clone, Debug)]
pub struct SettingsChoice {
    /// The settings of least loss; of equals the first.
    pub settings: HeadSettings,
    /// The weight decays that were tried with these.
    pub tried: Vec<TriedWeightDecay>,
    /// All settings that were compared, in order; none when there was nothing to compare.
    pub compared: Vec<TriedSettings>,
    /// The head of the best, which has not seen the samples held out.
    pub head: Head,
}

impl WeightDecaySearch {
    /// Compares scalings, then potentials of multiplicities, then potentials of label sets, each
    /// with the best of those before, and keeps the settings of least mean loss on the samples held
    /// out.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_all(
        &self,
        fitting: LabelledFeatures<'_>,
        held_out: LabelledFeatures<'_>,
        settings: &HeadSettings,
        mut progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<SettingsChoice> {
        let mut comparison = Comparison {
            search: self,
            fitting,
            held_out,
            best: None,
            compared: Vec::new(),
        };
        let settings = self.plainest(&settings.resolved(fitting.targets()));
        let own = [settings.scaling];
        let scalings = if self.scalings.is_empty() {
            &own[..]
        } else {
            &self.scalings
        };
        for &scaling in scalings {
            let settings = HeadSettings {
                scaling,
                ..settings.clone()
            };
            comparison.with_path(settings, &mut progress)?;
        }
        for &multiplicities in self.multiplicities.iter().skip(1) {
            let settings = comparison.best_settings(&settings);
            if let Some(settings) = with(&settings, |own| own.multiplicities = multiplicities) {
                comparison.with_path(settings, &mut progress)?;
            }
        }
        comparison.label_sets(&settings, &mut progress)?;
        comparison.finish()
    }

    /// The first that is compared: no potentials of label sets, and the first of multiplicities.
    fn plainest(&self, settings: &HeadSettings) -> HeadSettings {
        let plainest = with(settings, |own| {
            own.multiplicities = match self.multiplicities.first() {
                Some(first) => *first,
                None => own.multiplicities,
            };
            if !self.seen_set_deviations.is_empty() {
                own.seen_sets = SeenSetPotentials::None;
            }
        });
        plainest.unwrap_or_else(|| settings.clone())
    }
}

/// The settings with other potentials, of a set likelihood.
fn with(settings: &HeadSettings, change: impl FnOnce(&mut SetLikelihood)) -> Option<HeadSettings> {
    let Loss::SetLikelihood(mut likelihood) = settings.loss else {
        return None;
    };
    change(&mut likelihood);
    Some(HeadSettings {
        loss: Loss::SetLikelihood(likelihood),
        ..settings.clone()
    })
}

/// What was compared so far.
struct Comparison<'a> {
    search: &'a WeightDecaySearch,
    fitting: LabelledFeatures<'a>,
    held_out: LabelledFeatures<'a>,
    best: Option<Best>,
    compared: Vec<TriedSettings>,
}

struct Best {
    settings: HeadSettings,
    choice: WeightDecayChoice,
    loss: f64,
}

impl Comparison<'_> {
    fn best_settings(&self, otherwise: &HeadSettings) -> HeadSettings {
        let best = self.best.as_ref();
        best.map_or_else(|| otherwise.clone(), |best| best.settings.clone())
    }

    /// Tries all weight decays, times the mean square of the scaled features.
    fn with_path(
        &mut self,
        settings: HeadSettings,
        progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<f64> {
        let size = match settings.scaling {
            Scaling::Standardise => 1.0,
            Scaling::None | Scaling::Maximum => self.mean_square(settings.scaling)?,
        };
        let weight_decays = self.search.weight_decays.iter().map(|decay| decay * size);
        self.with(weight_decays.collect(), settings, progress)
    }

    fn with(
        &mut self,
        weight_decays: Vec<f64>,
        settings: HeadSettings,
        progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<f64> {
        let search = WeightDecaySearch {
            weight_decays,
            ..self.search.clone()
        };
        let choice = search.run(self.fitting, self.held_out, &settings, progress)?;
        let is_best = |tried: &&TriedWeightDecay| tried.weight_decay == choice.weight_decay;
        let tried = choice.tried.iter().find(is_best);
        let loss = tried.map_or(f64::NAN, |tried| tried.loss);
        self.compared.push(TriedSettings {
            scaling: settings.scaling,
            fitted_loss: settings.loss,
            seen_set_decay: settings.seen_set_decay,
            tried: TriedWeightDecay {
                weight_decay: choice.weight_decay,
                loss,
            },
        });
        if self.best.as_ref().is_none_or(|best| loss < best.loss) {
            let settings = HeadSettings {
                weight_decay: choice.weight_decay,
                ..settings
            };
            self.best = Some(Best {
                settings,
                choice,
                loss,
            });
        }
        Ok(loss)
    }

    /// Potentials of label sets from small to large, then the weight decays beside the best.
    fn label_sets(
        &mut self,
        settings: &HeadSettings,
        mut progress: impl FnMut(&FitProgress) -> ControlFlow<()> + Send,
    ) -> Result<()> {
        let start = self.best_settings(settings);
        let num_samples = self.fitting.targets().len();
        let mut since_best = 0;
        for &deviation in &self.search.seen_set_deviations {
            let learned = with(&start, |own| own.seen_sets = SeenSetPotentials::Learned);
            let Some(mut settings) = learned else {
                return Ok(());
            };
            settings.seen_set_decay = Some(seen_set_decay(deviation, num_samples));
            let least = self.best.as_ref().map_or(f64::INFINITY, |best| best.loss);
            let loss = self.with(vec![start.weight_decay], settings, &mut progress)?;
            since_best = if loss < least { 0 } else { since_best + 1 };
            if since_best >= PATIENCE {
                break;
            }
        }
        let found = self.best_settings(settings);
        if found.seen_sets() == SeenSetPotentials::Learned {
            for weight_decay in [
                found.weight_decay * NEIGHBOUR,
                found.weight_decay / NEIGHBOUR,
            ] {
                self.with(vec![weight_decay], found.clone(), &mut progress)?;
            }
        }
        Ok(())
    }

    fn mean_square(&self, scaling: Scaling) -> Result<f64> {
        let moments = Source::of(self.fitting.features())?.column_moments();
        let squares = Scale::new(&moments, scaling).mean_squares(&moments);
        let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
        Ok(if mean > 0.0 { mean } else { 1.0 })
    }

    fn finish(self) -> Result<SettingsChoice> {
        let best = self.best.ok_or(Error::Missing {
            what: "settings to try",
            purpose: "the search of a head's settings",
        })?;
        let has_compared = self.compared.len() > 1;
        Ok(SettingsChoice {
            settings: best.settings,
            tried: best.choice.tried,
            compared: if has_compared {
                self.compared
            } else {
                Vec::new()
            },
            head: best.choice.head,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{DenseRows, Features};
    use crate::loss::set_likelihood::MultiplicityPotentials;
    use crate::{LabelSet, Targets};

    /// Two labels that come together more often than alone, and features that tell of them.
    fn samples(num_samples: u32, phase: u32) -> (Features, Targets) {
        let state = |i: u32| (i * 7 + phase) % 10;
        let sets = (0..num_samples).map(|i| match state(i) {
            0..5 => LabelSet::new([0, 1]),
            5 | 6 => LabelSet::new([0]),
            7 => LabelSet::new([1]),
            8 => LabelSet::new([2]),
            _ => LabelSet::default(),
        });
        let sets: Vec<LabelSet> = sets.collect();
        let rows = sets.iter().zip(0u32..).flat_map(|(set, i)| {
            let noise = move |j: u32| f64::from((i * 31 + j * 17 + phase) % 13) / 9.0;
            (0..3u32).map(move |j| f64::from(u8::from(set.contains(j))) + noise(j))
        });
        let features = DenseRows::new(rows.collect(), 3).unwrap();
        (
            Features::Dense(features),
            Targets::new(3, sets.clone()).unwrap(),
        )
    }

    #[test]
    fn the_best_of_what_was_compared_is_taken() {
        let (fitting, testing) = (samples(200, 0), samples(100, 3));
        let pair = |(features, targets)| LabelledFeatures::new(features, targets).unwrap();
        let settings = HeadSettings {
            loss: Loss::SetLikelihood(SetLikelihood::default()),
            ..HeadSettings::default()
        };
        let choice = WeightDecaySearch::default()
            .run_all(
                pair((&fitting.0, &fitting.1)),
                pair((&testing.0, &testing.1)),
                &settings,
                |_| ControlFlow::Continue(()),
            )
            .unwrap();
        let scalings: Vec<Scaling> = choice.compared[..3].iter().map(|t| t.scaling).collect();
        assert_eq!(
            scalings,
            [Scaling::Standardise, Scaling::None, Scaling::Maximum]
        );
        let kind = |tried: &TriedSettings| match tried.fitted_loss {
            Loss::SetLikelihood(likelihood) => (likelihood.multiplicities, likelihood.seen_sets),
            _ => unreachable!(),
        };
        let kinds: Vec<_> = choice.compared.iter().map(kind).collect();
        assert_eq!(
            kinds[3],
            (MultiplicityPotentials::Linear, SeenSetPotentials::None)
        );
        assert!(kinds[4..].iter().all(|k| k.1 == SeenSetPotentials::Learned));
        let least = choice
            .compared
            .iter()
            .min_by(|a, b| a.tried.loss.total_cmp(&b.tried.loss))
            .unwrap();
        assert_eq!(choice.settings.weight_decay, least.tried.weight_decay);
        assert_eq!(choice.settings.loss, least.fitted_loss);
        // Pairs are the rule: their potential pays.
        assert_eq!(choice.settings.seen_sets(), SeenSetPotentials::Learned);
        let other = HeadSettings::default();
        let found = WeightDecaySearch {
            scalings: Vec::new(),
            ..WeightDecaySearch::default()
        };
        let choice = found
            .run_all(
                pair((&fitting.0, &fitting.1)),
                pair((&testing.0, &testing.1)),
                &other,
                |_| ControlFlow::Continue(()),
            )
            .unwrap();
        assert!(choice.compared.is_empty());
    }
}
