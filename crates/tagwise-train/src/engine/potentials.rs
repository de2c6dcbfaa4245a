//! What a network trained with the set likelihood learns beside its logits.

use std::borrow::Cow;

use tagwise::head::HeadPotentials;
use tagwise::loss::Loss;
use tagwise::loss::set_likelihood::{
    MultiplicityPotentials, SeenSetPotentials, SetLikelihood, SetPotentials,
};
use tagwise::matrix::Matrix;
use tagwise::{LabelSet, Targets};
use tagwise_nn::{NamedTensor, SgdConfig};

use crate::{DataSets, Error, Experiment, Result};

/// What the names of these tensors begin with, in checkpoints.
pub(crate) const PREFIX: &str = "potentials.";

const MULTIPLICITIES: &str = "potentials.multiplicities";
const WEIGHT: &str = "potentials.weight";
const SETS: &str = "potentials.sets.values";

/// The potentials of multiplicities and seen label sets as parameters of SGD.
///
/// c_j is a number or, linear, v_j·h + β_j with the features h; θ_S a number for each label set of
/// the training samples. At the start θ = 0, v = 0 and c_j is such that logits of 0 give each
/// multiplicity its share of the training samples. They are updated as the network's parameters are,
/// with the same learning rate, momentum and decay.
#[derive(Debug)]
pub struct LearnedPotentials {
    /// The same numbers as below, for the loss.
    shared: SetPotentials,
    dim: usize,
    sgd: SgdConfig,
    /// c or β, `[M + 1]`.
    multiplicities: Parameter,
    learns_multiplicities: bool,
    /// V, `[M + 1, d]`, where c is linear.
    weight: Option<Parameter>,
    /// θ, one for each seen set.
    sets: Parameter,
}

impl LearnedPotentials {
    /// The potentials at the start, for a network with `dim` features.
    ///
    /// The largest multiplicity is that of the training and validation samples, unless given.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the largest multiplicity is below that of a sample or above K.
    pub fn new(
        likelihood: SetLikelihood,
        data: &DataSets,
        dim: usize,
        sgd: SgdConfig,
    ) -> Result<Self> {
        let targets = data.train.targets();
        let num_classes = targets.num_classes();
        let most = largest_multiplicity(likelihood, data)?;
        let learns_sets = likelihood.seen_sets == SeenSetPotentials::Learned;
        let learns_multiplicities = likelihood.multiplicities != MultiplicityPotentials::None;
        let multiplicities = match learns_multiplicities {
            true => log_shares(targets, most),
            false => vec![0.0; most + 1],
        };
        let sets: Vec<LabelSet> = match learns_sets {
            true => distinct(targets),
            false => Vec::new(),
        };
        let weight = (likelihood.multiplicities == MultiplicityPotentials::Linear)
            .then(|| Parameter::new(vec![0.0; (most + 1) * dim]));
        let with_values: Vec<_> = sets.into_iter().map(|set| (set, 0.0)).collect();
        let num_sets = with_values.len();
        let wide = multiplicities.iter().map(|&c| f64::from(c)).collect();
        Ok(Self {
            shared: SetPotentials::new(num_classes, wide)?.with_seen_sets(with_values)?,
            dim,
            sgd,
            multiplicities: Parameter::new(multiplicities),
            learns_multiplicities,
            weight,
            sets: Parameter::new(vec![0.0; num_sets]),
        })
    }

