use super::UfmProblem;
use crate::Result;

/// The label sets of a problem as flat arrays, one entry per set that has a feature.
pub(super) struct Reduced {
    pub num_classes: usize,
    pub num_sets: usize,
    labels: Vec<u32>,
    starts: Vec<usize>,
    /// α_m n_S/N
    pub weights: Vec<f64>,
    pub multiplicities: Vec<f64>,
    /// √n_S: the features are scaled by it so that each set has the same decay.
    pub roots: Vec<f64>,
}

impl Reduced {
    pub fn new(problem: &UfmProblem) -> Result<Self> {
        let sets = problem.sets()?;
        let samples = problem.labels().num_samples();
        let mut reduced = Self {
            num_classes: problem.num_classes(),
            num_sets: sets.len(),
            labels: Vec::new(),
            starts: vec![0],
            weights: Vec::with_capacity(sets.len()),
            multiplicities: Vec::with_capacity(sets.len()),
            roots: Vec::with_capacity(sets.len()),
        };
        for (set, count) in &sets {
            reduced.labels.extend_from_slice(set.labels());
            reduced.starts.push(reduced.labels.len());
            let weight = problem.sample_weight(set.multiplicity());
            reduced.weights.push(weight * count / samples);
            reduced.multiplicities.push(set.multiplicity() as f64);
            reduced.roots.push(count.sqrt());
        }
        Ok(reduced)
    }

    pub fn labels(&self, set: usize) -> &[u32] {
        &self.labels[self.starts[set]..self.starts[set + 1]]
    }
}
