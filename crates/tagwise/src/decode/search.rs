//! Exact search for the label set of highest score among all sets up to a multiplicity.
//!
//! With b the vector of inner products ⟨h, h̄_k⟩ and G the Gram matrix of the class means, the
//! score of a set S depends on h only through b(S) = Σ_{k∈S} b_k, and on the geometry only through
//! q(S) = 1_SᵀG1_S. For a fixed multiplicity m every Gram matrix splits into
//! G_jk = [j=k]·δ_k + u_j + u_k + E_jk with a remainder E that has a zero diagonal and zero row
//! sums, so that q(S) = Σ_{k∈S} (δ_k + 2m·u_k) + E(S): linear in S but for E. On the collapsed
//! geometry, centred or orthogonal, E is 0 and the m largest coefficients win. Otherwise a
//! depth-first search over sets bounds E(R) of the r labels still to be chosen, row by row, from
//! below by Σ_{k∈R} (sum of the r−1 smallest entries of row k of E).

use std::collections::HashSet;

/// How the score of a label set follows from b(S) and q(S).
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// b(S)/√q(S) + bonus_m: the cosine times ‖h‖ plus a term of the multiplicity.
    Cosine {
        /// A term for each multiplicity m = 1..M, such as a log prior.
        bonuses: Vec<f64>,
    },
    /// 2·c_m·b(S) − c_m²·q(S) + bonus_m: ‖h‖² minus the squared distance to c_m·Σ_{k∈S} h̄_k.
    Quadratic {
        /// c_m for m = 1..M.
        scales: Vec<f64>,
        /// As for the cosine.
        bonuses: Vec<f64>,
        /// What a reported score lacks.
        offset: Offset,
    },
}

/// The term, common to all sets, that is subtracted from a quadratic score before it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offset {
    None,
    /// ‖h‖², which makes the score minus a squared distance.
    SquaredNorm,
}

/// What all samples share: the class means' Gram matrix, split for the search.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    num_classes: usize,
    max_multiplicity: usize,
    form: Form,
    gram: Vec<f64>,          // [K, K]
    interactions: Vec<f64>,  // E, [K, K]
    diagonal: Vec<f64>,      // δ, [K]
    offsets: Vec<f64>,       // u, [K]
    lowest: Vec<f64>,        // [M, K]: sum of the r smallest entries of a row of E
    highest: Vec<f64>,       // [M, K]: sum of the r largest
    chords: Vec<SquareRoot>, // per multiplicity
    largest_gram: f64,
    /// Sets whose score comes from elsewhere, so that the search must not offer them.
    excluded: HashSet<Box<[u32]>>,
}

/// Linear bounds of √q over the range of q among the sets of one multiplicity.
#[derive(Clone, Copy, Debug)]
struct SquareRoot {
    /// √q ≥ below.0 + below.1·q.
    below: (f64, f64),
    /// √q ≤ above.0 + above.1·q.
    above: (f64, f64),
    /// √q ≥ minimum.
    minimum: f64,
}

/// Prototypes whose squared norm is this small against (Σ_{k∈S} ‖h̄_k‖)² have cancelled to
/// rounding noise and carry no direction.
const CANCELLED: f64 = 1e-20;

/// Bounds closer to the threshold than this many roundings are ties, which need no search.
const ROUNDINGS: f64 = 64.0 * f64::EPSILON;

