//! Saved statistics (.ncs): safetensors, so that any language can read them.
//!
//! Tensors: `label_sets.labels` and `label_sets.offsets` (ragged class indices), `counts` [L],
//! `square_sums` [L], `means` and `means_low` [L, d] (the mean is their sum), per multiplicity m
//! `scatter.m` (the lower triangle of the within-scatter, row by row), and `weight`, `bias` when
//! the samples came with a classifier. The header's metadata hold the format's name and version,
//! the number of classes, the dimension, the kind of scatter and the CRC-32 of it all.

mod read;

use std::path::Path;

use super::panel::PANEL_WIDTH;
use super::{ScatterKind, Statistics};
use crate::form::Form;
use crate::tensors::TensorWriter;
use crate::{Error, LinearClassifier, Result};

/// Saved statistics with the classifier that belongs to the features, if it is known.
///
/// ```
/// use tagwise::statistics::{Statistics, StatisticsFile};
/// use tagwise::{LabelSet, Targets};
///
/// let mut statistics = Statistics::new(2, 1);
/// statistics.update(&[1.0, 3.0], &Targets::new(2, [[0], [0]].map(LabelSet::new))?)?;
/// let bytes = StatisticsFile { statistics, classifier: None }.to_bytes();
/// let back = StatisticsFile::from_bytes(&bytes)?;
/// assert_eq!(back.statistics.set_mean(&LabelSet::new([0])), Some(vec![2.0]));
/// # Ok::<(), tagwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StatisticsFile {
    /// Counts, means and scatter.
    pub statistics: Statistics,
    /// The classifier on top of the features.
    pub classifier: Option<LinearClassifier>,
}

impl StatisticsFile {
    /// The statistics as bytes, to be kept, or to be merged on another machine. The same statistics
    /// give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tensors().to_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// Nothing larger than the bytes themselves is allocated before every size in them was
    /// compared with what is there.
    ///
    /// # Errors
    /// [`Error::Malformed`] with what is wrong when these are not the bytes of saved statistics:
    /// tensors that are missing or have other sizes, a wrong checksum, counts that are zero or too
    /// large together, numbers that are not finite, sums of squares below zero.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        read::parse(bytes)
    }

    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    ///
    /// ```
    /// # use tagwise::statistics::{Statistics, StatisticsFile};
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("shard.ncs");
    /// StatisticsFile { statistics: Statistics::new(2, 1), classifier: None }.write(&path)?;
    /// assert_eq!(StatisticsFile::read(&path)?.statistics.num_samples(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self, path: &Path) -> Result<()> {
        self.tensors().write(path)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&crate::file::read(path)?).map_err(|error| error.in_file(path))
    }

    /// Absorbs another part of the same stream.
    ///
    /// # Errors
    /// As [`Statistics::merge`]; [`Error::Undefined`] when the classifiers differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.classifier != other.classifier {
            return Err(Error::Undefined(
                "the parts come with different classifiers, so they are not parts of one network's features".into(),
            ));
        }
        self.statistics.merge(&other.statistics)
    }

    fn tensors(&self) -> TensorWriter<'_> {
        let mut writer = TensorWriter::new();
        let added = self.add_tensors(&mut writer);
        added.unwrap_or_else(|error| unreachable!("shapes are those of the values: {error}"));
        let statistics = &self.statistics;
        writer.describe_form(Form::Statistics);
        writer.describe("num_classes", statistics.num_classes.to_string());
        writer.describe("dim", statistics.dim.to_string());
        writer.describe("scatter", kind_name(statistics.kind));
        writer.add_checksum();
        writer
    }

    fn add_tensors<'a>(&'a self, writer: &mut TensorWriter<'a>) -> Result<()> {
        let statistics = &self.statistics;
        let (num_sets, dim) = (statistics.ids.len(), statistics.dim);
        let mut labels: Vec<u32> = Vec::new();
        let mut offsets = vec![0u64];
        for set in statistics.label_sets() {
            labels.extend(set.labels());
            offsets.push(labels.len() as u64);
        }
        writer.add_owned("label_sets.labels", &[labels.len()], labels)?;
        writer.add_owned("label_sets.offsets", &[offsets.len()], offsets)?;
        writer.add_owned("counts", &[num_sets], statistics.set_counts())?;
        writer.add_owned("square_sums", &[num_sets], statistics.set_square_sums())?;
        for (which, name) in ["means", "means_low"].into_iter().enumerate() {
            writer.add_owned(name, &[num_sets, dim], statistics.mean_parts(which))?;
        }
        for (multiplicity, scatter) in &statistics.scatters {
            let packed = scatter.to_packed();
            writer.add_owned(scatter_name(*multiplicity), &[packed.len()], packed)?;
        }
        if let Some(classifier) = &self.classifier {
            let sizes = [classifier.num_classes(), classifier.dim()];
            writer.add("weight", &sizes, classifier.weight.as_slice())?;
            writer.add("bias", &sizes[..1], &classifier.bias)?;
        }
        Ok(())
    }
}

impl Statistics {
    /// One of the two parts of every mean, set by set in order.
    fn mean_parts(&self, which: usize) -> impl Iterator<Item = f64> + '_ {
        self.ids.values().flat_map(move |&id| {
            (0..self.dim).map(move |column| {
                let panel = &self.panels[column / PANEL_WIDTH];
                panel.mean_parts(id, column % PANEL_WIDTH)[which]
            })
        })
    }
}

fn kind_name(kind: ScatterKind) -> &'static str {
    match kind {
        ScatterKind::Full => "full",
        ScatterKind::Trace => "trace",
    }
}

fn scatter_name(multiplicity: usize) -> String {
    format!("scatter.{multiplicity}")
}
