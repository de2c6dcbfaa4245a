//! The engine on the processor: everything that knows how numbers lie in memory.
//!
//! Below each other: `bf16` (a number), `parallel` (pieces for the thread pool), `buffer` (aligned memory), `activations` (memory in one of
//! two precisions), `kernel` (arithmetic), `block` (layers with forward and backward passes),
//! `network` and `optimizer`; each uses only those before it.

pub(crate) mod activations;
pub(crate) mod bf16;
pub(crate) mod block;
pub(crate) mod buffer;
pub(crate) mod kernel;
mod memory;
mod network;
mod optimizer;
mod parallel;
mod rates;

pub use kernel::{KernelSet, Kernels};
pub use memory::{MemoryEstimate, memory_estimate};
pub use network::Network;
pub use optimizer::{Sgd, SgdConfig};
pub use rates::{LayerRate, layer_rates, peak_rate};