impl Geometry {
    /// `gram` is `[K, K]` with K ≥ 1, symmetric and finite; 1 ≤ `max_multiplicity` ≤ K.
    pub(super) fn new(gram: Vec<f64>, max_multiplicity: usize, form: Form) -> Self {
        let num_classes = gram.len().isqrt();
        let offsets = additive_offsets(&gram, num_classes);
        let mut interactions = vec![0.0; gram.len()];
        for j in 0..num_classes {
            for k in (0..num_classes).filter(|&k| k != j) {
                interactions[j * num_classes + k] =
                    gram[j * num_classes + k] - offsets[j] - offsets[k];
            }
        }
        let diagonal = (0..num_classes)
            .map(|k| gram[k * num_classes + k] - 2.0 * offsets[k])
            .collect();
        let mut geometry = Self {
            lowest: extreme_sums(&interactions, num_classes, max_multiplicity, f64::total_cmp),
            highest: extreme_sums(&interactions, num_classes, max_multiplicity, |a, b| {
                b.total_cmp(a)
            }),
            largest_gram: largest_magnitude(&gram),
            excluded: HashSet::new(),
            num_classes,
            max_multiplicity,
            form,
            gram,
            interactions,
            diagonal,
            offsets,
            chords: Vec::new(),
        };
        geometry.chords = (1..=max_multiplicity)
            .map(|m| geometry.square_root_bounds(m))
            .collect();
        geometry
    }

    /// Leaves these sets of sorted labels to the caller, who passes their scores to
    /// [`Search::run`].
    pub(super) fn excluding(mut self, sets: impl IntoIterator<Item = Box<[u32]>>) -> Self {
        self.excluded.extend(sets);
        self
    }

    pub(super) fn max_multiplicity(&self) -> usize {
        self.max_multiplicity
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    /// The part of q(S) that label k adds to a set of multiplicity m, interactions aside.
    fn linear_norm(&self, label: usize, multiplicity: usize) -> f64 {
        self.diagonal[label] + 2.0 * multiplicity as f64 * self.offsets[label]
    }

    fn square_root_bounds(&self, multiplicity: usize) -> SquareRoot {
        let extreme = |sums: &[f64], sign: f64| {
            let row = &sums[(multiplicity - 1) * self.num_classes..][..self.num_classes];
            let mut terms: Vec<f64> = (0..self.num_classes)
                .map(|k| sign * (self.linear_norm(k, multiplicity) + row[k]))
                .collect();
            terms.sort_unstable_by(f64::total_cmp);
            sign * terms[..multiplicity].iter().sum::<f64>()
        };
        // Rounding may leave the range empty or just below zero.
        let smallest = extreme(&self.lowest, 1.0).max(0.0);
        let largest = extreme(&self.highest, -1.0).max(smallest);
        if largest == 0.0 {
            return SquareRoot {
                below: (0.0, 0.0),
                above: (0.0, 0.0),
                minimum: 0.0,
            };
        }
        let slope = 1.0 / (largest.sqrt() + smallest.sqrt());
        let middle = 0.5 * (smallest + largest);
        SquareRoot {
            below: (smallest.sqrt() - slope * smallest, slope),
            above: (0.5 * middle.sqrt(), 0.5 / middle.sqrt()),
            minimum: smallest.sqrt(),
        }
    }

    /// The exact score of a set of sorted labels; `None` when its prototype has no direction.
    fn score(&self, products: &[f64], labels: &[u32]) -> Option<f64> {
        let (mut product, mut norm, mut trace) = (0.0, 0.0, 0.0);
        for (position, &j) in labels.iter().enumerate() {
            let row = &self.gram[j as usize * self.num_classes..][..self.num_classes];
            product += products[j as usize];
            trace += row[j as usize].max(0.0).sqrt();
            norm += row[j as usize];
            for &k in &labels[..position] {
                norm += 2.0 * row[k as usize];
            }
        }
        match &self.form {
            Form::Cosine { bonuses } => (norm > CANCELLED * trace * trace)
                .then(|| product / norm.sqrt() + bonuses[labels.len() - 1]),
            Form::Quadratic {
                scales, bonuses, ..
            } => {
                let multiplicity = labels.len();
                let scale = scales[multiplicity - 1];
                Some(scale * (2.0 * product - scale * norm) + bonuses[multiplicity - 1])
            }
        }
    }
}

/// The least-squares u of G_jk ≈ u_j + u_k over j ≠ k.
fn additive_offsets(gram: &[f64], num_classes: usize) -> Vec<f64> {
    let k = num_classes as f64;
    let row_sums: Vec<f64> = (0..num_classes)
        .map(|j| {
            let row = &gram[j * num_classes..][..num_classes];
            row.iter().sum::<f64>() - row[j]
        })
        .collect();
    match num_classes {
        0 | 1 => vec![0.0; num_classes],
        2 => vec![0.5 * row_sums[0]; 2],
        _ => {
            let share = row_sums.iter().sum::<f64>() / (2.0 * (k - 1.0));
            row_sums
                .iter()
                .map(|sum| (sum - share) / (k - 2.0))
                .collect()
        }
    }
}

fn largest_magnitude(values: &[f64]) -> f64 {
    values.iter().fold(0f64, |max, value| max.max(value.abs()))
}

/// For each r below `count` and each row the sum of the first r off-diagonal entries in `order`,
/// as `[count, K]`.
fn extreme_sums(
    matrix: &[f64],
    num_classes: usize,
    count: usize,
    order: impl Fn(&f64, &f64) -> std::cmp::Ordering,
) -> Vec<f64> {
    let mut sums = vec![0.0; count * num_classes];
    let mut others = Vec::with_capacity(num_classes);
    for k in 0..num_classes {
        let row = &matrix[k * num_classes..][..num_classes];
        others.clear();
        others.extend((0..num_classes).filter(|&j| j != k).map(|j| row[j]));
        others.sort_unstable_by(&order);
        let mut sum = 0.0;
        for r in 1..count {
            sum += others[r - 1];
            sums[r * num_classes + k] = sum;
        }
    }
    sums
}

/// A label set and its score.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) labels: Vec<u32>,
    pub(super) score: f64,
}

