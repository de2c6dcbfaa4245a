//! Where the solver begins.

use faer::Mat;

use super::super::reduced::Reduced;
use super::super::{FeatureKind, UfmProblem};
use super::Factors;
use super::factors::is_on_axes;
use crate::Result;
use crate::etf::simplex_etf_mat;

/// Factors of the size of the best ones so far, with entries scattered over an interval around 0
/// (over non-negative numbers for non-negative features), the same for the same restart.
pub(super) fn spread_start(best: &Factors, problem: &UfmProblem, restart: usize) -> Factors {
    let size = best
        .weight
        .norm_max()
        .max(best.features.norm_max())
        .max(1e-3);
    let spread = |i: usize, j: usize| {
        let bits = scramble(scramble(scramble(restart as u64) ^ i as u64) ^ j as u64);
        size * (2.0 * (bits >> 11) as f64 / (1u64 << 53) as f64 - 1.0)
    };
    let dim = problem.dim();
    Factors {
        weight: Mat::from_fn(best.weight.nrows(), dim, spread),
        features: Mat::from_fn(dim, best.features.ncols(), |j, set| {
            let value = spread(set + best.weight.nrows(), j);
            match problem.features() {
                FeatureKind::Free => value,
                FeatureKind::NonNegative => value.abs(),
            }
        }),
        bias: best.bias.clone(),
        potentials: best.potentials.clone(),
    }
}

/// A bijection of 64-bit numbers that scatters neighbours (the output step of SplitMix64, Steele et
/// al. 2014).
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Margin of the tag-wise geometry that a search for non-negative features starts from.
const START_MARGIN: f64 = 3.0;

/// W = s(I − 11ᵀ/K) and features on one axis per class (on shared axes when d < K).
pub(super) fn tagwise_start(problem: &UfmProblem, reduced: &Reduced) -> Factors {
    let (num_classes, dim) = (reduced.num_classes, problem.dim());
    let labelled: f64 = (0..reduced.num_sets)
        .map(|set| reduced.roots[set].powi(2) * reduced.multiplicities[set])
        .sum();
    let scale = (START_MARGIN * (labelled / (num_classes as f64 - 1.0)).sqrt()).sqrt();
    let mean = 1.0 / num_classes as f64;
    let axes = dim.min(num_classes);
    // Classes that share an axis must not stay equal by symmetry.
    let uneven = |k: usize| {
        if dim < num_classes {
            1.0 + 0.1 * (k as f64 * 0.618_033_988_749_895).fract()
        } else {
            1.0
        }
    };
    let mut features = Mat::zeros(dim, reduced.num_sets);
    for set in 0..reduced.num_sets {
        for &k in reduced.labels(set) {
            let k = k as usize;
            features[(k % axes, set)] += START_MARGIN / scale * reduced.roots[set] * uneven(k);
        }
    }
    Factors {
        weight: Mat::from_fn(num_classes, dim, |k, j| {
            let own = if j == k % axes { uneven(k) } else { 0.0 };
            if j < axes { scale * (own - mean) } else { 0.0 }
        }),
        features,
        bias: vec![0.0; num_classes],
        potentials: vec![0.0; problem.num_potentials()],
    }
}

pub(super) fn fixed_start(problem: &UfmProblem, reduced: &Reduced) -> Result<Factors> {
    let num_classes = reduced.num_classes;
    let weight = match is_on_axes(problem) {
        true => Mat::zeros(num_classes, num_classes), // its size alone counts
        false => simplex_etf_mat(num_classes, problem.dim())?,
    };
    Ok(Factors {
        features: Mat::zeros(weight.ncols(), reduced.num_sets),
        weight,
        bias: vec![0.0; num_classes],
        potentials: vec![0.0; problem.num_potentials()],
    })
}
