//! The distribution over label sets of one sample.

use super::marginals::Marginals;
use super::potentials::SetPotentials;
use crate::LabelSet;

/// The distribution over label sets of one sample, made by
/// [`SetPotentials::distribution`].
///
/// ```
/// use tagwise::LabelSet;
/// use tagwise::loss::set_likelihood::SetPotentials;
///
/// // One label in every set: a softmax.
/// let potentials = SetPotentials::new(3, vec![-1e3, 0.0])?;
/// let outputs = [2f64.ln(), 0.0, 0.0];
/// let distribution = potentials.distribution(&outputs)?;
/// assert!((distribution.probability(&LabelSet::new([0])) - 0.5).abs() < 1e-12);
/// assert!((distribution.inclusion()[1] - 0.25).abs() < 1e-12);
/// assert!((distribution.multiplicities()[1] - 1.0).abs() < 1e-12);
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Debug)]
pub struct SetDistribution<'a> {
    potentials: &'a SetPotentials,
    outputs: &'a [f64],
    marginals: Marginals,
}

impl<'a> SetDistribution<'a> {
    pub(super) fn new(potentials: &'a SetPotentials, outputs: &'a [f64]) -> Self {
        let mut marginals = Marginals::default();
        marginals.run(potentials, outputs);
        Self {
            potentials,
            outputs,
            marginals,
        }
    }

    /// log Z.
    pub fn log_partition(&self) -> f64 {
        self.marginals.log_partition
    }

    /// The potentials that all samples share.
    pub fn potentials(&self) -> &'a SetPotentials {
        self.potentials
    }

    /// z, `[K]`.
    pub(crate) fn logits(&self) -> &'a [f64] {
        &self.outputs[..self.potentials.num_classes()]
    }

    /// c of this sample, `[M + 1]`.
    pub(crate) fn multiplicity_potentials(&self) -> &[f64] {
        self.marginals.potentials()
    }

    /// s_T of a seen set, by its position.
    pub(crate) fn seen_score(&self, seen: usize) -> f64 {
        self.marginals
            .seen_score(self.potentials, self.outputs, seen)
    }

    /// log p(S); −∞ for a set of more labels than any may have.
    pub fn log_probability(&self, set: &LabelSet) -> f64 {
        self.marginals
            .log_probability(self.potentials, self.outputs, set)
    }

    /// p(S).
    pub fn probability(&self, set: &LabelSet) -> f64 {
        self.log_probability(set).exp()
    }

    /// P(k ∈ S) of every label, `[K]`.
    pub fn inclusion(&self) -> &[f64] {
        self.marginals.inclusion()
    }

    /// P(|S| = j) for j = 0, …, M.
    pub fn multiplicities(&self) -> &[f64] {
        self.marginals.multiplicities()
    }

    /// p(T) of the seen sets, in the order of [`SetPotentials::seen_sets`].
    pub fn seen_sets(&self) -> &[f64] {
        &self.marginals.sets
    }

    /// P(k ∈ S, |S| = s) for s = 1, …, M: what the expected F1 of every answer follows from.
    ///
    /// # Shapes
    /// Returns row-major `[K, M]`.
    pub fn joint(&mut self) -> Vec<f64> {
        self.marginals.joint(self.potentials, self.outputs)
    }
}
