//! Text of a file, whatever it is packed in and however its letters are stored.
//!
//! Files of gzip, bzip2 and Zstandard are known by their first bytes. They are unpacked piece by
//! piece, up to [`MAX_RATIO`] times their size and never less than [`ALWAYS_ALLOWED`]: beyond
//! that a file is a mistake or a trap. A byte-order mark is passed over, UTF-16 with one is
//! converted, bytes that are no UTF-8 are read as Latin-1.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::{Error, Result};

/// How many times its own size a packed file may become.
pub const MAX_RATIO: u64 = 1000;

/// Bytes that any packed file may become, however small it is.
pub const ALWAYS_ALLOWED: u64 = 64 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Bzip2,
    Zstandard,
}

impl Packing {
    /// What the first bytes of a file say; no text starts with these.
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, ..] => Self::Bzip2,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstandard,
            _ => Self::Plain,
        }
    }
}

/// The text of a file and what had to be done for it.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) notes: Vec<String>,
}

/// Reads a text file, packed or not.
///
/// # Errors
/// [`Error::Format`] for damage, for more than the allowed bytes and for files that are no text;
/// [`Error::Io`] when the file cannot be read.
pub(crate) fn read(path: &Path) -> Result<Text> {
    let bytes = read_bytes(path)?;
    decoded(bytes).map_err(|message| Error::format(path, message))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref().take(16).read_to_end(&mut head).map_err(io)?;
    let packing = Packing::of(&head);
    let packed = head.as_slice().chain(file);
    let mut bytes = Vec::new();
    if packing == Packing::Plain {
        let mut packed = packed;
        packed.read_to_end(&mut bytes).map_err(io)?;
        return Ok(bytes);
    }
    let limit = len.saturating_mul(MAX_RATIO).max(ALWAYS_ALLOWED);
    unpack(packing, packed, limit, &mut bytes).map_err(|message| Error::format(path, message))?;
    Ok(bytes)
}

fn unpack(
    packing: Packing,
    packed: impl Read,
    limit: u64,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    let (name, read) = match packing {
        Packing::Plain => ("text", copy(packed, limit, bytes)),
        Packing::Gzip => {
            let reader = flate2::read::MultiGzDecoder::new(packed);
            ("gzip", copy(reader, limit, bytes))
        }
        Packing::Bzip2 => {
            let reader = bzip2::read::MultiBzDecoder::new(packed);
            ("bzip2", copy(reader, limit, bytes))
        }
        Packing::Zstandard => ("Zstandard", unpack_frames(packed, limit, bytes)),
    };
    let num_bytes = bytes.len() as u64;
    match read {
        Ok(()) if num_bytes <= limit => Ok(()),
        Ok(()) => Err(format!(
            "expected at most {limit} bytes of text in this {name} file ({MAX_RATIO} times its \
             size), found more; unpack it first if it is sound"
        )),
        Err(error) => Err(format!(
            "expected a whole {name} file, found damage after {num_bytes} bytes of text: {error}"
        )),
    }
}

/// Reads at most one byte more than the limit.
fn copy(reader: impl Read, limit: u64, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let left = (limit + 1).saturating_sub(bytes.len() as u64);
    reader.take(left).read_to_end(bytes).map(|_| ())
}

/// A Zstandard file is one frame after the other; some only carry what others made of them.
fn unpack_frames(packed: impl Read, limit: u64, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut packed = BufReader::new(packed);
    while bytes.len() as u64 <= limit && !packed.fill_buf()?.is_empty() {
        match StreamingDecoder::new(&mut packed) {
            Ok(frame) => unpack_frame(frame, limit, bytes)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = u64::from(length);
                if std::io::copy(&mut packed.by_ref().take(length), &mut std::io::sink())? < length
                {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(std::io::Error::other(error)),
        }
    }
    Ok(())
}

fn unpack_frame<R: Read>(
    mut frame: StreamingDecoder<R, FrameDecoder>,
    limit: u64,
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    copy(&mut frame, limit, bytes)?;
    let decoder = frame.into_frame_decoder();
    // Beyond the limit the frame was left before its end.
    if !decoder.is_finished() || decoder.can_collect() > 0 {
        return Ok(());
    }
    // The stream ends with a checksum where whoever packed it wanted one.
    let (stated, found) = (
        decoder.get_checksum_from_data(),
        decoder.get_calculated_checksum(),
    );
    match stated {
        Some(_) if stated != found => Err(std::io::Error::other(
            "its checksum is not that of the text",
        )),
        _ => Ok(()),
    }
}

/// Bytes as text with `\n` at the ends of lines.
fn decoded(bytes: Vec<u8>) -> Result<Text, String> {
    let mut notes = Vec::new();
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ if bytes.contains(&0) => {
            return Err("expected text, found bytes of zero: this is another kind of file".into());
        }
        _ => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                notes.push("not UTF-8; its letters are read as Latin-1".to_string());
                error.into_bytes().into_iter().map(char::from).collect()
            }
        },
    };
    let mut text = text;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    // Lines of old Macintosh files end in a carriage return alone.
    let text = match text.contains('\r') && !text.contains('\n') {
        true => text.replace('\r', "\n"),
        false => text,
    };
    Ok(Text { text, notes })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .collect::<Result<String, _>>()
        .ok()
        .filter(|_| bytes.len().is_multiple_of(2))
        .ok_or_else(|| "expected UTF-16 as its first bytes say, found other bytes".into())
}

#[cfg(test)]
mod tests;
