//! Features with label sets, as `fit`, `decode` and `evaluate` read them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tagwise::Targets;
use tagwise::head::{Features, SparseRows};
use tagwise::snapshot::{FeatureValues, LinearClassifier, NonFinite, SnapshotFile};
use tagwise::statistics::Statistics;
use tagwise_data::table::{self, Table, TableOptions};

/// What a table does not say about itself.
#[derive(Debug, clap::Args)]
pub struct TableArguments {
    /// Mulan's XML list of the label attributes of an .arff file; without it the file must say
    /// "-C n" in its @relation, as MEKA's do
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Attributes of an .arff file that are neither features nor labels, such as genbase's protein
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    leave_out: Vec<String>,

    /// Number of classes K of a LIBSVM file when labels above the largest that occurs belong to it
    #[arg(long, short = 'k', value_name = "K")]
    classes: Option<usize>,

    /// Number of features d of a LIBSVM file when features above the largest that occurs belong to
    /// it
    #[arg(long, value_name = "D")]
    dim: Option<usize>,
}

/// What a file of samples holds.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `[N, d]` in f64, sparse where the file is.
    pub features: Features,
    pub targets: Targets,
    /// What the K classes are called, where the file says so.
    pub label_names: Option<Vec<String>>,
    pub classifier: Option<LinearClassifier>,
}

/// Numbers of classes and features that another file has set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    pub num_classes: Option<usize>,
    pub dim: Option<usize>,
}

impl TableArguments {
    /// Reads samples from .safetensors, .npz, a folder of .npy files, .parquet, .arff, .txt of the
    /// Extreme Classification Repository, .svm or .libsvm. A LIBSVM file, which does not say how
    /// many classes and features there are, has as many as the command line or `expected` says.
    ///
    /// # Errors
    /// When the file cannot be read, is no such file, or holds NaN or infinity.
    pub fn read(&self, path: &Path, expected: Expected) -> anyhow::Result<Samples> {
        if table::Kind::of(path).is_some() {
            let options = TableOptions {
                label_list: self.labels.clone(),
                left_out: self.leave_out.clone(),
                num_features: self.dim.or(expected.dim),
                num_classes: self.classes.or(expected.num_classes),
                ..TableOptions::default()
            };
            return Samples::of_table(path, table::read(path, &options)?);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("safetensors" | "npz" | "npy" | "parquet") => Samples::of_snapshot(path),
            Some("pt" | "pth" | "pkl" | "pickle" | "bin") => Samples::of_snapshot(path),
            _ if path.is_dir() || path.to_string_lossy().contains('*') => {
                Samples::of_snapshot(path)
            }
            _ => anyhow::bail!(
                "{}: expected a file that ends in .safetensors, .npz, .parquet, .arff, .txt, .svm \
                 or .libsvm, or a folder of .npy files",
                path.display()
            ),
        }
    }
}

impl Samples {
    fn of_snapshot(path: &Path) -> anyhow::Result<Self> {
        let snapshot = SnapshotFile::open(path, NonFinite::Refuse)?.to_snapshot()?;
        let features = match snapshot.features() {
            FeatureValues::F32(values) => values.iter().map(|&x| x.into()).collect(),
            FeatureValues::F64(values) => values.clone(),
        };
        Ok(Self {
            features: Features::from_dense(features, snapshot.dim())
                .with_context(|| path.display().to_string())?,
            targets: snapshot.targets().clone(),
            label_names: None,
            classifier: snapshot.classifier().cloned(),
        })
    }

    fn of_table(path: &Path, table: Table) -> anyhow::Result<Self> {
        let features = match table.features {
            table::Features::Dense {
                num_features,
                values,
            } => {
                let values = values.into_iter().map(f64::from).collect();
                Features::from_dense(values, num_features)
            }
            table::Features::Sparse(rows) => {
                let entries = |row: usize| {
                    let (columns, values) = rows.row(row);
                    let values = values.iter().map(|&value| f64::from(value));
                    columns.iter().copied().zip(values)
                };
                let entries = (0..rows.num_rows()).map(entries);
                SparseRows::new(rows.num_features, entries).map(Features::Sparse)
            }
        };
        Ok(Self {
            features: features.with_context(|| path.display().to_string())?,
            targets: table.targets,
            label_names: table.label_names,
            classifier: None,
        })
    }

    /// What other files that belong to these samples must have.
    pub fn size(&self) -> Expected {
        Expected {
            num_classes: Some(self.targets.num_classes()),
            dim: Some(self.features.dim()),
        }
    }

    /// Says in one sentence when these samples do not fit `expected`, which `source` has set.
    pub fn check(&self, path: &Path, expected: Expected, source: &str) -> anyhow::Result<()> {
        if let Some(dim) = expected.dim {
            anyhow::ensure!(
                self.features.dim() == dim,
                "expected {dim} features like {source}, found {} in {}",
                self.features.dim(),
                path.display()
            );
        }
        if let Some(num_classes) = expected.num_classes {
            anyhow::ensure!(
                self.targets.num_classes() == num_classes,
                "expected {num_classes} classes like {source}, found {} in {}",
                self.targets.num_classes(),
                path.display()
            );
        }
        Ok(())
    }

    /// These samples, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(rows),
            targets: self.targets.select(rows.iter().copied()),
            label_names: self.label_names.clone(),
            classifier: self.classifier.clone(),
        }
    }
}

/// Rows that are written out with their zeros at a time.
const BLOCK_LEN: usize = 1024;

/// The statistics of features, block by block: sparse features are never dense as a whole.
pub fn statistics(features: &Features, targets: &Targets) -> anyhow::Result<Statistics> {
    let mut statistics = Statistics::new(targets.num_classes(), features.dim());
    for start in (0..targets.len()).step_by(BLOCK_LEN) {
        let rows = start..(start + BLOCK_LEN).min(targets.len());
        let block = features.rows_to_dense(rows.clone());
        statistics.update(&block, &targets.select(rows))?;
    }
    Ok(statistics)
}
