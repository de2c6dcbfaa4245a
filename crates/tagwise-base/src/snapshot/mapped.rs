//! The bytes of a file, mapped into memory or owned.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::{Error, Result};

/// Bytes that several arrays share.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Mapped(Arc<Mmap>),
    Owned(Arc<Vec<u8>>),
}

impl Bytes {
    /// Maps a file: its pages are read when they are used and given back under pressure, so a file
    /// may be larger than memory.
    pub(super) fn map(path: &Path) -> Result<Self> {
        let with_path = |source| Error::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(with_path)?;
        if file.metadata().map_err(with_path)?.len() == 0 {
            return Ok(Self::Owned(Arc::default()));
        }
        // SAFETY: the mapping is private to this process and read-only, and it is only ever read as
        // plain bytes, for which every content is valid. Another process that shortens the file
        // meanwhile ends this one with a bus error, as with any mapped file; one that rewrites it
        // changes the numbers read, never their validity.
        let map = unsafe { Mmap::map(&file) }.map_err(with_path)?;
        Ok(Self::Mapped(Arc::new(map)))
    }

    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        Self::Owned(Arc::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// A part of some bytes.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) range: Range<usize>,
}

impl Part {
    /// What follows the first bytes of it.
    pub(super) fn after(self, begin: usize) -> Self {
        Self {
            range: self.range.start + begin..self.range.end,
            bytes: self.bytes,
        }
    }

    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            bytes: Bytes::owned(bytes),
            range,
        }
    }
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}
