//! What a value of a collapse metric means, in plain language.

use serde::{Deserialize, Serialize};

use crate::typeset_number;

/// The metrics of multi-label neural collapse that have a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollapseMetric {
    /// NC1: variability within a class against the distance between class means.
    Nc1,
    /// NC2 of the rows of the classifier: distance of their geometry from the simplex ETF.
    Nc2Classifier,
    /// NC2 of the centred class means.
    Nc2ClassMeans,
    /// NC3: distance from duality of classifier and class means.
    Nc3,
    /// NC_m: angle between multi-label means and their tag-wise averages, 1 at chance.
    NcM {
        /// The multiplicity m ≥ 2.
        multiplicity: usize,
    },
}

/// How far a network has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No trace of the collapsed geometry.
    Absent,
    /// On the way.
    Partial,
    /// Collapsed, as the figures of the literature show it at the end of training.
    Collapsed,
    /// Nothing to judge.
    #[default]
    Unknown,
}

/// A level and the sentence that explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How far the network has come.
    pub level: Level,
    /// One sentence in plain language.
    pub sentence: String,
}

impl Level {
    /// One word for the level.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "not collapsed",
            Self::Partial => "partly",
            Self::Collapsed => "collapsed",
            Self::Unknown => "unknown",
        }
    }
}

impl CollapseMetric {
    /// The short name used in tables.
    pub fn name(self) -> String {
        match self {
            Self::Nc1 => "NC1".into(),
            Self::Nc2Classifier => "NC2 (W)".into(),
            Self::Nc2ClassMeans => "NC2 (means)".into(),
            Self::Nc3 => "NC3".into(),
            Self::NcM { multiplicity } => format!("NC_m, m = {multiplicity}"),
        }
    }

    /// What the metric measures.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Nc1 => {
                "spread of features around their class mean, against the distance between means"
            }
            Self::Nc2Classifier => "distance of the classifier rows from a simplex ETF",
            Self::Nc2ClassMeans => "distance of the centred class means from a simplex ETF",
            Self::Nc3 => "distance of classifier and class means from being the same frame",
            Self::NcM { .. } => {
                "angle between multi-label means and the sum of their labels' means, 1 for unrelated sets"
            }
        }
    }

    /// The values below which a network counts as collapsed and as on the way.
    ///
    /// These are conventions for reading, not theorems: 0 is exact collapse for every metric, a
    /// ratio NC_m of 1 is chance, NC1 = 1 means a spread as large as the distance between means,
    /// and NC2 and NC3 compare unit-norm matrices, which are √2 apart when unrelated.
    pub fn thresholds(self) -> (f64, f64) {
        match self {
            Self::Nc1 => (0.05, 1.0),
            Self::Nc2Classifier | Self::Nc2ClassMeans | Self::Nc3 => (0.15, 0.5),
            Self::NcM { .. } => (0.1, 0.5),
        }
    }

    /// The verdict on a value.
    ///
    /// ```
    /// use tagwise_report::{CollapseMetric, Level};
    ///
    /// let verdict = CollapseMetric::Nc1.verdict(0.003);
    /// assert_eq!(verdict.level, Level::Collapsed);
    /// assert_eq!(verdict.sentence, "Features of a class have gathered at its mean.");
    /// ```
    pub fn verdict(self, value: f64) -> Verdict {
        let (collapsed, partial) = self.thresholds();
        let level = match value {
            value if !value.is_finite() || value < 0.0 => Level::Unknown,
            value if value <= collapsed => Level::Collapsed,
            value if value <= partial => Level::Partial,
            _ => Level::Absent,
        };
        Verdict {
            level,
            sentence: self.sentence(level, value),
        }
    }

    fn sentence(self, level: Level, value: f64) -> String {
        let text = match (self, level) {
            (_, Level::Unknown) => {
                return format!("No verdict: the value is {}.", typeset_number(value));
            }
            (Self::Nc1, Level::Collapsed) => "Features of a class have gathered at its mean.",
            (Self::Nc1, Level::Partial) => "Features spread less than class means are apart.",
            (Self::Nc1, Level::Absent) => "Features spread as widely as class means are apart.",
            (Self::Nc2Classifier, Level::Collapsed) => {
                "The classifier rows form a simplex ETF: equal lengths, equal angles."
            }
            (Self::Nc2Classifier, Level::Partial) => {
                "The classifier rows lean towards a simplex ETF."
            }
            (Self::Nc2Classifier, Level::Absent) => {
                "The classifier rows are far from a simplex ETF."
            }
            (Self::Nc2ClassMeans, Level::Collapsed) => {
                "The class means form a simplex ETF: equal lengths, equal angles."
            }
            (Self::Nc2ClassMeans, Level::Partial) => "The class means lean towards a simplex ETF.",
            (Self::Nc2ClassMeans, Level::Absent) => "The class means are far from a simplex ETF.",
            (Self::Nc3, Level::Collapsed) => "Classifier and class means are the same frame.",
            (Self::Nc3, Level::Partial) => "Classifier and class means are turning to each other.",
            (Self::Nc3, Level::Absent) => "Classifier and class means are not aligned.",
            (Self::NcM { .. }, Level::Collapsed) => {
                "Multi-label means lie on their tag-wise averages."
            }
            (Self::NcM { .. }, Level::Partial) => {
                "Multi-label means lie nearer to their own tag-wise averages than to others."
            }
            (Self::NcM { .. }, Level::Absent) => {
                "Multi-label means are hardly nearer to their own tag-wise averages than chance."
            }
        };
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [CollapseMetric; 5] = [
        CollapseMetric::Nc1,
        CollapseMetric::Nc2Classifier,
        CollapseMetric::Nc2ClassMeans,
        CollapseMetric::Nc3,
        CollapseMetric::NcM { multiplicity: 2 },
    ];

    #[test]
    fn exact_collapse_is_collapsed_and_larger_values_never_better() {
        for metric in ALL {
            assert_eq!(metric.verdict(0.0).level, Level::Collapsed);
            let levels =
                [0.0, 0.01, 0.1, 0.3, 0.9, 2.0, 50.0].map(|value| metric.verdict(value).level);
            assert!(levels.is_sorted_by(|a, b| a >= b), "{metric:?} {levels:?}");
            assert_eq!(levels[6], Level::Absent);
        }
    }

    #[test]
    fn chance_is_not_collapse() {
        assert_eq!(
            CollapseMetric::NcM { multiplicity: 3 }.verdict(1.0).level,
            Level::Absent
        );
    }

    #[test]
    fn a_value_that_is_not_a_number_has_no_verdict() {
        for value in [f64::NAN, f64::INFINITY, -0.1] {
            assert_eq!(CollapseMetric::Nc3.verdict(value).level, Level::Unknown);
        }
        assert_eq!(
            CollapseMetric::Nc3.verdict(f64::NAN).sentence,
            "No verdict: the value is NaN."
        );
    }
}
