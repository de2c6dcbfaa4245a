//! Features of label sets beside the sums of their tag vectors.

use std::collections::BTreeMap;

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::super::{UfmPoint, UfmProblem};
use super::{MultiplicityGeometry, SetSynthesis, Spread};
use crate::LabelSet;
use crate::loss::set_likelihood::SetPotentials;

/// Every label set with its feature and the sums it is compared with.
pub(super) struct Measured {
    all: Vec<SetSynthesis>,
    /// ⟨h_S, Σ w_k⟩ and ‖Σ w_k‖² of each set.
    projections: Vec<(f64, f64)>,
}

impl Measured {
    pub fn new(
        problem: &UfmProblem,
        point: &UfmPoint,
        sets: &[(LabelSet, f64)],
        tags: MatRef<'_, f64>,
    ) -> Self {
        let mut single_counts = vec![0.0; problem.num_classes()];
        for (set, count) in sets {
            if let &[class] = set.labels() {
                single_counts[class as usize] = *count;
            }
        }
        let model = problem.potentials().cloned().map(|mut model| {
            model.set(&point.potentials, std::iter::empty());
            model
        });
        let describe = |(column, (set, count)): (usize, &(LabelSet, f64))| {
            let feature = point.set_features.subcols(column, 1); // [d, 1]
            let classes: Vec<usize> = set.indices().collect();
            let ones = vec![1.0; classes.len()];
            let rows_sum = weighted_sum(point.weight.as_ref(), &classes, &ones);
            let frequencies: Vec<f64> = classes.iter().map(|&k| single_counts[k]).collect();
            let has_singles = frequencies.iter().all(|&n| n > 0.0);
            let weights = best_weights(tags, &classes, feature);
            let angle = |sum: &[f64]| angle_degrees(feature, sum);
            let synthesis = SetSynthesis {
                label_set: set.clone(),
                num_samples: *count,
                feature_norm: feature.norm_l2(),
                label_mass: match &model {
                    None => label_mass(point, feature, &classes),
                    Some(model) => set_probability(model, point, feature, set),
                },
                uniform_angle: angle(&weighted_sum(tags, &classes, &ones)),
                weighted_angle: angle(&weighted_sum(tags, &classes, &weights)),
                frequency_angle: has_singles
                    .then(|| angle(&weighted_sum(tags, &classes, &frequencies)))
                    .flatten(),
                classifier_angle: angle(&rows_sum),
                weights,
            };
            let feature = feature.col(0).iter();
            let along = feature.zip(&rows_sum).map(|(h, s)| h * s).sum();
            (synthesis, (along, rows_sum.iter().map(|s| s * s).sum()))
        };
        let (all, projections) = sets.par_iter().enumerate().map(describe).unzip();
        Self { all, projections }
    }

    pub fn multiplicities(&self, problem: &UfmProblem) -> BTreeMap<usize, MultiplicityGeometry> {
        let describe = |(m, num_samples): (usize, f64)| {
            let sets: Vec<usize> = (0..self.all.len())
                .filter(|&i| self.all[i].label_set.multiplicity() == m)
                .collect();
            let spread = |value: &dyn Fn(&SetSynthesis) -> Option<f64>| {
                Spread::of(sets.iter().filter_map(|&i| value(&self.all[i])))
            };
            let weighted = |value: &dyn Fn(usize) -> f64| -> f64 {
                sets.iter()
                    .map(|&i| self.all[i].num_samples * value(i))
                    .sum()
            };
            let squares = weighted(&|i| self.projections[i].1);
            // Tag vectors of single labels are the features themselves.
            let several = |angle: Option<f64>| angle.filter(|_| m > 1);
            let geometry = MultiplicityGeometry {
                num_samples,
                num_sets: sets.len(),
                scale: (squares > 0.0).then(|| weighted(&|i| self.projections[i].0) / squares),
                feature_norm: spread(&|set| Some(set.feature_norm)).unwrap_or(Spread {
                    min: 0.0,
                    mean: 0.0,
                    max: 0.0,
                }),
                label_mass: weighted(&|i| self.all[i].label_mass) / num_samples,
                uniform_angle: spread(&|set| several(set.uniform_angle)),
                weighted_angle: spread(&|set| several(set.weighted_angle)),
                frequency_angle: spread(&|set| several(set.frequency_angle)),
                classifier_angle: spread(&|set| set.classifier_angle),
            };
            (m, geometry)
        };
        problem.multiplicities().map(describe).collect()
    }