    /// Those of an experiment, if its loss has any.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn of_experiment(
        experiment: &Experiment,
        data: &DataSets,
        dim: usize,
    ) -> Result<Option<Self>> {
        match experiment.loss {
            Loss::SetLikelihood(likelihood) if likelihood.has_potentials() => {
                Self::new(likelihood, data, dim, experiment.training.sgd()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether c is learned, or 0.
    pub(super) fn learns_multiplicities(&self) -> bool {
        self.learns_multiplicities
    }

    /// The label sets that θ belongs to, in its order.
    pub(super) fn seen_sets(&self) -> &[LabelSet] {
        self.shared.seen_sets()
    }

    /// The mean of −log p(S) over a batch; writes its slopes in the logits, adds those in the
    /// features, and keeps those in the potentials for [`step`](Self::step).
    ///
    /// # Shapes
    /// `logits` and `grad_logits` are `[B, K]`, `features` and `grad_features` `[B, d]`.
    ///
    /// # Errors
    /// From the mathematics, for other sizes.
    pub(super) fn batch_mean<'a>(
        &mut self,
        (logits, features): (&[f32], &[f32]),
        targets: impl ExactSizeIterator<Item = &'a LabelSet>,
        grad_logits: &mut [f32],
        grad_features: &mut [f32],
    ) -> Result<f64> {
        if logits.iter().chain(features).any(|x| !x.is_finite()) {
            return Ok(f64::NAN);
        }
        let Some(weight) = &mut self.weight else {
            let slopes = self.shared.batch_mean(logits, targets, grad_logits)?;
            self.multiplicities.gradient = narrow(&slopes.multiplicities);
            self.sets.gradient = narrow(&slopes.seen_sets);
            return Ok(slopes.value);
        };
        let head = head(&self.shared, Some((&weight.value, self.dim)))?;
        let outputs = head.outputs(logits, features)?; // [B, K + M + 1]
        let mut gradient = vec![0.0; outputs.len()];
        let slopes = self.shared.batch_mean(&outputs, targets, &mut gradient)?;
        let num_classes = self.shared.num_classes();
        let width = num_classes + self.shared.multiplicities().len();
        weight.gradient.fill(0.0);
        let samples = gradient
            .chunks_exact(width)
            .zip(grad_logits.chunks_exact_mut(num_classes))
            .zip(
                features
                    .chunks_exact(self.dim)
                    .zip(grad_features.chunks_exact_mut(self.dim)),
            );
        for ((gradient, grad_logits), (features, grad_features)) in samples {
            let (of_logits, of_potentials) = gradient.split_at(num_classes);
            grad_logits.copy_from_slice(of_logits);
            let rows = weight.value.chunks_exact(self.dim);
            let rows = rows.zip(weight.gradient.chunks_exact_mut(self.dim));
            for (&slope, (v, grad_v)) in of_potentials.iter().zip(rows) {
                for i in 0..self.dim {
                    grad_v[i] += slope * features[i];
                    grad_features[i] += slope * v[i];
                }
            }
        }
        self.multiplicities.gradient = narrow(&slopes.multiplicities);
        self.sets.gradient = narrow(&slopes.seen_sets);
        Ok(slopes.value)
    }

    /// One step of SGD along the slopes of the last [`batch_mean`](Self::batch_mean).
    pub(super) fn step(&mut self, learning_rate: f32) {
        if self.learns_multiplicities {
            self.multiplicities.step(self.sgd, learning_rate);
        }
        if let Some(weight) = &mut self.weight {
            weight.step(self.sgd, learning_rate);
        }
        self.sets.step(self.sgd, learning_rate);
        self.share();
    }

    /// Gives the loss the numbers of the parameters.
    fn share(&mut self) {
        let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&c| c.into()).collect() };
        let sets = wide(&self.sets.value);
        self.shared
            .set(&wide(&self.multiplicities.value), sets.into_iter());
    }

    /// The potentials as the mathematics has them.
    ///
    /// # Errors
    /// From the mathematics, when a weight is not finite.
    pub(super) fn head(&self) -> Result<HeadPotentials> {
        let weight = self.weight.as_ref().map(|weight| &weight.value[..]);
        head(&self.shared, weight.map(|weight| (weight, self.dim)))
    }

    /// The parameters, or their velocities, under their names.
    pub(super) fn tensors(&self, what: What) -> Vec<NamedTensor> {
        let named = |name: &str, parameter: &Parameter| NamedTensor {
            name: name.into(),
            shape: match name {
                WEIGHT => vec![parameter.value.len() / self.dim.max(1), self.dim],
                _ => vec![parameter.value.len()],
            },
            data: parameter.part(what).clone(),
        };
        let parts = [
            (MULTIPLICITIES, Some(&self.multiplicities)),
            (WEIGHT, self.weight.as_ref()),
            (SETS, Some(&self.sets)),
        ];
        let parts = parts.into_iter();
        parts
            .filter_map(|(name, parameter)| Some(named(name, parameter?)))
            .collect()
    }

    /// Refuses tensors that are not these potentials'.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub(super) fn expect(&self, what: What, tensors: &[NamedTensor]) -> Result<()> {
        for own in self.tensors(what) {
            let found = tensors.iter().find(|tensor| tensor.name == own.name);
            let shape = found.map(|tensor| &tensor.shape);
            if shape != Some(&own.shape) {
                return Err(Error::Configuration(format!(
                    "expected the tensor {} of shape {:?}, found {}",
                    own.name,
                    own.shape,
                    shape.map_or_else(|| "none".into(), |shape| format!("{shape:?}"))
                )));
            }
        }
        Ok(())
    }

    /// Takes over what [`tensors`](Self::tensors) gave; nothing changes on an error.
    ///
    /// # Errors
    /// As [`expect`](Self::expect).
    pub(super) fn load(&mut self, what: What, tensors: &[NamedTensor]) -> Result<()> {
        self.expect(what, tensors)?;
        let parts = [
            (MULTIPLICITIES, Some(&mut self.multiplicities)),
            (WEIGHT, self.weight.as_mut()),
            (SETS, Some(&mut self.sets)),
        ];
        for (name, parameter) in parts {
            let found = tensors.iter().find(|tensor| tensor.name == name);
            if let Some((parameter, tensor)) = parameter.zip(found) {
                parameter.part_mut(what).clone_from(&tensor.data);
            }
        }
        self.share();
        Ok(())
    }
}

