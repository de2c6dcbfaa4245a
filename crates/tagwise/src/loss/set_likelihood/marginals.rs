//! The probabilities of one sample, in memory that is used again for the next.

use super::counts::Counts;
use super::group::{Group, LANES, Sample};
use super::potentials::SetPotentials;
use crate::LabelSet;

/// Terms whose logarithm lies this far below that of the largest are nothing beside it.
const NEGLIGIBLE: f64 = -50.0;

/// What a set likelihood says of several samples, side by side: what is made for one takes a fraction
/// of the time where it is made for eight.
#[derive(Debug, Default)]
pub(crate) struct MarginalsGroup {
    each: Vec<Marginals>,
    group: Group,
}

impl MarginalsGroup {
    /// Samples to give it at a time.
    pub(crate) const LEN: usize = LANES;

    /// Takes rows of outputs that fit, at most [`LEN`](Self::LEN) of them; what they say, in order.
    ///
    /// # Shapes
    /// `outputs` is row-major `[n, width]`.
    pub(crate) fn run(
        &mut self,
        model: &SetPotentials,
        outputs: &[f64],
        width: usize,
    ) -> &[Marginals] {
        let num_classes = model.num_classes();
        let rows = outputs.chunks_exact(width);
        let num_samples = rows.len();
        self.each.resize_with(LANES, Marginals::default);
        let mut samples = Vec::with_capacity(LANES);
        let mut counts = Vec::with_capacity(LANES);
        for (own, row) in self.each.iter_mut().zip(rows) {
            own.prepare(model, row);
            samples.push(Sample {
                logits: &row[..num_classes],
                potentials: &own.potentials,
            });
            counts.push(&mut own.counts);
        }
        self.group.run(&samples, &mut counts);
        for (own, row) in self.each.iter_mut().zip(outputs.chunks_exact(width)) {
            own.finish(model, &row[..num_classes]);
        }
        &self.each[..num_samples]
    }
}

/// What a set likelihood says of one sample.
#[derive(Debug, Default)]
pub(crate) struct Marginals {
    counts: Counts,
    /// c_j of this sample.
    potentials: Vec<f64>,
    /// log of e^{s_T − θ_T} over the sum without seen sets.
    log_ratios: Vec<f64>,
    /// p(T) of the seen sets.
    pub(crate) sets: Vec<f64>,
    /// Positions of the seen sets whose probability is not 0.
    likely: Vec<usize>,
    pub(crate) log_partition: f64,
}

impl Marginals {
    /// P(k ∈ S) of every label.
    pub(crate) fn inclusion(&self) -> &[f64] {
        &self.counts.inclusion
    }

    /// P(|S| = j) for j = 0, …, M.
    pub(crate) fn multiplicities(&self) -> &[f64] {
        &self.counts.multiplicities
    }

    /// Takes outputs that fit.
    pub(crate) fn run(&mut self, model: &SetPotentials, outputs: &[f64]) {
        self.prepare(model, outputs);
        let logits = &outputs[..model.num_classes()];
        self.counts.run(logits, &self.potentials);
        self.finish(model, logits);
    }

    /// c of this sample.
    fn prepare(&mut self, model: &SetPotentials, outputs: &[f64]) {
        let more = &outputs[model.num_classes()..];
        self.potentials.clear();
        self.potentials.extend_from_slice(model.multiplicities());
        for (potential, more) in self.potentials.iter_mut().zip(more) {
            *potential += more;
        }
    }

    /// After the sums over all sets of a multiplicity.
    fn finish(&mut self, model: &SetPotentials, logits: &[f64]) {
        self.log_partition = self.counts.log_partition;
        self.sets.clear();
        self.likely.clear();
        if model.num_seen_sets() > 0 {
            self.correct(model, logits);
        }
    }

    /// Gives the seen sets what they are worth.
    fn correct(&mut self, model: &SetPotentials, logits: &[f64]) {
        let seen = model.seen();
        self.log_ratios.clear();
        let mut largest = 0f64;
        for (position, theta) in model.set_potentials().iter().enumerate() {
            let labels = seen.labels(position);
            let score: f64 = labels.iter().map(|&label| logits[label as usize]).sum();
            let ratio = score + self.potentials[labels.len()] - self.counts.log_partition;
            self.log_ratios.push(ratio);
            largest = largest.max(ratio + theta);
        }
        let base = (-largest).exp();
        let (mut change, mut least) = (0.0, 0.0);
        for (position, (&ratio, theta)) in self
            .log_ratios
            .iter()
            .zip(model.set_potentials())
            .enumerate()
        {
            let before = ratio - largest;
            if before.max(before + theta) < NEGLIGIBLE {
                self.sets.push(0.0);
                continue;
            }
            let after = (before + theta).exp();
            change += after - before.exp();
            least += after;
            self.sets.push(after);
            self.likely.push(position);
        }
        // Where seen sets have nearly all of the sum and lose it, rounding may leave less than
        // what they keep.
        let total = (base + change).max(least);
        self.log_partition += largest + total.ln();
        self.spread(model, base / total, 1.0 / total, largest);
    }

