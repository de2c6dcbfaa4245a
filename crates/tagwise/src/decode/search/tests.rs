//! Searches against all sets one by one.

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

/// What rounding of inner products leaves of a score: under the cosine they are divided by the
/// length of the prototype.
fn resolution(geometry: &Geometry, products: &[f64]) -> f64 {
    let magnitude = |values: &[f64]| values.iter().fold(1.0, |max: f64, x| max.max(x.abs()));
    let largest = magnitude(products) + geometry.largest_gram;
    let shortest = match geometry.form {
        Form::Quadratic { .. } => 1.0,
        Form::Cosine { .. } => (1u32..1 << geometry.num_classes)
            .map(|bits| {
                let labels = || (0..geometry.num_classes).filter(move |k| bits >> k & 1 == 1);
                let row =
                    |j: usize| labels().map(move |k| geometry.gram[j * geometry.num_classes + k]);
                labels().flat_map(row).sum::<f64>().sqrt()
            })
            .filter(|length| *length > 1e-9)
            .fold(1.0, f64::min),
    };
    ROUNDING * largest / shortest
}

#[derive(Clone, Debug)]
struct Case {
    gram: Vec<f64>,
    products: Vec<f64>,
    max_multiplicity: usize,
    scales: Vec<f64>,
    bonuses: Vec<f64>,
}

/// The bounds that a search may use: additive ones alone, convex ones alone, or one after the other.
const ADDITIVE_NODES_TRIED: [fn(&Form) -> u64; 3] = [|_| u64::MAX, |_| 0, |_| 3];

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl Case {
    /// A feature that is `target` plus two of the means.
    fn new(
        means: &[Vec<f64>],
        mut target: Vec<f64>,
        max_multiplicity: usize,
        (scales, bonuses): (Vec<f64>, Vec<f64>),
    ) -> Self {
        let k = means.len();
        for (c, x) in target.iter_mut().enumerate() {
            *x += means[0][c] + means[k / 2][c];
        }
        Self {
            gram: (0..k * k)
                .map(|i| inner(&means[i / k], &means[i % k]))
                .collect(),
            products: means.iter().map(|mean| inner(mean, &target)).collect(),
            max_multiplicity,
            scales,
            bonuses,
        }
    }

    /// All searches find the two best sets of all, under every form of the score.
    fn check(&self, sign: f64) -> Result<(), TestCaseError> {
        let products: Vec<f64> = self.products.iter().map(|b| sign * b).collect();
        let bonuses = &self.bonuses;
        for form in [
            Form::Cosine {
                bonuses: vec![0.0; bonuses.len()],
            },
            Form::Cosine {
                bonuses: bonuses.clone(),
            },
            Form::Quadratic {
                scales: self.scales.clone(),
                bonuses: bonuses.clone(),
                offset: Offset::None,
            },
        ] {
            let geometry = Geometry::new(self.gram.clone(), self.max_multiplicity, form);
            let expected = brute_force(&geometry, &products);
            let resolution = resolution(&geometry, &products);
            for (wanted, additive_nodes) in [1, 2]
                .into_iter()
                .flat_map(|wanted| ADDITIVE_NODES_TRIED.map(|nodes| (wanted, nodes)))
            {
                let mut search = Search::new(wanted, u64::MAX);
                search.additive_nodes = additive_nodes;
                let found = search.run(&geometry, &products, std::iter::empty());
                prop_assert_eq!(found.len(), expected.len().min(wanted));
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!(
                        (found.score - expected).abs() < resolution * (1.0 + expected.abs()),
                        "{:?} vs {}",
                        found,
                        expected
                    );
                    let score = geometry.score(&products, &found.labels);
                    prop_assert_eq!(Some(found.score), score);
                }
                prop_assert!(!search.was_cut());
            }
        }
        Ok(())
    }
}

fn scales_and_bonuses(k: usize) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    (
        prop::collection::vec(0.2..1.5f64, k),
        prop::collection::vec(-0.3..0.3f64, k),
    )
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
            scales_and_bonuses(k),
        )
            .prop_map(move |(noise, feature, spread, shift, m, terms)| {
                let mean = |row: usize| {
                    let orthogonal =
                        (0..k).map(move |c| f64::from(u8::from(row == c)) + shift / k as f64);
                    let noise = noise[row * d..][..d].iter().map(|x| spread * x);
                    orthogonal.chain(noise).collect()
                };
                let means: Vec<Vec<f64>> = (0..k).map(mean).collect();
                let target = (0..k + d).map(|c| feature[c % d]).collect();
                Case::new(&means, target, m, terms)
            })
    })
}

/// What sets means far from collapse apart.
#[derive(Clone, Copy, Debug)]
enum Oddity {
    /// All means point almost the same way.
    Correlated,
    /// Every second mean is almost the opposite of the one before.
    Opposite,
    /// Every second mean is the one before.
    Duplicated,
    /// Every second mean is short.
    Short,
    /// Means are orthogonal with norms from 1 to K.
    Stretched,
    /// The feature points away from all means.
    Behind,
}

