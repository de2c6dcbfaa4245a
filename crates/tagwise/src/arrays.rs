//! What heads and decoders keep in a file: numbers in f64, lists of u32 and texts, read with what
//! the whole file should be in every error.

use crate::tensors::{Element, Tensor, TensorWriter, Tensors};
use crate::{Error, Result};

/// Arrays to be written.
#[derive(Default)]
pub(crate) struct Arrays(TensorWriter<'static>);

impl Arrays {
    /// Adds row-major numbers in f64, as many as the shape says.
    pub(crate) fn f64(
        &mut self,
        name: impl Into<String>,
        shape: impl AsRef<[usize]>,
        values: impl IntoIterator<Item = f64>,
    ) {
        let added = self.0.add_owned(name, shape.as_ref(), values);
        added.expect("the caller counted the numbers");
    }

    /// Adds a list of whole numbers.
    pub(crate) fn u32(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = u32>) {
        let values: Vec<u32> = values.into_iter().collect();
        let added = self.0.add_owned(name, &[values.len()], values);
        added.expect("a list has the length of its values");
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, key: &str, text: String) {
        self.0.describe(key, text);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

/// Arrays found in bytes; sizes are those of the bytes there are, whatever a header claims.
pub(crate) struct Stored<'a>(Tensors<'a>);

impl<'a> Stored<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        Tensors::parse(bytes).map(Self)
    }

    /// The text under a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.metadata(key)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The shape and the numbers of an array of f32 or f64; `what` the whole should be.
    pub(crate) fn f64(&self, name: &str, what: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let array = self.array(name, what)?;
        if !matches!(array.element(), Element::F32 | Element::F64) {
            return Err(unlike(array, "f32 or f64"));
        }
        Ok((array.shape().to_vec(), array.to_f64()?))
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
        match array.element() {
            Element::U32 => array.to_vec(),
            _ => Err(unlike(array, "u32")),
        }
    }

    fn array(&self, name: &str, what: &str) -> Result<&Tensor<'a>> {
        self.0.get(name).ok_or_else(|| {
            Error::Malformed(format!(
                "expected an array `{name}`, found none; is this {what}?"
            ))
        })
    }
}

fn unlike(array: &Tensor<'_>, expected: &str) -> Error {
    Error::Malformed(format!(
        "expected `{}` in {expected}, found {}",
        array.name(),
        array.element().name()
    ))
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
