//! The table of data sets.
//!
//! A data set is one variant of [`Source`], one [`Entry`] and the reader that the entry names;
//! experiments, the command line and downloads all look here.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::read::{Part, cifar10, idx, svhn};
use crate::{Error, ImageShape, LabelledImages, Result, Sources, StoredImages, digits, own};

/// Where images come from.
///
/// ```
/// use tagwise_data::Source;
///
/// let source: Source = "fashion-mnist".parse()?;
/// assert_eq!(source.class_names()[9], "ankle boot");
/// assert_eq!(source.entry().title, "M-lab Fashion-MNIST");
/// # Ok::<(), tagwise_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The UCI handwritten digits, 1,797 grey images of 8×8 pixels, embedded in the program.
    #[default]
    Digits,
    /// MNIST's handwritten digits, 28×28 grey.
    Mnist,
    /// Fashion-MNIST's pieces of clothing, 28×28 grey.
    FashionMnist,
    /// CIFAR-10's animals and vehicles, 32×32 in colour.
    #[serde(rename = "cifar10")]
    Cifar10,
    /// SVHN's house numbers, cropped to 32×32, with label sets of their own.
    Svhn,
    /// The reader's own images, as [`own`](crate::own) reads them.
    Folder,
}

/// What is known about a data set before any of its files is read.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name in configurations and on the command line.
    pub key: &'static str,
    /// What a person calls the multi-label data set.
    pub title: &'static str,
    /// What is in it, in a few words.
    pub about: &'static str,
    /// What the labels 0, 1, … stand for; empty where the files say so.
    pub class_names: &'static [&'static str],
    /// The shape of an image before composing; for own images the one they get if none is asked
    /// for.
    pub shape: ImageShape,
    /// How the images become samples, and their reader.
    pub images: Images,
    /// Where the files are published, if they are.
    pub download: Option<Download>,
}

/// How images become samples of a multi-label data set.
#[derive(Clone, Copy, Debug)]
pub enum Images {
    /// Images of one label each without an official division; several are composed into one.
    Undivided {
        /// All images.
        read: fn() -> LabelledImages,
        /// Share of the images that usually becomes the test half.
        test_fraction: f64,
        /// How many are usually composed.
        counts: Counts,
    },
    /// Images of one label each in official halves; several are composed into one.
    Halves {
        /// One half from the folder with the files.
        read: fn(&Path, Part) -> Result<LabelledImages>,
        /// How many are usually composed.
        counts: Counts,
    },
    /// Images with label sets of their own in official halves.
    LabelSets {
        /// One half from the folder with the files.
        read: fn(&Path, Part) -> Result<StoredImages>,
    },
    /// The reader's own, see [`own::read`](crate::own::read).
    Own,
}

/// How many composed images an experiment has unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The training set.
    pub train: PartCounts,
    /// The validation set.
    pub validation: PartCounts,
    /// The test set.
    pub test: PartCounts,
}

/// How many images of a multiplicity a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartCounts {
    /// Images of every label set of one and of two labels.
    pub per_label_set: [usize; 2],
    /// Images of each multiplicity above 2, about.
    pub per_further_multiplicity: usize,
}

/// Where the files of a data set are published.
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// What comes and how much of it, in a few words.
    pub about: &'static str,
    /// Addresses that the names of the files complete, the best first.
    pub mirrors: &'static [&'static str],
    /// The files.
    pub files: &'static [RemoteFile],
}

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name.
    pub name: &'static str,
    /// Its published MD5 sum.
    pub md5: &'static str,
    /// The folder that the archive unpacks to, for archives that are unpacked.
    pub unpacks_to: Option<&'static str>,
}

const fn plain(name: &'static str, md5: &'static str) -> RemoteFile {
    RemoteFile {
        name,
        md5,
        unpacks_to: None,
    }
}

const DIGIT_NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The paper's counts; those of the validation set and beyond two labels are ours.
const PAPER_COUNTS: Counts = Counts {
    train: PartCounts {
        per_label_set: [3100, 200],
        per_further_multiplicity: 9000,
    },
    validation: PartCounts {
        per_label_set: [400, 25],
        per_further_multiplicity: 1125,
    },
    test: PartCounts {
        per_label_set: [800, 50],
        per_further_multiplicity: 2250,
    },
};

