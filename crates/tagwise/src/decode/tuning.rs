//! Rules tuned on samples with known labels.

use rayon::prelude::*;

use super::multiplicity::MultiplicityModel;
use super::rules::{EmptyRule, LogitDecoder, Rule, RuleKind, scores};
use super::sweep::{Cut, best_cut, best_label_cut};
use super::threshold::top_multiplicity;
use crate::evaluate::{Criterion, SetMeasures};
use crate::loss::{Link, sigmoid};
use crate::minimize::Lbfgs;
use crate::{Error, LabelSet, Result, Targets};

impl LogitDecoder {
    /// Tunes a rule on validation data. Where it can leave samples without a label, the better of
    /// the two ways to treat them is kept too.
    ///
    /// # Shapes
    /// `logits` is row-major `[N, K]`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the shapes do not fit, [`Error::NotFinite`] for NaN and
    /// infinity, [`Error::Undefined`] without a sample.
    pub fn fit<T: Copy + Into<f64> + Sync>(
        kind: RuleKind,
        link: Link,
        logits: &[T],
        truth: &Targets,
        criterion: Criterion,
    ) -> Result<Self> {
        let scores = scores(link, logits, truth.num_classes())?;
        if truth.is_empty() {
            return Err(Error::Undefined(
                "tuning a decoder needs at least one sample".into(),
            ));
        }
        if scores.len() != truth.len() * truth.num_classes() {
            return Err(Error::SizeMismatch {
                what: "rows of logits",
                expected: truth.len(),
                found: scores.len() / truth.num_classes(),
            });
        }
        let mut best: Option<(f64, Self)> = None;
        for empty_rule in [EmptyRule::TopLabel, EmptyRule::Allow] {
            let decoder = Self {
                link,
                rule: Rule::fit(kind, &scores, truth, criterion, empty_rule)?,
                empty_rule,
            };
            let decoded = decoder.decode_scores(&scores, truth.num_classes())?;
            let value = criterion.value(&SetMeasures::new(&decoded, truth)?);
            if best.as_ref().is_none_or(|(best, _)| value > *best) {
                best = Some((value, decoder));
            }
        }
        Ok(best.expect("two candidates were tried").1)
    }
}

impl Rule {
    fn fit(
        kind: RuleKind,
        scores: &[f64],
        truth: &Targets,
        criterion: Criterion,
        empty_rule: EmptyRule,
    ) -> Result<Self> {
        let num_classes = truth.num_classes();
        let common = || -> Cut { best_cut(scores, truth, criterion, empty_rule) };
        Ok(match kind {
            RuleKind::Threshold => Self::Threshold {
                threshold: common().threshold,
            },
            RuleKind::LabelThresholds => Self::LabelThresholds {
                thresholds: label_thresholds(scores, truth, common().threshold),
            },
            RuleKind::TopK => Self::TopK {
                k: best_k(scores, truth, criterion)?,
            },
            RuleKind::Proportional => Self::Proportional {
                shares: label_shares(truth),
            },
            RuleKind::LargestGap => Self::LargestGap {
                max_multiplicity: truth.max_multiplicity().clamp(1, num_classes),
            },
            RuleKind::PredictedMultiplicity => Self::PredictedMultiplicity {
                model: MultiplicityModel::fit(scores, truth)?,
            },
            RuleKind::ExpectedF1 => {
                let (slope, offset) = calibrate(scores, truth);
                Self::ExpectedF1 { slope, offset }
            }
        })
    }
}

fn best_k(scores: &[f64], truth: &Targets, criterion: Criterion) -> Result<usize> {
    let mut best = (f64::NEG_INFINITY, 1);
    for k in 1..=truth.max_multiplicity().clamp(1, truth.num_classes()) {
        let decoded = top_multiplicity(scores, truth.num_classes(), &vec![k; truth.len()])?;
        let value = criterion.value(&SetMeasures::new(&decoded, truth)?);
        if value > best.0 {
            best = (value, k);
        }
    }
    Ok(best.1)
}

fn label_shares(truth: &Targets) -> Vec<f64> {
    let mut shares = vec![0.0; truth.num_classes()];
    for label in truth.iter().flat_map(LabelSet::indices) {
        shares[label] += 1.0 / truth.len() as f64;
    }
    shares
}

/// The best threshold of each label where it also wins on samples it was not tuned on, otherwise
/// the common one.
pub(super) fn label_thresholds(scores: &[f64], truth: &Targets, common: f64) -> Vec<f64> {
    let num_classes = truth.num_classes();
    (0..num_classes)
        .into_par_iter()
        .map(|label| {
            let mut samples: Vec<(f64, bool)> = scores
                .iter()
                .skip(label)
                .step_by(num_classes)
                .zip(truth.iter())
                .map(|(&score, set)| (score, set.contains(label as u32)))
                .collect();
            // Sorting by truth and score makes the two halves alike.
            samples.sort_unstable_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
            let half = |parity: usize| -> Vec<(f64, bool)> {
                samples.iter().skip(parity).step_by(2).copied().collect()
            };
            let mut gain = 0.0;
            for (tuned_on, tested_on) in [(0, 1), (1, 0)] {
                let tested_on = half(tested_on);
                let own = best_label_cut(&mut half(tuned_on)).unwrap_or(common);
                gain += f1_at(&tested_on, own) - f1_at(&tested_on, common);
            }
            if gain > 0.0 {
                best_label_cut(&mut samples).unwrap_or(common)
            } else {
                common
            }
        })
        .collect()
}

pub(super) fn f1_at(samples: &[(f64, bool)], threshold: f64) -> f64 {
    let (mut hits, mut total) = (0.0, 0.0);
    for &(score, on) in samples {
        let predicted = score >= threshold;
        hits += f64::from(u8::from(on && predicted));
        total += f64::from(u8::from(on)) + f64::from(u8::from(predicted));
    }
    if total == 0.0 {
        0.0
    } else {
        2.0 * hits / total
    }
}

/// Slope and offset of the log-odds of a label in its score, by logistic regression over all N·K
/// entries.
fn calibrate(scores: &[f64], truth: &Targets) -> (f64, f64) {
    let on: Vec<u8> = truth.to_multi_hot();
    let scale = 1.0 / scores.len() as f64;
    let mut parameters = [1.0, 0.0];
    Lbfgs::default().minimize(&mut parameters, |parameters, gradient| {
        /// Keeps separable scores finite.
        const RIDGE: f64 = 1e-6;
        let mut value = RIDGE * (parameters[0].powi(2) + parameters[1].powi(2));
        gradient[0] = 2.0 * RIDGE * parameters[0];
        gradient[1] = 2.0 * RIDGE * parameters[1];
        for (&score, &on) in scores.iter().zip(&on) {
            let logit = parameters[0] * score + parameters[1];
            let on = f64::from(on);
            // softplus(z) − y·z
            value += scale * (logit.max(0.0) + (-logit.abs()).exp().ln_1p() - on * logit);
            let residual = scale * (sigmoid(logit) - on);
            gradient[0] += residual * score;
            gradient[1] += residual;
        }
        value
    });
    (parameters[0], parameters[1])
}
