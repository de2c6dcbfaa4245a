//! What can be chosen about one-nearest-neighbour decoding.

use serde::{Deserialize, Serialize};

use crate::Targets;

/// Nodes that the search may visit for one sample unless told otherwise.
pub(super) const DEFAULT_MAX_NODES: u64 = 1_000_000;

/// By which distance a prototype is near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// The angle; scale-free.
    #[default]
    Cosine,
    /// The straight-line distance, with one scale per multiplicity estimated by least squares.
    Euclidean,
    /// The distance under the pooled covariance of the samples around the means of their label
    /// sets, shrunk towards a multiple of the identity by the oracle-approximating rule of Chen et
    /// al. 2010 (arXiv 0907.4698). With label-set prototypes and priors this is linear
    /// discriminant analysis over label sets.
    Mahalanobis,
}

/// Where the prototype of a label set comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prototypes {
    /// The scaled tag-wise average c_m·Σ_{k∈S} h̄_k for every set.
    #[default]
    TagAverages,
    /// For sets seen in training their own mean, shrunk towards the tag-wise average:
    /// (n_S·h̄_S + κ·c_m·Σ_{k∈S} h̄_k)/(n_S + κ) with κ the ratio of the variance of samples around
    /// set means to that of set means around tag-wise averages, both estimated. The tag-wise
    /// average for all other sets.
    LabelSets,
}

/// How likely label sets are before the feature is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// All sets alike: the nearest wins.
    #[default]
    None,
    /// The share of each multiplicity in training, spread evenly over its C(K, m) sets.
    Multiplicity,
    /// The share of each set in training; the sets not seen share what Good and Turing's estimate
    /// leaves them, spread as for [`Multiplicity`](Self::Multiplicity).
    LabelSet,
}

/// When the answer is the empty set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptySet {
    /// Never: every sample gets at least one label.
    #[default]
    Never,
    /// When the mean of the unlabelled training samples is nearest.
    Measured,
    /// When the best score of all other sets is below this.
    Below(f64),
}

impl EmptySet {
    /// The share of samples without labels from which answers without labels are worth their errors.
    const COMMON: f64 = 0.05;

    /// What suits samples like these: [`Measured`](Self::Measured) where at least one in twenty has
    /// no label, [`Never`](Self::Never) otherwise.
    ///
    /// ```
    /// use tagwise::decode::EmptySet;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let targets = Targets::new(1, [LabelSet::new([0]), LabelSet::default()])?;
    /// assert_eq!(EmptySet::suiting(&targets), EmptySet::Measured);
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn suiting(training: &Targets) -> Self {
        let num_empty = training.iter().filter(|set| set.is_empty()).count();
        match num_empty as f64 >= Self::COMMON * training.len() as f64 && num_empty > 0 {
            true => Self::Measured,
            false => Self::Never,
        }
    }
}

/// What [`OneNearestNeighbour::fit`](super::OneNearestNeighbour::fit) estimates.
///
/// The default is the decoder of the paper: cosine, tag-wise averages, no prior.
///
/// Priors enter as log-probabilities beside the log-likelihood of the distance: for the cosine
/// that of von Mises and Fisher's distribution, for the Euclidean distance that of an isotropic
/// and for the Mahalanobis distance that of a Gaussian with shared covariance. The spread of each
/// is estimated from the training samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct NearestSettings {
    /// By which distance a prototype is near.
    pub distance: Distance,
    /// Where prototypes come from.
    pub prototypes: Prototypes,
    /// How likely label sets are beforehand.
    pub prior: Prior,
    /// When the answer is the empty set.
    pub empty_set: EmptySet,
    /// The largest multiplicity of an answer; that of the training samples unless given.
    pub max_multiplicity: Option<usize>,
    /// Nodes that the search may visit for one sample.
    pub max_nodes: u64,
}

impl Default for NearestSettings {
    fn default() -> Self {
        Self {
            distance: Distance::default(),
            prototypes: Prototypes::default(),
            prior: Prior::default(),
            empty_set: EmptySet::default(),
            max_multiplicity: None,
            max_nodes: DEFAULT_MAX_NODES,
        }
    }
}
