//! The range of Σ_B: what of Σ_W counts in NC1.

use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Mat, MatRef, Par};

use super::Group;
use super::decompose::{ThinSvd, cholesky, lower_gram};
use crate::Result;

/// Above this many label sets and dimensions a decomposition without singular values is tried
/// first; it is several times faster.
const LARGE: usize = 256;

/// Squared ratio of the pivots below which the fast decomposition is not trusted.
const WELL_CONDITIONED: f64 = 1e-6;

/// Σ_B = (1/L) Σ_S (h̄_S − μ)(h̄_S − μ)ᵀ through a whitening P `[d, rank]` with P Pᵀ = Σ_B†, so
/// that tr(Σ_W Σ_B†) = tr(Pᵀ Σ_W P).
#[derive(Clone, Debug)]
pub(super) struct Between {
    whitening: Mat<f64>, // [d, rank]
    pub(super) trace: f64,
}

impl Between {
    /// Σ_B of a group's label sets around the mean of its samples. The d×d matrix is formed only
    /// when there are more label sets than dimensions.
    pub(super) fn new(group: &Group<'_>) -> Result<Self> {
        let weights = group.weights();
        let centred = centred(group.means.as_ref(), &group.centre());
        let (dim, num_sets) = centred.shape();
        let fast = if dim.min(num_sets) <= LARGE {
            None
        } else if num_sets > dim {
            whiten_full(centred.as_ref())
        } else {
            whiten_range(centred.as_ref(), &weights)
        };
        match fast {
            Some(whitening) => Ok(Self {
                whitening,
                trace: centred.squared_norm_l2(),
            }),
            None => Self::by_singular_values(centred.as_ref(), group.means.norm_max()),
        }
    }

    /// Σ_B restricted to orthonormal directions U `[d, r]`: P Pᵀ = U (Uᵀ Σ_B U)† Uᵀ.
    pub(super) fn within(group: &Group<'_>, directions: MatRef<'_, f64>) -> Result<Self> {
        let centred = centred(group.means.as_ref(), &group.centre());
        let coordinates = directions.transpose() * &centred; // [r, L]
        let inside = Self::by_singular_values(coordinates.as_ref(), group.means.norm_max())?;
        Ok(Self {
            whitening: directions * inside.whitening,
            trace: inside.trace,
        })
    }

    /// Σ_B of these means `[d, L]` around any centre.
    pub(super) fn around(means: MatRef<'_, f64>, centre: &[f64]) -> Result<Self> {
        Self::by_singular_values(centred(means, centre).as_ref(), means.norm_max())
    }

    fn by_singular_values(centred: MatRef<'_, f64>, largest_mean: f64) -> Result<Self> {
        let (dim, num_sets) = centred.shape();
        let svd = ThinSvd::new(centred)?;
        let eigenvalues: Vec<f64> = svd.values.iter().map(|value| value * value).collect();
        // Means that differ by rounding only span nothing.
        let rounding = (f64::EPSILON * largest_mean).powi(2) * dim as f64;
        let largest = eigenvalues.first().copied().unwrap_or(0.0);
        let tolerance = (num_sets.max(dim) as f64 * f64::EPSILON * largest).max(rounding);
        let rank = eigenvalues
            .iter()
            .take_while(|&&eigenvalue| eigenvalue > tolerance)
            .count();
        Ok(Self {
            whitening: Mat::from_fn(dim, rank, |row, column| {
                svd.left[(row, column)] / eigenvalues[column].sqrt()
            }),
            trace: centred.squared_norm_l2(),
        })
    }

    pub(super) fn rank(&self) -> usize {
        self.whitening.ncols()
    }

    /// P, `[d, rank]`.
    pub(super) fn whitening(&self) -> MatRef<'_, f64> {
        self.whitening.as_ref()
    }

    /// tr(scatter·Σ_B†).
    pub(super) fn quotient(&self, scatter: &Mat<f64>) -> f64 {
        let product = scatter * &self.whitening; // [d, rank]
        (0..self.rank())
            .map(|j| {
                super::dot(
                    super::column(&product, j),
                    super::column(&self.whitening, j),
                )
            })
            .sum()
    }
}

