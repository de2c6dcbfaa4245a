//! The numbers of the paper's public code, from the same features.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::between::whitening_around;
use super::{LinearClassifier, angle_degrees};
use crate::etf::{simplex_etf_error, simplex_gram_error};
use crate::matrix::as_faer;
use crate::product::product;
use crate::snapshot::{FeatureRows, SampleStream};
use crate::statistics::Statistics;
use crate::{LabelSet, Result, kernel};

/// What the code published with the paper (NC_MLab) reports for these features, in f64.
///
/// It differs from the definitions in four ways, all reproduced here: μ_G is the sum of the
/// single-label features divided by the number of *all* samples; NC2 is of the uncentred means;
/// the denominator of NC_2 pairs every two classes, observed together or not, with every pair
/// mean; and, since the code sums in place into the memory of the first sample of each class, that
/// sample is replaced by its class mean before Σ_W and the angles are computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NcMlab {
    /// tr(Σ_W Σ_B†)/K.
    pub nc1: f64,
    /// NC2 of the classifier.
    pub nc2_w: Option<f64>,
    /// NC2 of the uncentred class means.
    pub nc2_h: f64,
    /// NC3 with the class means minus the smaller μ_G.
    pub nc3: Option<f64>,
    /// NC_2; `None` without samples of multiplicity 2.
    pub angle_metric: Option<f64>,
}

impl NcMlab {
    /// # Errors
    /// [`Error::Undefined`] when a class has no single-label sample: the published code needs
    /// them.
    pub(super) fn measure(
        stream: &impl SampleStream,
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
    ) -> Result<Self> {
        let means = statistics.class_means()?.transpose().to_owned(); // [d, K]
        let (dim, num_classes) = (means.nrows(), means.ncols());
        let counts: Vec<f64> = statistics
            .class_counts()
            .iter()
            .map(|&n| n as f64)
            .collect();
        let num_samples = statistics.num_samples() as f64;
        let centre: Vec<f64> = (0..dim)
            .map(|row| {
                (0..num_classes)
                    .map(|k| counts[k] / num_samples * means[(row, k)])
                    .sum()
            })
            .collect();
        let whitening = whitening_around(means.as_ref(), &centre)?;
        let look = look_again(stream, &means, &whitening)?;
        let single: f64 = counts.iter().sum();
        let altered = Mat::from_fn(dim, num_classes, |row, k| {
            means[(row, k)] + (means[(row, k)] - look.firsts[k][row]) / counts[k]
        });
        let centred = Mat::from_fn(num_classes, dim, |k, row| means[(row, k)] - centre[row]);
        let nc3 = |classifier: &LinearClassifier| {
            let product = product(as_faer(&classifier.weight), centred.transpose());
            simplex_gram_error(product.as_ref(), "the product of W and the means is zero")
        };
        Ok(Self {
            nc1: look.projected / (single * num_classes as f64),
            nc2_w: classifier
                .map(|classifier| simplex_etf_error(as_faer(&classifier.weight)))
                .transpose()?,
            nc2_h: simplex_etf_error(means.transpose())?,
            nc3: classifier.map(nc3).transpose()?,
            angle_metric: angle_metric(statistics, &altered),
        })
    }
}

/// What one more pass over the single-label samples finds.
struct Look {
    /// The first sample of each class, `[K][d]`.
    firsts: Vec<Vec<f64>>,
    /// Σ ‖Pᵀ(h − h̄_k)‖² over all but the first sample of each class.
    projected: f64,
}

fn look_again(stream: &impl SampleStream, means: &Mat<f64>, whitening: &Mat<f64>) -> Result<Look> {
    let mut look = Look {
        firsts: vec![Vec::new(); means.ncols()],
        projected: 0.0,
    };
    stream.for_each_block(&mut |first, rows| {
        match rows {
            FeatureRows::F32(rows) => look.block(rows, first, stream, means, whitening),
            FeatureRows::F64(rows) => look.block(rows, first, stream, means, whitening),
        }
        Ok(())
    })?;
    Ok(look)
}

impl Look {
    fn block<T: Copy + Into<f64>>(
        &mut self,
        rows: &[T],
        first: usize,
        stream: &impl SampleStream,
        means: &Mat<f64>,
        whitening: &Mat<f64>,
    ) {
        let mut residual = vec![0.0; means.nrows()];
        for (row, values) in rows.chunks_exact(means.nrows().max(1)).enumerate() {
            let set = stream.targets().set(first + row);
            let &[class] = set.labels() else { continue };
            let class = class as usize;
            if self.firsts[class].is_empty() {
                self.firsts[class] = values.iter().map(|&value| value.into()).collect();
                continue;
            }
            let mean = super::column(means.as_ref(), class);
            kernel::subtract(values, mean, &mut residual);
            for j in 0..whitening.ncols() {
                let direction = super::column(whitening.as_ref(), j);
                self.projected += kernel::dot(direction, &residual).powi(2);
            }
        }
    }
}

/// Mean angle of each pair mean to its own sum of class means, over the mean angle of all pair
/// means to the sums of every two classes.
fn angle_metric(statistics: &Statistics, class_means: &Mat<f64>) -> Option<f64> {
    let pairs: Vec<(&LabelSet, Vec<f64>)> = statistics
        .label_sets()
        .filter(|set| set.multiplicity() == 2)
        .filter_map(|set| Some((set, statistics.set_mean(set)?)))
        .collect();
    let sum = |i: usize, j: usize| -> Vec<f64> {
        let (a, b) = (
            super::column(class_means.as_ref(), i),
            super::column(class_means.as_ref(), j),
        );
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    };
    let mut own = 0.0;
    for (set, mean) in &pairs {
        let labels = set.labels();
        own += angle_degrees(mean, &sum(labels[0] as usize, labels[1] as usize))?;
    }
    let (mut all, mut count) = (0.0, 0.0);
    for j in 0..class_means.ncols() {
        for i in 0..j {
            let sum = sum(i, j);
            for (_, mean) in &pairs {
                all += angle_degrees(mean, &sum)?;
                count += 1.0;
            }
        }
    }
    (!pairs.is_empty() && all > 0.0).then(|| (own / pairs.len() as f64) / (all / count))
}
