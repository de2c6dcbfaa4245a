use std::collections::BTreeMap;

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::{UfmPoint, UfmProblem};
use crate::collapse::{CollapseReport, TagSource, TagVectors, cosine_matrix};
use crate::etf::simplex_etf_error;
use crate::matrix::from_faer;
use crate::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use crate::statistics::{ScatterKind, Statistics};
use crate::{LabelSet, Result, Targets};

mod syntheses;

use syntheses::Measured;

/// What the geometry of a solved problem looks like.
///
/// Features of label sets are compared with sums of the *tag vectors* of their labels: the
/// features of single labels where those occur, otherwise the least-squares estimate of
/// [`TagVectors`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeometryReport {
    /// ‖w_k‖ of each class.
    pub row_norms: Vec<f64>,
    /// Cosines between different rows of the classifier; absent when all are 0.
    pub row_cosines: Option<Spread>,
    /// Distance of the classifier from a simplex ETF (NC2 of W); absent for a zero classifier.
    pub etf_distance: Option<f64>,
    /// The norm of the mean of the rows, and the distance of the rows less their mean from a simplex
    /// ETF, with a set likelihood, whose rows share a direction that says how many labels there are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub common: Option<CommonDirection>,
    /// By multiplicity.
    pub multiplicities: BTreeMap<usize, MultiplicityGeometry>,
    /// The label sets of two labels or more.
    pub sets: Vec<SetSynthesis>,
    /// Where the tag vector of each class comes from.
    pub tag_sources: Vec<TagSource>,
    /// The collapse metrics of the features, as for a trained network; absent when they are not
    /// defined, with the reason in the notes.
    pub collapse: Option<CollapseReport>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

/// The direction that all rows of a classifier share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonDirection {
    /// The norm of the mean row.
    pub norm: f64,
    /// NC2 of the rows less their mean; absent where all of them are 0.
    pub etf_distance: Option<f64>,
}

impl CommonDirection {
    fn of(weight: &Mat<f64>) -> Self {
        let (rows, columns) = (weight.nrows(), weight.ncols());
        let mean = |j: usize| weight.col(j).iter().sum::<f64>() / rows as f64;
        let means: Vec<f64> = (0..columns).map(mean).collect();
        let centred = Mat::from_fn(rows, columns, |k, j| weight[(k, j)] - means[j]);
        Self {
            norm: means.iter().map(|x| x * x).sum::<f64>().sqrt(),
            etf_distance: simplex_etf_error(centred.as_ref()).ok(),
        }
    }
}

/// Lowest, mean and highest of several numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The lowest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (mut min, mut max, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0);
        for value in values {
            min = min.min(value);
            max = max.max(value);
            sum += value;
            count += 1.0;
        }
        (count > 0.0).then(|| Self {
            min,
            mean: sum / count,
            max,
        })
    }
}

/// The features of all label sets of one multiplicity, each label set counting once unless said
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultiplicityGeometry {
    /// Samples with so many labels.
    pub num_samples: f64,
    /// Distinct label sets.
    pub num_sets: usize,
    /// The C_m that fits h_S = C_m Σ_{k∈S} w_k best over all samples; absent where the sums are 0.
    pub scale: Option<f64>,
    /// ‖h_S‖.
    pub feature_norm: Spread,
    /// Σ_{k∈S} p_k averaged over samples; p(S) with a set likelihood.
    pub label_mass: f64,
    /// Degrees between h_S and the plain sum of its tag vectors.
    pub uniform_angle: Option<Spread>,
    /// Degrees between h_S and the best weighted sum of its tag vectors.
    pub weighted_angle: Option<Spread>,
    /// Degrees between h_S and the sum weighted by the number of single-label samples.
    pub frequency_angle: Option<Spread>,
    /// Degrees between h_S and the plain sum of its classifier rows.
    pub classifier_angle: Option<Spread>,
}

