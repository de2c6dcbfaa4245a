//! The arguments that say how files of samples are read.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tagwise::snapshot::{ArrayNames, NonFinite, SampleStream};
use tagwise_data::samples::{Labels, SampleFile};
use tagwise_data::table::text::Indexing;
use tagwise_data::table::{TableOptions, Unlabelled};

use super::values::whole;
use crate::failure::Usage;
use crate::terminal::tell;

pub use tagwise_data::samples::{Samples, Sizes as Expected};

/// What a file of samples does not say about itself.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
pub struct FormatArguments {
    /// Mulan's XML list of the label attributes of an .arff file; without it the file must say
    /// "-C n" in its @relation, as MEKA's do
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Attributes or columns of a table that are neither features nor labels, such as genbase's
    /// protein
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    leave_out: Vec<String>,

    /// Columns of a .csv file, or attributes of an .arff file, that are labels: one of 0 and 1 for
    /// each label, or one column of lists such as "a;b"; NAME* stands for all that start so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    label_columns: Vec<String>,

    /// A file of its own for the labels: any that has labels, such as a .npy array or a sparse
    /// matrix of SciPy (.npz)
    #[arg(long, value_name = "FILE")]
    label_file: Option<PathBuf>,

    /// What the classes are called, in their order; @FILE reads them from a file, one a line
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    class_names: Vec<String>,

    /// Features of a LIBSVM file are numbered from 0, as scikit-learn writes them; without it they
    /// are where a feature 0 occurs
    #[arg(long)]
    zero_based: bool,

    /// The array that holds the features, where its name does not say so
    #[arg(long, value_name = "ARRAY")]
    features_key: Option<String>,

    /// The array that holds the labels, where its name does not say so
    #[arg(long, value_name = "ARRAY")]
    targets_key: Option<String>,
}

impl FormatArguments {
    /// The files that they name.
    pub fn files(&self) -> Vec<PathBuf> {
        let of_names = self
            .class_names
            .first()
            .and_then(|name| name.strip_prefix('@'));
        let named = [
            self.labels.clone(),
            self.label_file.clone(),
            of_names.map(PathBuf::from),
        ];
        named.into_iter().flatten().collect()
    }

    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The same for the readers.
    ///
    /// # Errors
    /// When a file of class names cannot be read.
    pub fn options(&self) -> anyhow::Result<TableOptions> {
        Ok(TableOptions {
            label_list: self.labels.clone(),
            label_columns: self.label_columns.clone(),
            left_out: self.leave_out.clone(),
            label_file: self.label_file.clone(),
            class_names: self.names_of_classes()?,
            indexing: match self.zero_based {
                true => Indexing::ZeroBased,
                false => Indexing::Detect,
            },
            arrays: ArrayNames {
                features: self.features_key.clone(),
                targets: self.targets_key.clone(),
                ..ArrayNames::default()
            },
            ..TableOptions::default()
        })
    }

    fn names_of_classes(&self) -> anyhow::Result<Option<Vec<String>>> {
        let names = match self.class_names.as_slice() {
            [] => return Ok(None),
            [file] if file.starts_with('@') => {
                let file = &file[1..];
                let text = super::read_text(Path::new(file)).with_context(|| file.to_string())?;
                let lines = text.lines().map(str::trim);
                lines
                    .filter(|line| !line.is_empty())
                    .map(str::to_string)
                    .collect()
            }
            names => names.to_vec(),
        };
        let mut sorted = names.clone();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(Usage(format!(
                "expected every name in --class-names once, found {:?} twice",
                twice[0]
            ))
            .into()),
            None => Ok(Some(names)),
        }
    }
}

/// What is known of samples before they are read, from those that they belong to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Like<'a> {
    /// Their numbers of classes and features.
    pub sizes: Expected,
    /// What their classes are called.
    pub names: Option<&'a [String]>,
}

