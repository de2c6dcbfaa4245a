//! The lines of the list of headline metrics.

use super::{CollapseFamily, CollapseMetric, Goal};
use crate::collapse::verdict::{Sentences, Thresholds};

/// What a metric is, in words and limits: its line in the list.
pub(super) struct Entry {
    pub(super) family: CollapseFamily,
    pub(super) name: String,
    pub(super) symbol: String,
    pub(super) column: String,
    pub(super) series: String,
    pub(super) meaning: &'static str,
    pub(super) unit: &'static str,
    pub(super) ideal: f64,
    pub(super) goal: Goal,
    pub(super) thresholds: Thresholds,
    pub(super) sentences: Sentences,
}

impl CollapseMetric {
    pub(super) fn entry(self) -> Entry {
        match self {
            Self::Nc1 { multiplicity: 1 } => Entry {
                name: "NC1, m = 1".into(),
                series: labels(1),
                sentences: Sentences {
                    collapsed: "Features of a class have gathered at its mean.",
                    partly: "Features of a class spread less than class means are apart.",
                    not_collapsed: "Features of a class spread as widely as class means are apart.",
                },
                ..variability()
            },
            Self::Nc1 { multiplicity } => Entry {
                name: format!("NC1, m = {multiplicity}"),
                series: labels(multiplicity),
                ..variability()
            },
            Self::Nc1Pooled => variability(),
            Self::Nc2Classifier => Entry {
                name: "NC2 (W)".into(),
                column: "NC2(W)".into(),
                series: "NC2 of W".into(),
                meaning: "distance of the classifier rows from a simplex ETF",
                sentences: Sentences {
                    collapsed: "The classifier rows form a simplex ETF: equal lengths, equal angles.",
                    partly: "The classifier rows lean towards a simplex ETF.",
                    not_collapsed: "The classifier rows are far from a simplex ETF.",
                },
                ..frame()
            },
            Self::Nc2ClassMeans => frame(),
            Self::Nc3 => Entry {
                family: CollapseFamily::Nc3,
                name: "NC3".into(),
                symbol: "NC3".into(),
                column: "NC3".into(),
                series: "NC3".into(),
                meaning: "distance of classifier and class means from being the same frame",
                unit: "",
                ideal: 0.0,
                goal: Goal::Lower,
                thresholds: Thresholds::FRAME,
                sentences: Sentences {
                    collapsed: "Classifier and class means are the same frame.",
                    partly: "Classifier and class means are turning to each other.",
                    not_collapsed: "Classifier and class means are not aligned.",
                },
            },
            Self::NcM { multiplicity } => averages(multiplicity),
        }
    }
}

/// NC1 of all label sets.
fn variability() -> Entry {
    Entry {
        family: CollapseFamily::Nc1,
        name: "NC1, all".into(),
        symbol: "NC1".into(),
        column: "NC1".into(),
        series: "all".into(),
        meaning: "spread of features around their class mean, against the distance between means",
        unit: "",
        ideal: 0.0,
        goal: Goal::Lower,
        thresholds: Thresholds::VARIABILITY,
        sentences: Sentences {
            collapsed: "Features of a label set have gathered at its mean.",
            partly: "Features of a label set spread less than their means are apart.",
            not_collapsed: "Features of a label set spread as widely as their means are apart.",
        },
    }
}

/// NC2 of the class means.
fn frame() -> Entry {
    Entry {
        family: CollapseFamily::Nc2,
        name: "NC2 (means)".into(),
        symbol: "NC2".into(),
        column: "NC2(H)".into(),
        series: "NC2 of means".into(),
        meaning: "distance of the centred class means from a simplex ETF",
        unit: "",
        ideal: 0.0,
        goal: Goal::Lower,
        thresholds: Thresholds::FRAME,
        sentences: Sentences {
            collapsed: "The class means form a simplex ETF: equal lengths, equal angles.",
            partly: "The class means lean towards a simplex ETF.",
            not_collapsed: "The class means are far from a simplex ETF.",
        },
    }
}

fn averages(multiplicity: usize) -> Entry {
    Entry {
        family: CollapseFamily::NcM,
        name: format!("NC_m, m = {multiplicity}"),
        symbol: format!("NC_{multiplicity}"),
        column: format!("NC_{multiplicity}"),
        series: format!("m = {multiplicity}"),
        meaning: "angle between multi-label means and the sum of their labels' means, 1 for unrelated sets",
        unit: "",
        ideal: 0.0,
        goal: Goal::Lower,
        thresholds: Thresholds::AVERAGES,
        sentences: Sentences {
            collapsed: "Multi-label means lie on their tag-wise averages.",
            partly: "Multi-label means lie nearer to their own tag-wise averages than to others.",
            not_collapsed: "Multi-label means are hardly nearer to their own tag-wise averages than chance.",
        },
    }
}

/// "1 label", "2 labels".
pub(super) fn labels(multiplicity: usize) -> String {
    match multiplicity {
        1 => "1 label".into(),
        m => format!("{m} labels"),
    }
}
