//! NC1: how small the spread within label sets is beside the spread between them.

use std::collections::BTreeMap;

use faer::{Mat, MatRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::between::{self, Between, Need, add_moved_gram, has_gram, row_span};
use super::{Group, Labelled, TagVectors};
use crate::statistics::Statistics;
use crate::{Result, kernel};

/// CDNV compares all pairs of label sets; beyond this many it is left out.
const MAX_CDNV_SETS: usize = 512;

/// Within-set variability relative to between-set variability, for one multiplicity or pooled.
///
/// With L label sets as classes, N samples, h̄_S the set means and μ the mean of these samples:
/// Σ_W = (1/N) Σ_i (h_i − h̄_{S_i})(h_i − h̄_{S_i})ᵀ and Σ_B = (1/L) Σ_S (h̄_S − μ)(h̄_S − μ)ᵀ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nc1 {
    /// Number of samples N.
    pub num_samples: u64,
    /// Number of label sets L.
    pub num_sets: usize,
    /// Numerical rank of Σ_B, or of the part of it in the directions that were asked for:
    /// eigenvalues above max(L, d)·ε times the largest.
    pub rank: usize,
    /// NC1 = tr(Σ_W Σ_B†)/L; `None` with fewer than two distinct means, when only the trace of the
    /// scatter was kept, or when only the tag span was asked for.
    ///
    /// Σ_B† weighs every direction in which the set means differ, noise included. For more label
    /// sets than classes this does not vanish under collapse: tag-wise averages lie in K − 1
    /// directions, in the other L − K both covariances are sampling noise, and their quotient stays
    /// near n_S, the samples per set, however small the spread. Read
    /// [`tag_span`](Self::tag_span) then.
    pub value: Option<f64>,
    /// NC1 within the directions that tell labels apart, tr(Σ_W U(UᵀΣ_B U)†Uᵀ)/min(L, K) with U an
    /// orthonormal basis of the K − 1 directions in which the class vectors t_k of
    /// [`TagVectors`] differ. It is the paper's NC1 on single labels, and goes to 0 under
    /// collapse for every multiplicity; `None` as for [`value`](Self::value).
    pub tag_span: Option<f64>,
    /// tr Σ_W / tr Σ_B; `None` with fewer than two distinct means.
    pub trace_quotient: Option<f64>,
    /// Class-distance normalised variance: mean over pairs of label sets of
    /// (v_S + v_T)/(2‖h̄_S − h̄_T‖²) with v_S the mean of ‖h − h̄_S‖² over the samples of S (Galanti,
    /// György, Hutter 2022); `None` for more than 512 label sets or two equal means.
    pub cdnv: Option<f64>,
}

/// NC1 for each multiplicity from 1, and pooled over all of them.
#[derive(Clone, Debug)]
pub(super) struct Variability {
    pub(super) per_multiplicity: BTreeMap<usize, Nc1>,
    pub(super) pooled: Nc1,
}

/// The directions in which the class vectors differ.
pub(super) struct TagSpan {
    directions: Mat<f64>, // [d, ≤ K − 1]
    num_tags: usize,
}

impl TagSpan {
    /// From the vectors of the observed classes minus their centre, `[classes, d]`, and the largest
    /// entry of the vectors.
    pub(super) fn new(centred: MatRef<'_, f64>, largest_entry: f64) -> Result<Self> {
        Ok(Self {
            directions: row_span(centred, largest_entry)?,
            num_tags: centred.nrows(),
        })
    }
}

/// NC1 from the scatters that the statistics hold.
pub(super) fn of_statistics(
    statistics: &Statistics,
    labelled: &Labelled<'_>,
    tags: &TagVectors,
) -> Result<Variability> {
    let centred = tags.centred(&tags.observed_classes());
    let span = TagSpan::new(centred.as_ref(), tags.vectors().norm_max())?;
    measure(labelled, &span, |multiplicity| {
        statistics.within_scatter(multiplicity)
    })
}

