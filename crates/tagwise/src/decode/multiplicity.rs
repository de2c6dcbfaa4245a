//! How many labels a sample has, predicted from its sorted scores.

use serde::{Deserialize, Serialize};

use crate::interrupt::{GoOn, ask};
use crate::minimize::Lbfgs;
use crate::{Error, Result, Targets};

/// Ridge on standardised weights: enough to keep separable data finite.
const RIDGE: f64 = 1e-3;

/// Scores further below the largest than this are alike.
const DEPTH: f64 = 30.0;

/// Multinomial logistic regression from the largest sorted scores to the multiplicity.
///
/// A network that has collapsed under the pick-all-labels loss gives each of m labels the
/// probability 1/m, so the sorted log-probabilities tell m.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiplicityModel {
    /// The multiplicities that occurred, in increasing order.
    multiplicities: Vec<usize>,
    num_inputs: usize,
    centres: Vec<f64>,
    spreads: Vec<f64>,
    weights: Vec<f64>, // [multiplicities, 1 + inputs]
}

impl MultiplicityModel {
    /// Fits the model to scores `[N, K]` and the true sets.
    pub(super) fn fit(scores: &[f64], truth: &Targets, go_on: GoOn<'_>) -> Result<Self> {
        let num_classes = truth.num_classes();
        let mut multiplicities: Vec<usize> =
            truth.distinct().iter().map(|s| s.multiplicity()).collect();
        multiplicities.dedup();
        let num_inputs = num_classes.min(truth.max_multiplicity() + 1);
        let mut inputs = Vec::with_capacity(truth.len() * num_inputs);
        let mut sorted = Vec::new();
        for row in scores.chunks_exact(num_classes) {
            largest(row, num_inputs, &mut sorted);
            inputs.extend_from_slice(&sorted);
        }
        let (centres, spreads) = standardisation(&inputs, num_inputs);
        for row in inputs.chunks_exact_mut(num_inputs.max(1)) {
            standardise(row, &centres, &spreads);
        }
        let classes: Vec<usize> = truth
            .iter()
            .map(|set| multiplicities.partition_point(|&m| m < set.multiplicity()))
            .collect();
        let mut weights = vec![0.0; multiplicities.len() * (num_inputs + 1)];
        let mut probabilities = vec![0.0; multiplicities.len()];
        let minimiser = Lbfgs {
            max_iterations: 500,
            gradient_tolerance: 1e-6,
            ..Lbfgs::default()
        };
        let objective = |weights: &[f64], gradient: &mut [f64]| {
            let scale = 1.0 / classes.len() as f64;
            let mut value = 0.0;
            for (weight, slope) in weights.iter().zip(gradient.iter_mut()) {
                value += 0.5 * RIDGE * weight * weight;
                *slope = RIDGE * weight;
            }
            for (row, &class) in inputs.chunks_exact(num_inputs).zip(&classes) {
                softmax_of(weights, row, &mut probabilities);
                value -= scale * probabilities[class].max(f64::MIN_POSITIVE).ln();
                for (c, probability) in probabilities.iter().enumerate() {
                    let residual = scale * (probability - f64::from(u8::from(c == class)));
                    let slope = &mut gradient[c * (num_inputs + 1)..][..num_inputs + 1];
                    slope[0] += residual;
                    for (s, x) in slope[1..].iter_mut().zip(row) {
                        *s += residual * x;
                    }
                }
            }
            value
        };
        let minimum = minimiser.minimize_with(&mut weights, None, objective, |_| go_on());
        ask(go_on)?;
        if !minimum.value.is_finite() {
            return Err(Error::Undefined(
                "the multiplicity cannot be fitted to scores that are not finite".into(),
            ));
        }
        Ok(Self {
            multiplicities,
            num_inputs,
            centres,
            spreads,
            weights,
        })
    }

