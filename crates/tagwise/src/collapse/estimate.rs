//! NC1 without the shares of noise that the published form holds.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::Group;
use super::between::Inside;
use super::decompose::parts;
use super::positive::cholesky;
use crate::kernel::dot;
use crate::product::product;

/// NC1 as an estimate of what infinitely many samples of these label sets would show.
///
/// The published form counts a sample's share in its own mean as lack of spread, and the noise in
/// the means as distance between them; both make it smaller, without end for label sets that occur
/// once. With n samples in L label sets of n_S samples:
///
/// - spread by degrees of freedom, Σ̂_W = n/(n − L)·Σ_W;
/// - distances less the share of noise, Σ̂_B = Σ_B − E. Samples of equal covariance add
///   c·tr Σ̂_W to tr Σ_B, c = (1/L) Σ_S 1/n_S − 1/n. Where the means are free to differ in all p
///   directions looked at, E = c·Σ̂_W. Where the L label sets span only r < p of them, as K class
///   means do in d ≥ K dimensions, all their noise lies in these r, as their Gram matrix shows:
///   with R the frame of those r directions and y_S the coordinates of the sets in the frame of the
///   Gram matrix, E = (tr Σ̂_W/L)·R (Σ_S y_S y_Sᵀ/n_S − aaᵀ/n) Rᵀ, a = Σ_S y_S, which is
///   (tr Σ̂_W/n)·RRᵀ for label sets of n/L samples each.
///
/// Then NC1 = tr(Σ̂_W Σ̂_B†)/min(L, K). Moments are exact for normal samples of equal covariance;
/// the inverse of an estimate is a little too large. Directions count as given for m ≥ 2 and for all
/// label sets together, whose tag span comes for the most part from other samples.
///
/// Source: the moments of a one-way analysis of variance, Searle, Casella and McCulloch, Variance
/// Components (1992), chapter 3; for Gram matrices the same with rows and columns exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc1Estimate {
    /// n − L, what is left to tell the spread.
    pub degrees_of_freedom: u64,
    /// Label sets that occur once: they tell where their mean may be, and nothing of the spread.
    pub num_once: usize,
    /// NC1 in the directions that tell labels apart; `None` without degrees of freedom, without a
    /// scatter in these directions, with fewer than two distinct means, and where the means differ
    /// in some direction no more than noise in them does.
    pub tag_span: Option<f64>,
    /// tr Σ̂_W / tr Σ̂_B over all directions; `None` without degrees of freedom, and where the means
    /// differ no more than noise in them does.
    pub trace_quotient: Option<f64>,
}

/// The directions in which spread and distances are compared.
pub(super) struct Ambient {
    /// How many there are.
    pub(super) dim: usize,
    /// tr Σ̂_W over them.
    pub(super) trace: f64,
}

/// Counts of the label sets of a group.
pub(super) struct Degrees {
    pub(super) free: f64,
    num_sets: f64,
    num_samples: f64,
    /// c of [`Nc1Estimate`].
    share: f64,
}

impl Degrees {
    pub(super) fn of(group: &Group<'_>) -> Self {
        let (num_sets, num_samples) = (group.sets.len() as f64, group.num_samples());
        let inverse: f64 = group.counts.iter().map(|count| count.recip()).sum();
        Self {
            free: num_samples - num_sets,
            num_sets,
            num_samples,
            share: inverse / num_sets - num_samples.recip(),
        }
    }

    /// tr Σ̂_W / tr Σ̂_B from n·tr Σ_W and tr Σ_B.
    pub(super) fn trace_quotient(&self, square_sum: f64, between: f64) -> Option<f64> {
        let within = square_sum / self.free;
        let distance = between - self.share * within;
        (self.free > 0.0 && distance > 0.0).then(|| within / distance)
    }

    /// tr(Σ̂_W Σ̂_B†) from M = Pᵀ Σ̂_W P: in these coordinates Σ_B is the identity, and Σ̂_B what
    /// noise leaves of it.
    pub(super) fn quotient(
        &self,
        group: &Group<'_>,
        inside: &Inside,
        spread: MatRef<'_, f64>,
        ambient: &Ambient,
    ) -> Option<f64> {
        let rank = spread.nrows();
        if self.free <= 0.0 || rank == 0 {
            return None;
        }
        let noise = if rank < ambient.dim {
            self.gram_noise(group, inside, ambient.trace)
        } else {
            spread * faer::Scale(self.share)
        };
        let factor = cholesky(Mat::<f64>::identity(rank, rank) - noise)?;
        let mut left = spread.to_owned(); // L⁻¹ M
        solve_lower_triangular_in_place(factor.as_ref(), left.as_mut(), parts(rank));
        let mut both = left.transpose().to_owned(); // L⁻¹ Mᵀ L⁻ᵀ
        solve_lower_triangular_in_place(factor.as_ref(), both.as_mut(), parts(rank));
        Some((0..rank).map(|j| both[(j, j)]).sum())
    }

    /// E in whitened coordinates, where the label sets span fewer directions than there are.
    fn gram_noise(&self, group: &Group<'_>, inside: &Inside, trace: f64) -> Mat<f64> {
        let sides = &inside.sides; // [r, L]
        let weighted = Mat::from_fn(sides.nrows(), sides.ncols(), |i, set| {
            sides[(i, set)] / group.counts[set].sqrt()
        });
        let gram = product(weighted.as_ref(), weighted.transpose());
        let ones = vec![1.0; sides.ncols()];
        let rows = sides.transpose().to_owned();
        let sum: Vec<f64> = (0..rows.ncols())
            .map(|i| dot(super::column(rows.as_ref(), i), &ones))
            .collect();
        let values = &inside.values;
        Mat::from_fn(sides.nrows(), sides.nrows(), |i, j| {
            let share = gram[(i, j)] - sum[i] * sum[j] / self.num_samples;
            trace / self.num_sets * share / (values[i] * values[j])
        })
    }
}
