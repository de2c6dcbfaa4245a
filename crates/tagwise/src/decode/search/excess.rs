//! How far the sets of one multiplicity are above the score to beat, as a concave function of the
//! labels' weights.

use super::ROUNDINGS;
use super::geometry::Form;

/// Roundings of a sum of inner products, as far as a bound must allow for them.
const BOUND_ROUNDINGS: f64 = 4.0 * f64::EPSILON;

/// Above zero if and only if a set beats the score, in terms of b(S) and q(S).
#[derive(Clone, Copy, Debug)]
pub(super) enum Excess {
    /// b − least·√q.
    Cosine { least: f64 },
    /// 2c·b − c²·q + constant.
    Quadratic { scale: f64, constant: f64 },
}

/// constant + Σ_{k∈S} (product_weight·b_k − norm_weight·(A·x)_k): at least the excess of every set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tangent {
    pub(super) constant: f64,
    pub(super) product_weight: f64,
    pub(super) norm_weight: f64,
    /// What rounding may take from the sum.
    pub(super) rounding: f64,
}

/// The largest magnitudes of b(S) and q(S).
#[derive(Clone, Copy, Debug)]
pub(super) struct Magnitudes {
    pub(super) product: f64,
    pub(super) norm: f64,
}

/// b and q on the way from weights x to weights v, as differences from x.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// b(v) − b(x).
    pub(super) product: f64,
    /// xᵀAx.
    pub(super) norm: f64,
    /// xᵀA(v − x).
    pub(super) cross: f64,
    /// (v − x)ᵀA(v − x).
    pub(super) square: f64,
}

impl Excess {
    pub(super) fn new(form: &Form, multiplicity: usize, score_to_beat: f64) -> Self {
        match form {
            Form::Cosine { bonuses } => Self::Cosine {
                least: score_to_beat - bonuses[multiplicity - 1],
            },
            Form::Quadratic {
                scales, bonuses, ..
            } => Self::Quadratic {
                scale: scales[multiplicity - 1],
                constant: bonuses[multiplicity - 1] - score_to_beat,
            },
        }
    }

    /// Whether it is concave, which all else here needs: a cosine below zero grows with the norm.
    pub(super) fn is_concave(self) -> bool {
        match self {
            Self::Cosine { least } => least > 0.0,
            Self::Quadratic { .. } => true,
        }
    }

    pub(super) fn at(self, product: f64, norm: f64) -> f64 {
        match self {
            Self::Cosine { least } => product - least * norm.max(0.0).sqrt(),
            Self::Quadratic { scale, constant } => {
                scale * (2.0 * product - scale * norm) + constant
            }
        }
    }

    /// Excesses up to this are ties.
    pub(super) fn slack(self, largest: Magnitudes) -> f64 {
        let magnitude = match self {
            Self::Cosine { least } => largest.product + least * largest.norm.sqrt(),
            Self::Quadratic { scale, constant } => {
                scale * (2.0 * largest.product + scale * largest.norm) + constant.abs()
            }
        };
        ROUNDINGS * magnitude
    }

    /// The tangent at weights x with this xᵀAx.
    pub(super) fn tangent(self, norm: f64, largest: Magnitudes) -> Tangent {
        let (constant, product_weight, norm_weight) = match self {
            Self::Cosine { least } => {
                // ‖v‖ ≥ vᵀAx/ℓ for every ℓ ≥ √(xᵀAx): too large a length only loosens the bound.
                let length = (norm.max(0.0) + ROUNDINGS * largest.norm).sqrt();
                (0.0, 1.0, least / length.max(f64::MIN_POSITIVE))
            }
            Self::Quadratic { scale, constant } => {
                let square = scale * scale;
                (constant + square * norm, 2.0 * scale, 2.0 * square)
            }
        };
        Tangent {
            constant,
            product_weight,
            norm_weight,
            rounding: BOUND_ROUNDINGS * norm_weight * largest.norm,
        }
    }

    /// The share of a segment after which the excess is largest.
    pub(super) fn best_share(self, segment: Segment) -> f64 {
        let Segment {
            product,
            norm,
            cross,
            square,
        } = segment;
        let share = match self {
            Self::Cosine { least } => {
                // product·√(norm + 2·cross·s + square·s²) = least·(cross + square·s) at the peak.
                let ratio = product / least;
                let determinant = (norm * square - cross * cross).max(0.0);
                let steepness = square - ratio * ratio;
                if steepness <= 0.0 {
                    return if ratio > 0.0 { 1.0 } else { 0.0 };
                }
                (ratio * (determinant / steepness).sqrt() - cross) / square
            }
            Self::Quadratic { scale, .. } => (product / scale - cross) / square,
        };
        if share.is_nan() {
            return 0.0; // the ends are the same point
        }
        share.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rounding of sums of products of numbers of size one.
    const ROUNDING: f64 = 1e-12;

    const EXCESSES: [Excess; 3] = [
        Excess::Cosine { least: 0.7 },
        Excess::Cosine { least: 1e-3 },
        Excess::Quadratic {
            scale: 0.6,
            constant: -0.4,
        },
    ];

    fn inner(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    fn vector() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0f64, 4)
    }

    proptest! {
        #[test]
        fn a_tangent_is_above_the_excess_and_touches_it(x in vector(), v in vector(), h in vector()) {
            let largest = Magnitudes { product: 4.0, norm: 4.0 };
            for excess in EXCESSES {
                let tangent = excess.tangent(inner(&x, &x), largest);
                let bound = |at: &[f64]| tangent.constant + tangent.product_weight * inner(&h, at)
                    - tangent.norm_weight * inner(&x, at);
                let value = |at: &[f64]| excess.at(inner(&h, at), inner(at, at));
                prop_assert!(bound(&v) >= value(&v) - ROUNDING - tangent.rounding);
                prop_assert!((bound(&x) - value(&x)).abs() < ROUNDING * (1.0 + 1.0 / inner(&x, &x).sqrt()));
            }
        }

        #[test]
        fn no_share_of_a_segment_is_better_than_the_best(x in vector(), v in vector(), h in vector()) {
            let way: Vec<f64> = v.iter().zip(&x).map(|(v, x)| v - x).collect();
            let segment = Segment {
                product: inner(&h, &way),
                norm: inner(&x, &x),
                cross: inner(&x, &way),
                square: inner(&way, &way),
            };
            for excess in EXCESSES {
                let value = |share: f64| {
                    let at: Vec<f64> = x.iter().zip(&way).map(|(x, w)| x + share * w).collect();
                    excess.at(inner(&h, &at), inner(&at, &at))
                };
                let best = value(excess.best_share(segment));
                for share in 0..=20 {
                    prop_assert!(value(f64::from(share) / 20.0) <= best + ROUNDING);
                }
            }
        }
    }

    #[test]
    fn a_segment_without_length_has_no_share() {
        let segment = Segment {
            product: 0.0,
            norm: 1.0,
            cross: 0.0,
            square: 0.0,
        };
        for excess in EXCESSES {
            assert_eq!(excess.best_share(segment), 0.0);
        }
    }
}
