//! The headline metrics: one list that tables, curves, reports and JSON take everything from.
//!
//! Each entry says what the metric is called where, which number of a [`CollapseReport`] it is,
//! and what its value means. Thresholds and their reasons are in [`verdict`](super::verdict), the
//! values that features without any collapse have in [`chance`](super::chance).

mod entry;
mod family;

use serde::{Deserialize, Serialize};

use entry::labels;
pub use family::CollapseFamily;

use super::verdict::{CollapseVerdict, Evidence, Sentences, Thresholds};
use super::{CollapseReport, Interval, chance};

/// A metric of multi-label neural collapse that a reader is shown first.
///
/// All of those so far are distances without a unit: 0 is exact collapse, and lower is better.
///
/// ```
/// use tagwise::collapse::CollapseMetric;
///
/// let pairs = CollapseMetric::NcM { multiplicity: 2 };
/// assert_eq!((pairs.name().as_str(), pairs.symbol().as_str()), ("NC_m, m = 2", "NC_2"));
/// assert_eq!(CollapseMetric::Nc1 { multiplicity: 1 }.of("images"), "images with 1 label");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollapseMetric {
    /// NC1 of the label sets with m labels: variability within a label set against the distance
    /// between them, in the directions that tell labels apart, as
    /// [estimated](super::Nc1Estimate::tag_span); [`Nc1::tag_span`](super::Nc1::tag_span) is the
    /// published form, for m = 1 the paper's NC1.
    Nc1 {
        /// The multiplicity m ≥ 1.
        multiplicity: usize,
    },
    /// The same over the label sets of every multiplicity.
    Nc1Pooled,
    /// NC2 of the rows of the classifier: distance of their geometry from the simplex ETF.
    Nc2Classifier,
    /// NC2 of the class means minus their plain average, [`Nc2::class_means`](super::Nc2::class_means).
    Nc2ClassMeans,
    /// NC3: distance from duality of classifier and class means minus their plain average.
    Nc3,
    /// NC_m: angle between multi-label means and their tag-wise averages, 1 at chance.
    NcM {
        /// The multiplicity m ≥ 2.
        multiplicity: usize,
    },
}

/// Which values of a metric are nearer to collapse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Lower ones, as of a distance.
    Lower,
    /// Higher ones, as of a share that agrees.
    Higher,
}

/// One headline metric of a report: its value and what it means.
///
/// ```
/// use tagwise::collapse::{CollapseMetric, CollapseVerdict, Evidence, Headline};
///
/// let metric = CollapseMetric::Nc1 { multiplicity: 1 };
/// let headline = Headline::new(metric, Some(0.003), Evidence::default());
/// assert_eq!(headline.verdict, CollapseVerdict::Collapsed);
/// assert_eq!(headline.sentence, "Features of a class have gathered at its mean.");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Headline {
    /// Which metric.
    pub metric: CollapseMetric,
    /// Its name, for example "NC1, m = 2".
    pub name: String,
    /// What it was measured on, for example "samples with 2 labels".
    pub of: String,
    /// The value; `None` when the data or the mode of the analysis do not tell it.
    pub value: Option<f64>,
    /// The value by the published formula, where that is another one.
    #[serde(default)]
    pub published: Option<f64>,
    /// Its 95 % interval over other samples of the same kind, where it was measured.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// The value under exact collapse.
    pub ideal: f64,
    /// Which values are nearer to collapse.
    pub goal: Goal,
    /// About the best value that features which know nothing of the labels have, by the published
    /// formula; an estimate that takes noise out is then larger still.
    pub chance: Option<f64>,
    /// How far collapse has come.
    pub verdict: CollapseVerdict,
    /// The verdict in one sentence.
    pub sentence: String,
}

impl CollapseMetric {
    /// The metrics that a report has an entry for, in the order of the list.
    pub fn of_report(report: &CollapseReport) -> Vec<Self> {
        let mut metrics: Vec<Self> = report
            .nc1
            .keys()
            .map(|&multiplicity| Self::Nc1 { multiplicity })
            .collect();
        if report.nc1.len() > 1 {
            metrics.push(Self::Nc1Pooled);
        }
        metrics.extend([Self::Nc2Classifier, Self::Nc2ClassMeans, Self::Nc3]);
        let multiplicities = report.nc_m.keys();
        metrics.extend(multiplicities.map(|&multiplicity| Self::NcM { multiplicity }));
        metrics
    }

    /// The metrics of the paper, of which one line or a few key figures are made: NC1 of single
    /// labels, NC2, NC3 and NC_m of these multiplicities.
    pub fn of_paper(multiplicities: impl IntoIterator<Item = usize>) -> Vec<Self> {
        let several = multiplicities.into_iter().filter(|&m| m > 1);
        [
            Self::Nc1 { multiplicity: 1 },
            Self::Nc2Classifier,
            Self::Nc2ClassMeans,
            Self::Nc3,
        ]
        .into_iter()
        .chain(several.map(|multiplicity| Self::NcM { multiplicity }))
        .collect()
    }

    /// Which number of a report it is.
    pub fn value(self, report: &CollapseReport) -> Option<f64> {
        match self {
            Self::Nc1 { multiplicity } => report.nc1.get(&multiplicity)?.estimated(),
            Self::Nc1Pooled => report.nc1_pooled.estimated(),
            Self::Nc2Classifier => report.nc2.classifier,
            Self::Nc2ClassMeans => report.nc2.class_means.or(report.nc2.centred_means),
            Self::Nc3 => report.nc3_class_means.or(report.nc3),
            Self::NcM { multiplicity } => report.nc_m.get(&multiplicity)?.uniform.value,
        }
    }

