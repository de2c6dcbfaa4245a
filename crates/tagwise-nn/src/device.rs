//! Where a network computes.

use std::fmt;

use crate::Precision;
use crate::Result;
use crate::cpu::kernel::Kernels;

/// The machine part that holds a network's memory and does its arithmetic: one explicit choice,
/// made when the network is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The processor, with the chosen kernels, on the current rayon thread pool.
    Cpu(Kernels),
}

impl Device {
    /// The processor with the kernels that `TAGWISE_KERNELS` names, or the widest it has.
    ///
    /// # Errors
    /// [`crate::Error::Kernels`] when the variable names a set that does not exist or that this
    /// machine lacks.
    pub fn cpu() -> Result<Self> {
        Ok(Device::Cpu(Kernels::from_environment()?))
    }

    /// The same device with its numbers stored in another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        let Device::Cpu(kernels) = self;
        Device::Cpu(kernels.with_precision(precision))
    }

    /// Whether the device has instructions for numbers of this precision. Without them bf16 is
    /// widened on every load and rounded on every store, and a step takes about as long as in f32.
    #[must_use]
    pub fn has_instructions_for(self, precision: Precision) -> bool {
        let Device::Cpu(kernels) = self;
        precision == Precision::F32 || kernels.set().has_bf16()
    }

    /// The name that users choose it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Device::Cpu(_) => "cpu",
        }
    }

    pub(crate) fn kernels(self) -> Kernels {
        let Device::Cpu(kernels) = self;
        kernels
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu(kernels) => {
                let (set, precision) = (kernels.set().name(), kernels.precision().name());
                write!(f, "cpu, {set} kernels, {precision}")
            }
        }
    }
}
