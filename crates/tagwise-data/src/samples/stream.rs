use std::path::Path;

use tagwise_base::snapshot::{
    self, FeatureRows, FeatureValues, LabelsIn, NonFinite, OpenOptions, SampleStream, Snapshot,
    SnapshotFile,
};
use tagwise_base::{LinearClassifier, Targets};

use super::{check_class_names, is_sparse_file, with_label_file};
use crate::table::{self, TableOptions, Unlabelled};
use crate::{Error, Result};

/// Tables become dense in memory up to so many numbers, 8 GiB.
const MAX_DENSE: usize = 1 << 31;

/// Samples that are read block by block: a file of arrays, or a table in memory.
#[derive(Debug)]
pub struct SampleFile {
    source: Source,
    class_names: Option<Vec<String>>,
    notes: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Arrays(SnapshotFile),
    Table(Snapshot),
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
        if table::Kind::of(path).is_some() || options.label_file.is_some() || is_sparse_file(path)?
        {
            return Self::of_table(path, options);
        }
        let labels = match options.unlabelled {
            Unlabelled::Refuse => LabelsIn::Required,
            Unlabelled::Keep => LabelsIn::Optional,
        };
        let open = OpenOptions {
            non_finite,
            labels,
            names: options.arrays.clone(),
        };
        let file = SnapshotFile::open_with(path, &open)?;
        let own_names = file.class_names().map(<[String]>::to_vec);
        Ok(Self {
            class_names: check_class_names(path, options, file.targets(), own_names)?,
            notes: file.notes().to_vec(),
            source: Source::Arrays(file),
        })
    }

    fn of_table(path: &Path, options: &TableOptions) -> Result<Self> {
        let table = with_label_file(path, options)?;
        super::expect_features(path, &table)?;
        let (num_rows, dim) = (table.features.num_rows(), table.features.num_features());
        if num_rows.saturating_mul(dim) > MAX_DENSE {
            return Err(Error::format(
                path,
                format!(
                    "expected at most {MAX_DENSE} numbers, found {num_rows} rows of {dim} features; choose fewer features"
                ),
            ));
        }
        let values = FeatureValues::F32(table.features.to_dense());
        let snapshot = Snapshot::new(values, dim, table.targets, None)
            .map_err(|error| Error::within(path, error))?;
        Ok(Self {
            source: Source::Table(snapshot),
            class_names: table.label_names,
            notes: table.notes,
        })
    }

    /// The classifier, if the file has one.
    pub fn classifier(&self) -> Option<&LinearClassifier> {
        match &self.source {
            Source::Arrays(file) => file.classifier(),
            Source::Table(_) => None,
        }
    }

    /// What the K classes are called, where the file or the options say so.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// What the reader decided or passed over.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Rows of the file that were left out because of NaN or infinity.
    pub fn skipped(&self) -> &[usize] {
        match &self.source {
            Source::Arrays(file) => file.skipped(),
            Source::Table(_) => &[],
        }
    }

    /// The row in the file of a sample.
    pub fn row_of(&self, sample: usize) -> usize {
        match &self.source {
            Source::Arrays(file) => file.row_of(sample),
            Source::Table(_) => sample,
        }
    }
}

impl SampleStream for SampleFile {
    fn dim(&self) -> usize {
        match &self.source {
            Source::Arrays(file) => file.dim(),
            Source::Table(snapshot) => snapshot.dim(),
        }
    }

    fn targets(&self) -> &Targets {
        match &self.source {
            Source::Arrays(file) => file.targets(),
            Source::Table(snapshot) => snapshot.targets(),
        }
    }

    fn for_each_block(
        &self,
        visit: &mut dyn FnMut(usize, FeatureRows<'_>) -> tagwise_base::Result<()>,
    ) -> tagwise_base::Result<()> {
        match &self.source {
            Source::Arrays(file) => file.for_each_block(visit),
            Source::Table(snapshot) => snapshot::SampleStream::for_each_block(snapshot, visit),
        }
    }
}
