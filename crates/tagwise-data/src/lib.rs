//! Multi-label data sets for Tagwise: source images with one label each, and images composed of
//! several of them.
//!
//! ```
//! use tagwise_data::{ComposeSpec, ComposedImages, Sources, digits};
//!
//! let (train, test) = Sources::all(digits::load()).split_off(0.2, 0)?;
//! let spec = ComposeSpec { per_multiplicity: vec![100, 10], ..ComposeSpec::default() };
//! let images = ComposedImages::new(&train, &spec, 7)?; // M-lab digits
//! assert_eq!(images.len(), 10 * 100 + 45 * 10);
//!
//! let mut pixels = vec![0.0; images.shape().num_elements()]; // [16, 16, 1]
//! images.compose_into(0, &mut pixels);
//! assert_eq!(images.targets().set(0).to_string(), "{0}");
//! # assert_eq!(test.members().len() + train.members().len(), 1797);
//! # Ok::<(), tagwise_data::Error>(())
//! ```

mod cache;
pub mod compose;
pub mod digits;
mod error;
pub mod export;
#[cfg(feature = "fetch")]
pub mod fetch;
mod images;
pub mod own;
pub mod preview;
pub mod read;
pub mod samples;
mod source;
mod sources;
mod stored;
pub mod table;

pub use cache::data_folder;
pub use compose::{ComposeSpec, ComposedImages, LabelSetCount, MAX_LABELS, Placement};
pub use error::{Error, Result};
pub use images::LabelledImages;
pub use source::{Counts, Download, Entry, Images, PartCounts, RemoteFile, Source};
pub use sources::Sources;
pub use stored::{ImageSet, Normalisation, StoredImages};
pub use tagwise::ImageShape;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
