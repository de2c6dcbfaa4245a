//! The range of Σ_B: what of Σ_W counts in NC1.

use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, Mat, MatRef};
use rayon::prelude::*;

use super::Group;
use super::decompose::{add_lower_gram, left_singular, parts, triangle_of_qr};
use super::positive::{cholesky, inverse_of_cholesky};
use crate::Result;
use crate::kernel;
use crate::product::{matmul, multiply, product};

/// Above this many label sets and dimensions a decomposition without singular values is tried
/// first; it is several times faster.
const LARGE: usize = 256;

/// Squared ratio of the pivots below which a Cholesky decomposition of Σ_B is not trusted: its
/// rounding is that of a condition number of this size.
const WELL_CONDITIONED: f64 = 1e-6;

/// The same for a QR decomposition of a factor of Σ_B, whose condition number is the root; still
/// clear of the tolerance below which eigenvalues count as zero.
const WELL_CONDITIONED_FACTOR: f64 = 1e-10;

/// Label sets whose centred means are held at once.
const BLOCK_SETS: usize = 1024;

/// Columns of Σ_B that one task computes.
const STRIPE_WIDTH: usize = 128;

/// Σ_B = (1/L) Σ_S (h̄_S − μ)(h̄_S − μ)ᵀ, ready to be divided by.
#[derive(Debug)]
pub(super) struct Between {
    inverse: Inverse,
    pub(super) rank: usize,
    pub(super) trace: f64,
}

/// Σ_B†.
#[derive(Debug)]
enum Inverse {
    /// P `[d, rank]` with P Pᵀ = Σ_B†, so that tr(Σ_W Σ_B†) = tr(Pᵀ Σ_W P).
    Whitening(Mat<f64>),
    /// The lower triangle of Σ_B⁻¹, when the rank is full.
    Lower(Mat<f64>),
    /// Nothing is divided by Σ_B.
    Unneeded,
}

/// Whether there is a within-scatter to divide by Σ_B, or only its rank and trace are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Quotient,
    Rank,
}

impl Between {
    /// Σ_B of a group's label sets around the mean of its samples.
    pub(super) fn new(group: &Group<'_>, need: Need) -> Result<Self> {
        let centre = group.centre();
        if has_gram(group) {
            let gram = gram(group, &centre);
            return Self::of_gram(gram, group, &centre, need);
        }
        let (dim, num_sets) = group.means.shape();
        let centred = centred(group.means, &centre);
        if dim.min(num_sets) > LARGE
            && let Some(inverse) = whiten_range(centred.as_ref(), &group.weights(), need)
        {
            return Ok(Self {
                rank: num_sets - 1,
                inverse,
                trace: centred.squared_norm_l2(),
            });
        }
        Self::by_singular_values(centred.as_ref(), group.largest, num_sets)
    }

    /// Σ_B = A Aᵀ from a factor A that may stand for more label sets than it has columns.
    fn by_singular_values(
        factor: MatRef<'_, f64>,
        largest_mean: f64,
        num_sets: usize,
    ) -> Result<Self> {
        let Whitening { matrix, values } = whiten(factor, largest_mean, num_sets)?;
        Ok(Self {
            rank: values.len(),
            inverse: Inverse::Whitening(matrix),
            trace: factor.squared_norm_l2(),
        })
    }

    /// From the lower triangle of L·Σ_B, see [`gram`]: Σ_B itself is inverted, or a triangular
    /// factor of it when it is ill-conditioned.
    pub(super) fn of_gram(
        mut gram: Mat<f64>,
        group: &Group<'_>,
        centre: &[f64],
        need: Need,
    ) -> Result<Self> {
        let (dim, num_sets) = group.means.shape();
        gram *= faer::Scale((num_sets as f64).recip());
        let trace = (0..dim).map(|j| gram[(j, j)]).sum();
        let full = |inverse: Inverse| Self {
            inverse,
            rank: dim,
            trace,
        };
        if let Some(factor) = trusted_cholesky(gram) {
            return Ok(full(match need {
                Need::Quotient => Inverse::Lower(inverse_of_cholesky(&factor)),
                Need::Rank => Inverse::Unneeded,
            }));
        }
        // Σ_B = RᵀR keeps the digits that forming Σ_B loses.
        let triangle = triangle_of_qr(centred(group.means, centre).transpose().to_owned());
        if pivot_ratio(triangle.as_ref()) > WELL_CONDITIONED_FACTOR {
            let mut inverse = Mat::<f64>::identity(dim, dim);
            solve_upper_triangular_in_place(triangle.as_ref(), inverse.as_mut(), parts(dim));
            return Ok(full(Inverse::Whitening(inverse)));
        }
        Self::by_singular_values(triangle.transpose(), group.largest, num_sets)
    }

