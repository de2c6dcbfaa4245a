//! NC1: how small the spread within label sets is beside the spread between them.

use std::collections::BTreeMap;

use faer::Mat;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::between::{Between, row_span};
use super::{Group, TagVectors};
use crate::statistics::Statistics;
use crate::{LabelSet, Result};

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
    /// Numerical rank of Σ_B: eigenvalues above max(L, d)·ε times the largest.
    pub rank: usize,
    /// NC1 = tr(Σ_W Σ_B†)/L; `None` with fewer than two distinct means, or when only the trace of
    /// the scatter was kept.
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
    /// What Σ_W is measured against, for a second look at the samples.
    pub(super) between: BTreeMap<usize, Ranges>,
    pub(super) pooled_between: Ranges,
}

/// Σ_B† of one group of label sets, on its own range and within the tag span.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    pub(super) all: Between,
    pub(super) tags: Between,
    /// What the trace within the tag span is divided by, min(L, K).
    num_directions: f64,
}

impl Ranges {
    fn new(group: &Group<'_>, tags: &TagSpan) -> Result<Self> {
        Ok(Self {
            all: Between::new(group)?,
            tags: Between::within(group, tags.directions.as_ref())?,
            num_directions: group.sets.len().min(tags.num_tags) as f64,
        })
    }
}

/// The directions in which the class vectors differ.
struct TagSpan {
    directions: Mat<f64>, // [d, ≤ K − 1]
    num_tags: usize,
}

pub(super) fn measure(statistics: &Statistics, tags: &TagVectors) -> Result<Variability> {
    let multiplicities: std::collections::BTreeSet<usize> = statistics
        .label_sets()
        .map(LabelSet::multiplicity)
        .filter(|&multiplicity| multiplicity > 0)
        .collect();
    let observed = tags.observed_classes();
    let span = TagSpan {
        directions: row_span(tags.centred(&observed).as_ref(), tags.vectors().norm_max())?,
        num_tags: observed.len(),
    };
    let mut pooled_scatter: Option<Mat<f64>> = None;
    let (mut per_multiplicity, mut between) = (BTreeMap::new(), BTreeMap::new());
    for &multiplicity in &multiplicities {
        let group = Group::new(statistics, |m| m == multiplicity);
        let scatter = statistics.within_scatter(multiplicity);
        let ranges = Ranges::new(&group, &span)?;
        per_multiplicity.insert(multiplicity, nc1(&group, &ranges, scatter.as_ref()));
        between.insert(multiplicity, ranges);
        pooled_scatter = match (pooled_scatter, scatter) {
            (Some(sum), Some(scatter)) => Some(sum + scatter),
            (sum, scatter) => sum.or(scatter),
        };
    }
    let only = multiplicities.first().filter(|_| multiplicities.len() == 1);
    let (pooled, pooled_between) = match only {
        Some(only) => (per_multiplicity[only].clone(), between[only].clone()),
        None => {
            let group = Group::new(statistics, |m| m > 0);
            let ranges = Ranges::new(&group, &span)?;
            (nc1(&group, &ranges, pooled_scatter.as_ref()), ranges)
        }
    };
    Ok(Variability {
        per_multiplicity,
        pooled,
        between,
        pooled_between,
    })
}

impl Variability {
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

fn nc1(group: &Group<'_>, between: &Ranges, scatter: Option<&Mat<f64>>) -> Nc1 {
    let (num_sets, num_samples) = (group.sets.len(), group.num_samples());
    let within_trace = group.square_sums.iter().sum::<f64>() / num_samples;
    let known = between.all.rank() > 0;
    let mut nc1 = Nc1 {
        num_samples: num_samples as u64,
        num_sets,
        rank: between.all.rank(),
        value: None,
        tag_span: None,
        trace_quotient: known.then(|| within_trace / between.all.trace),
        cdnv: cdnv(group),
    };
    if let Some(scatter) = scatter {
        let sums = [&between.all, &between.tags].map(|range| range.quotient(scatter));
        nc1.fill(between, sums);
    }
    nc1
}

impl Nc1 {
    /// Writes the values from tr(scatter·Σ_B†) on the whole range and within the tag span.
    pub(super) fn fill(&mut self, between: &Ranges, [all, tags]: [f64; 2]) {
        let num_samples = self.num_samples as f64;
        self.value = (self.rank > 0).then(|| all / (num_samples * self.num_sets as f64));
        self.tag_span =
            (between.tags.rank() > 0).then(|| tags / (num_samples * between.num_directions));
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
                    let distance: f64 = group
                        .mean(s)
                        .iter()
                        .zip(group.mean(t))
                        .map(|(a, b)| (a - b) * (a - b))
                        .sum();
                    (variance(s) + variance(t)) / (2.0 * distance)
                })
                .sum()
        })
        .collect();
    let mean = rows.iter().sum::<f64>() / (num_sets * (num_sets - 1) / 2) as f64;
    mean.is_finite().then_some(mean)
}
