//! Named tensors as bytes and in safetensors files.

use std::fs;
use std::path::Path;

use tagwise_base::form::Form;
use tagwise_base::tensors::{TensorWriter, Tensors};

use crate::{Error, Result};

/// A tensor in row-major order under the name that PyTorch gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// For example `layer1.0.conv1.weight`.
    pub name: String,
    /// For example `[64, 64, 3, 3]`.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: Vec<f32>,
}

/// The 32-bit float tensors in the bytes of a safetensors file; PyTorch's integer counters
/// `num_batches_tracked` are skipped.
///
/// ```
/// use tagwise_nn::{NamedTensor, weights};
///
/// let bias = NamedTensor { name: "fc.bias".into(), shape: vec![2], data: vec![0.5, -0.5] };
/// let bytes = weights::to_bytes(&[bias.clone()])?;
/// assert_eq!(weights::from_bytes(&bytes)?, [bias]);
/// # Ok::<(), tagwise_nn::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotSafetensors`] for bytes that are truncated or something else, [`Error::TensorType`]
/// when a tensor holds other numbers.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<NamedTensor>> {
    let file = Tensors::parse(bytes).map_err(not_safetensors)?;
    let weights = file
        .iter()
        .filter(|tensor| !tensor.name().ends_with(".num_batches_tracked"));
    weights
        .map(|tensor| {
            Ok(NamedTensor {
                name: tensor.name().to_owned(),
                shape: tensor.shape().to_vec(),
                data: tensor.to_vec().map_err(|_| Error::TensorType {
                    name: tensor.name().to_owned(),
                    found: tensor.element().name().to_uppercase(),
                })?,
            })
        })
        .collect()
}

/// The bytes of a safetensors file with these tensors.
///
/// # Errors
/// [`Error::NotSafetensors`] for two tensors of one name and for a shape that does not fit its
/// numbers.
pub fn to_bytes(tensors: &[NamedTensor]) -> Result<Vec<u8>> {
    Ok(writer(tensors)?.to_bytes())
}

/// Reads the weights in a safetensors file, as [`from_bytes`].
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, and those of [`from_bytes`] with its name.
pub fn read_safetensors(path: &Path) -> Result<Vec<NamedTensor>> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    from_bytes(&bytes).map_err(|source| Error::File {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// Writes tensors to a safetensors file, first under a temporary name in the same folder: the
/// file is there whole or not at all.
///
/// # Errors
/// [`Error::Io`] when the folder or the disk refuses, and those of [`to_bytes`].
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor]) -> Result<()> {
    writer(tensors)?.write(path).map_err(|error| match error {
        tagwise_base::Error::Io { path, source } => Error::Io { path, source },
        other => not_safetensors(other),
    })
}

fn writer(tensors: &[NamedTensor]) -> Result<TensorWriter<'_>> {
    let mut writer = TensorWriter::new();
    writer.describe_form(Form::Weights);
    for tensor in tensors {
        let added = writer.add(&tensor.name, &tensor.shape, &tensor.data);
        added.map_err(not_safetensors)?;
    }
    Ok(writer)
}

fn not_safetensors(error: tagwise_base::Error) -> Error {
    match error {
        tagwise_base::Error::NotTensors { problem } => Error::NotSafetensors { problem },
        tagwise_base::Error::Malformed(message) => Error::Unreadable(message),
        other => Error::NotSafetensors {
            problem: other.to_string(),
        },
    }
}

/// Compares names and shapes: every expected tensor once, no other.
pub(crate) fn expect_same(expected: &[(&str, Vec<usize>)], tensors: &[&NamedTensor]) -> Result<()> {
    for (name, shape) in expected {
        let Some(tensor) = tensors.iter().find(|tensor| tensor.name == *name) else {
            return Err(Error::MissingTensor {
                name: (*name).to_owned(),
                expected: shape.clone(),
            });
        };
        if tensor.shape != *shape || tensor.data.len() != shape.iter().product::<usize>() {
            return Err(Error::TensorShape {
                name: (*name).to_owned(),
                expected: shape.clone(),
                found: tensor.shape.clone(),
            });
        }
    }
    let foreign = tensors
        .iter()
        .find(|tensor| !expected.iter().any(|(name, _)| *name == tensor.name));
    match foreign {
        None => Ok(()),
        Some(tensor) => Err(Error::UnexpectedTensor {
            name: tensor.name.clone(),
            found: tensor.shape.clone(),
        }),
    }
}