    /// tr(scatter·Σ_B†).
    pub(super) fn quotient(&self, scatter: MatRef<'_, f64>) -> f64 {
        let dim = scatter.nrows();
        match &self.inverse {
            Inverse::Whitening(whitening) => {
                let mut product = Mat::zeros(dim, whitening.ncols());
                let (par, replace) = (parts(dim), Accum::Replace);
                matmul(
                    product.as_mut(),
                    replace,
                    scatter,
                    whitening.as_ref(),
                    1.0,
                    par,
                );
                (0..whitening.ncols())
                    .map(|j| {
                        let column = super::column(whitening.as_ref(), j);
                        kernel::dot(super::column(product.as_ref(), j), column)
                    })
                    .sum()
            }
            Inverse::Unneeded => 0.0,
            Inverse::Lower(inverse) => (0..dim)
                .map(|j| {
                    let (scatter, inverse) = (
                        super::column(scatter, j),
                        super::column(inverse.as_ref(), j),
                    );
                    let below = kernel::dot(&scatter[j + 1..], &inverse[j + 1..]);
                    scatter[j] * inverse[j] + 2.0 * below
                })
                .sum(),
        }
    }
}

/// Whether Σ_B of a group is formed: more label sets than dimensions, both many.
pub(super) fn has_gram(group: &Group<'_>) -> bool {
    let (dim, num_sets) = group.means.shape();
    num_sets > dim && dim > LARGE
}

/// L·Σ_B = Σ_S (h̄_S − centre)(h̄_S − centre)ᵀ, at least its lower triangle.
pub(super) fn gram(group: &Group<'_>, centre: &[f64]) -> Mat<f64> {
    let (dim, num_sets) = group.means.shape();
    let mut gram = Mat::zeros(dim, dim);
    let mut block = vec![0.0; dim * BLOCK_SETS.min(num_sets)];
    for first in (0..num_sets).step_by(BLOCK_SETS) {
        let count = BLOCK_SETS.min(num_sets - first);
        let block = &mut block[..dim * count];
        block
            .par_chunks_exact_mut(dim)
            .enumerate()
            .for_each(|(set, out)| {
                kernel::subtract(group.mean(first + set), centre, out);
            });
        add_lower_stripes(
            &mut gram,
            MatRef::from_column_major_slice(block, dim, count),
        );
    }
    gram
}

/// Adds A Aᵀ from the diagonal downwards. Each stripe of columns is one sequential product, so its
/// bits do not depend on how many are computed at once.
fn add_lower_stripes(gram: &mut Mat<f64>, a: MatRef<'_, f64>) {
    let dim = gram.nrows();
    gram.par_col_chunks_mut(STRIPE_WIDTH)
        .enumerate()
        .for_each(|(number, stripe)| {
            let (first, width) = (number * STRIPE_WIDTH, stripe.ncols());
            let below = stripe.subrows_mut(first, dim - first);
            let (lhs, rhs) = (a.subrows(first, dim - first), a.subrows(first, width));
            multiply(below, Accum::Add, lhs, rhs.transpose(), 1.0);
        });
}

