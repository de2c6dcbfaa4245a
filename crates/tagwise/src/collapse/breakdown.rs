//! Which classes and label sets the averages hide.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Labelled, TagSource, TagVectors, angle_degrees, column};
use crate::LabelSet;
use crate::kernel::{self, dot};
use crate::matrix::as_faer;
use crate::snapshot::LinearClassifier;
use crate::statistics::Statistics;

/// One class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassRow {
    /// The class, from 0.
    pub class: usize,
    /// Samples that carry it alone.
    pub num_alone: u64,
    /// Samples that carry it.
    pub num_samples: u64,
    /// Where its vector comes from.
    pub source: TagSource,
    /// ‖h̄_k − μ_G‖.
    pub centred_norm: f64,
    /// Root mean square of ‖h − h̄_k‖ over its single-label samples; `None` without any.
    pub spread: Option<f64>,
    /// ∠(w_k, h̄_k − μ_G) in degrees; `None` without a classifier or for a zero vector.
    pub duality_degrees: Option<f64>,
}

/// One label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SetRow {
    /// The label set S.
    pub label_set: LabelSet,
    /// Its samples n_S.
    pub num_samples: u64,
    /// ‖h̄_S‖.
    pub norm: f64,
    /// Root mean square of ‖h − h̄_S‖ over its samples.
    pub spread: f64,
    /// For two and more labels ∠(h̄_S, Σ_{k∈S} h̄_k) in degrees; `None` for a zero vector.
    pub angle_degrees: Option<f64>,
    /// C with h̄_S ≈ C·Σ_{k∈S} h̄_k by least squares, for two and more labels.
    pub scale: Option<f64>,
}

pub(super) fn classes(
    statistics: &Statistics,
    tags: &TagVectors,
    classifier: Option<&LinearClassifier>,
) -> Vec<ClassRow> {
    let all: Vec<usize> = (0..statistics.num_classes()).collect();
    let centred = tags.centred(&all).transpose().to_owned(); // [d, K]
    let weight = classifier.map(|classifier| as_faer(&classifier.weight).transpose().to_owned()); // [d, K]
    let alone = statistics.class_counts();
    let mut num_samples = vec![0; all.len()];
    let mut squares = vec![0.0; all.len()];
    let counts = statistics.set_counts();
    let sums = statistics.set_square_sums();
    for ((set, count), sum) in statistics.label_sets().zip(counts).zip(sums) {
        for class in set.indices() {
            num_samples[class] += count;
            if set.multiplicity() == 1 {
                squares[class] = sum;
            }
        }
    }
    all.into_iter()
        .map(|class| {
            let vector = column(centred.as_ref(), class);
            let observed = tags.sources()[class] != TagSource::Unobserved;
            ClassRow {
                class,
                num_alone: alone[class],
                num_samples: num_samples[class],
                source: tags.sources()[class],
                centred_norm: if observed {
                    dot(vector, vector).sqrt()
                } else {
                    0.0
                },
                spread: (alone[class] > 0).then(|| (squares[class] / alone[class] as f64).sqrt()),
                duality_degrees: weight
                    .as_ref()
                    .filter(|_| observed)
                    .and_then(|weight| angle_degrees(column(weight.as_ref(), class), vector)),
            }
        })
        .collect()
}

pub(super) fn label_sets(labelled: &Labelled<'_>, tags: &TagVectors) -> Vec<SetRow> {
    let group = labelled.all();
    let vectors = tags.vectors().transpose().to_owned(); // [d, K]
    let no_sum = || vec![0.0; vectors.nrows()];
    (0..group.sets.len())
        .into_par_iter()
        .map_init(no_sum, |sum, position| {
            let (set, mean) = (group.sets[position], group.mean(position));
            sum.fill(0.0);
            for class in set.indices() {
                kernel::add_scaled(sum, 1.0, column(vectors.as_ref(), class));
            }
            let squared = dot(sum, sum);
            let several = set.multiplicity() > 1;
            SetRow {
                label_set: set.clone(),
                num_samples: group.counts[position] as u64,
                norm: dot(mean, mean).sqrt(),
                spread: (group.square_sums[position] / group.counts[position]).sqrt(),
                angle_degrees: angle_degrees(mean, sum).filter(|_| several),
                scale: (several && squared > 0.0).then(|| dot(mean, sum) / squared),
            }
        })
        .collect()
}
