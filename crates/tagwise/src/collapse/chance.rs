//! What headline metrics are for features that know nothing of the labels, and where they cannot
//! answer.
//!
//! Let features be independent of the labels with any covariance C. Then with ν = L − 1 for L label
//! sets of n_S samples, ñ the harmonic mean of the n_S and n their sum:
//!
//! - Σ_W has the expectation C·(n − L)/n, and Σ_B the law of a Wishart matrix of ν degrees of
//!   freedom over L·ñ. In p isotropic dimensions E tr W† ≥ min(p, ν)/max(p, ν) by Jensen, so
//!   NC1 ≥ ((n − L)/n)·ñ·(L/D)·min(r, ν)/max(p, ν) with D the divisor of
//!   [`Nc1::tag_span`](super::Nc1::tag_span) and r the dimension of that span; another C only makes
//!   it larger. p = r where the span comes from other samples, and p = d where it is the span of
//!   these means themselves.
//! - K Gaussian vectors in d dimensions, centred by their mean, have NC2² ≈ 2 − 2c with
//!   c² = E[tr(PG)²]/(q E[tr G²]) = (qd + 2)/(q(d + q + 1)), G their Gram matrix, P the centring and
//!   q = K − 1. So have the rows of a classifier that was fitted to such means, and NC3 of both.
//!   In high dimensions random means are nearly a simplex ETF; two centred means always are.

use super::verdict::Untold;
use super::{CollapseMetric, CollapseReport, Nc1, TagSource};

/// Fewer degrees of freedom tell no spread: their estimate is off by half in one direction.
const LEAST_DEGREES_OF_FREEDOM: u64 = 10;

/// And at least this share of the samples must be free, else the published NC1, which divides by n
/// and not by n − L, says too little by more than its inverse.
const LEAST_SHARE: f64 = 0.25;

/// Of fewer label sets that occur at least twice, all distances would hang on single samples: an
/// outlier alone is far from the mean of all others.
const LEAST_REPEATED: u64 = 2;

/// Label sets for each vector that is estimated from them; fewer cannot contradict it.
const LEAST_SETS_PER_ESTIMATE: usize = 4;

/// Counts of the label sets that one NC1 compares.
struct Counts {
    num_samples: u64,
    num_sets: u64,
    /// Label sets that occur at least twice.
    num_repeated: u64,
    /// ñ = L/Σ 1/n_S.
    harmonic: f64,
}

impl Counts {
    /// Those with a number of labels, or all.
    fn new(report: &CollapseReport, multiplicity: Option<usize>) -> Self {
        let rows = report.label_sets.iter().filter(|row| {
            multiplicity.is_none_or(|multiplicity| row.label_set.multiplicity() == multiplicity)
        });
        let (mut num_samples, mut num_sets, mut num_repeated, mut inverse) = (0, 0, 0, 0.0);
        for row in rows {
            num_samples += row.num_samples;
            num_sets += 1;
            num_repeated += u64::from(row.num_samples > 1);
            inverse += 1.0 / row.num_samples as f64;
        }
        Self {
            num_samples,
            num_sets,
            num_repeated,
            harmonic: num_sets as f64 / inverse,
        }
    }

    fn degrees_of_freedom(&self) -> u64 {
        self.num_samples.saturating_sub(self.num_sets)
    }

    fn share(&self) -> f64 {
        self.degrees_of_freedom() as f64 / self.num_samples.max(1) as f64
    }
}

/// What keeps a metric from telling anything.
pub(super) fn obstacle(metric: CollapseMetric, report: &CollapseReport) -> Option<Untold> {
    let no_simplex = |num_vectors: usize| {
        (report.dim + 1 < num_vectors).then_some(Untold::NoSimplexEtf {
            num_vectors,
            dim: report.dim,
        })
    };
    match metric {
        CollapseMetric::Nc1 { multiplicity } => too_few(&Counts::new(report, Some(multiplicity)))
            .or_else(|| within_noise(report.nc1.get(&multiplicity)?)),
        CollapseMetric::Nc1Pooled => {
            too_few(&Counts::new(report, None)).or_else(|| within_noise(&report.nc1_pooled))
        }
        CollapseMetric::Nc2Classifier => no_simplex(report.num_classes),
        CollapseMetric::Nc2ClassMeans | CollapseMetric::Nc3 => no_simplex(num_observed(report)),
        CollapseMetric::NcM { multiplicity } => match report.nc_m.get(&multiplicity) {
            Some(averages) if averages.num_sets < 2 => Some(Untold::OneLabelSet),
            _ => fitted(report),
        },
    }
}