    /// The number that the published formula gives, where that is another one.
    pub fn published(self, report: &CollapseReport) -> Option<f64> {
        let nc1 = match self {
            Self::Nc1 { multiplicity } => report.nc1.get(&multiplicity)?,
            Self::Nc1Pooled => &report.nc1_pooled,
            Self::Nc2ClassMeans => return other_than(report.nc2.centred_means, self.value(report)),
            Self::Nc3 => return other_than(report.nc3, self.value(report)),
            Self::Nc2Classifier | Self::NcM { .. } => return None,
        };
        nc1.estimate.and(nc1.tag_span)
    }

    /// The metrics on whose axis it is drawn.
    pub fn family(self) -> CollapseFamily {
        self.entry().family
    }

    /// The name that tells it from all others, for example "NC1, m = 1".
    pub fn name(self) -> String {
        self.entry().name
    }

    /// A name for a column or a tracker: `nc1_m1`, `nc1_pooled`, `nc2_classifier`,
    /// `nc2_class_means`, `nc3`, `nc_m2`.
    pub fn key(self) -> String {
        match self {
            Self::Nc1 { multiplicity } => format!("nc1_m{multiplicity}"),
            Self::Nc1Pooled => "nc1_pooled".into(),
            Self::Nc2Classifier => "nc2_classifier".into(),
            Self::Nc2ClassMeans => "nc2_class_means".into(),
            Self::Nc3 => "nc3".into(),
            Self::NcM { multiplicity } => format!("nc_m{multiplicity}"),
        }
    }

    /// The name among [those of the paper](Self::of_paper), where NC1 is that of single labels.
    pub fn paper_name(self) -> String {
        match self {
            Self::Nc1 { multiplicity: 1 } => self.symbol(),
            other => other.name(),
        }
    }

    /// The symbol, which several metrics may share: "NC2", "NC_2".
    pub fn symbol(self) -> String {
        self.entry().symbol
    }

    /// A heading of eight characters at most for a narrow column.
    pub fn column(self) -> String {
        self.entry().column
    }

    /// Its name beside others of its chart: "2 labels", "NC2 of W".
    pub fn series(self) -> String {
        self.entry().series
    }

    /// What it is measured on, with the reader's word for samples.
    pub fn of(self, samples: &str) -> String {
        match self {
            Self::Nc1 { multiplicity } => format!("{samples} with {}", labels(multiplicity)),
            Self::Nc1Pooled => format!("all {samples}"),
            Self::Nc2Classifier => "classifier W".into(),
            Self::Nc2ClassMeans => "class means, centred".into(),
            Self::Nc3 => "W and class means".into(),
            Self::NcM { .. } => "tag-wise averages".into(),
        }
    }

    /// What it measures.
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    /// Its unit; empty for a ratio.
    pub fn unit(self) -> &'static str {
        self.entry().unit
    }

    /// The value under exact collapse.
    pub fn ideal(self) -> f64 {
        self.entry().ideal
    }

    /// Which values are nearer to collapse.
    pub fn goal(self) -> Goal {
        self.entry().goal
    }

    /// Where its verdicts change.
    pub fn thresholds(self) -> Thresholds {
        self.entry().thresholds
    }

    pub(super) fn sentences(self) -> Sentences {
        self.entry().sentences
    }

    /// The entry of a report: value, chance and verdict.
    pub fn headline(self, report: &CollapseReport) -> Headline {
        let found = report.intervals.iter().find(|one| one.metric == self);
        Headline {
            interval: found.map(|found| found.interval),
            ..Headline::new(self, self.value(report), self.evidence(report))
        }
    }

    /// What a report says about how much the value can tell.
    pub fn evidence(self, report: &CollapseReport) -> Evidence {
        Evidence {
            obstacle: chance::obstacle(self, report),
            chance: chance::of(self, report),
            published: self.published(report),
        }
    }

    /// Whether the published value differs by a bias that only makes it smaller.
    pub(super) fn is_published_smaller(self) -> bool {
        matches!(self, Self::Nc1 { .. } | Self::Nc1Pooled)
    }
}

/// The published value where it is another one than rounding makes.
fn other_than(published: Option<f64>, value: Option<f64>) -> Option<f64> {
    const ROUNDING: f64 = 1e-9;
    let (published, own) = (published?, value?);
    ((published - own).abs() > ROUNDING).then_some(published)
}

impl Headline {
    /// Judges a value by what is known about it.
    pub fn new(metric: CollapseMetric, value: Option<f64>, evidence: Evidence) -> Self {
        let verdict = CollapseVerdict::on(metric, value, evidence);
        Self {
            metric,
            name: metric.name(),
            of: metric.of("samples"),
            value,
            published: evidence.published,
            interval: None,
            unit: metric.unit().into(),
            ideal: metric.ideal(),
            goal: metric.goal(),
            chance: evidence.chance,
            sentence: verdict.sentence(metric),
            verdict,
        }
    }
}

impl CollapseReport {
    /// The headline metrics with their verdicts, in the order of the list; those that were not
    /// measured have no value.
    pub fn headlines(&self) -> Vec<Headline> {
        CollapseMetric::of_report(self)
            .into_iter()
            .map(|metric| metric.headline(self))
            .collect()
    }
}
