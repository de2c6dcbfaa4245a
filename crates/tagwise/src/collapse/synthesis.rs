//! NC_m: whether the mean of a label set is the (scaled) sum of the means of its labels.

use std::collections::BTreeMap;

use faer::{Accum, Mat};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tagwise_base::words::counted;

use super::decompose::{least_squares, parts};
use super::{Group, Labelled, TagVectors, angle_degrees, column};
use crate::kernel::{self, dot};
use crate::product::matmul;
use crate::{LabelSet, Result};

/// Cosines this close to 1 in size give less than nine digits of the angle.
const NEARLY_PARALLEL: f64 = 1e-6;

/// Angles of this size in degrees are rounding.
const PARALLEL: f64 = 1e-10;

/// Squared sine between a vector and the span of the others of its set below which normal
/// equations lose too many digits.
const INDEPENDENT: f64 = 1e-5;

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
    /// NC_m, the quotient of the two; `None` when the second is zero up to rounding, as where all
    /// means lie on one ray.
    pub value: Option<f64>,
}

pub(super) fn measure(
    labelled: &Labelled<'_>,
    tags: &TagVectors,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<usize, NcM>> {
    let vectors = tags.vectors().transpose().to_owned(); // [d, K]
    let gram = vectors.transpose() * &vectors; // [K, K]
    let mut result = BTreeMap::new();
    for (multiplicity, group) in labelled.groups() {
        if multiplicity < 2 {
            continue;
        }
        let products = Products::new(&group, &vectors);
        let uniform = Comparison::new(&group, &vectors, &products, plain_sum)?;
        let weighted = Comparison::new(&group, &vectors, &products, |position, weights| {
            best_weights(&group, position, &vectors, &gram, &products, weights)
        })?;
        let skipped = group.sets.len() - uniform.used.len();
        if skipped > 0 {
            notes.push(format!(
                "NC_{multiplicity} leaves out {skipped} of {}: their mean, or the sum of their class vectors, is zero",
                counted(group.sets.len(), "label set")
            ));
        }
        if !uniform.used.is_empty() {
            let uniform_angles = uniform.angles();
            if uniform_angles.value.is_none() {
                notes.push(format!(
                    "NC_{multiplicity} is left out: all means of label sets and all sums of class vectors point the same way, and the quotient of two angles of 0 says nothing"
                ));
            }
            result.insert(
                multiplicity,
                NcM {
                    num_sets: uniform.used.len(),
                    uniform: uniform_angles,
                    weighted: weighted.angles(),
                },
            );
        }
    }
    Ok(result)
}

/// NC_m of plain sums alone, for each multiplicity that has one.
pub(super) fn uniform_values(
    labelled: &Labelled<'_>,
    tags: &TagVectors,
) -> Result<BTreeMap<usize, f64>> {
    let vectors = tags.vectors().transpose().to_owned(); // [d, K]
    let mut values = BTreeMap::new();
    for (multiplicity, group) in labelled.groups() {
        if multiplicity > 1 {
            let products = Products::new(&group, &vectors);
            let uniform = Comparison::new(&group, &vectors, &products, plain_sum)?;
            values.extend(uniform.angles().value.map(|value| (multiplicity, value)));
        }
    }
    Ok(values)
}

/// The weights of the paper's sum.
fn plain_sum(_: usize, weights: &mut [f64]) -> Result<()> {
    weights.fill(1.0);
    Ok(())
}

/// ⟨h̄_S, t_k⟩ and ‖h̄_S‖ of the label sets of one multiplicity.
struct Products {
    with_class: Mat<f64>, // [sets, K]
    mean_norms: Vec<f64>,
}

impl Products {
    fn new(group: &Group<'_>, vectors: &Mat<f64>) -> Self {
        let mut with_class = Mat::zeros(group.sets.len(), vectors.ncols());
        matmul(
            with_class.as_mut(),
            Accum::Replace,
            group.means.transpose(),
            vectors.as_ref(),
            1.0,
            parts(group.sets.len()),
        );
        Self {
            with_class,
            mean_norms: (0..group.sets.len())
                .into_par_iter()
                .map(|position| dot(group.mean(position), group.mean(position)).sqrt())
                .collect(),
        }
    }
}

/// The weights w of smallest norm that minimise ‖h̄_S − Σ_{k∈S} w_k t_k‖.
fn best_weights(
    group: &Group<'_>,
    position: usize,
    vectors: &Mat<f64>,
    gram: &Mat<f64>,
    products: &Products,
    weights: &mut [f64],
) -> Result<()> {
    let classes: Vec<usize> = group.sets[position].indices().collect();
    for (weight, &class) in weights.iter_mut().zip(&classes) {
        *weight = products.with_class[(position, class)];
    }
    if solve_normal_equations(gram, &classes, weights) {
        return Ok(());
    }
    let basis = Mat::from_fn(vectors.nrows(), classes.len(), |row, column| {
        vectors[(row, classes[column])]
    });
    let mean = group.means.subcols(position, 1);
    let solution = least_squares(basis.as_ref(), mean)?;
    weights.copy_from_slice(column(solution.as_ref(), 0));
    Ok(())
}

/// Solves G w = p for the rows and columns of these classes by Cholesky, `weights` holding p and
/// then w; `false`, with `weights` of no meaning, when the vectors are too close to dependent.
fn solve_normal_equations(gram: &Mat<f64>, classes: &[usize], weights: &mut [f64]) -> bool {
    let size = classes.len();
    let mut factor = vec![0.0; size * size]; // row-major, lower
    for i in 0..size {
        for j in 0..=i {
            let inner = (0..j).map(|k| factor[i * size + k] * factor[j * size + k]);
            let rest = gram[(classes[i], classes[j])] - inner.sum::<f64>();
            if i == j {
                if rest.is_nan() || rest <= INDEPENDENT * gram[(classes[i], classes[i])] {
                    return false;
                }
                factor[i * size + i] = rest.sqrt();
            } else {
                factor[i * size + j] = rest / factor[j * size + j];
            }
        }
    }
    for i in 0..size {
        let known: f64 = (0..i).map(|k| factor[i * size + k] * weights[k]).sum();
        weights[i] = (weights[i] - known) / factor[i * size + i];
    }
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size)
            .map(|k| factor[k * size + i] * weights[k])
            .sum();
        weights[i] = (weights[i] - known) / factor[i * size + i];
    }
    true
}

