//! The arrays of a rule on logits.

use super::{MadeOf, WHAT, check, check_increasing, finite_list};
use crate::Result;
use crate::arrays::{Arrays, Stored};
use crate::decode::multiplicity::MultiplicityModel;
use crate::decode::rules::{LogitDecoder, Rule, RuleKind};

pub(super) fn push(arrays: &mut Arrays, decoder: &LogitDecoder) -> MadeOf {
    let mut push = |values: &[f64]| arrays.f64("rule", [values.len()], values.iter().copied());
    let rule = match &decoder.rule {
        Rule::Threshold { threshold } => {
            push(&[*threshold]);
            RuleKind::Threshold
        }
        Rule::LabelThresholds { thresholds } => {
            push(thresholds);
            RuleKind::LabelThresholds
        }
        Rule::TopK { k } => {
            push(&[*k as f64]);
            RuleKind::TopK
        }
        Rule::Proportional { shares } => {
            push(shares);
            RuleKind::Proportional
        }
        Rule::LargestGap { max_multiplicity } => {
            push(&[*max_multiplicity as f64]);
            RuleKind::LargestGap
        }
        Rule::ExpectedF1 { slope, offset } => {
            push(&[*slope, *offset]);
            RuleKind::ExpectedF1
        }
        Rule::PredictedMultiplicity { model } => {
            model.push(arrays);
            RuleKind::PredictedMultiplicity
        }
    };
    MadeOf::Rule {
        rule,
        link: decoder.link,
        empty_rule: decoder.empty_rule,
    }
}

pub(super) fn read(stored: &Stored<'_>, kind: RuleKind, num_classes: usize) -> Result<Rule> {
    let list = |len| stored.list("rule", len, WHAT);
    let count = || -> Result<usize> {
        let count = list(1)?[0];
        check(
            count.fract() == 0.0 && (0.0..=num_classes as f64).contains(&count),
            || format!("expected a number of labels from 0 to {num_classes}, found {count}"),
        )?;
        Ok(count as usize)
    };
    let rule = match kind {
        RuleKind::Threshold => Rule::Threshold {
            threshold: list(1)?[0],
        },
        RuleKind::LabelThresholds => Rule::LabelThresholds {
            thresholds: list(num_classes)?,
        },
        RuleKind::TopK => Rule::TopK { k: count()? },
        RuleKind::Proportional => Rule::Proportional {
            shares: finite_list(stored, "rule", num_classes)?,
        },
        RuleKind::LargestGap => Rule::LargestGap {
            max_multiplicity: count()?,
        },
        RuleKind::ExpectedF1 => {
            let numbers = finite_list(stored, "rule", 2)?;
            Rule::ExpectedF1 {
                slope: numbers[0],
                offset: numbers[1],
            }
        }
        RuleKind::PredictedMultiplicity => Rule::PredictedMultiplicity {
            model: MultiplicityModel::read(stored, num_classes)?,
        },
    };
    let is_number = match &rule {
        Rule::Threshold { threshold } => !threshold.is_nan(),
        Rule::LabelThresholds { thresholds } => thresholds.iter().all(|t| !t.is_nan()),
        _ => true,
    };
    check(is_number, || "expected thresholds, found NaN".into())?;
    Ok(rule)
}

impl MultiplicityModel {
    fn push(&self, arrays: &mut Arrays) {
        let multiplicities = self.multiplicities().iter().map(|&m| m as u32);
        arrays.u32("rule.multiplicities", multiplicities);
        for (name, values) in self.numbers() {
            arrays.f64(name, [values.len()], values.iter().copied());
        }
    }

    fn read(stored: &Stored<'_>, num_classes: usize) -> Result<Self> {
        let multiplicities = stored.u32("rule.multiplicities", WHAT)?;
        check_increasing("rule.multiplicities", &multiplicities, num_classes + 1)?;
        let (_, centres) = stored.f64(Self::NAMES[0], WHAT)?;
        check(centres.len() <= num_classes, || {
            format!(
                "expected at most {num_classes} scores to predict from, found {}",
                centres.len()
            )
        })?;
        let num_inputs = centres.len();
        let num_weights = multiplicities.len() * (num_inputs + 1);
        let [centres, spreads, weights] = [
            finite_list(stored, Self::NAMES[0], num_inputs)?,
            finite_list(stored, Self::NAMES[1], num_inputs)?,
            finite_list(stored, Self::NAMES[2], num_weights)?,
        ];
        check(spreads.iter().all(|&spread| spread > 0.0), || {
            "expected positive spreads, found others".into()
        })?;
        let multiplicities = multiplicities.iter().map(|&m| m as usize).collect();
        Ok(Self::of_numbers(multiplicities, centres, spreads, weights))
    }
}
