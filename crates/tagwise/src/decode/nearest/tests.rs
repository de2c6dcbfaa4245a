use faer::mat;
use proptest::prelude::*;

use super::*;
use crate::etf::simplex_etf_mat;

/// Rounding of inner products and norms of vectors of size one.
const ROUNDING: f64 = 1e-10;

/// Every set of 1 to `max_multiplicity` labels with the sum of its class means.
fn prototypes(means: &Mat<f64>, max_multiplicity: usize) -> Vec<(LabelSet, Vec<f64>)> {
    (1u32..1 << means.nrows())
        .filter(|bits| bits.count_ones() as usize <= max_multiplicity)
        .map(|bits| {
            let set: LabelSet = (0..32).filter(|k| bits >> k & 1 == 1).collect();
            let sum = |c| set.indices().map(|k| means[(k, c)]).sum();
            let prototype = (0..means.ncols()).map(sum).collect();
            (set, prototype)
        })
        .collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let inner = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    inner(a, b) / (inner(a, a) * inner(b, b)).sqrt()
}

fn negative_squared_distance(a: &[f64], b: &[f64], scale: f64) -> f64 {
    -a.iter()
        .zip(b)
        .map(|(x, y)| (x - scale * y).powi(2))
        .sum::<f64>()
}

#[test]
fn every_prototype_of_a_simplex_etf_decodes_to_its_own_set() {
    let means = simplex_etf_mat(7, 9).unwrap();
    let decoders = [
        OneNearestNeighbour::by_cosine(means.as_ref(), 4),
        OneNearestNeighbour::by_distance(means.as_ref(), 4, &[1.0; 4]),
    ];
    for decoder in decoders.map(Result::unwrap) {
        let prototypes = prototypes(&means, 4);
        let features: Vec<f64> = prototypes.iter().flat_map(|(_, p)| p.clone()).collect();
        let decoded = decoder.decode_with_margins(&features).unwrap();
        assert!(decoded.unproven.is_empty());
        for (sample, (set, _)) in prototypes.iter().enumerate() {
            assert_eq!(decoded.targets.set(sample), set);
            assert!(decoded.margins[sample] > 0.01);
        }
    }
}

#[test]
fn a_zero_feature_is_equally_near_to_everything_under_the_cosine() {
    let means = mat![[1.0, 0.0], [0.0, 1.0]];
    let decoder = OneNearestNeighbour::by_cosine(means.as_ref(), 2).unwrap();
    let decoded = decoder.decode_with_margins(&[0.0f32, 0.0]).unwrap();
    assert_eq!((decoded.scores[0], decoded.margins[0]), (0.0, 0.0));
    assert_eq!(decoded.targets.set(0).labels(), [0]);
}

#[test]
fn prototypes_that_cancel_are_never_an_answer_under_the_cosine() {
    let means = mat![[1.0, 0.0], [-1.0, 0.0]];
    let decoder = OneNearestNeighbour::by_cosine(means.as_ref(), 2).unwrap();
    let decoded = decoder.decode_with_margins(&[-3.0f32, 0.5]).unwrap();
    assert_eq!(decoded.targets.set(0).labels(), [1]);
    let one = OneNearestNeighbour::by_cosine(mat![[2.0]].as_ref(), 1).unwrap();
    let decoded = one.decode_with_margins(&[-3.0]).unwrap();
    assert_eq!(
        (decoded.scores[0], decoded.margins[0]),
        (-1.0, f64::INFINITY)
    );
}

#[test]
fn no_samples_decode_to_no_sets() {
    let decoder = OneNearestNeighbour::by_cosine(mat![[1.0, 0.0]].as_ref(), 1).unwrap();
    assert!(decoder.decode::<f32>(&[]).unwrap().targets.is_empty());
}

#[test]
fn bad_input_is_refused() {
    let means = mat![[1.0, 0.0], [0.0, 1.0]];
    let by_distance = |m, scales: &[f64]| {
        OneNearestNeighbour::by_distance(means.as_ref(), m, scales).unwrap_err()
    };
    insta::assert_snapshot!(OneNearestNeighbour::by_cosine(means.as_ref(), 3).unwrap_err(), @"expected the largest multiplicity to decode from 1 to the number of classes, found 3 with 2 classes");
    insta::assert_snapshot!(by_distance(2, &[1.0]), @"expected 2 scales, one for each multiplicity, found 1");
    insta::assert_snapshot!(by_distance(1, &[-1.0]), @"expected the scale of a multiplicity greater than 0 and finite, found -1");
    let missing = mat![[1.0, 0.0], [f64::NAN, 1.0]];
    insta::assert_snapshot!(OneNearestNeighbour::by_cosine(missing.as_ref(), 1).unwrap_err(), @"expected finite numbers, found NaN in class means at row 1, column 0");
    let zero = Mat::<f64>::zeros(2, 2);
    insta::assert_snapshot!(OneNearestNeighbour::by_cosine(zero.as_ref(), 1).unwrap_err(), @"decoding by cosine needs a class mean other than zero");
    let decoder = OneNearestNeighbour::by_cosine(means.as_ref(), 2).unwrap();
    insta::assert_snapshot!(decoder.decode(&[1.0, 2.0, 3.0]).unwrap_err(), @"expected 2 columns of features, found 1");
    insta::assert_snapshot!(decoder.decode(&[1.0, f64::INFINITY]).unwrap_err(), @"expected finite numbers, found inf in columns of features at row 0, column 1");
}

#[test]
fn answers_are_the_same_bits_whatever_the_number_of_threads() {
    let means = Mat::from_fn(6, 5, |k, c| ((k * 5 + c) as f64 * 1.7).sin());
    let features: Vec<f32> = (0..5 * 1000).map(|i| (i as f32 * 0.37).cos()).collect();
    let decoder = OneNearestNeighbour::by_cosine(means.as_ref(), 3).unwrap();
    let with_threads = |num_threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(num_threads)
            .build()
            .unwrap()
            .install(|| decoder.decode_with_margins(&features).unwrap())
    };
    assert_eq!(with_threads(1), with_threads(3));
}

proptest! {
    #[test]
    fn the_answer_is_the_nearest_of_all_prototypes(
        values in prop::collection::vec(-1.0..1.0f64, 7 * 4),
        feature in prop::collection::vec(-1.0..1.0f64, 4),
        scales in prop::collection::vec(0.2..1.5f64, 3),
    ) {
        let means = Mat::from_fn(7, 4, |k, c| values[k * 4 + c]);
        let prototypes = prototypes(&means, 3);
        for scales in [None, Some(scales.as_slice())] {
            let decoder = match scales {
                None => OneNearestNeighbour::by_cosine(means.as_ref(), 3),
                Some(scales) => OneNearestNeighbour::by_distance(means.as_ref(), 3, scales),
            }.unwrap();
            let decoded = decoder.decode_with_margins(&feature).unwrap();
            let mut scores: Vec<f64> = prototypes.iter().map(|(set, prototype)| match scales {
                None => cosine(&feature, prototype),
                Some(scales) => {
                    negative_squared_distance(&feature, prototype, scales[set.multiplicity() - 1])
                }
            }).collect();
            let own = prototypes.iter().position(|(set, _)| set == decoded.targets.set(0)).unwrap();
            prop_assert!((decoded.scores[0] - scores[own]).abs() < ROUNDING);
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            prop_assert!((decoded.scores[0] - scores[0]).abs() < ROUNDING);
            prop_assert!((decoded.margins[0] - (scores[0] - scores[1])).abs() < ROUNDING);
            prop_assert!(decoded.unproven.is_empty());
        }
    }
}
