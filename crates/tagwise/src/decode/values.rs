//! The numbers that fitting a decoder found, for people to read.

use std::fmt;

use serde::Serialize;
use tagwise_base::words::counted;

use super::nearest::OneNearestNeighbour;
use super::rules::{EmptyRule, Rule};
use super::search::Form;

/// What fitting a decoder found. Its text is one line.
///
/// ```
/// use tagwise::decode::{EmptyRule, Rule, TunedValues};
///
/// let values = TunedValues::Rule {
///     rule: Rule::TopK { k: 2 },
///     empty_rule: EmptyRule::TopLabel,
/// };
/// assert_eq!(values.to_string(), "2 labels for every sample");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TunedValues {
    /// Of a rule on logits.
    Rule {
        /// The rule with its numbers.
        rule: Rule,
        /// What happens where it finds no label.
        empty_rule: EmptyRule,
    },
    /// Of one-nearest-neighbour decoding.
    Nearest {
        /// Labels that have a prototype.
        num_labels: usize,
        /// Label sets with a prototype or prior of their own.
        num_label_sets: usize,
        /// Largest number of labels of an answer.
        max_multiplicity: usize,
        /// The scales c_1, …, c_M of the tag-wise averages; none under the cosine.
        #[serde(skip_serializing_if = "Option::is_none")]
        scales: Option<Vec<f64>>,
        /// What the prior adds to the score of a set of 1, …, M labels that was not seen.
        prior_terms: Vec<f64>,
        /// The factor of the cosine in the score.
        concentration: f64,
    },
    /// Of a distribution over label sets.
    Sets {
        /// Label sets with a potential of their own.
        num_label_sets: usize,
        /// c_0, …, c_M, or their constant part.
        multiplicity_potentials: Vec<f64>,
        /// Whether c depends on the features.
        are_linear: bool,
    },
}

impl OneNearestNeighbour {
    pub(super) fn values(&self) -> TunedValues {
        let parts = self.to_parts();
        let (scales, prior_terms) = match parts.form {
            Form::Cosine { bonuses } => (None, bonuses),
            Form::Quadratic {
                scales, bonuses, ..
            } => (Some(scales), bonuses),
        };
        TunedValues::Nearest {
            num_labels: parts.labels.len(),
            num_label_sets: parts.own.len(),
            max_multiplicity: parts.max_multiplicity,
            scales,
            prior_terms,
            concentration: parts.concentration,
        }
    }
}

impl fmt::Display for TunedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { rule, empty_rule } => {
                write_rule(f, rule)?;
                let finds_some = matches!(
                    rule,
                    Rule::TopK { .. } | Rule::LargestGap { .. } | Rule::ExpectedF1 { .. }
                );
                match empty_rule {
                    _ if finds_some => Ok(()),
                    EmptyRule::TopLabel => f.write_str(", the best label where there is none"),
                    EmptyRule::Allow => Ok(()),
                }
            }
            Self::Nearest {
                num_labels,
                num_label_sets,
                max_multiplicity,
                scales,
                prior_terms,
                ..
            } => {
                write!(f, "prototypes of {}", counted(*num_labels, "label"))?;
                if *num_label_sets > 0 {
                    write!(f, " and {}", counted(*num_label_sets, "label set"))?;
                }
                write!(f, ", answers of up to {max_multiplicity}")?;
                if let Some(scales) = scales {
                    write!(f, ", scales {}", list(scales))?;
                }
                match prior_terms.iter().all(|&term| term == 0.0) {
                    true => Ok(()),
                    false => write!(f, ", prior terms {}", list(prior_terms)),
                }
            }
            Self::Sets {
                num_label_sets,
                multiplicity_potentials,
                are_linear,
            } => {
                write!(
                    f,
                    "sets of up to {}",
                    counted(multiplicity_potentials.len() - 1, "label")
                )?;
                if *are_linear {
                    f.write_str(", potentials of multiplicities linear in the features")?;
                }
                match num_label_sets {
                    0 => Ok(()),
                    count => write!(f, ", potentials of {}", counted(*count, "label set")),
                }
            }
        }
    }
}

fn write_rule(f: &mut fmt::Formatter<'_>, rule: &Rule) -> fmt::Result {
    match rule {
        Rule::Threshold { threshold } => {
            write!(f, "labels with a score of at least {threshold:.4}")
        }
        Rule::LabelThresholds { thresholds } => {
            write!(f, "labels with a score of at least {}", range(thresholds))
        }
        Rule::TopK { k } => write!(f, "{} for every sample", counted(*k, "label")),
        Rule::Proportional { shares } => {
            write!(f, "labels for {} of the samples", range(shares))
        }
        Rule::LargestGap { max_multiplicity } => {
            write!(f, "labels above the largest gap, up to {max_multiplicity}")
        }
        Rule::PredictedMultiplicity { model } => {
            let counts: Vec<String> = model
                .multiplicities()
                .iter()
                .map(|m| m.to_string())
                .collect();
            write!(f, "{} labels as predicted", counts.join(", "))
        }
        Rule::ExpectedF1 { slope, offset } => {
            write!(f, "log-odds {slope:.4}·score {offset:+.4}")
        }
    }
}

fn range(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.4} to {most:.4}")
}

fn list(values: &[f64]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
    values.join(" ")
}

#[cfg(test)]
mod tests {
    use faer::mat;

    use super::*;

    #[test]
    fn every_rule_says_its_numbers_in_one_line() {
        let line = |rule, empty_rule| TunedValues::Rule { rule, empty_rule }.to_string();
        let threshold = Rule::Threshold { threshold: -0.35 };
        insta::assert_snapshot!(line(threshold.clone(), EmptyRule::TopLabel), @"labels with a score of at least -0.3500, the best label where there is none");
        insta::assert_snapshot!(line(threshold, EmptyRule::Allow), @"labels with a score of at least -0.3500");
        let thresholds = Rule::LabelThresholds {
            thresholds: vec![0.5, -1.0, 2.0],
        };
        insta::assert_snapshot!(line(thresholds, EmptyRule::Allow), @"labels with a score of at least -1.0000 to 2.0000");
        let proportional = Rule::Proportional {
            shares: vec![0.5, 0.25],
        };
        insta::assert_snapshot!(line(proportional, EmptyRule::Allow), @"labels for 0.2500 to 0.5000 of the samples");
        let gap = Rule::LargestGap {
            max_multiplicity: 3,
        };
        insta::assert_snapshot!(line(gap, EmptyRule::TopLabel), @"labels above the largest gap, up to 3");
        let expected = Rule::ExpectedF1 {
            slope: 1.5,
            offset: -0.25,
        };
        insta::assert_snapshot!(line(expected, EmptyRule::TopLabel), @"log-odds 1.5000·score -0.2500");
    }

    #[test]
    fn prototypes_say_their_scales() {
        let means = mat![[1.0, 0.0], [0.0, 1.0]];
        let cosine = OneNearestNeighbour::by_cosine(means.as_ref(), 2).unwrap();
        insta::assert_snapshot!(cosine.values(), @"prototypes of 2 labels, answers of up to 2");
        let distance = OneNearestNeighbour::by_distance(means.as_ref(), 2, &[1.0, 0.75]).unwrap();
        insta::assert_snapshot!(distance.values(), @"prototypes of 2 labels, answers of up to 2, scales 1.0000 0.7500");
    }
}
