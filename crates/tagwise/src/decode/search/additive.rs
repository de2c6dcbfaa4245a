//! Depth-first search by bounds that are sums over labels: cheap, and tight close to collapse.
//!
//! For a fixed multiplicity m every Gram matrix splits into
//! G_jk = [j=k]·δ_k + u_j + u_k + E_jk with a remainder E that has a zero diagonal and zero row
//! sums, so that q(S) = Σ_{k∈S} (δ_k + 2m·u_k) + E(S): linear in S but for E. On the collapsed
//! geometry, centred or orthogonal, E is 0 and the m largest coefficients win. Otherwise E(R) of
//! the r labels still to be chosen is bounded, row by row, from below by
//! Σ_{k∈R} (sum of the r−1 smallest entries of row k of E).

use super::ROUNDINGS;
use super::geometry::{Form, Query};
use super::progress::Progress;

/// Buffers of the search.
#[derive(Clone, Debug, Default)]
pub(super) struct Additive {
    levels: Vec<Vec<Candidate>>,
    chosen: Vec<u32>,
}

/// A label that may still join the set.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    label: u32,
    /// What the label adds to the score next to the labels chosen so far.
    gain: f64,
    /// At least what it adds, whatever is chosen later.
    bound: f64,
}

/// The score of the sets of one multiplicity as constant + Σ gains − weight·E(S), exactly or from
/// above.
struct Objective<'a> {
    query: &'a Query<'a>,
    multiplicity: usize,
    constant: f64,
    product_weight: f64,
    weight: f64,
    beaten: Beaten,
    slack: f64,
}

/// When a value of the objective can stand for a score above the one to beat.
#[derive(Clone, Copy)]
enum Beaten {
    /// Always: the objective says nothing about the score.
    Always,
    /// When it exceeds steepness·(score to beat − origin).
    Above { steepness: f64, origin: f64 },
}

impl Additive {
    /// Offers every set of this multiplicity that may be among the best, until the nodes run out.
    pub(super) fn run(&mut self, query: &Query<'_>, multiplicity: usize, progress: &mut Progress) {
        let geometry = query.geometry;
        let objective = Objective::new(query, multiplicity, progress.score_to_beat()).with_slack();
        self.levels.resize_with(geometry.max_multiplicity, Vec::new);
        let root = &mut self.levels[0];
        root.clear();
        root.extend((0..geometry.num_classes).map(|k| {
            let gain = objective.first_gain(k);
            Candidate {
                label: k as u32,
                gain,
                bound: gain + objective.relaxation(k, multiplicity - 1),
            }
        }));
        self.descend(&objective, progress, 0, objective.constant);
    }

    /// Completes the chosen labels by `remaining` of the candidates at this level in every way
    /// that can still beat the best. Candidates are tried in falling order of their bounds, so the
    /// first that fails ends the loop.
    fn descend(
        &mut self,
        objective: &Objective<'_>,
        progress: &mut Progress,
        level: usize,
        value: f64,
    ) {
        if !progress.visit() {
            return;
        }
        let remaining = objective.multiplicity - level;
        let mut candidates = std::mem::take(&mut self.levels[level]);
        let threshold = objective.threshold(progress.score_to_beat());
        let kept = keep_promising(&mut candidates, remaining, threshold - value);
        if kept >= remaining {
            let mut reachable: f64 = candidates[..remaining].iter().map(|c| c.bound).sum();
            for first in 0..=kept - remaining {
                let threshold = objective.threshold(progress.score_to_beat());
                if value + reachable <= threshold || progress.is_spent() {
                    break;
                }
                let candidate = candidates[first];
                self.chosen.push(candidate.label);
                if remaining == 1 {
                    progress.offer(objective.query, &self.chosen);
                } else {
                    self.prepare(
                        objective,
                        level + 1,
                        candidate.label,
                        &candidates[first + 1..kept],
                        remaining - 1,
                    );
                    self.descend(objective, progress, level + 1, value + candidate.gain);
                }
                self.chosen.pop();
                if let Some(next) = candidates[..kept].get(first + remaining) {
                    reachable += next.bound - candidate.bound;
                }
            }
        }
        self.levels[level] = candidates;
    }

