//! The optimum of the set likelihood for data balanced within multiplicities.
//!
//! By symmetry the logits of a set of m labels are r_m + t_m·(1[k ∈ S] − m/K): a margin and a common
//! part. The margins need a simplex ETF; the common part is one more direction of the features that
//! says how many labels there are. The loss of a set is then a sum over how many of its labels and
//! how many others are drawn, and what is left is a convex problem in t, r, the bias and c:
//!
//! Σ_m (N_m/N)·φ_m(t_m, r_m + β, c) + 2√(λ_W λ_H)·(√((K−1)Σ N_m q_m t_m²) + √(K Σ N_m r_m²)) + λ_b K β² + λ_c‖c‖²
//!
//! with q_m = m(K−m)/K. It is solved with both norms as products of a number and a vector.

use std::ops::{ControlFlow, Range};

use super::super::certificate::{Bound, Certificate};
use super::super::set_dual::{DualTerm, best_worth};
use super::super::{ClassifierKind, FeatureKind, UfmProblem};
use super::{ClosedForm, MultiplicityConstants};
use crate::minimize::{Curvature, TrustRegion};
use crate::{Error, Result};

impl ClosedForm {
    /// The optimum for the set likelihood.
    pub(super) fn of_sets(problem: &UfmProblem) -> Result<Self> {
        let is_learned = problem.classifier() == ClassifierKind::Learned;
        if is_learned && problem.features() == FeatureKind::NonNegative {
            return Err(Error::Undefined(
                "the set likelihood has no closed form for non-negative features with a learned \
                 classifier; use the solver"
                    .into(),
            ));
        }
        let mut symmetric = Symmetric::new(problem);
        let mut x = symmetric.start();
        loop {
            symmetric.minimise(&mut x);
            if !symmetric.grow(&mut x) {
                break;
            }
        }
        symmetric.drop_vanished(&mut x);
        let optimum = symmetric.closed_form(problem, &x);
        let needed = problem.num_classes() - 1 + usize::from(optimum.common_norm > 0.0);
        match problem.dim() >= needed {
            true => Ok(optimum),
            false => Err(super::too_few_dimensions(problem, needed)),
        }
    }
}

/// The sets of one multiplicity.
struct Kind {
    multiplicity: usize,
    num_samples: f64,
    /// N_m/N
    share: f64,
    /// t_m and r_m for a unit of their variables; 0 where there is no such part.
    margin_unit: f64,
    common_unit: f64,
    /// How many of the labels of the set and how many others are drawn, with the logarithm of the
    /// number of such draws.
    draws: Vec<Draw>,
}

#[derive(Clone, Copy)]
struct Draw {
    own: f64,
    others: f64,
    log_count: f64,
    probability: f64,
}

/// The problem in the variables u, α (one for each kind), v, γ (likewise), β and c: margins are
/// u·α_m and common parts v·γ_m in their units, u and v being 1 for a fixed classifier.
struct Symmetric {
    classes: f64,
    kinds: Vec<Kind>,
    /// Which of the parts were opened.
    is_open: [bool; 2],
    is_learned: bool,
    has_bias: bool,
    num_potentials: usize,
    decay: f64,
    decay_b: f64,
    decay_c: f64,
    threshold: f64,
    /// What u stands for: the size of the classifier over u, of features over α.
    balance: f64,
    point: Vec<f64>,
    /// The gradient by t_m, r_m + β of every kind, at the last point.
    slopes: Vec<[f64; 2]>,
    /// −log p of the sets of every kind there.
    losses: Vec<f64>,
    potentials: Vec<f64>,
}

