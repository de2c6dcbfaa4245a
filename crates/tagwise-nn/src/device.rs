//! Where a network computes.

use std::fmt;

use crate::Result;
use crate::kernel::Kernels;

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
            Device::Cpu(kernels) => write!(f, "cpu, {} kernels", kernels.set().name()),
        }
    }
}