    /// Corrects the probabilities of labels and multiplicities for those of the seen sets.
    fn spread(&mut self, model: &SetPotentials, kept: f64, scale: f64, largest: f64) {
        let shares = self.counts.inclusion.iter_mut();
        shares
            .chain(self.counts.multiplicities.iter_mut())
            .for_each(|share| *share *= kept);
        for &position in &self.likely {
            let labels = model.seen().labels(position);
            let before = (self.log_ratios[position] - largest).exp();
            let change = (self.sets[position] - before) * scale;
            for &label in labels {
                self.counts.inclusion[label as usize] += change;
            }
            self.counts.multiplicities[labels.len()] += change;
            self.sets[position] *= scale;
        }
        let shares = self.counts.inclusion.iter_mut();
        shares
            .chain(self.counts.multiplicities.iter_mut())
            .for_each(|share| *share = share.clamp(0.0, 1.0));
    }

    /// P(k ∈ S, |S| = s) for s = 1, …, M and every label, `[K, M]`, after [`run`](Self::run) on the
    /// same outputs.
    pub(crate) fn joint(&mut self, model: &SetPotentials, outputs: &[f64]) -> Vec<f64> {
        let logits = &outputs[..model.num_classes()];
        let most = model.max_multiplicity();
        let mut joint = vec![0.0; logits.len() * most];
        let kept = (self.counts.log_partition - self.log_partition).exp();
        self.counts.joint(logits, &mut |label, shares| {
            let row = joint[label * most..].iter_mut().zip(shares);
            row.for_each(|(joint, share)| *joint = kept * share);
        });
        for &position in &self.likely {
            let labels = model.seen().labels(position);
            let before = (self.log_ratios[position].min(0.0)).exp() * kept;
            for &label in labels {
                let joint = &mut joint[label as usize * most + labels.len() - 1];
                *joint = (*joint + self.sets[position] - before).max(0.0);
            }
        }
        joint
    }

    /// c of this sample.
    pub(super) fn potentials(&self) -> &[f64] {
        &self.potentials
    }

    /// s_S; −∞ for a set of more labels than any may have.
    pub(super) fn score(&self, model: &SetPotentials, outputs: &[f64], set: &LabelSet) -> f64 {
        let Some(potential) = self.potentials.get(set.multiplicity()) else {
            return f64::NEG_INFINITY;
        };
        let logits: f64 = set.indices().map(|label| outputs[label]).sum();
        let seen = model.seen().position(set);
        let theta = seen.map_or(0.0, |position| model.set_potentials()[position]);
        logits + potential + theta
    }

    /// s_T of a seen set.
    pub(super) fn seen_score(&self, model: &SetPotentials, outputs: &[f64], seen: usize) -> f64 {
        let labels = model.seen().labels(seen);
        let logits: f64 = labels.iter().map(|&label| outputs[label as usize]).sum();
        logits + self.potentials[labels.len()] + model.set_potentials()[seen]
    }

    /// log p(S); −∞ for a set of more labels than any may have.
    pub(crate) fn log_probability(
        &self,
        model: &SetPotentials,
        outputs: &[f64],
        set: &LabelSet,
    ) -> f64 {
        (self.score(model, outputs, set) - self.log_partition).min(0.0)
    }

    /// Adds the slopes of −weight·log p(S), after [`run`](Self::run): those in the outputs are
    /// written to `row`, those in the shared potentials added to `shared`.
    pub(crate) fn slopes(
        &self,
        model: &SetPotentials,
        set: &LabelSet,
        weight: f64,
        row: &mut [f64],
        shared: (&mut [f64], &mut [f64]),
    ) {
        let (of_logits, of_more) = row.split_at_mut(model.num_classes());
        for (slope, share) in of_logits.iter_mut().zip(self.inclusion()) {
            *slope = weight * share;
        }
        set.indices().for_each(|label| of_logits[label] -= weight);
        let (of_multiplicities, of_sets) = shared;
        for (j, share) in self.multiplicities().iter().enumerate() {
            let is_own = f64::from(u8::from(j == set.multiplicity()));
            let slope = weight * (share - is_own);
            if let Some(more) = of_more.get_mut(j) {
                *more = slope;
            }
            if let Some(sum) = of_multiplicities.get_mut(j) {
                *sum += slope;
            }
        }
        for &position in &self.likely {
            of_sets[position] += weight * self.sets[position];
        }
        if let Some(position) = model.seen().position(set) {
            of_sets[position] -= weight;
        }
    }
}