impl Symmetric {
    fn new(problem: &UfmProblem) -> Self {
        let classes = problem.num_classes() as f64;
        let samples = problem.labels().num_samples();
        let most = problem.num_potentials() - 1;
        let is_learned = problem.classifier() == ClassifierKind::Learned;
        let kinds = problem.multiplicities().map(|(m, num_samples)| {
            let (inside, outside) = (m as f64, classes - m as f64);
            let spread = match problem.features() {
                FeatureKind::Free => inside * outside / classes,
                FeatureKind::NonNegative => inside,
            };
            let scale = match is_learned {
                true => classes - 1.0,
                false => (classes - 1.0) / classes, // over the w²K/(K−1) of unit rows
            };
            Kind {
                multiplicity: m,
                num_samples,
                share: num_samples / samples,
                margin_unit: match inside * outside == 0.0 {
                    true => 0.0,
                    false => 1.0 / (scale * num_samples * spread).sqrt(),
                },
                common_unit: match is_learned {
                    true => 1.0 / (classes * num_samples).sqrt(),
                    false => 0.0,
                },
                draws: draws(m, problem.num_classes(), most),
            }
        });
        let balanced = (problem.lambda_w() * problem.lambda_h()).sqrt();
        let kinds: Vec<Kind> = kinds.collect();
        Self {
            classes,
            is_open: [!is_learned, false],
            is_learned,
            has_bias: problem.bias().decay().is_some(),
            num_potentials: problem.lambda_c().map_or(0, |_| most + 1),
            decay: if is_learned {
                balanced
            } else {
                problem.lambda_h()
            },
            decay_b: problem.bias().decay().unwrap_or(0.0),
            decay_c: problem.lambda_c().unwrap_or(0.0),
            threshold: 2.0 * balanced,
            balance: match is_learned {
                true => (problem.lambda_h() / problem.lambda_w()).sqrt().sqrt(),
                false => 1.0,
            },
            slopes: vec![[0.0; 2]; kinds.len()],
            losses: vec![0.0; kinds.len()],
            potentials: vec![0.0; most + 1],
            point: Vec::new(),
            kinds,
        }
    }

    /// Where α lies behind u.
    fn margins(&self) -> Range<usize> {
        1..1 + self.kinds.len()
    }

    /// Where γ lies behind v.
    fn common(&self) -> Range<usize> {
        let v = self.margins().end;
        v + 1..v + 1 + self.kinds.len()
    }

    fn bias(&self) -> usize {
        self.common().end
    }

    fn potential_range(&self) -> Range<usize> {
        let first = self.bias() + 1;
        first..first + self.num_potentials
    }

