//! Tensors on their way into a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use super::element::{Element, Number};
use super::{CHECKSUM, Checksum, Tensor, Tensors};
use crate::file::write_atomically;
use crate::form::{FORMAT, Form, VERSION};
use crate::{Error, Result};

/// The header is padded to a multiple of this, so that numbers of every kind lie aligned.
const ALIGNMENT: usize = 8;

/// Collects named tensors and metadata and writes them as one safetensors file.
///
/// Values are borrowed where the machine stores them as the file does, so that features are not
/// copied to be written.
#[derive(Clone, Debug, Default)]
pub struct TensorWriter<'a> {
    tensors: BTreeMap<String, Entry<'a>>,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Entry<'a> {
    element: Element,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> TensorWriter<'a> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, or replaces the one of this name.
    ///
    /// # Shapes
    /// `values` are row-major, as many as the product of `shape`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when they are not.
    pub fn add<T: Number>(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        values: &'a [T],
    ) -> Result<()> {
        let bytes = if cfg!(target_endian = "little") {
            Cow::Borrowed(bytemuck::cast_slice(values))
        } else {
            Cow::Owned(little_endian(values))
        };
        self.add_bytes(name.into(), T::ELEMENT, shape, values.len(), bytes)
    }

    /// As [`add`](Self::add), for numbers that nobody else keeps.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_owned<T: Number>(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        values: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let values: Vec<T> = values.into_iter().collect();
        let bytes = Cow::Owned(little_endian(&values));
        self.add_bytes(name.into(), T::ELEMENT, shape, values.len(), bytes)
    }

    fn add_bytes(
        &mut self,
        name: String,
        element: Element,
        shape: &[usize],
        count: usize,
        bytes: Cow<'a, [u8]>,
    ) -> Result<()> {
        let expected = shape
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        if expected != Some(count) {
            return Err(Error::SizeMismatch {
                what: "numbers in a tensor (the product of its shape)",
                expected: expected.unwrap_or(usize::MAX),
                found: count,
            });
        }
        let shape = shape.to_vec();
        let entry = Entry {
            element,
            shape,
            bytes,
        };
        self.tensors.insert(name, entry);
        Ok(())
    }

    /// All tensors and metadata of a file, to be changed and written again.
    ///
    /// ```
    /// use tagwise_base::tensors::{TensorWriter, Tensors};
    ///
    /// let mut writer = TensorWriter::new();
    /// writer.add("bias", &[2], &[0.5f32, -0.5])?;
    /// let bytes = writer.to_bytes();
    /// assert_eq!(TensorWriter::copy_of(&Tensors::parse(&bytes)?).to_bytes(), bytes);
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn copy_of(tensors: &Tensors<'a>) -> Self {
        let entry = |tensor: &Tensor<'a>| Entry {
            element: tensor.element(),
            shape: tensor.shape().to_vec(),
            bytes: Cow::Borrowed(tensor.bytes()),
        };
        let entries = tensors.iter();
        Self {
            tensors: entries
                .map(|tensor| (tensor.name().to_owned(), entry(tensor)))
                .collect(),
            metadata: tensors.all_metadata().clone(),
        }
    }

    /// Adds an entry of the metadata, or replaces the one of this key.
    pub fn describe(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.metadata.insert(key.into(), value.into());
    }

    /// Says what the file is, and the version of that form.
    ///
    /// ```
    /// use tagwise_base::form::Form;
    /// use tagwise_base::tensors::{TensorWriter, Tensors};
    ///
    /// let mut writer = TensorWriter::new();
    /// writer.describe_form(Form::Weights);
    /// let bytes = writer.to_bytes();
    /// assert_eq!(Tensors::parse(&bytes)?.metadata("format"), Some("tagwise weights"));
    /// writer.describe("version", "2");
    /// assert_eq!(
    ///     Tensors::parse(&writer.to_bytes()).unwrap_err().to_string(),
    ///     "tagwise weights: expected version 1 at most, found 2; read it with a newer program"
    /// );
    /// # Ok::<(), tagwise_base::Error>(())
    /// ```
    pub fn describe_form(&mut self, form: Form) {
        self.describe(FORMAT, form.name());
        self.describe(VERSION, form.version().to_string());
    }

    /// Adds the CRC-32 of all tensors and metadata under the key `crc32`; call it last.
    /// [`Tensors::verify`](super::Tensors::verify) compares it.
    pub fn add_checksum(&mut self) {
        let mut checksum = Checksum::default();
        let entries = self.metadata.iter();
        checksum.metadata(entries.map(|(key, value)| (key.as_str(), value.as_str())));
        for (name, entry) in &self.tensors {
            checksum.tensor(name, entry.element, &entry.shape, &entry.bytes);
        }
        self.describe(CHECKSUM, checksum.finish());
    }

    /// The whole file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size: usize = self.tensors.values().map(|entry| entry.bytes.len()).sum();
        let header = self.header();
        let mut bytes = Vec::with_capacity(ALIGNMENT + header.len() + size);
        let written = self.write_parts(&header, &mut bytes);
        written.unwrap_or_else(|error| unreachable!("memory takes every byte: {error}"));
        bytes
    }

    /// Writes the whole file to anything that takes bytes, without a copy of it in memory.
    ///
    /// # Errors
    /// Whatever the writer reports.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_parts(&self.header(), out)
    }

    /// Writes the file at a path, complete or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| self.write_to(file))
    }

    fn write_parts(&self, header: &[u8], out: &mut impl Write) -> io::Result<()> {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header)?;
        for (_, entry) in self.in_file_order() {
            out.write_all(&entry.bytes)?;
        }
        Ok(())
    }

    /// The widest elements first, then by name.
    fn in_file_order(&self) -> Vec<(&str, &Entry<'a>)> {
        let entries = self.tensors.iter();
        let mut entries: Vec<_> = entries
            .map(|(name, entry)| (name.as_str(), entry))
            .collect();
        entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.element)); // stable
        entries
    }

    /// JSON: the metadata, then each tensor's kind, shape and place.
    fn header(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        if !self.metadata.is_empty() {
            let entries = self.metadata.iter();
            let entries = entries.map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)));
            let entries: Vec<String> = entries.collect();
            fields.push(format!("\"__metadata__\":{{{}}}", entries.join(",")));
        }
        let mut begin = 0;
        for (name, entry) in self.in_file_order() {
            let shape: Vec<String> = entry.shape.iter().map(ToString::to_string).collect();
            let end = begin + entry.bytes.len();
            fields.push(format!(
                "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{begin},{end}]}}",
                quoted(name),
                entry.element.header_name(),
                shape.join(",")
            ));
            begin = end;
        }
        let mut header = format!("{{{}}}", fields.join(",")).into_bytes();
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
        header
    }
}