const DIGITS: Entry = Entry {
    key: "digits",
    title: "M-lab digits",
    about: "UCI digits that come with the program, composed on 16×16",
    class_names: &DIGIT_NAMES,
    shape: ImageShape::new(8, 8, 1),
    images: Images::Undivided {
        read: digits::load,
        test_fraction: 0.2,
        // Fewer, since there are 1,797 images to compose from.
        counts: Counts {
            train: PartCounts {
                per_label_set: [270, 60],
                per_further_multiplicity: 2700,
            },
            validation: PartCounts {
                per_label_set: [45, 10],
                per_further_multiplicity: 450,
            },
            test: PartCounts {
                per_label_set: [90, 20],
                per_further_multiplicity: 900,
            },
        },
    },
    download: None,
};

const MNIST: Entry = Entry {
    key: "mnist",
    title: "M-lab MNIST",
    about: "MNIST, composed on 56×56",
    class_names: &DIGIT_NAMES,
    shape: ImageShape::new(28, 28, 1),
    images: Images::Halves {
        read: idx::read_folder,
        counts: PAPER_COUNTS,
    },
    download: Some(Download {
        about: "Handwritten digits, 12 MB",
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        files: &[
            plain(
                "train-images-idx3-ubyte.gz",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            ),
            plain(
                "train-labels-idx1-ubyte.gz",
                "d53e105ee54ea40749a09fcbcd1e9432",
            ),
            plain(
                "t10k-images-idx3-ubyte.gz",
                "9fb629c4189551a2d022fa330f9573f3",
            ),
            plain(
                "t10k-labels-idx1-ubyte.gz",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        ],
    }),
};

const FASHION_MNIST: Entry = Entry {
    key: "fashion-mnist",
    title: "M-lab Fashion-MNIST",
    about: "Fashion-MNIST, composed on 56×56",
    class_names: &[
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ],
    shape: ImageShape::new(28, 28, 1),
    images: Images::Halves {
        read: idx::read_folder,
        counts: PAPER_COUNTS,
    },
    download: Some(Download {
        about: "Clothing, 31 MB",
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        files: &[
            plain(
                "train-images-idx3-ubyte.gz",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            ),
            plain(
                "train-labels-idx1-ubyte.gz",
                "25c81989df183df01b3e8a0aad5dffbe",
            ),
            plain(
                "t10k-images-idx3-ubyte.gz",
                "bef4ecab320f06d8554ea6380940ec79",
            ),
            plain(
                "t10k-labels-idx1-ubyte.gz",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
        ],
    }),
};

const CIFAR10: Entry = Entry {
    key: "cifar10",
    title: "M-lab CIFAR-10",
    about: "CIFAR-10, composed on 64×64",
    class_names: &cifar10::CLASS_NAMES,
    shape: ImageShape::new(32, 32, 3),
    images: Images::Halves {
        read: cifar10::read,
        counts: PAPER_COUNTS,
    },
    download: Some(Download {
        about: "Animals and vehicles, 170 MB",
        mirrors: &["https://www.cs.toronto.edu/~kriz/"],
        files: &[plain(
            "cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
        )],
    }),
};

const SVHN: Entry = Entry {
    key: "svhn",
    title: "M-lab SVHN",
    about: "SVHN's house numbers, cropped to 32×32 as in the paper; nothing is composed",
    class_names: &svhn::CLASS_NAMES,
    shape: ImageShape::new(32, 32, 3),
    images: Images::LabelSets { read: svhn::read },
    download: Some(Download {
        about: "House numbers, 681 MB; non-commercial use only",
        mirrors: &["http://ufldl.stanford.edu/housenumbers/"],
        files: &[
            RemoteFile {
                name: "train.tar.gz",
                md5: "a649f4cb15c35520e8a8c342d4c0005a",
                unpacks_to: Some("train"),
            },
            RemoteFile {
                name: "test.tar.gz",
                md5: "790d9c8d42f1fcbd219b59956c853a81",
                unpacks_to: Some("test"),
            },
        ],
    }),
};

const FOLDER: Entry = Entry {
    key: "folder",
    title: "own images",
    about: "your own PNG and JPEG images with a table of their labels",
    class_names: &[],
    shape: own::DEFAULT_SHAPE,
    images: Images::Own,
    download: None,
};

impl Source {
    /// Every data set.
    pub const ALL: [Self; 6] = [
        Self::Digits,
        Self::Mnist,
        Self::FashionMnist,
        Self::Cifar10,
        Self::Svhn,
        Self::Folder,
    ];

    /// Everything that is known about it.
    pub const fn entry(self) -> &'static Entry {
        match self {
            Self::Digits => &DIGITS,
            Self::Mnist => &MNIST,
            Self::FashionMnist => &FASHION_MNIST,
            Self::Cifar10 => &CIFAR10,
            Self::Svhn => &SVHN,
            Self::Folder => &FOLDER,
        }
    }

    /// The name in configurations and on the command line.
    pub const fn name(self) -> &'static str {
        self.entry().key
    }

    /// What a person calls the multi-label data set.
    pub const fn title(self) -> &'static str {
        self.entry().title
    }

    /// What the labels 0, 1, … stand for; empty for own images, whose files say so.
    pub const fn class_names(self) -> &'static [&'static str] {
        self.entry().class_names
    }

    /// How many images are usually composed; `None` where none are, since the images have label
    /// sets of their own.
    pub const fn counts(self) -> Option<Counts> {
        match self.entry().images {
            Images::Undivided { counts, .. } | Images::Halves { counts, .. } => Some(counts),
            Images::LabelSets { .. } | Images::Own => None,
        }
    }

    /// Training and test images of one label each, from which samples are composed. Official
    /// halves are read from `folder`; what comes undivided needs no folder, and a part of it, drawn
    /// by `seed`, becomes the test half: `test_fraction`, or the usual share.
    ///
    /// # Errors
    /// [`Error::Format`] when the files are not what they should be, [`Error::Io`] when they
    /// cannot be read; [`Error::OutOfRange`] for images with label sets of their own and for a
    /// share that is none.
    pub fn load(
        self,
        folder: &Path,
        test_fraction: Option<f64>,
        seed: u64,
    ) -> Result<(Sources, Sources)> {
        match self.entry().images {
            Images::Undivided {
                read,
                test_fraction: usual,
                ..
            } => Sources::all(read()).split_off(test_fraction.unwrap_or(usual), seed),
            Images::Halves { read, .. } => Ok((
                Sources::all(read(folder, Part::Train)?),
                Sources::all(read(folder, Part::Test)?),
            )),
            Images::LabelSets { .. } | Images::Own => Err(Error::OutOfRange {
                name: "images to compose",
                requirement: "of one label each".into(),
                found: format!("those of {self}, which have label sets of their own"),
            }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|source| source.name() == name)
            .ok_or_else(|| Error::OutOfRange {
                name: "a data set",
                requirement: format!("that is one of {}", Self::ALL.map(Self::name).join(", ")),
                found: name.into(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_serialise_alike() {
        for source in Source::ALL {
            assert_eq!(source.name().parse::<Source>().unwrap(), source);
            assert_eq!(serde_json::to_value(source).unwrap(), source.name());
        }
        insta::assert_snapshot!("cifar100".parse::<Source>().unwrap_err(), @"expected a data set that is one of digits, mnist, fashion-mnist, cifar10, svhn, folder, found cifar100");
    }

    #[test]
    fn the_embedded_digits_need_no_folder() {
        let (train, test) = Source::Digits.load(Path::new("none"), None, 0).unwrap();
        assert_eq!((train.members().len(), test.members().len()), (1438, 359));
        assert_eq!(train.images().shape(), Source::Digits.entry().shape);
    }

    #[test]
    fn images_with_label_sets_of_their_own_are_not_composed() {
        let error = Source::Svhn.load(Path::new("none"), None, 0).unwrap_err();
        insta::assert_snapshot!(error, @"expected images to compose of one label each, found those of svhn, which have label sets of their own");
    }

    #[test]
    fn what_is_published_has_sums_and_mirrors() {
        for download in Source::ALL.into_iter().filter_map(|s| s.entry().download) {
            assert!(!download.mirrors.is_empty() && !download.files.is_empty());
            assert!(download.mirrors.iter().all(|mirror| mirror.ends_with('/')));
            for file in download.files {
                assert_eq!(file.md5.len(), 32, "{}", file.name);
            }
        }
    }
}
