//! What losses are called, what their logits mean and which parameters their authors recommend: a
//! new loss gets its line here.

use serde::{Deserialize, Serialize};

use super::set_likelihood::{MultiplicityPotentials, SeenSetPotentials, SetLikelihood};
use super::{Loss, PickAllLabels, Weighting};

/// What logits mean, and so on which scale they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The labels share one probability, as under the pick-all-labels loss: the score is
    /// log softmax.
    #[default]
    Softmax,
    /// Every label has its own probability, as under binary cross-entropy: the score is the
    /// logit itself.
    Sigmoid,
}

/// A line of the table of losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossInfo {
    /// The short name, as a person types it.
    pub name: &'static str,
    /// What it is called in text, for example in the head of a table.
    pub title: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// What its logits mean.
    pub link: Link,
    /// Whether it is a sum of one term for each label, so that labels can be fitted one by one.
    pub is_separable: bool,
    /// The loss with the parameters that its authors recommend.
    pub loss: Loss,
}

const PAL: LossInfo = LossInfo {
    name: "pal",
    title: "PAL",
    about: "Pick-all-labels cross-entropy, summed over the labels of a sample",
    link: Link::Softmax,
    is_separable: false,
    loss: Loss::PickAllLabels(PickAllLabels {
        weighting: Weighting::Sum,
    }),
};

const PAL_N: LossInfo = LossInfo {
    name: "pal-n",
    title: "PAL-N",
    about: "Pick-all-labels cross-entropy, the mean over the labels of a sample",
    link: Link::Softmax,
    is_separable: false,
    loss: Loss::PickAllLabels(PickAllLabels {
        weighting: Weighting::Mean,
    }),
};

const BCE: LossInfo = LossInfo {
    name: "bce",
    title: "BCE",
    about: "Binary cross-entropy, summed over the classes",
    link: Link::Sigmoid,
    is_separable: true,
    loss: Loss::BinaryCrossEntropy {},
};

const FOCAL: LossInfo = LossInfo {
    name: "focal",
    title: "focal",
    about: "Focal loss with gamma 2",
    link: Link::Sigmoid,
    is_separable: true,
    loss: Loss::Focal {
        gamma: recommended::GAMMA,
    },
};

const ASYMMETRIC: LossInfo = LossInfo {
    name: "asl",
    title: "ASL",
    about: "Asymmetric loss with gamma 0 and 4 and margin 0.05",
    link: Link::Sigmoid,
    is_separable: true,
    loss: Loss::Asymmetric {
        gamma_positive: recommended::GAMMA_POSITIVE,
        gamma_negative: recommended::GAMMA_NEGATIVE,
        margin: recommended::MARGIN,
    },
};

const ZLPR: LossInfo = LossInfo {
    name: "zlpr",
    title: "ZLPR",
    about: "Zero-bounded log-sum-exp and pairwise rank-based loss",
    link: Link::Sigmoid,
    is_separable: false,
    loss: Loss::Zlpr {},
};

const SET_LIKELIHOOD: LossInfo = LossInfo {
    name: "set-likelihood",
    title: "set likelihood",
    about: "Likelihood of whole label sets: which labels, how many and which sets",
    link: Link::Sigmoid,
    is_separable: false,
    loss: Loss::SetLikelihood(SetLikelihood {
        multiplicities: MultiplicityPotentials::Constant,
        seen_sets: SeenSetPotentials::None,
        max_multiplicity: None,
    }),
};

/// Every loss, with the parameters that its authors recommend.
///
/// ```
/// use tagwise::loss::{LOSSES, Link, Loss};
///
/// let names = LOSSES.map(|line| line.name);
/// assert_eq!(names, ["pal", "pal-n", "bce", "focal", "asl", "zlpr", "set-likelihood"]);
/// assert_eq!(Loss::named("focal"), Some(Loss::Focal { gamma: 2.0 }));
/// assert_eq!(Loss::Focal { gamma: 1.0 }.info().link, Link::Sigmoid);
/// ```
pub const LOSSES: [LossInfo; 7] = [PAL, PAL_N, BCE, FOCAL, ASYMMETRIC, ZLPR, SET_LIKELIHOOD];

impl Loss {
    /// The line of this loss in the table, whatever its parameters.
    pub fn info(&self) -> &'static LossInfo {
        match self {
            Self::PickAllLabels(loss) => match loss.weighting {
                Weighting::Sum => &PAL,
                Weighting::Mean => &PAL_N,
            },
            Self::BinaryCrossEntropy {} => &BCE,
            Self::Focal { .. } => &FOCAL,
            Self::Asymmetric { .. } => &ASYMMETRIC,
            Self::Zlpr {} => &ZLPR,
            Self::SetLikelihood(_) => &SET_LIKELIHOOD,
        }
    }

    /// The loss of this short name, with the parameters that its authors recommend.
    pub fn named(name: &str) -> Option<Self> {
        let line = LOSSES.iter().find(|line| line.name == name);
        line.map(|line| line.loss)
    }
}

/// The parameters that the losses' authors recommend.
mod recommended {
    pub(super) const GAMMA: f64 = 2.0;
    pub(super) const GAMMA_POSITIVE: f64 = 0.0;
    pub(super) const GAMMA_NEGATIVE: f64 = 4.0;
    pub(super) const MARGIN: f64 = 0.05;
}

/// The same for parameters that an experiment leaves out.
pub(super) mod defaults {
    use super::recommended;

    pub(in crate::loss) fn gamma() -> f64 {
        recommended::GAMMA
    }
    pub(in crate::loss) fn gamma_positive() -> f64 {
        recommended::GAMMA_POSITIVE
    }
    pub(in crate::loss) fn gamma_negative() -> f64 {
        recommended::GAMMA_NEGATIVE
    }
    pub(in crate::loss) fn margin() -> f64 {
        recommended::MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_finds_its_own_line() {
        for line in LOSSES {
            assert_eq!(line.loss.info(), &line);
            assert_eq!(Loss::named(line.name), Some(line.loss));
        }
        assert_eq!(Loss::named("hinge"), None);
    }

    #[test]
    fn parameters_left_out_are_those_of_the_table() {
        for line in LOSSES {
            let mut json = serde_json::to_value(line.loss).unwrap();
            let weighting = json["weighting"].take();
            json.as_object_mut().unwrap().retain(|key, _| key == "name");
            if !weighting.is_null() {
                json["weighting"] = weighting;
            }
            assert_eq!(serde_json::from_value::<Loss>(json).unwrap(), line.loss);
        }
    }

    #[test]
    fn separable_losses_are_the_sums_over_labels() {
        // On bare logits the set likelihood of any number of labels is binary cross-entropy; the
        // potentials that are learned beside it bind labels together.
        let is_bare = |line: &LossInfo| matches!(line.loss, Loss::SetLikelihood(_));
        for line in LOSSES.into_iter().filter(|line| !is_bare(line)) {
            let loss_of = |logits: &[f64], set: &[u32]| {
                let set = crate::LabelSet::new(set.iter().copied());
                let mut slopes = vec![0.0; logits.len()];
                line.loss.of_sample(logits, &set, &mut slopes)
            };
            let together = loss_of(&[0.7, 0.2, -1.1, 0.4], &[0, 1]);
            let alone = loss_of(&[0.7], &[0])
                + loss_of(&[0.2], &[0])
                + loss_of(&[-1.1], &[])
                + loss_of(&[0.4], &[]);
            assert_eq!(
                (together - alone).abs() < 1e-12,
                line.is_separable,
                "{}",
                line.name
            );
        }
    }
}