    fn start(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.potential_range().end];
        if !self.is_learned {
            x[0] = 1.0;
        }
        x
    }

    fn minimise(&mut self, x: &mut [f64]) {
        const ROUNDING: f64 = 1e-16;
        let method = TrustRegion {
            max_iterations: 1000,
            max_products: 20 * x.len(),
            gradient_tolerance: ROUNDING * self.decay.min(1.0),
            non_negative: 0..0,
        };
        method.minimize(x, self, |_| ControlFlow::Continue(()));
        let mut gradient = vec![0.0; x.len()];
        self.value_and_gradient(x, &mut gradient);
    }

    /// σ of the part of Q in the space of margins, and along the common direction.
    fn singular_values(&self) -> [f64; 2] {
        let mut squares = [0.0; 2];
        for (kind, slopes) in self.kinds.iter().zip(&self.slopes) {
            for ((square, slope), unit) in squares.iter_mut().zip(slopes).zip(kind.units()) {
                *square += (slope * unit).powi(2);
            }
        }
        squares.map(f64::sqrt)
    }

    /// Opens a part that lowers the value; whether there was one.
    fn grow(&mut self, x: &mut [f64]) -> bool {
        const ROUNDING: f64 = 1e-14;
        if !self.is_learned {
            return false;
        }
        let sigma = self.singular_values();
        let is_below = |sigma: f64| sigma > self.threshold * (1.0 + ROUNDING);
        let (margins, common) = (self.margins(), self.common());
        let found = [0, 1]
            .into_iter()
            .find(|&part| !self.is_open[part] && is_below(sigma[part]));
        let Some(opened) = found else {
            return false;
        };
        self.is_open[opened] = true;
        let range = [margins, common][opened].clone();
        // Along the steepest descent, a step short enough for any of these problems.
        let size = 0.1;
        x[range.start - 1] = size;
        for (variable, (kind, slopes)) in
            x[range].iter_mut().zip(self.kinds.iter().zip(&self.slopes))
        {
            *variable = -size * slopes[opened] * kind.units()[opened] / sigma[opened];
        }
        true
    }

    /// Sets parts to 0 that have shrunk to rounding after another was opened.
    fn drop_vanished(&mut self, x: &mut [f64]) {
        const VANISHED: f64 = 1e-9;
        if !self.is_learned {
            return;
        }
        for range in [self.margins(), self.common()] {
            if x[range.start - 1].abs() < VANISHED {
                x[range.start - 1..range.end].fill(0.0);
            }
        }
        let mut gradient = vec![0.0; x.len()];
        self.value_and_gradient(x, &mut gradient);
    }

    /// u and v.
    fn factors(&self, x: &[f64]) -> [f64; 2] {
        [x[0], x[self.common().start - 1]]
    }

    /// t_m and r_m without bias.
    fn logits(&self, x: &[f64], kind: usize) -> [f64; 2] {
        let [u, v] = self.factors(x);
        let [margin, common] = self.kinds[kind].units();
        [
            u * x[self.margins().start + kind] * margin,
            v * x[self.common().start + kind] * common,
        ]
    }

    fn closed_form(&mut self, problem: &UfmProblem, x: &[f64]) -> ClosedForm {
        let value = {
            let mut gradient = vec![0.0; x.len()];
            self.value_and_gradient(x, &mut gradient)
        };
        let [u, v] = self.factors(x).map(f64::abs);
        let ratio = match self.is_learned {
            true => (u * self.balance).powi(2) / (self.classes - 1.0),
            false => self.classes / (self.classes - 1.0),
        };
        let common_norm = v * self.balance / self.classes.sqrt();
        let row2 = ratio * (1.0 - 1.0 / self.classes) + common_norm * common_norm;
        let constants = (0..self.kinds.len()).map(|kind| {
            let [margin, common] = self.logits(x, kind);
            let own = &self.kinds[kind];
            let inside = own.multiplicity as f64;
            let spread = match problem.features() {
                FeatureKind::Free => inside * (self.classes - inside) / self.classes,
                FeatureKind::NonNegative => inside,
            };
            let along = if common_norm > 0.0 {
                common / common_norm
            } else {
                0.0
            };
            let scale = if ratio > 0.0 { margin / ratio } else { 0.0 };
            MultiplicityConstants {
                multiplicity: own.multiplicity,
                num_samples: own.num_samples,
                scale,
                margin,
                common_feature: along,
                feature_norm: (scale * scale * ratio * spread + along * along).sqrt(),
                label_mass: (-self.losses[kind]).exp(),
            }
        });
        ClosedForm {
            classifier_norm: row2.sqrt(),
            common_norm,
            bias: x[self.bias()],
            potentials: self.potentials.clone(),
            constants: constants.collect(),
            certificate: self.certificate(problem, x, value),
        }
    }

    fn certificate(&self, problem: &UfmProblem, x: &[f64], value: f64) -> Certificate {
        let mut sizes = 0.0;
        let mut common = 0.0;
        let mut of_potentials = vec![0.0; self.potentials.len()];
        let mut terms = Vec::new();
        for (index, kind) in self.kinds.iter().enumerate() {
            let mut product = 0.0;
            let [margin, shared] = self.logits(x, index);
            let features = kind.mean_features(self.classes);
            let own = kind.own_features(self.classes);
            product += (features[0] - own[0]) * margin;
            product += (features[1] - own[1]) * (shared + x[self.bias()]);
            common += kind.share * (features[1] - own[1]);
            for draw in &kind.draws {
                let j = (draw.own + draw.others) as usize;
                let slope = draw.probability;
                of_potentials[j] += kind.share * slope;
                product += slope * self.potentials[j];
            }
            of_potentials[kind.multiplicity] -= kind.share;
            product -= self.potentials[kind.multiplicity];
            terms.push(DualTerm {
                weight: kind.share,
                loss: self.losses[index],
                product,
            });
            if !self.is_learned && kind.margin_unit > 0.0 {
                // ‖Wᵀu‖²/(4 λ_H n): the slope by t_m is −2 λ_H times the feature at the optimum.
                sizes += (kind.share * (features[0] - own[0]) * kind.margin_unit).powi(2)
                    / (4.0 * problem.lambda_h());
            }
        }
        let square: f64 = of_potentials.iter().map(|s| s * s).sum();
        let mut penalty = sizes;
        if self.has_bias {
            penalty += common * common / (4.0 * self.classes * self.decay_b);
        }
        if self.num_potentials > 0 {
            penalty += square / (4.0 * self.decay_c);
        }
        let sigma = self.singular_values();
        let ratio = sigma[0].max(sigma[1]) / self.threshold;
        let (shrink, sigma_ratio) = match self.is_learned {
            true => ((1.0 / ratio).min(1.0), Some(ratio)),
            false => (1.0, None),
        };
        let dual_value = best_worth(&terms, penalty, shrink);
        Certificate::new(value, dual_value, sigma_ratio, Bound::of(problem))
    }

    /// The slopes of the loss and the chances of all draws at the point.
    fn evaluate(&mut self, x: &[f64]) -> f64 {
        let potentials = self.potential_range();
        if !potentials.is_empty() {
            self.potentials.copy_from_slice(&x[potentials]);
        }
        let bias = if self.has_bias { x[self.bias()] } else { 0.0 };
        let mut value = 0.0;
        for index in 0..self.kinds.len() {
            let [margin, common] = self.logits(x, index);
            let kind = &mut self.kinds[index];
            let loss = kind.evaluate(self.classes, margin, common + bias, &self.potentials);
            value += kind.share * loss;
            self.losses[index] = loss;
            let (mean, own) = (
                kind.mean_features(self.classes),
                kind.own_features(self.classes),
            );
            self.slopes[index] = [0, 1].map(|i| kind.share * (mean[i] - own[i]));
        }
        value
    }
}