    pub fn into_sets(self) -> Vec<SetSynthesis> {
        let several = |set: &SetSynthesis| set.label_set.multiplicity() > 1;
        self.all.into_iter().filter(several).collect()
    }
}

fn weighted_sum(rows: MatRef<'_, f64>, classes: &[usize], weights: &[f64]) -> Vec<f64> {
    (0..rows.ncols())
        .map(|j| {
            classes
                .iter()
                .zip(weights)
                .map(|(&k, w)| w * rows[(k, j)])
                .sum()
        })
        .collect()
}

/// The least-squares weights of the tag vectors, of minimum norm.
fn best_weights(tags: MatRef<'_, f64>, classes: &[usize], feature: MatRef<'_, f64>) -> Vec<f64> {
    if classes.is_empty() {
        return Vec::new();
    }
    let own = Mat::from_fn(tags.ncols(), classes.len(), |j, i| tags[(classes[i], j)]); // [d, m]
    let Ok(svd) = own.thin_svd() else {
        return vec![0.0; classes.len()];
    };
    let sigma = svd.S().column_vector();
    let along = svd.U().transpose() * feature; // [min(d, m), 1]
    let largest = sigma.iter().copied().fold(0.0, f64::max);
    (0..classes.len())
        .map(|i| {
            let terms = (0..sigma.nrows()).filter(|&j| sigma[j] > DEPENDENT * largest);
            terms
                .map(|j| svd.V()[(i, j)] * along[(j, 0)] / sigma[j])
                .sum()
        })
        .collect()
}

/// Tag vectors whose singular values fall below this part of the largest count as dependent.
const DEPENDENT: f64 = 1e-10;

/// The angle from both sides of a right triangle, exact for small angles; absent for zero vectors.
fn angle_degrees(feature: MatRef<'_, f64>, sum: &[f64]) -> Option<f64> {
    let norm = sum.iter().map(|s| s * s).sum::<f64>().sqrt();
    let length = feature.norm_l2();
    if norm == 0.0 || length == 0.0 {
        return None;
    }
    let (mut difference, mut total) = (0.0, 0.0);
    for (h, s) in feature.col(0).iter().zip(sum) {
        let (h, s) = (h / length, s / norm);
        difference += (h - s) * (h - s);
        total += (h + s) * (h + s);
    }
    Some(2.0 * difference.sqrt().atan2(total.sqrt()).to_degrees())
}

/// p(S) of the set likelihood.
fn set_probability(
    model: &SetPotentials,
    point: &UfmPoint,
    feature: MatRef<'_, f64>,
    set: &LabelSet,
) -> f64 {
    let logits = &point.weight * feature;
    let logits: Vec<f64> = (0..point.bias.len())
        .map(|k| logits[(k, 0)] + point.bias[k])
        .collect();
    let distribution = model.distribution(&logits);
    distribution.map_or(f64::NAN, |own| own.probability(set))
}

fn label_mass(point: &UfmPoint, feature: MatRef<'_, f64>, classes: &[usize]) -> f64 {
    let logits = &point.weight * feature;
    let logit = |k: usize| logits[(k, 0)] + point.bias[k];
    let largest = (0..point.bias.len())
        .map(logit)
        .fold(f64::NEG_INFINITY, f64::max);
    let term = |k: usize| (logit(k) - largest).exp();
    let own: f64 = classes.iter().map(|&k| term(k)).sum();
    own / (0..point.bias.len()).map(term).sum::<f64>()
}