/// What a table does not say about itself.
#[derive(Debug, clap::Args)]
pub struct TableArguments {
    #[command(flatten)]
    format: FormatArguments,

    /// Number of classes K where labels are numbers and those above the largest that occurs belong
    /// to them
    #[arg(long, short = 'k', value_name = "K", value_parser = whole)]
    classes: Option<usize>,

    /// Number of features d of a LIBSVM file when features above the largest that occurs belong to
    /// it
    #[arg(long, value_name = "D", value_parser = whole)]
    dim: Option<usize>,
}

impl TableArguments {
    /// The files that they name.
    pub fn files(&self) -> Vec<PathBuf> {
        self.format.files()
    }

    /// Reads samples; a LIBSVM file, which does not say how many classes and features there are,
    /// has as many as the command line or `expected` says. What the reader decided goes to stderr.
    ///
    /// # Errors
    /// As [`Samples::read`].
    pub fn read(&self, path: &Path, expected: Like<'_>) -> anyhow::Result<Samples> {
        self.read_as(path, expected, Unlabelled::Refuse)
    }

    /// As [`read`](Self::read), for samples that are to be decoded: they may be without labels.
    ///
    /// # Errors
    /// As [`Samples::read`].
    pub fn read_new(&self, path: &Path, expected: Like<'_>) -> anyhow::Result<Samples> {
        self.read_as(path, expected, Unlabelled::Keep)
    }

    /// As [`read_new`](Self::read_new), block by block where the file lies.
    ///
    /// # Errors
    /// As [`SampleFile::open`].
    pub fn open_new(&self, path: &Path, expected: Like<'_>) -> anyhow::Result<SampleFile> {
        let options = self.options(expected, Unlabelled::Keep)?;
        let file = SampleFile::open(path, &options, NonFinite::Refuse)?;
        say(path, file.notes());
        self.check_classes(path, file.targets().num_classes())?;
        Ok(file)
    }

    /// Reads only labels, and says nothing.
    ///
    /// # Errors
    /// As [`Labels::read`].
    pub fn read_labels(&self, path: &Path, expected: Like<'_>) -> anyhow::Result<Labels> {
        let labels = Labels::read(path, &self.options(expected, Unlabelled::Refuse)?)?;
        self.check_classes(path, labels.targets.num_classes())?;
        Ok(labels)
    }

    fn read_as(
        &self,
        path: &Path,
        expected: Like<'_>,
        unlabelled: Unlabelled,
    ) -> anyhow::Result<Samples> {
        let samples = Samples::read(path, &self.options(expected, unlabelled)?)?;
        say(path, &samples.notes);
        self.check_classes(path, samples.targets.num_classes())?;
        Ok(samples)
    }

    fn options(&self, expected: Like<'_>, unlabelled: Unlabelled) -> anyhow::Result<TableOptions> {
        Ok(TableOptions {
            num_features: self.dim.or(expected.sizes.dim),
            num_classes: self.classes.or(expected.sizes.num_classes),
            expected_names: expected.names.map(<[String]>::to_vec),
            unlabelled,
            ..self.format.options()?
        })
    }

    /// Files that state the number of classes may state another one than the command line.
    fn check_classes(&self, path: &Path, found: usize) -> anyhow::Result<()> {
        check_classes(self.classes, path, found)
    }
}

/// Whether a file has as many classes as `--classes` says, where it says anything.
///
/// # Errors
/// When it has another number.
pub fn check_classes(expected: Option<usize>, path: &Path, found: usize) -> anyhow::Result<()> {
    match expected.filter(|&expected| expected != found) {
        None => Ok(()),
        Some(expected) => anyhow::bail!(
            "{}: expected {expected} classes as --classes says, found {found}",
            path.display()
        ),
    }
}

/// Says on stderr what a reader decided.
pub fn say(path: &Path, notes: &[String]) {
    for note in notes {
        tell!("{}: {note}", path.display());
    }
}