impl Kind {
    fn units(&self) -> [f64; 2] {
        [self.margin_unit, self.common_unit]
    }

    /// The derivatives of the logits of a draw by t_m and r_m.
    fn features(&self, classes: f64, draw: &Draw) -> [f64; 2] {
        let drawn = draw.own + draw.others;
        [draw.own - drawn * self.multiplicity as f64 / classes, drawn]
    }

    fn own_features(&self, classes: f64) -> [f64; 2] {
        let m = self.multiplicity as f64;
        [m - m * m / classes, m]
    }

    fn mean_features(&self, classes: f64) -> [f64; 2] {
        let mut mean = [0.0; 2];
        for draw in &self.draws {
            let features = self.features(classes, draw);
            mean[0] += draw.probability * features[0];
            mean[1] += draw.probability * features[1];
        }
        mean
    }

    /// Fills in the chances of all draws; returns −log of that of the set itself.
    fn evaluate(&mut self, classes: f64, margin: f64, common: f64, potentials: &[f64]) -> f64 {
        let mut logs = Vec::with_capacity(self.draws.len());
        for draw in &self.draws {
            let [by_margin, by_common] = self.features(classes, draw);
            let potential = potentials[(draw.own + draw.others) as usize];
            logs.push(draw.log_count + potential + by_margin * margin + by_common * common);
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
        let log_sum = largest + sum.ln();
        for (draw, log) in self.draws.iter_mut().zip(&logs) {
            draw.probability = (log - log_sum).exp();
        }
        // With the digits of 1 − p where that is small.
        let Some((own, others)) = logs.split_last() else {
            return 0.0;
        };
        let others: f64 = others.iter().map(|log| (log - own).exp()).sum();
        match others < 1.0 {
            true => others.ln_1p(),
            false => log_sum - own,
        }
    }
}

/// All ways to draw up to M labels, those of the set alone coming last.
fn draws(multiplicity: usize, num_classes: usize, most: usize) -> Vec<Draw> {
    let outside = num_classes - multiplicity;
    let inside = log_binomials(multiplicity, multiplicity.min(most));
    let others = log_binomials(outside, outside.min(most));
    let mut draws = Vec::new();
    for (i, own) in inside.iter().enumerate() {
        for (j, other) in others.iter().enumerate().rev() {
            if i + j <= most {
                draws.push(Draw {
                    own: i as f64,
                    others: j as f64,
                    log_count: own + other,
                    probability: 0.0,
                });
            }
        }
    }
    draws
}

/// ln C(n, k) for k = 0, …, most.
fn log_binomials(n: usize, most: usize) -> Vec<f64> {
    let mut logs = vec![0.0];
    for k in 0..most {
        logs.push(logs[k] + ((n - k) as f64 / (k + 1) as f64).ln());
    }
    logs
}

impl Curvature for Symmetric {
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.point = x.to_vec();
        let mut value = self.evaluate(x);
        gradient.fill(0.0);
        let factors = self.factors(x);
        for (part, range) in [self.margins(), self.common()].into_iter().enumerate() {
            let first = range.start - 1;
            for (index, kind) in self.kinds.iter().enumerate() {
                let slope = self.slopes[index][part] * kind.units()[part];
                gradient[first] += slope * x[range.start + index];
                gradient[range.start + index] = slope * factors[part];
            }
            if !self.is_learned {
                gradient[first] = 0.0;
            }
            let decayed = if self.is_learned { first } else { range.start };
            for j in decayed..range.end {
                value += self.decay * x[j] * x[j];
                gradient[j] += 2.0 * self.decay * x[j];
            }
        }
        if self.has_bias {
            let bias = self.bias();
            let decay = self.decay_b * self.classes;
            value += decay * x[bias] * x[bias];
            let slopes: f64 = self.slopes.iter().map(|slopes| slopes[1]).sum();
            gradient[bias] = slopes + 2.0 * decay * x[bias];
        }
        let range = self.potential_range();
        if !range.is_empty() {
            let gradient = &mut gradient[range.clone()];
            for kind in &self.kinds {
                for draw in &kind.draws {
                    gradient[(draw.own + draw.others) as usize] += kind.share * draw.probability;
                }
                gradient[kind.multiplicity] -= kind.share;
            }
            for (slope, c) in gradient.iter_mut().zip(&x[range]) {
                value += self.decay_c * c * c;
                *slope += 2.0 * self.decay_c * c;
            }
        }
        value
    }

