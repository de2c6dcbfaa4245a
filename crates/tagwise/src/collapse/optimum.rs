//! Class vectors beside the best that is possible for exactly these labels.

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::{LinearClassifier, TagVectors, cosine_matrix};
use crate::Result;
use crate::interrupt::{ALWAYS, GoOn, ask};
use crate::matrix::{Matrix, as_faer, from_faer};
use crate::statistics::{ScatterKind, Statistics};
use crate::ufm::{
    LabelCounts, SolverSettings, UfmAnswer, UfmPoint, UfmProblem, UfmSettings, Verdict,
    descend_from,
};

/// Classes times label sets up to which the optimum takes some hundredths of a second.
pub const CHEAP_OPTIMUM: usize = 30_000;

/// Larger decays than this leave out classes where d is far below K: their optimum in two dimensions
/// has seven classes as a hexagon and a zero.
const SMALL_DECAY: f64 = 1e-6;

/// How far class means and classifier are from the optimum of the unconstrained feature model for
/// the label counts of these data, and from a simplex ETF.
///
/// A simplex ETF is the optimum for balanced labels in d ≥ K − 1 dimensions. For other labels, and
/// in fewer dimensions, the best features and classifier have other angles, which
/// [`UfmAnswer::find`] computes and for d ≥ K certifies. In fewer dimensions there are many optima,
/// among them all that rename classes: the one that is compared is where a descent from these very
/// class means ends, and [`excess`](Self::excess) says how much worse its loss is than the best found.
/// Both are compared angle by angle: the mean
/// over pairs of classes of |∠(a_k, a_l) − ∠(a*_k, a*_l)|, which no rotation and no scale changes.
/// Class vectors are those of [`TagVectors`] minus their plain average, on both sides.
///
/// ```
/// use tagwise::collapse::OptimumGap;
/// use tagwise::statistics::Statistics;
/// use tagwise::ufm::UfmSettings;
/// use tagwise::{LabelSet, Targets};
///
/// // Three classes as often as each other, whose means are a regular triangle.
/// let features = [1.0, 0.0, -0.5, 0.75f64.sqrt(), -0.5, -(0.75f64.sqrt())]; // [3, 2]
/// let targets = Targets::new(3, [[0], [1], [2]].map(LabelSet::new))?;
/// let mut statistics = Statistics::new(3, 2);
/// statistics.update(&features, &targets)?;
/// let gap = OptimumGap::measure(&statistics, None, UfmSettings::default())?;
/// assert!(gap.means.unwrap() < 1e-5); // degrees
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OptimumGap {
    /// Degrees between the class means and the optimum's; `None` for fewer than three classes, whose
    /// means are opposite whatever they are, and in one dimension, where angles do not tell places.
    pub means: Option<f64>,
    /// Degrees between the class means and a simplex ETF; `None` where none exists (d < K − 1).
    pub means_to_etf: Option<f64>,
    /// Degrees between the classifier and the optimum's.
    pub classifier: Option<f64>,
    /// Degrees between the classifier and a simplex ETF.
    pub classifier_to_etf: Option<f64>,
    /// Whether the optimum is certified to be global.
    pub is_certified: bool,
    /// By which part the loss of the optimum that is compared lies above that of the best point
    /// found; 0 for a certified one.
    #[serde(default)]
    pub excess: f64,
    /// The dimension in which the optimum was sought: d, or K where that is less, as more
    /// dimensions change nothing.
    pub dim: usize,
    /// The decay λ_W of the optimum.
    pub lambda_w: f64,
    /// The decay λ_H of the optimum.
    pub lambda_h: f64,
}

impl OptimumGap {
    /// Solves the model for the label counts of these statistics and measures both distances.
    /// The dimension of the settings is replaced, and for d < K − 1 λ_W by 1e-6 where it is larger.
    ///
    /// # Errors
    /// As [`LabelCounts::of_sets`], [`UfmProblem::new`] and [`UfmAnswer::find`].
    pub fn measure(
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
        settings: UfmSettings,
    ) -> Result<Self> {
        Self::measure_while(statistics, classifier, settings, ALWAYS)
    }