/// How the feature of one label set is made of its tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetSynthesis {
    /// The label set.
    pub label_set: LabelSet,
    /// How many samples carry it.
    pub num_samples: f64,
    /// ‖h_S‖.
    pub feature_norm: f64,
    /// Σ_{k∈S} p_k; p(S) with a set likelihood.
    pub label_mass: f64,
    /// Degrees between h_S and Σ_{k∈S} t_k; absent where a vector is zero.
    pub uniform_angle: Option<f64>,
    /// Degrees between h_S and Σ_{k∈S} a_k t_k.
    pub weighted_angle: Option<f64>,
    /// The a_k of that sum by least squares, in the order of the labels.
    pub weights: Vec<f64>,
    /// Degrees between h_S and Σ_{k∈S} n_k t_k, n_k the samples with label k alone; absent unless
    /// every label has such samples.
    pub frequency_angle: Option<f64>,
    /// Degrees between h_S and Σ_{k∈S} w_k.
    pub classifier_angle: Option<f64>,
}

/// Samples times dimensions above which collapse is measured with one sample per label set.
const LARGEST_MEASUREMENT: f64 = 2e8;

impl GeometryReport {
    /// Measures a point, optimal or not.
    ///
    /// # Errors
    /// [`crate::Error::SizeMismatch`] and [`crate::Error::NotFinite`] for a point that does not fit
    /// the problem, [`crate::Error::Undefined`] when the label sets do not fit into memory.
    ///
    /// ```
    /// use tagwise::ufm::{ClosedForm, GeometryReport, LabelCounts, UfmProblem, UfmSettings};
    ///
    /// let labels = LabelCounts::balanced(4, [(1, 30.0), (2, 5.0)])?;
    /// let problem = UfmProblem::new(labels, UfmSettings::default())?;
    /// let optimum = ClosedForm::of(&problem)?;
    /// let report = GeometryReport::of(&problem, &optimum.point(&problem)?)?;
    /// assert!(report.etf_distance.unwrap() < 1e-12);
    /// let pairs = &report.multiplicities[&2];
    /// assert!(pairs.uniform_angle.unwrap().max < 1e-5); // degrees
    /// assert!((pairs.scale.unwrap() - optimum.scale(2).unwrap()).abs() < 1e-12);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn of(problem: &UfmProblem, point: &UfmPoint) -> Result<Self> {
        let sets = problem.sets()?;
        point.check(problem, sets.len())?;
        let point = &without_empty_dimensions(point);
        let mut notes = Vec::new();
        let statistics = statistics(problem, point, &sets, &mut notes)?;
        let tags = TagVectors::estimate(&statistics)?;
        let classifier = LinearClassifier {
            weight: from_faer(&point.weight),
            bias: point.bias.clone(),
        };
        let collapse = CollapseReport::measure_with(&statistics, Some(&classifier), &tags);
        let mut collapse = collapse
            .map_err(|error| notes.push(format!("no collapse metrics: {error}")))
            .ok();
        if let Some(collapse) = &mut collapse {
            collapse.dim = problem.dim();
        }
        let measured = Measured::new(problem, point, &sets, tags.vectors());
        let etf_distance = simplex_etf_error(point.weight.as_ref()).ok();
        if etf_distance.is_none() {
            notes.push("the classifier is zero: the decay is too strong for any feature".into());
        }
        notes.extend(absent_classes(problem));
        let row_norms: Vec<f64> = point.weight.row_iter().map(|row| row.norm_l2()).collect();
        let cosines = cosine_matrix(point.weight.as_ref());
        let num_classes = problem.num_classes();
        let pairs = (0..num_classes).flat_map(|i| (0..i).map(move |j| (i, j)));
        let defined = pairs.filter(|&(i, j)| row_norms[i] > 0.0 && row_norms[j] > 0.0);
        Ok(Self {
            row_cosines: Spread::of(defined.map(|(i, j)| cosines[(i, j)])),
            row_norms,
            etf_distance,
            common: problem
                .potentials()
                .map(|_| CommonDirection::of(&point.weight)),
            multiplicities: measured.multiplicities(problem),
            sets: measured.into_sets(),
            tag_sources: tags.sources().to_vec(),
            collapse,
            notes,
        })
    }
}

