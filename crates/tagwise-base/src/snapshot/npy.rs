//! NumPy's .npy arrays and .npz archives of them. Pickled objects are refused, never run.

use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::array::{Element, Stored};
use super::mapped::{Bytes, Part};
use super::member::{Letters, Member, TextArray};
use super::refused;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the header of one .npy array; its elements stay where they are.
pub(super) fn member(name: &str, part: Part) -> Result<Member, String> {
    let wrong = |what: &str| format!("`{name}` is not a whole .npy array: {what}");
    let bytes: &[u8] = &part;
    if !bytes.starts_with(MAGIC) || bytes.len() < 12 {
        return Err(wrong("it does not begin as NumPy writes them"));
    }
    let (length, start) = match bytes[6] {
        1 => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
        2 | 3 => (
            u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize,
            12,
        ),
        version => return Err(wrong(&format!("format version {version} is not known"))),
    };
    let header = bytes
        .get(start..start + length)
        .and_then(|header| std::str::from_utf8(header).ok())
        .ok_or_else(|| wrong("its header ends early"))?;
    let description = field(header, "descr").ok_or_else(|| wrong("its header has no `descr`"))?;
    let text = text_elements(description);
    let element = match (&text, element(name, description)) {
        (Some(_), _) => None,
        (None, Ok(element)) => Some(element),
        (None, Err(why)) => {
            return Ok(Member::Unreadable {
                name: name.to_string(),
                why,
            });
        }
    };
    let element_size = match (text, element) {
        (Some((letters, width)), _) => letters.size() * width,
        (None, element) => element.map_or(0, Element::size),
    };
    let column_major = field(header, "fortran_order").is_some_and(|text| text.starts_with("True"));
    let shape = field(header, "shape")
        .and_then(shape)
        .ok_or_else(|| wrong("its header has no `shape`"))?;
    let size = shape
        .iter()
        .try_fold(element_size, |size, &side| size.checked_mul(side));
    let begin = part.range.start + start + length;
    let end = size
        .and_then(|size| begin.checked_add(size))
        .filter(|&end| end <= part.range.end);
    let end =
        end.ok_or_else(|| wrong(&format!("shape {shape:?} needs more bytes than there are")))?;
    let part = Part {
        bytes: part.bytes,
        range: begin..end,
    };
    let name = name.to_string();
    if let Some((letters, width)) = text {
        return Ok(Member::Text(TextArray {
            name,
            shape,
            letters,
            width,
            part,
        }));
    }
    Ok(Member::Numbers(Stored {
        name,
        element: element.unwrap_or(Element::U8),
        shape,
        column_major,
        part,
    }))
}

/// How letters are stored and how many there are at most, if the elements are text.
fn text_elements(description: &str) -> Option<(Letters, usize)> {
    let text = description.strip_prefix('\'')?;
    let (letters, width) = [
        ("<U", Letters::Utf32Le),
        (">U", Letters::Utf32Be),
        ("|S", Letters::Bytes),
    ]
    .into_iter()
    .find_map(|(prefix, letters)| Some((letters, text.strip_prefix(prefix)?)))?;
    let width = width.split('\'').next()?.parse::<usize>().ok()?;
    // Texts without letters have no bytes, and so any number of them fits anywhere.
    (width > 0 && width < 1 << 24).then_some((letters, width))
}

/// What follows `'key':` in the header, a Python dictionary.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = format!("'{key}'");
    let after = &header[header.find(&quoted)? + quoted.len()..];
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let inside = text.strip_prefix('(')?;
    let inside = &inside[..inside.find(')')?];
    inside
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.parse().ok())
        .collect()
}

fn element(name: &str, description: &str) -> Result<Element, String> {
    let text: String = description
        .trim_start_matches('\'')
        .chars()
        .take_while(|&c| c != '\'' && c != ',')
        .collect();
    Ok(match text.as_str() {
        "|b1" => Element::Bool,
        "|u1" => Element::U8,
        "|i1" => Element::I8,
        "<u2" => Element::U16,
        "<i2" => Element::I16,
        "<u4" => Element::U32,
        "<i4" => Element::I32,
        "<u8" => Element::U64,
        "<i8" => Element::I64,
        "<f2" => Element::F16,
        "<f4" => Element::F32,
        "<f8" => Element::F64,
        "|O" => {
            return Err(refused::objects(name));
        }
        "|V2" | "<V2" => {
            return Err(format!(
                "`{name}` holds 2-byte records without a type, as NumPy writes bfloat16; save it as safetensors or float32"
            ));
        }
        other => {
            return Err(format!(
                "`{name}` holds elements of type {other:?}; expected little-endian integers or floats"
            ));
        }
    })
}

/// All arrays of a .npz archive. Stored members stay in place, compressed ones are unpacked into
/// memory.
pub(super) fn archive(bytes: &Bytes) -> Result<Vec<Member>, String> {
    let damaged = |error: &dyn std::fmt::Display| {
        format!("expected a .npz archive, found something else or only a part of one ({error})")
    };
    let mut zip = ZipArchive::new(Cursor::new(&bytes[..])).map_err(|error| damaged(&error))?;
    (0..zip.len())
        .map(|index| {
            let mut member = zip.by_index(index).map_err(|error| damaged(&error))?;
            let full_name = member.name().map_err(|error| damaged(&error))?.into_owned();
            let name = full_name
                .strip_suffix(".npy")
                .unwrap_or(&full_name)
                .to_string();
            let size = member.size() as usize;
            let start = member.data_start().map(|start| start as usize);
            let part = match start {
                Some(start)
                    if member.compression() == CompressionMethod::Stored
                        && start + size <= bytes.len() =>
                {
                    Part {
                        bytes: bytes.clone(),
                        range: start..start + size,
                    }
                }
                _ => {
                    let mut unpacked = Vec::new();
                    member
                        .read_to_end(&mut unpacked)
                        .map_err(|error| damaged(&error))?;
                    Part::owned(unpacked)
                }
            };
            if !full_name.ends_with(".npy") && !part.starts_with(MAGIC) {
                return Ok(Member::Unreadable {
                    why: format!("expected `{name}` to be an array of NumPy, found another file"),
                    name,
                });
            }
            self::member(&name, part)
        })
        .collect()
}
