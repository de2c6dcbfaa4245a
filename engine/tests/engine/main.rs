//! The engine against the library, in this process and on clusters of real processes.
//!
//! One program, since linking it takes longer than running most of it.

mod clusters;
mod commands;
mod data;
mod equality;
mod failures;
mod refusals;
