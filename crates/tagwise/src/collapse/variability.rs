//! NC1: how small the spread within label sets is beside the spread between them.

use std::collections::BTreeMap;

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::Group;
use crate::statistics::{ScatterKind, Statistics};
use crate::{Error, Result};

/// Within-set variability relative to between-set variability, for one multiplicity or pooled.
///
/// With L label sets as classes, N samples, h̄_S the set means and μ the mean of these samples:
/// Σ_W = (1/N) Σ_i (h_i − h̄_{S_i})(h_i − h̄_{S_i})ᵀ and Σ_B = (1/L) Σ_S (h̄_S − μ)(h̄_S − μ)ᵀ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc1 {
    /// Number of samples N.
    pub num_samples: u64,
    /// Number of label sets L.
    pub num_sets: usize,
    /// Numerical rank of Σ_B: eigenvalues above max(L, d)·ε times the largest.
    pub rank: usize,
    /// NC1 = tr(Σ_W Σ_B†)/L; `None` with fewer than two distinct means, or when only the trace of
    /// the scatter was kept.
    pub value: Option<f64>,
    /// tr Σ_W / tr Σ_B; `None` with fewer than two distinct means.
    pub trace_quotient: Option<f64>,
}

/// NC1 for each multiplicity from 1, and pooled over all of them.
pub(super) fn measure(
    statistics: &Statistics,
    notes: &mut Vec<String>,
) -> Result<(BTreeMap<usize, Nc1>, Nc1)> {
    let multiplicities: std::collections::BTreeSet<usize> = statistics
        .label_sets()
        .map(crate::LabelSet::multiplicity)
        .filter(|&multiplicity| multiplicity > 0)
        .collect();
    let mut pooled_scatter: Option<Mat<f64>> = None;
    let mut per_multiplicity = BTreeMap::new();
    for &multiplicity in &multiplicities {
        let group = Group::new(statistics, |m| m == multiplicity);
        let scatter = statistics.within_scatter(multiplicity);
        per_multiplicity.insert(multiplicity, nc1(&group, scatter.as_ref())?);
        pooled_scatter = match (pooled_scatter, scatter) {
            (Some(sum), Some(scatter)) => Some(sum + scatter),
            (sum, scatter) => sum.or(scatter),
        };
    }
    if statistics.scatter_kind() == ScatterKind::Trace {
        notes.push(
            "only the trace of the scatter was kept, so NC1 is not known; its trace quotient is"
                .into(),
        );
    }
    let pooled = if multiplicities.len() == 1 {
        per_multiplicity[multiplicities.first().expect("one multiplicity")].clone()
    } else {
        nc1(&Group::new(statistics, |m| m > 0), pooled_scatter.as_ref())?
    };
    for (multiplicity, nc1) in &per_multiplicity {
        if nc1.rank == 0 {
            notes.push(format!(
                "NC1 of multiplicity {multiplicity} needs at least two different label-set means, found {} label set{}",
                nc1.num_sets,
                if nc1.num_sets == 1 { "" } else { "s" }
            ));
        }
    }
    Ok((per_multiplicity, pooled))
}

fn nc1(group: &Group<'_>, scatter: Option<&Mat<f64>>) -> Result<Nc1> {
    let between = Between::new(group)?;
    let (num_sets, num_samples) = (group.sets.len(), group.num_samples());
    let within_trace = group.square_sums.iter().sum::<f64>() / num_samples;
    let value = scatter
        .filter(|_| between.rank() > 0)
        .map(|scatter| between.quotient(scatter.as_ref()) / (num_samples * num_sets as f64));
    Ok(Nc1 {
        num_samples: num_samples as u64,
        num_sets,
        rank: between.rank(),
        value,
        trace_quotient: (between.rank() > 0).then(|| within_trace / between.trace),
    })
}

/// Σ_B by its range: orthonormal directions and their eigenvalues.
struct Between {
    directions: Mat<f64>, // [d, rank]
    eigenvalues: Vec<f64>,
    trace: f64,
}

impl Between {
    /// Singular vectors of the centred means: the d×d matrix Σ_B is never formed.
    fn new(group: &Group<'_>) -> Result<Self> {
        let (dim, num_sets) = (group.means.nrows(), group.sets.len());
        let total = group.num_samples();
        let mut centre = vec![0.0; dim];
        for (position, &count) in group.counts.iter().enumerate() {
            for (centre, &mean) in centre.iter_mut().zip(group.mean(position)) {
                *centre += count / total * mean;
            }
        }
        let scale = (num_sets as f64).sqrt().recip();
        let centred = Mat::from_fn(dim, num_sets, |row, column| {
            scale * (group.means[(row, column)] - centre[row])
        });
        let trace = centred.squared_norm_l2();
        let svd = centred.thin_svd().map_err(|error| {
            Error::Undefined(format!(
                "the singular values of the label-set means did not converge ({error:?})"
            ))
        })?;
        let singular = svd.S().column_vector();
        let largest = if singular.nrows() > 0 {
            singular[0] * singular[0]
        } else {
            0.0
        };
        // Means equal up to rounding span nothing: rounding of the means themselves.
        let means_norm = group.means.norm_max() * (dim as f64).sqrt();
        let floor = (f64::EPSILON * means_norm).powi(2);
        let tolerance = (num_sets.max(dim) as f64 * f64::EPSILON * largest).max(floor);
        let eigenvalues: Vec<f64> = singular
            .iter()
            .map(|&value| value * value)
            .take_while(|&eigenvalue| eigenvalue > tolerance)
            .collect();
        Ok(Self {
            directions: svd.U().get(.., ..eigenvalues.len()).to_owned(),
            eigenvalues,
            trace,
        })
    }

    fn rank(&self) -> usize {
        self.eigenvalues.len()
    }

    /// tr(scatter·Σ_B†) = Σ_j (u_jᵀ scatter u_j)/λ_j.
    fn quotient(&self, scatter: MatRef<'_, f64>) -> f64 {
        let product = scatter * &self.directions; // [d, rank]
        self.eigenvalues
            .iter()
            .enumerate()
            .map(|(j, eigenvalue)| {
                let form: f64 = (0..product.nrows())
                    .map(|row| product[(row, j)] * self.directions[(row, j)])
                    .sum();
                form / eigenvalue
            })
            .sum()
    }
}