    /// What [`numbers`](Self::numbers) are called in a file.
    pub(super) const NAMES: [&'static str; 3] = ["rule.centres", "rule.spreads", "rule.weights"];

    /// The multiplicities that it knows, in increasing order.
    pub fn multiplicities(&self) -> &[usize] {
        &self.multiplicities
    }

    /// Everything else that it is made of.
    pub(super) fn numbers(&self) -> [(&'static str, &[f64]); 3] {
        let [centres, spreads, weights] = Self::NAMES;
        [
            (centres, &self.centres),
            (spreads, &self.spreads),
            (weights, &self.weights),
        ]
    }

    /// A model of [`numbers`](Self::numbers) whose sizes fit: as many centres as spreads, and one
    /// weight more for each multiplicity.
    pub(super) fn of_numbers(
        multiplicities: Vec<usize>,
        centres: Vec<f64>,
        spreads: Vec<f64>,
        weights: Vec<f64>,
    ) -> Self {
        Self {
            multiplicities,
            num_inputs: centres.len(),
            centres,
            spreads,
            weights,
        }
    }

    /// The most probable multiplicity of a row of scores; `sorted` is scratch.
    pub(super) fn predict(&self, row: &[f64], sorted: &mut Vec<f64>) -> usize {
        largest(row, self.num_inputs, sorted);
        standardise(sorted, &self.centres, &self.spreads);
        let mut best = (f64::NEG_INFINITY, 0);
        for (&multiplicity, weights) in self
            .multiplicities
            .iter()
            .zip(self.weights.chunks_exact(self.num_inputs + 1))
        {
            let logit = affine(weights, sorted);
            if logit > best.0 {
                best = (logit, multiplicity);
            }
        }
        best.1
    }
}

/// The largest scores in falling order, none further below the first than [`DEPTH`].
fn largest(row: &[f64], count: usize, sorted: &mut Vec<f64>) {
    sorted.clear();
    sorted.extend_from_slice(row);
    let order = |a: &f64, b: &f64| b.total_cmp(a);
    if count > 0 && count < sorted.len() {
        sorted.select_nth_unstable_by(count - 1, order);
    }
    sorted.truncate(count);
    sorted.sort_unstable_by(order);
    if let Some(&first) = sorted.first() {
        for score in sorted.iter_mut() {
            *score = score.max(first - DEPTH);
        }
    }
}

fn standardisation(inputs: &[f64], num_inputs: usize) -> (Vec<f64>, Vec<f64>) {
    let num_rows = inputs.len() as f64 / num_inputs.max(1) as f64;
    let column = |c: usize| inputs.iter().skip(c).step_by(num_inputs);
    let centres: Vec<f64> = (0..num_inputs)
        .map(|c| column(c).sum::<f64>() / num_rows)
        .collect();
    let spreads = (0..num_inputs)
        .map(|c| {
            let squares: f64 = column(c).map(|x| (x - centres[c]).powi(2)).sum();
            let spread = (squares / num_rows).sqrt();
            if spread > 0.0 { spread } else { 1.0 }
        })
        .collect();
    (centres, spreads)
}

fn standardise(row: &mut [f64], centres: &[f64], spreads: &[f64]) {
    for ((x, centre), spread) in row.iter_mut().zip(centres).zip(spreads) {
        *x = (*x - centre) / spread;
    }
}

fn affine(weights: &[f64], inputs: &[f64]) -> f64 {
    weights[0]
        + weights[1..]
            .iter()
            .zip(inputs)
            .map(|(w, x)| w * x)
            .sum::<f64>()
}

fn softmax_of(weights: &[f64], inputs: &[f64], probabilities: &mut [f64]) {
    let mut largest = f64::NEG_INFINITY;
    for (probability, weights) in probabilities
        .iter_mut()
        .zip(weights.chunks_exact(inputs.len() + 1))
    {
        *probability = affine(weights, inputs);
        largest = largest.max(*probability);
    }
    let mut partition = 0.0;
    for probability in probabilities.iter_mut() {
        *probability = (*probability - largest).exp();
        partition += *probability;
    }
    probabilities.iter_mut().for_each(|p| *p /= partition);
}
