//! The parts of a one-nearest-neighbour decoder, estimated from the statistics of a training set.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Side};

use super::parts::{OwnPrototype, Parts, checked_scales, row_major};
use super::search::{Form, Offset};
use super::settings::{Distance, EmptySet, NearestSettings, Prior};
use super::training::{Seen, Training, dot};
use crate::product::product;
use crate::statistics::{ScatterKind, Statistics};
use crate::{Error, Result};

/// Estimates everything from the statistics.
pub(super) fn estimate(
    statistics: &Statistics,
    settings: &NearestSettings,
    scales: Option<&[f64]>,
) -> Result<Parts> {
    let training = Training::new(statistics, settings.max_multiplicity)?;
    estimate_from(&training, statistics, settings, scales)
}

/// [`estimate`] from what all settings with one largest multiplicity share.
pub(super) fn estimate_from(
    training: &Training,
    statistics: &Statistics,
    settings: &NearestSettings,
    scales: Option<&[f64]>,
) -> Result<Parts> {
    let scales = match scales {
        Some(scales) => checked_scales(scales, training.max_multiplicity)?,
        None => training.scales(),
    };
    let spread = Spread::new(training, statistics, settings.distance, &scales)?;
    let log_priors = LogPriors::new(training, settings.prior);
    let bonuses: Vec<f64> = (1..=training.max_multiplicity)
        .map(|m| spread.of_log_prior * log_priors.unseen(m))
        .collect();

    let own = training.own_sets(settings)?;
    let own_means = training.own_means(&own, settings.prototypes, &scales);
    let num_known = training.labels.len();
    let means = Mat::from_fn(
        num_known + own.len(),
        statistics.dim(),
        |row, column| match row.checked_sub(num_known) {
            None => training.tags[(row, column)],
            Some(row) => own_means[(row, column)],
        },
    );
    let directions = spread.directions(means.as_ref())?;
    let tag_directions = directions.subrows(0, num_known);
    let gram = product(training.tags.as_ref(), tag_directions.transpose());
    let gram = Mat::from_fn(num_known, num_known, |j, k| {
        0.5 * (gram[(j, k)] + gram[(k, j)]) // symmetric to the last bit
    });
    let own = own
        .iter()
        .enumerate()
        .map(|(row, seen)| OwnPrototype {
            classes: seen.classes.clone(),
            squared_norm: (0..statistics.dim())
                .map(|c| own_means[(row, c)] * directions[(num_known + row, c)])
                .sum(),
            bonus: spread.of_log_prior * log_priors.seen(seen),
        })
        .collect();
    Ok(Parts {
        num_classes: statistics.num_classes(),
        labels: training.labels.clone(),
        directions,
        gram: row_major(gram.as_ref()),
        max_multiplicity: training.max_multiplicity,
        form: match settings.distance {
            Distance::Cosine => Form::Cosine { bonuses },
            Distance::Euclidean => Form::Quadratic {
                scales,
                bonuses,
                offset: Offset::SquaredNorm,
            },
            Distance::Mahalanobis => Form::Quadratic {
                scales,
                bonuses,
                offset: Offset::None,
            },
        },
        own,
        concentration: match settings.prior {
            Prior::None => 1.0,
            Prior::Multiplicity | Prior::LabelSet => spread.concentration,
        },
        empty_set_below: match settings.empty_set {
            EmptySet::Below(score) => score,
            EmptySet::Never | EmptySet::Measured => f64::NEG_INFINITY,
        },
        max_nodes: settings.max_nodes,
    })
}

/// How features scatter around prototypes.
struct Spread {
    /// The Cholesky factor of the covariance, for the Mahalanobis distance.
    covariance: Option<faer::linalg::solvers::Llt<f64>>,
    /// The factor of a log prior in the units of the score.
    of_log_prior: f64,
    /// The concentration of von Mises and Fisher's distribution, for the cosine.
    concentration: f64,
}

impl Spread {
    fn new(
        training: &Training,
        statistics: &Statistics,
        distance: Distance,
        scales: &[f64],
    ) -> Result<Self> {
        let dim = statistics.dim() as f64;
        let variance = training.within_variance().unwrap_or(0.0) / dim;
        Ok(match distance {
            Distance::Cosine => Self {
                covariance: None,
                of_log_prior: 1.0,
                concentration: concentration(training, scales, dim),
            },
            // −‖h − μ‖²/(2σ²) + log π, times 2σ².
            Distance::Euclidean => Self {
                covariance: None,
                of_log_prior: 2.0 * variance,
                concentration: 1.0,
            },
            Distance::Mahalanobis => Self {
                covariance: Some(factor(shrunk_covariance(training, statistics)?)?),
                of_log_prior: 2.0,
                concentration: 1.0,
            },
        })
    }

    /// Σ⁻¹μ for each row μ, or μ itself.
    fn directions(&self, means: MatRef<'_, f64>) -> Result<Mat<f64>> {
        match &self.covariance {
            None => Ok(means.to_owned()),
            Some(factor) => Ok(factor.solve(means.transpose()).transpose().to_owned()),
        }
    }
}

