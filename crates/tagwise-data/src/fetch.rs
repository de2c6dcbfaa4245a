//! Downloads of data sets from their official places.
//!
//! A file is written as `NAME.part`, continued after an interruption, checked against the
//! published MD5 sum and only then renamed. Proxies come from the usual variables
//! (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).

mod download;

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::{Error, Result};
use download::{Client, Download};

/// A data set that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fetchable {
    /// Handwritten digits, 12 MB.
    Mnist,
    /// Clothing, 31 MB.
    FashionMnist,
    /// Animals and vehicles, 170 MB.
    Cifar10,
    /// House numbers, 681 MB, unpacked to `train/` and `test/`.
    Svhn,
}

/// What happens during a download.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The file is there already, with the right sum.
    Present {
        /// Name of the file.
        file: &'a str,
    },
    /// A mirror answers.
    Started {
        /// Name of the file.
        file: &'a str,
        /// Address of the mirror.
        url: &'a str,
        /// Bytes that an earlier try left, 0 for a fresh start.
        resumed_at: u64,
        /// Bytes of the whole file if the mirror says so.
        total: Option<u64>,
    },
    /// More bytes are on disk.
    Advanced {
        /// Bytes of the file so far.
        done: u64,
    },
    /// A try failed and another follows.
    Retrying {
        /// What went wrong, with the mirror's address.
        reason: &'a str,
    },
    /// The file is complete and right.
    Finished {
        /// Name of the file.
        file: &'a str,
    },
    /// An archive is being unpacked.
    Unpacking {
        /// Name of the archive.
        file: &'a str,
    },
}

impl Fetchable {
    /// Every data set that can be fetched.
    pub const ALL: [Self; 4] = [Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Svhn];

    /// The name on the command line and of the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
            Self::Svhn => "svhn",
        }
    }

    /// Fetches what is missing into `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`Error::Fetch`] when no mirror gives a file with the right sum, [`Error::Io`] when the
    /// disk refuses; what was downloaded is kept for the next try.
    pub fn fetch(self, folder: &Path, mut on_event: impl FnMut(Event<'_>)) -> Result<()> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let client = Client::new(ureq::Proxy::try_from_env(), Duration::from_secs(30));
        for (half, download) in self.downloads() {
            if let Some(half) = half
                && folder.join(half).is_dir()
            {
                on_event(Event::Present { file: half });
                continue;
            }
            client.fetch(&download, folder, &mut on_event)?;
            if let Some(half) = half {
                on_event(Event::Unpacking {
                    file: download.file,
                });
                unpack(&folder.join(download.file), folder, half)?;
            }
        }
        Ok(())
    }

    /// The files, each with the folder that it unpacks to, if any.
    fn downloads(self) -> Vec<(Option<&'static str>, Download)> {
        let plain = |mirrors: &[&str], files: [(&'static str, &'static str); 4]| {
            let with_mirrors = |(file, md5)| {
                let urls = mirrors
                    .iter()
                    .map(|mirror| format!("{mirror}{file}"))
                    .collect();
                (None, Download { file, md5, urls })
            };
            files.map(with_mirrors).into()
        };
        let single = |file, md5, url: &str| Download {
            file,
            md5,
            urls: vec![url.to_string()],
        };
        match self {
            Self::Mnist => plain(&MNIST_MIRRORS, MNIST_FILES),
            Self::FashionMnist => plain(&FASHION_MNIST_MIRRORS, FASHION_MNIST_FILES),
            Self::Cifar10 => vec![(
                None,
                single(
                    "cifar-10-binary.tar.gz",
                    "c32a1d4ab5d03f1284b67883e8d87530",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                ),
            )],
            Self::Svhn => vec![
                (
                    Some("train"),
                    single(
                        "train.tar.gz",
                        "a649f4cb15c35520e8a8c342d4c0005a",
                        "http://ufldl.stanford.edu/housenumbers/train.tar.gz",
                    ),
                ),
                (
                    Some("test"),
                    single(
                        "test.tar.gz",
                        "790d9c8d42f1fcbd219b59956c853a81",
                        "http://ufldl.stanford.edu/housenumbers/test.tar.gz",
                    ),
                ),
            ],
        }
    }
}

const MNIST_MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];

const MNIST_FILES: [(&str, &str); 4] = [
    (
        "train-images-idx3-ubyte.gz",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
];

const FASHION_MNIST_MIRRORS: [&str; 2] = [
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
];

const FASHION_MNIST_FILES: [(&str, &str); 4] = [
    (
        "train-images-idx3-ubyte.gz",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        "bef4ecab320f06d8554ea6380940ec79",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
];

/// Unpacks an archive of one folder, so that the folder is there whole or not at all, and removes
/// the archive.
fn unpack(archive: &Path, folder: &Path, inner: &str) -> Result<()> {
    let failed = |source| Error::io(archive, source);
    let file = File::open(archive).map_err(failed)?;
    let unpacked = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(folder)
        .map_err(|source| Error::io(folder, source))?;
    let decoder = flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
    tar::Archive::new(decoder)
        .unpack(unpacked.path())
        .map_err(failed)?;
    let target = folder.join(inner);
    fs::rename(unpacked.path().join(inner), &target)
        .map_err(|source| Error::io(&target, source))?;
    fs::remove_file(archive).map_err(failed)
}

impl fmt::Display for Fetchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fetchable {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|data_set| data_set.name() == name)
            .ok_or_else(|| Error::OutOfRange {
                name: "a data set to fetch",
                requirement: format!("that is one of {}", Self::ALL.map(Self::name).join(", ")),
                found: name.into(),
            })
    }
}

#[cfg(test)]
mod tests;