/// Means that are hard on bounds, and a feature.
fn odd_cases() -> impl Strategy<Value = Case> {
    let oddities = [
        Oddity::Correlated,
        Oddity::Opposite,
        Oddity::Duplicated,
        Oddity::Short,
        Oddity::Stretched,
        Oddity::Behind,
    ];
    (
        2usize..=10,
        1usize..=6,
        prop::sample::select(oddities.to_vec()),
    )
        .prop_flat_map(|(k, d, oddity)| {
            (
                prop::collection::vec(-1.0..1.0f64, (k + 1) * (d + k)),
                1..=k,
                scales_and_bonuses(k),
            )
                .prop_map(move |(values, m, terms)| {
                    let mut rows: Vec<Vec<f64>> =
                        values.chunks(d + k).map(|row| row[..d].to_vec()).collect();
                    let mut target = rows.pop().expect("K + 1 rows");
                    make_odd(&mut rows, &mut target, oddity);
                    Case::new(&rows, target, m, terms)
                })
        })
}

fn make_odd(means: &mut [Vec<f64>], target: &mut Vec<f64>, oddity: Oddity) {
    /// How far an odd mean is from its pattern.
    const SMALL: f64 = 0.03;
    for k in 0..means.len() {
        let previous = means[k.saturating_sub(1)].clone();
        let num_classes = means.len();
        let mean = &mut means[k];
        match oddity {
            Oddity::Correlated => mean.iter_mut().for_each(|x| *x = 1.0 + SMALL * *x),
            Oddity::Behind => mean.iter_mut().for_each(|x| *x += 1.5),
            Oddity::Stretched => {
                mean.clear();
                mean.resize(num_classes, 0.0);
                mean[k] = 1.0 + k as f64;
            }
            _ if k % 2 == 0 => {}
            Oddity::Duplicated => *mean = previous,
            Oddity::Opposite => {
                let opposite = mean.iter().zip(&previous).map(|(x, y)| SMALL * x - y);
                *mean = opposite.collect();
            }
            Oddity::Short => mean.iter_mut().for_each(|x| *x *= 1e-3),
        }
    }
    if matches!(oddity, Oddity::Behind) {
        target.iter_mut().for_each(|x| *x -= 9.0);
    }
    let last = target.last().copied().unwrap_or_default();
    target.resize(means[0].len(), last);
}

proptest! {
    #[test]
    fn the_search_finds_the_two_best_sets_of_all(case in cases(), sign in prop::sample::select(vec![1.0, -1.0])) {
        case.check(sign)?;
    }

    #[test]
    fn odd_means_hide_no_set_from_the_search(case in odd_cases(), sign in prop::sample::select(vec![1.0, -1.0])) {
        case.check(sign)?;
    }
}

/// K means in a few dimensions around a common direction, as the logits of a table have them, and
/// a feature near the sum of five.
fn correlated(num_classes: usize, dim: usize) -> Case {
    let wave = |i: usize| ((i * i * 7 + 3 * i) as f64).sin();
    let means: Vec<Vec<f64>> = (0..num_classes)
        .map(|k| (0..dim).map(|c| 0.5 + wave(k * dim + c)).collect())
        .collect();
    let target = (0..dim)
        .map(|c| (1..4).map(|k| means[k][c]).sum::<f64>() + 2.0 * wave(c))
        .collect();
    Case::new(&means, target, 10, (vec![0.2; 10], vec![0.0; 10]))
}

#[test]
fn far_from_collapse_convex_bounds_prove_what_additive_ones_cannot() {
    let case = correlated(22, 12);
    let form = Form::Cosine {
        bonuses: case.bonuses.clone(),
    };
    let geometry = Geometry::new(case.gram.clone(), 10, form);
    let mut search = Search::new(2, 2_000);
    search.run(&geometry, &case.products, std::iter::empty());
    assert!(!search.was_cut());
    let mut additive = Search::new(2, 20_000);
    additive.additive_nodes = |_| u64::MAX;
    additive.run(&geometry, &case.products, std::iter::empty());
    assert!(additive.was_cut());
}

#[test]
fn a_gram_matrix_with_negative_eigenvalues_is_left_to_additive_bounds() {
    let gram = vec![1.0, -2.0, 0.5, -2.0, 1.0, 0.5, 0.5, 0.5, 1.0];
    let form = Form::Quadratic {
        scales: vec![1.0; 3],
        bonuses: vec![0.0; 3],
        offset: Offset::None,
    };
    let geometry = Geometry::new(gram, 3, form);
    let products = [0.3, 0.1, 0.2];
    let expected = brute_force(&geometry, &products);
    for additive_nodes in ADDITIVE_NODES_TRIED {
        let mut search = Search::new(2, u64::MAX);
        search.additive_nodes = additive_nodes;
        let found = search.run(&geometry, &products, std::iter::empty());
        assert!((found[0].score - expected[0]).abs() < ROUNDING);
        assert!((found[1].score - expected[1]).abs() < ROUNDING);
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
    assert_eq!(search.progress.nodes(), m as u64);
}