/// Adds to `total` a group's [`gram`] around its own centre, moved to another:
/// Σ(h̄ − μ)(h̄ − μ)ᵀ = G + sδᵀ + δsᵀ + L·δδᵀ with s = Σ(h̄ − c) and δ = c − μ.
pub(super) fn add_moved_gram(
    total: &mut Mat<f64>,
    gram: &Mat<f64>,
    group: &Group<'_>,
    centre: &[f64],
    moved_to: &[f64],
) {
    let num_sets = group.means.ncols() as f64;
    let mut sum = group.weighted_sum(&vec![1.0; group.means.ncols()]);
    kernel::add_scaled(&mut sum, -num_sets, centre);
    let shift: Vec<f64> = centre.iter().zip(moved_to).map(|(c, m)| c - m).collect();
    for j in 0..gram.ncols() {
        for i in j..gram.nrows() {
            total[(i, j)] += gram[(i, j)]
                + sum[i] * shift[j]
                + shift[i] * sum[j]
                + num_sets * shift[i] * shift[j];
        }
    }
}

/// Σ_B restricted to orthonormal directions U.
pub(super) struct Inside {
    /// P `[d, rank]` with P Pᵀ = U (Uᵀ Σ_B U)† Uᵀ.
    pub(super) whitening: Mat<f64>,
    /// Singular values of the centred means in these directions over √L, largest first.
    pub(super) values: Vec<f64>,
    /// Pᵀ(h̄_S − μ)/√L for each label set, `[rank, L]`, with orthonormal rows.
    pub(super) sides: Mat<f64>,
}

impl Inside {
    /// Of a group's label sets around the mean of its samples, for directions `[d, r]`.
    pub(super) fn new(group: &Group<'_>, directions: MatRef<'_, f64>) -> Result<Self> {
        let (rank, num_sets) = (directions.ncols(), group.means.ncols());
        let mut coordinates = Mat::zeros(rank, num_sets); // [r, L]
        let par = parts(num_sets);
        matmul(
            coordinates.as_mut(),
            Accum::Replace,
            directions.transpose(),
            group.means,
            1.0,
            par,
        );
        let mut origin = vec![0.0; rank];
        let centre = group.centre();
        for (j, origin) in origin.iter_mut().enumerate() {
            *origin = (0..centre.len())
                .map(|row| directions[(row, j)] * centre[row])
                .sum();
        }
        let coordinates = centred(coordinates.as_ref(), &origin);
        let Whitening { matrix, values } = whiten(coordinates.as_ref(), group.largest, num_sets)?;
        Ok(Self {
            whitening: product(directions, matrix.as_ref()),
            values,
            sides: product(matrix.transpose(), coordinates.as_ref()),
        })
    }
}

/// P `[d, rank]` with P Pᵀ = Σ_B† for Σ_B of these means `[d, L]` around any centre.
pub(super) fn whitening_around(means: MatRef<'_, f64>, centre: &[f64]) -> Result<Mat<f64>> {
    let factor = centred(means, centre);
    Ok(whiten(factor.as_ref(), means.norm_max(), means.ncols())?.matrix)
}

/// P and the singular values that it divides by.
struct Whitening {
    matrix: Mat<f64>,
    values: Vec<f64>,
}

/// Singular values of the factor and not of Σ_B itself decide what has a direction: a square would
/// lose half of the digits, and with them features that hardly ever fire.
fn whiten(factor: MatRef<'_, f64>, largest_mean: f64, num_sets: usize) -> Result<Whitening> {
    let dim = factor.nrows();
    let (left, mut values) = left_singular(factor)?;
    let largest = values.first().copied().unwrap_or(0.0);
    // Means that differ by rounding only span nothing.
    let rounding = largest_mean * (dim as f64).sqrt();
    let tolerance = f64::EPSILON * rounding.max(num_sets.max(dim) as f64 * largest);
    let rank = values
        .iter()
        .take_while(|&&value| value > tolerance)
        .count();
    values.truncate(rank);
    Ok(Whitening {
        matrix: Mat::from_fn(dim, rank, |row, column| {
            left[(row, column)] / values[column]
        }),
        values,
    })
}