/// Buffers of a search, kept from one sample to the next.
#[derive(Clone, Debug)]
pub(super) struct Search {
    levels: Vec<Vec<Candidate>>,
    chosen: Vec<u32>,
    sorted: Vec<u32>,
    best: Vec<Found>,
    spare: Vec<Found>,
    wanted: usize,
    max_nodes: u64,
    nodes: u64,
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
    geometry: &'a Geometry,
    products: &'a [f64],
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

impl Search {
    /// A search for the `wanted` best sets that visits at most `max_nodes` nodes.
    pub(super) fn new(wanted: usize, max_nodes: u64) -> Self {
        Self {
            levels: Vec::new(),
            chosen: Vec::new(),
            sorted: Vec::new(),
            best: Vec::new(),
            spare: Vec::new(),
            wanted,
            max_nodes,
            nodes: 0,
        }
    }

    /// The best sets for these inner products ⟨h, h̄_k⟩ and these scored sets of sorted labels from
    /// elsewhere, best first.
    ///
    /// At least one set is found unless every prototype is zero under the cosine.
    pub(super) fn run<'a>(
        &mut self,
        geometry: &Geometry,
        products: &[f64],
        scored: impl Iterator<Item = (&'a [u32], f64)>,
    ) -> &[Found] {
        self.nodes = 0;
        self.spare.append(&mut self.best);
        let max_multiplicity = geometry.max_multiplicity;
        self.levels.resize_with(max_multiplicity, Vec::new);
        for (labels, score) in scored {
            self.keep(labels, score);
        }
        self.seed(geometry, products);
        let largest_product = largest_magnitude(products);
        for multiplicity in 1..=max_multiplicity {
            let objective = Objective::new(geometry, products, multiplicity, self.score_to_beat())
                .with_slack(largest_product);
            let mut root = std::mem::take(&mut self.levels[0]);
            root.clear();
            root.extend((0..geometry.num_classes).map(|k| {
                let gain = objective.first_gain(k);
                Candidate {
                    label: k as u32,
                    gain,
                    bound: gain + objective.relaxation(k, multiplicity - 1),
                }
            }));
            self.levels[0] = root;
            self.descend(&objective, 0, objective.constant, multiplicity);
        }
        &self.best
    }

    /// Whether the last search ended before it had excluded all other sets.
    pub(super) fn was_cut(&self) -> bool {
        self.nodes > self.max_nodes
    }

