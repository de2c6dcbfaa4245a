//! Tensors as they lie in a file's bytes.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::SafeTensors;

use super::element::{Element, Number};
use super::{CHECKSUM, Checksum};
use crate::form::{FORMAT, Form, VERSION};
use crate::{Error, Result};

/// The tensors of a safetensors file; their numbers stay where they are until somebody asks.
///
/// Sizes, offsets and shapes in the header were compared with the bytes before anything is
/// allocated.
#[derive(Clone, Debug)]
pub struct Tensors<'a> {
    tensors: BTreeMap<String, Tensor<'a>>,
    metadata: BTreeMap<String, String>,
}

/// One tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    name: String,
    element: Element,
    shape: Vec<usize>,
    bytes: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// Reads the header and checks it against the bytes.
    ///
    /// # Errors
    /// [`Error::NotTensors`] when these are not the bytes of a whole safetensors file;
    /// [`Error::Malformed`] for a kind of number that is not in [`Element`], and for a [`Form`] of a
    /// later version than this program knows.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let problem = |error: safetensors::SafeTensorError| Error::NotTensors {
            problem: error.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(problem)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if let Some(form) = metadata.get(FORMAT).and_then(|name| Form::named(name)) {
            form.check_text(metadata.get(VERSION).map(String::as_str))?;
        }
        let file = SafeTensors::deserialize(bytes).map_err(problem)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let element = Element::of(view.dtype()).ok_or_else(|| {
                let message = format!("`{name}` holds {:?}, which is not supported", view.dtype());
                Error::Malformed(message)
            })?;
            let tensor = Tensor {
                name: name.clone(),
                element,
                shape: view.shape().to_vec(),
                bytes: view.data(),
            };
            tensors.insert(name, tensor);
        }
        Ok(Self {
            tensors,
            metadata: metadata.into_iter().collect(),
        })
    }

    /// All tensors in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Tensor<'a>> {
        self.tensors.values()
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor<'a>> {
        self.tensors.get(name)
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is missing.
    pub fn require(&self, name: &str) -> Result<&Tensor<'a>> {
        let tensor = self.get(name);
        tensor.ok_or_else(|| Error::Malformed(format!("`{name}` is missing")))
    }

    /// An entry of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// All metadata.
    pub fn all_metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Compares the tensors and metadata with the checksum of
    /// [`TensorWriter::add_checksum`](super::TensorWriter::add_checksum), if the file has one.
    ///
    /// # Errors
    /// [`Error::Malformed`] when they differ.
    pub fn verify(&self) -> Result<()> {
        let Some(stated) = self.metadata(CHECKSUM) else {
            return Ok(());
        };
        let mut checksum = Checksum::default();
        let entries = self.metadata.iter();
        checksum.metadata(entries.map(|(key, value)| (key.as_str(), value.as_str())));
        for tensor in self.iter() {
            checksum.tensor(&tensor.name, tensor.element, &tensor.shape, tensor.bytes);
        }
        let found = checksum.finish();
        if found == stated {
            return Ok(());
        }
        Err(Error::Malformed(format!(
            "the contents were changed after they were written (their CRC-32 is {found}, the header says {stated}); copy the file again or make it anew"
        )))
    }
}

impl<'a> Tensor<'a> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of its numbers.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Its sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The little-endian bytes of its numbers.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// Whether it has no number.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The numbers, of exactly this kind.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the tensor holds another kind.
    pub fn to_vec<T: Number>(&self) -> Result<Vec<T>> {
        if self.element != T::ELEMENT {
            return Err(Error::Malformed(format!(
                "expected `{}` of {}, found {}",
                self.name,
                T::ELEMENT.name(),
                self.element.name()
            )));
        }
        Ok(numbers::<T>(self.bytes).collect())
    }

    /// As [`to_vec`](Self::to_vec), for a tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the tensor has another shape or holds another kind.
    pub fn to_vec_of<T: Number>(&self, shape: &[usize]) -> Result<Vec<T>> {
        self.expect_shape(shape)?;
        self.to_vec()
    }

    /// Floating-point numbers of any width, as f64.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the tensor holds integers.
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        Ok(match self.element {
            Element::F16 => numbers::<f16>(self.bytes).map(f64::from).collect(),
            Element::BF16 => numbers::<bf16>(self.bytes).map(f64::from).collect(),
            Element::F32 => numbers::<f32>(self.bytes).map(f64::from).collect(),
            Element::F64 => numbers::<f64>(self.bytes).collect(),
            other => {
                return Err(Error::Malformed(format!(
                    "expected `{}` of f16, bf16, f32 or f64, found {}",
                    self.name,
                    other.name()
                )));
            }
        })
    }

    /// Finite numbers in f64, of a tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another shape, another kind, NaN and infinity.
    pub fn finite_of(&self, shape: &[usize]) -> Result<Vec<f64>> {
        let values: Vec<f64> = self.to_vec_of(shape)?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(position) => Err(Error::Malformed(format!(
                "expected finite numbers in `{}`, found {} at {position}",
                self.name, values[position]
            ))),
            None => Ok(values),
        }
    }

    /// Refuses another shape.
    ///
    /// # Errors
    /// [`Error::Malformed`] with both shapes.
    pub fn expect_shape(&self, shape: &[usize]) -> Result<()> {
        if self.shape == shape {
            return Ok(());
        }
        Err(Error::Malformed(format!(
            "expected `{}` of shape {shape:?}, found {:?}",
            self.name, self.shape
        )))
    }
}

fn numbers<T: Number>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(T::ELEMENT.size()).map(T::read_le)
}

#[cfg(test)]
mod tests {
    use super::super::TensorWriter;
    use super::*;

    fn checked() -> Vec<u8> {
        let mut writer = TensorWriter::new();
        writer.add("x", &[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
        writer.describe("what", "four numbers");
        writer.add_checksum();
        writer.to_bytes()
    }

    #[test]
    fn a_changed_bit_is_found() {
        let bytes = checked();
        Tensors::parse(&bytes).unwrap().verify().unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        let error = Tensors::parse(&changed).unwrap().verify().unwrap_err();
        assert!(error.to_string().starts_with("the contents were changed"));
        let text = String::from_utf8_lossy(&bytes);
        let place = text.find("four").unwrap();
        let mut changed = bytes.clone();
        changed[place] = b'F';
        assert!(Tensors::parse(&changed).unwrap().verify().is_err());
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = checked();
        for length in 0..bytes.len() {
            assert!(Tensors::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_the_bytes_are_refused_before_anything_is_allocated() {
        let header =
            br#"{"x":{"dtype":"F64","shape":[4611686018427387904,8],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend([0; 8]);
        let error = Tensors::parse(&bytes).unwrap_err().to_string();
        assert!(error.contains("overflow"), "{error}");
    }

    #[test]
    fn another_kind_or_shape_is_named() {
        let bytes = checked();
        let tensors = Tensors::parse(&bytes).unwrap();
        let x = tensors.require("x").unwrap();
        assert_eq!(
            x.to_vec::<f64>().unwrap_err().to_string(),
            "expected `x` of f64, found f32"
        );
        assert_eq!(
            x.to_vec_of::<f32>(&[4]).unwrap_err().to_string(),
            "expected `x` of shape [4], found [2, 2]"
        );
        assert_eq!(x.to_f64().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            tensors.require("y").unwrap_err().to_string(),
            "`y` is missing"
        );
    }
}
