//! TensorBoard's event files: records of a length, its checksum, the bytes and theirs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tagwise::Error;
use tagwise::wire::Message;

/// An event file that grows by one event at a time.
///
/// A reader may come at any moment: it sees whole records, and takes up the next when it is there.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Begins a new file.
    ///
    /// # Errors
    /// [`Error::Io`] when it exists or the system refuses.
    pub fn create(path: &Path) -> tagwise::Result<Self> {
        let file = File::create_new(path).map_err(|source| Error::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(file),
        })
    }

    /// Appends an event; [`flush`](Self::flush) lets readers see it.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn append(&mut self, event: Message) -> tagwise::Result<()> {
        let record = record(&event.into_bytes());
        let written = self.file.write_all(&record);
        written.map_err(|source| self.error(source))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn flush(&mut self) -> tagwise::Result<()> {
        let flushed = self.file.flush();
        flushed.map_err(|source| self.error(source))
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// The bytes of a record.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(data);
    record.extend(masked(crc32c(data)).to_le_bytes());
    record
}

/// Turned and shifted, so that the checksum of bytes that hold checksums is no easy one.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C, the polynomial of Castagnoli, lowest bit first.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(!0, step)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    const POLYNOMIAL: u32 = 0x82f6_3b78; // 0x1edc6f41 from the lowest bit
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut rest = at as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = match rest & 1 {
                1 => POLYNOMIAL ^ (rest >> 1),
                _ => rest >> 1,
            };
            bit += 1;
        }
        table[at] = rest;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_record_is_as_the_tensorboard_package_writes_it() {
        // tensorboard.summary.writer.record_writer.RecordWriter of version 2.21, given b"abc".
        let bytes = [
            3, 0, 0, 0, 0, 0, 0, 0, 176, 153, 73, 14, b'a', b'b', b'c', 110, 87, 241, 33,
        ];
        assert_eq!(record(b"abc"), bytes);
    }
}
