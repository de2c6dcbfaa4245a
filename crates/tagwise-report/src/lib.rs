//! Self-contained HTML reports of multi-label neural collapse.
//!
//! A [`Report`] is plain data: key figures, curves, the geometry of class means and classifier, the
//! plane of three classes, example images and tables. [`render`] turns it into one HTML file that
//! needs no network, no font and no script to be read; [`compare`] lays several reports over each
//! other. Every part can also be drawn alone as SVG ([`standalone_svg`]), and a [`Table`] prints
//! itself for the terminal. [`build`] makes reports of results, [`Page`] writes them.
//!
//! The feature `train` (on by default) adds the pages of training runs and with them the training
//! engine; without it this crate needs the mathematics only.
//!
//! ```
//! use tagwise::collapse::{CollapseMetric, Evidence, Headline};
//! use tagwise_report::{Axis, Card, Chart, Report, Series, render};
//!
//! let mut chart = Chart::new("Within-class variability", Axis::linear("epoch"), Axis::log("NC1"));
//! chart.series.push(Series::new("one label", [(1.0, 2.4), (2.0, 0.31), (3.0, 0.02)]));
//! let nc1 = CollapseMetric::Nc1 { multiplicity: 1 };
//! let nc1 = Headline::new(nc1, Some(0.02), Evidence::default());
//! let report = Report {
//!     title: "M-lab digits".into(),
//!     cards: vec![Card::headline(&nc1)],
//!     curves: vec![chart],
//!     ..Report::default()
//! };
//! let html = render(&report)?;
//! assert!(html.starts_with("<!doctype html>") && html.contains("NC1"));
//! # Ok::<(), tagwise_report::Error>(())
//! ```

pub mod build;
mod card;
mod chart;
mod compare;
mod contact_sheet;
mod csv;
mod error;
mod file;
#[cfg(feature = "train")]
pub mod frames;
mod geometry;
mod heat_map;
#[cfg(feature = "live")]
pub mod live;
mod markup;
mod number;
mod page;
mod palette;
#[cfg(feature = "train")]
mod pictures;
pub mod plane;
mod raster;
mod scale;
mod scatter;
mod sprite;
mod table;
#[cfg(feature = "train")]
pub mod tensorboard;

pub use card::{Card, CardVerdict};
pub use chart::{Axis, Chart, Reference, Series};
pub use compare::compare;
pub use contact_sheet::{ContactSheet, Example};
pub use error::{Error, Result};
pub use file::{Page, PageFormat};
pub use geometry::Geometry;
pub use heat_map::{HeatMap, OffDiagonal};
pub use number::{format_count, format_number, typeset_number};
pub use page::{Kind, Report, render, standalone_svg};
#[cfg(feature = "train")]
pub use pictures::EpochPictures;
pub use raster::Picture;
pub use scale::Scale;
pub use scatter::{Arm, Average, Cloud, Scatter};
pub use table::{Better, Cell, Column, Format, Table};
