//! The sets below a node of the search, relaxed to weights of the labels.
//!
//! Let A be positive semi-definite with 1_SᵀA1_S = q(S) for every set S of m labels, and x any
//! weights of the labels. By Cauchy and Schwarz √q(S) ≥ 1_SᵀAx/√(xᵀAx), and also
//! q(S) ≥ 2·1_SᵀAx − xᵀAx; both are equal at x = 1_S. Either bounds the score of all sets below a
//! node by a sum over labels, whose maximum is at the labels of largest terms. The tightest bound
//! is at the weights between 0 and 1, of sum m, that maximise the score itself, a concave problem;
//! the steps of Frank and Wolfe 1956 move towards it, each time to the set that the last bound
//! found best, which also is a candidate for the answer.
//!
//! A is G − λ·(I − 11ᵀ/m) with the λ of [`Geometry::ridge`](super::geometry::Geometry::ridge): the
//! weights are whole numbers, whose squares sum to m, and what is convex beyond need there makes
//! the bound tight. On the collapsed geometry nothing else is left.

use super::excess::{Excess, Magnitudes, Segment, Tangent};
use super::geometry::Query;
use super::progress::Progress;

/// Steps at one node. Later ones tighten the bound by less than a branch does.
const MAX_STEPS: usize = 14;

/// Steps before a node is given up whose relaxation beats the score.
const MIN_STEPS: usize = 3;

/// The sets of one multiplicity.
pub(super) struct Problem<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) multiplicity: usize,
    /// λ.
    pub(super) ridge: f64,
    /// The score to beat when the search began.
    pub(super) origin: f64,
    pub(super) largest: Magnitudes,
}

/// The sets below a node: the chosen labels and some of the free ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    pub(super) free: Vec<u32>,
    /// G·1 of the chosen labels, `[K]`.
    pub(super) row: Vec<f64>,
    /// b of the chosen labels.
    pub(super) product: f64,
    /// q of the chosen labels.
    pub(super) norm: f64,
}

/// What is known of the sets below a node.
pub(super) enum Verdict {
    /// None is among the best.
    Excluded,
    /// All that may be take all of the labels left free.
    Single,
    /// All that may be have the [forced](Relaxation::is_forced) labels.
    Forced,
    /// Nothing but that the relaxation weighs this label most.
    Open(u32),
}

/// Weights x of the labels and what follows from them, with buffers that are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Relaxation {
    weights: Vec<f64>, // [K]
    row: Vec<f64>,     // G·x, [K]
    /// Σ_k x_k/m.
    mass: f64,
    product: f64,
    /// xᵀAx.
    norm: f64,
    coefficients: Vec<f64>, // [K]
    set_row: Vec<f64>,      // G·1_S of the set moved to, [K]
    set: Vec<u32>,
    forced: Vec<bool>, // [K]
}

impl Problem<'_> {
    pub(super) fn excess(&self, progress: &Progress) -> Excess {
        let score = progress.score_to_beat().unwrap_or(self.origin);
        Excess::new(&self.query.geometry.form, self.multiplicity, score)
    }
}

impl Relaxation {
    /// Judges the sets below a node with more free labels than are still to be chosen. Offers the
    /// sets met on the way, and takes labels that no set among the best has from the free ones.
    pub(super) fn judge(
        &mut self,
        problem: &Problem<'_>,
        progress: &mut Progress,
        chosen: &[u32],
        level: &mut Level,
    ) -> Verdict {
        let remaining = problem.multiplicity - chosen.len();
        self.start(problem, chosen, level);
        for step in 0..MAX_STEPS {
            let excess = problem.excess(progress);
            let slack = excess.slack(problem.largest);
            let tangent = excess.tangent(self.norm, problem.largest);
            let fixed = self.linearize(problem, &tangent, chosen, level);
            if !self.reduce(&mut level.free, remaining, fixed, slack - tangent.rounding) {
                return Verdict::Excluded;
            }
            if level.free.len() == remaining {
                return Verdict::Single;
            }
            self.set.clear();
            self.set.extend_from_slice(chosen);
            self.set.extend_from_slice(&level.free[..remaining]);
            let (product, norm) = self.measure_set(problem, level, remaining);
            if excess.at(product, norm) > -slack {
                progress.offer(problem.query, &self.set);
            }
            self.move_to_set(problem, product, norm, (step > 0).then_some(excess));
            if step + 1 >= MIN_STEPS && excess.at(self.product, self.norm) > slack {
                break;
            }
        }
        if level.free.iter().any(|&label| self.is_forced(label)) {
            return Verdict::Forced;
        }
        let weight = |label: u32| self.weights[label as usize];
        let by_weight = |a: &&u32, b: &&u32| weight(**a).total_cmp(&weight(**b)).then(b.cmp(a));
        let heaviest = level.free.iter().max_by(by_weight);
        heaviest.map_or(Verdict::Excluded, |&label| Verdict::Open(label))
    }