    fn hessian_times(&mut self, vector: &[f64], product: &mut [f64]) {
        product.fill(0.0);
        let factors = self.factors(&self.point);
        let parts = [self.margins(), self.common()];
        let firsts = [0, parts[1].start - 1];
        let (bias, potentials) = (self.bias(), self.potential_range());
        let of_factor = match self.is_learned {
            true => firsts.map(|first| vector[first]),
            false => [0.0; 2],
        };
        for (index, kind) in self.kinds.iter().enumerate() {
            let units = kind.units();
            let mut change = [0, 1].map(|part| {
                let at = parts[part].start + index;
                units[part] * (factors[part] * vector[at] + of_factor[part] * self.point[at])
            });
            if self.has_bias {
                change[1] += vector[bias];
            }
            let score = |draw: &Draw| {
                let features = kind.features(self.classes, draw);
                let j = (draw.own + draw.others) as usize;
                let potential = vector[potentials.clone()].get(j).copied().unwrap_or(0.0);
                features[0] * change[0] + features[1] * change[1] + potential
            };
            let mean: f64 = kind.draws.iter().map(|d| d.probability * score(d)).sum();
            let mut slopes = [0.0; 2];
            for draw in &kind.draws {
                let pull = kind.share * draw.probability * (score(draw) - mean);
                let features = kind.features(self.classes, draw);
                slopes[0] += pull * features[0];
                slopes[1] += pull * features[1];
                if let Some(own) =
                    product[potentials.clone()].get_mut((draw.own + draw.others) as usize)
                {
                    *own += pull;
                }
            }
            for part in 0..2 {
                let at = parts[part].start + index;
                let own = self.slopes[index][part] * units[part];
                product[at] += factors[part] * slopes[part] * units[part] + of_factor[part] * own;
                product[firsts[part]] +=
                    self.point[at] * slopes[part] * units[part] + own * vector[at];
            }
            if self.has_bias {
                product[bias] += slopes[1];
            }
        }
        for part in 0..2 {
            let first = match self.is_learned {
                true => firsts[part],
                false => {
                    product[firsts[part]] = 0.0;
                    parts[part].start
                }
            };
            for j in first..parts[part].end {
                product[j] += 2.0 * self.decay * vector[j];
            }
        }
        if self.has_bias {
            product[bias] += 2.0 * self.decay_b * self.classes * vector[bias];
        }
        for j in potentials {
            product[j] += 2.0 * self.decay_c * vector[j];
        }
    }

    fn diagonal(&mut self, diagonal: &mut [f64]) {
        // A handful of variables: decays and a part of the curvature of multiplicities do.
        diagonal.fill(2.0 * self.decay);
        let (bias, potentials) = (self.bias(), self.potential_range());
        diagonal[bias] = 2.0 * self.decay_b * self.classes + 1e-3;
        for d in &mut diagonal[potentials] {
            *d = 2.0 * self.decay_c + 1e-3;
        }
        let factors = self.factors(&self.point);
        let parts = [self.margins(), self.common()];
        for (index, kind) in self.kinds.iter().enumerate() {
            let mean = kind.mean_features(self.classes);
            let mut variances = [0.0; 2];
            for draw in &kind.draws {
                let features = kind.features(self.classes, draw);
                for part in 0..2 {
                    variances[part] += draw.probability * (features[part] - mean[part]).powi(2);
                }
            }
            for part in 0..2 {
                let at = parts[part].start + index;
                let curved = kind.share * variances[part] * kind.units()[part].powi(2);
                diagonal[at] += factors[part].powi(2) * curved;
                diagonal[parts[part].start - 1] += self.point[at].powi(2) * curved;
            }
            diagonal[bias] += kind.share * variances[1];
        }
    }
}
