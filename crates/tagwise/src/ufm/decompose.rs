//! Decompositions on one thread, whose bits do not depend on the number of threads.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::linalg::{evd, evd::ComputeEigenvectors};
use faer::{Conj, Mat, MatRef, Par};

use super::product::TINY;
use crate::product::leave_vectors;
use crate::{Error, Result};

/// The eigenvalues of a symmetric matrix in ascending order, from its lower half.
pub(super) fn eigenvalues(matrix: MatRef<'_, f64>) -> Result<Vec<f64>> {
    let n = matrix.nrows();
    let mut values = Diag::zeros(n);
    let none = ComputeEigenvectors::No;
    let scratch = evd::self_adjoint_evd_scratch::<f64>(n, none, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let done = evd::self_adjoint_evd(
        matrix,
        values.as_mut(),
        None,
        Par::Seq,
        stack,
        Default::default(),
    );
    leave_vectors();
    done.map_err(|_| Error::Undefined("the eigenvalues did not converge".into()))?;
    Ok(values.column_vector().iter().copied().collect())
}

/// As [`eigenvalues`], with the eigenvectors as columns.
pub(super) fn eigenvectors(matrix: MatRef<'_, f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let n = matrix.nrows();
    let (mut values, mut vectors) = (Diag::zeros(n), Mat::zeros(n, n));
    let all = ComputeEigenvectors::Yes;
    let scratch = evd::self_adjoint_evd_scratch::<f64>(n, all, Par::Seq, Default::default());
    let done = evd::self_adjoint_evd(
        matrix,
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    leave_vectors();
    done.map_err(|_| Error::Undefined("the eigenvalues did not converge".into()))?;
    let values = values.column_vector().iter().copied().collect();
    Ok((values, vectors))
}

/// Q with orthonormal columns and R of matrix = Q·R, Q of the smaller size.
pub(super) fn thin_qr(matrix: MatRef<'_, f64>) -> (Mat<f64>, Mat<f64>) {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let size = rows.min(columns);
    let mut packed = matrix.to_owned();
    let block = match rows * columns * columns {
        // Column by column: blocks would go to the products of `product::TINY`.
        0..TINY => 1,
        _ => recommended_block_size::<f64>(rows, columns),
    };
    let mut coefficients = Mat::zeros(block, size);
    let scratch = qr_in_place_scratch::<f64>(rows, columns, block, Par::Seq, Default::default());
    qr_in_place(
        packed.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    leave_vectors();
    let mut basis = Mat::identity(rows, size);
    let scratch =
        apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(rows, block, size);
    apply_block_householder_sequence_on_the_left_in_place_with_conj(
        packed.subcols(0, size),
        coefficients.as_ref(),
        Conj::No,
        basis.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    leave_vectors();
    let upper = Mat::from_fn(
        size,
        columns,
        |i, j| {
            if i <= j { packed[(i, j)] } else { 0.0 }
        },
    );
    (basis, upper)
}

/// U, σ in descending order and V of the smaller size with matrix = U·diag(σ)·Vᵀ.
pub(super) fn thin_svd(matrix: MatRef<'_, f64>) -> Result<(Mat<f64>, Vec<f64>, Mat<f64>)> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let size = rows.min(columns);
    let (mut left, mut right) = (Mat::zeros(rows, size), Mat::zeros(columns, size));
    let mut sigma = Diag::zeros(size);
    let thin = ComputeSvdVectors::Thin;
    let scratch = svd_scratch::<f64>(rows, columns, thin, thin, Par::Seq, Default::default());
    let done = svd(
        matrix,
        sigma.as_mut(),
        Some(left.as_mut()),
        Some(right.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    leave_vectors();
    done.map_err(|_| Error::Undefined("the singular values did not converge".into()))?;
    let sigma = sigma.column_vector().iter().copied().collect();
    Ok((left, sigma, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of products of a dozen numbers of size 1.
    const ROUNDING: f64 = 1e-13;

    fn wave(rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| {
            (1.3 * i as f64 + 2.9 * (j * j) as f64).sin()
        })
    }

    fn is_near(a: &Mat<f64>, b: &Mat<f64>) -> bool {
        (a - b).norm_max() < ROUNDING
    }

    fn is_orthonormal(columns: &Mat<f64>) -> bool {
        let size = columns.ncols();
        is_near(&(columns.transpose() * columns), &Mat::identity(size, size))
    }

    #[test]
    fn factors_are_orthonormal_and_multiply_to_the_matrix() {
        for (rows, columns) in [(9, 4), (4, 9), (5, 5), (40, 12), (3, 1)] {
            let matrix = wave(rows, columns);
            let (q, r) = thin_qr(matrix.as_ref());
            assert!(is_orthonormal(&q) && is_near(&(&q * &r), &matrix));
            let (u, sigma, v) = thin_svd(matrix.as_ref()).unwrap();
            assert!(is_orthonormal(&u) && is_orthonormal(&v));
            let scaled = Mat::from_fn(rows, sigma.len(), |i, j| u[(i, j)] * sigma[j]);
            assert!(is_near(&(scaled * v.transpose()), &matrix));
            assert!(sigma.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn eigenvectors_belong_to_their_eigenvalues() {
        let half = wave(6, 6);
        let matrix = &half + half.transpose();
        let (values, vectors) = eigenvectors(matrix.as_ref()).unwrap();
        assert!(is_orthonormal(&vectors) && values.is_sorted());
        let scaled = Mat::from_fn(6, 6, |i, j| vectors[(i, j)] * values[j]);
        assert!(is_near(&(&matrix * &vectors), &scaled));
        for (a, b) in values.iter().zip(eigenvalues(matrix.as_ref()).unwrap()) {
            assert!((a - b).abs() < ROUNDING);
        }
    }
}
