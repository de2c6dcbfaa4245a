//! Intervals of the headline metrics: a jackknife over blocks of samples.

mod blocks;
mod replicate;

use serde::{Deserialize, Serialize};

pub(super) use blocks::BlockLook;

use super::{CollapseMetric, Labelled, LinearClassifier, TagSource, TagVectors};
use crate::Result;

/// Blocks that the samples are cut into.
pub(super) const NUM_BLOCKS: usize = 20;

/// The 97.5 % point of Student's t with 19 degrees of freedom.
const STUDENT_T: f64 = 2.093_024_054_408_263;

/// Fewer samples than two a block tell too little.
const LEAST_SAMPLES: usize = 2 * NUM_BLOCKS;

/// Numbers that the sums of all blocks may take: 1 GiB.
const MOST_NUMBERS: f64 = (1u64 << 27) as f64;

/// Share of the analysis that intervals may cost where they are not asked for.
const CHEAP: f64 = 0.5;

/// When the headline metrics get intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intervals {
    /// Where they cost less than half of what the analysis costs without them, and less than 1 GiB.
    #[default]
    WhereCheap,
    /// Always, as far as memory allows.
    Always,
    /// Never.
    Never,
}

/// The 95 % interval of a metric over other samples of the same kind.
///
/// A delete-one-block jackknife: the samples of every label set are dealt in turn to 20 blocks, the
/// metric θ is measured without each block, and with θ_b these values, l their mean logarithm and
/// c = log θ − 19·(l − log θ), the ends have the logarithms
/// c ± 2.093·√((19/20) Σ_b (log θ_b − l)²); 2.093 is the 97.5 % point of Student's t with 19 degrees
/// of freedom. c takes out the part of a bias that falls with the number of samples, such as the noise
/// in the means that makes NC2 and NC_m larger than they are; where θ itself then lies outside, the
/// interval reaches to it. The directions of the tag span are held fixed. Label sets of fewer than 20
/// samples widen it, by a factor of up to √(n/(n − 1)).
///
/// Source: Quenouille 1956; Shao and Tu, The Jackknife and Bootstrap (1995), section 2.3 on groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A metric with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricInterval {
    /// Which metric.
    pub metric: CollapseMetric,
    /// Its interval.
    pub interval: Interval,
}

impl Interval {
    /// The interval around a value from its values without each block; `None` where one of them is
    /// missing or the logarithm of one is.
    fn around(value: f64, without: &[Option<f64>]) -> Option<Self> {
        let without = without.iter().copied().collect::<Option<Vec<f64>>>()?;
        if value == 0.0 && without.iter().all(|&other| other == 0.0) {
            return Some(Self {
                low: 0.0,
                high: 0.0,
            });
        }
        let is_positive = |x: f64| x > 0.0 && x.is_finite();
        if !is_positive(value) || !without.iter().all(|&other| is_positive(other)) {
            return None;
        }
        let count = without.len() as f64;
        let logarithms: Vec<f64> = without.iter().map(|other| other.ln()).collect();
        let mean = logarithms.iter().sum::<f64>() / count;
        let squares: f64 = logarithms.iter().map(|l| (l - mean).powi(2)).sum();
        let half = STUDENT_T * ((count - 1.0) / count * squares).sqrt();
        let centre = value.ln() - (count - 1.0) * (mean - value.ln());
        Some(Self {
            low: (centre - half).exp().min(value),
            high: (centre + half).exp().max(value),
        })
    }
}

/// Whether to measure intervals, from the sizes alone.
pub(super) fn wanted(
    intervals: Intervals,
    labelled: &Labelled<'_>,
    tags: &TagVectors,
    analysis: f64,
) -> bool {
    let samples: f64 = labelled.counts.iter().sum();
    let dim = labelled.dim as f64;
    let slots: f64 = labelled
        .counts
        .iter()
        .map(|n| n.min(NUM_BLOCKS as f64))
        .sum();
    let classes = tags.observed_classes().len() as f64;
    let rank = dim.min(classes - 1.0).max(0.0);
    let scatters = (NUM_BLOCKS * labelled.groups().len()) as f64 * rank * rank;
    if samples < LEAST_SAMPLES as f64 || slots * dim + scatters > MOST_NUMBERS {
        return false;
    }
    match intervals {
        Intervals::Never => false,
        Intervals::Always => true,
        Intervals::WhereCheap => {
            let pass = samples * (dim * (rank + 4.0) + rank * rank / 2.0);
            let replicates = NUM_BLOCKS as f64 * replicate_work(labelled, tags, rank);
            pass + replicates < CHEAP * (analysis + metrics_work(labelled, classes))
        }
    }
}

/// Multiply-adds of the metrics of one replicate, roughly.
fn replicate_work(labelled: &Labelled<'_>, tags: &TagVectors, rank: f64) -> f64 {
    let dim = labelled.dim as f64;
    let classes = tags.observed_classes().len() as f64;
    let sets = labelled.sets.len() as f64;
    let is_estimated = |&&source: &&TagSource| source == TagSource::Estimated;
    let estimated = tags.sources().iter().filter(is_estimated).count() as f64;
    // Some fifty rounds of alternating least squares.
    let estimation = 50.0 * estimated * estimated * (estimated / 3.0 + dim);
    2.0 * sets * dim * (rank + 1.0)
        + classes * classes * dim
        + estimation
        + angles(labelled, classes)
}

/// Multiply-adds of the metrics beside the passes over the samples.
fn metrics_work(labelled: &Labelled<'_>, classes: f64) -> f64 {
    let dim = labelled.dim as f64;
    let sets = labelled.sets.len() as f64;
    2.0 * angles(labelled, classes) + sets * dim * dim.min(sets) + classes * classes * dim
}

/// Those of the angles between all pairs of means and sums.
fn angles(labelled: &Labelled<'_>, classes: f64) -> f64 {
    let groups = labelled.groups();
    let several = groups.iter().filter(|(multiplicity, _)| **multiplicity > 1);
    let work = several.map(|(&multiplicity, group)| {
        let sets = group.sets.len() as f64;
        sets * labelled.dim as f64 * classes + sets * sets * (multiplicity as f64 + 20.0)
    });
    work.sum()
}

/// Intervals of the metrics that have a value, from what each block holds.
pub(super) fn measure(
    look: &BlockLook<'_>,
    labelled: &Labelled<'_>,
    num_classes: usize,
    classifier: Option<&LinearClassifier>,
    values: &[(CollapseMetric, f64)],
) -> Result<Vec<MetricInterval>> {
    let replicates = (0..NUM_BLOCKS)
        .map(|block| replicate::values(look, labelled, num_classes, classifier, block))
        .collect::<Result<Vec<_>>>()?;
    let intervals = values.iter().filter_map(|&(metric, value)| {
        let without: Vec<Option<f64>> = replicates
            .iter()
            .map(|values| values.get(&metric).copied())
            .collect();
        let interval = Interval::around(value, &without)?;
        Some(MetricInterval { metric, interval })
    });
    Ok(intervals.collect())
}
