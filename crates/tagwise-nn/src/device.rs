//! Where a network computes.

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

    pub(crate) fn kernels(self) -> Kernels {
        let Device::Cpu(kernels) = self;
        kernels
    }
}
