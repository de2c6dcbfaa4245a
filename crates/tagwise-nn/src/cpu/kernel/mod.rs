//! The arithmetic of the CPU device, one file per operation.
//!
//! Inner loops are written once and compiled for each [`KernelSet`]; the set is chosen once, at
//! run time. All parallel work is cut into pieces that do not depend on the number of threads, and
//! sums over pieces are taken in a fixed order, so results are the same bits on any thread count.

pub(crate) mod convolution;
pub(crate) mod dense;
pub(crate) mod layer;
pub(crate) mod norm;
pub(crate) mod norm_gradient;
pub(crate) mod output;
pub(crate) mod packed_weights;
pub(crate) mod peak;
pub(crate) mod pool;
mod register_tiles;
pub(crate) mod sgd;
pub(crate) mod shape;
pub(crate) mod simd;
mod tiles;
pub(crate) mod weight_gradient;
mod winograd;

use serde::{Deserialize, Serialize};

use crate::cpu::buffer::LINE;
use crate::{Error, Precision, Result};

/// Instruction sets that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KernelSet {
    /// What the build target guarantees.
    Portable,
    /// AVX2 and FMA, 256-bit registers.
    Avx2,
    /// AVX-512F, 512-bit registers.
    Avx512,
    /// AVX-512F with BW and BF16: products of two bf16 numbers in one instruction.
    #[serde(rename = "avx512-bf16")]
    Avx512Bf16,
    /// The same with AMX: products of whole tiles of bf16 numbers.
    Amx,
    /// What `Amx` does, in plain Rust.
    #[cfg(test)]
    EmulatedAmx,
}

impl KernelSet {
    /// All sets, the widest first.
    pub const ALL: [KernelSet; 5] = [
        KernelSet::Amx,
        KernelSet::Avx512Bf16,
        KernelSet::Avx512,
        KernelSet::Avx2,
        KernelSet::Portable,
    ];

    /// The spelling in `TAGWISE_KERNELS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelSet::Portable => "portable",
            KernelSet::Avx2 => "avx2",
            KernelSet::Avx512 => "avx512",
            KernelSet::Avx512Bf16 => "avx512-bf16",
            KernelSet::Amx => "amx",
            #[cfg(test)]
            KernelSet::EmulatedAmx => "emulated-amx",
        }
    }

    /// Whether it multiplies numbers in bf16 without widening them first.
    #[must_use]
    pub fn has_bf16(self) -> bool {
        match self {
            KernelSet::Portable | KernelSet::Avx2 | KernelSet::Avx512 => false,
            KernelSet::Avx512Bf16 | KernelSet::Amx => true,
            #[cfg(test)]
            KernelSet::EmulatedAmx => true,
        }
    }

    /// Whether this machine can run the set. On Linux the first call about `Amx` asks the system,
    /// where the processor has it, for the permission that the whole process needs.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            KernelSet::Portable => true,
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512 => {
                is_x86_feature_detected!("avx512f") && KernelSet::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512Bf16 => {
                is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512bf16")
                    && KernelSet::Avx512.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            KernelSet::Amx => KernelSet::Avx512Bf16.is_available() && tiles::amx::is_available(),
            #[cfg(test)]
            KernelSet::EmulatedAmx => true,
            #[cfg(not(target_arch = "x86_64"))]
            KernelSet::Avx2 | KernelSet::Avx512 | KernelSet::Avx512Bf16 | KernelSet::Amx => false,
        }
    }
}

/// A kernel set that this machine has been seen to support, and the precision to use it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    set: KernelSet,
    precision: Precision,
}