    /// The same as long as `go_on` continues.
    ///
    /// # Errors
    /// As [`measure`](Self::measure), and [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn measure_while(
        statistics: &Statistics,
        classifier: Option<&LinearClassifier>,
        settings: UfmSettings,
        go_on: GoOn<'_>,
    ) -> Result<Self> {
        let num_classes = statistics.num_classes();
        let dim = statistics.dim().min(num_classes);
        let has_etf = statistics.dim() + 1 >= num_classes;
        let problem = problem_of(statistics, settings)?;
        let (answer, is_certified) = answer_to(&problem, go_on)?;
        let (point, excess) = match is_certified {
            true => (answer.point(&problem)?, 0.0),
            false => nearest(&problem, statistics, &answer, go_on)?,
        };
        let optimum = point.snapshot(&problem)?;
        let of_optimum = Statistics::of(&optimum, ScatterKind::Trace)?;
        let best = Angles::of_means(&of_optimum)?;
        let means = Angles::of_means(statistics)?;
        let rows = |classifier: &LinearClassifier| {
            let classes = (0..num_classes).collect();
            Angles::new(cosine_matrix(as_faer(&classifier.weight)), classes)
        };
        let tells = statistics.dim() > 1 && means.classes.len() > 2;
        let best_rows = optimum.classifier().map(rows);
        let classifier = classifier.map(rows);
        Ok(Self {
            means: means.distance(&best).filter(|_| tells),
            means_to_etf: means.distance_to_etf().filter(|_| has_etf && tells),
            classifier: classifier
                .as_ref()
                .and_then(|rows| rows.distance(best_rows.as_ref()?))
                .filter(|_| statistics.dim() > 1),
            classifier_to_etf: classifier
                .and_then(|rows| rows.distance_to_etf())
                .filter(|_| has_etf && statistics.dim() > 1),
            is_certified,
            excess,
            dim,
            lambda_w: answer.lambda_w,
            lambda_h: answer.lambda_h,
        })
    }

    /// What it says of the class means, in one sentence.
    pub fn sentence(&self) -> Option<String> {
        let means = self.means?;
        let optimum = match (self.is_certified, self.excess > SAME_LOSS) {
            (true, _) => "the certified optimum".into(),
            (false, false) => "the nearest optimum".into(),
            (false, true) => format!(
                "the nearest local optimum, {:.1} % above the best found,",
                100.0 * self.excess
            ),
        };
        let of_model = format!(
            "The class means are {means:.1}° from {optimum} for these label counts in {} dimensions (λ_W = {}, λ_H = {:.2e})",
            self.dim, self.lambda_w, self.lambda_h
        );
        Some(match self.means_to_etf {
            Some(etf) => format!("{of_model}, {etf:.1}° from a simplex ETF."),
            None => format!("{of_model}; no simplex ETF exists there."),
        })
    }
}

/// Cosines between the class means of the optimum of the unconstrained feature model for the label
/// counts of these statistics, whatever their features are: what a network is to end at.
///
/// Class vectors are those of [`TagVectors`] minus their plain average. `[K, K]`; `None` where the optimum is
/// not certified to be global, as for d < K − 1, where there are many, or a class has no sample.
///
/// ```
/// use tagwise::collapse::optimal_cosines;
/// use tagwise::statistics::{ScatterKind, Statistics};
/// use tagwise::ufm::UfmSettings;
/// use tagwise::{GoOn, LabelSet, Targets};
///
/// let targets = Targets::new(3, [[0], [1], [2]].map(LabelSet::new))?;
/// let mut statistics = Statistics::with_scatter(3, 4, ScatterKind::Trace);
/// statistics.update(&[0.0; 12], &targets)?;
/// let go_on: GoOn = &|| std::ops::ControlFlow::Continue(());
/// let cosines = optimal_cosines(&statistics, UfmSettings::default(), go_on)?.unwrap();
/// assert!((cosines[(0, 1)] + 0.5).abs() < 1e-9); // a simplex ETF: −1/(K − 1)
/// # Ok::<(), tagwise::Error>(())
/// ```
///
/// # Errors
/// As [`OptimumGap::measure_while`].
pub fn optimal_cosines(
    statistics: &Statistics,
    settings: UfmSettings,
    go_on: GoOn<'_>,
) -> Result<Option<Matrix>> {
    let num_classes = statistics.num_classes();
    if statistics.dim() + 1 < num_classes {
        return Ok(None);
    }
    let problem = problem_of(statistics, settings)?;
    let (answer, is_certified) = answer_to(&problem, go_on)?;
    if !is_certified {
        return Ok(None);
    }
    let optimum = answer.point(&problem)?.snapshot(&problem)?;
    let best = Angles::of_means(&Statistics::of(&optimum, ScatterKind::Trace)?)?;
    let is_whole = best.classes.len() == num_classes;
    Ok(is_whole.then(|| from_faer(&best.cosines)))
}

/// The model for the label counts of these statistics.
fn problem_of(statistics: &Statistics, settings: UfmSettings) -> Result<UfmProblem> {
    let num_classes = statistics.num_classes();
    let counts = statistics
        .set_counts()
        .into_iter()
        .map(|count| count as f64);
    let sets = statistics.label_sets().cloned().zip(counts);
    let labels = LabelCounts::of_sets(num_classes, sets)?;
    let has_etf = statistics.dim() + 1 >= num_classes;
    let settings = UfmSettings {
        dim: Some(statistics.dim().min(num_classes)),
        lambda_w: match has_etf {
            true => settings.lambda_w,
            false => settings.lambda_w.min(SMALL_DECAY),
        },
        ..settings
    };
    UfmProblem::new(labels, settings)
}

