//! One vector per class: its single-label mean, or an estimate where a class never stands alone.

use std::collections::BTreeMap;

use faer::{Mat, MatRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decompose::NormalEquations;
use super::{Group, Labelled, column};
use crate::Result;
use crate::kernel::{add_scaled, dot};
use crate::product::product;
use crate::statistics::Statistics;

/// Rounds of the alternating least squares; it stops earlier once the scales stand still.
const MAX_ROUNDS: usize = 200;

/// Relative change of a scale below which the alternation has converged.
const SETTLED: f64 = 1e-13;

/// Where the vector of a class comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagSource {
    /// The mean of the samples with that label alone.
    Measured,
    /// Least squares over the label sets that contain the class.
    Estimated,
    /// The class occurs in no sample.
    Unobserved,
}

/// The vector t_k of each class: h̄_k where single-label samples exist, otherwise an estimate.
///
/// Missing vectors and one scale c_m per multiplicity minimise Σ_S n_S ‖h̄_S − c_{|S|} Σ_{k∈S} t_k‖²
/// with the measured vectors held fixed, by alternating least squares of minimum norm (c = 1 for
/// the smallest multiplicity observed). Under exact collapse, h̄_S = C_m Σ_{k∈S} h̄_k, the estimate
/// is exact whenever the label sets determine it.
#[derive(Clone, Debug)]
pub struct TagVectors {
    vectors: Mat<f64>, // [K, d]
    sources: Vec<TagSource>,
    centre: Vec<f64>,
}

impl TagVectors {
    /// Measures or estimates the vector of each class.
    ///
    /// # Errors
    /// [`crate::Error::Undefined`] when the least-squares problem cannot be decomposed.
    pub fn estimate(statistics: &Statistics) -> Result<Self> {
        Self::estimate_from(statistics.num_classes(), &Labelled::new(statistics))
    }

    pub(super) fn estimate_from(num_classes: usize, labelled: &Labelled<'_>) -> Result<Self> {
        let group = labelled.all();
        let mut vectors = Mat::zeros(num_classes, labelled.dim);
        let mut sources = vec![TagSource::Unobserved; num_classes];
        for set in group.sets {
            for class in set.indices() {
                sources[class] = TagSource::Estimated;
            }
        }
        for (position, set) in group.sets.iter().enumerate() {
            let &[class] = set.labels() else { continue };
            let class = class as usize;
            sources[class] = TagSource::Measured;
            for (column, &value) in group.mean(position).iter().enumerate() {
                vectors[(class, column)] = value;
            }
        }
        if sources.contains(&TagSource::Estimated) {
            Estimation::new(group, &sources, num_classes).run(&mut vectors)?;
        }
        let centre = match labelled.groups().get(&1) {
            Some(singles) if singles.sets.len() == num_classes => singles.centre(),
            _ => mean_of_observed(vectors.as_ref(), &sources),
        };
        Ok(Self {
            vectors,
            sources,
            centre,
        })
    }

    /// The vectors `[K, d]`; rows of classes that never occur are zero.
    pub fn vectors(&self) -> MatRef<'_, f64> {
        self.vectors.as_ref()
    }

    /// Where each vector comes from, length K.
    pub fn sources(&self) -> &[TagSource] {
        &self.sources
    }

    /// What the vectors are centred by: μ_G when every class has single-label samples, otherwise
    /// the plain average of the vectors.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// The vectors of these classes minus the centre, `[classes, d]`.
    pub(super) fn centred(&self, classes: &[usize]) -> Mat<f64> {
        Mat::from_fn(classes.len(), self.vectors.ncols(), |row, column| {
            self.vectors[(classes[row], column)] - self.centre[column]
        })
    }

    /// The vectors of these classes minus their plain average, `[classes, d]`.
    pub(super) fn centred_alike(&self, classes: &[usize]) -> Mat<f64> {
        let count = classes.len().max(1) as f64;
        let dim = self.vectors.ncols();
        let centre: Vec<f64> = (0..dim)
            .map(|j| classes.iter().map(|&k| self.vectors[(k, j)]).sum::<f64>() / count)
            .collect();
        Mat::from_fn(classes.len(), dim, |row, j| {
            self.vectors[(classes[row], j)] - centre[j]
        })
    }

    pub(super) fn observed_classes(&self) -> Vec<usize> {
        (0..self.sources.len())
            .filter(|&class| self.sources[class] != TagSource::Unobserved)
            .collect()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let list = |source: TagSource| {
            let classes: Vec<String> = (0..self.sources.len())
                .filter(|&class| self.sources[class] == source)
                .map(|class| class.to_string())
                .collect();
            (!classes.is_empty()).then(|| classes.join(", "))
        };
        let mut notes = Vec::new();
        if let Some(classes) = list(TagSource::Estimated) {
            notes.push(format!(
                "classes without a single-label sample: {classes}; their vectors are estimated by least squares from the means of the label sets that contain them"
            ));
        }
        if let Some(classes) = list(TagSource::Unobserved) {
            notes.push(format!(
                "classes that occur in no sample: {classes}; NC2 of the means and NC3 leave them out"
            ));
        }
        notes
    }
}

fn mean_of_observed(vectors: MatRef<'_, f64>, sources: &[TagSource]) -> Vec<f64> {
    let observed: Vec<usize> = (0..sources.len())
        .filter(|&class| sources[class] != TagSource::Unobserved)
        .collect();
    (0..vectors.ncols())
        .map(|column| {
            let sum: f64 = observed.iter().map(|&class| vectors[(class, column)]).sum();
            sum / observed.len().max(1) as f64
        })
        .collect()
}

