//! Readers of the image data sets that the paper uses, and of single pictures.
//!
//! Each takes files as their authors distribute them and answers anything else with one sentence
//! that says what was expected and what was found.

pub mod cifar10;
pub mod idx;
pub mod picture;
mod resize;
pub mod svhn;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

/// Which half of a data set with an official division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What a model may learn from.
    Train,
    /// What it is judged on.
    Test,
}

/// A file, decompressed on the fly if its first bytes are those of gzip, whatever its name.
enum MaybeGzip {
    Plain(BufReader<File>),
    Gzip(MultiGzDecoder<BufReader<File>>),
}

impl MaybeGzip {
    fn open(path: &Path) -> Result<Self> {
        let open = || -> io::Result<Self> {
            let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
            let is_gzip = io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]);
            Ok(if is_gzip {
                Self::Gzip(MultiGzDecoder::new(file))
            } else {
                Self::Plain(file)
            })
        };
        open().map_err(|source| Error::io(path, source))
    }
}

impl Read for MaybeGzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// An error met while reading: damage to compressed data is the file's, the rest the system's.
fn reading_failed(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            Error::format(
                path,
                format!(
                    "the compressed data are damaged or cut off ({source}); fetch the file again"
                ),
            )
        }
        _ => Error::io(path, source),
    }
}

/// The next `expected` bytes, or fewer if the file ends.
fn read_up_to(path: &Path, file: &mut impl Read, expected: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.take(expected).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => Err(reading_failed(path, source)),
    }
}