/// Its answer, and whether that is certified to be global.
fn answer_to(problem: &UfmProblem, go_on: GoOn<'_>) -> Result<(UfmAnswer, bool)> {
    let answer = UfmAnswer::find(problem, &SolverSettings::default(), |_| go_on())?;
    ask(go_on)?; // what was found so far may be far from the optimum
    let is_certified = answer.certificate.verdict == Verdict::Certified;
    Ok((answer, is_certified))
}

/// The point where a descent from the class means themselves ends, at the size of the answer's
/// rows and features, and by which part its loss is above that of the answer.
fn nearest(
    problem: &UfmProblem,
    statistics: &Statistics,
    answer: &UfmAnswer,
    go_on: GoOn<'_>,
) -> Result<(UfmPoint, f64)> {
    let tags = TagVectors::estimate(statistics)?;
    let classes = tags.observed_classes();
    let best = answer.point(problem)?;
    let (num_classes, dim) = (problem.num_classes(), problem.dim());
    let mut weight = Mat::zeros(num_classes, dim);
    let vectors = match statistics.dim() == dim {
        true => tags.centred_alike(&classes),
        // More dimensions than classes, where the best point is as near as any.
        false => return Ok((best, 0.0)),
    };
    for (row, &class) in classes.iter().enumerate() {
        weight.row_mut(class).copy_from(vectors.row(row));
    }
    let sets = problem.labels().sets()?;
    let mut features = Mat::zeros(dim, sets.len());
    for (column, (set, _)) in sets.iter().enumerate() {
        let mean = statistics.set_mean(set).unwrap_or_else(|| vec![0.0; dim]);
        for (j, x) in mean.into_iter().enumerate() {
            features[(j, column)] = x;
        }
    }
    let centre: Vec<f64> = (0..dim)
        .map(|j| features.row(j).iter().sum::<f64>() / sets.len().max(1) as f64)
        .collect();
    for column in 0..sets.len() {
        (0..dim).for_each(|j| features[(j, column)] -= centre[j]);
    }
    let sized = |own: Mat<f64>, like: &Mat<f64>| {
        let (own_norm, norm) = (own.norm_l2(), like.norm_l2());
        match own_norm > 0.0 {
            true => own * faer::Scale(norm / own_norm),
            false => own,
        }
    };
    let start = UfmPoint {
        weight: sized(weight, &best.weight),
        set_features: sized(features, &best.set_features),
        bias: best.bias.clone(),
        potentials: best.potentials.clone(),
    };
    let found = descend_from(problem, &start, &SolverSettings::default(), |_| go_on())?;
    ask(go_on)?;
    let (own, least) = (found.certificate.value, answer.certificate.value);
    Ok((found.point, ((own - least) / least.abs()).max(0.0)))
}

/// Losses that differ by less are those of one optimum.
const SAME_LOSS: f64 = 1e-4;

/// Angles between the vectors of several classes, in degrees.
struct Angles {
    classes: Vec<usize>,
    cosines: Mat<f64>,
}

impl Angles {
    fn new(cosines: Mat<f64>, classes: Vec<usize>) -> Self {
        Self { classes, cosines }
    }

    /// Of the class vectors minus their plain average.
    fn of_means(statistics: &Statistics) -> Result<Self> {
        let tags = TagVectors::estimate(statistics)?;
        let classes = tags.observed_classes();
        let centred = tags.centred_alike(&classes);
        Ok(Self::new(cosine_matrix(centred.as_ref()), classes))
    }

    fn distance(&self, other: &Self) -> Option<f64> {
        let is_same = self.classes == other.classes;
        let angle = |i, j| degrees(other.cosines[(i, j)]);
        is_same.then(|| self.mean_over_pairs(angle)).flatten()
    }

    fn distance_to_etf(&self) -> Option<f64> {
        let etf = -1.0 / (self.classes.len() as f64 - 1.0);
        self.mean_over_pairs(|_, _| degrees(etf))
    }

    /// The mean over pairs of the distance to other angles; `None` for fewer than two vectors.
    fn mean_over_pairs(&self, other: impl Fn(usize, usize) -> f64) -> Option<f64> {
        let count = self.classes.len();
        let mut sum = 0.0;
        for i in 0..count {
            for j in 0..i {
                sum += (degrees(self.cosines[(i, j)]) - other(i, j)).abs();
            }
        }
        (count > 1).then(|| sum / (count * (count - 1) / 2) as f64)
    }
}

fn degrees(cosine: f64) -> f64 {
    cosine.clamp(-1.0, 1.0).acos().to_degrees()
}