/// Of a parameter.
#[derive(Clone, Copy)]
pub(super) enum What {
    Values,
    Velocities,
}

#[derive(Debug)]
struct Parameter {
    value: Vec<f32>,
    velocity: Vec<f32>,
    gradient: Vec<f32>,
}

impl Parameter {
    fn new(value: Vec<f32>) -> Self {
        Self {
            velocity: vec![0.0; value.len()],
            gradient: vec![0.0; value.len()],
            value,
        }
    }

    fn part(&self, what: What) -> &Vec<f32> {
        match what {
            What::Values => &self.value,
            What::Velocities => &self.velocity,
        }
    }

    fn part_mut(&mut self, what: What) -> &mut Vec<f32> {
        match what {
            What::Values => &mut self.value,
            What::Velocities => &mut self.velocity,
        }
    }

    /// v ← momentum·v + (g + decay·w); w ← w − learning rate·v, as for the network's parameters.
    fn step(&mut self, sgd: SgdConfig, learning_rate: f32) {
        let all = self.value.iter_mut().zip(&mut self.velocity);
        for ((value, velocity), gradient) in all.zip(&self.gradient) {
            *velocity = sgd.momentum * *velocity + (gradient + sgd.weight_decay * *value);
            *value -= learning_rate * *velocity;
        }
    }
}

fn head(shared: &SetPotentials, weight: Option<(&[f32], usize)>) -> Result<HeadPotentials> {
    let weight = match weight {
        None => None,
        Some((weight, dim)) => {
            let values = weight.iter().map(|&v| v.into()).collect();
            let rows = shared.multiplicities().len();
            Some(Matrix::from_rows(rows, dim, values)?)
        }
    };
    Ok(HeadPotentials {
        shared: shared.clone(),
        weight,
    })
}

fn narrow(slopes: &[f64]) -> Vec<f32> {
    slopes.iter().map(|&slope| slope as f32).collect()
}

/// Tensors of potentials, and all others; a network without potentials is not copied.
pub(super) fn divided(tensors: &[NamedTensor]) -> (Vec<NamedTensor>, Cow<'_, [NamedTensor]>) {
    let is_of_potentials = |tensor: &NamedTensor| tensor.name.starts_with(PREFIX);
    if !tensors.iter().any(is_of_potentials) {
        return (Vec::new(), Cow::Borrowed(tensors));
    }
    let (of_potentials, of_network) = tensors.iter().cloned().partition(is_of_potentials);
    (of_potentials, Cow::Owned(of_network))
}

fn largest_multiplicity(likelihood: SetLikelihood, data: &DataSets) -> Result<usize> {
    let needed = [&data.train, &data.validation].map(|set| set.targets().max_multiplicity());
    let needed = needed[0].max(needed[1]);
    let most = likelihood.max_multiplicity.unwrap_or(needed);
    let num_classes = data.num_classes();
    if most < needed || most > num_classes {
        return Err(Error::Configuration(format!(
            "expected loss.max_multiplicity from {needed}, the most labels of a training or validation \
             image, to {num_classes}, the number of classes, found {most}"
        )));
    }
    Ok(most)
}

/// c_j such that logits of 0 give each multiplicity its share of the samples:
/// log((n_j + ½)/N) − log C(K, j), less its value for the commonest.
fn log_shares(targets: &Targets, most: usize) -> Vec<f32> {
    let mut counts = vec![0.5; most + 1];
    for set in targets.iter() {
        counts[set.multiplicity()] += 1.0;
    }
    let num_classes = targets.num_classes() as f64;
    let mut log_choices = 0.0;
    let mut values = Vec::with_capacity(counts.len());
    for (j, &count) in counts.iter().enumerate() {
        if j > 0 {
            log_choices += ((num_classes + 1.0 - j as f64) / j as f64).ln();
        }
        values.push(f64::ln(count) - log_choices);
    }
    let commonest = (0..counts.len()).max_by(|&a, &b| counts[a].total_cmp(&counts[b]));
    let reference = commonest.map_or(0.0, |j| values[j]);
    values.iter().map(|c| (c - reference) as f32).collect()
}

fn distinct(targets: &Targets) -> Vec<LabelSet> {
    let sets: std::collections::BTreeSet<&LabelSet> = targets.iter().collect();
    sets.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
