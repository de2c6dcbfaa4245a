//! The normalised likelihood of whole label sets.
//!
//! With u = e^z the probability of a set S of at most M labels is e^{s_S}/Z, where
//! s_S = Σ_{k∈S} z_k + c_{|S|} + θ_S has potentials c_0, …, c_M of multiplicities and θ_S of the
//! sets seen in training (0 for all others), and
//! Z = Σ_j e^{c_j}·e_j(u) + Σ_{S seen} (e^{θ_S} − 1)·e^{s_S − θ_S} with the elementary symmetric
//! polynomials e_j. It knows which labels, how many and which sets: the loss −log p(S) is convex in
//! (z, c, θ), and (Σu)^m ≥ m!·e_m(u) makes pick-all-labels, less log m!, its upper bound with m given.
//!
//! Source: Swersky et al. 2012, "Cardinality restricted Boltzmann machines"; Tarlow et al. 2012,
//! "Fast exact inference for recursive cardinality models", for potentials of multiplicities.

mod change;
mod counts;
mod distribution;
mod group;
mod marginals;
mod mass;
mod potentials;
mod seen;
mod sweep;

use serde::{Deserialize, Serialize};

pub use distribution::SetDistribution;
pub use potentials::{Output, PotentialSlopes, SetPotentials};

pub(crate) use change::{Outputs, ShareChange};
pub(crate) use marginals::{Marginals, MarginalsGroup};

/// What multiplicities are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MultiplicityPotentials {
    /// Nothing: labels are independent, except that no set has more than M of them.
    None,
    /// A number for each multiplicity.
    #[default]
    Constant,
    /// A linear function of the features for each multiplicity: M + 1 outputs beside the logits.
    Linear,
}

/// What the label sets seen in training are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenSetPotentials {
    /// Nothing: sets that were not seen are as likely as others of their labels.
    #[default]
    None,
    /// A number for each seen set.
    Learned,
}

/// Which potentials a set likelihood learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SetLikelihood {
    /// Of multiplicities.
    pub multiplicities: MultiplicityPotentials,
    /// Of label sets.
    pub seen_sets: SeenSetPotentials,
    /// The largest multiplicity M that has a probability; that of the training samples when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_multiplicity: Option<usize>,
}

impl SetLikelihood {
    /// Whether there is something to learn beside the logits.
    pub fn has_potentials(self) -> bool {
        self.multiplicities != MultiplicityPotentials::None
            || self.seen_sets != SeenSetPotentials::None
    }
}

#[cfg(test)]
mod tests;
