//! The arrays of a rule on logits.

use super::{MadeOf, check, check_increasing, finite_list};
use crate::Result;
use crate::decode::multiplicity::MultiplicityModel;
use crate::decode::rules::{LogitDecoder, Rule, RuleKind};
use crate::tensors::{TensorWriter, Tensors};

pub(super) fn push(writer: &mut TensorWriter<'_>, decoder: &LogitDecoder) -> Result<MadeOf> {
    let (rule, numbers) = match &decoder.rule {
        Rule::Threshold { threshold } => (RuleKind::Threshold, vec![*threshold]),
        Rule::LabelThresholds { thresholds } => (RuleKind::LabelThresholds, thresholds.clone()),
        Rule::TopK { k } => (RuleKind::TopK, vec![*k as f64]),
        Rule::Proportional { shares } => (RuleKind::Proportional, shares.clone()),
        Rule::LargestGap { max_multiplicity } => {
            (RuleKind::LargestGap, vec![*max_multiplicity as f64])
        }
        Rule::ExpectedF1 { slope, offset } => (RuleKind::ExpectedF1, vec![*slope, *offset]),
        Rule::PredictedMultiplicity { model } => {
            model.push(writer)?;
            (RuleKind::PredictedMultiplicity, Vec::new())
        }
    };
    writer.add_owned("rule", &[numbers.len()], numbers)?;
    Ok(MadeOf::Rule {
        rule,
        link: decoder.link,
        empty_rule: decoder.empty_rule,
    })
}

pub(super) fn read(tensors: &Tensors<'_>, kind: RuleKind, num_classes: usize) -> Result<Rule> {
    let list = |len: usize| tensors.require("rule")?.to_vec_of::<f64>(&[len]);
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
            shares: finite_list(tensors, "rule", num_classes)?,
        },
        RuleKind::LargestGap => Rule::LargestGap {
            max_multiplicity: count()?,
        },
        RuleKind::ExpectedF1 => {
            let numbers = finite_list(tensors, "rule", 2)?;
            Rule::ExpectedF1 {
                slope: numbers[0],
                offset: numbers[1],
            }
        }
        RuleKind::PredictedMultiplicity => Rule::PredictedMultiplicity {
            model: MultiplicityModel::read(tensors, num_classes)?,
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
    fn push(&self, writer: &mut TensorWriter<'_>) -> Result<()> {
        let multiplicities: Vec<u32> = self.multiplicities().iter().map(|&m| m as u32).collect();
        writer.add_owned(
            "rule.multiplicities",
            &[multiplicities.len()],
            multiplicities,
        )?;
        for (name, values) in self.numbers() {
            writer.add_owned(name, &[values.len()], values.iter().copied())?;
        }
        Ok(())
    }

    fn read(tensors: &Tensors<'_>, num_classes: usize) -> Result<Self> {
        let multiplicities: Vec<u32> = tensors.require("rule.multiplicities")?.to_vec()?;
        check_increasing("rule.multiplicities", &multiplicities, num_classes + 1)?;
        let num_inputs = tensors.require(Self::NAMES[0])?.len();
        check(num_inputs <= num_classes, || {
            format!("expected at most {num_classes} scores to predict from, found {num_inputs}")
        })?;
        let num_weights = multiplicities.len() * (num_inputs + 1);
        let [centres, spreads, weights] = [
            finite_list(tensors, Self::NAMES[0], num_inputs)?,
            finite_list(tensors, Self::NAMES[1], num_inputs)?,
            finite_list(tensors, Self::NAMES[2], num_weights)?,
        ];
        check(spreads.iter().all(|&spread| spread > 0.0), || {
            "expected positive spreads, found others".into()
        })?;
        let multiplicities = multiplicities.iter().map(|&m| m as usize).collect();
        Ok(Self::of_numbers(multiplicities, centres, spreads, weights))
    }
}