/// NC1 from means, the tag span and the scatter of each multiplicity in the same coordinates.
pub(super) fn measure(
    labelled: &Labelled<'_>,
    span: &TagSpan,
    scatter_of: impl Fn(usize) -> Option<Mat<f64>>,
) -> Result<Variability> {
    let groups = labelled.groups();
    let all = labelled.all();
    let centre = all.centre();
    // The sum over all label sets is made of the sums over those of each multiplicity.
    let mut pooled_gram =
        (groups.len() > 1 && has_gram(&all)).then(|| Mat::zeros(labelled.dim, labelled.dim));
    let mut pooled_scatter: Option<Mat<f64>> = None;
    let mut per_multiplicity = BTreeMap::new();
    for (&multiplicity, group) in &groups {
        let scatter = scatter_of(multiplicity);
        let need = Spread::need(group, scatter.as_ref());
        let between = match &mut pooled_gram {
            Some(total) if has_gram(group) => {
                let own = group.centre();
                let gram = between::gram(group, &own);
                add_moved_gram(total, &gram, group, &own, &centre);
                Between::of_gram(gram, group, &own, need)?
            }
            Some(total) => {
                *total += between::gram(group, &centre);
                Between::new(group, need)?
            }
            None => Between::new(group, need)?,
        };
        let spread = Spread {
            group,
            scatter: scatter.as_ref(),
            between,
        };
        per_multiplicity.insert(multiplicity, spread.nc1(span)?);
        match (&mut pooled_scatter, scatter) {
            (Some(sum), Some(scatter)) => *sum += scatter,
            (sum, scatter) => *sum = sum.take().or(scatter),
        }
    }
    let pooled = match per_multiplicity.first_key_value() {
        Some((_, only)) if per_multiplicity.len() == 1 => only.clone(),
        _ => {
            let need = Spread::need(&all, pooled_scatter.as_ref());
            let between = match pooled_gram {
                Some(gram) => Between::of_gram(gram, &all, &centre, need)?,
                None => Between::new(&all, need)?,
            };
            let scatter = pooled_scatter.as_ref();
            let spread = Spread {
                group: &all,
                scatter,
                between,
            };
            spread.nc1(span)?
        }
    };
    Ok(Variability {
        per_multiplicity,
        pooled,
    })
}

/// What NC1 of one group of label sets is made of.
struct Spread<'a> {
    group: &'a Group<'a>,
    scatter: Option<&'a Mat<f64>>,
    between: Between,
}

impl Spread<'_> {
    /// Samples that all equal their means have nothing to divide.
    fn need(group: &Group<'_>, scatter: Option<&Mat<f64>>) -> Need {
        let spread = group.square_sums.iter().any(|&squares| squares > 0.0);
        if scatter.is_some() && spread {
            Need::Quotient
        } else {
            Need::Rank
        }
    }

    fn nc1(&self, span: &TagSpan) -> Result<Nc1> {
        let group = self.group;
        let (num_sets, num_samples) = (group.sets.len(), group.num_samples());
        let within_trace = group.square_sums.iter().sum::<f64>() / num_samples;
        let tags = Between::within(group, span.directions.as_ref())?;
        let num_directions = num_sets.min(span.num_tags) as f64;
        let quotient = |between: &Between, divisor: f64| {
            let scatter = self.scatter.filter(|_| between.rank > 0)?;
            Some(between.quotient(scatter.as_ref()) / (num_samples * divisor))
        };
        let rank = self.between.rank;
        Ok(Nc1 {
            num_samples: num_samples as u64,
            num_sets,
            rank,
            value: quotient(&self.between, num_sets as f64),
            tag_span: quotient(&tags, num_directions),
            trace_quotient: (rank > 0).then(|| within_trace / self.between.trace),
            cdnv: cdnv(group),
        })
    }
}

impl Variability {
    /// Takes back what coordinates of the tag span alone cannot tell, and measures the traces and
    /// distances from the whole means.
    pub(super) fn keep_tag_span(&mut self, labelled: &Labelled<'_>) {
        let groups = labelled.groups();
        let all = labelled.all();
        let measured = self.per_multiplicity.iter_mut();
        let measured = measured.map(|(multiplicity, nc1)| (&groups[multiplicity], nc1));
        for (group, nc1) in measured.chain([(&all, &mut self.pooled)]) {
            nc1.value = None;
            let within = group.square_sums.iter().sum::<f64>() / group.num_samples();
            let centre = group.centre();
            let between: f64 = (0..group.sets.len())
                .map(|position| kernel::squared_distance(group.mean(position), &centre))
                .sum();
            let quotient = within / (between / group.sets.len() as f64);
            nc1.trace_quotient = (nc1.rank > 0).then_some(quotient);
            nc1.cdnv = cdnv(group);
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (multiplicity, nc1) in &self.per_multiplicity {
            if nc1.rank == 0 {
                let plural = if nc1.num_sets == 1 { "" } else { "s" };
                notes.push(format!(
                    "NC1 of multiplicity {multiplicity} needs at least two different label-set means, found {} label set{plural}",
                    nc1.num_sets
                ));
            }
            if nc1.num_sets > MAX_CDNV_SETS {
                notes.push(format!(
                    "CDNV of multiplicity {multiplicity} is left out: it compares all pairs, and {} label sets are more than {MAX_CDNV_SETS}",
                    nc1.num_sets
                ));
            }
        }
        notes
    }
}

fn cdnv(group: &Group<'_>) -> Option<f64> {
    let num_sets = group.sets.len();
    if !(2..=MAX_CDNV_SETS).contains(&num_sets) {
        return None;
    }
    let variance = |j: usize| group.square_sums[j] / group.counts[j];
    let rows: Vec<f64> = (1..num_sets)
        .into_par_iter()
        .map(|s| {
            (0..s)
                .map(|t| {
                    let distance = kernel::squared_distance(group.mean(s), group.mean(t));
                    (variance(s) + variance(t)) / (2.0 * distance)
                })
                .sum()
        })
        .collect();
    let mean = rows.iter().sum::<f64>() / (num_sets * (num_sets - 1) / 2) as f64;
    mean.is_finite().then_some(mean)
}
