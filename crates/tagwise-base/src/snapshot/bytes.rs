//! Arrays and snapshots in memory, without a path.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::array::Stored;
use super::load::ending;
use super::mapped::{Bytes, Part};
use super::member::Member;
use super::{FeatureValues, Snapshot, npy, safetensors};
use crate::tensors::{Element, Tensors, little_endian};
use crate::{Error, Result};

/// A format of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Named tensors.
    Safetensors,
    /// NumPy's archive of named arrays.
    Npz,
    /// One of NumPy's arrays, without a name.
    Npy,
}

/// Arrays by name, with what else their file says.
#[derive(Clone, Debug)]
pub struct NamedArrays {
    /// The arrays in the order of their names.
    pub arrays: Vec<NamedArray>,
    /// The metadata of a safetensors file; empty for other formats.
    pub metadata: BTreeMap<String, String>,
}

/// One array of any shape.
#[derive(Clone, Debug)]
pub struct NamedArray {
    /// Its name; `array` for a .npy file.
    pub name: String,
    /// Its sides.
    pub shape: Vec<usize>,
    /// What it holds.
    pub contents: ArrayContents,
}

/// What an array holds, in row-major order.
#[derive(Clone, Debug)]
pub enum ArrayContents {
    /// Numbers.
    Numbers {
        /// Their kind.
        element: Element,
        /// Their little-endian bytes.
        bytes: ArrayBytes,
    },
    /// Texts, which only NumPy's arrays hold.
    Texts(Vec<String>),
}

/// Bytes of an array, in memory or mapped from its file.
#[derive(Clone, Debug)]
pub struct ArrayBytes(Part);

impl std::ops::Deref for ArrayBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl NamedArrays {
    /// The arrays of a file that ends in .safetensors, .npz or .npy; their numbers are mapped into
    /// memory where they lie in row-major order and are not compressed.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        let format = match ending(path).as_deref() {
            Some("safetensors") => Format::Safetensors,
            Some("npz") => Format::Npz,
            Some("npy") => Format::Npy,
            _ => {
                return Err(Error::Format {
                    path: path.to_path_buf(),
                    message: "expected a file that ends in .safetensors, .npz or .npy".into(),
                });
            }
        };
        Self::parse(format, &Bytes::map(path)?).map_err(|error| error.in_file(path))
    }

    /// The arrays in these bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::NotTensors`] when the bytes are not of this format.
    ///
    /// ```
    /// use tagwise_base::snapshot::{ArrayContents, Format, NamedArrays};
    ///
    /// let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    /// bytes.extend(b"{'descr': '|u1', 'fortran_order': True, 'shape': (2,2)}");
    /// bytes.resize(128, b' ');
    /// bytes.extend([1, 2, 3, 4]);
    /// let arrays = NamedArrays::from_bytes(Format::Npy, &bytes)?.arrays;
    /// let ArrayContents::Numbers { bytes, .. } = &arrays[0].contents else { panic!() };
    /// assert_eq!(**bytes, [1, 3, 2, 4]); // row-major
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn from_bytes(format: Format, bytes: &[u8]) -> Result<Self> {
        Self::parse(format, &Bytes::owned(bytes.to_vec()))
    }

    fn parse(format: Format, bytes: &Bytes) -> Result<Self> {
        let mut metadata = BTreeMap::new();
        let arrays = match format {
            Format::Safetensors => {
                let tensors = Tensors::parse(bytes)?;
                metadata = tensors.all_metadata().clone();
                let arrays = safetensors::stored(bytes, &tensors);
                Ok(arrays.into_iter().map(NamedArray::of_numbers).collect())
            }
            Format::Npz => npy::archive(bytes).and_then(|arrays| {
                let arrays = arrays.into_iter().map(NamedArray::of_member);
                arrays.collect::<Result<Vec<_>, String>>()
            }),
            Format::Npy => npy::member("array", whole(bytes))
                .and_then(NamedArray::of_member)
                .map(|array| vec![array]),
        };
        let mut arrays: Vec<NamedArray> = arrays.map_err(Error::Malformed)?;
        arrays.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { arrays, metadata })
    }
}

/// All of some bytes.
pub(super) fn whole(bytes: &Bytes) -> Part {
    Part {
        range: 0..bytes.len(),
        bytes: bytes.clone(),
    }
}

impl NamedArray {
    fn of_numbers(array: Stored) -> Self {
        let array = array.into_row_major();
        Self {
            name: array.name,
            shape: array.shape,
            contents: ArrayContents::Numbers {
                element: array.element,
                bytes: ArrayBytes(array.part),
            },
        }
    }

    fn of_member(member: Member) -> Result<Self, String> {
        let Member::Text(array) = member else {
            return Ok(Self::of_numbers(member.into_numbers()?));
        };
        let texts = array.texts()?;
        Ok(Self {
            name: array.name,
            shape: array.shape,
            contents: ArrayContents::Texts(texts),
        })
    }
}

/// The members of a file in memory.
pub(super) fn members_of(format: Format, bytes: &Bytes) -> Result<Vec<Member>> {
    match format {
        Format::Safetensors => {
            let arrays = safetensors::stored(bytes, &Tensors::parse(bytes)?);
            Ok(arrays.into_iter().map(Member::from).collect())
        }
        Format::Npz => npy::archive(bytes).map_err(Error::Malformed),
        Format::Npy => Err(Error::Malformed(
            "a .npy file holds one array, a snapshot is several; give them as .npz".into(),
        )),
    }
}

/// The snapshot as a .npz archive of stored members; the same snapshot gives the same bytes.
pub(super) fn npz(snapshot: &Snapshot) -> Vec<u8> {
    let (num_samples, dim) = (snapshot.num_samples(), snapshot.dim());
    let num_classes = snapshot.targets().num_classes();
    let mut archive = Archive(ZipWriter::new(Cursor::new(Vec::new())));
    let sizes = [num_samples, dim];
    match snapshot.features() {
        FeatureValues::F32(values) => archive.add("features", "<f4", &sizes, little_endian(values)),
        FeatureValues::F64(values) => archive.add("features", "<f8", &sizes, little_endian(values)),
    }
    let targets = snapshot.targets().to_multi_hot();
    archive.add("targets", "|u1", &[num_samples, num_classes], targets);
    // Without it, one column alone would be class numbers.
    let stated = (num_classes as u64).to_le_bytes().to_vec();
    archive.add("num_classes", "<u8", &[1], stated);
    if let Some(classifier) = snapshot.classifier() {
        let weight = little_endian(classifier.weight.as_slice());
        archive.add("weight", "<f8", &[num_classes, dim], weight);
        archive.add(
            "bias",
            "<f8",
            &[num_classes],
            little_endian(&classifier.bias),
        );
    }
    archive
        .0
        .finish()
        .map_or_else(in_memory, Cursor::into_inner)
}

fn in_memory<T>(error: impl std::fmt::Display) -> T {
    unreachable!("memory takes every byte: {error}")
}

struct Archive(ZipWriter<Cursor<Vec<u8>>>);

impl Archive {
    fn add(&mut self, name: &str, description: &str, shape: &[usize], bytes: Vec<u8>) {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(bytes.len() as u64 > u64::from(u32::MAX / 2));
        let started = self.0.start_file(format!("{name}.npy"), options);
        started.unwrap_or_else(in_memory);
        for part in [npy::header_bytes(description, shape), bytes] {
            self.0.write_all(&part).unwrap_or_else(in_memory);
        }
    }
}