/// The sums that the least-squares problem needs, per multiplicity.
struct Estimation {
    /// The classes to estimate.
    missing: Vec<usize>,
    /// Σ_S n_S 1_S 1_Sᵀ, `[K, K]`.
    cooccurrences: BTreeMap<usize, Mat<f64>>,
    /// Σ_S n_S 1_S h̄_Sᵀ, `[K, d]`.
    moments: BTreeMap<usize, Mat<f64>>,
}

impl Estimation {
    fn new(group: Group<'_>, sources: &[TagSource], num_classes: usize) -> Self {
        let dim = group.means.nrows();
        let mut cooccurrences = BTreeMap::new();
        let mut moments = BTreeMap::new();
        for (position, set) in group.sets.iter().enumerate() {
            let weight = group.counts[position];
            let cooccurrence: &mut Mat<f64> = cooccurrences
                .entry(set.multiplicity())
                .or_insert_with(|| Mat::zeros(num_classes, num_classes));
            let moment: &mut Mat<f64> = moments
                .entry(set.multiplicity())
                .or_insert_with(|| Mat::zeros(num_classes, dim));
            for class in set.indices() {
                for other in set.indices() {
                    cooccurrence[(class, other)] += weight;
                }
                for (column, &value) in group.mean(position).iter().enumerate() {
                    moment[(class, column)] += weight * value;
                }
            }
        }
        Self {
            missing: (0..num_classes)
                .filter(|&class| sources[class] == TagSource::Estimated)
                .collect(),
            cooccurrences,
            moments,
        }
    }

    /// Alternates between the vectors at fixed scales and the scales at fixed vectors.
    fn run(&self, vectors: &mut Mat<f64>) -> Result<()> {
        let mut scales: BTreeMap<usize, f64> = self
            .moments
            .keys()
            .map(|&multiplicity| (multiplicity, 1.0))
            .collect();
        let mut solver = None;
        for _ in 0..MAX_ROUNDS {
            self.solve_vectors(&scales, vectors, &mut solver)?;
            if self.solve_scales(vectors, &mut scales) < SETTLED {
                break;
            }
        }
        self.solve_vectors(&scales, vectors, &mut solver)
    }

    /// `solver` is made in the first round and serves the others.
    fn solve_vectors(
        &self,
        scales: &BTreeMap<usize, f64>,
        vectors: &mut Mat<f64>,
        solver: &mut Option<NormalEquations>,
    ) -> Result<()> {
        let mut normal = Mat::<f64>::zeros(vectors.nrows(), vectors.nrows());
        let mut right = Mat::<f64>::zeros(vectors.nrows(), vectors.ncols());
        add_columns(&mut normal, |j, out| {
            for (multiplicity, &scale) in scales {
                let own = column(self.cooccurrences[multiplicity].as_ref(), j);
                add_scaled(out, scale * scale, own);
            }
        });
        add_columns(&mut right, |j, out| {
            for (multiplicity, &scale) in scales {
                add_scaled(out, scale, column(self.moments[multiplicity].as_ref(), j));
            }
        });
        for &class in &self.missing {
            for column in 0..vectors.ncols() {
                vectors[(class, column)] = 0.0;
            }
        }
        right -= product(normal.as_ref(), vectors.as_ref());
        let size = self.missing.len();
        let normal = Mat::from_fn(size, size, |i, j| {
            normal[(self.missing[i], self.missing[j])]
        });
        let right = Mat::from_fn(size, vectors.ncols(), |i, j| right[(self.missing[i], j)]);
        let solver = match solver {
            Some(solver) => solver,
            None => solver.insert(NormalEquations::of_range(normal.as_ref())?),
        };
        let solution = solver.solve(normal.as_ref(), right.as_ref())?;
        for (row, &class) in self.missing.iter().enumerate() {
            for column in 0..vectors.ncols() {
                vectors[(class, column)] = solution[(row, column)];
            }
        }
        Ok(())
    }

    /// c_m = ⟨Σ_S n_S 1_S h̄_Sᵀ, T⟩ / ⟨Σ_S n_S 1_S 1_Sᵀ T, T⟩; returns the largest relative change.
    fn solve_scales(&self, vectors: &Mat<f64>, scales: &mut BTreeMap<usize, f64>) -> f64 {
        let mut change: f64 = 0.0;
        let gram = product(vectors.as_ref(), vectors.transpose()); // ⟨CT, T⟩ = ⟨C, TTᵀ⟩
        let multiplicities: Vec<usize> = scales.keys().copied().skip(1).collect();
        let products: Vec<(f64, f64)> = multiplicities
            .par_iter()
            .map(|multiplicity| {
                let above = inner(&self.moments[multiplicity], vectors);
                (above, inner(&self.cooccurrences[multiplicity], &gram))
            })
            .collect();
        for ((_, scale), (above, below)) in scales.iter_mut().skip(1).zip(products) {
            let next = if below > 0.0 { above / below } else { 1.0 };
            change = change.max((next - *scale).abs() / next.abs().max(f64::MIN_POSITIVE));
            *scale = next;
        }
        change
    }
}

/// Calls `add` with the number and the numbers of every column, on all threads.
fn add_columns(matrix: &mut Mat<f64>, add: impl Fn(usize, &mut [f64]) + Sync) {
    matrix.par_col_iter_mut().enumerate().for_each(|(j, out)| {
        let out = out.try_as_col_major_mut();
        add(j, out.expect("a column of a matrix").as_slice_mut());
    });
}

/// Σ aᵢⱼ bᵢⱼ
fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    let columns = (0..a.ncols()).map(|j| dot(column(a.as_ref(), j), column(b.as_ref(), j)));
    columns.sum()
}
