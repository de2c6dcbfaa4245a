//! Named tensors and their safetensors files.

use std::fs;
use std::path::Path;

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

/// Reads all 32-bit float tensors of a safetensors file; PyTorch's integer counters
/// `num_batches_tracked` are skipped.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::NotSafetensors`] when it is truncated or
/// something else, [`Error::TensorType`] when a tensor holds other numbers.
pub fn read_safetensors(path: &Path) -> Result<Vec<NamedTensor>> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let file = Tensors::parse(&bytes).map_err(|error| Error::NotSafetensors {
        path: path.to_owned(),
        problem: match error {
            tagwise_base::Error::NotTensors { problem } => problem,
            other => other.to_string(),
        },
    })?;
    let mut tensors = Vec::new();
    for tensor in file.iter() {
        if tensor.name().ends_with(".num_batches_tracked") {
            continue;
        }
        tensors.push(NamedTensor {
            name: tensor.name().to_owned(),
            shape: tensor.shape().to_vec(),
            data: tensor.to_vec().map_err(|_| Error::TensorType {
                name: tensor.name().to_owned(),
                found: tensor.element().name().to_uppercase(),
            })?,
        });
    }
    Ok(tensors)
}

/// Writes tensors to a safetensors file, first under a temporary name in the same folder: the
/// file is there whole or not at all.
///
/// # Errors
/// [`Error::Io`] when the folder or the disk refuses.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor]) -> Result<()> {
    let io_error = |error| match error {
        tagwise_base::Error::Io { path, source } => Error::Io { path, source },
        other => Error::Io {
            path: path.to_owned(),
            source: std::io::Error::other(other),
        },
    };
    let mut writer = TensorWriter::new();
    for tensor in tensors {
        let added = writer.add(&tensor.name, &tensor.shape, &tensor.data);
        added.map_err(io_error)?;
    }
    writer.write(path).map_err(io_error)
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
