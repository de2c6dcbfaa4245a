//! NC1: how small the spread within label sets is beside the spread between them.

use std::collections::BTreeMap;

use faer::{Accum, Mat, MatRef};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tagwise_base::words::counted;

use super::between::{self, Between, Inside, Need, add_moved_gram, has_gram, row_span};
use super::decompose::parts;
use super::estimate::{Ambient, Degrees, Nc1Estimate};
use super::{Group, Labelled, TagSource, TagVectors};
use crate::product::matmul;
use crate::statistics::Statistics;
use crate::{Result, kernel};

/// CDNV compares all pairs of label sets; beyond this many it is left out.
const MAX_CDNV_SETS: usize = 512;

/// Directions narrower than this are told: some forty times the rounding of single precision.
const NARROW: f64 = 5e-6;

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
    /// singular values of the centred means above max(L, d)·ε times the largest.
    pub rank: usize,
    /// As published, NC1 = tr(Σ_W Σ_B†)/L; `None` with fewer than two distinct means, when only the trace of the
    /// scatter was kept, or when only the tag span was asked for.
    ///
    /// Σ_B† weighs every direction in which the set means differ, noise included. For more label
    /// sets than classes this does not vanish under collapse: tag-wise averages lie in K − 1
    /// directions, in the other L − K both covariances are sampling noise, and their quotient stays
    /// near n_S, the samples per set, however small the spread. Read
    /// [`tag_span`](Self::tag_span) then.
    pub value: Option<f64>,
    /// As published, NC1 within the directions that tell labels apart,
    /// tr(Σ_W U(UᵀΣ_B U)†Uᵀ)/min(L, K) with U an orthonormal basis of the K − 1 directions in which
    /// the class vectors t_k of [`TagVectors`] differ, K the number of classes that occur. It is
    /// the paper's NC1 on single labels, and goes to 0 under collapse for every multiplicity;
    /// `None` as for [`value`](Self::value).
    pub tag_span: Option<f64>,
    /// As published, tr Σ_W / tr Σ_B; `None` with fewer than two distinct means.
    pub trace_quotient: Option<f64>,
    /// Class-distance normalised variance: mean over pairs of label sets of
    /// (v_S + v_T)/(2‖h̄_S − h̄_T‖²) with v_S the mean of ‖h − h̄_S‖² over the samples of S (Galanti,
    /// György, Hutter 2022); `None` for more than 512 label sets or two equal means.
    pub cdnv: Option<f64>,
    /// What the published forms estimate, without their bias; absent from reports of versions that
    /// did not measure it.
    #[serde(default)]
    pub estimate: Option<Nc1Estimate>,
    /// Smallest over largest of the singular values that the rank counts in the tag span: near 0 the
    /// means hardly differ in some direction, which NC1 weighs like any other.
    #[serde(default)]
    pub narrowest: Option<f64>,
}

impl Nc1 {
    /// NC1 within the directions that tell labels apart: the estimate where there is one,
    /// otherwise the published form.
    pub fn estimated(&self) -> Option<f64> {
        match &self.estimate {
            Some(estimate) => estimate.tag_span,
            None => self.tag_span,
        }
    }
}

/// NC1 for each multiplicity from 1, and pooled over all of them.
#[derive(Clone, Debug)]
pub(super) struct Variability {
    pub(super) per_multiplicity: BTreeMap<usize, Nc1>,
    pub(super) pooled: Nc1,
}

/// The directions in which the class vectors differ.
pub(super) struct TagSpan {
    pub(super) directions: Mat<f64>, // [d, ≤ K − 1]
    pub(super) num_tags: usize,
    /// Dimension of the features, where the span is that of the single-label means themselves.
    pub(super) of_single_means: Option<usize>,
}

impl TagSpan {
    /// In the coordinates of the features.
    pub(super) fn of_tags(tags: &TagVectors) -> Result<Self> {
        Self::new(tags.centred(&tags.observed_classes()).as_ref(), tags)
    }

    /// From the vectors of the observed classes minus their centre in any coordinates,
    /// `[classes, r]`.
    pub(super) fn new(centred: MatRef<'_, f64>, tags: &TagVectors) -> Result<Self> {
        let is_estimated = tags.sources().contains(&TagSource::Estimated);
        Ok(Self {
            directions: row_span(centred, tags.vectors().norm_max())?,
            num_tags: centred.nrows(),
            of_single_means: (!is_estimated).then(|| tags.vectors().ncols()),
        })
    }
}

/// NC1 from the scatters that the statistics hold.
pub(super) fn of_statistics(
    statistics: &Statistics,
    labelled: &Labelled<'_>,
    tags: &TagVectors,
) -> Result<Variability> {
    let span = TagSpan::of_tags(tags)?;
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
        let square_sum = group.square_sums.iter().sum::<f64>();
        let rank = self.between.rank;
        let value = self.scatter.filter(|_| rank > 0).map(|scatter| {
            self.between.quotient(scatter.as_ref()) / (num_samples * num_sets as f64)
        });
        let inside = in_tag_span(self.group, self.scatter, span)?;
        let degrees = Degrees::of(group);
        Ok(Nc1 {
            num_samples: num_samples as u64,
            num_sets,
            rank,
            value,
            tag_span: inside.published,
            trace_quotient: (rank > 0).then(|| square_sum / num_samples / self.between.trace),
            cdnv: cdnv(group),
            estimate: Some(Nc1Estimate {
                degrees_of_freedom: degrees.free as u64,
                num_once: group.counts.iter().filter(|&&count| count == 1.0).count(),
                tag_span: inside.estimate,
                trace_quotient: degrees
                    .trace_quotient(square_sum, self.between.trace)
                    .filter(|_| rank > 0),
            }),
            narrowest: inside.narrowest,
        })
    }
}