    /// Starts from every single label and, for each multiplicity, the labels of largest product.
    fn seed(&mut self, geometry: &Geometry, products: &[f64]) {
        for label in 0..geometry.num_classes as u32 {
            self.offer(geometry, products, &[label]);
        }
        let mut ranked = std::mem::take(&mut self.chosen);
        ranked.clear();
        ranked.extend(0..geometry.num_classes as u32);
        let by_product = |a: &u32, b: &u32| {
            products[*b as usize]
                .total_cmp(&products[*a as usize])
                .then(a.cmp(b))
        };
        let kept = geometry.max_multiplicity;
        if kept < ranked.len() {
            ranked.select_nth_unstable_by(kept - 1, by_product);
        }
        ranked[..kept].sort_unstable_by(by_product);
        for multiplicity in 2..=kept {
            let mut labels = std::mem::take(&mut self.sorted);
            labels.clear();
            labels.extend_from_slice(&ranked[..multiplicity]);
            labels.sort_unstable();
            self.offer(geometry, products, &labels);
            self.sorted = labels;
        }
        ranked.clear();
        self.chosen = ranked;
    }

    /// The score that a set must exceed to be among the best, if there are enough already.
    fn score_to_beat(&self) -> Option<f64> {
        (self.best.len() >= self.wanted).then(|| self.best[self.wanted - 1].score)
    }

    /// Keeps the set of sorted labels if it is among the best so far.
    fn offer(&mut self, geometry: &Geometry, products: &[f64], labels: &[u32]) {
        if !geometry.excluded.is_empty() && geometry.excluded.contains(labels) {
            return;
        }
        if let Some(score) = geometry.score(products, labels) {
            self.keep(labels, score);
        }
    }

    fn keep(&mut self, labels: &[u32], score: f64) {
        if self.score_to_beat().is_some_and(|beat| score <= beat) {
            return;
        }
        let position = self.best.partition_point(|found| found.score >= score);
        let known = self
            .best
            .iter()
            .any(|found| found.score == score && found.labels == labels);
        if known {
            return;
        }
        let mut found = if self.best.len() >= self.wanted {
            self.best.pop().expect("at least one set is wanted")
        } else {
            self.spare.pop().unwrap_or(Found {
                labels: Vec::new(),
                score,
            })
        };
        found.labels.clear();
        found.labels.extend_from_slice(labels);
        found.score = score;
        self.best.insert(position, found);
    }

    /// Completes the chosen labels by `remaining` of the candidates at this level in every way
    /// that can still beat the best. Candidates are tried in falling order of their bounds, so the
    /// first that fails ends the loop.
    fn descend(&mut self, objective: &Objective<'_>, level: usize, value: f64, remaining: usize) {
        self.nodes += 1;
        if self.was_cut() {
            return;
        }
        let mut candidates = std::mem::take(&mut self.levels[level]);
        let threshold = objective.threshold(self.score_to_beat());
        let kept = keep_promising(&mut candidates, remaining, threshold - value);
        if kept >= remaining {
            let mut reachable: f64 = candidates[..remaining].iter().map(|c| c.bound).sum();
            for first in 0..=kept - remaining {
                let threshold = objective.threshold(self.score_to_beat());
                if value + reachable <= threshold || self.was_cut() {
                    break;
                }
                let candidate = candidates[first];
                self.chosen.push(candidate.label);
                if remaining == 1 {
                    self.offer_chosen(objective);
                } else {
                    self.prepare(
                        objective,
                        level + 1,
                        candidate.label,
                        &candidates[first + 1..kept],
                        remaining - 1,
                    );
                    self.descend(objective, level + 1, value + candidate.gain, remaining - 1);
                }
                self.chosen.pop();
                if let Some(next) = candidates[..kept].get(first + remaining) {
                    reachable += next.bound - candidate.bound;
                }
            }
        }
        self.levels[level] = candidates;
    }

