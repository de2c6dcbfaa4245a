//! What every part of Tagwise shares, and nothing heavier: label sets, the linear classifier, the
//! simplex ETF, and the files that features come in.
//!
//! ```
//! use tagwise_base::etf::simplex_etf;
//! use tagwise_base::{LabelSet, Targets};
//!
//! let targets = Targets::new(3, [vec![0], vec![1, 2]].map(LabelSet::new))?;
//! assert_eq!(targets.max_multiplicity(), 2);
//! let etf = simplex_etf(3, 3)?; // [K, d], unit rows
//! let cosine: f64 = (0..3).map(|j| etf[(0, j)] * etf[(1, j)]).sum();
//! assert!((cosine + 0.5).abs() < 1e-12); // −1/(K−1)
//! # Ok::<(), tagwise_base::Error>(())
//! ```

mod classifier;
mod error;
pub mod etf;
pub mod features;
pub mod file;
pub mod form;
mod image_shape;
pub mod label;
pub mod matrix;
pub mod onnx;
pub mod snapshot;
pub mod tensors;
pub mod wire;
pub mod words;

pub use classifier::{ClassifierKind, LinearClassifier};
pub use error::{Error, Result};
pub use image_shape::ImageShape;
pub use label::{LabelSet, Targets};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
