//! The mathematics of multi-label neural collapse.
//!
//! A multi-label network trained with the pick-all-labels (PAL) cross-entropy ends in a rigid
//! geometry: single-label class means and classifier rows form a simplex equiangular tight frame
//! (ETF), and the mean of a multi-label set is a scaled sum of the means of its labels, the
//! *tag-wise average* (Li, Li, Wang, Qu, ICML 2024, arXiv 2310.15903).
//!
//! This crate holds the mathematics only: no tensors, no images, no training loop. Matrices are
//! [`faer::Mat`]; a data set's features are a row-major slice of `N·d` numbers. Label sets,
//! classifiers and files of features are those of `tagwise-base`, under their names here.
//!
//! ```
//! use tagwise::etf::simplex_etf;
//!
//! let classifier = simplex_etf(3, 3)?; // [K, d], unit rows
//! let cosine: f64 = (0..3).map(|j| classifier[(0, j)] * classifier[(1, j)]).sum();
//! assert!((cosine + 0.5).abs() < 1e-12); // −1/(K−1)
//! # Ok::<(), tagwise::Error>(())
//! ```

pub mod collapse;
pub mod decode;
pub mod etf;
pub mod evaluate;
pub mod head;
mod interrupt;
mod kernel;
pub mod loss;
pub mod matrix;
pub mod minimize;
pub mod names;
pub mod predict;
mod product;
pub mod split;
pub mod statistics;
pub mod ufm;

pub use interrupt::GoOn;
pub use tagwise_base::{
    ClassifierKind, Error, ImageShape, LabelSet, LinearClassifier, Result, Targets,
};
pub use tagwise_base::{features, file, form, label, onnx, snapshot, tensors, wire, words};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