impl UfmPoint {
    /// The point as features and classifier that any analysis reads: one row per sample when
    /// counts are whole numbers and few enough, otherwise one row per label set.
    ///
    /// # Errors
    /// [`crate::Error::Undefined`] when the label sets do not fit into memory,
    /// [`crate::Error::SizeMismatch`] and [`crate::Error::NotFinite`] for a point that does not fit.
    pub fn snapshot(&self, problem: &UfmProblem) -> Result<Snapshot> {
        let sets = problem.sets()?;
        self.check(problem, sets.len())?;
        let dim = problem.dim();
        let repeats = repetitions(problem, &sets);
        let mut features = Vec::new();
        let mut rows = Vec::new();
        for _ in 0..repeats.empty {
            features.extend(std::iter::repeat_n(0.0, dim));
            rows.push(LabelSet::default());
        }
        for (column, (set, _)) in sets.iter().enumerate() {
            for _ in 0..repeats.of_set[column] {
                features.extend(self.set_features.col(column).iter());
                rows.push(set.clone());
            }
        }
        let classifier = LinearClassifier {
            weight: from_faer(&self.weight),
            bias: self.bias.clone(),
        };
        let targets = Targets::new(problem.num_classes(), rows)?;
        Snapshot::new(FeatureValues::F64(features), dim, targets, Some(classifier))
    }
}

/// Which classes no sample carries, if any; a long list is cut.
fn absent_classes(problem: &UfmProblem) -> Option<String> {
    const MOST: usize = 10;
    let absent = problem.labels().absent_classes();
    let named: Vec<String> = absent.iter().take(MOST).map(usize::to_string).collect();
    let cut = if absent.len() > MOST { ", …" } else { "" };
    (!absent.is_empty()).then(|| {
        format!(
            "no sample has class {}{cut} ({} of {}): its row only lowers its own probability",
            named.join(", "),
            absent.len(),
            problem.num_classes()
        )
    })
}

/// The same geometry without the dimensions in which everything is 0: an optimum of rank r needs r
/// of its d dimensions, and measuring goes with their number. One is always kept.
fn without_empty_dimensions(point: &UfmPoint) -> UfmPoint {
    let is_used = |j: &usize| {
        let in_features = point.set_features.row(*j).iter().any(|h| *h != 0.0);
        in_features || point.weight.col(*j).iter().any(|w| *w != 0.0)
    };
    let mut used: Vec<usize> = (0..point.weight.ncols()).filter(is_used).collect();
    if used.is_empty() {
        used.push(0);
    }
    UfmPoint {
        weight: Mat::from_fn(point.weight.nrows(), used.len(), |k, j| {
            point.weight[(k, used[j])]
        }),
        set_features: Mat::from_fn(used.len(), point.set_features.ncols(), |j, set| {
            point.set_features[(used[j], set)]
        }),
        bias: point.bias.clone(),
        potentials: point.potentials.clone(),
    }
}

/// How many equal samples stand for each label set.
struct Repetitions {
    of_set: Vec<usize>,
    empty: usize,
    /// Whether they are the true counts.
    is_exact: bool,
}

fn repetitions(problem: &UfmProblem, sets: &[(LabelSet, f64)]) -> Repetitions {
    let is_whole = sets.iter().all(|(_, count)| count.fract() == 0.0);
    let numbers = problem.labels().num_samples() * problem.dim() as f64;
    let is_exact = is_whole && numbers <= LARGEST_MEASUREMENT;
    if is_exact {
        Repetitions {
            of_set: sets.iter().map(|(_, count)| *count as usize).collect(),
            empty: match problem.counts_empty_set() {
                true => 0, // among the sets
                false => problem.labels().num_empty() as usize,
            },
            is_exact,
        }
    } else {
        Repetitions {
            of_set: vec![1; sets.len()],
            empty: usize::from(problem.labels().num_empty() > 0.0 && !problem.counts_empty_set()),
            is_exact,
        }
    }
}