/// Set means of one multiplicity beside their syntheses.
struct Comparison<'a> {
    group: &'a Group<'a>,
    vectors: &'a Mat<f64>, // [d, K]
    products: &'a Products,
    /// Positions of the sets whose mean and synthesis are not zero.
    used: Vec<usize>,
    weights: Vec<f64>, // [sets, m]
    synthesis_norms: Vec<f64>,
    /// 1/‖h̄_S‖ of the sets in use, NaN for the others.
    mean_scales: Vec<f64>,
    /// The angle between each mean and its own synthesis, in degrees.
    own: Vec<f64>,
}

impl<'a> Comparison<'a> {
    fn new(
        group: &'a Group<'a>,
        vectors: &'a Mat<f64>,
        products: &'a Products,
        weigh: impl Fn(usize, &mut [f64]) -> Result<()> + Sync,
    ) -> Result<Self> {
        let num_sets = group.sets.len();
        let multiplicity = group.sets.first().map_or(1, |set| set.multiplicity());
        let mut weights = vec![0.0; num_sets * multiplicity];
        let no_sum = || vec![0.0; vectors.nrows()];
        let measured = weights
            .par_chunks_exact_mut(multiplicity)
            .enumerate()
            .map_init(no_sum, |sum, (position, weights)| {
                weigh(position, weights)?;
                synthesize(vectors, group.sets[position], weights, sum);
                let own = angle_degrees(group.mean(position), sum).unwrap_or(0.0);
                Ok((dot(sum, sum).sqrt(), own))
            });
        let (synthesis_norms, own) = measured
            .collect::<Result<Vec<(f64, f64)>>>()?
            .into_iter()
            .unzip::<f64, f64, Vec<f64>, Vec<f64>>();
        let used: Vec<usize> = (0..num_sets)
            .filter(|&j| products.mean_norms[j] > 0.0 && synthesis_norms[j] > 0.0)
            .collect();
        let mut mean_scales = vec![f64::NAN; num_sets];
        for &j in &used {
            mean_scales[j] = products.mean_norms[j].recip();
        }
        Ok(Self {
            used,
            mean_scales,
            group,
            vectors,
            products,
            weights,
            synthesis_norms,
            own,
        })
    }