/// The bytes of numbers as files hold them.
pub(crate) fn little_endian<T: Number>(values: &[T]) -> Vec<u8> {
    let size = T::ELEMENT.size();
    let mut bytes = vec![0; values.len() * size];
    for (&value, out) in values.iter().zip(bytes.chunks_exact_mut(size)) {
        value.write_le(out);
    }
    bytes
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::super::Tensors;
    use super::*;

    #[test]
    fn bytes_are_those_of_the_safetensors_crate_without_metadata() {
        use safetensors::tensor::{Dtype, TensorView, serialize};
        let mut writer = TensorWriter::new();
        writer.add("b", &[3], &[1u8, 2, 3]).unwrap();
        writer.add("a", &[1], &[1.5f64]).unwrap();
        writer
            .add_owned("c \"quoted\"", &[0, 2], Vec::<f32>::new())
            .unwrap();
        writer.add("a64", &[2], &[7i64, -7]).unwrap();
        let (one, seven) = (
            1.5f64.to_le_bytes(),
            [7i64, -7].map(i64::to_le_bytes).concat(),
        );
        let view = |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).unwrap();
        let expected = serialize(
            [
                ("a", view(Dtype::F64, vec![1], &one)),
                ("b", view(Dtype::U8, vec![3], &[1, 2, 3])),
                ("a64", view(Dtype::I64, vec![2], &seven)),
                ("c \"quoted\"", view(Dtype::F32, vec![0, 2], &[])),
            ],
            None,
        );
        assert_eq!(writer.to_bytes(), expected.unwrap());
    }

    #[test]
    fn the_order_of_metadata_does_not_change_the_bytes() {
        let file = |keys: &[&str]| {
            let mut writer = TensorWriter::new();
            writer.add("x", &[1], &[1u32]).unwrap();
            for key in keys {
                writer.describe(*key, format!("value of {key}"));
            }
            writer.to_bytes()
        };
        assert_eq!(file(&["a", "b", "c", "d"]), file(&["d", "b", "a", "c"]));
    }

    #[test]
    fn every_text_of_the_metadata_comes_back() {
        let text: String = ('\0'..'\u{300}').chain(['\u{2028}', '😀']).collect();
        let mut writer = TensorWriter::new();
        writer.describe(&text, &text);
        let bytes = writer.to_bytes();
        assert_eq!(
            Tensors::parse(&bytes).unwrap().metadata(&text),
            Some(&*text)
        );
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        let mut writer = TensorWriter::new();
        let error = writer.add("x", &[2, 2], &[1.0f32; 3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected 4 numbers in a tensor (the product of its shape), found 3"
        );
        let huge = [usize::MAX, 2];
        assert!(writer.add::<u8>("x", &huge, &[]).is_err());
    }
}