/// NC1 in the directions that tell labels apart.
#[derive(Default)]
pub(super) struct InTagSpan {
    published: Option<f64>,
    pub(super) estimate: Option<f64>,
    /// Smallest over largest singular value of the centred means there.
    narrowest: Option<f64>,
}

/// NC1 in the tag span as published and as estimated, and how narrow the means are there.
pub(super) fn in_tag_span(
    group: &Group<'_>,
    scatter: Option<&Mat<f64>>,
    span: &TagSpan,
) -> Result<InTagSpan> {
    let inside = Inside::new(group, span.directions.as_ref())?;
    let narrowest = inside.values.last().map(|last| last / inside.values[0]);
    let Some(scatter) = scatter.filter(|_| !inside.values.is_empty()) else {
        return Ok(InTagSpan {
            narrowest,
            ..InTagSpan::default()
        });
    };
    let num_directions = group.sets.len().min(span.num_tags) as f64;
    let degrees = Degrees::of(group);
    let mut spread = sandwich(scatter.as_ref(), inside.whitening.as_ref()); // [r, r]
    let trace: f64 = (0..spread.nrows()).map(|j| spread[(j, j)]).sum();
    let published = trace / (group.num_samples() * num_directions);
    spread *= faer::Scale(degrees.free.recip());
    let is_own = group.sets[group.sets.len() - 1].multiplicity() == 1;
    let ambient = match span.of_single_means.filter(|_| is_own) {
        Some(dim) => Ambient {
            dim,
            trace: group.square_sums.iter().sum::<f64>() / degrees.free,
        },
        // Only means that leave out a direction need the trace.
        None if inside.values.len() < span.directions.ncols() => Ambient {
            dim: span.directions.ncols(),
            trace: trace_within(scatter.as_ref(), span.directions.as_ref()) / degrees.free,
        },
        None => Ambient {
            dim: inside.values.len(),
            trace: 0.0,
        },
    };
    let estimate = degrees.quotient(group, &inside, spread.as_ref(), &ambient);
    Ok(InTagSpan {
        published: Some(published),
        estimate: estimate.map(|estimate| estimate / num_directions),
        narrowest,
    })
}

/// Pᵀ S P.
fn sandwich(scatter: MatRef<'_, f64>, whitening: MatRef<'_, f64>) -> Mat<f64> {
    let (dim, rank) = whitening.shape();
    let mut right = Mat::zeros(dim, rank);
    let mut both = Mat::zeros(rank, rank);
    let (par, replace) = (parts(dim), Accum::Replace);
    matmul(right.as_mut(), replace, scatter, whitening, 1.0, par);
    matmul(
        both.as_mut(),
        replace,
        whitening.transpose(),
        right.as_ref(),
        1.0,
        par,
    );
    both
}

/// tr(Uᵀ S U).
fn trace_within(scatter: MatRef<'_, f64>, directions: MatRef<'_, f64>) -> f64 {
    let both = sandwich(scatter, directions);
    (0..both.nrows()).map(|j| both[(j, j)]).sum()
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
            if let Some(estimate) = &mut nc1.estimate {
                let degrees = Degrees::of(group);
                let squares = group.square_sums.iter().sum();
                estimate.trace_quotient = degrees
                    .trace_quotient(squares, between / group.sets.len() as f64)
                    .filter(|_| nc1.rank > 0);
            }
            nc1.cdnv = cdnv(group);
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.once().into_iter().collect();
        let all = self.per_multiplicity.values().chain([&self.pooled]);
        let narrowest = all.filter_map(|nc1| nc1.narrowest).fold(1.0, f64::min);
        if narrowest < NARROW {
            notes.push(format!(
                "the means differ in some direction by only {narrowest:.0e} of what they do in the widest, as where a unit hardly ever fires; NC1 weighs it like any other"
            ));
        }
        for (multiplicity, nc1) in &self.per_multiplicity {
            if nc1.rank == 0 {
                notes.push(format!(
                    "NC1 of multiplicity {multiplicity} needs at least two different label-set means, found {}",
                    counted(nc1.num_sets, "label set")
                ));
            }
            if nc1.rank > 0 && nc1.cdnv.is_none() && nc1.num_sets <= MAX_CDNV_SETS {
                notes.push(format!(
                    "CDNV of multiplicity {multiplicity} is left out: the means of two label sets coincide, and it divides by their distance"
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

impl Variability {
    /// How many label sets occur once.
    fn once(&self) -> Option<String> {
        let estimate = self.pooled.estimate?;
        let (num_once, num_sets) = (estimate.num_once, self.pooled.num_sets);
        (num_once > 0).then(|| {
            let (occur, show) = match num_once {
                1 => ("occurs", "shows"),
                _ => ("occur", "show"),
            };
            let sets = counted(num_sets, "label set");
            format!("{num_once} of {sets} {occur} once and {show} no spread")
        })
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