    fn offer_chosen(&mut self, objective: &Objective<'_>) {
        let mut labels = std::mem::take(&mut self.sorted);
        labels.clear();
        labels.extend_from_slice(&self.chosen);
        labels.sort_unstable();
        self.offer(objective.geometry, objective.products, &labels);
        self.sorted = labels;
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
        let num_classes = objective.geometry.num_classes;
        let row = &objective.geometry.interactions[chosen as usize * num_classes..][..num_classes];
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
    fn new(
        geometry: &'a Geometry,
        products: &'a [f64],
        multiplicity: usize,
        score_to_beat: Option<f64>,
    ) -> Self {
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
            geometry,
            products,
            multiplicity,
            constant,
            product_weight,
            weight,
            beaten,
            slack: 0.0,
        }
    }

    /// Treats differences within rounding as ties.
    fn with_slack(mut self, largest_product: f64) -> Self {
        let m = self.multiplicity as f64;
        let products = m * self.product_weight * largest_product;
        let norms = m * m * self.weight.abs() * self.geometry.largest_gram;
        self.slack = ROUNDINGS * (products + norms + self.constant.abs());
        self
    }

    /// What a label adds to an empty set.
    fn first_gain(&self, label: usize) -> f64 {
        self.product_weight * self.products[label]
            - self.weight * self.geometry.linear_norm(label, self.multiplicity)
    }

