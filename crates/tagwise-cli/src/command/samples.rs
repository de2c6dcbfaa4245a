//! The arguments that say how tables are read.

use std::path::{Path, PathBuf};

use tagwise::Targets;
use tagwise::head::Features;
use tagwise::statistics::Statistics;
use tagwise_data::table::TableOptions;

pub use tagwise_data::samples::{Samples, Sizes as Expected};

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

impl TableArguments {
    /// Reads samples; a LIBSVM file, which does not say how many classes and features there are,
    /// has as many as the command line or `expected` says.
    ///
    /// # Errors
    /// As [`Samples::read`].
    pub fn read(&self, path: &Path, expected: Expected) -> tagwise_data::Result<Samples> {
        let options = TableOptions {
            label_list: self.labels.clone(),
            left_out: self.leave_out.clone(),
            num_features: self.dim.or(expected.dim),
            num_classes: self.classes.or(expected.num_classes),
            ..TableOptions::default()
        };
        Samples::read(path, &options)
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
