//! What all samples of a search share: the class means' Gram matrix and how sets are scored.

use std::collections::HashSet;
use std::sync::OnceLock;

use faer::{Mat, Side};

use super::ROUNDINGS;

/// How the score of a label set follows from b(S) and q(S).
#[derive(Clone, Debug)]
pub(in crate::decode) enum Form {
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
pub(in crate::decode) enum Offset {
    None,
    /// ‖h‖², which makes the score minus a squared distance.
    SquaredNorm,
}

/// What all samples share: the class means' Gram matrix, split for the search.
#[derive(Clone, Debug)]
pub(in crate::decode) struct Geometry {
    pub(super) num_classes: usize,
    pub(super) max_multiplicity: usize,
    pub(super) form: Form,
    pub(super) gram: Vec<f64>,          // [K, K]
    pub(super) interactions: Vec<f64>,  // E, [K, K]
    diagonal: Vec<f64>,                 // δ, [K]
    offsets: Vec<f64>,                  // u, [K]
    pub(super) lowest: Vec<f64>,        // [M, K]: sum of the r smallest entries of a row of E
    pub(super) highest: Vec<f64>,       // [M, K]: sum of the r largest
    pub(super) chords: Vec<SquareRoot>, // per multiplicity
    pub(super) largest_gram: f64,
    ridge: OnceLock<Option<f64>>,
    /// Sets whose score comes from elsewhere, so that the search must not offer them.
    excluded: HashSet<Box<[u32]>>,
}

/// One sample against a geometry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) geometry: &'a Geometry,
    /// The inner products ⟨h, h̄_k⟩.
    pub(super) products: &'a [f64],
    pub(super) largest_product: f64,
}

/// Linear bounds of √q over the range of q among the sets of one multiplicity.
#[derive(Clone, Copy, Debug)]
pub(super) struct SquareRoot {
    /// √q ≥ below.0 + below.1·q.
    pub(super) below: (f64, f64),
    /// √q ≤ above.0 + above.1·q.
    pub(super) above: (f64, f64),
    /// √q ≥ minimum.
    pub(super) minimum: f64,
}

/// Prototypes whose squared norm is this small against (Σ_{k∈S} ‖h̄_k‖)² have cancelled to
/// rounding noise and carry no direction.
const CANCELLED: f64 = 1e-20;

impl<'a> Query<'a> {
    pub(super) fn new(geometry: &'a Geometry, products: &'a [f64]) -> Self {
        Self {
            geometry,
            products,
            largest_product: largest_magnitude(products),
        }
    }
}

impl Geometry {
    /// `gram` is `[K, K]` with K ≥ 1, symmetric and finite; 1 ≤ `max_multiplicity` ≤ K.
    pub(in crate::decode) fn new(gram: Vec<f64>, max_multiplicity: usize, form: Form) -> Self {
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
            ridge: OnceLock::new(),
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
    /// [`Search::run`](super::Search::run).
    pub(in crate::decode) fn excluding(
        mut self,
        sets: impl IntoIterator<Item = Box<[u32]>>,
    ) -> Self {
        self.excluded.extend(sets);
        self
    }

    /// G, `[K, K]`.
    pub(in crate::decode) fn gram(&self) -> &[f64] {
        &self.gram
    }

    pub(super) fn gram_row(&self, label: u32) -> &[f64] {
        &self.gram[label as usize * self.num_classes..][..self.num_classes]
    }

    /// The largest λ for which G − λ·(I − 11ᵀ/m) is positive semi-definite for every multiplicity
    /// m; `None` when even G is not.
    pub(super) fn ridge(&self) -> Option<f64> {
        *self
            .ridge
            .get_or_init(|| largest_ridge(&self.gram, self.num_classes, self.max_multiplicity))
    }

    /// Whether the score of this set of sorted labels comes from elsewhere.
    pub(super) fn excludes(&self, labels: &[u32]) -> bool {
        !self.excluded.is_empty() && self.excluded.contains(labels)
    }

    pub(in crate::decode) fn max_multiplicity(&self) -> usize {
        self.max_multiplicity
    }

    pub(in crate::decode) fn form(&self) -> &Form {
        &self.form
    }

    /// The part of q(S) that label k adds to a set of multiplicity m, interactions aside.
    pub(super) fn linear_norm(&self, label: usize, multiplicity: usize) -> f64 {
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
    pub(super) fn score(&self, products: &[f64], labels: &[u32]) -> Option<f64> {
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

/// See [`Geometry::ridge`]. The largest multiplicity is the one that allows least.
fn largest_ridge(gram: &[f64], num_classes: usize, max_multiplicity: usize) -> Option<f64> {
    const HALVINGS: usize = 12;
    let is_definite = |ridge: f64, jitter: f64| {
        let matrix = Mat::from_fn(num_classes, num_classes, |j, k| {
            let diagonal = if j == k { jitter - ridge } else { 0.0 };
            gram[j * num_classes + k] + ridge / max_multiplicity as f64 + diagonal
        });
        matrix.llt(Side::Lower).is_ok()
    };
    let rounding = ROUNDINGS * num_classes as f64 * largest_magnitude(gram);
    if !is_definite(0.0, rounding.max(f64::MIN_POSITIVE)) {
        return None;
    }
    let diagonal = (0..num_classes).map(|k| gram[k * num_classes + k]);
    let (mut low, mut high) = (0.0, 2.0 * diagonal.fold(f64::INFINITY, f64::min));
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if is_definite(middle, 0.0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(low)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// G = I − shift·11ᵀ.
    fn ridge(num_classes: usize, shift: f64, max_multiplicity: usize) -> Option<f64> {
        let gram = (0..num_classes * num_classes)
            .map(|i| f64::from(u8::from(i / num_classes == i % num_classes)) - shift)
            .collect();
        let bonuses = vec![0.0; max_multiplicity];
        Geometry::new(gram, max_multiplicity, Form::Cosine { bonuses }).ridge()
    }

    #[test]
    fn the_ridge_of_a_collapsed_geometry_is_all_that_is_not_common_to_the_means() {
        /// Twelve halvings of at most 3.
        const RESOLUTION: f64 = 3.0 / 4096.0;
        for shift in [0.0, 1.0 / 9.0, -0.5] {
            for max_multiplicity in [1, 4, 8] {
                let ridge = ridge(9, shift, max_multiplicity).unwrap();
                assert!(ridge <= 1.0 && ridge > 1.0 - RESOLUTION);
            }
        }
    }

    #[test]
    fn there_is_no_ridge_below_the_smallest_eigenvalue() {
        assert_eq!(ridge(9, 0.2, 3), None);
        let flat = Geometry::new(
            vec![1.0; 9],
            2,
            Form::Cosine {
                bonuses: vec![0.0; 2],
            },
        );
        assert_eq!(flat.ridge(), Some(0.0)); // one direction for all
    }
}
