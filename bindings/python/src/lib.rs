//! The compiled part of the Python package `tagwise`: NumPy arrays in, named numbers out.
//!
//! What a person calls is Python, in `python/tagwise`; it hands over arrays of known kinds and
//! settings as JSON, so that every setting has one definition, that of the library. This crate
//! borrows the arrays, releases the interpreter while it works, watches for Ctrl-C and turns errors
//! into exceptions.

mod analysis;
mod arrays;
mod decoder;
mod error;
mod evaluation;
mod features;
mod geometry;
mod head;
mod json;
mod label_sets;
mod loss;
mod page;
mod pool;
mod statistics;
mod ufm;
mod work;

use pyo3::prelude::*;

/// The module `tagwise._core`.
///
/// Nothing in it relies on the interpreter's lock: classes are frozen, what changes stands behind
/// mutexes, and arrays are borrowed. It says that it does until it has run without one.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::analysis::{Analysis, analyze};
    #[pymodule_export]
    use crate::decoder::{Decoder, LogitRule};
    #[pymodule_export]
    use crate::evaluation::{EvaluationCounts, evaluate};
    #[pymodule_export]
    use crate::geometry::{simplex_etf, simplex_etf_error, stratified_folds};
    #[pymodule_export]
    use crate::head::Head;
    #[pymodule_export]
    use crate::label_sets::LabelSets;
    #[pymodule_export]
    use crate::loss::{loss_and_gradient, loss_settings, losses};
    #[pymodule_export]
    use crate::page::Page;
    #[pymodule_export]
    use crate::pool::{get_num_threads, set_num_threads};
    #[pymodule_export]
    use crate::statistics::Statistics;
    #[pymodule_export]
    use crate::ufm::UfmSolution;
    #[pymodule_export]
    use crate::work::{_num_stopped, _panic};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
