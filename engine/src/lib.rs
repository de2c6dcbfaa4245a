//! Tagwise over tables: statistics, decoding and evaluation as functions of Apache DataFusion, and
//! with the same names on every machine of a Ballista cluster.
//!
//! [`function`] has the functions, [`session`] registers them and holds the settings that they need,
//! [`source`] the files, and [`workflow`] what the commands of `tagwise-cluster` do. Statistics merge
//! in the order in which parts arrive: counts are exact, all other numbers agree with those of
//! `tagwise stats` to about 1e-12, not to the bit.

pub mod cluster;
mod error;
pub mod function;
pub mod session;
pub mod source;
pub mod workflow;

pub use error::{Error, Result};
