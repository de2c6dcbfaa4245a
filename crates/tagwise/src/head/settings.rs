//! What a head minimises and how.

use serde::{Deserialize, Serialize};

use super::ClassWeights;
use crate::loss::Loss;
use crate::loss::set_likelihood::SeenSetPotentials;
use crate::{Error, LabelSet, Result, Targets};

/// Which matrices a head may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// Any weight matrix W.
    #[default]
    Linear,
    /// W = E·P with E a simplex ETF of K unit rows in K − 1 dimensions and a learned projection P
    /// `[K−1, d]`.
    ///
    /// E has rank K − 1, so W is any matrix whose columns sum to zero, and ‖W‖² = K/(K−1)·‖P‖².
    /// For losses that ignore a shift of all logits (pick-all-labels) this is the linear head with
    /// another weight decay; for the others it is a restriction.
    FixedEtf,
}

/// How features are scaled while the head is fitted. The head itself applies to the features as
/// given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Standard deviation 1, and mean 0 where that costs nothing: the bias makes up for it.
    #[default]
    Standardise,
    /// As given.
    None,
    /// Largest absolute value 1.
    Maximum,
}

/// How a head is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// L-BFGS, preconditioned by the curvature at the start; the fastest where all samples fit
    /// into memory. Binary cross-entropy, focal and asymmetric loss on sparse features are fitted
    /// label by label, in f32 as far as that goes; value and gradient reported are those of f64.
    #[default]
    Lbfgs,
    /// Stochastic gradient descent on mini-batches.
    Stochastic(Stochastic),
}

/// Stochastic gradient descent with variance reduction (SAGA): the last slope of every sample is
/// kept, so that a constant step, derived from the curvature of the loss, converges to the minimum
/// and the gradient tolerance can be met. The result depends on the seed, not on the number of
/// threads.
///
/// Source: Defazio, Bach and Lacoste-Julien 2014 (arXiv 1407.0202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stochastic {
    /// Samples of a step.
    pub batch_size: usize,
    /// Seed of the order of the samples.
    pub seed: u64,
}

impl Default for Stochastic {
    fn default() -> Self {
        Self {
            batch_size: 64,
            seed: 0,
        }
    }
}

/// What a head minimises and how far.
///
/// The objective is (1/Σw_i)·Σ_i w_i·L_c(W x_i + b, S_i) + weight_decay·‖W‖², with ‖P‖² in place of
/// ‖W‖² for a fixed ETF; the bias is free. L_c is the loss with the class weights c. The set
/// likelihood adds λ_θ‖θ‖² and 1e-6·‖c‖², which keeps the potentials of multiplicities that no
/// sample has finite.
///
/// For a convex loss (all but focal and asymmetric) the gradient g at the end bounds what is left:
/// the objective, minimised over the bias, lies within ‖g_W‖²/(4·weight_decay) of its minimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeadSettings {
    /// The loss L of a sample.
    pub loss: Loss,
    /// Which matrices are allowed.
    pub kind: HeadKind,
    /// λ ≥ 0, for features scaled as [`scaling`](Self::scaling) says.
    pub weight_decay: f64,
    /// Samples weigh w_i = n_S^(−balance) with n_S the number of samples of their label set: 0
    /// treats all samples alike, 1 all label sets.
    pub balance: f64,
    /// Factors of the weights of single label sets; 1 for the sets that are not listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_weights: Vec<(LabelSet, f64)>,
    /// How much labels count where they are in a set.
    pub class_weights: ClassWeights,
    /// λ_θ of the penalty λ_θ‖θ‖² on the potentials of seen label sets, for the set likelihood;
    /// 1/(2N) when absent, that of standard normal potentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_set_decay: Option<f64>,
    /// How features are scaled.
    pub scaling: Scaling,
    /// How the minimum is found.
    pub optimizer: Optimizer,
    /// Largest number of L-BFGS steps, or of passes over the samples.
    pub max_iterations: usize,
    /// Largest entry of the gradient at which the fit has converged; 1e-4 unless told otherwise, as
    /// for scikit-learn's `LogisticRegression`. A loss that is a sum over labels, on sparse
    /// features, is fitted further for rare labels: to this times the label's share against that
    /// of the most frequent one, or 1/100 of it at least.
    pub gradient_tolerance: f64,
}

impl Default for HeadSettings {
    fn default() -> Self {
        Self {
            loss: Loss::default(),
            kind: HeadKind::default(),
            weight_decay: 1e-4,
            balance: 0.0,
            set_weights: Vec::new(),
            class_weights: ClassWeights::default(),
            seen_set_decay: None,
            scaling: Scaling::default(),
            optimizer: Optimizer::default(),
            max_iterations: 5000,
            gradient_tolerance: 1e-4,
        }
    }
}

impl HeadSettings {
    /// The same with the largest multiplicity of a set likelihood said, so that parts of the
    /// samples have the label sets of all.
    pub(super) fn resolved(&self, targets: &Targets) -> Self {
        let mut settings = self.clone();
        if let Loss::SetLikelihood(likelihood) = &mut settings.loss {
            let most = targets.max_multiplicity();
            likelihood.max_multiplicity.get_or_insert(most);
        }
        settings
    }

    /// Which potentials label sets have.
    pub(super) fn seen_sets(&self) -> SeenSetPotentials {
        match self.loss {
            Loss::SetLikelihood(likelihood) => likelihood.seen_sets,
            _ => SeenSetPotentials::None,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [
            ("the weight decay", self.weight_decay),
            ("the balance of label sets", self.balance),
            ("the gradient tolerance", self.gradient_tolerance),
            (
                "the decay of the potentials of label sets",
                self.seen_set_decay.unwrap_or_default(),
            ),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::OutOfRange {
                    name,
                    requirement: "of at least 0 and finite",
                    found: value.to_string(),
                });
            }
        }
        match (self.loss, self.optimizer) {
            (Loss::SetLikelihood(_), Optimizer::Stochastic(_)) => Err(Error::Undefined(
                "the set likelihood is fitted by L-BFGS, as potentials are shared by all samples; \
                 choose it"
                    .into(),
            )),
            _ => Ok(()),
        }
    }
}
