//! How numbers are stored.

use serde::{Deserialize, Serialize};

/// How activations, convolution outputs, gradients between layers and the weights that multiply them
/// are stored. Sums are taken in f32 in both, and so are the parameters that an optimiser moves and
/// all statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// Eight significant bits, half the memory; products take half the time where the processor
    /// has instructions for them.
    Bf16,
}

impl Precision {
    /// The spelling in experiment files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }

    /// Numbers in a lane of 32 bits.
    pub(crate) fn per_lane(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 => 2,
        }
    }
}