/// κ = r(d − r²)/(1 − r²) with r the mean cosine of the samples with their prototypes
/// (Banerjee et al. 2005), each set's mean cosine taken from its mean and spread.
fn concentration(training: &Training, scales: &[f64], dim: f64) -> f64 {
    let (mut total, mut weight) = (0.0, 0.0);
    for seen in training
        .labelled()
        .filter(|s| s.multiplicity() <= scales.len())
    {
        let norm = dot(&seen.tag_sum, &seen.tag_sum).sqrt();
        let length = (dot(&seen.mean, &seen.mean) + seen.square_sum / seen.count).sqrt();
        if norm > 0.0 && length > 0.0 {
            total += seen.count * dot(&seen.mean, &seen.tag_sum) / (norm * length);
            weight += seen.count;
        }
    }
    /// Bounds that keep a perfectly collapsed or a hopeless training set finite.
    const RANGE: (f64, f64) = (1e-6, 1.0 - 1e-12);
    let mean_cosine = (total / f64::max(weight, 1.0)).clamp(RANGE.0, RANGE.1);
    mean_cosine * (dim - mean_cosine * mean_cosine) / (1.0 - mean_cosine * mean_cosine)
}

/// (1 − ρ)·S + ρ·tr(S)/d·I with S the pooled covariance around set means and ρ of the
/// oracle-approximating shrinkage (Chen et al. 2010, equation 23).
fn shrunk_covariance(training: &Training, statistics: &Statistics) -> Result<Mat<f64>> {
    if statistics.scatter_kind() != ScatterKind::Full {
        return Err(Error::Undefined(
            "the Mahalanobis distance needs statistics with the full scatter".into(),
        ));
    }
    let freedom = training.degrees_of_freedom();
    let dim = statistics.dim();
    let mut covariance = Mat::<f64>::zeros(dim, dim);
    let largest = training
        .labelled()
        .map(Seen::multiplicity)
        .max()
        .unwrap_or(0);
    for multiplicity in 1..=largest {
        if let Some(scatter) = statistics.within_scatter(multiplicity) {
            covariance += scatter;
        }
    }
    let trace: f64 = (0..dim).map(|c| covariance[(c, c)]).sum::<f64>() / freedom;
    if freedom == 0.0 || trace == 0.0 {
        return Err(Error::Undefined(
            "the Mahalanobis distance needs label sets with samples that differ; use the Euclidean distance or the cosine".into(),
        ));
    }
    covariance *= faer::Scale(1.0 / freedom);
    let d = dim as f64;
    let square_sum = covariance.squared_norm_l2(); // tr(S²)
    let excess = (freedom + 1.0 - 2.0 / d) * (square_sum - trace * trace / d);
    let shrinkage = if excess > 0.0 {
        (((1.0 - 2.0 / d) * square_sum + trace * trace) / excess).clamp(0.0, 1.0)
    } else {
        1.0
    };
    covariance *= faer::Scale(1.0 - shrinkage);
    for c in 0..dim {
        covariance[(c, c)] += shrinkage * trace / d;
    }
    Ok(covariance)
}

fn factor(covariance: Mat<f64>) -> Result<faer::linalg::solvers::Llt<f64>> {
    covariance.llt(Side::Lower).map_err(|_| {
        Error::Undefined(
            "the covariance around set means is singular; use the Euclidean distance or the cosine"
                .into(),
        )
    })
}

/// Log-probabilities of label sets before the feature is seen.
struct LogPriors {
    prior: Prior,
    num_known: usize,
    /// Share of each multiplicity from 0, smoothed so that none is impossible.
    shares: Vec<f64>,
    num_samples: f64,
    /// The number of samples that the sets not seen are worth.
    unseen_weight: f64,
}

impl LogPriors {
    fn new(training: &Training, prior: Prior) -> Self {
        let mut counts = vec![0.5; training.max_multiplicity + 1];
        let (mut num_samples, mut seen_once) = (0.0, 0.0);
        for seen in &training.seen {
            num_samples += seen.count;
            seen_once += f64::from(u8::from(seen.count == 1.0));
            if let Some(count) = counts.get_mut(seen.multiplicity()) {
                *count += seen.count;
            }
        }
        let total: f64 = counts.iter().sum();
        // Good and Turing: the sets not seen have the probability of those seen once.
        let unseen_weight = if seen_once < num_samples {
            (seen_once * num_samples / (num_samples - seen_once)).max(1.0)
        } else {
            num_samples
        };
        Self {
            prior,
            num_known: training.labels.len(),
            shares: counts.iter().map(|count| count / total).collect(),
            num_samples,
            unseen_weight,
        }
    }

    /// log(share of m/C(K, m))
    fn spread_evenly(&self, multiplicity: usize) -> f64 {
        let log_num_sets: f64 = (0..multiplicity)
            .map(|i| ((self.num_known - i) as f64 / (i + 1) as f64).ln())
            .sum();
        self.shares[multiplicity].ln() - log_num_sets
    }

    fn unseen(&self, multiplicity: usize) -> f64 {
        match self.prior {
            Prior::None => 0.0,
            Prior::Multiplicity => self.spread_evenly(multiplicity),
            Prior::LabelSet => {
                let share = self.unseen_weight / (self.num_samples + self.unseen_weight);
                share.ln() + self.spread_evenly(multiplicity)
            }
        }
    }

    fn seen(&self, seen: &Seen) -> f64 {
        match self.prior {
            Prior::None | Prior::Multiplicity => self.unseen(seen.multiplicity()),
            Prior::LabelSet => {
                let expected = self.unseen_weight * self.spread_evenly(seen.multiplicity()).exp();
                ((seen.count + expected) / (self.num_samples + self.unseen_weight)).ln()
            }
        }
    }
}

#[cfg(test)]
mod tests;
