//! Placeholder crate docs, replaced with the first module.
