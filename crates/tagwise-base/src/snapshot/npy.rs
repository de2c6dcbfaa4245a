//! NumPy's .npy arrays and .npz archives of them. Pickled objects are refused, never run.

mod header;

use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use self::header::Header;
use super::array::Stored;
use super::mapped::{Bytes, Part};
use super::member::{Member, TextArray};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the header of one .npy array; its elements stay where they are.
pub(super) fn member(name: &str, part: Part) -> Result<Member, String> {
    let wrong = |what: String| format!("`{name}` is not a whole .npy array: {what}");
    let (begin, text) = header_text(&part).map_err(wrong)?;
    let header = Header::parse(text).map_err(wrong)?;
    let name = name.to_string();
    let check = |size| check_size(&header.shape, size, part.len() - begin).map_err(wrong);
    if let Some((letters, width)) = header.letters() {
        check(letters.size() * width)?;
        if header.column_major && header.shape.len() > 1 {
            let why = format!("expected `{name}` in row-major order, found text in Fortran order");
            return Ok(Member::Unreadable { name, why });
        }
        return Ok(Member::Text(TextArray {
            part: part.after(begin),
            shape: header.shape,
            letters,
            width,
            name,
        }));
    }
    match header.element(&name) {
        Ok(element) => {
            check(element.size())?;
            Ok(Member::Numbers(Stored {
                part: part.after(begin),
                column_major: header.column_major,
                shape: header.shape,
                element,
                name,
            }))
        }
        // Refused when somebody asks for it.
        Err(why) => Ok(Member::Unreadable { name, why }),
    }
}

/// Whether the bytes are those of so many elements, no more and no fewer.
fn check_size(shape: &[usize], element: usize, available: usize) -> Result<(), String> {
    let size = shape
        .iter()
        .try_fold(element, |size, &side| size.checked_mul(side));
    match size {
        Some(size) if size == available => Ok(()),
        Some(size) if size < available => Err(format!(
            "shape {shape:?} needs {size} bytes, there are {available}"
        )),
        _ => Err(format!("shape {shape:?} needs more bytes than there are")),
    }
}

/// Where the elements begin, and the text of the header before them.
fn header_text(bytes: &[u8]) -> Result<(usize, &str), String> {
    if !bytes.starts_with(MAGIC) || bytes.len() < 12 {
        return Err("it does not begin as NumPy writes them".into());
    }
    let (length, start) = match bytes[6] {
        1 => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
        2 | 3 => (
            u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize,
            12,
        ),
        version => return Err(format!("format version {version} is not known")),
    };
    let end = start + length;
    let text = bytes
        .get(start..end)
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or("its header ends early")?;
    Ok((end, text))
}

/// All arrays of a .npz archive. Stored members stay in place, compressed ones are unpacked into
/// memory; the checksums of both are compared.
pub(super) fn archive(bytes: &Bytes) -> Result<Vec<Member>, String> {
    let damaged = |error: &dyn std::fmt::Display| {
        format!("expected a .npz archive, found something else or only a part of one ({error})")
    };
    let mut zip = ZipArchive::new(Cursor::new(&bytes[..])).map_err(|error| damaged(&error))?;
    let mut arrays: Vec<Member> = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| damaged(&error))?;
        let full_name = entry.name().map_err(|error| damaged(&error))?.into_owned();
        let name = full_name.strip_suffix(".npy").unwrap_or(&full_name);
        if arrays.iter().any(|array| array.name() == name) {
            return Err(format!("expected every array once, found `{name}` twice"));
        }
        let part = if entry.compression() == CompressionMethod::Stored {
            let start = entry.data_start();
            let place = start.and_then(|start| place(start, entry.size(), bytes.len()));
            let range = place.ok_or_else(|| damaged(&format!("`{name}` ends beyond the file")))?;
            if crc32fast::hash(&bytes[range.clone()]) != entry.crc32() {
                return Err(damaged(&format!(
                    "the checksum of `{name}` is wrong, so its numbers were changed"
                )));
            }
            Part {
                bytes: bytes.clone(),
                range,
            }
        } else {
            let mut unpacked = Vec::new();
            let read = entry.read_to_end(&mut unpacked);
            read.map_err(|error| damaged(&error))?;
            Part::owned(unpacked)
        };
        let is_array = full_name.ends_with(".npy") || part.starts_with(MAGIC);
        arrays.push(match is_array {
            true => self::member(name, part)?,
            false => Member::Unreadable {
                why: format!("expected `{name}` to be an array of NumPy, found another file"),
                name: name.to_string(),
            },
        });
    }
    Ok(arrays)
}

/// The header of a row-major array, as NumPy writes it: the elements begin at a multiple of 64.
pub(super) fn header_bytes(description: &str, shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let sides = match shape.len() {
        1 => sides.trim_end(),
        _ => sides.trim_end_matches(", "),
    };
    let mut text =
        format!("{{'descr': '{description}', 'fortran_order': False, 'shape': ({sides}), }}");
    let length = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(
        ' ',
        length - MAGIC.len() - 4 - text.len() - 1,
    ));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

/// Where a stored member lies, if that is within the file.
fn place(start: u64, size: u64, file: usize) -> Option<std::ops::Range<usize>> {
    let end = usize::try_from(start.checked_add(size)?).ok()?;
    (end <= file).then_some(start as usize..end)
}
