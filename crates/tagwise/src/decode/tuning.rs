//! Rules tuned on samples with known labels.

use super::label_thresholds::label_thresholds;
use super::multiplicity::MultiplicityModel;
use super::rules::{EmptyRule, LogitDecoder, Rule, RuleKind, scores};
use super::sweep::{Cut, best_cut};
use super::threshold::top_multiplicity;
use crate::evaluate::{Criterion, SetMeasures};
use crate::interrupt::{ALWAYS, GoOn, ask};
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
        Self::fit_while(kind, link, logits, truth, criterion, ALWAYS)
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and [`Error::Interrupted`].
    pub fn fit_while<T: Copy + Into<f64> + Sync>(
        kind: RuleKind,
        link: Link,
        logits: &[T],
        truth: &Targets,
        criterion: Criterion,
        go_on: GoOn<'_>,
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
        let mut best: Option<((f64, f64), Self)> = None;
        for empty_rule in [EmptyRule::TopLabel, EmptyRule::Allow] {
            let decoder = Self {
                link,
                rule: Rule::fit(kind, &scores, truth, (criterion, empty_rule), go_on)?,
                empty_rule,
            };
            let decoded = decoder.decode_scores(&scores, truth.num_classes(), go_on)?;
            let rank = criterion.rank(&SetMeasures::new(&decoded, truth)?);
            if best.as_ref().is_none_or(|(best, _)| rank > *best) {
                best = Some((rank, decoder));
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
        (criterion, empty_rule): (Criterion, EmptyRule),
        go_on: GoOn<'_>,
    ) -> Result<Self> {
        let num_classes = truth.num_classes();
        let common = || -> Result<Cut> { best_cut(scores, truth, criterion, empty_rule, go_on) };
        Ok(match kind {
            RuleKind::Threshold => Self::Threshold {
                threshold: common()?.threshold,
            },
            RuleKind::LabelThresholds => Self::LabelThresholds {
                thresholds: label_thresholds(
                    scores,
                    truth,
                    (criterion, empty_rule),
                    &common()?,
                    go_on,
                )?,
            },
            RuleKind::TopK => Self::TopK {
                k: best_k(scores, truth, criterion, go_on)?,
            },
            RuleKind::Proportional => Self::Proportional {
                shares: label_shares(truth),
            },
            RuleKind::LargestGap => Self::LargestGap {
                max_multiplicity: truth.max_multiplicity().clamp(1, num_classes),
            },
            RuleKind::PredictedMultiplicity => Self::PredictedMultiplicity {
                model: MultiplicityModel::fit(scores, truth, go_on)?,
            },
            RuleKind::ExpectedF1 => {
                let (slope, offset) = calibrate(scores, truth, go_on)?;
                Self::ExpectedF1 { slope, offset }
            }
        })
    }
}

fn best_k(scores: &[f64], truth: &Targets, criterion: Criterion, go_on: GoOn<'_>) -> Result<usize> {
    let mut best = ((f64::NEG_INFINITY, 0.0), 1);
    for k in 1..=truth.max_multiplicity().clamp(1, truth.num_classes()) {
        ask(go_on)?;
        let decoded = top_multiplicity(scores, truth.num_classes(), &vec![k; truth.len()])?;
        let rank = criterion.rank(&SetMeasures::new(&decoded, truth)?);
        if rank > best.0 {
            best = (rank, k);
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

/// Slope and offset of the log-odds of a label in its score, by logistic regression over all N·K
/// entries.
fn calibrate(scores: &[f64], truth: &Targets, go_on: GoOn<'_>) -> Result<(f64, f64)> {
    let on: Vec<u8> = truth.to_multi_hot();
    let scale = 1.0 / scores.len() as f64;
    let mut parameters = [1.0, 0.0];
    let objective = |parameters: &[f64], gradient: &mut [f64]| {
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
    };
    Lbfgs::default().minimize_with(&mut parameters, None, objective, |_| go_on());
    ask(go_on)?;
    Ok((parameters[0], parameters[1]))
}
