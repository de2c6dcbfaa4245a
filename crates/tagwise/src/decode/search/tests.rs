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
            .prop_map(move |(noise, feature, spread, shift, m, scales, bonuses)| {
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
                let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum();
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
            })
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
    assert_eq!(search.progress.nodes(), m as u64);
}