    /// Fills a level with the candidates as they stand after one more label was chosen.
    fn prepare(
        &mut self,
        objective: &Objective<'_>,
        level: usize,
        chosen: u32,
        candidates: &[Candidate],
        remaining: usize,
    ) {
        let num_classes = objective.query.geometry.num_classes;
        let row =
            &objective.query.geometry.interactions[chosen as usize * num_classes..][..num_classes];
        let next = &mut self.levels[level];
        next.clear();
        next.extend(candidates.iter().map(|candidate| {
            let label = candidate.label as usize;
            let gain = candidate.gain - 2.0 * objective.weight * row[label];
            Candidate {
                label: candidate.label,
                gain,
                bound: gain + objective.relaxation(label, remaining - 1),
            }
        }));
    }
}

/// Moves the candidates that can be part of a completion above `needed` to the front, sorted by
/// falling bound, and returns their number.
fn keep_promising(candidates: &mut [Candidate], remaining: usize, needed: f64) -> usize {
    let total = candidates.len();
    if total < remaining {
        return 0;
    }
    let by_bound =
        |a: &Candidate, b: &Candidate| b.bound.total_cmp(&a.bound).then(a.label.cmp(&b.label));
    if remaining < total {
        candidates.select_nth_unstable_by(remaining - 1, by_bound);
    }
    candidates[..remaining].sort_unstable_by(by_bound);
    let top: f64 = candidates[..remaining].iter().map(|c| c.bound).sum();
    if top <= needed {
        return 0;
    }
    // Any other candidate would replace at least the weakest of these.
    let without_weakest = top - candidates[remaining - 1].bound;
    let mut kept = remaining;
    for position in remaining..total {
        if without_weakest + candidates[position].bound > needed {
            candidates.swap(kept, position);
            kept += 1;
        }
    }
    candidates[remaining..kept].sort_unstable_by(by_bound);
    kept
}

impl<'a> Objective<'a> {
    fn new(query: &'a Query<'a>, multiplicity: usize, score_to_beat: Option<f64>) -> Self {
        let geometry = query.geometry;
        let (constant, product_weight, weight, beaten) = match (&geometry.form, score_to_beat) {
            (
                Form::Quadratic {
                    scales, bonuses, ..
                },
                _,
            ) => {
                let scale = scales[multiplicity - 1];
                let beaten = Beaten::Above {
                    steepness: 1.0,
                    origin: 0.0,
                };
                let bonus = bonuses[multiplicity - 1];
                (bonus, 2.0 * scale, scale * scale, beaten)
            }
            (Form::Cosine { .. }, None) => (0.0, 1.0, 0.0, Beaten::Always),
            (Form::Cosine { bonuses }, Some(origin)) => {
                // The score of S beats θ iff b(S) − (θ − bonus)·√q(S) > 0. A linear bound of √q
                // from the right side makes this quadratic in S. A higher score to beat, θ',
                // lowers the left side by at least (θ' − θ)·min √q.
                let chord = &geometry.chords[multiplicity - 1];
                let least = origin - bonuses[multiplicity - 1];
                let (intercept, slope) = if least >= 0.0 {
                    chord.below
                } else {
                    chord.above
                };
                let beaten = Beaten::Above {
                    steepness: chord.minimum,
                    origin,
                };
                (-least * intercept, 1.0, least * slope, beaten)
            }
        };
        Self {
            query,
            multiplicity,
            constant,
            product_weight,
            weight,
            beaten,
            slack: 0.0,
        }
    }

    /// Treats differences within rounding as ties.
    fn with_slack(mut self) -> Self {
        let m = self.multiplicity as f64;
        let products = m * self.product_weight * self.query.largest_product;
        let norms = m * m * self.weight.abs() * self.query.geometry.largest_gram;
        self.slack = ROUNDINGS * (products + norms + self.constant.abs());
        self
    }

    /// What a label adds to an empty set.
    fn first_gain(&self, label: usize) -> f64 {
        self.product_weight * self.query.products[label]
            - self.weight * self.query.geometry.linear_norm(label, self.multiplicity)
    }

    /// At least −weight·(the label's row of interactions with `others` labels yet to come).
    fn relaxation(&self, label: usize, others: usize) -> f64 {
        let sums = if self.weight >= 0.0 {
            &self.query.geometry.lowest
        } else {
            &self.query.geometry.highest
        };
        -self.weight * sums[others * self.query.geometry.num_classes + label]
    }

    /// What this objective must exceed for a score above the one to beat.
    fn threshold(&self, score_to_beat: Option<f64>) -> f64 {
        match (self.beaten, score_to_beat) {
            (Beaten::Above { steepness, origin }, Some(score)) => {
                steepness * (score - origin) + self.slack
            }
            _ => f64::NEG_INFINITY,
        }
    }
}