    /// At least −weight·(the label's row of interactions with `others` labels yet to come).
    fn relaxation(&self, label: usize, others: usize) -> f64 {
        let sums = if self.weight >= 0.0 {
            &self.geometry.lowest
        } else {
            &self.geometry.highest
        };
        -self.weight * sums[others * self.geometry.num_classes + label]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounding of a score against sums of at most 12² products of numbers of size one.
    const ROUNDING: f64 = 1e-11;

    /// The two best scores among all sets, found one by one.
    fn brute_force(geometry: &Geometry, products: &[f64]) -> Vec<f64> {
        let mut scores: Vec<f64> = (1u32..1 << geometry.num_classes)
            .filter(|bits| bits.count_ones() as usize <= geometry.max_multiplicity)
            .filter_map(|bits| {
                let labels: Vec<u32> = (0..32).filter(|k| bits >> k & 1 == 1).collect();
                geometry.score(products, &labels)
            })
            .collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.truncate(2);
        scores
    }

    #[derive(Clone, Debug)]
    struct Case {
        gram: Vec<f64>,
        products: Vec<f64>,
        max_multiplicity: usize,
        scales: Vec<f64>,
        bonuses: Vec<f64>,
    }

    /// Means and a feature in `d` dimensions, from collapsed (spread 0) to arbitrary.
    fn cases() -> impl Strategy<Value = Case> {
        (1usize..=12, 1usize..=8).prop_flat_map(|(k, d)| {
            (
                prop::collection::vec(-1.0..1.0f64, k * d),
                prop::collection::vec(-1.0..1.0f64, d),
                prop::sample::select(vec![0.0, 0.01, 0.1, 1.0]),
                -0.5..1.0f64,
                1..=k,
                prop::collection::vec(0.2..1.5f64, k),
                prop::collection::vec(-0.3..0.3f64, k),
            )
                .prop_map(
                    move |(noise, feature, spread, shift, m, scales, bonuses)| {
                        let dim = k + d;
                        let means: Vec<f64> = (0..k * dim)
                            .map(|index| {
                                let (row, column) = (index / dim, index % dim);
                                let orthogonal = f64::from(u8::from(row == column));
                                if column < k {
                                    orthogonal + shift / k as f64
                                } else {
                                    spread * noise[row * d + column - k]
                                }
                            })
                            .collect();
                        let inner =
                            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum();
                        let row = |j: usize| &means[j * dim..][..dim];
                        let target: Vec<f64> = (0..dim)
                            .map(|c| feature[c % d] + row(0)[c] + row(k / 2)[c])
                            .collect();
                        Case {
                            gram: (0..k * k).map(|i| inner(row(i / k), row(i % k))).collect(),
                            products: (0..k).map(|j| inner(row(j), &target)).collect(),
                            max_multiplicity: m,
                            scales,
                            bonuses,
                        }
                    },
                )
        })
    }

    proptest! {
        #[test]
        fn the_search_finds_the_two_best_sets_of_all(case in cases(), sign in prop::sample::select(vec![1.0, -1.0])) {
            let products: Vec<f64> = case.products.iter().map(|b| sign * b).collect();
            for form in [
                Form::Cosine { bonuses: vec![0.0; case.bonuses.len()] },
                Form::Cosine { bonuses: case.bonuses.clone() },
                Form::Quadratic { scales: case.scales.clone(), bonuses: case.bonuses.clone(), offset: Offset::None },
            ] {
                let geometry = Geometry::new(case.gram.clone(), case.max_multiplicity, form);
                let expected = brute_force(&geometry, &products);
                for wanted in [1, 2] {
                    let mut search = Search::new(wanted, u64::MAX);
                    let found = search.run(&geometry, &products, std::iter::empty());
                    prop_assert_eq!(found.len(), expected.len().min(wanted));
                    for (found, expected) in found.iter().zip(&expected) {
                        prop_assert!((found.score - expected).abs() < ROUNDING, "{:?} vs {}", found, expected);
                        prop_assert_eq!(Some(found.score), geometry.score(&products, &found.labels));
                    }
                    prop_assert!(!search.was_cut());
                }
            }
        }
    }

    #[test]
    fn excluded_sets_are_left_to_the_scores_from_elsewhere() {
        let gram = vec![1.0, 0.0, 0.0, 1.0];
        let bonuses = vec![0.0; 2];
        let geometry = Geometry::new(gram, 2, Form::Cosine { bonuses }).excluding([[0, 1].into()]);
        let products = [1.0, 1.0];
        let mut search = Search::new(1, u64::MAX);
        let found = search.run(&geometry, &products, std::iter::empty());
        assert_eq!(found[0].labels, [0]);
        let scored: [(&[u32], f64); 2] = [(&[0, 1], 1.2), (&[], 0.3)];
        assert_eq!(
            search.run(&geometry, &products, scored.into_iter())[0].labels,
            [0, 1]
        );
    }

    #[test]
    fn a_search_that_is_cut_says_so_and_still_answers() {
        let (k, dim) = (30usize, 3usize);
        // Many classes crowded into few dimensions: the worst case for the bounds.
        let means: Vec<f64> = (0..k * dim)
            .map(|i| ((i * i * 7 + i) as f64).sin())
            .collect();
        let inner = |j: usize, l: usize| {
            (0..dim)
                .map(|c| means[j * dim + c] * means[l * dim + c])
                .sum()
        };
        let gram: Vec<f64> = (0..k * k).map(|i| inner(i / k, i % k)).collect();
        let geometry = Geometry::new(
            gram,
            10,
            Form::Cosine {
                bonuses: vec![0.0; 10],
            },
        );
        let products: Vec<f64> = (0..k).map(|j| inner(j, 1) + inner(j, 4)).collect();
        let mut search = Search::new(1, 20);
        assert_eq!(
            search.run(&geometry, &products, std::iter::empty()).len(),
            1
        );
        assert!(search.was_cut());
    }

    #[test]
    fn exact_simplex_geometry_needs_one_node_for_each_multiplicity() {
        let (k, m) = (80usize, 8usize);
        let gram: Vec<f64> = (0..k * k)
            .map(|i| f64::from(u8::from(i / k == i % k)) - 1.0 / k as f64)
            .collect();
        let members = [3usize, 20, 77];
        let products: Vec<f64> = (0..k)
            .map(|j| members.iter().map(|&l| gram[j * k + l]).sum())
            .collect();
        let geometry = Geometry::new(
            gram,
            m,
            Form::Cosine {
                bonuses: vec![0.0; m],
            },
        );
        let mut search = Search::new(1, u64::MAX);
        assert_eq!(
            search.run(&geometry, &products, std::iter::empty())[0].labels,
            [3, 20, 77]
        );
        assert_eq!(search.nodes, m as u64);
    }
}