fn statistics(
    problem: &UfmProblem,
    point: &UfmPoint,
    sets: &[(LabelSet, f64)],
    notes: &mut Vec<String>,
) -> Result<Statistics> {
    let repeats = repetitions(problem, sets);
    if !repeats.is_exact {
        notes.push(
            "collapse is measured with one sample per label set: the counts are not whole \
             numbers or too large"
                .into(),
        );
    }
    let (num_classes, dim) = (problem.num_classes(), point.weight.ncols());
    // All samples of a set are equal, so that the scatter is zero whatever its kind.
    let mut statistics = Statistics::with_scatter(num_classes, dim, ScatterKind::Trace);
    for (column, (set, _)) in sets.iter().enumerate() {
        let feature: Vec<f64> = point.set_features.col(column).iter().copied().collect();
        let mut left = repeats.of_set[column];
        while left > 0 {
            let rows = left.min(ROWS_AT_ONCE);
            let targets = Targets::new(num_classes, std::iter::repeat_n(set.clone(), rows))?;
            statistics.update(&feature.repeat(rows), &targets)?;
            left -= rows;
        }
    }
    Ok(statistics)
}

const ROWS_AT_ONCE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::{LabelCounts, SolverSettings, UfmSettings, solve};
    use super::*;

    fn steep() -> UfmProblem {
        let singles = (0..5u32).map(|k| (LabelSet::new([k]), f64::from(16 >> k)));
        let pairs = (0..5u32).flat_map(|i| (0..i).map(move |j| (LabelSet::new([i, j]), 2.0)));
        let labels = LabelCounts::of_sets(5, singles.chain(pairs)).unwrap();
        UfmProblem::new(labels, UfmSettings::default()).unwrap()
    }

    #[test]
    fn imbalanced_singles_keep_pairs_near_the_uniform_sum() {
        let problem = steep();
        let solution = solve(&problem, &SolverSettings::default(), |_| {
            ControlFlow::Continue(())
        });
        let report = GeometryReport::of(&problem, &solution.unwrap().point).unwrap();
        let pairs = &report.multiplicities[&2];
        let (uniform, weighted) = (pairs.uniform_angle.unwrap(), pairs.weighted_angle.unwrap());
        assert!(uniform.mean < 6.0, "{uniform:?}");
        assert!(weighted.max <= uniform.max + 1e-9);
        assert!(pairs.frequency_angle.unwrap().mean > 4.0 * uniform.mean);
        assert!(report.etf_distance.unwrap() > 0.01);
        assert_eq!(report.sets.len(), 10);
        assert!(report.collapse.unwrap().nc_m[&2].uniform.angle_degrees > 0.1);
    }

    #[test]
    fn the_snapshot_of_a_solution_measures_the_same_collapse() {
        let problem = steep();
        let point = solve(&problem, &SolverSettings::default(), |_| {
            ControlFlow::Continue(())
        });
        let point = point.unwrap().point;
        let report = GeometryReport::of(&problem, &point).unwrap();
        let snapshot = point.snapshot(&problem).unwrap();
        assert_eq!(snapshot.num_samples(), 31 + 20);
        let statistics = Statistics::of(&snapshot, ScatterKind::Full).unwrap();
        let measured = CollapseReport::measure(&statistics, snapshot.classifier()).unwrap();
        let nc_m = |report: &CollapseReport| report.nc_m[&2].uniform.angle_degrees;
        assert!((nc_m(&measured) - nc_m(&report.collapse.unwrap())).abs() < 1e-9);
    }

    #[test]
    fn a_zero_classifier_is_described_without_angles() {
        let labels = LabelCounts::balanced(3, [(1, 1.0), (2, 1.0)]).unwrap();
        let settings = UfmSettings {
            lambda_w: 50.0,
            ..UfmSettings::default()
        };
        let problem = UfmProblem::new(labels, settings).unwrap();
        let point = UfmPoint {
            weight: Mat::zeros(3, 3),
            set_features: Mat::zeros(3, 6),
            bias: vec![0.0; 3],
            potentials: Vec::new(),
        };
        let report = GeometryReport::of(&problem, &point).unwrap();
        assert_eq!(report.etf_distance, None);
        assert_eq!(report.row_cosines, None);
        let pairs = &report.multiplicities[&2];
        assert_eq!(pairs.uniform_angle, None);
        assert!((pairs.label_mass - 2.0 / 3.0).abs() < 1e-15);
        assert!(!report.notes.is_empty());
    }
}
