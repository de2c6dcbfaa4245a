use std::path::{Path, PathBuf};

use tagwise_base::label::ClassNames;
use tagwise_base::snapshot::ArrayNames;

use super::text::{Indexing, Size};
use super::{Table, Unlabelled, arff, csv, text};
use crate::{Error, Result};

/// What a file of samples does not say about itself; each kind of file takes what concerns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Mulan's XML list of the labels of an ARFF file.
    pub label_list: Option<PathBuf>,
    /// The columns of a CSV file, or attributes of an ARFF file, that are labels: one of 0 and 1
    /// for each label, or a single column of lists such as `a;b`. A name that ends in `*` stands
    /// for all columns that start like it.
    pub label_columns: Vec<String>,
    /// Columns or attributes that are neither features nor labels.
    pub left_out: Vec<String>,
    /// Number of features d of a LIBSVM file; by default the largest number that occurs decides.
    pub num_features: Option<usize>,
    /// Number of classes K where labels are numbers; by default the largest that occurs decides.
    pub num_classes: Option<usize>,
    /// From where a LIBSVM file numbers its features.
    pub indexing: Indexing,
    /// What the K classes are called, in their order.
    pub class_names: Option<Vec<String>>,
    /// What the classes of the data are called that these samples belong to, such as those of a head:
    /// the classes of labels that are written as names, where nobody says otherwise.
    pub expected_names: Option<Vec<String>>,
    /// What happens to rows without known labels.
    pub unlabelled: Unlabelled,
    /// A file of its own for the labels, one set for each row; then the table has none.
    pub label_file: Option<PathBuf>,
    /// Which arrays are meant, for files of arrays; names and number of the classes are those
    /// above.
    pub arrays: ArrayNames,
}

impl TableOptions {
    /// Number of classes as far as it is given, by itself or by the names.
    pub(super) fn num_classes(&self) -> Option<usize> {
        let names = self.class_names.as_ref();
        self.num_classes.or(names.map(Vec::len))
    }

    /// What concerns files of arrays.
    pub(crate) fn arrays(&self) -> ArrayNames {
        ArrayNames {
            class_names: self.class_names.clone(),
            expected_names: self.expected_names.clone(),
            num_classes: self.num_classes,
            ..self.arrays.clone()
        }
    }

    fn size(&self) -> Size {
        Size {
            num_features: self.num_features,
            num_classes: self.num_classes(),
        }
    }
}

/// The kinds of tables, by the endings of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.arff`: [`arff`].
    Arff,
    /// `.txt`: the Extreme Classification Repository's text or LIBSVM's, told apart by the first
    /// line.
    Text,
    /// `.svm`, `.libsvm`, `.svmlight`: LIBSVM's text.
    Libsvm,
    /// `.csv`, `.tsv`, `.tab`: [`csv`].
    Csv,
}

impl Kind {
    /// What the ending says, in capitals or not, with or without `.gz`, `.bz2` or `.zst` behind it.
    ///
    /// ```
    /// use std::path::Path;
    /// use tagwise_data::table::Kind;
    ///
    /// assert_eq!(Kind::of(Path::new("YEAST.ARFF")), Some(Kind::Arff));
    /// assert_eq!(Kind::of(Path::new("scene_train.svm.bz2")), Some(Kind::Libsvm));
    /// assert_eq!(Kind::of(Path::new("features.npz")), None);
    /// ```
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let packed = [".gz", ".bz2", ".zst"];
        let name = packed
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "arff" => Some(Self::Arff),
            "txt" => Some(Self::Text),
            "svm" | "libsvm" | "svmlight" => Some(Self::Libsvm),
            "csv" | "tsv" | "tab" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Reads a table of any [`Kind`].
///
/// ```
/// use tagwise_data::table::{self, TableOptions};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("three.csv");
/// std::fs::write(&path, "x,y,cat,dog\n0.5,1,1,0\n-1,2,1,1\n0,0,0,0\n")?;
/// let options = TableOptions {
///     label_columns: vec!["cat".into(), "dog".into()],
///     ..TableOptions::default()
/// };
/// let table = table::read(&path, &options)?;
/// assert_eq!(table.features.to_dense(), [0.5, 1.0, -1.0, 2.0, 0.0, 0.0]);
/// assert_eq!(table.targets.set(1).to_string(), "{0, 1}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Format`] when the file is no such table or the options do not fit it, [`Error::Io`]
/// when it cannot be read.
pub fn read(path: &Path, options: &TableOptions) -> Result<Table> {
    let mut table = match Kind::of(path) {
        Some(Kind::Arff) => read_arff(path, options)?,
        Some(Kind::Text) => text::read(path, options.size(), options.indexing)?,
        Some(Kind::Libsvm) => text::read_libsvm(path, options.size(), options.indexing)?,
        Some(Kind::Csv) => csv::read(path, options)?,
        None => {
            return Err(Error::format(
                path,
                "expected a table that ends in .arff, .csv, .tsv, .txt, .svm or .libsvm, packed \
                 with .gz, .bz2 or .zst or not"
                    .into(),
            ));
        }
    };
    let num_classes = table.targets.num_classes();
    if num_classes > 0 {
        let (own, given) = (table.label_names.as_deref(), options.class_names.as_deref());
        let names = ClassNames::settle(num_classes, own, given);
        let names = names.map_err(|error| Error::format(path, error.to_string()))?;
        table.targets = names.apply(table.targets);
        table.label_names = names.into_names();
    }
    Ok(table)
}

fn read_arff(path: &Path, options: &TableOptions) -> Result<Table> {
    let named: Vec<&str> = options.label_columns.iter().map(String::as_str).collect();
    let labels = match &options.label_list {
        Some(xml) => arff::Labels::MulanXml(xml),
        None if named.is_empty() && options.label_file.is_some() => arff::Labels::None,
        None if named.is_empty() => arff::Labels::Meka,
        None => arff::Labels::Named(&named),
    };
    let left_out: Vec<&str> = options.left_out.iter().map(String::as_str).collect();
    arff::read_with(path, labels, &left_out, options.unlabelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_decide_in_capitals_and_packed() {
        for (name, kind) in [
            ("a.ARFF", Some(Kind::Arff)),
            ("a.arff.gz", Some(Kind::Arff)),
            ("A.TXT.BZ2", Some(Kind::Text)),
            ("a.b.svm.zst", Some(Kind::Libsvm)),
            ("a.Csv", Some(Kind::Csv)),
            ("a.gz", None),
            ("csv", None),
            ("a.npz", None),
        ] {
            assert_eq!(Kind::of(Path::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn names_of_classes_may_be_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.svm");
        std::fs::write(&path, "0 1:1\n1 1:1\n").unwrap();
        let named = |names: &[&str]| {
            let options = TableOptions {
                class_names: Some(names.iter().map(ToString::to_string).collect()),
                ..TableOptions::default()
            };
            read(&path, &options)
        };
        let table = named(&["sea", "sky", "sun"]).unwrap();
        assert_eq!(table.targets.num_classes(), 3);
        assert_eq!(table.label_names.unwrap(), ["sea", "sky", "sun"]);
        let place = format!("{}/", folder.path().display());
        let error = named(&["sea"]).unwrap_err().to_string().replace(&place, "");
        insta::assert_snapshot!(error, @r#"t.svm: line 2: expected labels from 0 to 0 between commas, found "1""#);
    }
}
