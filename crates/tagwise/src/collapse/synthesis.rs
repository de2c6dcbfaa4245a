//! NC_m: whether the mean of a label set is the (scaled) sum of the means of its labels.

use std::collections::BTreeMap;

use faer::Mat;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decompose::least_squares;
use super::{Group, TagVectors, angle_degrees, column, dot};
use crate::Result;
use crate::statistics::Statistics;

/// Cosines above this are too close to 1 for an accurate angle from the inner product alone.
const NEARLY_PARALLEL: f64 = 0.99;

/// NC_m for one multiplicity m ≥ 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NcM {
    /// Label sets compared: those of multiplicity m whose mean and sum of class vectors are not
    /// zero.
    pub num_sets: usize,
    /// The paper's NC_m: the plain sum Σ_{k∈S} h̄_k.
    pub uniform: Synthesis,
    /// With the weights that fit each h̄_S best, Σ_{k∈S} w_k h̄_k by least squares per label set.
    pub weighted: Synthesis,
}

/// Angles between label-set means and their synthesis from class means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Synthesis {
    /// Mean over label sets S of the angle between h̄_S and its own synthesis, in degrees.
    pub angle_degrees: f64,
    /// Mean over all pairs (S, T) of the angle between h̄_T and the synthesis of S, in degrees,
    /// pairs with S = T included as in the paper's code.
    pub all_pairs_degrees: f64,
    /// NC_m, the quotient of the two; `None` when the second is zero.
    pub value: Option<f64>,
}

pub(super) fn measure(
    statistics: &Statistics,
    tags: &TagVectors,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<usize, NcM>> {
    let multiplicities: std::collections::BTreeSet<usize> = statistics
        .label_sets()
        .map(crate::LabelSet::multiplicity)
        .filter(|&multiplicity| multiplicity > 1)
        .collect();
    let vectors = tags.vectors().transpose().to_owned(); // [d, K]
    let mut result = BTreeMap::new();
    for multiplicity in multiplicities {
        let group = Group::new(statistics, |m| m == multiplicity);
        let ones = vec![vec![1.0; multiplicity]; group.sets.len()];
        let uniform = Comparison::new(&group, &vectors, ones);
        let best = (0..group.sets.len())
            .into_par_iter()
            .map(|position| best_weights(&group, position, &vectors))
            .collect::<Result<_>>()?;
        let weighted = Comparison::new(&group, &vectors, best);
        let skipped = group.sets.len() - uniform.used.len();
        if skipped > 0 {
            notes.push(format!(
                "NC_{multiplicity} leaves out {skipped} of {} label sets: their mean, or the sum of their class vectors, is zero",
                group.sets.len()
            ));
        }
        if !uniform.used.is_empty() {
            result.insert(
                multiplicity,
                NcM {
                    num_sets: uniform.used.len(),
                    uniform: uniform.angles(),
                    weighted: weighted.angles(),
                },
            );
        }
    }
    Ok(result)
}

/// The weights w of smallest norm that minimise ‖h̄_S − Σ_{k∈S} w_k t_k‖.
fn best_weights(group: &Group<'_>, position: usize, vectors: &Mat<f64>) -> Result<Vec<f64>> {
    let classes: Vec<usize> = group.sets[position].indices().collect();
    let basis = Mat::from_fn(vectors.nrows(), classes.len(), |row, column| {
        vectors[(row, classes[column])]
    });
    let mean = group.means.get(.., position..position + 1);
    let weights = least_squares(basis.as_ref(), mean)?;
    Ok(column(&weights, 0).to_vec())
}

/// Set means of one multiplicity beside their syntheses.
struct Comparison<'a> {
    group: &'a Group<'a>,
    /// Positions of the sets whose mean and synthesis are not zero.
    used: Vec<usize>,
    weights: Vec<Vec<f64>>,
    syntheses: Mat<f64>, // [d, sets]
    /// ⟨h̄_T, t_k⟩.
    products: Mat<f64>, // [K, sets]
    mean_norms: Vec<f64>,
    synthesis_norms: Vec<f64>,
}

impl<'a> Comparison<'a> {
    fn new(group: &'a Group<'a>, vectors: &Mat<f64>, weights: Vec<Vec<f64>>) -> Self {
        let (dim, num_sets) = (vectors.nrows(), group.sets.len());
        let mut syntheses = Mat::zeros(dim, num_sets);
        for (position, set) in group.sets.iter().enumerate() {
            for (class, weight) in set.indices().zip(&weights[position]) {
                for row in 0..dim {
                    syntheses[(row, position)] += weight * vectors[(row, class)];
                }
            }
        }
        let norms = |matrix: &Mat<f64>| -> Vec<f64> {
            (0..num_sets)
                .map(|j| dot(column(matrix, j), column(matrix, j)).sqrt())
                .collect()
        };
        let (mean_norms, synthesis_norms) = (norms(&group.means), norms(&syntheses));
        Self {
            group,
            used: (0..num_sets)
                .filter(|&j| mean_norms[j] > 0.0 && synthesis_norms[j] > 0.0)
                .collect(),
            products: vectors.transpose() * &group.means,
            weights,
            syntheses,
            mean_norms,
            synthesis_norms,
        }
    }

    fn angles(&self) -> Synthesis {
        let rows: Vec<(f64, f64)> = self
            .used
            .par_iter()
            .map(|&s| {
                let sum = self.used.iter().map(|&t| self.angle(t, s)).sum();
                (self.angle(s, s), sum)
            })
            .collect();
        let count = self.used.len() as f64;
        let own = rows.iter().map(|row| row.0).sum::<f64>() / count;
        let all = rows.iter().map(|row| row.1).sum::<f64>() / (count * count);
        Synthesis {
            angle_degrees: own,
            all_pairs_degrees: all,
            value: (all > 0.0).then(|| own / all),
        }
    }

    /// The angle between h̄_T and the synthesis of S, from ⟨h̄_T, Σ w_k t_k⟩ = Σ w_k⟨h̄_T, t_k⟩.
    fn angle(&self, t: usize, s: usize) -> f64 {
        let product: f64 = self.group.sets[s]
            .indices()
            .zip(&self.weights[s])
            .map(|(class, weight)| weight * self.products[(class, t)])
            .sum();
        let cosine = product / (self.mean_norms[t] * self.synthesis_norms[s]);
        if cosine.abs() > NEARLY_PARALLEL {
            angle_degrees(self.group.mean(t), column(&self.syntheses, s)).unwrap_or(0.0)
        } else {
            cosine.acos().to_degrees()
        }
    }
}