/// An orthonormal basis `[d, rank]` of the span of columns that are differences of vectors whose
/// largest entry bounds their rounding.
pub(super) fn range(columns: MatRef<'_, f64>, largest_entry: f64) -> Result<Mat<f64>> {
    let (dim, count) = columns.shape();
    let (left, values) = left_singular(columns)?;
    let largest = values.first().copied().unwrap_or(0.0) * dim.max(count) as f64;
    let rounding = largest_entry * ((dim * count) as f64).sqrt();
    let tolerance = f64::EPSILON * largest.max(rounding);
    let rank = values
        .iter()
        .take_while(|&&value| value > tolerance)
        .count();
    Ok(left.get(.., ..rank).to_owned())
}

/// The same for K vectors minus a weighted average, `[K, d]`: at most K − 1 directions.
pub(super) fn row_span(centred: MatRef<'_, f64>, largest_entry: f64) -> Result<Mat<f64>> {
    let basis = range(centred.transpose(), largest_entry)?;
    let rank = basis.ncols().min(centred.nrows().saturating_sub(1));
    Ok(basis.get(.., ..rank).to_owned())
}

/// (h̄_S − centre)/√L, `[d, L]`: a factor of Σ_B.
fn centred(means: MatRef<'_, f64>, centre: &[f64]) -> Mat<f64> {
    centred_by(means, centre, (means.ncols() as f64).sqrt().recip())
}

fn centred_by(means: MatRef<'_, f64>, centre: &[f64], scale: f64) -> Mat<f64> {
    Mat::from_fn(means.nrows(), means.ncols(), |row, column| {
        scale * (means[(row, column)] - centre[row])
    })
}

/// Fewer label sets than dimensions. The centred means b_S have Σ_S w_S b_S = 0, so the L − 1
/// differences D = [b_S − b_L] span them: b_S = D(e_S − w), b_L = −D w, and with G = DᵀD and
/// M = I − w1ᵀ − 1wᵀ + L wwᵀ (the product of those coefficients) Σ_B† = D G⁻¹ M⁻¹ G⁻¹ Dᵀ.
fn whiten_range(centred: MatRef<'_, f64>, weights: &[f64], need: Need) -> Option<Inverse> {
    let (dim, last) = (centred.nrows(), centred.ncols() - 1);
    let par = parts(last);
    let differences = Mat::from_fn(dim, last, |row, column| {
        centred[(row, column)] - centred[(row, last)]
    });
    let mut gram = Mat::zeros(last, last);
    add_lower_gram(&mut gram, differences.transpose());
    let gram = trusted_cholesky(gram)?;
    if need == Need::Rank {
        return Some(Inverse::Unneeded);
    }
    let coefficients = Mat::from_fn(last, last, |i, j| {
        f64::from(u8::from(i == j)) - weights[i] - weights[j]
            + (last + 1) as f64 * weights[i] * weights[j]
    });
    let coefficients = trusted_cholesky(coefficients)?;
    let mut right = Mat::<f64>::identity(last, last);
    solve_upper_triangular_in_place(coefficients.transpose(), right.as_mut(), par);
    solve_lower_triangular_in_place(gram.as_ref(), right.as_mut(), par);
    solve_upper_triangular_in_place(gram.transpose(), right.as_mut(), par);
    let mut whitening = Mat::zeros(dim, last);
    matmul(
        whitening.as_mut(),
        Accum::Replace,
        differences.as_ref(),
        right.as_ref(),
        1.0,
        par,
    );
    Some(Inverse::Whitening(whitening))
}

/// The Cholesky factor of a matrix that is clearly positive definite.
fn trusted_cholesky(matrix: Mat<f64>) -> Option<Mat<f64>> {
    let factor = cholesky(matrix)?;
    (pivot_ratio(factor.as_ref()) > WELL_CONDITIONED).then_some(factor)
}

/// Square of the smallest over the largest entry of the diagonal.
fn pivot_ratio(factor: MatRef<'_, f64>) -> f64 {
    let (mut smallest, mut largest) = (f64::INFINITY, 0.0f64);
    for j in 0..factor.nrows().min(factor.ncols()) {
        smallest = smallest.min(factor[(j, j)].abs());
        largest = largest.max(factor[(j, j)].abs());
    }
    (smallest / largest).powi(2)
}
