//! Samples that are read block by block.

use std::path::Path;

use tagwise_base::snapshot::{FeatureRows, NonFinite, SampleStream, Snapshot, SnapshotFile};
use tagwise_base::{LinearClassifier, Targets};

use super::Sizes;
use super::open::{FileKind, Held, Opened};
use crate::Result;
use crate::table::TableOptions;

/// Samples that are read block by block: a file of arrays, or a table in memory.
#[derive(Debug)]
pub struct SampleFile {
    source: Source,
    class_names: Option<Vec<String>>,
    unlabelled: Vec<usize>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Arrays(SnapshotFile),
    Memory(Snapshot),
}

impl SampleFile {
    /// Opens any file that [`Samples::read`](super::Samples::read) reads.
    ///
    /// ```
    /// use tagwise_base::snapshot::{NonFinite, SampleStream};
    /// use tagwise_data::samples::SampleFile;
    /// use tagwise_data::table::TableOptions;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("two.csv");
    /// std::fs::write(&path, "x,y,labels\n1,2,cat;dog\n3,4,ant\n")?;
    /// let file = SampleFile::open(&path, &TableOptions::default(), NonFinite::Refuse)?;
    /// assert_eq!((file.dim(), file.targets().num_classes()), (2, 3));
    /// assert_eq!(file.class_names().unwrap(), ["ant", "cat", "dog"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Samples::read`](super::Samples::read); sparse tables also when they have too many
    /// numbers with their zeros.
    pub fn open(path: &Path, options: &TableOptions, non_finite: NonFinite) -> Result<Self> {
        let opened = Opened::open(path, options, non_finite)?;
        Ok(Self {
            source: match opened.held {
                Held::Arrays(file) => Source::Arrays(*file),
                held => Source::Memory(held.into_snapshot(path, opened.targets)?),
            },
            class_names: opened.label_names,
            unlabelled: opened.unlabelled,
            notes: opened.notes,
        })
    }

    /// Whether a file is read block by block where it lies, rather than in memory and perhaps sparse
    /// as [`Samples::read`](super::Samples::read) has it.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) when the ending says nothing or an archive is
    /// damaged, [`Error::Io`](crate::Error::Io) when it cannot be read.
    pub fn is_streamed(path: &Path) -> Result<bool> {
        Ok(FileKind::of(path)? == FileKind::Arrays)
    }

    /// What other files that belong to these samples must have.
    pub fn size(&self) -> Sizes {
        Sizes {
            num_classes: Some(self.targets().num_classes()),
            dim: Some(self.dim()),
        }
    }

    /// The classifier, if the file has one.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        match &self.source {
            Source::Arrays(file) => file.classifier(),
            Source::Memory(_) => None,
        }
    }

    /// What the K classes are called, where the file or the options say so.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Samples without known labels, in order; empty unless
    /// [`Unlabelled::Keep`](crate::table::Unlabelled::Keep) was asked for.
    pub fn unlabelled(&self) -> &[usize] {
        &self.unlabelled
    }

    /// What the reader decided or passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Rows of the file that were left out because of NaN or infinity.
    pub fn skipped(&self) -> &[usize] {
        match &self.source {
            Source::Arrays(file) => file.skipped(),
            Source::Memory(_) => &[],
        }
    }

    /// The row in the file of a sample.
    pub fn row_of(&self, sample: usize) -> usize {
        match &self.source {
            Source::Arrays(file) => file.row_of(sample),
            Source::Memory(_) => sample,
        }
    }
}

impl SampleStream for SampleFile {
    fn dim(&self) -> usize {
        match &self.source {
            Source::Arrays(file) => file.dim(),
            Source::Memory(snapshot) => snapshot.dim(),
        }
    }

    fn targets(&self) -> &Targets {
        match &self.source {
            Source::Arrays(file) => file.targets(),
            Source::Memory(snapshot) => snapshot.targets(),
        }
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> tagwise_base::Result<()>,
    ) -> tagwise_base::Result<()> {
        match &self.source {
            Source::Arrays(file) => file.for_each_block(visit),
            Source::Memory(snapshot) => snapshot.for_each_block(visit),
        }
    }
}
