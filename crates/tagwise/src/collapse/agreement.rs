//! NC4: whether the classifier and the nearest class mean name the same class.

use faer::Mat;

use super::Group;
use crate::matrix::as_faer;
use crate::product::product;
use crate::snapshot::LinearClassifier;

/// Offsets that turn projected residuals into scores, `[singles, classes]`: row k for samples of the
/// k-th single-label set.
pub(super) struct Agreement {
    logit_offsets: Vec<Vec<f64>>,
    nearness_offsets: Vec<Vec<f64>>,
    /// The class of each single-label set: classes without such samples are missing.
    classes: Vec<usize>,
}

impl Agreement {
    /// With h = h̄_k + r: logits W r + (W h̄_k + b), and −½‖h − h̄_j‖² up to a constant as
    /// ⟨r, c_j⟩ + ⟨c_k, c_j⟩ − ½‖c_j‖² with c_j = h̄_j − μ_G. Also returns what residuals are
    /// projected on: the rows of W, then the c_j.
    pub(super) fn new(group: &Group<'_>, classifier: &LinearClassifier) -> (Self, Mat<f64>) {
        let means = group.means; // [d, singles]
        let singles = means.ncols();
        let centre = group.centre();
        let centred = Mat::from_fn(singles, means.nrows(), |j, row| {
            means[(row, j)] - centre[row]
        });
        let num_classes = classifier.num_classes();
        let mut projection = Mat::zeros(num_classes + singles, means.nrows());
        projection
            .get_mut(..num_classes, ..)
            .copy_from(as_faer(&classifier.weight));
        projection.get_mut(num_classes.., ..).copy_from(&centred);
        let mean_logits = as_faer(&classifier.weight) * means; // [K, singles]
        let gram = product(centred.as_ref(), centred.transpose());
        let agreement = Self {
            classes: group.sets.iter().flat_map(|set| set.indices()).collect(),
            logit_offsets: (0..singles)
                .map(|k| {
                    (0..classifier.num_classes())
                        .map(|j| mean_logits[(j, k)] + classifier.bias[j])
                        .collect()
                })
                .collect(),
            nearness_offsets: (0..singles)
                .map(|k| {
                    (0..singles)
                        .map(|j| gram[(k, j)] - 0.5 * gram[(j, j)])
                        .collect()
                })
                .collect(),
        };
        (agreement, projection)
    }

    /// Whether the largest logit and the nearest class mean name the same class, for a sample of
    /// the label set at this position.
    pub(super) fn agrees(&self, scores: &[f64], set: usize) -> bool {
        let largest = |scores: &[f64], offsets: &[f64]| {
            let mut best = (0, f64::NEG_INFINITY);
            for (class, (score, offset)) in scores.iter().zip(offsets).enumerate() {
                if score + offset > best.1 {
                    best = (class, score + offset);
                }
            }
            best.0
        };
        let (logits, nearness) = scores.split_at(self.logit_offsets[set].len());
        let by_logit = largest(logits, &self.logit_offsets[set]);
        let by_mean = largest(nearness, &self.nearness_offsets[set]);
        by_logit == self.classes[by_mean]
    }
}