impl Kernels {
    /// The set named by the environment variable `TAGWISE_KERNELS` (`portable`, `avx2`,
    /// `avx512`, `avx512-bf16`, `amx`), or the widest one that this machine has.
    ///
    /// # Errors
    /// [`Error::Kernels`] for a name that does not exist or a set that this machine lacks.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("TAGWISE_KERNELS") {
            Ok(name) => Self::parse(&name),
            Err(_) => Ok(Self::widest()),
        }
    }

    /// The widest set that this machine has.
    #[must_use]
    pub fn widest() -> Self {
        let set = KernelSet::ALL.into_iter().find(|set| set.is_available());
        Self::of(set.unwrap_or(KernelSet::Portable))
    }

    /// This set, if the machine has it.
    ///
    /// # Errors
    /// [`Error::Kernels`] if it has not.
    pub fn select(set: KernelSet) -> Result<Self> {
        if set.is_available() {
            return Ok(Self::of(set));
        }
        Err(Error::Kernels(format!(
            "this machine lacks the instructions for {}; use one of {}",
            set.name(),
            available_names()
        )))
    }

    /// The set of this name, if the machine has it.
    fn parse(name: &str) -> Result<Self> {
        let set = KernelSet::ALL.into_iter().find(|set| set.name() == name);
        set.map_or_else(
            || {
                Err(Error::Kernels(format!(
                    "expected one of {}, found \"{name}\"",
                    available_names()
                )))
            },
            Self::select,
        )
    }

    fn of(set: KernelSet) -> Self {
        Self {
            set,
            precision: Precision::F32,
        }
    }

    /// The same kernels in another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The set in use.
    #[must_use]
    pub fn set(self) -> KernelSet {
        self.set
    }

    /// The precision in use.
    #[must_use]
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// What Winograd's products multiply: pairs of bf16 numbers only where an instruction does, as
    /// widening both factors costs more than reading them.
    pub(crate) fn factors(self) -> Precision {
        match self.set.has_bf16() {
            true => self.precision,
            false => Precision::F32,
        }
    }

    /// Whether products are taken by tiles.
    pub(crate) fn have_tiles(self) -> bool {
        let set_has_tiles = match self.set {
            KernelSet::Amx => true,
            #[cfg(test)]
            KernelSet::EmulatedAmx => true,
            _ => false,
        };
        set_has_tiles && self.precision == Precision::Bf16
    }

    /// How many output channels one block of packed weights holds when a layer has `width` of
    /// them (a multiple of [`CHANNEL_MULTIPLE`]).
    pub(crate) fn channel_block(self, width: usize) -> usize {
        let (lanes, max_vectors) = match self.set {
            KernelSet::Portable => (4, 2),
            KernelSet::Avx2 => (8, 2),
            KernelSet::Avx512 | KernelSet::Avx512Bf16 | KernelSet::Amx => (16, 4),
            #[cfg(test)]
            KernelSet::EmulatedAmx => (16, 4),
        };
        let vectors = width / lanes;
        let per_block = (1..=max_vectors).rev().find(|v| vectors.is_multiple_of(*v));
        per_block.unwrap_or(1) * lanes
    }
}

fn available_names() -> String {
    let names: Vec<_> = KernelSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
        .map(KernelSet::name)
        .collect();
    names.join(", ")
}

/// Activations and packed weights hold a multiple of this many channels; the surplus is zero.
pub(crate) const CHANNEL_MULTIPLE: usize = 16;

/// Channels stored for `channels` real ones.
pub(crate) fn padded_channels(channels: usize) -> usize {
    channels.next_multiple_of(CHANNEL_MULTIPLE)
}

/// A distance in memory of so many lanes or more: an odd number of cache lines, so that what lies at
/// multiples of it does not fall into one set of the cache.
fn odd_lines(lanes: usize) -> usize {
    const LANES_OF_A_LINE: usize = LINE / size_of::<f32>();
    (lanes.div_ceil(LANES_OF_A_LINE) | 1) * LANES_OF_A_LINE
}

/// Compiles a function of plain Rust loops once per kernel set and calls the chosen one: the
/// compiler vectorises the same source for each instruction set.
macro_rules! for_each_kernel_set {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $([$($generic:ident: $bound:path),*])?
        ($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($generic: $bound),*>)? (
            kernels: $crate::cpu::kernel::Kernels, $($arg: $type),*
        ) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn portable $(<$($generic: $bound),*>)? ($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2 $(<$($generic: $bound),*>)? ($($arg: $type),*) { portable($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512 $(<$($generic: $bound),*>)? ($($arg: $type),*) { portable($($arg),*) }
            match kernels.set() {
                // SAFETY: `Kernels` is made only after the features were detected.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::kernel::KernelSet::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::kernel::KernelSet::Avx512
                | $crate::cpu::kernel::KernelSet::Avx512Bf16
                | $crate::cpu::kernel::KernelSet::Amx => {
                    // SAFETY: as above.
                    unsafe { avx512($($arg),*) }
                }
                _ => portable($($arg),*),
            }
        }
    };
}
pub(crate) use for_each_kernel_set;

#[cfg(test)]
mod convolution_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_unavailable_kernel_set_is_an_error() {
        let error = Kernels::parse("sse9").unwrap_err().to_string();
        assert!(error.starts_with("TAGWISE_KERNELS: expected one of "));
        assert!(error.ends_with("found \"sse9\""));
        assert!(Kernels::parse("portable").is_ok());
        for set in KernelSet::ALL {
            assert_eq!(Kernels::select(set).is_ok(), set.is_available());
        }
    }
}