    fn angles(&self) -> Synthesis {
        let sums: Vec<f64> = self
            .used
            .par_iter()
            .map_init(Row::default, |row, &s| self.sum_of_row(s, row))
            .collect();
        let count = self.used.len() as f64;
        let own = self.used.iter().map(|&s| self.own[s]).sum::<f64>() / count;
        let all = sums.iter().sum::<f64>() / (count * count);
        Synthesis {
            angle_degrees: own,
            all_pairs_degrees: all,
            value: (all > PARALLEL).then(|| own / all),
        }
    }

    /// Σ_T of the angle between h̄_T and the synthesis of S in degrees, from
    /// ⟨h̄_T, Σ w_k t_k⟩ = Σ w_k⟨h̄_T, t_k⟩; small angles from the vectors themselves.
    fn sum_of_row(&self, s: usize, row: &mut Row) -> f64 {
        let weights = self.weights_of(s);
        row.products.clear();
        row.products.resize(self.group.sets.len(), 0.0);
        for (class, weight) in self.group.sets[s].indices().zip(weights) {
            let products = column(self.products.with_class.as_ref(), class);
            kernel::add_scaled(&mut row.products, *weight, products);
        }
        row.scales.clear();
        let scale = self.synthesis_norms[s].recip();
        let scales = self.mean_scales.iter().map(|mean| mean * scale);
        row.scales.extend(scales);
        let exact = |t: usize| -> f64 {
            let mut sum = vec![0.0; self.vectors.nrows()];
            synthesize(self.vectors, self.group.sets[s], weights, &mut sum);
            angle_degrees(self.group.mean(t), &sum).unwrap_or(0.0)
        };
        let mut separate = self.own[s];
        for t in 0..self.group.sets.len() {
            let cosine = row.products[t] * row.scales[t];
            // Not in use (not finite), measured already, or too parallel for the arc cosine.
            if t == s || cosine.is_nan() || cosine.abs() > 1.0 - NEARLY_PARALLEL {
                if t != s && !cosine.is_nan() {
                    separate += exact(t);
                }
                // An arc cosine of exactly 0.
                (row.products[t], row.scales[t]) = (1.0, 1.0);
            }
        }
        separate + kernel::sum_of_angles(&row.products, &row.scales).to_degrees()
    }

    fn weights_of(&self, s: usize) -> &[f64] {
        let multiplicity = self.group.sets[s].multiplicity();
        &self.weights[s * multiplicity..(s + 1) * multiplicity]
    }
}

/// Working memory for the angles of one synthesis with all means.
#[derive(Default)]
struct Row {
    products: Vec<f64>,
    scales: Vec<f64>,
}

/// out = Σ_{k∈S} w_k t_k.
fn synthesize(vectors: &Mat<f64>, set: &LabelSet, weights: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (class, &weight) in set.indices().zip(weights) {
        kernel::add_scaled(out, weight, column(vectors.as_ref(), class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_equations_give_the_weights_or_say_that_they_cannot() {
        let vectors = Mat::from_fn(5, 3, |row, column| {
            ((row * 3 + column * 7) % 5) as f64 - 1.5
        });
        let gram = vectors.transpose() * &vectors;
        let mut weights = [0.0; 2];
        let expected = [2.0, -3.0];
        for (i, weight) in weights.iter_mut().enumerate() {
            *weight = (0..2).map(|j| gram[(2 * i, 2 * j)] * expected[j]).sum();
        }
        assert!(solve_normal_equations(&gram, &[0, 2], &mut weights));
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(!solve_normal_equations(&gram, &[1, 1], &mut [1.0, 1.0]));
    }
}
