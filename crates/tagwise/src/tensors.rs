//! Named arrays with metadata as safetensors bytes.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, View};

use crate::{Error, Result};

/// Arrays to be written.
#[derive(Default)]
pub(crate) struct Arrays {
    arrays: Vec<(String, Array)>,
    metadata: HashMap<String, String>,
}

struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Arrays {
    /// Adds row-major numbers in f64.
    pub(crate) fn f64(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: impl IntoIterator<Item = f64>,
    ) {
        let bytes = values.into_iter().flat_map(f64::to_le_bytes).collect();
        self.push(name.into(), Dtype::F64, shape.into(), bytes);
    }

    /// Adds a list of whole numbers.
    pub(crate) fn u32(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = u32>) {
        let bytes: Vec<u8> = values.into_iter().flat_map(u32::to_le_bytes).collect();
        self.push(name.into(), Dtype::U32, vec![bytes.len() / 4], bytes);
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, key: &str, text: String) {
        self.metadata.insert(key.into(), text);
    }

    fn push(&mut self, name: String, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) {
        let array = Array {
            dtype,
            shape,
            bytes,
        };
        self.arrays.push((name, array));
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let views = self.arrays.iter().map(|(name, array)| (name, array));
        safetensors::serialize(views, Some(self.metadata.clone()))
            .map_err(|error| Error::Malformed(error.to_string()))
    }
}

/// Arrays found in bytes; sizes are those of the bytes there are, whatever a header claims.
pub(crate) struct Stored<'a> {
    file: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> Stored<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let expected = |error: safetensors::SafeTensorError| Error::NotTensors {
            problem: error.to_string(),
        };
        let file = SafeTensors::deserialize(bytes).map_err(expected)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(expected)?;
        Ok(Self {
            file,
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }

    /// The text under a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.file.names().contains(&name)
    }

    /// The shape and the numbers of an array of f32 or f64; `what` the whole should be.
    pub(crate) fn f64(&self, name: &str, what: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let array = self.array(name, what)?;
        let data = array.data();
        let values = match array.dtype() {
            Dtype::F64 => wide(data, f64::from_le_bytes),
            Dtype::F32 => wide(data, |bytes: [u8; 4]| f32::from_le_bytes(bytes).into()),
            other => {
                return Err(Error::Malformed(format!(
                    "expected `{name}` in f32 or f64, found {other:?}"
                )));
            }
        };
        Ok((array.shape().to_vec(), values))
    }

    /// The numbers of an array of this many.
    pub(crate) fn list(&self, name: &str, len: usize, what: &str) -> Result<Vec<f64>> {
        let (_, values) = self.f64(name, what)?;
        check_len(name, len, values.len())?;
        Ok(values)
    }

    /// The whole numbers of a list.
    pub(crate) fn u32(&self, name: &str, what: &str) -> Result<Vec<u32>> {
        let array = self.array(name, what)?;
        match array.dtype() {
            Dtype::U32 => Ok(wide(array.data(), u32::from_le_bytes)),
            other => Err(Error::Malformed(format!(
                "expected `{name}` in u32, found {other:?}"
            ))),
        }
    }

    fn array(&self, name: &str, what: &str) -> Result<safetensors::tensor::TensorView<'a>> {
        self.file.tensor(name).map_err(|_| {
            Error::Malformed(format!(
                "expected an array `{name}`, found none; is this {what}?"
            ))
        })
    }
}

/// Refuses an array of another length.
pub(crate) fn check_len(name: &str, expected: usize, found: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Malformed(format!(
            "expected `{name}` of length {expected}, found {found}"
        ))),
    }
}

fn wide<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| number(*chunk)).collect()
}