/// An orthonormal basis `[d, rank]` of the directions in which K vectors differ, at most K − 1 of
/// them, from the vectors `[K, d]` minus a weighted average; their largest entry before the
/// subtraction bounds its rounding.
pub(super) fn row_span(centred: MatRef<'_, f64>, largest_entry: f64) -> Result<Mat<f64>> {
    let (num_rows, dim) = centred.shape();
    let svd = ThinSvd::new(centred.transpose())?;
    let largest = svd.values.first().copied().unwrap_or(0.0) * num_rows.max(dim) as f64;
    let rounding = largest_entry * ((num_rows * dim) as f64).sqrt();
    let tolerance = f64::EPSILON * largest.max(rounding);
    let rank = svd.values.iter().take_while(|&&value| value > tolerance);
    let rank = rank.count().min(num_rows.saturating_sub(1));
    Ok(svd.left.get(.., ..rank).to_owned())
}

/// (h̄_S − centre)/√L, `[d, L]`: a factor of Σ_B.
fn centred(means: MatRef<'_, f64>, centre: &[f64]) -> Mat<f64> {
    let scale = (means.ncols() as f64).sqrt().recip();
    Mat::from_fn(means.nrows(), means.ncols(), |row, column| {
        scale * (means[(row, column)] - centre[row])
    })
}

/// More label sets than dimensions: P = L⁻ᵀ with Σ_B = L Lᵀ, or `None` when Σ_B is not clearly of
/// full rank.
fn whiten_full(centred: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let factor = trusted_cholesky(lower_gram(centred))?;
    let mut inverse = Mat::<f64>::identity(factor.nrows(), factor.nrows());
    solve_upper_triangular_in_place(factor.transpose(), inverse.as_mut(), Par::Seq);
    Some(inverse)
}

/// Fewer label sets than dimensions. The centred means b_S have Σ_S w_S b_S = 0, so the L − 1
/// differences D = [b_S − b_L] span them: b_S = D(e_S − w), b_L = −D w, and with G = DᵀD and
/// M = I − w1ᵀ − 1wᵀ + L wwᵀ (the product of those coefficients) Σ_B† = D G⁻¹ M⁻¹ G⁻¹ Dᵀ.
fn whiten_range(centred: MatRef<'_, f64>, weights: &[f64]) -> Option<Mat<f64>> {
    let last = centred.ncols() - 1;
    let differences = Mat::from_fn(centred.nrows(), last, |row, column| {
        centred[(row, column)] - centred[(row, last)]
    });
    let gram = trusted_cholesky(lower_gram(differences.transpose()))?;
    let coefficients = Mat::from_fn(last, last, |i, j| {
        f64::from(u8::from(i == j)) - weights[i] - weights[j]
            + (last + 1) as f64 * weights[i] * weights[j]
    });
    let coefficients = trusted_cholesky(coefficients)?;
    let mut right = Mat::<f64>::identity(last, last);
    solve_upper_triangular_in_place(coefficients.transpose(), right.as_mut(), Par::Seq);
    solve_lower_triangular_in_place(gram.as_ref(), right.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(gram.transpose(), right.as_mut(), Par::Seq);
    Some(differences * right)
}

/// The Cholesky factor of a matrix that is clearly positive definite.
fn trusted_cholesky(matrix: Mat<f64>) -> Option<Mat<f64>> {
    let factor = cholesky(matrix)?;
    let (mut smallest, mut largest) = (f64::INFINITY, 0.0f64);
    for j in 0..factor.nrows() {
        smallest = smallest.min(factor[(j, j)]);
        largest = largest.max(factor[(j, j)]);
    }
    ((smallest / largest).powi(2) > WELL_CONDITIONED).then_some(factor)
}