/// NC_m of vectors that were fitted to the means it compares them with. Features that know nothing
/// of the labels then have a small angle to their own sum, which the fit made small, and large ones
/// to all others, as the fit of so few means is ill-conditioned.
fn fitted(report: &CollapseReport) -> Option<Untold> {
    let is_estimated = |class: usize| report.tag_sources[class] == TagSource::Estimated;
    let num_classes = (0..report.num_classes).filter(|&k| is_estimated(k)).count();
    let rows = report.label_sets.iter().filter(|row| {
        let labels = row.label_set.labels();
        labels.len() > 1 && labels.iter().any(|&label| is_estimated(label as usize))
    });
    let num_sets = rows.count();
    (num_sets < LEAST_SETS_PER_ESTIMATE * num_classes).then_some(Untold::FittedToThemselves {
        num_classes,
        num_sets,
    })
}

/// NC1 that could be measured as published, but of which the noise in the means leaves nothing.
fn within_noise(nc1: &Nc1) -> Option<Untold> {
    let estimate = nc1.estimate?;
    (nc1.tag_span.is_some() && estimate.tag_span.is_none()).then_some(Untold::MeansWithinNoise)
}

fn too_few(counts: &Counts) -> Option<Untold> {
    let enough = counts.degrees_of_freedom() >= LEAST_DEGREES_OF_FREEDOM
        && counts.share() >= LEAST_SHARE
        && counts.num_repeated >= LEAST_REPEATED;
    (!enough).then_some(Untold::TooFewRepeats {
        num_samples: counts.num_samples,
        num_sets: counts.num_sets,
    })
}

/// About the least value of a metric by chance.
pub(super) fn of(metric: CollapseMetric, report: &CollapseReport) -> Option<f64> {
    let chance = match metric {
        CollapseMetric::Nc1 { multiplicity } => variability(report, Some(multiplicity)),
        CollapseMetric::Nc1Pooled => variability(report, None),
        // Rows that a softmax loss with weight decay fits sum to zero, as centred means do.
        CollapseMetric::Nc2Classifier => frame(report.num_classes, report.dim),
        // A classifier fitted to means that know nothing of the labels is proportional to them, and
        // NC3 then their NC2.
        CollapseMetric::Nc2ClassMeans | CollapseMetric::Nc3 => {
            frame(num_observed(report), report.dim)
        }
        CollapseMetric::NcM { .. } => return metric.family().chance(),
    };
    chance.is_finite().then_some(chance)
}

fn variability(report: &CollapseReport, multiplicity: Option<usize>) -> f64 {
    let counts = Counts::new(report, multiplicity);
    let num_tags = num_observed(report);
    let own_means = multiplicity.is_none_or(|multiplicity| multiplicity == 1)
        || report.tag_sources.contains(&TagSource::Estimated);
    let between = counts.num_sets as f64 - 1.0;
    let span = report.dim.min(num_tags.saturating_sub(1)) as f64;
    let dim = if own_means { report.dim as f64 } else { span };
    let divisor = counts.num_sets.min(num_tags as u64) as f64;
    let quotient = span.min(between) / dim.max(between);
    counts.share() * counts.harmonic * (counts.num_sets as f64 / divisor) * quotient
}

/// NC2 of Gaussian vectors centred by their mean.
fn frame(num_vectors: usize, dim: usize) -> f64 {
    let (free, d) = (num_vectors as f64 - 1.0, dim as f64);
    let cosine = ((free * d + 2.0) / (free * (d + free + 1.0))).sqrt();
    (2.0 - 2.0 * cosine).max(0.0).sqrt()
}

/// Classes that occur in the data.
fn num_observed(report: &CollapseReport) -> usize {
    let sources = report.tag_sources.iter();
    sources
        .filter(|&&source| source != TagSource::Unobserved)
        .count()
}
