//! Many samples decoded block by block, so that sparse features and logits are never dense as a
//! whole.

use std::ops::ControlFlow;

use super::nearest::{Decoded, OneNearestNeighbour};
use super::set_likelihood::ProbableSet;
use crate::head::Features;
use crate::{Error, LabelSet, Result, Targets};

/// Rows decoded together.
pub(super) const BLOCK_LEN: usize = 1024;

/// How far decoding has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeProgress {
    /// Samples decoded so far.
    pub num_decoded: usize,
    /// All samples.
    pub num_samples: usize,
}

/// What was decoded of some samples, to which further blocks are added.
#[derive(Debug, Default)]
pub(super) struct Collected {
    sets: Vec<LabelSet>,
    scores: Vec<f64>,
    margins: Vec<f64>,
    unproven: Vec<usize>,
    probabilities: Vec<f64>,
    listed: Vec<Vec<ProbableSet>>,
    abstained: Vec<usize>,
}

impl Collected {
    pub(super) fn push(&mut self, block: Decoded) {
        let start = self.sets.len();
        self.sets.extend(block.targets.iter().cloned());
        self.scores.extend(block.scores);
        self.margins.extend(block.margins);
        let unproven = block.unproven.iter();
        self.unproven.extend(unproven.map(|row| start + row));
        let abstained = block.abstained.iter();
        self.abstained.extend(abstained.map(|row| start + row));
        self.probabilities.extend(block.probabilities);
        self.listed.extend(block.listed);
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn finish(self, num_classes: usize) -> Result<Decoded> {
        Ok(Decoded {
            targets: Targets::new(num_classes, self.sets)?,
            scores: self.scores,
            margins: self.margins,
            unproven: self.unproven,
            probabilities: self.probabilities,
            listed: self.listed,
            abstained: self.abstained,
        })
    }
}

/// Goes on unless the callback says stop.
pub(super) fn ask<P>(progress: &mut impl FnMut(&P) -> ControlFlow<()>, state: &P) -> Result<()> {
    match progress(state) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}

/// The nearest label sets of all samples, without margins.
pub(super) fn decode_nearest(
    decoder: &OneNearestNeighbour,
    features: &Features,
) -> Result<Decoded> {
    let num_samples = features.num_samples();
    let mut collected = Collected::default();
    for start in (0..num_samples).step_by(BLOCK_LEN) {
        let rows = start..(start + BLOCK_LEN).min(num_samples);
        collected.push(decoder.decode(&features.rows_to_dense(rows))?);
    }
    collected.finish(decoder.num_classes())
}