    /// Whether the last verdict found this free label in all sets that may be among the best.
    pub(super) fn is_forced(&self, label: u32) -> bool {
        self.forced[label as usize]
    }

    /// Starts from the chosen labels alone.
    fn start(&mut self, problem: &Problem<'_>, chosen: &[u32], level: &Level) {
        let num_classes = level.row.len();
        self.weights.clear();
        self.weights.resize(num_classes, 0.0);
        for &label in chosen {
            self.weights[label as usize] = 1.0;
        }
        self.forced.clear();
        self.forced.resize(num_classes, false);
        self.coefficients.resize(num_classes, 0.0);
        self.row.clear();
        self.row.extend_from_slice(&level.row);
        let num_chosen = chosen.len() as f64;
        self.mass = num_chosen / problem.multiplicity as f64;
        self.product = level.product;
        self.norm = level.norm + problem.ridge * num_chosen * (self.mass - 1.0);
    }

    /// (A·x)_k.
    fn inner(&self, problem: &Problem<'_>, label: u32) -> f64 {
        let label = label as usize;
        self.row[label] + problem.ridge * (self.mass - self.weights[label])
    }

    /// The coefficients of the free labels in the bound, and what the chosen ones add up to.
    fn linearize(
        &mut self,
        problem: &Problem<'_>,
        tangent: &Tangent,
        chosen: &[u32],
        level: &Level,
    ) -> f64 {
        let products = problem.query.products;
        for &label in &level.free {
            self.coefficients[label as usize] = tangent.product_weight * products[label as usize]
                - tangent.norm_weight * self.inner(problem, label);
        }
        let inner: f64 = chosen.iter().map(|&k| self.inner(problem, k)).sum();
        tangent.constant + tangent.product_weight * level.product - tangent.norm_weight * inner
    }

    /// Moves the labels of largest coefficients to the front, drops those that are in no set with
    /// a bound above the threshold, and marks those that are in all of them; `false` if there is no
    /// such set.
    fn reduce(
        &mut self,
        free: &mut Vec<u32>,
        remaining: usize,
        fixed: f64,
        threshold: f64,
    ) -> bool {
        let coefficients = &self.coefficients;
        let of = |label: u32| coefficients[label as usize];
        free.select_nth_unstable_by(remaining - 1, |&a, &b| {
            of(b).total_cmp(&of(a)).then(a.cmp(&b))
        });
        let (top, rest) = free.split_at(remaining);
        let bound = fixed + top.iter().map(|&label| of(label)).sum::<f64>();
        if bound <= threshold {
            return false;
        }
        let next = rest.iter().map(|&label| of(label)).fold(f64::MIN, f64::max);
        for &label in top {
            if bound - of(label) + next <= threshold {
                self.forced[label as usize] = true;
            }
        }
        let without_last = bound - of(free[remaining - 1]);
        let mut kept = remaining;
        for position in remaining..free.len() {
            if without_last + of(free[position]) > threshold {
                free[kept] = free[position];
                kept += 1;
            }
        }
        free.truncate(kept);
        true
    }

    /// b and q of the set that joins the first free labels to the chosen ones.
    fn measure_set(
        &mut self,
        problem: &Problem<'_>,
        level: &Level,
        remaining: usize,
    ) -> (f64, f64) {
        self.set_row.clear();
        self.set_row.extend_from_slice(&level.row);
        let mut product = level.product;
        for &label in &level.free[..remaining] {
            product += problem.query.products[label as usize];
            add(&mut self.set_row, problem.query.geometry.gram_row(label));
        }
        let norm = self.set.iter().map(|&k| self.set_row[k as usize]).sum();
        (product, norm)
    }

    /// Moves the weights towards the set as far as the excess grows, or all the way without one.
    fn move_to_set(
        &mut self,
        problem: &Problem<'_>,
        product: f64,
        norm: f64,
        excess: Option<Excess>,
    ) {
        let shared: f64 = self.set.iter().map(|&k| self.inner(problem, k)).sum();
        let segment = Segment {
            product: product - self.product,
            norm: self.norm,
            cross: shared - self.norm,
            square: norm - 2.0 * shared + self.norm,
        };
        let share = excess.map_or(1.0, |excess| excess.best_share(segment));
        for (row, set_row) in self.row.iter_mut().zip(&self.set_row) {
            *row += share * (set_row - *row);
        }
        self.weights.iter_mut().for_each(|x| *x *= 1.0 - share);
        for &label in &self.set {
            self.weights[label as usize] += share;
        }
        self.mass += share * (1.0 - self.mass);
        self.product += share * segment.product;
        self.norm += share * (2.0 * segment.cross + share * segment.square);
    }
}

/// Adds values to others.
pub(super) fn add(out: &mut [f64], values: &[f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += value;
    }
}
