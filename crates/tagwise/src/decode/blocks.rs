//! Many samples decoded block by block, so that sparse features and logits are never dense as a
//! whole.

use std::ops::{ControlFlow, Range};

use super::nearest::{Decoded, OneNearestNeighbour};
use crate::head::Features;
use crate::{Error, Result, Targets};

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

/// What `decode` finds for one block after the other; `progress` is asked before each.
pub(super) fn in_blocks(
    num_classes: usize,
    num_samples: usize,
    mut progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
    mut decode: impl FnMut(Range<usize>) -> Result<Decoded>,
) -> Result<Decoded> {
    let mut sets = Vec::with_capacity(num_samples);
    let (mut scores, mut margins, mut unproven) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..num_samples).step_by(BLOCK_LEN) {
        let state = DecodeProgress {
            num_decoded: start,
            num_samples,
        };
        if progress(&state).is_break() {
            return Err(Error::Interrupted);
        }
        let block = decode(start..(start + BLOCK_LEN).min(num_samples))?;
        sets.extend(block.targets.iter().cloned());
        scores.extend(block.scores);
        margins.extend(block.margins);
        unproven.extend(block.unproven.iter().map(|row| start + row));
    }
    Ok(Decoded {
        targets: Targets::new(num_classes, sets)?,
        scores,
        margins,
        unproven,
    })
}

/// The nearest label sets of all samples; with margins when the best two are wanted.
pub(super) fn decode_nearest(
    decoder: &OneNearestNeighbour,
    features: &Features,
    wanted: usize,
    progress: impl FnMut(&DecodeProgress) -> ControlFlow<()>,
) -> Result<Decoded> {
    in_blocks(
        decoder.num_classes(),
        features.num_samples(),
        progress,
        |rows| decoder.decode_best(&features.rows_to_dense(rows), wanted),
    )
}
